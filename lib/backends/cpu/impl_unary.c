/* Elementwise operators of one float tensor, and mcomp.UnaryGrad. Vector kernels where the table has a code, libm calls for the
 * rare rest, whose gradients are left to the reference. */
#include "backends/cpu/work.h"

#include <math.h>

typedef struct unary_op {
    const char *op;
    int32_t code;         /* of the kernel; -1: fn */
    float (*fn)(float x); /* libm */
    const char *p, *q;    /* attributes behind the parameters */
    float p0, q0;         /* their defaults */
    float ns;
} unary_op;

static float softplus(float x) { return x > 20.0f ? x : log1pf(expf(x)); }
static float sign(float x) { return x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x; }
static float mish(float x) { return x * tanhf(softplus(x)); }
static float selu(float x) { return x > 0.0f ? 1.05070102f * x : 1.05070102f * 1.67326319f * expm1f(x); }

#define KERNEL(op, code, ns) {op, code, NULL, NULL, NULL, 0.0f, 0.0f, ns}
#define LIBM(op, fn) {op, -1, fn, NULL, NULL, 0.0f, 0.0f, 8.0f}
static const unary_op table[] = {
    KERNEL("Relu", MCOMP_ACT_RELU, 0.1f), KERNEL("Sigmoid", MCOMP_ACT_SIGMOID, 0.6f), KERNEL("Tanh", MCOMP_ACT_TANH, 0.6f),
    KERNEL("HardSwish", MCOMP_ACT_HARDSWISH, 0.1f), KERNEL("Swish", MCOMP_ACT_SILU, 0.6f),
    {"HardSigmoid", MC_UNARY_HARDSIGMOID, NULL, "alpha", "beta", 0.2f, 0.5f, 0.1f},
    {"LeakyRelu", MC_UNARY_LEAKY_RELU, NULL, "alpha", NULL, 0.01f, 0.0f, 0.1f},
    {"Elu", MC_UNARY_ELU, NULL, "alpha", NULL, 1.0f, 0.0f, 0.6f}, KERNEL("Erf", MC_UNARY_ERF, 0.6f),
    KERNEL("Exp", MC_UNARY_EXP, 0.4f), KERNEL("Log", MC_UNARY_LOG, 4.0f), KERNEL("Sqrt", MC_UNARY_SQRT, 0.3f),
    KERNEL("Neg", MC_UNARY_NEG, 0.1f), KERNEL("Abs", MC_UNARY_ABS, 0.1f), KERNEL("Reciprocal", MC_UNARY_RECIPROCAL, 0.3f),
    KERNEL("Floor", MC_UNARY_FLOOR, 0.1f), KERNEL("Ceil", MC_UNARY_CEIL, 0.1f), KERNEL("Round", MC_UNARY_ROUND, 0.1f),
    LIBM("Sin", sinf), LIBM("Cos", cosf), LIBM("Tan", tanf), LIBM("Asin", asinf), LIBM("Acos", acosf), LIBM("Atan", atanf),
    LIBM("Sinh", sinhf), LIBM("Cosh", coshf), LIBM("Asinh", asinhf), LIBM("Acosh", acoshf), LIBM("Atanh", atanhf),
    LIBM("Softplus", softplus), LIBM("Sign", sign), LIBM("Mish", mish),
    {"Selu", -1, selu, "alpha", "gamma", 1.67326319f, 1.05070102f, 8.0f},
};

typedef struct unary {
    const unary_op *op;
    int32_t code;
    float p, q;
} unary;

/* The function of this name with the node's attributes; 0 if it is not known. */
static int read_function(const mc_node *n, const char *name, unary *u)
{
    static const unary_op gelu = KERNEL("Gelu", MCOMP_ACT_GELU, 0.7f);
    *u = (unary){0};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i].op, name) == 0) u->op = &table[i];
    if (u->op) {
        u->code = u->op->code;
        u->p = u->op->p ? mc_attr_f(n, u->op->p, u->op->p0) : 0.0f;
        u->q = u->op->q ? mc_attr_f(n, u->op->q, u->op->q0) : 0.0f;
        if (u->op->fn == selu) return fabsf(u->p - u->op->p0) < 1e-6f && fabsf(u->q - u->op->q0) < 1e-6f;
        if (strcmp(name, "Swish") == 0) return mc_attr_f(n, "alpha", 1.0f) == 1.0f;
        return 1;
    }
    if (strcmp(name, "Gelu") != 0) return 0;
    u->op = &gelu;
    u->code = strcmp(mc_attr_s(n, "approximate", "none"), "tanh") == 0 ? MCOMP_ACT_GELU_TANH : MCOMP_ACT_GELU;
    return 1;
}

/* What the node computes; 0 if it is none of these. Clip and Pow have a form of their own. */
static int read_op(const mc_node *n, unary *u)
{
    static const unary_op clip = KERNEL("Clip", MCOMP_ACT_CLIP, 0.1f), power = KERNEL("Pow", MC_UNARY_SQUARE, 0.2f);
    if (strcmp(n->domain, "") != 0 || n->n_in < 1 || !mc_cpu_is(mc_cpu_in_type(n, 0), MCOMP_F32)) return 0;
    if (read_function(n, n->op, u)) return 1;
    if (u->op) return 0;
    if (strcmp(n->op, "Clip") == 0) { /* bounds are read at run time */
        u->op = &clip;
        u->code = MCOMP_ACT_CLIP;
        return 1;
    }
    if (strcmp(n->op, "Pow") == 0 && n->n_in == 2 && n->in[1]) {
        double e = 0.0;
        const mc_type *x = mc_cpu_in_type(n, 0), *t = mc_cpu_in_type(n, 1);
        if (!mc_value_scalar(n->in[1], &e) || t->rank > (x->rank < 0 ? 0 : x->rank)) return 0;
        u->op = &power;
        u->code = e == 2.0 ? MC_UNARY_SQUARE : e == 0.5 ? MC_UNARY_SQRT : e == -0.5 ? MC_UNARY_RSQRT : e == -1.0 ? MC_UNARY_RECIPROCAL
                  : e == 1.0 ? MCOMP_ACT_NONE : -1;
        return u->code >= 0;
    }
    return 0;
}

