/* mcomp.Through: what quantization-aware training hands on to the forward pass, with a gradient that passes straight through.
 *   X [, F] -> Y = X: the gradient by X is dY F (F: constant, of X's shape or one element; absent: 1). LSQ's factor of a learned step.
 *   grid = 1: Y = rne(X) as int32, kept within its range: a bias in steps of its scale. The gradient is that of the number it stands for. */
#include <math.h>

#include "ops/grad.h"
#include "ops/internal.h"

#define LARGEST 2147483520.0 /* the largest float below 2^31 */

static int32_t infer(mc_infer *c)
{
    int32_t st = MCOMP_OK;
    MC_TRY(mc_infer_check(c, 0, MC_CLASS_FLOAT));
    MC_TRY(mc_infer_same(c, 0, 0));
    if (mc_attr_i(c->node, "grid", 0) != 0) c->out[0].dtype = MCOMP_I32;
done:
    return st;
}

static int32_t forward(const mc_op_run *r)
{
    const mc_tensor *x = r->in[0];
    const int64_t n = mc_tensor_elements(x);
    if (mc_attr_i(r->node, "grid", 0) == 0) {
        mc_move_all(r->out[0], x);
        return MCOMP_OK;
    }
    for (int64_t i = 0; i < n; i++) {
        const double v = rint(mc_tensor_get_f64(x, i));
        ((int32_t *)r->out[0]->data)[i] = isnan(v) ? 0 : (int32_t)fmin(fmax(v, -LARGEST), LARGEST);
    }
    return MCOMP_OK;
}

static int32_t gradient(mc_op_grad *c)
{
    if (!mc_grad_wants(c, 0)) return c->status;
    c->dx[0] = c->n_in > 1 && c->x[1] ? mc_grad_2(c, "Mul", c->dy[0], c->x[1]) : c->dy[0];
    return c->status;
}

const mc_op mc_op_mcomp_Through = {.name = "Through", .domain = "mcomp", .version = 1, .since = 1, .min_in = 1, .max_in = 2, .min_out = 1,
                                   .max_out = 1, .traits = MC_OP_ELEMENTWISE | MC_OP_SURROGATE, .quant = MC_Q_NONE, .infer = infer,
                                   .forward = forward, .gradient = gradient};
