/* tests/unit/safetensors/bert_case.h - small BERT checkpoints, and the formulas of the paper written out in double. */
#ifndef MC_TEST_BERT_CASE_H
#define MC_TEST_BERT_CASE_H

#include <mcomp/mcomp.h>

#include <math.h>

#include "unit/safetensors/st.h"

enum { VOCAB = 11, POSITIONS = 9, TYPES = 2, H = 12, HEADS = 3, FFN = 20, LAYERS = 2, CLASSES = 4, BATCH = 2, SEQ = 7 };

static mcomp_context *ctx;
static uint64_t seed;

static inline void setup(void)
{
    st_setup();
    seed = 7;
    mc_ck_ok(mcomp_context_create(&ctx, NULL));
}

static inline void teardown(void)
{
    mcomp_context_destroy(ctx);
    st_teardown();
}

typedef struct variant {
    const char *act, *prefix, *gamma, *beta; /* names of LayerNorm */
    int pooler, classifier, dtype, position_ids;
    int32_t head;
} variant;

static const variant plain = {.act = "gelu", .prefix = "", .gamma = "weight", .beta = "bias", .pooler = 1, .dtype = MCOMP_F32};

static inline void add(mc_graph *g, int32_t dtype, int64_t d0, int64_t d1, const char *prefix, const char *name, const char *last)
{
    char full[200];
    mc_tensor *t;
    mc_value *v;
    const mc_shape s = {.rank = d1 ? 2 : 1, .dim = {d0, d1}};
    snprintf(full, sizeof full, "%s%s.%s", prefix, name, last);
    mc_ck_ok(mc_tensor_create(&t, dtype, &s));
    for (int64_t i = 0; i < mc_tensor_elements(t); i++) mc_tensor_set_f64(t, i, (double)(0.5f * mc_test_random(&seed)));
    mc_ck_ok(mc_graph_add_const(g, full, t, &v));
}

static inline void add_dense(mc_graph *g, const variant *v, int64_t out, int64_t in, const char *prefix, const char *name)
{
    add(g, v->dtype, out, in, prefix, name, "weight");
    add(g, v->dtype, out, 0, prefix, name, "bias");
}

static inline void add_norm(mc_graph *g, const variant *v, const char *name)
{
    add(g, v->dtype, H, 0, v->prefix, name, v->gamma);
    add(g, v->dtype, H, 0, v->prefix, name, v->beta);
}

/* Checkpoint and config.json; what the tests do to it comes in between. */
static inline mc_graph *checkpoint(const variant *v)
{
    static const struct {
        const char *name;
        int64_t out, in;
    } dense[] = {{"attention.self.query", H, H}, {"attention.self.key", H, H}, {"attention.self.value", H, H}, {"attention.output.dense", H, H}, {"intermediate.dense", FFN, H}, {"output.dense", H, FFN}};
    char name[100];
    mc_graph *g;
    mc_ck_ok(mc_graph_create(&g, "checkpoint"));
    add(g, v->dtype, VOCAB, H, v->prefix, "embeddings.word_embeddings", "weight");
    add(g, v->dtype, POSITIONS, H, v->prefix, "embeddings.position_embeddings", "weight");
    add(g, v->dtype, TYPES, H, v->prefix, "embeddings.token_type_embeddings", "weight");
    if (v->position_ids) add(g, MCOMP_I64, 1, POSITIONS, v->prefix, "embeddings", "position_ids");
    add_norm(g, v, "embeddings.LayerNorm");
    for (int i = 0; i < LAYERS; i++) {
        for (size_t k = 0; k < sizeof dense / sizeof *dense; k++) {
            snprintf(name, sizeof name, "encoder.layer.%d.%s", i, dense[k].name);
            add_dense(g, v, dense[k].out, dense[k].in, v->prefix, name);
        }
        snprintf(name, sizeof name, "encoder.layer.%d.attention.output.LayerNorm", i);
        add_norm(g, v, name);
        snprintf(name, sizeof name, "encoder.layer.%d.output.LayerNorm", i);
        add_norm(g, v, name);
    }
    if (v->pooler) add_dense(g, v, H, H, v->prefix, "pooler.dense");
    if (v->classifier) add_dense(g, v, CLASSES, H, "", "classifier");
    return g;
}

static const char sizes[] = "\"vocab_size\":11,\"hidden_size\":12,\"num_hidden_layers\":2,\"num_attention_heads\":3,\"intermediate_size\":20,"
                            "\"max_position_embeddings\":9,\"type_vocab_size\":2";

static inline void put_config(const char *rest)
{
    char text[1024];
    snprintf(text, sizeof text, "{\"model_type\":\"bert\",%s,%s\"layer_norm_eps\":1e-6}", sizes, rest);
    st_put_text("config.json", text);
}

static inline void put_checkpoint(mc_graph *g)
{
    const mcomp_save_options over = {.size = sizeof over, .overwrite = 1};
    mc_ck_ok(mc_safetensors_save(g, st_path("model.safetensors"), &over));
}

static inline int32_t load(mcomp_graph **m, int32_t head, uint64_t s)
{
    mcomp_load_options o;
    mc_ck_ok(mcomp_load_options_init(&o, sizeof o));
    o.arch = "bert";
    o.head = head;
    o.seed = s;
    *m = NULL;
    return mcomp_graph_load_with(m, ctx, st_path("model.safetensors"), &o);
}

