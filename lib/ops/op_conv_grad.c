/* Gradients of a convolution Y = Conv(X, W) (channels first; the attributes are the forward node's):
 *   mcomp.ConvGradInput: dY, W, X (shape only) -> dX[c, i] = sum over m, k with i = o stride - pad + k dilation of dY[m, o] W[m, c, k]
 *   mcomp.ConvGradWeight: dY, X, W (shape only) -> dW[m, c, k] = sum over n, o of dY[n, m, o] X[n, c, o stride - pad + k dilation]
 * Direct sums in double. */
#include "ops/grad.h"
#include "ops/nn.h"

/* x: index of the input's type (or of what stands for it), w: of the weight's; out 0 has the type of input `like`. */
static int32_t infer_as(mc_infer *c, int32_t x, int32_t w, int32_t like)
{
    int32_t st = MCOMP_OK;
    mc_window win;
    MC_TRY(mc_nn_need_float(c, 0));
    MC_TRY(mc_conv_infer(c, c->in[x], c->in[w], &win));
    const mc_type y = c->out[0];
    for (int32_t i = 0; i < y.rank; i++) MC_TRY(mc_nn_need_dim(c, 0, i, y.dim[i], "gradient of the output"));
    c->out[0] = *c->in[like];
    c->out[0].dtype = c->in[0]->dtype;
done:
    return st;
}

static int32_t infer_input(mc_infer *c) { return infer_as(c, 2, 1, 2); }
static int32_t infer_weight(mc_infer *c) { return infer_as(c, 1, 2, 2); }

/* One walk for both: acc is dX or dW; other is W or X. */
static int32_t run(const mc_op_run *r, const mc_tensor *x, const mc_tensor *f, const mc_tensor *other, int by_weight)
{
    int32_t st = MCOMP_OK;
    const mc_tensor *dy = r->in[0];
    const mc_type tx = mc_type_of(x);
    const int64_t total = mc_tensor_elements(r->out[0]);
    double *acc = mc_calloc((size_t)total + 1, sizeof *acc);
    mc_window w;
    int64_t o[3];
    if (!acc) MC_TRY(MCOMP_NO_MEMORY);
    MC_TRY(mc_window_read(r->node, &tx, &f->shape.dim[2], &w));
    w = mc_window_3d(&w);
    const int64_t m = f->shape.dim[0], cg = f->shape.dim[1], mg = m / w.group, plane = w.in[0] * w.in[1] * w.in[2];
    const int64_t taps = w.kernel[0] * w.kernel[1] * w.kernel[2], out_plane = w.out[0] * w.out[1] * w.out[2];
    for (int64_t n = 0; n < x->shape.dim[0]; n++)
        MC_OUT_FOR(w, o, oi) {
            const mc_taps t = mc_window_taps(&w, o);
            for (int64_t k = 0; k < m; k++) {
                const double d = mc_nn_at(dy, (n * m + k) * out_plane + oi);
                for (int64_t c = 0; c < cg; c++) {
                    const int64_t xo = (n * x->shape.dim[1] + k / mg * cg + c) * plane, fo = (k * cg + c) * taps;
                    MC_TAPS_FOR(w, t, xi, ki, {
                        if (by_weight) acc[fo + ki] += d * mc_nn_at(other, xo + xi);
                        else acc[xo + xi] += d * mc_nn_at(other, fo + ki);
                    })
                }
            }
        }
    for (int64_t i = 0; i < total; i++) mc_nn_put(r->out[0], i, acc[i]);
done:
    mc_free(acc);
    return st;
}

static int32_t forward_input(const mc_op_run *r)
{
    const int32_t st = mc_nn_recheck(r, infer_input, 0);
    return st != MCOMP_OK ? st : run(r, r->in[2], r->in[1], r->in[1], 0);
}

static int32_t forward_weight(const mc_op_run *r)
{
    const int32_t st = mc_nn_recheck(r, infer_weight, 0);
    return st != MCOMP_OK ? st : run(r, r->in[1], r->in[2], r->in[1], 1);
}

static int32_t cost(const mc_node *n, const mc_type *const *in, const mc_type *const *out, mc_op_cost *c)
{
    (void)out;
    c->macs = mc_conv_macs(in[0], in[strcmp(n->op, "ConvGradInput") == 0 ? 1 : 2]);
    return MCOMP_OK;
}

mc_value *mc_grad_conv(mc_op_grad *c, const char *op, mc_value *a, mc_value *b, mc_value *like)
{
    static const char *const kept[] = {"auto_pad", "dilations", "group", "pads", "strides", "kernel_shape"};
    mc_node *n = mc_grad_begin(c, op, like ? 3 : 2, (mc_value *[]){a, b, like}, 1);
    if (!n) return NULL;
    c->status = mc_node_copy_attrs(n, c->node);
    for (int32_t i = n->n_attrs - 1; i >= 0; i--) { /* output_padding and the like are the transpose's own */
        int known = 0;
        for (size_t k = 0; k < sizeof kept / sizeof *kept; k++) known |= strcmp(n->attrs[i].name, kept[k]) == 0;
        if (!known) mc_node_remove_attr(n, n->attrs[i].name);
    }
    return mc_grad_end(c, n);
}

mc_value *mc_grad_channel_sum(mc_op_grad *c, mc_value *dy)
{
    int64_t axes[MC_MAX_RANK] = {0};
    if (mc_grad_rank(c, dy) < 2) return NULL;
    for (int32_t i = 2; i < dy->type.rank; i++) axes[i - 1] = i;
    mc_node *n = mc_grad_begin(c, "ReduceSum", 2, (mc_value *[]){dy, mc_grad_ints(c, dy->type.rank - 1, axes)}, 1);
    if (!n) return NULL;
    c->status = mc_node_set_i(n, "keepdims", 0);
    return mc_grad_end(c, n);
}

const mc_op mc_op_mcomp_ConvGradInput = {.name = "ConvGradInput", .domain = "mcomp", .version = 1, .since = 1, .min_in = 3, .max_in = 3,
                                         .min_out = 1, .max_out = 1, .quant = MC_Q_NONE, .infer = infer_input, .forward = forward_input,
                                         .cost = cost, .shape_only = 4};
const mc_op mc_op_mcomp_ConvGradWeight = {.name = "ConvGradWeight", .domain = "mcomp", .version = 1, .since = 1, .min_in = 3,
                                          .max_in = 3, .min_out = 1, .max_out = 1, .quant = MC_Q_NONE, .infer = infer_weight,
                                          .forward = forward_weight, .cost = cost, .shape_only = 4};
