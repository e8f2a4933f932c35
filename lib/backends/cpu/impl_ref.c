/* The reference of every operator as an implementation: always right, never fast; costs more than any other claim. */
#include "backends/cpu/cpu.h"

static int32_t claim(const mc_node *n, mcomp_claim *out)
{
    mc_op_cost cost = {0};
    if (!n->desc || !n->desc->forward) return 0;
    if (n->n_in > MC_OP_MAX_IO || n->n_out > MC_OP_MAX_IO) return 0;
    (void)mc_op_count(n, &cost);
    out->cost_us = 1000.0 + (cost.macs + cost.flops) * 1e-3;
    /* references of elementwise operators read an element of input 0 before they write the same element of the output */
    if ((n->desc->traits & MC_OP_ELEMENTWISE) && n->n_in <= 2) out->inplace_input = 1;
    mc_cpu_claim_name(out, "ref", n->op);
    return 1;
}

static void view(mc_tensor *t, const mcomp_bk_buffer *b)
{
    memset(t, 0, sizeof *t);
    t->dtype = b->dtype;
    t->shape = mc_shape_make(b->rank, b->dims);
    t->data = b->data;
}

static int32_t run(const mc_cpu_step *s, const mcomp_run_args *a)
{
    mc_tensor in[MC_OP_MAX_IO], out[MC_OP_MAX_IO];
    mc_op_run r = {.node = s->node, .n_in = s->n_in, .n_out = s->n_out};
    for (int32_t i = 0; i < s->n_in; i++) {
        const mcomp_bk_buffer *b = mc_cpu_in(s, a, i);
        if (!b) continue;
        view(&in[i], b);
        r.in[i] = &in[i];
    }
    for (int32_t i = 0; i < s->n_out; i++) {
        const mcomp_bk_buffer *b = mc_cpu_out(s, a, i);
        if (!b) continue;
        view(&out[i], b);
        r.out[i] = &out[i];
    }
    return s->node->desc->forward(&r);
}

const mc_cpu_impl mc_cpu_ref = {.claim = claim, .run = run};
