/* Integer GEMM with AVX-512 VNNI. vpdpbusd multiplies four adjacent unsigned bytes by four signed ones and adds them to a
 * 32-bit lane without saturation, so sums are exact.
 *
 * Packed layout: [n/16 panels][quads][16 lanes][4], a quad being 4 consecutive weights of a run (runs padded to 4 with zeros).
 * Register tile: 8 rows x 3 panels (24 accumulators, 3 panel vectors, 1 broadcast), rows in place. Depth is cut into blocks
 * so that the panels of a block (24 KiB) and the rows of the tile stay in L1 while all rows of the tile pass.
 */
#include "kernels/rows.h"

#include <immintrin.h>
#include <string.h>

#define LANES MC_QGEMM_LANES
#define QUAD_BYTES 64     /* one quad of a panel */
#define BLOCK_PANELS 384  /* depth of a block in quads, times its panels: 24 KiB */
#define ROWS 8            /* rows of the register tile */

static int64_t quads_of(const mc_qgemm_shape *s) { return s->segments * ((s->seg_len + 3) / 4); }
static int64_t panels_of(const mc_qgemm_shape *s) { return (s->n + LANES - 1) / LANES; }

uint64_t mc_k_int8_qgemm_packed_bytes_avx512_vnni(const mc_qgemm_shape *s, const int8_t *w)
{
    (void)w;
    return (uint64_t)(panels_of(s) * quads_of(s) * QUAD_BYTES);
}

void mc_k_int8_qgemm_pack_avx512_vnni(const mc_qgemm_shape *s, const int8_t *w, void *out, int32_t *colsum)
{
    const int64_t run_quads = (s->seg_len + 3) / 4, k = s->segments * s->seg_len;
    int8_t *o = out;
    memset(out, 0, (size_t)(panels_of(s) * quads_of(s) * QUAD_BYTES));
    memset(colsum, 0, (size_t)(panels_of(s) * LANES) * sizeof *colsum);
    for (int64_t j = 0; j < s->n; j++) {
        int8_t *panel = o + j / LANES * quads_of(s) * QUAD_BYTES + j % LANES * 4;
        for (int64_t g = 0; g < s->segments; g++)
            for (int64_t i = 0; i < s->seg_len; i++) {
                const int8_t v = w[j * k + g * s->seg_len + i];
                panel[(g * run_quads + i / 4) * QUAD_BYTES + i % 4] = v;
                colsum[j] += v;
            }
    }
}

uint64_t mc_k_int8_qgemm_loaded_bytes_avx512_vnni(const mc_qgemm_shape *s, int64_t m)
{
    (void)s;
    (void)m;
    return 0;
}

void mc_k_int8_qgemm_load_avx512_vnni(const mc_qgemm_tile *t) { (void)t; }

/* One depth block of one register tile. */
typedef struct block {
    const uint8_t *const *rows;
    const int64_t *seg;
    int64_t segments;    /* runs in this block */
    int64_t offset;      /* bytes into each run */
    int64_t quads;       /* quads of each run in this block */
    const int8_t *b;     /* first panel at this depth */
    int64_t b_stride;    /* bytes from panel to panel */
    const int32_t *init; /* NULL: go on from acc */
    int32_t *acc;
    int64_t ld;
} block;

