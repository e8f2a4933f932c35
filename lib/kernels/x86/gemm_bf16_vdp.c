/* Matrix product of operands rounded to BF16, with AVX512_BF16: vdpbf16ps adds the products of a pair of inner elements to 16 sums. */
#include "kernels/x86/bf16_pack.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"

BF16_CODE void mc_k_bf16_pack_a_avx512_vnni(const float *a, int64_t row, int64_t col, int64_t m, int64_t k, int64_t next, uint16_t *out)
{
    bf16_pack(&(source){a, row, col, m, k}, 1, 1, next, out);
}

BF16_CODE void mc_k_bf16_pack_b_avx512_vnni(const float *b, int64_t row, int64_t col, int64_t k, int64_t n, int64_t next, uint16_t *out)
{
    bf16_pack(&(source){b, col, row, n, k}, 0, 1, next, out);
}

/* ---- product ---- */

/* 16 rows x 16 columns; all rows are computed (tiles are padded), those below m are stored. */
static BF16_CODE void tile(const mc_gemm_bf16 *g, int64_t i0, int64_t j0)
{
    const uint16_t *a = g->a + i0 / MC_BF16_ROWS * g->a_next, *b = g->b + j0 / MC_BF16_ROWS * g->b_next;
    const int64_t rows = g->m - i0 < MC_BF16_ROWS ? g->m - i0 : MC_BF16_ROWS;
    const __mmask16 columns = bf16_columns(g->n, j0);
    __m512 sum[16];
    for (int i = 0; i < 16; i++)
        sum[i] = g->accumulate && i < rows ? _mm512_maskz_loadu_ps(columns, g->c + (i0 + i) * g->ldc + j0) : _mm512_setzero_ps();
    for (int64_t s = 0; s < g->steps; s++, a += MC_BF16_TILE, b += MC_BF16_TILE)
        for (int p = 0; p < 16; p++) {
            const __m512bh y = (__m512bh)_mm512_loadu_si512(b + p * MC_BF16_DEPTH);
            for (int i = 0; i < 16; i++) {
                int32_t pair;
                __builtin_memcpy(&pair, a + i * MC_BF16_DEPTH + 2 * p, sizeof pair);
                sum[i] = _mm512_dpbf16_ps(sum[i], (__m512bh)_mm512_set1_epi32(pair), y);
            }
        }
    for (int64_t i = 0; i < rows; i++) bf16_put(g, sum[i], i0 + i, j0, columns);
}

BF16_CODE void mc_k_bf16_gemm_avx512_vnni(const mc_gemm_bf16 *g)
{
    for (int64_t j = 0; j < g->n; j += MC_BF16_ROWS)
        for (int64_t i = 0; i < g->m; i += MC_BF16_ROWS) tile(g, i, j);
}

#pragma GCC diagnostic pop
