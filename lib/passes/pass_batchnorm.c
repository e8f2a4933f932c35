/* Folds y = a[c] * x + b[c] (BatchNormalization at inference, or Mul/Div/Add/Sub with one constant a channel) into the weights and
 * bias of the Conv, ConvTranspose or Gemm in front of it:  a*(W x + B) + b = (a W) x + (a B + b).
 * A BatchNormalization with nothing in front becomes Mul and Add. Arithmetic in double, rounded once. */
#include "passes/internal.h"

#include <math.h>

typedef struct affine {
    int64_t n;
    double *a, *b; /* one block, mc_free(a) */
    int32_t scales; /* a is not 1 */
} affine;

static int32_t affine_alloc(affine *f, int64_t n)
{
    f->n = n;
    f->a = mc_calloc(2 * (size_t)n + 1, sizeof *f->a);
    if (!f->a) return MCOMP_NO_MEMORY;
    f->b = f->a + n;
    for (int64_t i = 0; i < n; i++) f->a[i] = 1.0;
    return MCOMP_OK;
}

static double element(const mc_tensor *t, int64_t i) { return mc_tensor_get_f64(t, mc_tensor_elements(t) == 1 ? 0 : i); }

static int32_t read_batchnorm(const mc_node *n, affine *f)
{
    const mc_tensor *p[4];
    const double eps = (double)mc_attr_f(n, "epsilon", 1e-5f);
    if (n->n_in != 5 || mc_attr_i(n, "training_mode", 0)) return MCOMP_OK;
    for (int32_t i = 1; i < n->n_out; i++)
        if (n->out[i]) return MCOMP_OK;
    for (int32_t i = 0; i < 4; i++) {
        p[i] = mc_value_const(n->in[i + 1]);
        if (!p[i] || p[i]->shape.rank != 1 || p[i]->shape.dim[0] != p[0]->shape.dim[0]) return MCOMP_OK;
    }
    const int32_t st = affine_alloc(f, p[0]->shape.dim[0]);
    for (int64_t c = 0; st == MCOMP_OK && c < f->n; c++) {
        f->a[c] = mc_tensor_get_f64(p[0], c) / sqrt(mc_tensor_get_f64(p[3], c) + eps);
        f->b[c] = mc_tensor_get_f64(p[1], c) - mc_tensor_get_f64(p[2], c) * f->a[c];
    }
    f->scales = 1;
    return st;
}

/* Mul, Div, Add, Sub with a constant along axis 1 (or one number). *x = the other operand. */
static int32_t read_binary(const mc_node *n, affine *f, int32_t *x)
{
    const int mul = mc_node_is(n, "Mul"), div = mc_node_is(n, "Div"), add = mc_node_is(n, "Add"), sub = mc_node_is(n, "Sub");
    if ((!mul && !div && !add && !sub) || n->n_in != 2 || !n->in[0] || !n->in[1]) return MCOMP_OK;
    for (int32_t i = 1; i >= (mul || add ? 0 : 1); i--) {
        const mc_value *v = n->in[1 - i];
        const mc_tensor *t = mc_value_const(n->in[i]);
        const int64_t channels = mc_dim_at(v, 1);
        if (!t || v->init || t->dtype != MCOMP_F32 || channels <= 0 || !mc_types_equal(&v->type, &n->out[0]->type)) continue;
        if (mc_tensor_elements(t) != 1 && !mc_const_along(n->in[i], v->type.rank, 1, channels)) continue;
        const int32_t st = affine_alloc(f, channels);
        for (int64_t c = 0; st == MCOMP_OK && c < channels; c++) {
            const double e = element(t, c);
            if (mul) f->a[c] = e;
            else if (div) f->a[c] = 1.0 / e;
            else f->b[c] = add ? e : -e;
        }
        f->scales = mul || div;
        *x = 1 - i;
        return st;
    }
    return MCOMP_OK;
}

/* Output channel of element i of the weight of p. */
static int64_t channel_of(const mc_node *p, const mc_shape *s, int64_t i)
{
    int64_t inner = 1;
    for (int32_t k = 2; k < s->rank; k++) inner *= s->dim[k];
    const int64_t d0 = i / (inner * s->dim[1]), d1 = i / inner % s->dim[1];
    if (mc_node_is(p, "ConvTranspose")) return d0 / (s->dim[0] / mc_attr_i(p, "group", 1)) * s->dim[1] + d1;
    if (mc_node_is(p, "Gemm")) return mc_attr_i(p, "transB", 0) ? d0 : d1;
    return d0;
}

