/* Conv with constant weights and the pools -> their channels-last mcomp forms, each between two Transposes; the layout pass then
 * makes the Transposes meet and cancel. One and two spatial axes; a mean over all spatial axes is a global average. */
#include "passes/internal.h"

/* n (in NCHW) becomes `op` on transposed data; in[0] is replaced by the transposed value. */
static int32_t wrap(mc_graph *g, mc_node *n, const char *op, int32_t n_in, mc_value **in, int window)
{
    int32_t st = MCOMP_OK;
    const int32_t rank = n->in[0]->type.rank;
    int64_t last[MC_MAX_RANK], first[MC_MAX_RANK];
    mc_node *c;
    mc_value *x, *y;
    if (window && !mc_window_is_explicit(n)) return MCOMP_OK;
    mc_channels_last_perm(rank, last);
    mc_channels_first_perm(rank, first);
    MC_TRY(mc_transposed(g, "channels_last", n->in[0], rank, last, &x));
    in[0] = x;
    MC_TRY(mc_rewrite_begin(g, "mcomp", op, "channels_last", n, n_in, in, &c));
    if (window) MC_TRY(mc_copy_window(c, n));
    c->out[0]->type = n->out[0]->type;
    for (int32_t i = 0; i < rank; i++) c->out[0]->type.dim[i] = n->out[0]->type.dim[last[i]];
    MC_TRY(mc_rewrite_end(g, c, n, NULL));
    MC_TRY(mc_transposed(g, "channels_last", c->out[0], rank, first, &y));
    MC_TRY(mc_graph_replace_uses(g, n->out[0], y));
    mc_graph_remove_node(g, n);
done:
    return st;
}

static int32_t lower_conv(mc_graph *g, mc_node *n)
{
    int32_t st = MCOMP_OK;
    const mc_tensor *w = mc_value_const(n->in[1]);
    mc_value *in[3] = {NULL, n->in[1], NULL}, *b = n->n_in > 2 ? n->in[2] : NULL;
    if (!w || w->dtype != MCOMP_F32 || !mc_is_f32(n->in[0]) || mc_tensor_elements(w) == 0) return MCOMP_OK;
    if (b) {
        if (!b->init || !mc_is_f32(b) || b->type.rank != 1 || b->type.dim[0] != w->shape.dim[0]) return MCOMP_OK;
        in[2] = b;
    }
    st = wrap(g, n, "Conv", b ? 3 : 2, in, 1);
    return st;
}

/* MaxPool and AveragePool without the outputs and options that the channels-last forms do not have. */
static int32_t lower_pool(mc_graph *g, mc_node *n)
{
    mc_value *in[1] = {NULL};
    const int max = mc_node_is(n, "MaxPool");
    const int32_t d = n->in[0]->type.dtype;
    if ((n->n_out > 1 && n->out[1]) || mc_attr_i(n, "storage_order", 0) != 0) return MCOMP_OK;
    if (d != MCOMP_F32 && !(max && (d == MCOMP_U8 || d == MCOMP_I8))) return MCOMP_OK;
    return wrap(g, n, n->op, 1, in, 1);
}

static int32_t lower_global(mc_graph *g, mc_node *n)
{
    mc_value *in[1] = {NULL};
    const int32_t d = n->in[0]->type.dtype;
    if (d != MCOMP_F32 && !(mc_node_is(n, "GlobalMaxPool") && (d == MCOMP_U8 || d == MCOMP_I8))) return MCOMP_OK;
    return wrap(g, n, n->op, 1, in, 0);
}

/* ReduceMean over every axis behind the second of a rank 3 or 4 tensor -> GlobalAveragePool (+ Reshape). */
static int32_t lower_mean(mc_graph *g, mc_node *n)
{
    int32_t st = MCOMP_OK, count;
    int64_t axes[MC_MAX_RANK];
    const int32_t rank = n->in[0]->type.rank;
    mc_value *in[1] = {n->in[0]}, *y;
    mc_node *p;
    if (!mc_is_f32(n->in[0]) || !mc_reduce_axes(n, axes, &count) || count != rank - 2 || axes[0] != 2) return MCOMP_OK;
    MC_TRY(mc_rewrite(g, "", "GlobalAveragePool", "channels_last", n, 1, in, NULL, &p));
    MC_TRY(mc_reshaped(g, "channels_last", p->out[0], &n->out[0]->type, &y));
    if (!y) return MCOMP_OK;
    MC_TRY(mc_graph_replace_uses(g, n->out[0], y));
    mc_graph_remove_node(g, n);
    st = lower_global(g, p);
done:
    return st;
}

/* Convolutions whose weights change (training) stay channels-first, and so does what is between them. */
static int has_variable_conv(const mc_graph *g)
{
    for (int64_t i = 0; i < g->n_order; i++) {
        const mc_node *n = g->order[i];
        if (!n->dead && mc_node_is(n, "Conv") && n->n_in > 1 && n->in[1] && !n->in[1]->init) return 1;
    }
    return 0;
}

int32_t mc_pass_conv(mc_graph *g, const mc_pass_options *o)
{
    int32_t st = MCOMP_OK;
    const int planes = has_variable_conv(g);
    (void)o;
    for (int64_t i = 0; i < g->n_order; i++) {
        mc_node *n = g->order[i];
        if (n->dead || mc_is_unused(n) || n->n_in < 1 || !n->in[0] || !n->out[0]) continue;
        const int32_t rank = n->in[0]->type.rank;
        if (rank < 3 || rank > 4) continue;
        if (mc_node_is(n, "Conv")) MC_TRY(lower_conv(g, n));
        else if (planes) continue;
        else if (mc_node_is(n, "MaxPool") || mc_node_is(n, "AveragePool")) MC_TRY(lower_pool(g, n));
        else if (mc_node_is(n, "GlobalMaxPool") || mc_node_is(n, "GlobalAveragePool")) MC_TRY(lower_global(g, n));
        else if (mc_node_is(n, "ReduceMean")) MC_TRY(lower_mean(g, n));
    }
done:
    return st;
}
