/* runtime/control.h - private: control-flow nodes run their subgraphs as nested sessions. */
#ifndef MC_RUNTIME_CONTROL_H
#define MC_RUNTIME_CONTROL_H

#include "runtime/plan.h"

/* Sessions of a node's subgraphs: then and else of an If, the body of a Loop. Their inputs are the subgraph's own, then the
 * values the node captures, in order. `outer` has the types of the captured values (by id), symbols included. */
int32_t mc_control_open(mcomp_session *s, const mc_node *n, const mc_graph *outer, mcomp_session *sub[2]);

/* Runs a control node: in[i] are the node's formal inputs (NULL where omitted) and then its captures; out[k] receives new tensors
 * (views of memory that the nested exec keeps until its next run, or copies). exec: the nested execs, made when first needed. */
int32_t mc_control_run(const mc_node *n, mcomp_session *const sub[2], mcomp_exec *exec[2], const mc_tensor *const *in, mc_tensor **out);

#endif
