/* Rule "kl": the threshold whose quantized distribution diverges least from the clipped one (Migacz, "8-bit inference with
 * TensorRT", 2017), in doubles and over every threshold of the histogram.
 *
 * On |x| with n bins: for i = levels..n, P = h[0..i) with the tail added to its last bin; Q = h[0..i) collected into `levels`
 * groups, each group's mass spread evenly over its bins that are not empty; KL = sum p log(p / q). With prefix sums of mass,
 * of non-empty bins and of h log h a candidate costs `levels` logarithms: inside a group q is one number.
 * Levels are 128 a side for signed data, 255 where the data has one sign and the grid is not symmetric.
 */
#include "quant/ranges.h"

#include <math.h>

typedef struct folded {
    double mass[MC_SKETCH_HALF + 1];  /* sum of h[0..i) */
    double hlogh[MC_SKETCH_HALF + 1]; /* sum of h log h */
    double used[MC_SKETCH_HALF + 1];  /* bins with h > 0 */
    double h[MC_SKETCH_HALF];
} folded;

static int32_t fold(folded *f, const mc_sketch *s)
{
    int32_t n = 0;
    f->mass[0] = f->hlogh[0] = f->used[0] = 0.0;
    for (int32_t k = 0; k < MC_SKETCH_HALF; k++) {
        f->h[k] = (double)s->bin[MC_SKETCH_HALF + k] + (double)s->bin[MC_SKETCH_HALF - 1 - k];
        if (f->h[k] > 0.0) n = k + 1;
    }
    /* The innermost bin holds the exact zeros, which every grid represents: it takes its neighbour's height. */
    f->h[0] = n > 1 ? f->h[1] : f->h[0];
    for (int32_t k = 0; k < MC_SKETCH_HALF; k++) {
        f->mass[k + 1] = f->mass[k] + f->h[k];
        f->hlogh[k + 1] = f->hlogh[k] + (f->h[k] > 0.0 ? f->h[k] * log(f->h[k]) : 0.0);
        f->used[k + 1] = f->used[k] + (f->h[k] > 0.0 ? 1.0 : 0.0);
    }
    return n;
}

/* KL(P || Q) for threshold i of n. P sums to `total`, Q to mass[i] <= total: both are normalised. */
static double divergence(const folded *f, int32_t i, int32_t n, int32_t levels)
{
    const double total = f->mass[n], inside = f->mass[i], tail = total - inside, last = f->h[i - 1];
    double plogq = 0.0, q_last = 0.0;
    if (inside <= 0.0) return HUGE_VAL;
    for (int32_t l = 0; l < levels; l++) {
        const int32_t a = (int32_t)((int64_t)l * i / levels), b = (int32_t)((int64_t)(l + 1) * i / levels);
        const double m = f->mass[b] - f->mass[a], u = f->used[b] - f->used[a];
        if (m > 0.0) plogq += m * log(m / u / inside);
        if (b == i) q_last = m > 0.0 && last > 0.0 ? m / u / inside : 1e-9 / (double)i;
    }
    /* The tail changes P's last bin from h to h + tail: correct both sums for it. */
    const double h = last + tail;
    double plogp = f->hlogh[i] - inside * log(total);
    if (tail > 0.0) {
        plogp += h * log(h / total) - (last > 0.0 ? last * log(last / total) : 0.0);
        plogq += tail * log(q_last);
    }
    return (plogp - plogq) / total;
}

static int32_t find(const mc_sketch *s, const mc_range_ask *ask, double *lo, double *hi)
{
    const int32_t levels = !ask->symmetric && (s->min >= 0.0 || s->max <= 0.0) ? 255 : 128;
    double best = HUGE_VAL, t;
    int32_t at;
    folded *f = mc_malloc(sizeof *f);
    if (!f) return MCOMP_NO_MEMORY;
    const int32_t n = fold(f, s);
    at = n;
    for (int32_t i = levels; i <= n; i++) {
        const double d = divergence(f, i, n, levels);
        if (d <= best) {
            best = d;
            at = i;
        }
    }
    mc_free(f);
    t = (double)at * mc_sketch_width(s);
    *lo = -t;
    *hi = t;
    return MCOMP_OK;
}

const mc_range_rule mc_range_kl = {"kl", find};
