/* The Nth allocation fails while a model is expanded, differentiated and set to recompute: NO_MEMORY (or it gets by without), everything
 * given back, and the same call works afterwards. */
#include <mcomp/build.h>

#include <stdlib.h>

#include "passes/passes.h"
#include "support/interp.h"
#include "support/failing.h"
#include "support/support.h"

#define POINTS 250

/* logits * logits, averaged: loss; and a Gradient operator by the first weight. */
static mc_graph *model(mcomp_context *ctx)
{
    mcomp_graph *built;
    mcomp_build_options o;
    mc_graph *g;
    mc_node *n;
    char *xs[1];
    mc_ck_ok(mcomp_build_options_init(&o, sizeof o));
    o.classes = 3;
    o.vocab = 20;
    o.length = 8;
    mc_ck_ok(mcomp_graph_build(&built, ctx, "encoder:layers=2,hidden=8,heads=2,ffn=16", &o));
    mc_ck_ok(mc_graph_clone(&g, built->g));
    mcomp_graph_destroy(built);
    mc_value *loss = mc_test_op(g, "ReduceMean", 1, mc_test_op(g, "Mul", 2, g->outputs[0], g->outputs[0])), *x = NULL;
    mc_ck_ok(mc_node_set_i(loss->producer, "keepdims", 0));
    mc_ck_ok(mc_value_rename(g, loss, "loss"));
    for (int64_t i = 0; i < g->n_values && !x; i++)
        if (g->values[i]->init && g->values[i]->type.rank == 2) x = g->values[i];
    ck_assert_ptr_nonnull(x);
    mc_ck_ok(mc_graph_add_node(g, "ai.onnx.preview.training", "Gradient", 1, "gradient", 1, &x, 1, NULL, &n));
    xs[0] = x->name;
    mc_ck_ok(mc_node_set_strings(n, "xs", xs, 1));
    mc_ck_ok(mc_node_set_s(n, "y", "loss"));
    mc_ck_ok(mc_graph_add_output(g, n->out[0]));
    mc_ck_ok(mc_graph_sort(g));
    mc_ck_ok(mc_infer_graph(g));
    return g;
}

static int32_t all_of_it(const mc_graph *m)
{
    int32_t st = MCOMP_OK;
    mc_graph *g = NULL;
    MC_TRY(mc_graph_clone(&g, m));
    MC_TRY(mc_expand_gradients(g));
    MC_TRY(mc_recompute(g, mc_graph_find_value(g, "loss"), NULL, NULL));
    MC_TRY(mc_graph_remove_dead(g, NULL));
done:
    mc_graph_destroy(g);
    return st;
}

START_TEST(any_allocation_may_fail)
{
    mcomp_context *ctx;
    long failed = 0;
    mc_ck_ok(mc_allocator_set(&mc_test_failing));
    mc_ops_register();
    mc_ck_ok(mcomp_context_create(&ctx, NULL));
    mc_graph *m = model(ctx);
    mc_ck_ok(all_of_it(m));
    const uint64_t live = mc_alloc_live_bytes(), before = mc_alloc_count();
    mc_ck_ok(all_of_it(m));
    const long calls = (long)(mc_alloc_count() - before);
    ck_assert_int_gt(calls, POINTS);
    for (long i = 0; i < POINTS; i++) {
        mc_error_clear();
        atomic_store(&countdown, i < 40 ? i : i * calls / POINTS);
        const int32_t st = all_of_it(m);
        atomic_store(&countdown, -1);
        ck_assert_msg(st == MCOMP_OK || st == MCOMP_NO_MEMORY, "allocation %ld of %ld: %s", i, calls, mcomp_status_name(st));
        ck_assert_msg(mc_alloc_live_bytes() == live, "allocation %ld of %ld: %lld bytes are lost", i, calls,
                      (long long)(mc_alloc_live_bytes() - live));
        failed += st == MCOMP_NO_MEMORY;
    }
    ck_assert_int_gt(failed, POINTS * 9 / 10);
    mc_ck_ok(all_of_it(m));
    mc_graph_destroy(m);
    mcomp_context_destroy(ctx);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("train/gradient_oom");
    TCase *tc = tcase_create("gradient_oom");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, any_allocation_may_fail);
    suite_add_tcase(s, tc);
    return mc_test_main(s);
}
