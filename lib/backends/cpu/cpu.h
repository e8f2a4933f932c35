/* backends/cpu/cpu.h - private to the built-in backend: one implementation = one file impl_<file>.c and one row of cpu.def.
 *
 * An implementation says for which operator it is, claims nodes it can run (cost decides between several), prepares a step
 * (packs weights, reads attributes, computes scratch) and runs it on the buffers of a run, whose dims may be smaller than those
 * seen in prepare (shape buckets). `ref` (impl_ref.c) runs every operator that has a reference, at a cost that loses to
 * everything else.
 */
#ifndef MC_BACKENDS_CPU_H
#define MC_BACKENDS_CPU_H

#include <mcomp/backend.h>

#include "backends/cpu/entry.h"
#include "kernels/kernels.h"
#include "ops/ops.h"

typedef struct mc_cpu_step mc_cpu_step;
typedef struct mc_cpu_impl {
    const char *domain, *op; /* op NULL: asked for every node (the reference) */
    /* 1 yes (fill cost_us, kernel, inplace_input, integer), 0 no, negative error. The node is also available as mc_node. */
    int32_t (*claim)(const mc_node *n, mcomp_claim *out);
    int32_t (*prepare)(mc_cpu_step *s); /* may set state, scratch_bytes, worker_scratch_bytes; NULL: nothing to do */
    void (*release)(mc_cpu_step *s);    /* frees what state holds; NULL: mc_free(state) */
    int32_t (*run)(const mc_cpu_step *s, const mcomp_run_args *a);
} mc_cpu_impl;

struct mc_cpu_step {
    const mc_cpu_impl *impl;
    const mc_node *node;         /* lives as long as the plan, and so as long as the step */
    const mc_kernels *kernels;   /* of the tier in effect */
    const mcomp_host_api *host;
    mcomp_bk_store *store;       /* prepare only: host->pack */
    int32_t threads, bf16;       /* bf16: numbers an operand in products by BF16 instructions, 0: float (attribute, passes/pass_precision.c) */
    int32_t n_in, n_out;
    int32_t *in, *out;           /* slots into a->buffers, -1 where omitted */
    void *state;
    uint64_t scratch_bytes, worker_scratch_bytes;
};

/* Buffer of formal input / output i in this run; NULL when omitted. */
static inline const mcomp_bk_buffer *mc_cpu_in(const mc_cpu_step *s, const mcomp_run_args *a, int32_t i)
{
    return i < s->n_in && s->in[i] >= 0 ? &a->buffers[s->in[i]] : NULL;
}
static inline const mcomp_bk_buffer *mc_cpu_out(const mc_cpu_step *s, const mcomp_run_args *a, int32_t i)
{
    return i < s->n_out && s->out[i] >= 0 ? &a->buffers[s->out[i]] : NULL;
}
/* Their floats; NULL when omitted. */
static inline float *mc_cpu_in_f32(const mc_cpu_step *s, const mcomp_run_args *a, int32_t i)
{
    const mcomp_bk_buffer *b = mc_cpu_in(s, a, i);
    return b ? b->data : NULL;
}
static inline float *mc_cpu_out_f32(const mc_cpu_step *s, const mcomp_run_args *a, int32_t i)
{
    const mcomp_bk_buffer *b = mc_cpu_out(s, a, i);
    return b ? b->data : NULL;
}
int64_t mc_cpu_elements(const mcomp_bk_buffer *b);
static inline void *mc_cpu_worker_scratch(const mcomp_run_args *a, int32_t worker)
{
    return (uint8_t *)a->worker_scratch + (uint64_t)worker * a->worker_scratch_stride;
}
/* Type of input / output i in claim and prepare. The dims are always known there: the largest of the plan's shape bucket. Any
 * dim that was symbolic may be smaller in a run (never larger), so run() takes every dim from the buffers; prepare only sizes
 * scratch by these. Broadcast patterns, ranks, dtypes and constants do not change between runs of a plan. */
static inline const mc_type *mc_cpu_in_type(const mc_node *n, int32_t i) { return i < n->n_in && n->in[i] ? &n->in[i]->type : NULL; }
static inline const mc_type *mc_cpu_out_type(const mc_node *n, int32_t i) { return i < n->n_out && n->out[i] ? &n->out[i]->type : NULL; }
/* "name:tier" into claim->kernel. */
void mc_cpu_claim_name(mcomp_claim *c, const char *name, const char *tier);

#endif
