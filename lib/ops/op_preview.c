/* Optimizers of the domain ai.onnx.preview.training (version 1), as functions: new tensors out, nothing written in place. Inputs
 * R (learning rate), T (count of updates), then for k tensors X_1..k, G_1..k and the states; outputs X' and the new states in the
 * same order. g = norm_coefficient x + G:
 *   Adagrad: h' = h + g^2, x' = x - r g / (sqrt(h') + epsilon), r = R / (1 + T decay_factor)
 *   Adam: v' = a v + (1 - a) g, h' = b h + (1 - b) g^2, x' = (1 - norm_coefficient_post) (x - r v' / (sqrt(h') + epsilon)),
 *     r = R sqrt(1 - b^T) / (1 - a^T) for T > 0, else R
 *   Momentum: v' = a v + b g (b = 1 for T = 0), x' = x - R v', nesterov: x' = x - R (g + a v')
 * In double, rounded once. */
#include <math.h>

#include "ops/nn.h"

enum { ADAGRAD, ADAM, MOMENTUM };

/* Groups of inputs after R and T: X, G and the states; outputs have one less. */
static int32_t groups(int kind) { return kind == ADAM ? 4 : 3; }

static int32_t infer(mc_infer *c, int kind)
{
    int32_t st = MCOMP_OK;
    const int32_t per = groups(kind), k = (c->n_in - 2) / per;
    const char *mode = mc_attr_s(c->node, "mode", "standard");
    if (c->n_in < 2 + per || (c->n_in - 2) % per != 0 || c->n_out != k * (per - 1))
        return mc_infer_fail(c, MCOMP_FORMAT, "%d inputs and %d outputs: after R and T come %d tensors each, without gradients out", c->n_in,
                             c->n_out, per);
    for (int32_t i = 0; i < c->n_in; i++)
        if (!c->in[i]) return mc_infer_fail(c, MCOMP_FORMAT, "input %d is missing", i);
    MC_TRY(mc_nn_need_float(c, 0));
    MC_TRY(mc_nn_need_dtype(c, 1, MCOMP_I64));
    for (int32_t i = 0; i < 2; i++) MC_TRY(mc_nn_need_rank(c, i, 0));
    if (kind == MOMENTUM && strcmp(mode, "standard") != 0 && strcmp(mode, "nesterov") != 0)
        return mc_infer_fail(c, MCOMP_FORMAT, "mode is neither standard nor nesterov");
    for (int32_t i = 2; i < c->n_in; i++) {
        const mc_type *x = c->in[2 + (i - 2) % k];
        MC_TRY(mc_nn_need_float(c, i));
        if (x->rank >= 0) MC_TRY(mc_nn_need_rank(c, i, x->rank));
        for (int32_t d = 0; d < x->rank; d++) MC_TRY(mc_nn_need_dim(c, i, d, x->dim[d], "axis of the optimized tensor"));
        if (i < 2 + k || i >= 2 + 2 * k) MC_TRY(mc_infer_same(c, i < 2 + k ? i - 2 : i - 2 - k, i));
    }
done:
    return st;
}

static int32_t infer_adagrad(mc_infer *c) { return infer(c, ADAGRAD); }
static int32_t infer_adam(mc_infer *c) { return infer(c, ADAM); }
static int32_t infer_momentum(mc_infer *c) { return infer(c, MOMENTUM); }

typedef struct rule {
    int kind, nesterov;
    double rate, a, b, epsilon, decay, post; /* decay, post: norm_coefficient and norm_coefficient_post */
} rule;

