/* prune/prune.h - removing weights: what can be removed, how it is scored, when it is removed, and the smaller graph.
 *
 * A *site* is one place that is pruned: a weight matrix under a pattern of elements (unstructured, 4x1, 1x4, 2:4), or a group of axes
 * that must shrink together (convolution channels, neurons between two products, attention heads). A site has *granules*, the smallest
 * pieces that are removed whole. A criterion scores granules, a schedule says how many are gone at each moment of a training, and masks
 * hold them at zero until the end. Then elements stay zeros in the file, and units are cut out of every tensor they touch (shrink.c).
 */
#ifndef MC_PRUNE_H
#define MC_PRUNE_H

#include <mcomp/pruner.h>

#include "ops/ops.h"
#include "train/train.h"

/* ---- criteria (criteria.def: one file criterion_<name>.c and one row each) ------------------------------------------------------ */

typedef struct mc_criterion {
    const char *name;
    int32_t moments; /* 1: needs the mean square of the gradients */
    /* Score of each of n elements; a granule's is their sum. v: mean square of their gradients, NULL unless asked for. NULL: the criterion
     * compares whole units only. */
    void (*element)(const float *w, const float *v, int64_t n, float *score);
    /* Scores of units with `width` weights each, [units][width]. NULL: sums of element. */
    void (*unit)(const float *w, int64_t units, int64_t width, float *score);
} mc_criterion;
const mc_criterion *mc_criterion_find(const char *name); /* NULL: unknown, the record names the nearest */

/* ---- patterns (patterns.def) ---------------------------------------------------------------------------------------------------------- */

enum { MC_PRUNE_BLOCKS, MC_PRUNE_N_OF_M, MC_PRUNE_UNITS };
typedef struct mc_prune_pattern {
    const char *name;
    int32_t kind;
    int32_t rows, cols; /* BLOCKS: outputs by inputs; N_OF_M: cols are kept of each `rows` neighbours along the inputs */
} mc_prune_pattern;
const mc_prune_pattern *mc_prune_pattern_find(const char *name);

/* ---- schedules (schedule.c) ------------------------------------------------------------------------------------------------------------ */

typedef struct mc_prune_schedule {
    const char *name;
    double (*at)(double done, double target); /* fraction gone after this fraction of the updates */
    double (*end)(double target);             /* from which fraction of the updates on it is the target */
    int32_t jumps;                            /* 1: piecewise constant, every rise counts; 0: updated some fifty times */
} mc_prune_schedule;
const mc_prune_schedule *mc_prune_schedule_find(const char *name);
/* Fraction that must be gone after update u of `total`, u >= 1, when something has to be done there (1 returned). Depends on u and total only. */
int mc_prune_due(const mc_prune_schedule *s, int64_t u, int64_t total, double target, double *fraction);

/* ---- the plan: sites and granules (plan.c) ------------------------------------------------------------------------------------------ */

/* A weight seen as a matrix [n outputs][k inputs], element (i, j) at i * stride_n + j * stride_k. */
typedef struct mc_prune_matrix {
    int64_t n, k, stride_n, stride_k;
} mc_prune_matrix;

typedef struct mc_prune_site {
    const char *name;   /* node that reads the weight, or the group's name; of the graph */
    mc_value *weight;   /* NULL: units */
    mc_prune_matrix m;
    const mc_axis_group *group;
    int64_t granules;
    int64_t elements;   /* of all granules */
    int64_t align;      /* units: survivors are a multiple of it where that many are left */
} mc_prune_site;

typedef struct mc_prune_ask {
    const char *const *match, *const *keep; /* globs of node, initializer or group names, NULL-terminated, or NULL; match NULL: everything */
    int64_t align;                          /* of channels and neurons */
} mc_prune_ask;

