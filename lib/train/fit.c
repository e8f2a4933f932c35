/* The training loop: epochs over shuffled samples, validation, the best weights, early stopping, checkpoints, progress. */
#include "train/fit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double mc_fit_rate(const mc_fit *f)
{
    double sorted[257];
    const int64_t n = f->n_rate < 257 ? f->n_rate : 257;
    if (n == 0) return 0.0;
    for (int64_t i = 0; i < n; i++) sorted[i] = f->rate[f->n_rate - n + i];
    qsort(sorted, (size_t)n, sizeof *sorted, by_value);
    return sorted[n / 2];
}

/* ---- progress ---- */

static int64_t micro_batches(const mc_fit *f) { return (f->n_train + f->t->o.batch - 1) / f->t->o.batch; }

static int32_t tell(mc_fit *f, int32_t kind, double metric)
{
    const mcomp_trainer *t = f->t;
    const double done = t->total ? (double)t->updates / (double)t->total : -1.0, rate = mc_fit_rate(f);
    mcomp_train_event e = {.size = sizeof e, .kind = kind, .epoch = t->epoch + 1, .step = t->updates, .total_steps = t->total, .samples_per_second = rate,
                           .loss = f->loss_n ? f->loss_sum / (double)f->loss_n : f->last_loss, .peak_bytes = f->peak_bytes,
                           .metric = metric, .metric_name = kind == 1 ? f->metric : NULL, .path = kind == 2 ? t->o.checkpoint : NULL};
    const double warmup = floor(t->o.warmup * (double)t->total);
    e.lr = t->o.lr * mc_schedule_at(t->schedule, t->updates > 0 ? t->updates - 1 : 0, t->total, (int64_t)warmup);
    if (rate > 0.0) e.seconds_left = (double)(t->total - t->updates) * (double)(t->o.batch * t->o.accumulate) / rate;
    if (kind == 0) {
        f->loss_sum = 0.0;
        f->loss_n = 0;
    }
    int32_t st = mc_context_progress(t->ctx, "train", done);
    if (st == MCOMP_OK && t->o.progress && t->o.progress(t->o.progress_payload, &e) != 0)
        st = mc_fail(MCOMP_CANCELLED, "train", "stopped after %lld of %lld updates", (long long)t->updates, (long long)t->total);
    return st;
}

static int32_t checkpoint(mc_fit *f)
{
    if (!f->t->o.checkpoint) return MCOMP_OK;
    const int32_t st = mcomp_trainer_save(f->t, f->t->o.checkpoint);
    return st != MCOMP_OK ? st : tell(f, 2, 0.0);
}

/* ---- set-up ---- */

static int32_t lists(mc_fit *f)
{
    const int64_t n = mcomp_dataset_count(f->train_set);
    const int own = f->valid_set != f->train_set;
    const int64_t m = own ? mcomp_dataset_count(f->valid_set) : n;
    f->train_list = mc_calloc((size_t)n + 1, sizeof *f->train_list);
    f->order = mc_calloc((size_t)n + 1, sizeof *f->order);
    f->valid_list = mc_calloc((size_t)m + 1, sizeof *f->valid_list);
    if (!f->train_list || !f->order || !f->valid_list) return MCOMP_NO_MEMORY;
    for (int64_t i = 0; i < n; i++) {
        const uint64_t key = (uint64_t)i;
        if (!own && mc_hash64(&key, sizeof key, 0x76616c6964u) % 10 == 0) f->valid_list[f->n_valid++] = i;
        else f->train_list[f->n_train++] = i;
    }
    for (int64_t i = 0; own && i < m; i++) f->valid_list[f->n_valid++] = i;
    if (f->n_train == 0 || f->n_valid == 0) return mc_fail(MCOMP_DATA, "data", "%lld samples to train on, %lld to validate on", (long long)f->n_train, (long long)f->n_valid);
    return MCOMP_OK;
}

