/* x86/vec_avx2.h - a vector of 16 floats for kernel bodies that are written once for every tier (two AVX2 halves).
 * The contract is in vec_avx512.h.
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

typedef struct mc_v {
    __m256 a, b; /* lanes 0..7, 8..15 */
} mc_v;
typedef struct mc_vi {
    __m256i a, b;
} mc_vi;
typedef struct mc_vm { /* all bits of a lane set or clear */
    __m256i a, b;
} mc_vm;

#define MC_V2(f, x, y) ((mc_v){f((x).a, (y).a), f((x).b, (y).b)})
#define MC_V1(f, x) ((mc_v){f((x).a), f((x).b)})
#define MC_VI2(f, x, y) ((mc_vi){f((x).a, (y).a), f((x).b, (y).b)})

MC_INLINE mc_v v_set1(float x) { return (mc_v){_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
MC_INLINE mc_v v_zero(void) { return (mc_v){_mm256_setzero_ps(), _mm256_setzero_ps()}; }
MC_INLINE mc_v v_load(const float *p) { return (mc_v){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
MC_INLINE void v_store(float *p, mc_v x)
{
    _mm256_storeu_ps(p, x.a);
    _mm256_storeu_ps(p + 8, x.b);
}
MC_INLINE mc_vm v_first(int64_t n)
{
    static const int32_t ones[32] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
    const int32_t *p = ones + 16 - (n > 16 ? 16 : n);
    return (mc_vm){_mm256_loadu_si256((const __m256i *)(const void *)p),
                   _mm256_loadu_si256((const __m256i *)(const void *)(p + 8))};
}
MC_INLINE mc_v v_load_m(const float *p, mc_vm m) { return (mc_v){_mm256_maskload_ps(p, m.a), _mm256_maskload_ps(p + 8, m.b)}; }
MC_INLINE void v_store_m(float *p, mc_vm m, mc_v x)
{
    _mm256_maskstore_ps(p, m.a, x.a);
    _mm256_maskstore_ps(p + 8, m.b, x.b);
}

MC_INLINE mc_v v_add(mc_v x, mc_v y) { return MC_V2(_mm256_add_ps, x, y); }
MC_INLINE mc_v v_sub(mc_v x, mc_v y) { return MC_V2(_mm256_sub_ps, x, y); }
MC_INLINE mc_v v_mul(mc_v x, mc_v y) { return MC_V2(_mm256_mul_ps, x, y); }
MC_INLINE mc_v v_div(mc_v x, mc_v y) { return MC_V2(_mm256_div_ps, x, y); }
MC_INLINE mc_v v_fma(mc_v x, mc_v y, mc_v z)
{
    return (mc_v){_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
MC_INLINE mc_v v_min(mc_v x, mc_v y) { return MC_V2(_mm256_min_ps, x, y); }
MC_INLINE mc_v v_max(mc_v x, mc_v y) { return MC_V2(_mm256_max_ps, x, y); }
MC_INLINE mc_v v_sqrt(mc_v x) { return MC_V1(_mm256_sqrt_ps, x); }
MC_INLINE mc_v v_round(mc_v x)
{
    return (mc_v){_mm256_round_ps(x.a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC),
                  _mm256_round_ps(x.b, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
MC_INLINE mc_v v_floor(mc_v x) { return MC_V1(_mm256_floor_ps, x); }

MC_INLINE mc_vi vi_of_v(mc_v x) { return (mc_vi){_mm256_castps_si256(x.a), _mm256_castps_si256(x.b)}; }
MC_INLINE mc_v v_of_vi(mc_vi x) { return MC_V1(_mm256_castsi256_ps, x); }
MC_INLINE mc_vi vi_round(mc_v x) { return (mc_vi){_mm256_cvtps_epi32(x.a), _mm256_cvtps_epi32(x.b)}; }
MC_INLINE mc_vi vi_trunc(mc_v x) { return (mc_vi){_mm256_cvttps_epi32(x.a), _mm256_cvttps_epi32(x.b)}; }
MC_INLINE mc_v v_of_int(mc_vi x) { return MC_V1(_mm256_cvtepi32_ps, x); }
MC_INLINE mc_vi vi_set1(int32_t x) { return (mc_vi){_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
MC_INLINE mc_vi vi_add(mc_vi x, mc_vi y) { return MC_VI2(_mm256_add_epi32, x, y); }
MC_INLINE mc_vi vi_sub(mc_vi x, mc_vi y) { return MC_VI2(_mm256_sub_epi32, x, y); }
MC_INLINE mc_vi vi_and(mc_vi x, mc_vi y) { return MC_VI2(_mm256_and_si256, x, y); }
MC_INLINE mc_vi vi_or(mc_vi x, mc_vi y) { return MC_VI2(_mm256_or_si256, x, y); }
MC_INLINE mc_vi vi_xor(mc_vi x, mc_vi y) { return MC_VI2(_mm256_xor_si256, x, y); }
/* 32x32 to 64 bits, unsigned, by lane. */
MC_INLINE void vi_mul_wide_half(__m256i a, __m256i f, __m256i *hi, __m256i *lo)
{
    const __m256i even = _mm256_mul_epu32(a, f), odd = _mm256_mul_epu32(_mm256_srli_epi64(a, 32), f);
    *hi = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
    *lo = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
}
MC_INLINE void vi_mul_wide(mc_vi a, int32_t k, mc_vi *hi, mc_vi *lo)
{
    vi_mul_wide_half(a.a, _mm256_set1_epi32(k), &hi->a, &lo->a);
    vi_mul_wide_half(a.b, _mm256_set1_epi32(k), &hi->b, &lo->b);
}
#define vi_shl(x, n) ((mc_vi){_mm256_slli_epi32((x).a, n), _mm256_slli_epi32((x).b, n)})
#define vi_sra(x, n) ((mc_vi){_mm256_srai_epi32((x).a, n), _mm256_srai_epi32((x).b, n)})
#define vi_srl(x, n) ((mc_vi){_mm256_srli_epi32((x).a, n), _mm256_srli_epi32((x).b, n)})

#define MC_VCMP(x, y, how)                                                                                             \
    ((mc_vm){_mm256_castps_si256(_mm256_cmp_ps((x).a, (y).a, how)), _mm256_castps_si256(_mm256_cmp_ps((x).b, (y).b, how))})
MC_INLINE mc_vm v_lt(mc_v x, mc_v y) { return MC_VCMP(x, y, _CMP_LT_OQ); }
MC_INLINE mc_vm v_le(mc_v x, mc_v y) { return MC_VCMP(x, y, _CMP_LE_OQ); }
MC_INLINE mc_vm v_eq(mc_v x, mc_v y) { return MC_VCMP(x, y, _CMP_EQ_OQ); }
MC_INLINE mc_vm v_nan(mc_v x) { return MC_VCMP(x, x, _CMP_UNORD_Q); }
MC_INLINE mc_vm vi_lt(mc_vi x, mc_vi y) { return (mc_vm){_mm256_cmpgt_epi32(y.a, x.a), _mm256_cmpgt_epi32(y.b, x.b)}; }
MC_INLINE mc_v v_sel(mc_vm m, mc_v yes, mc_v no)
{
    return (mc_v){_mm256_blendv_ps(no.a, yes.a, _mm256_castsi256_ps(m.a)),
                  _mm256_blendv_ps(no.b, yes.b, _mm256_castsi256_ps(m.b))};
}

MC_INLINE mc_v v_abs(mc_v x) { return v_of_vi(vi_and(vi_of_v(x), vi_set1(0x7fffffff))); }
MC_INLINE mc_v v_neg(mc_v x) { return v_of_vi(vi_xor(vi_of_v(x), vi_set1((int32_t)0x80000000))); }

MC_INLINE float v_reduce_add(mc_v x)
{
    const __m256 s8 = _mm256_add_ps(x.a, x.b);
    const __m128 s4 = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
    const __m128 s2 = _mm_add_ps(s4, _mm_movehl_ps(s4, s4));
    return _mm_cvtss_f32(_mm_add_ss(s2, _mm_movehdup_ps(s2)));
}
MC_INLINE float v_reduce_max(mc_v x)
{
    const __m256 s8 = _mm256_max_ps(x.a, x.b);
    const __m128 s4 = _mm_max_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
    const __m128 s2 = _mm_max_ps(s4, _mm_movehl_ps(s4, s4));
    return _mm_cvtss_f32(_mm_max_ss(s2, _mm_movehdup_ps(s2)));
}
MC_INLINE float v_reduce_min(mc_v x) { return -v_reduce_max(v_neg(x)); }

MC_INLINE __m256 v_fourths(__m256 x) { return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(x), 0xd8)); }
MC_INLINE mc_v v_even(mc_v x, mc_v y)
{
    return (mc_v){v_fourths(_mm256_shuffle_ps(x.a, x.b, 0x88)), v_fourths(_mm256_shuffle_ps(y.a, y.b, 0x88))};
}
MC_INLINE mc_v v_odd(mc_v x, mc_v y)
{
    return (mc_v){v_fourths(_mm256_shuffle_ps(x.a, x.b, 0xdd)), v_fourths(_mm256_shuffle_ps(y.a, y.b, 0xdd))};
}
MC_INLINE mc_v v_zip8(__m256 x, __m256 y)
{
    const __m256 lo = _mm256_unpacklo_ps(x, y), hi = _mm256_unpackhi_ps(x, y);
    return (mc_v){_mm256_permute2f128_ps(lo, hi, 0x20), _mm256_permute2f128_ps(lo, hi, 0x31)};
}
MC_INLINE mc_v v_zip_first(mc_v x, mc_v y) { return v_zip8(x.a, y.a); }
MC_INLINE mc_v v_zip_second(mc_v x, mc_v y) { return v_zip8(x.b, y.b); }

MC_INLINE void v_transpose8(__m256 r[8])
{
    __m256 t[8];
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4)
        for (int h = 0; h < 2; h++) {
            r[i + 2 * h] = _mm256_shuffle_ps(t[i + h], t[i + 2 + h], 0x44);
            r[i + 2 * h + 1] = _mm256_shuffle_ps(t[i + h], t[i + 2 + h], 0xee);
        }
    for (int c = 0; c < 4; c++) {
        t[c] = _mm256_permute2f128_ps(r[c], r[4 + c], 0x20);
        t[4 + c] = _mm256_permute2f128_ps(r[c], r[4 + c], 0x31);
    }
    for (int c = 0; c < 8; c++) r[c] = t[c];
}

/* 16x16 transpose by four 8x8 ones. */
MC_INLINE void v_transpose16(mc_v r[16])
{
    __m256 q[8], s[8];
    for (int i = 0; i < 8; i++) q[i] = r[i].a;
    v_transpose8(q);
    for (int i = 0; i < 8; i++) r[i].a = q[i];
    for (int i = 0; i < 8; i++) q[i] = r[8 + i].b;
    v_transpose8(q);
    for (int i = 0; i < 8; i++) r[8 + i].b = q[i];
    for (int i = 0; i < 8; i++) {
        q[i] = r[i].b;
        s[i] = r[8 + i].a;
    }
    v_transpose8(q);
    v_transpose8(s);
    for (int i = 0; i < 8; i++) {
        r[i].b = s[i];
        r[8 + i].a = q[i];
    }
}

#endif
