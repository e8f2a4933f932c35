/* distill/distiller.h - private: the distiller behind the public handle. */
#ifndef MC_DISTILL_DISTILLER_H
#define MC_DISTILL_DISTILLER_H

#include "distill/distill.h"

/* What one sample has of one tap: rows * width halves. */
typedef struct mc_said {
    const uint8_t *data;
} mc_said;

struct mcomp_distiller {
    mcomp_context *ctx;
    mcomp_distiller_options o; /* strings in arena */
    mc_arena *arena;
    mc_graph *teacher;
    mc_kd_choice losses[MC_KD_MAX];
    int32_t n_losses;
    /* of the last teach */
    mc_kd_store *store;
    mc_said *said;             /* [n_samples] */
    int64_t n_samples;
    int64_t width;             /* scores a row */
    mcomp_distiller_info info;
    /* what terms read */
    mc_tensor *batch;          /* scores of one batch */
    /* of the last fit */
    mcomp_graph *student, *control;
};

void mc_distiller_forget(mcomp_distiller *d); /* what was taught */
/* Index of the teacher's scores among its outputs; names it in errors. */
int32_t mc_distiller_scores(const mcomp_distiller *d, int32_t *index);

#endif
