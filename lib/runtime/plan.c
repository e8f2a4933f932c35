/* Compiling plans and the session's cache of them. A bucket plan comes from the graph lowered once with its symbols kept; only
 * placement and memory are done anew a bucket. Where symbols do not suffice (dims that cannot be bound from the input dims), an
 * exact plan is lowered with the run's dims. */
#include "runtime/plan.h"
#include "runtime/control.h"

/* ---- life ---- */

mc_plan *mc_plan_ref(mc_plan *p)
{
    atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    return p;
}

static void free_step(mc_step *s)
{
    if (s->program) s->api->program_destroy(s->program);
    mc_free(s->args);
}

void mc_plan_unref(mc_plan *p)
{
    if (!p || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1) return;
    pthread_mutex_lock(&p->session->registry->lock);
    for (int64_t i = 0; i < p->n_steps; i++) free_step(&p->steps[i]);
    for (int64_t i = 0; i < p->n_groups; i++) {
        p->session->backends[p->groups[i].backend].api->program_destroy(p->groups[i].program);
        mc_free(p->groups[i].args);
    }
    pthread_mutex_unlock(&p->session->registry->lock);
    for (int64_t i = 0; i < p->n_steps; i++)
        for (int k = 0; k < 2; k++) mcomp_session_destroy(p->steps[i].sub[k]);
    mc_free(p->steps);
    mc_free(p->groups);
    mc_free(p->slot_of);
    mc_free(p->slot_value);
    mc_free(p->slot_type);
    mc_free(p->slot_storage);
    mc_free(p->storages);
    mc_free(p->output_bytes);
    mc_free(p->key);
    mc_graph_destroy(p->g);
    mc_free(p);
}

/* ---- slots and steps ---- */

int mc_output_wanted(const mc_node *n, int32_t i)
{
    const mc_value *v = n->out[i];
    return v && (i == 0 || v->n_uses > 0 || (v->flags & MC_VALUE_OUTPUT));
}

static int32_t add_slot(mc_plan *p, mc_value *v, const mc_bound *b)
{
    if (!v || p->slot_of[v->id] >= 0) return MCOMP_OK;
    p->slot_of[v->id] = p->n_slots;
    p->slot_value[p->n_slots] = v;
    p->slot_type[p->n_slots] = b[v->id].type;
    p->n_slots++;
    /* what backends see: the dims of the bucket */
    if (mc_type_known(&b[v->id].type)) v->type = b[v->id].type;
    return MCOMP_OK;
}

static int32_t make_slots(mc_plan *p, const mc_bound *b)
{
    const size_t n = (size_t)p->g->n_values + 1;
    p->slot_of = mc_malloc(n * sizeof *p->slot_of);
    p->slot_value = mc_calloc(n, sizeof *p->slot_value);
    p->slot_type = mc_calloc(n, sizeof *p->slot_type);
    p->slot_storage = mc_malloc(n * sizeof *p->slot_storage);
    if (!p->slot_of || !p->slot_value || !p->slot_type || !p->slot_storage) return MCOMP_NO_MEMORY;
    for (size_t i = 0; i < n; i++) p->slot_of[i] = p->slot_storage[i] = -1;
    for (int64_t i = 0; i < p->g->n_inputs; i++) (void)add_slot(p, p->g->inputs[i], b);
    for (int64_t i = 0; i < p->g->n_order; i++) {
        const mc_node *node = p->g->order[i];
        for (int32_t k = 0; k < node->n_in + node->n_cap; k++) (void)add_slot(p, node->in[k], b);
        for (int32_t k = 0; k < node->n_out; k++)
            if (mc_output_wanted(node, k)) (void)add_slot(p, node->out[k], b);
    }
    for (int64_t i = 0; i < p->g->n_outputs; i++) (void)add_slot(p, p->g->outputs[i], b);
    return MCOMP_OK;
}

