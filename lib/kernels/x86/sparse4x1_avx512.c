/* 4x1 sparse integer GEMM with AVX-512BW but no VNNI: groups of 64 rows, the last of up to 32 rows in 256-bit vectors. The packer has paired the inputs so that vpmaddubsw cannot
 * saturate. */
#include "kernels/rows.h"
#include "kernels/sparse_pack.h"
#include "kernels/x86/sparse_zmm.h"

#define PASSES 1
#define CHAINS 1
#define vec_dot dot_zmm
static inline __m512i dot_zmm(__m512i c, __m512i x, __m512i w)
{
    return _mm512_add_epi32(c, _mm512_madd_epi16(_mm512_maddubs_epi16(x, w), _mm512_set1_epi16(1)));
}
#include "kernels/x86/sparse_tokens_body.h"
#include "kernels/x86/sparse_undef.h"

#include "kernels/x86/sparse_ymm.h"
#define PASSES 2
#define CHAINS 1
#define vec_dot dot_ymm
static inline __m256i dot_ymm(__m256i c, __m256i x, __m256i w)
{
    return _mm256_add_epi32(c, _mm256_madd_epi16(_mm256_maddubs_epi16(x, w), _mm256_set1_epi16(1)));
}
#include "kernels/x86/sparse_tokens_body.h"
#include "kernels/x86/sparse_undef.h"

#include "kernels/x86/sparse_few.h"

#define ROWS 64
#define HALF 32

uint64_t mc_k_sparse_packed_bytes_avx512(const mc_qgemm_shape *s, const int8_t *w) { return sparse_packed_bytes(s, w, 1); }
void mc_k_sparse_pack_avx512(const mc_qgemm_shape *s, const int8_t *w, void *out, int32_t *colsum) { sparse_pack(s, w, 1, out, colsum); }

uint64_t mc_k_sparse_loaded_bytes_avx512(const mc_qgemm_shape *s, int64_t m) { return (uint64_t)((m + ROWS - 1) / ROWS * ROWS * sparse_depth(s)); }

static inline int64_t rows_of(const mc_qgemm_tile *t, int64_t first) { return t->m - first < ROWS ? t->m - first : ROWS; }

void mc_k_sparse_load_avx512(const mc_qgemm_tile *t)
{
    for (int64_t i = 0; i < t->m; i += ROWS) {
        const int64_t rows = rows_of(t, i);
        uint8_t *lines = (uint8_t *)t->loaded + i * sparse_depth(&t->shape);
        if (rows <= FEW) few_load(t, i, rows, lines);
        else if (rows <= HALF) load_group_ymm(t, i, rows, rows <= HALF / 2, lines);
        else load_group_zmm(t, i, rows, 0, lines);
    }
}

void mc_k_sparse_gemm_avx512(const mc_qgemm_tile *t)
{
    for (int64_t i = 0; i < t->m; i += ROWS) {
        const int64_t rows = rows_of(t, i);
        const uint8_t *lines = (const uint8_t *)t->loaded + i * sparse_depth(&t->shape);
        if (rows <= FEW) few_gemm(t, lines, i, rows);
        for (int64_t col = 0; col < t->cols && rows > FEW; col += MC_QGEMM_LANES) {
            if (rows <= HALF) panel_ymm(t, lines, i, rows, rows <= HALF / 2, col);
            else panel_zmm(t, lines, i, rows, 0, col);
        }
    }
}

int64_t mc_k_sparse_few_avx512(void) { return FEW; }
