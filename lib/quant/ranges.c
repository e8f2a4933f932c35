/* The table of range rules, what is common to all of them, and the choice among them by weighted error. */
#include "quant/ranges.h"

#include <math.h>

#define MC_RANGE_RULE(name) extern const mc_range_rule mc_range_##name;
#include "quant/ranges.def"
#undef MC_RANGE_RULE

static const mc_range_rule *const table[] = {
#define MC_RANGE_RULE(name) &mc_range_##name,
#include "quant/ranges.def"
#undef MC_RANGE_RULE
    NULL,
};

const mc_range_rule *mc_range_rule_at(int32_t i)
{
    const int32_t n = (int32_t)(sizeof table / sizeof *table) - 1;
    return i >= 0 && i < n ? table[i] : NULL;
}

const mc_range_rule *mc_range_rule_named(const char *name)
{
    for (int32_t i = 0; table[i]; i++)
        if (strcmp(table[i]->name, name) == 0) return table[i];
    return NULL;
}

int32_t mc_range_find(const mc_range_rule *rule, const mc_sketch *s, const mc_range_ask *ask, double *lo, double *hi,
                      int32_t *flat)
{
    double a = 0.0, b = 0.0;
    int32_t st = MCOMP_OK;
    const int32_t is_flat = s->count == 0 || s->min == s->max;
    if (flat) *flat = is_flat;
    if (is_flat) {
        a = b = s->count ? s->min : 0.0;
    } else {
        MC_TRY(rule->find(s, ask, &a, &b));
        a = fmax(a, s->min);
        b = fmin(b, s->max);
    }
    a = fmin(a, 0.0);
    b = fmax(b, 0.0);
    if (ask->symmetric) {
        b = fmax(b, -a);
        a = -b;
    }
    if (!(b - a >= 1e-30)) b = 1.0, a = ask->symmetric ? -1.0 : 0.0; /* all zero: any finite grid holds it */
    *lo = a;
    *hi = b;
done:
    return st;
}

void mc_range_sums_fill(mc_range_sums *p, const mc_sketch *s)
{
    p->width = mc_sketch_width(s);
    p->total = (double)s->count;
    p->zeros = (double)s->zeros;
    p->n[0] = p->x[0] = p->xx[0] = 0.0;
    for (int32_t i = 0; i < MC_SKETCH_BINS; i++) {
        double n = (double)s->bin[i];
        const double c = ((double)i - MC_SKETCH_HALF + 0.5) * p->width;
        if (i == MC_SKETCH_HALF) n -= p->zeros; /* exact zeros have no rounding error and no place */
        p->n[i + 1] = p->n[i] + n;
        p->x[i + 1] = p->x[i] + n * c;
        p->xx[i + 1] = p->xx[i] + n * c * c;
    }
}

/* Sums over bins [0, at) with `at` fractional: the part of the bin that is cut counts linearly. */
static void upto(const mc_range_sums *p, double at, double *n, double *x, double *xx)
{
    const double f = fmin(fmax(at, 0.0), MC_SKETCH_BINS);
    int32_t i = (int32_t)f;
    if (i > MC_SKETCH_BINS - 1) i = MC_SKETCH_BINS - 1;
    const double r = f - (double)i;
    *n = p->n[i] + r * (p->n[i + 1] - p->n[i]);
    *x = p->x[i] + r * (p->x[i + 1] - p->x[i]);
    *xx = p->xx[i] + r * (p->xx[i + 1] - p->xx[i]);
}

double mc_range_sums_error(const mc_range_sums *p, double lo, double hi, int32_t steps, double clip_weight)
{
    double n0, x0, q0, n1, x1, q1;
    const double step = (hi - lo) / (double)steps;
    if (p->total <= 0.0) return 0.0;
    upto(p, lo / p->width + MC_SKETCH_HALF, &n0, &x0, &q0);
    upto(p, hi / p->width + MC_SKETCH_HALF, &n1, &x1, &q1);
    const double n2 = p->n[MC_SKETCH_BINS] - n1, x2 = p->x[MC_SKETCH_BINS] - x1, q2 = p->xx[MC_SKETCH_BINS] - q1;
    const double below = q0 - 2.0 * lo * x0 + lo * lo * n0, above = q2 - 2.0 * hi * x2 + hi * hi * n2;
    return (step * step / 12.0 * (n1 - n0) + clip_weight * (fmax(below, 0.0) + fmax(above, 0.0))) / p->total;
}

double mc_range_error(const mc_sketch *s, double lo, double hi, int32_t steps, double clip_weight)
{
    mc_range_sums *p = mc_malloc(sizeof *p);
    double e = HUGE_VAL;
    if (p) {
        mc_range_sums_fill(p, s);
        e = mc_range_sums_error(p, lo, hi, steps, clip_weight);
    }
    mc_free(p);
    return e;
}

int32_t mc_range_auto(const mc_sketch *s, const mc_range_ask *ask, double *lo, double *hi, const mc_range_rule **chosen,
                      int32_t *flat)
{
    double best = HUGE_VAL;
    int32_t st = MCOMP_OK;
    mc_range_sums *p = mc_malloc(sizeof *p);
    if (!p) return MCOMP_NO_MEMORY;
    mc_range_sums_fill(p, s);
    for (int32_t i = 0; table[i]; i++) {
        double a, b;
        MC_TRY(mc_range_find(table[i], s, ask, &a, &b, flat));
        const double e = mc_range_sums_error(p, a, b, mc_range_steps(ask), MC_RANGE_CLIP_WEIGHT);
        if (i > 0 && !(e < best * (1.0 - 1e-9))) continue;
        best = e;
        *lo = a;
        *hi = b;
        if (chosen) *chosen = table[i];
    }
done:
    mc_free(p);
    return st;
}

void mc_range_grid(double lo, double hi, int32_t symmetric, float *scale, int32_t *zero_point)
{
    const double steps = symmetric ? 254.0 : 255.0;
    double s = (hi - lo) / steps;
    if (!(s >= 1e-30)) s = 1.0;
    *scale = (float)s;
    *zero_point = symmetric ? 0 : (int32_t)fmin(fmax(nearbyint(-lo / (double)*scale), 0.0), 255.0);
}
