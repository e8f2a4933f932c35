/* Shape arithmetic and other tiny integer work: the reference is fast enough for a few elements, so it is claimed here at its
 * true small cost. */
#include "backends/cpu/work.h"

#include <stdio.h>

#define SMALL 64

static int small(const mc_type *t)
{
    int64_t n = 1;
    if (t->rank < 0) return 0;
    for (int32_t i = 0; i < t->rank; i++) {
        if (t->dim[i] < 0 || t->dim[i] > SMALL) return 0;
        n *= t->dim[i];
    }
    return n <= SMALL;
}

static int32_t claim(const mc_node *n, mcomp_claim *out)
{
    if (!n->desc || !n->desc->forward || n->n_out < 1 || n->n_in > MC_OP_MAX_IO || n->n_out > MC_OP_MAX_IO) return 0;
    const int shape_only = strcmp(n->domain, "") == 0 && (strcmp(n->op, "Shape") == 0 || strcmp(n->op, "Size") == 0);
    for (int32_t i = 0; i < n->n_in; i++) /* inputs must be small too, or their elements unread */
        if (n->in[i] && !shape_only && !small(&n->in[i]->type)) return 0;
    for (int32_t i = 0; i < n->n_out; i++) {
        const mc_type *t = mc_cpu_out_type(n, i);
        if (t && (!small(t) || t->dtype == MCOMP_STRING)) return 0;
    }
    out->cost_us = 1.0;
    snprintf(out->kernel, sizeof out->kernel, "glue:%s", n->op);
    return 1;
}

static int32_t run(const mc_cpu_step *s, const mcomp_run_args *a) { return mc_cpu_ref.run(s, a); }

const mc_cpu_impl mc_cpu_glue = {.claim = claim, .run = run};
