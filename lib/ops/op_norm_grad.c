/* Gradients of the normalizations. With xh = (x - mean) * inv and g = dy * scale, over the elements that share their moments:
 *   dx = inv * (g - mean(g) - xh * mean(g * xh)),  dscale = sum dy * xh,  dbias = sum dy
 * (RMS: without the mean(g) term and with mean = 0; fixed moments: dx = g * inv.) Moments are recomputed, in double.
 *   mcomp.RowNormGrad: dY, X, scale, bias (optional) -> dX, dscale, dbias; attributes axis, epsilon, centre (1: LayerNormalization,
 *     0: RMSNormalization); scale and bias broadcast from the right.
 *   mcomp.ChannelNormGrad: dY, X [N,C,...], scale [C], mean, var (kind fixed) -> dX, dscale, dbias; kind = batch, instance, group
 *     (num_groups) or fixed. */
#include <math.h>

#include "ops/grad.h"
#include "ops/nn.h"

static int32_t infer_like(mc_infer *c, const int32_t *like, int32_t n)
{
    int32_t st = MCOMP_OK;
    MC_TRY(mc_nn_need_float(c, 0));
    for (int32_t k = 0; k < c->n_out && k < n; k++)
        if (like[k] < c->n_in && c->in[like[k]]) c->out[k] = *c->in[like[k]];
done:
    return st;
}

static int32_t infer_row(mc_infer *c)
{
    int32_t axis;
    if (c->in[1]->rank >= 0 && mc_infer_axis(c, mc_attr_i(c->node, "axis", -1), c->in[1]->rank, &axis) != MCOMP_OK) return MCOMP_FORMAT;
    return infer_like(c, (const int32_t[]){1, 2, 3}, 3);
}

/* Accumulators of one run, f64. */
typedef struct sums {
    double *scale, *bias;
} sums;

static int32_t open_sums(sums *s, const mc_op_run *r)
{
    s->scale = mc_calloc((size_t)mc_tensor_elements(r->in[2]) + 1, sizeof *s->scale);
    s->bias = mc_calloc((size_t)mc_tensor_elements(r->n_in > 3 && r->in[3] ? r->in[3] : r->in[2]) + 1, sizeof *s->bias);
    return s->scale && s->bias ? MCOMP_OK : MCOMP_NO_MEMORY;
}

static void close_sums(sums *s, const mc_op_run *r, int32_t st)
{
    for (int32_t k = 1; st == MCOMP_OK && k < r->n_out; k++)
        for (int64_t i = 0; r->out[k] && i < mc_tensor_elements(r->out[k]); i++) mc_nn_put(r->out[k], i, (k == 1 ? s->scale : s->bias)[i]);
    mc_free(s->scale);
    mc_free(s->bias);
}

static void row(const mc_op_run *r, sums *a, int64_t from, int64_t n, int centre, const int64_t *ss, const int64_t *sb)
{
    const mc_tensor *dy = r->in[0], *x = r->in[1], *scale = r->in[2];
    const double eps = (double)mc_attr_f(r->node, "epsilon", 1e-5f);
    double mean, inv, mean_g = 0.0, mean_gx = 0.0;
    mc_nn_moments(x, from, n, centre, eps, &mean, &inv);
    for (int64_t i = from; i < from + n; i++) {
        const int64_t at = mc_nn_broadcast_at(&x->shape, ss, i);
        const double d = mc_nn_at(dy, i), xh = (mc_nn_at(x, i) - mean) * inv, g = d * mc_nn_at(scale, at);
        mean_g += g;
        mean_gx += g * xh;
        a->scale[at] += d * xh;
        if (r->n_in > 3 && r->in[3]) a->bias[mc_nn_broadcast_at(&x->shape, sb, i)] += d;
    }
    mean_g = centre ? mean_g / (double)n : 0.0;
    mean_gx /= (double)n;
    for (int64_t i = from; r->out[0] && i < from + n; i++) {
        const double xh = (mc_nn_at(x, i) - mean) * inv, g = mc_nn_at(dy, i) * mc_nn_at(scale, mc_nn_broadcast_at(&x->shape, ss, i));
        mc_nn_put(r->out[0], i, inv * (g - mean_g - xh * mean_gx));
    }
}

