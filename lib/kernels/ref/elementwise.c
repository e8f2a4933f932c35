/* Unary and binary operators, depthwise sums, transposition, portable. */
#include "kernels/math_f32.h"
#include "kernels/rows.h"

static float unary(int32_t code, float x, float p, float q)
{
    switch (code) {
    case MC_UNARY_HARDSIGMOID: {
        float t = p * x + q;
        t = 1.0f < t ? 1.0f : t;
        return 0.0f > t ? 0.0f : t;
    }
    case MC_UNARY_LEAKY_RELU: return x < 0.0f ? p * x : x;
    case MC_UNARY_ELU: return x < 0.0f ? p * (mc_expf(x) - 1.0f) : x;
    case MC_UNARY_AFFINE: return x * p + q;
    case MC_UNARY_ERF: return mc_erff(x);
    case MC_UNARY_EXP: {
        const float e = mc_expf(x > 88.0f ? x * 0.5f : x); /* mc_expf alone stays finite */
        return x > 88.0f ? e * e : e;
    }
    case MC_UNARY_LOG: return logf(x);
    case MC_UNARY_SQRT: return sqrtf(x);
    case MC_UNARY_RSQRT: return 1.0f / sqrtf(x);
    case MC_UNARY_NEG: return -x;
    case MC_UNARY_ABS: return fabsf(x);
    case MC_UNARY_RECIPROCAL: return 1.0f / x;
    case MC_UNARY_SQUARE: return x * x;
    case MC_UNARY_FLOOR: return floorf(x);
    case MC_UNARY_CEIL: return ceilf(x);
    case MC_UNARY_ROUND: return nearbyintf(x);
    default: return mc_actf(code, p, q, x);
    }
}

void mc_k_f32_unary_ref(int32_t code, const float *x, float *y, int64_t n, float p, float q)
{
    for (int64_t j = 0; j < n; j++) y[j] = unary(code, x[j], p, q);
}

static float binary(int32_t code, float a, float b)
{
    switch (code) {
    case MC_BINARY_SUB: return a - b;
    case MC_BINARY_MUL: return a * b;
    case MC_BINARY_DIV: return a / b;
    case MC_BINARY_MIN: return isnan(a) || a < b ? a : b;
    case MC_BINARY_MAX: return isnan(a) || a > b ? a : b;
    default: return a + b;
    }
}

void mc_k_f32_binary_ref(int32_t code, const float *a, int64_t a_step, const float *b, int64_t b_step, float *y, int64_t n)
{
    for (int64_t j = 0; j < n; j++) y[j] = binary(code, a[j * a_step], b[j * b_step]);
}

void mc_k_f32_depthwise_ref(const float *const *x, const float *w, const float *bias, int64_t taps, float *y, int64_t n)
{
    for (int64_t c = 0; c < n; c++) {
        float s = bias ? bias[c] : 0.0f;
        for (int64_t t = 0; t < taps; t++) s = fmaf(x[t][c], w[t * n + c], s);
        y[c] = s;
    }
}

void mc_k_f32_transpose_ref(const float *in, int64_t ld_in, float *out, int64_t ld_out, int64_t rows, int64_t cols)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++) out[j * ld_out + i] = in[i * ld_in + j];
}
