/* quant/sketch.h - what calibration remembers of one tensor: a fixed-size, mergeable summary.
 *
 * Histogram of 4096 bins over (-T, T), T a power of two just above the largest magnitude seen. When a larger value comes, T
 * doubles and bins of each half merge pairwise. A bin is given by sign and trunc(|x| / width), width = T / 2048 a power of
 * two, so halving an index is exact: the histogram depends on the multiset of values only, and merging is associative and
 * equal to one pass, bit for bit. So are count, zeros, minimum, maximum and the channels' largest magnitudes. The sums
 * (mean, mean square, batch averages) are doubles: their last bits depend on the order of additions.
 */
#ifndef MC_QUANT_SKETCH_H
#define MC_QUANT_SKETCH_H

#include "tensor/tensor.h"

#define MC_SKETCH_HALF 2048
#define MC_SKETCH_BINS (2 * MC_SKETCH_HALF)
#define MC_SKETCH_MIN_EXP (-100) /* smaller magnitudes share the two innermost bins */
#define MC_SKETCH_CHANNELS 4096  /* more channels are grouped */

typedef struct mc_sketch {
    int32_t exponent; /* T = 2^exponent */
    int32_t channels; /* entries of ch_*; 0: no channel statistics */
    uint64_t count, zeros;
    uint64_t batches;                    /* closed batches behind the two sums below */
    double batch_min_sum, batch_max_sum; /* of the batches' extremes */
    double min, max;                     /* +inf, -inf while empty */
    double sum, sumsq;
    uint64_t *bin;      /* MC_SKETCH_BINS; bin H + k: [k w, (k+1) w); bin H - 1 - k: (-(k+1) w, -k w] without zero */
    float *ch_absmax;   /* [channels] */
    double *ch_sumsq;   /* [channels] */
} mc_sketch;

/* Statistics of `channels` channels are kept too (0: none; at most MC_SKETCH_CHANNELS). */
int32_t mc_sketch_init(mc_sketch *s, int32_t channels);
void mc_sketch_reset(mc_sketch *s);
void mc_sketch_free(mc_sketch *s);
/* Adds x[outer][axis][inner]. Returns 1 when a value is not finite: then nothing was added. The axis is spread evenly over
 * the sketch's channels; axis 0 or channels 0: no channel statistics. */
int mc_sketch_add(mc_sketch *s, const float *x, int64_t outer, int64_t axis, int64_t inner);
/* Ends a batch: its extremes enter the batch averages. Call once on a sketch that holds one batch. */
void mc_sketch_close_batch(mc_sketch *s);
/* a += b. Channel statistics are dropped if the numbers of channels differ. */
void mc_sketch_merge(mc_sketch *a, const mc_sketch *b);
double mc_sketch_width(const mc_sketch *s); /* of a bin */
int64_t mc_sketch_dead_channels(const mc_sketch *s);

#endif
