/* Linear, Conv, QLinear, QConv, QAdd and the integer pools take in what follows them while nobody else reads the value between:
 * bias, activation, residual Add (or QAdd), activation after it, LayerNormalization, QuantizeLinear, in the order of docs/fused_ops.md.
 * Nodes are visited backwards, so that of two products in front of one Add the later one adds the other's result. */
#include "passes/internal.h"

#include <float.h>

typedef struct kind {
    const char *op;
    int32_t bias, residual, gamma; /* input slots, beta follows gamma; -1: it has none */
    int32_t integer;               /* takes u8/s8 residuals and may quantize its output */
    int32_t acts;                  /* 0 none, 1 relu only, 2 all */
} kind;

static const kind kinds[] = {{"Linear", 2, 3, 4, 0, 2},  {"Conv", 2, 3, -1, 0, 2},  {"QLinear", 3, 4, 5, 1, 2},
                             {"QConv", 3, 4, -1, 1, 2},  {"QAdd", -1, -1, -1, 1, 1}, {"QAveragePool", -1, -1, -1, 1, 0},
                             {"QGlobalAveragePool", -1, -1, -1, 1, 0}};

static const kind *kind_of(const mc_node *n)
{
    if (strcmp(n->domain, "mcomp") != 0) return NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(n->op, kinds[i].op) == 0) return &kinds[i];
    return NULL;
}

static int has(const mc_node *n, int32_t slot) { return slot >= 0 && slot < n->n_in && n->in[slot]; }
static int has_act(const mc_node *n, const char *name) { return strcmp(mc_attr_s(n, name, "none"), "none") != 0; }
static int is_finished(const mc_node *n) { return mc_node_attr(n, "ln_eps") || mc_node_attr(n, "y_scale"); }

/* What u computes as an activation name with clip bounds, or NULL. */
static const char *activation_of(const mc_node *u, const mc_value *v, double *lo, double *hi)
{
    *lo = -(double)FLT_MAX;
    *hi = (double)FLT_MAX;
    if (u->n_in < 1 || u->in[0] != v) return NULL;
    if (mc_node_is(u, "Relu")) return "relu";
    if (mc_node_is(u, "Sigmoid")) return "sigmoid";
    if (mc_node_is(u, "Tanh")) return "tanh";
    if (mc_node_is(u, "HardSwish")) return "hardswish";
    if (mc_node_is(u, "Swish")) return mc_attr_f(u, "alpha", 1.0f) == 1.0f ? "silu" : NULL;
    if (mc_node_is(u, "Gelu")) return strcmp(mc_attr_s(u, "approximate", "none"), "tanh") == 0 ? "gelu_tanh" : "gelu";
    if (!mc_node_is(u, "Clip")) return NULL;
    if (u->n_in > 1 && u->in[1] && !mc_value_scalar(u->in[1], lo)) return NULL;
    if (u->n_in > 2 && u->in[2] && !mc_value_scalar(u->in[2], hi)) return NULL;
    if (!(*lo <= *hi)) return NULL;
    return *lo == 0.0 && *hi >= (double)FLT_MAX ? "relu" : "clip";
}

static int32_t take_activation(mc_graph *g, mc_node *n, const kind *k, mc_node *u, int32_t *taken)
{
    int32_t st = MCOMP_OK;
    double lo, hi;
    const char *name = activation_of(u, n->out[0], &lo, &hi), *slot = has(n, k->residual) ? "post_act" : "act";
    if (!name || k->acts == 0 || (k->acts == 1 && strcmp(name, "relu") != 0) || has_act(n, slot)) return MCOMP_OK;
    if (strcmp(name, "clip") == 0) {
        const int same = mc_attr_f(n, "act_lo", -FLT_MAX) == (float)lo && mc_attr_f(n, "act_hi", FLT_MAX) == (float)hi;
        if (strcmp(mc_attr_s(n, "act", "none"), "clip") == 0 && !same) return MCOMP_OK; /* one pair of bounds for both */
        MC_TRY(mc_node_set_f(n, "act_lo", (float)lo));
        MC_TRY(mc_node_set_f(n, "act_hi", (float)hi));
    }
    MC_TRY(mc_node_set_s(n, slot, name));
    MC_TRY(mc_absorb(g, n, u, NULL));
    *taken = 1;
done:
    return st;
}

