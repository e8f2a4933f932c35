/* Small index operators: Trilu, NonZero, OneHot, CumSum. */
#include "ops/grad.h"
#include "ops/internal.h"

static int32_t infer_trilu(mc_infer *c)
{
    if (c->in[0]->rank == 0 || c->in[0]->rank == 1) return mc_infer_fail(c, MCOMP_SHAPE, "the input must have two axes at least");
    return mc_infer_same(c, 0, 0);
}

static int32_t forward_trilu(const mc_op_run *r)
{
    const mc_tensor *x = r->in[0], *kt = mc_in(r, 1);
    const int upper = mc_attr_i(r->node, "upper", 1) != 0;
    const int32_t rank = x->shape.rank;
    if (kt && mc_tensor_elements(kt) != 1) return mc_op_fail(r, MCOMP_SHAPE, "k must be one integer");
    const int64_t n = mc_tensor_elements(x), rows = x->shape.dim[rank - 2], columns = x->shape.dim[rank - 1];
    int64_t k = kt ? mc_tensor_get_i64(kt, 0) : 0;
    if (k > columns) k = columns;
    if (k < -rows) k = -rows;
    memset(r->out[0]->data, 0, (size_t)mc_tensor_bytes(r->out[0]));
    for (int64_t i = 0; i < n; i++) {
        const int64_t row = i / columns % rows, column = i % columns;
        if (upper ? column >= row + k : column <= row + k) mc_move_one(r->out[0], i, x, i);
    }
    return MCOMP_OK;
}

/* ---- NonZero: [rank, count] ---- */

static int is_nonzero(const mc_tensor *t, int64_t i) { return mc_dtype_is_float(t->dtype) ? mc_tensor_get_f64(t, i) != 0.0 : mc_tensor_get_i64(t, i) != 0; }

static int64_t count_nonzero(const mc_tensor *t)
{
    const int64_t n = mc_tensor_elements(t);
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) count += is_nonzero(t, i);
    return count;
}

static int32_t infer_nonzero(mc_infer *c)
{
    const mc_type *x = c->in[0];
    const int32_t st = mc_infer_check(c, 0, MC_CLASS_NUMBER | MC_CLASS_BOOL);
    if (st != MCOMP_OK) return st;
    c->out[0] = (mc_type){.dtype = MCOMP_I64, .rank = 2};
    c->out[0].dim[0] = x->rank >= 0 ? x->rank : mc_infer_symbol(c);
    c->out[0].dim[1] = c->cst[0] ? count_nonzero(c->cst[0]) : mc_infer_symbol(c);
    return MCOMP_OK;
}

static int32_t forward_nonzero(const mc_op_run *r)
{
    const mc_tensor *x = r->in[0];
    int64_t stride[MC_MAX_RANK], *y = r->out[0]->data, at = 0;
    const int64_t n = mc_tensor_elements(x), count = count_nonzero(x);
    const mc_shape want = {.rank = 2, .dim = {x->shape.rank, count}};
    const int32_t st = mc_run_expect(r, 0, &want);
    if (st != MCOMP_OK) return st;
    mc_contiguous_strides(&x->shape, stride);
    for (int64_t i = 0; i < n; i++) {
        if (!is_nonzero(x, i)) continue;
        for (int32_t a = 0; a < x->shape.rank; a++) y[a * count + at] = i / stride[a] % x->shape.dim[a];
        at++;
    }
    return MCOMP_OK;
}

/* ---- OneHot ---- */

static int32_t infer_onehot(mc_infer *c)
{
    int32_t st = MCOMP_OK, n, at = 0, known = 1;
    int64_t depth = 0;
    const mc_type *ix = c->in[0];
    c->out[0].dtype = c->in[2]->dtype;
    if (ix->rank < 0) return MCOMP_OK;
    MC_TRY(mc_infer_set_rank(c, 0, ix->rank + 1));
    int32_t axis;
    MC_TRY(mc_infer_axis(c, mc_attr_i(c->node, "axis", -1), ix->rank + 1, &axis));
    if (c->cst[1] && mc_tensor_elements(c->cst[1]) != 1) return mc_infer_fail(c, MCOMP_SHAPE, "depth must be one number");
    if (c->cst[1]) depth = mc_tensor_get_i64(c->cst[1], 0);
    else known = mc_infer_ints(c, 1, &depth, 1, &n) && n == 1;
    if (!known) depth = mc_infer_symbol(c);
    if (known && depth < 1) return mc_infer_fail(c, MCOMP_RANGE, "depth %lld", (long long)depth);
    for (int32_t i = 0; i <= ix->rank; i++) c->out[0].dim[i] = i == axis ? depth : ix->dim[at++];
done:
    return st;
}

