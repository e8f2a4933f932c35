/* data/data.h - samples for calibration, evaluation and benchmarks; what rooms above need beyond the public header. */
#ifndef MC_DATA_H
#define MC_DATA_H

#include <mcomp/dataset.h>

#include "data/loader.h"
#include "onnx/onnx.h"

/* .npy bytes (version 1 to 3, C order; numeric, bool and unicode string arrays) to a tensor that owns its memory. */
int32_t mc_npy_parse(mc_tensor **out, const uint8_t *data, uint64_t bytes, const char *where);

#endif
