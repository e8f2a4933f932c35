/* Running one step of a plan on the buffers of a run. */
#include "runtime/control.h"
#include "runtime/device.h"

void *mc_exec_data(const mcomp_exec *e, const mc_binding *b, int32_t slot)
{
    return b->val[slot].data ? b->val[slot].data : e->ptr[b->plan->plan->slot_storage[slot]];
}

void mc_exec_drop_dynamic(mcomp_exec *e)
{
    for (int64_t i = 0; i < e->n_dynamic; i++) {
        mc_tensor_destroy(e->dynamic[i]);
        e->dynamic[i] = NULL;
    }
    e->n_dynamic = 0;
}

/* View of a slot as a tensor. Values that live in a tensor of their own (strings, too) are that tensor, viewed. */
static void view_of(const mcomp_exec *e, const mc_binding *b, int32_t slot, mc_tensor *t)
{
    const mcomp_bk_buffer *v = &b->val[slot];
    memset(t, 0, sizeof *t);
    t->dtype = v->dtype;
    t->shape = mc_shape_make(v->rank, v->dims);
    t->data = mc_exec_data(e, b, slot);
}

static int32_t run_program(mcomp_exec *e, const mc_binding *b, const mc_step *s)
{
    const mc_plan *p = b->plan->plan;
    for (int32_t k = 0; k < s->n_args; k++) {
        const int32_t slot = s->args[k];
        e->args[k] = b->val[slot];
        e->args[k].data = mc_exec_data(e, b, slot);
    }
    const mcomp_run_args a = {
        .size = sizeof a, .n_buffers = s->n_args, .buffers = e->args,
        .scratch = s->scratch >= 0 ? (uint8_t *)e->block.data + p->storages[s->scratch].offset : NULL,
        .worker_scratch = s->worker >= 0 ? (uint8_t *)e->block.data + p->storages[s->worker].offset : NULL,
        .worker_scratch_stride = s->worker_stride, .pool = (mcomp_bk_pool *)(void *)e->session->pool,
    };
    return s->api->run(s->program, &a);
}

/* The operator's reference on planned memory. */
static int32_t run_reference(const mcomp_exec *e, const mc_binding *b, const mc_step *s)
{
    const mc_plan *p = b->plan->plan;
    const mc_node *n = s->node;
    mc_tensor in[MC_OP_MAX_IO], out[MC_OP_MAX_IO];
    mc_op_run r = {.node = n, .n_in = n->n_in, .n_out = n->n_out};
    for (int32_t k = 0; k < n->n_in; k++) {
        if (!n->in[k]) continue;
        view_of(e, b, p->slot_of[n->in[k]->id], &in[k]);
        r.in[k] = &in[k];
    }
    for (int32_t k = 0; k < n->n_out; k++) {
        if (!mc_output_wanted(n, k)) continue;
        view_of(e, b, p->slot_of[n->out[k]->id], &out[k]);
        r.out[k] = &out[k];
    }
    return n->desc->forward(&r);
}

/* Takes over t as the value of a dynamic slot. */
static void set_dynamic(mcomp_exec *e, mc_binding *b, int32_t slot, mc_tensor *t)
{
    const int32_t at = b->plan->plan->slot_storage[slot];
    mcomp_bk_buffer *v = &b->val[slot];
    mc_tensor_destroy(e->dynamic[at]);
    e->dynamic[at] = t;
    if (at >= e->n_dynamic) e->n_dynamic = at + 1;
    e->ptr[at] = t->data;
    v->dtype = t->dtype;
    v->rank = t->shape.rank;
    for (int32_t k = 0; k < v->rank; k++) v->dims[k] = t->shape.dim[k];
}

static int32_t check_tensor(const mcomp_exec *e, const mc_node *n, const mc_tensor *t)
{
    const uint64_t bytes = mc_tensor_bytes(t), max = e->session->ctx->options.max_tensor_bytes;
    if (t->dtype == MCOMP_STRING || bytes <= max) return MCOMP_OK;
    return mc_fail(MCOMP_LIMIT, n->name, "a tensor of %llu bytes; one tensor may have %llu", (unsigned long long)bytes, (unsigned long long)max);
}

