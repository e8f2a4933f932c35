/* Functions of one element that keep integers exact: Abs Neg Sign Floor Ceil Round; Clip with optional bounds; PRelu. */
#include "ops/grad.h"
#include "ops/internal.h"

#include <math.h>

enum { K_ABS, K_NEG, K_SIGN, K_FLOOR, K_CEIL, K_ROUND };

static double float_of(int kind, double x)
{
    switch (kind) {
    case K_ABS: return fabs(x);
    case K_NEG: return -x;
    case K_SIGN: return x > 0.0 ? 1.0 : x < 0.0 ? -1.0 : x;
    case K_FLOOR: return floor(x);
    case K_CEIL: return ceil(x);
    default: return nearbyint(x); /* halves to even */
    }
}

static int64_t int_of(int kind, int64_t x)
{
    switch (kind) {
    case K_ABS: return x < 0 ? (int64_t)(0 - (uint64_t)x) : x;
    case K_NEG: return (int64_t)(0 - (uint64_t)x);
    case K_SIGN: return (x > 0) - (x < 0);
    default: return x;
    }
}

static int32_t forward(const mc_op_run *r, int kind)
{
    const mc_tensor *x = r->in[0];
    mc_tensor *y = r->out[0];
    const int64_t n = mc_tensor_elements(y);
    if (mc_dtype_is_float(y->dtype))
        for (int64_t i = 0; i < n; i++) mc_tensor_set_f64(y, i, float_of(kind, mc_tensor_get_f64(x, i)));
    else if (y->dtype == MCOMP_U64)
        for (int64_t i = 0; i < n; i++) {
            const uint64_t v = ((const uint64_t *)x->data)[i];
            ((uint64_t *)y->data)[i] = kind == K_NEG ? 0 - v : kind == K_SIGN ? v != 0 : v;
        }
    else
        for (int64_t i = 0; i < n; i++) mc_tensor_set_i64(y, i, int_of(kind, mc_tensor_get_i64(x, i)));
    return MCOMP_OK;
}

static int32_t infer_number(mc_infer *c)
{
    const int32_t st = mc_infer_check(c, 0, MC_CLASS_NUMBER);
    return st == MCOMP_OK ? mc_infer_same(c, 0, 0) : st;
}

static int32_t infer_float(mc_infer *c)
{
    const int32_t st = mc_infer_check(c, 0, MC_CLASS_FLOAT);
    return st == MCOMP_OK ? mc_infer_same(c, 0, 0) : st;
}

static int32_t grad_abs(mc_op_grad *c)
{
    c->dx[0] = mc_grad_2(c, "Mul", c->dy[0], mc_grad_1(c, "Sign", c->x[0]));
    return c->status;
}

static int32_t grad_neg(mc_op_grad *c)
{
    c->dx[0] = mc_grad_1(c, "Neg", c->dy[0]);
    return c->status;
}

static int32_t grad_none(mc_op_grad *c) { return c->status; } /* steps: zero wherever there is a derivative */

#define NUMBER(NAME, VERSION, SINCE, KIND, QUANT, INFER, GRADIENT)                                                     \
    static int32_t forward_##NAME(const mc_op_run *r) { return forward(r, KIND); }                                     \
    const mc_op mc_op_##NAME = {.name = #NAME, .domain = "", .version = VERSION, .since = SINCE, .min_in = 1,          \
                                .max_in = 1, .min_out = 1, .max_out = 1,                                               \
                                .traits = MC_OP_ELEMENTWISE | MC_OP_SHAPE_GLUE, .quant = QUANT, .infer = INFER,        \
                                .forward = forward_##NAME, .gradient = GRADIENT};
NUMBER(Abs, 13, 6, K_ABS, MC_Q_UNARY, infer_number, grad_abs)
NUMBER(Neg, 13, 6, K_NEG, MC_Q_UNARY, infer_number, grad_neg)
NUMBER(Sign, 13, 9, K_SIGN, MC_Q_NONE, infer_number, grad_none)
NUMBER(Floor, 13, 6, K_FLOOR, MC_Q_NONE, infer_float, grad_none)
NUMBER(Ceil, 13, 6, K_CEIL, MC_Q_NONE, infer_float, grad_none)
NUMBER(Round, 22, 11, K_ROUND, MC_Q_NONE, infer_float, grad_none)

/* ---- Clip: max(min(x, hi), lo), so that lo > hi gives hi as in numpy ---- */

static int32_t infer_clip(mc_infer *c)
{
    int32_t st = MCOMP_OK, dtype;
    MC_TRY(mc_infer_check(c, 0, MC_CLASS_NUMBER));
    MC_TRY(mc_infer_one_dtype(c, 0, c->n_in - 1, &dtype));
    for (int32_t i = 1; i < c->n_in; i++)
        if (c->in[i] && c->in[i]->rank > 0 && !(c->in[i]->rank == 1 && c->in[i]->dim[0] == 1))
            return mc_infer_fail(c, MCOMP_SHAPE, "input %d must be a scalar", i);
    st = mc_infer_same(c, 0, 0);
done:
    return st;
}

