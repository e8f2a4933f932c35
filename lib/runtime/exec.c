/* Execs: one caller's memory and the run loop. */
#include "runtime/exec.h"

int32_t mcomp_exec_create(mcomp_exec **out, mcomp_session *s)
{
    int32_t st = MCOMP_OK;
    mcomp_exec *e = NULL;
    MC_API_ENTER();
    MC_CHECK_ARG(1, out, "out", "is NULL");
    *out = NULL;
    MC_CHECK_ARG(2, s, "s", "is NULL");
    e = mc_calloc(1, sizeof *e);
    if (!e) return MCOMP_NO_MEMORY;
    e->session = s;
    mc_session_ref(s);
    e->out_memory = mc_calloc((size_t)s->g->n_outputs + 1, sizeof *e->out_memory);
    e->out = mc_calloc((size_t)s->g->n_outputs + 1, sizeof *e->out);
    e->in_copy = mc_calloc((size_t)s->g->n_inputs + 1, sizeof *e->in_copy);
    e->in_data = mc_calloc((size_t)s->g->n_inputs + 1, sizeof *e->in_data);
    if (!e->out_memory || !e->out || !e->in_copy || !e->in_data) MC_FAIL(MCOMP_NO_MEMORY, "", "no memory for an exec");
    *out = e;
    return MCOMP_OK;
done:
    mcomp_exec_destroy(e);
    return st;
}

void mcomp_exec_destroy(mcomp_exec *e)
{
    if (!e) return;
    mc_exec_drop_dynamic(e);
    mc_exec_forget(e);
    for (int64_t i = 0; e->out_memory && i < e->session->g->n_outputs; i++) mc_free(e->out_memory[i].data);
    for (int64_t i = 0; e->in_copy && i < e->session->g->n_inputs; i++) mc_free(e->in_copy[i].data);
    mc_free(e->block.data);
    mc_free(e->out_memory);
    mc_free(e->out);
    mc_free(e->in_copy);
    mc_free(e->in_data);
    mc_free(e->dims);
    mc_free(e->bindings);
    mc_free(e->plans);
    mc_free(e->ptr);
    mc_free(e->dynamic);
    mc_free(e->args);
    mc_session_unref(e->session);
    mc_free(e);
}

/* ---- one run ---- */

static int overlap(const void *a, uint64_t na, const void *b, uint64_t nb)
{
    const uintptr_t x = (uintptr_t)a, y = (uintptr_t)b;
    return a && b && na && nb && x < y + nb && y < x + na;
}

/* Inputs are used where they are, except outputs of the last run that are fed back: those are about to be overwritten. */
static int32_t take_inputs(mcomp_exec *e, const mcomp_tensor *const *inputs)
{
    int32_t st = MCOMP_OK;
    const mc_graph *g = e->session->g;
    for (int64_t i = 0; i < g->n_inputs; i++) {
        const mc_tensor *t = &inputs[i]->t;
        int ours = 0;
        e->in_data[i] = t->data;
        if (t->dtype == MCOMP_STRING) continue;
        const uint64_t bytes = mc_tensor_bytes(t);
        for (int64_t k = 0; k < g->n_outputs && !ours; k++)
            ours = overlap(t->data, bytes, e->out_memory[k].data, e->out_memory[k].bytes) ||
                   (e->out[k].t.data && e->out[k].t.dtype != MCOMP_STRING &&
                    overlap(t->data, bytes, e->out[k].t.data, mc_tensor_bytes(&e->out[k].t)));
        if (!ours) continue;
        MC_TRY(mc_region_grow(&e->in_copy[i], bytes));
        if (t->data != e->in_copy[i].data) memmove(e->in_copy[i].data, t->data, (size_t)bytes);
        e->in_data[i] = e->in_copy[i].data;
    }
done:
    return st;
}

static void set_pointers(mcomp_exec *e, const mc_plan *p)
{
    for (int64_t i = 0; i < p->n_storages; i++) {
        const mc_storage *s = &p->storages[i];
        switch (s->kind) {
        case MC_STORE_ARENA: e->ptr[i] = (uint8_t *)e->block.data + s->offset; break;
        case MC_STORE_INPUT: e->ptr[i] = (void *)(uintptr_t)e->in_data[s->index]; break;
        case MC_STORE_CONST: e->ptr[i] = s->constant; break;
        case MC_STORE_OUTPUT: e->ptr[i] = e->out_memory[s->index].data; break;
        default: e->ptr[i] = NULL; break;
        }
    }
}

