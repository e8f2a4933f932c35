/* The trainer: options, the step's session, one step, the trained model. */
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>

int32_t mcomp_trainer_options_init(mcomp_trainer_options *o, uint32_t size)
{
    mcomp_trainer_options d = {0};
    MC_API_ENTER();
    const int32_t st = mc_options_init(o, size, sizeof *o, "mcomp_trainer_options");
    if (st != MCOMP_OK) return st;
    d = (mcomp_trainer_options){.size = size, .batch = 32, .weight_decay = -1.0, .momentum = 0.9, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8,
                                .clip_norm = 1.0, .warmup = 0.06, .epochs = 3, .accumulate = 1};
    memcpy(o, &d, size < sizeof d ? size : sizeof d);
    return MCOMP_OK;
}

/* ---- creation ---- */

static int32_t copy_strings(mcomp_trainer *t)
{
    const char **all[] = {&t->o.loss, &t->o.optimizer, &t->o.schedule, &t->o.metric, &t->o.precision, &t->o.freeze, &t->o.no_decay, &t->o.output, &t->o.checkpoint,
                           &t->o.objective, &t->o.augment, &t->o.lr_scale};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (*all[i] && !(*all[i] = mc_arena_strdup(t->arena, *all[i]))) return MCOMP_NO_MEMORY;
    return MCOMP_OK;
}

static int32_t check(const mcomp_trainer_options *o)
{
    int32_t st = MCOMP_OK, bf16 = 0;
    if (o->batch < 1 || o->batch > 1 << 20) MC_FAIL(MCOMP_RANGE, "batch", "%d samples a batch", o->batch);
    if (!(o->lr >= 0.0 && o->lr < 1e3)) MC_FAIL(MCOMP_RANGE, "lr", "a learning rate of %g", o->lr);
    if (!(o->momentum >= 0.0 && o->momentum < 1.0)) MC_FAIL(MCOMP_RANGE, "momentum", "%g is not in [0, 1)", o->momentum);
    if (!(o->beta1 >= 0.0 && o->beta1 < 1.0 && o->beta2 >= 0.0 && o->beta2 < 1.0)) MC_FAIL(MCOMP_RANGE, "beta1", "beta1 and beta2 are in [0, 1)");
    if (!(o->epsilon > 0.0)) MC_FAIL(MCOMP_RANGE, "epsilon", "%g is not positive", o->epsilon);
    if (!(o->clip_norm >= 0.0)) MC_FAIL(MCOMP_RANGE, "clip_norm", "%g is negative", o->clip_norm);
    if (!(o->label_smoothing >= 0.0 && o->label_smoothing < 1.0)) MC_FAIL(MCOMP_RANGE, "label_smoothing", "%g is not in [0, 1)", o->label_smoothing);
    if (!(o->warmup >= 0.0 && o->warmup <= 1.0)) MC_FAIL(MCOMP_RANGE, "warmup", "%g is not a fraction", o->warmup);
    if (!(o->average >= 0.0 && o->average < 1.0)) MC_FAIL(MCOMP_RANGE, "average", "%g is not in [0, 1)", o->average);
    if (o->epochs < 1 || o->max_steps < 0 || o->accumulate < 1 || o->patience < 0 || o->checkpoint_every < 0)
        MC_FAIL(MCOMP_RANGE, "options", "epochs and accumulate are at least 1; max_steps, patience and checkpoint_every cannot be negative");
    if (o->resume && !o->checkpoint) MC_FAIL(MCOMP_ARGUMENT, "resume", "there is no checkpoint to resume from: name one");
    st = mc_precision_read(&bf16, o->precision);
done:
    return st;
}

