/* Pruned 4x1, quantized, run: the sparse kernels give the bytes of the dense ones in a whole model, on every tier, for any number of rows
 * and threads; the choice between them is sound, and what explain says of it. */
#include <mcomp/build.h>
#include <mcomp/pruner.h>
#include <mcomp/quantizer.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/runtime.h"
#include "support/support.h"

#define FEATURES 96
#define MOST_ROWS 130

static const char *const tiers[] = {"ref", "avx2", "avx512", "avx512_vnni", "amx"};

static mcomp_context *ctx;

static int32_t fetch(void *payload, int64_t i, int32_t n, mcomp_tensor **inputs, int64_t *label)
{
    uint64_t seed = (uint64_t)i * 7919 + 11;
    (void)payload;
    (void)n;
    const int32_t st = mcomp_tensor_create(&inputs[0], MCOMP_F32, 2, (const int64_t[]){1, FEATURES});
    for (int k = 0; st == MCOMP_OK && k < FEATURES; k++) ((float *)mcomp_tensor_data(inputs[0]))[k] = mc_test_random(&seed);
    *label = i % 3;
    return st;
}

/* An mlp 96 -> hidden -> hidden -> 3, pruned and quantized. */
static mcomp_graph *compressed(const char *spec, const char *pattern, double sparsity, const char *scheme)
{
    mcomp_graph *built = NULL, *pruned = NULL, *out = NULL;
    mcomp_dataset *data = NULL;
    mcomp_pruner *p = NULL;
    mcomp_calibrator *c = NULL;
    mcomp_quantizer *q = NULL;
    mcomp_build_options b;
    mcomp_pruner_options po;
    mcomp_trainer_options to;
    mcomp_quantizer_options qo;
    mcomp_prune_result r = {.size = sizeof r};
    mc_ck_ok(mcomp_build_options_init(&b, sizeof b));
    b.classes = 3;
    b.features = FEATURES;
    mc_ck_ok(mcomp_graph_build(&built, ctx, spec, &b));
    mc_ck_ok(mcomp_dataset_create(&data, ctx, built, 24, fetch, NULL));
    mc_ck_ok(mcomp_pruner_options_init(&po, sizeof po));
    mc_ck_ok(mcomp_trainer_options_init(&to, sizeof to));
    po.pattern = pattern;
    po.sparsity = sparsity;
    po.schedule = "one-shot";
    mc_ck_ok(mcomp_pruner_create(&p, ctx, built, &po));
    mc_ck_ok(mcomp_pruner_run(&r, NULL, p, NULL, NULL, &to));
    mc_ck_ok(mcomp_pruner_graph(&pruned, p));
    mc_ck_ok(mcomp_quantizer_options_init(&qo, sizeof qo));
    qo.scheme = scheme;
    qo.slower = MCOMP_SLOWER_KEEP;
    mc_ck_ok(mcomp_calibrator_create(&c, ctx, pruned));
    mc_ck_ok(mcomp_calibrator_feed_dataset(c, data));
    mc_ck_ok(mcomp_quantizer_create(&q, ctx, &qo));
    mc_ck_ok(mcomp_quantizer_apply(&out, q, pruned, c, NULL));
    mcomp_quantizer_destroy(q);
    mcomp_calibrator_destroy(c);
    mcomp_pruner_destroy(p);
    mcomp_dataset_destroy(data);
    mcomp_graph_destroy(pruned);
    mcomp_graph_destroy(built);
    return out;
}

typedef struct answer {
    float y[MOST_ROWS * 3];
    int32_t sparse, dense; /* kernels of integer products */
    char why[256];         /* of the first */
} answer;

