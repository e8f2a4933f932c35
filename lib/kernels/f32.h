/* kernels/f32.h - float kernels. */
#ifndef MC_KERNELS_F32_H
#define MC_KERNELS_F32_H

#include <stdint.h>

typedef struct mc_kernels_f32 {
    void *reserved;
} mc_kernels_f32;

#endif
