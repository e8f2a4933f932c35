/* Random graphs with many branches, views and in-place candidates: a plan must give the very bits that running node by node
 * gives, on every run (stale memory shows on the second), at dims below the bucket's too. */
#include <math.h>

#include "random_graph.h"

/* exact: the very bits; else within what fused and reordered float arithmetic may differ, relative to the largest element. */
static void compare(mcomp_exec *e, const mc_graph *g, int64_t rows, uint64_t seed, int exact)
{
    mcomp_tensor *x[2] = {net_random(2, (int64_t[]){rows, 6}, seed), net_random(2, (int64_t[]){rows, 6}, seed + 1)};
    const mcomp_tensor *out[4], *in[2] = {x[0], x[1]};
    mc_tensor *want[4];
    net_interpret(g, in, want);
    mc_ck_ok(mcomp_exec_run(e, 2, in, (int32_t)g->n_outputs, out));
    for (int64_t i = 0; i < g->n_outputs; i++) {
        if (exact) {
            net_ck_same(want[i], out[i], g->outputs[i]->name);
        } else {
            const float *w = want[i]->data;
            float largest = 1e-3f;
            for (int64_t j = 0; j < mc_tensor_elements(want[i]); j++) largest = fabsf(w[j]) > largest ? fabsf(w[j]) : largest;
            ck_assert(mc_shape_equal(&want[i]->shape, &out[i]->t.shape));
            if (largest < 1e30f) mc_ck_close_f32(mcomp_tensor_data(out[i]), w, mc_tensor_elements(want[i]), 1e-3, 1e-3 * (double)largest);
        }
        mc_tensor_destroy(want[i]);
    }
    mcomp_tensor_destroy(x[0]);
    mcomp_tensor_destroy(x[1]);
}

START_TEST(random_graphs)
{
    const int exact = _i == 0;
    mcomp_context *ctx = NULL;
    mcomp_session_options o;
    int64_t shared = 0;
    mc_ck_ok(mcomp_context_create(&ctx, NULL));
    mc_ck_ok(mcomp_session_options_init(&o, sizeof o));
    o.no_fusion = exact;
    for (uint64_t k = 0; k < 200; k++) {
        uint64_t seed = k * 77 + 1;
        mcomp_session *s = NULL;
        mcomp_exec *e = NULL;
        mcomp_plan_info info = {.size = sizeof info};
        mc_ops_register();
        mc_graph *g = net_random_graph(&seed);
        mc_ck_ok(mc_session_open(&s, ctx, g, &o, NULL));
        if (exact) mc_session_use_references(s);
        mc_ck_ok(mcomp_exec_create(&e, s));
        compare(e, g, 16, seed, exact);
        compare(e, g, 16, seed + 5, exact);
        compare(e, g, 11, seed + 9, exact);
        compare(e, g, 1, seed + 10, exact);
        mc_ck_ok(mcomp_exec_plan_info(e, &info));
        shared += (int64_t)info.memory_bytes < (int64_t)info.n_steps * 64;
        mcomp_exec_destroy(e);
        mcomp_session_destroy(s);
        mc_graph_destroy(g);
    }
    ck_assert_msg(!exact || shared > 150, "memory is not reused: %lld of 200", (long long)shared);
    mcomp_context_destroy(ctx);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("random");
    TCase *c = tcase_create("random");
    tcase_add_loop_test(c, random_graphs, 0, 2);
    suite_add_tcase(suite, c);
    return mc_test_main(suite);
}
