/* mcomp.QuantizeGrad and mcomp.ScaleGrad on f32 (op_qdq_grad.c has the formulas): one scale, or one an index of an axis. Rounding is
 * the reference's: x / s in float, half to even. Sums of a ScaleGrad are of fixed pieces of each scale's rows, in double, added in
 * order, so they do not depend on the number of threads. */
#include "backends/cpu/work.h"

enum { DEQUANTIZE, QUANTIZE, PAIR };

#define PIECE 4096    /* elements that one sum is over */
#define MAX_SUMS 8192 /* pieces, all scales together: scratch of 64 KiB */

/* D, X of the form [outer][d][inner]; scale k belongs to rows k of d. */
typedef struct grads {
    int64_t outer, d, inner, pieces; /* pieces of one scale's outer * inner elements */
    const float *dy, *x, *scale;
    const uint8_t *q;    /* ScaleGrad of a DequantizeLinear: X is q */
    const void *zp;      /* NULL: 0 */
    int32_t is_signed, lo, hi, of, pair; /* pair: D is the gradient of the dequantized value */
    float *dx;
    double *sum;
    const mc_kernels_f32 *k;
} grads;

static int32_t byte_range(const mc_node *n) { return (int32_t)mc_attr_i(n, "range", MCOMP_U8); }

static int what_of(const mc_node *n)
{
    const char *of = mc_attr_s(n, "of", "");
    return strcmp(of, "dequantize") == 0 ? DEQUANTIZE : strcmp(of, "quantize") == 0 ? QUANTIZE : PAIR;
}

/* The axis along which scales vary (-1: one scale); -2 for forms that are left to the reference. */
static int32_t scale_axis(const mc_node *n)
{
    const mc_type *d = mc_cpu_in_type(n, 0), *s = mc_cpu_in_type(n, 1), *z = mc_cpu_in_type(n, 2), *x = mc_cpu_in_type(n, 3);
    const int32_t range = byte_range(n);
    if (!mc_cpu_is(d, MCOMP_F32) || !mc_cpu_is(s, MCOMP_F32) || !x || (range != MCOMP_U8 && range != MCOMP_I8)) return -2;
    if (s->rank > 1 || mc_attr_i(n, "block_size", 0) != 0 || (z && (z->rank != s->rank || z->dtype != range))) return -2;
    if (s->rank == 0 || s->dim[0] == 1) return -1;
    const int32_t axis = mc_cpu_axis(mc_attr_i(n, "axis", 1), d->rank);
    int64_t inner = 1;
    for (int32_t i = axis + 1; axis >= 0 && i < d->rank; i++) inner *= d->dim[i];
    return axis < 0 || (inner > 1 && inner < 16) ? -2 : axis; /* rows of a few elements gain nothing; single ones are columns */
}

static int32_t claim_quantize(const mc_node *n, mcomp_claim *out)
{
    if (scale_axis(n) < -1 || !mc_cpu_is(mc_cpu_in_type(n, 3), MCOMP_F32)) return 0;
    return mc_cpu_claim_f32(out, "quantize_grad", mc_cpu_guess(mc_cpu_in_type(n, 0)), 0.4);
}

static int32_t claim_scale(const mc_node *n, mcomp_claim *out)
{
    const int q = what_of(n) == DEQUANTIZE;
    if (scale_axis(n) < -1 || !mc_cpu_is(mc_cpu_in_type(n, 3), q ? byte_range(n) : MCOMP_F32)) return 0;
    return mc_cpu_claim_f32(out, "scale_grad", mc_cpu_guess(mc_cpu_in_type(n, 0)), 0.5);
}

