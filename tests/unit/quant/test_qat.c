/* Quantization-aware training: the training form computes what the file computes, gradients of steps by hand, hard cases, shared grids,
 * zeros, resuming, models that are quantized already, errors. */
#include <stdio.h>
#include <unistd.h>

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
static mcomp_trainer_options t;
static mcomp_qat_options o;
static mcomp_qat_result r; /* of the last trained() */
static mcomp_train_result fit;
static char path[64];

/* The class is one of three by the signs of two sums. spread: features of very different sizes, half of which decide. */
static int32_t fetch(void *payload, int64_t i, int32_t n, mcomp_tensor **inputs, int64_t *label)
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
static int32_t fetch_image(void *payload, int64_t i, int32_t n, mcomp_tensor **inputs, int64_t *label)
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

static mcomp_graph *make_mlp(void)
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
static mcomp_graph *make_cnn(void)
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

static float whole = 1.0f, quarter = 0.25f;

static void setup(void)
{
    ctx = net_context(2);
    mlp = make_mlp();
    cnn = make_cnn();
    mc_ck_ok(mcomp_dataset_create(&data, ctx, mlp, SAMPLES, fetch, &whole));
    mc_ck_ok(mcomp_dataset_create(&images, ctx, cnn, 120, fetch_image, NULL));
    mc_ck_ok(mcomp_trainer_options_init(&t, sizeof t));
    mc_ck_ok(mcomp_qat_options_init(&o, sizeof o));
    t.epochs = 4;
    t.lr = 0.003;
    snprintf(path, sizeof path, "/tmp/mcomp_qat_%d.ckpt", (int)getpid());
    (void)unlink(path);
}

static void teardown(void)
{
    (void)unlink(path);
    mcomp_dataset_destroy(data);
    mcomp_dataset_destroy(images);
    mcomp_graph_destroy(mlp);
    mcomp_graph_destroy(cnn);
    mcomp_context_destroy(ctx);
}

static mcomp_calibrator *calibrated(const mcomp_graph *g, mcomp_dataset *d)
{
    mcomp_calibrator *c = NULL;
    mc_ck_ok(mcomp_calibrator_create(&c, ctx, g));
    mc_ck_ok(mcomp_calibrator_feed_dataset(c, d));
    return c;
}

static mcomp_quantizer *quantizer(const char *scheme, const char *range)
{
    mcomp_quantizer_options q;
    mcomp_quantizer *made = NULL;
    mc_ck_ok(mcomp_quantizer_options_init(&q, sizeof q));
    q.scheme = scheme;
    q.range = range;
    mc_ck_ok(mcomp_quantizer_create(&made, ctx, &q));
    return made;
}

static mcomp_graph *pairs(const mcomp_graph *g, mcomp_dataset *calibration)
{
    mcomp_graph *out = NULL;
    mcomp_calibrator *c = calibrated(g, calibration);
    mcomp_quantizer *q = quantizer("int8", "minmax");
    mc_ck_ok(mcomp_quantizer_apply(&out, q, g, c, NULL));
    mcomp_quantizer_destroy(q);
    mcomp_calibrator_destroy(c);
    return out;
}

static int32_t train_it(mcomp_graph **out, const mcomp_graph *g, mcomp_dataset *calibration, mcomp_dataset *d)
{
    mcomp_calibrator *c = calibration ? calibrated(g, calibration) : NULL;
    mcomp_quantizer *q = quantizer(NULL, "minmax");
    r = (mcomp_qat_result){.size = sizeof r};
    fit = (mcomp_train_result){.size = sizeof fit};
    const int32_t st = mcomp_quantizer_train(out, &r, &fit, q, g, c, d, d, &t, &o);
    mcomp_quantizer_destroy(q);
    mcomp_calibrator_destroy(c);
    return st;
}

static mcomp_graph *trained(const mcomp_graph *g, mcomp_dataset *calibration, mcomp_dataset *d)
{
    mcomp_graph *out = NULL;
    mc_ck_ok(train_it(&out, g, calibration, d));
    ck_assert_int_eq(mc_test_count(out->g, "mcomp", "Through"), 0);
    return out;
}

static const mc_tensor *init_of(const mc_graph *g, const char *name)
{
    const mc_value *v = mc_graph_find_value(g, name);
    ck_assert_msg(v && v->init, "%s is no constant", name);
    return v->init;
}

