/* Functions of one float element, and mcomp.UnaryGrad, dX = dY * f'(X): the derivative stands beside the function. f32, f16 and bf16 are computed through one expression in double, so the reference is the
 * correctly rounded value in all but halfway cases; f64 uses the same expression. */
#include "ops/grad.h"
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

/* dX = dY * slope(X). At a kink the derivative from the left, as the frameworks have it. */
static int32_t run_grad(const mc_op_run *r, unary_fn slope, double a, double b)
{
    const params p = {a, b};
    const int64_t n = mc_tensor_elements(r->out[0]);
    for (int64_t i = 0; i < n; i++)
        mc_tensor_set_f64(r->out[0], i, mc_tensor_get_f64(r->in[1], i) * slope(mc_tensor_get_f64(r->in[0], i), &p));
    return MCOMP_OK;
}

/* Emits mcomp.UnaryGrad with the attributes of the forward node and its name in `of`. */
static int32_t gradient(mc_op_grad *c)
{
    mc_node *n = mc_grad_begin(c, "mcomp.UnaryGrad", 2, (mc_value *[]){c->x[0], c->dy[0]}, 1);
    if (!n) return c->status;
    c->status = mc_node_copy_attrs(n, c->node);
    if (c->status == MCOMP_OK) c->status = mc_node_set_s(n, "of", c->node->op);
    c->dx[0] = mc_grad_end(c, n);
    return c->status;
}

static double sigmoid(double x) { return 1.0 / (1.0 + exp(-x)); }

static double mish_slope(double x)
{
    const double t = tanh(x > 30.0 ? x : log1p(exp(x)));
    return t + x * (1.0 - t * t) * sigmoid(x);
}

#define UNARY(NAME, VERSION, SINCE, QUANT, A, B, EXPR, SLOPE)                                                          \
    static double f_##NAME(double x, const params *p)                                                                  \
    {                                                                                                                  \
        (void)p;                                                                                                       \
        return EXPR;                                                                                                   \
    }                                                                                                                  \
    static double slope_##NAME(double x, const params *p)                                                              \
    {                                                                                                                  \
        (void)p;                                                                                                       \
        return SLOPE;                                                                                                  \
    }                                                                                                                  \
    static int32_t forward_##NAME(const mc_op_run *r) { return run(r, f_##NAME, A, B); }                               \
    static int32_t backward_##NAME(const mc_op_run *r) { return run_grad(r, slope_##NAME, A, B); }                     \
    const mc_op mc_op_##NAME = {.name = #NAME, .domain = "", .version = VERSION, .since = SINCE, .min_in = 1,          \
                                .max_in = 1, .min_out = 1, .max_out = 1, .traits = MC_OP_ELEMENTWISE, .quant = QUANT,  \
                                .infer = infer, .forward = forward_##NAME, .gradient = gradient};
#define ATTR(name, otherwise) (double)mc_attr_f(r->node, name, otherwise)

UNARY(Relu, 14, 6, MC_Q_UNARY, 0, 0, x < 0.0 ? 0.0 : x,
      x > 0.0 ? 1.0 : 0.0)
UNARY(Sqrt, 13, 6, MC_Q_NONE, 0, 0, sqrt(x),
      0.5 / sqrt(x))
UNARY(Exp, 13, 6, MC_Q_NONE, 0, 0, exp(x),
      exp(x))
UNARY(Log, 13, 6, MC_Q_NONE, 0, 0, log(x),
      1.0 / x)
UNARY(Erf, 13, 9, MC_Q_NONE, 0, 0, erf(x),
      1.12837916709551257390 * exp(-x * x))
UNARY(Tanh, 13, 6, MC_Q_UNARY, 0, 0, tanh(x),
      1.0 - tanh(x) * tanh(x))
UNARY(Sigmoid, 13, 6, MC_Q_UNARY, 0, 0, 1.0 / (1.0 + exp(-x)),
      sigmoid(x) * sigmoid(-x))
UNARY(Reciprocal, 13, 6, MC_Q_NONE, 0, 0, 1.0 / x,
      -1.0 / (x * x))
UNARY(Sin, 22, 7, MC_Q_NONE, 0, 0, sin(x),
      cos(x))
UNARY(Cos, 22, 7, MC_Q_NONE, 0, 0, cos(x),
      -sin(x))
UNARY(LeakyRelu, 16, 6, MC_Q_UNARY, ATTR("alpha", 0.01f), 0, x < 0.0 ? p->a *x : x,
      x > 0.0 ? 1.0 : p->a)
