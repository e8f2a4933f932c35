/* The public quantizer: schemes, rules, report, automatic choice; and a real model on data not used for calibration. */
#include "build.h"

#include <math.h>
#include <stdio.h>

#include <mcomp/quantizer.h>

static mcomp_context *ctx;
static const int64_t dims[] = {1, 3, 8, 8};

/* x -> c1 -> Relu -> c2 -> GlobalAveragePool -> Flatten -> fc. spike: c2's input has a channel that no u8 grid can follow. */
static mcomp_graph network(float spike)
{
    mc_graph *g = tb_graph();
    mc_value *x = tb_input(g, "x", 4, dims);
    mc_value *w1 = tb_const(g, "w1", 4, (int64_t[]){8, 3, 3, 3}, NULL), *w2 = tb_const(g, "w2", 4, (int64_t[]){6, 8, 3, 3}, NULL);
    for (int i = 0; i < 27; i++) ((float *)w1->init->data)[i] *= spike;
    for (int i = 0; i < 6; i++)
        for (int k = 0; k < 9; k++) ((float *)w2->init->data)[i * 72 + k] /= spike * spike; /* ... that hardly matters for the sum */
    mc_node *c1 = tb_node(g, "Conv", "c1", 2, x, w1, NULL);
    mc_node *r = tb_node(g, "Relu", "r", 1, c1->out[0], NULL, NULL);
    mc_node *c2 = tb_node(g, "Conv", "c2", 2, r->out[0], w2, NULL);
    mc_node *p = tb_node(g, "GlobalAveragePool", "p", 1, c2->out[0], NULL, NULL);
    mc_node *f = tb_node(g, "Flatten", "f", 1, p->out[0], NULL, NULL);
    tb_finish(g, tb_node(g, "Gemm", "fc", 2, f->out[0], tb_const(g, "w3", 2, (int64_t[]){6, 5}, NULL), NULL)->out[0]);
    return (mcomp_graph){.g = g, .ctx = ctx};
}

static int32_t fetch(void *payload, int64_t i, int32_t n, mcomp_tensor **inputs, int64_t *label)
{
    (void)payload;
    (void)n;
    inputs[0] = (mcomp_tensor *)tb_tensor(4, dims, (uint64_t)i + 1, 1.0f);
    *label = -1;
    return MCOMP_OK;
}

static void open_ctx(void)
{
    mcomp_context_options o;
    mc_ck_ok(mcomp_context_options_init(&o, sizeof o));
    o.threads = 1;
    mc_ck_ok(mcomp_context_create(&ctx, &o));
}
static void close_ctx(void) { mcomp_context_destroy(ctx); }

typedef struct setup {
    mcomp_graph g;
    mcomp_calibrator *c;
    mcomp_dataset *d;
    mcomp_quantizer *q;
    mcomp_graph *out;
} setup;

static void start(setup *s, float spike, const char *scheme, double max_error)
{
    mcomp_quantizer_options o;
    memset(s, 0, sizeof *s);
    s->g = network(spike);
    mc_ck_ok(mcomp_calibrator_create(&s->c, ctx, &s->g));
    mc_ck_ok(mcomp_dataset_create(&s->d, ctx, &s->g, 16, fetch, NULL));
    mc_ck_ok(mcomp_calibrator_feed_dataset(s->c, s->d));
    mc_ck_ok(mcomp_quantizer_options_init(&o, sizeof o));
    o.scheme = scheme;
    o.max_error = max_error;
    o.slower = MCOMP_SLOWER_KEEP; /* these networks are too small to be faster on integers */
    mc_ck_ok(mcomp_quantizer_create(&s->q, ctx, &o));
}

static void stop(setup *s)
{
    mcomp_quantizer_destroy(s->q);
    mcomp_dataset_destroy(s->d);
    mcomp_calibrator_destroy(s->c);
    if (s->out) mc_graph_destroy(s->out->g);
    mc_free(s->out);
    mc_graph_destroy(s->g.g);
}

static mcomp_quantized_node row(const setup *s, const char *name)
{
    int32_t n;
    mcomp_quantized_node r = {.size = sizeof r};
    mc_ck_ok(mcomp_quantizer_node_count(s->q, &n));
    for (int32_t i = 0; i < n; i++) {
        mc_ck_ok(mcomp_quantizer_node(s->q, i, &r));
        if (strcmp(r.node, name) == 0) return r;
    }
    ck_abort_msg("no row for %s", name);
    return r;
}

