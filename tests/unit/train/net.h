/* Small models and data for the tests of training. */
#ifndef MC_TEST_TRAIN_NET_H
#define MC_TEST_TRAIN_NET_H

#include <math.h>
#include <stdlib.h>

#include "support/support.h"
#include "train/train.h"

#define IN 4
#define HIDDEN 8
#define CLASSES 3

static inline mcomp_context *net_context(int32_t threads)
{
    mcomp_context_options o;
    mcomp_context *ctx = NULL;
    mc_ck_ok(mcomp_context_options_init(&o, sizeof o));
    o.threads = threads;
    mc_ck_ok(mcomp_context_create(&ctx, &o));
    return ctx;
}

static inline void net_weight(mcomp_graph *g, const char *name, int32_t rank, const int64_t *dims, uint64_t seed, float scale, float shift)
{
    mcomp_tensor *t = NULL;
    mc_ck_ok(mcomp_tensor_create(&t, MCOMP_F32, rank, dims));
    float *p = mcomp_tensor_data(t);
    const int64_t n = mc_tensor_elements(&t->t);
    for (int64_t i = 0; i < n; i++) p[i] = shift + scale * mc_test_random(&seed);
    mc_ck_ok(mcomp_graph_add_constant(g, name, t));
    mcomp_tensor_destroy(t);
}

static inline void net_node(mcomp_graph *g, const char *op, const char *name, const char *a, const char *b, const char *c, const char *out)
{
    const char *in[3] = {a, b, c};
    mc_ck_ok(mcomp_graph_add_node(g, op, name, c ? 3 : b ? 2 : 1, in, 1, &out));
}

/* x [N, 4] -> Gemm w1 [4, 8] b1 -> Tanh -> Gemm w2 [8, 3] b2 -> logits; dropout > 0 puts a Dropout before the second. */
static inline mcomp_graph *net_mlp(mcomp_context *ctx, float dropout)
{
    mcomp_graph *g = NULL;
    mc_ck_ok(mcomp_graph_create(&g, ctx, "mlp", 17));
    mc_ck_ok(mcomp_graph_add_input(g, "x", MCOMP_F32, 2, (const int64_t[]){-1, IN}, (const char *const[]){"N", NULL}));
    net_weight(g, "w1", 2, (const int64_t[]){IN, HIDDEN}, 1, 0.5f, 0.0f);
    net_weight(g, "b1", 1, (const int64_t[]){HIDDEN}, 2, 0.1f, 0.0f);
    net_weight(g, "w2", 2, (const int64_t[]){HIDDEN, CLASSES}, 3, 0.5f, 0.0f);
    net_weight(g, "b2", 1, (const int64_t[]){CLASSES}, 4, 0.1f, 0.0f);
    net_node(g, "Gemm", "fc1", "x", "w1", "b1", "z");
    net_node(g, "Tanh", "act", "z", NULL, NULL, "h");
    if (dropout > 0.0f) {
        mcomp_tensor *t = NULL;
        mc_ck_ok(mcomp_tensor_create(&t, MCOMP_F32, 0, NULL));
        *(float *)mcomp_tensor_data(t) = dropout;
        mc_ck_ok(mcomp_graph_add_constant(g, "ratio", t));
        mcomp_tensor_destroy(t);
        net_node(g, "Dropout", "drop", "h", "ratio", NULL, "hd");
    }
    net_node(g, "Gemm", "fc2", dropout > 0.0f ? "hd" : "h", "w2", "b2", "logits");
    mc_ck_ok(mcomp_graph_add_output(g, "logits"));
    mc_ck_ok(mcomp_graph_finish(g));
    return g;
}

/* Class k of a sample follows from its coordinates: learnable, not by one linear layer alone. */
static inline int64_t net_sample(int64_t i, float x[IN])
{
    uint64_t seed = (uint64_t)i * 977 + 5;
    for (int k = 0; k < IN; k++) x[k] = mc_test_random(&seed);
    return x[0] + x[1] > 0.3f ? 0 : x[2] > x[3] ? 1 : 2;
}

