/* Exact integer GEMM with AVX-512BW but no VNNI: register tile 16 rows (one vector) x 8 columns. */
#define COLS 8

#include <immintrin.h>
#include <stdint.h>

typedef __m512i vec;
typedef __m512i vec1;

static inline vec1 vec_one(void) { return _mm512_set1_epi16(1); }
static inline vec vec_quad(int32_t q) { return _mm512_set1_epi32(q); }
static inline vec vec_load(const uint8_t *p) { return _mm512_load_si512(p); }
static inline vec vec_dot(vec c, vec x, int32_t w, vec1 ones)
{
    return _mm512_add_epi32(c, _mm512_madd_epi16(_mm512_maddubs_epi16(x, _mm512_set1_epi32(w)), ones));
}

/* Columns to rows: each 128-bit lane holds 4 rows; two halves of 4 columns. */
static inline void tile_store(int32_t *acc, int64_t ld, int64_t rows, const vec c[COLS])
{
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++) {
        const vec *k = c + 4 * h;
        const vec a = _mm512_unpacklo_epi32(k[0], k[1]), b = _mm512_unpackhi_epi32(k[0], k[1]);
        const vec d = _mm512_unpacklo_epi32(k[2], k[3]), e = _mm512_unpackhi_epi32(k[2], k[3]);
        const vec r[4] = {_mm512_unpacklo_epi64(a, d), _mm512_unpackhi_epi64(a, d), _mm512_unpacklo_epi64(b, e),
                          _mm512_unpackhi_epi64(b, e)};
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            int32_t *p = acc + 4 * h + i * ld;
            if (i < rows) _mm_store_si128((__m128i *)(void *)p, _mm512_castsi512_si128(r[i]));
            if (i + 4 < rows) _mm_store_si128((__m128i *)(void *)(p + 4 * ld), _mm512_extracti32x4_epi32(r[i], 1));
            if (i + 8 < rows) _mm_store_si128((__m128i *)(void *)(p + 8 * ld), _mm512_extracti32x4_epi32(r[i], 2));
            if (i + 12 < rows) _mm_store_si128((__m128i *)(void *)(p + 12 * ld), _mm512_extracti32x4_epi32(r[i], 3));
        }
    }
}

#include "kernels/x86/qgemm_pairs.h"

uint64_t mc_k_int8_qgemm_packed_bytes_avx512(const mc_qgemm_shape *s, const int8_t *w) { return pairs_packed_bytes(s, w); }
void mc_k_int8_qgemm_pack_avx512(const mc_qgemm_shape *s, const int8_t *w, void *out, int32_t *colsum) { pairs_pack(s, w, out, colsum); }
uint64_t mc_k_int8_qgemm_loaded_bytes_avx512(const mc_qgemm_shape *s, int64_t m) { return pairs_loaded_bytes(s, m); }
void mc_k_int8_qgemm_load_avx512(const mc_qgemm_tile *t) { pairs_load(t); }
void mc_k_int8_qgemm_avx512(const mc_qgemm_tile *t) { pairs_gemm(t); }
