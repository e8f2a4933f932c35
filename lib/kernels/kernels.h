/* kernels/kernels.h - pure functions on arrays: a portable reference of each kernel and faster ones for x86 tiers.
 *
 * mc_kernels_for() gives the table of a tier: members start as the reference and are overwritten in tier order (ref, avx2,
 * avx512, avx512_vnni, amx) by the rows of kernels.def. Kernels touch no global state, allocate nothing, and start no threads:
 * callers cut the work into tiles by data size. Integer kernels are bit-equal across tiers, their float epilogues included
 * (separate multiply and add, the same order in every tier: no FMA there).
 */
#ifndef MC_KERNELS_H
#define MC_KERNELS_H

#include "base/cpu.h"
#include "kernels/bf16.h"
#include "kernels/f32.h"
#include "kernels/int8.h"
#include "kernels/math_f32.h"
#include "kernels/sparse.h"

typedef struct mc_kernels {
    mc_kernels_f32 f32;
    mc_kernels_int8 int8;
    mc_kernels_sparse sparse;
    mc_kernels_bf16 bf16, split;
} mc_kernels;

/* Table of a tier, clamped to what the CPU has. Built once; never fails. */
const mc_kernels *mc_kernels_for(mc_isa isa);

#endif