static int32_t run_steps(mcomp_exec *e, mc_binding *b)
{
    int32_t st = MCOMP_OK;
    const mc_plan *p = b->plan->plan;
    double *ns = b->plan->ns;
    for (int64_t i = 0; i < p->n_steps; i++) {
        const int64_t start = ns ? mc_clock_ns() : 0;
        if (!mc_node_is_effect(p->steps[i].node)) MC_TRY(mc_context_poll(e->session->ctx)); /* variables change all or not at all */
        MC_TRY(mc_exec_step(e, b, i));
        if (ns) ns[i] += (double)(mc_clock_ns() - start);
    }
    if (ns) b->plan->runs++;
done:
    return st;
}

static int32_t give_outputs(mcomp_exec *e, const mc_binding *b, const mcomp_tensor **outputs)
{
    const mc_plan *p = b->plan->plan;
    for (int64_t i = 0; i < p->g->n_outputs; i++) {
        const int32_t slot = p->slot_of[p->g->outputs[i]->id];
        const mcomp_bk_buffer *v = &b->val[slot];
        mc_tensor *t = &e->out[i].t;
        t->dtype = v->dtype;
        t->shape = mc_shape_make(v->rank, v->dims);
        t->data = mc_exec_data(e, b, slot);
        t->buffer = NULL;
        if (p->storages[p->slot_storage[slot]].kind == MC_STORE_INPUT) { /* an input passed through */
            if (t->dtype == MCOMP_STRING) return mc_fail(MCOMP_UNSUPPORTED, p->g->outputs[i]->name, "a text input cannot be an output");
            if (mc_tensor_bytes(t)) memcpy(e->out_memory[i].data, t->data, (size_t)mc_tensor_bytes(t));
            t->data = e->out_memory[i].data;
        }
        if (outputs) outputs[i] = &e->out[i];
    }
    return MCOMP_OK;
}

static int32_t run(mcomp_exec *e, const mcomp_tensor *const *inputs, const mcomp_tensor **outputs)
{
    int32_t st = MCOMP_OK;
    mc_binding *b = NULL;
    MC_TRY(mc_check_memory(e->session->g, inputs));
    MC_TRY(take_inputs(e, inputs));
    mc_exec_drop_dynamic(e);
    MC_TRY(mc_exec_bind(e, inputs, &b));
    e->current = b;
    set_pointers(e, b->plan->plan);
    MC_TRY(run_steps(e, b));
    MC_TRY(give_outputs(e, b, outputs));
done:
    return st;
}

int32_t mc_exec_prepare(mcomp_exec *e, const mcomp_tensor *const *inputs, uint64_t *bytes)
{
    int32_t st = MCOMP_OK;
    mc_binding *b = NULL;
    MC_TRY(mc_check_memory(e->session->g, inputs));
    MC_TRY(mc_exec_bind(e, inputs, &b));
    *bytes = b->plan->plan->block_bytes;
done:
    return st;
}

int32_t mcomp_exec_run(mcomp_exec *e, int32_t n_inputs, const mcomp_tensor *const *inputs, int32_t n_outputs, const mcomp_tensor **outputs)
{
    int expected = 0;
    MC_API_ENTER();
    MC_CHECK_ARG(1, e, "e", "is NULL");
    MC_CHECK_ARG(2, n_inputs == e->session->g->n_inputs, "n_inputs", "is not the number of inputs of the session");
    MC_CHECK_ARG(3, inputs || n_inputs == 0, "inputs", "is NULL");
    MC_CHECK_ARG(4, n_outputs == 0 || n_outputs == e->session->g->n_outputs, "n_outputs", "is neither 0 nor the number of outputs");
    MC_CHECK_ARG(5, outputs || n_outputs == 0, "outputs", "is NULL");
    if (!atomic_compare_exchange_strong(&e->busy, &expected, 1))
        return mc_fail(MCOMP_BUSY, "", "the exec is running in another thread; use one exec a thread");
    const int32_t st = run(e, inputs, n_outputs ? outputs : NULL);
    atomic_store(&e->busy, 0);
    return st;
}
