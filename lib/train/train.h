/* train/train.h - training: losses, optimizers, schedules, the graph of one step, the trainer, checkpoints.
 *
 * Training is running a graph. From the model's graph, prepare.c makes the forward graph (parameters become variables, Dropout and
 * BatchNormalization go into training mode), a loss adds its nodes, mc_gradient adds those of the backward pass, and an optimizer adds
 * one node a parameter that writes it in place. The whole step is one plan with one memory block.
 *
 * What pruning, quantization-aware training and distillation plug in: losses of their own (mc_trainer_add_term) with inputs that are filled
 * for each batch (mc_trainer_set_feed), masks (mc_trainer_set_mask), and a hook after each update (mc_trainer_set_hook).
 */
#ifndef MC_TRAIN_H
#define MC_TRAIN_H

#include <mcomp/trainer.h>

#include "data/data.h"
#include "passes/passes.h"
#include "runtime/runtime.h"

/* ---- losses (losses.def: one file loss_<name>.c and one row each) ---------------------------------------------- */

/* What a loss sees while it adds its nodes. Emitting is sticky as in ops/grad.h: after a failure every function returns NULL. */
typedef struct mc_loss_site {
    mc_graph *g;
    mc_value *const *out; /* outputs of the model, floats */
    int32_t n_out;
    int32_t status;
    mc_value *target;     /* input `target`, made by mc_loss_target */
    float smoothing;      /* label smoothing of cross_entropy */
    const float *weight;  /* [n_weight] class weights, or NULL */
    int64_t n_weight;
    int64_t n_inputs;     /* that terms have added */
    struct mc_step *step; /* NULL outside of a trainer */
} mc_loss_site;
typedef mc_value *(*mc_loss_fn)(mc_loss_site *s); /* a scalar: the mean over the batch */
typedef struct mc_loss {
    const char *name;
    int32_t labels; /* 1: the target is class labels; 0: an array */
    mc_loss_fn emit;
} mc_loss;
const mc_loss *mc_loss_find(const char *name); /* NULL: unknown, the record names the nearest */
/* The input that holds the targets of this type (dims may be symbols of the graph). */
mc_value *mc_loss_target(mc_loss_site *s, const mc_type *type);
/* An input of a term's own. */
mc_value *mc_loss_input(mc_loss_site *s, const char *name, const mc_type *type);
/* A parameter of a term's own: trained and kept in checkpoints, and no part of the result. Takes over start, also on failure; outside of a
 * trainer it is a constant. */
