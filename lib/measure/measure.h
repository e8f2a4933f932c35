/* measure/measure.h - how good and how fast models are. */
#ifndef MC_MEASURE_H
#define MC_MEASURE_H

#include "train/train.h"

/* ---- timing (race.c) ---- */

typedef struct mc_racer {
    mcomp_exec *exec;
    int32_t n_in, n_out;
    double *ms; /* [max_rounds], by round */
} mc_racer;
typedef struct mc_race {
    mcomp_context *ctx;  /* polled for cancellation */
    int64_t n_samples;   /* different ones: each runs once before the clock counts, so that plans of every shape are compiled */
    int64_t min_rounds, max_rounds;
    double seconds;      /* all racers together; after that and min_rounds it ends */
    /* Sample (0..n_samples-1) for this racer: tensors that stay valid until the next call. */
    int32_t (*fetch)(void *payload, int32_t racer, int64_t sample, const mcomp_tensor **inputs);
    int (*enough)(void *payload, const mc_racer *r, int64_t rounds, double seconds); /* 1: ends it early; NULL: never */
    void *payload;
} mc_race;
/* In each round every racer runs the same sample once, the order alternating, so that whatever else the machine does slows all of them
 * alike. *rounds: how many there were. */
int32_t mc_race_run(const mc_race *race, int32_t n, mc_racer *r, int64_t *rounds);
/* Quantile of values, which are not changed; the middle of two for an even median. NaN without values or memory. */
double mc_race_quantile(const double *ms, int64_t n, double q);
/* Ratio of medians, a over b, with a 95 % bootstrap interval over blocks of rounds (NaN when there are too few). */
typedef struct mc_ratio {
    double value, lo, hi;
} mc_ratio;
void mc_race_ratio(const double *a, const double *b, int64_t n, mc_ratio *out);

/* ---- predictions (scores.c) ---- */

typedef struct mc_scores {
    mc_tensor *v;      /* f32 [rows, width] */
    mc_tensor *label;  /* i64 [rows]; -1: none */
    int64_t n, width, samples;
    double threshold;  /* width 1: class 1 above it: 0.5 where all are probabilities, else 0 */
} mc_scores;
typedef struct mc_scores_ask {
    const char *output;  /* NULL: the only one, or the first float one */
    int32_t next_token;  /* 1: a row is one position of a text, its label the next id */
} mc_scores_ask;
/* Runs every sample, in order. d is opened for g. */
int32_t mc_scores_make(mc_scores *out, mcomp_context *ctx, const mc_graph *g, mcomp_dataset *d, const mc_scores_ask *ask);
void mc_scores_free(mc_scores *s);
int64_t mc_scores_class(const mc_scores *s, int64_t row);
/* name: as of mc_metric_open, but loss. DATA: rows without a label. */
int32_t mc_scores_metric(const mc_scores *s, const char *name, mc_measured *out);

/* ---- two models on the same samples (compare.c) ---- */

typedef struct mc_comparison {
    double agreement;          /* fraction of rows of the same class; NaN: the rows do not correspond */
    int32_t labelled;          /* 1: the next four are there */
    double value, lo, hi;      /* right answers of a minus those of b, as a fraction of the rows, with the 95 % interval of pairs */
    double mcnemar_p;          /* exact, two-sided */
} mc_comparison;
void mc_scores_compare(const mc_scores *a, const mc_scores *b, mc_comparison *out);

#endif
