/* Geometry of channels-last windows over bytes; copies of padded input rows. */
#include "backends/cpu/qwindow.h"

/* Values of an ints attribute for the spatial axes, the last axis last; otherwise `all` for each. 0: malformed. */
static int spatial(const mc_node *n, const char *name, int32_t axes, int64_t all, int64_t out[2])
{
    int64_t count = 0;
    const int64_t *v = mc_attr_ints(n, name, &count);
    out[0] = name[0] == 'p' ? 0 : 1; /* the axis that a 1-d window lacks */
    out[1] = all;
    if (!v) {
        if (axes == 2) out[0] = all;
        return 1;
    }
    if (count != axes) return 0;
    if (axes == 2) out[0] = v[0];
    out[1] = v[axes - 1];
    return out[0] >= 1 && out[1] >= 1 && out[0] < INT32_MAX && out[1] < INT32_MAX;
}

int mc_q_window_read(const mc_node *n, int32_t rank, const int64_t *kernel, mc_q_window *w)
{
    const int32_t axes = rank - 2;
    int64_t k[2], s[2], d[2], count = 0;
    if (axes < 1 || axes > 2 || mc_node_attr(n, "auto_pad")) return 0;
    if (!spatial(n, "strides", axes, 1, s) || !spatial(n, "dilations", axes, 1, d)) return 0;
    if (kernel) {
        k[0] = axes == 2 ? kernel[0] : 1;
        k[1] = kernel[axes - 1];
    } else if (!mc_node_attr(n, "kernel_shape") || !spatial(n, "kernel_shape", axes, 1, k)) {
        return 0;
    }
    *w = (mc_q_window){.kh = k[0], .kw = k[1], .sh = s[0], .sw = s[1], .dh = d[0], .dw = d[1], .groups = mc_attr_i(n, "group", 1)};
    const int64_t *p = mc_attr_ints(n, "pads", &count);
    if (p && count != 2 * axes) return 0;
    if (p) {
        w->left = p[axes - 1];
        w->right = p[2 * axes - 1];
        w->top = axes == 2 ? p[0] : 0;
        w->bottom = axes == 2 ? p[2] : 0;
    }
    return w->kh >= 1 && w->kw >= 1 && w->kh < 1024 && w->kw < 1024 && w->groups >= 1 && w->top >= 0 && w->left >= 0 &&
           w->bottom >= 0 && w->right >= 0 && w->top < INT32_MAX && w->left < INT32_MAX;
}

mc_q_image mc_q_image_of(const mcomp_bk_buffer *x, const mcomp_bk_buffer *y)
{
    const int flat = x->rank == 3;
    return (mc_q_image){x->dims[0], flat ? 1 : x->dims[1], x->dims[x->rank - 2], x->dims[x->rank - 1],
                        flat ? 1 : y->dims[1], y->dims[y->rank - 2], y->dims[y->rank - 1]};
}

void mc_q_copy(const mc_kernels_int8 *k, const mc_q_window *w, const mc_q_image *i, const uint8_t *x, int64_t oy, int64_t oh,
               const mc_qmap *map, uint8_t *out)
{
    const int64_t width = mc_q_span_w(w, i->ow), rows = mc_q_span_h(w, oh), first = oy * w->sh - w->top, c = i->c;
    const int64_t left = w->left < width ? w->left : width;
    const int64_t body = i->w < width - left ? i->w : width - left, right = width - left - body;
    for (int64_t r = 0; r < rows; r++, out += width * c) {
        const int64_t y = first + r;
        if (y < 0 || y >= i->h) {
            memset(out, map->zp, (size_t)(width * c));
            continue;
        }
        memset(out, map->zp, (size_t)(left * c));
        if (map->flip) k->flip(x + y * i->w * c, body * c, map->flip, out + left * c);
        else memcpy(out + left * c, x + y * i->w * c, (size_t)(body * c));
        memset(out + (left + body) * c, map->zp, (size_t)(right * c));
    }
}
