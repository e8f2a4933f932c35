/* Normalizations with one scale and shift a channel of X [N,C,...]:
 *   BatchNormalization: y = (x - mean[c]) / sqrt(var[c] + eps) * scale[c] + bias[c], with training_mode by the moments of the batch
 *     (variance by n, not n - 1); the running ones go on: running = momentum * running + (1 - momentum) * the batch's
 *   InstanceNormalization: mean and variance of each (n, c) plane; GroupNormalization (21): of each (n, group).
 * Moments in double. */
#include "ops/grad.h"
#include "ops/nn.h"

#include <math.h>

/* Channels of the input; 1-D inputs count as one channel for BatchNormalization. */
static int64_t channels_of(const mc_type *x) { return x->rank > 1 ? x->dim[1] : x->rank == 1 ? 1 : -1; }

static int32_t infer_batch(mc_infer *c)
{
    int32_t st = MCOMP_OK;
    MC_TRY(mc_nn_need_float(c, 0));
    MC_TRY(mc_infer_same(c, 0, 0));
    if (mc_attr_i(c->node, "training_mode", 0) == 0 && c->n_out > 1)
        return mc_infer_fail(c, MCOMP_UNSUPPORTED, "%d outputs without training_mode", c->n_out);
    for (int32_t k = 1; k < c->n_out; k++) MC_TRY(mc_infer_same(c, k, k + 2));
    if (c->in[0]->rank == 0) return mc_infer_fail(c, MCOMP_SHAPE, "the input is a scalar");
    for (int32_t i = 1; i < 5; i++) {
        MC_TRY(mc_nn_need_float(c, i));
        MC_TRY(mc_nn_need_vector(c, i, channels_of(c->in[0]), "channels"));
    }
done:
    return st;
}

static int32_t infer_instance(mc_infer *c)
{
    int32_t st = MCOMP_OK;
    MC_TRY(mc_nn_need_float(c, 0));
    MC_TRY(mc_infer_same(c, 0, 0));
    if (c->in[0]->rank >= 0 && c->in[0]->rank < 3) return mc_infer_fail(c, MCOMP_SHAPE, "the input has rank %d, not 3 or more", c->in[0]->rank);
    for (int32_t i = 1; i < 3; i++) {
        MC_TRY(mc_nn_need_float(c, i));
        MC_TRY(mc_nn_need_vector(c, i, channels_of(c->in[0]), "channels"));
    }
done:
    return st;
}

static int32_t infer_group(mc_infer *c)
{
    int32_t st = MCOMP_OK;
    const int64_t groups = mc_attr_i(c->node, "num_groups", 0);
    MC_TRY(mc_nn_need_float(c, 0));
    MC_TRY(mc_infer_same(c, 0, 0));
    if (groups < 1) return mc_infer_fail(c, MCOMP_FORMAT, "num_groups is %lld", (long long)groups);
    if (c->in[0]->rank >= 0 && c->in[0]->rank < 2) return mc_infer_fail(c, MCOMP_SHAPE, "the input has rank %d, not 2 or more", c->in[0]->rank);
    const int64_t channels = channels_of(c->in[0]);
    if (channels >= 0 && channels % groups != 0)
        return mc_infer_fail(c, MCOMP_SHAPE, "%lld channels in %lld groups", (long long)channels, (long long)groups);
    for (int32_t i = 1; i < 3; i++) {
        MC_TRY(mc_nn_need_float(c, i));
        MC_TRY(mc_nn_need_vector(c, i, channels, "channels"));
    }
done:
    return st;
}

/* Mean and variance of channel c over images and positions. */
static void channel_moments(const mc_tensor *x, int64_t images, int64_t channels, int64_t plane, int64_t c, double *mean, double *var)
{
    double sum = 0.0, square = 0.0;
    for (int64_t m = 0; m < images; m++)
        for (int64_t i = 0; i < plane; i++) sum += mc_nn_at(x, (m * channels + c) * plane + i);
    *mean = sum / (double)(images * plane);
    for (int64_t m = 0; m < images; m++)
        for (int64_t i = 0; i < plane; i++) {
            const double d = mc_nn_at(x, (m * channels + c) * plane + i) - *mean;
            square += d * d;
        }
    *var = square / (double)(images * plane);
}

