/* Comparisons and logic with numpy broadcasting: Equal Less LessOrEqual Greater GreaterOrEqual And Or Xor; and, with one
 * input, Not IsNaN IsInf. The result is bool. */
#include "ops/internal.h"

#include <math.h>

enum { K_EQ, K_LT, K_LE, K_GT, K_GE, K_AND, K_OR, K_XOR };

#define ROW(T, EXPR)                                                                                                   \
    MC_WALK_ROWS(&w)                                                                                                   \
    {                                                                                                                  \
        const T *pa = (const T *)t[0]->data + w.off[1], *pb = (const T *)t[1]->data + w.off[2];                        \
        for (int64_t i = 0; i < w.inner; i++) {                                                                        \
            const T a = pa[i * w.step[1]], b = pb[i * w.step[2]];                                                      \
            y[w.off[0] + i] = (EXPR);                                                                                  \
        }                                                                                                              \
    }                                                                                                                  \
    break;
#define KINDS(T)                                                                                                       \
    switch (kind) {                                                                                                    \
    case K_EQ: ROW(T, a == b)                                                                                          \
    case K_LT: ROW(T, a < b)                                                                                           \
    case K_LE: ROW(T, a <= b)                                                                                          \
    case K_GT: ROW(T, a > b)                                                                                           \
    case K_GE: ROW(T, a >= b)                                                                                          \
    case K_AND: ROW(T, a != 0 && b != 0)                                                                               \
    case K_OR: ROW(T, a != 0 || b != 0)                                                                                \
    default: ROW(T, (a != 0) != (b != 0))                                                                              \
    }

static int compare(int kind, double a, double b)
{
    return kind == K_EQ ? a == b : kind == K_LT ? a < b : kind == K_LE ? a <= b : kind == K_GT ? a > b : a >= b;
}

static int32_t forward(const mc_op_run *r, int kind)
{
    const mc_tensor *const *t = r->in;
    uint8_t *y = r->out[0]->data;
    mc_walk w;
    const int32_t st = mc_walk_broadcast(&w, r, &r->out[0]->shape, 2, t);
    if (st != MCOMP_OK) return st;
    if (t[0]->dtype == MCOMP_BOOL) {
        KINDS(uint8_t)
        return MCOMP_OK;
    }
    MC_DISPATCH_NUMERIC(t[0]->dtype, T, KINDS(T), {
        if (!mc_dtype_is_float(t[0]->dtype)) return mc_op_fail(r, MCOMP_UNSUPPORTED, "type %s", mc_dtype_name(t[0]->dtype));
        MC_WALK_ROWS(&w)
        {
            for (int64_t i = 0; i < w.inner; i++)
                y[w.off[0] + i] = (uint8_t)compare(kind, mc_tensor_get_f64(t[0], w.off[1] + i * w.step[1]),
                                                   mc_tensor_get_f64(t[1], w.off[2] + i * w.step[2]));
        }
    })
    return MCOMP_OK;
}

/* Dims are not negative, so a symbol is not equal to -1; otherwise only equal symbols can be told. */
static int64_t equal_data(int64_t a, int64_t b)
{
    const int sa = mc_data_is_symbol(a), sb = mc_data_is_symbol(b);
    if (a == MC_DATA_UNKNOWN || b == MC_DATA_UNKNOWN) return MC_DATA_UNKNOWN;
    if (sa && sb) return a == b ? 1 : MC_DATA_UNKNOWN;
    if (sa || sb) return (sa ? b : a) < 0 ? 0 : MC_DATA_UNKNOWN;
    return a == b;
}

static int32_t infer(mc_infer *c, int kind)
{
    int32_t st = MCOMP_OK, dtype;
    MC_TRY(mc_infer_one_dtype(c, 0, 1, &dtype));
    for (int32_t i = 0; kind >= K_AND && i < 2; i++) MC_TRY(mc_infer_check(c, i, MC_CLASS_BOOL));
    c->out[0].dtype = MCOMP_BOOL;
    MC_TRY(mc_infer_broadcast(c, 0, 2));
    mc_shape_data *y = c->out_data[0];
    const mc_shape_data *a = c->data[0], *b = c->data[1];
    if (kind != K_EQ || !y || !a || !b || (a->n != b->n && a->n != 1 && b->n != 1)) return MCOMP_OK;
    y->n = a->n == 1 ? b->n : a->n;
    for (int32_t i = 0; i < y->n; i++) y->v[i] = equal_data(a->v[a->n == 1 ? 0 : i], b->v[b->n == 1 ? 0 : i]);
done:
    return st;
}

