/* quant/slower.h - private: no quantized graph that is slower than the float one. */
#ifndef MC_QUANT_SLOWER_H
#define MC_QUANT_SLOWER_H

#include "base/context.h"
#include "quant/plan.h"

#include <mcomp/dataset.h>

/* Times p beside its float graph on the samples; while p is slower, keeps nodes float that no rule has fixed, and says why in their
 * `why` and `slower`. docs/quantization.md §9. */
int32_t mc_qslower_run(mcomp_context *ctx, mc_qplan *p, mcomp_dataset *samples);

#endif
