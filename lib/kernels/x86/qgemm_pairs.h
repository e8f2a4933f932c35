/* x86/qgemm_pairs.h - exact integer GEMM without VNNI; the body of qgemm_avx2.c and qgemm_avx512.c.
 *
 * vpmaddubsw multiplies unsigned by signed bytes and adds adjacent pairs in 16 bits, saturating: a pair (w0, w1) is safe for
 * every input exactly if its positive parts sum to at most 128 and its negative parts to at least -128 (255 * 128 < 2^15).
 * The packer clips the pairs that are not (1.6 % in a trained encoder) and keeps what it took away, with its position, as
 * extra quads: for a column with extras the quad of inputs at that position is simply multiplied a second time. Sums are
 * exact, at the cost of a few percent.
 *
 * For that to be cheap a column's extras must not cost the other columns anything, so rows lie in the vector lanes and the
 * weights are broadcast: the tile of inputs is transposed once into [quads][16 rows][4], and a register tile is 16 rows x
 * COLS columns. Extras of COLS columns run in lockstep, padded with zeros to the longest list.
 *
 * Packed block: header, then [n/8 panels][quads][8 columns][4], then the lists. For up to FEW rows columns lie in the lanes
 * instead and extras are added one by one; nothing is transposed.
 *
 * The includer defines COLS and the 16-row vector: vec, vec_zero, vec_add, vec_dot(a, w, ones), vec_load, vec_one, vec_quad,
 * and tile_store(acc, ld, vec[COLS]).
 */
#include "kernels/rows.h"

#include <immintrin.h>
#include <string.h>

#define LANES MC_QGEMM_LANES
#define GROUP_ROWS 16
#define PANEL 8
#define FEW 4 /* rows that are not worth a transposed group */

typedef struct extra { /* one more quad for each of COLS columns */
    uint32_t quad[COLS];
    int32_t w[COLS]; /* 4 weights */
} extra;

static inline int64_t run_quads_of(const mc_qgemm_shape *s) { return (s->seg_len + 3) / 4; }
static inline int64_t quads_of(const mc_qgemm_shape *s) { return s->segments * run_quads_of(s); }
static inline int64_t padded_of(const mc_qgemm_shape *s) { return (s->n + LANES - 1) / LANES * LANES; }
/* Block: uint32 start[padded / COLS + 1] (rounded up to 64 bytes), dense weights, extras. */
static inline int64_t starts_bytes(const mc_qgemm_shape *s) { return ((padded_of(s) / COLS + 1) * 4 + 63) / 64 * 64; }
static inline int64_t dense_bytes(const mc_qgemm_shape *s) { return padded_of(s) * quads_of(s) * 4; }

/* Splits a pair into what 16 bits can hold and the rest. */
static inline void split_pair(int8_t w[2], int8_t rest[2])
{
    const int pos = (w[0] > 0 ? w[0] : 0) + (w[1] > 0 ? w[1] : 0), neg = (w[0] < 0 ? w[0] : 0) + (w[1] < 0 ? w[1] : 0);
    const int over = pos > 128 ? pos - 128 : neg < -128 ? neg + 128 : 0;
    const int larger = (w[0] < 0 ? -w[0] : w[0]) >= (w[1] < 0 ? -w[1] : w[1]) ? 0 : 1;
    rest[0] = rest[1] = 0;
    rest[larger] = (int8_t)over;
    w[larger] = (int8_t)(w[larger] - over);
}

/* Quad q of column j: safe part to w, rest to rest; 1 if there is a rest. */
static inline int read_quad(const mc_qgemm_shape *s, const int8_t *all, int64_t j, int64_t q, int8_t w[4], int8_t rest[4])
{
    const int64_t run = q / run_quads_of(s), at = q % run_quads_of(s) * 4, k = s->segments * s->seg_len;
    for (int64_t i = 0; i < 4; i++)
        w[i] = j < s->n && at + i < s->seg_len ? all[j * k + run * s->seg_len + at + i] : 0;
    split_pair(w, rest);
    split_pair(w + 2, rest + 2);
    return rest[0] || rest[1] || rest[2] || rest[3];
}