static inline void net_batch(int64_t first, int64_t n, mcomp_tensor **x, mcomp_tensor **label)
{
    mc_ck_ok(mcomp_tensor_create(x, MCOMP_F32, 2, (const int64_t[]){n, IN}));
    mc_ck_ok(mcomp_tensor_create(label, MCOMP_I64, 1, &n));
    for (int64_t i = 0; i < n; i++)
        ((int64_t *)mcomp_tensor_data(*label))[i] = net_sample(first + i, (float *)mcomp_tensor_data(*x) + i * IN);
}

static inline int32_t net_fetch(void *payload, int64_t i, int32_t n, mcomp_tensor **inputs, int64_t *label)
{
    (void)payload;
    (void)n;
    const int32_t st = mcomp_tensor_create(&inputs[0], MCOMP_F32, 2, (const int64_t[]){1, IN});
    if (st == 0) *label = net_sample(i, mcomp_tensor_data(inputs[0]));
    return st;
}

/* Any inputs of a model: small ids, floats, free axes of 16 after a first one of 1. payload: the graph. */
static inline int32_t mc_test_pattern_fetch(void *payload, int64_t index, int32_t n, mcomp_tensor **inputs, int64_t *label)
{
    uint64_t seed = (uint64_t)index + 1;
    *label = -1;
    for (int32_t k = 0; k < n; k++) {
        mcomp_port_info p = {.size = sizeof p};
        int64_t dims[8];
        mc_ck_ok(mcomp_graph_input(payload, k, &p));
        for (int32_t i = 0; i < p.rank; i++) dims[i] = p.dims[i] >= 0 ? p.dims[i] : i == 0 ? 1 : 16;
        const int32_t st = mcomp_tensor_create(&inputs[k], p.dtype, p.rank, dims);
        if (st != 0) return st;
        const int64_t elements = mcomp_tensor_elements(inputs[k]);
        for (int64_t i = 0; i < elements; i++) {
            const float v = mc_test_random(&seed);
            if (p.dtype == MCOMP_F32) ((float *)mcomp_tensor_data(inputs[k]))[i] = v;
            else ((int64_t *)mcomp_tensor_data(inputs[k]))[i] = strstr(p.name, "mask") ? 1 : strstr(p.name, "type") ? 0 : (int64_t)fabsf(v * 20.0f);
        }
    }
    return 0;
}

/* Steps first..last-1 of `batch` samples each; the last loss. */
static inline float net_steps(mcomp_trainer *t, int64_t first, int64_t last, int64_t batch)
{
    float loss = 0.0f;
    for (int64_t s = first; s < last; s++) {
        mcomp_tensor *x, *label;
        net_batch(s * batch, batch, &x, &label);
        mc_ck_ok(mcomp_trainer_step(&loss, t, 1, (const mcomp_tensor *const[]){x}, label));
        mcomp_tensor_destroy(x);
        mcomp_tensor_destroy(label);
    }
    return loss;
}

static inline mcomp_trainer *net_trainer(mcomp_context *ctx, const mcomp_graph *g, const mcomp_trainer_options *o)
{
    mcomp_trainer *t = NULL;
    mc_ck_ok(mcomp_trainer_create(&t, ctx, g, o));
    return t;
}

/* Same bits in every weight. */
static inline int net_same(mcomp_trainer *a, mcomp_trainer *b)
{
    int same = 1;
    mcomp_graph *x = NULL, *y = NULL;
    mc_ck_ok(mcomp_trainer_graph(&x, a));
    mc_ck_ok(mcomp_trainer_graph(&y, b));
    for (int64_t i = 0; i < x->g->n_values; i++) {
        const mc_value *v = x->g->values[i], *w = y->g->values[i];
        if (v->init) same &= memcmp(v->init->data, w->init->data, (size_t)mc_tensor_bytes(v->init)) == 0;
    }
    mcomp_graph_destroy(x);
    mcomp_graph_destroy(y);
    return same;
}

#endif
