/* How a Transpose moves through each family of operators: elementwise with all operands seen in the old order, concatenation,
 * reduction, softmax, padding, slicing and splitting with their axes renamed, and Reshape that only adds or drops axes of 1. */
#include "passes/internal.h"

#define ORIGIN "layout"

/* u again with other inputs and no types yet; attributes are copied. */
static int32_t copy_node(mc_layout *l, int32_t n_in, mc_value *const *in, mc_node **out)
{
    int32_t st = MCOMP_OK;
    const mc_node *u = l->u;
    MC_TRY(mc_graph_add_node(l->g, u->domain, u->op, u->version, u->name, n_in, in, u->n_out, NULL, out));
    (*out)->origin = u->origin ? u->origin : ORIGIN;
    MC_TRY(mc_node_copy_attrs(*out, u));
    MC_TRY(mc_node_inherit(*out, u, (*out)->origin));
done:
    return st;
}

/* Types the copy, transposes its results and puts them in the place of u's. perm maps the old axes to the new ones. */
static int32_t finish(mc_layout *l, mc_node *c, int32_t rank, const int64_t *perm)
{
    int32_t st = MCOMP_OK;
    mc_value *v;
    for (int32_t k = 0; k < c->n_out; k++) {
        const mc_value *old = l->u->out[k];
        if (!old) continue;
        c->out[k]->type = old->type;
        for (int32_t i = 0; i < rank; i++) c->out[k]->type.dim[perm[i]] = old->type.dim[i];
    }
    MC_TRY(mc_infer_node(l->g, c));
    for (int32_t k = 0; k < c->n_out; k++) {
        mc_value *old = l->u->out[k];
        if (!old) continue;
        MC_TRY(mc_transposed(l->g, ORIGIN, c->out[k], rank, perm, &v));
        if (v != c->out[k]) v->type = old->type;
        MC_TRY(mc_graph_replace_uses(l->g, old, v));
    }
    mc_graph_remove_node(l->g, l->u);
done:
    return st;
}

static int outputs_have_rank(const mc_node *u, int32_t rank)
{
    for (int32_t k = 0; k < u->n_out; k++)
        if (u->out[k] && u->out[k]->type.rank != rank) return 0;
    return u->n_out > 0 && u->out[0];
}

/* The axes that are not 1 keep their order under the inverse. */
static int moves_units_only(const mc_layout *l, const mc_type *t)
{
    int64_t last = -1;
    for (int32_t i = 0; i < l->rank; i++) {
        if (t->dim[l->inverse[i]] == 1) continue;
        if (l->inverse[i] < last) return 0;
        last = l->inverse[i];
    }
    return 1;
}

/* An existing Transpose of v by the inverse. */
static mc_value *seen_before(const mc_layout *l, const mc_value *v)
{
    for (int64_t i = 0; i < v->n_uses; i++)
        if (mc_node_is(v->uses[i].node, "Transpose") && mc_perm_is(v->uses[i].node, l->rank, l->inverse)) return v->uses[i].node->out[0];
    return NULL;
}

/* v (an operand that broadcasts to the result) in the order before the Transpose. make = 0: only asks whether it is cheap. */
static int32_t operand(mc_layout *l, mc_value *v, int make, mc_value **out)
{
    const mc_node *p = v->producer;
    int64_t elements = 1;
    *out = NULL;
    if (v == l->t->out[0] || (mc_node_is(p, "Transpose") && mc_perm_is(p, l->rank, l->perm))) {
        *out = p->in[0];
        return MCOMP_OK;
    }
    for (int32_t i = 0; i < v->type.rank; i++) elements *= v->type.dim[i] == 1 ? 1 : 2;
    if (v->type.rank >= 0 && elements == 1) {
        *out = v;
        return MCOMP_OK;
    }
    if (v->init) {
        mc_tensor t = *v->init;
        const int32_t shift = l->rank - t.shape.rank;
        *out = v;
        if (!make) return MCOMP_OK;
        for (int32_t i = l->rank - 1; i >= 0; i--) t.shape.dim[i] = i < shift ? 1 : v->init->shape.dim[i - shift];
        t.shape.rank = l->rank;
        return mc_const_permuted(l->g, v->name, &t, l->inverse, out);
    }
    if (v->type.rank != l->rank) return MCOMP_OK;
    *out = seen_before(l, v);
    if (*out || !moves_units_only(l, &v->type)) return MCOMP_OK;
    *out = v;
    return make ? mc_transposed(l->g, "layout_operand", v, l->rank, l->inverse, out) : MCOMP_OK;
}