UNARY(Elu, 22, 6, MC_Q_UNARY, ATTR("alpha", 1.0f), 0, x < 0.0 ? p->a *expm1(x) : x,
      x > 0.0 ? 1.0 : p->a *exp(x))
UNARY(Selu, 22, 6, MC_Q_UNARY, ATTR("alpha", 1.67326319217681884765625f), ATTR("gamma", 1.05070102214813232421875f),
      x > 0.0 ? p->b *x : p->b *p->a *expm1(x),
      x > 0.0 ? p->b : p->b *p->a *exp(x))
UNARY(Softplus, 22, 1, MC_Q_UNARY, 0, 0, x > 30.0 ? x + log1p(exp(-x)) : log1p(exp(x)),
      sigmoid(x))
UNARY(Mish, 22, 18, MC_Q_UNARY, 0, 0, x *tanh(x > 30.0 ? x : log1p(exp(x))),
      mish_slope(x))
UNARY(HardSigmoid, 22, 6, MC_Q_UNARY, ATTR("alpha", 0.2f), ATTR("beta", 0.5f), fmax(0.0, fmin(1.0, p->a *x + p->b)),
      p->a *x + p->b > 0.0 && p->a *x + p->b < 1.0 ? p->a : 0.0)
UNARY(HardSwish, 22, 14, MC_Q_UNARY, 0, 0, x *fmax(0.0, fmin(1.0, x / 6.0 + 0.5)),
      x <= -3.0 ? 0.0 : x >= 3.0 ? 1.0 : x / 3.0 + 0.5)
UNARY(Swish, 24, 24, MC_Q_UNARY, ATTR("alpha", 1.0f), 0, x / (1.0 + exp(-p->a *x)),
      sigmoid(p->a *x) * (1.0 + p->a *x *sigmoid(-p->a *x)))
UNARY(Acos, 22, 7, MC_Q_NONE, 0, 0, acos(x),
      -1.0 / sqrt(1.0 - x * x))
UNARY(Acosh, 22, 9, MC_Q_NONE, 0, 0, acosh(x),
      1.0 / sqrt(x * x - 1.0))
UNARY(Asin, 22, 7, MC_Q_NONE, 0, 0, asin(x),
      1.0 / sqrt(1.0 - x * x))
UNARY(Asinh, 22, 9, MC_Q_NONE, 0, 0, asinh(x),
      1.0 / sqrt(x * x + 1.0))
UNARY(Atan, 22, 7, MC_Q_NONE, 0, 0, atan(x),
      1.0 / (1.0 + x * x))
UNARY(Atanh, 22, 9, MC_Q_NONE, 0, 0, atanh(x),
      1.0 / (1.0 - x * x))
UNARY(Cosh, 22, 9, MC_Q_NONE, 0, 0, cosh(x),
      sinh(x))
UNARY(Sinh, 22, 9, MC_Q_NONE, 0, 0, sinh(x),
      cosh(x))
UNARY(Tan, 22, 7, MC_Q_NONE, 0, 0, tan(x),
      1.0 + tan(x) * tan(x))
UNARY(Celu, 12, 12, MC_Q_UNARY, ATTR("alpha", 1.0f), 0, x < 0.0 ? p->a *expm1(x / p->a) : x,
      x < 0.0 ? exp(x / p->a) : 1.0)
UNARY(Softsign, 22, 1, MC_Q_UNARY, 0, 0, x / (1.0 + fabs(x)),
      1.0 / ((1.0 + fabs(x)) * (1.0 + fabs(x))))
UNARY(Shrink, 9, 9, MC_Q_UNARY, ATTR("lambd", 0.5f), ATTR("bias", 0.0f), x < -p->a ? x + p->b : x > p->a ? x - p->b : 0.0,
      fabs(x) > p->a ? 1.0 : 0.0)
UNARY(ThresholdedRelu, 22, 10, MC_Q_UNARY, ATTR("alpha", 1.0f), 0, x > p->a ? x : 0.0,
      x > p->a ? 1.0 : 0.0)

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

static double slope_gelu_erf(double x, const params *p)
{
    (void)p;
    return 0.5 * (1.0 + erf(x * 0.70710678118654752440)) + x * 0.39894228040143267794 * exp(-0.5 * x * x);
}

