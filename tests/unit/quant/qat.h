/* Models and data for the tests of quantization-aware training. */
#ifndef MC_TEST_QUANT_QAT_H
#define MC_TEST_QUANT_QAT_H

#include "passes/passes.h"
#include "quant/qat.h"
#include "quant/quant.h"
#include "support/interp.h"
#include "unit/train/net.h"

#define FEATURES 16
#define SAMPLES 300

static mcomp_context *ctx;
static mcomp_graph *mlp, *cnn;
static mcomp_dataset *data, *images;

/* The class is one of three by the signs of two sums. spread: features of very different sizes, half of which decide. */
static inline int32_t fetch(void *payload, int64_t i, int32_t n, mcomp_tensor **inputs, int64_t *label)
{
    uint64_t seed = (uint64_t)i * 7919 + 11;
    float sum[2] = {0};
    const float *scale = payload;
    (void)n;
    const int32_t st = mcomp_tensor_create(&inputs[0], MCOMP_F32, 2, (const int64_t[]){1, FEATURES});
    for (int k = 0; st == 0 && k < FEATURES; k++) {
        const float v = mc_test_random(&seed);
        sum[k % 2] += v;
        ((float *)mcomp_tensor_data(inputs[0]))[k] = v * *scale;
    }
    *label = sum[0] > 0.0f ? (sum[1] > 0.0f ? 2 : 1) : 0;
    return st;
}

/* Which half of an image is brighter. */
static inline int32_t fetch_image(void *payload, int64_t i, int32_t n, mcomp_tensor **inputs, int64_t *label)
{
    uint64_t seed = (uint64_t)i * 104729 + 5;
    (void)payload;
    (void)n;
    const int32_t st = mcomp_tensor_create(&inputs[0], MCOMP_F32, 4, (const int64_t[]){1, 2, 8, 8});
    *label = i % 2;
    for (int k = 0; st == 0 && k < 128; k++)
        ((float *)mcomp_tensor_data(inputs[0]))[k] = mc_test_random(&seed) + ((k / 4 % 2) == (int)*label ? 0.4f : 0.0f);
    return st;
}

static inline mcomp_graph *make_mlp(void)
{
    mcomp_graph *m = NULL;
    mc_ck_ok(mcomp_graph_create(&m, ctx, "mlp", 17));
    mc_ck_ok(mcomp_graph_add_input(m, "x", MCOMP_F32, 2, (const int64_t[]){-1, FEATURES}, (const char *const[]){"N", NULL}));
    net_weight(m, "w1", 2, (const int64_t[]){FEATURES, 32}, 1, 0.4f, 0.0f);
    net_weight(m, "b1", 1, (const int64_t[]){32}, 2, 0.1f, 0.0f);
    net_weight(m, "w2", 2, (const int64_t[]){24, 32}, 3, 0.4f, 0.0f);
    net_weight(m, "b2", 1, (const int64_t[]){24}, 4, 0.1f, 0.0f);
    net_weight(m, "w3", 2, (const int64_t[]){24, 3}, 5, 0.4f, 0.0f);
    net_node(m, "MatMul", "fc1", "x", "w1", NULL, "m1");
    net_node(m, "Add", "add1", "m1", "b1", NULL, "a1");
    net_node(m, "Relu", "act1", "a1", NULL, NULL, "h1");
    net_node(m, "Gemm", "fc2", "h1", "w2", "b2", "a2");
    mc_ck_ok(mcomp_graph_set_int(m, "fc2", "transB", 1));
    net_node(m, "Relu", "act2", "a2", NULL, NULL, "h2");
    net_node(m, "MatMul", "fc3", "h2", "w3", NULL, "y");
    mc_ck_ok(mcomp_graph_add_output(m, "y"));
    mc_ck_ok(mcomp_graph_finish(m));
    return m;
}

