/* x86/vec_avx512.h - a vector of 16 floats for kernel bodies that are written once for every tier (AVX-512).
 *
 * vec_avx2.h has the same names on two 8-lane halves, so a body that includes either computes the same bits. v_fma is fused
 * and belongs to float-only kernels; what must equal the portable reference uses v_mul and v_add. v_max and v_min return
 * the second operand when one is NaN.
 */
#ifndef MC_VEC_H
#define MC_VEC_H

#include <immintrin.h>
#include <stdint.h>

#define MC_INLINE static inline __attribute__((always_inline, unused))
#ifdef __clang__
#define MC_UNROLL _Pragma("unroll")
#else
#define MC_UNROLL _Pragma("GCC unroll 16") /* early: arrays of vectors become registers */
#endif

typedef __m512 mc_v;
typedef __m512i mc_vi; /* 16 int32 */
typedef __mmask16 mc_vm;

MC_INLINE mc_v v_zero(void) { return _mm512_setzero_ps(); }
MC_INLINE mc_v v_set1(float x) { return _mm512_set1_ps(x); }
MC_INLINE mc_v v_load(const float *p) { return _mm512_loadu_ps(p); }
MC_INLINE void v_store(float *p, mc_v a) { _mm512_storeu_ps(p, a); }
/* First n lanes, 0..16. Masked-off lanes are not touched in memory; loads fill them with 0. */
MC_INLINE mc_vm v_first(int64_t n) { return (mc_vm)(n >= 16 ? 0xffff : (1u << n) - 1); }
MC_INLINE mc_v v_load_m(const float *p, mc_vm m) { return _mm512_maskz_loadu_ps(m, p); }
MC_INLINE void v_store_m(float *p, mc_vm m, mc_v a) { _mm512_mask_storeu_ps(p, m, a); }

MC_INLINE mc_v v_add(mc_v a, mc_v b) { return _mm512_add_ps(a, b); }
MC_INLINE mc_v v_sub(mc_v a, mc_v b) { return _mm512_sub_ps(a, b); }
MC_INLINE mc_v v_mul(mc_v a, mc_v b) { return _mm512_mul_ps(a, b); }
MC_INLINE mc_v v_div(mc_v a, mc_v b) { return _mm512_div_ps(a, b); }
MC_INLINE mc_v v_fma(mc_v a, mc_v b, mc_v c) { return _mm512_fmadd_ps(a, b, c); }
MC_INLINE mc_v v_min(mc_v a, mc_v b) { return _mm512_min_ps(a, b); }
MC_INLINE mc_v v_max(mc_v a, mc_v b) { return _mm512_max_ps(a, b); }
MC_INLINE mc_v v_sqrt(mc_v a) { return _mm512_sqrt_ps(a); }
MC_INLINE mc_v v_round(mc_v a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
MC_INLINE mc_v v_floor(mc_v a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }

MC_INLINE mc_vi vi_of_v(mc_v a) { return _mm512_castps_si512(a); } /* bits */
MC_INLINE mc_v v_of_vi(mc_vi a) { return _mm512_castsi512_ps(a); }
MC_INLINE mc_vi vi_round(mc_v a) { return _mm512_cvtps_epi32(a); } /* nearest even */
MC_INLINE mc_vi vi_trunc(mc_v a) { return _mm512_cvttps_epi32(a); }
MC_INLINE mc_v v_of_int(mc_vi a) { return _mm512_cvtepi32_ps(a); }
MC_INLINE mc_vi vi_set1(int32_t x) { return _mm512_set1_epi32(x); }
MC_INLINE mc_vi vi_add(mc_vi a, mc_vi b) { return _mm512_add_epi32(a, b); }
MC_INLINE mc_vi vi_sub(mc_vi a, mc_vi b) { return _mm512_sub_epi32(a, b); }
MC_INLINE mc_vi vi_and(mc_vi a, mc_vi b) { return _mm512_and_si512(a, b); }
MC_INLINE mc_vi vi_or(mc_vi a, mc_vi b) { return _mm512_or_si512(a, b); }
MC_INLINE mc_vi vi_xor(mc_vi a, mc_vi b) { return _mm512_xor_si512(a, b); }
/* 32x32 to 64 bits, unsigned, by lane. */
MC_INLINE void vi_mul_wide(mc_vi a, int32_t k, mc_vi *hi, mc_vi *lo)
{
    const mc_vi f = vi_set1(k), even = _mm512_mul_epu32(a, f), odd = _mm512_mul_epu32(_mm512_srli_epi64(a, 32), f);
    *hi = _mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 32), odd);
    *lo = _mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64(odd, 32));
}
#define vi_shl(a, n) _mm512_slli_epi32(a, n)
#define vi_sra(a, n) _mm512_srai_epi32(a, n)
#define vi_srl(a, n) _mm512_srli_epi32(a, n)

