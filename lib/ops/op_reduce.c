/* Reductions over axes (input 1): Sum Mean Max Min Prod L1 L2 SumSquare LogSum LogSumExp. Floats are summed in double in the
 * order of the elements; integers exactly, modulo 2^64. */
#include "ops/grad.h"
#include "ops/internal.h"

#include <math.h>

enum { R_SUM, R_MEAN, R_MAX, R_MIN, R_PROD, R_L1, R_L2, R_SUMSQUARE, R_LOGSUM, R_LOGSUMEXP };

/* Which axes go; 0 when the axes are not known now. */
static int32_t axes_of(const mc_node *n, int has_axes, const int64_t *axes, int64_t n_axes, int32_t rank, uint32_t *mask)
{
    *mask = 0;
    if (!has_axes || n_axes == 0) {
        if (!mc_attr_i(n, "noop_with_empty_axes", 0)) *mask = (1u << rank) - 1;
        return 1;
    }
    for (int64_t i = 0; i < n_axes; i++) {
        const int64_t a = axes[i] < 0 ? axes[i] + rank : axes[i];
        if (a < 0 || a >= rank) return 0;
        *mask |= 1u << a;
    }
    return 1;
}

static int32_t infer(mc_infer *c)
{
    int64_t axes[MC_MAX_RANK];
    int32_t n = 0, st = MCOMP_OK;
    uint32_t mask;
    const mc_type *x = c->in[0];
    const int keep = mc_attr_i(c->node, "keepdims", 1) != 0, has = mc_has(c, 1);
    MC_TRY(mc_infer_check(c, 0, MC_CLASS_NUMBER | MC_CLASS_BOOL));
    c->out[0].dtype = x->dtype;
    if (x->rank < 0) return MCOMP_OK;
    if (has && !mc_infer_ints(c, 1, axes, MC_MAX_RANK, &n)) {
        if (c->cst[1]) return mc_infer_fail(c, MCOMP_FORMAT, "axes must be a list of at most %d integers", MC_MAX_RANK);
        if (!keep) return MCOMP_OK;
        c->out[0].rank = x->rank;
        for (int32_t i = 0; i < x->rank; i++) c->out[0].dim[i] = mc_infer_symbol(c);
        return MCOMP_OK;
    }
    if (!axes_of(c->node, has, axes, n, x->rank, &mask)) return mc_infer_fail(c, MCOMP_FORMAT, "axes are out of range for rank %d", x->rank);
    c->out[0].rank = 0;
    for (int32_t i = 0; i < x->rank; i++) {
        if (!(mask >> i & 1u)) c->out[0].dim[c->out[0].rank++] = x->dim[i];
        else if (keep) c->out[0].dim[c->out[0].rank++] = 1;
    }
done:
    return st;
}

/* NaN wins, as in numpy. */
static double pick(double a, double b, int max) { return isnan(a) || isnan(b) ? NAN : (max ? a > b : a < b) ? a : b; }

static double step_float(int kind, double acc, double x, double shift)
{
    switch (kind) {
    case R_MAX: return pick(acc, x, 1);
    case R_MIN: return pick(acc, x, 0);
    case R_PROD: return acc * x;
    case R_L1: return acc + fabs(x);
    case R_L2:
    case R_SUMSQUARE: return acc + x * x;
    case R_LOGSUMEXP: return acc + (isinf(shift) ? exp(x) : exp(x - shift));
    default: return acc + x;
    }
}

static uint64_t step_int(int kind, uint64_t acc, uint64_t x, int is_unsigned)
{
    switch (kind) {
    case R_MAX: return (is_unsigned ? acc > x : (int64_t)acc > (int64_t)x) ? acc : x;
    case R_MIN: return (is_unsigned ? acc < x : (int64_t)acc < (int64_t)x) ? acc : x;
    case R_PROD: return acc * x;
    case R_L1: return acc + (!is_unsigned && (int64_t)x < 0 ? 0 - x : x);
    case R_SUMSQUARE: return acc + x * x;
    default: return acc + x;
    }
}

