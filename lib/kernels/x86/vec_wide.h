/* x86/vec_wide.h - activations of vec_math.h on several vectors in step.
 *
 * A polynomial is one long chain of dependent instructions; the scheduler of a core sees little more than one vector of it at
 * a time and would mostly wait. Written step by step over n vectors the chains overlap. Same operations, same bits.
 */
#ifndef MC_VEC_WIDE_H
#define MC_VEC_WIDE_H

#include "kernels/x86/vec_math.h"

#ifdef __AVX512F__
#define MC_WIDE 4
#else
#define MC_WIDE 2 /* a vector is two registers here */
#endif

/* The statement for k = 0 .. n-1 <= 3, written out so that arrays of vectors become registers. */
#define MC_AT(i, ...)                                                                                                  \
    if (i < n) {                                                                                                       \
        enum { k = i };                                                                                                \
        __VA_ARGS__;                                                                                                   \
    }
#define MC_EACH(...)                                                                                                   \
    do {                                                                                                               \
        MC_AT(0, __VA_ARGS__) MC_AT(1, __VA_ARGS__) MC_AT(2, __VA_ARGS__) MC_AT(3, __VA_ARGS__)                        \
    } while (0)
#define MC_W_POLY(p, t, c) MC_EACH(p[k] = v_poly(p[k], t[k], c))

/* x = erf(x * pre). */
MC_INLINE void w_erf(mc_v *x, const int n, const float pre)
{
    mc_v c[4], t[4], p[4], q[4];
    MC_EACH(c[k] = v_clamp(v_mul(x[k], v_set1(pre)), -MC_ERF_MAX, MC_ERF_MAX));
    MC_EACH(t[k] = v_mul(c[k], c[k]));
    MC_EACH(p[k] = v_poly(v_set1(MC_ERF_P5), t[k], MC_ERF_P4));
    MC_EACH(q[k] = v_poly(v_set1(MC_ERF_Q5), t[k], MC_ERF_Q4));
    MC_W_POLY(p, t, MC_ERF_P3);
    MC_W_POLY(q, t, MC_ERF_Q3);
    MC_W_POLY(p, t, MC_ERF_P2);
    MC_W_POLY(q, t, MC_ERF_Q2);
    MC_W_POLY(p, t, MC_ERF_P1);
    MC_W_POLY(q, t, MC_ERF_Q1);
    MC_W_POLY(p, t, MC_ERF_P0);
    MC_W_POLY(q, t, 1.0f);
    MC_EACH(p[k] = v_mul(c[k], p[k]));
    MC_EACH(x[k] = v_clamp(v_div(p[k], q[k]), -1.0f, 1.0f));
}

/* x = tanh(x). */
MC_INLINE void w_tanh(mc_v *x, const int n)
{
    mc_v c[4], t[4], p[4], q[4];
    MC_EACH(c[k] = v_clamp(x[k], -MC_TANH_MAX, MC_TANH_MAX));
    MC_EACH(t[k] = v_mul(c[k], c[k]));
    MC_EACH(p[k] = v_poly(v_set1(MC_TANH_P4), t[k], MC_TANH_P3));
    MC_EACH(q[k] = v_poly(v_set1(MC_TANH_Q4), t[k], MC_TANH_Q3));
    MC_W_POLY(p, t, MC_TANH_P2);
    MC_W_POLY(q, t, MC_TANH_Q2);
    MC_W_POLY(p, t, MC_TANH_P1);
    MC_W_POLY(q, t, MC_TANH_Q1);
    MC_W_POLY(p, t, MC_TANH_P0);
    MC_W_POLY(q, t, 1.0f);
    MC_EACH(p[k] = v_mul(c[k], p[k]));
    MC_EACH(x[k] = v_clamp(v_div(p[k], q[k]), -1.0f, 1.0f));
}

/* x = 1 + exp(-x). */
MC_INLINE void w_one_plus_exp_neg(mc_v *x, const int n)
{
    const mc_v magic = v_set1(MC_ROUND_MAGIC), low = v_set1(MC_EXP_LO);
    mc_v c[4], t[4], r[4], p[4], s[4];
    MC_EACH(x[k] = v_neg(x[k]));
    MC_EACH(c[k] = v_max(low, v_min(v_set1(MC_EXP_HI), x[k])));
    MC_EACH(t[k] = v_add(v_mul(c[k], v_set1(MC_EXP_LOG2E)), magic));
    MC_EACH(s[k] = v_sub(t[k], magic));
    MC_EACH(r[k] = v_sub(v_sub(c[k], v_mul(s[k], v_set1(MC_EXP_LN2_HI))), v_mul(s[k], v_set1(MC_EXP_LN2_LO))));
    MC_EACH(p[k] = v_poly(v_set1(MC_EXP_P4), r[k], MC_EXP_P3));
    MC_W_POLY(p, r, MC_EXP_P2);
    MC_W_POLY(p, r, MC_EXP_P1);
    MC_W_POLY(p, r, MC_EXP_P0);
    MC_EACH(p[k] = v_add(v_mul(p[k], v_mul(r[k], r[k])), r[k]));
    MC_EACH(p[k] = v_add(p[k], v_set1(1.0f)));
    MC_EACH(p[k] = v_mul(p[k], v_of_vi(vi_add(vi_shl(vi_of_v(t[k]), 23), vi_set1(0x3f800000)))));
    MC_EACH(x[k] = v_add(v_set1(1.0f), v_sel(v_lt(x[k], low), v_zero(), p[k])));
}

/* mc_actf on n vectors; act is a constant of the caller's instance. */
MC_INLINE void w_act(const int32_t act, mc_v lo, mc_v hi, mc_v *x, const int n)
{
    mc_v y[4];
    switch (act) {
    case MCOMP_ACT_GELU:
        MC_EACH(y[k] = x[k]);
        w_erf(y, n, 0.70710678f);
        MC_EACH(x[k] = v_mul(v_mul(v_set1(0.5f), x[k]), v_add(v_set1(1.0f), y[k])));
        break;
    case MCOMP_ACT_GELU_TANH:
        MC_EACH(y[k] = v_mul(v_set1(0.79788456f), v_add(x[k], v_mul(v_mul(v_mul(v_set1(0.044715f), x[k]), x[k]), x[k]))));
        w_tanh(y, n);
        MC_EACH(x[k] = v_mul(v_mul(v_set1(0.5f), x[k]), v_add(v_set1(1.0f), y[k])));
        break;
    case MCOMP_ACT_TANH: w_tanh(x, n); break;
    case MCOMP_ACT_SIGMOID:
        w_one_plus_exp_neg(x, n);
        MC_EACH(x[k] = v_div(v_set1(1.0f), x[k]));
        break;
    case MCOMP_ACT_SILU:
        MC_EACH(y[k] = x[k]);
        w_one_plus_exp_neg(y, n);
        MC_EACH(x[k] = v_div(x[k], y[k]));
        break;
    default: MC_EACH(x[k] = v_act(act, lo, hi, x[k]));
    }
}

#endif