#define COMPARE(NAME, VERSION, SINCE, KIND)                                                                            \
    static int32_t infer_##NAME(mc_infer *c) { return infer(c, KIND); }                                                \
    static int32_t forward_##NAME(const mc_op_run *r) { return forward(r, KIND); }                                     \
    const mc_op mc_op_##NAME = {.name = #NAME, .domain = "", .version = VERSION, .since = SINCE, .min_in = 2,          \
                                .max_in = 2, .min_out = 1, .max_out = 1,                                               \
                                .traits = MC_OP_ELEMENTWISE | MC_OP_SHAPE_GLUE, .quant = MC_Q_NONE,                    \
                                .infer = infer_##NAME, .forward = forward_##NAME};
COMPARE(Equal, 19, 11, K_EQ)
COMPARE(Less, 13, 9, K_LT)
COMPARE(LessOrEqual, 16, 12, K_LE)
COMPARE(Greater, 13, 9, K_GT)
COMPARE(GreaterOrEqual, 16, 12, K_GE)
COMPARE(And, 7, 7, K_AND)
COMPARE(Or, 7, 7, K_OR)
COMPARE(Xor, 7, 7, K_XOR)

static int32_t infer_not(mc_infer *c)
{
    const int32_t st = mc_infer_check(c, 0, MC_CLASS_BOOL);
    c->out[0] = *c->in[0];
    c->out[0].dtype = MCOMP_BOOL;
    return st;
}

static int32_t forward_not(const mc_op_run *r)
{
    const int64_t n = mc_tensor_elements(r->out[0]);
    for (int64_t i = 0; i < n; i++) ((uint8_t *)r->out[0]->data)[i] = !((const uint8_t *)r->in[0]->data)[i];
    return MCOMP_OK;
}

static int32_t infer_float_test(mc_infer *c)
{
    const int32_t st = mc_infer_check(c, 0, MC_CLASS_FLOAT);
    c->out[0] = *c->in[0];
    c->out[0].dtype = MCOMP_BOOL;
    return st;
}

static int32_t forward_isnan(const mc_op_run *r)
{
    const int64_t n = mc_tensor_elements(r->out[0]);
    for (int64_t i = 0; i < n; i++) {
        const double v = mc_tensor_get_f64(r->in[0], i);
        ((uint8_t *)r->out[0]->data)[i] = v != v; /* nothing but NaN differs from itself */
    }
    return MCOMP_OK;
}

static int32_t forward_isinf(const mc_op_run *r)
{
    const int64_t n = mc_tensor_elements(r->out[0]);
    const int pos = mc_attr_i(r->node, "detect_positive", 1) != 0, neg = mc_attr_i(r->node, "detect_negative", 1) != 0;
    for (int64_t i = 0; i < n; i++) {
        const double v = mc_tensor_get_f64(r->in[0], i);
        ((uint8_t *)r->out[0]->data)[i] = isinf(v) && (v > 0 ? pos : neg);
    }
    return MCOMP_OK;
}

const mc_op mc_op_Not = {.name = "Not", .domain = "", .version = 1, .since = 1, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
                         .traits = MC_OP_ELEMENTWISE | MC_OP_SHAPE_GLUE, .quant = MC_Q_NONE, .infer = infer_not,
                         .forward = forward_not};
const mc_op mc_op_IsNaN = {.name = "IsNaN", .domain = "", .version = 20, .since = 9, .min_in = 1, .max_in = 1, .min_out = 1,
                           .max_out = 1, .traits = MC_OP_ELEMENTWISE, .quant = MC_Q_NONE, .infer = infer_float_test,
                           .forward = forward_isnan};
const mc_op mc_op_IsInf = {.name = "IsInf", .domain = "", .version = 20, .since = 10, .min_in = 1, .max_in = 1, .min_out = 1,
                           .max_out = 1, .traits = MC_OP_ELEMENTWISE, .quant = MC_Q_NONE, .infer = infer_float_test,
                           .forward = forward_isinf};
