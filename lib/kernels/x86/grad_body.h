/* x86/grad_body.h - gradients of elementwise functions, softmax and row normalisation, written once; a tier's file includes it.
 * Line by line ref/grad.c, so that every tier gives the same bits. */
#include "kernels/rows.h"
#include "kernels/x86/vec_math.h"

/* ---- elementwise ---- */

MC_INLINE mc_v sigmoid_slope(mc_v x)
{
    const mc_v e = v_expf(v_neg(v_abs(x))), d = v_add(v_set1(1.0f), e);
    return v_div(e, v_mul(d, d));
}

MC_INLINE mc_v gelu_slope(mc_v x)
{
    const mc_v cdf = v_mul(v_set1(0.5f), v_add(v_set1(1.0f), v_erff(v_mul(x, v_set1(0.70710678f)))));
    return v_add(cdf, v_mul(v_mul(x, v_set1(0.39894228f)), v_expf(v_mul(v_mul(v_set1(-0.5f), x), x))));
}

MC_INLINE mc_v gelu_tanh_slope(mc_v x)
{
    const mc_v one = v_set1(1.0f), half = v_set1(0.5f), square = v_mul(x, x);
    const mc_v u = v_add(x, v_mul(v_mul(v_set1(0.044715f), square), x));
    const mc_v t = v_tanhf(v_mul(v_set1(0.79788456f), u)), du = v_mul(v_set1(0.79788456f), v_add(one, v_mul(v_set1(0.134145f), square)));
    return v_add(v_mul(half, v_add(one, t)), v_mul(v_mul(v_mul(half, x), v_sub(one, v_mul(t, t))), du));
}

MC_INLINE mc_v slope(const int code, mc_v p, mc_v q, mc_v x)
{
    const mc_v one = v_set1(1.0f), zero = v_zero();
    switch (code) {
    case MCOMP_ACT_RELU: return v_sel(v_lt(zero, x), one, zero);
    case MCOMP_ACT_GELU: return gelu_slope(x);
    case MCOMP_ACT_GELU_TANH: return gelu_tanh_slope(x);
    case MCOMP_ACT_SIGMOID: return sigmoid_slope(x);
    case MCOMP_ACT_TANH: {
        const mc_v t = v_tanhf(x);
        return v_sub(one, v_mul(t, t));
    }
    case MCOMP_ACT_SILU: {
        const mc_v s = v_sigmoidf(x);
        return v_mul(s, v_add(one, v_mul(x, v_sub(one, s))));
    }
    case MCOMP_ACT_HARDSWISH: {
        const mc_v t = v_add(v_mul(x, v_set1(0.33333334f)), v_set1(0.5f));
        return v_sel(v_le(x, v_set1(-3.0f)), zero, v_sel(v_le(v_set1(3.0f), x), one, t));
    }
    case MC_UNARY_HARDSIGMOID: {
        const mc_v t = v_add(v_mul(p, x), q);
        return v_sel(v_lt(zero, t), v_sel(v_lt(t, one), p, zero), zero);
    }
    case MC_UNARY_LEAKY_RELU: return v_sel(v_lt(zero, x), one, p);
    case MC_UNARY_ELU: return v_sel(v_lt(zero, x), one, v_mul(p, v_expf(x)));
    case MC_UNARY_ERF: return v_mul(v_set1(1.12837917f), v_expf(v_mul(v_neg(x), x)));
    case MC_UNARY_SQRT: return v_div(v_set1(0.5f), v_sqrt(x));
    case MC_UNARY_RECIPROCAL: return v_div(v_set1(-1.0f), v_mul(x, x));
    default: return v_div(one, x); /* MC_UNARY_LOG */
    }
}

MC_INLINE void unary_grad_run(const int code, const float *x, const float *dy, float *dx, int64_t n, float p, float q)
{
    const mc_v vp = v_set1(p), vq = v_set1(q);
    int64_t j = 0;
    for (; j + 16 <= n; j += 16) v_store(dx + j, v_mul(v_load(dy + j), slope(code, vp, vq, v_load(x + j))));
    if (j < n) {
        const mc_vm m = v_first(n - j);
        v_store_m(dx + j, m, v_mul(v_load_m(dy + j, m), slope(code, vp, vq, v_load_m(x + j, m))));
    }
}