/* Bit 0: some type is not known; bit 1: some value cannot be planned (strings); bit 2: every wanted output is known. */
static int survey(const mc_node *n, const mc_bound *b)
{
    int bits = n->n_out > 0 ? 4 : 0;
    for (int32_t k = 0; k < n->n_in; k++) {
        if (!n->in[k]) continue;
        const mc_type *t = &b[n->in[k]->id].type;
        if (!mc_type_known(t)) bits |= 1;
        if (mc_dtype_bits(t->dtype) == 0) bits |= 2;
    }
    for (int32_t k = 0; k < n->n_out; k++) {
        if (!mc_output_wanted(n, k)) continue;
        const mc_bound *v = &b[n->out[k]->id];
        if (!mc_type_known(&v->type)) bits |= 1;
        if (mc_dtype_bits(v->type.dtype) == 0) bits |= 2;
        if (!v->known) bits &= ~4;
    }
    return bits;
}

static int is_view(const mc_node *n, const mc_bound *b)
{
    uint64_t in = 0, out = 0;
    mc_shape si, so;
    if (!(n->desc->traits & MC_OP_VIEW) || n->n_in < 1 || !n->in[0] || n->n_out < 1 || !n->out[0]) return 0;
    for (int32_t k = 1; k < n->n_out; k++)
        if (mc_output_wanted(n, k)) return 0;
    const mc_type *a = &b[n->in[0]->id].type, *c = &b[n->out[0]->id].type;
    si = mc_shape_make(a->rank, a->dim);
    so = mc_shape_make(c->rank, c->dim);
    return a->dtype == c->dtype && mc_size_bytes(a->dtype, &si, &in) == MCOMP_OK && mc_size_bytes(c->dtype, &so, &out) == MCOMP_OK &&
           in == out;
}

static int32_t make_step(mc_plan *p, mc_step *s, mc_node *n, const mc_bound *b)
{
    const int bits = survey(n, b);
    s->node = n;
    s->inplace = s->scratch = s->worker = -1;
    s->dtype = mc_dtype_name(n->n_out > 0 && n->out[0] ? b[n->out[0]->id].type.dtype : MCOMP_UNDEFINED);
    s->backend = "cpu";
    if (mc_node_is_in(n, "mcomp", "Observe")) {
        s->kind = MC_STEP_OBSERVE;
        memcpy(s->kernel, "observe", sizeof "observe");
    } else if (bits & 4) {
        s->kind = MC_STEP_KNOWN;
        memcpy(s->kernel, "known", sizeof "known");
        memcpy(s->why, "follows from the input's shape", sizeof "follows from the input's shape");
    } else if (n->desc->traits & MC_OP_CONTROL) {
        s->kind = MC_STEP_CONTROL;
        mc_escape(s->kernel, sizeof s->kernel, n->op);
        memcpy(s->why, "decided at run time", sizeof "decided at run time");
        return mc_control_open(p->session, n, p->exact ? p->g : p->session->lowered, s->sub);
    } else if (bits & 3) {
        s->kind = MC_STEP_EVAL;
        if (!n->desc->forward) return mc_fail(MCOMP_UNSUPPORTED, n->name, "operator %s has no kernel", n->op);
        mc_str name = {0};
        int32_t st = mc_str_appendf(&name, "ref:%s", n->op);
        if (st == MCOMP_OK) mc_escape(s->kernel, sizeof s->kernel, name.data);
        mc_str_free(&name);
        memcpy(s->why, "dims depend on values", sizeof "dims depend on values");
        return st;
    } else if (is_view(n, b)) {
        s->kind = MC_STEP_VIEW;
        memcpy(s->kernel, "view", sizeof "view");
        memcpy(s->why, "no copy", sizeof "no copy");
    } else {
        s->kind = MC_STEP_KERNEL;
    }
    return MCOMP_OK;
}

/* ---- compile ---- */

