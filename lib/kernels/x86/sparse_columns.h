/* x86/sparse_columns.h - 4x1 sparse integer GEMM for few rows: 16 columns in the vector lanes, AVX-512 VNNI and VBMI.
 *
 * A step takes up to four inputs of each of a panel's four strips from a window of 64 bytes of a row: vpermb brings the four bytes of
 * a strip to each of its four columns, vpdpbusd multiplies. Windows begin at every 32nd input: the packer walks the four lists from
 * the least input that is left, so that strips wait for each other only where they drift further apart than a window. Rows are
 * copied with their windows side by side, because loads across cache lines would take twice the time. Nothing is turned, and a row
 * alone costs no more than its share.
 *
 * Section of the packed block, after the quads, 64-byte aligned: uint32 start[panels + 1], uint16 base[steps] (of a window in a copied row),
 * uint8 index[steps][16],
 * int8 w[steps][16 columns][4], each part rounded up to 64 bytes.
 */
#ifndef MC_KERNELS_SPARSE_COLUMNS_H
#define MC_KERNELS_SPARSE_COLUMNS_H

#include "kernels/sparse_pack.h"

#include <immintrin.h>

#define WINDOW 64
#define WINDOW_STEP 32
#define COLUMNS_VBMI __attribute__((target("avx512vbmi")))

static inline int columns_usable(void) { return __builtin_cpu_supports("avx512vbmi") != 0; }
static inline int64_t up64(int64_t v) { return (v + 63) / 64 * 64; }
static inline int64_t columns_panels(const mc_qgemm_shape *s) { return sparse_padded(s) / MC_QGEMM_LANES; }

typedef struct columns_part {
    const uint32_t *start;
    const uint16_t *base;
    const uint8_t *index;
    const int8_t *w;
} columns_part;

/* Lists of a panel and where the packer stands in them. */
typedef struct columns_walk {
    uint16_t k[4][MC_SPARSE_MAX_K];
    int64_t n[4], at[4];
} columns_walk;

static inline void columns_begin(columns_walk *c, const mc_qgemm_shape *s, const int8_t *w, int64_t panel)
{
    for (int64_t i = 0; i < 4; i++) {
        c->n[i] = sparse_inputs(s, w, panel * 4 + i, c->k[i]);
        c->at[i] = 0;
    }
}

/* Window of the next step; -1 at the end. take[i]: inputs of strip i. */
static inline int64_t columns_next(columns_walk *c, int64_t take[4])
{
    int64_t base = INT64_MAX;
    for (int64_t i = 0; i < 4; i++)
        if (c->at[i] < c->n[i] && c->k[i][c->at[i]] < base) base = c->k[i][c->at[i]];
    if (base == INT64_MAX) return -1;
    base = base / WINDOW_STEP * WINDOW_STEP;
    for (int64_t i = 0; i < 4; i++) {
        take[i] = 0;
        while (take[i] < 4 && c->at[i] + take[i] < c->n[i] && c->k[i][c->at[i] + take[i]] < base + WINDOW) take[i]++;
    }
    return base;
}

static inline void columns_advance(columns_walk *c, const int64_t take[4])
{
    for (int64_t i = 0; i < 4; i++) c->at[i] += take[i];
}

static inline int64_t columns_steps(const mc_qgemm_shape *s, const int8_t *w, int64_t panel)
{
    columns_walk c;
    int64_t steps = 0, take[4];
    columns_begin(&c, s, w, panel);
    for (; columns_next(&c, take) >= 0; steps++) columns_advance(&c, take);
    return steps;
}

static inline int64_t columns_starts_bytes(const mc_qgemm_shape *s) { return up64((columns_panels(s) + 1) * 4); }

static inline columns_part columns_of(const mc_qgemm_shape *s, const void *section)
{
    columns_part p = {.start = section};
    const int64_t steps = p.start[columns_panels(s)];
    p.base = (const uint16_t *)(const void *)((const uint8_t *)section + columns_starts_bytes(s));
    p.index = (const uint8_t *)p.base + up64(steps * 2);
    p.w = (const int8_t *)p.index + up64(steps * 16);
    return p;
}

static inline uint64_t columns_bytes(const mc_qgemm_shape *s, const int8_t *w)
{
    int64_t steps = 0;
    for (int64_t p = 0; p < columns_panels(s); p++) steps += columns_steps(s, w, p);
    return (uint64_t)(columns_starts_bytes(s) + up64(steps * 2) + up64(steps * 16) + steps * 64);
}