static int is_elementwise(const mc_node *u)
{
    if (u->n_cap || !u->desc || u->n_in > 16) return 0;
    if (u->desc->traits & MC_OP_ELEMENTWISE) return 1;
    return mc_node_is_in(u, "mcomp", "QAdd") || mc_node_is_in(u, "mcomp", "QLut") || mc_node_is(u, "QuantizeLinear") ||
           mc_node_is(u, "DequantizeLinear");
}

/* Inputs that are no operands of the elementwise part (tables, scales). */
static int is_parameter(const mc_node *u, int32_t i)
{
    return i > 0 && (mc_node_is_in(u, "mcomp", "QLut") || mc_node_is(u, "QuantizeLinear") || mc_node_is(u, "DequantizeLinear"));
}

static int32_t move_elementwise(mc_layout *l, int32_t *moved)
{
    int32_t st = MCOMP_OK;
    mc_node *u = l->u, *c;
    mc_value *in[16] = {NULL};
    const int per_axis = (mc_node_is(u, "QuantizeLinear") || mc_node_is(u, "DequantizeLinear")) && u->in[1]->type.rank != 0 &&
                         !(u->in[1]->init && mc_tensor_elements(u->in[1]->init) == 1);
    if (!is_elementwise(u) || !outputs_have_rank(u, l->rank) || (per_axis && mc_attr_i(u, "block_size", 0))) return MCOMP_OK;
    if (is_parameter(u, l->index)) return MCOMP_OK;
    for (int make = 0; make < 2; make++) {
        for (int32_t i = 0; i < u->n_in; i++) {
            if (!u->in[i]) continue;
            in[i] = u->in[i];
            if (is_parameter(u, i)) continue;
            MC_TRY(operand(l, u->in[i], make, &in[i]));
            if (!in[i]) return MCOMP_OK;
        }
    }
    MC_TRY(copy_node(l, u->n_in, in, &c));
    if (per_axis) {
        const int32_t a = mc_axis_of(mc_attr_i(u, "axis", 1), l->rank);
        if (a >= 0) MC_TRY(mc_node_set_i(c, "axis", l->perm[a]));
    }
    MC_TRY(finish(l, c, l->rank, l->perm));
    *moved = 1;
done:
    return st;
}

static int32_t move_concat(mc_layout *l, int32_t *moved)
{
    int32_t st = MCOMP_OK;
    mc_node *u = l->u, *c;
    mc_value *in[MC_OP_MAX_IO] = {NULL};
    const int32_t a = mc_axis_of(mc_attr_i(u, "axis", 0), l->rank);
    if (u->n_in > MC_OP_MAX_IO || a < 0 || !outputs_have_rank(u, l->rank)) return MCOMP_OK;
    for (int make = 0; make < 2; make++)
        for (int32_t i = 0; i < u->n_in; i++) {
            if (u->in[i]->type.rank != l->rank) return MCOMP_OK;
            MC_TRY(operand(l, u->in[i], make, &in[i]));
            if (!in[i]) return MCOMP_OK;
            if (make && in[i] == u->in[i] && !u->in[i]->init) MC_TRY(mc_transposed(l->g, "layout_operand", u->in[i], l->rank, l->inverse, &in[i]));
        }
    MC_TRY(copy_node(l, u->n_in, in, &c));
    MC_TRY(mc_node_set_i(c, "axis", l->perm[a]));
    MC_TRY(finish(l, c, l->rank, l->perm));
    *moved = 1;
done:
    return st;
}

