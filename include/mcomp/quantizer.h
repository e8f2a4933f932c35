/* mcomp/quantizer.h - graph in, quantized graph (QDQ or dynamic operator chains) out.
 *
 * @thread one at a time.
 */
#ifndef MCOMP_QUANTIZER_H
#define MCOMP_QUANTIZER_H

#include <mcomp/calibrator.h>
#include <mcomp/trainer.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MCOMP_SLOWER_AUTO 0  /* _FLOAT for the scheme "auto", _KEEP for one that is named */
#define MCOMP_SLOWER_FLOAT 2 /* what makes the model slower stays float; the decision depends on the machine and is written in the graph */
#define MCOMP_SLOWER_KEEP 1  /* quantize it all the same: for size, or for another machine; nothing is timed */

typedef struct mcomp_quantizer_options {
    uint32_t size;
    int32_t qdq;          /* MCOMP_QDQ_* */
    const char *scheme;   /* "auto" (NULL), "int8", "int8-dynamic", "int8-dynamic-tensor"; "w8", "w4" are UNSUPPORTED yet */
    const char *range;    /* "auto" (NULL), "minmax", "average", "percentile", "kl", "mse" */
    double percentile;    /* for "percentile"; 0 = 99.999 */
    double max_error;     /* auto: largest accepted relative output error (1 - cosine-like, see docs/quantization.md); 0 = default */
    int32_t slower;       /* MCOMP_SLOWER_*. _FLOAT, with samples: nodes stay float while the result is slower than g on this machine */
    int32_t reserved;
} mcomp_quantizer_options;
MCOMP_API int32_t mcomp_quantizer_options_init(mcomp_quantizer_options *o, uint32_t size);
MCOMP_API int32_t mcomp_quantizer_create(mcomp_quantizer **out, mcomp_context *ctx, const mcomp_quantizer_options *options);
MCOMP_API void mcomp_quantizer_destroy(mcomp_quantizer *q);
/* Rule: nodes whose name, alias or operator type matches the glob pattern. key "precision": "float", "int8", "int8-dynamic";
 * key "range": a rule name. Patterns that match nothing are MCOMP_ARGUMENT at apply. Later rules win. */
MCOMP_API int32_t mcomp_quantizer_set_rule(mcomp_quantizer *q, const char *pattern, const char *key, const char *value);
/* Quantizes. calibrator is needed for static schemes (NULL: dynamic). samples (may be NULL): data that "auto" measures the
 * candidates on (without it auto decides by the rules of docs/quantization.md), and that every scheme times its result on. *out is owned by the
 * caller. A weight that is not finite is DATA and names the node, unless a rule keeps the node float. */
MCOMP_API int32_t mcomp_quantizer_apply(mcomp_graph **out, mcomp_quantizer *q, const mcomp_graph *g,
                                        const mcomp_calibrator *calibrator, mcomp_dataset *samples);

typedef struct mcomp_quantized_node { /* borrowed until the next apply */
    uint32_t size;
    int32_t quantized;        /* 1: runs on integers; 0: kept float */
    const char *node, *op;
    const char *scheme;       /* "int8", "int8-dynamic" ... or "float" */
    const char *why;          /* for nodes kept float: the reason */
    double error;             /* measured relative error of the node's output, negative when not measured */
    int32_t slower;           /* 1: kept float because it made the model slower on this machine */
    int32_t reserved;
} mcomp_quantized_node;
/* What the last apply did, node by node (quantizable operators only). */
MCOMP_API int32_t mcomp_quantizer_node_count(const mcomp_quantizer *q, int32_t *count);
MCOMP_API int32_t mcomp_quantizer_node(const mcomp_quantizer *q, int32_t i, mcomp_quantized_node *out);
/* The scheme chosen by the last apply. Borrowed. */
MCOMP_API const char *mcomp_quantizer_scheme(const mcomp_quantizer *q);

/* ---- quantization-aware training ---- */

#define MCOMP_QAT_ALWAYS 0    /* trains */
#define MCOMP_QAT_IF_BETTER 1 /* measures the calibrated model first: trains if it is worse than the float model, and keeps the better one */

#define MCOMP_QAT_SCALES_LEARNED 0 /* LSQ: scales of activations and weights are trained with the weights */
#define MCOMP_QAT_SCALES_FIXED 1   /* they stay as calibrated */

#define MCOMP_QAT_ZEROS_AUTO 0 /* weights that are exactly 0 stay 0 in matrices of which at least 5 % are */
#define MCOMP_QAT_ZEROS_KEEP 1 /* in all matrices */
#define MCOMP_QAT_ZEROS_FREE 2 /* zeros are weights like others */

typedef struct mcomp_qat_options {
    uint32_t size;
    int32_t mode;      /* MCOMP_QAT_* */
    int32_t scales;    /* MCOMP_QAT_SCALES_* */
    int32_t zeros;     /* MCOMP_QAT_ZEROS_* */
    double scale_rate; /* rate of the relative scales is the learning rate times this; 0: 10 */
} mcomp_qat_options;
MCOMP_API int32_t mcomp_qat_options_init(mcomp_qat_options *o, uint32_t size);

typedef struct mcomp_qat_result {
    uint32_t size;
    int32_t trained;        /* 0: the calibrated model was good enough (MCOMP_QAT_IF_BETTER) */
    int32_t kept_calibrated; /* 1: the calibrated model was no worse than the trained one, and is the result */
    int32_t has_float;      /* 1: float_* are measured: g was a float model */
    int64_t weights;        /* trained quantized weights */
    int64_t learned_scales; /* those shared by several tensors count once */
    int64_t masked;         /* weight elements that were held at zero */
    double float_metric, float_lo, float_hi; /* on the samples that the training validates on, with the 95 % interval */
    double calibrated_metric, calibrated_lo, calibrated_hi; /* of the quantized model before the training */
} mcomp_qat_result;
/* Trains the quantized graph itself: rounding in the forward pass, gradients straight through it within the range and zero outside;
 * weights are float until the end and are then rounded on the grids that the training used, so that *out computes what was
 * trained. Weights that are zero stay zero; statistics of BatchNormalization do not move; nothing drops out. g: a float model, with a
 * calibrator, which scheme (auto or int8) and rules of q turn into pairs; or a model with pairs (calibrator NULL), whose weights start
 * where its integers are. training: as in mcomp_trainer_fit; a rate of 0 is a tenth of the optimizer's own. result, fit, valid,
 * training and options may be NULL. Nothing is timed: the same calls give the same bytes, also resumed. Codes: as mcomp_quantizer_apply
 * and mcomp_trainer_fit; UNSUPPORTED (dynamic schemes, nothing quantized). */
MCOMP_API int32_t mcomp_quantizer_train(mcomp_graph **out, mcomp_qat_result *result, mcomp_train_result *fit, mcomp_quantizer *q, const mcomp_graph *g,
                                        const mcomp_calibrator *calibrator, mcomp_dataset *train, mcomp_dataset *valid,
                                        const mcomp_trainer_options *training, const mcomp_qat_options *options);

#ifdef __cplusplus
}
#endif
#endif
