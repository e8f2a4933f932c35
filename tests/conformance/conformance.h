/* conformance.h - the ONNX backend cases run by the operator references: shared pieces of the runner. */
#ifndef MC_CONFORMANCE_H
#define MC_CONFORMANCE_H

#include "onnx/onnx.h"

/* Runs the graph node by node (branches of If included) on `in`, one tensor for each graph input without an initializer.
 * out[i]: one tensor a graph output, to be destroyed by the caller. *culprit: the operator that failed, static or owned by g.
 * What type inference said of each value must be what comes out: MCOMP_INTERNAL otherwise. */
int32_t conf_run(const mc_graph *g, int32_t n_in, mc_tensor *const *in, mc_tensor **out, const char **culprit);

/* NULL when got is what was expected; otherwise what is wrong (static buffer). */
const char *conf_differs(const mc_tensor *got, const mc_tensor *want);

/* Unpacks the archive into dir once (a stamp file tells); several processes may call it at a time. 0 = there. */
int conf_unpack(const char *archive, const char *dir);

#endif