static double start_float(int kind) { return kind == R_MAX ? -INFINITY : kind == R_MIN ? INFINITY : kind == R_PROD ? 1.0 : 0.0; }

static uint64_t start_int(int kind, int32_t dtype)
{
    const int bits = mc_dtype_bits(dtype), is_unsigned = dtype == MCOMP_U8 || dtype == MCOMP_U16 || dtype == MCOMP_U32 || dtype == MCOMP_U64;
    if (kind == R_PROD) return 1;
    if (kind != R_MAX && kind != R_MIN) return 0;
    if (dtype == MCOMP_BOOL) return kind == R_MIN;
    if (is_unsigned) return kind == R_MAX ? 0 : UINT64_MAX >> (64 - bits);
    const uint64_t top = (uint64_t)1 << (bits - 1);
    return kind == R_MAX ? 0 - top : top - 1;
}

static double finish(int kind, double acc, double count, double shift)
{
    switch (kind) {
    case R_MEAN: return acc / count;
    case R_L2: return sqrt(acc);
    case R_LOGSUM: return log(acc);
    case R_LOGSUMEXP: return isinf(shift) ? log(acc) : log(acc) + shift;
    default: return acc;
    }
}

static void put_int(mc_tensor *y, int64_t i, uint64_t v)
{
    if (y->dtype == MCOMP_BOOL) v = v != 0;
    memcpy((uint8_t *)y->data + i * (mc_dtype_bits(y->dtype) / 8), &v, (size_t)mc_dtype_bits(y->dtype) / 8);
}

/* acc[out] over the whole input; rows of the walk share their reduced position. */
static void accumulate_float(mc_walk w, int kind, const mc_tensor *x, double *acc, const double *shift)
{
    MC_WALK_ROWS(&w)
    {
        for (int64_t i = 0; i < w.inner; i++) {
            const int64_t o = w.off[0] + i * w.step[0];
            acc[o] = step_float(kind, acc[o], mc_tensor_get_f64(x, w.off[1] + i * w.step[1]), shift ? shift[o] : 0.0);
        }
    }
}

static int32_t run_float(const mc_op_run *r, const mc_walk *w, int kind, int64_t n, double count)
{
    int32_t st = MCOMP_OK;
    double *acc = mc_calloc((size_t)(n ? n : 1), sizeof *acc), *shift = NULL;
    if (!acc) MC_TRY(MCOMP_NO_MEMORY);
    if (kind == R_LOGSUMEXP) { /* shifted by the largest element */
        shift = mc_calloc((size_t)(n ? n : 1), sizeof *shift);
        if (!shift) MC_TRY(MCOMP_NO_MEMORY);
        for (int64_t i = 0; i < n; i++) shift[i] = -INFINITY;
        accumulate_float(*w, R_MAX, r->in[0], shift, NULL);
    }
    for (int64_t i = 0; i < n; i++) acc[i] = start_float(kind);
    accumulate_float(*w, kind, r->in[0], acc, shift);
    for (int64_t i = 0; i < n; i++) {
        const double v = finish(kind, acc[i], count, shift ? shift[i] : 0.0);
        mc_tensor_set_f64(r->out[0], i, mc_dtype_is_float(r->out[0]->dtype) ? v : trunc(v));
    }
done:
    mc_free(acc);
    mc_free(shift);
    return st;
}

