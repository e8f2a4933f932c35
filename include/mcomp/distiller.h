/* mcomp/distiller.h - a small model learns from a large one.
 *
 * The teacher runs once over the training samples; what it says is kept (in memory, or on disk for later runs) and becomes part of the
 * student's loss, by sample, whatever the order of the batches:
 *
 *   loss = alpha * hard + (1 - alpha) * sum of weight * loss with the teacher's outputs
 *
 * Beside the student a control is trained: the same start, the same steps, rates and samples, with the hard loss alone. What the student
 * has above it is what the teacher brought. docs/distillation.md has formulas, sources and defaults. @thread one at a time.
 */
#ifndef MCOMP_DISTILLER_H
#define MCOMP_DISTILLER_H

#include <mcomp/trainer.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mcomp_distiller_options { /* strings are copied; start with _init, which fills in the defaults */
    uint32_t size;
    int32_t batch;          /* samples at a time through the teacher: 32 */
    const char *losses;     /* "NAME[=WEIGHT],..." of docs/distillation.md; NULL: logits */
    const char *output;     /* the teacher's output that holds the scores; NULL: its first float one */
    const char *cache;      /* folder that keeps the teacher's outputs, made if it is not there; NULL: memory */
    double temperature;     /* of logits and dkd: 2 */
    double alpha;           /* weight of the hard loss, 0 to 1: 0.3 */
    uint64_t cache_bytes;   /* largest size of the cache: 4 GiB */
    int32_t no_control;     /* 1: no control is trained */
    int32_t reserved;
} mcomp_distiller_options;
MCOMP_API int32_t mcomp_distiller_options_init(mcomp_distiller_options *o, uint32_t size);

/* The teacher is cloned. Codes: ARGUMENT (a loss, an output that does not exist), RANGE, NO_MEMORY. */
MCOMP_API int32_t mcomp_distiller_create(mcomp_distiller **out, mcomp_context *ctx, const mcomp_graph *teacher, const mcomp_distiller_options *options);
MCOMP_API void mcomp_distiller_destroy(mcomp_distiller *d);

/* Runs the teacher over `data`, opened for its own inputs with the rows of the student's training data in the same order; only what the
 * cache does not hold. A damaged entry of the cache is computed again. Codes: DATA (an output is not finite), PATH (no folder to write),
 * LIMIT (cache_bytes), NO_SPACE, UNSUPPORTED (texts with random masks, a score for each position), CANCELLED (what was computed is kept). */
MCOMP_API int32_t mcomp_distiller_teach(mcomp_distiller *d, mcomp_dataset *data);

/* Makes the loss of a trainer that has not made a step the one above; `mcomp_trainer_fit` must then get the samples of _teach, and the
 * distiller must outlive the trainer. For trainings of one's own; _fit does it by itself. ARGUMENT: nothing was taught, or the trainer has started. */
MCOMP_API int32_t mcomp_distiller_attach(mcomp_distiller *d, mcomp_trainer *t);

/* Trains student and control; results by _train_result, each may be NULL (control: steps 0 where there is none). `train` has the rows of
 * _teach; `valid` (labels needed; NULL: a tenth of train) chooses each one's best epoch. With a checkpoint in the options, the control's is
 * named CHECKPOINT.control. alpha 0 needs no labels in `train`, but a control does. Codes: as mcomp_trainer_fit; DATA (another number of
 * samples than _teach had, classes of another order), SHAPE (outputs of different sizes). */
MCOMP_API int32_t mcomp_distiller_fit(mcomp_train_result *student_result, mcomp_train_result *control_result, mcomp_distiller *d, const mcomp_graph *student,
                                      const mcomp_trainer_options *options, mcomp_dataset *train, mcomp_dataset *valid);
/* The best model of the last _fit: 0 the student, 1 the control (ARGUMENT if there is none). The caller owns *out. */
MCOMP_API int32_t mcomp_distiller_graph(mcomp_graph **out, mcomp_distiller *d, int32_t which);

/* A student cut from the teacher, with its weights: "teacher[:layers=0+2+4,hidden=192,heads=6,ffn=768,vocab=8000]"; what is not named stays.
 * layers are numbers of layers, from 0; widths keep what weighs most. vocab keeps the tokens that are needed and the most frequent ones of
 * `data`, texts opened for the teacher (else it may be NULL), and *tokenizer is then what goes with the student, or NULL. The caller owns both. Codes:
 * ARGUMENT, RANGE, UNSUPPORTED (the teacher is no encoder that is recognised; the node is named). docs/distillation.md */
MCOMP_API int32_t mcomp_distiller_cut(mcomp_graph **out, mcomp_tokenizer **tokenizer, mcomp_distiller *d, const char *spec, mcomp_dataset *data);

typedef struct mcomp_distiller_info { /* of the last _teach */
    uint32_t size;
    int32_t over_tokens;   /* 1: a loss compares tokens (hidden, cosine, relation): both must cut texts alike; known before _teach, too */
    int64_t samples;
    int64_t computed;      /* by the teacher; the others were in the cache */
    int64_t damaged;       /* entries of the cache that were not what was written */
    uint64_t cache_bytes;  /* size of the whole cache */
} mcomp_distiller_info;
MCOMP_API int32_t mcomp_distiller_info_get(const mcomp_distiller *d, mcomp_distiller_info *out);

#ifdef __cplusplus
}
#endif
#endif
