/* 4x1 sparse integer GEMM with AVX-512BW but no VNNI: groups of 64 rows. The packer has paired the inputs so that vpmaddubsw cannot
 * saturate. */
#include "kernels/rows.h"
#include "kernels/sparse_pack.h"
#include "kernels/x86/sparse_zmm.h"

#define PASSES 1
static inline __m512i vec_dot(__m512i c, __m512i x, __m512i w)
{
    return _mm512_add_epi32(c, _mm512_madd_epi16(_mm512_maddubs_epi16(x, w), _mm512_set1_epi16(1)));
}
#include "kernels/x86/sparse_tokens_body.h"
#include "kernels/x86/sparse_undef.h"

#define ROWS 64

uint64_t mc_k_sparse_packed_bytes_avx512(const mc_qgemm_shape *s, const int8_t *w) { return sparse_packed_bytes(s, w, 1); }
void mc_k_sparse_pack_avx512(const mc_qgemm_shape *s, const int8_t *w, void *out, int32_t *colsum) { sparse_pack(s, w, 1, out, colsum); }

uint64_t mc_k_sparse_loaded_bytes_avx512(const mc_qgemm_shape *s, int64_t m) { return (uint64_t)((m + ROWS - 1) / ROWS * ROWS * sparse_depth(s)); }

static inline int64_t rows_of(const mc_qgemm_tile *t, int64_t first) { return t->m - first < ROWS ? t->m - first : ROWS; }

void mc_k_sparse_load_avx512(const mc_qgemm_tile *t)
{
    for (int64_t i = 0; i < t->m; i += ROWS)
        load_group_zmm(t, i, rows_of(t, i), 0, (uint8_t *)t->loaded + i * sparse_depth(&t->shape));
}

void mc_k_sparse_gemm_avx512(const mc_qgemm_tile *t)
{
    for (int64_t col = 0; col < t->cols; col += MC_QGEMM_LANES)
        for (int64_t i = 0; i < t->m; i += ROWS)
            panel_zmm(t, (const uint8_t *)t->loaded + i * sparse_depth(&t->shape), i, rows_of(t, i), 0, col);
}
