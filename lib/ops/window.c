/* Geometry of convolutions and pools: attributes kernel_shape, strides, dilations, pads, auto_pad, ceil_mode, group ->
 * numbers that are safe to loop over.
 *
 *   e   = (kernel - 1) * dilation + 1
 *   out = floor or ceil((in + pad_begin + pad_end - e) / stride) + 1; with ceil, a window that would start beyond the
 *         input and its begin padding is left out
 *   SAME: out = ceil(in / stride), the padding is what that needs, the odd one at the end (UPPER) or the begin (LOWER)
 */
#include "ops/nn.h"

#define BIG INT32_MAX            /* kernel, stride, dilation, pad: products of two stay in int64 */
#define BIG_DIM ((int64_t)1 << 40)

static int32_t read_list(const mc_node *n, const char *name, int32_t count, int64_t least, int64_t *out)
{
    int64_t got = 0;
    const int64_t *v = mc_attr_ints(n, name, &got);
    if (!v) return MCOMP_OK;
    if (got != count) return mc_fail(MCOMP_FORMAT, n->name, "%s: %s has %lld entries, needs %d", n->op, name, (long long)got, count);
    for (int32_t i = 0; i < count; i++) {
        if (v[i] < least || v[i] > BIG)
            return mc_fail(MCOMP_FORMAT, n->name, "%s: %s[%d] is %lld; it must be in [%lld, %d]", n->op, name, i, (long long)v[i],
                           (long long)least, BIG);
        out[i] = v[i];
    }
    return MCOMP_OK;
}

static int32_t read_kernel(const mc_node *n, const int64_t *kernel, mc_window *w)
{
    int32_t st = MCOMP_OK;
    int64_t listed[3] = {-1, -1, -1};
    MC_TRY(read_list(n, "kernel_shape", w->spatial, 1, listed));
    for (int32_t i = 0; i < w->spatial; i++) {
        w->kernel[i] = listed[i] > 0 ? listed[i] : kernel ? kernel[i] : -1;
        if (!kernel && listed[i] < 0) MC_FAIL(MCOMP_FORMAT, n->name, "%s: kernel_shape is missing", n->op);
        if (kernel && kernel[i] >= 0 && (kernel[i] == 0 || kernel[i] > BIG))
            MC_FAIL(MCOMP_SHAPE, n->name, "%s: kernel axis %d of the weight is %lld", n->op, i, (long long)kernel[i]);
        if (kernel && kernel[i] >= 0 && listed[i] > 0 && kernel[i] != listed[i])
            MC_FAIL(MCOMP_SHAPE, n->name, "%s: kernel_shape[%d] is %lld but the weight has %lld", n->op, i, (long long)listed[i],
                    (long long)kernel[i]);
    }
done:
    return st;
}

int32_t mc_window_attrs(const mc_node *n, const int64_t *kernel, mc_window *w, int32_t *mode)
{
    static const char *const modes[] = {"NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"};
    int32_t st = MCOMP_OK;
    int64_t pads[6] = {0};
    const char *text = mc_attr_s(n, "auto_pad", "NOTSET");
    for (*mode = 0; *mode < 4 && strcmp(text, modes[*mode]) != 0;) ++*mode;
    if (*mode == 4) {
        char shown[40];
        *mode = 0;
        MC_FAIL(MCOMP_FORMAT, n->name, "%s: auto_pad '%s' is unknown", n->op, mc_escape(shown, sizeof shown, text));
    }
    w->group = mc_attr_i(n, "group", 1);
    if (w->group < 1 || w->group > BIG) MC_FAIL(MCOMP_FORMAT, n->name, "%s: group is %lld", n->op, (long long)w->group);
    for (int32_t i = 0; i < 3; i++) w->stride[i] = w->dilation[i] = 1;
    MC_TRY(read_kernel(n, kernel, w));
    MC_TRY(read_list(n, "strides", w->spatial, 1, w->stride));
    MC_TRY(read_list(n, "dilations", w->spatial, 1, w->dilation));
    MC_TRY(read_list(n, "pads", 2 * w->spatial, 0, pads));
    for (int32_t i = 0; i < w->spatial && *mode == MC_PAD_EXPLICIT; i++) {
        w->pad_begin[i] = pads[i];
        w->pad_end[i] = pads[w->spatial + i];
    }
done:
    return st;
}

