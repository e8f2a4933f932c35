/* winograd_body.h for tier avx512. */
#include "kernels/x86/vec_avx512.h"

#define MC_K(name) mc_k_f32_##name##_avx512
#include "kernels/x86/winograd_body.h"
