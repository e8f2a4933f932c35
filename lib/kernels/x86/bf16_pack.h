/* x86/bf16_pack.h - float matrices into the tiles of bf16.h, as one BF16 number an element or as the sum of three (group `split`). CPUs of
 * the tier avx512_vnni may lack the instructions, so they are named function by function; callers ask mc_cpu_has_bf16().
 *
 * With 16 lines of 16 dwords, a tile of A holds a row in each, a tile of B a pair of inner elements. Memory that is contiguous along the
 * inner dimension gives lines of A, memory contiguous along rows or columns gives lines of B; where a tile wants the other, 16 lines are
 * transposed in registers. */
#ifndef MC_BF16_PACK_H
#define MC_BF16_PACK_H

#include "kernels/x86/gemm_bf16_body.h"
#include "kernels/x86/vec_avx512.h"

#define BF16_CODE __attribute__((target("avx512bf16")))

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"

/* Matrix whose outer index (row of A, column of B) has stride `outer`, the inner index stride `inner`. */
typedef struct source {
    const float *x;
    int64_t outer, inner, n, k;
} source;

/* The floats of a line: those of its lower and its upper half (contiguous), or the first and the second of each pair. */
typedef struct line {
    __m512 x, y;
} line;

/* Line of one outer index: inner elements k .. k + 32. */
static inline BF16_CODE line along_inner(const source *s, int64_t o, int64_t k)
{
    const float *x = s->x + o * s->outer + k;
    if (o >= s->n) return (line){_mm512_setzero_ps(), _mm512_setzero_ps()};
    if (s->k - k >= MC_BF16_DEPTH) return (line){_mm512_loadu_ps(x), _mm512_loadu_ps(x + 16)};
    return (line){_mm512_maskz_loadu_ps(bf16_columns(s->k, k), x), _mm512_maskz_loadu_ps(bf16_columns(s->k, k + 16), x + 16)};
}

/* Line of one pair of inner elements k, k + 1: outer indices o .. o + 16. */
static inline BF16_CODE line along_outer(const source *s, int64_t o, int64_t k)
{
    const float *x = s->x + k * s->inner + o;
    const __mmask16 some = bf16_columns(s->n, o);
    return (line){k < s->k ? _mm512_maskz_loadu_ps(some, x) : _mm512_setzero_ps(),
                  k + 1 < s->k ? _mm512_maskz_loadu_ps(some, x + s->inner) : _mm512_setzero_ps()};
}

static inline BF16_CODE __m512i rounded(line l) { return (__m512i)_mm512_cvtne2ps_pbh(l.y, l.x); }

/* 8 significant bits in the upper half of each dword, ties away from zero. keep_nan: x may be NaN. */
static inline BF16_CODE __m512i near(__m512 x, const int keep_nan)
{
    const __m512i h = _mm512_add_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(0x8000));
    return keep_nan ? _mm512_mask_mov_epi32(h, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), _mm512_castps_si512(x)) : h;
}

static inline BF16_CODE __m512 without(__m512 x, __m512i h)
{
    return _mm512_sub_ps(x, _mm512_castsi512_ps(_mm512_and_si512(h, _mm512_set1_epi32((int)0xffff0000u))));
}

/* Upper halves of the dwords of a line: in order (contiguous), or side by side. */
static inline BF16_CODE __m512i upper(__m512i x, __m512i y, const int contiguous)
{
    if (!contiguous) return _mm512_mask_blend_epi16(0xaaaaaaaau, _mm512_srli_epi32(x, 16), y);
    return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), _mm512_packus_epi32(_mm512_srli_epi32(x, 16), _mm512_srli_epi32(y, 16)));
}

static inline BF16_CODE void put_tile(const __m512i r[16], int transposed, uint16_t *tile)
{
    mc_v lines[16]; /* 16 dwords each: that they are no floats does not matter to a transpose */
    for (int i = 0; i < 16; i++) lines[i] = _mm512_castsi512_ps(r[i]);
    if (transposed) v_transpose16(lines);
    for (int i = 0; i < 16; i++) _mm512_storeu_ps(tile + i * MC_BF16_DEPTH, lines[i]);
}

static inline __attribute__((always_inline)) BF16_CODE void lines(const source *s, int64_t o, int64_t k, const int contiguous, line l[16])
{
    for (int i = 0; i < 16; i++) l[i] = contiguous ? along_inner(s, o + i, k) : along_outer(s, o, k + 2 * i);
}

static inline __attribute__((always_inline)) BF16_CODE void pack_rounded(const source *s, int64_t o, int64_t k, const int contiguous, int by_inner, uint16_t *tile)
{
    uint16_t mix[32];
    line l[16];
    __m512i r[16];
    for (int i = 0; i < 32; i++) mix[i] = (uint16_t)(i / 2 + i % 2 * 16);
    const __m512i interleave = _mm512_loadu_si512(mix);
    lines(s, o, k, contiguous, l);
    for (int i = 0; i < 16; i++) r[i] = contiguous ? rounded(l[i]) : _mm512_permutexvar_epi16(interleave, rounded(l[i]));
    put_tile(r, contiguous != by_inner, tile);
}

static inline __attribute__((always_inline)) BF16_CODE void pack_split(const source *s, int64_t o, int64_t k, const int contiguous, int by_inner, uint16_t *tile)
{
    line l[16];
    __m512i r[16];
    lines(s, o, k, contiguous, l);
    for (int part = 0; part < MC_BF16_PARTS; part++, tile += MC_BF16_TILE) {
        for (int i = 0; i < 16; i++) {
            const __m512i x = near(l[i].x, part == 0), y = near(l[i].y, part == 0);
            r[i] = upper(x, y, contiguous);
            l[i] = (line){without(l[i].x, x), without(l[i].y, y)};
        }
        put_tile(r, contiguous != by_inner, tile);
    }
}

/* by_inner: tiles whose lines are outer indices (A); else tiles whose lines are pairs (B). parts: 1 or MC_BF16_PARTS. */
static inline __attribute__((always_inline)) BF16_CODE void bf16_pack(const source *s, int by_inner, const int parts, int64_t next, uint16_t *out)
{
    for (int64_t o = 0; o < s->n; o += MC_BF16_ROWS, out += next) {
        uint16_t *tile = out;
        for (int64_t k = 0; k < s->k; k += MC_BF16_DEPTH, tile += parts * MC_BF16_TILE) {
            if (parts == 1 && s->inner == 1) pack_rounded(s, o, k, 1, by_inner, tile);
            else if (parts == 1) pack_rounded(s, o, k, 0, by_inner, tile);
            else if (s->inner == 1) pack_split(s, o, k, 1, by_inner, tile);
            else pack_split(s, o, k, 0, by_inner, tile);
        }
    }
}

#pragma GCC diagnostic pop

#endif
