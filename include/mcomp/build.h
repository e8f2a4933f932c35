/* mcomp/build.h - models from a short description, freshly initialised: ordinary ONNX graphs, ready to be trained.
 *
 * KIND[:key=value,...]
 *   encoder   transformer encoder and classifier   input_ids, attention_mask int64 [batch, sequence] -> logits [batch, classes]
 *   text-cnn  convolutions over embeddings         input_ids -> logits
 *   lstm, bilstm                                   input_ids -> logits
 *   decoder   causal language model                input_ids -> logits [batch, sequence, vocab]
 *   mlp       dense layers                         input float [batch, features] or [batch, channels, height, width] -> logits
 *   cnn, resnet, ds-cnn                            input float [batch, channels, height, width] -> logits
 * Keys: layers hidden heads ffn vocab length classes channels dropout; docs/training.md has each kind's defaults. Dropout nodes are part of
 * the model: they drop while it is trained and do nothing when it is run.
 */
#ifndef MCOMP_BUILD_H
#define MCOMP_BUILD_H

#include <mcomp/trainer.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mcomp_build_options { /* what the description leaves open; 0: unknown */
    uint32_t size;
    int32_t tokens;     /* 1: encoder gives logits [batch, sequence, vocab], for mlm; its layers have the same names as in a classifier */
    uint64_t seed;      /* of the weights: the same seed gives the same bytes */
    int64_t classes, vocab, length;
    int64_t image[3];   /* channels, height, width */
    int64_t features;   /* mlp on rows of numbers */
    int64_t pad;        /* id of padding */
} mcomp_build_options;
MCOMP_API int32_t mcomp_build_options_init(mcomp_build_options *o, uint32_t size);
/* The caller owns *out. Codes: ARGUMENT (unknown kind or key: the nearest is named; a size is missing), RANGE, SHAPE, NO_MEMORY. */
MCOMP_API int32_t mcomp_graph_build(mcomp_graph **out, mcomp_context *ctx, const char *spec, const mcomp_build_options *options);
/* Sets epochs, batch and lr to what suits a fresh model of this kind (docs/training.md); o comes from mcomp_trainer_options_init. */
MCOMP_API int32_t mcomp_build_training(mcomp_trainer_options *o, const char *spec);
/* *text: 1 if this kind takes token ids, 0 if it takes numbers. */
MCOMP_API int32_t mcomp_build_is_text(const char *spec, int32_t *text);

#ifdef __cplusplus
}
#endif
#endif
