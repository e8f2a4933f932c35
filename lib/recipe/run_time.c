/* All files of a run timed in turn on the same samples of data.eval, at the target's batch and threads. */
#include "recipe/run.h"

#define SAMPLES 16
#define ROUNDS 2000
#define SECONDS 1.0 /* a file */

typedef struct lane { /* one file's inputs and its exec */
    mcomp_session *session;
    mcomp_exec *exec;
    mc_tensor *in[SAMPLES][MC_OP_MAX_IO];
    int32_t n_in;
    int64_t n;
} lane;

static void close_lane(lane *l)
{
    mcomp_exec_destroy(l->exec);
    mcomp_session_destroy(l->session);
    for (int64_t i = 0; i < l->n; i++)
        for (int32_t k = 0; k < l->n_in; k++) mc_tensor_destroy(l->in[i][k]);
}

static int32_t one_by_one(lane *l, mcomp_dataset *d)
{
    int32_t st = MCOMP_OK;
    const mcomp_tensor *in[MC_OP_MAX_IO];
    for (int64_t i = 0; i < SAMPLES && i < mcomp_dataset_count(d); i++) {
        MC_TRY(mcomp_dataset_get(d, i, l->n_in, in, NULL));
        l->n = i + 1;
        for (int32_t k = 0; k < l->n_in; k++) MC_TRY(mc_tensor_copy(&l->in[i][k], &in[k]->t));
    }
done:
    return st;
}

static int32_t in_batches(const mc_run *r, lane *l, mcomp_dataset *d, int64_t batch)
{
    int32_t st = MCOMP_OK;
    mc_loader *loader = NULL;
    mc_loader_options o = mc_loader_defaults();
    const char *objective;
    MC_TRY(mc_run_objective(r, &objective));
    MC_TRY(mc_objective_find(objective, &o.objective));
    o.batch = batch;
    o.shuffle = o.bucket = 0;
    o.drop_last = 1;
    MC_TRY(mc_loader_open(&loader, d, &o));
    while (l->n < SAMPLES) {
        mc_batch b;
        MC_TRY(mc_loader_next(loader, &b));
        if (b.n == 0) break;
        l->n++;
        for (int32_t k = 0; k < l->n_in; k++) MC_TRY(mc_tensor_copy(&l->in[l->n - 1][k], b.inputs[k]));
    }
    if (l->n == 0) st = mc_recipe_fail(r->recipe, MCOMP_RECIPE, r->recipe->target, "batch", "data.eval has %lld samples, and a batch needs %lld", (long long)mcomp_dataset_count(d), (long long)batch);
done:
    mc_loader_close(loader);
    return st;
}

static int32_t open_lane(const mc_run *r, lane *l, mc_run_stage *s)
{
    int32_t st = MCOMP_OK;
    mcomp_session_options o;
    const int64_t batch = mc_section_int(r->recipe->target, "batch");
    l->n_in = (int32_t)s->g->g->n_inputs;
    if (l->n_in > MC_OP_MAX_IO) return mc_fail(MCOMP_LIMIT, s->name, "more than %d inputs", MC_OP_MAX_IO);
    for (int64_t i = 0; i < s->g->g->n_inputs && batch > 1; i++) {
        const mc_type *t = &s->g->g->inputs[i]->type;
        if (t->rank > 0 && t->dim[0] >= 0 && t->dim[0] != batch)
            return mc_recipe_fail(r->recipe, MCOMP_RECIPE, r->recipe->target, "batch", "input %s of %s takes %lld samples at a time", s->g->g->inputs[i]->name, s->name, (long long)t->dim[0]);
    }
    MC_TRY(mcomp_session_options_init(&o, sizeof o));
    o.threads = mc_section_has(r->recipe->target, "threads") ? (int32_t)mc_section_int(r->recipe->target, "threads") : 0;
    MC_TRY(mcomp_session_create(&l->session, r->ctx, s->g, &o));
    MC_TRY(mcomp_exec_create(&l->exec, l->session));
    st = batch > 1 ? in_batches(r, l, s->data->eval, batch) : one_by_one(l, s->data->eval);
done:
    return st;
}

static int32_t fetch(void *payload, int32_t racer, int64_t sample, const mcomp_tensor **inputs)
{
    const lane *l = (const lane *)payload + racer;
    for (int32_t k = 0; k < l->n_in; k++) inputs[k] = (const mcomp_tensor *)l->in[sample][k];
    return MCOMP_OK;
}

int32_t mc_run_race(mc_run *r)
{
    int32_t st = MCOMP_OK;
    const int32_t n = r->n_stages;
    lane *l = mc_calloc((size_t)n, sizeof *l);
    mc_racer *racers = mc_calloc((size_t)n, sizeof *racers);
    mc_race race = {.ctx = r->ctx, .n_samples = SAMPLES, .min_rounds = 10, .max_rounds = ROUNDS, .seconds = SECONDS * n, .fetch = fetch, .payload = l};
    if (!l || !racers) MC_TRY(MCOMP_NO_MEMORY);
    MC_TRY(mc_context_progress(r->ctx, "time", 0.0));
    for (int32_t i = 0; i < n; i++) {
        MC_TRY(open_lane(r, &l[i], &r->stage[i]));
        if (l[i].n < race.n_samples) race.n_samples = l[i].n;
        if (!(r->stage[i].ms = mc_calloc(ROUNDS, sizeof *r->stage[i].ms))) MC_TRY(MCOMP_NO_MEMORY);
        racers[i] = (mc_racer){l[i].exec, l[i].n_in, (int32_t)r->stage[i].g->g->n_outputs, r->stage[i].ms};
    }
    MC_TRY(mc_race_run(&race, n, racers, &r->rounds));
    for (int32_t i = 0; i < n; i++) {
        r->stage[i].p50 = mc_race_quantile(r->stage[i].ms, r->rounds, 0.5);
        r->stage[i].p90 = mc_race_quantile(r->stage[i].ms, r->rounds, 0.9);
    }
    MC_TRY(mc_context_progress(r->ctx, "time", 1.0));
done:
    for (int32_t i = 0; l && i < n; i++) close_lane(&l[i]);
    mc_free(l);
    mc_free(racers);
    return st;
}