START_TEST(static_scheme_and_report)
{
    setup s;
    start(&s, 1.0f, "int8", 0.0);
    mc_ck_ok(mcomp_quantizer_apply(&s.out, s.q, &s.g, s.c, NULL));
    ck_assert_str_eq(mcomp_quantizer_scheme(s.q), "int8");
    ck_assert(row(&s, "c1").quantized && row(&s, "c2").quantized && row(&s, "fc").quantized);
    ck_assert(row(&s, "c1").error < 0.0); /* not measured, and says so */
    ck_assert_str_eq(mc_graph_get_meta(s.out->g, "mcomp.scheme"), "int8");
    ck_assert(mc_graph_get_meta(s.out->g, "mcomp.version") != NULL);
    ck_assert(tb_count(s.out->g, "QuantizeLinear") > 0);
    ck_assert_int_eq(tb_count(s.g.g, "QuantizeLinear"), 0); /* the given graph is untouched */
    stop(&s);
}
END_TEST

START_TEST(rules)
{
    setup s;
    start(&s, 1.0f, "int8", 0.0);
    mc_ck_ok(mcomp_quantizer_set_rule(s.q, "c?", "precision", "float"));
    mc_ck_ok(mcomp_quantizer_set_rule(s.q, "c2", "precision", "int8")); /* later rules win */
    mc_ck_ok(mcomp_quantizer_set_rule(s.q, "Gemm", "precision", "int8-dynamic"));
    mc_ck_ok(mcomp_quantizer_set_rule(s.q, "c2", "range", "kl"));
    mc_ck_ok(mcomp_quantizer_apply(&s.out, s.q, &s.g, s.c, NULL));
    ck_assert(!row(&s, "c1").quantized && strstr(row(&s, "c1").why, "rule"));
    ck_assert(row(&s, "c2").quantized);
    ck_assert_str_eq(row(&s, "fc").scheme, "int8-dynamic");
    ck_assert_int_eq(tb_count(s.out->g, "MatMulInteger"), 1);
    stop(&s);
    start(&s, 1.0f, "int8", 0.0);
    mc_ck_ok(mcomp_quantizer_set_rule(s.q, "layer7*", "precision", "float"));
    mc_ck_fails(mcomp_quantizer_apply(&s.out, s.q, &s.g, s.c, NULL), MCOMP_ARGUMENT);
    ck_assert(s.out == NULL);
    stop(&s);
    start(&s, 1.0f, "int8", 0.0);
    mc_ck_fails(mcomp_quantizer_set_rule(s.q, "c1", "precision", "int9"), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_quantizer_set_rule(s.q, "c1", "colour", "red"), MCOMP_ARGUMENT);
    mc_ck_ok(mcomp_quantizer_set_rule(s.q, "c1", "precision", "int8-dynamic"));
    mc_ck_fails(mcomp_quantizer_apply(&s.out, s.q, &s.g, s.c, NULL), MCOMP_UNSUPPORTED); /* a convolution is never dynamic */
    stop(&s);
}
END_TEST

/* x [rows, 4] -> tall [4, 1]: reading and rounding x is all the work, so that integers can only lose. */
static const int64_t tall_dims[] = {20000, 4};

static int32_t fetch_tall(void *payload, int64_t i, int32_t n, mcomp_tensor **inputs, int64_t *label)
{
    (void)payload;
    (void)n;
    inputs[0] = (mcomp_tensor *)tb_tensor(2, tall_dims, (uint64_t)i + 1, 1.0f);
    *label = -1;
    return MCOMP_OK;
}

static void start_tall(setup *s, const char *scheme, int32_t slower)
{
    mcomp_quantizer_options o;
    memset(s, 0, sizeof *s);
    mc_graph *g = tb_graph();
    mc_value *x = tb_input(g, "x", 2, tall_dims);
    tb_finish(g, tb_node(g, "MatMul", "tall", 2, x, tb_const(g, "w", 2, (int64_t[]){4, 1}, NULL), NULL)->out[0]);
    s->g = (mcomp_graph){.g = g, .ctx = ctx};
    mc_ck_ok(mcomp_calibrator_create(&s->c, ctx, &s->g));
    mc_ck_ok(mcomp_dataset_create(&s->d, ctx, &s->g, 3, fetch_tall, NULL));
    mc_ck_ok(mcomp_calibrator_feed_dataset(s->c, s->d));
    mc_ck_ok(mcomp_quantizer_options_init(&o, sizeof o));
    o.scheme = scheme;
    o.slower = slower;
    mc_ck_ok(mcomp_quantizer_create(&s->q, ctx, &o));
}

