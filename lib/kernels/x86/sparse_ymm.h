/* x86/sparse_ymm.h - 256-bit primitives of sparse_tokens_body.h; the includer defines vec_dot. */
#ifndef MC_KERNELS_SPARSE_YMM_H
#define MC_KERNELS_SPARSE_YMM_H

#include <immintrin.h>
#include <stdint.h>

static inline __m256i ymm_load(const void *p) { return _mm256_load_si256((const __m256i *)p); }
static inline void ymm_store(void *p, __m256i x) { _mm256_store_si256((__m256i *)p, x); }
static inline __m128i ymm_sixteen(const void *p) { return _mm_loadu_si128((const __m128i *)p); }
static inline void ymm_row(const int32_t *const p[4], int32_t *out)
{
    ymm_store(out, _mm256_inserti128_si256(_mm256_castsi128_si256(ymm_sixteen(p[0])), ymm_sixteen(p[1]), 1));
    ymm_store(out + 8, _mm256_inserti128_si256(_mm256_castsi128_si256(ymm_sixteen(p[2])), ymm_sixteen(p[3]), 1));
}
static inline __m256i ymm_lines(const uint8_t *const p[2])
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(ymm_sixteen(p[0])), ymm_sixteen(p[1]), 1);
}

#endif

#define NAME(x) x##_ymm
#define LINE_SCALE 4
#define vec __m256i
#define vec_load ymm_load
#define vec_store ymm_store
#define vec_row ymm_row
#define vec_lines ymm_lines
#define vec_quad _mm256_set1_epi32
#define vec_lo8 _mm256_unpacklo_epi8
#define vec_hi8 _mm256_unpackhi_epi8
#define vec_lo16 _mm256_unpacklo_epi16
#define vec_hi16 _mm256_unpackhi_epi16
#define vec_lo32 _mm256_unpacklo_epi32
#define vec_hi32 _mm256_unpackhi_epi32
#define vec_lo64 _mm256_unpacklo_epi64
#define vec_hi64 _mm256_unpackhi_epi64
#define vec_sum _mm256_add_epi32