static int32_t take_bias(mc_graph *g, mc_node *n, const kind *k, mc_node *u, const mc_value *c, int32_t *taken)
{
    int32_t st = MCOMP_OK;
    const int32_t rank = n->out[0]->type.rank;
    const int64_t channels = mc_dim_at(n->out[0], -1);
    mc_value *b = NULL;
    if (k->bias < 0 || has_act(n, "act") || has(n, k->residual) || has(n, k->bias)) return MCOMP_OK;
    MC_TRY(mc_const_vector(g, c, rank, channels, 1.0, &b));
    if (!b) return MCOMP_OK;
    MC_TRY(mc_node_set_input(g, n, k->bias, b));
    MC_TRY(mc_absorb(g, n, u, NULL));
    *taken = 1;
done:
    return st;
}

static int32_t take_residual(mc_graph *g, mc_node *n, const kind *k, mc_node *u, mc_value *r, int32_t *taken)
{
    int32_t st = MCOMP_OK;
    mc_qdq p;
    if (k->residual < 0 || has(n, k->residual) || r == n->out[0] || r->init || !mc_types_equal(&r->type, &n->out[0]->type)) return MCOMP_OK;
    mc_value *q = k->integer ? mc_dequantized(r, &p) : NULL;
    if (q) MC_TRY(mc_node_set_qdq(n, "r", &p));
    MC_TRY(mc_node_set_input(g, n, k->residual, q ? q : r));
    MC_TRY(mc_absorb(g, n, u, NULL));
    *taken = 1;
done:
    return st;
}

static int32_t take_add(mc_graph *g, mc_node *n, const kind *k, mc_node *u, int32_t *taken)
{
    mc_value *other = u->in[0] == n->out[0] ? u->in[1] : u->in[0];
    if (!other || !mc_types_equal(&u->out[0]->type, &n->out[0]->type)) return MCOMP_OK;
    return other->init ? take_bias(g, n, k, u, other, taken) : take_residual(g, n, k, u, other, taken);
}

static int32_t take_layernorm(mc_graph *g, mc_node *n, const kind *k, mc_node *u, int32_t *taken)
{
    int32_t st = MCOMP_OK;
    const int32_t rank = n->out[0]->type.rank;
    const int64_t width = mc_dim_at(n->out[0], -1);
    if (k->gamma < 0 || u->in[0] != n->out[0] || mc_axis_of(mc_attr_i(u, "axis", -1), rank) != rank - 1) return MCOMP_OK;
    for (int32_t i = 1; i < u->n_out; i++)
        if (u->out[i]) return MCOMP_OK;
    for (int32_t i = 1; i < u->n_in; i++)
        if (u->in[i] && (!u->in[i]->init || u->in[i]->type.rank != 1 || u->in[i]->type.dim[0] != width || !mc_is_f32(u->in[i]))) return MCOMP_OK;
    MC_TRY(mc_node_set_f(n, "ln_eps", mc_attr_f(u, "epsilon", 1e-5f)));
    for (int32_t i = 1; i < u->n_in; i++)
        if (u->in[i]) MC_TRY(mc_node_set_input(g, n, k->gamma + i - 1, u->in[i]));
    MC_TRY(mc_absorb(g, n, u, NULL));
    *taken = 1;
done:
    return st;
}

static int32_t take_quantize(mc_graph *g, mc_node *n, const kind *k, mc_node *u, int32_t *taken)
{
    int32_t st = MCOMP_OK;
    mc_qdq p;
    if (!k->integer || mc_node_attr(n, "y_scale") || !mc_quantizes(u, &p)) return MCOMP_OK;
    MC_TRY(mc_node_set_qdq(n, "y", &p));
    MC_TRY(mc_absorb(g, n, u, NULL));
    *taken = 1;
done:
    return st;
}