static mc_test_set inputs_of(const mc_graph *g) { return mc_test_inputs(g, 5, 1, (const int64_t[]){40}, 1); }

/* Reference and session on the exported file agree, and so do the classes. */
static void same_classes(const mc_graph *a, const mc_graph *b, double most)
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

/* ---- the training form ---- */

/* Masters and steps moved at random: the file that comes out computes the bits that the training form computes, by the reference; by
 * integer kernels up to a step at rounding ties. */
START_TEST(file_computes_the_training_form)
{
    const int conv = _i / 2, learn = _i % 2;
    const mcomp_graph *g = conv ? cnn : mlp;
    mcomp_graph *file = pairs(g, conv ? images : data);
    mc_qat q = {.file = file->g, .real = g->g};
    mc_graph *out = NULL;
    uint64_t seed = 77;
    mc_ck_ok(mc_qat_open(&q, learn));
    ck_assert_int_eq(q.n_weights, conv ? 4 : 3);
    for (int64_t i = 0; i < q.n_marks; i++) {
        if (!q.marks[i].trained) continue;
        mc_tensor *p = NULL, **at = &mc_graph_find_value(q.g, q.marks[i].name)->init;
        const int step = strstr(q.marks[i].name, "#step") != NULL;
        mc_ck_ok(mc_tensor_copy(&p, *at));
        for (int64_t k = 0; k < mc_tensor_elements(p); k++) {
            float *v = (float *)p->data + k;
            *v = step ? *v * (1.0f + 0.3f * mc_test_random(&seed)) : *v * 1.2f + 0.05f * mc_test_random(&seed);
        }
        mc_tensor_destroy(*at);
        *at = p;
    }
    mc_ck_ok(mc_qat_export(&out, &q, q.g));
    mc_test_set in = inputs_of(out), a = mc_test_interp(q.g, &in), b = mc_test_interp(out, &in);
    mc_test_same_outputs(q.g, &a, out, &b, 0.0, 0.0);
    same_classes(q.g, out, 0.02);
    for (int64_t i = 0; i < out->n_values; i++) {
        const mc_tensor *w = out->values[i]->dead ? NULL : out->values[i]->init;
        for (int64_t k = 0; w && w->dtype == MCOMP_I8 && k < mc_tensor_elements(w); k++) ck_assert_int_ge(((const int8_t *)w->data)[k], -127);
    }
    mc_test_set_free(&in);
    mc_test_set_free(&a);
    mc_test_set_free(&b);
    mc_graph_destroy(out);
    mc_qat_close(&q);
    mcomp_graph_destroy(file);
}
END_TEST

/* Untrained: nothing is lost against the calibrated file (biases were rounded in double there, in float here: a step at most). */
START_TEST(untrained_is_the_calibrated_file)
{
    mcomp_graph *file = pairs(cnn, images);
    mc_qat q = {.file = file->g, .real = _i ? cnn->g : NULL};
    mc_graph *out = NULL;
    mc_ck_ok(mc_qat_open(&q, 1));
    mc_ck_ok(mc_qat_export(&out, &q, q.g));
    for (int64_t i = 0; i < out->n_values; i++) {
        const mc_value *a = file->g->values[i], *b = out->values[i];
        if (a->dead || !a->init) continue;
        ck_assert(a->init->dtype == b->init->dtype && mc_shape_equal(&a->init->shape, &b->init->shape));
        for (int64_t k = 0; k < mc_tensor_elements(a->init); k++) {
            const double x = mc_tensor_get_f64(a->init, k), y = mc_tensor_get_f64(b->init, k);
            ck_assert_msg(a->init->dtype == MCOMP_I32 ? fabs(x - y) <= 1.0 : x == y, "%s[%lld] is %g, was %g", a->name, (long long)k, y, x);
        }
    }
    mc_graph_destroy(out);
    mc_qat_close(&q);
    mcomp_graph_destroy(file);
}
END_TEST

/* Gradients of one layer y = Q(x) Q(w), loss = sum of y u, against the formulas in double: dW = dL/dWq in range and 0 outside; LSQ's
 * dL/ds with its factor, for each channel of the weight and for the activation. */