static int32_t run_int(const mc_op_run *r, const mc_walk *walk, int kind, int64_t n, int64_t count)
{
    const mc_tensor *x = r->in[0];
    mc_walk w = *walk;
    const int is_unsigned = x->dtype == MCOMP_U64;
    uint64_t *acc = mc_calloc((size_t)(n ? n : 1), sizeof *acc);
    if (!acc) return MCOMP_NO_MEMORY;
    for (int64_t i = 0; i < n; i++) acc[i] = start_int(kind, x->dtype);
    MC_WALK_ROWS(&w)
    {
        for (int64_t i = 0; i < w.inner; i++) {
            const int64_t o = w.off[0] + i * w.step[0];
            acc[o] = step_int(kind, acc[o], (uint64_t)mc_tensor_get_i64(x, w.off[1] + i * w.step[1]), is_unsigned);
        }
    }
    for (int64_t i = 0; i < n; i++) {
        if (kind == R_MEAN) acc[i] = count == 0 ? 0 : is_unsigned ? acc[i] / (uint64_t)count : (uint64_t)((int64_t)acc[i] / count);
        put_int(r->out[0], i, acc[i]);
    }
    mc_free(acc);
    return MCOMP_OK;
}

static int32_t forward(const mc_op_run *r, int kind)
{
    const mc_tensor *x = r->in[0], *t = mc_in(r, 1);
    int64_t axes[MC_MAX_RANK], stride[2][MC_MAX_RANK], count = 1, n = 1;
    uint32_t mask;
    mc_walk w;
    const int64_t n_axes = t ? mc_tensor_elements(t) : 0;
    if (n_axes > MC_MAX_RANK) return mc_op_fail(r, MCOMP_FORMAT, "too many axes");
    for (int64_t i = 0; i < n_axes; i++) axes[i] = mc_tensor_get_i64(t, i);
    if (!axes_of(r->node, t != NULL, axes, n_axes, x->shape.rank, &mask)) return mc_op_fail(r, MCOMP_RANGE, "axes are out of range");
    for (int32_t i = x->shape.rank - 1; i >= 0; i--) {
        stride[0][i] = mask >> i & 1u ? 0 : n;
        if (mask >> i & 1u) count *= x->shape.dim[i];
        else n *= x->shape.dim[i];
    }
    if (n != mc_tensor_elements(r->out[0])) return mc_op_fail(r, MCOMP_SHAPE, "the result has another size");
    if (x->dtype == MCOMP_BOOL && kind != R_MAX && kind != R_MIN) return mc_op_fail(r, MCOMP_UNSUPPORTED, "bool");
    mc_contiguous_strides(&x->shape, stride[1]);
    mc_walk_init(&w, &x->shape, 2, stride);
    const int whole = kind <= R_L1 || kind == R_SUMSQUARE; /* integers stay integers */
    if (!mc_dtype_is_float(x->dtype) && whole) return run_int(r, &w, kind, n, count);
    return run_float(r, &w, kind, n, (double)count);
}

/* v, of the result's shape, with the reduced axes back as 1. */
static mc_value *with_axes(mc_op_grad *c, mc_value *v)
{
    const int listed = c->n_in > 1 && c->x[1];
    if (mc_attr_i(c->node, "keepdims", 1) || c->status != MCOMP_OK) return v;
    if (listed) return mc_grad_2(c, "Unsqueeze", v, c->x[1]);
    return v; /* a scalar, or nothing was reduced */
}

static mc_value *over_x(mc_op_grad *c, mc_value *v) { return mc_grad_expand_like(c, with_axes(c, v), c->x[0]); }

static int32_t grad_sum(mc_op_grad *c)
{
    c->dx[0] = over_x(c, c->dy[0]);
    return c->status;
}

static int32_t grad_mean(mc_op_grad *c)
{
    mc_value *out = mc_grad_mask(c, mc_grad_1(c, "Size", c->y[0]), c->dy[0]), *in = mc_grad_mask(c, mc_grad_1(c, "Size", c->x[0]), c->dy[0]);
    c->dx[0] = over_x(c, mc_grad_2(c, "Mul", c->dy[0], mc_grad_2(c, "Div", out, in)));
    return c->status;
}

