/* train/fit.h - private: what the training loop keeps between its files. */
#ifndef MC_TRAIN_FIT_H
#define MC_TRAIN_FIT_H

#include "train/trainer.h"

#define MC_RATES 257

typedef struct mc_fit {
    mcomp_trainer *t;
    mcomp_dataset *train_set, *valid_set;
    mc_split split;      /* of train_set, where there is no valid_set of its own */
    mc_loader *train, *valid;
    mc_augment_shift shift;
    mc_type target_like; /* type of the scores */
    mc_tensor *target;   /* made from class labels for losses that want numbers; owned */
    const char *metric;
    double loss_sum;     /* since the last event */
    int64_t loss_n;
    double rate[MC_RATES]; /* samples a second of the last full steps, in turn */
    int64_t n_rate;        /* full steps so far */
    uint64_t peak_bytes;
    int32_t stopped_early;
    double last_loss;
} mc_fit;

double mc_fit_rate(const mc_fit *f); /* median of the last MC_RATES */
/* What the loss is compared with: the batch's labels, or numbers made from classes. Valid until the next call. */
int32_t mc_fit_target(mc_fit *f, const mc_batch *b, const mc_tensor **out);
int32_t mc_fit_validate(mc_fit *f, mc_measured *result);
/* Opens data and loaders, builds the step, goes to where the checkpoint stood (setup.c). */
int32_t mc_fit_open(mc_fit *f);
void mc_fit_close(mc_fit *f);

#endif
