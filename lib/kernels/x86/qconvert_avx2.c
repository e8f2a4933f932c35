/* Floats to bytes and back with AVX2. */
#include "kernels/x86/vec_avx2.h"

#define NAME(x) mc_k_int8_##x##_avx2
#include "kernels/x86/qconvert_body.h"
