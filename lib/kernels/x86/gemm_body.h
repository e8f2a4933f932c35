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
    int more;               /* another tile of these columns follows */
    int accumulate, finish; /* finish: bias, r, lo and hi are meant */
    const float *bias, *r;  /* NULL: none */
    int64_t ld_r;
    float lo, hi;
    const float *ahead; /* weights that the next tiles will read, brought into L2 meanwhile */
    mc_vm last;         /* columns of an edge panel */
} gemm_tile;

/* One vector of sums into C, finished if this was the last block of the inner dimension. */
MC_INLINE void gemm_put(const gemm_tile *g, mc_v sum, int64_t i, int p, const int masked, const int finish)
{
    float *c = g->c + i * g->ldc + 16 * p;
    if (g->accumulate) sum = v_add(sum, masked ? v_load_m(c, g->last) : v_load(c));
    if (finish) {
        if (g->bias) sum = v_add(sum, masked ? v_load_m(g->bias, g->last) : v_load(g->bias + 16 * p));
        if (g->r) sum = v_add(sum, masked ? v_load_m(g->r + i * g->ld_r, g->last) : v_load(g->r + i * g->ld_r + 16 * p));
        sum = v_min(v_set1(g->hi), v_max(v_set1(g->lo), sum));
    }
    if (masked) v_store_m(c, g->last, sum);
    else v_store(c, sum);
}

/* The lines that gemm_put of the next tile will need are brought into L2 while this one is computed. */
MC_INLINE void gemm_touch(const gemm_tile *g, int64_t i, int p)
{
    _mm_prefetch((const char *)(g->c + (i + GEMM_ROWS) * g->ldc + 16 * p), _MM_HINT_T1);
    if (g->r) _mm_prefetch((const char *)(g->r + (i + GEMM_ROWS) * g->ld_r + 16 * p), _MM_HINT_T1);
}

/* Sums of `rows` x `panels`, constants of the instance; masked: the (only) panel is limited by `last`. */
MC_INLINE void gemm_tile_run(const gemm_tile *g, const int rows, const int panels, const int masked)
{
    mc_v sum[GEMM_ROWS][GEMM_PANELS];
    const int64_t s = g->a_row, a_step = g->a_col, b_row = g->b_row, b_panel = g->b_panel;
    const float *b = g->b, *ahead = g->ahead;
    MC_UNROLL for (int i = 0; i < rows; i++)
        MC_UNROLL for (int p = 0; p < panels; p++) sum[i][p] = v_zero();
    if (g->more) {
        MC_UNROLL for (int i = 0; i < rows; i++)
            MC_UNROLL for (int p = 0; p < panels; p++) gemm_touch(g, i, p);
    }
    for (int64_t t = 0; t < g->taps; t++) {
        const float *a[(GEMM_ROWS + 2) / 3];
        MC_UNROLL for (int i = 0; i < (rows + 2) / 3; i++) a[i] = g->a + (g->tap ? g->tap[t] : 0) + 3 * i * s;
        for (int64_t k = 0; k < g->k; k++, b += b_row, ahead += b_row) {
            mc_v v[GEMM_PANELS];
            _mm_prefetch((const char *)ahead, _MM_HINT_T1);
            MC_UNROLL for (int p = 0; p < panels; p++) v[p] = masked ? v_load_m(b, g->last) : v_load(b + p * b_panel);
            MC_UNROLL for (int i = 0; i < rows; i++) {
                const mc_v x = v_set1(a[i / 3][(i % 3) * s]);
                MC_UNROLL for (int p = 0; p < panels; p++) sum[i][p] = v_fma(x, v[p], sum[i][p]);
            }
            MC_UNROLL for (int i = 0; i < (rows + 2) / 3; i++) a[i] += a_step;
        }
    }
    if (g->finish) {
        MC_UNROLL for (int i = 0; i < rows; i++)
            MC_UNROLL for (int p = 0; p < panels; p++) gemm_put(g, sum[i][p], i, p, masked, 1);
    } else {
        MC_UNROLL for (int i = 0; i < rows; i++)
            MC_UNROLL for (int p = 0; p < panels; p++) gemm_put(g, sum[i][p], i, p, masked, 0);
    }
}

#define GEMM_CASE(r)                                                                                                   \
    case r: gemm_tile_run(g, r <= GEMM_ROWS ? r : GEMM_ROWS, panels, masked); break;

MC_INLINE void gemm_rows_run(const gemm_tile *g, int rows, const int panels, const int masked)
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