static int32_t forward_clip(const mc_op_run *r)
{
    const mc_tensor *x = r->in[0], *lo = mc_in(r, 1), *hi = mc_in(r, 2);
    mc_tensor *y = r->out[0];
    const int64_t n = mc_tensor_elements(y);
    if ((lo && mc_tensor_elements(lo) != 1) || (hi && mc_tensor_elements(hi) != 1))
        return mc_op_fail(r, MCOMP_SHAPE, "the bounds must be scalars");
    MC_DISPATCH_NUMERIC(
        y->dtype, T,
        {
            const T *s = x->data;
            T *d = y->data;
            for (int64_t i = 0; i < n; i++) {
                T v = s[i];
                if (lo && v < *(const T *)lo->data) v = *(const T *)lo->data;
                if (hi && v > *(const T *)hi->data) v = *(const T *)hi->data;
                d[i] = v;
            }
        },
        {
            for (int64_t i = 0; i < n; i++) {
                double v = mc_tensor_get_f64(x, i);
                if (lo && v < mc_tensor_get_f64(lo, 0)) v = mc_tensor_get_f64(lo, 0);
                if (hi && v > mc_tensor_get_f64(hi, 0)) v = mc_tensor_get_f64(hi, 0);
                mc_tensor_set_f64(y, i, v);
            }
        })
    return MCOMP_OK;
}

/* ---- PRelu: slope broadcast to x ---- */

static int32_t infer_prelu(mc_infer *c)
{
    int32_t st = MCOMP_OK, dtype;
    MC_TRY(mc_infer_check(c, 0, MC_CLASS_NUMBER));
    MC_TRY(mc_infer_one_dtype(c, 0, 1, &dtype));
    MC_TRY(mc_infer_broadcast(c, 0, 2));
    if (c->in[0]->rank >= 0) st = mc_infer_same(c, 0, 0);
    c->out[0].dtype = dtype;
done:
    return st;
}

static int32_t forward_prelu(const mc_op_run *r)
{
    const mc_tensor *x = r->in[0], *slope = r->in[1];
    mc_tensor *y = r->out[0];
    mc_walk w;
    const int32_t st = mc_walk_broadcast(&w, r, &y->shape, 2, r->in);
    if (st != MCOMP_OK) return st;
    MC_WALK_ROWS(&w)
    {
        for (int64_t i = 0; i < w.inner; i++) {
            const double v = mc_tensor_get_f64(x, w.off[1] + i * w.step[1]);
            mc_tensor_set_f64(y, w.off[0] + i, v < 0.0 ? v * mc_tensor_get_f64(slope, w.off[2] + i * w.step[2]) : v);
        }
    }
    return MCOMP_OK;
}

/* 1 inside and on the bounds. */
static int32_t grad_clip(mc_op_grad *c)
{
    mc_value *d = c->dy[0];
    if (!mc_grad_wants(c, 0)) return c->status;
    for (int32_t i = 1; i < c->n_in; i++)
        if (c->x[i]) d = mc_grad_2(c, "Mul", d, mc_grad_mask(c, mc_grad_2(c, i == 1 ? "GreaterOrEqual" : "LessOrEqual", c->x[0], c->x[i]), d));
    c->dx[0] = d;
    return c->status;
}

static int32_t grad_prelu(mc_op_grad *c)
{
    mc_value *zero = mc_grad_scalar(c, 0.0, c->x[0]), *negative = mc_grad_2(c, "Less", c->x[0], zero);
    if (mc_grad_wants(c, 0)) c->dx[0] = mc_grad_3(c, "Where", negative, mc_grad_2(c, "Mul", c->dy[0], c->x[1]), c->dy[0]);
    if (mc_grad_wants(c, 1))
        c->dx[1] = mc_grad_sum_to(c, mc_grad_2(c, "Mul", c->dy[0], mc_grad_2(c, "Min", c->x[0], zero)), c->x[1]);
    return c->status;
}

const mc_op mc_op_Clip = {.name = "Clip", .domain = "", .version = 13, .since = 12, .min_in = 1, .max_in = 3, .min_out = 1,
                          .max_out = 1, .traits = MC_OP_ELEMENTWISE, .quant = MC_Q_UNARY, .infer = infer_clip,
                          .forward = forward_clip, .gradient = grad_clip};
const mc_op mc_op_PRelu = {.name = "PRelu", .domain = "", .version = 16, .since = 9, .min_in = 2, .max_in = 2, .min_out = 1,
                           .max_out = 1, .traits = MC_OP_ELEMENTWISE, .quant = MC_Q_NONE, .infer = infer_prelu,
                           .forward = forward_prelu, .gradient = grad_prelu};
