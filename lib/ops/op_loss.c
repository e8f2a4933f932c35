/* NegativeLogLikelihoodLoss: loss = -w[t] * input[n,t,d...], input [N,C,d...] of log-probabilities, target [N,d...], reduction
 * none, sum or mean (divided by the sum of the weights used). SoftmaxCrossEntropyLoss: the same on LogSoftmax(scores) over axis
 * 1, which is its second output. A target equal to ignore_index counts nothing. Sums in double.
 *
 * mcomp.LossGrad: the gradient of both by their scores. Inputs: dLoss (a scalar, or [N,d...] with reduction none), then the forward
 * node's; its attributes, and log_input = 1 for NegativeLogLikelihoodLoss.
 *   d_k = u (p_k - [k = label])  (log_input: - u [k = label]),  u = weight[label] * dLoss, / sum of the weights used for mean. */
#include "ops/grad.h"
#include "ops/nn.h"

#include <math.h>

/* Scores, labels and weights: inputs first, first + 1, first + 2. */
static int32_t check_operands(mc_infer *c, int32_t first)
{
    int32_t st = MCOMP_OK;
    const mc_type *x = c->in[first];
    MC_TRY(mc_nn_need_float(c, first));
    MC_TRY(mc_infer_check(c, first + 1, MC_CLASS_INT));
    MC_TRY(mc_nn_need_float(c, first + 2));
    if (x->rank < 0) return MCOMP_OK;
    if (x->rank < 2) return mc_infer_fail(c, MCOMP_SHAPE, "the input has rank %d, not 2 or more", x->rank);
    MC_TRY(mc_nn_need_rank(c, first + 1, x->rank - 1));
    for (int32_t i = 0; i < x->rank - 1; i++) MC_TRY(mc_nn_need_dim(c, first + 1, i, x->dim[i ? i + 1 : 0], "axis of the input"));
    MC_TRY(mc_nn_need_vector(c, first + 2, x->dim[1], "classes"));
done:
    return st;
}

static int32_t check(mc_infer *c)
{
    int32_t st = MCOMP_OK;
    const mc_type *t = c->in[1];
    const char *how = mc_attr_s(c->node, "reduction", "mean");
    mc_type *y = &c->out[0];
    y->dtype = c->in[0]->dtype;
    if (strcmp(how, "none") != 0 && strcmp(how, "sum") != 0 && strcmp(how, "mean") != 0)
        return mc_infer_fail(c, MCOMP_FORMAT, "reduction must be none, sum or mean");
    MC_TRY(check_operands(c, 0));
    if (strcmp(how, "none") != 0) y->rank = 0;
    else if (t->rank >= 0) {
        *y = *t;
        y->dtype = c->in[0]->dtype;
    }
done:
    return st;
}

static int32_t infer_entropy(mc_infer *c)
{
    if (c->n_out > 1) c->out[1] = *c->in[0];
    return check(c);
}

/* Log of the sum of exponentials of one position, over the classes. */
static double log_sum(const mc_tensor *x, int64_t at, int64_t classes, int64_t step)
{
    double max = -INFINITY, sum = 0.0;
    for (int64_t k = 0; k < classes; k++) max = fmax(max, mc_nn_at(x, at + k * step));
    for (int64_t k = 0; k < classes; k++) sum += exp(mc_nn_at(x, at + k * step) - max);
    return max + log(sum);
}

/* Label i and its weight: 0 where it is ignored. */
static int32_t label_at(const mc_op_run *r, const mc_tensor *t, const mc_tensor *w, int64_t classes, int64_t i, int64_t *label, double *weight)
{
    const mc_attr *ignored = mc_node_attr(r->node, "ignore_index");
    *label = mc_tensor_get_i64(t, i);
    *weight = 0.0;
    if (ignored && *label == ignored->i) {
        *label = -1;
        return MCOMP_OK;
    }
    if (*label < 0 || *label >= classes)
        return mc_op_fail(r, MCOMP_RANGE, "label [%lld] is %lld of %lld classes", (long long)i, (long long)*label, (long long)classes);
    *weight = w ? mc_nn_at(w, *label) : 1.0;
    return MCOMP_OK;
}

static int32_t run(const mc_op_run *r, int entropy)
{
    const mc_tensor *x = r->in[0], *t = r->in[1], *w = mc_in(r, 2);
    mc_tensor *log_prob = entropy && r->n_out > 1 ? r->out[1] : NULL;
    const int64_t classes = x->shape.dim[1], inner = mc_nn_extent(&x->shape, 2, x->shape.rank), n = mc_tensor_elements(t);
    const char *how = mc_attr_s(r->node, "reduction", "mean");
    double sum = 0.0, weights = 0.0, weight;
    for (int64_t i = 0, label; i < n; i++) {
        const int64_t at = i / inner * classes * inner + i % inner;
        const int32_t st = label_at(r, t, w, classes, i, &label, &weight);
        if (st != MCOMP_OK) return st;
        const double z = entropy ? log_sum(x, at, classes, inner) : 0.0;
        const double loss = label < 0 ? 0.0 : -weight * (mc_nn_at(x, at + label * inner) - z);
        for (int64_t k = 0; log_prob && k < classes; k++) mc_nn_put(log_prob, at + k * inner, mc_nn_at(x, at + k * inner) - z);
        if (strcmp(how, "none") == 0) mc_nn_put(r->out[0], i, loss);
        sum += loss;
        weights += weight;
    }
    if (strcmp(how, "none") != 0) mc_nn_put(r->out[0], 0, strcmp(how, "mean") == 0 ? sum / weights : sum);
    return MCOMP_OK;
}

