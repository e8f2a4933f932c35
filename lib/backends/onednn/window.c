/* Windows over channels-last planes, for convolutions and pools: geometry, and tiles of output rows. The input rows of a tile are
 * contiguous, and padding above and below differs only for the first and last tiles, so a handful of primitives covers all tiles. */
#include "plugin.h"

#include <string.h>

/* Values of an ints attribute for the two axes; a 1-d window gets 1 for the height. 0: malformed. */
static int read_pair(const mcomp_bk_node *n, const char *name, int32_t axes, int64_t out[2])
{
    int64_t v[4];
    const int32_t count = dn_host->attr_ints(n, name, v, 4);
    out[0] = out[1] = 1;
    if (count < 0) return 1;
    if (count != axes) return 0;
    if (axes == 2) out[0] = v[0];
    out[1] = v[axes - 1];
    return out[0] > 0 && out[1] > 0;
}

static int read_pads(const mcomp_bk_node *n, int32_t axes, dc_conv_geometry *g)
{
    int64_t v[4];
    const int32_t count = dn_host->attr_ints(n, "pads", v, 4);
    if (count < 0) return 1;
    if (count != 2 * axes) return 0;
    g->pad_l[1] = v[axes - 1];
    g->pad_r[1] = v[2 * axes - 1];
    if (axes == 2) {
        g->pad_l[0] = v[0];
        g->pad_r[0] = v[2];
    }
    return v[0] >= 0 && v[1] >= 0 && (axes == 1 || (v[2] >= 0 && v[3] >= 0));
}

const char *dn_window_read(const mcomp_bk_node *n, const int64_t *kernel, int global, dn_window *w)
{
    int64_t dx[MCOMP_MAX_RANK], dy[MCOMP_MAX_RANK], k[2] = {1, 1}, dilation[2];
    const mcomp_bk_value *x = dn_host->node_input(n, 0), *y = dn_host->node_output(n, 0);
    memset(w, 0, sizeof *w);
    const int32_t rank = dn_host->value_rank(x), axes = rank - 2;
    if (axes < 1 || axes > 2 || dn_host->value_rank(y) != rank) return "neither one nor two spatial axes";
    dn_host->value_dims(x, dx);
    dn_host->value_dims(y, dy);
    for (int32_t i = 1; i < rank; i++)
        if (dx[i] < 1 || dy[i] < 1) return "a plane of unknown size";
    *w = (dn_window){.n = dx[0] > 0 ? dx[0] : 1, .c = dx[rank - 1], .h = axes == 2 ? dx[1] : 1, .w = dx[rank - 2],
                     .oh = axes == 2 ? dy[1] : 1, .ow = dy[rank - 2], .g.strides = {1, 1}};
    w->rows = w->oh;
    if (global) {
        w->kh = w->h;
        w->kw = w->w;
        return NULL;
    }
    if (kernel) {
        k[0] = axes == 2 ? kernel[0] : 1;
        k[1] = kernel[axes - 1];
    } else if (!read_pair(n, "kernel_shape", axes, k)) {
        return "no kernel_shape";
    }
    w->kh = k[0];
    w->kw = k[1];
    if (!read_pair(n, "strides", axes, w->g.strides) || !read_pair(n, "dilations", axes, dilation)) return "malformed strides or dilations";
    for (int32_t i = 0; i < 2; i++) w->g.dilates[i] = dilation[i] - 1;
    return read_pads(n, axes, &w->g) ? NULL : "malformed pads";
}

void dn_window_key(const dn_window *w, int64_t y0, int64_t y1, int64_t channels, int64_t key[DN_KEY], int64_t *first)
{
    const int64_t begin = y0 * w->g.strides[0] - w->g.pad_l[0];
    const int64_t end = (y1 - 1) * w->g.strides[0] - w->g.pad_l[0] + (w->kh - 1) * (w->g.dilates[0] + 1) + 1;
    const int64_t lo = begin < 0 ? 0 : begin, hi = end > w->h ? w->h : end;
    key[0] = hi - lo;
    key[1] = lo - begin;
    key[2] = end - hi;
    key[3] = y1 - y0;
    key[4] = channels;
    *first = lo;
}