static int32_t forward_batch(const mc_op_run *r)
{
    const int32_t st = mc_nn_recheck(r, infer_batch, 0);
    if (st != MCOMP_OK) return st;
    const mc_tensor *x = r->in[0];
    const int64_t images = x->shape.dim[0], ch = x->shape.rank > 1 ? x->shape.dim[1] : 1;
    const int64_t plane = x->shape.rank > 2 ? mc_nn_extent(&x->shape, 2, x->shape.rank) : 1;
    const double eps = (double)mc_attr_f(r->node, "epsilon", 1e-5f), momentum = (double)mc_attr_f(r->node, "momentum", 0.9f);
    const int training = mc_attr_i(r->node, "training_mode", 0) != 0 && images * plane > 0; /* nothing is learnt from no elements */
    for (int64_t c = 0; c < ch; c++) {
        double moment[2] = {mc_nn_at(r->in[3], c), mc_nn_at(r->in[4], c)}, running[2] = {moment[0], moment[1]};
        if (training) channel_moments(x, images, ch, plane, c, &moment[0], &moment[1]);
        for (int32_t k = 1; k < r->n_out; k++)
            if (r->out[k]) mc_nn_put(r->out[k], c, momentum * running[k - 1] + (1.0 - momentum) * moment[k - 1]);
        const double scale = mc_nn_at(r->in[1], c) / sqrt(moment[1] + eps), bias = mc_nn_at(r->in[2], c);
        for (int64_t p = c; p < images * ch; p += ch)
            for (int64_t i = p * plane; i < (p + 1) * plane; i++) mc_nn_put(r->out[0], i, (mc_nn_at(x, i) - moment[0]) * scale + bias);
    }
    return MCOMP_OK;
}

/* Blocks of `block` elements share their moments; plane: elements of one channel. */
static void normalise(const mc_op_run *r, int64_t blocks, int64_t block, int64_t channels, int64_t plane)
{
    const mc_tensor *x = r->in[0];
    const double eps = (double)mc_attr_f(r->node, "epsilon", 1e-5f);
    for (int64_t b = 0; b < blocks; b++) {
        double mean, inv;
        mc_nn_moments(x, b * block, block, 1, eps, &mean, &inv);
        for (int64_t i = b * block; i < (b + 1) * block; i++) {
            const int64_t c = i / plane % channels;
            mc_nn_put(r->out[0], i, (mc_nn_at(x, i) - mean) * inv * mc_nn_at(r->in[1], c) + mc_nn_at(r->in[2], c));
        }
    }
}

static int32_t run_blocks(const mc_op_run *r, int64_t groups)
{
    const mc_shape *s = &r->in[0]->shape;
    const int64_t plane = mc_nn_extent(s, 2, s->rank), ch = s->dim[1];
    if (mc_tensor_elements(r->in[0]) > 0) normalise(r, s->dim[0] * groups, ch / groups * plane, ch, plane);
    return MCOMP_OK;
}

static int32_t forward_instance(const mc_op_run *r)
{
    const int32_t st = mc_nn_recheck(r, infer_instance, 0);
    return st != MCOMP_OK ? st : run_blocks(r, r->in[0]->shape.dim[1]);
}

static int32_t forward_group(const mc_op_run *r)
{
    const int32_t st = mc_nn_recheck(r, infer_group, 0);
    return st != MCOMP_OK ? st : run_blocks(r, mc_attr_i(r->node, "num_groups", 1));
}

static int32_t grad_batch(mc_op_grad *c) { return mc_grad_channel_norm(c, mc_attr_i(c->node, "training_mode", 0) ? "batch" : "fixed"); }
static int32_t grad_instance(mc_op_grad *c) { return mc_grad_channel_norm(c, "instance"); }
static int32_t grad_group(mc_op_grad *c) { return mc_grad_channel_norm(c, "group"); }

const mc_op mc_op_BatchNormalization = {.name = "BatchNormalization", .domain = "", .version = 15, .since = 9, .min_in = 5,
                                        .max_in = 5, .min_out = 1, .max_out = 3, .quant = MC_Q_NONE, .axes = mc_axes_channel_norm, .infer = infer_batch,
                                        .forward = forward_batch, .gradient = grad_batch};
const mc_op mc_op_InstanceNormalization = {.name = "InstanceNormalization", .domain = "", .version = 22, .since = 6, .min_in = 3,
                                           .max_in = 3, .min_out = 1, .max_out = 1, .quant = MC_Q_NONE, .axes = mc_axes_channel_norm, .infer = infer_instance,
                                           .forward = forward_instance, .gradient = grad_instance};
const mc_op mc_op_GroupNormalization = {.name = "GroupNormalization", .domain = "", .version = 21, .since = 21, .min_in = 3,
                                        .max_in = 3, .min_out = 1, .max_out = 1, .quant = MC_Q_NONE, .infer = infer_group,
                                        .forward = forward_group, .gradient = grad_group};
