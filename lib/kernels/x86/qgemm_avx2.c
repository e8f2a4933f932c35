/* Exact integer GEMM with AVX2: register tile 16 rows (two vectors) x 4 columns. */
#define COLS 4

#include <immintrin.h>
#include <stdint.h>

typedef struct vec {
    __m256i lo, hi; /* rows 0-7, 8-15 */
} vec;
typedef __m256i vec1;

static inline vec1 vec_one(void) { return _mm256_set1_epi16(1); }
static inline vec vec_quad(int32_t q) { return (vec){_mm256_set1_epi32(q), _mm256_set1_epi32(q)}; }
static inline vec vec_load(const uint8_t *p)
{
    return (vec){_mm256_load_si256((const __m256i *)(const void *)p), _mm256_load_si256((const __m256i *)(const void *)(p + 32))};
}
static inline vec vec_dot(vec c, vec x, int32_t w, vec1 ones)
{
    const __m256i q = _mm256_set1_epi32(w);
    return (vec){_mm256_add_epi32(c.lo, _mm256_madd_epi16(_mm256_maddubs_epi16(x.lo, q), ones)),
                 _mm256_add_epi32(c.hi, _mm256_madd_epi16(_mm256_maddubs_epi16(x.hi, q), ones))};
}

/* Columns to rows: 8 rows x 4 columns. */
static inline void store8(int32_t *acc, int64_t ld, int64_t rows, __m256i c0, __m256i c1, __m256i c2, __m256i c3)
{
    const __m256i a = _mm256_unpacklo_epi32(c0, c1), b = _mm256_unpackhi_epi32(c0, c1);
    const __m256i c = _mm256_unpacklo_epi32(c2, c3), d = _mm256_unpackhi_epi32(c2, c3);
    const __m256i r[4] = {_mm256_unpacklo_epi64(a, c), _mm256_unpackhi_epi64(a, c), _mm256_unpacklo_epi64(b, d),
                          _mm256_unpackhi_epi64(b, d)};
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        if (i < rows) _mm_store_si128((__m128i *)(void *)(acc + i * ld), _mm256_castsi256_si128(r[i]));
        if (i + 4 < rows) _mm_store_si128((__m128i *)(void *)(acc + (i + 4) * ld), _mm256_extracti128_si256(r[i], 1));
    }
}

static inline void tile_store(int32_t *acc, int64_t ld, int64_t rows, const vec c[COLS])
{
    store8(acc, ld, rows, c[0].lo, c[1].lo, c[2].lo, c[3].lo);
    store8(acc + 8 * ld, ld, rows - 8, c[0].hi, c[1].hi, c[2].hi, c[3].hi);
}

#include "kernels/x86/qgemm_pairs.h"

uint64_t mc_k_int8_qgemm_packed_bytes_avx2(const mc_qgemm_shape *s, const int8_t *w) { return pairs_packed_bytes(s, w); }
void mc_k_int8_qgemm_pack_avx2(const mc_qgemm_shape *s, const int8_t *w, void *out, int32_t *colsum) { pairs_pack(s, w, out, colsum); }
uint64_t mc_k_int8_qgemm_loaded_bytes_avx2(const mc_qgemm_shape *s, int64_t m) { return pairs_loaded_bytes(s, m); }
void mc_k_int8_qgemm_load_avx2(const mc_qgemm_tile *t) { pairs_load(t); }
void mc_k_int8_qgemm_avx2(const mc_qgemm_tile *t) { pairs_gemm(t); }
