/* One-hot times a matrix is a row of the matrix: MatMul(Cast(Equal(ids[..., 1], 0..n-1)), W) and MatMul(OneHot(ids), W) become
 * Gather(W', Clip(ids, -1, n)). Ids outside 0..n-1 gave a zero row; W' has one appended as row n, and index -1 is that row too. */
#include "passes/internal.h"

/* Constant 0, 1, ... n-1 along the last axis. */
static int is_count(const mc_value *v, int64_t n)
{
    const mc_tensor *t = mc_value_const(v);
    if (!t || !mc_dtype_is_integer(t->dtype) || mc_tensor_elements(t) != n || t->shape.rank < 1 || t->shape.dim[t->shape.rank - 1] != n)
        return 0;
    for (int64_t i = 0; i < n; i++)
        if (mc_tensor_get_i64(t, i) != i) return 0;
    return 1;
}

/* ids (with or without a last axis of 1) if v is a one-hot of n classes along its last axis. */
static mc_value *ids_of(mc_value *v, int64_t n)
{
    double depth;
    const mc_node *hot = mc_made_by(v, "OneHot");
    if (hot && hot->n_in == 3) {
        const mc_tensor *t = mc_value_const(hot->in[2]);
        const int32_t axis = mc_axis_of(mc_attr_i(hot, "axis", -1), v->type.rank);
        if (axis != v->type.rank - 1 || !mc_value_scalar(hot->in[1], &depth) || depth != (double)n || !t || mc_tensor_elements(t) != 2)
            return NULL;
        /* negative ids count from the end in OneHot, but not in what we make of them: only unsigned ones are safe */
        const int32_t d = hot->in[0]->type.dtype;
        const int safe = d == MCOMP_U8 || d == MCOMP_U16;
        return safe && mc_tensor_get_f64(t, 0) == 0.0 && mc_tensor_get_f64(t, 1) == 1.0 ? hot->in[0] : NULL;
    }
    const mc_node *cast = mc_made_by(v, "Cast"), *eq = cast ? mc_made_by(cast->in[0], "Equal") : NULL;
    for (int32_t i = 0; eq && i < 2; i++) {
        mc_value *ids = eq->in[i];
        const int32_t dtype = ids->type.dtype;
        if (is_count(eq->in[1 - i], n) && mc_dim_at(ids, -1) == 1 && ids->type.rank == v->type.rank &&
            (dtype == MCOMP_I32 || dtype == MCOMP_I64))
            return ids;
    }
    return NULL;
}

/* W with a row of zeros below. */
static int32_t padded_table(mc_graph *g, const mc_value *w, mc_value **out)
{
    mc_tensor *t;
    const mc_shape s = {.rank = 2, .dim = {w->init->shape.dim[0] + 1, w->init->shape.dim[1]}};
    *out = NULL;
    const int32_t st = mc_tensor_create(&t, MCOMP_F32, &s);
    if (st != MCOMP_OK) return st;
    memcpy(t->data, w->init->data, (size_t)mc_tensor_bytes(w->init));
    return mc_graph_add_const(g, w->name, t, out);
}

static int32_t limit(mc_graph *g, int32_t dtype, int64_t v, mc_value **out)
{
    mc_tensor *t;
    const mc_shape s = {.rank = 0};
    *out = NULL;
    const int32_t st = mc_tensor_create(&t, dtype, &s);
    if (st != MCOMP_OK) return st;
    mc_tensor_set_i64(t, 0, v);
    return mc_graph_add_const(g, "limit", t, out);
}

static int32_t visit(mc_graph *g, mc_node *n)
{
    int32_t st = MCOMP_OK;
    const mc_tensor *w = n->n_in == 2 ? mc_value_const(n->in[1]) : NULL;
    mc_value *in[3], *flat;
    mc_node *clip, *gather;
    if (!mc_node_is(n, "MatMul") || !w || w->dtype != MCOMP_F32 || w->shape.rank != 2) return MCOMP_OK;
    mc_value *ids = ids_of(n->in[0], w->shape.dim[0]);
    if (!ids || ids->type.rank < 1 || n->out[0]->type.rank < 1) return MCOMP_OK;
    mc_type to = n->out[0]->type; /* without the last axis */
    to.rank--;
    to.dtype = ids->type.dtype;
    MC_TRY(mc_reshaped(g, "onehot", ids, &to, &flat));
    if (!flat) return MCOMP_OK;
    in[0] = flat;
    MC_TRY(limit(g, ids->type.dtype, mc_made_by(n->in[0], "OneHot") ? 0 : -1, &in[1]));
    MC_TRY(limit(g, ids->type.dtype, w->shape.dim[0], &in[2]));
    MC_TRY(mc_rewrite(g, "", "Clip", "onehot", n->in[0]->producer, 3, in, NULL, &clip));
    MC_TRY(padded_table(g, n->in[1], &in[0]));
    in[1] = clip->out[0];
    MC_TRY(mc_rewrite_begin(g, "", "Gather", "onehot", n, 2, in, &gather));
    MC_TRY(mc_node_set_i(gather, "axis", 0));
    st = mc_rewrite_end(g, gather, n, n->out[0]);
done:
    return st;
}

int32_t mc_pass_onehot(mc_graph *g, const mc_pass_options *o)
{
    int32_t st = MCOMP_OK;
    (void)o;
    if (!mc_op_find("", "Gather") || !mc_op_find("", "Clip")) return MCOMP_OK;
    for (int64_t i = 0; i < g->n_order; i++)
        if (!g->order[i]->dead) MC_TRY(visit(g, g->order[i]));
done:
    return st;
}
