/* Depthwise convolution over channels-last bytes with AVX-512 VNNI. vpdpwssd multiplies pairs of 16-bit values and adds both
 * products to a 32-bit lane; a byte widened to a lane is a pair whose upper half is 0, so that one instruction widens and one
 * multiplies, and the pairs of taps in the weights are taken one after the other. Pixels go eight at a time: they share weights
 * and hide the latency of the sums.
 */
#include "kernels/rows.h"

#include <immintrin.h>

#define LANES MC_QGEMM_LANES
#define PIXELS 8 /* at once; a power of two */

/* Adds one tap of 16 channels (or fewer) of `pixels` pixels. */
static inline __attribute__((always_inline)) void tap(__m512i *sum, const uint8_t *x, int64_t step, __mmask16 channels, __m512i w, const int pixels)
{
#pragma GCC unroll 8
    for (int p = 0; p < pixels; p++)
        sum[p] = _mm512_dpwssd_epi32(sum[p], _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(channels, x + p * step)), w);
}

/* 16 channels from c on of `pixels` pixels. */
static inline __attribute__((always_inline)) void block(const mc_qdepthwise *d, int64_t first, int64_t c, int64_t padded, __mmask16 channels,
                                                        const int pixels)
{
    const uint8_t *x = d->x + first * d->step + c;
    const int16_t *w = d->w + c * 2;
    int32_t *acc = d->acc + first * padded + c;
    __m512i sum[PIXELS];
#pragma GCC unroll 8
    for (int p = 0; p < pixels; p++) sum[p] = _mm512_loadu_si512(d->init + c);
    for (int64_t t = 0; t < d->taps; t += 2, w += padded * 2) {
        const __m512i pair = _mm512_loadu_si512(w);
        tap(sum, x + d->tap[t], d->step, channels, pair, pixels);
        if (t + 1 < d->taps) tap(sum, x + d->tap[t + 1], d->step, channels, _mm512_srli_epi32(pair, 16), pixels);
    }
#pragma GCC unroll 8
    for (int p = 0; p < pixels; p++) _mm512_store_si512(acc + p * padded, sum[p]);
}

/* All channels of `pixels` pixels from `first` on. */
static inline __attribute__((always_inline)) void pass(const mc_qdepthwise *d, int64_t first, const int pixels)
{
    const int64_t padded = (d->n + LANES - 1) / LANES * LANES;
    int64_t c = 0;
    for (; c + LANES <= d->n; c += LANES) block(d, first, c, padded, 0xffff, pixels);
    if (c < d->n) block(d, first, c, padded, (__mmask16)((1u << (d->n - c)) - 1), pixels);
}

void mc_k_int8_depthwise_avx512_vnni(const mc_qdepthwise *d)
{
    int64_t p = 0;
    for (; p + PIXELS <= d->pixels; p += PIXELS) pass(d, p, PIXELS);
    if (d->pixels & 4) {
        pass(d, p, 4);
        p += 4;
    }
    if (d->pixels & 2) {
        pass(d, p, 2);
        p += 2;
    }
    if (d->pixels & 1) pass(d, p, 1);
}