void MC_K(unary_grad)(int32_t code, const float *x, const float *dy, float *dx, int64_t n, float p, float q)
{
    switch (code) {
#define GRAD_CASE(c)                                                                                                   \
    case c: unary_grad_run(c, x, dy, dx, n, p, q); break;
        GRAD_CASE(MCOMP_ACT_RELU) GRAD_CASE(MCOMP_ACT_GELU) GRAD_CASE(MCOMP_ACT_GELU_TANH) GRAD_CASE(MCOMP_ACT_SIGMOID)
        GRAD_CASE(MCOMP_ACT_TANH) GRAD_CASE(MCOMP_ACT_SILU) GRAD_CASE(MCOMP_ACT_HARDSWISH) GRAD_CASE(MC_UNARY_HARDSIGMOID)
        GRAD_CASE(MC_UNARY_LEAKY_RELU) GRAD_CASE(MC_UNARY_ELU) GRAD_CASE(MC_UNARY_ERF) GRAD_CASE(MC_UNARY_SQRT)
        GRAD_CASE(MC_UNARY_RECIPROCAL)
#undef GRAD_CASE
    default: unary_grad_run(MC_UNARY_LOG, x, dy, dx, n, p, q); break;
    }
}

/* ---- softmax ---- */

MC_INLINE void softmax_grad_row(const float *y, const float *dy, float *dx, int64_t n, const int log)
{
    mc_v sum = v_zero();
    for (int64_t j = 0; j < n; j += 16) {
        const mc_vm m = v_first(n - j);
        const mc_v d = v_load_m(dy + j, m);
        sum = v_add(sum, log ? d : v_mul(d, v_load_m(y + j, m)));
    }
    const mc_v s = v_set1(v_reduce_add(sum));
    for (int64_t j = 0; j < n; j += 16) {
        const mc_vm m = v_first(n - j);
        const mc_v d = v_load_m(dy + j, m), v = v_load_m(y + j, m);
        v_store_m(dx + j, m, log ? v_sub(d, v_mul(v_expf(v), s)) : v_mul(v, v_sub(d, s)));
    }
}

void MC_K(softmax_grad)(const float *y, const float *dy, float *dx, int64_t rows, int64_t n, int32_t log)
{
    for (int64_t i = 0; i < rows; i++, y += n, dy += n, dx += n) {
        if (log) softmax_grad_row(y, dy, dx, n, 1);
        else softmax_grad_row(y, dy, dx, n, 0);
    }
}

/* ---- row normalisation ---- */

typedef struct norm_row {
    mc_v mean, inv;
} norm_row;

static norm_row norm_moments(const float *x, int64_t n, float eps, int32_t rms)
{
    mc_v s = v_zero(), mean = v_zero();
    if (!rms) mean = v_set1(v_sum_row(x, n) / (float)n);
    for (int64_t j = 0; j < n; j += 16) {
        const mc_vm m = v_first(n - j);
        const mc_v d = v_sub(v_load_m(x + j, m), mean);
        s = v_sel(m, v_add(s, v_mul(d, d)), s);
    }
    return (norm_row){mean, v_set1(1.0f / sqrtf(v_reduce_add(s) / (float)n + eps))};
}

void MC_K(norm_grad)(const mc_norm_grad_f32 *g)
{
    const int64_t n = g->n;
    for (int64_t i = 0; i < g->rows; i++) {
        const float *x = g->x + i * n, *dy = g->dy + i * n;
        const norm_row r = norm_moments(x, n, g->eps, g->rms);
        mc_v sum = v_zero(), sum_x = v_zero();
        for (int64_t j = 0; j < n; j += 16) {
            const mc_vm m = v_first(n - j);
            const mc_v d = v_load_m(dy + j, m), h = v_mul(v_sub(v_load_m(x + j, m), r.mean), r.inv), t = v_mul(d, v_load_m(g->gamma + j, m));
            sum = v_add(sum, t);
            sum_x = v_add(sum_x, v_mul(t, h));
            if (g->dgamma) v_store_m(g->dgamma + j, m, v_add(v_load_m(g->dgamma + j, m), v_mul(d, h)));
            if (g->dbeta) v_store_m(g->dbeta + j, m, v_add(v_load_m(g->dbeta + j, m), d));
        }
        if (!g->dx) continue;
        const mc_v mean = v_set1(g->rms ? 0.0f : v_reduce_add(sum) / (float)n), mean_x = v_set1(v_reduce_add(sum_x) / (float)n);
        for (int64_t j = 0; j < n; j += 16) {
            const mc_vm m = v_first(n - j);
            const mc_v h = v_mul(v_sub(v_load_m(x + j, m), r.mean), r.inv), t = v_mul(v_load_m(dy + j, m), v_load_m(g->gamma + j, m));
            v_store_m(g->dx + i * n + j, m, v_mul(r.inv, v_sub(v_sub(t, mean), v_mul(h, mean_x))));
        }
    }
}

/* ---- blocks of rows ---- */

