/* tests/unit/runtime/random_graph.h - random graphs with many branches, views and candidates for in-place work. */
#ifndef MC_TEST_RANDOM_GRAPH_H
#define MC_TEST_RANDOM_GRAPH_H

#include "nets.h"

static inline uint32_t net_next(uint64_t *s, uint32_t n)
{
    *s = *s * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*s >> 33) % n;
}

#define NET_POOL 64

/* Inputs x, y [n,6]; up to four outputs. */
static inline mc_graph *net_random_graph(uint64_t *seed)
{
    static const char *const unary[] = {"Relu", "Tanh", "Elu", "Identity", "Sigmoid"};
    static const char *const binary[] = {"Add", "Sub", "Mul"};
    mc_graph *g = NULL;
    mc_value *pool[NET_POOL], *deep[NET_POOL];
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
    const int nodes = 5 + (int)net_next(seed, 40);
    for (int i = 0; i < nodes && n < NET_POOL && d < NET_POOL; i++) {
        mc_value *a = pool[net_next(seed, (uint32_t)n)], *b = pool[net_next(seed, (uint32_t)n)];
        if (net_next(seed, 3)) a = pool[n - 1]; /* long chains, so that in-place happens */
        switch (net_next(seed, 5)) {
        case 0: pool[n++] = net_node(g, unary[net_next(seed, 5)], NULL, a, NULL); break;
        case 1: pool[n++] = net_node(g, binary[net_next(seed, 3)], NULL, a, b); break;
        case 4: pool[n++] = net_node(g, "MatMul", NULL, a, square); break; /* must not work in place */
        case 2:
            if (a != pool[2]) deep[d++] = net_node(g, "Reshape", NULL, a, to3);
            break;
        default:
            if (d == 0) break;
            if (net_next(seed, 2)) deep[d - 1] = net_node(g, unary[net_next(seed, 5)], NULL, deep[d - 1], NULL);
            else pool[n++] = net_node(g, "Reshape", NULL, deep[net_next(seed, (uint32_t)d)], to2);
            break;
        }
    }
    mc_ck_ok(mc_graph_add_output(g, pool[n - 1]));
    for (int i = 0; i < 2; i++) {
        mc_value *v = pool[net_next(seed, (uint32_t)n)];
        if (!(v->flags & MC_VALUE_OUTPUT)) mc_ck_ok(mc_graph_add_output(g, v));
    }
    if (d > 0 && !(deep[0]->flags & MC_VALUE_OUTPUT)) mc_ck_ok(mc_graph_add_output(g, deep[0]));
    mc_ck_ok(mc_graph_remove_dead(g, NULL));
    return g;
}

#endif