static int32_t claim(const mc_node *n, mcomp_claim *out)
{
    unary u;
    char name[40];
    if (!read_op(n, &u)) return 0;
    out->inplace_input = 1;
    for (size_t i = 0; i < sizeof name; i++) { /* the operator's name in small letters */
        name[i] = n->op[i] >= 'A' && n->op[i] <= 'Z' ? (char)(n->op[i] + ('a' - 'A')) : n->op[i];
        if (!n->op[i] || i + 1 == sizeof name) {
            name[i] = 0;
            break;
        }
    }
    return mc_cpu_claim_f32(out, name, mc_cpu_guess(mc_cpu_in_type(n, 0)), (double)u.op->ns);
}

static int32_t prepare(mc_cpu_step *s)
{
    unary *u = mc_calloc(1, sizeof *u);
    if (!u) return MCOMP_NO_MEMORY;
    s->state = u;
    return read_op(s->node, u) ? MCOMP_OK : mc_fail(MCOMP_INTERNAL, s->node->name, "not an elementwise operator");
}

typedef struct unary_work {
    const mc_cpu_step *s;
    unary u;
    const float *x;
    float *y;
} unary_work;

static void unary_range(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const unary_work *w = ctx;
    (void)worker;
    if (w->u.code >= 0) {
        w->s->kernels->f32.unary(w->u.code, w->x + begin, w->y + begin, end - begin, w->u.p, w->u.q);
        return;
    }
    for (int64_t i = begin; i < end; i++) w->y[i] = w->u.op->fn(w->x[i]);
}

static int32_t run(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const mcomp_bk_buffer *x = mc_cpu_in(s, a, 0), *y = mc_cpu_out(s, a, 0);
    unary_work w = {s, *(const unary *)s->state, x->data, y->data};
    if (w.u.code == MCOMP_ACT_CLIP) {
        const mcomp_bk_buffer *lo = mc_cpu_in(s, a, 1), *hi = mc_cpu_in(s, a, 2);
        w.u.p = lo ? *(const float *)lo->data : -INFINITY;
        w.u.q = hi ? *(const float *)hi->data : INFINITY;
    }
    mc_cpu_split(s, a, mc_cpu_elements(x), w.u.op->ns > 0.3f ? 4 : 1, unary_range, &w);
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_unary = {.claim = claim, .prepare = prepare, .run = run};

/* ---- mcomp.UnaryGrad: X, dY -> dX ---- */

/* Functions whose derivative has a kernel. */
static int read_grad(const mc_node *n, unary *u)
{
    static const int32_t codes[] = {MCOMP_ACT_RELU, MCOMP_ACT_GELU, MCOMP_ACT_GELU_TANH, MCOMP_ACT_SIGMOID, MCOMP_ACT_TANH, MCOMP_ACT_SILU,
                                    MCOMP_ACT_HARDSWISH, MC_UNARY_HARDSIGMOID, MC_UNARY_LEAKY_RELU, MC_UNARY_ELU, MC_UNARY_ERF,
                                    MC_UNARY_SQRT, MC_UNARY_RECIPROCAL, MC_UNARY_LOG};
    if (!read_function(n, mc_attr_s(n, "of", ""), u)) return 0;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i] == u->code) return 1;
    return 0;
}

static int32_t claim_grad(const mc_node *n, mcomp_claim *out)
{
    unary u;
    if (!mc_cpu_is(mc_cpu_in_type(n, 0), MCOMP_F32) || !mc_cpu_is(mc_cpu_in_type(n, 1), MCOMP_F32) || !read_grad(n, &u)) return 0;
    out->inplace_input = 2;
    return mc_cpu_claim_f32(out, "unary_grad", mc_cpu_guess(mc_cpu_in_type(n, 0)), (double)u.op->ns * 1.5);
}

static int32_t prepare_grad(mc_cpu_step *s)
{
    unary *u = mc_calloc(1, sizeof *u);
    if (!u) return MCOMP_NO_MEMORY;
    s->state = u;
    return read_grad(s->node, u) ? MCOMP_OK : mc_fail(MCOMP_INTERNAL, s->node->name, "not a function with a derivative");
}

typedef struct grad_work {
    const mc_cpu_step *s;
    const float *x, *dy;
    float *dx;
} grad_work;

static void grad_range(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const grad_work *w = ctx;
    const unary *u = w->s->state;
    (void)worker;
    w->s->kernels->f32.unary_grad(u->code, w->x + begin, w->dy + begin, w->dx + begin, end - begin, u->p, u->q);
}

static int32_t run_grad(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const mcomp_bk_buffer *x = mc_cpu_in(s, a, 0), *dy = mc_cpu_in(s, a, 1);
    grad_work w = {s, x->data, dy->data, mc_cpu_out(s, a, 0)->data};
    const unary *u = s->state;
    if (mc_cpu_elements(dy) != mc_cpu_elements(x)) return mc_fail(MCOMP_SHAPE, s->node->name, "x and dy differ");
    mc_cpu_split(s, a, mc_cpu_elements(x), u->op->ns > 0.3f ? 4 : 1, grad_range, &w);
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_unary_grad = {.domain = "mcomp", .op = "UnaryGrad", .claim = claim_grad, .prepare = prepare_grad, .run = run_grad};
