/* kernels/rows.h - private: prototypes of every kernel, from the table. */
#ifndef MC_KERNELS_ROWS_H
#define MC_KERNELS_ROWS_H

#include "kernels/kernels.h"

typedef mc_kernels_bf16 mc_kernels_split;

#define MC_KERNEL(group, field, tier, file) extern __typeof__(*((mc_kernels_##group *)0)->field) mc_k_##group##_##field##_##tier;
#include "kernels/kernels.def"
#undef MC_KERNEL

#endif