static int32_t forward_likelihood(const mc_op_run *r)
{
    const int32_t st = mc_nn_recheck(r, check, 0);
    return st != MCOMP_OK ? st : run(r, 0);
}

static int32_t forward_entropy(const mc_op_run *r)
{
    const int32_t st = mc_nn_recheck(r, infer_entropy, 0);
    return st != MCOMP_OK ? st : run(r, 1);
}

static int32_t infer_grad(mc_infer *c)
{
    c->out[0] = *c->in[1];
    return check_operands(c, 1);
}

static int32_t forward_grad(const mc_op_run *r)
{
    int32_t st = mc_nn_recheck(r, infer_grad, 0);
    if (st != MCOMP_OK) return st;
    const mc_tensor *x = r->in[1], *t = r->in[2], *w = mc_in(r, 3);
    const int64_t classes = x->shape.dim[1], inner = mc_nn_extent(&x->shape, 2, x->shape.rank), n = mc_tensor_elements(t);
    const char *how = mc_attr_s(r->node, "reduction", "mean");
    const int none = strcmp(how, "none") == 0, log_input = mc_attr_i(r->node, "log_input", 0) != 0;
    double weights = 0.0, weight;
    int64_t label;
    if (mc_tensor_elements(r->in[0]) != (none ? n : 1)) return mc_op_fail(r, MCOMP_SHAPE, "gradient of the loss");
    for (int64_t i = 0; i < n; i++, weights += weight) MC_TRY(label_at(r, t, w, classes, i, &label, &weight));
    for (int64_t i = 0; i < n; i++) {
        const int64_t at = i / inner * classes * inner + i % inner;
        MC_TRY(label_at(r, t, w, classes, i, &label, &weight));
        double u = label < 0 ? 0.0 : weight * mc_nn_at(r->in[0], none ? i : 0);
        if (u != 0.0 && strcmp(how, "mean") == 0) u /= weights;
        const double z = log_input ? 0.0 : log_sum(x, at, classes, inner);
        for (int64_t k = 0; k < classes; k++) {
            const double p = log_input ? 0.0 : exp(mc_nn_at(x, at + k * inner) - z);
            mc_nn_put(r->out[0], at + k * inner, u == 0.0 ? 0.0 : u * (p - (k == label)));
        }
    }
done:
    return st;
}

static int32_t gradient_of(mc_op_grad *c, int log_input)
{
    mc_value *weights = c->n_in > 2 ? c->x[2] : NULL;
    if (mc_grad_wants(c, 2)) return mc_grad_fail(c, MCOMP_NO_GRADIENT, "by the class weights");
    if (c->n_out > 1 && c->dy[1]) return mc_grad_fail(c, MCOMP_NO_GRADIENT, "through the log-probabilities (output 1); use LogSoftmax");
    mc_node *n = mc_grad_begin(c, "mcomp.LossGrad", weights ? 4 : 3, (mc_value *[]){c->dy[0], c->x[0], c->x[1], weights}, 1);
    if (!n) return c->status;
    c->status = mc_node_copy_attrs(n, c->node);
    if (c->status == MCOMP_OK) c->status = mc_node_set_i(n, "log_input", log_input);
    c->dx[0] = mc_grad_end(c, n);
    return c->status;
}

static int32_t grad_likelihood(mc_op_grad *c) { return gradient_of(c, 1); }
static int32_t grad_entropy(mc_op_grad *c) { return gradient_of(c, 0); }

const mc_op mc_op_NegativeLogLikelihoodLoss = {.name = "NegativeLogLikelihoodLoss", .domain = "", .version = 22, .since = 13,
                                               .min_in = 2, .max_in = 3, .min_out = 1, .max_out = 1, .quant = MC_Q_NONE,
                                               .infer = check, .forward = forward_likelihood,
                                               .gradient = grad_likelihood};
const mc_op mc_op_SoftmaxCrossEntropyLoss = {.name = "SoftmaxCrossEntropyLoss", .domain = "", .version = 13, .since = 13,
                                             .min_in = 2, .max_in = 3, .min_out = 1, .max_out = 2, .quant = MC_Q_NONE,
                                             .infer = infer_entropy, .forward = forward_entropy,
                                             .gradient = grad_entropy};
const mc_op mc_op_mcomp_LossGrad = {.name = "LossGrad", .domain = "mcomp", .version = 1, .since = 1, .min_in = 3, .max_in = 4,
                                    .min_out = 1, .max_out = 1, .quant = MC_Q_NONE, .infer = infer_grad, .forward = forward_grad};
