/* From a target to a sparsity: multiply-accumulates are counted, latency is measured, both on trial models. */
#include "prune/pruner.h"

#include "measure/measure.h"

#define MOST 0.95   /* no more than this of a site */
#define ROUNDS 12   /* of halving the interval */
#define RUNS 30     /* of a model that is timed */

typedef struct timed {
    const mcomp_pruner *p;
    mcomp_dataset *d;
} timed;

int32_t mc_pruner_trial(mcomp_pruner *p, double sparsity, mc_graph **out)
{
    int32_t st = MCOMP_OK;
    mc_prune_state s = {0};
    const mc_prune_source src = {0};
    const mc_criterion *own = p->plan.criterion;
    *out = NULL;
    if (own->moments) p->plan.criterion = mc_criterion_find("l2"); /* sizes are the same, and gradients are not there yet */
    MC_TRY(mc_prune_state_make(&s, &p->plan));
    MC_TRY(mc_prune_score(&s, &p->plan, &src));
    MC_TRY(mc_prune_select(&s, &p->plan, sparsity, p->o.global));
    MC_TRY(mc_graph_clone(out, p->g));
    MC_TRY(mc_prune_shrink(*out, &p->plan, &s));
done:
    p->plan.criterion = own;
    mc_prune_state_free(&s, &p->plan);
    if (st != MCOMP_OK) {
        mc_graph_destroy(*out);
        *out = NULL;
    }
    return st;
}

/* Multiply-accumulates of the nodes that read the sites' weights, and of the model. */
static int32_t site_macs(const mcomp_pruner *p, double *by_site, double *total)
{
    int32_t st = MCOMP_OK;
    double *by_node = mc_calloc((size_t)p->g->n_nodes + 1, sizeof *by_node);
    if (!by_node) return MCOMP_NO_MEMORY;
    MC_TRY(mc_count_macs(p->g, 1, total));
    MC_TRY(mc_count_node_macs(p->g, 1, by_node));
    for (int64_t k = 0; k < p->plan.n; k++) {
        const mc_value *w = p->plan.sites[k].weight;
        by_site[k] = 0.0;
        for (int64_t i = 0; w && i < w->n_uses; i++) by_site[k] += by_node[w->uses[i].node->id];
    }
done:
    mc_free(by_node);
    return st;
}

int32_t mc_pruner_macs(const mcomp_pruner *p, const mc_graph *g, const mc_prune_state *s, double *macs)
{
    int32_t st = MCOMP_OK;
    double *by_site = NULL;
    if (p->plan.pattern->kind == MC_PRUNE_UNITS || !s) return mc_count_macs(g, 1, macs);
    by_site = mc_calloc((size_t)p->plan.n + 1, sizeof *by_site);
    if (!by_site) return MCOMP_NO_MEMORY;
    MC_TRY(site_macs(p, by_site, macs));
    for (int64_t k = 0; k < p->plan.n; k++) {
        int64_t gone = 0;
        for (int64_t i = 0; i < p->plan.sites[k].granules; i++) gone += s->gone[k][i];
        *macs -= by_site[k] * (double)gone / (double)p->plan.sites[k].granules;
    }
done:
    mc_free(by_site);
    return st;
}

static int32_t first_sample(void *payload, int32_t racer, int64_t sample, const mcomp_tensor **inputs)
{
    const mcomp_pruner *p = ((const timed *)payload)->p;
    (void)racer;
    return mcomp_dataset_get(((const timed *)payload)->d, sample, (int32_t)p->g->n_inputs, inputs, NULL);
}

/* Median of RUNS runs of the first sample, after a warm-up. */
static int32_t latency(const mcomp_pruner *p, mc_graph *g, mcomp_dataset *d, double *ms)
{
    int32_t st = MCOMP_OK;
    mcomp_session *s = NULL;
    mcomp_exec *e = NULL;
    double t[RUNS];
    int64_t rounds;
    timed payload = {p, d};
    MC_TRY(mc_session_open(&s, p->ctx, g, NULL, NULL));
    MC_TRY(mcomp_exec_create(&e, s));
    mc_racer r = {e, (int32_t)g->n_inputs, (int32_t)g->n_outputs, t};
    const mc_race race = {.ctx = p->ctx, .n_samples = 1, .min_rounds = RUNS, .max_rounds = RUNS, .fetch = first_sample, .payload = &payload};
    MC_TRY(mc_race_run(&race, 1, &r, &rounds));
    *ms = mc_race_quantile(t, rounds, 0.5);
done:
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
    return st;
}

