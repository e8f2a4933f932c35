/* Optimizer steps: nodes without outputs that write variables in place (they run after everything that reads a variable, graph/sort.c).
 *
 * mcomp.Sgd   P, G, lr, B?, scale?, mask?, apply?           attributes momentum, weight_decay, nesterov
 * mcomp.Adam  P, G, M, V, lr, step, scale?, mask?, apply?   attributes beta1, beta2, epsilon, weight_decay, decoupled
 * mcomp.Lamb  as Adam (You et al., 2020): the step is scaled by norm(P) / norm(update)
 *
 * P: the parameter; G: its gradient; B, M, V: moments of P's shape, zero at the start; lr: the learning rate of this step; step: int64, 1
 * at the first update; scale: factor of the gradient (clipping, mean over accumulated batches); mask: 1 keeps an element, 0 holds it and
 * its moments at zero; apply: int64, 0 makes the node do nothing. Scalars have rank 0. The formulas stand at mc_adam_f32 and mc_sgd_f32
 * in kernels/f32.h; lr_scale (attribute) multiplies lr for this parameter. */
#include "ops/internal.h"
#include "ops/nn.h"
#include "ops/train.h"

#include <math.h>

enum { P, G, M, V, LR, STEP, SCALE, MASK, APPLY }; /* inputs of Adam and Lamb */

/* Input i is a scalar; integer or float. */
static int32_t need_scalar(const mc_infer *c, int32_t i, uint32_t class_)
{
    if (!mc_has(c, i)) return MCOMP_OK;
    if (c->in[i]->rank > 0) return mc_infer_fail(c, MCOMP_SHAPE, "input %d has rank %d; a scalar is wanted", i, c->in[i]->rank);
    return mc_infer_check(c, i, class_);
}

static int32_t need_like_parameter(const mc_infer *c, int32_t i)
{
    if (!mc_has(c, i)) return MCOMP_OK;
    const mc_type *p = c->in[0], *t = c->in[i];
    if (p->dtype != t->dtype && p->dtype && t->dtype) return mc_infer_fail(c, MCOMP_DTYPE, "input %d is not of the parameter's type", i);
    int differs = p->rank >= 0 && t->rank >= 0 && p->rank != t->rank;
    for (int32_t k = 0; !differs && k < p->rank && k < t->rank; k++) differs = p->dim[k] >= 0 && t->dim[k] >= 0 && p->dim[k] != t->dim[k];
    return differs ? mc_infer_fail(c, MCOMP_SHAPE, "input %d has not the parameter's shape", i) : MCOMP_OK;
}

static int32_t infer(mc_infer *c)
{
    int32_t st = MCOMP_OK;
    const int adam = strcmp(c->node->op, "Sgd") != 0;
    MC_TRY(mc_infer_check(c, 0, MC_CLASS_FLOAT));
    for (int32_t i = 1; i < 4; i++)
        if (adam || i != 2) MC_TRY(need_like_parameter(c, i));
    MC_TRY(need_scalar(c, adam ? LR : 2, MC_CLASS_FLOAT));
    if (adam) MC_TRY(need_scalar(c, STEP, MC_CLASS_INT));
    MC_TRY(need_scalar(c, adam ? SCALE : 4, MC_CLASS_FLOAT));
    MC_TRY(need_like_parameter(c, adam ? MASK : 5));
    MC_TRY(need_scalar(c, adam ? APPLY : 6, MC_CLASS_INT));
done:
    return st;
}

static double scalar(const mc_op_run *r, int32_t i, double otherwise)
{
    const mc_tensor *t = mc_in(r, i);
    return t ? mc_tensor_get_f64(t, 0) : otherwise;
}

static int skipped(const mc_op_run *r, int32_t i)
{
    const mc_tensor *t = mc_in(r, i);
    return t && mc_tensor_get_i64(t, 0) == 0;
}

void mc_adam_read(const mc_node *n, double lr, int64_t step, double scale, mc_adam_step *a)
{
    const double wd = (double)mc_attr_f(n, "weight_decay", 0.0f), b1 = (double)mc_attr_f(n, "beta1", 0.9f), b2 = (double)mc_attr_f(n, "beta2", 0.999f);
    const int decoupled = mc_attr_i(n, "decoupled", 1) != 0, lamb = strcmp(n->op, "Lamb") == 0;
    const double rate = lr * (double)mc_attr_f(n, "lr_scale", 1.0f), t = (double)(step < 1 ? 1 : step);
    *a = (mc_adam_step){.scale = scale, .beta1 = b1, .beta2 = b2, .eps = (double)mc_attr_f(n, "epsilon", 1e-8f), .lr = rate, .lamb = lamb};
    a->l2 = lamb || !decoupled ? wd : 0.0;
    a->decay = lamb || !decoupled ? 1.0 : 1.0 - rate * wd;
    a->step = (lamb ? 1.0 : rate) / (1.0 - pow(b1, t));
    a->root = 1.0 / sqrt(1.0 - pow(b2, t));
}

/* About 20 operations an element of the parameter. */
static int32_t cost(const mc_node *n, const mc_type *const *in, const mc_type *const *out, mc_op_cost *c)
{
    (void)n;
    (void)out;
    c->flops = 20.0 * mc_nn_extent_f(in[0], 0, in[0]->rank);
    return MCOMP_OK;
}

