/* ScatterElements and ScatterND with reductions none, add, mul, min, max. Indices are checked: MCOMP_RANGE. Updates are
 * applied in order, so the last of several wins where there is no reduction. */
#include "ops/internal.h"

enum { RED_NONE, RED_ADD, RED_MUL, RED_MIN, RED_MAX };

static int reduction_of(const mc_node *n)
{
    static const char *const names[] = {"none", "add", "mul", "min", "max"};
    const char *s = mc_attr_s(n, "reduction", "none");
    for (int i = 0; i < 5; i++)
        if (strcmp(s, names[i]) == 0) return i;
    return -1;
}

static int64_t wrap(int64_t i, int64_t dim)
{
    if (i < 0) i += dim;
    return i >= 0 && i < dim ? i : -1;
}

static void combine(mc_tensor *y, int64_t to, const mc_tensor *u, int64_t from, int reduction)
{
    if (reduction == RED_NONE) {
        mc_move_one(y, to, u, from);
    } else if (mc_dtype_is_float(y->dtype)) {
        const double a = mc_tensor_get_f64(y, to), b = mc_tensor_get_f64(u, from);
        mc_tensor_set_f64(y, to, reduction == RED_ADD ? a + b : reduction == RED_MUL ? a * b
                                 : reduction == RED_MIN ? (a < b ? a : b) : (a > b ? a : b));
    } else {
        const int64_t a = mc_tensor_get_i64(y, to), b = mc_tensor_get_i64(u, from);
        mc_tensor_set_i64(y, to, reduction == RED_ADD ? (int64_t)((uint64_t)a + (uint64_t)b)
                                 : reduction == RED_MUL ? (int64_t)((uint64_t)a * (uint64_t)b)
                                 : reduction == RED_MIN ? (a < b ? a : b) : (a > b ? a : b));
    }
}

static int32_t infer(mc_infer *c)
{
    int32_t st = MCOMP_OK, dtype;
    const int32_t d = c->in[1]->dtype;
    if (reduction_of(c->node) < 0) return mc_infer_fail(c, MCOMP_FORMAT, "unknown reduction");
    if (d != MCOMP_UNDEFINED && d != MCOMP_I64 && d != MCOMP_I32) return mc_infer_fail(c, MCOMP_DTYPE, "indices must be int32 or int64");
    if (c->in[0]->dtype && c->in[2]->dtype && c->in[0]->dtype != c->in[2]->dtype)
        return mc_infer_fail(c, MCOMP_DTYPE, "updates of another type than the data");
    dtype = c->in[0]->dtype ? c->in[0]->dtype : c->in[2]->dtype;
    MC_TRY(mc_infer_same(c, 0, 0));
    c->out[0].dtype = dtype;
done:
    return st;
}

static int32_t infer_elements(mc_infer *c)
{
    int32_t axis, st = MCOMP_OK;
    const int32_t rank = c->in[0]->rank;
    if (rank >= 0) MC_TRY(mc_infer_axis(c, mc_attr_i(c->node, "axis", 0), rank, &axis));
    for (int32_t i = 1; i < 3; i++)
        if (rank >= 0 && c->in[i]->rank >= 0 && c->in[i]->rank != rank)
            return mc_infer_fail(c, MCOMP_SHAPE, "input %d has rank %d, the data %d", i, c->in[i]->rank, rank);
    st = infer(c);
done:
    return st;
}

