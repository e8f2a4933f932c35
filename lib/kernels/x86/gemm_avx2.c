/* Matrix product, tier avx2: tile of 6 x 16. */
#include "kernels/x86/vec_avx2.h"

#define MC_K(name) mc_k_f32_##name##_avx2
#define GEMM_ROWS 6
#define GEMM_HALF 4 /* a power of two of at least half the rows */
#define GEMM_PANELS 1
#define GEMM_WIDE 6
#include "kernels/x86/gemm_body.h"
