/* Sessions: a graph made ready to run, the backends it may use, and the cache of plans (plan.c). */
#include "runtime/control.h"

/* ---- life ---- */

void mc_session_ref(mcomp_session *s) { atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed); }

void mc_session_unref(mcomp_session *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1) return;
    for (int64_t i = 0; i < s->n_plans; i++) mc_plan_unref(s->plans[i]);
    mc_free(s->plans);
    mc_store_destroy(s->store);
    mc_graph_destroy(s->lowered);
    mc_graph_destroy(s->g);
    mc_pool_destroy(s->own_pool);
    pthread_mutex_destroy(&s->lock);
    mc_free(s);
}

void mcomp_session_destroy(mcomp_session *s) { mc_session_unref(s); }

int32_t mcomp_session_options_init(mcomp_session_options *o, uint32_t size)
{
    return mc_options_init(o, size, sizeof *o, "options");
}

/* ---- what can run ---- */

int mc_runtime_supports(const mc_node *n)
{
    if (!n->desc) return 0;
    if (n->desc->traits & MC_OP_CONTROL) return mc_node_is_control(n);
    return n->desc->forward != NULL || (n->desc->traits & MC_OP_VIEW) != 0 || mc_node_is_in(n, "mcomp", "Observe");
}

/* Collects "Op (node)" of every node without a kernel, subgraphs included; each operator once. */
static int32_t list_unsupported(const mc_graph *g, mc_map *seen, mc_str *list)
{
    int32_t st = MCOMP_OK;
    for (int64_t i = 0; i < g->n_nodes; i++) {
        const mc_node *n = g->nodes[i];
        if (n->dead) continue;
        for (int32_t k = 0; k < n->n_attrs; k++)
            if (n->attrs[k].kind == MC_ATTR_GRAPH && n->attrs[k].graph) MC_TRY(list_unsupported(n->attrs[k].graph, seen, list));
        if (mc_runtime_supports(n) || mc_map_get(seen, n->op, NULL)) continue;
        MC_TRY(mc_map_put(seen, n->op, 1));
        MC_TRY(mc_str_appendf(list, "%s%s%s%s (node %s%s%s)", list->len ? ", " : "", n->domain, n->domain[0] ? "." : "", n->op, n->name,
                              n->refused ? ": " : "", n->refused ? n->refused : ""));
    }
done:
    return st;
}

static int32_t check_supported(const mc_graph *g)
{
    int32_t st = MCOMP_OK;
    mc_str list = {0};
    mc_map *seen = mc_map_create();
    if (!seen) return MCOMP_NO_MEMORY;
    MC_TRY(list_unsupported(g, seen, &list));
    for (int64_t i = 0; list.len == 0 && i < g->n_inputs; i++)
        if (g->inputs[i]->type.dtype == MCOMP_UNDEFINED && !g->inputs[i]->init)
            MC_FAIL(MCOMP_UNSUPPORTED, g->inputs[i]->name, "the input is no tensor (a sequence, an optional or a map, or its type is not given)");
    if (list.len == 0) goto done;
    st = mc_fail(MCOMP_UNSUPPORTED, g->source_path ? g->source_path : g->name, "operators without a kernel: %s", list.data);
    (void)mc_fail_hint("`mcomp inspect` lists them; the model can still be inspected, compressed and saved");
done:
    mc_str_free(&list);
    mc_map_destroy(seen);
    return st;
}

/* ---- backends ---- */

static int32_t add_backend(mcomp_session *s, const mc_backend *b)
{
    if (s->n_backends == MC_MAX_BACKENDS) return MCOMP_OK; /* more are no use */
    mc_session_backend *e = &s->backends[s->n_backends++];
    memcpy(e->name, b->name, sizeof e->name);
    e->api = b->api;
    e->instance = b->instance;
    return MCOMP_OK;
}

