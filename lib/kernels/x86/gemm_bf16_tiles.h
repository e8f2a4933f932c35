/* x86/gemm_bf16_tiles.h - products of the tiles of bf16.h with AMX: tdpbf16ps multiplies 16 rows x 32 by 32 x 16 and adds to 16 x 16 sums of single
 * precision. Register tile: 2 x 2 sums. Panels of two tiles' columns stay in the nearest cache that holds them while all rows pass.
 *
 * Sums of whole tiles go to C directly; those on an edge, or with bias, residual and bounds to come, through a block on the stack. */
#ifndef MC_GEMM_BF16_TILES_H
#define MC_GEMM_BF16_TILES_H

#include "kernels/x86/gemm_bf16_body.h"

#include <string.h>

#define LINE 64 /* bytes of a tile's row */
#define WIDE 32 /* rows and columns of a 2 x 2 block */

/* Sums are tiles 0 to 3 (two rows of two), the left operand 4 and 5, the right 6 and 7. */
static void configure(void)
{
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } c = {.palette = 1, .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64}, .rows = {16, 16, 16, 16, 16, 16, 16, 16}};
    __asm__ volatile("ldtilecfg %0" : : "m"(c));
}

typedef struct block {
    const uint16_t *a, *b;
    int64_t a_next, b_next, steps;
    float *c;
    int64_t ld; /* bytes */
    int32_t accumulate;
} block;

#define LOAD_A0(part) _tile_loadd(4, a0 + (part) * MC_BF16_TILE, LINE)
#define LOAD_A1(part) do { if (two_rows) _tile_loadd(5, a1 + (part) * MC_BF16_TILE, LINE); } while (0)
#define LOAD_B0(part) _tile_loadd(6, b0 + (part) * MC_BF16_TILE, LINE)
#define LOAD_B1(part) do { if (two_columns) _tile_loadd(7, b1 + (part) * MC_BF16_TILE, LINE); } while (0)
/* The four products of two tiles of A by two of B, and beside them the loads of the next A or B: each as soon as the last product that reads
 * the register is on its way. */
#define PRODUCTS_THEN_B(part)                                                                                          \
    do {                                                                                                               \
        _tile_dpbf16ps(0, 4, 6);                                                                                       \
        if (two_rows) _tile_dpbf16ps(2, 5, 6);                                                                         \
        LOAD_B0(part);                                                                                                 \
        if (two_columns) _tile_dpbf16ps(1, 4, 7);                                                                      \
        if (two_rows && two_columns) _tile_dpbf16ps(3, 5, 7);                                                          \
        LOAD_B1(part);                                                                                                 \
    } while (0)
#define PRODUCTS_THEN_A(part)                                                                                          \
    do {                                                                                                               \
        _tile_dpbf16ps(0, 4, 6);                                                                                       \
        if (two_columns) _tile_dpbf16ps(1, 4, 7);                                                                      \
        LOAD_A0(part);                                                                                                 \
        if (two_rows) _tile_dpbf16ps(2, 5, 6);                                                                         \
        if (two_rows && two_columns) _tile_dpbf16ps(3, 5, 7);                                                          \
        LOAD_A1(part);                                                                                                 \
    } while (0)