START_TEST(gradients_by_hand)
{
    enum { N = 6, K = 5, M = 3 };
    mcomp_graph *m = NULL;
    mc_ck_ok(mcomp_graph_create(&m, ctx, "one", 17));
    mc_ck_ok(mcomp_graph_add_input(m, "x", MCOMP_F32, 2, (const int64_t[]){N, K}, NULL));
    net_weight(m, "w", 2, (const int64_t[]){K, M}, 9, 1.0f, 0.0f);
    net_node(m, "MatMul", "fc", "x", "w", NULL, "y");
    mc_ck_ok(mcomp_graph_add_output(m, "y"));
    mc_ck_ok(mcomp_graph_finish(m));
    mc_test_set in = mc_test_inputs(m->g, 3, 1, NULL, 0);
    mcomp_calibrator *c = NULL;
    mcomp_quantizer *q = quantizer("int8", "minmax");
    mcomp_graph *file = NULL;
    mc_ck_ok(mcomp_calibrator_create(&c, ctx, m));
    mc_ck_ok(mcomp_calibrator_feed(c, 1, (const mcomp_tensor *const[]){(const mcomp_tensor *)in.t[0]}, -1));
    mc_ck_ok(mcomp_quantizer_apply(&file, q, m, c, NULL));
    mc_qat a = {.file = file->g, .real = m->g};
    mc_ck_ok(mc_qat_open(&a, 1));
    ck_assert_int_eq(a.n_steps, 2);
    /* what lies outside: weights and inputs grow; what lies on an end: one weight exactly there */
    float *w = mc_graph_find_value(a.g, "w")->init->data, *x = in.t[0]->data;
    const float *s0 = init_of(file->g, "w_scale")->data;
    const float sx0 = ((const float *)init_of(file->g, "x_scale")->data)[0];
    const int z = ((const uint8_t *)init_of(file->g, "x_zero_point")->data)[0];
    for (int i = 0; i < K * M; i++) w[i] *= i % 4 == 0 ? 1.7f : 0.9f;
    w[M] = -127.0f * s0[0];
    for (int i = 0; i < N * K; i++) x[i] *= i % 3 == 0 ? 1.6f : 0.8f;
    mc_value *wrt[3] = {mc_graph_find_value(a.g, "w"), mc_graph_find_value(a.g, "w_scale#step"), mc_graph_find_value(a.g, "x_scale#step")}, *grads[3];
    mc_value *u = mc_test_random_const(a.g, 4, 1.0f, 2, (const int64_t[]){N, M});
    mc_value *loss = mc_test_op(a.g, "ReduceSum", 1, mc_test_op(a.g, "Mul", 2, a.g->outputs[0], u));
    mc_ck_ok(mc_node_set_i(loss->producer, "keepdims", 0));
    mc_ck_ok(mc_infer_graph(a.g));
    mc_ck_ok(mc_gradient(a.g, loss, 3, wrt, grads));
    for (int i = 0; i < 3; i++) mc_ck_ok(mc_graph_add_output(a.g, grads[i]));
    mc_ck_ok(mc_graph_sort(a.g));
    mc_test_set got = mc_test_interp(a.g, &in);
    const float *uu = u->init->data;
    double xq[N * K], wq[K * M], dx[N * K] = {0}, dw[K * M] = {0}, ds[M] = {0}, dsx = 0.0;
    int outside = 0;
    for (int i = 0; i < N * K; i++) xq[i] = (fmin(fmax((double)rintf(x[i] / sx0) + z, 0.0), 255.0) - z) * (double)sx0;
    for (int i = 0; i < K * M; i++) wq[i] = fmin(fmax((double)rintf(w[i] / s0[i % M]), -127.0), 127.0) * (double)s0[i % M];
    for (int n = 0; n < N; n++)
        for (int k = 0; k < K; k++)
            for (int j = 0; j < M; j++) {
                dx[n * K + k] += (double)uu[n * M + j] * wq[k * M + j];
                dw[k * M + j] += (double)uu[n * M + j] * xq[n * K + k];
            }
    for (int i = 0; i < K * M; i++) {
        const double s = (double)s0[i % M], v = (double)rintf(w[i] / s0[i % M]);
        const int in_range = fabs(v) <= 127.0;
        outside += !in_range;
        ds[i % M] += dw[i] * (in_range ? v - (double)w[i] / s : v < 0.0 ? -127.0 : 127.0);
        ck_assert_double_eq_tol((double)((const float *)got.t[1]->data)[i], in_range ? dw[i] : 0.0, 1e-5);
    }
    for (int i = 0; i < N * K; i++) {
        const double v = (double)rintf(x[i] / sx0);
        dsx += dx[i] * (v + z < 0.0 ? -z : v + z > 255.0 ? 255.0 - z : v - (double)x[i] / (double)sx0);
    }
    ck_assert(outside > 1 && outside < K * M - 1);
    for (int j = 0; j < M; j++) {
        const double s = (double)s0[j], want = ds[j] * s / sqrt(K * 127.0) / (s * s);
        ck_assert_msg(fabs((double)((const float *)got.t[2]->data)[j] - want) <= 1e-4 * fabs(want) + 1e-4, "step of channel %d: %g, not %g", j, (double)((const float *)got.t[2]->data)[j], want);
    }
    const double want = dsx / sqrt(K * 255.0) / (double)sx0, is = (double)((const float *)got.t[3]->data)[0];
    ck_assert_msg(fabs(is - want) <= 1e-4 * fabs(want) + 1e-4, "step of the input: %g, not %g", is, want);
    mc_test_set_free(&got);
    mc_test_set_free(&in);
    mc_qat_close(&a);
    mcomp_graph_destroy(file);
    mcomp_graph_destroy(m);
    mcomp_calibrator_destroy(c);
    mcomp_quantizer_destroy(q);
}
END_TEST

