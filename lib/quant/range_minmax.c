/* Rule "minmax": everything that was seen. */
#include "quant/ranges.h"

static int32_t find(const mc_sketch *s, const mc_range_ask *ask, double *lo, double *hi)
{
    (void)ask;
    *lo = s->min;
    *hi = s->max;
    return MCOMP_OK;
}

const mc_range_rule mc_range_minmax = {"minmax", find};
