/* Conv: X [N,C,s...], W [M,C/g,k...], B [M] -> Y [N,M,o...]; 1 to 3 spatial axes; direct sums in double. */
#include "ops/grad.h"
#include "ops/nn.h"

static int32_t infer_window(mc_infer *c, mc_window *win)
{
    int32_t st = MCOMP_OK;
    MC_TRY(mc_nn_need_float(c, 0));
    MC_TRY(mc_infer_one_dtype(c, 0, 2, &c->out[0].dtype));
    MC_TRY(mc_conv_infer(c, c->in[0], c->in[1], win));
    MC_TRY(mc_nn_need_vector(c, 2, c->in[1]->rank > 0 ? c->in[1]->dim[0] : -1, "output channels"));
done:
    return st;
}

static int32_t infer(mc_infer *c)
{
    mc_window win;
    return infer_window(c, &win);
}

/* One output element; xo, wo: first element of the group's input and of the filter. */
static double point(const mc_window *w, const mc_taps *t, const mc_tensor *x, int64_t xo, const mc_tensor *f, int64_t fo, int64_t channels)
{
    const int64_t plane = w->in[0] * w->in[1] * w->in[2], taps = w->kernel[0] * w->kernel[1] * w->kernel[2];
    double sum = 0.0;
    for (int64_t c = 0; c < channels; c++, xo += plane, fo += taps)
        MC_TAPS_FOR(*w, *t, xi, ki, { sum += mc_nn_at(x, xo + xi) * mc_nn_at(f, fo + ki); })
    return sum;
}

static int32_t forward(const mc_op_run *r)
{
    int32_t st = mc_nn_recheck(r, infer, 0);
    if (st != MCOMP_OK) return st;
    const mc_tensor *x = r->in[0], *f = r->in[1], *b = mc_in(r, 2);
    mc_window w;
    const mc_type tx = mc_type_of(x);
    MC_TRY(mc_window_read(r->node, &tx, &f->shape.dim[2], &w));
    w = mc_window_3d(&w);
    const int64_t m = f->shape.dim[0], cg = f->shape.dim[1], mg = m / w.group, plane = w.in[0] * w.in[1] * w.in[2];
    const int64_t filter = mc_nn_extent(&f->shape, 1, f->shape.rank), out_plane = w.out[0] * w.out[1] * w.out[2];
    int64_t o[3];
    for (int64_t n = 0; n < x->shape.dim[0]; n++)
        MC_OUT_FOR(w, o, oi) {
            const mc_taps t = mc_window_taps(&w, o);
            for (int64_t k = 0; k < m; k++) {
                const int64_t xo = (n * x->shape.dim[1] + k / mg * cg) * plane;
                const double v = point(&w, &t, x, xo, f, k * filter, cg) + (b ? mc_nn_at(b, k) : 0.0);
                mc_nn_put(r->out[0], (n * m + k) * out_plane + oi, v);
            }
        }
done:
    return st;
}

static int32_t cost(const mc_node *n, const mc_type *const *in, const mc_type *const *out, mc_op_cost *c)
{
    (void)n;
    c->macs = mc_conv_macs(out[0], in[1]);
    return MCOMP_OK;
}

static int32_t gradient(mc_op_grad *c)
{
    if (mc_grad_wants(c, 0)) c->dx[0] = mc_grad_conv(c, "mcomp.ConvGradInput", c->dy[0], c->x[1], c->x[0]);
    if (mc_grad_wants(c, 1)) c->dx[1] = mc_grad_conv(c, "mcomp.ConvGradWeight", c->dy[0], c->x[0], c->x[1]);
    if (mc_grad_wants(c, 2)) c->dx[2] = mc_grad_channel_sum(c, c->dy[0]);
    return c->status;
}

const mc_op mc_op_Conv = {.name = "Conv", .domain = "", .version = 22, .since = 11, .min_in = 2, .max_in = 3, .min_out = 1,
                          .max_out = 1, .quant = MC_Q_WEIGHTED, .axes = mc_axes_conv, .infer = infer, .forward = forward, .cost = cost,
                          .gradient = gradient};