static grads open_grads(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const mcomp_bk_buffer *d = mc_cpu_in(s, a, 0), *scale = mc_cpu_in(s, a, 1), *z = mc_cpu_in(s, a, 2), *x = mc_cpu_in(s, a, 3);
    const int32_t axis = scale_axis(s->node);
    grads g = {.outer = 1, .d = 1, .inner = mc_cpu_elements(d), .dy = d->data, .x = x->data, .q = x->data, .scale = scale->data,
               .zp = z ? z->data : NULL, .is_signed = byte_range(s->node) == MCOMP_I8, .dx = mc_cpu_out(s, a, 0)->data,
               .of = what_of(s->node), .k = &s->kernels->f32};
    g.pair = strcmp(mc_attr_s(s->node, "of", ""), "pair") == 0 || mc_attr_i(s->node, "pair", 0) != 0;
    g.lo = g.is_signed ? -128 : 0;
    g.hi = g.is_signed ? 127 : 255;
    if (axis >= 0) {
        g.outer = mc_cpu_product(d->dims, 0, axis);
        g.d = d->dims[axis];
        g.inner = mc_cpu_product(d->dims, axis + 1, d->rank);
    }
    return g;
}

static int32_t zero_point(const grads *g, int64_t k)
{
    if (!g->zp) return 0;
    return g->is_signed ? ((const int8_t *)g->zp)[k] : ((const uint8_t *)g->zp)[k];
}

static mc_quant_grad_f32 row(const grads *g, int64_t at, int64_t n, int64_t k)
{
    const int32_t z = zero_point(g, k);
    return (mc_quant_grad_f32){.d = g->dy + at, .x = g->x + at, .dx = g->dx + at, .n = n, .scale = g->scale[k], .lo = (float)(g->lo - z),
                               .hi = (float)(g->hi - z), .pair = g->pair};
}

static void quantize_range(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const grads *g = ctx;
    (void)worker;
    while (begin < end) {
        const int64_t left = (begin / g->inner + 1) * g->inner - begin, n = left < end - begin ? left : end - begin;
        const mc_quant_grad_f32 r = row(g, begin, n, begin / g->inner % g->d);
        g->k->quantize_grad(&r);
        begin += n;
    }
}

/* ---- scales along the last axis: a matrix [rows][d], scale k belongs to column k ---- */

static int by_columns(const grads *g) { return g->d > 1 && g->inner == 1; }

/* Half to even; exact below 2^22, beyond all that a byte can be. */
static inline float nearest(float t)
{
    const float c = t < -1e6f ? -1e6f : t > 1e6f ? 1e6f : t;
    return (c + 12582912.0f) - 12582912.0f;
}

static void quantize_columns(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const grads *g = ctx;
    (void)worker;
    while (begin < end) {
        const int64_t k0 = begin % g->d, left = g->d - k0, n = left < end - begin ? left : end - begin;
        const float *x = g->x + begin, *dy = g->dy + begin, *scale = g->scale + k0;
        float *dx = g->dx + begin;
        for (int64_t i = 0; i < n; i++) {
            const float r = nearest(x[i] / scale[i]), z = g->zp ? (float)zero_point(g, k0 + i) : 0.0f;
            const float d = g->pair ? dy[i] : dy[i] / scale[i];
            dx[i] = r >= (float)g->lo - z && r <= (float)g->hi - z ? d : 0.0f;
        }
        begin += n;
    }
}

/* d y / d s at one element. */
static inline double column_slope(const grads *g, int64_t at, int64_t k)
{
    const int32_t z = zero_point(g, k);
    if (g->of == DEQUANTIZE) return (double)((g->is_signed ? (int8_t)g->q[at] : g->q[at]) - z);
    const float r = nearest(g->x[at] / g->scale[k]);
    const double t = (double)g->x[at] / (double)g->scale[k], lo = (double)(g->lo - z), hi = (double)(g->hi - z);
    const int inside = (double)r >= lo && (double)r <= hi;
    if (g->of == QUANTIZE) return inside ? -t / (double)g->scale[k] : 0.0;
    return inside ? (double)r - t : r < 0.0f ? lo : r > 0.0f ? hi : 0.0; /* not a number: 0 */
}

/* Pieces of rows; the sums of piece p lie together. */
static void sum_columns(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const grads *g = ctx;
    (void)worker;
    for (int64_t p = begin; p < end; p++) {
        double *sum = g->sum + p * g->d;
        for (int64_t k = 0; k < g->d; k++) sum[k] = 0.0;
        for (int64_t row = p * g->outer / g->pieces; row < (p + 1) * g->outer / g->pieces; row++)
            for (int64_t k = 0; k < g->d; k++) sum[k] += (double)g->dy[row * g->d + k] * column_slope(g, row * g->d + k, k);
    }
}