/* Two functions of their own, so that neither drowns the registers of the other. */
static __attribute__((noinline)) void gemm_full(const gemm_tile *g, int rows) { gemm_rows_run(g, rows, GEMM_PANELS, 0); }
static __attribute__((noinline)) void gemm_edge(const gemm_tile *g, int rows) { gemm_rows_run(g, rows, 1, 1); }

/* One row of A against whole panels: their sums are independent, which covers the latency of the multiplier. */
static __attribute__((noinline)) void gemm_one_row(const gemm_tile *g)
{
    mc_v sum[GEMM_WIDE];
    const float *b = g->b;
    MC_UNROLL for (int p = 0; p < GEMM_WIDE; p++) sum[p] = v_zero();
    for (int64_t t = 0; t < g->taps; t++) {
        const float *a = g->a + (g->tap ? g->tap[t] : 0);
        for (int64_t k = 0; k < g->k; k++, b += g->b_row) {
            const mc_v x = v_set1(a[k * g->a_col]);
            MC_UNROLL for (int p = 0; p < GEMM_WIDE; p++) sum[p] = v_fma(x, v_load(b + p * g->b_panel), sum[p]);
        }
    }
    MC_UNROLL for (int p = 0; p < GEMM_WIDE; p++) gemm_put(g, sum[p], 0, p, 0, g->finish);
}

/* All rows and columns over one block of the inner dimension; after: the weights that follow. */
static void gemm_block(const mc_gemm_f32 *g, const gemm_tile *block, const float *after)
{
    gemm_tile t = *block;
    const int64_t tiles = (g->m + GEMM_ROWS - 1) / GEMM_ROWS, packed = GEMM_ROWS * g->k; /* packed: floats of a tile */
    for (int64_t j = 0; j < g->n;) {
        const int64_t left = g->n - j;
        const int one = g->m == 1 && left >= 16 * GEMM_WIDE, full = left >= 16 * GEMM_PANELS;
        const int64_t columns = one ? 16 * GEMM_WIDE : full ? 16 * GEMM_PANELS : left < 16 ? left : 16;
        const float *next = j + columns < g->n ? block->b + (j + columns) / 16 * g->b_panel : after;
        t.b = block->b + j / 16 * g->b_panel;
        t.c = block->c + j;
        t.a = block->a;
        t.bias = block->bias ? block->bias + j : NULL;
        t.r = block->r ? block->r + j : NULL;
        t.last = v_first(left);
        if (one) gemm_one_row(&t);
        for (int64_t i = 0, done = 0; i < tiles && !one; i++) {
            const int64_t even = (i + 1) * g->m / tiles, whole = done + GEMM_ROWS < g->m ? done + GEMM_ROWS : g->m;
            const int64_t end = g->tiles ? whole : even;
            const int rows = (int)(end - done);
            const int64_t a_step = g->tiles ? packed : rows * g->a_row;
            t.ahead = j == 0 && i >= GEMM_PANELS ? t.a + a_step : next + (i < GEMM_PANELS ? i : 0) * g->b_panel;
            t.more = i + 1 < tiles;
            if (full) gemm_full(&t, rows);
            else gemm_edge(&t, rows);
            t.a += a_step;
            t.c += rows * g->ldc;
            if (t.r) t.r += rows * g->ld_r;
            done = end;
        }
        j += columns;
    }
}

void MC_K(gemm)(const mc_gemm_f32 *g)
{
    const int64_t group = g->k >= GEMM_BLOCK ? 1 : g->k > 0 ? GEMM_BLOCK / g->k : g->taps;
    gemm_tile t = {.a_row = g->tiles ? 1 : g->a_row, .a_col = g->tiles ? GEMM_ROWS : g->a_col, .b_row = g->b_row, .b_panel = g->b_panel, .c = g->c, .ldc = g->ldc, .ld_r = g->ld_r,
                   .lo = g->lo, .hi = g->hi};
    t.accumulate = g->accumulate;
    for (int64_t t0 = 0; t0 < g->taps; t0 += group)
        for (int64_t k0 = 0; k0 < g->k || k0 == 0; k0 += GEMM_BLOCK) {
            const int last = t0 + group >= g->taps && k0 + GEMM_BLOCK >= g->k;
            t.taps = g->taps - t0 < group ? g->taps - t0 : group;
            t.k = g->k - k0 < GEMM_BLOCK ? g->k - k0 : GEMM_BLOCK;
            t.tap = g->tap ? g->tap + t0 : NULL;
            t.a = g->a + k0 * t.a_col;
            t.b = g->b + (t0 * g->k + k0) * g->b_row;
            t.finish = g->finish && last;
            t.bias = t.finish ? g->bias : NULL;
            t.r = t.finish ? g->residual : NULL;
            gemm_block(g, &t, last && g->ahead ? g->ahead : t.b + t.taps * t.k * g->b_row);
            t.accumulate = 1;
        }
}

