/* An exec's bindings: dims of every value for each exact set of input shapes it has seen, the least recently used goes. A binding
 * is checked against its plan: where the run's dims do not fit the plan made for the bucket (a value larger than planned, another
 * broadcast pattern, a value that was expected to be known), the shape gets a plan of its own. */
#include "runtime/device.h"

int32_t mc_region_grow(mc_region *r, uint64_t bytes)
{
    if (r->data && r->bytes >= bytes) return MCOMP_OK;
    if (bytes > SIZE_MAX) return mc_fail(MCOMP_NO_MEMORY, "", "no memory for %llu bytes", (unsigned long long)bytes);
    void *p = mc_malloc((size_t)bytes);
    if (!p) return MCOMP_NO_MEMORY;
    mc_free(r->data);
    r->data = p;
    r->bytes = bytes;
    return MCOMP_OK;
}

/* ---- plans of the exec ---- */

static void drop_plan(mcomp_exec *e, mc_exec_plan *x)
{
    if (--x->refs > 0) return;
    for (int64_t i = 0; i < e->n_plans; i++)
        if (e->plans[i] == x) e->plans[i] = e->plans[--e->n_plans];
    for (int64_t i = 0; x->nested && i < 2 * x->plan->n_steps; i++) mcomp_exec_destroy(x->nested[i]);
    mc_device_close(x->plan, x->devices);
    mc_free(x->nested);
    mc_free(x->ns);
    mc_plan_unref(x->plan);
    mc_free(x);
}

/* Takes over the reference to p. */
static int32_t use_plan(mcomp_exec *e, mc_plan *p, mc_exec_plan **out)
{
    int32_t st = MCOMP_OK, control = 0;
    mc_exec_plan *x = NULL;
    for (int64_t i = 0; i < e->n_plans; i++) {
        if (e->plans[i]->plan != p) continue;
        mc_plan_unref(p);
        e->plans[i]->refs++;
        *out = e->plans[i];
        return MCOMP_OK;
    }
    for (int64_t i = 0; i < p->n_steps; i++) control |= p->steps[i].kind == MC_STEP_CONTROL;
    MC_TRY(mc_grow(&e->plans, &e->cap_plans, e->n_plans + 1, sizeof *e->plans));
    x = mc_calloc(1, sizeof *x);
    if (!x) MC_FAIL(MCOMP_NO_MEMORY, "", "no memory for an exec");
    if (e->session->profile) x->ns = mc_calloc((size_t)p->n_steps + 1, sizeof *x->ns);
    if (control) x->nested = mc_calloc((size_t)p->n_steps * 2, sizeof *x->nested);
    if ((e->session->profile && !x->ns) || (control && !x->nested)) MC_FAIL(MCOMP_NO_MEMORY, "", "no memory for an exec");
    MC_TRY(mc_device_open(p, &x->devices));
    x->plan = p;
    x->refs = 1;
    e->plans[e->n_plans++] = x;
    *out = x;
    return MCOMP_OK;
done:
    if (x) {
        mc_free(x->ns);
        mc_free(x->nested);
        mc_free(x);
    }
    mc_plan_unref(p);
    return st;
}

/* ---- one binding ---- */

static void free_binding(mcomp_exec *e, mc_binding *b)
{
    if (!b) return;
    if (b->plan) drop_plan(e, b->plan);
    mc_free(b->dims);
    mc_free(b->val);
    mc_free(b->known);
    mc_free(b->skip);
    mc_free(b);
}

static uint64_t type_bytes(const mc_type *t)
{
    uint64_t bytes = 0;
    const mc_shape s = mc_shape_make(t->rank, t->dim);
    return mc_size_bytes(t->dtype, &s, &bytes) == MCOMP_OK ? bytes : UINT64_MAX;
}

