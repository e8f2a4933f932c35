/* Tensors made from nothing but sizes: ConstantOfShape, Range, EyeLike. */
#include "ops/internal.h"

#include <math.h>

static int32_t infer_constant(mc_infer *c)
{
    const mc_attr *a = mc_node_attr(c->node, "value");
    mc_shape_data d = {.n = -1};
    int32_t st = MCOMP_OK;
    if (a && (!a->tensor || mc_tensor_elements(a->tensor) != 1)) return mc_infer_fail(c, MCOMP_FORMAT, "value is no single element");
    c->out[0].dtype = a ? a->tensor->dtype : MCOMP_F32;
    if (c->cst[0]) mc_data_from_tensor(c->cst[0], &d);
    else if (c->data[0]) d = *c->data[0];
    else if (c->in[0]->rank == 1 && c->in[0]->dim[0] >= 0 && c->in[0]->dim[0] <= MC_MAX_RANK)
        for (d.n = 0; d.n < (int32_t)c->in[0]->dim[0]; d.n++) d.v[d.n] = MC_DATA_UNKNOWN;
    if (d.n < 0) return MCOMP_OK;
    MC_TRY(mc_infer_set_rank(c, 0, d.n));
    for (int32_t i = 0; i < d.n; i++) {
        if (d.v[i] != MC_DATA_UNKNOWN && !mc_data_is_symbol(d.v[i]) && d.v[i] < 0)
            return mc_infer_fail(c, MCOMP_SHAPE, "size %lld in the shape", (long long)d.v[i]);
        c->out[0].dim[i] = mc_data_to_dim(c, d.v[i]);
    }
    if (d.n != 1 || c->out[0].dim[0] < 0 || c->out[0].dim[0] > MC_SHAPE_DATA || !c->out_data[0]) return MCOMP_OK;
    if (!a || !mc_dtype_is_integer(a->tensor->dtype)) return MCOMP_OK;
    c->out_data[0]->n = (int32_t)c->out[0].dim[0];
    for (int32_t i = 0; i < c->out_data[0]->n; i++) c->out_data[0]->v[i] = mc_tensor_get_i64(a->tensor, 0);
done:
    return st;
}

static int32_t forward_constant(const mc_op_run *r)
{
    const mc_attr *a = mc_node_attr(r->node, "value");
    mc_tensor *y = r->out[0];
    const int64_t n = mc_tensor_elements(y);
    if (!a) memset(y->data, 0, (size_t)mc_tensor_bytes(y));
    for (int64_t i = 0; a && i < n; i++) mc_move_one(y, i, a->tensor, 0);
    return MCOMP_OK;
}

/* ---- Range ---- */

/* Number of elements; -1 for step 0, NaN or too many. */
static int64_t range_count(const mc_tensor *const *in)
{
    if (mc_dtype_is_float(in[0]->dtype)) {
        const double a = mc_tensor_get_f64(in[0], 0), b = mc_tensor_get_f64(in[1], 0), d = mc_tensor_get_f64(in[2], 0);
        const double n = ceil((b - a) / d);
        return d == 0.0 || !(n < 0x1p62) ? -1 : n > 0.0 ? (int64_t)n : 0;
    }
    const int64_t a = mc_tensor_get_i64(in[0], 0), b = mc_tensor_get_i64(in[1], 0), d = mc_tensor_get_i64(in[2], 0);
    if (d == 0) return -1;
    if (d > 0 ? b <= a : b >= a) return 0;
    const uint64_t span = d > 0 ? (uint64_t)b - (uint64_t)a : (uint64_t)a - (uint64_t)b;
    const uint64_t step = d > 0 ? (uint64_t)d : 0 - (uint64_t)d, n = (span - 1) / step + 1;
    return n > (uint64_t)INT64_MAX ? -1 : (int64_t)n;
}