int32_t mcomp_trainer_create(mcomp_trainer **out, mcomp_context *ctx, const mcomp_graph *g, const mcomp_trainer_options *options)
{
    int32_t st = MCOMP_OK;
    mcomp_trainer *t = NULL;
    MC_API_ENTER();
    MC_CHECK_ARG(1, out, "out", "is NULL");
    *out = NULL;
    MC_CHECK_ARG(2, ctx, "ctx", "is NULL");
    MC_CHECK_ARG(3, g && g->g, "g", "is NULL");
    t = mc_calloc(1, sizeof *t);
    if (!t) return MCOMP_NO_MEMORY;
    t->ctx = ctx;
    t->arena = mc_arena_create();
    if (!t->arena) MC_TRY(MCOMP_NO_MEMORY);
    MC_TRY(mcomp_trainer_options_init(&t->o, sizeof t->o));
    MC_TRY(mc_options_read(&t->o, sizeof t->o, options, "options"));
    MC_TRY(check(&t->o));
    MC_TRY(copy_strings(t));
    t->loss = mc_loss_find(t->o.loss ? t->o.loss : "cross_entropy");
    t->optimizer = t->loss ? mc_optimizer_find(t->o.optimizer ? t->o.optimizer : "adamw") : NULL;
    t->schedule = t->optimizer ? mc_schedule_find(t->o.schedule ? t->o.schedule : "cosine") : NULL;
    if (!t->schedule) MC_TRY(mc_error_peek()->code);
    if (t->o.balance && strcmp(t->loss->name, "cross_entropy") != 0) MC_FAIL(MCOMP_ARGUMENT, "balance", "class weights go with cross_entropy");
    if (t->o.lr == 0.0) t->o.lr = t->optimizer->lr;
    if (t->o.weight_decay < 0.0) t->o.weight_decay = t->optimizer->weight_decay;
    t->total = t->o.max_steps;
    t->loss_weight = 1.0;
    MC_TRY(mc_graph_clone(&t->model, g->g));
    *out = t;
    return MCOMP_OK;
done:
    mcomp_trainer_destroy(t);
    return st;
}

void mcomp_trainer_destroy(mcomp_trainer *t)
{
    if (!t) return;
    mcomp_exec_destroy(t->exec);
    mcomp_session_destroy(t->session);
    for (int64_t i = 0; t->best.weights && i < t->step.n_vars; i++) mc_tensor_destroy(t->best.weights[i]);
    mc_free(t->best.weights);
    mc_step_free(&t->step);
    mc_trainer_free_plugs(t);
    mcomp_tensor_destroy(t->lr);
    mcomp_tensor_destroy(t->count);
    mcomp_tensor_destroy(t->key);
    mcomp_tensor_destroy(t->apply);
    mc_free(t->in);
    mc_free(t->fed);
    mc_free(t->weight);
    mc_graph_destroy(t->model);
    mc_arena_destroy(t->arena);
    mc_free(t);
}

/* ---- the step ---- */

int32_t mc_trainer_outputs(const mcomp_trainer *t, const mc_graph *g, mc_value **out, int32_t *n)
{
    *n = 0;
    for (int64_t i = 0; i < g->n_outputs && *n < MC_LOSS_OUTPUTS; i++) {
        mc_value *v = g->outputs[i];
        if (t->o.output ? strcmp(v->name, t->o.output) == 0 : mc_dtype_is_float(v->type.dtype)) out[(*n)++] = v;
    }
    if (*n > 0) return MCOMP_OK;
    return mc_fail(MCOMP_ARGUMENT, t->o.output ? t->o.output : "output", t->o.output ? "the model has no such output" : "the model has no float output");
}

static int32_t build(mcomp_trainer *t)
{
    int32_t st = MCOMP_OK;
    mc_value *out[MC_LOSS_OUTPUTS];
    const char **frozen = NULL;
    mc_step *s = &t->step;
    MC_TRY(mc_arena_split(t->arena, t->o.freeze, &frozen));
    MC_TRY(mc_step_prepare(s, t->model, frozen, t->marks, t->n_marks));
    mc_loss_site site = {.g = s->g, .out = out, .smoothing = (float)t->o.label_smoothing, .weight = t->weight, .n_weight = t->n_weight, .step = s};
    MC_TRY(mc_trainer_outputs(t, s->g, out, &site.n_out));
    MC_TRY(mc_trainer_emit_loss(t, &site));
    MC_TRY(mc_trainer_add_masks(t));
    const mc_update u = {.optimizer = t->optimizer, .weight_decay = t->o.weight_decay, .momentum = t->o.momentum, .beta1 = t->o.beta1, .beta2 = t->o.beta2,
                         .epsilon = t->o.epsilon, .clip = t->o.clip_norm, .ema = t->o.average, .accumulate = t->o.accumulate, .no_decay = t->o.no_decay,
                         .recompute = t->o.recompute, .lr_scale = t->o.lr_scale};
    MC_TRY(mc_step_finish(s, &u));
done:
    return st;
}

static int32_t control_tensor(mcomp_tensor **out, int32_t dtype, int32_t rank, int64_t n)
{
    const mc_shape s = {.rank = rank, .dim = {n}};
    mc_tensor *t = NULL;
    const int32_t st = mc_tensor_create(&t, dtype, &s);
    *out = (mcomp_tensor *)t;
    return st;
}