/* ---- the formulas ---- */

static inline const mc_tensor *find(const mc_graph *g, const char *prefix, const char *name, const char *last)
{
    char full[200];
    snprintf(full, sizeof full, "%s%s.%s", prefix, name, last);
    const mc_value *v = mc_graph_find_value(g, full);
    ck_assert_msg(v && v->init, "%s", full);
    return v->init;
}

static inline void dense(const mc_graph *g, const char *prefix, const char *name, const double *x, int rows, int in, int out, double *y)
{
    const mc_tensor *w = find(g, prefix, name, "weight"), *b = find(g, prefix, name, "bias");
    for (int r = 0; r < rows; r++)
        for (int o = 0; o < out; o++) {
            double sum = mc_tensor_get_f64(b, o);
            for (int i = 0; i < in; i++) sum += x[r * in + i] * mc_tensor_get_f64(w, (int64_t)o * in + i);
            y[r * out + o] = sum;
        }
}

static inline void norm(const mc_graph *g, const variant *v, const char *name, double *x, int rows)
{
    const mc_tensor *gamma = find(g, v->prefix, name, v->gamma), *beta = find(g, v->prefix, name, v->beta);
    for (int r = 0; r < rows; r++) {
        double mean = 0, var = 0, *row = x + r * H;
        for (int i = 0; i < H; i++) mean += row[i] / H;
        for (int i = 0; i < H; i++) var += (row[i] - mean) * (row[i] - mean) / H;
        for (int i = 0; i < H; i++) row[i] = (row[i] - mean) / sqrt(var + 1e-6) * mc_tensor_get_f64(gamma, i) + mc_tensor_get_f64(beta, i);
    }
}

static inline double activation(const char *act, double x)
{
    if (strcmp(act, "relu") == 0) return x > 0 ? x : 0;
    if (strcmp(act, "gelu_new") == 0) return 0.5 * x * (1 + tanh(sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
    return 0.5 * x * (1 + erf(x / sqrt(2)));
}

/* One sample; masked keys are left out of the softmax altogether. */
static inline void attention(const mc_graph *g, const variant *v, int layer, const int64_t *mask, const double *x, double *y)
{
    static double q[3][SEQ * H], context[SEQ * H];
    static const char *const which[3] = {"query", "key", "value"};
    char name[100];
    const int d = H / HEADS;
    for (int k = 0; k < 3; k++) {
        snprintf(name, sizeof name, "encoder.layer.%d.attention.self.%s", layer, which[k]);
        dense(g, v->prefix, name, x, SEQ, H, H, q[k]);
    }
    memset(context, 0, sizeof context);
    for (int h = 0; h < HEADS; h++)
        for (int i = 0; i < SEQ; i++) {
            double p[SEQ] = {0}, sum = 0;
            for (int j = 0; j < SEQ; j++) {
                double s = 0;
                for (int c = 0; c < d; c++) s += q[0][i * H + h * d + c] * q[1][j * H + h * d + c];
                p[j] = mask[j] ? exp(s / sqrt(d)) : 0;
                sum += p[j];
            }
            for (int j = 0; j < SEQ; j++)
                for (int c = 0; c < d; c++) context[i * H + h * d + c] += p[j] / sum * q[2][j * H + h * d + c];
        }
    snprintf(name, sizeof name, "encoder.layer.%d.attention.output.dense", layer);
    dense(g, v->prefix, name, context, SEQ, H, H, y);
}

static inline void encode(const mc_graph *g, const variant *v, const int64_t *ids, const int64_t *mask, const int64_t *types, double *x)
{
    static double y[SEQ * H], wide[SEQ * FFN];
    char name[100];
    const mc_tensor *w = find(g, v->prefix, "embeddings.word_embeddings", "weight"), *p = find(g, v->prefix, "embeddings.position_embeddings", "weight"),
                    *t = find(g, v->prefix, "embeddings.token_type_embeddings", "weight");
    for (int s = 0; s < SEQ; s++)
        for (int i = 0; i < H; i++) x[s * H + i] = mc_tensor_get_f64(w, ids[s] * H + i) + mc_tensor_get_f64(p, s * H + i) + mc_tensor_get_f64(t, types[s] * H + i);
    norm(g, v, "embeddings.LayerNorm", x, SEQ);
    for (int l = 0; l < LAYERS; l++) {
        attention(g, v, l, mask, x, y);
        for (int i = 0; i < SEQ * H; i++) x[i] += y[i];
        snprintf(name, sizeof name, "encoder.layer.%d.attention.output.LayerNorm", l);
        norm(g, v, name, x, SEQ);
        snprintf(name, sizeof name, "encoder.layer.%d.intermediate.dense", l);
        dense(g, v->prefix, name, x, SEQ, H, FFN, wide);
        for (int i = 0; i < SEQ * FFN; i++) wide[i] = activation(v->act, wide[i]);
        snprintf(name, sizeof name, "encoder.layer.%d.output.dense", l);
        dense(g, v->prefix, name, wide, SEQ, FFN, H, y);
        for (int i = 0; i < SEQ * H; i++) x[i] += y[i];
        snprintf(name, sizeof name, "encoder.layer.%d.output.LayerNorm", l);
        norm(g, v, name, x, SEQ);
    }
}

#endif
