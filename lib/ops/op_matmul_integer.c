/* MatMulInteger: Y s32 = (A - za) . (B - zb); QLinearMatMul: the same, requantized: saturate(rne(acc * (sa sb / sy)) + zy).
 * za: one, or one a row of A ([M] or [..,M,1]); zb: one, or one a column of B ([N] or [..,1,N]); their scales likewise. Sums in
 * 64 bits, MatMulInteger wraps to 32 as the specification's int32 accumulator does. */
#include "kernels/kernels.h"
#include "ops/nn.h"

#include <math.h>

/* Input i covers the rows (axis -2) or columns (axis -1) of operand t. */
static int32_t check_side(const mc_infer *c, int32_t i, const mc_type *t, int rows)
{
    if (!mc_has(c, i) || c->in[i]->rank < 0 || t->rank < 0) return MCOMP_OK;
    const mc_type *z = c->in[i];
    if (z->rank == 0 || (z->rank == 1 && z->dim[0] == 1)) return MCOMP_OK;
    int fits = t->rank >= 2 && (z->rank == 1 || z->rank <= t->rank);
    for (int32_t k = 0; fits && k < z->rank; k++) {
        const int32_t from_end = z->rank - 1 - k;
        const int32_t axis = z->rank == 1 ? t->rank - (rows ? 2 : 1) : t->rank - 1 - from_end;
        const int64_t want = z->rank > 1 && axis == t->rank - (rows ? 1 : 2) ? 1 : t->dim[axis];
        fits = z->dim[k] < 0 || want < 0 || z->dim[k] == want || (z->rank > 1 && z->dim[k] == 1);
    }
    return fits ? MCOMP_OK : mc_infer_fail(c, MCOMP_SHAPE, "input %d does not cover the %s of its operand", i, rows ? "rows" : "columns");
}

static int32_t infer_product(mc_infer *c, int32_t ia, int32_t ib)
{
    int32_t st = MCOMP_OK;
    const mc_type *a = c->in[ia], *b = c->in[ib];
    mc_type *y = &c->out[0];
    MC_TRY(mc_nn_need_byte(c, ia));
    MC_TRY(mc_nn_need_byte(c, ib));
    if (a->rank < 0 || b->rank < 0) goto done;
    if (a->rank < 1 || b->rank < 1) return mc_infer_fail(c, MCOMP_SHAPE, "an operand is a scalar");
    const int64_t ka = a->dim[a->rank - 1], kb = b->dim[b->rank > 1 ? b->rank - 2 : 0];
    if (ka >= 0 && kb >= 0 && ka != kb) return mc_infer_fail(c, MCOMP_SHAPE, "inner sizes %lld and %lld differ", (long long)ka, (long long)kb);
    const int32_t batch_a = a->rank > 2 ? a->rank - 2 : 0, batch_b = b->rank > 2 ? b->rank - 2 : 0;
    const int32_t batch = batch_a > batch_b ? batch_a : batch_b;
    for (int32_t i = 0; i < batch; i++) {
        const int32_t pa = i + batch_a - batch, pb = i + batch_b - batch;
        MC_TRY(mc_nn_broadcast_dim(c, pa < 0 ? 1 : a->dim[pa], pb < 0 ? 1 : b->dim[pb], &y->dim[i]));
    }
    y->rank = batch;
    if (a->rank > 1) y->dim[y->rank++] = a->dim[a->rank - 2];
    if (b->rank > 1) y->dim[y->rank++] = b->dim[b->rank - 1];
done:
    return st;
}

static int32_t infer_integer(mc_infer *c)
{
    int32_t st = MCOMP_OK;
    c->out[0].dtype = MCOMP_I32;
    MC_TRY(infer_product(c, 0, 1));
    for (int32_t i = 2; i < 4; i++) {
        if (!mc_has(c, i)) continue;
        if (c->in[i - 2]->dtype) MC_TRY(mc_nn_need_dtype(c, i, c->in[i - 2]->dtype));
        MC_TRY(check_side(c, i, c->in[i - 2], i == 2));
    }
done:
    return st;
}

