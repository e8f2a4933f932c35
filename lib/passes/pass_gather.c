/* Elementwise steps behind Gather from a small constant table happen once, in the table: f(T[ids]) = f(T)[ids]. Exact, because
 * every element is computed as before. */
#include "passes/internal.h"

enum { TABLE_ELEMENTS = 1 << 18 };

/* The other operands of u are constants that depend on the last axis at most. */
static int fits(const mc_node *u, const mc_value *v, int64_t width)
{
    if (!u->desc || !u->desc->forward || !(u->desc->traits & MC_OP_ELEMENTWISE) || u->n_out != 1 || u->n_in > 8) return 0;
    int32_t seen = 0;
    for (int32_t i = 0; i < u->n_in; i++) {
        if (!u->in[i]) continue;
        if (u->in[i] == v) {
            seen++;
            continue;
        }
        const mc_tensor *t = mc_value_const(u->in[i]);
        if (!t || t->dtype == MCOMP_STRING) return 0;
        if (mc_tensor_elements(t) != 1 && !mc_const_along(u->in[i], v->type.rank, v->type.rank - 1, width)) return 0;
    }
    return seen > 0 && mc_dims_equal(&u->out[0]->type, &v->type) && u->out[0]->type.dtype == MCOMP_F32;
}

/* u on the table; the constants get a shape that broadcasts to rows. */
static int32_t new_table(const mc_node *u, const mc_value *v, const mc_tensor *table, mc_tensor **out)
{
    int32_t st = MCOMP_OK;
    const mc_tensor *in[8] = {NULL};
    mc_tensor small[8];
    for (int32_t i = 0; i < u->n_in; i++) {
        if (!u->in[i]) continue;
        if (u->in[i] == v) {
            in[i] = table;
            continue;
        }
        small[i] = *u->in[i]->init;
        if (mc_tensor_elements(&small[i]) == 1) small[i].shape.rank = 0;
        else small[i].shape = (mc_shape){.rank = 1, .dim = {mc_tensor_elements(&small[i])}};
        in[i] = &small[i];
    }
    st = mc_op_eval(u, u->n_in, in, out);
    return st;
}

static int32_t visit(mc_graph *g, mc_node *n)
{
    int32_t st = MCOMP_OK;
    mc_node *u = mc_value_only_user(n->out[0]), *gather;
    const mc_tensor *t = mc_value_const(n->in[0]);
    mc_tensor *table;
    mc_value *in[2] = {NULL, n->in[1]};
    if (!u || !t || t->dtype != MCOMP_F32 || t->shape.rank != 2 || mc_tensor_elements(t) > TABLE_ELEMENTS) return MCOMP_OK;
    if (n->out[0]->type.rank < 1 || mc_attr_i(n, "axis", 0) != 0 || !fits(u, n->out[0], t->shape.dim[1])) return MCOMP_OK;
    st = new_table(u, n->out[0], t, &table);
    if (st == MCOMP_NO_MEMORY) return st;
    mc_error_clear();
    if (st != MCOMP_OK) return MCOMP_OK;
    MC_TRY(mc_graph_add_const(g, n->in[0]->name, table, &in[0]));
    MC_TRY(mc_rewrite_begin(g, "", "Gather", "gather", n, 2, in, &gather));
    MC_TRY(mc_node_set_i(gather, "axis", 0));
    MC_TRY(mc_node_inherit(gather, n, "gather"));
    st = mc_rewrite_end(g, gather, u, u->out[0]);
done:
    return st;
}

int32_t mc_pass_gather(mc_graph *g, const mc_pass_options *o)
{
    int32_t st = MCOMP_OK;
    (void)o;
    for (int64_t i = 0; i < g->n_order; i++)
        if (!g->order[i]->dead && mc_node_is(g->order[i], "Gather")) MC_TRY(visit(g, g->order[i]));
done:
    return st;
}
