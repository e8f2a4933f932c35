/* quant/plan.h - what the quantizer decided, before it rewrites: a kind for every node, a grid for every tensor.
 *
 * A plan belongs to one graph (the one after the load stage). Deciding (eligible.c, static_plan.c, auto.c) and rewriting
 * (static_apply.c, dynamic.c) are apart, so that several plans can be tried on clones of the same graph.
 */
#ifndef MC_QUANT_PLAN_H
#define MC_QUANT_PLAN_H

#include "ops/ops.h"
#include <mcomp/graph.h>

#include "quant/ranges.h"

enum { MC_QK_FLOAT = 0, MC_QK_STATIC = 1, MC_QK_TOKEN = 2, MC_QK_TENSOR = 3, MC_QK_TABLE = 4 };

typedef struct mc_qnode {
    int32_t candidate; /* 1: a weighted operator with a constant float weight, may become integer */
    int32_t kind;      /* MC_QK_* wanted, and in the end made */
    int32_t integer;   /* static: runs on quantized tensors (also element movers, pools and residual additions) */
    int32_t ruled;     /* 1: a rule of the user fixed the kind */
    int32_t slower;    /* 1: float because integers were slower */
    const char *range; /* rule name from the user, or NULL */
    const char *why;   /* static string: why it is float */
    double error;      /* measured relative error of its output, < 0: not measured */
    double macs;
} mc_qnode;

typedef struct mc_qvalue {
    int32_t wanted; /* gets a pair */
    int32_t group;  /* union-find parent: values of one group share one grid */
    int32_t flat;
    int32_t zero_point;
    float scale;
    const char *range; /* rule that gives the grid */
    const char *why;   /* why its readers stay float after all, or NULL */
    mc_value *deq;     /* output of the pair once it is inserted */
} mc_qvalue;

typedef struct mc_qplan {
    mc_graph *g;
    mc_qnode *node;   /* by node id, n_nodes entries */
    mc_qvalue *value; /* by value id, n_values entries */
    int64_t n_nodes, n_values;
    int32_t qdq;         /* MCOMP_QDQ_* */
    const char *range;   /* default rule or "auto" */
    double percentile;
    const struct mcomp_calibrator *calibrator; /* static only */
} mc_qplan;

int32_t mc_qplan_create(mc_qplan **out, mc_graph *g);
void mc_qplan_destroy(mc_qplan *p);
/* The same decisions about a clone of the graph (ids are equal). Grids are not copied. */
int32_t mc_qplan_clone(mc_qplan **out, const mc_qplan *p, mc_graph *g);

/* ---- eligible.c ---- */
/* Weighted operator with activation input 0 and constant f32 weight input 1 that integer kernels exist for. NULL when it
 * is one, otherwise the reason (static string). */
const char *mc_q_not_weighted(const mc_node *n);
/* Fills node[].candidate, macs and why. */
void mc_q_candidates(mc_qplan *p);
/* Weights of candidates that no rule keeps float must be finite: MCOMP_DATA naming node, tensor and element. */
int32_t mc_q_check_weights(const mc_qplan *p);
/* 1 if scheme kind fits the node: Conv is never dynamic. */
int mc_q_kind_fits(const mc_node *n, int32_t kind);
/* Axis of the weight that counts output channels; -1: one scale for the tensor (grouped transposed convolution). */
int32_t mc_q_weight_axis(const mc_node *n);
int mc_q_is_activation(const mc_node *n);
/* The value after the bias Add (constant) and activation functions that belong to n's output: each only reader in turn. */
mc_value *mc_q_after(const mc_node *n);

/* ---- prepare.c ---- */
/* What comes before both calibration and quantization, so that tensor names agree: the load stage's passes, and constants
 * added to a convolution become its bias. */
int32_t mc_q_prepare(mc_graph *g, uint64_t fold_bytes);

/* ---- weights.c ---- */
typedef struct mc_qweight {
    mc_tensor *q;     /* s8, shape of the weight, or [N, K]^T when it was transposed */
    mc_tensor *scale; /* f32 [channels] or 0-d */
    int64_t flat;     /* channels that are all zero */
} mc_qweight;
/* axis -1: one scale. floor (may be NULL): smallest scale of each channel (bias guard). alpha multiplies the scales
 * afterwards. transpose: the weight has rank 2 and is stored transposed; axis counts before that. */
int32_t mc_qweight_make(mc_qweight *out, const mc_tensor *w, int32_t axis, const double *floor, double alpha,
                        int32_t transpose);
void mc_qweight_free(mc_qweight *w);
/* Relative squared error of the quantized weight. */
double mc_qweight_error(const mc_tensor *w, int32_t axis);

/* ---- static_plan.c, static_apply.c, dynamic.c: rewrite plan->g ---- */
/* Which tensors get a pair, for the nodes of kind MC_QK_STATIC; then their grids from the calibrator. */
int32_t mc_q_static_mark(mc_qplan *p);
int32_t mc_q_static_grids(mc_qplan *p);
int32_t mc_q_static_apply(mc_qplan *p);
int32_t mc_q_dynamic_apply(mc_qplan *p);
/* table.c: embedding tables that become s8 get kind MC_QK_TABLE; weight-only, whatever the scheme of the products. */
void mc_q_tables(mc_qplan *p);
int32_t mc_q_tables_apply(mc_qplan *p);
/* All of the above in order, then clean-up, types, validation. */
int32_t mc_qplan_apply(mc_qplan *p);

/* ---- emit.c ---- */
/* Node with one output, typed; origin "quantize". */
int32_t mc_q_emit(mc_graph *g, const char *op, const char *name, int32_t n_in, mc_value *const *in, mc_node **out);
/* 0-d constants. */
int32_t mc_q_const_f32(mc_graph *g, const char *name, float v, mc_value **out);
int32_t mc_q_const_int(mc_graph *g, const char *name, int32_t dtype, int64_t v, mc_value **out);
/* Constant named base + suffix (or like it); takes over *t and sets it to NULL, also on failure. */
int32_t mc_q_const_tensor(mc_graph *g, const char *base, const char *suffix, mc_tensor **t, mc_value **out);

#endif
