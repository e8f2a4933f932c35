/* tests/unit/passes/compare.h - runs stages on a clone of a graph and compares both with the reference interpreter. */
#ifndef MC_TEST_PASSES_COMPARE_H
#define MC_TEST_PASSES_COMPARE_H

#include "passes/passes.h"
#include "support/interp.h"
#include "support/support.h"

static inline mc_graph *mc_test_graph(void)
{
    mc_graph *g;
    mc_ops_register();
    mc_ck_ok(mc_graph_create(&g, "test"));
    return g;
}

/* Integers of the random inputs are in [0, top]; symbol k gets dims[k % 2]. Returns the rewritten clone. */
static inline mc_graph *mc_test_passes_dims(mc_graph *g, uint32_t stages, double rtol, double atol, int64_t top, const int64_t dims[2])
{
    mc_graph *c;
    mc_ck_ok(mc_graph_sort(g));
    mc_ck_ok(mc_infer_graph(g));
    mc_ck_ok(mc_graph_clone(&c, g));
    mc_ck_ok(mc_passes_run(c, stages, NULL));
    mc_ck_ok(mc_graph_validate(c));
    mc_test_set in = mc_test_inputs(g, 5, top, dims, 2), x = mc_test_interp(c, &in), y = mc_test_interp(g, &in);
    mc_test_same_outputs(c, &x, g, &y, rtol, atol);
    mc_test_set_free(&in);
    mc_test_set_free(&x);
    mc_test_set_free(&y);
    return c;
}

static inline mc_graph *mc_test_passes(mc_graph *g, uint32_t stages, double rtol, double atol)
{
    return mc_test_passes_dims(g, stages, rtol, atol, 9, (const int64_t[2]){3, 5});
}

#endif
