/* Pools over channels-last planes, on tiles of output rows: mcomp.MaxPool, AveragePool and their Global forms on floats, maxima on bytes.
 * Averages of bytes are refused: the library rounds them to bytes before our scale would be applied. */
#include "plugin.h"

#include <stdio.h>
#include <string.h>

#define INLINE_VALUES 200000.0 /* read by pools that stay in the calling thread */

typedef struct pool_shape {
    dn_window w;
    dnnl_data_type_t type;
    dnnl_alg_kind_t alg;
} pool_shape;

/* An output of the axis whose window lies in the padding altogether, or reaches beyond the padding (ceil_mode). */
static int odd_windows(int64_t outputs, int64_t kernel, int64_t stride, int64_t pad_l, int64_t pad_r, int64_t size, int *beyond)
{
    const int64_t last = (outputs - 1) * stride - pad_l;
    if (last + kernel > size + pad_r) *beyond = 1;
    return pad_l >= kernel || last >= size;
}

static const char *read_shape(const mcomp_bk_node *n, pool_shape *s)
{
    const char *op = dn_host->node_op(n);
    const mcomp_bk_value *x = dn_host->node_input(n, 0), *y = dn_host->node_output(n, 0);
    const int average = strstr(op, "Average") != NULL, global = strstr(op, "Global") != NULL;
    int beyond = 0;
    if (op[0] == 'Q') return "the library rounds averages of bytes before the scale";
    if (!x || !y || dn_host->value_dtype(x) != dn_host->value_dtype(y)) return "an output of another type";
    if (dn_host->node_n_outputs(n) > 1 && dn_host->node_output(n, 1)) return "indices";
    switch (dn_host->value_dtype(x)) {
    case MCOMP_F32: s->type = dnnl_f32; break;
    case MCOMP_U8: s->type = dnnl_u8; break;
    case MCOMP_I8: s->type = dnnl_s8; break;
    default: return "an X of another type";
    }
    if (average && s->type != dnnl_f32) return "the library rounds averages of bytes";
    const char *no = dn_window_read(n, NULL, global, &s->w);
    if (no) return no;
    dn_window *w = &s->w;
    const dc_conv_geometry *g = &w->g;
    if (g->dilates[0] || g->dilates[1]) return "dilated pools have a reference implementation only";
    if (odd_windows(w->oh, w->kh, g->strides[0], g->pad_l[0], g->pad_r[0], w->h, &beyond) ||
        odd_windows(w->ow, w->kw, g->strides[1], g->pad_l[1], g->pad_r[1], w->w, &beyond))
        return "windows of padding only";
    const int include = average && dn_host->attr_int(n, "count_include_pad", 0) != 0;
    if (include && beyond) return "the library would count what ceil_mode added";
    s->alg = !average ? dnnl_pooling_max : include ? dnnl_pooling_avg_include_padding : dnnl_pooling_avg_exclude_padding;
    const int64_t row = w->ow * w->c * w->kh * w->kw;
    w->rows = (w->oh + 3) / 4;
    while (w->rows < w->oh && w->rows * row < 100000) w->rows++;
    return NULL;
}

static int describe(const mcomp_bk_instance *b, const pool_shape *s, const int64_t key[DN_KEY], dnnl_primitive_desc_t *pd)
{
    dc_md src = {0}, dst = {0};
    const dn_window *w = &s->w;
    const dc_conv_geometry g = dn_window_geometry(w, key);
    const int64_t ds[4] = {1, w->c, key[0], w->w}, dd[4] = {1, w->c, key[3], w->ow}, kernel[2] = {w->kh, w->kw};
    const int bad = dc_md_tag(&src, 4, ds, s->type, dnnl_nhwc) || dc_md_tag(&dst, 4, dd, s->type, dnnl_nhwc) ||
                    dc_pool(pd, b->engine, s->alg, &src, &dst, &g, kernel, b->attr);
    dc_md_free(&src);
    dc_md_free(&dst);
    return bad;
}