double mc_lamb_trust(double parameter_squares, double update_squares)
{
    return parameter_squares > 0.0 && update_squares > 0.0 ? sqrt(parameter_squares) / sqrt(update_squares) : 1.0;
}

#define ADAM_BODY                                                                                                                          \
    T *p = r->in[P]->data, *m = r->in[M]->data, *v = r->in[V]->data, *u = NULL;                                                                \
    const T *g = r->in[G]->data, *mask = mc_in(r, MASK) ? r->in[MASK]->data : NULL;                                                          \
    const T scale = (T)a.scale, l2 = (T)a.l2, decay = (T)a.decay, b1 = (T)a.beta1, b2 = (T)a.beta2, step = (T)a.step, root = (T)a.root;     \
    double pp = 0.0, uu = 0.0;                                                                                                             \
    if (a.lamb && !(u = mc_malloc((size_t)(n ? n : 1) * sizeof *u))) return MCOMP_NO_MEMORY;                                               \
    for (int64_t i = 0; i < n; i++) {                                                                                                      \
        T gi = g[i] * scale;                                                                                                               \
        if (!u) gi = gi + l2 * p[i];                                                                                                       \
        if (mask) gi = gi * mask[i];                                                                                                       \
        m[i] = m[i] * b1 + gi * ((T)1 - b1);                                                                                               \
        v[i] = v[i] * b2 + (gi * gi) * ((T)1 - b2);                                                                                        \
        const T d = step * m[i] / ((T)sqrt((double)v[i]) * root + (T)a.eps);                                                               \
        if (!u) {                                                                                                                          \
            p[i] = (p[i] * decay - d) * (mask ? mask[i] : (T)1);                                                                           \
            continue;                                                                                                                      \
        }                                                                                                                                  \
        u[i] = d + l2 * p[i];                                                                                                              \
        pp += (double)p[i] * (double)p[i];                                                                                                 \
        uu += (double)u[i] * (double)u[i];                                                                                                 \
    }                                                                                                                                      \
    const T rate = (T)(a.lr * mc_lamb_trust(pp, uu));                                                                                      \
    for (int64_t i = 0; u && i < n; i++) p[i] = (p[i] - rate * u[i]) * (mask ? mask[i] : (T)1);                                            \
    mc_free(u);

/* Variables are written through the input's memory: that is what makes it a variable. */
static int32_t forward_adam(const mc_op_run *r)
{
    mc_adam_step a;
    const int64_t n = mc_tensor_elements(r->in[P]);
    if (skipped(r, APPLY)) return MCOMP_OK;
    mc_adam_read(r->node, scalar(r, LR, 0.0), mc_tensor_get_i64(r->in[STEP], 0), scalar(r, SCALE, 1.0), &a);
    MC_DISPATCH_FLOAT(r->in[P]->dtype, T, ADAM_BODY, { return mc_op_fail(r, MCOMP_UNSUPPORTED, "parameters are float or double"); })
    return MCOMP_OK;
}

static int32_t forward_sgd(const mc_op_run *r)
{
    const mc_node *node = r->node;
    const int64_t n = mc_tensor_elements(r->in[0]);
    const int nesterov = mc_attr_i(node, "nesterov", 0) != 0;
    const double lr = scalar(r, 2, 0.0) * (double)mc_attr_f(node, "lr_scale", 1.0f), scale = scalar(r, 4, 1.0);
    if (skipped(r, 6)) return MCOMP_OK;
    MC_DISPATCH_FLOAT(
        r->in[0]->dtype, T,
        {
            T *p = r->in[0]->data;
            T *b = mc_in(r, 3) ? r->in[3]->data : NULL;
            const T *g = r->in[1]->data;
            const T *mask = mc_in(r, 5) ? r->in[5]->data : NULL;
            const T mu = (T)mc_attr_f(node, "momentum", 0.0f);
            const T l2 = (T)mc_attr_f(node, "weight_decay", 0.0f);
            for (int64_t i = 0; i < n; i++) {
                const T keep = mask ? mask[i] : (T)1;
                const T gi = (g[i] * (T)scale + l2 * p[i]) * keep;
                T d = gi;
                if (b) {
                    b[i] = b[i] * mu + gi;
                    d = nesterov ? b[i] * mu + gi : b[i];
                }
                p[i] = (p[i] - (T)lr * d) * keep;
            }
        },
        { return mc_op_fail(r, MCOMP_UNSUPPORTED, "parameters are float or double"); })
    return MCOMP_OK;
}

#define STEP_OP(name_, in_, min_, forward_)                                                                                                \
    const mc_op mc_op_mcomp_##name_ = {.name = #name_, .domain = "mcomp", .version = 1, .since = 1, .min_in = min_, .max_in = in_,          \
                                       .min_out = 0, .max_out = 0, .traits = MC_OP_NO_FOLD, .quant = MC_Q_NONE, .infer = infer,            \
                                       .forward = forward_, .cost = cost};
STEP_OP(Sgd, 7, 3, forward_sgd)
STEP_OP(Adam, 9, 6, forward_adam)
STEP_OP(Lamb, 9, 6, forward_adam)
