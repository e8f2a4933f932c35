/* Arithmetic with numpy broadcasting: Add Sub Mul Div Mod (two inputs), Min Max Sum Mean (any number of inputs).
 * Integers wrap; division by zero and MIN / -1 are MCOMP_RANGE. Half types are computed in float, element by element. */
#include "ops/grad.h"
#include "ops/internal.h"

#include <math.h>

enum { K_ADD, K_SUB, K_MUL, K_DIV, K_MOD, K_FMOD, K_MIN, K_MAX };

/* NaN wins, as in numpy. */
#define PICK_MIN(x, z) ((x) < (z) || (x) != (x) ? (x) : (z))
#define PICK_MAX(x, z) ((x) > (z) || (x) != (x) ? (x) : (z))
#define WRAP(op, x, z) ((uint64_t)(x)op(uint64_t)(z))

#define ROW(T, EXPR)                                                                                                   \
    for (int64_t i = 0; i < n; i++) {                                                                                  \
        const T x = a[i * sa], z = b[i * sb];                                                                          \
        y[i] = (T)(EXPR);                                                                                              \
    }                                                                                                                  \
    break;

/* The truncated remainder has the wrong sign for a floored one. */
static inline int floors(int is_signed, int64_t rest, int64_t z) { return is_signed && rest != 0 && (rest < 0) != (z < 0); }

/* One row; 0 = done, 1 = division by zero or overflow. */
#define ROWS_FLOAT(NAME, T)                                                                                            \
    static int NAME(int kind, int64_t n, const T *a, int64_t sa, const T *b, int64_t sb, T *y)                         \
    {                                                                                                                  \
        switch (kind) {                                                                                                \
        case K_ADD: ROW(T, x + z)                                                                                      \
        case K_SUB: ROW(T, x - z)                                                                                      \
        case K_MUL: ROW(T, x *z)                                                                                       \
        case K_DIV: ROW(T, x / z)                                                                                      \
        case K_MIN: ROW(T, PICK_MIN(x, z))                                                                             \
        case K_MAX: ROW(T, PICK_MAX(x, z))                                                                             \
        case K_FMOD: ROW(T, (T)fmod((double)x, (double)z))                                                             \
        default: ROW(T, floored((double)x, (double)z))                                                                 \
        }                                                                                                              \
        return 0;                                                                                                      \
    }

#define DIVISION(T, IS_SIGNED, EXPR)                                                                                   \
    for (int64_t i = 0; i < n; i++) {                                                                                  \
        const T x = a[i * sa], z = b[i * sb];                                                                          \
        if (z == 0) return 1;                                                                                          \
        if (IS_SIGNED && z == (T)-1 && x == (T)((uint64_t)1 << (8 * sizeof(T) - 1))) {                                 \
            if (kind == K_DIV) return 1;                                                                               \
            y[i] = 0;                                                                                                  \
            continue;                                                                                                  \
        }                                                                                                              \
        y[i] = (T)(EXPR);                                                                                              \
    }                                                                                                                  \
    break;

#define ROWS_INT(NAME, T, IS_SIGNED)                                                                                   \
    static int NAME(int kind, int64_t n, const T *a, int64_t sa, const T *b, int64_t sb, T *y)                         \
    {                                                                                                                  \
        switch (kind) {                                                                                                \
        case K_ADD: ROW(T, WRAP(+, x, z))                                                                              \
        case K_SUB: ROW(T, WRAP(-, x, z))                                                                              \
        case K_MUL: ROW(T, WRAP(*, x, z))                                                                              \
        case K_MIN: ROW(T, x < z ? x : z)                                                                              \
        case K_MAX: ROW(T, x > z ? x : z)                                                                              \
        case K_DIV: DIVISION(T, IS_SIGNED, x / z)                                                                      \
        case K_FMOD: DIVISION(T, IS_SIGNED, x % z)                                                                     \
        default: DIVISION(T, IS_SIGNED, floors(IS_SIGNED, (int64_t)(x % z), (int64_t)z) ? x % z + z : x % z)            \
        }                                                                                                              \
        return 0;                                                                                                      \
    }

