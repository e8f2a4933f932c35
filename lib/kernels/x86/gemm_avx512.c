/* Matrix product, tier avx512: tile of 14 x 32. */
#include "kernels/x86/vec_avx512.h"

#define MC_K(name) mc_k_f32_##name##_avx512
#define GEMM_ROWS 14
#define GEMM_HALF 8 /* a power of two of at least half the rows */
#define GEMM_PANELS 2
#define GEMM_WIDE 8
#include "kernels/x86/gemm_body.h"
