/* prune/pruner.h - private: the pruner behind the public handle. */
#ifndef MC_PRUNE_PRUNER_H
#define MC_PRUNE_PRUNER_H

#include "prune/prune.h"

struct mcomp_pruner {
    mcomp_context *ctx;
    mc_arena *arena;
    mcomp_pruner_options o; /* strings in arena */
    const mc_prune_schedule *schedule;
    mc_graph *g;            /* the model as given */
    mc_prune_plan plan;
    mc_prune_state state;   /* what is gone, after _run */
    mc_prune_masks masks;
    mc_graph *result;
    double sparsity;        /* asked of each site, after targets are resolved */
    int32_t has_run;
    mc_prune_prepare_fn prepare;
    void *prepare_payload;
};

/* The sparsity that the options ask for: as given, or found for a target (target.c). TARGET_MISSED: p->sparsity is the nearest. */
int32_t mc_pruner_resolve(mcomp_pruner *p, mcomp_dataset *samples);
/* A clone of p->g in which `sparsity` of each site is gone by the present weights; units are cut. */
int32_t mc_pruner_trial(mcomp_pruner *p, double sparsity, mc_graph **out);
/* Multiply-accumulates of g, a result of this pruner, zeros of element patterns left out. */
int32_t mc_pruner_macs(const mcomp_pruner *p, const mc_graph *g, const mc_prune_state *s, double *macs);
/* Largest difference of an output of b to that of a over samples of d; RANGE of 1e-5 of the outputs' size is MISMATCH (verify.c). */
int32_t mc_pruner_compare(mcomp_pruner *p, const mc_graph *a, const mc_graph *b, mcomp_dataset *d, double *max_abs, int64_t *samples);

#endif