static inline __attribute__((always_inline)) void micro(const block *k, const int mr, const int nv)
{
    __m512i c[ROWS][6];
    const uint8_t *r[ROWS];
    const int8_t *b = k->b, *b3 = k->b + 3 * k->b_stride;
    const int64_t stride = k->b_stride, bytes = k->quads * 4, ld = k->ld;
#pragma GCC unroll 8
    for (int i = 0; i < mr; i++) {
        r[i] = k->rows[i];
#pragma GCC unroll 6
        for (int j = 0; j < nv; j++)
            c[i][j] = k->init ? _mm512_loadu_si512(k->init + j * LANES) : _mm512_load_si512(k->acc + i * ld + j * LANES);
    }
    for (int64_t s = 0; s < k->segments; s++) {
        const int64_t begin = k->seg[s] + k->offset;
        for (int64_t at = begin; at < begin + bytes; at += 4, b += QUAD_BYTES, b3 += QUAD_BYTES) {
            __m512i w[6];
#pragma GCC unroll 6
            for (int j = 0; j < nv; j++) w[j] = _mm512_load_si512((j < 3 ? b : b3) + (j % 3) * stride);
#pragma GCC unroll 8
            for (int i = 0; i < mr; i++) {
                int32_t quad;
                memcpy(&quad, r[i] + at, 4);
                const __m512i a = _mm512_set1_epi32(quad);
#pragma GCC unroll 6
                for (int j = 0; j < nv; j++) c[i][j] = _mm512_dpbusd_epi32(c[i][j], a, w[j]);
            }
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < mr; i++)
#pragma GCC unroll 6
        for (int j = 0; j < nv; j++) _mm512_store_si512(k->acc + i * ld + j * LANES, c[i][j]);
}

#define MICRO(mr, nv)                                                                                                  \
    static __attribute__((noinline)) void micro_##mr##x##nv(const block *k) { micro(k, mr, nv); }
#define MICRO_WIDTHS(mr) MICRO(mr, 1) MICRO(mr, 2) MICRO(mr, 3)
MICRO_WIDTHS(1)
MICRO_WIDTHS(2)
MICRO_WIDTHS(3)
MICRO_WIDTHS(4)
MICRO_WIDTHS(5)
MICRO_WIDTHS(6)
MICRO_WIDTHS(7)
MICRO_WIDTHS(8)
MICRO(1, 6)
MICRO(2, 6)
MICRO(3, 6)
MICRO(4, 6)

typedef void (*micro_fn)(const block *k);
static const micro_fn micros[ROWS][3] = {
    {micro_1x1, micro_1x2, micro_1x3}, {micro_2x1, micro_2x2, micro_2x3}, {micro_3x1, micro_3x2, micro_3x3},
    {micro_4x1, micro_4x2, micro_4x3}, {micro_5x1, micro_5x2, micro_5x3}, {micro_6x1, micro_6x2, micro_6x3},
    {micro_7x1, micro_7x2, micro_7x3}, {micro_8x1, micro_8x2, micro_8x3},
};
static const micro_fn wide[4] = {micro_1x6, micro_2x6, micro_3x6, micro_4x6};

/* All rows of the tile for one group of panels and one depth block. */
static void rows_pass(const mc_qgemm_tile *t, block k, int nv)
{
    for (int64_t i = 0; i < t->m;) {
        const int64_t left = t->m - i, mr = left >= ROWS ? ROWS : left;
        k.rows = t->rows + i;
        (nv == 6 ? wide[mr - 1] : micros[mr - 1][nv - 1])(&k);
        k.acc += mr * k.ld;
        i += mr;
    }
}

/* Panels taken at once: three (six for few rows); four left over go as two and two, because one panel alone is latency-bound. */
static int group(int64_t left, int64_t m)
{
    if (m <= 4 && left >= 6) return 6;
    if (left >= 3 && left != 4) return 3;
    return left >= 2 ? 2 : 1;
}

/* Depth of a block for nv panels, in quads: `total` cut evenly. Few rows reuse nothing, so they need no blocks. */
static int64_t block_quads(int64_t total, int nv, int64_t m)
{
    const int64_t most = BLOCK_PANELS / nv, blocks = m <= ROWS ? 1 : (total + most - 1) / most;
    return (total + blocks - 1) / blocks;
}

void mc_k_int8_qgemm_avx512_vnni(const mc_qgemm_tile *t)
{
    const int64_t run_quads = (t->shape.seg_len + 3) / 4, quads = quads_of(&t->shape);
    const int64_t panels = (t->cols + LANES - 1) / LANES;
    for (int64_t p = 0; p < panels;) {
        const int nv = group(panels - p, t->m);
        const int8_t *base = (const int8_t *)t->packed + (t->n0 / LANES + p) * quads * QUAD_BYTES;
        const int64_t depth = block_quads(quads, nv, t->m);
        const int64_t take = depth < run_quads ? 1 : (depth + run_quads / 2) / run_quads; /* runs a block */
        const int64_t part = depth < run_quads ? block_quads(run_quads, nv, t->m) : run_quads;
        block k = {.b_stride = quads * QUAD_BYTES, .ld = t->ld_acc, .acc = t->acc + p * LANES,
                   .init = t->init + t->n0 + p * LANES};
        for (int64_t s = 0; s < t->shape.segments; s += take) {
            k.seg = t->seg + s;
            k.segments = t->shape.segments - s < take ? t->shape.segments - s : take;
            for (int64_t q = 0; q < run_quads; q += part) {
                k.offset = q * 4;
                k.quads = run_quads - q < part ? run_quads - q : part;
                k.b = base + (s * run_quads + q) * QUAD_BYTES;
                rows_pass(t, k, nv);
                k.init = NULL;
            }
        }
        p += nv;
    }
}