/* a, a_scale, a_zp, b, b_scale, b_zp, y_scale, y_zp */
static int32_t infer_qlinear(mc_infer *c)
{
    int32_t st = MCOMP_OK;
    MC_TRY(infer_product(c, 0, 3));
    for (int32_t i = 0; i < 6; i += 3) {
        MC_TRY(mc_nn_need_float(c, i + 1));
        MC_TRY(mc_nn_need_positive(c, i + 1, "scale"));
        if (c->in[i]->dtype) MC_TRY(mc_nn_need_dtype(c, i + 2, c->in[i]->dtype));
        MC_TRY(check_side(c, i + 1, c->in[i], i == 0));
        MC_TRY(check_side(c, i + 2, c->in[i], i == 0));
    }
    MC_TRY(mc_nn_need_float(c, 6));
    MC_TRY(mc_nn_need_positive(c, 6, "scale of y"));
    MC_TRY(mc_nn_need_byte(c, 7));
    for (int32_t i = 6; i < 8; i++) {
        const mc_type *t = c->in[i];
        if (t->rank > 1 || (t->rank == 1 && t->dim[0] >= 0 && t->dim[0] != 1))
            return mc_infer_fail(c, MCOMP_SHAPE, "input %d must have one element", i);
    }
    c->out[0].dtype = c->in[7]->dtype;
done:
    return st;
}

/* Operand as a batch of matrices, and where its parameters lie. */
typedef struct side {
    const mc_tensor *t, *zp, *scale;
    mc_shape batch;
    int64_t rows, cols, stride[MC_MAX_RANK];
} side;

static void open_side(side *s, const mc_tensor *t, const mc_tensor *scale, const mc_tensor *zp, int left)
{
    const mc_shape *d = &t->shape;
    s->t = t;
    s->zp = zp;
    s->scale = scale;
    s->batch = mc_shape_make(d->rank > 2 ? d->rank - 2 : 0, d->dim);
    s->rows = d->rank > 1 ? d->dim[d->rank - 2] : left ? 1 : d->dim[0];
    s->cols = d->rank > 1 ? d->dim[d->rank - 1] : left ? d->dim[0] : 1;
}

static int64_t batch_offset(const mc_shape *all, const int64_t *stride, int64_t i)
{
    int64_t at = 0;
    for (int32_t d = all->rank - 1; d >= 0; d--) {
        at += i % all->dim[d] * stride[d];
        i /= all->dim[d];
    }
    return at;
}

/* Index of the parameter p of line `line` (row or column) in matrix `matrix` of the operand. */
static int64_t parameter_at(const side *s, const mc_tensor *p, int64_t matrix, int64_t line, int64_t lines)
{
    if (mc_tensor_elements(p) == 1) return 0;
    if (p->shape.rank <= 2) return p->shape.rank == 2 && mc_tensor_elements(p) != lines ? 0 : line;
    int64_t stride[MC_MAX_RANK];
    const mc_shape own = mc_shape_make(p->shape.rank - 2, p->shape.dim);
    mc_shape_broadcast_strides(&own, &s->batch, stride);
    const int64_t per = mc_nn_extent(&p->shape, p->shape.rank - 2, p->shape.rank);
    return batch_offset(&s->batch, stride, matrix) * per + (per == lines ? line : 0);
}

/* Parameters of QLinearMatMul's output; NULL: plain int32. */
typedef struct target {
    float scale;
    int32_t zp, lo, hi;
} target;

static void store(const side *a, const side *b, const target *to, int64_t ma, int64_t mb, int64_t i, int64_t j, int64_t acc,
                  mc_tensor *y, int64_t at)
{
    if (!to) {
        ((int32_t *)y->data)[at] = (int32_t)(uint32_t)(uint64_t)acc;
        return;
    }
    const float sa = (float)mc_nn_at(a->scale, parameter_at(a, a->scale, ma, i, a->rows));
    const float sb = (float)mc_nn_at(b->scale, parameter_at(b, b->scale, mb, j, b->cols));
    mc_nn_put_byte(y, at, mc_quant_round((float)acc * (sa * sb / to->scale), to->zp, to->lo, to->hi));
}