/* An axis that the plan saw as not broadcast must not be broadcast now. */
static int same_pattern(const mc_plan *p, const mc_step *s, const mc_bound *bound)
{
    if (!(s->node->desc->traits & MC_OP_ELEMENTWISE) && s->inplace < 0) return 1;
    const mc_value *out = s->node->n_out > 0 ? s->node->out[0] : NULL;
    if (!out || p->slot_of[out->id] < 0) return 1;
    const mc_type *po = &p->slot_type[p->slot_of[out->id]], *ro = &bound[out->id].type;
    for (int32_t i = 0; i < s->node->n_in; i++) {
        const mc_value *v = s->node->in[i];
        if (!v) continue;
        const mc_type *pi = &p->slot_type[p->slot_of[v->id]], *ri = &bound[v->id].type;
        for (int32_t k = 0; k < pi->rank && k < po->rank; k++) {
            const int64_t planned = pi->dim[pi->rank - 1 - k], to = po->dim[po->rank - 1 - k];
            if (planned == to && ri->dim[ri->rank - 1 - k] != ro->dim[ro->rank - 1 - k]) return 0;
        }
    }
    return 1;
}

/* 1 if the plan made for a bucket serves these dims. */
static int fits(const mc_plan *p, const mc_bound *bound)
{
    for (int32_t i = 0; i < p->n_slots; i++) {
        const mc_bound *b = &bound[p->slot_value[i]->id];
        const mc_type *t = &p->slot_type[i];
        if (b->type.rank != t->rank || b->type.dtype != t->dtype || !mc_type_known(&b->type)) return 0;
        const mc_storage *s = &p->storages[p->slot_storage[i]];
        if (s->kind == MC_STORE_KNOWN && !b->known) return 0;
        for (int32_t k = 0; k < b->type.rank && p->n_groups > 0; k++)
            if (b->type.dim[k] == 0) return 0; /* devices see no empty tensors */
        if ((s->kind == MC_STORE_ARENA || s->kind == MC_STORE_OUTPUT || s->kind == MC_STORE_DEVICE) && type_bytes(&b->type) > s->bytes) return 0;
    }
    for (int64_t i = 0; i < p->n_steps; i++)
        if ((p->steps[i].kind == MC_STEP_KERNEL || p->steps[i].kind == MC_STEP_DEVICE) && !same_pattern(p, &p->steps[i], bound)) return 0;
    return 1;
}

/* Copies what is known into memory of the binding. */
static int32_t keep_known(const mc_plan *p, mc_binding *b, const mc_bound *bound)
{
    uint64_t bytes = 0;
    for (int pass = 0; pass < 2; pass++) {
        bytes = 0;
        for (int32_t i = 0; i < p->n_slots; i++) {
            const mc_bound *v = &bound[p->slot_value[i]->id];
            if (p->storages[p->slot_storage[i]].kind != MC_STORE_KNOWN || !v->known) continue;
            if (pass) {
                b->val[i].data = (uint8_t *)b->known + bytes;
                if (mc_tensor_bytes(v->known)) memcpy(b->val[i].data, v->known->data, (size_t)mc_tensor_bytes(v->known));
            }
            bytes += (mc_tensor_bytes(v->known) + 63) & ~(uint64_t)63;
        }
        if (!pass && bytes == 0) return MCOMP_OK;
        if (!pass && !(b->known = mc_malloc((size_t)bytes))) return MCOMP_NO_MEMORY;
    }
    return MCOMP_OK;
}

static int empty_slot(const mc_plan *p, const mc_binding *b, const mc_value *v)
{
    const mcomp_bk_buffer *x = &b->val[p->slot_of[v->id]];
    for (int32_t i = 0; i < x->rank; i++)
        if (x->dims[i] == 0) return 1;
    return 0;
}

