/* data/text.h - private: datasets of texts. */
#ifndef MC_DATA_TEXT_H
#define MC_DATA_TEXT_H

#include "data/internal.h"
#include "data/tokenizer_handle.h"

/* The whole text of the table as one list of ids; *rows windows of max_length (data_stream.c). */
int32_t mc_stream_open(mcomp_dataset *d, int64_t *rows);
/* Ids of a source row, encoded when first asked for. Borrowed. */
int32_t mc_text_ids(mcomp_dataset *d, int64_t row, const int32_t **ids, int64_t *n);
/* Encodes the selected rows on all threads. */
int32_t mc_text_encode_all(mcomp_dataset *d);
/* One row of an input by its role, `length` elements from element `at` on. */
int32_t mc_text_fill(mcomp_dataset *d, int32_t input, mc_tensor *t, int64_t at, const int32_t *ids, int64_t n, int64_t length);

#endif
