/* Windows over channels-last bytes with AVX2: depthwise convolution, sums, maxima; and the byte table. */
#include "kernels/x86/vec_avx2.h"

#include "kernels/rows.h"
#include "kernels/x86/vec_bytes.h"

/* 16 channels of one pixel: two taps interleave to pairs of 16-bit values, multiplied and added exactly by vpmaddwd. `left`
 * channels may be read. */
MC_INLINE void depthwise16(const mc_qdepthwise *d, const uint8_t *x, const int16_t *w, int64_t padded, int64_t left,
                           const int32_t *init, int32_t *acc)
{
    __m256i lo = _mm256_loadu_si256((const __m256i *)(const void *)init), hi = _mm256_loadu_si256((const __m256i *)(const void *)(init + 8));
    for (int64_t t = 0; t < d->taps; t += 2, w += padded * 2) {
        const __m128i a = bytes_load(x + d->tap[t], left);
        const __m128i b = t + 1 < d->taps ? bytes_load(x + d->tap[t + 1], left) : a; /* meets zero weights */
        const __m256i xl = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(a, b)), xh = _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(a, b));
        lo = _mm256_add_epi32(lo, _mm256_madd_epi16(xl, _mm256_loadu_si256((const __m256i *)(const void *)w)));
        hi = _mm256_add_epi32(hi, _mm256_madd_epi16(xh, _mm256_loadu_si256((const __m256i *)(const void *)(w + 16))));
    }
    _mm256_storeu_si256((__m256i *)(void *)acc, lo);
    _mm256_storeu_si256((__m256i *)(void *)(acc + 8), hi);
}

void mc_k_int8_depthwise_avx2(const mc_qdepthwise *d)
{
    const int64_t padded = (d->n + 15) / 16 * 16;
    for (int64_t p = 0; p < d->pixels; p++) {
        const uint8_t *x = d->x + p * d->step;
        int32_t *acc = d->acc + p * padded;
        int64_t c = 0;
        for (; c + 16 <= d->n; c += 16) depthwise16(d, x + c, d->w + c * 2, padded, 16, d->init + c, acc + c);
        if (c < d->n) depthwise16(d, x + c, d->w + c * 2, padded, d->n - c, d->init + c, acc + c);
    }
}

void mc_k_int8_sum_taps_avx2(const uint8_t *const *x, int64_t taps, int64_t n, uint32_t flip, int32_t *acc)
{
    const __m128i f = _mm_set1_epi8((char)flip);
    int64_t c = 0;
    for (; c + 16 <= n; c += 16) {
        __m256i lo = _mm256_loadu_si256((const __m256i *)(const void *)(acc + c));
        __m256i hi = _mm256_loadu_si256((const __m256i *)(const void *)(acc + c + 8));
        for (int64_t t = 0; t < taps; t += 128) { /* 128 bytes fit in 16 bits */
            __m256i words = _mm256_setzero_si256();
            for (int64_t i = t; i < taps && i < t + 128; i++)
                words = _mm256_add_epi16(words, _mm256_cvtepu8_epi16(_mm_xor_si128(_mm_loadu_si128((const __m128i *)(const void *)(x[i] + c)), f)));
            lo = _mm256_add_epi32(lo, _mm256_cvtepu16_epi32(_mm256_castsi256_si128(words)));
            hi = _mm256_add_epi32(hi, _mm256_cvtepu16_epi32(_mm256_extracti128_si256(words, 1)));
        }
        _mm256_storeu_si256((__m256i *)(void *)(acc + c), lo);
        _mm256_storeu_si256((__m256i *)(void *)(acc + c + 8), hi);
    }
    for (; c < n; c++)
        for (int64_t t = 0; t < taps; t++) acc[c] += (int32_t)(x[t][c] ^ flip);
}

void mc_k_int8_max_taps_avx2(const uint8_t *const *x, int64_t taps, int64_t n, uint32_t flip, uint8_t *y)
{
    const __m256i f = _mm256_set1_epi8((char)flip);
    int64_t c = 0;
    for (; c + 32 <= n; c += 32) {
        __m256i max = _mm256_setzero_si256();
        for (int64_t t = 0; t < taps; t++)
            max = _mm256_max_epu8(max, _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(const void *)(x[t] + c)), f));
        _mm256_storeu_si256((__m256i *)(void *)(y + c), _mm256_xor_si256(max, f));
    }
    for (; c < n; c += 16) {
        const __m128i f16 = _mm256_castsi256_si128(f);
        __m128i max = _mm_setzero_si128();
        for (int64_t t = 0; t < taps; t++) max = _mm_max_epu8(max, _mm_xor_si128(bytes_load(x[t] + c, n - c), f16));
        bytes_store(y + c, n - c, _mm_xor_si128(max, f16));
    }
}

/* Sixteen shuffles of 16 bytes, one for each high nibble: a byte's own table wins because the shuffle gives zero where bit 7
 * of the index is set, and indices of other tables are pushed there. */
void mc_k_int8_lut_avx2(const uint8_t *x, int64_t n, const uint8_t *table, uint8_t *y)
{
    __m256i part[16];
    int64_t i = 0;
    for (int k = 0; k < 16; k++) part[k] = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)(table + 16 * k)));
    const __m256i limit = _mm256_set1_epi8(0x70);
    for (; i + 32 <= n; i += 32) {
        const __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)(x + i));
        __m256i r = _mm256_setzero_si256();
        for (int k = 0; k < 16; k++) {
            const __m256i d = _mm256_xor_si256(v, _mm256_set1_epi8((char)(k * 16))); /* 0..15 in this table */
            r = _mm256_or_si256(r, _mm256_shuffle_epi8(part[k], _mm256_adds_epu8(d, limit)));
        }
        _mm256_storeu_si256((__m256i *)(void *)(y + i), r);
    }
    for (; i < n; i++) y[i] = table[x[i]];
}