int dn_window_shapes(const dn_window *w, int64_t channels, dn_shapes *s)
{
    const int64_t tiles = (w->oh + w->rows - 1) / w->rows;
    s->n = 0;
    for (int64_t i = 0; i < tiles; i++) {
        const int64_t t = i == 0 ? tiles / 2 : i <= tiles / 2 ? i - 1 : i; /* middle, then the others in order */
        const int64_t y1 = (t + 1) * w->rows;
        int64_t key[DN_KEY], first;
        int known = 0;
        dn_window_key(w, t * w->rows, y1 < w->oh ? y1 : w->oh, channels, key, &first);
        if (key[0] < 1) return 0; /* a tile in the padding altogether */
        for (int32_t k = 0; k < s->n; k++) known |= memcmp(s->key[k], key, sizeof key) == 0;
        if (known) continue;
        if (s->n == DN_MAX_PRIMITIVES / 2) return 0; /* two sets of channels */
        memcpy(s->key[s->n++], key, sizeof key);
    }
    return s->n > 0;
}

dc_conv_geometry dn_window_geometry(const dn_window *w, const int64_t key[DN_KEY])
{
    dc_conv_geometry g = w->g;
    g.pad_l[0] = key[1];
    g.pad_r[0] = key[2];
    g.pad_r[1] = (w->ow - 1) * g.strides[1] + (w->kw - 1) * (g.dilates[1] + 1) + 1 - w->w - g.pad_l[1];
    return g;
}

int32_t dn_window_check(const dn_window *w, const mcomp_bk_buffer *x)
{
    for (int32_t i = 1; i < x->rank; i++)
        if (x->dims[i] != (i == x->rank - 1 ? w->c : i == x->rank - 2 ? w->w : w->h))
            return dn_host->fail(MCOMP_INTERNAL, "onednn", "the plane differs from that of the plan");
    return MCOMP_OK;
}

/* Classes of output positions of an axis by the taps that lie inside the image; taps of class i: [from[i], to[i]). -1: too many. */
static int64_t classify(int64_t outputs, int64_t kernel, int64_t stride, int64_t dilation, int64_t pad, int64_t size, uint8_t *class,
                        int64_t from[256], int64_t to[256])
{
    int64_t n = 0;
    for (int64_t o = 0; o < outputs; o++) {
        int64_t a = 0, b = kernel, c = 0;
        while (a < b && o * stride - pad + a * dilation < 0) a++;
        while (b > a && o * stride - pad + (b - 1) * dilation >= size) b--;
        while (c < n && (from[c] != a || to[c] != b)) c++;
        if (c == 256) return -1;
        if (c == n) {
            from[n] = a;
            to[n++] = b;
        }
        class[o] = (uint8_t)c;
    }
    return n;
}

int32_t dn_correction_make(dn_correction *c, const dn_window *win, const int8_t *w, int64_t m, int64_t cg, int32_t zp)
{
    int64_t y0[256], y1[256], x0[256], x1[256], at = 0;
    if (zp == 0) return MCOMP_OK;
    c->row_class = dn_host->alloc((uint64_t)win->oh);
    c->col_class = dn_host->alloc((uint64_t)win->ow);
    if (!c->row_class || !c->col_class) return dn_host->fail(MCOMP_NO_MEMORY, "onednn", "no memory for corrections");
    const int64_t rows = classify(win->oh, win->kh, win->g.strides[0], win->g.dilates[0] + 1, win->g.pad_l[0], win->h, c->row_class, y0, y1);
    c->columns = classify(win->ow, win->kw, win->g.strides[1], win->g.dilates[1] + 1, win->g.pad_l[1], win->w, c->col_class, x0, x1);
    if (rows < 0 || c->columns < 0) return dn_host->fail(MCOMP_UNSUPPORTED, "onednn", "too many kinds of windows at the border");
    c->rows = dn_host->alloc((uint64_t)(rows * c->columns * m) * sizeof *c->rows);
    if (!c->rows) return dn_host->fail(MCOMP_NO_MEMORY, "onednn", "no memory for corrections");
    for (int64_t r = 0; r < rows; r++)
        for (int64_t q = 0; q < c->columns; q++)
            for (int64_t o = 0; o < m; o++) {
                int32_t sum = 0;
                for (int64_t i = 0; i < cg; i++)
                    for (int64_t ky = y0[r]; ky < y1[r]; ky++)
                        for (int64_t kx = x0[q]; kx < x1[q]; kx++) sum += w[((o * cg + i) * win->kh + ky) * win->kw + kx];
                c->rows[at++] = zp * sum;
            }
    return MCOMP_OK;
}
