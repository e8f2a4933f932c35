/* mcomp.Product: Y = op(A) . op(B), op = transpose of the last two axes where trans_a / trans_b is 1; leading axes broadcast as
 * in MatMul. With flat = 1 all axes of A and B but the last are rows, and Y = A^T . B: the gradient of a weight,
 * dW[K,N] = sum over rows of x[row,K] dy[row,N]. Sums in double. */
#include "ops/grad.h"
#include "ops/nn.h"

static mc_type swapped(const mc_type *t, int swap)
{
    mc_type r = *t;
    if (!swap || t->rank < 2) return r;
    r.dim[t->rank - 1] = t->dim[t->rank - 2];
    r.dim[t->rank - 2] = t->dim[t->rank - 1];
    return r;
}

static int32_t infer(mc_infer *c)
{
    int32_t st = MCOMP_OK;
    const int64_t flat = mc_attr_i(c->node, "flat", 0);
    MC_TRY(mc_nn_need_float(c, 0));
    MC_TRY(mc_infer_one_dtype(c, 0, 1, &c->out[0].dtype));
    if (c->in[0]->rank < 0 || c->in[1]->rank < 0) return MCOMP_OK;
    if (c->in[0]->rank < (flat ? 1 : 2) || c->in[1]->rank < (flat ? 1 : 2)) return mc_infer_fail(c, MCOMP_SHAPE, "an operand is no matrix");
    if (flat) {
        if (c->in[0]->rank != c->in[1]->rank) return mc_infer_fail(c, MCOMP_SHAPE, "ranks %d and %d", c->in[0]->rank, c->in[1]->rank);
        for (int32_t i = 0; i + 1 < c->in[0]->rank; i++) MC_TRY(mc_nn_need_dim(c, 1, i, c->in[0]->dim[i], "rows of A"));
        c->out[0].rank = 2;
        c->out[0].dim[0] = c->in[0]->dim[c->in[0]->rank - 1];
        c->out[0].dim[1] = c->in[1]->dim[c->in[1]->rank - 1];
        return MCOMP_OK;
    }
    const mc_type a = swapped(c->in[0], mc_attr_i(c->node, "trans_a", 0) != 0), b = swapped(c->in[1], mc_attr_i(c->node, "trans_b", 0) != 0);
    const int64_t ka = a.dim[a.rank - 1], kb = b.dim[b.rank - 2];
    if (ka >= 0 && kb >= 0 && ka != kb) return mc_infer_fail(c, MCOMP_SHAPE, "inner sizes %lld and %lld differ", (long long)ka, (long long)kb);
    MC_TRY(mc_nn_broadcast_batch(c, &a, &b, &c->out[0]));
    c->out[0].dim[c->out[0].rank - 2] = a.dim[a.rank - 2];
    c->out[0].dim[c->out[0].rank - 1] = b.dim[b.rank - 1];
done:
    return st;
}

static int32_t run_flat(const mc_op_run *r)
{
    const mc_tensor *a = r->in[0], *b = r->in[1];
    const int64_t k = a->shape.dim[a->shape.rank - 1], n = b->shape.dim[b->shape.rank - 1];
    const int64_t rows = mc_nn_extent(&a->shape, 0, a->shape.rank - 1);
    for (int64_t i = 0; i < k; i++)
        for (int64_t j = 0; j < n; j++) mc_nn_put(r->out[0], i * n + j, mc_nn_dot(a, i, k, b, j, n, rows));
    return MCOMP_OK;
}

