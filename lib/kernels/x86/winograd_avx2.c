/* winograd_body.h for tier avx2. */
#include "kernels/x86/vec_avx2.h"

#define MC_K(name) mc_k_f32_##name##_avx2
#include "kernels/x86/winograd_body.h"
