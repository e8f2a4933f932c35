/* 4x1 sparse integer GEMM with AVX2: groups of 32 rows, lines taken in halves (8 of 16 registers hold sums). vpmaddubsw adds pairs in
 * 16 bits; the packer has paired the inputs so that it cannot saturate. */
#include "kernels/rows.h"
#include "kernels/sparse_pack.h"
#include "kernels/x86/sparse_ymm.h"

#define PASSES 2
#define CHAINS 1
static inline __m256i vec_dot(__m256i c, __m256i x, __m256i w)
{
    return _mm256_add_epi32(c, _mm256_madd_epi16(_mm256_maddubs_epi16(x, w), _mm256_set1_epi16(1)));
}
#include "kernels/x86/sparse_tokens_body.h"
#include "kernels/x86/sparse_undef.h"

#include "kernels/x86/sparse_few.h"

#define ROWS 32

uint64_t mc_k_sparse_packed_bytes_avx2(const mc_qgemm_shape *s, const int8_t *w) { return sparse_packed_bytes(s, w, 1); }
void mc_k_sparse_pack_avx2(const mc_qgemm_shape *s, const int8_t *w, void *out, int32_t *colsum) { sparse_pack(s, w, 1, out, colsum); }

uint64_t mc_k_sparse_loaded_bytes_avx2(const mc_qgemm_shape *s, int64_t m) { return (uint64_t)((m + ROWS - 1) / ROWS * ROWS * sparse_depth(s)); }

static inline int64_t rows_of(const mc_qgemm_tile *t, int64_t first) { return t->m - first < ROWS ? t->m - first : ROWS; }

void mc_k_sparse_load_avx2(const mc_qgemm_tile *t)
{
    for (int64_t i = 0; i < t->m; i += ROWS) {
        const int64_t rows = rows_of(t, i);
        uint8_t *lines = (uint8_t *)t->loaded + i * sparse_depth(&t->shape);
        if (rows <= FEW) few_load(t, i, rows, lines);
        else load_group_ymm(t, i, rows, rows <= ROWS / 2, lines);
    }
}

void mc_k_sparse_gemm_avx2(const mc_qgemm_tile *t)
{
    for (int64_t i = 0; i < t->m; i += ROWS) {
        const int64_t rows = rows_of(t, i);
        const uint8_t *lines = (const uint8_t *)t->loaded + i * sparse_depth(&t->shape);
        if (rows <= FEW) few_gemm(t, lines, i, rows);
        else
            for (int64_t col = 0; col < t->cols; col += MC_QGEMM_LANES) panel_ymm(t, lines, i, rows, rows <= ROWS / 2, col);
    }
}

int64_t mc_k_sparse_few_avx2(void) { return FEW; }