static double slope_gelu_tanh(double x, const params *p)
{
    const double t = tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x));
    (void)p;
    return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * 0.79788456080286535588 * (1.0 + 3.0 * 0.044715 * x * x);
}

static int32_t backward_Gelu(const mc_op_run *r)
{
    return run_grad(r, mc_attr_s(r->node, "approximate", "none")[0] == 't' ? slope_gelu_tanh : slope_gelu_erf, 0, 0);
}

static int32_t forward_gelu(const mc_op_run *r)
{
    const char *s = mc_attr_s(r->node, "approximate", "none");
    if (strcmp(s, "none") != 0 && strcmp(s, "tanh") != 0) return mc_op_fail(r, MCOMP_FORMAT, "unknown approximation");
    return run(r, s[0] == 't' ? gelu_tanh : gelu_erf, 0, 0);
}

const mc_op mc_op_Gelu = {.name = "Gelu", .domain = "", .version = 20, .since = 20, .min_in = 1, .max_in = 1, .min_out = 1,
                          .max_out = 1, .traits = MC_OP_ELEMENTWISE, .quant = MC_Q_UNARY, .infer = infer,
                          .forward = forward_gelu, .gradient = gradient};

static const struct backward {
    const char *name;
    int32_t (*run)(const mc_op_run *r);
} backwards[] = {
    {"Relu", backward_Relu}, {"Sqrt", backward_Sqrt}, {"Exp", backward_Exp}, {"Log", backward_Log},
    {"Erf", backward_Erf}, {"Tanh", backward_Tanh}, {"Sigmoid", backward_Sigmoid},
    {"Reciprocal", backward_Reciprocal}, {"Sin", backward_Sin}, {"Cos", backward_Cos},
    {"LeakyRelu", backward_LeakyRelu}, {"Elu", backward_Elu}, {"Selu", backward_Selu},
    {"Softplus", backward_Softplus}, {"Mish", backward_Mish}, {"HardSigmoid", backward_HardSigmoid},
    {"HardSwish", backward_HardSwish}, {"Swish", backward_Swish}, {"Acos", backward_Acos}, {"Acosh", backward_Acosh},
    {"Asin", backward_Asin}, {"Asinh", backward_Asinh}, {"Atan", backward_Atan}, {"Atanh", backward_Atanh},
    {"Cosh", backward_Cosh}, {"Sinh", backward_Sinh}, {"Tan", backward_Tan}, {"Celu", backward_Celu},
    {"Softsign", backward_Softsign}, {"Shrink", backward_Shrink}, {"ThresholdedRelu", backward_ThresholdedRelu},
    {"Gelu", backward_Gelu}
};

static int32_t infer_grad(mc_infer *c)
{
    int32_t st = MCOMP_OK;
    MC_TRY(mc_infer_check(c, 0, MC_CLASS_FLOAT));
    MC_TRY(mc_infer_one_dtype(c, 0, 1, &c->out[0].dtype));
    for (int32_t i = 0; i < c->in[0]->rank && c->in[0]->rank == c->in[1]->rank; i++) {
        const int64_t a = c->in[0]->dim[i], b = c->in[1]->dim[i];
        if (a >= 0 && b >= 0 && a != b) return mc_infer_fail(c, MCOMP_SHAPE, "axis %d: %lld and %lld", i, (long long)a, (long long)b);
    }
    MC_TRY(mc_infer_same(c, 0, 0));
done:
    return st;
}

static int32_t forward_grad(const mc_op_run *r)
{
    const char *of = mc_attr_s(r->node, "of", "");
    if (!mc_shape_equal(&r->in[0]->shape, &r->in[1]->shape) || !mc_shape_equal(&r->in[0]->shape, &r->out[0]->shape))
        return mc_op_fail(r, MCOMP_SHAPE, "x and dy differ in shape");
    for (size_t i = 0; i < sizeof backwards / sizeof *backwards; i++)
        if (strcmp(of, backwards[i].name) == 0) return backwards[i].run(r);
    return mc_op_fail(r, MCOMP_FORMAT, "unknown function \"%s\"", of);
}

const mc_op mc_op_mcomp_UnaryGrad = {.name = "UnaryGrad", .domain = "mcomp", .version = 1, .since = 1, .min_in = 2, .max_in = 2,
                                     .min_out = 1, .max_out = 1, .traits = MC_OP_ELEMENTWISE, .quant = MC_Q_NONE,
                                     .infer = infer_grad, .forward = forward_grad};
