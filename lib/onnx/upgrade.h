/* onnx/upgrade.h - private: rules that bring one node from an old operator set to the internal form.
 *
 * A rule sees the node as the file has it (opset: version of the default domain) and rewrites it in place; it may add nodes
 * around it. Rules of one operator run in table order. */
#ifndef MC_ONNX_UPGRADE_H
#define MC_ONNX_UPGRADE_H

#include "onnx/internal.h"

#include <stdio.h>

typedef int32_t (*mc_upgrade_fn)(mc_graph *g, mc_node *n, int32_t opset);
typedef struct mc_upgrade_row {
    const char *op;
    int32_t below;      /* applies when the file's opset is lower */
    int32_t wants_types; /* the types of the node's inputs decide: graphs with such nodes are inferred on the way */
    mc_upgrade_fn rule;
} mc_upgrade_row;
extern const mc_upgrade_row mc_upgrade_table[]; /* ends with op NULL */

int32_t mc_upgrade_refuse(const mc_node *n, int32_t opset, const char *why); /* MCOMP_UNSUPPORTED */
/* Attribute of ints (or one int) -> constant int64 input at index, unless absent; the attribute goes. */
int32_t mc_upgrade_ints_to_input(mc_graph *g, mc_node *n, const char *attr, int32_t index);
/* Scalar constant of the element type of input 0 (float32 when that is unknown) as input at index. */
int32_t mc_upgrade_scalar_input(mc_graph *g, mc_node *n, const char *name, double v, int32_t index);
int32_t mc_upgrade_rename(mc_node *n, const char *op);
/* New node of the default domain with one output, next to n. */
int32_t mc_upgrade_new(mc_graph *g, const mc_node *n, const char *op, int32_t n_in, mc_value *const *in, mc_node **out);
/* Puts `after` (whose input 0 is still empty) behind output 0 of n: all users of n see after's output, which takes over the
 * name. */
int32_t mc_upgrade_follow(mc_graph *g, mc_node *n, mc_node *after);
int mc_upgrade_axis(const mc_value *v, int64_t axis, int32_t *out); /* 1: rank known and axis valid */

#define MC_UPGRADE_RULE(name) int32_t mc_upgrade_##name(mc_graph *g, mc_node *n, int32_t opset)
MC_UPGRADE_RULE(axes);
MC_UPGRADE_RULE(slice);
MC_UPGRADE_RULE(clip);
MC_UPGRADE_RULE(pad);
MC_UPGRADE_RULE(dropout);
MC_UPGRADE_RULE(split_sizes);
MC_UPGRADE_RULE(split_count);
MC_UPGRADE_RULE(topk);
MC_UPGRADE_RULE(upsample);
MC_UPGRADE_RULE(resize);
MC_UPGRADE_RULE(scatter);
MC_UPGRADE_RULE(softmax);
MC_UPGRADE_RULE(batch_norm);
MC_UPGRADE_RULE(group_norm);
MC_UPGRADE_RULE(roi_align);
MC_UPGRADE_RULE(recurrent);
MC_UPGRADE_RULE(scan);
MC_UPGRADE_RULE(broadcast);
MC_UPGRADE_RULE(prelu);
MC_UPGRADE_RULE(gemm);

#endif