static answer run(const mcomp_graph *g, int32_t how, int32_t threads, int64_t rows)
{
    answer a = {.sparse = 0};
    mcomp_session *s = NULL;
    mcomp_exec *e = NULL;
    mcomp_tensor *x = NULL;
    const mcomp_tensor *y = NULL;
    mcomp_session_options o;
    int32_t n = 0;
    uint64_t seed = 5;
    mc_ck_ok(mcomp_session_options_init(&o, sizeof o));
    o.threads = threads;
    o.backend = "cpu";
    mc_ck_ok(mcomp_session_create(&s, ctx, g, &o));
    mc_session_use_sparse(s, how);
    mc_ck_ok(mcomp_exec_create(&e, s));
    mc_ck_ok(mcomp_tensor_create(&x, MCOMP_F32, 2, (const int64_t[]){rows, FEATURES}));
    for (int64_t i = 0; i < rows * FEATURES; i++) ((float *)mcomp_tensor_data(x))[i] = mc_test_random(&seed);
    mc_ck_ok(mcomp_exec_run(e, 1, (const mcomp_tensor *const[]){x}, 1, &y));
    memcpy(a.y, mcomp_tensor_data(y), (size_t)rows * 3 * sizeof *a.y);
    mc_ck_ok(mcomp_exec_kernel_count(e, &n));
    for (int32_t i = 0; i < n; i++) {
        mcomp_kernel_info k = {.size = sizeof k};
        mc_ck_ok(mcomp_exec_kernel(e, i, &k));
        if (strncmp(k.kernel, "qgemm", 5) != 0) continue;
        if (a.sparse + a.dense == 0) snprintf(a.why, sizeof a.why, "%.255s", k.why);
        if (strstr(k.kernel, "sparse4x1")) a.sparse++;
        else a.dense++;
    }
    mcomp_tensor_destroy(x);
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
    return a;
}

START_TEST(same_bytes)
{
    static const char *const schemes[] = {"int8", "int8-dynamic", "int8-dynamic-tensor"};
    static const int64_t rows[] = {1, 2, 8, 13, 33, 64, MOST_ROWS};
    setenv("MCOMP_ISA", tiers[_i], 1);
    for (size_t k = 0; k < sizeof schemes / sizeof *schemes; k++) {
        mcomp_graph *g = compressed("mlp:layers=2,hidden=200", "4x1", 0.8, schemes[k]);
        for (size_t m = 0; m < sizeof rows / sizeof *rows; m++) {
            const answer dense = run(g, -1, 1, rows[m]);
            ck_assert_int_eq(dense.sparse, 0);
            ck_assert_int_ge(dense.dense, 2);
            for (int32_t threads = 1; threads <= 4; threads++) {
                const answer sparse = run(g, 1, threads, rows[m]);
                ck_assert_int_ge(sparse.sparse, 2);
                ck_assert_int_eq(sparse.dense, 0);
                ck_assert_msg(memcmp(sparse.y, dense.y, (size_t)rows[m] * 3 * sizeof *dense.y) == 0, "%s %s, %lld rows, %d threads",
                              tiers[_i], schemes[k], (long long)rows[m], threads);
            }
        }
        mcomp_graph_destroy(g);
    }
}
END_TEST

/* Without being told: blocks that are gone are not computed, other zeros are, and explain says why. */
START_TEST(choice)
{
    if (_i == 0) return; /* the reference is no measure */
    setenv("MCOMP_ISA", tiers[_i], 1);
    mcomp_graph *g = compressed("mlp:layers=2,hidden=768", "4x1", 0.95, "int8");
    answer a = run(g, 0, 1, MOST_ROWS);
    ck_assert_int_ge(a.sparse, 1);
    ck_assert_msg(strstr(a.why, "% of its 4x1 blocks kept") != NULL, "%s", a.why);
    mcomp_graph_destroy(g);
    g = compressed("mlp:layers=2,hidden=768", "unstructured", 0.6, "int8");
    a = run(g, 0, 1, MOST_ROWS);
    ck_assert_int_eq(a.sparse, 0);
    ck_assert_msg(strstr(a.why, "unstructured zeros: smaller file, not faster") != NULL, "%s", a.why);
    mcomp_graph_destroy(g);
    g = compressed("mlp:layers=2,hidden=768", "4x1", 0.05, "int8");
    a = run(g, 0, 1, MOST_ROWS);
    ck_assert_int_eq(a.sparse, 0);
    ck_assert_msg(strstr(a.why, "zeros") == NULL && strstr(a.why, "blocks") == NULL, "%s", a.why);
    mcomp_graph_destroy(g);
}
END_TEST

static void setup(void)
{
    mcomp_context_options o;
    mc_ck_ok(mcomp_context_options_init(&o, sizeof o));
    o.threads = 1;
    mc_ck_ok(mcomp_context_create(&ctx, &o));
}

static void teardown(void) { mcomp_context_destroy(ctx); }

int main(void)
{
    Suite *s = suite_create("sparse");
    TCase *t = tcase_create("models");
    const int n = (int)mc_cpu_isa_max() + 1;
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, same_bytes, 0, n);
    tcase_add_loop_test(t, choice, 0, n);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
