/* Gradients of elementwise functions, softmax and row normalisation, portable. At a kink the derivative from the left. */
#include "kernels/rows.h"

static float sigmoid_slope(float x)
{
    const float e = mc_expf(-fabsf(x)), d = 1.0f + e;
    return e / (d * d);
}

static float gelu_slope(float x)
{
    const float cdf = 0.5f * (1.0f + mc_erff(x * 0.70710678f));
    return cdf + (x * 0.39894228f) * mc_expf((-0.5f * x) * x);
}

static float gelu_tanh_slope(float x)
{
    const float square = x * x, u = x + (0.044715f * square) * x;
    const float t = mc_tanhf(0.79788456f * u), du = 0.79788456f * (1.0f + 0.134145f * square);
    return 0.5f * (1.0f + t) + ((0.5f * x) * (1.0f - t * t)) * du;
}

static float slope(int32_t code, float p, float q, float x)
{
    switch (code) {
    case MCOMP_ACT_RELU: return x > 0.0f ? 1.0f : 0.0f;
    case MCOMP_ACT_GELU: return gelu_slope(x);
    case MCOMP_ACT_GELU_TANH: return gelu_tanh_slope(x);
    case MCOMP_ACT_SIGMOID: return sigmoid_slope(x);
    case MCOMP_ACT_TANH: {
        const float t = mc_tanhf(x);
        return 1.0f - t * t;
    }
    case MCOMP_ACT_SILU: {
        const float s = mc_sigmoidf(x);
        return s * (1.0f + x * (1.0f - s));
    }
    case MCOMP_ACT_HARDSWISH: return x <= -3.0f ? 0.0f : x >= 3.0f ? 1.0f : x * 0.33333334f + 0.5f;
    case MC_UNARY_HARDSIGMOID: {
        const float t = p * x + q;
        return t > 0.0f && t < 1.0f ? p : 0.0f;
    }
    case MC_UNARY_LEAKY_RELU: return x > 0.0f ? 1.0f : p;
    case MC_UNARY_ELU: return x > 0.0f ? 1.0f : p * mc_expf(x);
    case MC_UNARY_ERF: return 1.12837917f * mc_expf(-x * x);
    case MC_UNARY_SQRT: return 0.5f / sqrtf(x);
    case MC_UNARY_RECIPROCAL: return -1.0f / (x * x);
    default: return 1.0f / x; /* MC_UNARY_LOG */
    }
}

void mc_k_f32_unary_grad_ref(int32_t code, const float *x, const float *dy, float *dx, int64_t n, float p, float q)
{
    for (int64_t j = 0; j < n; j++) dx[j] = dy[j] * slope(code, p, q, x[j]);
}

void mc_k_f32_softmax_grad_ref(const float *y, const float *dy, float *dx, int64_t rows, int64_t n, int32_t log)
{
    for (int64_t i = 0; i < rows; i++, y += n, dy += n, dx += n) {
        float s[16] = {0};
        for (int64_t j = 0; j < n; j++) s[j & 15] = s[j & 15] + (log ? dy[j] : dy[j] * y[j]);
        const float sum = mc_lanes_fold(s);
        for (int64_t j = 0; j < n; j++) dx[j] = log ? dy[j] - mc_expf(y[j]) * sum : y[j] * (dy[j] - sum);
    }
}

void mc_k_f32_norm_grad_ref(const mc_norm_grad_f32 *g)
{
    const int64_t n = g->n;
    for (int64_t i = 0; i < g->rows; i++) {
        const float *x = g->x + i * n, *dy = g->dy + i * n;
        const float mean = g->rms ? 0.0f : mc_sum_row_ref(x, n) / (float)n;
        float s[16] = {0}, sum[16] = {0}, sum_x[16] = {0};
        for (int64_t j = 0; j < n; j++) {
            const float d = x[j] - mean;
            s[j & 15] = s[j & 15] + d * d;
        }
        const float inv = 1.0f / sqrtf(mc_lanes_fold(s) / (float)n + g->eps);
        for (int64_t j = 0; j < n; j++) {
            const float h = (x[j] - mean) * inv, t = dy[j] * g->gamma[j];
            sum[j & 15] = sum[j & 15] + t;
            sum_x[j & 15] = sum_x[j & 15] + t * h;
            if (g->dgamma) g->dgamma[j] = g->dgamma[j] + dy[j] * h;
            if (g->dbeta) g->dbeta[j] = g->dbeta[j] + dy[j];
        }
        const float mean_t = g->rms ? 0.0f : mc_lanes_fold(sum) / (float)n, mean_x = mc_lanes_fold(sum_x) / (float)n;
        for (int64_t j = 0; j < n && g->dx; j++) {
            const float h = (x[j] - mean) * inv, t = dy[j] * g->gamma[j];
            g->dx[i * n + j] = inv * ((t - mean_t) - h * mean_x);
        }
    }
}

void mc_k_f32_copy_block_ref(const float *x, int64_t ld_x, float *y, int64_t ld_y, int64_t rows, int64_t n)
{
    for (int64_t i = 0; i < rows; i++) memcpy(y + i * ld_y, x + i * ld_x, (size_t)n * sizeof *y);
}

void mc_k_f32_add_block_ref(const float *x, int64_t ld_x, float *y, int64_t ld_y, int64_t rows, int64_t n)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < n; j++) y[i * ld_y + j] = y[i * ld_y + j] + x[i * ld_x + j];
}

/* The first largest of a 2 x 2 window, 0 to 3; a NaN is larger than anything. */
static int pool2_where(const float *x0, const float *x1, float *best)
{
    const float x[4] = {x0[0], x0[1], x1[0], x1[1]};
    int where = 0;
    for (int i = 1; i < 4; i++)
        if (x[i] > x[where] || isnan(x[i])) where = i;
    *best = x[where];
    return where;
}

void mc_k_f32_max_pool2_ref(const float *x0, const float *x1, float *y, int64_t n)
{
    for (int64_t j = 0; j < n; j++) (void)pool2_where(x0 + 2 * j, x1 + 2 * j, &y[j]);
}

void mc_k_f32_max_pool2_grad_ref(const float *x0, const float *x1, const float *dy, float *dx0, float *dx1, int64_t n)
{
    for (int64_t j = 0; j < n; j++) {
        float best;
        const int where = pool2_where(x0 + 2 * j, x1 + 2 * j, &best);
        for (int i = 0; i < 4; i++) (i < 2 ? dx0 : dx1)[2 * j + i % 2] = i == where ? dy[j] : 0.0f;
    }
}

void mc_k_f32_attention_grad_ref(float *p, float *dp, int64_t t, const float *sum, float scale)
{
    for (int64_t lane = 0; lane < MC_ATTENTION_LANES; lane++) {
        const float inv = 1.0f / sum[lane];
        float total = 0.0f;
        for (int64_t i = lane; i < t * MC_ATTENTION_LANES; i += MC_ATTENTION_LANES) {
            p[i] = p[i] * inv;
            total = total + p[i] * dp[i];
        }
        for (int64_t i = lane; i < t * MC_ATTENTION_LANES; i += MC_ATTENTION_LANES) dp[i] = (scale * p[i]) * (dp[i] - total);
    }
}