static int32_t forward(const mc_op_run *r)
{
    int32_t st = mc_nn_recheck(r, infer, 0);
    if (st != MCOMP_OK) return st;
    if (mc_attr_i(r->node, "flat", 0)) return run_flat(r);
    const mc_shape *as = &r->in[0]->shape, *bs = &r->in[1]->shape;
    const int ta = mc_attr_i(r->node, "trans_a", 0) != 0, tb = mc_attr_i(r->node, "trans_b", 0) != 0;
    const int64_t m = as->dim[as->rank - (ta ? 1 : 2)], k = as->dim[as->rank - (ta ? 2 : 1)], n = bs->dim[bs->rank - (tb ? 2 : 1)];
    mc_nn_batches batches;
    MC_TRY(mc_nn_batches_open(&batches, as, bs));
    for (int64_t batch = 0, at = 0; batch < batches.count; batch++) {
        const int64_t ia = mc_nn_broadcast_at(&batches.shape, batches.a, batch), ib = mc_nn_broadcast_at(&batches.shape, batches.b, batch);
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++, at++)
                mc_nn_put(r->out[0], at, mc_nn_dot(r->in[0], ia * m * k + (ta ? i : i * k), ta ? m : 1, r->in[1],
                                                   ib * k * n + (tb ? j * k : j), tb ? 1 : n, k));
    }
done:
    return st;
}

static int32_t cost(const mc_node *n, const mc_type *const *in, const mc_type *const *out, mc_op_cost *c)
{
    const mc_type *a = in[0];
    const int flat = mc_attr_i(n, "flat", 0) != 0, trans = mc_attr_i(n, "trans_a", 0) != 0;
    if (a->rank < (flat ? 1 : 2) || out[0]->rank < 0) return MCOMP_OK;
    const double inner = flat ? mc_nn_extent_f(a, 0, a->rank - 1) : mc_nn_extent_f(a, a->rank - 1 - trans, a->rank - trans);
    c->macs = mc_nn_extent_f(out[0], 0, out[0]->rank) * inner;
    return MCOMP_OK;
}

mc_value *mc_grad_product(mc_op_grad *c, mc_value *a, int trans_a, mc_value *b, int trans_b, int flat)
{
    mc_node *n = mc_grad_begin(c, "mcomp.Product", 2, (mc_value *[]){a, b}, 1);
    if (!n) return NULL;
    if (trans_a && !flat) c->status = mc_node_set_i(n, "trans_a", 1);
    if (trans_b && c->status == MCOMP_OK) c->status = mc_node_set_i(n, "trans_b", 1);
    if (flat && c->status == MCOMP_OK) c->status = mc_node_set_i(n, "flat", 1);
    return mc_grad_end(c, n);
}

/* dA = dY . B^T, dB = A^T . dY (of the operands as they are stored). */
static int32_t gradient(mc_op_grad *c)
{
    const int ta = mc_attr_i(c->node, "trans_a", 0) != 0, tb = mc_attr_i(c->node, "trans_b", 0) != 0, flat = mc_attr_i(c->node, "flat", 0) != 0;
    mc_value *a = c->x[0], *b = c->x[1], *dy = c->dy[0];
    if (flat) {
        if (mc_grad_wants(c, 0)) c->dx[0] = mc_grad_product(c, b, 0, dy, 1, 0);
        if (mc_grad_wants(c, 1)) c->dx[1] = mc_grad_product(c, a, 0, dy, 0, 0);
        return c->status;
    }
    if (mc_grad_wants(c, 0))
        c->dx[0] = mc_grad_sum_to(c, ta ? mc_grad_product(c, b, tb, dy, 1, 0) : mc_grad_product(c, dy, 0, b, !tb, 0), a);
    if (mc_grad_wants(c, 1))
        c->dx[1] = mc_grad_sum_to(c, tb ? mc_grad_product(c, dy, 1, a, ta, 0) : mc_grad_product(c, a, !ta, dy, 0, 0), b);
    return c->status;
}

const mc_op mc_op_mcomp_Product = {.name = "Product", .domain = "mcomp", .version = 1, .since = 1, .min_in = 2, .max_in = 2,
                                   .min_out = 1, .max_out = 1, .quant = MC_Q_NONE, .infer = infer, .forward = forward, .cost = cost,
                                   .gradient = gradient};