static const mc_value *scores_of(const mcomp_trainer *t)
{
    const mc_graph *g = t->model;
    for (int64_t i = 0; i < g->n_outputs; i++)
        if (t->o.output ? strcmp(g->outputs[i]->name, t->o.output) == 0 : mc_dtype_is_float(g->outputs[i]->type.dtype)) return g->outputs[i];
    return NULL;
}

static int32_t set_up(mc_fit *f)
{
    int32_t st = MCOMP_OK;
    mcomp_trainer *t = f->t;
    const mc_value *scores = scores_of(t);
    mc_metric *m = NULL;
    if (!scores) MC_FAIL(MCOMP_ARGUMENT, t->o.output ? t->o.output : "output", "the model has no such output");
    f->target_like = scores->type;
    f->metric = t->o.metric ? t->o.metric : t->loss->labels ? "accuracy" : "loss";
    MC_TRY(mc_metric_open(&m, f->metric));
    MC_TRY(mc_feed_open(&f->train, f->train_set, t->model));
    MC_TRY(mc_feed_open(&f->valid, f->valid_set, t->model));
    MC_TRY(lists(f));
    if (t->o.balance && !t->ready) MC_TRY(mc_fit_balance(f));
    MC_TRY(mc_trainer_ready(t));
    const int64_t updates = t->o.epochs * micro_batches(f) / t->o.accumulate;
    if (!t->o.max_steps) t->total = updates > 0 ? updates : 1;
    if (t->o.resume && access(t->o.checkpoint, F_OK) == 0) {
        const int64_t total = t->total;
        MC_TRY(mcomp_trainer_load(t, t->o.checkpoint));
        if (t->total != total) MC_FAIL(MCOMP_DATA, t->o.checkpoint, "the checkpoint is of a training with %lld updates, this one has %lld", (long long)t->total, (long long)total);
    }
done:
    mc_metric_close(m);
    return st;
}

/* The plan of a full batch, before anything runs. */
static int32_t plan(mc_fit *f)
{
    int32_t st = MCOMP_OK;
    mcomp_trainer *t = f->t;
    const int64_t n = f->n_train < t->o.batch ? f->n_train : t->o.batch;
    mcomp_trainer_info i = {.size = sizeof i};
    uint64_t block = 0;
    MC_TRY(mc_feed_get(&f->train, f->train_list, n, t->loss->labels, &f->target_like));
    for (int64_t k = 0; k < t->step.n_model_inputs; k++) t->in[k] = f->train.in[k];
    if (t->step.in_target >= 0) t->in[t->step.in_target] = f->train.target;
    MC_TRY(mc_exec_prepare(t->exec, t->in, &block));
    MC_TRY(mcomp_trainer_info_get(t, &i));
    f->peak_bytes = block + i.variable_bytes;
    MC_TRY(tell(f, 3, 0.0));
done:
    return st;
}

/* ---- the loop ---- */

static int32_t one_step(mc_fit *f)
{
    int32_t st = MCOMP_OK;
    mcomp_trainer *t = f->t;
    const int64_t left = f->n_train - t->position, n = left < t->o.batch ? left : t->o.batch, before = t->updates;
    float loss = 0.0f;
    MC_TRY(mc_feed_get(&f->train, f->order + t->position, n, t->loss->labels, &f->target_like));
    const int64_t start = mc_clock_ns();
    MC_TRY(mc_trainer_run(t, (const mcomp_tensor *const *)f->train.in, f->train.target, &loss));
    const double seconds = (double)(mc_clock_ns() - start) * 1e-9;
    t->position += n;
    MC_TRY(mc_grow(&f->rate, &f->cap_rate, f->n_rate + 1, sizeof *f->rate));
    if (n == t->o.batch && seconds > 0.0) f->rate[f->n_rate++] = (double)n / seconds;
    f->last_loss = (double)loss;
    f->loss_sum += (double)loss;
    f->loss_n++;
    if (t->updates > before && t->o.checkpoint_every && t->updates % t->o.checkpoint_every == 0 && t->position < f->n_train) MC_TRY(checkpoint(f));
    if (t->updates > before) MC_TRY(tell(f, 0, 0.0));
done:
    return st;
}

