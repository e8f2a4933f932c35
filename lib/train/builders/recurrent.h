/* train/builders/recurrent.h - private: LSTM classifiers. */
#ifndef MC_TRAIN_RECURRENT_H
#define MC_TRAIN_RECURRENT_H

#include "train/build.h"

void mc_b_recurrent(mc_builder *b, int64_t directions);

#endif
