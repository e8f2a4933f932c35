/* quant/qat.h - private: quantization-aware training. A graph with pairs becomes its training form: integers that were constants are
 * computed again from float masters in every step.
 *
 *   weight   Wq ─► DequantizeLinear        W ─► Max(., -127.49 s) ─► QuantizeLinear(s) ─► DequantizeLinear(s)
 *   bias     bq ─► DequantizeLinear(sx s)  b ─► Div(., sx s) ─► mcomp.Through(grid) ─► DequantizeLinear(sx s)
 *   scale    s                             s0 Max(mcomp.Through(r, F), 1/64), r = 1 at first: only where scales are learned
 *
 * Everything else stays as it is: the pair of an activation is its own fake quantization (gradients: ops/op_qdq_grad.c). The trained
 * graph is written by evaluating the same nodes once and putting what comes out where the constants were (qat_export.c). */
#ifndef MC_QUANT_QAT_H
#define MC_QUANT_QAT_H

#include "quant/plan.h"
#include "train/train.h"

/* A constant of the file and the value of the training form that it follows from; both by name. */
typedef struct mc_qat_link {
    char *file, *step;
} mc_qat_link;

typedef struct mc_qat {
    mc_graph *file;      /* as it is written: weights, biases and scales are those before the training */
    const mc_graph *real; /* the float graph that file was made from, nodes by name: gives the masters; NULL: dequantized integers */
    mc_graph *g;         /* training form */
    mc_qat_link *links;
    int64_t n_links, cap_links;
    mc_mark *marks;      /* initializers of g: masters and learned steps are trained, what scales are made of is not */
    int64_t n_marks, cap_marks;
    int64_t n_steps;     /* learned scales, groups counting once */
    int64_t n_weights;   /* quantized weights with a master */
} mc_qat;

/* Makes g from file. learn: scales are trained. ARGUMENT: there is nothing quantized to train. */
int32_t mc_qat_open(mc_qat *q, int32_t learn);
void mc_qat_close(mc_qat *q);
int32_t mc_qat_mark(mc_qat *q, const char *initializer, int32_t trained);
int32_t mc_qat_link_add(mc_qat *q, const char *file, const char *step);
/* Scales of pairs and weights become learned ones, one a group of tensors that share a grid (qat_scales.c). */
int32_t mc_qat_learn(mc_qat *q);
/* trained: g with other initializers. *out: file with the integers and scales that trained computes (qat_export.c). */
int32_t mc_qat_export(mc_graph **out, const mc_qat *q, const mc_graph *trained);

/* 1: a weight from constant integers, read by products only. */
int mc_qat_is_weight(const mc_node *dequantize);

#endif
