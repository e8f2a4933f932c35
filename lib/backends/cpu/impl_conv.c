/* mcomp.Conv in float, channels-last. No im2col: along a kernel row the input of an output pixel is contiguous (kw * C floats),
 * so a kernel row is one "tap" of the matrix product with that inner size, and output pixels are its rows. Dilated or
 * grouped windows use one tap a kernel element. Depthwise convolutions have a kernel of their own. 1x1 with stride 1 is
 * one product over all pixels. */
#include "backends/cpu/gemm.h"
#include "backends/cpu/window.h"

#include <stdio.h>

#define PIXELS 112       /* outputs of a task: multiples of the register tile for the usual widths 7, 14, 28, 56 */
#define MAX_TAPS 1024
#define TASK_MACS 400000 /* below: the calling thread alone */

typedef struct conv {
    mc_q_window w;
    int64_t c, m, k, taps; /* k: inner size of a tap; taps of one product */
    int depthwise, flat;   /* flat: 1x1, stride 1, no padding */
    const float *weight;
    mcomp_epilogue_f32 e;
    int64_t tile_copy; /* floats of a worker's copy */
} conv;

static int read_conv(const mc_node *n, conv *v)
{
    const mc_type *x = mc_cpu_in_type(n, 0), *w = mc_cpu_in_type(n, 1);
    if (!mc_cpu_is(x, MCOMP_F32) || !mc_cpu_is(w, MCOMP_F32) || w->rank < 3 || x->rank != w->rank || !mc_value_const(n->in[1])) return 0;
    if (!mc_q_window_read(n, w->rank, w->dim + 2, &v->w) || x->dim[x->rank - 1] < 1) return 0;
    v->c = x->dim[x->rank - 1];
    v->m = w->dim[0];
    const int64_t taps = v->w.kh * v->w.kw;
    if (taps > MAX_TAPS || v->m % v->w.groups != 0 || v->c != w->dim[1] * v->w.groups) return 0;
    v->depthwise = v->w.groups > 1 && v->w.groups == v->c && v->m == v->c;
    v->flat = taps == 1 && v->w.sh == 1 && v->w.sw == 1 && v->w.groups == 1 && !v->w.top && !v->w.left && !v->w.bottom && !v->w.right;
    const int rows = v->w.groups == 1 && v->w.dw == 1;
    v->k = rows ? v->w.kw * v->c : w->dim[1];
    v->taps = rows ? v->w.kh : taps;
    return 1;
}

static int32_t claim(const mc_node *n, mcomp_claim *out)
{
    conv v = {0};
    if (!read_conv(n, &v)) return 0;
    const double outputs = mc_cpu_guess(mc_cpu_out_type(n, 0)), depth = (double)(v.k * v.taps);
    if (v.depthwise) return mc_cpu_claim_f32(out, "depthwise", outputs, depth * mc_cpu_mac_ns() * 4.0 + 0.1);
    const double per_group = (double)(v.m / v.w.groups); /* part of the last 16 columns is idle */
    return mc_cpu_claim_f32(out, "conv", outputs, depth * mc_cpu_mac_ns() * 1.2 * (double)((v.m / v.w.groups + 15) / 16 * 16) / per_group + 0.1);
}

/* Weights [M][C/g][kh][kw] -> for each group packed panels of [kh*kw*C/g][M/g]; depthwise: [taps][C]. */
static int32_t fill(void *ctx, void *block)
{
    const mc_cpu_step *s = ctx;
    const conv *v = s->state;
    const float *w = mc_value_const(s->node->in[1])->data;
    const int64_t taps = v->w.kh * v->w.kw, cg = v->c / v->w.groups, mg = v->m / v->w.groups, rows = taps * cg;
    float *out = block;
    if (v->depthwise) {
        for (int64_t t = 0; t < taps; t++)
            for (int64_t c = 0; c < v->c; c++) *out++ = w[c * taps + t];
        return MCOMP_OK;
    }
    for (int64_t g = 0; g < v->w.groups; g++)
        for (int64_t p = 0; p < mg; p += MC_GEMM_PANEL)
            for (int64_t r = 0; r < rows; r++) /* r = tap * cg + channel */
                for (int64_t j = p; j < p + MC_GEMM_PANEL; j++)
                    *out++ = j < mg ? w[((g * mg + j) * cg + r % cg) * taps + r / cg] : 0.0f;
    return MCOMP_OK;
}

