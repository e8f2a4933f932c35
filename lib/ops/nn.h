/* ops/nn.h - private to the room: pieces shared by the neural-network and quantization operators (window.c, nn.c). */
#ifndef MC_OPS_NN_H
#define MC_OPS_NN_H

#include "ops/internal.h"

/* ---- windows --------------------------------------------------------------------------------------------------- */

enum { MC_PAD_EXPLICIT = 0, MC_PAD_VALID, MC_PAD_SAME_UPPER, MC_PAD_SAME_LOWER };

/* Attributes only: kernel (from `kernel` or kernel_shape), stride, dilation, pads, group for w->spatial axes; *mode = MC_PAD_*. */
int32_t mc_window_attrs(const mc_node *n, const int64_t *kernel, mc_window *w, int32_t *mode);
/* Output dim of spatial axis i as a type dim: the number, the input's own symbol where the window keeps sizes, or a fresh one. */
int64_t mc_window_out_dim(mc_infer *c, const mc_window *w, int32_t i, int64_t in_dim);
/* The same window with three spatial axes, the added ones of size 1. */
mc_window mc_window_3d(const mc_window *w);

/* The kernel positions that fall inside the input for one output position: lo <= k < hi on each axis, and the input position
 * of k = 0 (may be outside). Work is bounded by the input's size whatever the kernel's. */
typedef struct mc_taps {
    int64_t lo[3], hi[3], at[3];
} mc_taps;
mc_taps mc_window_taps(const mc_window *w3, const int64_t o[3]);
int64_t mc_taps_count(const mc_taps *t);

/* Visits them: XI is the flat spatial index in the input, KI in the kernel. */
#define MC_TAPS_FOR(w, t, XI, KI, BODY)                                                                                \
    for (int64_t k0_ = (t).lo[0]; k0_ < (t).hi[0]; k0_++)                                                              \
        for (int64_t k1_ = (t).lo[1]; k1_ < (t).hi[1]; k1_++)                                                          \
            for (int64_t k2_ = (t).lo[2]; k2_ < (t).hi[2]; k2_++) {                                                    \
                const int64_t XI = (((t).at[0] + k0_ * (w).dilation[0]) * (w).in[1] + (t).at[1] +                      \
                                    k1_ * (w).dilation[1]) * (w).in[2] + (t).at[2] + k2_ * (w).dilation[2];            \
                const int64_t KI = (k0_ * (w).kernel[1] + k1_) * (w).kernel[2] + k2_;                                  \
                BODY                                                                                                   \
            }

/* Visits the output positions of a window of three axes: o[3] and the flat index OI. */
#define MC_OUT_FOR(w, o, OI)                                                                                           \
    for (int64_t OI = 0, n_ = (w).out[0] * (w).out[1] * (w).out[2];                                                    \
         OI < n_ && ((o)[0] = OI / ((w).out[1] * (w).out[2]), (o)[1] = OI / (w).out[2] % (w).out[1],                   \
                    (o)[2] = OI % (w).out[2], 1);                                                                      \
         OI++)

/* Channels-last type [N,s...,C] seen as [N,C,s...]. */
mc_type mc_type_channels_first(const mc_type *t);
/* Convolution of x (channels first) with weight w: output type into c->out[0] (channels first), window into *win. */
int32_t mc_conv_infer(mc_infer *c, const mc_type *x, const mc_type *w, mc_window *win);
/* Multiply-accumulates of a convolution with output y and weight w [M,C/g,k...]. */
double mc_conv_macs(const mc_type *y, const mc_type *w);

/* ---- checks ------------------------------------------------------------------------------------------------------ */

