/* Axes of operators that move elements, and of the quantization pair. */
#include "ops/axes.h"

void mc_axes_shape(mc_axes *a, const mc_node *n)
{
    (void)a;
    (void)n;
}

void mc_axes_transpose(mc_axes *a, const mc_node *n)
{
    const int32_t rank = n->in[0]->type.rank;
    int64_t count = 0;
    const int64_t *perm = mc_attr_ints(n, "perm", &count);
    for (int32_t k = 0; k < rank; k++) {
        const int64_t from = count == rank ? perm[k] : rank - 1 - k;
        mc_axes_same(a, n->in[0], (int32_t)from, n->out[0], k);
    }
}

/* One axis against several with the same number of elements: the first of these that is free carries the units, each of which is a slab.
 * Which one is free is known only after the first round. */
static void factor(mc_axes *a, const mc_value *one, int32_t axis, const mc_value *many, int32_t from, int32_t to)
{
    int32_t carrier = -1;
    if (mc_axes_round(a) == 0) return;
    for (int32_t k = from; k < to && carrier < 0; k++)
        if (many->type.dim[k] > 1 && !mc_axes_pinned(a, many, k)) carrier = k;
    for (int32_t k = from; k < to; k++)
        if (k != carrier) mc_axes_pin(a, many, k);
    if (carrier < 0 || mc_axes_length(a, one, axis) < 0) {
        mc_axes_pin(a, one, axis);
        if (carrier >= 0) mc_axes_pin(a, many, carrier);
        return;
    }
    int64_t inner = 1;
    for (int32_t k = carrier + 1; k < to; k++) inner *= many->type.dim[k];
    const int64_t n = one->type.dim[axis];
    for (int64_t i = 0; i < n; i++) mc_axes_tie(a, one, axis, i, many, carrier, i / inner % many->type.dim[carrier], 1);
}

static void pin_range(mc_axes *a, const mc_value *v, int32_t from, int32_t to)
{
    for (int32_t k = from; k < to; k++) mc_axes_pin(a, v, k);
}

/* A size that the graph does not write down can be written only if at most one axis has one and it is not where the input has it. */
static int writable(const mc_node *n)
{
    const mc_type *x = &n->in[0]->type, *y = &n->out[0]->type;
    int unknown = 0;
    for (int32_t k = 0; k < y->rank; k++)
        if (y->dim[k] < 0 && !(k < x->rank && x->dim[k] == y->dim[k])) unknown++;
    return unknown <= 1;
}

void mc_axes_reshape(mc_axes *a, const mc_node *n)
{
    const mc_value *x = n->in[0], *y = n->out[0];
    const int32_t rx = x->type.rank, ry = y->type.rank;
    int32_t i = 0, j = 0;
    if (rx < 0 || ry < 0 || !writable(n)) {
        mc_axes_pin_node(a, n);
        return;
    }
    while (i < rx || j < ry) {
        const int64_t dx = i < rx ? x->type.dim[i] : 1, dy = j < ry ? y->type.dim[j] : 1;
        if (i < rx && j < ry && dx == dy) {
            mc_axes_same(a, x, i++, y, j++);
            continue;
        }
        if (dx == 1 && i < rx && !(j < ry && dy < 0)) {
            i++;
            continue;
        }
        if (dy == 1 && j < ry && !(i < rx && dx < 0)) {
            j++;
            continue;
        }
        int64_t px = dx, py = dy; /* the next axes of both that hold the same elements */
        int32_t ei = i + 1, ej = j + 1;
        while (px > 0 && py > 0 && px != py) {
            if (px < py && ei < rx && x->type.dim[ei] > 0) px *= x->type.dim[ei++];
            else if (py < px && ej < ry && y->type.dim[ej] > 0) py *= y->type.dim[ej++];
            else px = -1;
        }
        if (px <= 0 || py <= 0) { /* sizes that are not known mix: nothing can be said of the rest */
            pin_range(a, x, i, rx);
            pin_range(a, y, j, ry);
            return;
        }
        if (ei - i == 1) factor(a, x, i, y, j, ej);
        else if (ej - j == 1) factor(a, y, j, x, i, ei);
        else {
            pin_range(a, x, i, ei);
            pin_range(a, y, j, ej);
        }
        i = ei;
        j = ej;
    }
}

static int32_t axis_attr(const mc_node *n, const mc_value *v, int64_t otherwise)
{
    const int64_t axis = mc_attr_i(n, "axis", otherwise);
    return (int32_t)(axis < 0 ? axis + v->type.rank : axis);
}