/* Floats of the largest tile copy for planes of at most oh x ow outputs (a run's plane may be smaller than the plan's). */
static int64_t largest_copy(const conv *v, int64_t oh, int64_t ow)
{
    int64_t most = 0;
    for (int64_t c = 1; c <= 2 * PIXELS && c <= ow; c++) {
        int64_t rows, columns;
        mc_cpu_window_tile(oh, c, PIXELS, &rows, &columns);
        const int64_t n = mc_cpu_window_copy(&v->w, v->c, rows, columns);
        if (n > most) most = n;
    }
    return most;
}

static int32_t prepare(mc_cpu_step *s)
{
    int32_t st = MCOMP_OK;
    char key[80];
    const void *block = NULL;
    conv *v = mc_calloc(1, sizeof *v);
    if (!v) return MCOMP_NO_MEMORY;
    s->state = v;
    if (!read_conv(s->node, v)) return mc_fail(MCOMP_INTERNAL, s->node->name, "not a convolution this kernel knows");
    MC_TRY(mc_cpu_epilogue_read(s->node, &v->e));
    const int64_t mg = v->m / v->w.groups, panels = v->depthwise ? 1 : v->w.groups * ((mg + 15) / 16) * 16;
    const uint64_t floats = (uint64_t)(panels * v->w.kh * v->w.kw) * (uint64_t)(v->depthwise ? v->c : v->c / v->w.groups);
    snprintf(key, sizeof key, "conv_f32:%llx:%d:%lld", (unsigned long long)s->host->value_key((const mcomp_bk_value *)(const void *)s->node->in[1]),
             v->depthwise, (long long)v->w.groups);
    MC_TRY(s->host->pack(s->store, key, floats * sizeof(float), fill, s, &block));
    v->weight = block;
    const mc_type *y = mc_cpu_out_type(s->node, 0);
    const int64_t oh = y->rank == 3 ? 1 : y->dim[1], ow = y->dim[y->rank - 2];
    if (!v->depthwise && !v->flat) v->tile_copy = largest_copy(v, oh < 1 ? INT32_MAX : oh, ow < 1 ? INT32_MAX : ow);
    s->worker_scratch_bytes = (uint64_t)v->tile_copy * sizeof(float);
done:
    return st;
}

typedef struct conv_work {
    const mc_cpu_step *s;
    const mcomp_run_args *a;
    const conv *v;
    mc_q_image i;
    const float *x, *bias, *residual;
    float *y;
    int64_t rows, columns, row_tiles, column_tiles, channel_blocks, channels; /* channels of a block, whole panels of one group */
} conv_work;