/* After an epoch. *stop: nothing better has come for `patience` validations. */
static int32_t judge(mc_fit *f, int *stop)
{
    int32_t st = MCOMP_OK;
    mcomp_trainer *t = f->t;
    double metric = 0.0;
    MC_TRY(mc_fit_validate(f, &metric));
    const int better = !t->best.weights || (mc_metric_lower_is_better(f->metric) ? metric < t->best.metric : metric > t->best.metric);
    t->best.since = better ? 0 : t->best.since + 1;
    if (better) {
        t->best.metric = metric;
        t->best.epoch = t->epoch + 1;
        t->best.step = t->updates;
        MC_TRY(mc_trainer_remember(t));
    }
    *stop = t->o.patience > 0 && t->best.since >= t->o.patience;
    MC_TRY(tell(f, 1, metric));
done:
    return st;
}

static int32_t epochs(mc_fit *f)
{
    int32_t st = MCOMP_OK;
    mcomp_trainer *t = f->t;
    int stop = t->o.patience > 0 && t->best.since >= t->o.patience;
    while (!stop && t->epoch < t->o.epochs && t->updates < t->total) {
        memcpy(f->order, f->train_list, (size_t)f->n_train * sizeof *f->order);
        if (!t->o.no_shuffle) mc_feed_shuffle(f->order, f->n_train, t->o.seed, (uint64_t)t->epoch);
        while (t->position < f->n_train && t->updates < t->total) MC_TRY(one_step(f));
        MC_TRY(judge(f, &stop));
        t->epoch++;
        t->position = 0;
        MC_TRY(checkpoint(f));
    }
    f->stopped_early = stop;
done:
    return st;
}

static void result_of(const mc_fit *f, mcomp_train_result *r)
{
    const mcomp_trainer *t = f->t;
    uint64_t best = 0;
    for (int64_t i = 0; t->best.weights && i < t->step.n_vars; i++)
        if (t->best.weights[i]) best += mc_tensor_bytes(t->best.weights[i]);
    *r = (mcomp_train_result){.size = r->size, .stopped_early = f->stopped_early, .best_epoch = t->best.epoch, .best_step = t->best.step, .epochs = t->epoch,
                              .steps = t->updates, .best_metric = t->best.metric, .last_loss = f->last_loss, .samples_per_second = mc_fit_rate(f),
                              .peak_bytes = f->peak_bytes + best};
}

static void close_fit(mc_fit *f)
{
    mc_feed_close(&f->train);
    mc_feed_close(&f->valid);
    mc_free(f->train_list);
    mc_free(f->valid_list);
    mc_free(f->order);
    mc_free(f->rate);
}

int32_t mcomp_trainer_fit(mcomp_train_result *result, mcomp_trainer *t, mcomp_dataset *train, mcomp_dataset *valid)
{
    int32_t st = MCOMP_OK;
    mc_fit f = {.t = t, .train_set = train, .valid_set = valid ? valid : train};
    MC_API_ENTER();
    MC_CHECK_ARG(1, !result || result->size >= sizeof *result, "result", "its size is not set");
    MC_CHECK_ARG(2, t, "t", "is NULL");
    MC_CHECK_ARG(3, train, "train", "is NULL");
    MC_TRY(set_up(&f));
    MC_TRY(plan(&f));
    MC_TRY(epochs(&f));
done:
    if (st == MCOMP_CANCELLED && t->ready && t->o.checkpoint) { /* nothing of the work is lost; the reason stays in the record */
        const mcomp_error why = *mc_error_peek();
        const int32_t saved = mcomp_trainer_save(t, t->o.checkpoint);
        if (saved == MCOMP_OK) mc_error_restore(&why);
        else st = saved;
    }
    if (result && (st == MCOMP_OK || st == MCOMP_CANCELLED || st == MCOMP_DIVERGED)) result_of(&f, result);
    close_fit(&f);
    return st;
}
