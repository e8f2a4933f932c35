/* Floats to bytes and back with AVX-512. */
#include "kernels/x86/vec_avx512.h"

#define NAME(x) mc_k_int8_##x##_avx512
#include "kernels/x86/qconvert_body.h"