/* How far a trial is from the target: not above 0 when it is reached. */
static int32_t excess(mcomp_pruner *p, double sparsity, double before, mcomp_dataset *d, double *over, double *value)
{
    mc_graph *g = NULL;
    int32_t st = mc_pruner_trial(p, sparsity, &g);
    if (st != MCOMP_OK) return st;
    const double limit = p->o.macs > 0.0 ? (1.0 - p->o.macs) * before : p->o.latency_ms;
    st = p->o.macs > 0.0 ? mc_count_macs(g, 1, value) : latency(p, g, d, value);
    *over = *value - limit * (1.0 + 1e-9);
    mc_graph_destroy(g);
    return st;
}

static int32_t missed(mcomp_pruner *p, double value, double before)
{
    p->sparsity = MOST;
    if (p->o.macs > 0.0)
        (void)mc_fail(MCOMP_TARGET_MISSED, "macs", "%.1f %% of the multiply-accumulates cannot be removed by %s: %.1f %% is the most", p->o.macs * 100.0, p->plan.pattern->name, 100.0 * (1.0 - value / before));
    else
        (void)mc_fail(MCOMP_TARGET_MISSED, "latency_ms", "%g ms are not reached by %s: the smallest model takes %.4g ms", p->o.latency_ms, p->plan.pattern->name, value);
    return mc_fail_hint("the result is the smallest model; another pattern, or fewer layers in keep, may go further");
}

static int32_t for_units(mcomp_pruner *p, mcomp_dataset *d)
{
    int32_t st = MCOMP_OK;
    double low = 0.0, high = MOST, over, value, before;
    MC_TRY(mc_count_macs(p->g, 1, &before));
    MC_TRY(excess(p, high, before, d, &over, &value));
    if (over > 0.0) return missed(p, value, before);
    for (int i = 0; i < ROUNDS; i++) {
        const double mid = 0.5 * (low + high);
        MC_TRY(excess(p, mid, before, d, &over, &value));
        if (over > 0.0) low = mid;
        else high = mid;
    }
    p->sparsity = high;
done:
    return st;
}

static int32_t for_elements(mcomp_pruner *p)
{
    int32_t st = MCOMP_OK;
    double total, sum = 0.0, *by_site = mc_calloc((size_t)p->plan.n + 1, sizeof *by_site);
    if (!by_site) return MCOMP_NO_MEMORY;
    MC_TRY(site_macs(p, by_site, &total));
    for (int64_t k = 0; k < p->plan.n; k++) sum += by_site[k];
    p->sparsity = sum > 0.0 ? p->o.macs * total / sum : 1.0;
    if (p->sparsity > MOST) st = missed(p, total - MOST * sum, total);
done:
    mc_free(by_site);
    return st;
}

int32_t mc_pruner_resolve(mcomp_pruner *p, mcomp_dataset *samples)
{
    const mc_prune_pattern *pattern = p->plan.pattern;
    p->sparsity = pattern->kind == MC_PRUNE_N_OF_M ? 1.0 - (double)pattern->cols / (double)pattern->rows : p->o.sparsity;
    if (p->o.macs == 0.0 && p->o.latency_ms == 0.0) return MCOMP_OK;
    if (p->o.latency_ms > 0.0 && !samples) return mc_fail(MCOMP_ARGUMENT, "latency_ms", "a latency is measured on samples, and there are none");
    return pattern->kind == MC_PRUNE_UNITS ? for_units(p, samples) : for_elements(p);
}

int32_t mc_pruner_settle(mcomp_pruner *p, mcomp_dataset *samples, double *sparsity)
{
    const int32_t st = mc_pruner_resolve(p, samples);
    *sparsity = p->sparsity;
    return st;
}