/* Remainder with the sign of the divisor. */
static double floored(double x, double z)
{
    const double r = fmod(x, z);
    return r != 0.0 && (r < 0.0) != (z < 0.0) ? r + z : r;
}

ROWS_FLOAT(row_f32, float)
ROWS_FLOAT(row_f64, double)
ROWS_INT(row_i64, int64_t, 1)
ROWS_INT(row_i32, int32_t, 1)
ROWS_INT(row_i16, int16_t, 1)
ROWS_INT(row_i8, int8_t, 1)
ROWS_INT(row_u64, uint64_t, 0)
ROWS_INT(row_u32, uint32_t, 0)
ROWS_INT(row_u16, uint16_t, 0)
ROWS_INT(row_u8, uint8_t, 0)

static void row_half(int kind, int32_t dtype, int64_t n, const uint16_t *a, int64_t sa, const uint16_t *b, int64_t sb, uint16_t *y)
{
    for (int64_t i = 0; i < n; i++) {
        const int f16 = dtype == MCOMP_F16;
        float x = f16 ? mc_f16_to_f32(a[i * sa]) : mc_bf16_to_f32(a[i * sa]), v;
        float z = f16 ? mc_f16_to_f32(b[i * sb]) : mc_bf16_to_f32(b[i * sb]);
        row_f32(kind, 1, &x, 0, &z, 0, &v);
        y[i] = f16 ? mc_f32_to_f16(v) : mc_f32_to_bf16(v);
    }
}

#define CASE(DTYPE, T, FN)                                                                                             \
    case DTYPE:                                                                                                        \
        MC_WALK_ROWS(&w)                                                                                               \
        {                                                                                                              \
            bad |= FN(kind, w.inner, (const T *)t[0]->data + w.off[1], w.step[1], (const T *)t[1]->data + w.off[2],    \
                      w.step[2], (T *)y->data + w.off[0]);                                                             \
        }                                                                                                              \
        break;

static int32_t apply(const mc_op_run *r, int kind, mc_tensor *y, const mc_tensor *a, const mc_tensor *b)
{
    const mc_tensor *t[2] = {a, b};
    mc_walk w;
    int bad = 0;
    const int32_t st = mc_walk_broadcast(&w, r, &y->shape, 2, t);
    if (st != MCOMP_OK) return st;
    switch (y->dtype) {
        CASE(MCOMP_F32, float, row_f32)
        CASE(MCOMP_F64, double, row_f64)
        CASE(MCOMP_I64, int64_t, row_i64)
        CASE(MCOMP_I32, int32_t, row_i32)
        CASE(MCOMP_I16, int16_t, row_i16)
        CASE(MCOMP_I8, int8_t, row_i8)
        CASE(MCOMP_U64, uint64_t, row_u64)
        CASE(MCOMP_U32, uint32_t, row_u32)
        CASE(MCOMP_U16, uint16_t, row_u16)
        CASE(MCOMP_U8, uint8_t, row_u8)
    case MCOMP_F16:
    case MCOMP_BF16:
        MC_WALK_ROWS(&w)
        {
            row_half(kind, y->dtype, w.inner, (const uint16_t *)a->data + w.off[1], w.step[1], (const uint16_t *)b->data + w.off[2],
                     w.step[2], (uint16_t *)y->data + w.off[0]);
        }
        break;
    default: return mc_op_fail(r, MCOMP_UNSUPPORTED, "type %s", mc_dtype_name(y->dtype));
    }
    return bad ? mc_op_fail(r, MCOMP_RANGE, "integer division by zero, or of the smallest number by -1") : MCOMP_OK;
}