/* Empty tensors (batch 0) never reach kernels: nothing to do, or the reference knows (a sum over nothing). */
static int32_t mark_empty(const mc_plan *p, mc_binding *b)
{
    for (int64_t i = 0; i < p->n_steps; i++) {
        const mc_node *n = p->steps[i].node;
        int in = 0, out = n->n_out > 0;
        if (p->steps[i].kind != MC_STEP_KERNEL) continue;
        for (int32_t k = 0; k < n->n_in; k++)
            if (n->in[k]) in |= empty_slot(p, b, n->in[k]);
        for (int32_t k = 0; k < n->n_out; k++)
            if (mc_output_wanted(n, k)) out &= empty_slot(p, b, n->out[k]);
        if (!in && !out) continue;
        if (!b->skip && !(b->skip = mc_calloc((size_t)p->n_steps, 1))) return MCOMP_NO_MEMORY;
        b->skip[i] = out ? MC_RUN_NOTHING : n->desc->forward ? MC_RUN_REFERENCE : MC_RUN_KERNEL;
    }
    return MCOMP_OK;
}

static int32_t fill(mcomp_exec *e, mc_binding *b, mc_plan *p, const mc_bound *bound)
{
    int32_t st = MCOMP_OK;
    b->val = mc_calloc((size_t)p->n_slots + 1, sizeof *b->val);
    if (!b->val) {
        mc_plan_unref(p);
        return MCOMP_NO_MEMORY;
    }
    MC_TRY(use_plan(e, p, &b->plan));
    for (int32_t i = 0; i < p->n_slots; i++) {
        const mc_type *t = &bound[p->slot_value[i]->id].type;
        b->val[i].dtype = t->dtype;
        b->val[i].rank = t->rank;
        for (int32_t k = 0; k < t->rank; k++) b->val[i].dims[k] = t->dim[k];
    }
    MC_TRY(keep_known(p, b, bound));
    MC_TRY(mark_empty(p, b));
done:
    return st;
}

/* Room for everything that a run of this plan needs. */
static int32_t reserve(mcomp_exec *e, const mc_plan *p)
{
    int32_t st = MCOMP_OK;
    int64_t cap = e->cap_storages;
    MC_TRY(mc_region_grow(&e->block, p->block_bytes));
    for (int64_t i = 0; i < p->g->n_outputs; i++)
        if (p->output_bytes[i]) MC_TRY(mc_region_grow(&e->out_memory[i], p->output_bytes[i]));
    MC_TRY(mc_grow(&e->ptr, &cap, p->n_storages, sizeof *e->ptr));
    if (p->n_storages > e->cap_storages) {
        mc_tensor **d = mc_realloc(e->dynamic, (size_t)cap * sizeof *d);
        if (!d) return MCOMP_NO_MEMORY;
        for (int64_t i = e->cap_storages; i < cap; i++) d[i] = NULL;
        e->dynamic = d;
        e->cap_storages = cap;
    }
    MC_TRY(mc_grow(&e->args, &e->cap_args, p->max_args, sizeof *e->args));
done:
    return st;
}

/* ---- look-up ---- */

static int32_t read_dims(mcomp_exec *e, const mcomp_tensor *const *inputs, int64_t *n_dims)
{
    int64_t n = 0;
    for (int64_t i = 0; i < e->session->g->n_inputs; i++) {
        const mc_shape *s = &inputs[i]->t.shape;
        const int32_t st = mc_grow(&e->dims, &e->cap_dims, n + 1 + s->rank, sizeof *e->dims);
        if (st != MCOMP_OK) return st;
        e->dims[n++] = s->rank;
        for (int32_t k = 0; k < s->rank; k++) e->dims[n++] = s->dim[k];
    }
    *n_dims = n;
    return MCOMP_OK;
}