/* Output channels j0..j1 (of one group) of a tile. 1: the epilogue is done. */
static int conv_channels(const conv_work *w, const mc_cpu_tile *t, const float *in, int64_t row, int64_t group, int64_t j0, int64_t j1, float *y)
{
    const conv *v = w->v;
    const int64_t cg = v->c / v->w.groups, mg = v->m / v->w.groups, depth = v->k * v->taps, padded = (mg + 15) / 16 * 16;
    int64_t tap[MAX_TAPS];
    int finished = 0;
    mcomp_epilogue_f32 e = v->e;
    e.residual = w->residual;
    for (int64_t k = 0; k < v->taps; k++)
        tap[k] = v->taps == v->w.kh && v->k == v->w.kw * v->c ? k * v->w.dh * row
                                                             : k / v->w.kw * v->w.dh * row + k % v->w.kw * v->w.dw * v->c;
    mc_gemm_f32 g = {.tap = tap, .taps = v->taps, .a_row = v->w.sw * v->c, .a_col = 1, .b_row = MC_GEMM_PANEL, .b_panel = MC_GEMM_PANEL * depth,
                     .ldc = v->m, .m = t->x1 - t->x0, .k = v->k};
    for (int64_t j = j0; j < j1; j += 2 * MC_GEMM_PANEL) { /* a pair of panels stays in the cache for all rows of the tile */
        g.n = j1 - j < 2 * MC_GEMM_PANEL ? j1 - j : 2 * MC_GEMM_PANEL;
        g.b = v->weight + group * padded * depth + j * depth;
        e.bias = w->bias ? w->bias + group * mg + j : NULL;
        finished = mc_cpu_finish(&g, &e);
        for (int64_t oy = 0; oy < t->y1 - t->y0; oy++) {
            g.a = in + oy * v->w.sh * row + group * cg;
            g.c = y + oy * w->i.ow * v->m + group * mg + j;
            w->s->kernels->f32.gemm(&g);
        }
    }
    return finished;
}

/* Depthwise: taps outside the image are left out, so nothing is copied; only the columns near the left and right edges differ
 * from the rest of a row. */
static void depthwise_rows(const conv_work *w, const mc_cpu_tile *t, const float *image, float *y)
{
    const conv *v = w->v;
    const mc_q_window *q = &v->w;
    const float *tap[MAX_TAPS], *weight[MAX_TAPS];
    for (int64_t oy = t->y0; oy < t->y1; oy++, y += w->i.ow * v->c) {
        for (int64_t ox = t->x0; ox < t->x1;) {
            const int64_t x0 = ox * q->sw - q->left, y0 = oy * q->sh - q->top;
            mc_depthwise_f32 d = {.x = tap, .w = weight, .bias = w->bias, .y = y + (ox - t->x0) * v->c, .pixels = 1,
                                  .x_step = q->sw * v->c, .ld_y = v->c, .n = v->c};
            const int64_t room = w->i.w - 1 - (q->kw - 1) * q->dw - x0; /* columns left of the last whole window */
            if (x0 >= 0 && room >= 0) d.pixels = room / q->sw + 1 < t->x1 - ox ? room / q->sw + 1 : t->x1 - ox;
            for (int64_t k = 0; k < q->kh * q->kw; k++) {
                const int64_t iy = y0 + k / q->kw * q->dh, ix = x0 + k % q->kw * q->dw;
                if (iy < 0 || iy >= w->i.h || ix < 0 || ix >= w->i.w) continue;
                tap[d.taps] = image + (iy * w->i.w + ix) * v->c;
                weight[d.taps++] = v->weight + k * v->c;
            }
            w->s->kernels->f32.depthwise(&d);
            ox += d.pixels;
        }
    }
}

static void conv_task(void *ctx, int64_t task, int32_t worker)
{
    const conv_work *w = ctx;
    const conv *v = w->v;
    const int64_t block = task % w->channel_blocks, tx = task / w->channel_blocks % w->column_tiles;
    const int64_t ty = task / w->channel_blocks / w->column_tiles % w->row_tiles, image = task / w->channel_blocks / w->column_tiles / w->row_tiles;
    mc_cpu_tile t = {ty * w->rows, (ty + 1) * w->rows, tx * w->columns, (tx + 1) * w->columns};
    if (t.y1 > w->i.oh) t.y1 = w->i.oh;
    if (t.x1 > w->i.ow) t.x1 = w->i.ow;
    const float *image_x = w->x + image * w->i.h * w->i.w * v->c, *in = NULL;
    const int64_t at = ((image * w->i.oh + t.y0) * w->i.ow + t.x0) * v->m;
    int64_t j0 = 0, j1 = v->m, row = 0;
    int finished = 0;
    if (!v->depthwise) in = mc_cpu_window_input(&v->w, &w->i, &t, image_x, mc_cpu_worker_scratch(w->a, worker), &row);
    if (v->depthwise) {
        depthwise_rows(w, &t, image_x, w->y + at);
    } else if (v->w.groups == 1) {
        j0 = block * w->channels;
        j1 = j0 + w->channels < v->m ? j0 + w->channels : v->m;
        finished = conv_channels(w, &t, in, row, 0, j0, j1, w->y + at);
    } else {
        for (int64_t g = 0; g < v->w.groups; g++) finished = conv_channels(w, &t, in, row, g, 0, v->m / v->w.groups, w->y + at);
    }
    mcomp_epilogue_f32 e = v->e;
    e.bias = w->bias && !v->depthwise ? w->bias + j0 : NULL; /* the depthwise kernel starts from it */
    e.ld_r = v->m;
    for (int64_t oy = 0; oy < t.y1 - t.y0 && !finished; oy++) {
        const int64_t o = at + oy * w->i.ow * v->m + j0;
        e.residual = w->residual ? w->residual + o : NULL;
        w->s->kernels->f32.epilogue(&e, w->y + o, v->m, t.x1 - t.x0, j1 - j0);
    }
}

