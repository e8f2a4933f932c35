/* mcomp.Conv and mcomp.QConv, channels-last, on tiles of output rows (window.c). Small planes of many channels are one tile of rows, and
 * parts of the output channels instead: a tile of a few rows would read all weights again. */
#include "plugin.h"

#include <stdio.h>
#include <string.h>

#define INLINE_US 5.0
#define SMALL_PLANE 256 /* output pixels */
#define PART_MACS 2e6   /* least work of a part */

typedef struct conv_shape {
    dn_window w;
    dn_parts cut;
    int64_t m, cg, groups; /* outputs, channels of a group */
    int32_t integer;
    dnnl_data_type_t x_type;
    float x_scale;
    int32_t x_zp;
} conv_shape;

static double macs_of_row(const conv_shape *s) { return (double)s->w.ow * (double)s->m * (double)s->cg * (double)(s->w.kh * s->w.kw); }

/* Tiles: at least four where the plane allows, each worth the overhead. */
static void cut(conv_shape *s)
{
    dn_window *w = &s->w;
    const double row = macs_of_row(s), least = s->integer ? 3e6 : 1e6, most = s->integer ? 24e6 : 8e6;
    s->cut = dn_cut(s->m, 1.0);
    if (s->groups == 1 && w->oh * w->ow <= SMALL_PLANE && s->m >= 128) {
        s->cut = dn_cut(s->m, (double)w->oh * row / (s->integer ? 2.0 * PART_MACS : PART_MACS));
        if (s->cut.count > 1) return;
    }
    w->rows = (w->oh + 3) / 4;
    while (w->rows < w->oh && (double)w->rows * row < least) w->rows++;
    while (w->rows > 1 && (double)w->rows * row > most) w->rows = (w->rows + 1) / 2;
}

static const char *read_shape(const mcomp_bk_node *n, conv_shape *s)
{
    int64_t dw[MCOMP_MAX_RANK];
    const mcomp_bk_value *x = dn_host->node_input(n, 0), *w = dn_host->node_input(n, 1);
    memset(s, 0, sizeof *s);
    s->integer = dn_is_op(n, "QConv");
    if (!x || !w || dn_host->value_dtype(w) != (s->integer ? MCOMP_I8 : MCOMP_F32)) return "weights of another type";
    if (!dn_host->value_const(w) || dn_host->value_rank(w) != dn_host->value_rank(x)) return "weights that are no constant";
    const int32_t dtype = dn_host->value_dtype(x);
    if (s->integer ? dtype != MCOMP_U8 && dtype != MCOMP_I8 : dtype != MCOMP_F32) return "an X of another type";
    dn_host->value_dims(w, dw);
    const char *no = dn_window_read(n, dw + 2, 0, &s->w);
    if (no) return no;
    s->m = dw[0];
    s->cg = dw[1];
    s->groups = dn_host->attr_int(n, "group", 1);
    if (s->groups < 1 || s->m % s->groups != 0 || s->cg * s->groups != s->w.c) return "malformed groups";
    cut(s);
    if (!s->integer) return NULL;
    s->x_type = dtype == MCOMP_I8 ? dnnl_s8 : dnnl_u8;
    s->x_scale = (float)dn_host->attr_float(n, "x_scale", 0.0);
    s->x_zp = (int32_t)dn_host->attr_int(n, "x_zp", 0);
    if (!dn_has_vnni()) return DN_NO_VNNI;
    if (s->cg * s->w.kh * s->w.kw > DN_MAX_DEPTH) return "sums may leave 32 bits";
    return s->x_scale > 0.0f ? NULL : "no scale of X";
}

