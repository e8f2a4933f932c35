/* mcomp.Conv in float, channels-last, as a matrix product whose rows are output pixels, of all images in one row of pixels.
 *
 * A task unfolds one block of the inner dimension of its pixels into scratch: dense rows, zeros where the window lies in the
 * padding, no power of two between them (rows 4 KiB apart would share one set of the L1 cache). The block of rows stays in
 * L2 and each block of weights in L1 while they meet; weights are read once a task. Along a kernel row the input of a pixel
 * is contiguous (kw * C floats, a "run"); dilated or grouped windows have one run a kernel element. Where rows of
 * outputs are long enough to be products of their own, tiles of the padded image are read in place instead. Depthwise
 * convolutions have a kernel of their own. */
#include "backends/cpu/gemm.h"
#include "backends/cpu/window.h"

#include <stdio.h>

#define PIXELS 98     /* outputs of a task: seven register tiles of 14; divides the planes of 7, 14, 28, 56 ... squared */
#define BLOCK 256     /* inner block: that of the product kernel */
#define ROW (BLOCK + 16)
#define MIN_TASKS 8   /* fewer blocks of pixels than this: channels are shared out too */
#define WIDE 20       /* outputs of a row from which it is a product of its own */
#define DIRECT 256    /* rows up to this many floats apart are read in place where the window is one pixel */
#define TILE 98       /* outputs of a task on tiles */
#define UNFOLD 7      /* pixels of a task that unfolds for all */
#define MAX_TAPS 1024
#define TASK_MACS 400000 /* below: the calling thread alone */

typedef struct conv {
    mc_q_window w;
    int64_t c, m, run, runs; /* floats of a run, runs of a window */
    int depthwise, tiled, direct; /* tiled: read in place from padded tiles; direct: 1x1, stride 1, no padding; pixels are the rows as they lie */
    const float *weight;
    mcomp_epilogue_f32 e;
    int64_t tile_copy; /* floats of a worker's padded tile */
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
    v->direct = v->c <= DIRECT && taps == 1 && v->w.sh == 1 && v->w.sw == 1 && v->w.groups == 1 && !v->w.top && !v->w.left && !v->w.bottom && !v->w.right;
    const int rows = v->w.groups == 1 && v->w.dw == 1;
    v->tiled = rows && taps > 1 && mc_cpu_out_type(n, 0)->rank == x->rank && mc_cpu_out_type(n, 0)->dim[x->rank - 2] >= WIDE;
    v->run = rows ? v->w.kw * v->c : w->dim[1];
    v->runs = rows ? v->w.kh : taps;
    return 1;
}

static int32_t claim(const mc_node *n, mcomp_claim *out)
{
    conv v = {0};
    if (!read_conv(n, &v)) return 0;
    const double outputs = mc_cpu_guess(mc_cpu_out_type(n, 0)), depth = (double)(v.run * v.runs);
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

/* Floats of the largest padded tile for planes of at most oh x ow outputs (a run's plane may be smaller than the plan's). */
static int64_t largest_copy(const conv *v, int64_t oh, int64_t ow)
{
    int64_t most = 0;
    for (int64_t c = 1; c <= 2 * TILE && c <= ow; c++) {
        int64_t rows, columns;
        mc_cpu_window_tile(oh, c, TILE, &rows, &columns);
        const int64_t n = mc_cpu_window_copy(&v->w, v->c, rows, columns);
        if (n > most) most = n;
    }
    return most;
}

static int64_t shared_row(const conv *v) { return (v->run * v->runs + 15) / 16 * 16 + 16; }

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
    if (v->tiled) {
        const mc_type *y = mc_cpu_out_type(s->node, 0);
        const int64_t oh = y->rank == 3 ? 1 : y->dim[1], ow = y->dim[y->rank - 2];
        v->tile_copy = largest_copy(v, oh < 1 ? INT32_MAX : oh, ow < 1 ? INT32_MAX : ow);
        s->worker_scratch_bytes = (uint64_t)v->tile_copy * sizeof(float);
    } else if (!v->depthwise && !v->direct) {
        s->worker_scratch_bytes = PIXELS * ROW * sizeof(float);
        if (v->w.groups == 1) s->scratch_bytes = (uint64_t)(MIN_TASKS * PIXELS * shared_row(v)) * sizeof(float);
    }
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
    float *shared; /* all windows unfolded, or NULL: a task unfolds its own */
    int64_t channels, channel_tiles; /* of tiled tasks */
    int64_t pixels, rows, columns, row_tiles, column_tiles; /* rows x columns: of pixels and channels, or (depthwise) of a plane */
} conv_work;

