/* x86/vec_math.h - kernels/math_f32.h on 16 lanes, line by line, so that every tier gives the same bits.
 * Include vec_avx2.h or vec_avx512.h first. No fused multiply-add here.
 */
#ifndef MC_VEC_MATH_H
#define MC_VEC_MATH_H

#include "kernels/math_f32.h"

MC_INLINE mc_v v_poly(mc_v p, mc_v t, float c) { return v_add(v_mul(p, t), v_set1(c)); }

MC_INLINE mc_v v_expf(mc_v x)
{
    const mc_v magic = v_set1(MC_ROUND_MAGIC);
    const mc_v c = v_max(v_set1(MC_EXP_LO), v_min(v_set1(MC_EXP_HI), x));
    const mc_v t = v_add(v_mul(c, v_set1(MC_EXP_LOG2E)), magic);
    const mc_v n = v_sub(t, magic);
    const mc_v r = v_sub(v_sub(c, v_mul(n, v_set1(MC_EXP_LN2_HI))), v_mul(n, v_set1(MC_EXP_LN2_LO)));
    mc_v p = v_poly(v_set1(MC_EXP_P4), r, MC_EXP_P3);
    p = v_poly(p, r, MC_EXP_P2);
    p = v_poly(p, r, MC_EXP_P1);
    p = v_poly(p, r, MC_EXP_P0);
    p = v_add(v_mul(p, v_mul(r, r)), r);
    p = v_add(p, v_set1(1.0f));
    const mc_vi scale = vi_add(vi_shl(vi_of_v(t), 23), vi_set1(0x3f800000));
    return v_sel(v_lt(x, v_set1(MC_EXP_LO)), v_zero(), v_mul(p, v_of_vi(scale)));
}

MC_INLINE mc_v v_clamp(mc_v x, float lo, float hi) { return v_max(v_set1(lo), v_min(v_set1(hi), x)); }

MC_INLINE mc_v v_erff(mc_v x)
{
    const mc_v c = v_clamp(x, -MC_ERF_MAX, MC_ERF_MAX);
    const mc_v t = v_mul(c, c);
    mc_v p = v_poly(v_set1(MC_ERF_P5), t, MC_ERF_P4);
    p = v_poly(p, t, MC_ERF_P3);
    p = v_poly(p, t, MC_ERF_P2);
    p = v_poly(p, t, MC_ERF_P1);
    p = v_poly(p, t, MC_ERF_P0);
    mc_v q = v_poly(v_set1(MC_ERF_Q5), t, MC_ERF_Q4);
    q = v_poly(q, t, MC_ERF_Q3);
    q = v_poly(q, t, MC_ERF_Q2);
    q = v_poly(q, t, MC_ERF_Q1);
    q = v_poly(q, t, 1.0f);
    return v_clamp(v_div(v_mul(c, p), q), -1.0f, 1.0f);
}

MC_INLINE mc_v v_tanhf(mc_v x)
{
    const mc_v c = v_clamp(x, -MC_TANH_MAX, MC_TANH_MAX);
    const mc_v t = v_mul(c, c);
    mc_v p = v_poly(v_set1(MC_TANH_P4), t, MC_TANH_P3);
    p = v_poly(p, t, MC_TANH_P2);
    p = v_poly(p, t, MC_TANH_P1);
    p = v_poly(p, t, MC_TANH_P0);
    mc_v q = v_poly(v_set1(MC_TANH_Q4), t, MC_TANH_Q3);
    q = v_poly(q, t, MC_TANH_Q2);
    q = v_poly(q, t, MC_TANH_Q1);
    q = v_poly(q, t, 1.0f);
    return v_clamp(v_div(v_mul(c, p), q), -1.0f, 1.0f);
}

MC_INLINE mc_v v_one_plus_exp_neg(mc_v x) { return v_add(v_set1(1.0f), v_expf(v_neg(x))); }
MC_INLINE mc_v v_sigmoidf(mc_v x) { return v_div(v_set1(1.0f), v_one_plus_exp_neg(x)); }
MC_INLINE mc_v v_siluf(mc_v x) { return v_div(x, v_one_plus_exp_neg(x)); }
MC_INLINE mc_v v_geluf(mc_v x)
{
    return v_mul(v_mul(v_set1(0.5f), x), v_add(v_set1(1.0f), v_erff(v_mul(x, v_set1(0.70710678f)))));
}
MC_INLINE mc_v v_gelu_tanhf(mc_v x)
{
    const mc_v u = v_add(x, v_mul(v_mul(v_mul(v_set1(0.044715f), x), x), x));
    return v_mul(v_mul(v_set1(0.5f), x), v_add(v_set1(1.0f), v_tanhf(v_mul(v_set1(0.79788456f), u))));
}
MC_INLINE mc_v v_hardswishf(mc_v x)
{
    const mc_v t = v_add(v_mul(x, v_set1(0.16666667f)), v_set1(0.5f));
    return v_mul(x, v_max(v_zero(), v_min(v_set1(1.0f), t)));
}

/* mc_actf; act is a constant of the caller's instance. */
MC_INLINE mc_v v_act(const int32_t act, mc_v lo, mc_v hi, mc_v x)
{
    switch (act) {
    case MCOMP_ACT_RELU: return v_max(v_zero(), x);
    case MCOMP_ACT_CLIP: return v_min(hi, v_max(lo, x));
    case MCOMP_ACT_GELU: return v_geluf(x);
    case MCOMP_ACT_GELU_TANH: return v_gelu_tanhf(x);
    case MCOMP_ACT_SIGMOID: return v_sigmoidf(x);
    case MCOMP_ACT_TANH: return v_tanhf(x);
    case MCOMP_ACT_SILU: return v_siluf(x);
    case MCOMP_ACT_HARDSWISH: return v_hardswishf(x);
    default: return x;
    }
}

MC_INLINE float v_sum_row(const float *x, int64_t n)
{
    mc_v s = v_zero();
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) s = v_add(s, v_load(x + i));
    if (i < n) s = v_add(s, v_load_m(x + i, v_first(n - i)));
    return v_reduce_add(s);
}

/* mc_layernorm_row_ref. */
MC_INLINE void v_layernorm_row(float *y, const float *x, const float *gamma, const float *beta, float eps, int64_t n)
{
    const int64_t whole = n & ~(int64_t)15;
    const mc_vm last = v_first(n - whole);
    const float mean = v_sum_row(x, n) / (float)n;
    const mc_v m = v_set1(mean);
    mc_v s = v_zero();
    for (int64_t i = 0; i < whole; i += 16) {
        const mc_v d = v_sub(v_load(x + i), m);
        s = v_add(s, v_mul(d, d));
    }
    if (whole < n) {
        const mc_v d = v_sub(v_load_m(x + whole, last), m);
        s = v_sel(last, v_add(s, v_mul(d, d)), s);
    }
    const float inv = 1.0f / sqrtf(v_reduce_add(s) / (float)n + eps);
    const mc_v k = v_set1(inv);
    for (int64_t i = 0; i < whole; i += 16) {
        mc_v v = v_mul(v_sub(v_load(x + i), m), k);
        if (gamma) v = v_mul(v, v_load(gamma + i));
        if (beta) v = v_add(v, v_load(beta + i));
        v_store(y + i, v);
    }
    if (whole < n) {
        mc_v v = v_mul(v_sub(v_load_m(x + whole, last), m), k);
        if (gamma) v = v_mul(v, v_load_m(gamma + whole, last));
        if (beta) v = v_add(v, v_load_m(beta + whole, last));
        v_store_m(y + whole, last, v);
    }
}

#endif
