/* x86/qconvert_body.h - ref/qconvert.c on 16 lanes. Includer: the vec header of its tier, then NAME(x).
 *
 * Quantization divides by the scale, and a vector division costs as much as a dozen multiplies. Only the rounded integer
 * matters, so x * (1 / scale) decides wherever it is not near a half: for |t| <= 255 both t = x / scale and t' = x * (1 / scale),
 * each rounded twice at most, lie within 2^-14 of the exact quotient, so their rounded values can differ only if t' is within
 * 2^-12 of a half. Then (and for NaN, and if 1 / scale overflows) the vector is divided.
 */
#include "kernels/rows.h"
#include "kernels/x86/vec_bytes.h"
#include "kernels/x86/vec_wide.h"

typedef struct quant {
    mc_v scale, inv, lo, hi, near;
    mc_vi zp;
    __m128i flip;
    mc_pack pack;
    int exact_only; /* 1 / scale overflows */
} quant;

MC_INLINE quant quant_of(const mc_qmap *p)
{
    const float inv = 1.0f / p->scale;
    const int exact_only = !(inv <= 3.0e38f && inv >= -3.0e38f);
    return (quant){v_set1(p->scale), v_set1(inv), v_set1((float)(0 - p->zp)), v_set1((float)(255 - p->zp)),
                   v_set1(exact_only ? -1.0f : 0.5f - 0x1p-12f), vi_set1(p->zp), _mm_set1_epi8((char)p->flip), pack_of(p->zp, p->flip), exact_only};
}

MC_INLINE __m128i quantized(const quant *q, mc_v x)
{
    mc_v t = v_max(q->lo, v_min(q->hi, v_mul(x, q->inv)));
    const mc_v off = v_abs(v_sub(t, v_round(t)));
    if (__builtin_expect(!vm_all(v_le(off, q->near)), 0)) {
        t = v_div(x, q->scale);
        t = v_sel(v_nan(t), v_zero(), t);
        t = v_max(q->lo, v_min(q->hi, t));
    }
    return _mm_xor_si128(bytes_of_vi(vi_add(vi_round(t), q->zp)), q->flip);
}

/* Four vectors at once: one look at how near any of them is to a half. Distances are compared as integers, where a NaN is
 * larger than every number. Saturation is left to the packing (which needs t <= 255 - zp, and takes INT_MIN for less). */
MC_INLINE void quantize64(const quant *q, const float *x, uint8_t *y)
{
    enum { n = 4 };
    mc_v t[4], off[4];
    mc_vi r[4];
    MC_EACH(t[k] = v_min(q->hi, v_mul(v_load(x + 16 * k), q->inv)));
    MC_EACH(r[k] = vi_round(t[k]));
    MC_EACH(off[k] = v_abs(v_sub(t[k], v_of_int(r[k]))));
    const mc_vi far = vi_max(vi_max(vi_of_v(off[0]), vi_of_v(off[1])), vi_max(vi_of_v(off[2]), vi_of_v(off[3])));
    if (__builtin_expect(vm_any(vi_lt(vi_of_v(q->near), far)), 0))
        for (int k = 0; k < n; k++) bytes_store(y + 16 * k, 16, quantized(q, v_load(x + 16 * k)));
    else bytes_pack(y, n, r, &q->pack);
}

MC_INLINE void quantize_row(const quant *q, const float *x, int64_t n, uint8_t *y)
{
    int64_t i = 0;
    for (; i + 64 <= n && !q->exact_only; i += 64) quantize64(q, x + i, y + i);
    for (; i < n; i += 16) bytes_store(y + i, n - i, quantized(q, v_load_n(x + i, n - i)));
}

void NAME(quantize)(const float *x, int64_t n, const mc_qmap *p, uint8_t *y)
{
    const quant q = quant_of(p);
    quantize_row(&q, x, n, y);
}

/* mc_token_scale. */
static float token_scale(const float *x, int64_t n)
{
    mc_v a = v_zero(), b = v_zero(), c = v_zero(), d = v_zero();
    int64_t i = 0;
    for (; i + 64 <= n; i += 64) {
        a = v_max(v_abs(v_load(x + i)), a);
        b = v_max(v_abs(v_load(x + i + 16)), b);
        c = v_max(v_abs(v_load(x + i + 32)), c);
        d = v_max(v_abs(v_load(x + i + 48)), d);
    }
    for (; i < n; i += 16) a = v_max(v_abs(v_load_n(x + i, n - i)), a);
    const float scale = v_reduce_max(v_max(v_max(a, b), v_max(c, d))) / 127.0f;
    return scale == 0.0f ? 1.0f : scale;
}

void NAME(quantize_rows)(const float *x, int64_t ld_x, int64_t m, int64_t k, uint8_t *y, int64_t ld_y, float *scale)
{
    for (int64_t r = 0; r < m; r++, x += ld_x, y += ld_y) {
        const mc_qmap p = {token_scale(x, k), 128, 0};
        const quant q = quant_of(&p);
        quantize_row(&q, x, k, y);
        scale[r] = p.scale;
    }
}

void NAME(dequantize)(const uint8_t *x, int64_t n, const mc_qmap *p, float *y)
{
    const __m128i flip = _mm_set1_epi8((char)p->flip);
    const mc_vi zp = vi_set1(p->zp);
    const mc_v scale = v_set1(p->scale);
    for (int64_t i = 0; i < n; i += 16) {
        const __m128i b = _mm_xor_si128(bytes_load(x + i, n - i), flip);
        v_store_n(y + i, n - i, v_mul(v_of_int(vi_sub(vi_of_bytes(b), zp)), scale));
    }
}

void NAME(dequantize_each)(const uint8_t *x, int64_t n, const float *scale, const uint8_t *zp, uint32_t flip, float *y)
{
    const __m128i f = _mm_set1_epi8((char)flip);
    const mc_vi zero = vi_set1((int32_t)flip);
    for (int64_t i = 0; i < n; i += 16) {
        const mc_vi q = vi_of_bytes(_mm_xor_si128(bytes_load(x + i, n - i), f));
        const mc_vi z = zp ? vi_of_bytes(_mm_xor_si128(bytes_load(zp + i, n - i), f)) : zero;
        v_store_n(y + i, n - i, v_mul(v_of_int(vi_sub(q, z)), v_load_n(scale + i, n - i)));
    }
}

void NAME(minmax)(const float *x, int64_t n, float *min, float *max)
{
    mc_v lo = v_set1(*min), hi = v_set1(*max);
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        const mc_v v = v_load(x + i);
        lo = v_min(v, lo);
        hi = v_max(v, hi);
    }
    if (i < n) { /* lanes past the end repeat the first element of the rest */
        const mc_v v = v_sel(v_first(n - i), v_load_n(x + i, n - i), v_set1(x[i]));
        lo = v_min(v, lo);
        hi = v_max(v, hi);
    }
    *min = v_reduce_min(lo);
    *max = v_reduce_max(hi);
}

void NAME(flip)(const uint8_t *x, int64_t n, uint32_t flip, uint8_t *y)
{
    const __m256i f = _mm256_set1_epi8((char)flip);
    int64_t i = 0;
    for (; i + 32 <= n; i += 32)
        _mm256_storeu_si256((__m256i *)(void *)(y + i),
                            _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(const void *)(x + i)), f));
    for (; i < n; i++) y[i] = (uint8_t)(x[i] ^ flip);
}
