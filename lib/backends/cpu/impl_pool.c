/* Float pools: mcomp.MaxPool and mcomp.AveragePool (channels-last, one vector of channels a tap) and the ONNX forms on
 * channels-first planes (scalar loops, for graphs that no pass turned over). Means divide by the taps inside the image, or with
 * count_include_pad by those inside the padded image. */
#include "backends/cpu/window.h"

#include <math.h>

#define MAX_TAPS 1024

typedef struct pool {
    mc_q_window w;
    int last, average, include_pad;
} pool;

static int read_pool(const mc_node *n, pool *p)
{
    const mc_type *x = mc_cpu_in_type(n, 0);
    p->last = strcmp(n->domain, "mcomp") == 0;
    p->average = strcmp(n->op, "AveragePool") == 0;
    p->include_pad = mc_attr_i(n, "count_include_pad", 0) != 0;
    if ((!p->last && strcmp(n->domain, "") != 0) || (!p->average && strcmp(n->op, "MaxPool") != 0)) return 0;
    if (!mc_cpu_is(x, MCOMP_F32) || x->rank < 3) return 0;
    for (int32_t i = 1; i < n->n_out; i++)
        if (n->out[i]) return 0; /* indices */
    return mc_q_window_read(n, x->rank, NULL, &p->w) && p->w.kh * p->w.kw <= MAX_TAPS;
}

static int32_t claim(const mc_node *n, mcomp_claim *out)
{
    pool p;
    if (!read_pool(n, &p)) return 0;
    return mc_cpu_claim_f32(out, p.last ? "pool" : "pool_planes", mc_cpu_guess(mc_cpu_out_type(n, 0)), (double)(p.w.kh * p.w.kw) * (p.last ? 0.1 : 1.0));
}

static int32_t prepare(mc_cpu_step *s)
{
    pool *p = mc_calloc(1, sizeof *p);
    if (!p) return MCOMP_NO_MEMORY;
    s->state = p;
    return read_pool(s->node, p) ? MCOMP_OK : mc_fail(MCOMP_INTERNAL, s->node->name, "not a pool this kernel knows");
}

typedef struct pool_work {
    const pool *p;
    const mc_kernels *k;
    mc_q_image i;
    const float *x;
    float *y;
} pool_work;

/* Taps of one axis: first and end of those inside the image, and how many are inside the padding (`room` rows beyond). */
typedef struct taps {
    int64_t first, end, padded;
} taps;

static taps axis_taps(int64_t at, int64_t kernel, int64_t dilation, int64_t extent, int64_t pad_end)
{
    taps t = {0, 0, 0};
    for (int64_t k = 0; k < kernel; k++) {
        const int64_t i = at + k * dilation;
        if (i < 0) t.first = k + 1;
        if (i < extent) t.end = k + 1;
        if (i < extent + pad_end) t.padded = k + 1;
    }
    if (t.end < t.first) t.end = t.first;
    return t;
}

static void last_rows(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const pool_work *w = ctx;
    const mc_q_window *q = &w->p->w;
    const int64_t c = w->i.c;
    (void)worker;
    for (int64_t r = begin; r < end; r++) {
        const int64_t image = r / w->i.oh, y0 = r % w->i.oh * q->sh - q->top;
        const taps ty = axis_taps(y0, q->kh, q->dh, w->i.h, q->bottom);
        const float *x = w->x + image * w->i.h * w->i.w * c;
        for (int64_t ox = 0; ox < w->i.ow; ox++) {
            const float *tap[MAX_TAPS];
            const int64_t x0 = ox * q->sw - q->left;
            const taps tx = axis_taps(x0, q->kw, q->dw, w->i.w, q->right);
            float *out = w->y + (r * w->i.ow + ox) * c;
            int64_t n = 0;
            for (int64_t ky = ty.first; ky < ty.end; ky++)
                for (int64_t kx = tx.first; kx < tx.end; kx++) tap[n++] = x + ((y0 + ky * q->dh) * w->i.w + x0 + kx * q->dw) * c;
            if (n == 0) { /* the window lies in the padding altogether */
                for (int64_t k = 0; k < c; k++) out[k] = w->p->average ? 0.0f : -INFINITY;
                continue;
            }
            w->k->f32.pool(w->p->average ? MC_REDUCE_SUM : MC_REDUCE_MAX, tap, n, out, c);
            if (w->p->average) w->k->f32.unary(MC_UNARY_AFFINE, out, out, c, 1.0f / (float)(w->p->include_pad ? ty.padded * tx.padded : n), 0.0f);
        }
    }
}

