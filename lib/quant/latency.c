/* Paired timing of the float graph and a quantized one. */
#include "quant/latency.h"

#include <math.h>

#include "measure/measure.h"

enum { MAX_SAMPLES = 4, MIN_PAIRS = 9, MAX_PAIRS = 1500, NODE_RUNS = 12 };
#define ENOUGH_SECONDS 0.3 /* a clear difference is clear after this ... */
#define DOUBT_SECONDS 1.5  /* ... one within DOUBT of 1 after this */
#define DOUBT 0.05

struct mc_qlatency {
    mcomp_context *ctx;
    mcomp_dataset *samples;
    mcomp_session *session; /* of the float graph */
    mcomp_exec *exec;
    const mcomp_tensor **inputs, **outputs;
    int64_t n_samples;
    int32_t n_in, n_out;
    double *ratio; /* of the race that runs */
};

void mc_qlatency_close(mc_qlatency *t)
{
    if (!t) return;
    mcomp_exec_destroy(t->exec);
    mcomp_session_destroy(t->session);
    mc_free(t->inputs);
    mc_free(t->outputs);
    mc_free(t);
}

/* The first samples, or as many spread over all of them. */
static int32_t fetch(void *payload, int32_t racer, int64_t sample, const mcomp_tensor **inputs)
{
    mc_qlatency *t = payload;
    const int64_t count = mcomp_dataset_count(t->samples);
    int64_t label;
    (void)racer;
    return mcomp_dataset_get(t->samples, count <= t->n_samples ? sample : sample * (count / t->n_samples), t->n_in, inputs, &label);
}

int32_t mc_qlatency_open(mc_qlatency **out, mcomp_context *ctx, const mc_graph *g, mcomp_dataset *samples)
{
    mc_qlatency *t = NULL;
    int32_t st = MCOMP_OK;
    const int64_t count = mcomp_dataset_count(samples);
    if (count <= 0) return mc_fail(MCOMP_DATA, NULL, "there is no sample to time the quantized graph on");
    t = mc_calloc(1, sizeof *t);
    if (!t) return MCOMP_NO_MEMORY;
    *t = (mc_qlatency){.ctx = ctx, .samples = samples, .n_samples = count < MAX_SAMPLES ? count : MAX_SAMPLES,
                       .n_in = (int32_t)g->n_inputs, .n_out = (int32_t)g->n_outputs};
    t->inputs = mc_calloc((size_t)t->n_in + 1, sizeof *t->inputs);
    t->outputs = mc_calloc((size_t)t->n_out + 1, sizeof *t->outputs);
    if (!t->inputs || !t->outputs) MC_FAIL(MCOMP_NO_MEMORY, NULL, "no memory to time the graph");
    MC_TRY(mc_session_open(&t->session, ctx, g, NULL, NULL));
    MC_TRY(mcomp_exec_create(&t->exec, t->session));
    *out = t;
    t = NULL;
done:
    mc_qlatency_close(t);
    return st;
}

/* A clear difference is clear early; one near 1 takes longer. */
static int enough(void *payload, const mc_racer *r, int64_t rounds, double seconds)
{
    mc_qlatency *t = payload;
    if (rounds % 2 == 0 || seconds < ENOUGH_SECONDS) return 0;
    for (int64_t i = 0; i < rounds; i++) t->ratio[i] = r[1].ms[i] > 0.0 ? r[0].ms[i] / r[1].ms[i] : 1.0;
    return fabs(mc_race_quantile(t->ratio, rounds, 0.5) - 1.0) > DOUBT;
}

int32_t mc_qlatency_race(mc_qlatency *t, const mc_graph *g, double *ratio)
{
    mcomp_session *s = NULL;
    mcomp_exec *e = NULL;
    double *list = mc_calloc(3 * MAX_PAIRS, sizeof *list);
    int64_t rounds = 0;
    int32_t st = MCOMP_OK;
    if (!list) return MCOMP_NO_MEMORY;
    t->ratio = list + 2 * MAX_PAIRS;
    MC_TRY(mc_session_open(&s, t->ctx, g, NULL, NULL));
    MC_TRY(mcomp_exec_create(&e, s));
    mc_racer r[] = {{t->exec, t->n_in, t->n_out, list}, {e, t->n_in, t->n_out, list + MAX_PAIRS}};
    const mc_race race = {.ctx = t->ctx, .n_samples = t->n_samples, .min_rounds = MIN_PAIRS, .max_rounds = MAX_PAIRS, .seconds = DOUBT_SECONDS,
                          .fetch = fetch, .enough = enough, .payload = t};
    MC_TRY(mc_race_run(&race, 2, r, &rounds));
    for (int64_t i = 0; i < rounds; i++) t->ratio[i] = r[1].ms[i] > 0.0 ? r[0].ms[i] / r[1].ms[i] : 1.0;
    *ratio = mc_race_quantile(t->ratio, rounds, 0.5);
done:
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
    mc_free(list);
    t->ratio = NULL;
    return st;
}

/* A lowered node runs the node of that name, and those that became part of it. */
static int runs_node(const mc_node *step, const char *name)
{
    if (strcmp(step->name, name) == 0) return 1;
    for (int32_t i = 0; i < step->n_aliases; i++)
        if (strcmp(step->aliases[i], name) == 0) return 1;
    return 0;
}

static void share(const mc_qplan *p, const mc_node *step, double step_us, double *us)
{
    int64_t members = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int64_t i = 0; i < p->n_nodes; i++) {
            if (p->g->nodes[i]->dead || !p->node[i].candidate || !runs_node(step, p->g->nodes[i]->name)) continue;
            if (pass == 0) members++;
            else us[i] = (us[i] < 0.0 ? 0.0 : us[i]) + step_us / (double)members;
        }
}

int32_t mc_qlatency_nodes(mc_qlatency *t, const mc_qplan *p, const mc_graph *g, double *us)
{
    mcomp_session *s = NULL;
    mcomp_exec *e = NULL;
    mcomp_session_options o = {.size = sizeof o, .profile = 1};
    double *least = NULL, *before, ns;
    int32_t st = MCOMP_OK, n = 0;
    MC_TRY(mc_session_open(&s, t->ctx, g, &o, NULL));
    MC_TRY(mcomp_exec_create(&e, s));
    MC_TRY(fetch(t, 0, 0, t->inputs)); /* one shape: one plan */
    for (int32_t r = 0; r < NODE_RUNS; r++) {
        MC_TRY(mcomp_exec_run(e, t->n_in, t->inputs, t->n_out, t->outputs));
        if (r == 0) {
            MC_TRY(mcomp_exec_kernel_count(e, &n));
            least = mc_calloc(2 * (size_t)n + 1, sizeof *least);
            if (!least) MC_FAIL(MCOMP_NO_MEMORY, NULL, "no memory to time the nodes");
        }
        before = least + n;
        for (int32_t i = 0; i < n; i++) {
            (void)mc_exec_timed_node(e, i, &ns);
            if (r > 0 && (r == 1 || ns - before[i] < least[i])) least[i] = ns - before[i];
            before[i] = ns;
        }
    }
    for (int64_t i = 0; i < p->n_nodes; i++) us[i] = -1.0;
    for (int32_t i = 0; i < n; i++) {
        const mc_node *step = mc_exec_timed_node(e, i, &ns);
        if (step) share(p, step, least[i] / 1000.0, us);
    }
done:
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
    mc_free(least);
    return st;
}