static int32_t run(const mc_op_run *r, side *a, side *b, const target *to)
{
    int32_t st = MCOMP_OK;
    mc_shape all;
    int64_t batches = 0;
    MC_TRY(mc_shape_broadcast(&a->batch, &b->batch, &all));
    MC_TRY(mc_shape_elements(&all, &batches));
    mc_shape_broadcast_strides(&a->batch, &all, a->stride);
    mc_shape_broadcast_strides(&b->batch, &all, b->stride);
    for (int64_t n = 0, at = 0; n < batches; n++) {
        const int64_t ma = batch_offset(&all, a->stride, n), mb = batch_offset(&all, b->stride, n);
        for (int64_t i = 0; i < a->rows; i++)
            for (int64_t j = 0; j < b->cols; j++, at++) {
                const int32_t za = a->zp ? mc_nn_byte(a->zp, parameter_at(a, a->zp, ma, i, a->rows)) : 0;
                const int32_t zb = b->zp ? mc_nn_byte(b->zp, parameter_at(b, b->zp, mb, j, b->cols)) : 0;
                const int64_t fa = (ma * a->rows + i) * a->cols, fb = mb * b->rows * b->cols + j;
                int64_t acc = 0;
                for (int64_t k = 0; k < a->cols; k++)
                    acc += (int64_t)(mc_nn_byte(a->t, fa + k) - za) * (mc_nn_byte(b->t, fb + k * b->cols) - zb);
                store(a, b, to, ma, mb, i, j, acc, r->out[0], at);
            }
    }
done:
    return st;
}

static int32_t forward_integer(const mc_op_run *r)
{
    const int32_t st = mc_nn_recheck(r, infer_integer, 0);
    side a, b;
    if (st != MCOMP_OK) return st;
    open_side(&a, r->in[0], NULL, mc_in(r, 2), 1);
    open_side(&b, r->in[1], NULL, mc_in(r, 3), 0);
    return run(r, &a, &b, NULL);
}

static int32_t forward_qlinear(const mc_op_run *r)
{
    const int32_t st = mc_nn_recheck(r, infer_qlinear, 0);
    side a, b;
    if (st != MCOMP_OK) return st;
    const int is_unsigned = r->out[0]->dtype == MCOMP_U8;
    const target to = {.scale = (float)mc_nn_at(r->in[6], 0), .zp = mc_nn_byte(r->in[7], 0), .lo = is_unsigned ? 0 : -128,
                       .hi = is_unsigned ? 255 : 127};
    open_side(&a, r->in[0], r->in[1], r->in[2], 1);
    open_side(&b, r->in[3], r->in[4], r->in[5], 0);
    return run(r, &a, &b, &to);
}

static int32_t cost(const mc_node *n, const mc_type *const *in, const mc_type *const *out, mc_op_cost *c)
{
    (void)n;
    if (out[0]->rank >= 0 && in[0]->rank > 0)
        c->macs = mc_nn_extent_f(out[0], 0, out[0]->rank) * mc_nn_extent_f(in[0], in[0]->rank - 1, in[0]->rank);
    return MCOMP_OK;
}

const mc_op mc_op_MatMulInteger = {.name = "MatMulInteger", .domain = "", .version = 10, .since = 10, .min_in = 2, .max_in = 4,
                                   .min_out = 1, .max_out = 1, .quant = MC_Q_NONE, .infer = infer_integer,
                                   .forward = forward_integer, .cost = cost};
const mc_op mc_op_QLinearMatMul = {.name = "QLinearMatMul", .domain = "", .version = 21, .since = 10, .min_in = 8, .max_in = 8,
                                   .min_out = 1, .max_out = 1, .quant = MC_Q_NONE, .infer = infer_qlinear,
                                   .forward = forward_qlinear, .cost = cost};
