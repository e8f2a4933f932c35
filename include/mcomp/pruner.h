/* mcomp/pruner.h - removing weights from a model: elements that become zeros, or whole channels, neurons and heads that are cut out.
 *
 * Patterns. `unstructured`: single weights. `4x1`: four neighbouring outputs by one input, what libmcomp's sparse INT8 kernels run. `1x4`: one
 * output by four neighbouring inputs. `2:4`: two of four neighbouring inputs stay. `channel` (convolutions), `ffn` (neurons between two
 * products) and `head` (attention heads) cut every tensor that depends on the unit: the file gets smaller and every runtime faster.
 *
 * With training data the model is trained on while masks hold what is gone at zero, gradients and moments included; the best epoch is
 * chosen among those at the final sparsity. Units are cut out at the end, and the cut model is compared with the masked one before it is
 * handed out. Formulas and sources: docs/pruning.md. @thread one at a time.
 */
#ifndef MCOMP_PRUNER_H
#define MCOMP_PRUNER_H

#include <mcomp/trainer.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mcomp_pruner_options { /* strings are copied; start with _init */
    uint32_t size;
    int32_t global;         /* 1: one ranking over all layers, by scores over their layer's mean; 0: the same fraction of each layer */
    const char *pattern;    /* unstructured (NULL), 4x1, 1x4, 2:4, channel, ffn, head */
    const char *criterion;  /* l2 (NULL), l1, fpgm (units only), taylor (needs training data) */
    const char *schedule;   /* cubic (NULL; one-shot for 2:4), one-shot, iterative (ten points at a time), linear */
    const char *match;      /* glob patterns of nodes or initializers, separated by commas; NULL: everything that can be pruned */
    const char *keep;       /* what is never pruned; NULL: nothing more */
    double sparsity;        /* fraction removed from what is pruned: of weights, or of units. 0.5 unless one of the next is given */
    double macs;            /* fraction of the model's multiply-accumulates to remove; 0: not asked */
    double latency_ms;      /* units: median latency of one sample to reach on this machine; 0: not asked */
    int64_t align;          /* channels and neurons that stay are a multiple of it: 8 */
} mcomp_pruner_options;
MCOMP_API int32_t mcomp_pruner_options_init(mcomp_pruner_options *o, uint32_t size);

/* The graph is cloned. Codes: ARGUMENT (unknown names name the nearest; nothing to prune), RANGE, UNSUPPORTED, NO_MEMORY. */
MCOMP_API int32_t mcomp_pruner_create(mcomp_pruner **out, mcomp_context *ctx, const mcomp_graph *g, const mcomp_pruner_options *options);
MCOMP_API void mcomp_pruner_destroy(mcomp_pruner *p);

typedef struct mcomp_prune_result {
    uint32_t size;
    int32_t trained;            /* 1: before_* and *fit are of a training */
    double sparsity;            /* removed of what was pruned */
    double equivalence_max_abs; /* units: largest difference of an output, cut model to masked model, over the compared samples */
    int64_t equivalence_samples;
    int64_t params_before, params_after; /* elements of weights that are not zero */
    double macs_before, macs_after;      /* multiply-accumulates of one sample; free axes count 1. Zeros of element patterns count as removed */
    double before_metric, before_lo, before_hi; /* trained: the metric of the model as given, on the samples that the training validates on */
} mcomp_prune_result;
/* Prunes. result and fit (how the training went) may be NULL. train: samples to train on (NULL: nothing is trained, and the schedule is one-shot); valid: as in mcomp_trainer_fit. training: how
 * (NULL: the defaults of mcomp_trainer_options_init). Codes: as mcomp_trainer_fit; TARGET_MISSED (macs or latency cannot be reached: what
 * came nearest is the result); MISMATCH (the cut model computes something else: nothing is handed out). */
MCOMP_API int32_t mcomp_pruner_run(mcomp_prune_result *result, mcomp_train_result *fit, mcomp_pruner *p, mcomp_dataset *train, mcomp_dataset *valid,
                                    const mcomp_trainer_options *training);
/* The pruned model, after _run. The caller owns *out. */
MCOMP_API int32_t mcomp_pruner_graph(mcomp_graph **out, mcomp_pruner *p);

typedef struct mcomp_prune_site { /* borrowed until the pruner is destroyed */
    uint32_t size;
    int32_t reserved;
    const char *node;   /* that reads the weight; of units: of the first weight of the group */
    const char *kind;   /* the pattern */
    int64_t pieces;     /* blocks or units there were */
    int64_t kept;       /* that are left; before _run all of them */
    int64_t elements;   /* weights of all pieces */
    double sparsity;    /* removed */
} mcomp_prune_site;
/* What is pruned: layers, or groups of axes that shrink together. Known after _create. */
MCOMP_API int32_t mcomp_pruner_site_count(const mcomp_pruner *p, int64_t *count);
MCOMP_API int32_t mcomp_pruner_site_get(const mcomp_pruner *p, int64_t index, mcomp_prune_site *out);

#ifdef __cplusplus
}
#endif
#endif