START_TEST(slower_stays_float)
{
    static const char *const schemes[] = {"int8", "int8-dynamic", "auto"};
    setup s;
    for (int i = 0; i < 3; i++) {
        start_tall(&s, schemes[i], MCOMP_SLOWER_FLOAT);
        mc_ck_ok(mcomp_quantizer_apply(&s.out, s.q, &s.g, s.c, s.d));
        const mcomp_quantized_node r = row(&s, "tall");
        ck_assert_msg(!r.quantized && r.slower == 1 && strstr(r.why, "slower"), "%s: %s, \"%s\"", schemes[i], r.scheme, r.why);
        ck_assert_str_eq(mcomp_quantizer_scheme(s.q), "float");
        ck_assert_str_eq(mc_graph_get_meta(s.out->g, "mcomp.scheme"), "float");
        ck_assert_int_eq(tb_count(s.out->g, "QuantizeLinear") + tb_count(s.out->g, "MatMulInteger"), 0);
        stop(&s);
    }
    /* All the same: when it is wished, when a rule says so, and when there is nothing to time it on. */
    for (int i = 0; i < 3; i++) {
        start_tall(&s, "int8", i == 0 ? MCOMP_SLOWER_KEEP : MCOMP_SLOWER_FLOAT);
        if (i == 1) mc_ck_ok(mcomp_quantizer_set_rule(s.q, "tall", "precision", "int8"));
        mc_ck_ok(mcomp_quantizer_apply(&s.out, s.q, &s.g, s.c, i == 2 ? NULL : s.d));
        ck_assert(row(&s, "tall").quantized && !row(&s, "tall").slower);
        ck_assert_str_eq(mcomp_quantizer_scheme(s.q), "int8");
        stop(&s);
    }
}
END_TEST

START_TEST(arguments)
{
    mcomp_quantizer_options o;
    mcomp_quantizer *q;
    setup s, other;
    mc_ck_ok(mcomp_quantizer_options_init(&o, sizeof o));
    o.scheme = "int7";
    mc_ck_fails(mcomp_quantizer_create(&q, ctx, &o), MCOMP_ARGUMENT);
    o.scheme = "w4";
    mc_ck_fails(mcomp_quantizer_create(&q, ctx, &o), MCOMP_UNSUPPORTED);
    o.scheme = NULL;
    o.slower = 3;
    mc_ck_fails(mcomp_quantizer_create(&q, ctx, &o), MCOMP_ARGUMENT);
    o.slower = MCOMP_SLOWER_FLOAT;
    o.range = "mode";
    mc_ck_fails(mcomp_quantizer_create(&q, ctx, &o), MCOMP_ARGUMENT);
    start(&s, 1.0f, "int8", 0.0);
    start(&other, 2.0f, "int8", 0.0);
    mc_ck_fails(mcomp_quantizer_apply(&s.out, s.q, &s.g, NULL, NULL), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_quantizer_apply(&s.out, s.q, &s.g, other.c, NULL), MCOMP_DATA);
    stop(&s);
    stop(&other);
}
END_TEST

START_TEST(auto_by_measured_error)
{
    setup s;
    start(&s, 1.0f, NULL, 0.0);
    mc_ck_ok(mcomp_quantizer_apply(&s.out, s.q, &s.g, s.c, s.d));
    ck_assert_str_eq(mcomp_quantizer_scheme(s.q), "int8"); /* convolutions: static */
    ck_assert(row(&s, "c1").quantized && row(&s, "c1").error > 0.0 && row(&s, "c1").error < 1e-2);
    stop(&s);
    /* Without calibration: the matrix product alone, dynamically. */
    start(&s, 1.0f, NULL, 0.0);
    mc_ck_ok(mcomp_quantizer_apply(&s.out, s.q, &s.g, NULL, s.d));
    ck_assert_str_eq(mcomp_quantizer_scheme(s.q), "int8-dynamic");
    ck_assert(!row(&s, "c1").quantized && row(&s, "c1").why[0]);
    ck_assert(row(&s, "fc").quantized);
    stop(&s);
}
END_TEST