void mc_axes_concat(mc_axes *a, const mc_node *n)
{
    const mc_value *y = n->out[0];
    const int32_t axis = axis_attr(n, y, 0);
    int64_t at = 0;
    for (int32_t i = 0; i < n->n_in; i++) {
        const mc_value *x = n->in[i];
        for (int32_t k = 0; x && k < x->type.rank; k++)
            if (k != axis) mc_axes_same(a, x, k, y, k);
        const int64_t len = x ? mc_axes_length(a, x, axis) : -1;
        if (len < 0 || at < 0 || mc_axes_length(a, y, axis) < 0) {
            mc_axes_pin(a, y, axis);
            if (x) mc_axes_pin(a, x, axis);
            at = -1;
            continue;
        }
        mc_axes_tie(a, x, axis, 0, y, axis, at, len);
        at += len;
    }
}

void mc_axes_split(mc_axes *a, const mc_node *n)
{
    const mc_value *x = n->in[0];
    const int32_t axis = axis_attr(n, x, 0);
    int64_t at = 0;
    for (int32_t i = 0; i < n->n_out; i++) {
        const mc_value *y = n->out[i];
        const int64_t len = y ? mc_axes_length(a, y, axis) : -1;
        for (int32_t k = 0; y && k < y->type.rank; k++)
            if (k != axis) mc_axes_same(a, x, k, y, k);
        if (len < 0 || at < 0 || mc_axes_length(a, x, axis) < 0) {
            mc_axes_pin(a, x, axis);
            if (y) mc_axes_pin(a, y, axis);
            at = -1;
            continue;
        }
        mc_axes_tie(a, x, axis, at, y, axis, 0, len);
        at += len;
    }
}

/* Axes that are not cut are tied; a cut one is pinned. */
void mc_axes_slice(mc_axes *a, const mc_node *n)
{
    const mc_value *x = n->in[0], *y = n->out[0];
    if (x->type.rank < 0 || x->type.rank != y->type.rank) {
        mc_axes_pin_node(a, n);
        return;
    }
    const mc_tensor *steps = n->n_in > 4 && n->in[4] ? mc_value_const(n->in[4]) : NULL;
    int plain = n->n_in < 5 || !n->in[4] || steps;
    for (int64_t i = 0; steps && i < mc_tensor_elements(steps); i++) plain = plain && mc_tensor_get_f64(steps, i) == 1.0;
    for (int32_t k = 0; k < x->type.rank; k++) {
        if (plain && x->type.dim[k] == y->type.dim[k]) {
            mc_axes_same(a, x, k, y, k);
        } else {
            mc_axes_pin(a, x, k);
            mc_axes_pin(a, y, k);
        }
    }
}

/* data [.., axis, ..] by indices [q axes] -> the axis becomes the q axes of the indices. */
void mc_axes_gather(mc_axes *a, const mc_node *n)
{
    const mc_value *x = n->in[0], *index = n->in[1], *y = n->out[0];
    const int32_t axis = axis_attr(n, x, 0), q = index->type.rank;
    if (x->type.rank < 0 || q < 0 || y->type.rank != x->type.rank - 1 + q) {
        mc_axes_pin_node(a, n);
        return;
    }
    mc_axes_pin(a, x, axis);
    mc_axes_pin_all(a, index);
    for (int32_t k = 0; k < x->type.rank; k++)
        if (k != axis) mc_axes_same(a, x, k, y, k < axis ? k : k - 1 + q);
    for (int32_t k = axis; k < axis + q; k++) mc_axes_pin(a, y, k);
}

/* Scale and zero point have one element, or one a position of the axis; blocks pin. */
void mc_axes_qdq(mc_axes *a, const mc_node *n)
{
    const mc_value *x = n->in[0], *y = n->out[0];
    const int32_t axis = axis_attr(n, x, 1);
    if (mc_attr_i(n, "block_size", 0) != 0) {
        mc_axes_pin_node(a, n);
        return;
    }
    for (int32_t k = 0; k < x->type.rank; k++) mc_axes_same(a, x, k, y, k);
    for (int32_t i = 1; i < n->n_in; i++)
        if (n->in[i] && n->in[i]->type.rank == 1) {
            if (n->in[i]->type.dim[0] == 1) mc_axes_pin(a, n->in[i], 0);
            else mc_axes_same(a, n->in[i], 0, x, axis);
        }
}
