/* backends/cpu/gemm.h - private: a float matrix product with its epilogue over the pool, shared by Linear, MatMul, Gemm, Conv. */
#ifndef MC_BACKENDS_CPU_GEMM_H
#define MC_BACKENDS_CPU_GEMM_H

#include "backends/cpu/work.h"

/* g describes one product (c, m, n ... of the whole); e is applied to C (bias over n, residual with the rows of C).
 * Batches: index vectors below batch_dim, strides in elements of a and b; C and the residual are contiguous. */
typedef struct mc_cpu_product_args {
    mc_gemm_f32 g;
    mcomp_epilogue_f32 e;
    int32_t batch_rank;
    int64_t batch_dim[MC_MAX_RANK], batch_a[MC_MAX_RANK], batch_b[MC_MAX_RANK];
} mc_cpu_product_args;
void mc_cpu_gemm(const mc_cpu_step *s, const mcomp_run_args *a, const mc_cpu_product_args *p);

/* 1 if the product itself can do the epilogue (bias, a residual, bounds at the end): g is told to, and the epilogue is left out. */
int mc_cpu_finish(mc_gemm_f32 *g, const mcomp_epilogue_f32 *e);

/* Packs the constant input i, [K,N] or with `transposed` [N,K], once a session. */
int32_t mc_cpu_pack_weight(const mc_cpu_step *s, int32_t i, int32_t transposed, const float **out);
/* act / post_act / act_lo / act_hi / ln_eps of a node into e, operands left alone. MCOMP_UNSUPPORTED for unknown names. */
int32_t mc_cpu_epilogue_read(const mc_node *n, mcomp_epilogue_f32 *e);

#endif
