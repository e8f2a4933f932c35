/* The training loop: epochs over shuffled samples, validation, the best weights, early stopping, checkpoints, progress. */
#include "train/fit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double mc_fit_rate(const mc_fit *f)
{
    double sorted[MC_RATES];
    const int64_t n = f->n_rate < MC_RATES ? f->n_rate : MC_RATES;
    if (n == 0) return 0.0;
    memcpy(sorted, f->rate, (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, by_value);
    return sorted[n / 2];
}

/* ---- progress ---- */

static int32_t tell(mc_fit *f, int32_t kind, double metric)
{
    const mcomp_trainer *t = f->t;
    const double done = t->total ? (double)t->updates / (double)t->total : -1.0, rate = mc_fit_rate(f);
    mcomp_train_event e = {.size = sizeof e, .kind = kind, .epoch = t->cursor.epoch + 1, .step = t->updates, .total_steps = t->total, .samples_per_second = rate,
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

static int32_t next(mc_fit *f, mc_batch *b, const mc_tensor **target)
{
    int32_t st = mc_loader_next(f->train, b);
    if (st == MCOMP_OK && b->n > 0 && f->t->step.in_target >= 0) st = mc_fit_target(f, b, target); /* the loss may be a teacher's alone */
    return st;
}

/* The plan of the first batch that will run, before anything runs. */
static int32_t plan(mc_fit *f)
{
    int32_t st = MCOMP_OK;
    mcomp_trainer *t = f->t;
    mcomp_trainer_info i = {.size = sizeof i};
    const mc_tensor *target = NULL;
    uint64_t block = 0;
    mc_batch b;
    MC_TRY(next(f, &b, &target));
    if (b.n == 0) MC_TRY(next(f, &b, &target));
    for (int64_t k = 0; k < t->step.n_model_inputs; k++) t->in[k] = (const mcomp_tensor *)b.inputs[k];
    if (t->step.in_target >= 0) t->in[t->step.in_target] = (const mcomp_tensor *)target;
    MC_TRY(mc_trainer_feed(t, &(mc_feed_batch){(const mcomp_tensor *const *)b.inputs, b.samples, b.n}));
    MC_TRY(mc_exec_prepare(t->exec, t->in, &block));
    MC_TRY(mcomp_trainer_info_get(t, &i));
    f->peak_bytes = block + i.variable_bytes;
    MC_TRY(mc_loader_seek(f->train, &t->cursor));
    MC_TRY(tell(f, 3, 0.0));
done:
    return st;
}

/* ---- the loop ---- */

static int32_t one_step(mc_fit *f, const mc_batch *b, const mc_tensor *target)
{
    int32_t st = MCOMP_OK;
    mcomp_trainer *t = f->t;
    const int64_t before = t->updates, start = mc_clock_ns();
    float loss = 0.0f;
    const mc_feed_batch batch = {(const mcomp_tensor *const *)b->inputs, b->samples, b->n};
    MC_TRY(mc_trainer_run(t, &batch, (const mcomp_tensor *)target, &loss));
    const double seconds = (double)(mc_clock_ns() - start) * 1e-9;
    if (b->n == t->o.batch && seconds > 0.0) f->rate[f->n_rate++ % MC_RATES] = (double)b->n / seconds;
    mc_loader_tell(f->train, &t->cursor);
    f->last_loss = (double)loss;
    f->loss_sum += (double)loss;
    f->loss_n++;
    if (t->updates == before) return MCOMP_OK;
    if (t->o.checkpoint_every && t->updates % t->o.checkpoint_every == 0 && t->cursor.index < mc_loader_batches(f->train)) MC_TRY(checkpoint(f));
    MC_TRY(tell(f, 0, 0.0));
done:
    return st;
}

/* After an epoch. *stop: nothing better has come for `patience` validations. */
static int32_t judge(mc_fit *f, int *stop)
{
    int32_t st = MCOMP_OK;
    mcomp_trainer *t = f->t;
    mc_measured metric = {0};
    MC_TRY(mc_fit_validate(f, &metric));
    const int counts = (double)t->updates >= t->best_after * (double)t->total - 1e-9;
    const int better = counts && (!t->best.weights || (mc_metric_lower_is_better(f->metric) ? metric.value < t->best.metric.value : metric.value > t->best.metric.value));
    t->best.since = better || !counts ? 0 : t->best.since + 1;
    if (better) {
        t->best.metric = metric;
        t->best.epoch = t->cursor.epoch + 1;
        t->best.step = t->updates;
        MC_TRY(mc_trainer_remember(t));
    }
    *stop = t->o.patience > 0 && t->best.since >= t->o.patience;
    MC_TRY(tell(f, 1, metric.value));
done:
    return st;
}

static int32_t epochs(mc_fit *f)
{
    int32_t st = MCOMP_OK;
    mcomp_trainer *t = f->t;
    int stop = t->o.patience > 0 && t->best.since >= t->o.patience;
    while (!stop && t->cursor.epoch < t->o.epochs && t->updates < t->total) {
        const mc_tensor *target = NULL;
        mc_batch b;
        MC_TRY(next(f, &b, &target));
        if (b.n > 0) MC_TRY(one_step(f, &b, target));
        if (b.n > 0 && t->updates < t->total) continue;
        MC_TRY(judge(f, &stop)); /* the epoch is over, or the training */
        if (b.n > 0) break;
        mc_loader_tell(f->train, &t->cursor);
        MC_TRY(checkpoint(f));
    }
    if (t->updates >= t->total && t->cursor.index > 0) { /* the last epoch ends with the last update: the next one would begin */
        t->cursor.epoch++;
        t->cursor.index = 0;
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
    const mc_measured *m = &t->best.metric;
    const mcomp_train_result i = {.size = sizeof i, .stopped_early = f->stopped_early, .best_epoch = t->best.epoch, .best_step = t->best.step, .epochs = t->cursor.epoch,
                                  .steps = t->updates, .best_metric = m->value, .best_lo = m->lo, .best_hi = m->hi, .best_n = m->n,
                                  .last_loss = f->last_loss, .samples_per_second = mc_fit_rate(f), .peak_bytes = f->peak_bytes + best};
    (void)mc_info_give(r, &i, sizeof i, 1);
}

int32_t mcomp_trainer_fit(mcomp_train_result *result, mcomp_trainer *t, mcomp_dataset *train, mcomp_dataset *valid)
{
    int32_t st = MCOMP_OK;
    mc_fit f = {.t = t, .train_set = train, .valid_set = valid ? valid : train};
    MC_API_ENTER();
    MC_CHECK_ARG(1, !result || mc_info_sized(result), "result", "its size is not set");
    MC_CHECK_ARG(2, t, "t", "is NULL");
    MC_CHECK_ARG(3, train, "train", "is NULL");
    MC_TRY(mc_fit_open(&f));
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
    mc_fit_close(&f);
    return st;
}