static void copy_floats(float *to, const float *from, int64_t n)
{
    int64_t i = 0;
    if (n >= 64) {
        memcpy(to, from, (size_t)n * sizeof *to);
        return;
    }
    for (; i + 4 <= n; i += 4) memcpy(to + i, from + i, 4 * sizeof *to);
    for (; i < n; i++) to[i] = from[i];
}

/* Elements r0 .. r0 + n of the window of the pixel whose window begins at column x0, row y0 of `image`. */
static void unfold(const conv *v, const mc_q_image *i, const float *image, int64_t y0, int64_t x0, int64_t r0, int64_t n, float *out)
{
    const int64_t rows = v->runs == v->w.kh && v->run == v->w.kw * v->c; /* a run is a kernel row */
    const int64_t c = rows ? v->c : v->run;
    for (int64_t s = r0 / v->run, at = r0 % v->run; n > 0; s++, at = 0) {
        const int64_t take = v->run - at < n ? v->run - at : n, end = at + take;
        const int64_t iy = y0 + (rows ? s : s / v->w.kw) * v->w.dh, ix = x0 + (rows ? 0 : s % v->w.kw * v->w.dw);
        int64_t lo = ix < 0 ? -ix * c : 0, hi = (i->w - ix) * c;
        if (iy < 0 || iy >= i->h) lo = hi = end;
        lo = lo < at ? at : lo > end ? end : lo;
        hi = hi < lo ? lo : hi > end ? end : hi;
        if (lo > at) memset(out, 0, (size_t)(lo - at) * sizeof *out);
        if (hi > lo) copy_floats(out + lo - at, image + (iy * i->w + ix) * v->c + lo, hi - lo);
        if (end > hi) memset(out + hi - at, 0, (size_t)(end - hi) * sizeof *out);
        out += take;
        n -= take;
    }
}

/* That of pixels p0 .. p1, one row each; x: channel 0 of the group. */
static void unfold_pixels(const conv_work *w, const float *x, int64_t p0, int64_t p1, int64_t r0, int64_t n, float *out, int64_t ld)
{
    const mc_q_window *q = &w->v->w;
    const mc_q_image *i = &w->i;
    int64_t ox = p0 % i->ow, oy = p0 / i->ow % i->oh, image = p0 / i->ow / i->oh;
    for (int64_t p = p0; p < p1; p++, out += ld) {
        unfold(w->v, i, x + image * i->h * i->w * i->c, oy * q->sh - q->top, ox * q->sw - q->left, r0, n, out);
        if (++ox < i->ow) continue;
        ox = 0;
        if (++oy < i->oh) continue;
        oy = 0;
        image++;
    }
}

static void unfold_task(void *ctx, int64_t task, int32_t worker)
{
    const conv_work *w = ctx;
    const int64_t p0 = task * UNFOLD, p1 = p0 + UNFOLD < w->pixels ? p0 + UNFOLD : w->pixels, ld = shared_row(w->v);
    (void)worker;
    unfold_pixels(w, w->x, p0, p1, 0, w->v->run * w->v->runs, w->shared + p0 * ld, ld);
}

/* Once for all blocks of channels. */
static void unfold_all(conv_work *w)
{
    const int64_t tasks = (w->pixels + UNFOLD - 1) / UNFOLD;
    w->shared = w->a->scratch;
    if (w->pixels * w->v->run * w->v->runs >= MC_CPU_PARALLEL) {
        w->s->host->parallel_for(w->a->pool, tasks, unfold_task, w);
        return;
    }
    for (int64_t i = 0; i < tasks; i++) unfold_task(w, i, 0);
}

/* Pixels p0 .. p1 by output channels j0 .. j1 of one group. */
static void conv_tile(const conv_work *w, int64_t p0, int64_t p1, int64_t group, int64_t j0, int64_t j1, float *scratch)
{
    const conv *v = w->v;
    const int64_t cg = v->c / v->w.groups, mg = v->m / v->w.groups, depth = v->run * v->runs, padded = (mg + 15) / 16 * 16;
    const int64_t blocks = (depth + BLOCK - 1) / BLOCK, block = ((depth + blocks - 1) / blocks + 15) / 16 * 16;
    const int64_t column = group * mg + j0, at = p0 * v->m + column;
    const float *x = w->x + group * cg;
    mcomp_epilogue_f32 e = v->e;
    e.bias = w->bias ? w->bias + column : NULL;
    e.residual = w->residual ? w->residual + at : NULL;
    e.ld_r = v->m;
    mc_gemm_f32 g = {.a = scratch, .taps = 1, .a_row = ROW, .a_col = 1, .b_row = MC_GEMM_PANEL, .b_panel = MC_GEMM_PANEL * depth,
                     .c = w->y + at, .ldc = v->m, .m = p1 - p0, .n = j1 - j0};
    const int finished = mc_cpu_finish(&g, &e), finish = g.finish;
    for (int64_t r = 0; r < depth; r += block) {
        g.k = depth - r < block ? depth - r : block;
        g.b = v->weight + (group * padded + j0) * depth + r * MC_GEMM_PANEL;
        g.accumulate = r > 0;
        g.finish = finish && r + block >= depth;
        if (v->direct) {
            g.a = x + p0 * v->c + r;
            g.a_row = v->c;
        } else if (w->shared) {
            g.a_row = shared_row(v);
            g.a = w->shared + p0 * g.a_row + r;
        } else {
            unfold_pixels(w, x, p0, p1, r, g.k, scratch, ROW);
        }
        w->s->kernels->f32.gemm(&g);
    }
    if (!finished) w->s->kernels->f32.epilogue(&e, g.c, v->m, g.m, g.n);
}

