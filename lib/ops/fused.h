/* ops/fused.h - private: quantization parameters and the row epilogue of the mcomp operators (docs/fused_ops.md, Numerics). */
#ifndef MC_OPS_FUSED_H
#define MC_OPS_FUSED_H

#include "kernels/kernels.h"
#include "ops/nn.h"

/* real = scale * (q - zp); lo, hi: range of dtype. */
typedef struct mc_qparam {
    float scale;
    int32_t zp, dtype, lo, hi;
} mc_qparam;

/* Attributes <p>_scale, <p>_zp, <p>_dtype; checked (MCOMP_RANGE, MCOMP_DTYPE). */
int32_t mc_qparam_read(const mc_node *n, const char *p, mc_qparam *q);
static inline int mc_qparam_given(const mc_node *n, const char *scale) { return mc_node_attr(n, scale) != NULL; }
/* The parameters of input i (type u8/i8): the same, and the input's dtype must agree. */
int32_t mc_qparam_infer(const mc_infer *c, int32_t i, const char *p);
/* Output type of an operator with optional y_*: dtype of out[0]. */
int32_t mc_qparam_out(mc_infer *c);

/* Which inputs hold the operands of the epilogue; -1: none. */
typedef struct mc_fused_slots {
    int32_t bias, residual, gamma, beta;
} mc_fused_slots;

typedef struct mc_fused {
    int32_t act, post_act, layernorm, quantized, middle; /* middle: step 6 */
    float lo, hi, eps, inv_y, inv_m;
    const float *bias, *gamma, *beta;
    const mc_tensor *residual;
    mc_qparam m, r, y;
} mc_fused;

/* Checks attributes and operands against out[0], whose last axis is `n` channels. */
int32_t mc_fused_infer(mc_infer *c, const mc_fused_slots *s, int64_t n);
/* Epilogue of a run. */
int32_t mc_fused_open(const mc_op_run *r, const mc_fused_slots *s, mc_fused *f);
/* Steps 4 to 10 on row `row` of n values; v is overwritten. */
void mc_fused_row(const mc_fused *f, float *v, int64_t row, int64_t n, mc_tensor *y);
/* Step 10 on one value. */
static inline void mc_fused_put(const mc_fused *f, mc_tensor *y, int64_t at, float v)
{
    if (f->quantized) mc_nn_put_byte(y, at, mc_requant(v, f->inv_y, f->y.zp, f->y.lo, f->y.hi));
    else ((float *)y->data)[at] = v;
}

mc_type mc_type_channels_last(const mc_type *t); /* [N,C,s...] -> [N,s...,C] */

#endif
