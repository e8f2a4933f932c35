/* Softmax spelled out: e / sum(e) with e = exp(x - max(x)) over one axis; statistics may have lost the axis and got it back. */
#include "passes/internal.h"

/* v = Reduce<op>(x) over one axis. */
static int is_reduced(mc_value *v, const char *op, const mc_value *x, int32_t *axis)
{
    int64_t axes[MC_MAX_RANK];
    int32_t n;
    const mc_node *r = mc_made_by(mc_peel_views(v), op);
    if (!r || r->in[0] != x || !mc_reduce_axes(r, axes, &n) || n != 1) return 0;
    *axis = (int32_t)axes[0];
    return 1;
}

static int match(const mc_node *n, mc_value **x, int32_t *axis)
{
    int32_t max_axis;
    if (!mc_node_is(n, "Div")) return 0;
    const mc_node *e = mc_made_by(n->in[0], "Exp");
    if (!e || !is_reduced(n->in[1], "ReduceSum", e->out[0], axis)) return 0;
    const mc_node *d = mc_made_by(e->in[0], "Sub");
    if (!d || !is_reduced(d->in[1], "ReduceMax", d->in[0], &max_axis) || max_axis != *axis) return 0;
    *x = d->in[0];
    return mc_types_equal(&(*x)->type, &n->out[0]->type) && mc_types_equal(&(*x)->type, &e->out[0]->type) &&
           mc_match_cone_closed(n->out[0], x, 1);
}

int32_t mc_pass_softmax(mc_graph *g, const mc_pass_options *o)
{
    int32_t st = MCOMP_OK, axis;
    mc_value *x;
    mc_node *s;
    (void)o;
    for (int64_t i = 0; i < g->n_order; i++) {
        mc_node *n = g->order[i];
        if (n->dead || !match(n, &x, &axis)) continue;
        MC_TRY(mc_rewrite_begin(g, "", "Softmax", "softmax", n, 1, &x, &s));
        MC_TRY(mc_node_set_i(s, "axis", axis));
        MC_TRY(mc_inherit_cone(s, n->out[0], &x, 1));
        MC_TRY(mc_rewrite_end(g, s, n, n->out[0]));
    }
done:
    return st;
}
