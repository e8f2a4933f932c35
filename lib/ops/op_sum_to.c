/* mcomp.SumTo: the adjoint of broadcasting. Y has the shape of input 1 (whose elements are not read): D, a tensor that shape
 * broadcasts to, summed over the axes that broadcasting added or stretched. Sums in double. */
#include "ops/internal.h"

static int32_t infer(mc_infer *c)
{
    int32_t st = MCOMP_OK;
    const mc_type *d = c->in[0], *x = c->in[1];
    MC_TRY(mc_infer_check(c, 0, MC_CLASS_FLOAT));
    c->out[0] = *x;
    c->out[0].dtype = d->dtype;
    if (d->rank < 0 || x->rank < 0) return MCOMP_OK;
    if (x->rank > d->rank) return mc_infer_fail(c, MCOMP_SHAPE, "rank %d does not broadcast to rank %d", x->rank, d->rank);
    for (int32_t i = 0; i < x->rank; i++) {
        const int64_t to = x->dim[i], from = d->dim[d->rank - x->rank + i];
        if (to >= 0 && from >= 0 && to != 1 && to != from)
            return mc_infer_fail(c, MCOMP_SHAPE, "axis %d: %lld does not broadcast to %lld", i, (long long)to, (long long)from);
    }
done:
    return st;
}

static int32_t forward(const mc_op_run *r)
{
    const mc_tensor *d = r->in[0];
    mc_tensor *y = r->out[0];
    const mc_tensor *shape_of[1] = {y};
    const int64_t n = mc_tensor_elements(y);
    mc_walk w; /* operand 0: d, contiguous; operand 1: the place in y, stride 0 along summed axes */
    double *acc = NULL;
    int32_t st = MCOMP_OK;
    MC_TRY(mc_run_expect(r, 0, &r->in[1]->shape));
    MC_TRY(mc_walk_broadcast(&w, r, &d->shape, 1, shape_of));
    acc = mc_calloc((size_t)(n ? n : 1), sizeof *acc);
    if (!acc) MC_TRY(MCOMP_NO_MEMORY);
    MC_WALK_ROWS(&w)
    {
        for (int64_t i = 0; i < w.inner; i++) acc[w.off[1] + i * w.step[1]] += mc_tensor_get_f64(d, w.off[0] + i * w.step[0]);
    }
    for (int64_t i = 0; i < n; i++) mc_tensor_set_f64(y, i, acc[i]);
done:
    mc_free(acc);
    return st;
}

const mc_op mc_op_mcomp_SumTo = {.name = "SumTo", .domain = "mcomp", .version = 1, .since = 1, .min_in = 2, .max_in = 2, .min_out = 1,
                                 .max_out = 1, .quant = MC_Q_NONE, .infer = infer, .forward = forward, .shape_only = 2};
