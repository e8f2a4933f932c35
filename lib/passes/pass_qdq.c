/* Operators between DequantizeLinear and QuantizeLinear run on integers (docs/quantization.md, 4):
 *   DQ -> Conv               -> mcomp.QConv, channels-last between Transposes
 *   DQ -> MatMul, Gemm       -> mcomp.QLinear, mode static
 *   DQ, DQ -> Add            -> mcomp.QAdd
 *   DQ -> AveragePool, GlobalAveragePool, ReduceMean over space -> mcomp.Q...Pool
 * All with f32 results at first; bias Add, activation, residual and QuantizeLinear behind them are taken in by the epilogue pass. */
#include "passes/internal.h"

/* op (channels-last) on q [N,C,s...] in the place of n; in[0] is filled in. */
static int32_t wrap(mc_graph *g, mc_node *n, const char *op, mc_value *q, const mc_qdq *p, int32_t n_in, mc_value **in, int window)
{
    int32_t st = MCOMP_OK;
    const int32_t rank = q->type.rank;
    int64_t last[MC_MAX_RANK], first[MC_MAX_RANK];
    mc_node *c;
    mc_value *y;
    mc_channels_last_perm(rank, last);
    mc_channels_first_perm(rank, first);
    MC_TRY(mc_transposed(g, "qdq", q, rank, last, &in[0]));
    MC_TRY(mc_rewrite_begin(g, "mcomp", op, "qdq", n, n_in, in, &c));
    if (window) MC_TRY(mc_copy_window(c, n));
    MC_TRY(mc_node_set_qdq(c, "x", p));
    c->out[0]->type = n->out[0]->type;
    for (int32_t i = 0; i < rank; i++) c->out[0]->type.dim[i] = n->out[0]->type.dim[last[i]];
    MC_TRY(mc_rewrite_end(g, c, n, NULL));
    MC_TRY(mc_transposed(g, "qdq", c->out[0], rank, first, &y));
    y->type = n->out[0]->type;
    MC_TRY(mc_graph_replace_uses(g, n->out[0], y));
    mc_graph_remove_node(g, n);
done:
    return st;
}

static int32_t lower_conv(mc_graph *g, mc_node *n)
{
    int32_t st = MCOMP_OK;
    mc_qdq p;
    mc_value *q = mc_dequantized(n->in[0], &p), *in[4] = {NULL}, *b = n->n_in > 2 ? n->in[2] : NULL;
    const int32_t rank = n->in[0]->type.rank;
    if (!q || rank < 3 || rank > 4 || n->out[0]->type.rank != rank || !mc_window_is_explicit(n) || n->in[1]->type.rank != rank) return MCOMP_OK;
    const int64_t m = mc_dim_at(n->in[1], 0);
    if (b) MC_TRY(mc_real_bias(g, b, m, &in[3]));
    if (b && !in[3]) return MCOMP_OK;
    MC_TRY(mc_integer_weight(g, n->in[1], 0, &in[1], &in[2]));
    if (in[1]) st = wrap(g, n, "QConv", q, &p, in[3] ? 4 : 3, in, 1);
done:
    return st;
}

/* C of a Gemm, or nothing: 1 in *ok when it can be a bias. */
static int32_t gemm_bias(mc_graph *g, const mc_node *n, int64_t channels, mc_value **b, int *ok)
{
    mc_value *c = n->n_in > 2 ? n->in[2] : NULL;
    int32_t st = MCOMP_OK;
    *ok = 1;
    *b = NULL;
    if (!c) return MCOMP_OK;
    *ok = mc_attr_f(n, "beta", 1.0f) == 1.0f;
    if (*ok) MC_TRY(mc_real_bias(g, c, channels, b));
    *ok = *ok && *b;
done:
    return st;
}

