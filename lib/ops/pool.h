/* ops/pool.h - private: the pooling operators share one core over both layouts (pool.c). */
#ifndef MC_OPS_POOL_H
#define MC_OPS_POOL_H

#include "ops/nn.h"

/* Where channel c of image n lies: channels first [N,C,s...] or last [N,s...,C]. */
typedef struct mc_pool_view {
    int64_t images, channels, plane, out_plane;
    int64_t channel, image, step;             /* input strides: of a channel, an image, a position */
    int64_t out_channel, out_image, out_step; /* the same of the output */
} mc_pool_view;

/* Types of MaxPool / AveragePool (global: the window is the whole plane); last: channels-last. */
int32_t mc_pool_infer(mc_infer *c, int last, int global, mc_window *win);
/* The window of the run with three axes, and the view. */
int32_t mc_pool_open(const mc_op_run *r, int last, int global, mc_window *w3, mc_pool_view *v);
/* Elements the mean of a window divides by. */
int64_t mc_pool_divisor(const mc_window *w3, const int64_t o[3], const mc_taps *t, int include_pad);
int32_t mc_pool_max(const mc_op_run *r, int last, int global);
int32_t mc_pool_average(const mc_op_run *r, int last, int global);
int32_t mc_pool_cost(const mc_node *n, const mc_type *const *in, const mc_type *const *out, mc_op_cost *c);

#endif
