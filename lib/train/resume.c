/* A trainer's state to a checkpoint and back: variables, the best weights, counters, the data cursor. Random numbers need no state of their
 * own: they follow from the seed and the counters. */
#include "train/trainer.h"

#include <stdio.h>

static int32_t collect(mcomp_trainer *t, mc_ckpt_item **out, int64_t *n)
{
    const int64_t vars = t->step.n_vars;
    mc_ckpt_item *items = mc_calloc((size_t)(2 * vars + 1), sizeof *items);
    *n = 0;
    *out = items;
    if (!items) return MCOMP_NO_MEMORY;
    for (int64_t i = 0; i < vars; i++)
        for (int best = 0; best < 2; best++) {
            mc_tensor *x = best ? (t->best.weights ? t->best.weights[i] : NULL) : &t->step.vars[i].t->t;
            if (!x) continue;
            mc_ckpt_item *item = &items[(*n)++];
            const int len = snprintf(item->name, sizeof item->name, "%s%s", best ? "best:" : "", t->step.vars[i].name);
            if (len < 0 || (size_t)len >= sizeof item->name) /* long names: their place, which does not change either */
                snprintf(item->name, sizeof item->name, "%s%.200s#%lld", best ? "best:" : "", t->step.vars[i].name, (long long)i);
            item->t = x;
        }
    return MCOMP_OK;
}

static const char *const counters[] = {"updates", "micro", "epoch", "index", "total", "seed", "batch", "accumulate", "best_epoch", "best_step", "best_since", "data", "best_n"};
enum { N_COUNTERS = 13 };

static int64_t *counter(mcomp_trainer *t, int i, int64_t *copy)
{
    int64_t *const own[] = {&t->updates, &t->micro, &t->cursor.epoch, &t->cursor.index, &t->total, NULL, NULL, NULL, &t->best.epoch, &t->best.step, &t->best.since,
                            (int64_t *)(void *)&t->cursor.fingerprint, &t->best.metric.n};
    if (i == 5) *copy = (int64_t)t->o.seed;
    if (i == 6) *copy = t->o.batch;
    if (i == 7) *copy = t->o.accumulate;
    return own[i] ? own[i] : copy;
}

static const char *const measures[] = {"best_metric", "best_lo", "best_hi"};
static double *measure(mcomp_trainer *t, int i) { return i == 0 ? &t->best.metric.value : i == 1 ? &t->best.metric.lo : &t->best.metric.hi; }

/* Measures go by their bits: digits would round the best metric, and an equal one of a later epoch would then count as better, or not. */
static int64_t bits_of(double v)
{
    int64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

static void read_measure(const mc_json *j, double *v)
{
    int64_t bits = 0;
    if (mc_json_int(j, &bits)) memcpy(v, &bits, sizeof bits);
    else (void)mc_json_number(j, v); /* a checkpoint written as digits */
}

static const char *precision(const mcomp_trainer *t) { return t->o.precision ? t->o.precision : "f32"; }

int32_t mcomp_trainer_save(mcomp_trainer *t, const char *path)
{
    int32_t st = MCOMP_OK;
    mc_json *state = NULL;
    mc_ckpt_item *items = NULL;
    int64_t n = 0, copy = 0;
    MC_API_ENTER();
    MC_CHECK_ARG(1, t, "t", "is NULL");
    MC_CHECK_ARG(2, path, "path", "is NULL");
    MC_TRY(mc_trainer_ready(t));
    state = mc_json_object();
    if (!state) MC_TRY(MCOMP_NO_MEMORY);
    for (int i = 0; i < N_COUNTERS; i++) MC_TRY(mc_json_set_int(state, counters[i], *counter(t, i, &copy)));
    MC_TRY(mc_json_set_string(state, "precision", precision(t)));
    MC_TRY(mc_json_set_int(state, "has_best", t->best.weights != NULL));
    for (int i = 0; i < 3; i++) MC_TRY(mc_json_set_int(state, measures[i], bits_of(*measure(t, i))));
    MC_TRY(collect(t, &items, &n));
    MC_TRY(mc_checkpoint_write(path, state, n, items));
done:
    mc_json_destroy(state);
    mc_free(items);
    return st;
}

/* What the run depends on must be what it was. */
static int32_t check_state(const mcomp_trainer *t, const mc_json *state, const char *path)
{
    int64_t v = 0;
    const int64_t now[] = {(int64_t)t->o.seed, t->o.batch, t->o.accumulate};
    for (int i = 0; i < N_COUNTERS; i++)
        if (!mc_json_int(mc_json_get(state, counters[i]), &v)) return mc_fail(MCOMP_FORMAT, path, "the checkpoint lacks \"%s\"", counters[i]);
    for (int i = 0; i < 3; i++) {
        (void)mc_json_int(mc_json_get(state, counters[5 + i]), &v);
        if (v == now[i]) continue;
        (void)mc_fail(MCOMP_DATA, path, "the checkpoint was written with %s %lld, now it is %lld", counters[5 + i], (long long)v, (long long)now[i]);
        return mc_fail_hint("resume with the same options, or start afresh without the checkpoint");
    }
    const char *was = mc_json_string(mc_json_get(state, "precision"));
    if (!was) was = "f32"; /* written before there was a choice */
    if (strcmp(was, precision(t)) == 0) return MCOMP_OK;
    (void)mc_fail(MCOMP_DATA, path, "the checkpoint was written with precision %.8s, now it is %s", was, precision(t));
    return mc_fail_hint("resume with the same options, or start afresh without the checkpoint");
}

int32_t mcomp_trainer_load(mcomp_trainer *t, const char *path)
{
    int32_t st = MCOMP_OK;
    mc_json *state = NULL;
    mc_ckpt_item *items = NULL;
    int64_t n = 0, has_best = 0, copy = 0;
    int had_best = 0;
    MC_API_ENTER();
    MC_CHECK_ARG(1, t, "t", "is NULL");
    MC_CHECK_ARG(2, path, "path", "is NULL");
    MC_TRY(mc_trainer_ready(t));
    MC_TRY(mc_checkpoint_read(path, &state, 0, NULL)); /* the state alone: are there best weights? */
    MC_TRY(check_state(t, state, path));
    (void)mc_json_int(mc_json_get(state, "has_best"), &has_best);
    had_best = t->best.weights != NULL;
    if (has_best) MC_TRY(mc_trainer_remember(t)); /* makes room; a failure below leaves them as the current ones */
    mc_json_destroy(state);
    state = NULL;
    MC_TRY(collect(t, &items, &n));
    MC_TRY(mc_checkpoint_read(path, &state, n, items));
    for (int i = 0; i < N_COUNTERS; i++) (void)mc_json_int(mc_json_get(state, counters[i]), counter(t, i, &copy));
    for (int i = 0; i < 3; i++) read_measure(mc_json_get(state, measures[i]), measure(t, i));
done:
    if (st != MCOMP_OK && !had_best && t->best.weights) {
        for (int64_t i = 0; i < t->step.n_vars; i++) mc_tensor_destroy(t->best.weights[i]);
        mc_free(t->best.weights);
        t->best.weights = NULL;
    }
    mc_json_destroy(state);
    mc_free(items);
    return st;
}
