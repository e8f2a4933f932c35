/* kernels/math_f32.h - the one definition of exp, erf, tanh, activations, LayerNormalization and requantization in float.
 *
 * Integer plans give the same bits on every CPU tier, so their float epilogues may use only this: plain float multiplies,
 * adds, divisions, minima and maxima in the order written here (no FMA; the project is built with -ffp-contract=off), no
 * branches, no tables. A SIMD kernel repeats each line with one instruction:
 *   hi < x ? hi : x   _mm*_min_ps(hi, x)    NaN in x stays NaN
 *   lo > x ? lo : x   _mm*_max_ps(lo, x)
 *   t + MC_ROUND_MAGIC - MC_ROUND_MAGIC     round to nearest even for |t| < 2^22, the same as cvtps
 * Coefficients: our own weighted minimax fits (Lawson iteration); maximal errors, measured over all floats by
 * tests/unit/ops/test_nn_math.c, stand at each function.
 */
#ifndef MC_KERNELS_MATH_F32_H
#define MC_KERNELS_MATH_F32_H

#include <mcomp/backend.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#define MC_ROUND_MAGIC 12582912.0f /* 1.5 * 2^23 */

static inline float mc_f32_from_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static inline uint32_t mc_f32_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

/* e^x. Below -87.336 the result is 0, above 88.37 it stays at e^88.37 (no infinity). <= 2 ulp.
 * x = n ln 2 + r, |r| <= 0.347; e^r = 1 + r + r^2 P(r); 2^n by its exponent field (the magic sum has n in its low bits). */
#define MC_EXP_LO -87.336f
#define MC_EXP_HI 88.37f
#define MC_EXP_LOG2E 1.44269504f
#define MC_EXP_LN2_HI 0.693359375f
#define MC_EXP_LN2_LO -2.12194440e-4f
#define MC_EXP_P0 0x1.fffffcp-2f
#define MC_EXP_P1 0x1.555492p-3f
#define MC_EXP_P2 0x1.5558f2p-5f
#define MC_EXP_P3 0x1.1239e0p-7f
#define MC_EXP_P4 0x1.6a243ap-10f
static inline float mc_expf(float x)
{
    float c = MC_EXP_HI < x ? MC_EXP_HI : x;
    c = MC_EXP_LO > c ? MC_EXP_LO : c;
    const float t = c * MC_EXP_LOG2E + MC_ROUND_MAGIC;
    const float n = t - MC_ROUND_MAGIC;
    const float r = (c - n * MC_EXP_LN2_HI) - n * MC_EXP_LN2_LO;
    float p = MC_EXP_P4 * r + MC_EXP_P3;
    p = p * r + MC_EXP_P2;
    p = p * r + MC_EXP_P1;
    p = p * r + MC_EXP_P0;
    p = p * (r * r) + r;
    p = p + 1.0f;
    const float scale = mc_f32_from_bits((mc_f32_bits(t) << 23) + 0x3f800000u);
    p = p * scale;
    return x < MC_EXP_LO ? 0.0f : p; /* andnot(cmplt(x, lo), p) */
}

/* erf(x) = x P(x^2) / Q(x^2) on |x| <= 3.92 (clamped there; the limit 1 is reached), |result| <= 1. <= 7 ulp. */
#define MC_ERF_MAX 3.9192059f
#define MC_ERF_P0 1.12837915f
#define MC_ERF_P1 1.90375583e-1f
#define MC_ERF_P2 5.27452985e-2f
#define MC_ERF_P3 3.76446577e-3f
#define MC_ERF_P4 2.84887677e-4f
#define MC_ERF_P5 2.05073877e-6f
#define MC_ERF_Q1 5.02048710e-1f
#define MC_ERF_Q2 1.14096945e-1f
#define MC_ERF_Q3 1.49668952e-2f
#define MC_ERF_Q4 1.16231313e-3f
#define MC_ERF_Q5 3.80986966e-5f
static inline float mc_erff(float x)
{
    float c = MC_ERF_MAX < x ? MC_ERF_MAX : x;
    c = -MC_ERF_MAX > c ? -MC_ERF_MAX : c;
    const float t = c * c;
    float p = MC_ERF_P5 * t + MC_ERF_P4;
    p = p * t + MC_ERF_P3;
    p = p * t + MC_ERF_P2;
    p = p * t + MC_ERF_P1;
    p = p * t + MC_ERF_P0;
    float q = MC_ERF_Q5 * t + MC_ERF_Q4;
    q = q * t + MC_ERF_Q3;
    q = q * t + MC_ERF_Q2;
    q = q * t + MC_ERF_Q1;
    q = q * t + 1.0f;
    float y = (c * p) / q;
    y = 1.0f < y ? 1.0f : y;
    return -1.0f > y ? -1.0f : y;
}