static int describe(const mcomp_bk_instance *b, const conv_shape *s, const int64_t key[DN_KEY], const dc_md *weights, dnnl_primitive_desc_t *pd)
{
    dc_md src = {0}, wei = {0}, dst = {0};
    const dc_conv_geometry g = dn_window_geometry(&s->w, key);
    const int64_t m = key[4], ds[4] = {1, s->w.c, key[0], s->w.w}, dd[4] = {1, m, key[3], s->w.ow};
    const int64_t dw[5] = {s->groups, m / s->groups, s->cg, s->w.kh, s->w.kw}, dw1[4] = {m, s->cg, s->w.kh, s->w.kw};
    const int grouped = s->groups > 1;
    const dnnl_data_type_t type = s->integer ? s->x_type : dnnl_f32, wtype = s->integer ? dnnl_s8 : dnnl_f32;
    const int bad = dc_md_tag(&src, 4, ds, type, dnnl_nhwc) || dc_md_tag(&dst, 4, dd, s->integer ? dnnl_s32 : dnnl_f32, dnnl_nhwc) ||
                    (!weights && dc_md_tag(&wei, grouped ? 5 : 4, grouped ? dw : dw1, wtype, dnnl_format_tag_any)) ||
                    dc_conv(pd, b->engine, &src, weights ? weights : &wei, &dst, &g, b->attr);
    dc_md_free(&src);
    dc_md_free(&wei);
    dc_md_free(&dst);
    return bad;
}

/* Channels of the parts of a set, 0 if there is no such set. */
static int64_t set_channels(const dn_parts *c, int32_t set)
{
    const int64_t part = set ? c->count - 1 : 0;
    return dn_part_set(c, part) == set ? dn_part_size(c, part) : 0;
}

static int usable_tiles(const mcomp_bk_instance *b, const conv_shape *s)
{
    int good = 1;
    for (int32_t set = 0; set < 2 && good && set_channels(&s->cut, set) > 0; set++) {
        dn_shapes shapes;
        dc_md weights = {0};
        good = dn_window_shapes(&s->w, set_channels(&s->cut, set), &shapes);
        for (int32_t i = 0; i < shapes.n && good; i++) {
            dnnl_primitive_desc_t pd = NULL;
            good = !describe(b, s, shapes.key[i], i ? &weights : NULL, &pd);
            if (good && i == 0) good = !dc_md_query(&weights, pd, dnnl_query_weights_md);
            if (pd) good = dn_usable(pd, s->integer ? s->cg * s->w.kh * s->w.kw : 0) && good;
        }
        dc_md_free(&weights);
    }
    return good;
}

static const int32_t float_index[5] = {2, 3, -1, -1, -1}, integer_index[5] = {3, 4, -1, -1, 2};

int32_t dn_conv_claim(mcomp_bk_instance *b, const mcomp_bk_node *n, mcomp_claim *out)
{
    conv_shape s;
    dn_epilogue e;
    const char *no = read_shape(n, &s);
    if (!no) no = dn_epilogue_read(n, NULL, s.integer ? integer_index : float_index, &e);
    if (!no && !usable_tiles(b, &s)) no = s.integer ? "no exact implementation of a tile" : "only a reference implementation of a tile";
    if (no) return dn_refuse(n, no);
    const double outputs = (double)s.w.n * (double)s.w.oh * (double)s.w.ow * (double)s.m;
    const double macs = (double)s.w.n * (double)s.w.oh * macs_of_row(&s);
    const double tiles = (double)s.w.n * (double)((s.w.oh + s.w.rows - 1) / s.w.rows * s.cut.count);
    /* Grouped: the multiplier waits for memory. Otherwise the built-in product measured as fast or faster on the layers of ResNet-50
     * (integers: most within 20 % either way, the whole network 1 % faster), and does not allocate: `auto` keeps it. */
    const double slow = s.groups > 1 ? s.integer ? 20.0 : 5.0 : s.integer ? 1.6 : 1.3;
    out->cost_us = macs / dn_rate(s.integer) * slow * 1e-3 + tiles * DN_EXEC_US + outputs * (s.integer ? 0.2e-3 : 0.1e-3);
    out->integer = s.integer;
    snprintf(out->kernel, sizeof out->kernel, "onednn:conv%s%s", s.groups > 1 ? "_grouped" : "", s.integer ? "_s8" : "");
    return 1;
}

static int32_t conv_task(const dn_work *w, int64_t task, int32_t worker)
{
    const mcomp_bk_program *p = w->p;
    const dn_window *s = &p->win;
    const int64_t part = task % p->cut.count, at = task / p->cut.count, image = at / w->tiles;
    const int64_t y0 = at % w->tiles * s->rows, y1 = y0 + s->rows < s->oh ? y0 + s->rows : s->oh, element = p->e.integer ? 1 : 4;
    int64_t key[DN_KEY], first;
    dn_window_key(s, y0, y1, dn_part_size(&p->cut, part), key, &first);
    const dn_tile t = {.k = dn_find(p, key), .part = part, .src = (const uint8_t *)w->a->buffers[p->x].data + (image * s->h + first) * s->w * s->c * element,
                       .row = (image * s->oh + y0) * s->ow, .rows = (y1 - y0) * s->ow, .oy = y0, .worker = worker};
    return dn_tile_run(p, w->a, &t);
}

