/* train/builders/transformer.h - private: sizes and positions that encoder and decoder share. */
#ifndef MC_TRAIN_TRANSFORMER_H
#define MC_TRAIN_TRANSFORMER_H

#include "train/build.h"

/* Fills in the defaults and checks heads; fails through b->status. */
void mc_b_transformer_sizes(mc_builder *b);
/* Embedding of ids plus that of the positions. */
mc_value *mc_b_positions(mc_builder *b, mc_value *ids);

#endif
