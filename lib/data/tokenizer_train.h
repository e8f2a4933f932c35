/* data/tokenizer_train.h - private: words with their counts, and learning merges from them. */
#ifndef MC_DATA_TOKENIZER_TRAIN_H
#define MC_DATA_TOKENIZER_TRAIN_H

#include "data/tokenizer.h"

typedef struct mc_words {
    mc_vocab words;   /* id = order of appearance */
    int64_t *count, cap_count;
    int32_t *order;   /* ids by their bytes */
} mc_words;
void mc_words_free(mc_words *w);

typedef struct mc_merges {
    int32_t (*pairs)[2];
    int64_t n, cap;
} mc_merges;
/* Joins pairs until the vocabulary has `size` tokens or none is seen min_count times. prefix: what a token inside of a word begins
 * with ("##"), or "". v holds special tokens and the alphabet; characters outside of it are left out of their words. */
int32_t mc_bpe_learn(mc_vocab *v, mc_merges *out, mcomp_context *ctx, const mc_words *w, const char *prefix, int64_t size, int64_t min_count);

#endif
