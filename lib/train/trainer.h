/* train/trainer.h - private: the trainer behind the public handle. */
#ifndef MC_TRAIN_TRAINER_H
#define MC_TRAIN_TRAINER_H

#include "train/train.h"

typedef struct mc_train_best {
    mc_measured metric;
    int64_t epoch, step, since; /* since: validations without a better one */
    mc_tensor **weights;        /* by variable, parameters and moments only; NULL: none yet */
} mc_train_best;

typedef struct mc_mask {
    char *parameter;
    mc_tensor *t;
    int32_t optional;
} mc_mask;

struct mcomp_trainer {
    mcomp_context *ctx;
    mc_graph *model;          /* as given; its weights are the untrained ones */
    mcomp_trainer_options o;  /* strings in arena */
    mc_arena *arena;
    const mc_loss *loss;
    const mc_optimizer *optimizer;
    const mc_schedule *schedule;
    mc_loss_term *terms;
    int64_t n_terms, cap_terms, first_extra, n_extra; /* inputs that terms added: among those of the step from first_extra, parameters of terms between them */
    double loss_weight;
    mc_mask *masks;           /* given before the step was built */
    int64_t n_masks, cap_masks;
    mc_mark *marks;
    int64_t n_marks, cap_marks;
    mc_feed_fn feed;
    const mcomp_tensor **fed; /* [n_extra] */
    void *feed_payload;
    mc_hook_fn hook;
    void *hook_payload;
    float *weight;            /* class weights */
    int64_t n_weight;
    mc_step step;
    int32_t ready;            /* the step graph is built */
    int32_t profile;          /* 1 before that: the exec keeps times by node */
    mcomp_session *session;
    mcomp_exec *exec;
    const mcomp_tensor **in;  /* inputs of the step */
    mcomp_tensor *lr, *count, *key, *apply;
    int64_t updates, micro;   /* updates done, batches accumulated since the last */
    mc_cursor cursor;         /* where the data stand */
    int64_t total;            /* updates planned, 0: unknown */
    double last_norm, best_after;
    mc_train_best best;
};

/* The outputs of g that the loss looks at, the scores first: the named one, or the floats in order. ARGUMENT: there is none. */
#define MC_LOSS_OUTPUTS 8
int32_t mc_trainer_outputs(const mcomp_trainer *t, const mc_graph *g, mc_value **out, int32_t *n);
/* Builds graph, session and variables if that has not happened. */
int32_t mc_trainer_ready(mcomp_trainer *t);
/* Copies of the current result: parameters (or their averages) and running moments into g, by name. best: those of the best epoch. */
int32_t mc_trainer_weights_into(const mcomp_trainer *t, mc_graph *g, int best);
int32_t mc_trainer_remember(mcomp_trainer *t); /* current weights become the best ones */
/* Names the first node whose output is not finite for these inputs (diagnose.c); returns DIVERGED. */
int32_t mc_trainer_diagnose(mcomp_trainer *t);
/* Own loss and terms as one scalar of the step graph; masks as variables (plug.c). */
int32_t mc_trainer_emit_loss(mcomp_trainer *t, mc_loss_site *site);
int32_t mc_trainer_add_masks(mcomp_trainer *t);
void mc_trainer_free_plugs(mcomp_trainer *t);
/* Fills the inputs of terms for this batch (plug.c). */
int32_t mc_trainer_feed(mcomp_trainer *t, const mc_feed_batch *b);
int32_t mc_trainer_run(mcomp_trainer *t, const mc_feed_batch *b, const mcomp_tensor *target, float *loss);

#endif
