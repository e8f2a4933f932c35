/* x86/elementwise_body.h - unary and binary operators, depthwise sums, transposition, written once; a tier's file includes it. */
#include "kernels/rows.h"
#include "kernels/x86/vec_math.h"

/* ---- unary ---- */

/* mc_expf stays finite above 88.37: squares e^(x/2) there, which overflows to infinity where it should. */
MC_INLINE mc_v v_exp_full(mc_v x)
{
    const mc_vm big = v_lt(v_set1(88.0f), x);
    const mc_v e = v_expf(v_sel(big, v_mul(x, v_set1(0.5f)), x));
    return v_sel(big, v_mul(e, e), e);
}

MC_INLINE mc_v unary_step(const int code, mc_v p, mc_v q, mc_v x)
{
    const mc_v one = v_set1(1.0f), zero = v_zero();
    switch (code) {
    case MC_UNARY_HARDSIGMOID: return v_max(zero, v_min(one, v_add(v_mul(p, x), q)));
    case MC_UNARY_LEAKY_RELU: return v_sel(v_lt(x, zero), v_mul(p, x), x);
    case MC_UNARY_ELU: return v_sel(v_lt(x, zero), v_mul(p, v_sub(v_expf(x), one)), x);
    case MC_UNARY_AFFINE: return v_add(v_mul(x, p), q);
    case MC_UNARY_ERF: return v_erff(x);
    case MC_UNARY_EXP: return v_exp_full(x);
    case MC_UNARY_SQRT: return v_sqrt(x);
    case MC_UNARY_RSQRT: return v_div(one, v_sqrt(x));
    case MC_UNARY_NEG: return v_neg(x);
    case MC_UNARY_ABS: return v_abs(x);
    case MC_UNARY_RECIPROCAL: return v_div(one, x);
    case MC_UNARY_SQUARE: return v_mul(x, x);
    case MC_UNARY_FLOOR: return v_floor(x);
    case MC_UNARY_CEIL: return v_neg(v_floor(v_neg(x)));
    case MC_UNARY_ROUND: return v_round(x);
    default: return v_act(code, p, q, x);
    }
}

MC_INLINE void unary_run(const int code, const float *x, float *y, int64_t n, float p, float q)
{
    const mc_v vp = v_set1(p), vq = v_set1(q);
    int64_t j = 0;
    for (; j + 16 <= n; j += 16) v_store(y + j, unary_step(code, vp, vq, v_load(x + j)));
    if (j < n) {
        const mc_vm m = v_first(n - j);
        v_store_m(y + j, m, unary_step(code, vp, vq, v_load_m(x + j, m)));
    }
}

void MC_K(unary)(int32_t code, const float *x, float *y, int64_t n, float p, float q)
{
    switch (code) {
#define UNARY_CASE(c)                                                                                                  \
    case c: unary_run(c, x, y, n, p, q); break;
        UNARY_CASE(MCOMP_ACT_NONE) UNARY_CASE(MCOMP_ACT_RELU) UNARY_CASE(MCOMP_ACT_CLIP) UNARY_CASE(MCOMP_ACT_GELU)
        UNARY_CASE(MCOMP_ACT_GELU_TANH) UNARY_CASE(MCOMP_ACT_SIGMOID) UNARY_CASE(MCOMP_ACT_TANH)
        UNARY_CASE(MCOMP_ACT_SILU) UNARY_CASE(MCOMP_ACT_HARDSWISH) UNARY_CASE(MC_UNARY_HARDSIGMOID)
        UNARY_CASE(MC_UNARY_LEAKY_RELU) UNARY_CASE(MC_UNARY_ELU) UNARY_CASE(MC_UNARY_AFFINE) UNARY_CASE(MC_UNARY_ERF)
        UNARY_CASE(MC_UNARY_EXP) UNARY_CASE(MC_UNARY_SQRT) UNARY_CASE(MC_UNARY_RSQRT) UNARY_CASE(MC_UNARY_NEG)
        UNARY_CASE(MC_UNARY_ABS) UNARY_CASE(MC_UNARY_RECIPROCAL) UNARY_CASE(MC_UNARY_SQUARE)
        UNARY_CASE(MC_UNARY_FLOOR) UNARY_CASE(MC_UNARY_CEIL) UNARY_CASE(MC_UNARY_ROUND)
#undef UNARY_CASE
    default: /* LOG: rare, and a library call is exact */
        for (int64_t j = 0; j < n; j++) y[j] = logf(x[j]);
        break;
    }
}

/* ---- binary ---- */

MC_INLINE mc_v binary_step(const int code, mc_v a, mc_v b)
{
    switch (code) {
    case MC_BINARY_SUB: return v_sub(a, b);
    case MC_BINARY_MUL: return v_mul(a, b);
    case MC_BINARY_DIV: return v_div(a, b);
    case MC_BINARY_MIN: return v_sel(v_nan(a), a, v_min(a, b)); /* min_ps(a, b) gives b when b is NaN */
    case MC_BINARY_MAX: return v_sel(v_nan(a), a, v_max(a, b));
    default: return v_add(a, b);
    }
}

MC_INLINE void binary_run(const int code, const int steps, const float *a, const float *b, float *y, int64_t n)
{
    const mc_v a0 = v_set1(steps & 1 ? 0.0f : a[0]), b0 = v_set1(steps & 2 ? 0.0f : b[0]);
    int64_t j = 0;
    for (; j + 16 <= n; j += 16)
        v_store(y + j, binary_step(code, steps & 1 ? v_load(a + j) : a0, steps & 2 ? v_load(b + j) : b0));
    if (j < n) {
        const mc_vm m = v_first(n - j);
        v_store_m(y + j, m, binary_step(code, steps & 1 ? v_load_m(a + j, m) : a0, steps & 2 ? v_load_m(b + j, m) : b0));
    }
}

