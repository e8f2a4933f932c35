/* quant/measure_internal.h - private: shared by measure.c and measure_nodes.c. */
#ifndef MC_QUANT_MEASURE_INTERNAL_H
#define MC_QUANT_MEASURE_INTERNAL_H

#include <mcomp/session.h>

#include "quant/measure.h"

struct mc_qmeasure {
    mcomp_context *ctx;
    mcomp_dataset *samples;
    int64_t n_samples;
    int32_t n_in, n_out;
    mc_tensor **ref;              /* [n_samples][n_out]; NULL where an output is not f32 */
    const mcomp_tensor **inputs;
};

int32_t mc_qmeasure_sample(mc_qmeasure *m, mcomp_exec *e, int64_t i, int32_t n_out, const mcomp_tensor **outputs);

#endif