static rule rule_of(const mc_op_run *r, int kind)
{
    const mc_node *n = r->node;
    const double rate = mc_tensor_get_f64(r->in[0], 0), t = (double)mc_tensor_get_i64(r->in[1], 0);
    rule u = {.kind = kind, .rate = rate, .epsilon = (double)mc_attr_f(n, "epsilon", 1e-6f), .decay = (double)mc_attr_f(n, "norm_coefficient", 0.0f)};
    u.a = (double)mc_attr_f(n, "alpha", 0.9f);
    u.b = (double)mc_attr_f(n, "beta", kind == ADAM ? 0.999f : 1.0f);
    u.post = (double)mc_attr_f(n, "norm_coefficient_post", 0.0f);
    u.nesterov = strcmp(mc_attr_s(n, "mode", ""), "nesterov") == 0;
    if (kind == ADAGRAD) u.rate = rate / (1.0 + t * (double)mc_attr_f(n, "decay_factor", 0.0f));
    if (kind == ADAM && t > 0.0) u.rate = rate * sqrt(1.0 - pow(u.b, t)) / (1.0 - pow(u.a, t));
    if (kind == MOMENTUM && t <= 0.0) u.b = 1.0;
    return u;
}

/* One element: state[] is read and written; the new x is returned. */
static double step(const rule *u, double x, double gradient, double state[2])
{
    const double g = u->decay * x + gradient;
    switch (u->kind) {
    case ADAGRAD:
        state[0] += g * g;
        return x - u->rate * g / (sqrt(state[0]) + u->epsilon);
    case ADAM:
        state[0] = u->a * state[0] + (1.0 - u->a) * g;
        state[1] = u->b * state[1] + (1.0 - u->b) * g * g;
        return (1.0 - u->post) * (x - u->rate * state[0] / (sqrt(state[1]) + u->epsilon));
    default:
        state[0] = u->a * state[0] + u->b * g;
        return x - u->rate * (u->nesterov ? g + u->a * state[0] : state[0]);
    }
}

static int32_t forward(const mc_op_run *r, int kind, int32_t (*check)(mc_infer *))
{
    const int32_t st = mc_nn_recheck(r, check, 0), per = groups(kind), k = (r->n_in - 2) / per;
    if (st != MCOMP_OK) return st;
    const rule u = rule_of(r, kind);
    for (int32_t j = 0; j < k; j++) {
        const int64_t n = mc_tensor_elements(r->in[2 + j]);
        for (int64_t i = 0; i < n; i++) {
            double state[2] = {0.0, 0.0};
            for (int32_t s = 0; s < per - 2; s++) state[s] = mc_nn_at(r->in[2 + (2 + s) * k + j], i);
            const double x = step(&u, mc_nn_at(r->in[2 + j], i), mc_nn_at(r->in[2 + k + j], i), state);
            if (r->out[j]) mc_nn_put(r->out[j], i, x);
            for (int32_t s = 0; s < per - 2; s++)
                if (r->out[(1 + s) * k + j]) mc_nn_put(r->out[(1 + s) * k + j], i, state[s]);
        }
    }
    return MCOMP_OK;
}

static int32_t forward_adagrad(const mc_op_run *r) { return forward(r, ADAGRAD, infer_adagrad); }
static int32_t forward_adam(const mc_op_run *r) { return forward(r, ADAM, infer_adam); }
static int32_t forward_momentum(const mc_op_run *r) { return forward(r, MOMENTUM, infer_momentum); }

const mc_op mc_op_preview_Adagrad = {.name = "Adagrad", .domain = "ai.onnx.preview.training", .version = 1, .since = 1, .min_in = 5,
                                     .max_in = -1, .min_out = 2, .max_out = -1, .quant = MC_Q_NONE, .infer = infer_adagrad,
                                     .forward = forward_adagrad};
const mc_op mc_op_preview_Adam = {.name = "Adam", .domain = "ai.onnx.preview.training", .version = 1, .since = 1, .min_in = 6,
                                  .max_in = -1, .min_out = 3, .max_out = -1, .quant = MC_Q_NONE, .infer = infer_adam,
                                  .forward = forward_adam};
const mc_op mc_op_preview_Momentum = {.name = "Momentum", .domain = "ai.onnx.preview.training", .version = 1, .since = 1, .min_in = 5,
                                      .max_in = -1, .min_out = 2, .max_out = -1, .quant = MC_Q_NONE, .infer = infer_momentum,
                                      .forward = forward_momentum};
