/* ConvTranspose: X [N,C,s...], W [C,M/g,k...], B [M] -> Y [N,M,o...]; the gradient of Conv by its input.
 *   o = stride (s - 1) + output_padding + (k - 1) dilation + 1 - pads; or output_shape given, and the pads follow from it.
 * y[m, i * stride - pad + k * dilation] += x[c, i] w[c, m, k]; sums in double. */
#include "ops/grad.h"
#include "ops/nn.h"

#define BIG INT32_MAX

/* output_padding and output_shape of the node (zero where absent). */
static int32_t read_extra(const mc_node *n, int32_t spatial, int64_t extra[3], int64_t shape[3], int *has_shape)
{
    const char *const names[2] = {"output_padding", "output_shape"};
    for (int32_t a = 0; a < 2; a++) {
        int64_t count = 0;
        const int64_t *v = mc_attr_ints(n, names[a], &count);
        if (a == 1) *has_shape = v != NULL;
        if (v && count != spatial)
            return mc_fail(MCOMP_FORMAT, n->name, "%s: %s has %lld entries, needs %d", n->op, names[a], (long long)count, spatial);
        for (int32_t i = 0; i < spatial; i++) {
            const int64_t k = v ? v[i] : 0;
            if (k < 0 || k > BIG || (a == 1 && v && k == 0))
                return mc_fail(MCOMP_FORMAT, n->name, "%s: %s[%d] is %lld", n->op, names[a], i, (long long)k);
            (a ? shape : extra)[i] = k;
        }
    }
    return MCOMP_OK;
}

/* Window whose `in` is X's size and `out` Y's; unknown sizes -1. */
static int32_t read_window(const mc_node *n, const mc_type *x, const mc_type *f, mc_window *w)
{
    int32_t st = MCOMP_OK, mode;
    int has_shape = 0;
    int64_t extra[3] = {0}, shape[3] = {0};
    memset(w, 0, sizeof *w);
    if (x->rank < 3 || x->rank > 5 || f->rank != x->rank)
        MC_FAIL(MCOMP_SHAPE, n->name, "%s: input of rank %d, weight of rank %d; equal ranks of 3 to 5 are needed", n->op, x->rank, f->rank);
    w->spatial = x->rank - 2;
    MC_TRY(mc_window_attrs(n, &f->dim[2], w, &mode));
    MC_TRY(read_extra(n, w->spatial, extra, shape, &has_shape));
    for (int32_t i = 0; i < w->spatial; i++) {
        const int64_t in = x->dim[2 + i], k = w->kernel[i], s = w->stride[i];
        w->in[i] = in >= 0 ? in : -1;
        w->out[i] = -1;
        if (in < 0 || k < 0) continue;
        if (in == 0 || in > BIG) MC_FAIL(in ? MCOMP_LIMIT : MCOMP_SHAPE, n->name, "%s: spatial axis %d is %lld", n->op, i, (long long)in);
        const int64_t room = s * (in - 1) + extra[i] + (k - 1) * w->dilation[i] + 1;
        if (has_shape || mode >= MC_PAD_SAME_UPPER) {
            w->out[i] = has_shape ? shape[i] : in * s;
            const int64_t total = room > w->out[i] ? room - w->out[i] : 0;
            w->pad_begin[i] = mode == MC_PAD_SAME_UPPER ? total / 2 : total - total / 2;
            w->pad_end[i] = total - w->pad_begin[i];
        } else w->out[i] = room - w->pad_begin[i] - w->pad_end[i];
        if (w->out[i] < 1) MC_FAIL(MCOMP_SHAPE, n->name, "%s: spatial axis %d of the result would be %lld", n->op, i, (long long)w->out[i]);
    }
done:
    return st;
}

static int32_t infer(mc_infer *c)
{
    int32_t st = MCOMP_OK;
    mc_window w;
    const mc_type *x = c->in[0], *f = c->in[1];
    mc_type *y = &c->out[0];
    MC_TRY(mc_nn_need_float(c, 0));
    MC_TRY(mc_infer_one_dtype(c, 0, 2, &y->dtype));
    if (x->rank < 0 || f->rank < 0) goto done;
    MC_TRY(read_window(c->node, x, f, &w));
    MC_TRY(mc_nn_need_dim(c, 1, 0, x->dim[1], "input channels"));
    if (f->dim[0] == 0 || f->dim[1] == 0 || (x->dim[1] >= 0 && x->dim[1] % w.group != 0))
        return mc_infer_fail(c, MCOMP_SHAPE, "%lld input channels in %lld groups", (long long)x->dim[1], (long long)w.group);
    if (f->dim[1] > BIG) return mc_infer_fail(c, MCOMP_LIMIT, "%lld output channels a group", (long long)f->dim[1]);
    const int64_t m = f->dim[1] >= 0 ? f->dim[1] * w.group : mc_infer_symbol(c);
    MC_TRY(mc_nn_need_vector(c, 2, m, "output channels"));
    y->rank = x->rank;
    y->dim[0] = x->dim[0];
    y->dim[1] = m;
    for (int32_t i = 0; i < w.spatial; i++) y->dim[2 + i] = w.out[i] >= 0 ? w.out[i] : mc_infer_symbol(c);
done:
    return st;
}

