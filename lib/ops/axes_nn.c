/* Axes of products, convolutions, normalizations, pools. */
#include "ops/axes.h"

/* A [.., M, K] B [.., K, N] -> Y [.., M, N]; vectors have no M or no N. */
void mc_axes_matmul(mc_axes *a, const mc_node *n)
{
    const mc_value *x = n->in[0], *w = n->in[1], *y = n->out[0];
    const int32_t rx = x->type.rank, rw = w->type.rank, ry = y->type.rank;
    if (rx < 1 || rw < 1 || ry < 0) {
        mc_axes_pin_node(a, n);
        return;
    }
    const int vx = rx == 1, vw = rw == 1;
    mc_axes_same(a, x, rx - 1, w, vw ? 0 : rw - 2);
    if (!vx) mc_axes_same(a, x, rx - 2, y, vw ? ry - 1 : ry - 2);
    if (!vw) mc_axes_same(a, w, rw - 1, y, ry - 1);
    const int32_t batch = ry - !vx - !vw;
    for (int32_t s = 0; s < 2; s++) { /* batches broadcast */
        const mc_value *v = s ? w : x;
        const int32_t own = v->type.rank - 2;
        for (int32_t k = 0; k < own; k++) {
            const int32_t ky = batch - own + k;
            if (v->type.dim[k] == 1 && y->type.dim[ky] != 1) mc_axes_pin(a, v, k);
            else mc_axes_same(a, v, k, y, ky);
        }
    }
}

void mc_axes_gemm(mc_axes *a, const mc_node *n)
{
    const int ta = mc_attr_i(n, "transA", 0) != 0, tb = mc_attr_i(n, "transB", 0) != 0;
    const mc_value *x = n->in[0], *w = n->in[1], *c = n->n_in > 2 ? n->in[2] : NULL, *y = n->out[0];
    mc_axes_same(a, x, !ta, w, tb);
    mc_axes_same(a, x, ta, y, 0);
    mc_axes_same(a, w, !tb, y, 1);
    for (int32_t k = 0; c && k < c->type.rank; k++) {
        const int32_t ky = 2 - c->type.rank + k;
        if (c->type.dim[k] == 1) mc_axes_pin(a, c, k);
        else mc_axes_same(a, c, k, y, ky);
    }
}

static void pin_from(mc_axes *a, const mc_value *v, int32_t axis)
{
    for (int32_t k = axis; v && k < v->type.rank; k++) mc_axes_pin(a, v, k);
}

/* X [N, C, ..], W [M, C / groups, ..] -> [N, M, ..]. With groups, the same place of every group goes at once, so that groups stay equal. */
void mc_axes_conv(mc_axes *a, const mc_node *n)
{
    const mc_value *x = n->in[0], *w = n->in[1], *b = n->n_in > 2 ? n->in[2] : NULL, *y = n->out[0];
    const int64_t groups = mc_attr_i(n, "group", 1), c = mc_axes_length(a, x, 1), m = mc_axes_length(a, w, 0), per = mc_axes_length(a, w, 1);
    mc_axes_same(a, x, 0, y, 0);
    pin_from(a, x, 2);
    pin_from(a, w, 2);
    pin_from(a, y, 2);
    if (c < 0 || m < 0 || per < 0 || groups < 1 || c != per * groups || m % groups != 0 || mc_axes_length(a, y, 1) != m) {
        mc_axes_pin_node(a, n);
        return;
    }
    mc_axes_same(a, w, 0, y, 1);
    if (b) mc_axes_same(a, b, 0, y, 1);
    if (groups == 1) {
        mc_axes_same(a, w, 1, x, 1);
    } else if (per == 1) { /* depthwise: an input channel and its outputs are one */
        for (int64_t g = 0; g < groups; g++)
            for (int64_t k = 0; k < m / groups; k++) mc_axes_tie(a, x, 1, g, y, 1, g * (m / groups) + k, 1);
        mc_axes_pin(a, w, 1);
    } else {
        for (int64_t g = 0; g < groups; g++) {
            mc_axes_tie(a, w, 1, 0, x, 1, g * per, per);
            mc_axes_tie(a, y, 1, 0, y, 1, g * (m / groups), m / groups);
        }
    }
}