/* tanh(x) = x P(x^2) / Q(x^2) on |x| <= 9.2 (clamped there; the limit 1 is reached), |result| <= 1. <= 7 ulp. */
#define MC_TANH_MAX 9.2f
#define MC_TANH_P0 1.0f
#define MC_TANH_P1 1.33803621e-1f
#define MC_TANH_P2 3.49479968e-3f
#define MC_TANH_P3 2.05960873e-5f
#define MC_TANH_P4 1.33365957e-8f
#define MC_TANH_Q1 4.67136775e-1f
#define MC_TANH_Q2 2.58739836e-2f
#define MC_TANH_Q3 3.28434462e-4f
#define MC_TANH_Q4 7.76917815e-7f
static inline float mc_tanhf(float x)
{
    float c = MC_TANH_MAX < x ? MC_TANH_MAX : x;
    c = -MC_TANH_MAX > c ? -MC_TANH_MAX : c;
    const float t = c * c;
    float p = MC_TANH_P4 * t + MC_TANH_P3;
    p = p * t + MC_TANH_P2;
    p = p * t + MC_TANH_P1;
    p = p * t + MC_TANH_P0;
    float q = MC_TANH_Q4 * t + MC_TANH_Q3;
    q = q * t + MC_TANH_Q2;
    q = q * t + MC_TANH_Q1;
    q = q * t + 1.0f;
    float y = (c * p) / q;
    y = 1.0f < y ? 1.0f : y;
    return -1.0f > y ? -1.0f : y;
}

static inline float mc_sigmoidf(float x) { return 1.0f / (1.0f + mc_expf(-x)); }
static inline float mc_siluf(float x) { return x / (1.0f + mc_expf(-x)); }
static inline float mc_geluf(float x) { return (0.5f * x) * (1.0f + mc_erff(x * 0.70710678f)); }
static inline float mc_gelu_tanhf(float x)
{
    const float u = x + ((0.044715f * x) * x) * x;
    return (0.5f * x) * (1.0f + mc_tanhf(0.79788456f * u));
}
static inline float mc_hardswishf(float x)
{
    float t = x * 0.16666667f + 0.5f;
    t = 1.0f < t ? 1.0f : t;
    t = 0.0f > t ? 0.0f : t;
    return x * t;
}

/* Activation of an epilogue; act is MCOMP_ACT_*. */
static inline float mc_actf(int32_t act, float lo, float hi, float x)
{
    switch (act) {
    case MCOMP_ACT_RELU: return 0.0f > x ? 0.0f : x;
    case MCOMP_ACT_CLIP:
        x = lo > x ? lo : x;
        return hi < x ? hi : x;
    case MCOMP_ACT_GELU: return mc_geluf(x);
    case MCOMP_ACT_GELU_TANH: return mc_gelu_tanhf(x);
    case MCOMP_ACT_SIGMOID: return mc_sigmoidf(x);
    case MCOMP_ACT_TANH: return mc_tanhf(x);
    case MCOMP_ACT_SILU: return mc_siluf(x);
    case MCOMP_ACT_HARDSWISH: return mc_hardswishf(x);
    default: return x;
    }
}

/* Sum in the fixed order of every tier: 16 lanes, lane j takes elements j, j+16, ...; then halves are added, 16 -> 8 -> 4
 * -> 2 -> 1 (lane j += lane j + half). AVX2 holds the lanes in two registers: lanes 0-7 and 8-15. */