typedef struct mc_prune_plan {
    const mc_prune_pattern *pattern;
    const mc_criterion *criterion;
    mc_graph *g; /* borrowed: the model, types inferred */
    mc_prune_site *sites;
    int64_t n, cap;
    mc_axes *axes;
    mc_axis_groups groups; /* unit patterns */
} mc_prune_plan;
/* pattern, criterion and g are set. ARGUMENT: a pattern matches nothing, or there is nothing to prune. */
int32_t mc_prune_plan_make(mc_prune_plan *p, const mc_prune_ask *ask);
void mc_prune_plan_free(mc_prune_plan *p);

/* A run of a granule's elements: `count` elements of a weight from `first` on, `step` apart. */
typedef struct mc_prune_run {
    const mc_value *weight;
    int64_t first, count, step;
} mc_prune_run;
typedef int32_t (*mc_prune_visit)(void *ctx, const mc_prune_run *run); /* not OK ends the walk with that status */
/* Calls visit for every run of a granule, always in the same order. */
int32_t mc_prune_walk(const mc_prune_site *s, const mc_prune_pattern *p, int64_t granule, mc_prune_visit visit, void *ctx);

/* ---- scores and choice (score.c, select.c) --------------------------------------------------------------------------------------------- */

/* Where weights and gradients are now. */
typedef struct mc_prune_source {
    mcomp_trainer *trainer; /* its parameters; else */
    const mc_graph *g;      /* the weights of this graph by name; else those of the plan's */
    mcomp_trainer *moments; /* the trainer whose second moments count, or NULL */
} mc_prune_source;

typedef struct mc_prune_state { /* of all sites */
    float **score;
    uint8_t **gone;
} mc_prune_state;
int32_t mc_prune_state_make(mc_prune_state *s, const mc_prune_plan *p);
void mc_prune_state_free(mc_prune_state *s, const mc_prune_plan *p);

/* Scores all granules by their elements in weights of two axes or more. Those of which all are zero are marked gone, the others not. */
int32_t mc_prune_score(mc_prune_state *s, const mc_prune_plan *p, const mc_prune_source *src);
/* Only marks what is gone. */
int32_t mc_prune_zeros(mc_prune_state *s, const mc_prune_plan *p, const mc_prune_source *src);
/* Marks the lowest `fraction` of each site, or of all sites together by scores over their site's mean; what is gone stays gone. At least one
 * granule of a site survives. N:M patterns mark what the pattern says. */
int32_t mc_prune_select(mc_prune_state *s, const mc_prune_plan *p, double fraction, int global);

/* ---- masks (masks.c) ----------------------------------------------------------------------------------------------------------------------- */

/* f32 masks of the weights that the plan touches, one a weight. */
typedef struct mc_prune_masks {
    const mc_value **weight;
    mc_tensor **mask;
    int64_t n;
} mc_prune_masks;
int32_t mc_prune_masks_make(mc_prune_masks *m, const mc_prune_plan *p); /* all ones; float weights only */
void mc_prune_masks_fill(mc_prune_masks *m, const mc_prune_plan *p, const mc_prune_state *s);
void mc_prune_masks_free(mc_prune_masks *m);
/* Zeroes the masked elements of the weights of g by name. */
int32_t mc_prune_masks_apply(const mc_prune_masks *m, mc_graph *g);

/* ---- cutting (shrink.c) -------------------------------------------------------------------------------------------------------------------- */

/* Cuts the units that are gone (all their elements zero in g) out of g, which is a clone of the plan's graph. */
int32_t mc_prune_shrink(mc_graph *g, const mc_prune_plan *p, const mc_prune_state *s);

/* ---- plugging in (pruner.c) ---------------------------------------------------------------------------------------------------------------- */

/* Called with every trainer that the pruner makes, before its first step: where a recipe adds the teacher's loss. */
typedef int32_t (*mc_prune_prepare_fn)(void *payload, mcomp_trainer *t);
/* The sparsity of each site that the options come to: found by measuring where they ask for a latency. TARGET_MISSED: *sparsity is the
 * nearest. For a recipe that decides once and prunes later. */
int32_t mc_pruner_settle(mcomp_pruner *p, mcomp_dataset *samples, double *sparsity);
void mc_pruner_set_prepare(mcomp_pruner *p, mc_prune_prepare_fn prepare, void *payload);

#endif
