/* Paired timing of the float graph and a quantized one. */
#include "quant/latency.h"

#include <math.h>
#include <stdlib.h>

#include "runtime/runtime.h"

enum { MAX_SAMPLES = 4, WARM_UP = 3, MIN_PAIRS = 9, MAX_PAIRS = 1500, NODE_RUNS = 12 };
#define ENOUGH_NS 300000000ll  /* a clear difference is clear after this ... */
#define DOUBT_NS 1500000000ll  /* ... one within DOUBT of 1 after this */
#define DOUBT 0.05

struct mc_qlatency {
    mcomp_context *ctx;
    mcomp_dataset *samples;
    mcomp_session *session; /* of the float graph */
    mcomp_exec *exec;
    const mcomp_tensor **inputs, **outputs;
    int64_t n_samples;
    int32_t n_in, n_out;
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

static int32_t fetch(mc_qlatency *t, int64_t i)
{
    const int64_t count = mcomp_dataset_count(t->samples), k = i % t->n_samples;
    int64_t label;
    int32_t st = MCOMP_OK;
    MC_TRY(mc_context_poll(t->ctx));
    MC_TRY(mcomp_dataset_get(t->samples, count <= t->n_samples ? k : k * (count / t->n_samples), t->n_in, t->inputs, &label));
done:
    return st;
}

static int32_t timed(mc_qlatency *t, mcomp_exec *e, double *ns)
{
    const int64_t start = mc_clock_ns();
    const int32_t st = mcomp_exec_run(e, t->n_in, t->inputs, t->n_out, t->outputs);
    *ns = (double)(mc_clock_ns() - start);
    return st;
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

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(const double *list, int64_t n, double *copy)
{
    memcpy(copy, list, sizeof *list * (size_t)n);
    qsort(copy, (size_t)n, sizeof *copy, ascending);
    return n % 2 ? copy[n / 2] : 0.5 * (copy[n / 2 - 1] + copy[n / 2]);
}

static int32_t race(mc_qlatency *t, mcomp_exec *e, double *list, double *copy, double *ratio)
{
    double ns[2], spent = 0.0;
    int64_t n = 0;
    int32_t st = MCOMP_OK;
    const int64_t warm = t->n_samples > WARM_UP ? t->n_samples : WARM_UP;
    for (int64_t i = 0; i < warm; i++) { /* plans of every shape are compiled here */
        MC_TRY(fetch(t, i));
        MC_TRY(timed(t, t->exec, &ns[0]));
        MC_TRY(timed(t, e, &ns[1]));
    }
    while (n < MAX_PAIRS) {
        MC_TRY(fetch(t, n));
        const int first = n % 2 != 0;
        MC_TRY(timed(t, first ? e : t->exec, &ns[first]));
        MC_TRY(timed(t, first ? t->exec : e, &ns[!first]));
        list[n++] = ns[1] > 0.0 ? ns[0] / ns[1] : 1.0;
        spent += ns[0] + ns[1];
        if (n < MIN_PAIRS || n % 2 == 0 || spent < (double)ENOUGH_NS) continue;
        if (spent >= (double)DOUBT_NS || fabs(median(list, n, copy) - 1.0) > DOUBT) break;
    }
    *ratio = median(list, n, copy);
done:
    return st;
}

int32_t mc_qlatency_race(mc_qlatency *t, const mc_graph *g, double *ratio)
{
    mcomp_session *s = NULL;
    mcomp_exec *e = NULL;
    double *list = mc_calloc(2 * MAX_PAIRS, sizeof *list);
    int32_t st = MCOMP_OK;
    if (!list) return MCOMP_NO_MEMORY;
    MC_TRY(mc_session_open(&s, t->ctx, g, NULL, NULL));
    MC_TRY(mcomp_exec_create(&e, s));
    MC_TRY(race(t, e, list, list + MAX_PAIRS, ratio));
done:
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
    mc_free(list);
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
    MC_TRY(fetch(t, 0)); /* one shape: one plan */
    for (int32_t r = 0; r < NODE_RUNS; r++) {
        MC_TRY(timed(t, e, &ns));
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
