/* data/tokenizer_handle.h - private: the public handle of a tokenizer. */
#ifndef MC_DATA_TOKENIZER_HANDLE_H
#define MC_DATA_TOKENIZER_HANDLE_H

#include <mcomp/tokenizer.h>

#include "data/tokenizer.h"

struct mcomp_tokenizer {
    mc_tokenizer *t;
    mc_encoder *encoder;
};
int32_t mc_tokenizer_wrap(mcomp_tokenizer **out, mc_tokenizer *t); /* takes a reference of its own */

#endif