int32_t dn_pool_claim(mcomp_bk_instance *b, const mcomp_bk_node *n, mcomp_claim *out)
{
    pool_shape s;
    dn_shapes shapes;
    const char *no = read_shape(n, &s);
    if (!no && !dn_window_shapes(&s.w, s.w.c, &shapes)) no = "too many tile shapes";
    for (int32_t i = 0; !no && i < shapes.n; i++) {
        dnnl_primitive_desc_t pd = NULL;
        if (describe(b, &s, shapes.key[i], &pd) || !dn_usable(pd, 0)) no = "only a reference implementation of a tile";
    }
    if (no) return dn_refuse(n, no);
    const dn_window *w = &s.w;
    const double read = (double)w->n * (double)(w->oh * w->ow * w->c) * (double)(w->kh * w->kw);
    /* An estimate, on the side of the built-in pools, which do not allocate. */
    out->cost_us = (double)w->n * (double)((w->oh + w->rows - 1) / w->rows) * DN_EXEC_US + read * (s.type == dnnl_f32 ? 0.15e-3 : 0.1e-3);
    snprintf(out->kernel, sizeof out->kernel, "onednn:pool_%s%s", s.alg == dnnl_pooling_max ? "max" : "avg", s.type == dnnl_f32 ? "" : "_8");
    return 1;
}

static int32_t pool_task(const dn_work *w, int64_t task, int32_t worker)
{
    const mcomp_bk_program *p = w->p;
    const dn_window *s = &p->win;
    const int64_t image = task / w->tiles, y0 = task % w->tiles * s->rows, y1 = y0 + s->rows < s->oh ? y0 + s->rows : s->oh;
    const int64_t element = w->a->buffers[p->x].dtype == MCOMP_F32 ? 4 : 1;
    int64_t key[DN_KEY], first;
    dn_window_key(s, y0, y1, s->c, key, &first);
    const uint8_t *x = (const uint8_t *)w->a->buffers[p->x].data + (image * s->h + first) * s->w * s->c * element;
    uint8_t *y = (uint8_t *)w->a->buffers[p->y].data + (image * s->oh + y0) * s->ow * s->c * element;
    return dn_execute(p, dn_find(p, key), 0, x, y, (uint8_t *)w->a->worker_scratch + (uint64_t)worker * w->a->worker_scratch_stride);
}

static int32_t pool_run(const mcomp_bk_program *p, const mcomp_run_args *a)
{
    const dn_window *s = &p->win;
    const int64_t images = a->buffers[p->y].dims[0];
    dn_work w = {.p = p, .a = a, .task = pool_task, .tiles = (s->oh + s->rows - 1) / s->rows};
    const int32_t st = dn_window_check(s, &a->buffers[p->x]);
    if (st != MCOMP_OK) return st;
    const double values = (double)images * (double)(s->oh * s->ow * s->c) * (double)(s->kh * s->kw);
    return dn_work_run(&w, images * w.tiles, values < INLINE_VALUES);
}

int32_t dn_pool_compile(mcomp_bk_program *p, const mcomp_bk_compile *c)
{
    const mcomp_bk_node *n = c->nodes[0];
    pool_shape s;
    dn_shapes shapes;
    int32_t st = MCOMP_OK;
    const char *no = read_shape(n, &s);
    if (!no && !dn_window_shapes(&s.w, s.w.c, &shapes)) no = "too many tile shapes";
    if (no) return dn_fail(MCOMP_INTERNAL, n, no);
    p->win = s.w;
    p->run = pool_run;
    for (int32_t i = 0; i < shapes.n && st == MCOMP_OK; i++) {
        dnnl_primitive_desc_t pd = NULL;
        if (describe(p->b, &s, shapes.key[i], &pd)) return dn_fail(MCOMP_INTERNAL, n, "oneDNN refuses a tile");
        st = dn_add(p, pd, shapes.key[i], -1);
    }
    return st;
}