/* "auto": all usable ones. A name: that one first, the built-in one for what it does not do. */
static int32_t choose_backends(mcomp_session *s, const char *want)
{
    int32_t st = MCOMP_OK;
    const mc_backend *named = NULL, *cpu = NULL;
    s->preferred = -1;
    if (!want && s->ctx) want = s->ctx->options.backend;
    const int any = !want || !*want || strcmp(want, "auto") == 0;
    pthread_mutex_lock(&s->registry->lock);
    for (int64_t i = 0; i < s->registry->n; i++) {
        const mc_backend *b = &s->registry->list[i];
        if (strcmp(b->name, "cpu") == 0) cpu = b;
        if (!any && strcmp(b->name, want) == 0) named = b;
        if (any && b->usable) MC_TRY(add_backend(s, b));
    }
    if (any) goto done;
    if (!named || !named->usable) {
        st = mc_fail(MCOMP_NO_BACKEND, want, "backend %s is not available: %s", want, named ? named->why : "no such plugin was found");
        (void)mc_fail_hint("use backend \"auto\" or \"cpu\"; plugins are searched in MCOMP_BACKEND_PATH and the installed folder");
        goto done;
    }
    MC_TRY(add_backend(s, named));
    if (named == cpu) goto done;
    s->preferred = 0;
    MC_TRY(add_backend(s, cpu));
done:
    pthread_mutex_unlock(&s->registry->lock);
    return st;
}

/* ---- creation ---- */

int32_t mc_precision_read(int32_t *bf16, const char *want)
{
    int32_t st = MCOMP_OK;
    *bf16 = 0;
    if (!want || strcmp(want, "f32") == 0) return MCOMP_OK;
    const int split = strcmp(want, "f32-split") == 0;
    if (!split && strcmp(want, "bf16") != 0) MC_FAIL(MCOMP_ARGUMENT, "precision", "%.40s is no precision; f32, f32-split and bf16 are", want);
    *bf16 = split ? 3 : 1;
    if (split ? mc_cpu_isa() >= MC_ISA_AMX : mc_cpu_has_bf16()) return MCOMP_OK;
    st = mc_fail(MCOMP_UNSUPPORTED, "precision", "%s needs a CPU with %s; the tier in use is %s without it", want, split ? "AMX" : "AVX512_BF16 or AMX",
                 mc_isa_name(mc_cpu_isa()));
    (void)mc_fail_hint("use precision f32; `mcomp doctor` lists what the CPU has, MCOMP_ISA may hide it");
done:
    return st;
}

/* Fields common to top-level and nested sessions; takes over g. */
static int32_t set_up(mcomp_session **out, mcomp_context *ctx, mc_graph *g)
{
    int32_t st = MCOMP_OK;
    mcomp_session *s = mc_calloc(1, sizeof *s);
    *out = NULL;
    if (!s) {
        mc_graph_destroy(g);
        return MCOMP_NO_MEMORY;
    }
    pthread_mutex_init(&s->lock, NULL);
    atomic_store(&s->refs, 1);
    s->ctx = ctx;
    s->g = g;
    s->max_plans = 16;
    s->preferred = -1;
    MC_TRY(mc_registry_get(ctx, &s->registry));
    s->store = mc_store_create();
    if (!s->store) MC_FAIL(MCOMP_NO_MEMORY, "", "no memory for a session");
    *out = s;
    return MCOMP_OK;
done:
    mc_session_unref(s);
    return st;
}