static inline void columns_pack(const mc_qgemm_shape *s, const int8_t *w, void *section)
{
    uint32_t *start = section;
    int64_t total = 0;
    memset(section, 0, (size_t)columns_bytes(s, w));
    for (int64_t p = 0; p < columns_panels(s); p++) {
        start[p] = (uint32_t)total;
        total += columns_steps(s, w, p);
    }
    start[columns_panels(s)] = (uint32_t)total;
    const columns_part part = columns_of(s, section);
    uint8_t *to = section;
    uint16_t *base = (uint16_t *)(void *)(to + ((const uint8_t *)part.base - to));
    uint8_t *index = to + (part.index - to);
    int8_t *out = (int8_t *)to + (part.w - (const int8_t *)to);
    for (int64_t p = 0; p < columns_panels(s); p++) {
        columns_walk c;
        int64_t take[4], at;
        columns_begin(&c, s, w, p);
        while ((at = columns_next(&c, take)) >= 0) {
            *base++ = (uint16_t)(at / WINDOW_STEP * WINDOW);
            for (int64_t i = 0; i < 4; i++)
                for (int64_t e = 0; e < take[i]; e++) {
                    int8_t b[4];
                    const int64_t k = c.k[i][c.at[i] + e];
                    sparse_block(s, w, p * 4 + i, k, b);
                    index[i * 4 + e] = (uint8_t)(k - at);
                    for (int64_t o = 0; o < 4; o++) out[(i * 4 + o) * 4 + e] = b[o];
                }
            columns_advance(&c, take);
            index += 16;
            out += 64;
        }
    }
}

static inline int64_t columns_row_bytes(const mc_qgemm_shape *s) { return (sparse_depth(s) + WINDOW_STEP - 1) / WINDOW_STEP * WINDOW; }

/* Rows to copies: windows side by side, runs end to end, zeros after the last. A row's bytes lie behind its copies meanwhile. */
static inline void columns_load(const mc_qgemm_tile *t, int64_t first, int64_t rows, uint8_t *out)
{
    const int64_t depth = sparse_depth(&t->shape), run = t->shape.seg_len, bytes = columns_row_bytes(&t->shape);
    uint8_t *row = out + rows * bytes;
    memset(row + depth, 0, WINDOW);
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t s = 0; s < t->shape.segments; s++) memcpy(row + s * run, t->rows[first + i] + t->seg[s], (size_t)run);
        for (int64_t at = 0; at < bytes; at += WINDOW, out += WINDOW) memcpy(out, row + at / WINDOW * WINDOW_STEP, WINDOW);
    }
}

/* `rows` rows x one panel; CHAINS sums a row, so that few rows do not wait for the last product. */
static inline __attribute__((always_inline)) COLUMNS_VBMI void columns_panel(const uint8_t *x, int64_t ld, const columns_part *p, int64_t step,
                                                                            int64_t end, const int32_t *init, int32_t *acc, int64_t ld_acc,
                                                                            const int rows, const int chains)
{
    const __m512i spread = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
    __m512i c[8][4];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int h = 0; h < chains; h++) c[r][h] = h ? _mm512_setzero_si512() : _mm512_loadu_si512(init);
    for (; step < end; step += chains) {
#pragma GCC unroll 4
        for (int h = 0; h < chains; h++) {
            if (h > 0 && step + h >= end) break;
            const __m512i four = _mm512_castsi128_si512(_mm_load_si128((const __m128i *)(const void *)(p->index + (step + h) * 16)));
            const __m512i index = _mm512_permutexvar_epi32(spread, four), w = _mm512_load_si512(p->w + (step + h) * 64);
            const uint8_t *from = x + p->base[step + h];
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++)
                c[r][h] = _mm512_dpbusd_epi32(c[r][h], _mm512_permutexvar_epi8(index, _mm512_load_si512(from + r * ld)), w);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 4
        for (int h = 1; h < chains; h++) c[r][0] = _mm512_add_epi32(c[r][0], c[r][h]);
        _mm512_store_si512(acc + r * ld_acc, c[r][0]);
    }
}

#define COLUMNS_ROWS(rows, chains)                                                                                     \
    static COLUMNS_VBMI void columns_##rows(const uint8_t *x, int64_t ld, const columns_part *p, int64_t step, int64_t end,  \
                                            const int32_t *init, int32_t *acc, int64_t ld_acc)                         \
    {                                                                                                                  \
        columns_panel(x, ld, p, step, end, init, acc, ld_acc, rows, chains);                                           \
    }
COLUMNS_ROWS(1, 4)
COLUMNS_ROWS(2, 2)
COLUMNS_ROWS(3, 2)
COLUMNS_ROWS(4, 2)
COLUMNS_ROWS(5, 2)
COLUMNS_ROWS(6, 2)
COLUMNS_ROWS(7, 2)
COLUMNS_ROWS(8, 2)

/* All columns of the tile for rows `first` .. that columns_load copied. */
static void columns_gemm(const mc_qgemm_tile *t, const void *section, const uint8_t *x, int64_t first, int64_t rows)
{
    typedef void (*panel_fn)(const uint8_t *, int64_t, const columns_part *, int64_t, int64_t, const int32_t *, int32_t *, int64_t);
    static const panel_fn by_rows[8] = {columns_1, columns_2, columns_3, columns_4, columns_5, columns_6, columns_7, columns_8};
    const int64_t ld = columns_row_bytes(&t->shape);
    const columns_part p = columns_of(&t->shape, section);
    for (int64_t col = 0; col < t->cols; col += MC_QGEMM_LANES) {
        const uint32_t *start = p.start + (t->n0 + col) / MC_QGEMM_LANES;
        for (int64_t i = 0, n; i < rows; i += n) {
            n = rows - i < 8 ? rows - i : 8;
            by_rows[n - 1](x + i * ld, ld, &p, start[0], start[1], t->init + t->n0 + col, t->acc + (first + i) * t->ld_acc + col, t->ld_acc);
        }
    }
}

#endif
