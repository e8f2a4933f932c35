/* quant/quant.h - calibration and quantization, for rooms above: what the public headers do not say. */
#ifndef MC_QUANT_H
#define MC_QUANT_H

#include <mcomp/quantizer.h>

#include "train/train.h"

/* Called with the trainer of mcomp_quantizer_train before its first step: where a recipe adds the teacher's loss. */
typedef int32_t (*mc_quant_prepare_fn)(void *payload, mcomp_trainer *t);
void mc_quantizer_set_prepare(mcomp_quantizer *q, mc_quant_prepare_fn prepare, void *payload);

#endif
