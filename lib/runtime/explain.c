/* What a plan consists of and what its steps cost, for people and tests. */
#include "runtime/exec.h"

int32_t mcomp_exec_kernel_count(const mcomp_exec *e, int32_t *count)
{
    MC_API_ENTER();
    MC_CHECK_ARG(1, e, "e", "is NULL");
    MC_CHECK_ARG(2, count, "count", "is NULL");
    *count = 0;
    if (!e->current) return mc_fail(MCOMP_ARGUMENT, "", "the exec has not run yet");
    *count = (int32_t)e->current->plan->plan->n_steps;
    return MCOMP_OK;
}

int32_t mcomp_exec_kernel(const mcomp_exec *e, int32_t i, mcomp_kernel_info *out)
{
    MC_API_ENTER();
    MC_CHECK_ARG(1, e, "e", "is NULL");
    MC_CHECK_ARG(3, out && out->size >= sizeof *out, "out", "is NULL or its size is not set");
    if (!e->current) return mc_fail(MCOMP_ARGUMENT, "", "the exec has not run yet");
    const mc_exec_plan *x = e->current->plan;
    MC_CHECK_ARG(2, i >= 0 && i < x->plan->n_steps, "i", "is out of range");
    const mc_step *s = &x->plan->steps[i];
    out->integer = s->integer;
    out->node = s->node->name;
    out->op = s->node->op;
    out->backend = s->backend;
    out->kernel = s->kernel;
    out->dtype = s->dtype;
    out->why = s->why;
    out->cost_us = s->cost_us;
    out->time_us = x->ns && x->runs > 0 ? x->ns[i] / (double)x->runs / 1000.0 : 0.0;
    out->macs = s->macs;
    return MCOMP_OK;
}

int32_t mcomp_exec_plan_info(const mcomp_exec *e, mcomp_plan_info *out)
{
    MC_API_ENTER();
    MC_CHECK_ARG(1, e, "e", "is NULL");
    MC_CHECK_ARG(2, out && out->size >= sizeof *out, "out", "is NULL or its size is not set");
    if (!e->current) return mc_fail(MCOMP_ARGUMENT, "", "the exec has not run yet");
    const mc_plan *p = e->current->plan->plan;
    out->n_steps = (int32_t)p->n_steps;
    out->memory_bytes = p->block_bytes;
    pthread_mutex_lock(&e->session->lock);
    out->packed_bytes = mc_store_bytes(e->session->store);
    pthread_mutex_unlock(&e->session->lock);
    out->macs = p->macs;
    out->integer_macs = p->integer_macs;
    out->bucket = p->exact ? 0 : p->bucket;
    return MCOMP_OK;
}