static int accepts(const mc_node *p, const affine *f)
{
    const mc_tensor *w = p->n_in > 1 ? mc_value_const(p->in[1]) : NULL;
    const mc_value *b = p->n_in > 2 ? p->in[2] : NULL;
    int64_t channels;
    if (!w || w->dtype != MCOMP_F32 || w->shape.rank < 2 || mc_tensor_elements(w) == 0) return 0;
    if (b && (!b->init || b->init->dtype != MCOMP_F32)) return 0;
    if (mc_node_is(p, "Conv")) {
        channels = w->shape.dim[0];
    } else if (mc_node_is(p, "ConvTranspose")) {
        const int64_t group = mc_attr_i(p, "group", 1);
        if (group < 1 || w->shape.dim[0] % group) return 0;
        channels = group * w->shape.dim[1];
    } else if (mc_node_is(p, "Gemm")) {
        channels = w->shape.dim[mc_attr_i(p, "transB", 0) ? 0 : 1];
        if (mc_attr_f(p, "beta", 1.0f) != 1.0f || w->shape.rank != 2) return 0;
    } else {
        return 0;
    }
    if (b && mc_tensor_elements(b->init) != channels && mc_tensor_elements(b->init) != 1) return 0;
    return channels == f->n;
}

static int32_t fold_into(mc_graph *g, mc_node *p, mc_node *n, const affine *f)
{
    int32_t st = MCOMP_OK;
    mc_tensor *t = NULL;
    mc_value *v;
    const mc_tensor *w = p->in[1]->init, *b = p->n_in > 2 && p->in[2] ? p->in[2]->init : NULL;
    const mc_shape bias_shape = {.rank = 1, .dim = {f->n}};
    if (f->scales) {
        MC_TRY(mc_tensor_create(&t, MCOMP_F32, &w->shape));
        const int64_t count = mc_tensor_elements(w);
        for (int64_t i = 0; i < count; i++)
            ((float *)t->data)[i] = (float)((double)((const float *)w->data)[i] * f->a[channel_of(p, &w->shape, i)]);
        MC_TRY(mc_graph_add_const(g, p->in[1]->name, t, &v));
        MC_TRY(mc_node_set_input(g, p, 1, v));
    }
    MC_TRY(mc_tensor_create(&t, MCOMP_F32, &bias_shape));
    for (int64_t c = 0; c < f->n; c++) ((float *)t->data)[c] = (float)((b ? element(b, c) * f->a[c] : 0.0) + f->b[c]);
    MC_TRY(mc_graph_add_const(g, b ? p->in[2]->name : NULL, t, &v));
    MC_TRY(mc_node_set_input(g, p, 2, v));
    st = mc_absorb(g, p, n, NULL);
done:
    return st;
}

static int32_t spell_out(mc_graph *g, mc_node *n, const affine *f)
{
    int32_t st = MCOMP_OK;
    const int32_t rank = n->in[0]->type.rank;
    mc_shape s = {.rank = rank - 1};
    mc_value *in[2] = {n->in[0], NULL};
    mc_node *mul, *add;
    mc_tensor *a, *b;
    if (rank < 2) return MCOMP_OK;
    for (int32_t i = 0; i < s.rank; i++) s.dim[i] = i == 0 ? f->n : 1;
    MC_TRY(mc_tensor_create(&a, MCOMP_F32, &s));
    for (int64_t c = 0; c < f->n; c++) ((float *)a->data)[c] = (float)f->a[c];
    MC_TRY(mc_graph_add_const(g, n->in[1]->name, a, &in[1]));
    MC_TRY(mc_rewrite(g, "", "Mul", "batchnorm", n, 2, in, NULL, &mul));
    MC_TRY(mc_tensor_create(&b, MCOMP_F32, &s));
    for (int64_t c = 0; c < f->n; c++) ((float *)b->data)[c] = (float)f->b[c];
    in[0] = mul->out[0];
    MC_TRY(mc_graph_add_const(g, n->in[2]->name, b, &in[1]));
    st = mc_rewrite(g, "", "Add", "batchnorm", n, 2, in, n->out[0], &add);
done:
    return st;
}

static int32_t visit(mc_graph *g, mc_node *n)
{
    int32_t st = MCOMP_OK, x = 0;
    affine f = {0};
    const int norm = mc_node_is(n, "BatchNormalization");
    if (norm) MC_TRY(read_batchnorm(n, &f));
    else MC_TRY(read_binary(n, &f, &x));
    if (!f.a || !mc_is_f32(n->in[x])) goto done;
    mc_node *p = n->in[x]->producer;
    if (p && mc_value_only_user(n->in[x]) == n && accepts(p, &f)) st = fold_into(g, p, n, &f);
    else if (norm) st = spell_out(g, n, &f);
done:
    mc_free(f.a);
    return st;
}

int32_t mc_pass_batchnorm(mc_graph *g, const mc_pass_options *o)
{
    int32_t st = MCOMP_OK;
    (void)o;
    for (int64_t i = 0; i < g->n_order; i++)
        if (!g->order[i]->dead) MC_TRY(visit(g, g->order[i]));
done:
    return st;
}
