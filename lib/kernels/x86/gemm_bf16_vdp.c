/* Matrix product of operands rounded to BF16, with AVX512_BF16: vdpbf16ps adds the products of a pair of inner elements to 16 sums.
 * CPUs of this tier may lack the instructions, so they are named function by function; callers ask mc_cpu_has_bf16().
 *
 * Packing: with 16 lines of 16 dwords, a tile of A holds a row in each, a tile of B a pair of inner elements. Memory that is contiguous
 * along the inner dimension gives lines of A, memory contiguous along rows or columns gives lines of B; where a tile wants the other, 16
 * lines are transposed in registers. */
#include "kernels/x86/gemm_bf16_body.h"

#define BF16_CODE __attribute__((target("avx512bf16")))

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"

/* ---- packing ---- */

/* Matrix whose outer index (row of A, column of B) has stride `outer`, the inner index stride `inner`. */
typedef struct source {
    const float *x;
    int64_t outer, inner, n, k;
} source;

static inline BF16_CODE __m512i round_pair(__m512 low, __m512 high) { return (__m512i)_mm512_cvtne2ps_pbh(high, low); }

/* Line of one outer index: inner elements k .. k + 32. */
static inline BF16_CODE __m512i along_inner(const source *s, int64_t o, int64_t k)
{
    const float *x = s->x + o * s->outer + k;
    if (o >= s->n) return _mm512_setzero_si512();
    if (s->k - k >= MC_BF16_DEPTH) return round_pair(_mm512_loadu_ps(x), _mm512_loadu_ps(x + 16));
    return round_pair(_mm512_maskz_loadu_ps(bf16_columns(s->k, k), x), _mm512_maskz_loadu_ps(bf16_columns(s->k, k + 16), x + 16));
}

/* Line of one pair of inner elements k, k + 1: outer indices o .. o + 16. */
static inline BF16_CODE __m512i along_outer(const source *s, int64_t o, int64_t k, __m512i interleave)
{
    const float *x = s->x + k * s->inner + o;
    const __mmask16 some = bf16_columns(s->n, o);
    const __m512 first = k < s->k ? _mm512_maskz_loadu_ps(some, x) : _mm512_setzero_ps();
    const __m512 second = k + 1 < s->k ? _mm512_maskz_loadu_ps(some, x + s->inner) : _mm512_setzero_ps();
    return _mm512_permutexvar_epi16(interleave, round_pair(first, second));
}

static inline BF16_CODE void transpose(__m512i r[16])
{
    __m512i t[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4)
        for (int h = 0; h < 2; h++) {
            r[i + 2 * h] = _mm512_unpacklo_epi64(t[i + h], t[i + 2 + h]);
            r[i + 2 * h + 1] = _mm512_unpackhi_epi64(t[i + h], t[i + 2 + h]);
        }
    for (int c = 0; c < 4; c++) { /* r[4g + c]: column 4q + c of rows 4g .. 4g + 3 in quarter q */
        t[c] = _mm512_shuffle_i32x4(r[c], r[4 + c], 0x88);
        t[4 + c] = _mm512_shuffle_i32x4(r[8 + c], r[12 + c], 0x88);
        t[8 + c] = _mm512_shuffle_i32x4(r[c], r[4 + c], 0xdd);
        t[12 + c] = _mm512_shuffle_i32x4(r[8 + c], r[12 + c], 0xdd);
    }
    for (int c = 0; c < 4; c++) {
        r[c] = _mm512_shuffle_i32x4(t[c], t[4 + c], 0x88);
        r[8 + c] = _mm512_shuffle_i32x4(t[c], t[4 + c], 0xdd);
        r[4 + c] = _mm512_shuffle_i32x4(t[8 + c], t[12 + c], 0x88);
        r[12 + c] = _mm512_shuffle_i32x4(t[8 + c], t[12 + c], 0xdd);
    }
}

/* by_inner: tiles whose lines are outer indices (A); else tiles whose lines are pairs (B). */
static BF16_CODE void pack(const source *s, int by_inner, int64_t next, uint16_t *out)
{
    uint16_t mix[32];
    for (int i = 0; i < 32; i++) mix[i] = (uint16_t)(i / 2 + i % 2 * 16);
    const __m512i interleave = _mm512_loadu_si512(mix);
    const int contiguous = s->inner == 1;
    for (int64_t o = 0; o < s->n; o += MC_BF16_ROWS, out += next) {
        uint16_t *tile = out;
        for (int64_t k = 0; k < s->k; k += MC_BF16_DEPTH, tile += MC_BF16_TILE) {
            __m512i line[16];
            for (int i = 0; i < 16; i++) line[i] = contiguous ? along_inner(s, o + i, k) : along_outer(s, o, k + 2 * i, interleave);
            if (contiguous != by_inner) transpose(line);
            for (int i = 0; i < 16; i++) _mm512_storeu_si512(tile + i * MC_BF16_DEPTH, line[i]);
        }
    }
}

void mc_k_bf16_pack_a_avx512_vnni(const float *a, int64_t row, int64_t col, int64_t m, int64_t k, int64_t next, uint16_t *out)
{
    pack(&(source){a, row, col, m, k}, 1, next, out);
}

void mc_k_bf16_pack_b_avx512_vnni(const float *b, int64_t row, int64_t col, int64_t k, int64_t n, int64_t next, uint16_t *out)
{
    pack(&(source){b, col, row, n, k}, 0, next, out);
}

/* ---- product ---- */

/* 16 rows x 16 columns; all rows are computed (tiles are padded), those below m are stored. */
static BF16_CODE void tile(const mc_gemm_bf16 *g, int64_t i0, int64_t j0)
{
    const uint16_t *a = g->a + i0 / MC_BF16_ROWS * g->a_next, *b = g->b + j0 / MC_BF16_ROWS * g->b_next;
    const int64_t rows = g->m - i0 < MC_BF16_ROWS ? g->m - i0 : MC_BF16_ROWS;
    const __mmask16 columns = bf16_columns(g->n, j0);
    __m512 sum[16];
    for (int i = 0; i < 16; i++)
        sum[i] = g->accumulate && i < rows ? _mm512_maskz_loadu_ps(columns, g->c + (i0 + i) * g->ldc + j0) : _mm512_setzero_ps();
    for (int64_t s = 0; s < g->steps; s++, a += MC_BF16_TILE, b += MC_BF16_TILE)
        for (int p = 0; p < 16; p++) {
            const __m512bh y = (__m512bh)_mm512_loadu_si512(b + p * MC_BF16_DEPTH);
            for (int i = 0; i < 16; i++) {
                int32_t pair;
                __builtin_memcpy(&pair, a + i * MC_BF16_DEPTH + 2 * p, sizeof pair);
                sum[i] = _mm512_dpbf16_ps(sum[i], (__m512bh)_mm512_set1_epi32(pair), y);
            }
        }
    for (int64_t i = 0; i < rows; i++) bf16_put(g, sum[i], i0 + i, j0, columns);
}

BF16_CODE void mc_k_bf16_gemm_avx512_vnni(const mc_gemm_bf16 *g)
{
    for (int64_t j = 0; j < g->n; j += MC_BF16_ROWS)
        for (int64_t i = 0; i < g->m; i += MC_BF16_ROWS) tile(g, i, j);
}

#pragma GCC diagnostic pop