static const float *data_of(const mcomp_bk_buffer *b) { return b ? b->data : NULL; }

/* 1x1: one product over all pixels. */
static void run_flat(const mc_cpu_step *s, const mcomp_run_args *a, const conv_work *w)
{
    const conv *v = w->v;
    mc_cpu_product_args p = {.e = v->e};
    p.g = (mc_gemm_f32){.a = w->x, .taps = 1, .a_row = v->c, .a_col = 1, .b = v->weight, .b_row = MC_GEMM_PANEL, .b_panel = MC_GEMM_PANEL * v->c,
                        .c = w->y, .ldc = v->m, .m = w->i.n * w->i.oh * w->i.ow, .n = v->m, .k = v->c};
    p.e.bias = w->bias;
    p.e.residual = w->residual;
    p.e.ld_r = v->m;
    mc_cpu_gemm(s, a, &p);
}

static int32_t run(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const conv *v = s->state;
    const mcomp_bk_buffer *x = mc_cpu_in(s, a, 0), *y = mc_cpu_out(s, a, 0);
    conv_work w = {.s = s, .a = a, .v = v, .i = mc_q_image_of(x, y), .x = x->data, .y = y->data, .bias = data_of(mc_cpu_in(s, a, 2)),
                   .residual = data_of(mc_cpu_in(s, a, 3)), .channel_blocks = 1, .channels = v->m};
    if (mc_cpu_elements(y) == 0) return MCOMP_OK;
    if (v->flat) {
        run_flat(s, a, &w);
        return MCOMP_OK;
    }
    mc_cpu_window_tile(w.i.oh, w.i.ow, PIXELS, &w.rows, &w.columns);
    if (!v->depthwise && mc_cpu_window_copy(&v->w, v->c, w.rows, w.columns) > v->tile_copy) /* more than the plan's dims promised */
        return mc_fail(MCOMP_INTERNAL, s->node->name, "the run's sizes exceed those of the plan");
    w.row_tiles = (w.i.oh + w.rows - 1) / w.rows;
    w.column_tiles = (w.i.ow + w.columns - 1) / w.columns;
    const int64_t tiles = w.i.n * w.row_tiles * w.column_tiles;
    const double macs = (double)mc_cpu_elements(y) * (double)(v->k * v->taps);
    if (tiles < 4 && v->w.groups == 1 && v->m >= 128) { /* small planes: cut the output channels too */
        w.channels = v->m >= 512 ? 128 : 64;
        w.channel_blocks = (v->m + w.channels - 1) / w.channels;
    }
    if (macs * (v->depthwise ? 4.0 : 1.0) < TASK_MACS) {
        for (int64_t i = 0; i < tiles * w.channel_blocks; i++) conv_task(&w, i, 0);
    } else {
        s->host->parallel_for(a->pool, tiles * w.channel_blocks, conv_task, &w);
    }
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_conv_f32 = {.domain = "mcomp", .op = "Conv", .claim = claim, .prepare = prepare, .run = run};
