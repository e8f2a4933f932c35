/* Gemm: Y[M,N] = alpha A' . B' + beta C, A' = A or its transpose, C broadcast to [M,N] and optional. */
#include "ops/grad.h"
#include "ops/nn.h"

static int32_t infer(mc_infer *c)
{
    int32_t st = MCOMP_OK, ta, tb;
    mc_type *y = &c->out[0];
    const mc_type *a = c->in[0], *b = c->in[1];
    MC_TRY(mc_infer_check(c, 0, MC_CLASS_NUMBER));
    MC_TRY(mc_infer_one_dtype(c, 0, 2, &y->dtype));
    MC_TRY(mc_nn_flag(c, "transA", 0, &ta));
    MC_TRY(mc_nn_flag(c, "transB", 0, &tb));
    MC_TRY(mc_nn_need_rank(c, 0, 2));
    MC_TRY(mc_nn_need_rank(c, 1, 2));
    const int64_t k = a->rank < 0 ? -1 : a->dim[ta ? 0 : 1];
    MC_TRY(mc_nn_need_dim(c, 1, tb ? 1 : 0, k, "inner size"));
    y->rank = 2;
    y->dim[0] = a->rank < 0 ? mc_infer_symbol(c) : a->dim[ta ? 1 : 0];
    y->dim[1] = b->rank < 0 ? mc_infer_symbol(c) : b->dim[tb ? 0 : 1];
    if (!mc_has(c, 2) || c->in[2]->rank < 0) goto done;
    if (c->in[2]->rank > 2) return mc_infer_fail(c, MCOMP_SHAPE, "C has rank %d", c->in[2]->rank);
    for (int32_t i = 0; i < c->in[2]->rank; i++) {
        const int64_t got = c->in[2]->dim[i], want = y->dim[2 - c->in[2]->rank + i];
        if (got >= 0 && got != 1 && want >= 0 && got != want)
            return mc_infer_fail(c, MCOMP_SHAPE, "axis %d of C is %lld; it does not broadcast to %lld", i, (long long)got, (long long)want);
    }
done:
    return st;
}

static int32_t forward(const mc_op_run *r)
{
    const int32_t st = mc_nn_recheck(r, infer, 0);
    if (st != MCOMP_OK) return st;
    const mc_tensor *a = r->in[0], *b = r->in[1], *cc = mc_in(r, 2);
    mc_tensor *y = r->out[0];
    const int ta = mc_attr_i(r->node, "transA", 0) != 0, tb = mc_attr_i(r->node, "transB", 0) != 0;
    const double alpha = (double)mc_attr_f(r->node, "alpha", 1.0f), beta = (double)mc_attr_f(r->node, "beta", 1.0f);
    const int64_t m = y->shape.dim[0], n = y->shape.dim[1], k = a->shape.dim[ta ? 0 : 1];
    int64_t sc[MC_MAX_RANK] = {0};
    if (cc) mc_shape_broadcast_strides(&cc->shape, &y->shape, sc);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            const double dot = mc_nn_dot(a, ta ? i : i * k, ta ? m : 1, b, tb ? j * k : j, tb ? 1 : n, k);
            double v = alpha * dot;
            if (cc && beta != 0.0) v += beta * mc_nn_at(cc, i * sc[0] + j * sc[1]);
            mc_nn_put(y, i * n + j, v);
        }
    return MCOMP_OK;
}

static int32_t cost(const mc_node *n, const mc_type *const *in, const mc_type *const *out, mc_op_cost *c)
{
    if (out[0]->rank == 2 && in[0]->rank == 2) {
        const int32_t k = mc_attr_i(n, "transA", 0) != 0 ? 0 : 1;
        c->macs = mc_nn_extent_f(out[0], 0, 2) * mc_nn_extent_f(in[0], k, k + 1);
    }
    return MCOMP_OK;
}

static int32_t gradient(mc_op_grad *c)
{
    const int ta = mc_attr_i(c->node, "transA", 0) != 0, tb = mc_attr_i(c->node, "transB", 0) != 0;
    mc_value *a = c->x[0], *b = c->x[1], *dy = c->dy[0], *d = mc_grad_scale(c, dy, (double)mc_attr_f(c->node, "alpha", 1.0f));
    if (mc_grad_wants(c, 0)) c->dx[0] = ta ? mc_grad_product(c, b, tb, d, 1, 0) : mc_grad_product(c, d, 0, b, !tb, 0);
    if (mc_grad_wants(c, 1)) c->dx[1] = tb ? mc_grad_product(c, d, 1, a, ta, 0) : mc_grad_product(c, a, !ta, d, 0, 0);
    if (mc_grad_wants(c, 2)) c->dx[2] = mc_grad_sum_to(c, mc_grad_scale(c, dy, (double)mc_attr_f(c->node, "beta", 1.0f)), c->x[2]);
    return c->status;
}

const mc_op mc_op_Gemm = {.name = "Gemm", .domain = "", .version = 13, .since = 11, .min_in = 2, .max_in = 3, .min_out = 1,
                          .max_out = 1, .quant = MC_Q_WEIGHTED, .axes = mc_axes_gemm, .infer = infer, .forward = forward, .cost = cost,
                          .gradient = gradient};