START_TEST(auto_keeps_the_worst_float)
{
    for (int with_samples = 0; with_samples < 2; with_samples++) {
        setup s;
        start(&s, 1000.0f, NULL, 1e-3);
        mc_ck_ok(mcomp_quantizer_apply(&s.out, s.q, &s.g, s.c, with_samples ? s.d : NULL));
        if (with_samples) {
            ck_assert_msg(!row(&s, "c2").quantized && strstr(row(&s, "c2").why, "auto"), "c2: %s, error %g", row(&s, "c2").scheme,
                          row(&s, "c2").error);
            ck_assert(row(&s, "c1").quantized);
        }
        stop(&s);
    }
}
END_TEST

static double accuracy(mcomp_graph *g, mcomp_dataset *d)
{
    mcomp_session *s;
    mcomp_exec *e;
    const mcomp_tensor *in[1], *out[1];
    int64_t label, right = 0;
    const int64_t n = mcomp_dataset_count(d);
    mc_ck_ok(mcomp_session_create(&s, ctx, g, NULL));
    mc_ck_ok(mcomp_exec_create(&e, s));
    for (int64_t i = 0; i < n; i++) {
        int best = 0;
        mc_ck_ok(mcomp_dataset_get(d, i, 1, in, &label));
        mc_ck_ok(mcomp_exec_run(e, 1, in, 1, out));
        const float *y = out[0]->t.data;
        for (int k = 1; k < 10; k++) best = y[k] > y[best] ? k : best;
        right += best == label;
    }
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
    return (double)right / (double)n;
}

START_TEST(mnist8_static)
{
    char arg[2048];
    mcomp_graph *g, *q;
    mcomp_dataset *calib, *test;
    mcomp_calibrator *c;
    mcomp_quantizer *z;
    mcomp_dataset_options o;
    if (mc_test_skip_without_data()) return;
    mc_ck_ok(mcomp_graph_load(&g, ctx, mc_test_data("models/mnist8.onnx")));
    snprintf(arg, sizeof arg, "idx:%s,%s", mc_test_data("datasets/train-images-idx3-ubyte.gz"),
             mc_test_data("datasets/train-labels-idx1-ubyte.gz"));
    mc_ck_ok(mcomp_dataset_options_init(&o, sizeof o));
    o.limit = 64;
    mc_ck_ok(mcomp_dataset_open(&calib, ctx, g, arg, &o));
    o.skip = 20000;
    o.limit = 400;
    mc_ck_ok(mcomp_dataset_open(&test, ctx, g, arg, &o));
    mc_ck_ok(mcomp_calibrator_create(&c, ctx, g));
    mc_ck_ok(mcomp_calibrator_feed_dataset(c, calib));
    mc_ck_ok(mcomp_quantizer_create(&z, ctx, NULL));
    mc_ck_ok(mcomp_quantizer_apply(&q, z, g, c, calib));
    ck_assert_str_eq(mcomp_quantizer_scheme(z), "int8");
    const double before = accuracy(g, test), after = accuracy(q, test);
    ck_assert_msg(before > 0.97 && after >= before - 0.005, "top-1 %.4f -> %.4f", before, after);
    mcomp_quantizer_destroy(z);
    mcomp_calibrator_destroy(c);
    mcomp_dataset_destroy(calib);
    mcomp_dataset_destroy(test);
    mcomp_graph_destroy(q);
    mcomp_graph_destroy(g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("quant/quantizer");
    TCase *t = tcase_create("quantizer");
    tcase_set_timeout(t, 120); /* candidates are timed */
    tcase_add_checked_fixture(t, open_ctx, close_ctx);
    tcase_add_test(t, static_scheme_and_report);
    tcase_add_test(t, rules);
    tcase_add_test(t, slower_stays_float);
    tcase_add_test(t, arguments);
    tcase_add_test(t, auto_by_measured_error);
    tcase_add_test(t, auto_keeps_the_worst_float);
    tcase_add_test(t, mnist8_static);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
