/* Gradients of pooling, channels first; the attributes are the forward node's, `global` = 1 for the global forms.
 *   mcomp.MaxPoolGrad: dY, X -> dX: each gradient goes to the first largest element of its window
 *   mcomp.AveragePoolGrad: dY, X (shape only) -> dX: each gradient is shared by its window */
#include <math.h>

#include "ops/grad.h"
#include "ops/pool.h"

static int32_t infer(mc_infer *c)
{
    int32_t st = MCOMP_OK;
    mc_window win;
    mc_type y;
    mc_infer f = *c; /* the forward's view: X is its input 0 */
    MC_TRY(mc_nn_need_float(c, 0));
    f.in[0] = c->in[1];
    f.n_in = 1;
    f.n_out = 1;
    MC_TRY(mc_pool_infer(&f, 0, mc_attr_i(c->node, "global", 0) != 0, &win));
    y = f.out[0];
    for (int32_t i = 0; i < y.rank; i++) MC_TRY(mc_nn_need_dim(c, 0, i, y.dim[i], "gradient of the output"));
    c->out[0] = *c->in[1];
    c->out[0].dtype = c->in[0]->dtype;
done:
    return st;
}

static int32_t run(const mc_op_run *r, int max)
{
    int32_t st = mc_nn_recheck(r, infer, 0);
    if (st != MCOMP_OK) return st;
    const mc_tensor *dy = r->in[0], *x = r->in[1];
    const int64_t total = mc_tensor_elements(x);
    double *acc = mc_calloc((size_t)total + 1, sizeof *acc);
    mc_op_run f = {.node = r->node, .n_in = 1, .n_out = 1, .in = {x}};
    const int include = mc_attr_i(r->node, "count_include_pad", 0) != 0;
    mc_window w;
    mc_pool_view v;
    int64_t o[3];
    if (!acc) MC_TRY(MCOMP_NO_MEMORY);
    MC_TRY(mc_pool_open(&f, 0, mc_attr_i(r->node, "global", 0) != 0, &w, &v));
    for (int64_t p = 0; p < v.images * v.channels; p++)
        MC_OUT_FOR(w, o, oi) {
            const mc_taps t = mc_window_taps(&w, o);
            const double d = mc_nn_at(dy, p * v.out_plane + oi);
            const int64_t count = mc_pool_divisor(&w, o, &t, include);
            double best = -INFINITY;
            int64_t where = -1;
            MC_TAPS_FOR(w, t, xi, ki, {
                (void)ki;
                if (max) {
                    const double got = mc_nn_at(x, p * v.plane + xi);
                    if (where < 0 || got > best || isnan(got)) {
                        best = got;
                        where = xi;
                    }
                } else {
                    acc[p * v.plane + xi] += d / (double)count;
                }
            })
            if (where >= 0) acc[p * v.plane + where] += d;
        }
    for (int64_t i = 0; i < total; i++) mc_nn_put(r->out[0], i, acc[i]);
done:
    mc_free(acc);
    return st;
}

static int32_t forward_max(const mc_op_run *r) { return run(r, 1); }
static int32_t forward_average(const mc_op_run *r) { return run(r, 0); }

static int32_t cost(const mc_node *n, const mc_type *const *in, const mc_type *const *out, mc_op_cost *c)
{
    int64_t count = 0;
    double taps = 4.0;
    const int64_t *k = mc_attr_ints(n, "kernel_shape", &count);
    (void)out;
    for (int64_t i = 0; k && i < count; i++) taps *= (double)k[i];
    if (in[0]->rank >= 0) c->flops = taps * mc_nn_extent_f(in[0], 0, in[0]->rank);
    return MCOMP_OK;
}

int32_t mc_grad_pool(mc_op_grad *c, int max, int global)
{
    mc_node *n = mc_grad_begin(c, max ? "mcomp.MaxPoolGrad" : "mcomp.AveragePoolGrad", 2, (mc_value *[]){c->dy[0], c->x[0]}, 1);
    if (!n) return c->status;
    c->status = mc_node_copy_attrs(n, c->node);
    if (c->status == MCOMP_OK && global) c->status = mc_node_set_i(n, "global", 1);
    c->dx[0] = mc_grad_end(c, n);
    return c->status;
}

const mc_op mc_op_mcomp_MaxPoolGrad = {.name = "MaxPoolGrad", .domain = "mcomp", .version = 1, .since = 1, .min_in = 2, .max_in = 2,
                                       .min_out = 1, .max_out = 1, .quant = MC_Q_NONE, .infer = infer, .forward = forward_max,
                                       .cost = cost};
const mc_op mc_op_mcomp_AveragePoolGrad = {.name = "AveragePoolGrad", .domain = "mcomp", .version = 1, .since = 1, .min_in = 2,
                                           .max_in = 2, .min_out = 1, .max_out = 1, .quant = MC_Q_NONE, .infer = infer,
                                           .forward = forward_average, .cost = cost, .shape_only = 2};