/* One axis attribute: Softmax, LogSoftmax, Split. */
static int32_t move_axis(mc_layout *l, int64_t standard, int32_t *moved)
{
    int32_t st = MCOMP_OK;
    mc_node *u = l->u, *c;
    mc_value *in[2] = {l->t->in[0], u->n_in > 1 ? u->in[1] : NULL};
    const int32_t a = mc_axis_of(mc_attr_i(u, "axis", standard), l->rank);
    if (l->index != 0 || a < 0 || !outputs_have_rank(u, l->rank) || u->n_in > 2) return MCOMP_OK;
    MC_TRY(copy_node(l, u->n_in, in, &c));
    MC_TRY(mc_node_set_i(c, "axis", l->perm[a]));
    MC_TRY(finish(l, c, l->rank, l->perm));
    *moved = 1;
done:
    return st;
}

static int32_t move_reduce(mc_layout *l, int32_t *moved)
{
    int32_t st = MCOMP_OK, count, rank = 0;
    mc_node *u = l->u, *c;
    int64_t axes[MC_MAX_RANK], rest[MC_MAX_RANK], perm[MC_MAX_RANK];
    uint32_t gone = 0;
    const int keep = mc_attr_i(u, "keepdims", 1) != 0;
    mc_value *in[2] = {l->t->in[0], NULL};
    if (l->index != 0 || !mc_reduce_axes(u, axes, &count) || u->out[0]->type.rank != (keep ? l->rank : l->rank - count)) return MCOMP_OK;
    for (int32_t i = 0; i < count; i++) {
        gone |= 1u << axes[i];
        axes[i] = l->perm[axes[i]];
    }
    for (int32_t i = 0; i < l->rank; i++) /* axes of the result, as axes of the input before the Transpose */
        if (keep || !(gone >> i & 1)) rest[rank++] = l->perm[i];
    for (int32_t i = 0; i < rank; i++) {
        perm[i] = 0;
        for (int32_t k = 0; k < rank; k++) perm[i] += rest[k] < rest[i];
    }
    MC_TRY(mc_graph_add_const_i64s(l->g, "axes", axes, count, &in[1]));
    MC_TRY(copy_node(l, 2, in, &c));
    MC_TRY(finish(l, c, rank, perm));
    *moved = 1;
done:
    return st;
}

/* Pad: the list of pads in the old order, for all axes. */
static int32_t move_pad(mc_layout *l, int32_t *moved)
{
    int32_t st = MCOMP_OK, count, n_axes = l->rank;
    mc_node *u = l->u, *c;
    int64_t pads[2 * MC_MAX_RANK], axes[MC_MAX_RANK], all[2 * MC_MAX_RANK] = {0};
    mc_value *in[3] = {l->t->in[0], NULL, u->n_in > 2 ? u->in[2] : NULL};
    if (l->index != 0 || !mc_const_ints(u->in[1], pads, 2 * MC_MAX_RANK, &count) || !outputs_have_rank(u, l->rank)) return MCOMP_OK;
    for (int32_t i = 0; i < l->rank; i++) axes[i] = i;
    if (u->n_in > 3 && u->in[3] && !mc_const_ints(u->in[3], axes, MC_MAX_RANK, &n_axes)) return MCOMP_OK;
    if (count != 2 * n_axes) return MCOMP_OK;
    for (int32_t i = 0; i < n_axes; i++) {
        const int32_t a = mc_axis_of(axes[i], l->rank);
        if (a < 0) return MCOMP_OK;
        all[l->perm[a]] = pads[i];
        all[l->rank + l->perm[a]] = pads[n_axes + i];
    }
    MC_TRY(mc_graph_add_const_i64s(l->g, "pads", all, 2 * l->rank, &in[1]));
    MC_TRY(copy_node(l, in[2] ? 3 : 2, in, &c));
    MC_TRY(finish(l, c, l->rank, l->perm));
    *moved = 1;
done:
    return st;
}