/* Longest list of extras among the COLS columns from j. */
static int64_t count_extras(const mc_qgemm_shape *s, const int8_t *w, int64_t j)
{
    int64_t longest = 0;
    for (int64_t c = j; c < j + COLS && c < s->n; c++) {
        int8_t quad[4], rest[4];
        int64_t n = 0;
        for (int64_t q = 0; q < quads_of(s); q++) n += read_quad(s, w, c, q, quad, rest);
        if (n > longest) longest = n;
    }
    return longest;
}

static uint64_t pairs_packed_bytes(const mc_qgemm_shape *s, const int8_t *w)
{
    int64_t extras = 0;
    for (int64_t j = 0; j < padded_of(s); j += COLS) extras += count_extras(s, w, j);
    return (uint64_t)(starts_bytes(s) + dense_bytes(s) + extras * (int64_t)sizeof(extra));
}

static void pairs_pack(const mc_qgemm_shape *s, const int8_t *w, void *out, int32_t *colsum)
{
    uint32_t *start = out;
    int8_t *dense = (int8_t *)out + starts_bytes(s);
    extra *extras = (extra *)(void *)(dense + dense_bytes(s));
    const int64_t quads = quads_of(s), k = s->segments * s->seg_len;
    int64_t total = 0;
    memset(out, 0, (size_t)starts_bytes(s));
    for (int64_t j = 0; j < padded_of(s); j += COLS) {
        const int64_t longest = count_extras(s, w, j);
        start[j / COLS] = (uint32_t)total;
        memset(extras + total, 0, (size_t)longest * sizeof(extra));
        for (int64_t c = 0; c < COLS; c++) {
            int8_t quad[4], rest[4];
            extra *e = extras + total;
            for (int64_t q = 0; q < quads; q++) {
                const int more = read_quad(s, w, j + c, q, quad, rest);
                memcpy(dense + (((j + c) / PANEL * quads + q) * PANEL + (j + c) % PANEL) * 4, quad, 4);
                if (!more) continue;
                e->quad[c] = (uint32_t)q;
                memcpy(&e->w[c], rest, 4);
                e++;
            }
        }
        total += longest;
    }
    start[padded_of(s) / COLS] = (uint32_t)total;
    for (int64_t j = 0; j < padded_of(s); j++) {
        int32_t sum = 0;
        for (int64_t i = 0; i < k && j < s->n; i++) sum += w[j * k + i];
        colsum[j] = sum;
    }
}

/* Rows that go through transposed groups; the rest (at most FEW) are read in place. */
static inline int64_t grouped_rows(int64_t m)
{
    const int64_t rest = m % GROUP_ROWS;
    return rest <= FEW ? m - rest : m;
}

static uint64_t pairs_loaded_bytes(const mc_qgemm_shape *s, int64_t m)
{
    return (uint64_t)((grouped_rows(m) + GROUP_ROWS - 1) / GROUP_ROWS * GROUP_ROWS * quads_of(s) * 4);
}

