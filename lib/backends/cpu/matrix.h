/* backends/cpu/matrix.h - private: products of matrices that change from run to run, in any storage order, over the pool.
 *
 * C = op(A) op(B), batched. Blocks of A and B are packed into the worker's scratch just before they are used, so that they are
 * in the L2 cache when they meet; a right matrix that is stored transposed and shared by several blocks of rows is packed once a
 * run. The value of an element depends on the sizes only.
 * Steps with `bf16` turn A and B into BF16 numbers while packing, one an element or the three whose sum it is (kernels/bf16.h).
 */
#ifndef MC_BACKENDS_CPU_MATRIX_H
#define MC_BACKENDS_CPU_MATRIX_H

#include "backends/cpu/gemm.h"

typedef struct mc_cpu_matrix {
    const float *a, *b;
    int64_t a_row, a_col, b_row, b_col; /* strides in elements; one of each pair is 1 */
    float *c;                           /* [batches][m][n], contiguous */
    int64_t m, n, k;
    int32_t batch_rank;
    int64_t batch_dim[MC_MAX_RANK], batch_a[MC_MAX_RANK], batch_b[MC_MAX_RANK]; /* strides in elements */
    const float *packed;  /* B in panels already (mc_cpu_pack_weight), or NULL */
    mcomp_epilogue_f32 e; /* bias, residual (rows of C), act and post_act */
    int32_t split;        /* 1: a long inner dimension may be cut and summed in parts (weight gradients) */
} mc_cpu_matrix;

/* One block of C by BF16 instructions (matrix_bf16.c): rows i0 .. i0 + m, columns j0 .. j0 + n, inner part k0 .. k1 of one batch. */
typedef struct mc_cpu_block {
    const mc_cpu_matrix *p;
    const float *a, *b;     /* of the batch */
    float *c;
    const uint16_t *packed; /* all of B, or NULL */
    int64_t i0, j0, m, n, k0, k1;
} mc_cpu_block;
#define MC_CPU_BF16_ROWS 256 /* a block at most; A of it takes 256 KiB, B 512 KiB */
#define MC_CPU_BF16_COLUMNS 512
#define MC_CPU_BF16_INNER 512
#define MC_CPU_SPLIT_ROWS 256 /* three numbers an element: 192 KiB of A, 384 KiB of B; 32 columns of B stay in the L1 cache */
#define MC_CPU_SPLIT_COLUMNS 512
#define MC_CPU_SPLIT_INNER 128
#define MC_CPU_BF16_SCRATCH (sizeof(uint16_t) * (MC_CPU_BF16_ROWS + MC_CPU_BF16_COLUMNS) * MC_CPU_BF16_INNER) /* enough for both */
static inline const mc_kernels_bf16 *mc_cpu_bf16(const mc_cpu_step *s) { return s->bf16 == 1 ? &s->kernels->bf16 : &s->kernels->split; }
/* e: with bias and residual of this block. scratch: MC_CPU_BF16_SCRATCH bytes. */
void mc_cpu_block_bf16(const mc_cpu_step *s, const mc_cpu_block *x, const mcomp_epilogue_f32 *e, uint16_t *scratch);

/* Scratch for products of at most this many columns by this inner size. */
void mc_cpu_matrix_scratch(mc_cpu_step *s, int64_t n, int64_t k);
void mc_cpu_matrix_run(const mc_cpu_step *s, const mcomp_run_args *a, const mc_cpu_matrix *p);

#endif
