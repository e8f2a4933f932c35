/* distill/distiller.h - private: the distiller behind the public handle. */
#ifndef MC_DISTILL_DISTILLER_H
#define MC_DISTILL_DISTILLER_H

#include "distill/cut.h"

/* An entry of the store: this, then halves: scores [width], and where they are kept hidden [tokens, hidden], q, k, v [tokens, inner]. */
typedef struct mc_said_head {
    int32_t width, tokens, hidden, inner; /* 0: not kept */
} mc_said_head;
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
    int64_t hidden, inner;     /* widths of the teacher's last layer */
    int32_t taps;              /* MC_TAP_* of the losses */
    int32_t mask_input;        /* of the student; -1: none */
    mcomp_distiller_info info;
    /* what terms read */
    mc_tensor *batch[2 + MC_TOKENS]; /* of one batch: scores, mask, tokens */
    /* of the last fit */
    mcomp_graph *student, *control;
};

/* 1: this part of the tokens is kept for the losses. */
int mc_distiller_keeps(const mcomp_distiller *d, int part);
void mc_distiller_forget(mcomp_distiller *d); /* what was taught */
/* Index of the teacher's scores among its outputs; names it in errors. */
int32_t mc_distiller_scores(const mcomp_distiller *d, int32_t *index);

#endif