/* 8 rows x 8 quads. */
static inline void transpose8(const uint8_t *const *r, int64_t at, uint8_t *out)
{
    __m256i x[8], t[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) x[i] = _mm256_loadu_si256((const __m256i *)(const void *)(r[i] + at));
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_epi32(x[i], x[i + 1]);
        t[i + 1] = _mm256_unpackhi_epi32(x[i], x[i + 1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 8; i += 4)
#pragma GCC unroll 2
        for (int h = 0; h < 2; h++) {
            x[i + 2 * h] = _mm256_unpacklo_epi64(t[i + h], t[i + 2 + h]);
            x[i + 2 * h + 1] = _mm256_unpackhi_epi64(t[i + h], t[i + 2 + h]);
        }
#pragma GCC unroll 4
    for (int q = 0; q < 4; q++) {
        _mm256_store_si256((__m256i *)(void *)(out + q * 64), _mm256_permute2x128_si256(x[q], x[4 + q], 0x20));
        _mm256_store_si256((__m256i *)(void *)(out + (q + 4) * 64), _mm256_permute2x128_si256(x[q], x[4 + q], 0x31));
    }
}

/* 4 rows x 4 quads. */
static inline void transpose4(const uint8_t *const *r, int64_t at, uint8_t *out)
{
    __m128i x[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) x[i] = _mm_loadu_si128((const __m128i *)(const void *)(r[i] + at));
    const __m128i a = _mm_unpacklo_epi32(x[0], x[1]), b = _mm_unpackhi_epi32(x[0], x[1]);
    const __m128i c = _mm_unpacklo_epi32(x[2], x[3]), d = _mm_unpackhi_epi32(x[2], x[3]);
    _mm_store_si128((__m128i *)(void *)out, _mm_unpacklo_epi64(a, c));
    _mm_store_si128((__m128i *)(void *)(out + 64), _mm_unpackhi_epi64(a, c));
    _mm_store_si128((__m128i *)(void *)(out + 128), _mm_unpacklo_epi64(b, d));
    _mm_store_si128((__m128i *)(void *)(out + 192), _mm_unpackhi_epi64(b, d));
}

static void pairs_load(const mc_qgemm_tile *t)
{
    const int64_t run_quads = run_quads_of(&t->shape), m = grouped_rows(t->m);
    uint8_t *out = t->loaded;
    for (int64_t g = 0; g < m; g += GROUP_ROWS) {
        const uint8_t *r[GROUP_ROWS]; /* rows past the end repeat the last one; their sums are dropped */
        for (int64_t i = 0; i < GROUP_ROWS; i++) r[i] = t->rows[g + i < m ? g + i : m - 1];
        for (int64_t s = 0; s < t->shape.segments; s++, out += run_quads * 64) {
            const int64_t base = t->seg[s];
            int64_t q = 0;
            for (; q + 8 <= run_quads; q += 8)
                for (int64_t i = 0; i < GROUP_ROWS; i += 8) transpose8(r + i, base + q * 4, out + q * 64 + i * 4);
            for (; q + 4 <= run_quads; q += 4)
                for (int64_t i = 0; i < GROUP_ROWS; i += 4) transpose4(r + i, base + q * 4, out + q * 64 + i * 4);
            for (; q < run_quads; q++)
                for (int64_t i = 0; i < GROUP_ROWS; i++) memcpy(out + q * 64 + i * 4, r[i] + base + q * 4, 4);
        }
    }
}

/* 16 rows x COLS columns. */
static inline void group_tile(const uint8_t *a, const int8_t *w, int64_t quads, const extra *e, const extra *e_end,
                              const int32_t *init, vec c[COLS])
{
    const vec1 ones = vec_one();
#pragma GCC unroll 8
    for (int j = 0; j < COLS; j++) c[j] = vec_quad(init[j]);
    for (int64_t q = 0; q < quads; q++, a += 64, w += PANEL * 4) {
        const vec x = vec_load(a);
#pragma GCC unroll 8
        for (int j = 0; j < COLS; j++) {
            int32_t quad;
            memcpy(&quad, w + j * 4, 4);
            c[j] = vec_dot(c[j], x, quad, ones);
        }
    }
    a -= quads * 64;
    for (; e < e_end; e++) {
#pragma GCC unroll 8
        for (int j = 0; j < COLS; j++) c[j] = vec_dot(c[j], vec_load(a + (int64_t)e->quad[j] * 64), e->w[j], ones);
    }
}

/* Up to FEW rows in place x 8 columns; extras are added afterwards. */
static inline __attribute__((always_inline)) void few_rows(const mc_qgemm_tile *t, int64_t row, const int rows, int64_t col)
{
    const int64_t run_quads = run_quads_of(&t->shape), quads = quads_of(&t->shape);
    const int8_t *w = (const int8_t *)t->packed + starts_bytes(&t->shape) + (t->n0 + col) * quads * 4;
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i c[FEW][2];
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++) c[i][j] = _mm256_loadu_si256((const __m256i *)(const void *)(t->init + t->n0 + col + j * PANEL));
    for (int64_t s = 0; s < t->shape.segments; s++)
        for (int64_t at = t->seg[s]; at < t->seg[s] + run_quads * 4; at += 4, w += PANEL * 4) {
            const __m256i w0 = _mm256_load_si256((const __m256i *)(const void *)w);
            const __m256i w1 = _mm256_load_si256((const __m256i *)(const void *)(w + quads * PANEL * 4));
#pragma GCC unroll 4
            for (int i = 0; i < rows; i++) {
                int32_t quad;
                memcpy(&quad, t->rows[row + i] + at, 4);
                const __m256i x = _mm256_set1_epi32(quad);
                c[i][0] = _mm256_add_epi32(c[i][0], _mm256_madd_epi16(_mm256_maddubs_epi16(x, w0), ones));
                c[i][1] = _mm256_add_epi32(c[i][1], _mm256_madd_epi16(_mm256_maddubs_epi16(x, w1), ones));
            }
        }
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++)
            _mm256_store_si256((__m256i *)(void *)(t->acc + (row + i) * t->ld_acc + col + j * PANEL), c[i][j]);
}

