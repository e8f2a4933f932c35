/* Shapes that inference knows become constants: Flatten, Squeeze, Unsqueeze and Reshape by computed shapes turn into Reshape by a
 * constant (0 copies a symbolic size, one -1 stands for another), chains of them into one. What computed the shapes
 * (Shape, Gather, Concat ...) then has no reader and goes. */
#include "passes/internal.h"

static int is_reshaping(const mc_node *n)
{
    return mc_node_is(n, "Reshape") || mc_node_is(n, "Flatten") || mc_node_is(n, "Squeeze") || mc_node_is(n, "Unsqueeze");
}

/* The value at the top of a chain of reshapes. */
static mc_value *source(const mc_node *n)
{
    mc_value *v = n->in[0];
    while (is_reshaping(v->producer) && v->producer->in[0]) v = v->producer->in[0];
    return v;
}

static int32_t visit(mc_graph *g, mc_node *n)
{
    int32_t st = MCOMP_OK, done_;
    mc_value *from = source(n), *in[2];
    mc_node *r;
    const mc_type *to = &n->out[0]->type;
    const int constant = mc_node_is(n, "Reshape") && n->in[1]->init;
    if (from->type.rank < 0 || to->rank < 0 || from->init) return MCOMP_OK;
    if (mc_types_equal(&from->type, to)) return mc_bypass(g, n, from, &done_);
    if (constant && from == n->in[0]) return MCOMP_OK;
    for (int attempt = 0; attempt < 2; attempt++) { /* from the source, else at least from the direct input */
        in[0] = attempt ? n->in[0] : from;
        if (attempt && (constant || in[0] == from)) break;
        MC_TRY(mc_shape_const(g, &in[0]->type, to, &in[1]));
        if (!in[1]) continue;
        MC_TRY(mc_rewrite_begin(g, "", "Reshape", "shape", n, 2, in, &r));
        return mc_rewrite_end(g, r, n, n->out[0]);
    }
done:
    return st;
}

int32_t mc_pass_shape(mc_graph *g, const mc_pass_options *o)
{
    int32_t st = MCOMP_OK;
    (void)o;
    for (int64_t i = 0; i < g->n_order; i++) {
        mc_node *n = g->order[i];
        if (n->dead || !is_reshaping(n) || !n->in[0] || !n->out[0] || n->out[0]->n_uses + (n->out[0]->flags & MC_VALUE_OUTPUT) == 0)
            continue;
        MC_TRY(visit(g, n));
    }
done:
    return st;
}
