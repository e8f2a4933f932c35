/* runtime/runtime.h - sessions, plans, execution, backends; what rooms above need beyond the public header. */
#ifndef MC_RUNTIME_H
#define MC_RUNTIME_H

#include <mcomp/session.h>

#include "base/context.h"
#include "graph/graph.h"

/* Sees the tensor behind each `mcomp.Observe` node (one input, no outputs, integer attribute `slot`) during a run, in the
 * caller's thread. A non-zero return ends the run with that status. */
typedef struct mc_observer {
    int32_t (*see)(void *payload, int64_t slot, const mc_tensor *t);
    void *payload;
} mc_observer;

/* Session over an internal graph; the graph is cloned. observer may be NULL. */
int32_t mc_session_open(mcomp_session **out, mcomp_context *ctx, const mc_graph *g, const mcomp_session_options *options,
                        const mc_observer *observer);
/* "f32" (or NULL), "bf16", "f32-split" into BF16 numbers an operand (0, 1, 3): ARGUMENT for other words, UNSUPPORTED where the CPU lacks
 * the instructions. */
int32_t mc_precision_read(int32_t *bf16, const char *want);
/* From now on plans run the operators' references only (to compare fast kernels with); call before the first run. */
void mc_session_use_references(mcomp_session *s);
/* From now on plans run integer products by the sparse kernel always (1), never (-1), or as is faster (0); the bits are the same.
 * For tests and benchmarks; call before the first run. */
void mc_session_use_sparse(mcomp_session *s, int32_t how);
/* Compiles and reserves what a run with inputs of these shapes needs, without running. *bytes: the memory block of its plan. */
int32_t mc_exec_prepare(mcomp_exec *e, const mcomp_tensor *const *inputs, uint64_t *bytes);
/* Node that step i of the last run executes, NULL when it has none; *ns: its time summed over all runs of a profiled session, else 0. */
const mc_node *mc_exec_timed_node(const mcomp_exec *e, int32_t i, double *ns);
/* 1 if some usable kernel exists for the node (reference included). */
int mc_runtime_supports(const mc_node *n);

#endif