static void few_extras(const mc_qgemm_tile *t, int64_t row, int64_t rows, int64_t padded)
{
    const int64_t run_quads = run_quads_of(&t->shape);
    const uint32_t *start = t->packed;
    const extra *all = (const extra *)(const void *)((const int8_t *)t->packed + starts_bytes(&t->shape) + dense_bytes(&t->shape));
    for (int64_t col = 0; col < padded; col += COLS) {
        const int64_t group = (t->n0 + col) / COLS;
        for (const extra *e = all + start[group]; e < all + start[group + 1]; e++)
            for (int64_t j = 0; j < COLS; j++) {
                if (e->w[j] == 0) continue;
                int8_t w[4];
                memcpy(w, &e->w[j], 4);
                const int64_t at = t->seg[e->quad[j] / run_quads] + e->quad[j] % run_quads * 4;
                for (int64_t i = row; i < row + rows; i++) {
                    const uint8_t *x = t->rows[i] + at;
                    t->acc[i * t->ld_acc + col + j] += x[0] * w[0] + x[1] * w[1] + x[2] * w[2] + x[3] * w[3];
                }
            }
    }
}

static void pairs_gemm(const mc_qgemm_tile *t)
{
    const int64_t quads = quads_of(&t->shape), padded = (t->cols + LANES - 1) / LANES * LANES, grouped = grouped_rows(t->m);
    const uint32_t *start = t->packed;
    const int8_t *dense = (const int8_t *)t->packed + starts_bytes(&t->shape);
    const extra *all = (const extra *)(const void *)(dense + dense_bytes(&t->shape));
    for (int64_t col = 0; col < padded; col += COLS) {
        const int64_t j = t->n0 + col;
        const int8_t *w = dense + (j / PANEL * quads * PANEL + j % PANEL) * 4;
        const extra *e = all + start[j / COLS], *e_end = all + start[j / COLS + 1];
        for (int64_t g = 0; g < grouped; g += GROUP_ROWS) {
            vec c[COLS];
            const uint8_t *a = (const uint8_t *)t->loaded + g * quads * 4;
            group_tile(a, w, quads, e, e_end, t->init + j, c);
            tile_store(t->acc + g * t->ld_acc + col, t->ld_acc, grouped - g, c);
        }
    }
    const int64_t rest = t->m - grouped;
    for (int64_t col = 0; col < padded && rest > 0; col += LANES) {
        if (rest == 1) few_rows(t, grouped, 1, col);
        else if (rest == 2) few_rows(t, grouped, 2, col);
        else if (rest == 3) few_rows(t, grouped, 3, col);
        else few_rows(t, grouped, 4, col);
    }
    if (rest > 0) few_extras(t, grouped, rest, padded);
}
