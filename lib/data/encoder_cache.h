/* data/encoder_cache.h - private: words that an encoder has seen, with their ids. */
#ifndef MC_DATA_ENCODER_CACHE_H
#define MC_DATA_ENCODER_CACHE_H

#include "data/tokenizer.h"

int32_t mc_word_cache_create(struct mc_word_cache **out);
void mc_word_cache_destroy(struct mc_word_cache *c);
/* 1 = known: its ids are appended to e (status in *st). */
int mc_word_cache_get(mc_encoder *e, const char *word, int64_t len, int32_t *st);
/* Keeps a short word; long ones and those beyond the cache's size are not kept. */
int32_t mc_word_cache_put(mc_encoder *e, const char *word, int64_t len, const int32_t *ids, int64_t n);
void mc_pre_match_free(void *match);

#endif
