/* bilstm: lstm in both directions, `hidden` units each. */
#include "train/builders/recurrent.h"

void mc_build_bilstm(mc_builder *b);

void mc_build_bilstm(mc_builder *b) { mc_b_recurrent(b, 2); }