static int32_t check_sizes(const mc_plan *p)
{
    int32_t st = MCOMP_OK;
    const uint64_t max = p->session->ctx ? p->session->ctx->options.max_tensor_bytes : UINT64_MAX;
    for (int32_t i = 0; i < p->n_slots; i++) {
        const mc_type *t = &p->slot_type[i];
        uint64_t bytes = 0;
        if (!mc_type_known(t) || t->dtype == MCOMP_STRING) continue;
        const mc_shape s = mc_shape_make(t->rank, t->dim);
        MC_TRY(mc_size_bytes(t->dtype, &s, &bytes));
        if (bytes > max && !p->slot_value[i]->init)
            MC_FAIL(MCOMP_LIMIT, p->slot_value[i]->name, "a tensor of %llu bytes; one tensor may have %llu", (unsigned long long)bytes,
                    (unsigned long long)max);
    }
done:
    return st;
}

/* 1 if symbols suffice: every dim was bound, and no If is left whose condition follows from dims (with exact dims it folds). */
static int complete(const mc_graph *g, const mc_bound *b)
{
    for (int64_t i = 0; i < g->n_order; i++) {
        const mc_node *n = g->order[i];
        if (mc_node_is(n, "If") && n->in[0] && b[n->in[0]->id].known) return 0;
        for (int32_t k = 0; k < n->n_out; k++)
            if (mc_output_wanted(n, k) && !mc_type_known(&b[n->out[k]->id].type)) return 0;
    }
    return 1;
}

/* Takes over g. *out NULL with OK: the dims cannot all be bound and `must` is 0. */
static int32_t compile(mcomp_session *s, mc_graph *g, const mc_type *types, int32_t exact, mc_plan **out)
{
    int32_t st = MCOMP_OK;
    mc_bound *b = NULL;
    mc_plan *p = mc_calloc(1, sizeof *p);
    *out = NULL;
    if (!p) {
        mc_graph_destroy(g);
        return MCOMP_NO_MEMORY;
    }
    atomic_store(&p->refs, 1);
    p->session = s;
    p->g = g;
    p->exact = exact;
    p->key = mc_malloc((size_t)g->n_inputs * sizeof *p->key);
    if (!p->key) MC_FAIL(MCOMP_NO_MEMORY, "", "no memory for a plan");
    for (int64_t i = 0; i < g->n_inputs; i++) p->key[i] = types[i];
    MC_TRY(mc_bind(&b, g, types));
    if (!exact && !complete(g, b)) goto done;
    MC_TRY(make_slots(p, b));
    MC_TRY(check_sizes(p));
    p->steps = mc_calloc((size_t)g->n_order + 1, sizeof *p->steps);
    if (!p->steps) MC_FAIL(MCOMP_NO_MEMORY, "", "no memory for a plan");
    for (int64_t i = 0; i < g->n_order; i++) {
        p->n_steps++;
        MC_TRY(make_step(p, &p->steps[i], g->order[i], b));
    }
    MC_TRY(mc_plan_place(p));
    MC_TRY(mc_plan_memory(p));
    *out = mc_plan_ref(p);
done:
    mc_bind_free(b, g->n_values);
    mc_plan_unref(p);
    return st;
}

static int32_t lower(const mcomp_session *s, mc_graph *g)
{
    const mc_pass_options o = {.fold_bytes = s->ctx->options.max_fold_bytes, .shape_only = 1, .isa = (int32_t)mc_cpu_isa(),
                               .bf16 = s->bf16, .sparse = s->sparse};
    if (s->no_fusion) return s->bf16 ? mc_pass_run_one(g, "precision", &o) : mc_infer_graph(g);
    return mc_passes_run(g, MC_STAGE_SHAPE | MC_STAGE_FUSE | MC_STAGE_LOWER, &o);
}

static int32_t compile_bucket(mcomp_session *s, const mc_type *bucket, mc_plan **out)
{
    int32_t st = MCOMP_OK;
    mc_graph *g = NULL;
    *out = NULL;
    if (!s->lowered) {
        MC_TRY(mc_graph_clone(&g, s->g));
        MC_TRY(lower(s, g));
        s->lowered = g;
        g = NULL;
    }
    MC_TRY(mc_graph_clone(&g, s->lowered));
    st = compile(s, g, bucket, 0, out);
    g = NULL;
    if (st == MCOMP_OK && !*out) s->exact_only = 1;
done:
    mc_graph_destroy(g);
    return st;
}

