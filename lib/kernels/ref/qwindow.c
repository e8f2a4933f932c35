/* Windows over channels-last bytes, portable: depthwise convolution, sums, maxima; and the byte table. */
#include "kernels/rows.h"

void mc_k_int8_depthwise_ref(const mc_qdepthwise *d)
{
    const int64_t padded = (d->n + 15) / 16 * 16;
    for (int64_t p = 0; p < d->pixels; p++)
        for (int64_t c = 0; c < d->n; c++) {
            int32_t sum = d->init[c];
            for (int64_t t = 0; t < d->taps; t++)
                sum += d->x[p * d->step + d->tap[t] + c] * d->w[(t / 2 * padded + c) * 2 + t % 2];
            d->acc[p * padded + c] = sum;
        }
}

void mc_k_int8_sum_taps_ref(const uint8_t *const *x, int64_t taps, int64_t n, uint32_t flip, int32_t *acc)
{
    for (int64_t t = 0; t < taps; t++)
        for (int64_t c = 0; c < n; c++) acc[c] += (int32_t)(x[t][c] ^ flip);
}

void mc_k_int8_max_taps_ref(const uint8_t *const *x, int64_t taps, int64_t n, uint32_t flip, uint8_t *y)
{
    for (int64_t c = 0; c < n; c++) {
        uint32_t max = x[0][c] ^ flip;
        for (int64_t t = 1; t < taps; t++) max = (x[t][c] ^ flip) > max ? x[t][c] ^ flip : max;
        y[c] = (uint8_t)(max ^ flip);
    }
}

void mc_k_int8_lut_ref(const uint8_t *x, int64_t n, const uint8_t *table, uint8_t *y)
{
    for (int64_t i = 0; i < n; i++) y[i] = table[x[i]];
}
