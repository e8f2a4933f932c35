/* quant/latency.h - private: how fast a quantized graph is beside the float one, on this machine. */
#ifndef MC_QUANT_LATENCY_H
#define MC_QUANT_LATENCY_H

#include "base/context.h"
#include "quant/plan.h"

#include <mcomp/dataset.h>

/* The float graph, ready to be raced on a few samples. g and samples are borrowed. */
typedef struct mc_qlatency mc_qlatency;
int32_t mc_qlatency_open(mc_qlatency **out, mcomp_context *ctx, const mc_graph *g, mcomp_dataset *samples);
void mc_qlatency_close(mc_qlatency *t);

/* *ratio: latency of the float graph over that of g, which has the same inputs; above 1: g is faster. The median over pairs of
 * runs, one right after the other in alternating order, so that what else the machine does slows both alike. */
int32_t mc_qlatency_race(mc_qlatency *t, const mc_graph *g, double *ratio);

/* us[i]: time of the step that runs the node of p->g with id i, in graph g (p->g itself or p applied to a clone of it), the least of several
 * runs, shared equally when one step runs several candidates; negative where no step is found. us has p->n_nodes entries. */
int32_t mc_qlatency_nodes(mc_qlatency *t, const mc_qplan *p, const mc_graph *g, double *us);

#endif
