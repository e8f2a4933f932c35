/* Pushes Transposes down through the operators behind them until they meet their inverse and cancel, so that channels-last
 * regions have Transposes at their borders only. A Transpose only ever moves downwards, so this ends. */
#include "passes/internal.h"

static int32_t compose(mc_layout *l, int32_t *moved)
{
    int32_t st = MCOMP_OK, rank, done_;
    int64_t q[MC_MAX_RANK];
    mc_value *v;
    if (!mc_node_is(l->u, "Transpose") || !mc_perm_of(l->u, q, &rank) || rank != l->rank) return MCOMP_OK;
    for (int32_t i = 0; i < rank; i++) q[i] = l->perm[q[i]];
    MC_TRY(mc_transposed(l->g, l->u->origin, l->t->in[0], rank, q, &v));
    if (v != l->t->in[0]) {
        v->type = l->u->out[0]->type;
        MC_TRY(mc_node_inherit(v->producer, l->u, l->u->origin));
    }
    MC_TRY(mc_bypass(l->g, l->u, v, &done_));
    *moved = done_;
done:
    return st;
}

static int32_t push(mc_graph *g, mc_node *t, int32_t *any)
{
    int32_t st = MCOMP_OK, moved;
    mc_layout l = {.g = g, .t = t};
    if (!mc_perm_of(t, l.perm, &l.rank)) return MCOMP_OK;
    for (int32_t i = 0; i < l.rank; i++) l.inverse[l.perm[i]] = i;
    for (int64_t k = 0; k < t->out[0]->n_uses;) {
        const mc_use use = t->out[0]->uses[k];
        l.u = use.node;
        l.index = use.index;
        moved = 0;
        if (use.index < use.node->n_in) {
            MC_TRY(compose(&l, &moved));
            if (!moved) MC_TRY(mc_layout_move(&l, &moved));
        }
        *any |= moved;
        if (!moved) k++;
        else k = 0; /* the list of uses has changed */
    }
done:
    return st;
}

int32_t mc_pass_layout(mc_graph *g, const mc_pass_options *o)
{
    int32_t st = MCOMP_OK, any = 1;
    (void)o;
    for (int32_t sweep = 0; any && sweep < 1000; sweep++) {
        any = 0;
        for (int64_t i = 0; i < g->n_order; i++) {
            mc_node *n = g->order[i];
            if (n->dead || !mc_node_is(n, "Transpose") || (n->origin && strcmp(n->origin, "layout_operand") == 0)) continue;
            if (mc_is_unused(n)) mc_graph_remove_node(g, n);
            else MC_TRY(push(g, n, &any));
        }
        MC_TRY(mc_graph_remove_dead(g, NULL));
    }
done:
    return st;
}