static int32_t move_slice(mc_layout *l, int32_t *moved)
{
    int32_t st = MCOMP_OK, count;
    mc_node *u = l->u, *c;
    int64_t axes[MC_MAX_RANK];
    mc_value *in[5] = {NULL};
    if (l->index != 0 || u->n_in < 3 || !outputs_have_rank(u, l->rank)) return MCOMP_OK;
    if (u->n_in > 3 && u->in[3]) {
        if (!mc_const_ints(u->in[3], axes, MC_MAX_RANK, &count)) return MCOMP_OK;
    } else {
        if (u->in[1]->type.rank != 1 || u->in[1]->type.dim[0] < 0 || u->in[1]->type.dim[0] > l->rank) return MCOMP_OK;
        count = (int32_t)u->in[1]->type.dim[0];
        for (int32_t i = 0; i < count; i++) axes[i] = i;
    }
    for (int32_t i = 0; i < count; i++) {
        const int32_t a = mc_axis_of(axes[i], l->rank);
        if (a < 0) return MCOMP_OK;
        axes[i] = l->perm[a];
    }
    for (int32_t i = 0; i < u->n_in; i++) in[i] = u->in[i];
    in[0] = l->t->in[0];
    MC_TRY(mc_graph_add_const_i64s(l->g, "axes", axes, count, &in[3]));
    MC_TRY(copy_node(l, u->n_in > 3 ? u->n_in : 4, in, &c));
    MC_TRY(finish(l, c, l->rank, l->perm));
    *moved = 1;
done:
    return st;
}

/* Reshape that keeps all axes that are not 1: they are reshaped in the old order with the ones behind them. */
static int32_t move_unit_reshape(mc_layout *l, int32_t *moved)
{
    int32_t st = MCOMP_OK, n_kept = 0, at = 0;
    mc_node *u = l->u;
    const mc_type *v = &l->t->out[0]->type, *w = &u->out[0]->type, *x = &l->t->in[0]->type;
    mc_type to = {.dtype = w->dtype, .rank = w->rank};
    int64_t place[MC_MAX_RANK], perm[MC_MAX_RANK];
    mc_value *r, *y;
    if (l->index != 0 || w->rank < 0 || x->rank != l->rank) return MCOMP_OK;
    for (int32_t i = 0; i < x->rank; i++) {
        place[i] = n_kept;
        if (x->dim[i] == 1) continue;
        if (n_kept == w->rank) return MCOMP_OK;
        to.dim[n_kept++] = x->dim[i];
    }
    int32_t ones = n_kept;
    for (int32_t j = 0; j < w->rank; j++) {
        if (w->dim[j] == 1) {
            if (ones == w->rank) return MCOMP_OK;
            to.dim[ones] = 1;
            perm[j] = ones++;
            continue;
        }
        while (at < v->rank && v->dim[at] == 1) at++;
        if (at == v->rank || v->dim[at] != w->dim[j]) return MCOMP_OK;
        perm[j] = place[l->perm[at++]];
    }
    while (at < v->rank && v->dim[at] == 1) at++;
    if (at != v->rank || ones != w->rank) return MCOMP_OK;
    MC_TRY(mc_reshaped(l->g, ORIGIN, l->t->in[0], &to, &r));
    if (!r) return MCOMP_OK;
    MC_TRY(mc_transposed(l->g, ORIGIN, r, w->rank, perm, &y));
    if (y == l->t->in[0] && u->out[0]->flags & MC_VALUE_OUTPUT && y->flags & (MC_VALUE_INPUT | MC_VALUE_OUTPUT)) return MCOMP_OK;
    if (y != r) y->type = *w;
    MC_TRY(mc_graph_replace_uses(l->g, u->out[0], y));
    if (y->producer && y != l->t->in[0]) MC_TRY(mc_node_inherit(y->producer, u, y->producer->origin));
    mc_graph_remove_node(l->g, u);
    *moved = 1;
done:
    return st;
}

int32_t mc_layout_move(mc_layout *l, int32_t *moved)
{
    const mc_node *u = l->u;
    if (mc_node_is(u, "Reshape")) return move_unit_reshape(l, moved);
    if (mc_node_is(u, "Concat")) return move_concat(l, moved);
    if (mc_node_is(u, "Softmax") || mc_node_is(u, "LogSoftmax")) return move_axis(l, -1, moved);
    if (mc_node_is(u, "Split")) return move_axis(l, 0, moved);
    if (mc_node_is(u, "Pad")) return move_pad(l, moved);
    if (mc_node_is(u, "Slice")) return move_slice(l, moved);
    if (u->domain[0] == 0 && strncmp(u->op, "Reduce", 6) == 0) return move_reduce(l, moved);
    return move_elementwise(l, moved);
}
