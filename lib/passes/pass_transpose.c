/* Transpose of Transpose becomes one; `unit_transpose` (last in a plan) turns those that only move axes of size 1 into Reshape,
 * which costs nothing. */
#include "passes/internal.h"

static int32_t merge(mc_graph *g, mc_node *n)
{
    int32_t st = MCOMP_OK, rank, inner_rank;
    int64_t p[MC_MAX_RANK], q[MC_MAX_RANK];
    mc_node *inner = mc_match_producer(n, 0, "Transpose"), *r;
    if (!inner || !mc_perm_of(n, p, &rank) || !mc_perm_of(inner, q, &inner_rank) || rank != inner_rank) return MCOMP_OK;
    for (int32_t i = 0; i < rank; i++) p[i] = q[p[i]];
    MC_TRY(mc_rewrite_begin(g, "", "Transpose", "transpose", n, 1, &inner->in[0], &r));
    MC_TRY(mc_node_set_ints(r, "perm", p, rank));
    st = mc_rewrite_end(g, r, n, n->out[0]);
done:
    return st;
}

int32_t mc_pass_transpose(mc_graph *g, const mc_pass_options *o)
{
    int32_t st = MCOMP_OK;
    (void)o;
    for (int64_t i = 0; i < g->n_order; i++)
        if (!g->order[i]->dead && mc_node_is(g->order[i], "Transpose")) MC_TRY(merge(g, g->order[i]));
done:
    return st;
}

/* The axes that are not 1 keep their order. */
static int only_units_move(const mc_node *n)
{
    int64_t p[MC_MAX_RANK], last = -1;
    int32_t rank;
    if (!mc_perm_of(n, p, &rank)) return 0;
    for (int32_t i = 0; i < rank; i++) {
        if (n->in[0]->type.dim[p[i]] == 1) continue;
        if (p[i] < last) return 0;
        last = p[i];
    }
    return 1;
}

int32_t mc_pass_unit_transpose(mc_graph *g, const mc_pass_options *o)
{
    int32_t st = MCOMP_OK;
    (void)o;
    for (int64_t i = 0; i < g->n_order; i++) {
        mc_node *n = g->order[i], *r;
        mc_value *in[2] = {NULL, NULL};
        if (n->dead || !mc_node_is(n, "Transpose") || !only_units_move(n)) continue;
        in[0] = n->in[0];
        MC_TRY(mc_shape_const(g, &in[0]->type, &n->out[0]->type, &in[1]));
        if (!in[1]) continue;
        MC_TRY(mc_rewrite_begin(g, "", "Reshape", "unit_transpose", n, 2, in, &r));
        MC_TRY(mc_rewrite_end(g, r, n, n->out[0]));
    }
done:
    return st;
}
