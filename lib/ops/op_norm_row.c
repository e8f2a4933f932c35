/* Normalizations over the axes from `axis` on:
 *   LayerNormalization: y = (x - mean) / sqrt(var + eps) * scale + bias; also Mean and InvStdDev, shape [..axis.., 1 ...]
 *   RMSNormalization:   y = x / sqrt(mean(x^2) + eps) * scale
 * scale and bias broadcast to X from the right. Moments in double. */
#include "ops/grad.h"
#include "ops/nn.h"

#include <math.h>

/* Input i broadcasts to the shape of input 0 without enlarging it. */
static int32_t fits(const mc_infer *c, int32_t i)
{
    if (!mc_has(c, i) || c->in[i]->rank < 0 || c->in[0]->rank < 0) return MCOMP_OK;
    const int32_t shift = c->in[0]->rank - c->in[i]->rank;
    for (int32_t k = 0; k < c->in[i]->rank; k++) {
        const int64_t got = c->in[i]->dim[k], want = shift + k < 0 ? 1 : c->in[0]->dim[shift + k];
        if (shift < 0 || (got >= 0 && got != 1 && want >= 0 && got != want))
            return mc_infer_fail(c, MCOMP_SHAPE, "axis %d of input %d is %lld; it does not broadcast to the normalized axes", k, i,
                                 (long long)got);
    }
    return MCOMP_OK;
}

static int32_t infer(mc_infer *c)
{
    int32_t st = MCOMP_OK, axis;
    const int64_t stash = mc_attr_i(c->node, "stash_type", MCOMP_F32);
    MC_TRY(mc_nn_need_float(c, 0));
    MC_TRY(mc_nn_need_float(c, 1));
    MC_TRY(mc_nn_need_float(c, 2));
    MC_TRY(mc_infer_same(c, 0, 0));
    if (stash < 0 || stash > INT32_MAX || !mc_dtype_is_float((int32_t)stash))
        return mc_infer_fail(c, MCOMP_FORMAT, "stash_type %lld is no float type", (long long)stash);
    for (int32_t k = 1; k < c->n_out; k++) c->out[k].dtype = (int32_t)stash;
    if (c->in[0]->rank < 0) goto done;
    MC_TRY(mc_infer_axis(c, mc_attr_i(c->node, "axis", -1), c->in[0]->rank, &axis));
    MC_TRY(fits(c, 1));
    MC_TRY(fits(c, 2));
    for (int32_t k = 1; k < c->n_out; k++) {
        c->out[k].rank = c->in[0]->rank;
        for (int32_t d = 0; d < c->in[0]->rank; d++) c->out[k].dim[d] = d < axis ? c->in[0]->dim[d] : 1;
    }
done:
    return st;
}

static void row(const mc_op_run *r, int64_t from, int64_t n, int centre, const int64_t *ss, const int64_t *sb, double *mean, double *inv)
{
    const mc_tensor *x = r->in[0], *bias = mc_in(r, 2);
    const double eps = (double)mc_attr_f(r->node, "epsilon", 1e-5f);
    mc_nn_moments(x, from, n, centre, eps, mean, inv);
    for (int64_t i = from; i < from + n && r->out[0]; i++) {
        double v = (mc_nn_at(x, i) - *mean) * *inv * mc_nn_at(r->in[1], mc_nn_broadcast_at(&x->shape, ss, i));
        if (bias) v += mc_nn_at(bias, mc_nn_broadcast_at(&x->shape, sb, i));
        mc_nn_put(r->out[0], i, v);
    }
}

static int32_t run(const mc_op_run *r, int centre)
{
    const int32_t st = mc_nn_recheck(r, infer, 0);
    if (st != MCOMP_OK) return st;
    const mc_shape *s = &r->in[0]->shape;
    int64_t axis = mc_attr_i(r->node, "axis", -1), ss[MC_MAX_RANK], sb[MC_MAX_RANK] = {0};
    if (axis < 0) axis += s->rank;
    const int64_t rows = mc_nn_extent(s, 0, (int32_t)axis), n = mc_nn_extent(s, (int32_t)axis, s->rank);
    mc_shape_broadcast_strides(&r->in[1]->shape, s, ss);
    if (mc_in(r, 2)) mc_shape_broadcast_strides(&r->in[2]->shape, s, sb);
    for (int64_t i = 0; i < rows; i++) {
        double mean, inv;
        row(r, i * n, n, centre, ss, sb, &mean, &inv);
        if (r->n_out > 1 && r->out[1]) mc_nn_put(r->out[1], i, mean);
        if (r->n_out > 2 && r->out[2]) mc_nn_put(r->out[2], i, inv);
    }
    return MCOMP_OK;
}

static int32_t forward_layer(const mc_op_run *r) { return run(r, 1); }
static int32_t forward_rms(const mc_op_run *r) { return run(r, 0); }

static int32_t cost(const mc_node *n, const mc_type *const *in, const mc_type *const *out, mc_op_cost *c)
{
    (void)n;
    (void)out;
    if (in[0]->rank >= 0) c->flops = 6.0 * mc_nn_extent_f(in[0], 0, in[0]->rank);
    return MCOMP_OK;
}

static int32_t grad_layer(mc_op_grad *c) { return mc_grad_row_norm(c, 1); }
static int32_t grad_rms(mc_op_grad *c) { return mc_grad_row_norm(c, 0); }

const mc_op mc_op_LayerNormalization = {.name = "LayerNormalization", .domain = "", .version = 17, .since = 17, .min_in = 2,
                                        .max_in = 3, .min_out = 1, .max_out = 3, .quant = MC_Q_NONE, .axes = mc_axes_row_norm, .infer = infer,
                                        .forward = forward_layer, .cost = cost, .gradient = grad_layer};
const mc_op mc_op_RMSNormalization = {.name = "RMSNormalization", .domain = "", .version = 23, .since = 23, .min_in = 2,
                                      .max_in = 2, .min_out = 1, .max_out = 1, .quant = MC_Q_NONE, .axes = mc_axes_row_norm, .infer = infer,
                                      .forward = forward_rms, .cost = cost, .gradient = grad_rms};
