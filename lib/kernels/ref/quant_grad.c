/* Gradients of QuantizeLinear by x and by its scale. */
#define MC_K(name) mc_k_f32_##name##_ref
#include "kernels/quant_grad.h"