/* Input i has a float type (f32, f64, f16, bf16) or an unknown one. */
int32_t mc_nn_need_float(const mc_infer *c, int32_t i);
/* Input i has this dtype, if it is there and its type is known. */
int32_t mc_nn_need_dtype(const mc_infer *c, int32_t i, int32_t dtype);
/* u8 or i8, if known. */
int32_t mc_nn_need_byte(const mc_infer *c, int32_t i);
/* Input i, if there and of known rank, must have this rank. */
int32_t mc_nn_need_rank(const mc_infer *c, int32_t i, int32_t rank);
/* Dim d of input i, if known, must be `want` (if that is known): names both in the message. */
int32_t mc_nn_need_dim(const mc_infer *c, int32_t i, int32_t d, int64_t want, const char *what);
/* Input i, if there, is one-dimensional with `want` elements. */
int32_t mc_nn_need_vector(const mc_infer *c, int32_t i, int64_t want, const char *what);
/* Integer attribute that must be 0 or 1. */
int32_t mc_nn_flag(const mc_infer *c, const char *name, int32_t otherwise, int32_t *out);
/* Constant input i, if known: every element finite and > 0, else MCOMP_RANGE. */
int32_t mc_nn_need_finite(const mc_infer *c, int32_t i, const char *what);
int32_t mc_nn_need_positive(const mc_infer *c, int32_t i, const char *what);
/* broadcast of two dims of a type. */
int32_t mc_nn_broadcast_dim(mc_infer *c, int64_t a, int64_t b, int64_t *out);
/* Runs `infer` on the run's tensors and compares with its outputs: what only run time knows is checked too before memory is
 * touched. values: infer may look at the inputs' elements. */
int32_t mc_nn_recheck(const mc_op_run *r, int32_t (*infer)(mc_infer *), int values);

/* ---- numbers ------------------------------------------------------------------------------------------------------ */

/* Product of the dims [from, to) of a run-time shape. */
int64_t mc_nn_extent(const mc_shape *s, int32_t from, int32_t to);
/* The same of a type as a double for cost functions; unknown dims count 0 (the result is then 0). */
double mc_nn_extent_f(const mc_type *t, int32_t from, int32_t to);

/* One element, the common type without a call. */
static inline double mc_nn_at(const mc_tensor *t, int64_t i)
{
    return t->dtype == MCOMP_F32 ? (double)((const float *)t->data)[i] : mc_tensor_get_f64(t, i);
}
static inline void mc_nn_put(mc_tensor *t, int64_t i, double v)
{
    if (t->dtype == MCOMP_F32) ((float *)t->data)[i] = (float)v;
    else mc_tensor_set_f64(t, i, v);
}
/* Byte tensors. */
static inline int32_t mc_nn_byte(const mc_tensor *t, int64_t i)
{
    return t->dtype == MCOMP_U8 ? (int32_t)((const uint8_t *)t->data)[i] : (int32_t)((const int8_t *)t->data)[i];
}
static inline void mc_nn_put_byte(mc_tensor *t, int64_t i, int32_t q)
{
    if (t->dtype == MCOMP_U8) ((uint8_t *)t->data)[i] = (uint8_t)q;
    else ((int8_t *)t->data)[i] = (int8_t)q;
}
/* Sum of a[ia + k sa] * b[ib + k sb] in double. */
double mc_nn_dot(const mc_tensor *a, int64_t ia, int64_t sa, const mc_tensor *b, int64_t ib, int64_t sb, int64_t n);

/* Index in a tensor that broadcasts to s with these strides (mc_shape_broadcast_strides) of element i of s. */
int64_t mc_nn_broadcast_at(const mc_shape *s, const int64_t *stride, int64_t i);
/* Leading axes of two matrices (rank 2 or more), broadcast: y->rank and those dims; the last two are the caller's. */
int32_t mc_nn_broadcast_batch(mc_infer *c, const mc_type *a, const mc_type *b, mc_type *y);
/* The same at run time: how many pairs of matrices, and which (mc_nn_broadcast_at with these strides). */
typedef struct mc_nn_batches {
    mc_shape shape;
    int64_t count, a[MC_MAX_RANK], b[MC_MAX_RANK];
} mc_nn_batches;
int32_t mc_nn_batches_open(mc_nn_batches *n, const mc_shape *a, const mc_shape *b);
/* Mean (0 without `centre`) and 1 / sqrt(mean square about it + eps) of n elements. */
void mc_nn_moments(const mc_tensor *x, int64_t from, int64_t n, int centre, double eps, double *mean, double *inv);

/* Numeric tensors as f64 work arrays. NULL on failure (record set); mc_free. */
double *mc_nn_load(const mc_tensor *t);
void mc_nn_store(mc_tensor *t, const double *v);

#endif
