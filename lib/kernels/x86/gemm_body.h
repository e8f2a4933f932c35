/* x86/gemm_body.h - matrix product on register tiles, written once; a tier's file sets the tile and includes it.
 *
 * A tile of GEMM_ROWS x GEMM_PANELS*16 sums stays in registers over one block of the inner dimension: each step loads one
 * vector of B a panel, broadcasts one element of A a row, and multiplies. Rows of A are addressed from a base each three
 * rows (base + 0, 1, 2 strides), so that fourteen rows need five address registers.
 */
#include "kernels/rows.h"

#define GEMM_BLOCK 256 /* inner block: a panel pair of it is 32 KiB, an L1 cache */

typedef struct gemm_tile {
    const float *a;
    const int64_t *tap;
    int64_t taps, k, a_row, a_col;
    const float *b;
    int64_t b_row, b_panel;
    float *c;
    int64_t ldc;
    int accumulate, finish;
    const float *bias; /* of the tile's first column, or NULL */
    float lo, hi;
    mc_vm last; /* columns of an edge panel */
} gemm_tile;

MC_INLINE mc_v gemm_finish(const gemm_tile *g, mc_v c, int p, const int masked)
{
    if (g->bias) c = v_add(c, masked ? v_load_m(g->bias + 16 * p, g->last) : v_load(g->bias + 16 * p));
    return v_min(v_set1(g->hi), v_max(v_set1(g->lo), c));
}

/* Sums of `rows` x `panels`; rows and panels are constants of the instance. */
MC_INLINE void gemm_tile_run(const gemm_tile *g, const int rows, const int panels, const int by_column, const int masked)
{
    mc_v sum[GEMM_ROWS][GEMM_PANELS];
    const int64_t s = by_column ? 1 : g->a_row, a_step = by_column ? g->a_col : 1, b_row = g->b_row, b_panel = g->b_panel;
    const float *b = g->b;
    MC_UNROLL for (int i = 0; i < rows; i++)
        MC_UNROLL for (int p = 0; p < panels; p++) sum[i][p] = v_zero();
    for (int64_t t = 0; t < g->taps; t++) {
        const float *a[(GEMM_ROWS + 2) / 3];
        MC_UNROLL for (int i = 0; i < (rows + 2) / 3; i++) a[i] = g->a + (g->tap ? g->tap[t] : 0) + 3 * i * s;
        for (int64_t k = 0; k < g->k; k++, b += b_row) {
            mc_v v[GEMM_PANELS];
            MC_UNROLL for (int p = 0; p < panels; p++)
                v[p] = masked && p == panels - 1 ? v_load_m(b + p * b_panel, g->last) : v_load(b + p * b_panel);
            MC_UNROLL for (int i = 0; i < rows; i++) {
                const mc_v x = v_set1(a[i / 3][(i % 3) * s]);
                MC_UNROLL for (int p = 0; p < panels; p++) sum[i][p] = v_fma(x, v[p], sum[i][p]);
            }
            MC_UNROLL for (int i = 0; i < (rows + 2) / 3; i++) a[i] += a_step;
        }
    }
    MC_UNROLL for (int i = 0; i < rows; i++)
        MC_UNROLL for (int p = 0; p < panels; p++) {
            float *c = g->c + i * g->ldc + 16 * p;
            const int edge = masked && p == panels - 1;
            if (g->accumulate) sum[i][p] = v_add(sum[i][p], edge ? v_load_m(c, g->last) : v_load(c));
            if (g->finish) sum[i][p] = gemm_finish(g, sum[i][p], p, edge);
            if (edge) v_store_m(c, g->last, sum[i][p]);
            else v_store(c, sum[i][p]);
        }
}

#define GEMM_CASE(r)                                                                                                   \
    case r: gemm_tile_run(g, r <= GEMM_ROWS ? r : GEMM_ROWS, panels, by_column, masked); break;

MC_INLINE void gemm_rows_run(const gemm_tile *g, int rows, const int panels, const int by_column, const int masked)
{
    switch (rows) {
        GEMM_CASE(1) GEMM_CASE(2) GEMM_CASE(3) GEMM_CASE(4) GEMM_CASE(5) GEMM_CASE(6)
#if GEMM_ROWS > 6
        GEMM_CASE(7) GEMM_CASE(8) GEMM_CASE(9) GEMM_CASE(10) GEMM_CASE(11) GEMM_CASE(12) GEMM_CASE(13) GEMM_CASE(14)
#endif
    default: break;
    }
}
#undef GEMM_CASE

/* Every instance as a function of its own, so that none drowns the registers of another. */
#define GEMM_INSTANCE(name, panels, by_column, masked)                                                                 \
    static __attribute__((noinline)) void name(const gemm_tile *g, int rows)                                           \
    {                                                                                                                  \
        gemm_rows_run(g, rows, panels, by_column, masked);                                                             \
    }
GEMM_INSTANCE(gemm_full, GEMM_PANELS, 0, 0)
GEMM_INSTANCE(gemm_full_column, GEMM_PANELS, 1, 0)
GEMM_INSTANCE(gemm_panel, 1, 0, 0)
GEMM_INSTANCE(gemm_panel_column, 1, 1, 0)
GEMM_INSTANCE(gemm_edge, 1, 0, 1)
GEMM_INSTANCE(gemm_edge_column, 1, 1, 1)
#undef GEMM_INSTANCE

