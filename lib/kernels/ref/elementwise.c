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

void mc_k_f32_depthwise_ref(const mc_depthwise_f32 *d)
{
    for (int64_t p = 0; p < d->pixels; p++)
        for (int64_t c = 0; c < d->n; c++) {
            float s = d->bias ? d->bias[c] : 0.0f;
            for (int64_t t = 0; t < d->taps; t++) s = fmaf(d->x[t][p * d->x_step + c], d->w[t][c], s);
            d->y[p * d->ld_y + c] = s;
        }
}

void mc_k_f32_pool_ref(int32_t code, const float *const *x, int64_t taps, float *y, int64_t n)
{
    for (int64_t c = 0; c < n; c++) {
        float s = x[0][c];
        for (int64_t t = 1; t < taps; t++) s = code == MC_REDUCE_SUM ? s + x[t][c] : binary(MC_BINARY_MAX, s, x[t][c]);
        y[c] = s;
    }
}

void mc_k_f32_lstm_ref(const float *gates, float *c, float *h, int64_t n)
{
    for (int64_t k = 0; k < n; k++) {
        const float i = mc_sigmoidf(gates[k]), o = mc_sigmoidf(gates[n + k]), f = mc_sigmoidf(gates[2 * n + k]);
        c[k] = f * c[k] + i * mc_tanhf(gates[3 * n + k]);
        h[k] = o * mc_tanhf(c[k]);
    }
}

void mc_k_f32_transpose_ref(const float *in, int64_t ld_in, float *out, int64_t ld_out, int64_t rows, int64_t cols)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++) out[j * ld_out + i] = in[i * ld_in + j];
}
