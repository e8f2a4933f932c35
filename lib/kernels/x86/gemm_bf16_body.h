/* x86/gemm_bf16_body.h - what the AVX512_BF16 and the AMX product share: sums on their way into C. */
#ifndef MC_GEMM_BF16_BODY_H
#define MC_GEMM_BF16_BODY_H

#include "kernels/rows.h"

#include <immintrin.h>

#define BF16_INLINE static inline __attribute__((always_inline))

/* Mask of the columns j .. j + 16 that are below n. */
BF16_INLINE __mmask16 bf16_columns(int64_t n, int64_t j) { return n - j >= 16 ? (__mmask16)0xffff : n <= j ? 0 : (__mmask16)((1u << (n - j)) - 1); }

/* 16 sums of row i, columns from j, into C, finished where that is wanted. */
BF16_INLINE void bf16_put(const mc_gemm_bf16 *g, __m512 sum, int64_t i, int64_t j, __mmask16 columns)
{
    if (g->finish) {
        if (g->bias) sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(columns, g->bias + j));
        if (g->residual) sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(columns, g->residual + i * g->ld_r + j));
        sum = _mm512_min_ps(_mm512_set1_ps(g->hi), _mm512_max_ps(_mm512_set1_ps(g->lo), sum));
    }
    _mm512_mask_storeu_ps(g->c + i * g->ldc + j, columns, sum);
}

#endif
