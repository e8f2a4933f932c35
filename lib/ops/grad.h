/* ops/grad.h - gradients as emitted nodes.
 *
 * A gradient function sees one forward node and the gradients of its outputs, and emits nodes that compute the gradients of
 * the inputs that are wanted (reverse mode). It emits ONNX operators where these are fast enough, and `mcomp` operators
 * (SumTo, MatMulGrad..., docs/training_ops.md) where they are not. Everything it emits must itself keep symbolic shapes.
 *
 * Failures are sticky: an emitting function that fails sets `status` and returns NULL, and so does every later one; a gradient
 * function can therefore be written as expressions and ends with `return c->status`.
 */
#ifndef MC_OPS_GRAD_H
#define MC_OPS_GRAD_H

#include "ops/ops.h"

/* 1 if input i is there and its gradient is asked for. */
static inline int mc_grad_wants(const mc_op_grad *c, int32_t i) { return i < c->n_in && c->want[i]; }
/* The gradient function fails: NO_GRADIENT (or another code) naming node, operator and why. */
int32_t mc_grad_fail(mc_op_grad *c, int32_t code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* One node; op "mcomp.Name" is in our domain. Attributes may be set on *made before mc_grad_end gives it types. */
mc_node *mc_grad_begin(mc_op_grad *c, const char *op, int32_t n_in, mc_value *const *in, int32_t n_out);
mc_value *mc_grad_end(mc_op_grad *c, mc_node *n); /* infers; output 0 */
mc_value *mc_grad_1(mc_op_grad *c, const char *op, mc_value *a);
mc_value *mc_grad_2(mc_op_grad *c, const char *op, mc_value *a, mc_value *b);
mc_value *mc_grad_3(mc_op_grad *c, const char *op, mc_value *a, mc_value *b, mc_value *d);

/* Scalar constant of the float type of `like`. */
mc_value *mc_grad_scalar(mc_op_grad *c, double v, const mc_value *like);
mc_value *mc_grad_scale(mc_op_grad *c, mc_value *a, double v); /* a * v; a itself for 1 */
mc_value *mc_grad_ints(mc_op_grad *c, int64_t n, const int64_t *v);

/* d summed to the shape of x (the axes that broadcasting stretched): d itself where the types say nothing was. */
mc_value *mc_grad_sum_to(mc_op_grad *c, mc_value *d, mc_value *x);
/* d with the shape of x (same number of elements). */
mc_value *mc_grad_reshape_like(mc_op_grad *c, mc_value *d, mc_value *x);
/* d stretched to the shape of x. */
mc_value *mc_grad_expand_like(mc_op_grad *c, mc_value *d, mc_value *x);
/* Zeros of the type of x. */
mc_value *mc_grad_zeros_like(mc_op_grad *c, mc_value *x);
/* The last two axes swapped. */
mc_value *mc_grad_swap(mc_op_grad *c, mc_value *a);
/* 1 where the condition holds, as a number of x's type: Cast(cond). */
mc_value *mc_grad_mask(mc_op_grad *c, mc_value *cond, const mc_value *like);
/* Y = op(A) . op(B) (mcomp.Product). */
mc_value *mc_grad_product(mc_op_grad *c, mc_value *a, int trans_a, mc_value *b, int trans_b, int flat);
/* Gradient function of operators that only move elements of input 0 (mcomp.MoveGrad). */
int32_t mc_grad_move(mc_op_grad *c);
/* LayerNormalization (centre 1) and RMSNormalization; BatchNormalization and its kin (op_norm_grad.c). */
int32_t mc_grad_row_norm(mc_op_grad *c, int centre);
int32_t mc_grad_channel_norm(mc_op_grad *c, const char *kind);
/* op on a, b (and like) with the forward convolution's attributes; the sum over everything but axis 1. */
mc_value *mc_grad_conv(mc_op_grad *c, const char *op, mc_value *a, mc_value *b, mc_value *like);
mc_value *mc_grad_channel_sum(mc_op_grad *c, mc_value *dy);
int32_t mc_grad_recurrent(mc_op_grad *c); /* RNN, GRU, LSTM (op_rnn_grad.c) */
int32_t mc_grad_pool(mc_op_grad *c, int max, int global);
int32_t mc_grad_quantize(mc_op_grad *c); /* QuantizeLinear and DequantizeLinear (op_qdq_grad.c) */
int32_t mc_grad_dequantize(mc_op_grad *c);
/* What is known of x's shape is known of its gradient d. */
static inline void mc_grad_shape_like(mc_value *d, const mc_value *x)
{
    const int32_t dtype = d->type.dtype; /* the gradient of a quantized integer is a float */
    d->type = x->type;
    d->type.dtype = dtype;
}
/* Rank of v; the gradient fails with NO_GRADIENT if it is unknown (-1). */
int32_t mc_grad_rank(mc_op_grad *c, const mc_value *v);

#endif
