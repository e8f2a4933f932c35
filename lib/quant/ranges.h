/* quant/ranges.h - range rules: from a sketch to the interval [lo, hi] that a tensor is quantized on.
 *
 * One file range_<name>.c and one row of ranges.def a rule. A rule may return anything finite; mc_range_find widens the
 * result to include zero, clamps it to what was seen, mirrors it for symmetric grids and never returns an empty interval.
 */
#ifndef MC_QUANT_RANGES_H
#define MC_QUANT_RANGES_H

#include "quant/sketch.h"

typedef struct mc_range_ask {
    int32_t symmetric; /* 1: lo = -hi, 127 steps a side (s8, zero point 0); 0: 255 steps */
    int32_t reserved;
    double percentile; /* for "percentile"; 0 = 99.999 */
} mc_range_ask;

typedef struct mc_range_rule {
    const char *name;
    int32_t (*find)(const mc_sketch *s, const mc_range_ask *ask, double *lo, double *hi);
} mc_range_rule;

/* NULL when there is no such rule. "auto" is not a rule: see mc_range_auto. */
const mc_range_rule *mc_range_rule_named(const char *name);
const mc_range_rule *mc_range_rule_at(int32_t i); /* NULL beyond the last */
/* *flat is set to 1 when the tensor never varied or was never seen (may be NULL). */
int32_t mc_range_find(const mc_range_rule *rule, const mc_sketch *s, const mc_range_ask *ask, double *lo, double *hi,
                      int32_t *flat);
/* The rule with the least weighted error (mc_range_error with MC_RANGE_CLIP_WEIGHT), minmax first on ties. */
int32_t mc_range_auto(const mc_sketch *s, const mc_range_ask *ask, double *lo, double *hi, const mc_range_rule **chosen,
                      int32_t *flat);

/* A clipped value costs this much more than rounding of the same size: clipping errors are all of one sign and hit the
 * largest activations, which the next layer cannot average out (the weight AIMET's TF-enhanced scheme uses). */
#define MC_RANGE_CLIP_WEIGHT 3.0
/* Mean squared error of quantizing the sketch on [lo, hi] with `steps` steps: step^2 / 12 for what is inside and not zero,
 * clip_weight * distance^2 for what is outside. */
double mc_range_error(const mc_sketch *s, double lo, double hi, int32_t steps, double clip_weight);
static inline int32_t mc_range_steps(const mc_range_ask *ask) { return ask->symmetric ? 254 : 255; }

/* Prefix sums over the histogram, bin centres standing for their values: error of any interval in constant time. */
typedef struct mc_range_sums {
    double width, total;
    double n[MC_SKETCH_BINS + 1], x[MC_SKETCH_BINS + 1], xx[MC_SKETCH_BINS + 1];
    double zeros;
} mc_range_sums;
void mc_range_sums_fill(mc_range_sums *p, const mc_sketch *s);
double mc_range_sums_error(const mc_range_sums *p, double lo, double hi, int32_t steps, double clip_weight);

/* Affine grid on [lo, hi]: u8 asymmetric or s8 symmetric (127 steps). */
void mc_range_grid(double lo, double hi, int32_t symmetric, float *scale, int32_t *zero_point);

#endif
