/* kernels/int8.h - integer kernels. */
#ifndef MC_KERNELS_INT8_H
#define MC_KERNELS_INT8_H

#include <stdint.h>

typedef struct mc_kernels_int8 {
    void *reserved;
} mc_kernels_int8;

#endif