static void conv_task(void *ctx, int64_t task, int32_t worker)
{
    const conv_work *w = ctx;
    const int64_t p0 = task / w->column_tiles * w->rows, p1 = p0 + w->rows < w->pixels ? p0 + w->rows : w->pixels;
    const int64_t groups = w->v->w.groups, mg = w->v->m / groups, j0 = task % w->column_tiles * w->columns;
    const int64_t j1 = j0 + w->columns < mg ? j0 + w->columns : mg;
    for (int64_t g = 0; g < groups; g++) conv_tile(w, p0, p1, g, j0, j1, mc_cpu_worker_scratch(w->a, worker));
}

/* The rectangle of outputs of a task that cuts planes, and its image. */
static mc_cpu_tile plane_tile(const conv_work *w, int64_t task, int64_t *image)
{
    const int64_t tx = task % w->column_tiles, ty = task / w->column_tiles % w->row_tiles;
    mc_cpu_tile t = {ty * w->rows, (ty + 1) * w->rows, tx * w->columns, (tx + 1) * w->columns};
    if (t.y1 > w->i.oh) t.y1 = w->i.oh;
    if (t.x1 > w->i.ow) t.x1 = w->i.ow;
    *image = task / w->column_tiles / w->row_tiles;
    return t;
}

/* A padded tile read in place: each output row is a product. A block of weights (several short kernel rows or part of a long
 * one, by a pair of panels) stays in L1 for all rows of the tile. */