MC_INLINE mc_vm v_lt(mc_v a, mc_v b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
MC_INLINE mc_vm v_le(mc_v a, mc_v b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
MC_INLINE mc_vm v_eq(mc_v a, mc_v b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
MC_INLINE mc_vm v_nan(mc_v a) { return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q); }
MC_INLINE mc_vm vi_lt(mc_vi a, mc_vi b) { return _mm512_cmplt_epi32_mask(a, b); }
MC_INLINE mc_v v_sel(mc_vm m, mc_v yes, mc_v no) { return _mm512_mask_blend_ps(m, no, yes); }

MC_INLINE mc_v v_abs(mc_v a) { return v_of_vi(vi_and(vi_of_v(a), vi_set1(0x7fffffff))); }
MC_INLINE mc_v v_neg(mc_v a) { return v_of_vi(vi_xor(vi_of_v(a), vi_set1((int32_t)0x80000000))); }

/* Lane reductions in the fixed order (i, i+8), (i, i+4), (i, i+2), (i, i+1). */
MC_INLINE float v_reduce_add(mc_v a)
{
    const __m256 s8 = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    const __m128 s4 = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
    const __m128 s2 = _mm_add_ps(s4, _mm_movehl_ps(s4, s4));
    return _mm_cvtss_f32(_mm_add_ss(s2, _mm_movehdup_ps(s2)));
}
MC_INLINE float v_reduce_max(mc_v a)
{
    const __m256 s8 = _mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    const __m128 s4 = _mm_max_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
    const __m128 s2 = _mm_max_ps(s4, _mm_movehl_ps(s4, s4));
    return _mm_cvtss_f32(_mm_max_ss(s2, _mm_movehdup_ps(s2)));
}
MC_INLINE float v_reduce_min(mc_v a) { return -v_reduce_max(v_neg(a)); }

/* Even and odd lanes of two vectors end to end, and the inverse: first and second half of the lanes taken in turn. */
MC_INLINE mc_v v_pick(mc_v a, mc_v b, int first, int step)
{
    const mc_vi lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    return _mm512_permutex2var_ps(a, vi_add(vi_set1(first), _mm512_mullo_epi32(lane, vi_set1(step))), b);
}
MC_INLINE mc_v v_even(mc_v a, mc_v b) { return v_pick(a, b, 0, 2); }
MC_INLINE mc_v v_odd(mc_v a, mc_v b) { return v_pick(a, b, 1, 2); }
MC_INLINE mc_v v_zip_first(mc_v a, mc_v b)
{
    return _mm512_permutex2var_ps(a, _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0), b);
}
MC_INLINE mc_v v_zip_second(mc_v a, mc_v b)
{
    return _mm512_permutex2var_ps(a, _mm512_set_epi32(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8), b);
}

/* 16x16 transpose of registers. */
MC_INLINE void v_transpose16(mc_v r[16])
{
    mc_v t[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4)
        for (int h = 0; h < 2; h++) {
            const __m512d a = _mm512_castps_pd(t[i + h]), b = _mm512_castps_pd(t[i + 2 + h]);
            r[i + 2 * h] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
            r[i + 2 * h + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
        }
    /* r[4g + c] now holds column 4q + c of rows 4g..4g+3 in quarter q. */
    for (int c = 0; c < 4; c++) {
        t[c] = _mm512_shuffle_f32x4(r[c], r[4 + c], 0x88);
        t[4 + c] = _mm512_shuffle_f32x4(r[8 + c], r[12 + c], 0x88);
        t[8 + c] = _mm512_shuffle_f32x4(r[c], r[4 + c], 0xdd);
        t[12 + c] = _mm512_shuffle_f32x4(r[8 + c], r[12 + c], 0xdd);
    }
    for (int c = 0; c < 4; c++) {
        r[c] = _mm512_shuffle_f32x4(t[c], t[4 + c], 0x88);
        r[8 + c] = _mm512_shuffle_f32x4(t[c], t[4 + c], 0xdd);
        r[4 + c] = _mm512_shuffle_f32x4(t[8 + c], t[12 + c], 0x88);
        r[12 + c] = _mm512_shuffle_f32x4(t[8 + c], t[12 + c], 0xdd);
    }
}

#endif
