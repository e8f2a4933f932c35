/* The graph as calibration and quantization see it. */
#include "passes/passes.h"
#include "quant/plan.h"

/* Constant of one element a channel, as added to a convolution with `channels` outputs: [M,1,1], [1,M,1,1] or one element. */
static int per_channel(const mc_tensor *t, int64_t channels, int32_t rank)
{
    const int64_t n = mc_tensor_elements(t);
    const int32_t axis = t->shape.rank - (rank - 1); /* of the channels */
    if (t->dtype != MCOMP_F32 || t->shape.rank > rank) return 0;
    if (n == 1) return 1;
    return n == channels && axis >= 0 && t->shape.dim[axis] == channels;
}

static int32_t fold(mc_graph *g, mc_node *conv, mc_node *add, const mc_tensor *t)
{
    const mc_tensor *w = mc_value_const(conv->in[1]), *old = NULL;
    const mc_shape shape = {.rank = 1, .dim = {w->shape.dim[0]}};
    mc_tensor *b = NULL;
    mc_value *v;
    int32_t st = MCOMP_OK;
    if (conv->n_in > 2 && conv->in[2]) old = mc_value_const(conv->in[2]);
    MC_TRY(mc_tensor_create(&b, MCOMP_F32, &shape));
    for (int64_t c = 0; c < shape.dim[0]; c++)
        ((float *)b->data)[c] = ((const float *)t->data)[mc_tensor_elements(t) == 1 ? 0 : c] +
                                (old ? ((const float *)old->data)[c] : 0.0f);
    st = mc_graph_add_const(g, add->in[mc_value_const(add->in[0]) ? 0 : 1]->name, b, &v);
    b = NULL;
    if (st != MCOMP_OK) goto done;
    MC_TRY(mc_node_set_input(g, conv, 2, v));
    MC_TRY(mc_node_add_alias(conv, add->name));
    mc_value *sum = add->out[0], *out = conv->out[0];
    MC_TRY(mc_graph_replace_uses(g, sum, out));
    mc_graph_remove_node(g, add);
done:
    mc_tensor_destroy(b);
    return st;
}

static int32_t fold_biases(mc_graph *g)
{
    int32_t st = MCOMP_OK;
    for (int64_t i = 0; i < g->n_nodes; i++) {
        mc_node *n = g->nodes[i];
        const mc_tensor *w = !n->dead && mc_node_is(n, "Conv") && n->n_in > 1 && n->in[1] ? mc_value_const(n->in[1]) : NULL;
        if (!w || w->dtype != MCOMP_F32 || w->shape.rank < 3) continue;
        mc_node *add = mc_value_only_user(n->out[0]);
        if (!add || !mc_node_is(add, "Add") || add->n_in != 2 || !add->in[0] || !add->in[1]) continue;
        const mc_tensor *t = mc_value_const(add->in[add->in[0] == n->out[0] ? 1 : 0]);
        const mc_tensor *old = n->n_in > 2 && n->in[2] ? mc_value_const(n->in[2]) : NULL;
        if (!t || !per_channel(t, w->shape.dim[0], w->shape.rank)) continue;
        if (n->n_in > 2 && n->in[2] && (!old || old->dtype != MCOMP_F32 || mc_tensor_elements(old) != w->shape.dim[0])) continue;
        MC_TRY(fold(g, n, add, t));
    }
    MC_TRY(mc_graph_remove_dead(g, NULL));
done:
    return st;
}

int32_t mc_q_prepare(mc_graph *g, uint64_t fold_bytes)
{
    const mc_pass_options options = {.fold_bytes = fold_bytes};
    int32_t st = MCOMP_OK;
    MC_TRY(mc_passes_run(g, MC_STAGE_LOAD, &options));
    MC_TRY(fold_biases(g));
    MC_TRY(mc_infer_graph(g));
done:
    return st;
}