int32_t mc_session_open(mcomp_session **out, mcomp_context *ctx, const mc_graph *g, const mcomp_session_options *options,
                        const mc_observer *observer)
{
    int32_t st = MCOMP_OK;
    mcomp_session *s = NULL;
    mc_graph *clone = NULL;
    mcomp_session_options o = {.size = sizeof o};
    *out = NULL;
    MC_TRY(mc_options_read(&o, sizeof o, options, "options"));
    if (o.threads < 0 || o.threads > 256) MC_FAIL(MCOMP_RANGE, "threads", "%d threads; 0 (the context's) to 256 are possible", o.threads);
    if (o.max_plans < 0) MC_FAIL(MCOMP_RANGE, "max_plans", "%d plans", o.max_plans);
    MC_TRY(mc_graph_clone(&clone, g));
    st = set_up(&s, ctx, clone);
    if (st != MCOMP_OK) goto done;
    s->profile = o.profile;
    s->no_fusion = o.no_fusion;
    if (o.max_plans) s->max_plans = o.max_plans;
    if (observer) {
        s->observer = *observer;
        s->has_observer = 1;
    }
    MC_TRY(mc_precision_read(&s->bf16, o.precision));
    MC_TRY(choose_backends(s, o.backend));
    if (o.threads) MC_TRY(mc_pool_create(&s->own_pool, o.threads));
    s->pool = s->own_pool ? s->own_pool : mc_context_pool(ctx);
    if (!s->no_fusion) {
        const mc_pass_options po = {.fold_bytes = ctx->options.max_fold_bytes, .isa = (int32_t)mc_cpu_isa()};
        MC_TRY(mc_passes_run(s->g, MC_STAGE_LOAD, &po));
    }
    MC_TRY(mc_graph_remove_dead(s->g, NULL));
    MC_TRY(check_supported(s->g));
    *out = s;
    return MCOMP_OK;
done:
    mc_session_unref(s);
    return st;
}

int32_t mc_session_nested(mcomp_session **out, const mcomp_session *parent, const mc_graph *g)
{
    int32_t st = MCOMP_OK;
    mcomp_session *s = NULL;
    mc_graph *clone = NULL;
    MC_TRY(mc_graph_clone(&clone, g));
    MC_TRY(set_up(&s, parent->ctx, clone));
    s->no_fusion = parent->no_fusion;
    s->references = parent->references;
    s->bf16 = parent->bf16;
    s->sparse = parent->sparse;
    s->max_plans = parent->max_plans;
    s->pool = parent->pool;
    s->preferred = parent->preferred;
    s->n_backends = parent->n_backends;
    memcpy(s->backends, parent->backends, sizeof s->backends);
    s->observer = parent->observer;
    s->has_observer = parent->has_observer;
    *out = s;
done:
    return st;
}

int32_t mcomp_session_create(mcomp_session **out, mcomp_context *ctx, const mcomp_graph *g, const mcomp_session_options *options)
{
    MC_API_ENTER();
    MC_CHECK_ARG(1, out, "out", "is NULL");
    *out = NULL;
    MC_CHECK_ARG(2, ctx, "ctx", "is NULL");
    MC_CHECK_ARG(3, g && g->g, "g", "is NULL");
    if (g->g->n_outputs == 0) {
        (void)mc_fail_argument(3, "g", "has no output: there is nothing to run");
        return mc_fail_hint("mcomp_graph_add_output names one, before mcomp_graph_finish; a file of tensors alone needs its architecture");
    }
    return mc_session_open(out, ctx, g->g, options, NULL);
}

void mc_session_use_references(mcomp_session *s) { s->references = 1; }
void mc_session_use_sparse(mcomp_session *s, int32_t how) { s->sparse = how; }

/* ---- questions ---- */

int32_t mcomp_session_n_inputs(const mcomp_session *s) { return s ? (int32_t)s->g->n_inputs : 0; }
int32_t mcomp_session_n_outputs(const mcomp_session *s) { return s ? (int32_t)s->g->n_outputs : 0; }

const char *mcomp_session_input_name(const mcomp_session *s, int32_t i)
{
    return s && i >= 0 && i < s->g->n_inputs ? s->g->inputs[i]->name : NULL;
}

const char *mcomp_session_output_name(const mcomp_session *s, int32_t i)
{
    return s && i >= 0 && i < s->g->n_outputs ? s->g->outputs[i]->name : NULL;
}

int32_t mcomp_session_plans(const mcomp_session *s)
{
    if (!s) return 0;
    mcomp_session *x = (mcomp_session *)(uintptr_t)s;
    pthread_mutex_lock(&x->lock);
    const int64_t n = x->compiled;
    pthread_mutex_unlock(&x->lock);
    return n > INT32_MAX ? INT32_MAX : (int32_t)n;
}