int32_t mc_trainer_ready(mcomp_trainer *t)
{
    int32_t st = MCOMP_OK;
    mc_step *s = &t->step;
    if (t->ready) return MCOMP_OK;
    MC_TRY(build(t));
    /* f32 by the fastest products that are as accurate. */
    const int f32 = !t->o.precision || strcmp(t->o.precision, "f32") == 0;
    const mcomp_session_options so = {.size = sizeof so, .profile = t->profile,
                                      .precision = f32 && mc_cpu_isa() >= MC_ISA_AMX ? "f32-split" : t->o.precision};
    MC_TRY(mc_session_open(&t->session, t->ctx, s->g, &so, NULL));
    if (t->session && mcomp_session_n_inputs(t->session) != s->g->n_inputs) MC_FAIL(MCOMP_INTERNAL, "train", "the session lost inputs of the step");
    MC_TRY(mcomp_exec_create(&t->exec, t->session));
    MC_TRY(control_tensor(&t->lr, MCOMP_F32, 0, 0));
    MC_TRY(control_tensor(&t->count, MCOMP_I64, 0, 0));
    MC_TRY(control_tensor(&t->apply, MCOMP_I64, 0, 0));
    MC_TRY(control_tensor(&t->key, MCOMP_I64, 1, 2));
    t->in = mc_calloc((size_t)s->g->n_inputs + 1, sizeof *t->in);
    if (!t->in) MC_TRY(MCOMP_NO_MEMORY);
    for (int64_t i = 0; i < s->n_vars; i++) t->in[s->vars[i].input] = s->vars[i].t;
    t->in[s->in_lr] = t->lr;
    t->in[s->in_step] = t->count;
    t->in[s->in_apply] = t->apply;
    if (s->in_key >= 0) t->in[s->in_key] = t->key;
    t->ready = 1;
done:
    if (st != MCOMP_OK) { /* as before: the error says why, and a second try says it again */
        mcomp_exec_destroy(t->exec);
        mcomp_session_destroy(t->session);
        t->exec = NULL;
        t->session = NULL;
        mc_step_free(s);
    }
    return st;
}

static void zero_sums(mcomp_trainer *t)
{
    for (int64_t i = 0; i < t->step.n_vars; i++) {
        const mc_variable *v = &t->step.vars[i];
        if (v->kind == MC_VAR_SUM) memset(v->t->t.data, 0, (size_t)mc_tensor_bytes(&v->t->t));
    }
}

int32_t mc_trainer_run(mcomp_trainer *t, const mc_feed_batch *b, const mcomp_tensor *target, float *loss)
{
    int32_t st = MCOMP_OK;
    const mcomp_tensor *out[2] = {NULL, NULL};
    const mc_step *s = &t->step;
    const int last = t->micro + 1 == t->o.accumulate;
    const double warmup = t->total ? floor(t->o.warmup * (double)t->total) : 0.0;
    const double factor = t->total ? mc_schedule_at(t->schedule, t->updates, t->total, (int64_t)warmup) : 1.0;
    for (int64_t i = 0; i < s->n_model_inputs; i++) t->in[i] = b->inputs[i];
    if (s->in_target >= 0) t->in[s->in_target] = target;
    *(float *)t->lr->t.data = (float)(t->o.lr * factor);
    *(int64_t *)t->count->t.data = t->updates + 1;
    *(int64_t *)t->apply->t.data = last;
    ((int64_t *)t->key->t.data)[0] = (int64_t)t->o.seed;
    ((int64_t *)t->key->t.data)[1] = t->updates * t->o.accumulate + t->micro;
    if (t->micro == 0 && t->o.accumulate > 1) zero_sums(t);
    MC_TRY(mc_trainer_feed(t, b));
    MC_TRY(mcomp_exec_run(t->exec, (int32_t)s->g->n_inputs, t->in, (int32_t)s->g->n_outputs, out));
    *loss = *(const float *)out[s->out_loss]->t.data;
    if (s->out_norm >= 0) t->last_norm = (double)*(const float *)out[s->out_norm]->t.data;
    if (!isfinite(*loss)) MC_TRY(mc_trainer_diagnose(t));
    t->micro = last ? 0 : t->micro + 1;
    t->updates += last;
    if (last && t->hook) MC_TRY(t->hook(t->hook_payload, t, t->updates));
done:
    return st;
}

