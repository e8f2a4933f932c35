/* Functions of one float element. f32, f16 and bf16 are computed through one expression in double, so the reference is the
 * correctly rounded value in all but halfway cases; f64 uses the same expression. */
#include "ops/internal.h"

#include <math.h>

typedef struct params {
    double a, b;
} params;

typedef double (*unary_fn)(double x, const params *p);

static int32_t infer(mc_infer *c)
{
    const int32_t st = mc_infer_check(c, 0, MC_CLASS_FLOAT);
    return st == MCOMP_OK ? mc_infer_same(c, 0, 0) : st;
}

static int32_t run(const mc_op_run *r, unary_fn f, double a, double b)
{
    const params p = {a, b};
    const mc_tensor *x = r->in[0];
    mc_tensor *y = r->out[0];
    const int64_t n = mc_tensor_elements(y);
    MC_DISPATCH_FLOAT(
        y->dtype, T,
        {
            const T *s = x->data;
            T *d = y->data;
            for (int64_t i = 0; i < n; i++) d[i] = (T)f((double)s[i], &p);
        },
        {
            for (int64_t i = 0; i < n; i++) mc_tensor_set_f64(y, i, f(mc_tensor_get_f64(x, i), &p));
        })
    return MCOMP_OK;
}

#define UNARY(NAME, VERSION, SINCE, QUANT, A, B, EXPR)                                                                 \
    static double f_##NAME(double x, const params *p)                                                                  \
    {                                                                                                                  \
        (void)p;                                                                                                       \
        return EXPR;                                                                                                   \
    }                                                                                                                  \
    static int32_t forward_##NAME(const mc_op_run *r) { return run(r, f_##NAME, A, B); }                               \
    const mc_op mc_op_##NAME = {.name = #NAME, .domain = "", .version = VERSION, .since = SINCE, .min_in = 1,          \
                                .max_in = 1, .min_out = 1, .max_out = 1, .traits = MC_OP_ELEMENTWISE, .quant = QUANT,  \
                                .infer = infer, .forward = forward_##NAME};
#define ATTR(name, otherwise) (double)mc_attr_f(r->node, name, otherwise)

UNARY(Relu, 14, 6, MC_Q_UNARY, 0, 0, x < 0.0 ? 0.0 : x)
UNARY(Sqrt, 13, 6, MC_Q_NONE, 0, 0, sqrt(x))
UNARY(Exp, 13, 6, MC_Q_NONE, 0, 0, exp(x))
UNARY(Log, 13, 6, MC_Q_NONE, 0, 0, log(x))
UNARY(Erf, 13, 9, MC_Q_NONE, 0, 0, erf(x))
UNARY(Tanh, 13, 6, MC_Q_UNARY, 0, 0, tanh(x))
UNARY(Sigmoid, 13, 6, MC_Q_UNARY, 0, 0, 1.0 / (1.0 + exp(-x)))
UNARY(Reciprocal, 13, 6, MC_Q_NONE, 0, 0, 1.0 / x)
UNARY(Sin, 22, 7, MC_Q_NONE, 0, 0, sin(x))
UNARY(Cos, 22, 7, MC_Q_NONE, 0, 0, cos(x))
UNARY(LeakyRelu, 16, 6, MC_Q_UNARY, ATTR("alpha", 0.01f), 0, x < 0.0 ? p->a *x : x)
UNARY(Elu, 22, 6, MC_Q_UNARY, ATTR("alpha", 1.0f), 0, x < 0.0 ? p->a *expm1(x) : x)
UNARY(Selu, 22, 6, MC_Q_UNARY, ATTR("alpha", 1.67326319217681884765625f), ATTR("gamma", 1.05070102214813232421875f),
      x > 0.0 ? p->b *x : p->b *p->a *expm1(x))
UNARY(Softplus, 22, 1, MC_Q_UNARY, 0, 0, x > 30.0 ? x + log1p(exp(-x)) : log1p(exp(x)))
UNARY(Mish, 22, 18, MC_Q_UNARY, 0, 0, x *tanh(x > 30.0 ? x : log1p(exp(x))))
UNARY(HardSigmoid, 22, 6, MC_Q_UNARY, ATTR("alpha", 0.2f), ATTR("beta", 0.5f), fmax(0.0, fmin(1.0, p->a *x + p->b)))
UNARY(HardSwish, 22, 14, MC_Q_UNARY, 0, 0, x *fmax(0.0, fmin(1.0, x / 6.0 + 0.5)))
UNARY(Swish, 24, 24, MC_Q_UNARY, ATTR("alpha", 1.0f), 0, x / (1.0 + exp(-p->a *x)))
UNARY(Acos, 22, 7, MC_Q_NONE, 0, 0, acos(x))
UNARY(Acosh, 22, 9, MC_Q_NONE, 0, 0, acosh(x))
UNARY(Asin, 22, 7, MC_Q_NONE, 0, 0, asin(x))
UNARY(Asinh, 22, 9, MC_Q_NONE, 0, 0, asinh(x))
UNARY(Atan, 22, 7, MC_Q_NONE, 0, 0, atan(x))
UNARY(Atanh, 22, 9, MC_Q_NONE, 0, 0, atanh(x))
UNARY(Cosh, 22, 9, MC_Q_NONE, 0, 0, cosh(x))
UNARY(Sinh, 22, 9, MC_Q_NONE, 0, 0, sinh(x))
UNARY(Tan, 22, 7, MC_Q_NONE, 0, 0, tan(x))
UNARY(Celu, 12, 12, MC_Q_UNARY, ATTR("alpha", 1.0f), 0, x < 0.0 ? p->a *expm1(x / p->a) : x)
UNARY(Softsign, 22, 1, MC_Q_UNARY, 0, 0, x / (1.0 + fabs(x)))
UNARY(Shrink, 9, 9, MC_Q_UNARY, ATTR("lambd", 0.5f), ATTR("bias", 0.0f), x < -p->a ? x + p->b : x > p->a ? x - p->b : 0.0)
UNARY(ThresholdedRelu, 22, 10, MC_Q_UNARY, ATTR("alpha", 1.0f), 0, x > p->a ? x : 0.0)

/* Gelu: approximate = none (erf) or tanh. */
static double gelu_erf(double x, const params *p)
{
    (void)p;
    return 0.5 * x * (1.0 + erf(x * 0.70710678118654752440));
}

static double gelu_tanh(double x, const params *p)
{
    (void)p;
    return 0.5 * x * (1.0 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)));
}

static int32_t forward_gelu(const mc_op_run *r)
{
    const char *s = mc_attr_s(r->node, "approximate", "none");
    if (strcmp(s, "none") != 0 && strcmp(s, "tanh") != 0) return mc_op_fail(r, MCOMP_FORMAT, "unknown approximation");
    return run(r, s[0] == 't' ? gelu_tanh : gelu_erf, 0, 0);
}

const mc_op mc_op_Gelu = {.name = "Gelu", .domain = "", .version = 20, .since = 20, .min_in = 1, .max_in = 1, .min_out = 1,
                          .max_out = 1, .traits = MC_OP_ELEMENTWISE, .quant = MC_Q_UNARY, .infer = infer, .forward = forward_gelu};
