/* mcomp.SumTo of float tensors: D summed over the axes that broadcasting stretched (gradients of biases among them). */
#include "backends/cpu/sums.h"

static int32_t claim(const mc_node *n, mcomp_claim *out)
{
    const mc_type *d = mc_cpu_in_type(n, 0), *x = mc_cpu_in_type(n, 1);
    int summed[MC_MAX_RANK];
    mc_cpu_sums p;
    if (!mc_cpu_is(d, MCOMP_F32) || !x || d->rank < x->rank || x->rank < 0) return 0;
    for (int32_t i = 0; i < d->rank; i++) {
        const int32_t k = i - (d->rank - x->rank);
        summed[i] = k < 0 || x->dim[k] == 1;
    }
    if (!mc_cpu_sums_plan(&p, d->dim, summed, d->rank)) return 0;
    return mc_cpu_claim_f32(out, "sum_to", mc_cpu_guess(d), 0.1);
}

static int32_t prepare(mc_cpu_step *s)
{
    s->scratch_bytes = mc_cpu_sums_scratch();
    return MCOMP_OK;
}

static int32_t run(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const mcomp_bk_buffer *d = mc_cpu_in(s, a, 0), *y = mc_cpu_out(s, a, 0);
    mc_cpu_sums p = {.x = d->data, .y = y->data};
    int summed[MC_MAX_RANK];
    for (int32_t i = 0; i < d->rank; i++) {
        const int32_t k = i - (d->rank - y->rank);
        summed[i] = k < 0 || y->dims[k] == 1;
        if (k >= 0 && y->dims[k] != 1 && y->dims[k] != d->dims[i])
            return mc_fail(MCOMP_SHAPE, s->node->name, "axis %d: %lld does not broadcast to %lld", k, (long long)y->dims[k], (long long)d->dims[i]);
    }
    if (mc_cpu_elements(d) == 0 || !mc_cpu_sums_plan(&p, d->dims, summed, d->rank)) return mc_cpu_ref.run(s, a);
    mc_cpu_sums_run(s, a, &p);
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_sum_to = {.domain = "mcomp", .op = "SumTo", .claim = claim, .prepare = prepare, .run = run};