static int32_t forward_row(const mc_op_run *r)
{
    int32_t st = MCOMP_OK;
    sums a = {0};
    const mc_shape *s = &r->in[1]->shape;
    int64_t axis = mc_attr_i(r->node, "axis", -1), ss[MC_MAX_RANK], sb[MC_MAX_RANK] = {0};
    mc_shape joint;
    if (!mc_shape_equal(&r->in[0]->shape, s)) return mc_op_fail(r, MCOMP_SHAPE, "dy and x differ");
    for (int32_t i = 2; i < r->n_in; i++)
        if (r->in[i] && (mc_shape_broadcast(s, &r->in[i]->shape, &joint) != MCOMP_OK || !mc_shape_equal(&joint, s)))
            return mc_op_fail(r, MCOMP_SHAPE, "input %d does not broadcast to x", i);
    if (axis < 0) axis += s->rank;
    const int64_t rows = mc_nn_extent(s, 0, (int32_t)axis), n = mc_nn_extent(s, (int32_t)axis, s->rank);
    MC_TRY(open_sums(&a, r));
    mc_shape_broadcast_strides(&r->in[2]->shape, s, ss);
    if (r->n_in > 3 && r->in[3]) mc_shape_broadcast_strides(&r->in[3]->shape, s, sb);
    for (int64_t i = 0; i < rows && n > 0; i++) row(r, &a, i * n, n, mc_attr_i(r->node, "centre", 1) != 0, ss, sb);
done:
    close_sums(&a, r, st);
    return st;
}

enum { FIXED, BATCH, INSTANCE, GROUP };

static int kind_of(const mc_node *n)
{
    static const char *const names[] = {"fixed", "batch", "instance", "group"};
    const char *s = mc_attr_s(n, "kind", "");
    for (int i = 0; i < 4; i++)
        if (strcmp(s, names[i]) == 0) return i;
    return -1;
}

static int32_t infer_channel(mc_infer *c)
{
    const int64_t channels = c->in[1]->rank > 1 ? c->in[1]->dim[1] : c->in[1]->rank == 1 ? 1 : -1;
    const int kind = kind_of(c->node);
    const int64_t groups = mc_attr_i(c->node, "num_groups", 1);
    if (kind < 0) return mc_infer_fail(c, MCOMP_FORMAT, "unknown kind");
    if (groups < 1 || (channels >= 0 && kind == GROUP && channels % groups != 0)) return mc_infer_fail(c, MCOMP_FORMAT, "num_groups");
    if (kind == FIXED && c->n_in < 5) return mc_infer_fail(c, MCOMP_FORMAT, "mean and variance are missing");
    for (int32_t i = 2; i < c->n_in; i++)
        if (mc_nn_need_vector(c, i, channels, "channels") != MCOMP_OK) return MCOMP_SHAPE;
    return infer_like(c, (const int32_t[]){1, 2, 2}, 3);
}

/* The set of elements of block b: planes of `plane` elements, image n, channels [c0, c0 + nc). */
typedef struct blocks {
    int64_t n, images, per_image, channels, all_channels, plane;
} blocks;

static int64_t element(const blocks *k, int64_t b, int64_t i)
{
    const int64_t s = i % k->plane, c = i / k->plane % k->channels, m = i / k->plane / k->channels;
    const int64_t image = k->images > 1 ? m : b / k->per_image, first = k->images > 1 ? b : b % k->per_image * k->channels;
    return (image * k->all_channels + first + c) * k->plane + s;
}

static void block(const mc_op_run *r, sums *a, const blocks *k, int64_t b)
{
    const mc_tensor *dy = r->in[0], *x = r->in[1];
    const int fixed = kind_of(r->node) == FIXED;
    const int64_t n = k->images * k->channels * k->plane;
    double mean = 0.0, square = 0.0, mean_g = 0.0, mean_gx = 0.0;
    for (int64_t i = 0; i < n; i++) mean += mc_nn_at(x, element(k, b, i));
    mean = fixed ? mc_nn_at(r->in[3], b) : mean / (double)n;
    for (int64_t i = 0; i < n; i++) square += (mc_nn_at(x, element(k, b, i)) - mean) * (mc_nn_at(x, element(k, b, i)) - mean);
    const double inv = 1.0 / sqrt((fixed ? mc_nn_at(r->in[4], b) : square / (double)n) + (double)mc_attr_f(r->node, "epsilon", 1e-5f));
    for (int64_t i = 0; i < n; i++) {
        const int64_t at = element(k, b, i), c = at / k->plane % k->all_channels;
        const double d = mc_nn_at(dy, at), xh = (mc_nn_at(x, at) - mean) * inv, g = d * mc_nn_at(r->in[2], c);
        mean_g += g / (double)n;
        mean_gx += g * xh / (double)n;
        a->scale[c] += d * xh;
        a->bias[c] += d;
    }
    for (int64_t i = 0; r->out[0] && i < n; i++) {
        const int64_t at = element(k, b, i);
        const double xh = (mc_nn_at(x, at) - mean) * inv, g = mc_nn_at(dy, at) * mc_nn_at(r->in[2], at / k->plane % k->all_channels);
        mc_nn_put(r->out[0], at, fixed ? g * inv : inv * (g - mean_g - xh * mean_gx));
    }
}

