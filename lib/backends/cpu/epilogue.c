/* Row epilogue of float tiles: bias, activation, residual, second activation, LayerNormalization. Offered to plugins. */
#include "backends/cpu/cpu.h"

#include <math.h>

static float activate(int32_t act, float lo, float hi, float x)
{
    switch (act) {
    case MCOMP_ACT_RELU: return x > 0.0f ? x : 0.0f;
    case MCOMP_ACT_CLIP: return x < lo ? lo : x > hi ? hi : x;
    case MCOMP_ACT_GELU: return 0.5f * x * (1.0f + erff(x * 0.70710678f));
    case MCOMP_ACT_GELU_TANH: return 0.5f * x * (1.0f + tanhf(0.79788456f * (x + 0.044715f * x * x * x)));
    case MCOMP_ACT_SIGMOID: return 1.0f / (1.0f + expf(-x));
    case MCOMP_ACT_TANH: return tanhf(x);
    case MCOMP_ACT_SILU: return x / (1.0f + expf(-x));
    case MCOMP_ACT_HARDSWISH: {
        const float t = x + 3.0f < 0.0f ? 0.0f : x + 3.0f > 6.0f ? 6.0f : x + 3.0f;
        return x * t / 6.0f;
    }
    default: return x;
    }
}

static void normalise(const mcomp_epilogue_f32 *e, float *y, int64_t n)
{
    double sum = 0.0, square = 0.0;
    for (int64_t j = 0; j < n; j++) sum += (double)y[j];
    const double mean = sum / (double)n;
    for (int64_t j = 0; j < n; j++) square += ((double)y[j] - mean) * ((double)y[j] - mean);
    const float m = (float)mean, inv = (float)(1.0 / sqrt(square / (double)n + (double)e->ln_eps));
    for (int64_t j = 0; j < n; j++) {
        const float v = (y[j] - m) * inv;
        y[j] = v * (e->gamma ? e->gamma[j] : 1.0f) + (e->beta ? e->beta[j] : 0.0f);
    }
}

void mc_cpu_epilogue_f32(const mcomp_epilogue_f32 *e, float *y, int64_t ld_y, int64_t m, int64_t n)
{
    for (int64_t i = 0; i < m; i++, y += ld_y) {
        for (int64_t j = 0; j < n; j++) {
            float v = y[j] + (e->bias ? e->bias[j] : 0.0f);
            v = activate(e->act, e->act_lo, e->act_hi, v);
            if (e->residual) v += e->residual[i * e->ld_r + j];
            y[j] = activate(e->post_act, e->act_lo, e->act_hi, v);
        }
        if (e->layernorm) normalise(e, y, n);
    }
}