/* ---- trainings ---- */

/* The float model, trained, and data of a quarter of its range. */
static mcomp_graph *good_model(mcomp_dataset **small)
{
    mcomp_trainer *f = NULL;
    mcomp_graph *good = NULL;
    t.epochs = 25;
    t.lr = 0.01;
    mc_ck_ok(mcomp_trainer_create(&f, ctx, mlp, &t));
    mc_ck_ok(mcomp_trainer_fit(NULL, f, data, data));
    mc_ck_ok(mcomp_trainer_graph(&good, f));
    mc_ck_ok(mcomp_dataset_create(small, ctx, good, SAMPLES, fetch, &quarter));
    mcomp_trainer_destroy(f);
    return good;
}

/* Ranges four times too small because the calibration saw small samples: calibration alone loses many answers, training brings them
 * back. */
START_TEST(recovers_from_bad_ranges)
{
    mcomp_dataset *small = NULL;
    mcomp_graph *good = good_model(&small), *out;
    o.scales = _i ? MCOMP_QAT_SCALES_FIXED : MCOMP_QAT_SCALES_LEARNED;
    t.epochs = 12;
    out = trained(good, small, data);
    ck_assert(r.has_float && r.trained && !r.kept_calibrated && r.weights == 3);
    ck_assert_int_eq(r.learned_scales, _i ? 0 : 6);
    ck_assert_msg(r.calibrated_metric < r.float_metric - 0.05, "float %g, calibrated %g", r.float_metric, r.calibrated_metric);
    ck_assert_msg(fit.best_metric > r.calibrated_metric + (r.float_metric - r.calibrated_metric) * (_i ? 0.3 : 0.8), "float %g, calibrated %g, trained %g", r.float_metric, r.calibrated_metric,
                  fit.best_metric);
    mcomp_graph_destroy(out);
    mcomp_dataset_destroy(small);
    mcomp_graph_destroy(good);
}
END_TEST

/* Around Concat one scale, also after it was trained; biases follow their scales. */
START_TEST(shared_grids_stay_shared)
{
    mcomp_graph *out = trained(cnn, images, images), *before = pairs(cnn, images);
    const float *a = init_of(out->g, "ha_scale")->data, *b = init_of(out->g, "hb_scale")->data, *h = init_of(out->g, "h_scale")->data;
    ck_assert(*a == *b && *a == *h && *a != *(const float *)init_of(before->g, "ha_scale")->data);
    const float *x = init_of(out->g, "x_scale")->data, *w = init_of(out->g, "wa_scale")->data, *s = init_of(out->g, "ba_scale")->data;
    for (int i = 0; i < 3; i++) ck_assert(s[i] == x[0] * w[i]);
    ck_assert(r.learned_scales < 4 + 7);
    same_classes(out->g, out->g, 0.02);
    mcomp_graph_destroy(before);
    mcomp_graph_destroy(out);
}
END_TEST