/* Output size and SAME padding of one axis whose input and kernel are known. */
static int32_t size_axis(const mc_node *n, mc_window *w, int32_t i, int32_t mode, int ceil_mode)
{
    const int64_t e = (w->kernel[i] - 1) * w->dilation[i] + 1, in = w->in[i], s = w->stride[i];
    if (in > BIG_DIM) return mc_fail(MCOMP_LIMIT, n->name, "%s: spatial axis %d is %lld", n->op, i, (long long)in);
    if (mode >= MC_PAD_SAME_UPPER) {
        const int64_t out = (in + s - 1) / s, need = (out - 1) * s + e - in, pad = out > 0 && need > 0 ? need : 0;
        w->pad_begin[i] = mode == MC_PAD_SAME_UPPER ? pad / 2 : pad - pad / 2;
        w->pad_end[i] = pad - w->pad_begin[i];
    }
    const int64_t room = in + w->pad_begin[i] + w->pad_end[i] - e;
    if (room < 0 || in == 0)
        return mc_fail(MCOMP_SHAPE, n->name, "%s: window of %lld does not fit spatial axis %d of %lld (padding %lld + %lld)", n->op,
                       (long long)e, i, (long long)in, (long long)w->pad_begin[i], (long long)w->pad_end[i]);
    w->out[i] = (ceil_mode ? (room + s - 1) / s : room / s) + 1;
    if (ceil_mode && (w->out[i] - 1) * s >= in + w->pad_begin[i]) w->out[i]--;
    return MCOMP_OK;
}

int32_t mc_window_read(const mc_node *n, const mc_type *x, const int64_t *kernel, mc_window *w)
{
    int32_t st = MCOMP_OK, mode = 0;
    memset(w, 0, sizeof *w);
    if (x->rank < 3 || x->rank > 5)
        MC_FAIL(MCOMP_SHAPE, n->name, "%s: input has rank %d; 1 to 3 spatial axes are supported", n->op, x->rank);
    w->spatial = x->rank - 2;
    MC_TRY(mc_window_attrs(n, kernel, w, &mode));
    const int ceil_mode = mc_attr_i(n, "ceil_mode", 0) != 0;
    for (int32_t i = 0; i < w->spatial; i++) {
        w->in[i] = x->dim[2 + i] >= 0 ? x->dim[2 + i] : -1;
        w->out[i] = -1;
        if (w->in[i] >= 0 && w->kernel[i] > 0) MC_TRY(size_axis(n, w, i, mode, ceil_mode));
        else if (mode >= MC_PAD_SAME_UPPER && w->kernel[i] > 0 && w->stride[i] == 1) { /* does not depend on the size */
            const int64_t pad = (w->kernel[i] - 1) * w->dilation[i];
            w->pad_begin[i] = mode == MC_PAD_SAME_UPPER ? pad / 2 : pad - pad / 2;
            w->pad_end[i] = pad - w->pad_begin[i];
        }
    }
done:
    return st;
}

int64_t mc_window_out_dim(mc_infer *c, const mc_window *w, int32_t i, int64_t in_dim)
{
    if (w->out[i] >= 0) return w->out[i];
    const int64_t e = (w->kernel[i] - 1) * w->dilation[i] + 1;
    if (in_dim < 0 && w->kernel[i] > 0 && w->stride[i] == 1 && w->pad_begin[i] + w->pad_end[i] == e - 1) return in_dim;
    return mc_infer_symbol(c);
}

