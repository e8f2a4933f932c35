/* Pools over channels-last bytes: mcomp.QAveragePool, mcomp.QGlobalAveragePool, and mcomp.MaxPool, GlobalMaxPool on u8/s8.
 * A task is a row of outputs; the taps of a pixel that lie inside the image go to the kernel as pointers. */
#include "backends/cpu/qwindow.h"
#include "backends/cpu/work.h"

#define TAPS 64 /* pointers handed over at once */

enum { AVERAGE = 1, GLOBAL = 2 };

typedef struct pool {
    mc_q_window win;
    mc_qmap x_map;
    mc_qout out;
    int32_t kind, include_pad;
    float ones[]; /* [c]: weight scales of the epilogue */
} pool;

static int read_node(const mc_node *n, pool *p, int64_t *channels)
{
    const mc_type *x = mc_cpu_in_type(n, 0), *y = mc_cpu_out_type(n, 0);
    memset(p, 0, sizeof *p);
    p->kind = (n->op[0] == 'Q' ? AVERAGE : 0) | (strstr(n->op, "Global") ? GLOBAL : 0);
    if (!x || !y || !mc_q_is_byte(x) || x->rank < 3 || x->rank > 4 || x->dim[x->rank - 1] < 1) return 0;
    if (n->n_out > 1 && n->out[1]) return 0;
    *channels = x->dim[x->rank - 1];
    if (!(p->kind & GLOBAL) && !mc_q_window_read(n, x->rank, NULL, &p->win)) return 0;
    p->include_pad = mc_attr_i(n, "count_include_pad", 0) != 0;
    p->x_map.flip = x->dtype == MCOMP_I8 ? 0x80 : 0;
    if (!(p->kind & AVERAGE)) return y->dtype == x->dtype;
    if (!mc_q_map(n, "x", x->dtype, &p->x_map)) return 0;
    if (mc_node_attr(n, "y_scale")) {
        mc_qmap m;
        if (!mc_q_is_byte(y) || !mc_q_map(n, "y", y->dtype, &m)) return 0;
        p->out = (mc_qout){.quantized = 1, .zp = m.zp, .flip = m.flip, .inv = 1.0f / m.scale};
        return 1;
    }
    return y->dtype == MCOMP_F32;
}

static int32_t claim(const mc_node *n, mcomp_claim *out)
{
    pool p;
    int64_t c;
    if (!read_node(n, &p, &c)) return 0;
    const double y = mc_q_guess(mc_cpu_out_type(n, 0)), taps = p.kind & GLOBAL ? mc_q_guess(mc_cpu_in_type(n, 0)) / y : (double)(p.win.kh * p.win.kw);
    (void)mc_q_claim(out, p.kind & AVERAGE ? "qavgpool" : "qmaxpool", 0.0, y * taps);
    return 1;
}

static int32_t prepare(mc_cpu_step *s)
{
    pool own;
    int64_t c = 0;
    if (!read_node(s->node, &own, &c)) return mc_fail(MCOMP_UNSUPPORTED, s->node->name, "pool of an unknown form");
    pool *p = mc_malloc(sizeof *p + (size_t)c * sizeof *p->ones);
    if (!p) return MCOMP_NO_MEMORY;
    s->state = p;
    *p = own;
    for (int64_t i = 0; i < c; i++) p->ones[i] = 1.0f;
    s->worker_scratch_bytes = (uint64_t)mc_q_up(c, 16) * 4;
    return MCOMP_OK;
}

typedef struct job {
    const mc_cpu_step *s;
    const mcomp_run_args *a;
    const pool *p;
    mc_q_image i;
    mc_q_window w;
    const uint8_t *x;
    uint8_t *y;
} job;

/* Taps first..end-1 of an axis lie inside [0, size); returns how many would with `extra` positions beyond. */
static int64_t inside(int64_t start, int64_t kernel, int64_t dilation, int64_t size, int64_t before, int64_t after, int64_t *first, int64_t *end)
{
    int64_t padded = 0;
    *first = kernel;
    *end = 0;
    for (int64_t k = 0; k < kernel; k++) {
        const int64_t at = start + k * dilation;
        if (at >= -before && at < size + after) padded++;
        if (at < 0 || at >= size) continue;
        if (*first > k) *first = k;
        *end = k + 1;
    }
    return padded;
}