static inline float mc_lanes_fold(float s[16])
{
    for (int w = 8; w >= 1; w >>= 1)
        for (int j = 0; j < w; j++) s[j] = s[j] + s[j + w];
    return s[0];
}

static inline float mc_sum_row_ref(const float *x, int64_t n)
{
    float s[16] = {0};
    for (int64_t i = 0; i < n; i++) s[i & 15] = s[i & 15] + x[i];
    return mc_lanes_fold(s);
}

/* LayerNormalization of one row; y may be x; gamma, beta may be NULL (step left out). Two passes:
 *   mean = sum(x) / n; var = sum((x - mean)^2) / n, both sums in lanes; inv = 1 / sqrt(var + eps);
 *   y = ((x - mean) * inv) * gamma + beta. */
static inline void mc_layernorm_row_ref(float *y, const float *x, const float *gamma, const float *beta, float eps, int64_t n)
{
    float s[16] = {0};
    const float mean = mc_sum_row_ref(x, n) / (float)n;
    for (int64_t i = 0; i < n; i++) {
        const float d = x[i] - mean;
        s[i & 15] = s[i & 15] + d * d;
    }
    const float var = mc_lanes_fold(s) / (float)n;
    const float inv = 1.0f / sqrtf(var + eps);
    for (int64_t i = 0; i < n; i++) {
        float v = (x[i] - mean) * inv;
        if (gamma) v = v * gamma[i];
        if (beta) v = v + beta[i];
        y[i] = v;
    }
}

/* Softmax of one row: e = exp(x - max), sum in lanes, y = e * (1 / sum). A row of -inf only gives NaN, as ONNX does. */
static inline void mc_softmax_row_ref(float *y, const float *x, int64_t n)
{
    float max = -INFINITY;
    for (int64_t i = 0; i < n; i++) max = x[i] > max ? x[i] : max;
    for (int64_t i = 0; i < n; i++) y[i] = mc_expf(x[i] - max);
    const float inv = 1.0f / mc_sum_row_ref(y, n);
    for (int64_t i = 0; i < n; i++) y[i] = y[i] * inv;
}

/* t (already divided by the scale) -> round to nearest even, add zp, saturate to [lo, hi]; NaN -> zp. Done as: t = 0 where
 * NaN; clamp to [lo - zp, hi - zp] in float; round; add zp. Clamping first gives the same as saturating last. */
static inline int32_t mc_quant_round(float t, int32_t zp, int32_t lo, int32_t hi)
{
    const float flo = (float)(lo - zp), fhi = (float)(hi - zp);
    t = t == t ? t : 0.0f; /* and(cmpord(t, t), t) */
    t = fhi < t ? fhi : t;
    t = flo > t ? flo : t;
    return (int32_t)((t + MC_ROUND_MAGIC) - MC_ROUND_MAGIC) + zp;
}

/* Requantization in the epilogue of integer kernels: inv_y = 1.0f / y_scale, computed once. */
static inline int32_t mc_requant(float v, float inv_y, int32_t zp, int32_t lo, int32_t hi)
{
    return mc_quant_round(v * inv_y, zp, lo, hi);
}

/* Scale of one row quantized on the way in (mode token): amax / 127, never 0; then q = mc_quant_round(x / scale, 0, -128, 127). */
static inline float mc_token_scale(const float *x, int64_t n)
{
    float amax = 0.0f;
    for (int64_t i = 0; i < n; i++) {
        const float a = x[i] < 0.0f ? -x[i] : x[i]; /* NaN is passed over: _mm*_max_ps(a, amax) */
        amax = a > amax ? a : amax;
    }
    const float scale = amax / 127.0f;
    return scale == 0.0f ? 1.0f : scale;
}

/* DynamicQuantizeLinear's rule for u8 from the extremes of the tensor (NaN passed over): scale and zero point. */
static inline float mc_tensor_scale(float min, float max, int32_t *zp)
{
    min = min < 0.0f ? min : 0.0f;
    max = max > 0.0f ? max : 0.0f;
    const float scale = (max - min) / 255.0f;
    if (scale == 0.0f) {
        *zp = 0;
        return 1.0f;
    }
    *zp = mc_quant_round((0.0f - min) / scale, 0, 0, 255);
    return scale;
}

#endif