/* One element of shape data; unknown unless it can be said without knowing the symbols. */
static int64_t combine(int kind, int64_t x, int64_t z)
{
    int64_t v;
    const int sx = mc_data_is_symbol(x), sz = mc_data_is_symbol(z);
    if (x == MC_DATA_UNKNOWN || z == MC_DATA_UNKNOWN) return MC_DATA_UNKNOWN;
    if (sx || sz) {
        if (kind == K_ADD) return z == 0 ? x : x == 0 ? z : MC_DATA_UNKNOWN;
        if (kind == K_SUB) return z == 0 ? x : x == z ? 0 : MC_DATA_UNKNOWN;
        if (kind == K_MUL) return x == 0 || z == 0 ? 0 : z == 1 ? x : x == 1 ? z : MC_DATA_UNKNOWN;
        if (kind == K_DIV) return z == 1 ? x : MC_DATA_UNKNOWN;
        return (kind == K_MIN || kind == K_MAX) && x == z ? x : MC_DATA_UNKNOWN;
    }
    if (kind == K_ADD ? __builtin_add_overflow(x, z, &v) : kind == K_SUB ? __builtin_sub_overflow(x, z, &v)
        : kind == K_MUL ? __builtin_mul_overflow(x, z, &v) : row_i64(kind, 1, &x, 0, &z, 0, &v))
        return MC_DATA_UNKNOWN;
    return v < -((int64_t)1 << 62) ? MC_DATA_UNKNOWN : v;
}

static void infer_data(mc_infer *c, int kind)
{
    mc_shape_data *y = c->out_data[0];
    if (!y || c->n_in != 2 || !c->data[0] || !c->data[1]) return;
    const mc_shape_data *a = c->data[0], *b = c->data[1];
    if (a->n != b->n && a->n != 1 && b->n != 1) return;
    y->n = a->n == 1 ? b->n : a->n;
    for (int32_t i = 0; i < y->n; i++) y->v[i] = combine(kind, a->v[a->n == 1 ? 0 : i], b->v[b->n == 1 ? 0 : i]);
}

static int32_t infer(mc_infer *c, int kind)
{
    int32_t st = MCOMP_OK, dtype = MCOMP_UNDEFINED;
    MC_TRY(mc_infer_one_dtype(c, 0, c->n_in - 1, &dtype));
    for (int32_t i = 0; i < c->n_in; i++) MC_TRY(mc_infer_check(c, i, MC_CLASS_NUMBER));
    c->out[0].dtype = dtype;
    MC_TRY(mc_infer_broadcast(c, 0, c->n_in));
    infer_data(c, kind);
done:
    return st;
}

static int32_t forward(const mc_op_run *r, int kind)
{
    mc_tensor *y = r->out[0];
    int32_t st = MCOMP_OK;
    if (r->n_in == 2) return apply(r, kind, y, r->in[0], r->in[1]);
    MC_TRY(mc_move_broadcast(r, y, r->in[0]));
    for (int32_t i = 1; i < r->n_in; i++) MC_TRY(apply(r, kind, y, y, r->in[i]));
done:
    return st;
}

static int32_t forward_mean(const mc_op_run *r)
{
    const int64_t n = mc_tensor_elements(r->out[0]);
    const int32_t st = forward(r, K_ADD);
    for (int64_t i = 0; st == MCOMP_OK && i < n; i++)
        mc_tensor_set_f64(r->out[0], i, mc_tensor_get_f64(r->out[0], i) / (double)r->n_in);
    return st;
}

static int32_t infer_mod(mc_infer *c) { return infer(c, mc_attr_i(c->node, "fmod", 0) ? K_FMOD : K_MOD); }
static int32_t forward_mod(const mc_op_run *r) { return forward(r, mc_attr_i(r->node, "fmod", 0) ? K_FMOD : K_MOD); }

/* ---- gradients: each operand's share, summed over the axes that broadcasting stretched ---- */

static int32_t grad_add(mc_op_grad *c)
{
    for (int32_t i = 0; i < c->n_in; i++)
        if (mc_grad_wants(c, i)) c->dx[i] = mc_grad_sum_to(c, c->dy[0], c->x[i]);
    return c->status;
}

static int32_t grad_mean(mc_op_grad *c)
{
    c->dy[0] = mc_grad_scale(c, c->dy[0], 1.0 / c->n_in);
    return grad_add(c);
}

static int32_t grad_sub(mc_op_grad *c)
{
    if (mc_grad_wants(c, 0)) c->dx[0] = mc_grad_sum_to(c, c->dy[0], c->x[0]);
    if (mc_grad_wants(c, 1)) c->dx[1] = mc_grad_1(c, "Neg", mc_grad_sum_to(c, c->dy[0], c->x[1]));
    return c->status;
}

