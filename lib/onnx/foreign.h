/* onnx/foreign.h - private: com.microsoft operators written out in standard ones.
 *
 * An expansion sees one node and returns the value that stands for its output 0. Failures are sticky: a function that fails sets
 * `st` and returns NULL, and so does every later one; UNSUPPORTED means that this form stays opaque. */
#ifndef MC_ONNX_FOREIGN_H
#define MC_ONNX_FOREIGN_H

#include "onnx/upgrade.h"

typedef struct mc_foreign {
    mc_graph *g;
    const mc_node *n;
    int32_t st;
} mc_foreign;

int mc_foreign_known(const mc_node *n);
/* *expanded 1: n is gone. */
int32_t mc_foreign_expand(mc_graph *g, mc_node *n, int32_t *expanded);

mc_value *mc_foreign_in(const mc_foreign *f, int32_t i); /* NULL: omitted */
mc_node *mc_foreign_node(mc_foreign *f, const char *op, int32_t n_in, mc_value *const *in);
mc_value *mc_foreign_op(mc_foreign *f, const char *op, int32_t n_in, mc_value *const *in);
/* op(x) with those attributes of the node that are listed (NULL ends). */
mc_value *mc_foreign_copy(mc_foreign *f, const char *op, mc_value *x, const char *const *attrs);
mc_value *mc_foreign_nbits(mc_foreign *f);

#endif
