/* The Nth allocation fails, for every N: opening a session and running it reports NO_MEMORY (or gets by without), gives everything
 * back, and the same calls succeed afterwards. */
#include <stdlib.h>

#include "random_graph.h"
#include "support/failing.h"

#define STEPS 700 /* allocations that are made to fail while a model is loaded and compiled */

/* Everything that a caller does once, from context to outputs. */
static int32_t once(const mc_graph *g, int32_t n_in, const mcomp_tensor *const *in, int32_t no_fusion)
{
    int32_t st = MCOMP_OK;
    mcomp_context *ctx = NULL;
    mcomp_session *s = NULL;
    mcomp_exec *e = NULL;
    mcomp_session_options o = {.size = sizeof o, .no_fusion = no_fusion, .threads = 2, .profile = 1};
    const mcomp_tensor *out[4];
    const mcomp_context_options co = {.size = sizeof co, .threads = 1};
    MC_TRY(mcomp_context_create(&ctx, &co));
    MC_TRY(mc_session_open(&s, ctx, g, &o, NULL));
    MC_TRY(mcomp_exec_create(&e, s));
    MC_TRY(mcomp_exec_run(e, n_in, in, (int32_t)g->n_outputs, out));
    MC_TRY(mcomp_exec_run(e, n_in, in, (int32_t)g->n_outputs, out));
done:
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
    mcomp_context_destroy(ctx);
    return st;
}

static void try_all(const mc_graph *g, int32_t n_in, const mcomp_tensor *const *in, int32_t no_fusion, long step)
{
    int32_t st;
    long failures = 0;
    mc_ck_ok(once(g, n_in, in, no_fusion)); /* what is built once a process is built now */
    const uint64_t live = mc_alloc_live_bytes();
    for (long n = 0; n < 100000; n += step) {
        mc_error_clear();
        atomic_store(&countdown, n);
        st = once(g, n_in, in, no_fusion);
        const long left = atomic_exchange(&countdown, -1);
        ck_assert_msg(st == MCOMP_OK || st == MCOMP_NO_MEMORY, "allocation %ld: %s: %s", n, mcomp_status_name(st), mc_error_peek()->message);
        ck_assert_msg(mc_alloc_live_bytes() == live, "allocation %ld leaks %lld bytes (%s)", n, (long long)(mc_alloc_live_bytes() - live),
                      mc_error_peek()->message);
        failures += st != MCOMP_OK;
        if (left >= 0) break; /* all of it ran without coming to the Nth */
    }
    ck_assert_int_gt(failures, 50 / step);
    mc_ck_ok(once(g, n_in, in, no_fusion));
}

START_TEST(block)
{
    mc_graph *g = net_block();
    mcomp_tensor *x = net_random(3, (int64_t[]){1, 5, 8}, 1);
    const mcomp_tensor *in[1] = {x};
    try_all(g, 1, in, _i, 1);
    mcomp_tensor_destroy(x);
    mc_graph_destroy(g);
}
END_TEST

START_TEST(random_graph)
{
    uint64_t seed = 40 + (uint64_t)_i;
    mc_ops_register();
    mc_graph *g = net_random_graph(&seed);
    mcomp_tensor *x[2] = {net_random(2, (int64_t[]){5, 6}, 1), net_random(2, (int64_t[]){5, 6}, 2)};
    const mcomp_tensor *in[2] = {x[0], x[1]};
    try_all(g, 2, in, 0, 3);
    mcomp_tensor_destroy(x[0]);
    mcomp_tensor_destroy(x[1]);
    mc_graph_destroy(g);
}
END_TEST

/* Loading and compiling a transformer: one allocation in so many. */
static int32_t load_and_run(void)
{
    int32_t st = MCOMP_OK;
    mcomp_context *ctx = NULL;
    mcomp_graph *g = NULL;
    mcomp_session *s = NULL;
    mcomp_exec *e = NULL;
    mcomp_tensor *x[3] = {NULL};
    const mcomp_tensor *out[2], *in[3];
    const mcomp_context_options co = {.size = sizeof co, .threads = 1};
    MC_TRY(mcomp_context_create(&ctx, &co));
    MC_TRY(mcomp_graph_load(&g, ctx, mc_test_data("models/bert_toy_optimized.onnx")));
    MC_TRY(mcomp_session_create(&s, ctx, g, NULL));
    MC_TRY(mcomp_exec_create(&e, s));
    for (int i = 0; i < 3; i++) MC_TRY(mcomp_tensor_create(&x[i], MCOMP_I64, 2, (int64_t[]){1, 9}));
    for (int i = 0; i < 3; i++) in[i] = x[i];
    MC_TRY(mcomp_exec_run(e, 3, in, 2, out));
done:
    for (int i = 0; i < 3; i++) mcomp_tensor_destroy(x[i]);
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
    mcomp_graph_destroy(g);
    mcomp_context_destroy(ctx);
    return st;
}

START_TEST(transformer)
{
    if (mc_test_skip_without_data()) return;
    mc_ck_ok(load_and_run());
    const uint64_t live = mc_alloc_live_bytes(), before = mc_alloc_count();
    mc_ck_ok(load_and_run());
    const long all = (long)(mc_alloc_count() - before), step = all / STEPS + 1;
    ck_assert_int_gt(all, 1000);
    for (long n = _i; n < all; n += step) {
        mc_error_clear();
        atomic_store(&countdown, n);
        const int32_t st = load_and_run();
        atomic_store(&countdown, -1);
        ck_assert_msg(st == MCOMP_OK || st == MCOMP_NO_MEMORY, "allocation %ld: %s: %s", n, mcomp_status_name(st), mc_error_peek()->message);
        ck_assert_msg(mc_alloc_live_bytes() == live, "allocation %ld of %ld leaks %lld bytes", n, all, (long long)(mc_alloc_live_bytes() - live));
    }
    mc_ck_ok(load_and_run());
}
END_TEST

int main(void)
{
    if (mc_allocator_set(&mc_test_failing) != MCOMP_OK) return 1;
    Suite *suite = suite_create("fault");
    TCase *c = tcase_create("fault");
    tcase_add_loop_test(c, block, 0, 2);
    tcase_add_loop_test(c, random_graph, 0, 3);
    tcase_add_loop_test(c, transformer, 0, 3);
    suite_add_tcase(suite, c);
    return mc_test_main(suite);
}