mc_value *mc_loss_parameter(mc_loss_site *s, const char *name, mc_tensor *start);
mc_value *mc_loss_node(mc_loss_site *s, const char *op, int32_t n, mc_value *const *in); /* infers; output 0 */
/* The same with one integer attribute. */
mc_value *mc_loss_node_i(mc_loss_site *s, const char *op, int32_t n, mc_value *const *in, const char *attr, int64_t v);
mc_value *mc_loss_scalar(mc_loss_site *s, double v);
mc_value *mc_loss_ints(mc_loss_site *s, int64_t n, const int64_t *v);
mc_value *mc_loss_mean(mc_loss_site *s, mc_value *x); /* over all elements */
mc_value *mc_loss_fail(mc_loss_site *s, int32_t code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Whether a description of a model (mcomp/build.h) can be read: ARGUMENT, RANGE with the record filled. */
int32_t mc_build_check(const char *spec);

/* ---- optimizers (optimizers.def) ------------------------------------------------------------------------------------ */

typedef struct mc_optimizer {
    const char *name, *op;    /* operator in domain mcomp */
    int32_t slots;            /* moments a parameter */
    int32_t decoupled;        /* Adam: weight decay apart from the gradient */
    double lr, weight_decay;  /* defaults */
} mc_optimizer;
const mc_optimizer *mc_optimizer_find(const char *name);

/* ---- schedules (schedule.c) --------------------------------------------------------------------------------------------- */

/* Factor of the learning rate at update `step` (0-based) of `total`, `warmup` of them rising linearly from 0. */
typedef struct mc_schedule {
    const char *name;
    double (*factor)(double progress); /* of the part after the warm-up: 0 at its start, 1 at its end */
} mc_schedule;
const mc_schedule *mc_schedule_find(const char *name);
double mc_schedule_at(const mc_schedule *s, int64_t step, int64_t total, int64_t warmup);

/* ---- variables ------------------------------------------------------------------------------------------------------------- */

enum { MC_VAR_PARAM = 1, MC_VAR_SLOT, MC_VAR_STAT /* running moments of a normalization */, MC_VAR_AVERAGE, MC_VAR_SUM /* of gradients */,
       MC_VAR_MASK };
typedef struct mc_variable {
    char *name;      /* of a parameter: the initializer's; others: PARAMETER#role */
    int32_t kind, input; /* index among the step graph's inputs */
    int32_t of;      /* index of the parameter it belongs to; itself for parameters and running moments */
    int32_t helper;  /* 1: a parameter of a loss, no part of the result */
    mc_value *value; /* in the step graph */
    mcomp_tensor *t; /* owned */
} mc_variable;

/* ---- the graph of a step (prepare.c, step.c) -------------------------------------------------------------------------------- */

typedef struct mc_step {
    mc_graph *g;
    int64_t n_model_inputs;  /* the first inputs are the model's */
    mc_variable *vars;
    int64_t n_vars, cap_vars;
    mc_value *loss, *key;    /* key: int64 [2] for Dropout, NULL if nothing draws */
    int32_t in_target, in_lr, in_step, in_key, in_apply; /* inputs, -1: absent */
    int32_t out_loss, out_norm; /* outputs */
    int64_t parameters;      /* trained elements */
} mc_step;
void mc_step_free(mc_step *s);
/* Forward graph with variables from the model's graph. */
/* frozen: glob patterns, NULL-terminated, or NULL. marks: see mc_trainer_mark. */
typedef struct mc_mark {
    char *name;
    int32_t trained;
} mc_mark;
int32_t mc_step_prepare(mc_step *s, const mc_graph *model, const char *const *frozen, const mc_mark *marks, int64_t n_marks);
int32_t mc_step_add_variable(mc_step *s, const char *name, int32_t kind, int32_t of, mc_value *v, mc_tensor *t); /* takes over t */
/* Backward pass and update. */
typedef struct mc_update {
    const mc_optimizer *optimizer;
    double weight_decay, momentum, beta1, beta2, epsilon, clip, ema;
    int64_t accumulate;
    int32_t recompute;    /* 1: gradient checkpointing */
    const char *lr_scale; /* "PATTERN=FACTOR,...": the rate of matching parameters is multiplied; the last match counts */
    const char *no_decay; /* patterns separated by ',', besides vectors and scalars */
} mc_update;
int32_t mc_step_finish(mc_step *s, const mc_update *u);

/* ---- plugging in (plug.c) ------------------------------------------------------------------------------------------------------------ */

/* Another part of the loss: weight * emit(site). It may add inputs of its own (mc_loss_input). All of these before the first step. */
typedef struct mc_loss_term {
    mc_value *(*emit)(mc_loss_site *s, void *payload);
    void *payload;
    double weight;
} mc_loss_term;
int32_t mc_trainer_add_term(mcomp_trainer *t, const mc_loss_term *term);
void mc_trainer_weigh_loss(mcomp_trainer *t, double weight); /* of the trainer's own loss; 1 unless set */
/* Fills the inputs that terms have added, in the order they were added, for this batch. The tensors stay the caller's, until the next
 * call. */
typedef struct mc_feed_batch {
    const mcomp_tensor *const *inputs; /* of the model */
    const int64_t *samples;            /* [n_samples] indices in the dataset, whatever the order, the buckets or the place of a resumed run;
                                        * NULL: the batch came through mcomp_trainer_step */
    int64_t n_samples;
} mc_feed_batch;
typedef int32_t (*mc_feed_fn)(void *payload, const mc_feed_batch *batch, int64_t n, const mcomp_tensor **extra);
void mc_trainer_set_feed(mcomp_trainer *t, mc_feed_fn feed, void *payload);
/* Called after each update; a status that is not OK ends the training with it. */
typedef int32_t (*mc_hook_fn)(void *payload, mcomp_trainer *t, int64_t updates);
void mc_trainer_set_hook(mcomp_trainer *t, mc_hook_fn hook, void *payload);
/* mask: f32 of the parameter's shape, 1 keeps an element, 0 holds it, its gradient and its moments at zero; copied. Before the first step
 * it makes the parameter masked; later only those may be changed. If there is no such parameter: ARGUMENT, or nothing happens (optional). */
int32_t mc_trainer_set_mask(mcomp_trainer *t, const char *parameter, const mc_tensor *mask, int32_t optional);
/* Says of the initializer of this name whether it is trained, whatever reads it. Frozen ones stay frozen. Before the first step. */
int32_t mc_trainer_mark(mcomp_trainer *t, const char *initializer, int32_t trained);
/* The present value of a parameter, borrowed; NULL if there is none. */
const mc_tensor *mc_trainer_parameter(mcomp_trainer *t, const char *name);
/* Moving mean of the square of a parameter's gradient, as Adam keeps it; NULL: no such parameter, or another optimizer. */
const mc_tensor *mc_trainer_second_moment(mcomp_trainer *t, const char *name);
/* Validations before this fraction of the updates choose no best epoch: the model was not yet what it is to become. */
void mc_trainer_best_after(mcomp_trainer *t, double fraction);
/* The metric of the model as it is now on the samples that a fit with these data would validate on. */
typedef struct mc_measured {
    double value, lo, hi; /* with its 95 % interval */
    int64_t n;
    int32_t lower; /* 1: less is better */
} mc_measured;
int32_t mc_trainer_measure(mcomp_trainer *t, mcomp_dataset *train, mcomp_dataset *valid, mc_measured *out);
int64_t mc_trainer_updates_planned(const mcomp_trainer *t); /* 0 before the fit that knows */

/* ---- metrics (metric.c) -------------------------------------------------------------------------------------------------------- */

/* Collects one batch at a time. */
typedef struct mc_metric mc_metric;
int32_t mc_metric_open(mc_metric **out, const char *name); /* accuracy macro_f1 loss mse auc perplexity */
void mc_metric_close(mc_metric *m);
/* out: [rows, width] scores, label: one a row (-100: not counted). */
int32_t mc_metric_add(mc_metric *m, const mc_tensor *out, const mc_tensor *target, double loss);
/* Value and 95 % interval. DATA if nothing was added. */
int32_t mc_metric_result(mc_metric *m, double *value, double *lo, double *hi);
int64_t mc_metric_rows(const mc_metric *m);
int mc_metric_lower_is_better(const char *name);

/* ---- checkpoints (checkpoint.c) ---------------------------------------------------------------------------------------------------- */

typedef struct mc_ckpt_item {
    char name[256];
    mc_tensor *t; /* written from, or read into (dtype and shape must agree) */
} mc_ckpt_item;
/* state: numbers by name, kept as they are. Written beside the target and renamed. */
int32_t mc_checkpoint_write(const char *path, const mc_json *state, int64_t n, const mc_ckpt_item *items);
/* *state is the caller's. Codes: PATH, FORMAT (damaged: nothing was changed), DATA (it belongs to another model or set-up). */
int32_t mc_checkpoint_read(const char *path, mc_json **state, int64_t n, mc_ckpt_item *items);

#endif
