/* x * a[c] + b[c] on feature maps, with nothing in front that could take it in (normalization before the activation, as in
 * DenseNet), is a depthwise 1x1 convolution: one pass over the data instead of two, and the activation behind it is its epilogue. */
#include "passes/internal.h"

/* The constant operand of a Mul or Add along axis 1 of a feature map; *x is the other one. NULL if it is none. */
static const mc_value *channel_operand(const mc_node *n, mc_value **x)
{
    for (int32_t i = 0; i < 2; i++) {
        mc_value *v = n->in[1 - i];
        const int64_t channels = mc_dim_at(v, 1);
        if (!n->in[i]->init || v->init || !mc_is_f32(v) || !mc_is_f32(n->in[i]) || channels < 2) continue;
        if (!mc_types_equal(&v->type, &n->out[0]->type) || !mc_const_along(n->in[i], v->type.rank, 1, channels)) continue;
        *x = v;
        return n->in[i];
    }
    return NULL;
}

static int32_t visit(mc_graph *g, mc_node *n)
{
    int32_t st = MCOMP_OK;
    mc_value *scaled, *x, *in[3] = {NULL};
    mc_node *c;
    const mc_value *b = channel_operand(n, &scaled);
    const mc_node *mul = b ? mc_made_by(scaled, "Mul") : NULL;
    const mc_value *a = mul ? channel_operand(mul, &x) : NULL;
    if (!a || !mc_value_only_user(scaled)) return MCOMP_OK;
    const int32_t rank = x->type.rank;
    const int64_t channels = mc_dim_at(x, 1);
    mc_shape w = {.rank = rank, .dim = {channels, 1}}, v = {.rank = 1, .dim = {channels}};
    int64_t ones[2] = {1, 1};
    if (rank < 3 || rank > 4) return MCOMP_OK;
    for (int32_t i = 2; i < rank; i++) w.dim[i] = 1;
    in[0] = x;
    MC_TRY(mc_const_shared(g, a->name, a->init, &w, &in[1]));
    MC_TRY(mc_const_shared(g, b->name, b->init, &v, &in[2]));
    MC_TRY(mc_rewrite_begin(g, "", "Conv", "affine", mul, 3, in, &c));
    MC_TRY(mc_node_set_i(c, "group", channels));
    MC_TRY(mc_node_set_ints(c, "kernel_shape", ones, rank - 2));
    MC_TRY(mc_node_inherit(c, mul, "affine"));
    st = mc_rewrite_end(g, c, n, n->out[0]);
done:
    return st;
}

int32_t mc_pass_affine(mc_graph *g, const mc_pass_options *o)
{
    int32_t st = MCOMP_OK;
    (void)o;
    for (int64_t i = 0; i < g->n_order; i++) {
        mc_node *n = g->order[i];
        if (!n->dead && mc_node_is(n, "Add") && !mc_is_unused(n)) MC_TRY(visit(g, n));
    }
done:
    return st;
}
