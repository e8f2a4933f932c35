/* x86/vec_bytes.h - 16 bytes to and from the 16 int32 lanes of vec_avx2.h / vec_avx512.h (include one of them first). */
#ifndef MC_VEC_BYTES_H
#define MC_VEC_BYTES_H

#include <string.h>

/* 16 unsigned bytes, widened. */
MC_INLINE mc_vi vi_of_bytes(__m128i b)
{
#ifdef __AVX512F__
    return _mm512_cvtepu8_epi32(b);
#else
    return (mc_vi){_mm256_cvtepu8_epi32(b), _mm256_cvtepu8_epi32(_mm_srli_si128(b, 8))};
#endif
}

/* Lanes are in 0..255. */
MC_INLINE __m128i bytes_of_vi(mc_vi v)
{
#ifdef __AVX512F__
    return _mm512_cvtepi32_epi8(v);
#else
    const __m256i words = _mm256_permute4x64_epi64(_mm256_packus_epi32(v.a, v.b), 0xd8);
    return _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
#endif
}

/* First n of 16 bytes; the rest reads as 0 and is not touched. */
MC_INLINE __m128i bytes_load(const uint8_t *p, int64_t n)
{
    if (n >= 16) return _mm_loadu_si128((const __m128i *)(const void *)p);
#ifdef __AVX512F__
    return _mm_maskz_loadu_epi8((__mmask16)((1u << n) - 1), p);
#else
    uint8_t b[16] = {0};
    memcpy(b, p, (size_t)n);
    return _mm_loadu_si128((const __m128i *)(const void *)b);
#endif
}

MC_INLINE void bytes_store(uint8_t *p, int64_t n, __m128i v)
{
    if (n >= 16) {
        _mm_storeu_si128((__m128i *)(void *)p, v);
        return;
    }
#ifdef __AVX512F__
    _mm_mask_storeu_epi8(p, (__mmask16)((1u << n) - 1), v);
#else
    uint8_t b[16];
    _mm_storeu_si128((__m128i *)(void *)b, v);
    memcpy(p, b, (size_t)n);
#endif
}

MC_INLINE mc_v v_load_n(const float *p, int64_t n) { return n >= 16 ? v_load(p) : v_load_m(p, v_first(n)); }
MC_INLINE void v_store_n(float *p, int64_t n, mc_v v)
{
    if (n >= 16) v_store(p, v);
    else v_store_m(p, v_first(n), v);
}

/* 1 if every lane is set. */
MC_INLINE int vm_all(mc_vm m)
{
#ifdef __AVX512F__
    return m == 0xffff;
#else
    return _mm256_movemask_epi8(_mm256_and_si256(m.a, m.b)) == -1;
#endif
}

#endif
