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
    MC_CHECK_ARG(3, out, "out", "is NULL");
    if (!e->current) return mc_fail(MCOMP_ARGUMENT, "", "the exec has not run yet");
    const mc_exec_plan *x = e->current->plan;
    MC_CHECK_ARG(2, i >= 0 && i < x->plan->n_steps, "i", "is out of range");
    const mc_step *s = &x->plan->steps[i];
    const mcomp_kernel_info k = {.size = sizeof k, .integer = s->integer, .node = s->node->name, .op = s->node->op, .backend = s->backend,
                                 .kernel = s->kernel, .dtype = s->dtype, .why = s->why, .cost_us = s->cost_us,
                                 .time_us = x->ns && x->runs > 0 ? x->ns[i] / (double)x->runs / 1000.0 : 0.0, .macs = s->macs};
    return mc_info_give(out, &k, sizeof k, 3);
}

const mc_node *mc_exec_timed_node(const mcomp_exec *e, int32_t i, double *ns)
{
    const mc_exec_plan *x = e->current ? e->current->plan : NULL;
    *ns = x && x->ns && i >= 0 && i < x->plan->n_steps ? x->ns[i] : 0.0;
    return x && i >= 0 && i < x->plan->n_steps ? x->plan->steps[i].node : NULL;
}

int32_t mcomp_exec_plan_info(const mcomp_exec *e, mcomp_plan_info *out)
{
    MC_API_ENTER();
    MC_CHECK_ARG(1, e, "e", "is NULL");
    MC_CHECK_ARG(2, out, "out", "is NULL");
    if (!e->current) return mc_fail(MCOMP_ARGUMENT, "", "the exec has not run yet");
    const mc_plan *p = e->current->plan->plan;
    mcomp_plan_info i = {.size = sizeof i, .n_steps = (int32_t)p->n_steps, .memory_bytes = p->block_bytes, .macs = p->macs,
                         .integer_macs = p->integer_macs, .bucket = p->exact ? 0 : p->bucket};
    pthread_mutex_lock(&e->session->lock);
    i.packed_bytes = mc_store_bytes(e->session->store);
    pthread_mutex_unlock(&e->session->lock);
    return mc_info_give(out, &i, sizeof i, 2);
}
