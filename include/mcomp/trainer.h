/* mcomp/trainer.h - training the very graph that is shipped.
 *
 * A trainer turns a model into a graph of one training step: forward, loss, backward (reverse mode), clipping and update in one plan
 * with one memory block. Parameters are the float32 initializers that feed weights, biases, norms, embeddings and recurrent cells;
 * everything else stays as it is. Dropout nodes drop, BatchNormalization uses the batch's moments. What comes out is the model that
 * went in, with other weights.
 *
 * Results do not depend on the number of threads, and a run that was stopped and resumed from a checkpoint gives the same bytes as one
 * that was not. @thread one at a time. docs/training.md has the formulas and their sources.
 */
#ifndef MCOMP_TRAINER_H
#define MCOMP_TRAINER_H

#include <mcomp/dataset.h>
#include <mcomp/session.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mcomp_train_event { /* what a progress callback sees; strings live during the call */
    uint32_t size;
    int32_t kind;              /* 0: after an update; 1: after a validation; 2: a checkpoint was written; 3: the plan stands, nothing ran yet */
    int64_t epoch, step;       /* both count from 1 */
    int64_t total_steps;
    double loss;               /* mean since the last event */
    double lr;
    double samples_per_second; /* median so far, without validation */
    double metric;             /* kind 1 */
    double seconds_left;       /* estimate */
    const char *metric_name;   /* kind 1 */
    const char *path;          /* kind 2 */
    uint64_t peak_bytes;       /* memory block of the step's plan and all variables */
} mcomp_train_event;
/* Return 0 to go on; anything else ends the training with MCOMP_CANCELLED after a checkpoint was written. */
typedef int32_t (*mcomp_train_progress_fn)(void *payload, const mcomp_train_event *event);

typedef struct mcomp_trainer_options { /* strings are copied; start with _init, which fills in the defaults */
    uint32_t size;
    int32_t batch;              /* samples a step: 32 */
    const char *loss;           /* cross_entropy (NULL), bce, mse, kl, cosine, span */
    const char *optimizer;      /* adamw (NULL), adam, sgd, lamb */
    const char *schedule;       /* cosine (NULL), constant, linear, step, one-cycle */
    const char *metric;         /* accuracy (NULL; perplexity for texts as targets, loss for numbers), macro_f1, loss, auc, mse, perplexity */
    const char *precision;      /* f32 (NULL; f32-split where there is AMX); bf16: as of a session; weights, gradients and moments stay float; validation is f32 */
    const char *freeze;         /* glob patterns of initializers, separated by commas; NULL: none */
    const char *no_decay;       /* patterns of parameters without weight decay, besides all vectors; NULL: none */
    const char *objective;      /* classify (NULL); mlm, next-token: texts opened for that objective are their own targets */
    const char *augment;        /* shift:N moves images by up to N pixels, shift:N,mirror mirrors half of them, too; NULL: none */
    const char *lr_scale;       /* "PATTERN=FACTOR,...": multiplies the rate of matching parameters, the last match counts; NULL: none */
    const char *output;         /* name of the output that the loss looks at; NULL: the first ones */
    const char *checkpoint;     /* file written every checkpoint_every updates and at the end of each epoch; NULL: none */
    double lr;                  /* 0: the optimizer's own (docs/training.md) */
    double weight_decay;        /* negative: the optimizer's own */
    double momentum;            /* sgd: 0.9 */
    double beta1, beta2, epsilon; /* adam: 0.9, 0.999, 1e-8 */
    double clip_norm;           /* largest norm of all gradients together: 1.0; 0: none */
    double label_smoothing;     /* cross_entropy: 0 */
    double warmup;              /* fraction of the updates in which the rate rises linearly: 0.06 */
    double average;             /* decay of an exponential average of the weights, which is then the result; 0: none */
    int64_t epochs;             /* 3 */
    int64_t max_steps;          /* updates; 0: as many as the epochs have */
    int64_t accumulate;         /* batches an update: 1 */
    int64_t patience;           /* validations without a better metric before it stops; 0: never stops early */
    int64_t checkpoint_every;   /* updates; 0: only at the end of epochs */
    uint64_t seed;              /* of shuffling and dropout */
    int32_t no_shuffle;         /* 1: samples in their order, every epoch */
    int32_t resume;             /* 1: go on from `checkpoint` if it exists */
    int32_t balance;            /* 1: cross_entropy weighs classes by the inverse of their frequency */
    int32_t keep_last;          /* 1: the result is the last epoch's, not the best one's on the validation data */
    int32_t recompute;          /* 1: activations between a few kept ones are computed again for the backward pass: less memory, more time, the
                                 * same bytes (Chen et al., 2016) */
    int32_t reserved;
    mcomp_train_progress_fn progress;
    void *progress_payload;
} mcomp_trainer_options;
MCOMP_API int32_t mcomp_trainer_options_init(mcomp_trainer_options *o, uint32_t size);

