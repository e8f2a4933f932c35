/* x86/sparse_zmm.h - 512-bit primitives of sparse_tokens_body.h; the includer defines vec_dot. */
#ifndef MC_KERNELS_SPARSE_ZMM_H
#define MC_KERNELS_SPARSE_ZMM_H

#include <immintrin.h>
#include <stdint.h>

static inline __m128i zmm_sixteen(const void *p) { return _mm_loadu_si128((const __m128i *)p); }
static inline __m512i zmm_four(const void *a, const void *b, const void *c, const void *d)
{
    const __m512i x = _mm512_inserti32x4(_mm512_castsi128_si512(zmm_sixteen(a)), zmm_sixteen(b), 1);
    return _mm512_inserti32x4(_mm512_inserti32x4(x, zmm_sixteen(c), 2), zmm_sixteen(d), 3);
}
static inline void zmm_row(const int32_t *const p[4], int32_t *out) { _mm512_store_si512(out, zmm_four(p[0], p[1], p[2], p[3])); }
static inline __m512i zmm_lines(const uint8_t *const p[4]) { return zmm_four(p[0], p[1], p[2], p[3]); }

#endif

#define NAME(x) x##_zmm
#define LINE_SCALE 8
#define vec __m512i
#define vec_load _mm512_load_si512
#define vec_store _mm512_store_si512
#define vec_row zmm_row
#define vec_lines zmm_lines
#define vec_quad _mm512_set1_epi32
#define vec_lo8 _mm512_unpacklo_epi8
#define vec_hi8 _mm512_unpackhi_epi8
#define vec_lo16 _mm512_unpacklo_epi16
#define vec_hi16 _mm512_unpackhi_epi16
#define vec_lo32 _mm512_unpacklo_epi32
#define vec_hi32 _mm512_unpackhi_epi32
#define vec_lo64 _mm512_unpacklo_epi64
#define vec_hi64 _mm512_unpackhi_epi64
#define vec_sum _mm512_add_epi32
