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

/* x * y, 0 where x is NaN (y is no NaN and no infinity). */
MC_INLINE mc_v v_mul_or_zero(mc_v x, mc_v y)
{
#ifdef __AVX512F__
    return _mm512_maskz_mul_ps(_mm512_cmp_ps_mask(x, x, _CMP_ORD_Q), x, y);
#else
    const mc_v t = v_mul(x, y);
    return (mc_v){_mm256_and_ps(t.a, _mm256_cmp_ps(t.a, t.a, _CMP_ORD_Q)), _mm256_and_ps(t.b, _mm256_cmp_ps(t.b, t.b, _CMP_ORD_Q))};
#endif
}

MC_INLINE mc_vi vi_load(const int32_t *p)
{
#ifdef __AVX512F__
    return _mm512_loadu_si512(p);
#else
    return (mc_vi){_mm256_loadu_si256((const __m256i *)(const void *)p), _mm256_loadu_si256((const __m256i *)(const void *)(p + 8))};
#endif
}

/* nv (2 to 4) vectors of integers, plus zp, saturated to bytes, ^ flip: 16 * nv bytes at p. Lanes may be as low as INT_MIN
 * but at most 255 - zp, so that the 16-bit saturation in between does no harm. */
typedef struct mc_pack {
    __m256i zp, flip; /* 16-bit lanes; bytes */
} mc_pack;
MC_INLINE mc_pack pack_of(int32_t zp, uint32_t flip) { return (mc_pack){_mm256_set1_epi16((int16_t)zp), _mm256_set1_epi8((char)flip)}; }
MC_INLINE void bytes_pack(uint8_t *p, const int nv, const mc_vi *r, const mc_pack *k)
{
#ifdef __AVX512F__
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i zp = _mm512_broadcast_i64x4(k->zp), flip = _mm512_broadcast_i64x4(k->flip);
    const __m512i a = _mm512_adds_epi16(_mm512_packs_epi32(r[0], r[1]), zp);
    const __m512i b = nv > 2 ? _mm512_adds_epi16(_mm512_packs_epi32(r[2], r[nv - 1]), zp) : a;
    const __m512i out = _mm512_xor_si512(_mm512_permutexvar_epi32(order, _mm512_packus_epi16(a, b)), flip);
    if (nv == 4) _mm512_storeu_si512(p, out);
    else _mm256_storeu_si256((__m256i *)(void *)p, _mm512_castsi512_si256(out));
    if (nv == 3) _mm_storeu_si128((__m128i *)(void *)(p + 32), _mm512_extracti32x4_epi32(out, 2));
#else
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    for (int i = 0; i < nv; i += 2) {
        const int j = i + 1 < nv ? i + 1 : i;
        const __m256i a = _mm256_adds_epi16(_mm256_packs_epi32(r[i].a, r[i].b), k->zp);
        const __m256i b = _mm256_adds_epi16(_mm256_packs_epi32(r[j].a, r[j].b), k->zp);
        const __m256i out = _mm256_xor_si256(_mm256_permutevar8x32_epi32(_mm256_packus_epi16(a, b), order), k->flip);
        if (j > i) _mm256_storeu_si256((__m256i *)(void *)(p + 16 * i), out);
        else _mm_storeu_si128((__m128i *)(void *)(p + 16 * i), _mm256_castsi256_si128(out));
    }
#endif
}

MC_INLINE mc_vi vi_max(mc_vi x, mc_vi y)
{
#ifdef __AVX512F__
    return _mm512_max_epi32(x, y);
#else
    return (mc_vi){_mm256_max_epi32(x.a, y.a), _mm256_max_epi32(x.b, y.b)};
#endif
}

/* 1 if any lane is set. */
MC_INLINE int vm_any(mc_vm m)
{
#ifdef __AVX512F__
    return m != 0;
#else
    return !_mm256_testz_si256(_mm256_or_si256(m.a, m.b), _mm256_or_si256(m.a, m.b));
#endif
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
