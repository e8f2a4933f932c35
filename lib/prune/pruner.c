/* The public pruner: options, creation, what it reports. */
#include "prune/pruner.h"

int32_t mcomp_pruner_options_init(mcomp_pruner_options *o, uint32_t size)
{
    mcomp_pruner_options d = {0};
    MC_API_ENTER();
    const int32_t st = mc_options_init(o, size, sizeof *o, "mcomp_pruner_options");
    if (st != MCOMP_OK) return st;
    d = (mcomp_pruner_options){.size = size, .sparsity = 0.5, .align = 8};
    memcpy(o, &d, size < sizeof d ? size : sizeof d);
    return MCOMP_OK;
}

static int32_t check(const mcomp_pruner_options *o)
{
    int32_t st = MCOMP_OK;
    if (!(o->sparsity >= 0.0 && o->sparsity < 1.0)) {
        (void)mc_fail(MCOMP_RANGE, "sparsity", "%g is not in [0, 1): it is the fraction that is removed", o->sparsity);
        st = o->sparsity > 1.0 && o->sparsity < 100.0 ? mc_fail_hint("%g %% is %g", o->sparsity, o->sparsity / 100.0) : mc_fail_hint("0.5 removes half");
        goto done;
    }
    if (!(o->macs >= 0.0 && o->macs < 1.0)) MC_FAIL(MCOMP_RANGE, "macs", "%g is not in [0, 1): it is the fraction of multiply-accumulates that is removed", o->macs);
    if (!(o->latency_ms >= 0.0 && o->latency_ms < 1e9)) MC_FAIL(MCOMP_RANGE, "latency_ms", "%g is no latency", o->latency_ms);
    if (o->macs > 0.0 && o->latency_ms > 0.0) MC_FAIL(MCOMP_ARGUMENT, "latency_ms", "macs and latency_ms cannot both be asked for");
    if (o->align < 1 || o->align > 1024) MC_FAIL(MCOMP_RANGE, "align", "%lld is not in 1..1024", (long long)o->align);
done:
    return st;
}

static int32_t make_plan(mcomp_pruner *p)
{
    int32_t st = MCOMP_OK;
    const char **match = NULL, **keep = NULL;
    MC_TRY(mc_arena_split(p->arena, p->o.match, &match));
    MC_TRY(mc_arena_split(p->arena, p->o.keep, &keep));
    const mc_prune_ask ask = {.match = match, .keep = keep, .align = p->o.align};
    p->plan.g = p->g;
    MC_TRY(mc_prune_plan_make(&p->plan, &ask));
    MC_TRY(mc_prune_state_make(&p->state, &p->plan));
    MC_TRY(mc_prune_masks_make(&p->masks, &p->plan));
done:
    return st;
}

static int32_t names(mcomp_pruner *p)
{
    int32_t st = MCOMP_OK;
    const char **all[] = {&p->o.pattern, &p->o.criterion, &p->o.schedule, &p->o.match, &p->o.keep};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (*all[i] && !(*all[i] = mc_arena_strdup(p->arena, *all[i]))) return MCOMP_NO_MEMORY;
    p->plan.pattern = mc_prune_pattern_find(p->o.pattern ? p->o.pattern : "unstructured");
    p->plan.criterion = p->plan.pattern ? mc_criterion_find(p->o.criterion ? p->o.criterion : "l2") : NULL;
    if (!p->plan.criterion) return mc_error_peek()->code;
    const int fixed = p->plan.pattern->kind == MC_PRUNE_N_OF_M, units = p->plan.pattern->kind == MC_PRUNE_UNITS;
    p->schedule = mc_prune_schedule_find(p->o.schedule ? p->o.schedule : fixed ? "one-shot" : "cubic");
    if (!p->schedule) return mc_error_peek()->code;
    if (fixed && strcmp(p->schedule->name, "one-shot") != 0) MC_FAIL(MCOMP_ARGUMENT, "schedule", "%s leaves its numbers at once: one-shot", p->plan.pattern->name);
    if (fixed && (p->o.macs > 0.0 || p->o.latency_ms > 0.0)) MC_FAIL(MCOMP_ARGUMENT, "macs", "%s removes what it says, no more and no less", p->plan.pattern->name);
    if (!units && p->o.latency_ms > 0.0) {
        (void)mc_fail(MCOMP_UNSUPPORTED, "latency_ms", "a latency is reached by cutting units, not by zeros");
        st = mc_fail_hint("the patterns channel, ffn and head");
    }
done:
    return st;
}