static int32_t forward_onehot(const mc_op_run *r)
{
    const mc_tensor *ix = r->in[0], *values = r->in[2];
    mc_tensor *y = r->out[0];
    int64_t axis = mc_attr_i(r->node, "axis", -1), inner = 1;
    if (axis < 0) axis += y->shape.rank;
    if (axis < 0 || axis >= y->shape.rank || mc_tensor_elements(values) != 2) return mc_op_fail(r, MCOMP_SHAPE, "axis or values are wrong");
    const int64_t depth = y->shape.dim[axis], n = mc_tensor_elements(ix), total = mc_tensor_elements(y);
    if (mc_tensor_get_i64(r->in[1], 0) != depth || total != n * depth) return mc_op_fail(r, MCOMP_SHAPE, "the result has another size");
    for (int32_t i = (int32_t)axis + 1; i < y->shape.rank; i++) inner *= y->shape.dim[i];
    for (int64_t i = 0; i < total; i++) mc_move_one(y, i, values, 0);
    for (int64_t i = 0; i < n; i++) {
        int64_t k = mc_tensor_get_i64(ix, i);
        if (k < 0) k += depth;
        if (k >= 0 && k < depth) mc_move_one(y, (i / inner * depth + k) * inner + i % inner, values, 1); /* else all off */
    }
    return MCOMP_OK;
}

/* ---- CumSum ---- */

static int32_t infer_cumsum(mc_infer *c)
{
    int32_t st = MCOMP_OK, n, axis;
    int64_t a;
    MC_TRY(mc_infer_check(c, 0, MC_CLASS_NUMBER));
    if (c->in[0]->rank >= 0 && mc_infer_ints(c, 1, &a, 1, &n) && n == 1) MC_TRY(mc_infer_axis(c, a, c->in[0]->rank, &axis));
    st = mc_infer_same(c, 0, 0);
done:
    return st;
}

static int32_t forward_cumsum(const mc_op_run *r)
{
    const mc_tensor *x = r->in[0];
    mc_tensor *y = r->out[0];
    const int exclusive = mc_attr_i(r->node, "exclusive", 0) != 0, reverse = mc_attr_i(r->node, "reverse", 0) != 0;
    if (mc_tensor_elements(r->in[1]) != 1) return mc_op_fail(r, MCOMP_SHAPE, "the axis must be one integer");
    int64_t axis = mc_tensor_get_i64(r->in[1], 0), outer = 1, inner = 1;
    if (axis < 0) axis += x->shape.rank;
    if (axis < 0 || axis >= x->shape.rank) return mc_op_fail(r, MCOMP_RANGE, "axis is out of range");
    for (int32_t i = 0; i < axis; i++) outer *= x->shape.dim[i];
    for (int32_t i = (int32_t)axis + 1; i < x->shape.rank; i++) inner *= x->shape.dim[i];
    const int64_t dim = x->shape.dim[axis];
    const int is_float = mc_dtype_is_float(x->dtype);
    const size_t bytes = (size_t)mc_dtype_bits(x->dtype) / 8;
    for (int64_t o = 0; o < outer * inner; o++) {
        double f = 0.0;
        uint64_t u = 0;
        for (int64_t d = 0; d < dim; d++) {
            const int64_t i = (o / inner * dim + (reverse ? dim - 1 - d : d)) * inner + o % inner;
            const double before = f;
            const uint64_t u_before = u;
            if (is_float) f += mc_tensor_get_f64(x, i);
            else u += (uint64_t)mc_tensor_get_i64(x, i);
            const uint64_t v = exclusive ? u_before : u;
            if (is_float) mc_tensor_set_f64(y, i, exclusive ? before : f);
            else memcpy((uint8_t *)y->data + (size_t)i * bytes, &v, bytes); /* the low bytes: wraps */
        }
    }
    return MCOMP_OK;
}

const mc_op mc_op_Trilu = {.name = "Trilu", .domain = "", .version = 14, .since = 14, .min_in = 1, .max_in = 2, .min_out = 1,
                           .max_out = 1, .traits = MC_OP_SHAPE_GLUE, .quant = MC_Q_NONE, .infer = infer_trilu,
                           .forward = forward_trilu, .gradient = mc_grad_move};
const mc_op mc_op_NonZero = {.name = "NonZero", .domain = "", .version = 13, .since = 9, .min_in = 1, .max_in = 1, .min_out = 1,
                             .max_out = 1, .traits = MC_OP_SHAPE_GLUE | MC_OP_VALUE_SHAPED, .quant = MC_Q_NONE,
                             .infer = infer_nonzero, .forward = forward_nonzero};
const mc_op mc_op_OneHot = {.name = "OneHot", .domain = "", .version = 11, .since = 9, .min_in = 3, .max_in = 3, .min_out = 1,
                            .max_out = 1, .traits = MC_OP_VALUE_SHAPED, .quant = MC_Q_NONE, .infer = infer_onehot,
                            .forward = forward_onehot};
/* The same sum from the other end. */
static int32_t grad_cumsum(mc_op_grad *c)
{
    mc_node *n = mc_grad_begin(c, "CumSum", 2, (mc_value *[]){c->dy[0], c->x[1]}, 1);
    if (!n) return c->status;
    c->status = mc_node_copy_attrs(n, c->node);
    if (c->status == MCOMP_OK) c->status = mc_node_set_i(n, "reverse", !mc_attr_i(c->node, "reverse", 0));
    c->dx[0] = mc_grad_end(c, n);
    return c->status;
}

const mc_op mc_op_CumSum = {.name = "CumSum", .domain = "", .version = 14, .since = 11, .min_in = 2, .max_in = 2, .min_out = 1,
                            .max_out = 1, .traits = MC_OP_SHAPE_GLUE, .quant = MC_Q_NONE, .infer = infer_cumsum,
                            .forward = forward_cumsum, .gradient = grad_cumsum};