/* Adds one input position (o of the swapped window) of channel c to the planes of its group. */
static void scatter(const mc_window *w, const mc_taps *t, double v, const mc_tensor *f, int64_t fo, double *y, int64_t mg, int64_t plane)
{
    const int64_t taps = w->kernel[0] * w->kernel[1] * w->kernel[2];
    for (int64_t m = 0; m < mg; m++, fo += taps, y += plane) MC_TAPS_FOR(*w, *t, yi, ki, { y[yi] += v * mc_nn_at(f, fo + ki); })
}

static int32_t forward(const mc_op_run *r)
{
    int32_t st = mc_nn_recheck(r, infer, 0);
    mc_window w;
    double *sum = NULL;
    int64_t o[3];
    if (st != MCOMP_OK) return st;
    const mc_tensor *x = r->in[0], *f = r->in[1], *b = mc_in(r, 2);
    const mc_type tx = mc_type_of(x), tf = mc_type_of(f);
    MC_TRY(read_window(r->node, &tx, &tf, &w));
    w = mc_window_3d(&w);
    for (int32_t i = 0; i < 3; i++) { /* the convolution whose gradient this is reads Y and writes X */
        const int64_t in = w.in[i];
        w.in[i] = w.out[i];
        w.out[i] = in;
    }
    const int64_t ch = x->shape.dim[1], cg = ch / w.group, mg = f->shape.dim[1], m = mg * w.group;
    const int64_t in_plane = w.out[0] * w.out[1] * w.out[2], plane = w.in[0] * w.in[1] * w.in[2];
    sum = mc_calloc((size_t)m, sizeof *sum * (size_t)plane);
    if (!sum) MC_FAIL(MCOMP_NO_MEMORY, r->node->name, "no memory for the sums");
    for (int64_t n = 0; n < tx.dim[0]; n++) {
        for (int64_t i = 0; i < m * plane; i++) sum[i] = b ? mc_nn_at(b, i / plane) : 0.0;
        for (int64_t c = 0; c < ch; c++)
            MC_OUT_FOR(w, o, xi) {
                const mc_taps t = mc_window_taps(&w, o);
                const double v = mc_nn_at(x, (n * ch + c) * in_plane + xi);
                scatter(&w, &t, v, f, c * mg * w.kernel[0] * w.kernel[1] * w.kernel[2], sum + c / cg * mg * plane, mg, plane);
            }
        for (int64_t i = 0; i < m * plane; i++) mc_nn_put(r->out[0], n * m * plane + i, sum[i]);
    }
done:
    mc_free(sum);
    return st;
}

static int32_t cost(const mc_node *n, const mc_type *const *in, const mc_type *const *out, mc_op_cost *c)
{
    (void)n;
    (void)out;
    if (in[0]->rank >= 0 && in[1]->rank >= 0)
        c->macs = mc_nn_extent_f(in[0], 0, in[0]->rank) * mc_nn_extent_f(in[1], 1, in[1]->rank);
    return MCOMP_OK;
}

/* The transpose's transpose is the convolution; its weight's gradient has input and gradient in each other's place. */
static int32_t gradient(mc_op_grad *c)
{
    if (mc_node_attr(c->node, "output_shape") || strcmp(mc_attr_s(c->node, "auto_pad", "NOTSET"), "NOTSET") != 0)
        return mc_grad_fail(c, MCOMP_NO_GRADIENT, "padding by auto_pad or output_shape; write the pads");
    if (mc_grad_wants(c, 0)) {
        c->dx[0] = mc_grad_conv(c, "Conv", c->dy[0], c->x[1], NULL);
        if (c->dx[0]) c->dx[0]->type = c->x[0]->type;
    }
    if (mc_grad_wants(c, 1)) c->dx[1] = mc_grad_conv(c, "mcomp.ConvGradWeight", c->x[0], c->dy[0], c->x[1]);
    if (mc_grad_wants(c, 2)) c->dx[2] = mc_grad_channel_sum(c, c->dy[0]);
    return c->status;
}

const mc_op mc_op_ConvTranspose = {.name = "ConvTranspose", .domain = "", .version = 22, .since = 11, .min_in = 2, .max_in = 3,
                                   .min_out = 1, .max_out = 1, .quant = MC_Q_WEIGHTED, .axes = mc_axes_conv_transpose, .infer = infer, .forward = forward,
                                   .cost = cost, .gradient = gradient};