static int32_t conv_run(const mcomp_bk_program *p, const mcomp_run_args *a)
{
    const dn_window *s = &p->win;
    const mcomp_bk_buffer *y = &a->buffers[p->y];
    dn_work w = {.p = p, .a = a, .task = conv_task, .tiles = (s->oh + s->rows - 1) / s->rows};
    const int32_t st = dn_window_check(s, &a->buffers[p->x]);
    if (st != MCOMP_OK) return st;
    const double macs = (double)y->dims[0] * (double)(s->oh * s->ow) * (double)p->cut.m * (double)(p->k * s->kh * s->kw);
    return dn_work_run(&w, y->dims[0] * w.tiles * p->cut.count, macs < INLINE_US * 1e3 * dn_rate(p->e.integer));
}

static int32_t add_primitives(mcomp_bk_program *p, const conv_shape *s)
{
    int32_t st = MCOMP_OK;
    for (int32_t set = 0; set < 2 && set_channels(&s->cut, set) > 0; set++) {
        dn_shapes shapes;
        (void)dn_window_shapes(&s->w, set_channels(&s->cut, set), &shapes);
        for (int32_t i = 0; i < shapes.n && st == MCOMP_OK; i++) {
            dnnl_primitive_desc_t pd = NULL;
            if (describe(p->b, s, shapes.key[i], i ? &p->weights[set] : NULL, &pd)) return dn_host->fail(MCOMP_INTERNAL, "onednn", "oneDNN refuses a tile");
            st = dn_add(p, pd, shapes.key[i], set);
        }
    }
    return st;
}

static int32_t pack_parts(mcomp_bk_program *p, const mcomp_bk_compile *c, const conv_shape *s)
{
    const mcomp_bk_value *w = dn_host->node_input(c->nodes[0], 1);
    const dnnl_data_type_t type = s->integer ? dnnl_s8 : dnnl_f32;
    const int64_t channel = s->cg * s->w.kh * s->w.kw * (s->integer ? 1 : 4); /* bytes of an output channel */
    const uint8_t *data = dn_host->value_const(w);
    int32_t st = MCOMP_OK;
    for (int64_t part = 0; part < p->cut.count && st == MCOMP_OK; part++) {
        const int64_t m = dn_part_size(&p->cut, part), dw1[4] = {m, s->cg, s->w.kh, s->w.kw};
        const int64_t dw[5] = {s->groups, m / s->groups, s->cg, s->w.kh, s->w.kw};
        dc_md from = {0};
        const int bad = s->groups > 1 ? dc_md_tag(&from, 5, dw, type, dnnl_goihw) : dc_md_tag(&from, 4, dw1, type, dnnl_oihw);
        st = bad ? dn_fail(MCOMP_INTERNAL, c->nodes[0], "no descriptor of the weights")
                 : dn_pack(p, c, w, part, &from, data + part * p->cut.block * channel, s->groups > 1 ? "cg" : "c");
        dc_md_free(&from);
    }
    return st;
}

int32_t dn_conv_compile(mcomp_bk_program *p, const mcomp_bk_compile *c)
{
    const mcomp_bk_node *n = c->nodes[0];
    conv_shape s;
    const char *no = read_shape(n, &s);
    if (!no) no = dn_epilogue_read(n, c, s.integer ? integer_index : float_index, &p->e);
    if (no) return dn_fail(MCOMP_INTERNAL, n, no);
    p->win = s.w;
    p->cut = s.cut;
    p->k = s.cg;
    p->x_scale = s.x_scale;
    p->run = conv_run;
    int32_t st = add_primitives(p, &s);
    if (st == MCOMP_OK) st = pack_parts(p, c, &s);
    if (st == MCOMP_OK && s.integer) st = dn_correction_make(&p->correction, &s.w, dn_host->value_const(dn_host->node_input(n, 1)), s.m, s.cg, s.x_zp);
    dn_tile_plan(p, s.w.rows * s.w.ow, 0);
    return st;
}