int32_t mcomp_trainer_step(float *loss, mcomp_trainer *t, int32_t n_inputs, const mcomp_tensor *const *inputs, const mcomp_tensor *target)
{
    int32_t st = MCOMP_OK;
    MC_API_ENTER();
    MC_CHECK_ARG(1, loss, "loss", "is NULL");
    MC_CHECK_ARG(2, t, "t", "is NULL");
    MC_CHECK_ARG(3, n_inputs == t->model->n_inputs, "n_inputs", "is not the number of inputs of the model");
    MC_CHECK_ARG(4, inputs || n_inputs == 0, "inputs", "is NULL");
    MC_CHECK_ARG(5, target, "target", "is NULL");
    for (int32_t i = 0; i < n_inputs; i++) MC_CHECK_ARG(4, inputs[i], "inputs", "holds a NULL");
    MC_TRY(mc_trainer_ready(t));
    MC_TRY(mc_trainer_run(t, &(mc_feed_batch){.inputs = inputs}, target, loss));
done:
    return st;
}

/* ---- results ---- */

static int is_result(const mcomp_trainer *t, const mc_variable *v)
{
    if (v->kind == MC_VAR_STAT) return 1;
    if (t->step.vars[v->of].helper) return 0;
    return v->kind == (t->o.average > 0.0 ? MC_VAR_AVERAGE : MC_VAR_PARAM);
}

int32_t mc_trainer_remember(mcomp_trainer *t)
{
    int32_t st = MCOMP_OK;
    if (!t->best.weights) t->best.weights = mc_calloc((size_t)t->step.n_vars + 1, sizeof *t->best.weights);
    if (!t->best.weights) return MCOMP_NO_MEMORY;
    for (int64_t i = 0; i < t->step.n_vars; i++) {
        const mc_variable *v = &t->step.vars[i];
        if (!is_result(t, v)) continue;
        if (!t->best.weights[i]) MC_TRY(mc_tensor_copy(&t->best.weights[i], &v->t->t));
        else memcpy(t->best.weights[i]->data, v->t->t.data, (size_t)mc_tensor_bytes(&v->t->t));
    }
done:
    return st;
}

int32_t mc_trainer_weights_into(const mcomp_trainer *t, mc_graph *g, int best)
{
    int32_t st = MCOMP_OK;
    for (int64_t i = 0; i < t->step.n_vars; i++) {
        const mc_variable *v = &t->step.vars[i];
        mc_tensor *copy = NULL;
        if (!is_result(t, v)) continue;
        mc_value *to = mc_graph_find_value(g, t->step.vars[v->of].name);
        if (!to || !to->init) MC_FAIL(MCOMP_INTERNAL, v->name, "the model has no such weight");
        MC_TRY(mc_tensor_copy(&copy, best && t->best.weights ? t->best.weights[i] : &v->t->t));
        mc_tensor_destroy(to->init);
        to->init = copy;
    }
done:
    return st;
}

int32_t mcomp_trainer_graph(mcomp_graph **out, mcomp_trainer *t)
{
    int32_t st = MCOMP_OK;
    mcomp_graph *g = NULL;
    MC_API_ENTER();
    MC_CHECK_ARG(1, out, "out", "is NULL");
    *out = NULL;
    MC_CHECK_ARG(2, t, "t", "is NULL");
    MC_TRY(mc_trainer_ready(t));
    g = mc_calloc(1, sizeof *g);
    if (!g) return MCOMP_NO_MEMORY;
    g->ctx = t->ctx;
    MC_TRY(mc_graph_clone(&g->g, t->model));
    MC_TRY(mc_trainer_weights_into(t, g->g, !t->o.keep_last));
    *out = g;
    return MCOMP_OK;
done:
    mcomp_graph_destroy(g);
    return st;
}

int32_t mcomp_trainer_info_get(const mcomp_trainer *t, mcomp_trainer_info *out)
{
    MC_API_ENTER();
    MC_CHECK_ARG(1, t, "t", "is NULL");
    MC_CHECK_ARG(2, out, "out", "is NULL");
    mcomp_trainer_info i = {.size = sizeof i, .variables = (int32_t)t->step.n_vars, .parameters = t->step.parameters, .steps = t->updates};
    mcomp_plan_info p = {.size = sizeof p};
    for (int64_t k = 0; k < t->step.n_vars; k++) i.variable_bytes += mc_tensor_bytes(&t->step.vars[k].t->t);
    if (t->exec && t->updates + t->micro > 0 && mcomp_exec_plan_info(t->exec, &p) == MCOMP_OK) i.plan_bytes = p.memory_bytes;
    mc_error_clear();
    return mc_info_give(out, &i, sizeof i, 2);
}
