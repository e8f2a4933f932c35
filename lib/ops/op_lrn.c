/* LRN: y[n,c] = x / (bias + alpha / size * sum of x^2 over `size` neighbouring channels)^beta; the window reaches
 * floor((size - 1) / 2) channels down and ceil((size - 1) / 2) up. */
#include "ops/nn.h"

#include <math.h>

static int32_t infer(mc_infer *c)
{
    int32_t st = MCOMP_OK;
    const int64_t size = mc_attr_i(c->node, "size", 0);
    MC_TRY(mc_nn_need_float(c, 0));
    MC_TRY(mc_infer_same(c, 0, 0));
    if (size < 1) return mc_infer_fail(c, MCOMP_FORMAT, "size is %lld", (long long)size);
    if (c->in[0]->rank >= 0 && c->in[0]->rank < 2) return mc_infer_fail(c, MCOMP_SHAPE, "the input has rank %d, not 2 or more", c->in[0]->rank);
done:
    return st;
}

static int32_t forward(const mc_op_run *r)
{
    const int32_t st = mc_nn_recheck(r, infer, 0);
    if (st != MCOMP_OK) return st;
    const mc_tensor *x = r->in[0];
    const int64_t size = mc_attr_i(r->node, "size", 1), ch = x->shape.dim[1], plane = mc_nn_extent(&x->shape, 2, x->shape.rank);
    const double alpha = (double)mc_attr_f(r->node, "alpha", 1e-4f), beta = (double)mc_attr_f(r->node, "beta", 0.75f);
    const double bias = (double)mc_attr_f(r->node, "bias", 1.0f);
    const int64_t n = mc_tensor_elements(x), down = (size - 1) / 2, up = size - 1 - down;
    for (int64_t i = 0; i < n; i++) {
        const int64_t c = i / plane % ch, lo = c > down ? c - down : 0, hi = up < ch - 1 - c ? c + up : ch - 1;
        double sum = 0.0;
        for (int64_t k = lo; k <= hi; k++) {
            const double v = mc_nn_at(x, i + (k - c) * plane);
            sum += v * v;
        }
        mc_nn_put(r->out[0], i, mc_nn_at(x, i) / pow(bias + alpha / (double)size * sum, beta));
    }
    return MCOMP_OK;
}

const mc_op mc_op_LRN = {.name = "LRN", .domain = "", .version = 13, .since = 1, .min_in = 1, .max_in = 1, .min_out = 1,
                         .max_out = 1, .quant = MC_Q_NONE, .infer = infer, .forward = forward};