static float plane_window(const pool_work *w, const float *x, int64_t y0, int64_t x0, taps ty, taps tx)
{
    const mc_q_window *q = &w->p->w;
    float s = w->p->average ? 0.0f : -INFINITY;
    for (int64_t ky = ty.first; ky < ty.end; ky++)
        for (int64_t kx = tx.first; kx < tx.end; kx++) {
            const float v = x[(y0 + ky * q->dh) * w->i.w + x0 + kx * q->dw];
            if (w->p->average) s += v;
            else s = v > s || isnan(v) ? v : s;
        }
    if (!w->p->average) return s;
    const int64_t n = w->p->include_pad ? ty.padded * tx.padded : (ty.end - ty.first) * (tx.end - tx.first);
    return n > 0 ? s / (float)n : 0.0f;
}

/* Maxima of 2 x 2 windows side by side, the usual case. */
static int pairs(const pool *p)
{
    const mc_q_window *w = &p->w;
    return !p->average && w->kh == 2 && w->kw == 2 && w->sh == 2 && w->sw == 2 && w->dh == 1 && w->dw == 1 && w->top == 0 && w->left == 0;
}

static void pair_rows(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const pool_work *w = ctx;
    (void)worker;
    for (int64_t r = begin; r < end; r++) {
        const float *x = w->x + (r / w->i.oh * w->i.h + 2 * (r % w->i.oh)) * w->i.w;
        w->k->f32.max_pool2(x, x + w->i.w, w->y + r * w->i.ow, w->i.ow);
    }
}

static void plane_rows(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const pool_work *w = ctx;
    const mc_q_window *q = &w->p->w;
    (void)worker;
    for (int64_t r = begin; r < end; r++) { /* image * channel * output row */
        const int64_t y0 = r % w->i.oh * q->sh - q->top;
        const taps ty = axis_taps(y0, q->kh, q->dh, w->i.h, q->bottom);
        const float *x = w->x + r / w->i.oh * w->i.h * w->i.w;
        for (int64_t ox = 0; ox < w->i.ow; ox++) {
            const int64_t x0 = ox * q->sw - q->left;
            w->y[r * w->i.ow + ox] = plane_window(w, x, y0, x0, ty, axis_taps(x0, q->kw, q->dw, w->i.w, q->right));
        }
    }
}

static int32_t run(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const pool *p = s->state;
    const mcomp_bk_buffer *x = mc_cpu_in(s, a, 0), *y = mc_cpu_out(s, a, 0);
    pool_work w = {.p = p, .k = s->kernels, .x = x->data, .y = y->data};
    if (mc_cpu_elements(y) == 0) return MCOMP_OK;
    if (p->last) {
        w.i = mc_q_image_of(x, y);
        mc_cpu_split(s, a, w.i.n * w.i.oh, w.i.ow * w.i.c * p->w.kh * p->w.kw / 2, last_rows, &w);
        return MCOMP_OK;
    }
    const int flat = x->rank == 3;
    w.i = (mc_q_image){x->dims[0], flat ? 1 : x->dims[2], x->dims[x->rank - 1], x->dims[1], flat ? 1 : y->dims[2], y->dims[y->rank - 1], 0};
    const int pair = pairs(p) && 2 * w.i.oh <= w.i.h && 2 * w.i.ow <= w.i.w;
    mc_cpu_split(s, a, w.i.n * w.i.c * w.i.oh, w.i.ow * p->w.kh * p->w.kw, pair ? pair_rows : plane_rows, &w);
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_pool = {.claim = claim, .prepare = prepare, .run = run};
