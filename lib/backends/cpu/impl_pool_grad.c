/* mcomp.MaxPoolGrad and mcomp.AveragePoolGrad on channels-first planes. Each plane is written by one worker. */
#include "backends/cpu/planes.h"

typedef struct pool_grad {
    mc_cpu_planes p;
    int32_t max, include_pad;
    const float *x, *dy;
    float *dx;
    const mc_kernels *k;
} pool_grad;

static int read_node(const mc_node *n, pool_grad *g)
{
    const mc_type *dy = mc_cpu_in_type(n, 0), *x = mc_cpu_in_type(n, 1);
    if (!mc_cpu_is(dy, MCOMP_F32) || !mc_cpu_is(x, MCOMP_F32) || dy->rank != x->rank) return 0;
    if (mc_attr_i(n, "global", 0) != 0 || !mc_cpu_planes_read(n, x->rank, NULL, &g->p.w)) return 0;
    g->max = strcmp(n->op, "MaxPoolGrad") == 0;
    g->include_pad = mc_attr_i(n, "count_include_pad", 0) != 0;
    return 1;
}

static int32_t claim(const mc_node *n, mcomp_claim *out)
{
    pool_grad g;
    if (!read_node(n, &g)) return 0;
    return mc_cpu_claim_f32(out, "pool_grad", mc_cpu_guess(mc_cpu_in_type(n, 0)), (double)(g.p.w.kh * g.p.w.kw) * 1.5);
}

static int32_t prepare(mc_cpu_step *s)
{
    pool_grad *g = mc_calloc(1, sizeof *g);
    if (!g) return MCOMP_NO_MEMORY;
    s->state = g;
    return read_node(s->node, g) ? MCOMP_OK : mc_fail(MCOMP_INTERNAL, s->node->name, "not a pool this kernel knows");
}

/* Taps of an axis that lie inside, and inside the padding too. */
typedef struct taps {
    int64_t first, end, padded;
} taps;

static taps taps_at(int64_t at, int64_t kernel, int64_t dilation, int64_t extent, int64_t pad_end)
{
    taps t = {at < 0 ? (-at + dilation - 1) / dilation : 0, at >= extent ? 0 : (extent - 1 - at) / dilation + 1,
              at >= extent + pad_end ? 0 : (extent + pad_end - 1 - at) / dilation + 1};
    if (t.end > kernel) t.end = kernel;
    if (t.padded > kernel) t.padded = kernel;
    if (t.end < t.first) t.end = t.first;
    return t;
}

/* x: the first tap. The first largest element gets all; a NaN is larger than anything. */
static void to_maximum(const pool_grad *g, const float *x, float *dx, taps ty, taps tx, float d)
{
    const mc_q_window *w = &g->p.w;
    float best = 0.0f;
    int64_t where = -1;
    for (int64_t ky = ty.first; ky < ty.end; ky++)
        for (int64_t kx = tx.first; kx < tx.end; kx++) {
            const int64_t at = ky * w->dh * g->p.wd + kx * w->dw;
            if (where >= 0 && !(x[at] > best) && x[at] == x[at]) continue;
            best = x[at];
            where = at;
        }
    if (where >= 0) dx[where] += d;
}

/* Maxima of 2 x 2 windows side by side, the usual case. */
static int pairs(const pool_grad *g)
{
    const mc_q_window *w = &g->p.w;
    return g->max && w->kh == 2 && w->kw == 2 && w->sh == 2 && w->sw == 2 && w->dh == 1 && w->dw == 1 && w->top == 0 && w->left == 0 &&
           2 * g->p.oh <= g->p.h && 2 * g->p.ow <= g->p.wd;
}

static void pairs_range(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const pool_grad *g = ctx;
    const mc_cpu_planes *p = &g->p;
    (void)worker;
    for (int64_t plane = begin; plane < end; plane++) {
        const float *x = g->x + plane * p->h * p->wd, *dy = g->dy + plane * p->oh * p->ow;
        float *dx = g->dx + plane * p->h * p->wd;
        if (2 * p->oh < p->h || 2 * p->ow < p->wd) memset(dx, 0, (size_t)(p->h * p->wd) * sizeof *dx);
        for (int64_t oy = 0; oy < p->oh; oy++, x += 2 * p->wd, dx += 2 * p->wd, dy += p->ow)
            g->k->f32.max_pool2_grad(x, x + p->wd, dy, dx, dx + p->wd, p->ow);
    }
}

static void planes_range(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const pool_grad *g = ctx;
    const mc_cpu_planes *p = &g->p;
    const mc_q_window *w = &p->w;
    (void)worker;
    for (int64_t plane = begin; plane < end; plane++) {
        const float *x = g->x + plane * p->h * p->wd, *dy = g->dy + plane * p->oh * p->ow;
        float *dx = g->dx + plane * p->h * p->wd;
        memset(dx, 0, (size_t)(p->h * p->wd) * sizeof *dx);
        for (int64_t oy = 0; oy < p->oh; oy++) {
            const int64_t y0 = oy * w->sh - w->top;
            const taps ty = taps_at(y0, w->kh, w->dh, p->h, w->bottom);
            for (int64_t ox = 0; ox < p->ow; ox++) {
                const int64_t x0 = ox * w->sw - w->left, at = y0 * p->wd + x0;
                const taps tx = taps_at(x0, w->kw, w->dw, p->wd, w->right);
                const float d = *dy++;
                if (g->max) {
                    to_maximum(g, x + at, dx + at, ty, tx, d);
                    continue;
                }
                const int64_t count = g->include_pad ? ty.padded * tx.padded : (ty.end - ty.first) * (tx.end - tx.first);
                for (int64_t ky = ty.first; ky < ty.end; ky++)
                    for (int64_t kx = tx.first; kx < tx.end; kx++) dx[at + ky * w->dh * p->wd + kx * w->dw] += d / (float)count;
            }
        }
    }
}

static int32_t run(const mc_cpu_step *s, const mcomp_run_args *a)
{
    pool_grad g = *(const pool_grad *)s->state;
    const mcomp_bk_buffer *dy = mc_cpu_in(s, a, 0), *x = mc_cpu_in(s, a, 1);
    mc_cpu_planes_dims(&g.p, x->dims, dy->dims, x->rank);
    if (g.p.m != g.p.c || dy->dims[0] != x->dims[0]) return mc_fail(MCOMP_SHAPE, s->node->name, "dy is not what the pool gives");
    g.x = x->data;
    g.dy = dy->data;
    g.dx = mc_cpu_out(s, a, 0)->data;
    g.k = s->kernels;
    if (pairs(&g)) mc_cpu_split(s, a, g.p.n * g.p.c, g.p.h * g.p.wd, pairs_range, &g);
    else mc_cpu_split(s, a, g.p.n * g.p.c, g.p.oh * g.p.ow * g.p.taps * 4, planes_range, &g);
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_max_pool_grad = {.domain = "mcomp", .op = "MaxPoolGrad", .claim = claim, .prepare = prepare, .run = run};
const mc_cpu_impl mc_cpu_average_pool_grad = {.domain = "mcomp", .op = "AveragePoolGrad", .claim = claim, .prepare = prepare, .run = run};
