/* data/data.h - samples for calibration, evaluation and benchmarks; what rooms above need beyond the public header. */
#ifndef MC_DATA_H
#define MC_DATA_H

#include <mcomp/dataset.h>

#include "data/loader.h"
#include "onnx/onnx.h"

/* .npy bytes (version 1 to 3, C order; numeric, bool and unicode string arrays) to a tensor that owns its memory. */
int32_t mc_npy_parse(mc_tensor **out, const uint8_t *data, uint64_t bytes, const char *where);

/* Reducing a vocabulary (tokenizer_reduce.c). _needed marks in keep[n] the ids that must stay (special ones, single characters of ASCII, and
 * of other scripts those in seen[n]); UNSUPPORTED for kinds whose tokens are made of one another. _reduce: to[n] is the new id of
 * each, -1 where it goes; what _needed marked must stay. */
int32_t mc_tokenizer_needed(const mcomp_tokenizer *t, const uint8_t *seen, uint8_t *keep, int64_t n);
int32_t mc_tokenizer_reduce(mcomp_tokenizer **out, const mcomp_tokenizer *t, const int32_t *to, int64_t n);

#endif