/* A quantized result that only a QAdd reads: the product adds, its own grid becomes the middle one. Same bits as two steps. */
static int32_t take_qadd(mc_graph *g, mc_node *n, const kind *k)
{
    int32_t st = MCOMP_OK;
    mc_node *u = mc_value_only_user(n->out[0]);
    if (!u || k->residual < 0 || !k->integer || !mc_node_is_in(u, "mcomp", "QAdd") || u->in[0] == u->in[1]) return MCOMP_OK;
    if (!mc_node_attr(n, "y_scale") || mc_node_attr(n, "ln_eps") || has(n, k->residual) || has_act(n, "post_act")) return MCOMP_OK;
    const int first = u->in[0] == n->out[0];
    mc_value *r = u->in[first ? 1 : 0];
    if (r->init || !mc_dims_equal(&r->type, &n->out[0]->type)) return MCOMP_OK;
    const mc_qdq m = mc_node_get_qdq(n, "y"), own = mc_node_get_qdq(u, first ? "a" : "b"), other = mc_node_get_qdq(u, first ? "b" : "a");
    const mc_qdq y = mc_node_get_qdq(u, "y");
    if (!mc_qdq_equal(&m, &own)) return MCOMP_OK; /* bytes read on another grid than they were written */
    MC_TRY(mc_node_set_qdq(n, "m", &m));
    MC_TRY(mc_node_set_qdq(n, "r", &other));
    if (mc_node_attr(u, "y_scale")) MC_TRY(mc_node_set_qdq(n, "y", &y));
    else mc_node_drop_qdq(n, "y");
    MC_TRY(mc_node_set_s(n, "post_act", mc_attr_s(u, "act", "none")));
    MC_TRY(mc_node_set_input(g, n, k->residual, r));
    MC_TRY(mc_absorb(g, n, u, NULL));
done:
    return st;
}

static int32_t visit(mc_graph *g, mc_node *n, const kind *k)
{
    int32_t st = MCOMP_OK, taken = 1;
    while (taken) {
        mc_node *u = mc_value_only_user(n->out[0]);
        taken = 0;
        if (!u || u->n_out < 1 || !u->out[0] || !mc_is_f32(n->out[0]) || n->out[0]->type.rank < 1) break;
        if (mc_node_is(u, "QuantizeLinear") && u->in[0] == n->out[0]) {
            MC_TRY(take_quantize(g, n, k, u, &taken));
        } else if (!is_finished(n)) {
            if (mc_node_is(u, "Add") && u->n_in == 2) MC_TRY(take_add(g, n, k, u, &taken));
            else if (mc_node_is(u, "LayerNormalization")) MC_TRY(take_layernorm(g, n, k, u, &taken));
            else MC_TRY(take_activation(g, n, k, u, &taken));
        }
    }
    MC_TRY(take_qadd(g, n, k));
done:
    return st;
}

/* A QuantizeLinear that only this static QLinear reads is done by it on the way in. */
static int32_t take_input_quantize(mc_graph *g, mc_node *n)
{
    int32_t st = MCOMP_OK;
    mc_qdq p;
    mc_node *q = mc_made_by(n->in[0], "QuantizeLinear");
    if (!mc_node_is_in(n, "mcomp", "QLinear") || strcmp(mc_attr_s(n, "mode", "static"), "static") != 0 || !q || !mc_quantizes(q, &p) ||
        mc_value_only_user(n->in[0]) != n || q->in[0]->init || p.zp != mc_attr_i(n, "x_zp", 0) || p.scale != mc_attr_f(n, "x_scale", 0.0f))
        return MCOMP_OK;
    MC_TRY(mc_node_inherit(n, q, n->origin));
    MC_TRY(mc_node_set_input(g, n, 0, q->in[0]));
    mc_graph_remove_node(g, q);
done:
    return st;
}

int32_t mc_pass_epilogue(mc_graph *g, const mc_pass_options *o)
{
    int32_t st = MCOMP_OK;
    (void)o;
    for (int64_t i = g->n_order - 1; i >= 0; i--) {
        mc_node *n = g->order[i];
        const kind *k = n->dead || mc_is_unused(n) ? NULL : kind_of(n);
        if (!k) continue;
        MC_TRY(visit(g, n, k));
        MC_TRY(take_input_quantize(g, n));
    }
done:
    return st;
}
