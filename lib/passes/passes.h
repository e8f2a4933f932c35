/* passes/passes.h - graph to graph rewrites: one file and one row of passes.def a pass.
 *
 * Passes run in table order within a stage. A pass must leave a sorted, valid graph with inferred types (call
 * mc_graph_remove_dead / mc_infer_node for what it made), keep node names alive as aliases (mc_node_inherit) and touch no
 * value that is a graph output or observed (mcomp.Observe) except to keep it exactly as it was.
 */
#ifndef MC_PASSES_H
#define MC_PASSES_H

#include "ops/ops.h"

/* Types may be symbolic (mc_type): a negative dim is compared for equality and never turned into a number, so one plan serves
 * every size of its inputs. Static models simply have numbers everywhere. */
enum {
    MC_STAGE_LOAD = 1,  /* shape-independent, exact: identities, constant folding, constant If, BatchNormalization folding.
                           Also what the quantizer runs before it works. */
    MC_STAGE_SHAPE = 2, /* shape arithmetic that is known, constant shapes (with 0 and -1 for symbols), no-op removal */
    MC_STAGE_FUSE = 4,  /* ONNX patterns -> better ONNX operators (LayerNormalization, Gelu, Softmax, Gather) */
    MC_STAGE_LOWER = 8, /* into the mcomp domain (integer regions, Linear, Attention, channels-last) */
    MC_STAGE_TRAIN = 16 /* into operators of the mcomp domain that have a gradient, before it is taken; set `training` too */
};

typedef struct mc_pass_options {
    uint64_t fold_bytes;   /* constant folding creates no tensor larger than this; 0 = 64 MiB */
    int32_t shape_only;    /* fold results of at most 2 KiB only (plan stage: weights are not copied for a plan) */
    int32_t isa;           /* tier the plan is for (layout and integer decisions may depend on it) */
    int32_t bf16;          /* BF16 numbers an operand of matrix products: 1 rounds, 3 lose nothing; 0: float (LOWER; pass_precision.c) */
    int32_t sparse;        /* 1, -1: integer products with the sparse kernel always, never (LOWER; pass_sparse.c); 0: as is faster */
    int32_t training;      /* 1: the graph will be differentiated by its variables (MC_VALUE_VARIABLE) */
} mc_pass_options;

typedef struct mc_pass {
    const char *name;
    uint32_t stages;
    int32_t (*run)(mc_graph *g, const mc_pass_options *o);
} mc_pass;

/* All passes of the stages, in table order. Types are inferred first. */
int32_t mc_passes_run(mc_graph *g, uint32_t stages, const mc_pass_options *o);
/* One by name (tests); MCOMP_ARGUMENT if unknown. */
int32_t mc_pass_run_one(mc_graph *g, const char *name, const mc_pass_options *o);
int32_t mc_pass_count(void);
const mc_pass *mc_pass_at(int32_t i);

/* ---- pieces that other rooms and passes use ---- */
/* If with a constant condition: the branch is spliced into g in place of the node. */
int32_t mc_pass_inline_if(mc_graph *g, mc_node *n, int32_t then_branch);
/* Fixes graph input `name` to a constant (copied), folds, removes what is dead. */
int32_t mc_pass_fix_input(mc_graph *g, const char *name, const mc_tensor *t, const mc_pass_options *o);
/* Matching helpers. Producer of input i of n if it is the operator `op` (default domain), else NULL. */
mc_node *mc_match_producer(const mc_node *n, int32_t i, const char *op);
/* For commutative binary nodes: index (0/1) of the input that is a constant scalar, its value in *v; -1 if none. */
int32_t mc_match_scalar_operand(const mc_node *n, double *v);
/* Every value of `inner` nodes except `keep` is used only inside the set (safe to replace the whole pattern). */
int mc_match_closed(mc_node *const *inner, int32_t n, const mc_value *keep);
/* Builds a node without attributes, infers its type, replaces `old` (may be NULL) by its output 0 and inherits names; the old
 * nodes die with remove_dead. */
int32_t mc_rewrite(mc_graph *g, const char *domain, const char *op, const char *origin, const mc_node *replaced,
                   int32_t n_in, mc_value *const *in, mc_value *old, mc_node **out);

/* ---- gradient (gradient.c) ---- */
/* Adds nodes that compute d loss / d wrt[i] to g. loss: one float element. grads[i]: the value, or NULL where the loss does not
 * depend on wrt[i]. NO_GRADIENT names the first node on the way (from the loss) whose operator has none. */
int32_t mc_gradient(mc_graph *g, mc_value *loss, int64_t n_wrt, mc_value *const *wrt, mc_value **grads);
/* ONNX's Gradient operators become the nodes that compute them (gradient_op.c). The LOAD stage begins with it. */
int32_t mc_expand_gradients(mc_graph *g);
int mc_is_gradient_operator(const mc_node *n);

/* ---- gradient checkpointing (recompute.c) ---- */
typedef struct mc_recompute_options {
    int32_t segments;         /* 0: the square root of the number of values that the backward graph reads */
    const char *const *after; /* NULL-terminated globs of node names: a segment ends after each match (and `segments` means nothing) */
} mc_recompute_options;
typedef struct mc_recompute_report {
    int32_t segments;
    int64_t nodes; /* computed again */
} mc_recompute_report;
/* After mc_gradient: values inside segments of the forward graph are not kept for the backward graph but computed again by it.
 * Gradients stay the same to the bit. options and report may be NULL. ARGUMENT for a pattern that matches no node. */
int32_t mc_recompute(mc_graph *g, mc_value *loss, const mc_recompute_options *options, mc_recompute_report *report);

/* ---- counting (count.c) ---- */
/* Adds elements and bytes of the weights, subgraphs included. */
void mc_count_parameters(const mc_graph *g, int64_t *elements, uint64_t *bytes);
/* Multiply-accumulates of one run when every free axis has this size. */
int32_t mc_count_macs(const mc_graph *g, int64_t free_axis, double *macs);
/* The same of each node of the main graph, [n_nodes] by id. */
int32_t mc_count_node_macs(const mc_graph *g, int64_t free_axis, double *by_node);

#endif
