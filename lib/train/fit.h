/* train/fit.h - private: what the training loop keeps between its files. */
#ifndef MC_TRAIN_FIT_H
#define MC_TRAIN_FIT_H

#include "train/trainer.h"

typedef struct mc_fit {
    mcomp_trainer *t;
    mcomp_dataset *train_set, *valid_set;
    mc_feed train, valid;
    int64_t *train_list, *valid_list; /* samples of each */
    int64_t n_train, n_valid;
    int64_t *order;                   /* of this epoch */
    const char *metric;
    mc_type target_like;
    double loss_sum;                  /* since the last event */
    int64_t loss_n;
    double *rate;                     /* samples a second of each step */
    int64_t n_rate, cap_rate;
    uint64_t peak_bytes;
    int32_t stopped_early;
    double last_loss;
} mc_fit;

double mc_fit_rate(const mc_fit *f); /* median so far */
int32_t mc_fit_validate(mc_fit *f, double *metric);
/* Class weights from the frequencies of the training samples: n / (classes * count). */
int32_t mc_fit_balance(mc_fit *f);

#endif
