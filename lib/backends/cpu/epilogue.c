/* Row epilogue of float tiles (bias, activation, residual, second activation, LayerNormalization), offered to plugins. */
#include "backends/cpu/cpu.h"

void mc_cpu_epilogue_f32(const mcomp_epilogue_f32 *e, float *y, int64_t ld_y, int64_t m, int64_t n)
{
    mc_kernels_for(mc_cpu_isa())->f32.epilogue(e, y, ld_y, m, n);
}