/* Every value whose dim is a symbol of an input gets the run's number. */
static void fix_symbols(mc_graph *g, const mc_type *run)
{
    for (int64_t i = 0; i < g->n_inputs; i++) {
        const mc_type old = g->inputs[i]->type;
        for (int32_t k = 0; k < old.rank; k++) {
            if (old.dim[k] >= 0) continue;
            for (int64_t j = 0; j < g->n_values; j++) {
                mc_type *t = &g->values[j]->type;
                for (int32_t m = 0; m < t->rank; m++)
                    if (t->dim[m] == old.dim[k]) t->dim[m] = run[i].dim[k];
            }
        }
        g->inputs[i]->type = run[i];
    }
}

static int32_t compile_exact(mcomp_session *s, const mc_type *run, mc_plan **out)
{
    int32_t st = MCOMP_OK;
    mc_graph *g = NULL;
    MC_TRY(mc_graph_clone(&g, s->g));
    fix_symbols(g, run);
    MC_TRY(lower(s, g));
    st = compile(s, g, run, 1, out);
    g = NULL;
done:
    mc_graph_destroy(g);
    return st;
}

/* ---- cache ---- */

static int same_key(const mc_plan *p, const mc_type *types, int32_t exact)
{
    if (p->exact != exact) return 0;
    for (int64_t i = 0; i < p->g->n_inputs; i++) {
        if (p->key[i].rank != types[i].rank || p->key[i].dtype != types[i].dtype) return 0;
        for (int32_t k = 0; k < types[i].rank; k++)
            if (p->key[i].dim[k] != types[i].dim[k]) return 0;
    }
    return 1;
}

static mc_plan *find(mcomp_session *s, const mc_type *types, int32_t exact)
{
    for (int64_t i = 0; i < s->n_plans; i++) {
        if (!same_key(s->plans[i], types, exact)) continue;
        s->plans[i]->used = ++s->clock;
        return mc_plan_ref(s->plans[i]);
    }
    return NULL;
}

static int32_t insert(mcomp_session *s, mc_plan *p)
{
    int64_t oldest = 0;
    p->used = ++s->clock;
    s->compiled++;
    if (s->n_plans < s->max_plans) {
        const int32_t st = mc_grow(&s->plans, &s->cap_plans, s->n_plans + 1, sizeof *s->plans);
        if (st != MCOMP_OK) return st;
        s->plans[s->n_plans++] = mc_plan_ref(p);
        return MCOMP_OK;
    }
    for (int64_t i = 1; i < s->n_plans; i++)
        if (s->plans[i]->used < s->plans[oldest]->used) oldest = i;
    mc_plan_unref(s->plans[oldest]);
    s->plans[oldest] = mc_plan_ref(p);
    return MCOMP_OK;
}

int32_t mc_plan_get(mcomp_session *s, const mc_type *run, int32_t exact, mc_plan **out)
{
    int32_t st = MCOMP_OK;
    int64_t largest = 0;
    mc_type *bucket = NULL;
    *out = NULL;
    if (!exact && !s->exact_only) {
        bucket = mc_malloc((size_t)s->g->n_inputs * sizeof *bucket);
        if (!bucket) return MCOMP_NO_MEMORY;
        mc_bucket(s->g, run, bucket, &largest);
        *out = find(s, bucket, 0);
        if (*out) goto done;
        st = compile_bucket(s, bucket, out);
        if (st == MCOMP_NO_MEMORY || st == MCOMP_UNSUPPORTED || st == MCOMP_CANCELLED) goto done;
        if (*out) {
            (*out)->bucket = largest;
            MC_TRY(insert(s, *out));
            goto done;
        }
        mc_error_clear(); /* the bucket's dims do not fit the model, or cannot be bound: this very shape may */
        st = MCOMP_OK;
    }
    *out = find(s, run, 1);
    if (*out) goto done;
    MC_TRY(compile_exact(s, run, out));
    MC_TRY(insert(s, *out));
done:
    if (st != MCOMP_OK) {
        mc_plan_unref(*out);
        *out = NULL;
    }
    mc_free(bucket);
    return st;
}