int32_t mcomp_pruner_create(mcomp_pruner **out, mcomp_context *ctx, const mcomp_graph *g, const mcomp_pruner_options *options)
{
    int32_t st = MCOMP_OK;
    mcomp_pruner *p = NULL;
    MC_API_ENTER();
    MC_CHECK_ARG(1, out, "out", "is NULL");
    *out = NULL;
    MC_CHECK_ARG(2, ctx, "ctx", "is NULL");
    MC_CHECK_ARG(3, g && g->g, "g", "is NULL");
    p = mc_calloc(1, sizeof *p);
    if (!p) return MCOMP_NO_MEMORY;
    p->ctx = ctx;
    p->arena = mc_arena_create();
    if (!p->arena) MC_TRY(MCOMP_NO_MEMORY);
    MC_TRY(mcomp_pruner_options_init(&p->o, sizeof p->o));
    MC_TRY(mc_options_read(&p->o, sizeof p->o, options, "options"));
    MC_TRY(check(&p->o));
    MC_TRY(names(p));
    MC_TRY(mc_graph_clone(&p->g, g->g));
    MC_TRY(mc_graph_sort(p->g));
    MC_TRY(mc_infer_graph(p->g));
    MC_TRY(make_plan(p));
    *out = p;
    return MCOMP_OK;
done:
    mcomp_pruner_destroy(p);
    return st;
}

void mcomp_pruner_destroy(mcomp_pruner *p)
{
    if (!p) return;
    mc_graph_destroy(p->result);
    mc_prune_masks_free(&p->masks);
    mc_prune_state_free(&p->state, &p->plan);
    mc_prune_plan_free(&p->plan);
    mc_graph_destroy(p->g);
    mc_arena_destroy(p->arena);
    mc_free(p);
}

void mc_pruner_set_prepare(mcomp_pruner *p, mc_prune_prepare_fn prepare, void *payload)
{
    p->prepare = prepare;
    p->prepare_payload = payload;
}

int32_t mcomp_pruner_graph(mcomp_graph **out, mcomp_pruner *p)
{
    int32_t st = MCOMP_OK;
    MC_API_ENTER();
    MC_CHECK_ARG(1, out, "out", "is NULL");
    *out = NULL;
    MC_CHECK_ARG(2, p, "p", "is NULL");
    if (!p->result) return mc_fail(MCOMP_ARGUMENT, "pruner", "there is no result: mcomp_pruner_run makes it");
    mcomp_graph *g = mc_calloc(1, sizeof *g);
    if (!g) return MCOMP_NO_MEMORY;
    g->ctx = p->ctx;
    MC_TRY(mc_graph_clone(&g->g, p->result));
    *out = g;
    return MCOMP_OK;
done:
    mcomp_graph_destroy(g);
    return st;
}

int32_t mcomp_pruner_site_count(const mcomp_pruner *p, int64_t *count)
{
    MC_API_ENTER();
    MC_CHECK_ARG(1, p, "p", "is NULL");
    MC_CHECK_ARG(2, count, "count", "is NULL");
    *count = p->plan.n;
    return MCOMP_OK;
}

int32_t mcomp_pruner_site_get(const mcomp_pruner *p, int64_t index, mcomp_prune_site *out)
{
    MC_API_ENTER();
    MC_CHECK_ARG(1, p, "p", "is NULL");
    MC_CHECK_ARG(3, out, "out", "is NULL");
    MC_CHECK_ARG(2, index >= 0 && index < p->plan.n, "index", "is not below mcomp_pruner_site_count");
    const mc_prune_site *s = &p->plan.sites[index];
    int64_t gone = 0;
    for (int64_t i = 0; i < s->granules; i++) gone += p->state.gone[index][i];
    const mcomp_prune_site i = {.size = sizeof i, .node = s->name, .kind = p->plan.pattern->name, .pieces = s->granules, .kept = s->granules - gone,
                              .elements = s->elements, .sparsity = (double)gone / (double)s->granules};
    return mc_info_give(out, &i, sizeof i, 3);
}