static int32_t grad_extreme(mc_op_grad *c) /* equal shares where several elements are the largest */
{
    mc_value *y = with_axes(c, c->y[0]), *mask = mc_grad_mask(c, mc_grad_2(c, "Equal", c->x[0], y), c->x[0]);
    c->dx[0] = mc_grad_2(c, "Mul", mask, mc_grad_2(c, "Div", with_axes(c, c->dy[0]), mc_grad_2(c, "mcomp.SumTo", mask, y)));
    return c->status;
}

static int32_t grad_l1(mc_op_grad *c)
{
    c->dx[0] = mc_grad_2(c, "Mul", mc_grad_1(c, "Sign", c->x[0]), with_axes(c, c->dy[0]));
    return c->status;
}

static int32_t grad_l2(mc_op_grad *c) /* x / y; 0 where y is 0 */
{
    mc_value *zero = mc_grad_scalar(c, 0.0, c->x[0]), *one = mc_grad_scalar(c, 1.0, c->x[0]);
    mc_value *y = mc_grad_3(c, "Where", mc_grad_2(c, "Equal", c->y[0], zero), one, c->y[0]);
    c->dx[0] = mc_grad_2(c, "Mul", c->x[0], with_axes(c, mc_grad_2(c, "Div", c->dy[0], y)));
    return c->status;
}

static int32_t grad_square(mc_op_grad *c)
{
    c->dx[0] = mc_grad_2(c, "Mul", c->x[0], with_axes(c, mc_grad_scale(c, c->dy[0], 2.0)));
    return c->status;
}

static int32_t grad_log(mc_op_grad *c) /* y = log(sum x) */
{
    c->dx[0] = over_x(c, mc_grad_2(c, "Div", c->dy[0], mc_grad_1(c, "Exp", c->y[0])));
    return c->status;
}

static int32_t grad_log_exp(mc_op_grad *c) /* e^(x - y) */
{
    mc_value *p = mc_grad_1(c, "Exp", mc_grad_2(c, "Sub", c->x[0], with_axes(c, c->y[0])));
    c->dx[0] = mc_grad_2(c, "Mul", p, with_axes(c, c->dy[0]));
    return c->status;
}

#define REDUCE(NAME, VERSION, SINCE, KIND, QUANT, GRADIENT)                                                            \
    static int32_t forward_##NAME(const mc_op_run *r) { return forward(r, KIND); }                                     \
    const mc_op mc_op_##NAME = {.name = #NAME, .domain = "", .version = VERSION, .since = SINCE, .min_in = 1,          \
                                .max_in = 2, .min_out = 1, .max_out = 1, .traits = MC_OP_SHAPE_GLUE, .quant = QUANT,   \
                                .axes = mc_axes_reduce, .infer = infer, .forward = forward_##NAME, .gradient = GRADIENT};
REDUCE(ReduceSum, 13, 13, R_SUM, MC_Q_NONE, grad_sum)
REDUCE(ReduceMean, 18, 18, R_MEAN, MC_Q_POOL, grad_mean)
REDUCE(ReduceMax, 20, 18, R_MAX, MC_Q_NONE, grad_extreme)
REDUCE(ReduceMin, 20, 18, R_MIN, MC_Q_NONE, grad_extreme)
REDUCE(ReduceProd, 18, 18, R_PROD, MC_Q_NONE, NULL)
REDUCE(ReduceL1, 18, 18, R_L1, MC_Q_NONE, grad_l1)
REDUCE(ReduceL2, 18, 18, R_L2, MC_Q_NONE, grad_l2)
REDUCE(ReduceSumSquare, 18, 18, R_SUMSQUARE, MC_Q_NONE, grad_square)
REDUCE(ReduceLogSum, 18, 18, R_LOGSUM, MC_Q_NONE, grad_log)
REDUCE(ReduceLogSumExp, 18, 18, R_LOGSUMEXP, MC_Q_NONE, grad_log_exp)