static int32_t forward_channel(const mc_op_run *r)
{
    int32_t st = mc_nn_recheck(r, infer_channel, 0);
    sums a = {0};
    const mc_shape *s = &r->in[1]->shape;
    const int kind = kind_of(r->node);
    if (st != MCOMP_OK) return st;
    if (!mc_shape_equal(&r->in[0]->shape, s)) return mc_op_fail(r, MCOMP_SHAPE, "dy and x differ");
    const int64_t images = s->rank > 0 ? s->dim[0] : 1, ch = s->rank > 1 ? s->dim[1] : 1, plane = s->rank > 2 ? mc_nn_extent(s, 2, s->rank) : 1;
    const int64_t groups = kind == GROUP ? mc_attr_i(r->node, "num_groups", 1) : ch;
    const int over_images = kind == FIXED || kind == BATCH;
    const blocks k = {over_images ? ch : images * groups, over_images ? images : 1, groups, over_images ? 1 : ch / groups, ch, plane};
    MC_TRY(open_sums(&a, r));
    for (int64_t b = 0; b < k.n && images * plane > 0; b++) block(r, &a, &k, b);
done:
    close_sums(&a, r, st);
    return st;
}

int32_t mc_grad_row_norm(mc_op_grad *c, int centre)
{
    mc_value *bias = c->n_in > 2 ? c->x[2] : NULL;
    for (int32_t k = 1; k < c->n_out; k++)
        if (c->dy[k]) return mc_grad_fail(c, MCOMP_NO_GRADIENT, "through the moments (output %d)", k);
    mc_node *n = mc_grad_begin(c, "mcomp.RowNormGrad", bias ? 4 : 3, (mc_value *[]){c->dy[0], c->x[0], c->x[1], bias}, bias ? 3 : 2);
    if (!n) return c->status;
    c->status = mc_node_set_i(n, "axis", mc_attr_i(c->node, "axis", -1));
    if (c->status == MCOMP_OK) c->status = mc_node_set_f(n, "epsilon", mc_attr_f(c->node, "epsilon", 1e-5f));
    if (c->status == MCOMP_OK) c->status = mc_node_set_i(n, "centre", centre);
    mc_grad_end(c, n);
    for (int32_t k = 0; k < n->n_out; k++) c->dx[k] = n->out[k];
    return c->status;
}

int32_t mc_grad_channel_norm(mc_op_grad *c, const char *kind)
{
    const int fixed = strcmp(kind, "fixed") == 0;
    for (int32_t k = 1; k < c->n_out; k++)
        if (c->dy[k]) return mc_grad_fail(c, MCOMP_NO_GRADIENT, "through the moments (output %d)", k);
    for (int32_t i = 3; i < c->n_in; i++)
        if (fixed && c->want[i]) return mc_grad_fail(c, MCOMP_NO_GRADIENT, "by input %d, a running moment", i);
    mc_node *n = mc_grad_begin(c, "mcomp.ChannelNormGrad", fixed ? 5 : 3, (mc_value *[]){c->dy[0], c->x[0], c->x[1], fixed ? c->x[3] : NULL, fixed ? c->x[4] : NULL}, 3);
    if (!n) return c->status;
    c->status = mc_node_set_s(n, "kind", kind);
    if (c->status == MCOMP_OK) c->status = mc_node_set_f(n, "epsilon", mc_attr_f(c->node, "epsilon", 1e-5f));
    if (c->status == MCOMP_OK && mc_node_attr(c->node, "num_groups")) c->status = mc_node_set_i(n, "num_groups", mc_attr_i(c->node, "num_groups", 1));
    mc_grad_end(c, n);
    for (int32_t k = 0; k < 3; k++) c->dx[k] = n->out[k];
    return c->status;
}

const mc_op mc_op_mcomp_RowNormGrad = {.name = "RowNormGrad", .domain = "mcomp", .version = 1, .since = 1, .min_in = 3, .max_in = 4,
                                       .min_out = 1, .max_out = 3, .quant = MC_Q_NONE, .infer = infer_row, .forward = forward_row};
const mc_op mc_op_mcomp_ChannelNormGrad = {.name = "ChannelNormGrad", .domain = "mcomp", .version = 1, .since = 1, .min_in = 3,
                                           .max_in = 5, .min_out = 1, .max_out = 3, .quant = MC_Q_NONE, .infer = infer_channel,
                                           .forward = forward_channel};
