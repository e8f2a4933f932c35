/* mcomp/quantizer.h - graph in, quantized graph (QDQ or dynamic operator chains) out.
 *
 * @thread one at a time.
 */
#ifndef MCOMP_QUANTIZER_H
#define MCOMP_QUANTIZER_H

#include <mcomp/calibrator.h>

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

#ifdef __cplusplus
}
#endif
#endif
