/* mcomp.Conv, channels-last, on tiles of output rows: the input rows of a tile are contiguous, and padding above and below differs
 * only for the first and last tiles, so a handful of primitives covers all tiles. One spatial axis counts as height 1. */
#include "plugin.h"

#include <stdio.h>
#include <string.h>

#define INLINE_MACS 400000.0

typedef struct conv_shape {
    int64_t n, c, m, groups, h, w, oh, ow, kh, kw;
    dc_conv_geometry g;
    int32_t rank;
} conv_shape;

/* Values of an ints attribute for the two axes; a 1-d window gets `missing` for the height. 0: malformed. */
static int read_pair(const mcomp_bk_node *n, const char *name, int32_t axes, int64_t missing, int64_t otherwise, int64_t out[2])
{
    int64_t v[4];
    const int32_t count = dn_host->attr_ints(n, name, v, 4);
    out[0] = axes == 2 && count < 0 ? otherwise : missing;
    out[1] = otherwise;
    if (count < 0) return 1;
    if (count != axes) return 0;
    if (axes == 2) out[0] = v[0];
    out[1] = v[axes - 1];
    return 1;
}

static int read_pads(const mcomp_bk_node *n, int32_t axes, dc_conv_geometry *g)
{
    int64_t v[4];
    const int32_t count = dn_host->attr_ints(n, "pads", v, 4);
    memset(g->pad_l, 0, sizeof g->pad_l);
    memset(g->pad_r, 0, sizeof g->pad_r);
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

static int read_shape(const mcomp_bk_node *n, conv_shape *s)
{
    int64_t dx[MCOMP_MAX_RANK], dw[MCOMP_MAX_RANK], dy[MCOMP_MAX_RANK], dilation[2];
    const mcomp_bk_value *x = dn_host->node_input(n, 0), *w = dn_host->node_input(n, 1), *y = dn_host->node_output(n, 0);
    if (!x || !w || !y || dn_host->value_dtype(x) != MCOMP_F32 || dn_host->value_dtype(w) != MCOMP_F32 || !dn_host->value_const(w)) return 0;
    s->rank = dn_host->value_rank(x);
    const int32_t axes = s->rank - 2;
    if (axes < 1 || axes > 2 || dn_host->value_rank(w) != s->rank || dn_host->value_rank(y) != s->rank) return 0;
    dn_host->value_dims(x, dx);
    dn_host->value_dims(w, dw);
    dn_host->value_dims(y, dy);
    for (int32_t i = 1; i < s->rank; i++)
        if (dx[i] < 1 || dy[i] < 1) return 0; /* sizes of the plane must be known */
    s->n = dx[0] > 0 ? dx[0] : 1;
    s->c = dx[s->rank - 1];
    s->m = dw[0];
    s->groups = dn_host->attr_int(n, "group", 1);
    s->h = axes == 2 ? dx[1] : 1;
    s->w = dx[s->rank - 2];
    s->oh = axes == 2 ? dy[1] : 1;
    s->ow = dy[s->rank - 2];
    s->kh = axes == 2 ? dw[2] : 1;
    s->kw = dw[s->rank - 1];
    if (!read_pair(n, "strides", axes, 1, 1, s->g.strides) || !read_pair(n, "dilations", axes, 1, 1, dilation)) return 0;
    for (int32_t i = 0; i < 2; i++) s->g.dilates[i] = dilation[i] - 1;
    return read_pads(n, axes, &s->g) && s->groups > 0 && s->m % s->groups == 0;
}

/* Output rows of a tile: at least four tiles where the plane allows, each worth the overhead. */
static int64_t tile_rows(const conv_shape *s)
{
    const double row = (double)s->ow * (double)s->m * (double)(s->c / s->groups) * (double)(s->kh * s->kw);
    int64_t rows = (s->oh + 3) / 4;
    while (rows < s->oh && (double)rows * row < 1e6) rows++;
    while (rows > 1 && (double)rows * row > 8e6) rows = (rows + 1) / 2;
    return rows;
}

/* Input rows and padding of output rows y0..y1: {input rows, padding above, below, output rows}; *first: input row. */
static void tile_key(const conv_shape *s, int64_t y0, int64_t y1, int64_t key[4], int64_t *first)
{
    const int64_t begin = y0 * s->g.strides[0] - s->g.pad_l[0];
    const int64_t end = (y1 - 1) * s->g.strides[0] - s->g.pad_l[0] + (s->kh - 1) * (s->g.dilates[0] + 1) + 1;
    const int64_t lo = begin < 0 ? 0 : begin, hi = end > s->h ? s->h : end;
    key[0] = hi - lo;
    key[1] = lo - begin;
    key[2] = end - hi;
    key[3] = y1 - y0;
    *first = lo;
}

static int describe(const mcomp_bk_instance *b, const conv_shape *s, const int64_t key[4], const dc_md *weights, dnnl_primitive_desc_t *pd)
{
    dc_md src = {0}, wei = {0}, dst = {0};
    dc_conv_geometry g = s->g;
    const int64_t ds[4] = {1, s->c, key[0], s->w}, dd[4] = {1, s->m, key[3], s->ow};
    const int64_t dw[5] = {s->groups, s->m / s->groups, s->c / s->groups, s->kh, s->kw}, dw1[4] = {s->m, s->c, s->kh, s->kw};
    const int grouped = s->groups > 1;
    g.pad_l[0] = key[1];
    g.pad_r[0] = key[2];
    g.pad_r[1] = (s->ow - 1) * g.strides[1] + (s->kw - 1) * (g.dilates[1] + 1) + 1 - s->w - g.pad_l[1]; /* what is really read */
    const int bad = key[0] < 1 || dc_md_tag(&src, 4, ds, dnnl_f32, dnnl_nhwc) || dc_md_tag(&dst, 4, dd, dnnl_f32, dnnl_nhwc) ||
                    (!weights && dc_md_tag(&wei, grouped ? 5 : 4, grouped ? dw : dw1, dnnl_f32, dnnl_format_tag_any)) ||
                    dc_conv(pd, b->engine, &src, weights ? weights : &wei, &dst, &g, b->attr);
    dc_md_free(&src);
    dc_md_free(&wei);
    dc_md_free(&dst);
    return bad;
}

/* Distinct tile shapes, the middle one first: it chooses the layout of the weights. -1: too many. */
static int32_t tile_shapes(const conv_shape *s, int64_t keys[DN_MAX_PRIMITIVES][4])
{
    const int64_t rows = tile_rows(s), tiles = (s->oh + rows - 1) / rows;
    int32_t n = 0;
    for (int64_t i = 0; i < tiles; i++) {
        const int64_t t = i == 0 ? tiles / 2 : i <= tiles / 2 ? i - 1 : i; /* middle, then the others in order */
        int64_t key[4], first;
        int known = 0;
        tile_key(s, t * rows, (t + 1) * rows < s->oh ? (t + 1) * rows : s->oh, key, &first);
        for (int32_t k = 0; k < n; k++) known |= memcmp(keys[k], key, sizeof key) == 0;
        if (known) continue;
        if (n == DN_MAX_PRIMITIVES) return -1;
        memcpy(keys[n++], key, sizeof key);
    }
    return n;
}

static int usable_tiles(const mcomp_bk_instance *b, const conv_shape *s)
{
    int64_t keys[DN_MAX_PRIMITIVES][4];
    dc_md weights = {0};
    const int32_t n = tile_shapes(s, keys);
    int good = n > 0;
    for (int32_t i = 0; i < n && good; i++) {
        dnnl_primitive_desc_t pd = NULL;
        good = !describe(b, s, keys[i], i ? &weights : NULL, &pd);
        if (good && i == 0) good = !dc_md_query(&weights, pd, dnnl_query_weights_md);
        if (pd) good = dn_usable(pd) && good;
    }
    dc_md_free(&weights);
    return good;
}

int32_t dn_conv_claim(mcomp_bk_instance *b, const mcomp_bk_node *n, mcomp_claim *out)
{
    static const int32_t index[4] = {2, 3, -1, -1};
    conv_shape s;
    dn_epilogue e;
    if (!read_shape(n, &s) || !dn_epilogue_read(n, NULL, index, &e) || !usable_tiles(b, &s)) return 0;
    const double outputs = (double)s.n * (double)s.oh * (double)s.ow * (double)s.m;
    const double macs = outputs * (double)(s.c / s.groups) * (double)(s.kh * s.kw);
    const double tiles = (double)s.n * (double)((s.oh + tile_rows(&s) - 1) / tile_rows(&s));
    /* Grouped: the multiplier waits for memory. Otherwise the built-in product measured as fast or faster on the layers of ResNet-50, and
     * twice as fast on 7 x 7 images, where every tile of a few rows reads all weights again. */
    const double slow = s.groups > 1 ? 5.0 : 1.3;
    out->cost_us = macs / dn_rate() * slow * 1e-3 + tiles * DN_EXEC_US + outputs * 0.1e-3;
    snprintf(out->kernel, sizeof out->kernel, "%s", s.groups > 1 ? "onednn:conv_grouped" : "onednn:conv");
    return 1;
}

typedef struct conv_work {
    const mcomp_bk_program *p;
    const mcomp_run_args *a;
    const conv_shape *s;
    int64_t rows, tiles;
    int32_t status;
} conv_work;

static void conv_task(void *ctx, int64_t task, int32_t worker)
{
    conv_work *w = ctx;
    const conv_shape *s = w->s;
    const int64_t image = task / w->tiles, y0 = task % w->tiles * w->rows, y1 = y0 + w->rows < s->oh ? y0 + w->rows : s->oh;
    int64_t key[4], first;
    tile_key(s, y0, y1, key, &first);
    const float *x = (const float *)w->a->buffers[w->p->x].data + (image * s->h + first) * s->w * s->c;
    const int64_t at = (image * s->oh + y0) * s->ow * s->m;
    const int32_t st = dn_execute(w->p, dn_find(w->p, key), x, (float *)w->a->buffers[w->p->y].data + at,
                                  (uint8_t *)w->a->worker_scratch + (uint64_t)worker * w->a->worker_scratch_stride);
    if (st != MCOMP_OK) __atomic_store_n(&w->status, st, __ATOMIC_RELAXED);
    else dn_epilogue_run(w->p, w->a, at, (y1 - y0) * s->ow);
}

static int32_t conv_run(const mcomp_bk_program *p, const mcomp_run_args *a)
{
    const conv_shape *s = (const conv_shape *)(const void *)p->geometry;
    const mcomp_bk_buffer *x = &a->buffers[p->x], *y = &a->buffers[p->y];
    conv_work w = {.p = p, .a = a, .s = s, .rows = tile_rows(s)};
    w.tiles = (s->oh + w.rows - 1) / w.rows;
    for (int32_t i = 1; i < x->rank; i++) /* only the number of images may differ from the plan */
        if (x->dims[i] != (i == x->rank - 1 ? s->c : i == x->rank - 2 ? s->w : s->h))
            return dn_host->fail(MCOMP_INTERNAL, "onednn", "the plane differs from that of the plan");
    const double macs = (double)y->dims[0] * (double)(s->oh * s->ow) * (double)s->m * (double)(s->c / s->groups * s->kh * s->kw);
    if (macs < INLINE_MACS) {
        for (int64_t i = 0; i < y->dims[0] * w.tiles; i++) conv_task(&w, i, 0);
    } else {
        dn_host->parallel_for(a->pool, y->dims[0] * w.tiles, conv_task, &w);
    }
    return w.status == MCOMP_OK ? MCOMP_OK : dn_host->fail(w.status, "onednn", "a primitive failed");
}

int32_t dn_conv_compile(mcomp_bk_program *p, const mcomp_bk_compile *c)
{
    static const int32_t index[4] = {2, 3, -1, -1};
    const mcomp_bk_node *n = c->nodes[0];
    int64_t keys[DN_MAX_PRIMITIVES][4];
    conv_shape s;
    dc_md from = {0};
    int32_t st = MCOMP_OK;
    _Static_assert(sizeof s <= sizeof p->geometry, "the program holds the shape");
    memset(&s, 0, sizeof s);
    if (!read_shape(n, &s) || !dn_epilogue_read(n, c, index, &p->e)) return dn_fail(MCOMP_INTERNAL, n, "not a Conv that was claimed");
    memcpy(p->geometry, &s, sizeof s);
    p->k = s.c;
    p->m = s.m;
    p->run = conv_run;
    const int32_t shapes = tile_shapes(&s, keys);
    for (int32_t i = 0; i < shapes && st == MCOMP_OK; i++) {
        dnnl_primitive_desc_t pd = NULL;
        if (describe(p->b, &s, keys[i], i ? &p->weights : NULL, &pd)) return dn_fail(MCOMP_INTERNAL, n, "oneDNN refuses a tile");
        st = dn_add(p, pd, keys[i]);
    }
    if (st != MCOMP_OK) return st;
    const int64_t dw[5] = {s.groups, s.m / s.groups, s.c / s.groups, s.kh, s.kw}, dw1[4] = {s.m, s.c, s.kh, s.kw};
    const int bad = s.groups > 1 ? dc_md_tag(&from, 5, dw, dnnl_f32, dnnl_goihw) : dc_md_tag(&from, 4, dw1, dnnl_f32, dnnl_oihw);
    st = bad ? dn_fail(MCOMP_INTERNAL, n, "no descriptor of the weights") : dn_pack(p, c, dn_host->node_input(n, 1), &from, s.groups > 1 ? "cg" : "c");
    dc_md_free(&from);
    return st;
}
