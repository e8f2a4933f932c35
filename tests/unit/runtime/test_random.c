/* Random graphs with many branches, views and in-place candidates: a plan must give the very bits that running node by node
 * gives, on every run (stale memory shows on the second), at dims below the bucket's too. */
#include <math.h>

#include "nets.h"

static uint32_t next(uint64_t *s, uint32_t n)
{
    *s = *s * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*s >> 33) % n;
}

#define POOL 64

static mc_graph *random_graph(uint64_t *seed)
{
    static const char *const unary[] = {"Relu", "Tanh", "Elu", "Identity", "Sigmoid"};
    static const char *const binary[] = {"Add", "Sub", "Mul"};
    mc_graph *g = NULL;
    mc_value *pool[POOL], *deep[POOL];
    int n = 0, d = 0;
    mc_ck_ok(mc_graph_create(&g, "random"));
    const int64_t sym = net_symbol(g, "n");
    mc_value *to3 = NULL, *to2 = NULL;
    mc_ck_ok(mc_graph_add_const_i64s(g, "to3", (int64_t[]){0, 2, 3}, 3, &to3));
    mc_ck_ok(mc_graph_add_const_i64s(g, "to2", (int64_t[]){0, 6}, 2, &to2));
    pool[n++] = net_input(g, "x", MCOMP_F32, 2, (int64_t[]){sym, 6});
    pool[n++] = net_input(g, "y", MCOMP_F32, 2, (int64_t[]){sym, 6});
    pool[n++] = net_random_const(g, "c", 2, (int64_t[]){1, 6}, seed);
    mc_value *square = net_random_const(g, "square", 2, (int64_t[]){6, 6}, seed);
    const int nodes = 5 + (int)next(seed, 40);
    for (int i = 0; i < nodes && n < POOL && d < POOL; i++) {
        mc_value *a = pool[next(seed, (uint32_t)n)], *b = pool[next(seed, (uint32_t)n)];
        if (next(seed, 3)) a = pool[n - 1]; /* long chains, so that in-place happens */
        switch (next(seed, 5)) {
        case 0: pool[n++] = net_node(g, unary[next(seed, 5)], NULL, a, NULL); break;
        case 1: pool[n++] = net_node(g, binary[next(seed, 3)], NULL, a, b); break;
        case 4: pool[n++] = net_node(g, "MatMul", NULL, a, square); break; /* must not work in place */
        case 2:
            if (a != pool[2]) deep[d++] = net_node(g, "Reshape", NULL, a, to3);
            break;
        default:
            if (d == 0) break;
            if (next(seed, 2)) deep[d - 1] = net_node(g, unary[next(seed, 5)], NULL, deep[d - 1], NULL);
            else pool[n++] = net_node(g, "Reshape", NULL, deep[next(seed, (uint32_t)d)], to2);
            break;
        }
    }
    mc_ck_ok(mc_graph_add_output(g, pool[n - 1]));
    for (int i = 0; i < 2; i++) {
        mc_value *v = pool[next(seed, (uint32_t)n)];
        if (!(v->flags & MC_VALUE_OUTPUT)) mc_ck_ok(mc_graph_add_output(g, v));
    }
    if (d > 0 && !(deep[0]->flags & MC_VALUE_OUTPUT)) mc_ck_ok(mc_graph_add_output(g, deep[0]));
    mc_ck_ok(mc_graph_remove_dead(g, NULL));
    return g;
}

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
        mc_graph *g = random_graph(&seed);
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