static int32_t grad_mul(mc_op_grad *c)
{
    if (mc_grad_wants(c, 0)) c->dx[0] = mc_grad_sum_to(c, mc_grad_2(c, "Mul", c->dy[0], c->x[1]), c->x[0]);
    if (mc_grad_wants(c, 1)) c->dx[1] = mc_grad_sum_to(c, mc_grad_2(c, "Mul", c->dy[0], c->x[0]), c->x[1]);
    return c->status;
}

static int32_t grad_div(mc_op_grad *c) /* d(a/b) = da/b - y db/b */
{
    mc_value *d = mc_grad_2(c, "Div", c->dy[0], c->x[1]);
    if (mc_grad_wants(c, 0)) c->dx[0] = mc_grad_sum_to(c, d, c->x[0]);
    if (mc_grad_wants(c, 1)) c->dx[1] = mc_grad_1(c, "Neg", mc_grad_sum_to(c, mc_grad_2(c, "Mul", d, c->y[0]), c->x[1]));
    return c->status;
}

/* To the operands that equal the result, in equal shares. */
static int32_t grad_extreme(mc_op_grad *c)
{
    mc_value *mask[MC_OP_MAX_IO], *ties = NULL;
    for (int32_t i = 0; i < c->n_in; i++) {
        mask[i] = mc_grad_mask(c, mc_grad_2(c, "Equal", c->x[i], c->y[0]), c->y[0]);
        ties = ties ? mc_grad_2(c, "Add", ties, mask[i]) : mask[i];
    }
    mc_value *d = mc_grad_2(c, "Div", c->dy[0], ties);
    for (int32_t i = 0; i < c->n_in; i++)
        if (mc_grad_wants(c, i)) c->dx[i] = mc_grad_sum_to(c, mc_grad_2(c, "Mul", d, mask[i]), c->x[i]);
    return c->status;
}

#define ARITH(NAME, VERSION, SINCE, KIND, MAX_IN, MIN_IN, QUANT, GRADIENT)                                             \
    static int32_t infer_##NAME(mc_infer *c) { return infer(c, KIND); }                                                \
    static int32_t forward_##NAME(const mc_op_run *r) { return forward(r, KIND); }                                     \
    ROW_OF(NAME, VERSION, SINCE, MAX_IN, MIN_IN, QUANT, infer_##NAME, forward_##NAME, GRADIENT)
#define ROW_OF(NAME, VERSION, SINCE, MAX_IN, MIN_IN, QUANT, INFER, FORWARD, GRADIENT)                                  \
    const mc_op mc_op_##NAME = {.name = #NAME, .domain = "", .version = VERSION, .since = SINCE, .min_in = MIN_IN,     \
                                .max_in = MAX_IN, .min_out = 1, .max_out = 1,                                          \
                                .traits = MC_OP_ELEMENTWISE | MC_OP_SHAPE_GLUE, .quant = QUANT, .infer = INFER,        \
                                .forward = FORWARD, .gradient = GRADIENT};

ARITH(Add, 14, 7, K_ADD, 2, 2, MC_Q_ADD, grad_add)
ARITH(Sub, 14, 7, K_SUB, 2, 2, MC_Q_NONE, grad_sub)
ARITH(Mul, 14, 7, K_MUL, 2, 2, MC_Q_NONE, grad_mul)
ARITH(Div, 14, 7, K_DIV, 2, 2, MC_Q_NONE, grad_div)
ARITH(Min, 13, 12, K_MIN, -1, 1, MC_Q_NONE, grad_extreme)
ARITH(Max, 13, 12, K_MAX, -1, 1, MC_Q_NONE, grad_extreme)
ARITH(Sum, 13, 8, K_ADD, -1, 1, MC_Q_NONE, grad_add)
static int32_t infer_Mean(mc_infer *c) { return infer(c, K_FMOD); } /* any kind that shape data has no rule for */
ROW_OF(Mean, 13, 8, -1, 1, MC_Q_NONE, infer_Mean, forward_mean, grad_mean)
ROW_OF(Mod, 13, 10, 2, 2, MC_Q_NONE, infer_mod, forward_mod, NULL)
