/* Rule "average": mean over the batches of each batch's extremes. The plain mean and not an exponential one: it does not
 * depend on the order of the samples, so sketches merge. */
#include "quant/ranges.h"

static int32_t find(const mc_sketch *s, const mc_range_ask *ask, double *lo, double *hi)
{
    (void)ask;
    const double n = (double)s->batches;
    *lo = s->batches ? s->batch_min_sum / n : s->min;
    *hi = s->batches ? s->batch_max_sum / n : s->max;
    return MCOMP_OK;
}

const mc_range_rule mc_range_average = {"average", find};