void MC_K(binary)(int32_t code, const float *a, int64_t a_step, const float *b, int64_t b_step, float *y, int64_t n)
{
    if (n <= 0) return;
    switch (code * 4 + (a_step ? 1 : 0) + (b_step ? 2 : 0)) {
#define BINARY_CASE(c)                                                                                                 \
    case c * 4: binary_run(c, 0, a, b, y, n); break;                                                                   \
    case c * 4 + 1: binary_run(c, 1, a, b, y, n); break;                                                               \
    case c * 4 + 2: binary_run(c, 2, a, b, y, n); break;                                                               \
    case c * 4 + 3: binary_run(c, 3, a, b, y, n); break;
        BINARY_CASE(MC_BINARY_ADD) BINARY_CASE(MC_BINARY_SUB) BINARY_CASE(MC_BINARY_MUL) BINARY_CASE(MC_BINARY_DIV)
        BINARY_CASE(MC_BINARY_MIN) BINARY_CASE(MC_BINARY_MAX)
#undef BINARY_CASE
    default: break;
    }
}

/* ---- windows, layout ---- */

/* `pixels` pixels of 16 channels: a weight is loaded once for all of them. */
MC_INLINE void depthwise_block(const mc_depthwise_f32 *d, int64_t p, int64_t c, const int pixels, const int masked, mc_vm m)
{
    mc_v s[4];
    const mc_v start = !d->bias ? v_zero() : masked ? v_load_m(d->bias + c, m) : v_load(d->bias + c);
    MC_UNROLL for (int i = 0; i < pixels; i++) s[i] = start;
    for (int64_t t = 0; t < d->taps; t++) {
        const float *x = d->x[t] + p * d->x_step + c, *w = d->w[t] + c;
        const mc_v k = masked ? v_load_m(w, m) : v_load(w);
        MC_UNROLL for (int i = 0; i < pixels; i++, x += d->x_step) s[i] = v_fma(masked ? v_load_m(x, m) : v_load(x), k, s[i]);
    }
    MC_UNROLL for (int i = 0; i < pixels; i++) {
        float *y = d->y + (p + i) * d->ld_y + c;
        if (masked) v_store_m(y, m, s[i]);
        else v_store(y, s[i]);
    }
}

void MC_K(depthwise)(const mc_depthwise_f32 *d)
{
    const int64_t whole = d->n & ~(int64_t)15;
    const mc_vm m = v_first(d->n - whole);
    int64_t p = 0;
    for (; p + 4 <= d->pixels; p += 4) {
        for (int64_t c = 0; c < whole; c += 16) depthwise_block(d, p, c, 4, 0, m);
        if (whole < d->n) depthwise_block(d, p, whole, 4, 1, m);
    }
    for (; p < d->pixels; p++) {
        for (int64_t c = 0; c < whole; c += 16) depthwise_block(d, p, c, 1, 0, m);
        if (whole < d->n) depthwise_block(d, p, whole, 1, 1, m);
    }
}

MC_INLINE void pool_run(const int binary, const float *const *x, int64_t taps, float *y, int64_t n)
{
    int64_t c = 0;
    for (; c + 16 <= n; c += 16) {
        mc_v s = v_load(x[0] + c);
        for (int64_t t = 1; t < taps; t++) s = binary_step(binary, s, v_load(x[t] + c));
        v_store(y + c, s);
    }
    if (c < n) {
        const mc_vm m = v_first(n - c);
        mc_v s = v_load_m(x[0] + c, m);
        for (int64_t t = 1; t < taps; t++) s = binary_step(binary, s, v_load_m(x[t] + c, m));
        v_store_m(y + c, m, s);
    }
}

void MC_K(pool)(int32_t code, const float *const *x, int64_t taps, float *y, int64_t n)
{
    if (code == MC_REDUCE_SUM) pool_run(MC_BINARY_ADD, x, taps, y, n);
    else pool_run(MC_BINARY_MAX, x, taps, y, n);
}

void MC_K(lstm)(const float *gates, float *c, float *h, int64_t n)
{
    for (int64_t k = 0; k < n; k += 16) {
        const mc_vm m = v_first(n - k);
        const mc_v i = v_sigmoidf(v_load_m(gates + k, m)), o = v_sigmoidf(v_load_m(gates + n + k, m));
        const mc_v f = v_sigmoidf(v_load_m(gates + 2 * n + k, m)), g = v_tanhf(v_load_m(gates + 3 * n + k, m));
        const mc_v s = v_add(v_mul(f, v_load_m(c + k, m)), v_mul(i, g));
        v_store_m(c + k, m, s);
        v_store_m(h + k, m, v_mul(o, v_tanhf(s)));
    }
}

void MC_K(transpose)(const float *in, int64_t ld_in, float *out, int64_t ld_out, int64_t rows, int64_t cols)
{
    for (int64_t i = 0; i < rows; i += 16)
        for (int64_t j = 0; j < cols; j += 16) {
            const int64_t r = rows - i < 16 ? rows - i : 16, c = cols - j < 16 ? cols - j : 16;
            const mc_vm mc = v_first(c), mr = v_first(r);
            mc_v t[16];
            for (int k = 0; k < 16; k++) t[k] = k < r ? v_load_m(in + (i + k) * ld_in + j, mc) : v_zero();
            v_transpose16(t);
            for (int k = 0; k < c; k++) v_store_m(out + (j + k) * ld_out + i, mr, t[k]);
        }
}
