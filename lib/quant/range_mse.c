/* Rule "mse": the interval with the least mean squared error, clip error plus round noise in closed form
 * (mc_range_error with clip weight 1): step^2 / 12 * inside + sum of squared distances outside.
 * Both ends are searched: first shrunk together, then one after the other until neither moves. */
#include "quant/ranges.h"

#include <math.h>

enum { GRID = 96, ROUNDS = 4 };

/* Best factor for the ends that move (bit 0: lo, bit 1: hi), on a geometric grid from 1 down to 2^-6. */
static void shrink(const mc_range_sums *p, int32_t steps, int ends, double *lo, double *hi, double *best)
{
    const double a = *lo, b = *hi;
    for (int i = 0; i < GRID; i++) {
        const double f = exp2(-6.0 * (double)i / GRID);
        const double l = ends & 1 ? a * f : a, h = ends & 2 ? b * f : b;
        const double e = mc_range_sums_error(p, l, h, steps, 1.0);
        if (!(e < *best)) continue;
        *best = e;
        *lo = l;
        *hi = h;
    }
}

static int32_t find(const mc_sketch *s, const mc_range_ask *ask, double *lo, double *hi)
{
    mc_range_sums *p = mc_malloc(sizeof *p);
    const int32_t steps = mc_range_steps(ask);
    double best = HUGE_VAL;
    if (!p) return MCOMP_NO_MEMORY;
    mc_range_sums_fill(p, s);
    *lo = fmin(s->min, 0.0);
    *hi = fmax(s->max, 0.0);
    if (ask->symmetric) {
        *hi = fmax(*hi, -*lo);
        *lo = -*hi;
    }
    shrink(p, steps, 3, lo, hi, &best);
    for (int r = 0; r < ROUNDS && !ask->symmetric; r++) {
        const double before = best, top_lo = fmin(s->min, 0.0), top_hi = fmax(s->max, 0.0);
        double l = top_lo, h = *hi;
        shrink(p, steps, 1, &l, &h, &best); /* lo from its full length again, hi as found */
        if (best < before) *lo = l;
        const double middle = best;
        l = *lo;
        h = top_hi;
        shrink(p, steps, 2, &l, &h, &best);
        if (best < middle) *hi = h;
        if (!(best < before)) break;
    }
    mc_free(p);
    return MCOMP_OK;
}

const mc_range_rule mc_range_mse = {"mse", find};