/* The graph is cloned. Codes: ARGUMENT, RANGE, SHAPE (output and loss do not fit), NO_GRADIENT (names the node), UNSUPPORTED, NO_MEMORY. */
MCOMP_API int32_t mcomp_trainer_create(mcomp_trainer **out, mcomp_context *ctx, const mcomp_graph *g, const mcomp_trainer_options *options);
MCOMP_API void mcomp_trainer_destroy(mcomp_trainer *t);

/* One batch: the model's inputs in its order and the target (int64 labels [batch], or what the loss needs). *loss: its mean over the
 * batch, of the weights before the update. The rate is the schedule's with total steps `max_steps` (constant when that is 0).
 * DIVERGED: the loss is not finite; nothing was updated, the record names the first layer whose output was not. */
MCOMP_API int32_t mcomp_trainer_step(float *loss, mcomp_trainer *t, int32_t n_inputs, const mcomp_tensor *const *inputs, const mcomp_tensor *target);

typedef struct mcomp_train_result {
    uint32_t size;
    int32_t stopped_early;
    int64_t best_epoch, best_step, epochs, steps;
    double best_metric, best_lo, best_hi; /* on the validation samples, with the 95 % interval */
    int64_t best_n;            /* validation samples */
    double last_loss;
    double samples_per_second; /* median over the steps of this call */
    uint64_t peak_bytes;       /* memory block of the largest plan plus all variables */
} mcomp_train_result;
/* Trains on the samples of `train`; `valid` (may be NULL: a tenth of train, by hash of the samples) chooses the best epoch. result may be
 * NULL. Codes: as _step; CANCELLED; DATA (no labels). */
MCOMP_API int32_t mcomp_trainer_fit(mcomp_train_result *result, mcomp_trainer *t, mcomp_dataset *train, mcomp_dataset *valid);

/* The model with the trained weights: those of the best epoch after _fit, the current ones after _step. The caller owns *out. */
MCOMP_API int32_t mcomp_trainer_graph(mcomp_graph **out, mcomp_trainer *t);
/* Everything that the rest of the training depends on: weights, moments, averages, counters. load: PATH, FORMAT (damaged), DATA (of another
 * model or other options); the trainer is unchanged when it fails. */
MCOMP_API int32_t mcomp_trainer_save(mcomp_trainer *t, const char *path);
MCOMP_API int32_t mcomp_trainer_load(mcomp_trainer *t, const char *path);

typedef struct mcomp_trainer_info {
    uint32_t size;
    int32_t variables;
    int64_t parameters;      /* trained elements; 0 before the first step */
    int64_t steps;           /* updates so far */
    uint64_t variable_bytes; /* parameters, moments, averages */
    uint64_t plan_bytes;     /* memory block of the last step's plan; 0 before the first */
} mcomp_trainer_info;
MCOMP_API int32_t mcomp_trainer_info_get(const mcomp_trainer *t, mcomp_trainer_info *out);

#ifdef __cplusplus
}
#endif
#endif
