/* How a Transpose moves through each family of operators: elementwise with all operands seen in the old order, concatenation,
 * reduction, softmax, padding, slicing and splitting with their axes renamed, and Reshape that splits or merges axes. */
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

/* Resize: scales or sizes, one an axis, in the old order. */
static int32_t move_resize(mc_layout *l, int32_t *moved)
{
    int32_t st = MCOMP_OK;
    mc_node *u = l->u, *c;
    mc_value *in[4] = {l->t->in[0], NULL, NULL, NULL};
    if (l->index != 0 || u->n_in > 4 || mc_node_attr(u, "axes") || !outputs_have_rank(u, l->rank)) return MCOMP_OK;
    for (int make = 0; make < 2; make++)
        for (int32_t i = 2; i < u->n_in; i++) {
            const mc_tensor *t = mc_value_const(u->in[i]);
            if (!u->in[i] || (t && mc_tensor_elements(t) == 0)) continue;
            if (!t || t->shape.rank != 1 || t->shape.dim[0] != l->rank) return MCOMP_OK;
            if (!make) continue;
            mc_tensor *p;
            MC_TRY(mc_tensor_copy(&p, t));
            const size_t bytes = (size_t)mc_dtype_bits(t->dtype) / 8;
            for (int32_t a = 0; a < l->rank; a++)
                memcpy((uint8_t *)p->data + (size_t)l->perm[a] * bytes, (const uint8_t *)t->data + (size_t)a * bytes, bytes);
            MC_TRY(mc_graph_add_const(l->g, u->in[i]->name, p, &in[i]));
        }
    MC_TRY(copy_node(l, u->n_in, in, &c));
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

/* How a Reshape groups the axes that are not 1: every group is one axis on one side at least, symbols only stand alone. */
typedef struct regroup {
    int32_t n;
    int32_t nv[MC_MAX_RANK], nw[MC_MAX_RANK]; /* axes of group i before and after */
    int32_t v[MC_MAX_RANK], w[MC_MAX_RANK];   /* those axes, group after group */
} regroup;

static int32_t non_units(const mc_type *t, int32_t *axes)
{
    int32_t n = 0;
    for (int32_t i = 0; i < t->rank; i++)
        if (t->dim[i] != 1) axes[n++] = i;
    return n;
}

static int match_groups(const mc_type *v, const mc_type *w, regroup *r)
{
    const int32_t nv = non_units(v, r->v), nw = non_units(w, r->w);
    int32_t i = 0, j = 0;
    r->n = 0;
    while (i < nv && j < nw) {
        int64_t pv = v->dim[r->v[i]], pw = w->dim[r->w[j]];
        const int32_t i0 = i++, j0 = j++;
        while (pv != pw) {
            if (pv <= 0 || pw <= 0) return 0; /* a symbol, or nothing at all */
            if (pv < pw) {
                if (i == nv || __builtin_mul_overflow(pv, v->dim[r->v[i++]], &pv)) return 0;
            } else {
                if (j == nw || __builtin_mul_overflow(pw, w->dim[r->w[j++]], &pw)) return 0;
            }
        }
        r->nv[r->n] = i - i0;
        r->nw[r->n] = j - j0;
        if (r->nv[r->n] > 1 && r->nw[r->n] > 1) return 0;
        r->n++;
    }
    return i == nv && j == nw;
}

/* Merged axes that are neighbours before the Transpose too, but in another order (channel shuffle): `inner` brings them into the
 * order they are merged in, and l->perm and x (the type it is done on) follow. 1 if anything had to be moved. */
static int sort_groups(mc_layout *l, mc_type *x, const regroup *r, int64_t *inner)
{
    int any = 0;
    int64_t place[MC_MAX_RANK];
    const mc_type old = *x;
    for (int32_t i = 0; i < l->rank; i++) inner[i] = i;
    for (int32_t group = 0, v0 = 0; group < r->n; v0 += r->nv[group], group++) {
        int64_t low = l->rank, high = -1;
        for (int32_t i = 0; i < r->nv[group]; i++) {
            const int64_t at = l->perm[r->v[v0 + i]];
            low = at < low ? at : low;
            high = at > high ? at : high;
        }
        if (high - low + 1 != r->nv[group]) continue;
        for (int32_t i = 0; i < r->nv[group]; i++) {
            any |= l->perm[r->v[v0 + i]] != low + i;
            inner[low + i] = l->perm[r->v[v0 + i]];
        }
    }
    for (int32_t i = 0; i < l->rank; i++) {
        x->dim[i] = old.dim[inner[i]];
        place[inner[i]] = i;
    }
    for (int32_t i = 0; any && i < l->rank; i++) l->perm[i] = place[l->perm[i]];
    return any;
}

/* Axis j of w (-1: none) and the axes of 1 right behind it. */
static void emit_with_units(const mc_type *w, int32_t j, mc_type *to, int64_t *perm, int32_t *at)
{
    for (int32_t i = j < 0 ? 0 : j; i < w->rank && (i == j || w->dim[i] == 1); i++) {
        to->dim[*at] = w->dim[i];
        perm[i] = (*at)++;
    }
}

/* Type of the Reshape when it is done before the Transpose, and the Transpose behind it. 0 if merged axes are not neighbours there. */
static int plan_reshape(const mc_layout *l, const mc_type *x, const mc_type *w, const regroup *r, mc_type *to, int64_t *perm)
{
    int32_t at = 0, order[MC_MAX_RANK];
    const int32_t n = non_units(x, order);
    *to = *w;
    emit_with_units(w, -1, to, perm, &at);
    for (int32_t k = 0; k < n;) {
        int32_t group = 0, v0 = 0, w0 = 0;
        while (group < r->n && l->perm[r->v[v0]] != order[k]) v0 += r->nv[group], w0 += r->nw[group], group++;
        if (group == r->n) return 0;
        for (int32_t i = 0; i < r->nv[group]; i++, k++)
            if (k == n || l->perm[r->v[v0 + i]] != order[k]) return 0;
        for (int32_t j = 0; j < r->nw[group]; j++) emit_with_units(w, r->w[w0 + j], to, perm, &at);
    }
    return at == w->rank;
}

/* Reshape that splits or merges neighbouring axes, or adds and drops axes of 1, is done in the old order. */
static int32_t move_reshape(mc_layout *l, int32_t *moved)
{
    int32_t st = MCOMP_OK;
    mc_node *u = l->u;
    const mc_type *w = &u->out[0]->type;
    mc_type to, x = l->t->in[0]->type;
    int64_t perm[MC_MAX_RANK], inner[MC_MAX_RANK];
    regroup groups;
    mc_value *from = l->t->in[0], *r, *y;
    mc_layout sorted = *l;
    if (l->index != 0 || w->rank < 0 || x.rank != l->rank || !match_groups(&l->t->out[0]->type, w, &groups)) return MCOMP_OK;
    const int shuffle = sort_groups(&sorted, &x, &groups, inner);
    if (!plan_reshape(&sorted, &x, w, &groups, &to, perm)) return MCOMP_OK;
    if (shuffle) {
        int whole = 1; /* nothing is won if the rest of the order stays as it was */
        for (int32_t i = 0; i < w->rank; i++) whole &= perm[i] == i;
        if (whole) return MCOMP_OK;
        MC_TRY(mc_transposed(l->g, "layout_operand", from, l->rank, inner, &from));
    }
    MC_TRY(mc_reshaped(l->g, ORIGIN, from, &to, &r));
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
    if (mc_node_is(u, "Reshape")) return move_reshape(l, moved);
    if (mc_node_is(u, "Concat")) return move_concat(l, moved);
    if (mc_node_is(u, "Softmax") || mc_node_is(u, "LogSoftmax")) return move_axis(l, -1, moved);
    if (mc_node_is(u, "Split")) return move_axis(l, 0, moved);
    if (mc_node_is(u, "Pad")) return move_pad(l, moved);
    if (mc_node_is(u, "Resize")) return move_resize(l, moved);
    if (mc_node_is(u, "Slice")) return move_slice(l, moved);
    if (u->domain[0] == 0 && strncmp(u->op, "Reduce", 6) == 0) return move_reduce(l, moved);
    return move_elementwise(l, moved);
}