static int32_t run_eval(mcomp_exec *e, mc_binding *b, const mc_step *s)
{
    int32_t st = MCOMP_OK;
    const mc_plan *p = b->plan->plan;
    const mc_node *n = s->node;
    mc_tensor in[MC_OP_MAX_IO], *out[MC_OP_MAX_IO] = {NULL};
    const mc_tensor *ins[MC_OP_MAX_IO];
    for (int32_t k = 0; k < n->n_in; k++) {
        ins[k] = NULL;
        if (!n->in[k]) continue;
        view_of(e, b, p->slot_of[n->in[k]->id], &in[k]);
        ins[k] = &in[k];
    }
    MC_TRY(mc_op_eval(n, n->n_in, ins, out));
    for (int32_t k = 0; k < n->n_out; k++) {
        if (!out[k] || !mc_output_wanted(n, k)) continue;
        MC_TRY(check_tensor(e, n, out[k]));
        set_dynamic(e, b, p->slot_of[n->out[k]->id], out[k]);
        out[k] = NULL;
    }
done:
    for (int32_t k = 0; k < n->n_out; k++) mc_tensor_destroy(out[k]);
    return st;
}

static int32_t run_control(mcomp_exec *e, mc_binding *b, int64_t i)
{
    int32_t st = MCOMP_OK;
    const mc_plan *p = b->plan->plan;
    const mc_node *n = p->steps[i].node;
    const int32_t n_in = n->n_in + n->n_cap;
    mc_tensor *in = mc_calloc((size_t)n_in + 1, sizeof *in), **out = mc_calloc((size_t)n->n_out + 1, sizeof *out);
    const mc_tensor **ins = mc_calloc((size_t)n_in + 1, sizeof *ins);
    if (!in || !ins || !out) MC_FAIL(MCOMP_NO_MEMORY, n->name, "no memory for a subgraph");
    for (int32_t k = 0; k < n_in; k++) {
        if (!n->in[k]) continue;
        view_of(e, b, p->slot_of[n->in[k]->id], &in[k]);
        ins[k] = &in[k];
    }
    MC_TRY(mc_control_run(n, p->steps[i].sub, &b->plan->nested[2 * i], ins, out));
    for (int32_t k = 0; k < n->n_out; k++) {
        if (!out[k] || !mc_output_wanted(n, k)) continue;
        set_dynamic(e, b, p->slot_of[n->out[k]->id], out[k]);
        out[k] = NULL;
    }
done:
    for (int32_t k = 0; out && k < n->n_out; k++) mc_tensor_destroy(out[k]);
    mc_free(in);
    mc_free(ins);
    mc_free(out);
    return st;
}

static int32_t run_observe(const mcomp_exec *e, const mc_binding *b, const mc_node *n)
{
    mc_tensor t;
    if (!e->session->has_observer || n->n_in < 1 || !n->in[0]) return MCOMP_OK;
    view_of(e, b, b->plan->plan->slot_of[n->in[0]->id], &t);
    return e->session->observer.see(e->session->observer.payload, mc_attr_i(n, "slot", 0), &t);
}

int32_t mc_exec_step(mcomp_exec *e, mc_binding *b, int64_t i)
{
    const mc_step *s = &b->plan->plan->steps[i];
    int32_t st = MCOMP_OK;
    switch (s->kind) {
    case MC_STEP_KERNEL:
        if (b->skip && b->skip[i] == MC_RUN_NOTHING) break;
        st = s->program && (!b->skip || b->skip[i] == MC_RUN_KERNEL) ? run_program(e, b, s) : run_reference(e, b, s);
        break;
    case MC_STEP_DEVICE:
        if (b->plan->plan->groups[s->group].first == i) st = mc_device_run(e, b, &b->plan->plan->groups[s->group], &b->plan->devices[s->group]);
        break;
    case MC_STEP_EVAL: st = run_eval(e, b, s); break;
    case MC_STEP_CONTROL: st = run_control(e, b, i); break;
    case MC_STEP_OBSERVE: st = run_observe(e, b, s->node); break;
    case MC_STEP_VIEW: /* the storage is shared; a view of a dynamic value exists once that does */
    default: break;
    }
    if (st != MCOMP_OK && mc_error_peek()->code != st)
        st = mc_fail(st, s->node->name, "%s: kernel %s failed", s->node->op, s->kernel);
    return st;
}
