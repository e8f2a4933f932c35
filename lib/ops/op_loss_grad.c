/* mcomp.LossGrad: gradient of NegativeLogLikelihoodLoss (log_input = 1) and SoftmaxCrossEntropyLoss by their scores. Inputs: dLoss
 * (a scalar, or [N,d...] with reduction none), scores [N,C,d...], labels [N,d...], weights [C] (optional); attributes reduction and
 * ignore_index as in the forward node.
 *   d_k = u (p_k - [k = label])  (log_input: - u [k = label]),  u = weight[label] * dLoss, / sum of the weights used for mean. */
#include <math.h>

#include "ops/grad.h"
#include "ops/nn.h"

static int32_t infer(mc_infer *c)
{
    int32_t st = MCOMP_OK;
    const mc_type *x = c->in[1];
    MC_TRY(mc_nn_need_float(c, 1));
    MC_TRY(mc_infer_check(c, 2, MC_CLASS_INT));
    c->out[0] = *x;
    if (x->rank < 0) return MCOMP_OK;
    if (x->rank < 2) return mc_infer_fail(c, MCOMP_SHAPE, "scores have rank %d", x->rank);
    MC_TRY(mc_nn_need_rank(c, 2, x->rank - 1));
    for (int32_t i = 0; i < x->rank - 1; i++) MC_TRY(mc_nn_need_dim(c, 2, i, x->dim[i ? i + 1 : 0], "axis of the scores"));
    if (c->n_in > 3) MC_TRY(mc_nn_need_vector(c, 3, x->dim[1], "classes"));
done:
    return st;
}

static void position(const mc_op_run *r, int64_t at, int64_t classes, int64_t step, int64_t label, double u)
{
    const mc_tensor *x = r->in[1];
    const int plain = mc_attr_i(r->node, "log_input", 0) != 0;
    double max = -INFINITY, sum = 0.0;
    for (int64_t k = 0; k < classes && !plain; k++) max = fmax(max, mc_nn_at(x, at + k * step));
    for (int64_t k = 0; k < classes && !plain; k++) sum += exp(mc_nn_at(x, at + k * step) - max);
    for (int64_t k = 0; k < classes; k++) {
        const double p = plain ? 0.0 : exp(mc_nn_at(x, at + k * step) - max) / sum;
        mc_nn_put(r->out[0], at + k * step, u == 0.0 ? 0.0 : u * (p - (k == label)));
    }
}

static int32_t forward(const mc_op_run *r)
{
    const int32_t st = mc_nn_recheck(r, infer, 0);
    if (st != MCOMP_OK) return st;
    const mc_tensor *x = r->in[1], *t = r->in[2], *w = mc_in(r, 3);
    const int64_t classes = x->shape.dim[1], inner = mc_nn_extent(&x->shape, 2, x->shape.rank), n = mc_tensor_elements(t);
    const char *how = mc_attr_s(r->node, "reduction", "mean");
    const mc_attr *ignored = mc_node_attr(r->node, "ignore_index");
    const int none = strcmp(how, "none") == 0, mean = strcmp(how, "mean") == 0;
    double weights = 0.0;
    if (mc_tensor_elements(r->in[0]) != (none ? n : 1)) return mc_op_fail(r, MCOMP_SHAPE, "gradient of the loss");
    for (int64_t i = 0; i < n; i++) {
        const int64_t label = mc_tensor_get_i64(t, i);
        if (ignored && label == ignored->i) continue;
        if (label < 0 || label >= classes)
            return mc_op_fail(r, MCOMP_RANGE, "label [%lld] is %lld of %lld classes", (long long)i, (long long)label, (long long)classes);
        weights += w ? mc_nn_at(w, label) : 1.0;
    }
    for (int64_t i = 0; i < n; i++) {
        const int64_t label = mc_tensor_get_i64(t, i);
        const int skip = ignored && label == ignored->i;
        double u = skip ? 0.0 : (w ? mc_nn_at(w, label) : 1.0) * mc_nn_at(r->in[0], none ? i : 0);
        if (mean && u != 0.0) u /= weights;
        position(r, i / inner * classes * inner + i % inner, classes, inner, label, u);
    }
    return MCOMP_OK;
}

const mc_op mc_op_mcomp_LossGrad = {.name = "LossGrad", .domain = "mcomp", .version = 1, .since = 1, .min_in = 3, .max_in = 4,
                                    .min_out = 1, .max_out = 1, .quant = MC_Q_NONE, .infer = infer, .forward = forward};
