/* lstm: embeddings, LSTM layers (Hochreiter and Schmidhuber, 1997), the mean of the states over real tokens, a classifier. The texts'
 * lengths go to the cells, so padding changes nothing. input_ids [batch, sequence] -> logits [batch, classes]. */
#include "train/builders/recurrent.h"

void mc_build_lstm(mc_builder *b);

void mc_build_lstm(mc_builder *b) { mc_b_recurrent(b, 1); }
