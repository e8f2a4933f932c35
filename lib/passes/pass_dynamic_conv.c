/* Dynamically quantized convolutions, as ONNX Runtime writes them:
 *   q, s, z = DynamicQuantizeLinear(x);  y = Cast(ConvInteger(q, W, z)) * (s * w_scale)
 * become mcomp.QConv with the scale and zero point of X as operands, channels-last between Transposes. Bias, activation and residual
 * behind it are the epilogue pass's. */
#include "passes/internal.h"

#include <math.h>

typedef struct product {
    mc_node *conv, *last; /* ConvInteger; the Mul that ends the chain */
    const mc_node *q;     /* DynamicQuantizeLinear */
    mc_value *w_scale;
} product;

/* f = the scale, a constant, or their product: what of them is noted. */
static int take_factor(product *p, mc_value *f, int *seen)
{
    const mc_node *both = mc_made_by(f, "Mul");
    if (f->init && !p->w_scale) {
        p->w_scale = f;
        return 1;
    }
    if (mc_peel_views(f) == p->q->out[1] && !*seen) return *seen = 1;
    if (!both || *seen || p->w_scale) return 0;
    const int32_t i = both->in[0]->init ? 0 : both->in[1]->init ? 1 : -1;
    if (i < 0 || mc_peel_views(both->in[1 - i]) != p->q->out[1]) return 0;
    p->w_scale = both->in[i];
    return *seen = 1;
}

static int match(mc_node *n, product *p)
{
    int seen = 0;
    memset(p, 0, sizeof *p);
    p->conv = n;
    if (!mc_node_is(n, "ConvInteger") || n->n_in < 3 || !n->in[2] || !n->in[1]->init || !mc_window_is_explicit(n)) return 0;
    p->q = mc_made_by(n->in[0], "DynamicQuantizeLinear");
    if (!p->q || n->in[0] != p->q->out[0] || n->in[2] != p->q->out[2]) return 0;
    const mc_node *cast = mc_value_only_user(n->out[0]);
    if (!mc_node_is(cast, "Cast") || !mc_is_f32(cast->out[0])) return 0;
    mc_value *v = cast->out[0];
    while (!(seen && p->w_scale)) {
        mc_node *mul = mc_value_only_user(v);
        if (!mc_node_is(mul, "Mul") || mul->in[0] == mul->in[1]) return 0;
        if (!take_factor(p, mul->in[0] == v ? mul->in[1] : mul->in[0], &seen)) return 0;
        p->last = mul;
        v = mul->out[0];
    }
    return mc_types_equal(&p->last->out[0]->type, &cast->out[0]->type);
}

/* One scale, or one an output channel (axis 1): f32 [m]; NULL if it is another thing. */
static int32_t weight_scales(mc_graph *g, const product *p, int64_t m, int32_t rank, mc_value **out)
{
    int32_t st = MCOMP_OK;
    float *s = NULL;
    const mc_tensor *t = mc_value_const(p->w_scale);
    *out = NULL;
    if (t->dtype != MCOMP_F32 || (mc_tensor_elements(t) != 1 && !mc_const_along(p->w_scale, rank, 1, m))) return MCOMP_OK;
    MC_TRY(mc_const_floats(p->w_scale, m, &s));
    for (int64_t i = 0; i < m; i++)
        if (!(s[i] > 0.0f) || isinf(s[i])) goto done;
    st = mc_const_f32(g, p->w_scale->name, s, m, out);
done:
    mc_free(s);
    return st;
}

/* QConv on channels-last in[0], in the place of ConvInteger. */
static int32_t make_conv(mc_graph *g, const product *p, mc_value *const in[7], mc_node **c)
{
    int32_t st = MCOMP_OK;
    const mc_type *y = &p->last->out[0]->type;
    int64_t last[MC_MAX_RANK];
    mc_channels_last_perm(y->rank, last);
    MC_TRY(mc_rewrite_begin(g, "mcomp", "QConv", "dynamic_conv", p->conv, 7, in, c));
    MC_TRY(mc_copy_window(*c, p->conv));
    (*c)->out[0]->type = *y;
    for (int32_t i = 0; i < y->rank; i++) (*c)->out[0]->type.dim[i] = y->dim[last[i]];
    st = mc_rewrite_end(g, *c, p->conv, NULL);
done:
    return st;
}

/* Weights around another zero point are the sum of two: the second product is the first one's residual. */
static int32_t replace(mc_graph *g, const product *p)
{
    int32_t st = MCOMP_OK;
    mc_node *n = p->conv, *c;
    const mc_value *y = p->last->out[0];
    const int32_t rank = n->in[1]->type.rank;
    const int64_t m = mc_dim_at(n->in[1], 0);
    int64_t last[MC_MAX_RANK], first[MC_MAX_RANK];
    mc_value *in[7] = {NULL, NULL, NULL, NULL, NULL, p->q->out[1], p->q->out[2]}, *w = NULL, *rest = NULL, *out;
    if (rank < 3 || rank > 4 || m < 1 || y->type.rank != rank || n->in[0]->type.rank != rank) return MCOMP_OK;
    MC_TRY(mc_split_s8(g, n->in[1], n->n_in > 3 ? n->in[3] : NULL, 0, &w, &rest));
    if (w) MC_TRY(weight_scales(g, p, m, rank, &in[2]));
    if (!w || !in[2]) return MCOMP_OK;
    mc_channels_last_perm(rank, last);
    mc_channels_first_perm(rank, first);
    MC_TRY(mc_transposed(g, "dynamic_conv", n->in[0], rank, last, &in[0]));
    if (rest) {
        in[1] = rest;
        MC_TRY(make_conv(g, p, in, &c));
        in[4] = c->out[0];
    }
    in[1] = w;
    MC_TRY(make_conv(g, p, in, &c));
    MC_TRY(mc_node_inherit(c, p->last, "dynamic_conv"));
    MC_TRY(mc_transposed(g, "dynamic_conv", c->out[0], rank, first, &out));
    out->type = y->type;
    st = mc_graph_replace_uses(g, p->last->out[0], out);
done:
    return st;
}

int32_t mc_pass_dynamic_conv(mc_graph *g, const mc_pass_options *o)
{
    int32_t st = MCOMP_OK;
    product p;
    (void)o;
    for (int64_t i = 0; i < g->n_order; i++)
        if (!g->order[i]->dead && !mc_is_unused(g->order[i]) && match(g->order[i], &p)) MC_TRY(replace(g, &p));
done:
    return st;
}
