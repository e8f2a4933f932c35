/* backends/cpu/planes.h - private: windows over channels-first images [N,C,H,W] or [N,C,W], unfolded to matrices. */
#ifndef MC_BACKENDS_CPU_PLANES_H
#define MC_BACKENDS_CPU_PLANES_H

#include "backends/cpu/qwindow.h"
#include "backends/cpu/work.h"

#define MC_CPU_UNFOLD 65536 /* floats of an unfolded block: it shares the L2 cache with its packed copy */

/* Dims of a run; w.groups divides c and m. */
typedef struct mc_cpu_planes {
    mc_q_window w;
    int64_t n, c, h, wd, m, oh, ow;
    int64_t taps, depth; /* kernel elements; of one output channel: c / groups * taps */
} mc_cpu_planes;

/* 0 if the backend does not run this window. y: the convolution's output; kernel: spatial dims of the weight. */
int mc_cpu_planes_read(const mc_node *n, int32_t rank, const int64_t *kernel, mc_q_window *w);
void mc_cpu_planes_dims(mc_cpu_planes *p, const int64_t *x, const int64_t *y, int32_t rank);
/* Output rows of a block whose unfolded rows hold MC_CPU_UNFOLD floats, at least one row. */
int64_t mc_cpu_planes_rows(const mc_cpu_planes *p);
/* Floats of the largest block. */
int64_t mc_cpu_planes_block(const mc_cpu_planes *p);
/* out[depth][rows * ow]: what the windows of output rows y0 .. y0 + rows of one group of one image see (x: its first channel). */
void mc_cpu_planes_unfold(const mc_kernels *k, const mc_cpu_planes *p, const float *x, int64_t y0, int64_t rows, float *out);
/* The adjoint: adds to x. */
void mc_cpu_planes_fold(const mc_kernels *k, const mc_cpu_planes *p, const float *in, int64_t y0, int64_t rows, float *x);

#endif
