/* ops/nn.h - private to the room: pieces shared by the neural-network operators (window.c, nn.c). */
#ifndef MC_OPS_NN_H
#define MC_OPS_NN_H

#include "ops/ops.h"

enum { MC_PAD_EXPLICIT = 0, MC_PAD_VALID, MC_PAD_SAME_UPPER, MC_PAD_SAME_LOWER };

/* Attributes only: kernel (from `kernel` or kernel_shape), stride, dilation, pads, group for w->spatial axes; *mode = MC_PAD_*. */
int32_t mc_window_attrs(const mc_node *n, const int64_t *kernel, mc_window *w, int32_t *mode);
/* Output dim of spatial axis i as a type dim: the number, the input's own symbol where the window keeps sizes, or a fresh one. */
int64_t mc_window_out_dim(mc_infer *c, const mc_window *w, int32_t i, int64_t in_dim);

/* Channels-last type [N,s...,C] seen as [N,C,s...]. */
mc_type mc_type_channels_first(const mc_type *t);

/* Checks that input i is there and has a float type (f32, f64, f16, bf16) or unknown. */
int32_t mc_nn_need_float(const mc_infer *c, int32_t i);
/* Input i, if there and of known rank, must have this rank. */
int32_t mc_nn_need_rank(const mc_infer *c, int32_t i, int32_t rank);
/* Dim d of input i, if known, must be `want` (if that is known): names both in the message. */
int32_t mc_nn_need_dim(const mc_infer *c, int32_t i, int32_t d, int64_t want, const char *what);

/* Product of the dims [from, to) of a run-time shape. */
int64_t mc_nn_extent(const mc_shape *s, int32_t from, int32_t to);
/* The same of a type as a double for cost functions; unknown dims count 0 (the result is then 0). */
double mc_nn_extent_f(const mc_type *t, int32_t from, int32_t to);

/* Float tensors as f64 work arrays: any float dtype in, written back rounded. NULL on failure (record set). mc_free it. */
double *mc_nn_load(const mc_tensor *t);
void mc_nn_store(mc_tensor *t, const double *v);

#endif