static void pixel(const job *j, int64_t image, int64_t oy, int64_t ox, int32_t *acc)
{
    const mc_q_window *w = &j->w;
    const mc_q_image *i = &j->i;
    const mc_kernels_int8 *k = &j->s->kernels->int8;
    const pool *p = j->p;
    const uint8_t *taps[TAPS], *x = j->x + image * i->h * i->w * i->c;
    const int64_t iy = oy * w->sh - w->top, ix = ox * w->sw - w->left, at = ((image * i->oh + oy) * i->ow + ox) * i->c;
    int64_t y0, y1, x0, x1, n = 0, count;
    const int64_t ph = inside(iy, w->kh, w->dh, i->h, w->top, w->bottom, &y0, &y1);
    const int64_t pw = inside(ix, w->kw, w->dw, i->w, w->left, w->right, &x0, &x1);
    count = y1 > y0 && x1 > x0 ? (y1 - y0) * (x1 - x0) : 0;
    for (int64_t c = 0; c < i->c && p->kind & AVERAGE; c++) acc[c] = (int32_t)(0u - (uint32_t)p->x_map.zp * (uint32_t)count);
    int first = 1;
    for (int64_t q = 0; q < count; q++) {
        taps[n++] = x + ((iy + (y0 + q / (x1 - x0)) * w->dh) * i->w + ix + (x0 + q % (x1 - x0)) * w->dw) * i->c;
        if (n < TAPS && q + 1 < count) continue;
        if (p->kind & AVERAGE) {
            k->sum_taps(taps, n, i->c, p->x_map.flip, acc);
            n = 0;
        } else { /* what is found so far is the first tap of the next round */
            k->max_taps(taps, n, i->c, p->x_map.flip, j->y + at);
            taps[0] = j->y + at;
            n = 1;
        }
        first = 0;
    }
    if (!(p->kind & AVERAGE)) {
        if (first) memset(j->y + at, (int)p->x_map.flip, (size_t)i->c); /* a window of padding only: the lowest value */
        return;
    }
    const int64_t divisor = p->include_pad ? ph * pw : count;
    mc_qepilogue e = {.acc = acc, .ld_acc = i->c, .m = 1, .n = i->c, .w_scale = p->ones, .out = p->out,
                      .x_scale = p->x_map.scale / (float)(divisor > 0 ? divisor : 1)};
    e.out.y = j->y + at * (p->out.quantized ? 1 : 4);
    k->epilogue(&e);
}

static void rows(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const job *j = ctx;
    int32_t *acc = mc_cpu_worker_scratch(j->a, worker);
    for (int64_t r = begin; r < end; r++)
        for (int64_t ox = 0; ox < j->i.ow; ox++) pixel(j, r / j->i.oh, r % j->i.oh, ox, acc);
}

static int32_t run(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const pool *p = s->state;
    const mcomp_bk_buffer *x = mc_cpu_in(s, a, 0), *y = mc_cpu_out(s, a, 0);
    job j = {.s = s, .a = a, .p = p, .i = mc_q_image_of(x, y), .w = p->win, .x = x->data, .y = y->data};
    if (p->kind & GLOBAL) j.w = (mc_q_window){.kh = j.i.h, .kw = j.i.w, .sh = 1, .sw = 1, .dh = 1, .dw = 1};
    if (mc_cpu_elements(y) == 0) return MCOMP_OK;
    mc_cpu_split(s, a, j.i.n * j.i.oh, j.i.ow * j.i.c * j.w.kh * j.w.kw / 8, rows, &j);
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_qavgpool = {.domain = "mcomp", .op = "QAveragePool", .claim = claim, .prepare = prepare, .run = run};
const mc_cpu_impl mc_cpu_qglobalavgpool = {.domain = "mcomp", .op = "QGlobalAveragePool", .claim = claim, .prepare = prepare, .run = run};
const mc_cpu_impl mc_cpu_qmaxpool = {.domain = "mcomp", .op = "MaxPool", .claim = claim, .prepare = prepare, .run = run};
const mc_cpu_impl mc_cpu_qglobalmaxpool = {.domain = "mcomp", .op = "GlobalMaxPool", .claim = claim, .prepare = prepare, .run = run};
