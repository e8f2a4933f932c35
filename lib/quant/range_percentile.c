/* Rule "percentile": the interval that holds p percent of the values; the rest is cut half on each side, or by magnitude for
 * symmetric grids. Linear inside a bin. */
#include "quant/ranges.h"

/* Position, in bins from the inner end, below which `want` of the counts lie. step: +1 or -1 through memory. */
static double quantile(const uint64_t *bin, int64_t step, int32_t n, double want)
{
    double sum = 0.0;
    for (int32_t i = 0; i < n; i++) {
        const double c = (double)bin[(int64_t)i * step];
        if (c > 0.0 && sum + c >= want) return (double)i + (want - sum) / c;
        sum += c;
    }
    return (double)n;
}

static int32_t find(const mc_sketch *s, const mc_range_ask *ask, double *lo, double *hi)
{
    const double p = ask->percentile > 0.0 ? ask->percentile : 99.999, w = mc_sketch_width(s), n = (double)s->count;
    const double keep = p / 100.0;
    if (ask->symmetric) {
        uint64_t *fold = mc_calloc(MC_SKETCH_HALF, sizeof *fold);
        if (!fold) return MCOMP_NO_MEMORY;
        for (int32_t k = 0; k < MC_SKETCH_HALF; k++)
            fold[k] = s->bin[MC_SKETCH_HALF + k] + s->bin[MC_SKETCH_HALF - 1 - k];
        *hi = quantile(fold, 1, MC_SKETCH_HALF, n * keep) * w;
        *lo = -*hi;
        mc_free(fold);
    } else {
        const double want = n * (1.0 - (1.0 - keep) / 2.0);
        *hi = (quantile(s->bin, 1, MC_SKETCH_BINS, want) - MC_SKETCH_HALF) * w;
        *lo = -(quantile(s->bin + MC_SKETCH_BINS - 1, -1, MC_SKETCH_BINS, want) - MC_SKETCH_HALF) * w;
    }
    return MCOMP_OK;
}

const mc_range_rule mc_range_percentile = {"percentile", find};