static int32_t forward_elements(const mc_op_run *r)
{
    const mc_tensor *x = r->in[0], *ix = r->in[1], *u = r->in[2];
    mc_tensor *y = r->out[0];
    int64_t at[MC_MAX_RANK] = {0}, stride[MC_MAX_RANK], axis = mc_attr_i(r->node, "axis", 0);
    const int32_t rank = x->shape.rank;
    const int reduction = reduction_of(r->node);
    if (axis < 0) axis += rank;
    const int32_t st = mc_run_expect(r, 0, &x->shape);
    if (st != MCOMP_OK) return st;
    if (!mc_shape_equal(&ix->shape, &u->shape) || ix->shape.rank != rank)
        return mc_op_fail(r, MCOMP_SHAPE, "indices and updates differ in shape");
    for (int32_t a = 0; a < rank; a++)
        if (a != axis && ix->shape.dim[a] > x->shape.dim[a]) return mc_op_fail(r, MCOMP_SHAPE, "indices are larger than data on axis %d", a);
    mc_move_all(y, x);
    mc_contiguous_strides(&x->shape, stride);
    const int64_t n = mc_tensor_elements(ix);
    for (int64_t i = 0; i < n; i++) {
        const int64_t k = wrap(mc_tensor_get_i64(ix, i), x->shape.dim[axis]);
        int64_t off = k * stride[axis];
        if (k < 0) return mc_op_fail(r, MCOMP_RANGE, "index %lld is out of range", (long long)mc_tensor_get_i64(ix, i));
        for (int32_t a = 0; a < rank; a++) off += a == axis ? 0 : at[a] * stride[a];
        combine(y, off, u, i, reduction);
        for (int32_t a = rank - 1; a >= 0 && ++at[a] == ix->shape.dim[a]; a--) at[a] = 0;
    }
    return MCOMP_OK;
}

static int32_t infer_nd(mc_infer *c)
{
    const mc_type *x = c->in[0], *ix = c->in[1], *u = c->in[2];
    if (ix->rank == 0) return mc_infer_fail(c, MCOMP_SHAPE, "indices without axes");
    const int64_t depth = ix->rank > 0 ? ix->dim[ix->rank - 1] : -1;
    if (x->rank >= 0 && depth > x->rank) return mc_infer_fail(c, MCOMP_SHAPE, "tuples of %lld indices", (long long)depth);
    if (x->rank >= 0 && depth >= 0 && u->rank >= 0 && u->rank != ix->rank - 1 + x->rank - depth)
        return mc_infer_fail(c, MCOMP_SHAPE, "updates of rank %d", u->rank);
    return infer(c);
}

static int32_t forward_nd(const mc_op_run *r)
{
    const mc_tensor *x = r->in[0], *ix = r->in[1], *u = r->in[2];
    mc_tensor *y = r->out[0];
    int64_t stride[MC_MAX_RANK], block = 1;
    const int64_t depth = ix->shape.dim[ix->shape.rank - 1];
    const int32_t st = mc_run_expect(r, 0, &x->shape);
    if (st != MCOMP_OK) return st;
    if (depth > x->shape.rank) return mc_op_fail(r, MCOMP_SHAPE, "tuples of %lld indices", (long long)depth);
    mc_contiguous_strides(&x->shape, stride);
    mc_move_all(y, x);
    for (int64_t i = depth; i < x->shape.rank; i++) block *= x->shape.dim[i];
    int64_t tuples = 1;
    for (int32_t i = 0; i < ix->shape.rank - 1; i++) tuples *= ix->shape.dim[i];
    if (tuples * block != mc_tensor_elements(u)) return mc_op_fail(r, MCOMP_SHAPE, "updates have another size");
    for (int64_t t = 0; t < tuples; t++) {
        int64_t off = 0;
        for (int64_t d = 0; d < depth; d++) {
            const int64_t k = wrap(mc_tensor_get_i64(ix, t * depth + d), x->shape.dim[d]);
            if (k < 0) return mc_op_fail(r, MCOMP_RANGE, "index %lld is out of range", (long long)mc_tensor_get_i64(ix, t * depth + d));
            off += k * stride[d];
        }
        for (int64_t k = 0; k < block; k++) combine(y, off + k, u, t * block + k, reduction_of(r->node));
    }
    return MCOMP_OK;
}

const mc_op mc_op_ScatterElements = {.name = "ScatterElements", .domain = "", .version = 18, .since = 11, .min_in = 3, .max_in = 3,
                                     .min_out = 1, .max_out = 1, .traits = 0, .quant = MC_Q_NONE, .infer = infer_elements,
                                     .forward = forward_elements};
const mc_op mc_op_ScatterND = {.name = "ScatterND", .domain = "", .version = 18, .since = 11, .min_in = 3, .max_in = 3,
                               .min_out = 1, .max_out = 1, .traits = MC_OP_SHAPE_GLUE, .quant = MC_Q_NONE, .infer = infer_nd,
                               .forward = forward_nd};