static int32_t infer_range(mc_infer *c)
{
    mc_type *y = &c->out[0];
    mc_shape_data *d = c->out_data[0];
    const int32_t st = mc_infer_one_dtype(c, 0, 2, &y->dtype);
    if (st != MCOMP_OK) return st;
    y->rank = 1;
    for (int32_t i = 0; i < 3; i++)
        if (c->cst[i] && mc_tensor_elements(c->cst[i]) != 1) return mc_infer_fail(c, MCOMP_SHAPE, "input %d is no scalar", i);
    if (c->cst[0] && c->cst[1] && c->cst[2]) {
        y->dim[0] = range_count(c->cst);
        if (y->dim[0] < 0) return mc_infer_fail(c, MCOMP_RANGE, "step 0, or too many elements");
        if (!d || y->dim[0] > MC_SHAPE_DATA || !mc_dtype_is_integer(y->dtype)) return MCOMP_OK;
        d->n = (int32_t)y->dim[0];
        for (int64_t i = 0; i < d->n; i++) d->v[i] = mc_tensor_get_i64(c->cst[0], 0) + i * mc_tensor_get_i64(c->cst[2], 0);
        return MCOMP_OK;
    }
    const mc_shape_data *a = c->data[0], *b = c->data[1], *s = c->data[2];
    y->dim[0] = a && b && s && a->n == 1 && b->n == 1 && s->n == 1 && a->v[0] == 0 && s->v[0] == 1 &&
                        (mc_data_is_symbol(b->v[0]) || b->v[0] >= 0)
                    ? mc_data_to_dim(c, b->v[0])
                    : mc_infer_symbol(c);
    return MCOMP_OK;
}

static int32_t forward_range(const mc_op_run *r)
{
    mc_tensor *y = r->out[0];
    const int64_t n = mc_tensor_elements(y);
    for (int32_t i = 0; i < 3; i++)
        if (mc_tensor_elements(r->in[i]) != 1 || r->in[i]->dtype != y->dtype) return mc_op_fail(r, MCOMP_SHAPE, "input %d is no scalar", i);
    if (range_count(r->in) != n) return mc_op_fail(r, MCOMP_SHAPE, "the result has another size");
    if (mc_dtype_is_float(y->dtype)) {
        const double a = mc_tensor_get_f64(r->in[0], 0), d = mc_tensor_get_f64(r->in[2], 0);
        for (int64_t i = 0; i < n; i++) mc_tensor_set_f64(y, i, a + (double)i * d);
    } else {
        const int64_t a = mc_tensor_get_i64(r->in[0], 0), d = mc_tensor_get_i64(r->in[2], 0);
        for (int64_t i = 0; i < n; i++) mc_tensor_set_i64(y, i, a + i * d);
    }
    return MCOMP_OK;
}

/* ---- EyeLike ---- */

static int32_t infer_eye(mc_infer *c)
{
    const mc_type *x = c->in[0];
    if (x->rank >= 0 && x->rank != 2) return mc_infer_fail(c, MCOMP_SHAPE, "the input must have rank 2, not %d", x->rank);
    c->out[0] = *x;
    const int64_t dtype = mc_attr_i(c->node, "dtype", x->dtype);
    if (dtype && !mc_dtype_is_float((int32_t)dtype) && !mc_dtype_is_integer((int32_t)dtype) && dtype != MCOMP_BOOL)
        return mc_infer_fail(c, MCOMP_UNSUPPORTED, "type %lld", (long long)dtype);
    c->out[0].dtype = (int32_t)dtype;
    return MCOMP_OK;
}

static int32_t forward_eye(const mc_op_run *r)
{
    mc_tensor *y = r->out[0];
    const int64_t rows = y->shape.dim[0], columns = y->shape.dim[1], k = mc_attr_i(r->node, "k", 0);
    memset(y->data, 0, (size_t)mc_tensor_bytes(y));
    if (k <= -rows || k >= columns) return MCOMP_OK;
    for (int64_t i = k < 0 ? -k : 0; i < rows && i + k < columns; i++) mc_tensor_set_i64(y, i * columns + i + k, 1);
    return MCOMP_OK;
}

const mc_op mc_op_ConstantOfShape = {.name = "ConstantOfShape", .domain = "", .version = 21, .since = 9, .min_in = 1, .max_in = 1,
                                     .min_out = 1, .max_out = 1, .traits = MC_OP_SHAPE_GLUE, .quant = MC_Q_NONE,
                                     .infer = infer_constant, .forward = forward_constant};
const mc_op mc_op_Range = {.name = "Range", .domain = "", .version = 11, .since = 11, .min_in = 3, .max_in = 3, .min_out = 1,
                           .max_out = 1, .traits = MC_OP_SHAPE_GLUE | MC_OP_VALUE_SHAPED, .quant = MC_Q_NONE, .infer = infer_range,
                           .forward = forward_range};
const mc_op mc_op_EyeLike = {.name = "EyeLike", .domain = "", .version = 22, .since = 9, .min_in = 1, .max_in = 1, .min_out = 1,
                             .max_out = 1, .traits = MC_OP_SHAPE_GLUE, .quant = MC_Q_NONE, .infer = infer_eye, .forward = forward_eye};