mc_window mc_window_3d(const mc_window *w)
{
    mc_window r = *w;
    const int32_t shift = 3 - w->spatial;
    r.spatial = 3;
    for (int32_t i = 0; i < 3; i++) {
        const int32_t k = i - shift;
        r.in[i] = k < 0 ? 1 : w->in[k];
        r.out[i] = k < 0 ? 1 : w->out[k];
        r.kernel[i] = k < 0 ? 1 : w->kernel[k];
        r.stride[i] = k < 0 ? 1 : w->stride[k];
        r.dilation[i] = k < 0 ? 1 : w->dilation[k];
        r.pad_begin[i] = k < 0 ? 0 : w->pad_begin[k];
        r.pad_end[i] = k < 0 ? 0 : w->pad_end[k];
    }
    return r;
}

/* First k >= 0 with at + k * d >= limit. */
static int64_t first_at(int64_t at, int64_t d, int64_t limit) { return at >= limit ? 0 : (limit - at + d - 1) / d; }

mc_taps mc_window_taps(const mc_window *w3, const int64_t o[3])
{
    mc_taps t;
    for (int32_t i = 0; i < 3; i++) {
        t.at[i] = o[i] * w3->stride[i] - w3->pad_begin[i];
        t.lo[i] = first_at(t.at[i], w3->dilation[i], 0);
        t.hi[i] = first_at(t.at[i], w3->dilation[i], w3->in[i]);
        if (t.hi[i] > w3->kernel[i]) t.hi[i] = w3->kernel[i];
        if (t.lo[i] > t.hi[i]) t.lo[i] = t.hi[i];
    }
    return t;
}

int64_t mc_taps_count(const mc_taps *t) { return (t->hi[0] - t->lo[0]) * (t->hi[1] - t->lo[1]) * (t->hi[2] - t->lo[2]); }

int32_t mc_conv_infer(mc_infer *c, const mc_type *x, const mc_type *w, mc_window *win)
{
    int32_t st = MCOMP_OK;
    mc_type *y = &c->out[0];
    memset(win, 0, sizeof *win);
    if (x->rank >= 0 && w->rank >= 0 && x->rank != w->rank)
        MC_FAIL(MCOMP_SHAPE, c->node->name, "%s: weight of rank %d for an input of rank %d", c->node->op, w->rank, x->rank);
    if (x->rank < 0 || w->rank < 0) goto done;
    MC_TRY(mc_window_read(c->node, x, &w->dim[2], win));
    const int64_t channels = x->dim[1], per_group = w->dim[1], m = w->dim[0], g = win->group;
    if (m >= 0 && (m == 0 || m % g != 0))
        MC_FAIL(MCOMP_SHAPE, c->node->name, "%s: %lld output channels in %lld groups", c->node->op, (long long)m, (long long)g);
    if (channels >= 0 && (channels == 0 || channels % g != 0))
        MC_FAIL(MCOMP_SHAPE, c->node->name, "%s: %lld input channels in %lld groups", c->node->op, (long long)channels, (long long)g);
    if (channels >= 0 && per_group >= 0 && channels / g != per_group)
        MC_FAIL(MCOMP_SHAPE, c->node->name, "%s: the weight has %lld channels a group; the input has %lld / %lld", c->node->op,
                (long long)per_group, (long long)channels, (long long)g);
    y->rank = x->rank;
    y->dim[0] = x->dim[0];
    y->dim[1] = m;
    for (int32_t i = 0; i < win->spatial; i++) y->dim[2 + i] = mc_window_out_dim(c, win, i, x->dim[2 + i]);
done:
    return st;
}

double mc_conv_macs(const mc_type *y, const mc_type *w)
{
    if (y->rank < 0 || w->rank < 0) return 0.0;
    return mc_nn_extent_f(y, 0, y->rank) * mc_nn_extent_f(w, 1, w->rank);
}