static void prune_some(mcomp_graph *g, const char *name, int every)
{
    mc_tensor *p = NULL, **at = &mc_graph_find_value(g->g, name)->init;
    mc_ck_ok(mc_tensor_copy(&p, *at));
    for (int64_t i = 0; i < mc_tensor_elements(p); i += every) ((float *)p->data)[i] = 0.0f;
    mc_tensor_destroy(*at);
    *at = p;
}

/* Zeros stay where they were a part of the matrix (1 of 3), move where they are chance (1 of 200), and stay everywhere if asked. */
START_TEST(zeros_stay)
{
    mcomp_graph *out;
    prune_some(mlp, "w2", 3);
    prune_some(mlp, "w1", 200);
    o.zeros = _i;
    out = trained(mlp, data, data);
    const int8_t *w2 = init_of(out->g, "w2_quantized")->data, *w1 = init_of(out->g, "w1_quantized")->data;
    int64_t moved[2] = {0};
    for (int64_t i = 0; i < 32 * 24; i += 3) moved[0] += w2[i] != 0;
    for (int64_t i = 0; i < FEATURES * 32; i += 200) moved[1] += w1[i] != 0;
    ck_assert_int_eq(r.masked, _i == MCOMP_QAT_ZEROS_FREE ? 0 : _i == MCOMP_QAT_ZEROS_KEEP ? 256 + 3 : 256);
    ck_assert((moved[0] == 0) == (_i != MCOMP_QAT_ZEROS_FREE));
    ck_assert((moved[1] == 0) == (_i == MCOMP_QAT_ZEROS_KEEP));
    mcomp_graph_destroy(out);
}
END_TEST

static void same_constants(const mcomp_graph *a, const mcomp_graph *b)
{
    for (int64_t i = 0; i < a->g->n_values; i++) {
        const mc_value *x = a->g->values[i], *y = b->g->values[i];
        if (x->dead || !x->init) continue;
        ck_assert_msg(mc_tensor_bytes(x->init) == mc_tensor_bytes(y->init) && memcmp(x->init->data, y->init->data, (size_t)mc_tensor_bytes(x->init)) == 0, "%s differs", x->name);
    }
}

static int32_t watch(void *payload, const mcomp_train_event *e)
{
    const int64_t stop_at = *(const int64_t *)payload;
    return stop_at > 0 && e->kind == 0 && e->step == stop_at;
}

/* Stopped in the middle and resumed, with another number of threads: the same bytes. */
START_TEST(resumes_to_the_byte)
{
    int64_t stop_at = 21;
    mcomp_graph *whole_run = trained(mlp, data, data), *again = NULL;
    t.checkpoint = path;
    t.progress = watch;
    t.progress_payload = &stop_at;
    mc_ck_fails(train_it(&again, mlp, data, data), MCOMP_CANCELLED);
    ck_assert_ptr_null(again);
    stop_at = 0;
    t.resume = 1;
    again = trained(mlp, data, data);
    same_constants(whole_run, again);
    mcomp_graph_destroy(whole_run);
    mcomp_graph_destroy(again);
}
END_TEST

/* A file with pairs is trained as it is: no calibration, no float model. */
START_TEST(quantized_already)
{
    mcomp_graph *file = pairs(cnn, images), *out = trained(file, NULL, images);
    ck_assert(!r.has_float && r.trained && r.weights == 4);
    ck_assert_int_eq(out->g->n_nodes, file->g->n_nodes);
    ck_assert_msg(fit.best_metric >= r.calibrated_metric, "%g, before %g", fit.best_metric, r.calibrated_metric);
    ck_assert(memcmp(init_of(out->g, "wa_quantized")->data, init_of(file->g, "wa_quantized")->data, 54) != 0);
    mc_ck_fails(train_it(&(mcomp_graph *){NULL}, file, images, images), MCOMP_ARGUMENT);
    mcomp_graph_destroy(file);
    mcomp_graph_destroy(out);
}
END_TEST

