/* x86/sparse_few.h - 4x1 sparse integer GEMM for up to FEW rows without VNNI: a strip's four columns in 128 bits, the four inputs of a
 * quad collected by scalar loads.
 *
 * Each byte of a row stands in eight, as the fourth, so that place (8 * input) + 3, 2, 1, 0 loads it as byte 0, 1, 2, 3 of a
 * 32-bit word with zeros around: one load and three ORs make the word that all four columns meet. */
#ifndef MC_KERNELS_SPARSE_FEW_H
#define MC_KERNELS_SPARSE_FEW_H

#include "kernels/sparse_pack.h"

#include <immintrin.h>

#define FEW 4

static inline void few_load(const mc_qgemm_tile *t, int64_t first, int64_t rows, void *out)
{
    uint64_t *o = out;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t s = 0; s < t->shape.segments; s++) {
            const uint8_t *x = t->rows[first + i] + t->seg[s];
            for (int64_t k = 0; k < t->shape.seg_len; k++) *o++ = (uint64_t)x[k] << 24;
        }
}

static inline uint32_t few_word(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline __attribute__((always_inline)) void few_strips(const mc_qgemm_tile *t, const uint8_t *x, int64_t first, const int rows)
{
    const uint32_t *start = (const uint32_t *)t->packed + t->n0 / 4;
    const mc_sparse_quad *quads = sparse_quads(&t->shape, t->packed);
    const int64_t ld = sparse_depth(&t->shape) * 8, strips = (t->cols + MC_QGEMM_LANES - 1) / MC_QGEMM_LANES * 4;
    const __m128i ones = _mm_set1_epi16(1);
    for (int64_t j = 0; j < strips; j++) {
        __m128i c[FEW];
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++) c[r] = _mm_loadu_si128((const __m128i *)(const void *)(t->init + t->n0 + j * 4));
        for (const mc_sparse_quad *q = quads + start[j], *end = quads + start[j + 1]; q < end; q++) {
            const __m128i w = _mm_loadu_si128((const __m128i *)(const void *)q->w);
#pragma GCC unroll 4
            for (int r = 0; r < rows; r++) {
                const uint8_t *p = x + r * ld;
                const uint32_t v = few_word(p + q->place[0] + 3) | few_word(p + q->place[1] + 2) | few_word(p + q->place[2] + 1) |
                                   few_word(p + q->place[3]);
                c[r] = _mm_add_epi32(c[r], _mm_madd_epi16(_mm_maddubs_epi16(_mm_set1_epi32((int32_t)v), w), ones));
            }
        }
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++) _mm_store_si128((__m128i *)(void *)(t->acc + (first + r) * t->ld_acc + j * 4), c[r]);
    }
}

static void few_gemm(const mc_qgemm_tile *t, const uint8_t *x, int64_t first, int64_t rows)
{
    if (rows == 1) few_strips(t, x, first, 1);
    else if (rows == 2) few_strips(t, x, first, 2);
    else if (rows == 3) few_strips(t, x, first, 3);
    else few_strips(t, x, first, 4);
}

#endif
