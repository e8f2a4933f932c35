/* Floats to bytes and back, portable. */
#include "kernels/rows.h"

void mc_k_int8_quantize_ref(const float *x, int64_t n, const mc_qmap *p, uint8_t *y)
{
    for (int64_t i = 0; i < n; i++) y[i] = (uint8_t)((uint32_t)mc_quant_round(x[i] / p->scale, p->zp, 0, 255) ^ p->flip);
}

void mc_k_int8_quantize_rows_ref(const float *x, int64_t ld_x, int64_t m, int64_t k, uint8_t *y, int64_t ld_y, float *scale)
{
    for (int64_t i = 0; i < m; i++) {
        const mc_qmap p = {mc_token_scale(x + i * ld_x, k), 128, 0};
        mc_k_int8_quantize_ref(x + i * ld_x, k, &p, y + i * ld_y);
        scale[i] = p.scale;
    }
}

void mc_k_int8_dequantize_ref(const uint8_t *x, int64_t n, const mc_qmap *p, float *y)
{
    for (int64_t i = 0; i < n; i++) y[i] = (float)((int32_t)(x[i] ^ p->flip) - p->zp) * p->scale;
}

void mc_k_int8_dequantize_each_ref(const uint8_t *x, int64_t n, const float *scale, const uint8_t *zp, uint32_t flip, float *y)
{
    for (int64_t i = 0; i < n; i++) y[i] = (float)((int32_t)(x[i] ^ flip) - (int32_t)((zp ? zp[i] : 0u) ^ flip)) * scale[i];
}

void mc_k_int8_minmax_ref(const float *x, int64_t n, float *min, float *max)
{
    float lo = *min, hi = *max;
    for (int64_t i = 0; i < n; i++) {
        lo = x[i] < lo ? x[i] : lo;
        hi = x[i] > hi ? x[i] : hi;
    }
    *min = lo;
    *max = hi;
}

void mc_k_int8_flip_ref(const uint8_t *x, int64_t n, uint32_t flip, uint8_t *y)
{
    for (int64_t i = 0; i < n; i++) y[i] = (uint8_t)(x[i] ^ flip);
}
