/* MatMul and Gemm with a constant weight -> mcomp.Linear: alpha goes into the weight, a constant C times beta becomes the bias.
 * What follows (bias Add, activation, residual ...) is taken in by the epilogue pass. In training, where weights and biases change,
 * MatMul of one matrix and the Add of a vector behind it become one as well. */
#include "passes/internal.h"

/* The weight as [K,N] or [N,K] f32: leading axes of 1 are dropped, alpha is multiplied in. NULL if it is no such constant. */
static int32_t weight(mc_graph *g, mc_value *v, double alpha, mc_value **out)
{
    int32_t st = MCOMP_OK;
    mc_tensor *t;
    const mc_tensor *w = mc_value_const(v);
    *out = NULL;
    if (!w || w->dtype != MCOMP_F32 || w->shape.rank < 2 || mc_tensor_elements(w) == 0) return MCOMP_OK;
    const int32_t r = w->shape.rank;
    const mc_shape s = {.rank = 2, .dim = {w->shape.dim[r - 2], w->shape.dim[r - 1]}};
    for (int32_t i = 0; i < r - 2; i++)
        if (w->shape.dim[i] != 1) return MCOMP_OK;
    if (alpha == 1.0 && r == 2) {
        *out = v;
    } else if (alpha == 1.0) {
        st = mc_const_shared(g, v->name, w, &s, out);
    } else {
        MC_TRY(mc_tensor_create(&t, MCOMP_F32, &s));
        const int64_t n = mc_tensor_elements(t);
        for (int64_t i = 0; i < n; i++) ((float *)t->data)[i] = (float)((double)((const float *)w->data)[i] * alpha);
        st = mc_graph_add_const(g, v->name, t, out);
    }
done:
    return st;
}

static int32_t lower_matmul(mc_graph *g, mc_node *n)
{
    int32_t st = MCOMP_OK;
    mc_value *in[2] = {n->in[0], NULL};
    mc_node *l;
    if (!mc_is_f32(in[0]) || in[0]->type.rank < 1 || in[0]->type.rank < n->in[1]->type.rank) return MCOMP_OK;
    MC_TRY(weight(g, n->in[1], 1.0, &in[1]));
    if (in[1]) st = mc_rewrite(g, "mcomp", "Linear", "linear", n, 2, in, n->out[0], &l);
done:
    return st;
}

static int is_vector(const mc_value *v, int64_t n)
{
    return mc_is_f32(v) && v->type.rank == 1 && v->type.dim[0] == n && n > 0;
}

/* MatMul of a matrix that is no constant, and the vector added to it. */
static int32_t lower_variable(mc_graph *g, mc_node *n)
{
    mc_value *in[3] = {n->in[0], n->in[1], NULL};
    mc_node *add = mc_value_only_user(n->out[0]), *l;
    const mc_type *w = &in[1]->type;
    if (!mc_is_f32(in[0]) || !mc_is_f32(in[1]) || in[0]->type.rank < 2 || w->rank != 2 || w->dim[0] < 0) return MCOMP_OK;
    if (!add || !mc_node_is(add, "Add") || add->n_in != 2 || !mc_types_equal(&add->out[0]->type, &n->out[0]->type)) return MCOMP_OK;
    in[2] = add->in[add->in[0] == n->out[0] ? 1 : 0];
    if (!is_vector(in[2], w->dim[1]) || in[2]->init) return MCOMP_OK;
    return mc_rewrite(g, "mcomp", "Linear", "linear", add, 3, in, add->out[0], &l);
}

static int32_t lower_gemm(mc_graph *g, mc_node *n)
{
    int32_t st = MCOMP_OK;
    const int64_t swap[2] = {1, 0}, trans = mc_attr_i(n, "transB", 0), channels = mc_dim_at(n->out[0], 1);
    const double alpha = (double)mc_attr_f(n, "alpha", 1.0f), beta = (double)mc_attr_f(n, "beta", 1.0f);
    mc_value *in[3] = {n->in[0], NULL, NULL}, *c = n->n_in > 2 ? n->in[2] : NULL, *add[2];
    mc_node *l, *sum;
    if (!mc_is_f32(in[0]) || in[0]->type.rank != 2 || channels < 1) return MCOMP_OK;
    if (c && !c->init && beta != 1.0) return MCOMP_OK;
    MC_TRY(weight(g, n->in[1], alpha, &in[1]));
    if (!in[1]) return MCOMP_OK;
    if (c) MC_TRY(mc_const_vector(g, c, 2, channels, beta, &in[2]));
    if (c && !in[2] && beta != 1.0) return MCOMP_OK;
    if (mc_attr_i(n, "transA", 0)) MC_TRY(mc_transposed(g, "linear", n->in[0], 2, swap, &in[0]));
    MC_TRY(mc_rewrite_begin(g, "mcomp", "Linear", "linear", n, in[2] ? 3 : 2, in, &l));
    if (trans) MC_TRY(mc_node_set_i(l, "trans_w", 1));
    if (!c || in[2]) return mc_rewrite_end(g, l, n, n->out[0]);
    MC_TRY(mc_rewrite_end(g, l, n, NULL));
    add[0] = l->out[0];
    add[1] = c;
    st = mc_rewrite(g, "", "Add", "linear", n, 2, add, n->out[0], &sum);
done:
    return st;
}

int32_t mc_pass_linear(mc_graph *g, const mc_pass_options *o)
{
    int32_t st = MCOMP_OK;
    (void)o;
    for (int64_t i = 0; i < g->n_order; i++) {
        mc_node *n = g->order[i];
        if (n->dead || mc_is_unused(n) || n->n_in < 2 || !n->in[0] || !n->in[1] || n->in[0]->init) continue;
        if (!n->in[1]->init) {
            if (mc_node_is(n, "MatMul")) MC_TRY(lower_variable(g, n));
            continue;
        }
        if (mc_node_is(n, "MatMul")) MC_TRY(lower_matmul(g, n));
        else if (mc_node_is(n, "Gemm")) MC_TRY(lower_gemm(g, n));
    }
done:
    return st;
}
