/* backends/cpu/strided.h - private: copies between strided views, the core of all operators that only move elements. */
#ifndef MC_BACKENDS_CPU_STRIDED_H
#define MC_BACKENDS_CPU_STRIDED_H

#include "backends/cpu/work.h"

#define MC_STRIDED_RANK (2 * MC_MAX_RANK)

/* out[sum i_d * out_stride_d] = in[sum i_d * in_stride_d] for all index vectors below dim; strides in elements, those of
 * `in` may be 0 or negative. Last axis of `out` contiguous. */
typedef struct mc_strided {
    int32_t rank, bytes; /* bytes of an element: 1, 2, 4, 8 or 16 */
    int64_t dim[MC_STRIDED_RANK], in[MC_STRIDED_RANK], out[MC_STRIDED_RANK];
} mc_strided;

void mc_strided_add(mc_strided *p, int64_t dim, int64_t in_stride, int64_t out_stride); /* next axis; merges where it can */
void mc_strided_run(const mc_cpu_step *s, const mcomp_run_args *a, const mc_strided *p, const void *in, void *out);

#endif