static int32_t run_columns(const mc_cpu_step *s, const mcomp_run_args *a, grads *g)
{
    g->pieces = (g->outer * g->d + 4 * PIECE - 1) / (4 * PIECE);
    if (g->pieces > MAX_SUMS / g->d) g->pieces = MAX_SUMS / g->d;
    if (g->pieces > g->outer) g->pieces = g->outer;
    g->sum = a->scratch;
    mc_cpu_split(s, a, g->pieces, 4 * PIECE, sum_columns, g);
    for (int64_t k = 0; k < g->d; k++) {
        double sum = 0.0;
        for (int64_t p = 0; p < g->pieces; p++) sum += g->sum[p * g->d + k];
        g->dx[k] = (float)sum;
    }
    return MCOMP_OK;
}

static int32_t run_quantize(const mc_cpu_step *s, const mcomp_run_args *a)
{
    grads g = open_grads(s, a);
    if (by_columns(&g)) {
        mc_cpu_split(s, a, mc_cpu_elements(mc_cpu_in(s, a, 0)), 1, quantize_columns, &g);
        return MCOMP_OK;
    }
    mc_cpu_split(s, a, mc_cpu_elements(mc_cpu_in(s, a, 0)), 1, quantize_range, &g);
    return MCOMP_OK;
}

/* Sum of D times the slope over n elements from `at` on, all of scale k. */
static double sum_row(const grads *g, int64_t at, int64_t n, int64_t k)
{
    const mc_quant_grad_f32 r = row(g, at, n, k);
    double sum = 0.0;
    if (g->of != DEQUANTIZE) return g->k->scale_grad(&r);
    for (int64_t i = at; i < at + n; i++)
        sum += (double)g->dy[i] * (double)((g->is_signed ? (int8_t)g->q[i] : g->q[i]) - zero_point(g, k));
    return sum;
}

static void sum_range(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const grads *g = ctx;
    const int64_t all = g->outer * g->inner;
    (void)worker;
    for (int64_t u = begin; u < end; u++) {
        const int64_t k = u / g->pieces, p = u % g->pieces, to = (p + 1) * all / g->pieces;
        double sum = 0.0;
        for (int64_t at = p * all / g->pieces; at < to;) { /* element `at` of those of scale k */
            const int64_t left = (at / g->inner + 1) * g->inner - at, n = left < to - at ? left : to - at;
            sum += sum_row(g, (at / g->inner * g->d + k) * g->inner + at % g->inner, n, k);
            at += n;
        }
        g->sum[u] = sum;
    }
}

static int32_t prepare_scale(mc_cpu_step *s)
{
    s->scratch_bytes = MAX_SUMS * sizeof(double);
    return MCOMP_OK;
}

static int32_t run_scale(const mc_cpu_step *s, const mcomp_run_args *a)
{
    grads g = open_grads(s, a);
    const int64_t all = g.outer * g.inner;
    if (all == 0 || g.d == 0 || g.d > MAX_SUMS) return mc_cpu_ref.run(s, a);
    if (by_columns(&g)) return run_columns(s, a, &g);
    g.pieces = (all + PIECE - 1) / PIECE;
    if (g.pieces > MAX_SUMS / g.d) g.pieces = MAX_SUMS / g.d;
    g.sum = a->scratch;
    mc_cpu_split(s, a, g.d * g.pieces, PIECE, sum_range, &g);
    for (int64_t k = 0; k < g.d; k++) {
        double sum = 0.0;
        for (int64_t p = 0; p < g.pieces; p++) sum += g.sum[k * g.pieces + p];
        g.dx[k] = (float)sum;
    }
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_quantize_grad = {.domain = "mcomp", .op = "QuantizeGrad", .claim = claim_quantize, .run = run_quantize};
const mc_cpu_impl mc_cpu_scale_grad = {.domain = "mcomp", .op = "ScaleGrad", .claim = claim_scale, .prepare = prepare_scale, .run = run_scale};
