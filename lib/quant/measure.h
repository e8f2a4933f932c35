/* quant/measure.h - private: what a quantized graph really costs, measured on samples. */
#ifndef MC_QUANT_MEASURE_H
#define MC_QUANT_MEASURE_H

#include <mcomp/dataset.h>

#include "quant/plan.h"

/* Reference outputs of the float graph on a few samples spread over a dataset, at most 256 MiB of them. */
typedef struct mc_qmeasure mc_qmeasure;
int32_t mc_qmeasure_open(mc_qmeasure **out, mcomp_context *ctx, const mc_graph *g, mcomp_dataset *samples);
void mc_qmeasure_close(mc_qmeasure *m);

typedef struct mc_qresult {
    double error;  /* largest over the float outputs of sum (y - y0)^2 / sum y0^2 over all samples */
    double cosine; /* mean over samples, of the same output */
    double top1;   /* share of rows of that output whose largest element stays the same; 1 when there is nothing to rank */
    double rows;   /* that were ranked */
    int32_t ranks; /* 1: the largest element is what the output is for: rows are distributions, or samples carry labels */
    int32_t reserved;
} mc_qresult;
/* Runs the samples through g, which has the inputs and outputs of the float graph. */
int32_t mc_qmeasure_run(mc_qmeasure *m, const mc_graph *g, mc_qresult *out);

/* Measured error of each candidate alone: a quantized twin of every node that p wants integer reads the float graph's own
 * tensors; node[].error = sum (twin - y)^2 / sum y^2. One pass over the samples. p is a plan of the float graph. */
int32_t mc_qmeasure_nodes(mc_qmeasure *m, mc_qplan *p);

#endif