static int32_t lower_linear(mc_graph *g, mc_node *n)
{
    int32_t st = MCOMP_OK;
    const int gemm = mc_node_is(n, "Gemm");
    const int64_t trans = gemm ? mc_attr_i(n, "transB", 0) : 0;
    int ok = 1;
    mc_qdq p;
    mc_value *q = mc_dequantized(n->in[0], &p), *in[4] = {NULL};
    mc_node *l;
    if (!q || n->in[1]->type.rank != 2 || n->in[0]->type.rank < 1 || n->out[0]->type.rank < 1) return MCOMP_OK;
    if (gemm && (mc_attr_i(n, "transA", 0) || mc_attr_f(n, "alpha", 1.0f) != 1.0f)) return MCOMP_OK;
    const int64_t channels = mc_dim_at(n->in[1], trans ? 0 : 1);
    if (channels < 1) return MCOMP_OK;
    if (gemm) MC_TRY(gemm_bias(g, n, channels, &in[3], &ok));
    if (!ok) return MCOMP_OK;
    MC_TRY(mc_integer_weight(g, n->in[1], trans ? 0 : 1, &in[1], &in[2]));
    if (!in[1]) return MCOMP_OK;
    in[0] = q;
    MC_TRY(mc_rewrite_begin(g, "mcomp", "QLinear", "qdq", n, in[3] ? 4 : 3, in, &l));
    MC_TRY(mc_node_set_s(l, "mode", "static"));
    if (trans) MC_TRY(mc_node_set_i(l, "trans_w", 1));
    MC_TRY(mc_node_set_qdq(l, "x", &p));
    st = mc_rewrite_end(g, l, n, n->out[0]);
done:
    return st;
}

static int32_t lower_add(mc_graph *g, mc_node *n)
{
    int32_t st = MCOMP_OK;
    mc_qdq a, b;
    mc_value *in[2] = {mc_dequantized(n->in[0], &a), mc_dequantized(n->in[1], &b)};
    mc_node *q;
    if (!in[0] || !in[1] || !mc_dims_equal(&in[0]->type, &in[1]->type)) return MCOMP_OK;
    MC_TRY(mc_rewrite_begin(g, "mcomp", "QAdd", "qdq", n, 2, in, &q));
    MC_TRY(mc_node_set_qdq(q, "a", &a));
    MC_TRY(mc_node_set_qdq(q, "b", &b));
    st = mc_rewrite_end(g, q, n, n->out[0]);
done:
    return st;
}

static int32_t lower_pool(mc_graph *g, mc_node *n)
{
    int32_t st = MCOMP_OK, count;
    int64_t axes[MC_MAX_RANK];
    mc_qdq p;
    mc_value *q = mc_dequantized(n->in[0], &p), *in[1] = {NULL}, *y;
    mc_node *mean = n;
    const int32_t rank = n->in[0]->type.rank;
    if (!q || rank < 3 || rank > 4) return MCOMP_OK;
    if (mc_node_is(n, "AveragePool")) return mc_window_is_explicit(n) ? wrap(g, n, "QAveragePool", q, &p, 1, in, 1) : MCOMP_OK;
    if (mc_node_is(n, "ReduceMean")) {
        if (!mc_reduce_axes(n, axes, &count) || count != rank - 2 || axes[0] != 2) return MCOMP_OK;
        MC_TRY(mc_rewrite(g, "", "GlobalAveragePool", "qdq", n, 1, n->in, NULL, &mean));
        MC_TRY(mc_reshaped(g, "qdq", mean->out[0], &n->out[0]->type, &y));
        if (!y) return MCOMP_OK;
        MC_TRY(mc_graph_replace_uses(g, n->out[0], y));
        mc_graph_remove_node(g, n);
    }
    st = wrap(g, mean, "QGlobalAveragePool", q, &p, 1, in, 0);
done:
    return st;
}

int32_t mc_pass_qdq(mc_graph *g, const mc_pass_options *o)
{
    int32_t st = MCOMP_OK;
    (void)o;
    for (int64_t i = 0; i < g->n_order; i++) {
        mc_node *n = g->order[i];
        if (n->dead || n->n_in < 1 || n->n_out < 1 || !n->in[0] || !n->out[0] || mc_is_unused(n)) continue;
        if (mc_node_is(n, "Conv")) MC_TRY(lower_conv(g, n));
        else if (mc_node_is(n, "MatMul") || mc_node_is(n, "Gemm")) MC_TRY(lower_linear(g, n));
        else if (mc_node_is(n, "Add")) MC_TRY(lower_add(g, n));
        else if (mc_node_is(n, "AveragePool") || mc_node_is(n, "GlobalAveragePool") || mc_node_is(n, "ReduceMean"))
            MC_TRY(lower_pool(g, n));
    }
done:
    return st;
}