MC_INLINE void block_rows(const int add, const float *x, int64_t ld_x, float *y, int64_t ld_y, int64_t rows, int64_t n)
{
    const int64_t whole = n & ~(int64_t)15;
    const mc_vm last = v_first(n - whole);
    for (int64_t i = 0; i < rows; i++, x += ld_x, y += ld_y) {
        for (int64_t j = 0; j < whole; j += 16) v_store(y + j, add ? v_add(v_load(y + j), v_load(x + j)) : v_load(x + j));
        if (whole < n) v_store_m(y + whole, last, add ? v_add(v_load_m(y + whole, last), v_load_m(x + whole, last)) : v_load_m(x + whole, last));
    }
}

void MC_K(copy_block)(const float *x, int64_t ld_x, float *y, int64_t ld_y, int64_t rows, int64_t n) { block_rows(0, x, ld_x, y, ld_y, rows, n); }
void MC_K(add_block)(const float *x, int64_t ld_x, float *y, int64_t ld_y, int64_t rows, int64_t n) { block_rows(1, x, ld_x, y, ld_y, rows, n); }

/* ---- maxima of 2 x 2 windows ---- */

/* The largest so far and where it stands; a NaN is larger than anything. */
MC_INLINE void pool2_take(mc_v x, float place, mc_v *best, mc_v *where)
{
    const mc_vm nan = v_nan(x), more = v_lt(*best, x);
    *best = v_sel(nan, x, v_sel(more, x, *best));
    *where = v_sel(nan, v_set1(place), v_sel(more, v_set1(place), *where));
}

/* Sixteen windows from j on. */
MC_INLINE void pool2_windows(const float *x0, const float *x1, int64_t left, mc_v *best, mc_v *where)
{
    const mc_vm m = v_first(left < 8 ? 2 * left : 16), m2 = v_first(left < 8 ? 0 : 2 * left - 16);
    const float *row[2] = {x0, x1};
    mc_v e[2], o[2];
    for (int i = 0; i < 2; i++) {
        const mc_v first = v_load_m(row[i], m), second = left > 8 ? v_load_m(row[i] + 16, m2) : v_zero();
        e[i] = v_even(first, second);
        o[i] = v_odd(first, second);
    }
    *best = e[0];
    *where = v_zero();
    pool2_take(o[0], 1.0f, best, where);
    pool2_take(e[1], 2.0f, best, where);
    pool2_take(o[1], 3.0f, best, where);
}

void MC_K(max_pool2)(const float *x0, const float *x1, float *y, int64_t n)
{
    for (int64_t j = 0; j < n; j += 16) {
        mc_v best, where;
        pool2_windows(x0 + 2 * j, x1 + 2 * j, n - j, &best, &where);
        v_store_m(y + j, v_first(n - j), best);
    }
}

void MC_K(max_pool2_grad)(const float *x0, const float *x1, const float *dy, float *dx0, float *dx1, int64_t n)
{
    for (int64_t j = 0; j < n; j += 16) {
        const int64_t left = n - j;
        const mc_vm m = v_first(left < 8 ? 2 * left : 16), m2 = v_first(left < 8 ? 0 : 2 * left - 16);
        const mc_v d = v_load_m(dy + j, v_first(left));
        float *row[2] = {dx0 + 2 * j, dx1 + 2 * j};
        mc_v best, where;
        pool2_windows(x0 + 2 * j, x1 + 2 * j, left, &best, &where);
        for (int i = 0; i < 2; i++) {
            const mc_v e = v_sel(v_eq(where, v_set1(2.0f * (float)i)), d, v_zero()), o = v_sel(v_eq(where, v_set1(2.0f * (float)i + 1.0f)), d, v_zero());
            v_store_m(row[i], m, v_zip_first(e, o));
            if (left > 8) v_store_m(row[i] + 16, m2, v_zip_second(e, o));
        }
    }
}

/* ---- attention ---- */

void MC_K(attention_grad)(float *p, float *dp, int64_t t, const float *sum, float scale)
{
    const mc_v k = v_set1(scale);
    for (int64_t h = 0; h < MC_ATTENTION_LANES; h += 16) {
        const mc_v inv = v_div(v_set1(1.0f), v_load(sum + h));
        mc_v total = v_zero();
        for (int64_t i = h; i < t * MC_ATTENTION_LANES; i += MC_ATTENTION_LANES) {
            const mc_v x = v_mul(v_load(p + i), inv);
            v_store(p + i, x);
            total = v_add(total, v_mul(x, v_load(dp + i)));
        }
        for (int64_t i = h; i < t * MC_ATTENTION_LANES; i += MC_ATTENTION_LANES)
            v_store(dp + i, v_mul(v_mul(k, v_load(p + i)), v_sub(v_load(dp + i), total)));
    }
}
