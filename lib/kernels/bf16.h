/* kernels/bf16.h - matrix products of float matrices by BF16 instructions. Group `bf16` rounds the operands while it packs them.
 *
 * Rounding is to nearest, ties to even; floats below the smallest normal number (2^-126) count as 0, NaN stays NaN. Sums are single
 * precision and go over the inner dimension in order; how the two products of a pair are added to the sum, and whether tiny sums
 * become 0, is the instruction's affair: AMX and AVX512_BF16 differ from each other and from the reference by rounding errors of
 * sums (a few times k 2^-24 sum |a b|). In one tier the value of an element depends on its row, its column and the inner blocks only.
 *
 * Group `split` loses nothing: it packs every float as the sum of three BF16 numbers, x = x0 + x1 + x2, each the rounded rest of the ones
 * before (8 bits each, 24 in all; ties away from zero, one instruction less), and adds six of the nine products, x0 y2 + x0 y1 + x1 y1 + x1 y0 +
 * x2 y0 + x0 y0. Those left out are below 2^-25 |x y|, half of a rounding error of the product; parts below 2^-126 are lost. Operands that are
 * not finite, or above 3.38e38, make the sums of their row or column NaN. (G. Henry, P. Tang, A. Heinecke: Leveraging the bfloat16 artificial
 * intelligence datatype for higher-precision computations, ARITH 2019.)
 *
 * The variants for x86 may be called only where mc_cpu_has_bf16() (base/cpu.h); those of `split` below AMX are slower than the float product.
 */
#ifndef MC_KERNELS_BF16_H
#define MC_KERNELS_BF16_H

#include <stdint.h>

#define MC_BF16_ROWS 16  /* rows of A, and columns of B, in a tile */
#define MC_BF16_DEPTH 32 /* inner elements in a tile */
#define MC_BF16_TILE (MC_BF16_ROWS * MC_BF16_DEPTH)
#define MC_BF16_PARTS 3 /* BF16 numbers that make up a float in `split`; their tiles lie one after the other, x0 first */

/* C[m][n] (+)= A B. Tiles of A are [16 rows][32], tiles of B [16 pairs of inner elements][16 columns][2], both zero-padded; the tiles of
 * the same rows (columns) lie one after the other, those of the next rows a_next (b_next) elements further. */
typedef struct mc_gemm_bf16 {
    const uint16_t *a, *b;
    int64_t a_next, b_next;
    int64_t steps; /* tiles along the inner dimension */
    float *c;
    int64_t ldc, m, n;
    int32_t accumulate; /* 1: adds to C */
    int32_t finish;     /* 1: afterwards C = min(max(C + bias[j] + residual[i][j], lo), hi); NULL: none */
    const float *bias, *residual;
    int64_t ld_r;
    float lo, hi;
} mc_gemm_bf16;

typedef struct mc_kernels_bf16 {
    void (*gemm)(const mc_gemm_bf16 *g);
    /* A [m][k] with strides (row, col), one of them 1: ceil(m/16) rows of ceil(k/32) tiles, rows of tiles `next` elements apart. */
    void (*pack_a)(const float *a, int64_t row, int64_t col, int64_t m, int64_t k, int64_t next, uint16_t *out);
    /* B [k][n], likewise. */
    void (*pack_b)(const float *b, int64_t row, int64_t col, int64_t k, int64_t n, int64_t next, uint16_t *out);
} mc_kernels_bf16;

static inline int64_t mc_bf16_steps(int64_t k) { return (k + MC_BF16_DEPTH - 1) / MC_BF16_DEPTH; }
static inline int64_t mc_bf16_tiles(int64_t n) { return (n + MC_BF16_ROWS - 1) / MC_BF16_ROWS; }

#endif