/* Two convolutions concatenated, pooled, a third one, and a product. */
static inline mcomp_graph *make_cnn(void)
{
    mcomp_graph *m = NULL;
    mc_ck_ok(mcomp_graph_create(&m, ctx, "cnn", 17));
    mc_ck_ok(mcomp_graph_add_input(m, "x", MCOMP_F32, 4, (const int64_t[]){-1, 2, 8, 8}, (const char *const[]){"N", NULL, NULL, NULL}));
    net_weight(m, "wa", 4, (const int64_t[]){3, 2, 3, 3}, 1, 0.4f, 0.0f);
    net_weight(m, "ba", 1, (const int64_t[]){3}, 2, 0.3f, 0.0f);
    net_weight(m, "wb", 4, (const int64_t[]){5, 2, 3, 3}, 3, 0.2f, 0.0f);
    net_weight(m, "wc", 4, (const int64_t[]){6, 8, 1, 1}, 4, 0.4f, 0.0f);
    net_weight(m, "bc", 1, (const int64_t[]){6}, 5, 0.3f, 0.0f);
    net_weight(m, "wd", 2, (const int64_t[]){6, 2}, 6, 0.4f, 0.0f);
    net_node(m, "Conv", "a", "x", "wa", "ba", "ca");
    net_node(m, "Relu", "ra", "ca", NULL, NULL, "ha");
    net_node(m, "Conv", "b", "x", "wb", NULL, "cb");
    net_node(m, "Relu", "rb", "cb", NULL, NULL, "hb");
    net_node(m, "Concat", "both", "ha", "hb", NULL, "h");
    mc_ck_ok(mcomp_graph_set_int(m, "both", "axis", 1));
    net_node(m, "Conv", "c", "h", "wc", "bc", "cc");
    net_node(m, "Relu", "rc", "cc", NULL, NULL, "hc");
    net_node(m, "GlobalAveragePool", "mean", "hc", NULL, NULL, "p");
    net_node(m, "Flatten", "flat", "p", NULL, NULL, "f");
    net_node(m, "MatMul", "d", "f", "wd", NULL, "y");
    mc_ck_ok(mcomp_graph_add_output(m, "y"));
    mc_ck_ok(mcomp_graph_finish(m));
    return m;
}

static float whole = 1.0f;

static inline void open_models(void)
{
    ctx = net_context(2);
    mlp = make_mlp();
    cnn = make_cnn();
    mc_ck_ok(mcomp_dataset_create(&data, ctx, mlp, SAMPLES, fetch, &whole));
    mc_ck_ok(mcomp_dataset_create(&images, ctx, cnn, 120, fetch_image, NULL));
}

static inline void close_models(void)
{
    mcomp_dataset_destroy(data);
    mcomp_dataset_destroy(images);
    mcomp_graph_destroy(mlp);
    mcomp_graph_destroy(cnn);
    mcomp_context_destroy(ctx);
}

static inline mcomp_calibrator *calibrated(const mcomp_graph *g, mcomp_dataset *d)
{
    mcomp_calibrator *c = NULL;
    mc_ck_ok(mcomp_calibrator_create(&c, ctx, g));
    mc_ck_ok(mcomp_calibrator_feed_dataset(c, d));
    return c;
}

static inline mcomp_quantizer *quantizer(const char *scheme, const char *range)
{
    mcomp_quantizer_options q;
    mcomp_quantizer *made = NULL;
    mc_ck_ok(mcomp_quantizer_options_init(&q, sizeof q));
    q.scheme = scheme;
    q.range = range;
    mc_ck_ok(mcomp_quantizer_create(&made, ctx, &q));
    return made;
}

static inline mcomp_graph *pairs(const mcomp_graph *g, mcomp_dataset *calibration)
{
    mcomp_graph *out = NULL;
    mcomp_calibrator *c = calibrated(g, calibration);
    mcomp_quantizer *q = quantizer("int8", "minmax");
    mc_ck_ok(mcomp_quantizer_apply(&out, q, g, c, NULL));
    mcomp_quantizer_destroy(q);
    mcomp_calibrator_destroy(c);
    return out;
}

static inline const mc_tensor *init_of(const mc_graph *g, const char *name)
{
    const mc_value *v = mc_graph_find_value(g, name);
    ck_assert_msg(v && v->init, "%s is no constant", name);
    return v->init;
}

static inline mc_test_set inputs_of(const mc_graph *g) { return mc_test_inputs(g, 5, 1, (const int64_t[]){40}, 1); }

/* Reference and session on the exported file agree, and so do the classes. */
static inline void same_classes(const mc_graph *a, const mc_graph *b, double most)
{
    mc_test_set in = inputs_of(a), x = mc_test_interp(a, &in), y = mc_test_session(b, &in, NULL);
    const int64_t rows = x.t[0]->shape.dim[0], width = x.t[0]->shape.dim[1];
    double worst = 0.0, top = 0.0;
    for (int64_t i = 0; i < rows; i++) {
        int64_t best[2] = {0, 0};
        for (int64_t k = 0; k < width; k++) {
            const float *p = (const float *)x.t[0]->data + i * width, *q = (const float *)y.t[0]->data + i * width;
            worst = fmax(worst, fabs((double)p[k] - (double)q[k]));
            top = fmax(top, fabs((double)p[k]));
            if (p[k] > p[best[0]]) best[0] = k;
            if (q[k] > q[best[1]]) best[1] = k;
        }
        ck_assert_int_eq(best[0], best[1]);
    }
    ck_assert_msg(worst <= most * top, "largest difference %g of %g", worst, top);
    mc_test_set_free(&in);
    mc_test_set_free(&x);
    mc_test_set_free(&y);
}

#endif
