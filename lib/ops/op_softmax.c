/* Softmax, LogSoftmax and their gradients (the form of opset 13): over one axis, e^(x - max) / sum, or x - max - log(sum). In double.
 * mcomp.SoftmaxGrad: Y, dY -> dX = y (dy - sum(dy y)), with `log` = 1 dX = dy - e^y sum(dy). */
#include "ops/grad.h"
#include "ops/nn.h"

#include <math.h>

static int32_t infer(mc_infer *c)
{
    int32_t st = MCOMP_OK, axis;
    MC_TRY(mc_nn_need_float(c, 0));
    MC_TRY(mc_infer_same(c, 0, 0));
    if (c->in[0]->rank == 0) return mc_infer_fail(c, MCOMP_SHAPE, "the input is a scalar");
    if (c->in[0]->rank > 0) MC_TRY(mc_infer_axis(c, mc_attr_i(c->node, "axis", -1), c->in[0]->rank, &axis));
done:
    return st;
}

static void row(const mc_tensor *x, mc_tensor *y, int64_t at, int64_t n, int64_t step, int logarithm)
{
    double max = -INFINITY, sum = 0.0;
    for (int64_t i = 0; i < n; i++) {
        const double v = mc_nn_at(x, at + i * step);
        if (v > max || isnan(v)) max = v;
    }
    for (int64_t i = 0; i < n; i++) sum += exp(mc_nn_at(x, at + i * step) - max);
    const double log_sum = log(sum);
    for (int64_t i = 0; i < n; i++) {
        const double d = mc_nn_at(x, at + i * step) - max;
        mc_nn_put(y, at + i * step, logarithm ? d - log_sum : exp(d) / sum);
    }
}

static int32_t run(const mc_op_run *r, int logarithm)
{
    const int32_t st = mc_nn_recheck(r, infer, 0);
    if (st != MCOMP_OK) return st;
    const mc_shape *s = &r->in[0]->shape;
    int64_t axis = mc_attr_i(r->node, "axis", -1);
    if (axis < 0) axis += s->rank;
    const int64_t outer = mc_nn_extent(s, 0, (int32_t)axis), inner = mc_nn_extent(s, (int32_t)axis + 1, s->rank), n = s->dim[axis];
    for (int64_t i = 0; i < outer; i++)
        for (int64_t j = 0; j < inner; j++) row(r->in[0], r->out[0], i * n * inner + j, n, inner, logarithm);
    return MCOMP_OK;
}

static int32_t forward_softmax(const mc_op_run *r) { return run(r, 0); }
static int32_t forward_log(const mc_op_run *r) { return run(r, 1); }

static int32_t cost(const mc_node *n, const mc_type *const *in, const mc_type *const *out, mc_op_cost *c)
{
    (void)n;
    (void)out;
    if (in[0]->rank >= 0) c->flops = 4.0 * mc_nn_extent_f(in[0], 0, in[0]->rank);
    return MCOMP_OK;
}

static int32_t forward_grad(const mc_op_run *r)
{
    const int32_t st = mc_nn_recheck(r, infer, 0);
    const mc_tensor *y = r->in[0], *dy = r->in[1];
    if (st != MCOMP_OK) return st;
    if (!mc_shape_equal(&y->shape, &dy->shape)) return mc_op_fail(r, MCOMP_SHAPE, "y and dy differ");
    int64_t axis = mc_attr_i(r->node, "axis", -1);
    if (axis < 0) axis += y->shape.rank;
    const int logarithm = mc_attr_i(r->node, "log", 0) != 0;
    const int64_t inner = mc_nn_extent(&y->shape, (int32_t)axis + 1, y->shape.rank), n = y->shape.dim[axis];
    const int64_t rows = mc_nn_extent(&y->shape, 0, (int32_t)axis) * inner;
    for (int64_t k = 0; k < rows; k++) {
        const int64_t at = k / inner * n * inner + k % inner;
        double sum = 0.0;
        for (int64_t i = 0; i < n; i++) sum += mc_nn_at(dy, at + i * inner) * (logarithm ? 1.0 : mc_nn_at(y, at + i * inner));
        for (int64_t i = 0; i < n; i++) {
            const double v = mc_nn_at(y, at + i * inner), d = mc_nn_at(dy, at + i * inner);
            mc_nn_put(r->out[0], at + i * inner, logarithm ? d - exp(v) * sum : v * (d - sum));
        }
    }
    return MCOMP_OK;
}

static int32_t gradient_of(mc_op_grad *c, mc_value *y, mc_value *dy, int logarithm)
{
    mc_node *n = mc_grad_begin(c, "mcomp.SoftmaxGrad", 2, (mc_value *[]){y, dy}, 1);
    if (!n) return c->status;
    c->status = mc_node_set_i(n, "axis", mc_attr_i(c->node, "axis", -1));
    if (c->status == MCOMP_OK && logarithm) c->status = mc_node_set_i(n, "log", 1);
    c->dx[0] = mc_grad_end(c, n);
    return c->status;
}

static int32_t grad_softmax(mc_op_grad *c) { return gradient_of(c, c->y[0], c->dy[0], 0); }
static int32_t grad_log(mc_op_grad *c) { return gradient_of(c, c->y[0], c->dy[0], 1); }

const mc_op mc_op_Softmax = {.name = "Softmax", .domain = "", .version = 13, .since = 13, .min_in = 1, .max_in = 1, .min_out = 1,
                             .max_out = 1, .quant = MC_Q_NONE, .axes = mc_axes_along, .infer = infer, .forward = forward_softmax, .cost = cost,
                             .gradient = grad_softmax};
const mc_op mc_op_LogSoftmax = {.name = "LogSoftmax", .domain = "", .version = 13, .since = 13, .min_in = 1, .max_in = 1,
                                .min_out = 1, .max_out = 1, .quant = MC_Q_NONE, .axes = mc_axes_along, .infer = infer, .forward = forward_log, .cost = cost,
                                .gradient = grad_log};
const mc_op mc_op_mcomp_SoftmaxGrad = {.name = "SoftmaxGrad", .domain = "mcomp", .version = 1, .since = 1, .min_in = 2, .max_in = 2,
                                       .min_out = 1, .max_out = 1, .quant = MC_Q_NONE, .infer = infer, .forward = forward_grad};