static int32_t make(mcomp_exec *e, const mcomp_tensor *const *inputs, int64_t n_dims, mc_binding **out)
{
    int32_t st = MCOMP_OK;
    mcomp_session *s = e->session;
    mc_bound *bound = NULL;
    mc_plan *p = NULL;
    mc_type *run = mc_malloc((size_t)s->g->n_inputs * sizeof *run);
    mc_binding *b = mc_calloc(1, sizeof *b);
    if (!run || !b) MC_FAIL(MCOMP_NO_MEMORY, "", "no memory for new shapes");
    MC_TRY(mc_check_shapes(s->g, inputs, s->ctx->options.max_tensor_bytes));
    for (int64_t i = 0; i < s->g->n_inputs; i++) run[i] = mc_type_of(&inputs[i]->t);
    b->dims = mc_malloc((size_t)(n_dims + 1) * sizeof *b->dims);
    if (!b->dims) MC_FAIL(MCOMP_NO_MEMORY, "", "no memory for new shapes");
    if (n_dims > 0) memcpy(b->dims, e->dims, (size_t)n_dims * sizeof *b->dims);
    b->n_dims = n_dims;
    for (int32_t exact = 0; exact < 2; exact++) {
        pthread_mutex_lock(&s->lock);
        st = mc_plan_get(s, run, exact, &p);
        pthread_mutex_unlock(&s->lock);
        if (st != MCOMP_OK) goto done;
        st = mc_bind(&bound, p->g, run);
        if (p->exact || (st == MCOMP_OK && fits(p, bound))) break;
        mc_error_clear();
        mc_bind_free(bound, p->g->n_values);
        bound = NULL;
        mc_plan_unref(p);
        p = NULL;
    }
    if (st != MCOMP_OK) goto done;
    mc_plan *held = p;
    p = NULL;
    mc_plan_ref(held);
    st = fill(e, b, held, bound);
    mc_bind_free(bound, held->g->n_values);
    bound = NULL;
    if (st == MCOMP_OK) st = reserve(e, held);
    mc_plan_unref(held);
    if (st != MCOMP_OK) goto done;
    *out = b;
    b = NULL;
done:
    if (bound && p) mc_bind_free(bound, p->g->n_values);
    mc_plan_unref(p);
    free_binding(e, b);
    mc_free(run);
    return st;
}

static int32_t keep(mcomp_exec *e, mc_binding *b)
{
    int64_t oldest = 0;
    if (e->n_bindings < MC_MAX_BINDINGS) {
        const int32_t st = mc_grow(&e->bindings, &e->cap_bindings, e->n_bindings + 1, sizeof *e->bindings);
        if (st != MCOMP_OK) return st;
        e->bindings[e->n_bindings++] = b;
        return MCOMP_OK;
    }
    for (int64_t i = 1; i < e->n_bindings; i++)
        if (e->bindings[i]->used < e->bindings[oldest]->used) oldest = i;
    if (e->current == e->bindings[oldest]) e->current = NULL;
    free_binding(e, e->bindings[oldest]);
    e->bindings[oldest] = b;
    return MCOMP_OK;
}

int32_t mc_exec_bind(mcomp_exec *e, const mcomp_tensor *const *inputs, mc_binding **out)
{
    int32_t st = MCOMP_OK;
    int64_t n = 0;
    mc_binding *b = NULL;
    MC_TRY(read_dims(e, inputs, &n));
    const uint64_t hash = mc_hash64(e->dims, (size_t)n * sizeof *e->dims, 0);
    for (int64_t i = 0; i < e->n_bindings; i++) {
        b = e->bindings[i];
        if (b->hash != hash || b->n_dims != n || (n > 0 && memcmp(b->dims, e->dims, (size_t)n * sizeof *e->dims) != 0)) continue;
        b->used = ++e->clock;
        *out = b;
        return MCOMP_OK;
    }
    b = NULL;
    MC_TRY(make(e, inputs, n, &b));
    b->hash = hash;
    b->used = ++e->clock;
    st = keep(e, b);
    if (st != MCOMP_OK) {
        free_binding(e, b);
        goto done;
    }
    *out = b;
done:
    return st;
}

void mc_exec_forget(mcomp_exec *e)
{
    e->current = NULL;
    for (int64_t i = 0; i < e->n_bindings; i++) free_binding(e, e->bindings[i]);
    e->n_bindings = 0;
}
