/* quant_grad.h for tier avx2. */
#define MC_K(name) mc_k_f32_##name##_avx2
#include "kernels/quant_grad.h"