/* X [N, C, ..], W [C, M / groups, ..] -> [N, M, ..]. */
void mc_axes_conv_transpose(mc_axes *a, const mc_node *n)
{
    const mc_value *x = n->in[0], *w = n->in[1], *b = n->n_in > 2 ? n->in[2] : NULL, *y = n->out[0];
    if (mc_attr_i(n, "group", 1) != 1) {
        mc_axes_pin_node(a, n);
        return;
    }
    mc_axes_same(a, x, 0, y, 0);
    mc_axes_same(a, x, 1, w, 0);
    mc_axes_same(a, w, 1, y, 1);
    if (b) mc_axes_same(a, b, 0, y, 1);
    pin_from(a, x, 2);
    pin_from(a, w, 2);
    pin_from(a, y, 2);
}

void mc_axes_channel_norm(mc_axes *a, const mc_node *n)
{
    for (int32_t k = 0; k < n->in[0]->type.rank; k++) mc_axes_same(a, n->in[0], k, n->out[0], k);
    for (int32_t i = 1; i < n->n_in; i++)
        if (n->in[i]) mc_axes_same(a, n->in[i], 0, n->out[0], 1);
    for (int32_t i = 1; i < n->n_out; i++) mc_axes_pin_all(a, n->out[i]);
}

void mc_axes_pool(mc_axes *a, const mc_node *n)
{
    for (int32_t k = 0; k < 2; k++) mc_axes_same(a, n->in[0], k, n->out[0], k);
    pin_from(a, n->in[0], 2);
    for (int32_t i = 0; i < n->n_out; i++) pin_from(a, n->out[i], i == 0 ? 2 : 0);
}

static int32_t axis_of(const mc_node *n, int64_t axis)
{
    const int32_t rank = n->in[0]->type.rank;
    return (int32_t)(axis < 0 ? axis + rank : axis);
}

void mc_axes_along(mc_axes *a, const mc_node *n)
{
    const int32_t axis = axis_of(n, mc_attr_i(n, "axis", -1));
    for (int32_t k = 0; k < n->in[0]->type.rank; k++) mc_axes_same(a, n->in[0], k, n->out[0], k);
    mc_axes_pin(a, n->in[0], axis);
}

void mc_axes_row_norm(mc_axes *a, const mc_node *n)
{
    const int32_t axis = axis_of(n, mc_attr_i(n, "axis", -1));
    for (int32_t k = 0; k < n->in[0]->type.rank; k++) {
        mc_axes_same(a, n->in[0], k, n->out[0], k);
        if (k >= axis) mc_axes_pin(a, n->in[0], k);
    }
    for (int32_t i = 1; i < n->n_in; i++) mc_axes_pin_all(a, n->in[i]);
    for (int32_t i = 1; i < n->n_out; i++) mc_axes_pin_all(a, n->out[i]);
}

/* Axes that stay are tied; a sum over an axis counts its elements. */
void mc_axes_reduce(mc_axes *a, const mc_node *n)
{
    const mc_value *x = n->in[0], *y = n->out[0];
    const mc_tensor *axes = n->n_in > 1 && n->in[1] ? mc_value_const(n->in[1]) : NULL;
    int64_t count = 0;
    const int64_t *attr = mc_node_attr(n, "axes") ? mc_attr_ints(n, "axes", &count) : NULL;
    uint8_t summed[MC_MAX_RANK] = {0};
    if (x->type.rank < 0 || y->type.rank < 0 || (n->n_in > 1 && n->in[1] && !axes)) {
        mc_axes_pin_node(a, n);
        return;
    }
    if (axes) count = mc_tensor_elements(axes);
    for (int64_t i = 0; i < count; i++) {
        const int32_t k = axis_of(n, axes ? (int64_t)mc_tensor_get_f64(axes, i) : attr[i]);
        if (k >= 0 && k < MC_MAX_RANK) summed[k] = 1;
    }
    if (count == 0 && mc_attr_i(n, "noop_with_empty_axes", 0) == 0) memset(summed, 1, sizeof summed);
    const int keep = mc_attr_i(n, "keepdims", 1) != 0;
    for (int32_t k = 0, ky = 0; k < x->type.rank; k++) {
        if (summed[k]) mc_axes_pin(a, x, k);
        else mc_axes_same(a, x, k, y, ky);
        ky += !summed[k] || keep;
    }
}
