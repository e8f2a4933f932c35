/* runtime/control.h - private: control-flow nodes run their subgraphs as nested sessions. */
#ifndef MC_RUNTIME_CONTROL_H
#define MC_RUNTIME_CONTROL_H

#include "runtime/plan.h"

/* Sessions of an If node's branches. A branch's inputs are the values it captures, in order of the node's captures. */
int32_t mc_if_open(mcomp_session *s, const mc_node *n, mcomp_session *branch[2]);
/* 1 if the executor knows this control-flow operator. */
int mc_control_supported(const mc_node *n);

#endif
