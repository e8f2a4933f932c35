/* backends/cpu/sums.h - private: sums over some axes, in a fixed order that depends on the sizes only. */
#ifndef MC_BACKENDS_CPU_SUMS_H
#define MC_BACKENDS_CPU_SUMS_H

#include "backends/cpu/work.h"

/* y[k0][k1] = sum over r0, r1 of x[r0][k0][r1][k1]. */
typedef struct mc_cpu_sums {
    const float *x;
    float *y;
    int64_t r0, k0, r1, k1;
} mc_cpu_sums;

/* Merges neighbouring axes; 0 if they do not fit the four places. */
int mc_cpu_sums_plan(mc_cpu_sums *p, const int64_t *dims, const int *summed, int32_t rank);
uint64_t mc_cpu_sums_scratch(void);
void mc_cpu_sums_run(const mc_cpu_step *s, const mcomp_run_args *a, const mc_cpu_sums *p);

#endif