BF16_INLINE void multiply_tiles(const block *k, const int two_rows, const int two_columns, const int parts)
{
    const uint16_t *a0 = k->a, *a1 = a0 + k->a_next, *b0 = k->b, *b1 = b0 + k->b_next;
    float *c1 = k->c + k->ld / 4 * MC_BF16_ROWS;
    if (k->accumulate) {
        _tile_loadd(0, k->c, k->ld);
        if (two_columns) _tile_loadd(1, k->c + 16, k->ld);
        if (two_rows) _tile_loadd(2, c1, k->ld);
        if (two_rows && two_columns) _tile_loadd(3, c1 + 16, k->ld);
    } else {
        _tile_zero(0);
        if (two_columns) _tile_zero(1);
        if (two_rows) _tile_zero(2);
        if (two_rows && two_columns) _tile_zero(3);
    }
    const int first_b = parts == 1 ? 0 : 2;
    LOAD_B0(first_b);
    LOAD_A0(0);
    LOAD_B1(first_b);
    LOAD_A1(0);
    for (int64_t s = k->steps; s > 1; s--) {
        if (parts > 1) {
            PRODUCTS_THEN_B(1);
            PRODUCTS_THEN_A(1);
            PRODUCTS_THEN_B(0);
            PRODUCTS_THEN_A(2);
            PRODUCTS_THEN_A(0);
        }
        a0 += parts * MC_BF16_TILE;
        a1 += parts * MC_BF16_TILE;
        b0 += parts * MC_BF16_TILE;
        b1 += parts * MC_BF16_TILE;
        PRODUCTS_THEN_B(first_b);
        LOAD_A0(0);
        LOAD_A1(0);
    }
    if (parts > 1) { /* the largest product comes last */
        PRODUCTS_THEN_B(1);
        PRODUCTS_THEN_A(1);
        PRODUCTS_THEN_B(0);
        PRODUCTS_THEN_A(2);
        PRODUCTS_THEN_A(0);
    }
    _tile_dpbf16ps(0, 4, 6);
    if (two_columns) _tile_dpbf16ps(1, 4, 7);
    if (two_rows) _tile_dpbf16ps(2, 5, 6);
    if (two_rows && two_columns) _tile_dpbf16ps(3, 5, 7);
    _tile_stored(0, k->c, k->ld);
    if (two_columns) _tile_stored(1, k->c + 16, k->ld);
    if (two_rows) _tile_stored(2, c1, k->ld);
    if (two_rows && two_columns) _tile_stored(3, c1 + 16, k->ld);
}

BF16_INLINE void multiply(const block *k, int two_rows, int two_columns, const int parts)
{
    if (two_rows && two_columns) multiply_tiles(k, 1, 1, parts);
    else if (two_rows) multiply_tiles(k, 1, 0, parts);
    else if (two_columns) multiply_tiles(k, 0, 1, parts);
    else multiply_tiles(k, 0, 0, parts);
}

BF16_INLINE void block_run(const mc_gemm_bf16 *g, int64_t i, int64_t j, const int parts)
{
    float sums[WIDE * WIDE] __attribute__((aligned(64)));
    const int64_t rows = g->m - i < WIDE ? g->m - i : WIDE, columns = g->n - j < WIDE ? g->n - j : WIDE;
    block k = {.a = g->a + i / MC_BF16_ROWS * g->a_next, .b = g->b + j / MC_BF16_ROWS * g->b_next, .a_next = g->a_next, .b_next = g->b_next,
               .steps = g->steps, .c = g->c + i * g->ldc + j, .ld = g->ldc * 4, .accumulate = g->accumulate};
    const int direct = !g->finish && rows % MC_BF16_ROWS == 0 && columns % MC_BF16_ROWS == 0;
    const __mmask16 left = bf16_columns(g->n, j), right = bf16_columns(g->n, j + 16);
    if (!direct && g->accumulate) {
        memset(sums, 0, sizeof sums);
        for (int64_t r = 0; r < rows; r++) memcpy(sums + r * WIDE, g->c + (i + r) * g->ldc + j, (size_t)columns * sizeof *sums);
    }
    if (!direct) {
        k.c = sums;
        k.ld = WIDE * 4;
    }
    multiply(&k, rows > MC_BF16_ROWS, columns > MC_BF16_ROWS, parts);
    for (int64_t r = 0; r < rows && !direct; r++) {
        bf16_put(g, _mm512_load_ps(sums + r * WIDE), i + r, j, left);
        if (right) bf16_put(g, _mm512_load_ps(sums + r * WIDE + 16), i + r, j + 16, right);
    }
}

/* parts: BF16 numbers an operand, 1 or MC_BF16_PARTS. */
BF16_INLINE void bf16_gemm_tiles(const mc_gemm_bf16 *g, const int parts)
{
    configure();
    for (int64_t j = 0; j < g->n; j += WIDE)
        for (int64_t i = 0; i < g->m; i += WIDE) block_run(g, i, j, parts);
    _tile_release(); /* live tiles would be saved at every switch of threads */
}

#endif