static void tiled_task(void *ctx, int64_t task, int32_t worker)
{
    const conv_work *w = ctx;
    const conv *v = w->v;
    const int64_t group = v->run < BLOCK ? BLOCK / v->run : 1, parts = (v->run + BLOCK - 1) / BLOCK, part = (v->run + parts - 1) / parts;
    const int64_t j0 = task % w->channel_tiles * w->channels, j1 = j0 + w->channels < v->m ? j0 + w->channels : v->m;
    int64_t image, row = 0, tap[MAX_TAPS];
    const mc_cpu_tile t = plane_tile(w, task / w->channel_tiles, &image);
    const float *in = mc_cpu_window_input(&v->w, &w->i, &t, w->x + image * w->i.h * w->i.w * v->c, mc_cpu_worker_scratch(w->a, worker), &row);
    for (int64_t k = 0; k < v->runs; k++) tap[k] = k * v->w.dh * row;
    mc_gemm_f32 g = {.tap = tap, .a_row = v->w.sw * v->c, .a_col = 1, .b_row = MC_GEMM_PANEL, .b_panel = MC_GEMM_PANEL * v->run * v->runs,
                     .ldc = v->m, .m = t.x1 - t.x0};
    mcomp_epilogue_f32 e = v->e;
    e.ld_r = v->m;
    for (int64_t j = j0; j < j1; j += g.n) {
        g.n = j1 - j < 2 * MC_GEMM_PANEL ? j1 - j : 2 * MC_GEMM_PANEL;
        e.bias = w->bias ? w->bias + j : NULL;
        for (int64_t s = 0; s < v->runs; s += group)
            for (int64_t r = 0; r < v->run; r += part) {
                const int last = s + group >= v->runs && r + part >= v->run;
                g.taps = v->runs - s < group ? v->runs - s : group;
                g.k = v->run - r < part ? v->run - r : part;
                g.b = v->weight + j * v->run * v->runs + (s * v->run + r) * MC_GEMM_PANEL;
                g.accumulate = s > 0 || r > 0;
                for (int64_t oy = t.y0; oy < t.y1; oy++) {
                    const int64_t at = ((image * w->i.oh + oy) * w->i.ow + t.x0) * v->m + j;
                    e.residual = w->residual ? w->residual + at : NULL;
                    g.a = in + ((oy - t.y0) * v->w.sh + s * v->w.dh) * row + r;
                    g.c = w->y + at;
                    const int finished = mc_cpu_finish(&g, &e);
                    g.finish = g.finish && last;
                    w->s->kernels->f32.gemm(&g);
                    if (last && !finished) w->s->kernels->f32.epilogue(&e, g.c, v->m, g.m, g.n);
                }
            }
    }
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

static void depthwise_task(void *ctx, int64_t task, int32_t worker)
{
    const conv_work *w = ctx;
    const conv *v = w->v;
    int64_t image;
    const mc_cpu_tile t = plane_tile(w, task, &image);
    (void)worker;
    const int64_t at = ((image * w->i.oh + t.y0) * w->i.ow + t.x0) * v->m;
    depthwise_rows(w, &t, w->x + image * w->i.h * w->i.w * v->c, w->y + at);
    mcomp_epilogue_f32 e = v->e; /* without the bias: the depthwise kernel starts from it */
    e.ld_r = v->m;
    for (int64_t oy = 0; oy < t.y1 - t.y0; oy++) {
        const int64_t o = at + oy * w->i.ow * v->m;
        e.residual = w->residual ? w->residual + o : NULL;
        w->s->kernels->f32.epilogue(&e, w->y + o, v->m, t.x1 - t.x0, v->m);
    }
}

static const float *data_of(const mcomp_bk_buffer *b) { return b ? b->data : NULL; }

/* Cuts a product into equal blocks of pixels and, where those are few, of channels. Returns the number of tasks. */
static int64_t cut(conv_work *w)
{
    const conv *v = w->v;
    const int64_t mg = v->m / v->w.groups;
    w->pixels = w->i.n * w->i.oh * w->i.ow;
    w->row_tiles = (w->pixels + PIXELS - 1) / PIXELS;
    w->rows = (w->pixels + w->row_tiles - 1) / w->row_tiles;
    w->columns = mg;
    if (w->row_tiles < MIN_TASKS && v->w.groups == 1) {
        const int64_t parts = (MIN_TASKS + w->row_tiles - 1) / w->row_tiles;
        w->columns = ((mg + parts - 1) / parts + 31) / 32 * 32;
    }
    w->column_tiles = (mg + w->columns - 1) / w->columns;
    return w->row_tiles * w->column_tiles;
}

static int32_t run(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const conv *v = s->state;
    const mcomp_bk_buffer *x = mc_cpu_in(s, a, 0), *y = mc_cpu_out(s, a, 0);
    conv_work w = {.s = s, .a = a, .v = v, .i = mc_q_image_of(x, y), .x = x->data, .y = y->data, .bias = data_of(mc_cpu_in(s, a, 2)),
                   .residual = data_of(mc_cpu_in(s, a, 3))};
    if (mc_cpu_elements(y) == 0) return MCOMP_OK;
    const double macs = (double)mc_cpu_elements(y) * (double)(v->run * v->runs);
    int64_t tasks;
    if (v->depthwise || v->tiled) {
        mc_cpu_window_tile(w.i.oh, w.i.ow, TILE, &w.rows, &w.columns);
        if (v->tiled && mc_cpu_window_copy(&v->w, v->c, w.rows, w.columns) > v->tile_copy) /* more than the plan's dims promised */
            return mc_fail(MCOMP_INTERNAL, s->node->name, "the run's sizes exceed those of the plan");
        w.row_tiles = (w.i.oh + w.rows - 1) / w.rows;
        w.column_tiles = (w.i.ow + w.columns - 1) / w.columns;
        tasks = w.i.n * w.row_tiles * w.column_tiles;
        w.channels = v->m;
        if (v->tiled && tasks < MIN_TASKS) w.channels = ((v->m * tasks + MIN_TASKS - 1) / MIN_TASKS + 63) / 64 * 64;
        w.channel_tiles = (v->m + w.channels - 1) / w.channels;
        if (v->tiled) tasks *= w.channel_tiles;
    } else {
        tasks = cut(&w);
        if (w.column_tiles > 1 && !v->direct) unfold_all(&w);
    }
    const mcomp_bk_task_fn fn = v->depthwise ? depthwise_task : v->tiled ? tiled_task : conv_task;
    if (macs * (v->depthwise ? 4.0 : 1.0) < TASK_MACS) {
        for (int64_t i = 0; i < tasks; i++) fn(&w, i, 0);
    } else {
        s->host->parallel_for(a->pool, tasks, fn, &w);
    }
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_conv_f32 = {.domain = "mcomp", .op = "Conv", .claim = claim, .prepare = prepare, .run = run};