#define PACK_PANELS 16 /* panels filled side by side, so that a row of B is read in long runs */
#define PACK_AHEAD 12  /* rows prefetched: runs end before the hardware's prefetcher gets going */

void MC_K(pack)(const float *b, int64_t row, int64_t col, int64_t k, int64_t n, float scale, float *out)
{
    const mc_v s = v_set1(scale);
    if (col == 1) {
        for (int64_t j = 0; j < n; j += 16 * PACK_PANELS) {
            const int64_t end = n - j < 16 * PACK_PANELS ? n : j + 16 * PACK_PANELS, whole = n < end + 15 ? end & ~(int64_t)15 : end;
            const mc_vm last = v_first(n - whole);
            for (int64_t r = 0; r < k; r++) {
                const float *from = b + r * row, *ahead = r + PACK_AHEAD < k ? from + PACK_AHEAD * row : from;
                float *to = out + j * k + 16 * r;
                for (int64_t c = j; c < whole; c += 16, to += 16 * k) {
                    _mm_prefetch((const char *)(ahead + c), _MM_HINT_T0);
                    v_store(to, v_mul(s, v_load(from + c)));
                }
                if (whole < end) v_store(to, v_mul(s, v_load_m(from + whole, last)));
            }
        }
        return;
    }
    for (int64_t j = 0; j < n; j += 16, out += 16 * k) { /* columns are contiguous: transpose 16x16 */
        const int64_t cols = n - j < 16 ? n - j : 16;
        for (int64_t r = 0; r < k; r += 16) {
            const int64_t rows = k - r < 16 ? k - r : 16;
            const mc_vm mr = v_first(rows);
            mc_v t[16];
            for (int c = 0; c < 16; c++) t[c] = c < cols ? v_mul(s, v_load_m(b + (j + c) * col + r, mr)) : v_zero();
            v_transpose16(t);
            for (int i = 0; i < rows; i++) v_store(out + 16 * (r + i), t[i]);
        }
    }
}

/* Tiles [m / GEMM_ROWS][k][GEMM_ROWS]: dense, so that a tile and two panels of B fit the L1 cache. What lies beyond the rows of a
 * tile is never read. */
void MC_K(pack_rows)(const float *a, int64_t row, int64_t col, int64_t m, int64_t k, float *out)
{
    const int64_t whole = m / GEMM_ROWS, rest = m % GEMM_ROWS;
    if (row == 1) { /* A is stored by columns: rows of k are contiguous */
        for (int64_t r = 0; r < k; r++) {
            const float *from = a + r * col, *ahead = r + PACK_AHEAD < k ? from + PACK_AHEAD * col : from;
            float *to = out + r * GEMM_ROWS;
            for (int64_t i = 0; i < whole; i++, from += GEMM_ROWS, ahead += GEMM_ROWS, to += k * GEMM_ROWS) {
                _mm_prefetch((const char *)ahead, _MM_HINT_T0);
                memcpy(to, from, GEMM_HALF * sizeof *to); /* two halves that overlap */
                memcpy(to + GEMM_ROWS - GEMM_HALF, from + GEMM_ROWS - GEMM_HALF, GEMM_HALF * sizeof *to);
            }
            for (int64_t i = 0; i < rest; i++) to[i] = from[i];
        }
        return;
    }
    for (int64_t i = 0; i < whole + (rest > 0); i++, out += GEMM_ROWS * k) {
        const int64_t rows = i < whole ? GEMM_ROWS : rest;
        const float *from = a + i * GEMM_ROWS * row;
        for (int64_t r = 0; r < k; r += 16) {
            const int64_t n = k - r < 16 ? k - r : 16;
            const mc_vm mr = v_first(n);
            mc_v t[16];
            for (int c = 0; c < 16; c++) t[c] = c < rows ? v_load_m(from + c * row + r, mr) : v_zero();
            v_transpose16(t);
            for (int q = 0; q < n; q++) v_store(out + (r + q) * GEMM_ROWS, t[q]); /* the next step overwrites the excess */
        }
    }
}
