/* MatMul: numpy matmul, Y[...,M,N] = A[...,M,K] . B[...,K,N]; leading axes broadcast, 1-D operands are promoted and the added
 * axis dropped again. Float sums in double; integers wrap modulo 2^64. */
#include "ops/grad.h"
#include "ops/nn.h"

/* Axes of an operand after promotion: rank >= 2. */
static mc_type promote(const mc_type *t, int left)
{
    mc_type r = *t;
    if (t->rank != 1) return r;
    r.rank = 2;
    r.dim[0] = left ? 1 : t->dim[0];
    r.dim[1] = left ? t->dim[0] : 1;
    return r;
}

static int32_t infer(mc_infer *c)
{
    int32_t st = MCOMP_OK;
    mc_type *y = &c->out[0];
    MC_TRY(mc_infer_check(c, 0, MC_CLASS_NUMBER));
    MC_TRY(mc_infer_one_dtype(c, 0, 1, &y->dtype));
    if (c->in[0]->rank == 0 || c->in[1]->rank == 0) return mc_infer_fail(c, MCOMP_SHAPE, "an operand is a scalar");
    if (c->in[0]->rank < 0 || c->in[1]->rank < 0) goto done;
    const mc_type a = promote(c->in[0], 1), b = promote(c->in[1], 0);
    const int64_t ka = a.dim[a.rank - 1], kb = b.dim[b.rank - 2];
    if (ka >= 0 && kb >= 0 && ka != kb) return mc_infer_fail(c, MCOMP_SHAPE, "inner sizes %lld and %lld differ", (long long)ka, (long long)kb);
    MC_TRY(mc_nn_broadcast_batch(c, &a, &b, y));
    int32_t rank = y->rank - 2;
    if (c->in[0]->rank > 1) y->dim[rank++] = a.dim[a.rank - 2];
    if (c->in[1]->rank > 1) y->dim[rank++] = b.dim[b.rank - 1];
    y->rank = rank;
done:
    return st;
}

static void integer_dot(const mc_tensor *a, int64_t ia, const mc_tensor *b, int64_t ib, int64_t sb, int64_t k, mc_tensor *y, int64_t at)
{
    uint64_t sum = 0;
    for (int64_t i = 0; i < k; i++) sum += (uint64_t)mc_tensor_get_i64(a, ia + i) * (uint64_t)mc_tensor_get_i64(b, ib + i * sb);
    switch (y->dtype) {
    case MCOMP_I64: case MCOMP_U64: ((uint64_t *)y->data)[at] = sum; break;
    case MCOMP_I32: case MCOMP_U32: ((uint32_t *)y->data)[at] = (uint32_t)sum; break;
    case MCOMP_I16: case MCOMP_U16: ((uint16_t *)y->data)[at] = (uint16_t)sum; break;
    default: ((uint8_t *)y->data)[at] = (uint8_t)sum; break;
    }
}

static int32_t forward(const mc_op_run *r)
{
    int32_t st = mc_nn_recheck(r, infer, 0);
    if (st != MCOMP_OK) return st;
    const mc_tensor *ta = r->in[0], *tb = r->in[1];
    const mc_type in_a = mc_type_of(ta), in_b = mc_type_of(tb), a = promote(&in_a, 1), b = promote(&in_b, 0);
    const int64_t m = a.dim[a.rank - 2], k = a.dim[a.rank - 1], n = b.dim[b.rank - 1];
    const mc_shape sa = mc_shape_make(a.rank, a.dim), sb = mc_shape_make(b.rank, b.dim);
    mc_nn_batches batches;
    MC_TRY(mc_nn_batches_open(&batches, &sa, &sb));
    for (int64_t batch = 0, at = 0; batch < batches.count; batch++) {
        const int64_t ia = mc_nn_broadcast_at(&batches.shape, batches.a, batch), ib = mc_nn_broadcast_at(&batches.shape, batches.b, batch);
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++, at++) {
                const int64_t pa = (ia * m + i) * k, pb = ib * k * n + j;
                if (mc_dtype_is_float(ta->dtype)) mc_nn_put(r->out[0], at, mc_nn_dot(ta, pa, 1, tb, pb, n, k));
                else integer_dot(ta, pa, tb, pb, n, k, r->out[0], at);
            }
    }
done:
    return st;
}

static int32_t cost(const mc_node *n, const mc_type *const *in, const mc_type *const *out, mc_op_cost *c)
{
    (void)n;
    if (out[0]->rank >= 0 && in[0]->rank > 0)
        c->macs = mc_nn_extent_f(out[0], 0, out[0]->rank) * mc_nn_extent_f(in[0], in[0]->rank - 1, in[0]->rank);
    return MCOMP_OK;
}

static mc_value *unsqueezed(mc_op_grad *c, mc_value *v, int64_t axis) { return mc_grad_2(c, "Unsqueeze", v, mc_grad_ints(c, 1, &axis)); }

/* dA = dY . B^T, dB = A^T . dY; where B is one matrix for all of A's leading axes, these are rows of one product. */
static int32_t gradient(mc_op_grad *c)
{
    mc_value *a = c->x[0], *b = c->x[1], *dy = c->dy[0];
    if (mc_grad_rank(c, a) < 0 || mc_grad_rank(c, b) < 0) return c->status;
    const int one_matrix = b->type.rank == 2 && a->type.rank >= 2;
    if (b->type.rank == 1) {
        b = unsqueezed(c, b, 1);
        dy = unsqueezed(c, dy, -1);
    }
    if (a->type.rank == 1) {
        a = unsqueezed(c, a, 0);
        dy = unsqueezed(c, dy, -2);
    }
    if (c->status != MCOMP_OK) return c->status;
    if (mc_grad_wants(c, 0)) c->dx[0] = mc_grad_reshape_like(c, mc_grad_sum_to(c, mc_grad_product(c, dy, 0, b, 1, 0), a), c->x[0]);
    if (mc_grad_wants(c, 1)) {
        mc_value *d = one_matrix ? mc_grad_product(c, a, 1, dy, 0, 1) : mc_grad_sum_to(c, mc_grad_product(c, a, 1, dy, 0, 0), b);
        c->dx[1] = mc_grad_reshape_like(c, d, c->x[1]);
    }
    return c->status;
}

const mc_op mc_op_MatMul = {.name = "MatMul", .domain = "", .version = 13, .since = 1, .min_in = 2, .max_in = 2, .min_out = 1,
                            .max_out = 1, .quant = MC_Q_WEIGHTED, .axes = mc_axes_matmul, .infer = infer, .forward = forward, .cost = cost,
                            .gradient = gradient};
