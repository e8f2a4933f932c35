/* Spelled-out activations become one node:
 *   Gelu        0.5 x (1 + erf(x / sqrt 2))                                in any order of the factors
 *   Gelu tanh   0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))            also x (1 + 0.044715 x^2) inside
 *   Swish       x sigmoid(x)
 *   HardSwish   x hardsigmoid(x; 1/6, 1/2) and x clip(x + 3, 0, 6) / 6
 * The search starts at the inner function, which names x, and goes down to the product that closes the formula. */
#include "passes/internal.h"

#include <math.h>

static int near(double a, double b) { return fabs(a - b) <= 1e-4 * fabs(b); }

/* The only non-constant operand of a scalar product; coef = the constant. */
static mc_value *scaled(mc_value *v, double *coef)
{
    const mc_node *n = v->producer;
    double c;
    if (mc_node_is(n, "Mul")) {
        const int32_t i = mc_match_scalar_operand(n, coef);
        return i < 0 ? NULL : n->in[1 - i];
    }
    if (mc_node_is(n, "Div") && mc_value_scalar(n->in[1], &c) && c != 0.0) {
        *coef = 1.0 / c;
        return n->in[0];
    }
    return NULL;
}

/* v = sqrt(2/pi) (x + 0.044715 x^3): x or NULL. */
static mc_value *tanh_argument(mc_value *v)
{
    const double c = 0.7978845608, k = 0.044715;
    double got;
    const mc_node *add;
    mc_value *sum = scaled(v, &got);
    if (sum && near(got, c) && (add = mc_made_by(sum, "Add")) != NULL)
        for (int32_t i = 0; i < 2; i++)
            if (add->in[i] && mc_is_monomial(add->in[1 - i], k, add->in[i], 3)) return add->in[i];
    mc_product p = {.coef = 1.0}; /* sqrt(2/pi) * x * (1 + 0.044715 x^2) */
    mc_product_of(v, 4, &p);
    if (p.n != 2 || !near(p.coef, c)) return NULL;
    for (int32_t i = 0; i < 2; i++) {
        mc_value *square = mc_sum_with_scalar(p.factor[i], &got);
        if (square && near(got, 1.0) && mc_is_monomial(square, k, p.factor[1 - i], 2)) return p.factor[1 - i];
    }
    return NULL;
}

typedef struct activation {
    const char *op, *approximate;
    mc_value *x, *inner; /* final = coef * x * inner */
    double coef;
} activation;

/* 1 + f(.) for the only reader of f. */
static mc_value *one_plus(const mc_node *f)
{
    double c;
    const mc_node *add = mc_value_only_user(f->out[0]);
    if (!mc_node_is(add, "Add") || mc_sum_with_scalar(add->out[0], &c) != f->out[0] || !near(c, 1.0)) return NULL;
    return add->out[0];
}

static int clip_is(const mc_node *n, double lo, double hi)
{
    double a, b;
    return n->n_in == 3 && n->in[1] && n->in[2] && mc_value_scalar(n->in[1], &a) && mc_value_scalar(n->in[2], &b) && a == lo && b == hi;
}

static int recognize(const mc_node *n, activation *a)
{
    double c;
    memset(a, 0, sizeof *a);
    a->coef = 1.0;
    if (n->n_in < 1 || n->n_out != 1 || !n->in[0] || !n->out[0] || !mc_is_f32(n->in[0])) return 0;
    a->inner = n->out[0];
    if (mc_node_is(n, "Erf")) {
        a->op = "Gelu";
        a->approximate = "none";
        a->coef = 0.5;
        a->x = scaled(n->in[0], &c);
        if (!a->x || !near(c, 0.70710678118)) return 0;
        a->inner = one_plus(n);
    } else if (mc_node_is(n, "Tanh")) {
        a->op = "Gelu";
        a->approximate = "tanh";
        a->coef = 0.5;
        a->x = tanh_argument(n->in[0]);
        a->inner = one_plus(n);
    } else if (mc_node_is(n, "Sigmoid")) {
        a->op = "Swish";
        a->x = n->in[0];
    } else if (mc_node_is(n, "HardSigmoid") && near((double)mc_attr_f(n, "alpha", 0.2f), 1.0 / 6.0) &&
               mc_attr_f(n, "beta", 0.5f) == 0.5f) {
        a->op = "HardSwish";
        a->x = n->in[0];
    } else if (mc_node_is(n, "Clip") && clip_is(n, 0.0, 6.0)) {
        a->op = "HardSwish";
        a->coef = 1.0 / 6.0;
        a->x = mc_sum_with_scalar(n->in[0], &c);
        if (a->x && c != 3.0) return 0;
    }
    return a->op && a->x && a->inner && mc_op_find("", a->op) != NULL;
}

/* From the inner function down to the product that is the whole activation. */
static mc_node *closing_product(const activation *a)
{
    mc_value *v = a->inner;
    for (int32_t i = 0; i < 4; i++) {
        mc_node *u = mc_value_only_user(v);
        mc_product p = {.coef = 1.0, .whole = a->x};
        if (!mc_node_is(u, "Mul") && !mc_node_is(u, "Div")) return NULL;
        v = u->out[0];
        mc_product_of(v, 5, &p);
        if (p.n == 2 && near(p.coef, a->coef) && ((p.factor[0] == a->x && p.factor[1] == a->inner) || (p.factor[1] == a->x && p.factor[0] == a->inner)))
            return u;
    }
    return NULL;
}

static int32_t replace(mc_graph *g, const activation *a, mc_node *last)
{
    int32_t st = MCOMP_OK;
    mc_value *x = a->x;
    mc_node *n;
    MC_TRY(mc_rewrite_begin(g, "", a->op, "activation", last, 1, &x, &n));
    if (a->approximate) MC_TRY(mc_node_set_s(n, "approximate", a->approximate));
    MC_TRY(mc_inherit_cone(n, last->out[0], &x, 1));
    st = mc_rewrite_end(g, n, last, last->out[0]);
done:
    return st;
}

int32_t mc_pass_activation(mc_graph *g, const mc_pass_options *o)
{
    int32_t st = MCOMP_OK;
    activation a;
    (void)o;
    for (int64_t i = 0; i < g->n_order; i++) {
        if (g->order[i]->dead || !recognize(g->order[i], &a)) continue;
        mc_node *last = closing_product(&a);
        if (!last || !mc_types_equal(&a.x->type, &last->out[0]->type)) continue;
        if (mc_match_cone_closed(last->out[0], &a.x, 1)) MC_TRY(replace(g, &a, last));
    }
done:
    return st;
}