/* One row of A against whole panels: their sums are independent, which covers the latency of the multiplier. */
MC_INLINE void gemm_one_row(const gemm_tile *g, const int panels)
{
    mc_v sum[8];
    const float *b = g->b;
    MC_UNROLL for (int p = 0; p < panels; p++) sum[p] = v_zero();
    for (int64_t t = 0; t < g->taps; t++) {
        const float *a = g->a + (g->tap ? g->tap[t] : 0);
        for (int64_t k = 0; k < g->k; k++, b += g->b_row) {
            const mc_v x = v_set1(a[k * g->a_col]);
            MC_UNROLL for (int p = 0; p < panels; p++) sum[p] = v_fma(x, v_load(b + p * g->b_panel), sum[p]);
        }
    }
    MC_UNROLL for (int p = 0; p < panels; p++) {
        if (g->accumulate) sum[p] = v_add(sum[p], v_load(g->c + 16 * p));
        if (g->finish) sum[p] = gemm_finish(g, sum[p], p, 0);
        v_store(g->c + 16 * p, sum[p]);
    }
}

static __attribute__((noinline)) void gemm_one_row_wide(const gemm_tile *g) { gemm_one_row(g, GEMM_WIDE); }

/* All rows and columns over one block of the inner dimension. */
static void gemm_block(const mc_gemm_f32 *g, const gemm_tile *block)
{
    gemm_tile t = *block;
    const int by_column = g->a_row == 1 && g->a_col != 1;
    const int64_t tiles = (g->m + GEMM_ROWS - 1) / GEMM_ROWS;
    for (int64_t j = 0; j < g->n;) {
        const int64_t left = g->n - j;
        t.b = block->b + j / 16 * g->b_panel;
        t.c = block->c + j;
        t.bias = g->bias ? g->bias + j : NULL;
        t.a = block->a;
        if (g->m == 1 && left >= 16 * GEMM_WIDE) {
            gemm_one_row_wide(&t);
            j += 16 * GEMM_WIDE;
            continue;
        }
        const int full = left >= 16 * GEMM_PANELS;
        t.last = v_first(left);
        for (int64_t i = 0, done = 0; i < tiles; i++) {
            const int64_t end = (i + 1) * g->m / tiles; /* tiles of even height */
            const int rows = (int)(end - done);
            if (full) (by_column ? gemm_full_column : gemm_full)(&t, rows);
            else if (left >= 16) (by_column ? gemm_panel_column : gemm_panel)(&t, rows);
            else (by_column ? gemm_edge_column : gemm_edge)(&t, rows);
            t.a += rows * g->a_row;
            t.c += rows * g->ldc;
            done = end;
        }
        j += full ? 16 * GEMM_PANELS : 16;
    }
}

void MC_K(gemm)(const mc_gemm_f32 *g)
{
    const int64_t group = g->k >= GEMM_BLOCK ? 1 : g->k > 0 ? GEMM_BLOCK / g->k : g->taps;
    gemm_tile t = {.a_row = g->a_row, .a_col = g->a_col, .b_row = g->b_row, .b_panel = g->b_panel, .c = g->c, .ldc = g->ldc,
                   .lo = g->lo, .hi = g->hi};
    t.accumulate = g->accumulate;
    for (int64_t t0 = 0; t0 < g->taps; t0 += group)
        for (int64_t k0 = 0; k0 < g->k || k0 == 0; k0 += GEMM_BLOCK) {
            t.taps = g->taps - t0 < group ? g->taps - t0 : group;
            t.k = g->k - k0 < GEMM_BLOCK ? g->k - k0 : GEMM_BLOCK;
            t.tap = g->tap ? g->tap + t0 : NULL;
            t.a = g->a + k0 * g->a_col;
            t.b = g->b + (t0 * g->k + k0) * g->b_row;
            t.finish = g->finish && t0 + group >= g->taps && k0 + GEMM_BLOCK >= g->k;
            gemm_block(g, &t);
            t.accumulate = 1;
        }
}

void MC_K(pack)(const float *b, int64_t row, int64_t col, int64_t k, int64_t n, float scale, float *out)
{
    const mc_v s = v_set1(scale);
    for (int64_t j = 0; j < n; j += 16, out += 16 * k) {
        const int64_t cols = n - j < 16 ? n - j : 16;
        const mc_vm m = v_first(cols);
        if (col == 1) {
            for (int64_t r = 0; r < k; r++) v_store(out + 16 * r, v_mul(s, v_load_m(b + r * row + j, m)));
            continue;
        }
        for (int64_t r = 0; r < k; r += 16) { /* columns are contiguous: transpose 16x16 */
            const int64_t rows = k - r < 16 ? k - r : 16;
            const mc_vm mr = v_first(rows);
            mc_v t[16];
            for (int c = 0; c < 16; c++) t[c] = c < cols ? v_mul(s, v_load_m(b + (j + c) * col + r * row, mr)) : v_zero();
            v_transpose16(t);
            for (int i = 0; i < rows; i++) v_store(out + 16 * (r + i), t[i]);
        }
    }
}