/* IF_BETTER: nothing is trained where calibration loses nothing, and a training that ruins the model is not taken. */
START_TEST(trains_only_if_needed)
{
    mcomp_dataset *small = NULL;
    mcomp_graph *good = good_model(&small), *before = pairs(good, data), *bad = pairs(good, small), *out;
    o.mode = MCOMP_QAT_IF_BETTER;
    t.epochs = 1;
    out = trained(good, data, data);
    ck_assert(r.calibrated_metric >= r.float_metric && !r.trained);
    same_constants(before, out);
    mcomp_graph_destroy(out);
    t.lr = 10.0;
    out = trained(good, small, data);
    ck_assert(r.trained && r.kept_calibrated);
    same_constants(bad, out);
    mcomp_graph_destroy(out);
    t.lr = 0.01;
    out = trained(good, small, data);
    ck_assert(r.trained && !r.kept_calibrated && fit.best_metric > r.calibrated_metric);
    mcomp_graph_destroy(out);
    mcomp_dataset_destroy(small);
    mcomp_graph_destroy(before);
    mcomp_graph_destroy(bad);
    mcomp_graph_destroy(good);
}
END_TEST

static int32_t prepare(void *payload, mcomp_trainer *trainer)
{
    ++*(int *)payload;
    return trainer ? MCOMP_OK : MCOMP_INTERNAL;
}

/* What a recipe plugs in is called once, with the trainer; its error is the call's. */
START_TEST(prepared)
{
    int called = 0;
    mcomp_graph *out = NULL;
    mcomp_calibrator *c = calibrated(mlp, data);
    mcomp_quantizer *q = quantizer("int8", NULL);
    mc_quantizer_set_prepare(q, prepare, &called);
    t.epochs = 1;
    mc_ck_ok(mcomp_quantizer_train(&out, NULL, NULL, q, mlp, c, data, NULL, &t, NULL));
    ck_assert_int_eq(called, 1);
    mcomp_graph_destroy(out);
    mcomp_quantizer_destroy(q);
    mcomp_calibrator_destroy(c);
}
END_TEST

START_TEST(errors)
{
    mcomp_graph *out = NULL;
    mcomp_calibrator *c = calibrated(mlp, data);
    mcomp_quantizer *q = quantizer("int8-dynamic", NULL);
    mc_ck_fails(mcomp_quantizer_train(&out, NULL, NULL, q, mlp, c, data, NULL, &t, &o), MCOMP_UNSUPPORTED);
    mcomp_quantizer_destroy(q);
    q = quantizer("int8", NULL);
    mc_ck_fails(mcomp_quantizer_train(&out, NULL, NULL, q, mlp, NULL, data, NULL, &t, &o), MCOMP_ARGUMENT);
    o.mode = 7;
    mc_ck_fails(mcomp_quantizer_train(&out, NULL, NULL, q, mlp, c, data, NULL, &t, &o), MCOMP_ARGUMENT);
    o.mode = 0;
    o.scale_rate = -1.0;
    mc_ck_fails(mcomp_quantizer_train(&out, NULL, NULL, q, mlp, c, data, NULL, &t, &o), MCOMP_RANGE);
    o.scale_rate = 0.0;
    mc_ck_ok(mcomp_quantizer_set_rule(q, "*", "precision", "float"));
    mc_ck_fails(mcomp_quantizer_train(&out, NULL, NULL, q, mlp, c, data, NULL, &t, &o), MCOMP_UNSUPPORTED);
    mcomp_quantizer_destroy(q);
    q = quantizer("int8", NULL);
    mc_ck_ok(mcomp_quantizer_set_rule(q, "fc2", "precision", "int8-dynamic"));
    mc_ck_fails(mcomp_quantizer_train(&out, NULL, NULL, q, mlp, c, data, NULL, &t, &o), MCOMP_UNSUPPORTED);
    ck_assert_ptr_null(out);
    mcomp_quantizer_destroy(q);
    mcomp_calibrator_destroy(c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("quant/qat");
    TCase *c = tcase_create("all");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, file_computes_the_training_form, 0, 4);
    tcase_add_loop_test(c, untrained_is_the_calibrated_file, 0, 2);
    tcase_add_test(c, gradients_by_hand);
    tcase_add_loop_test(c, recovers_from_bad_ranges, 0, 2);
    tcase_add_test(c, shared_grids_stay_shared);
    tcase_add_loop_test(c, zeros_stay, 0, 3);
    tcase_add_test(c, resumes_to_the_byte);
    tcase_add_test(c, quantized_already);
    tcase_add_test(c, trains_only_if_needed);
    tcase_add_test(c, prepared);
    tcase_add_test(c, errors);
    suite_add_tcase(s, c);
    return mc_test_main(s);
}
