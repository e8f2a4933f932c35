/* quant_grad.h for tier avx512. */
#define MC_K(name) mc_k_f32_##name##_avx512
#include "kernels/quant_grad.h"
