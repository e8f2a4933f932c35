/* Which nodes can run on integers, and what belongs to them. */
#include "quant/plan.h"

#include <math.h>

/* Rows of the input are one-hot vectors (OneHot, or Equal cast to float): the product is a table look-up, and the passes make
 * it one as long as it is float. */
static int one_hot(const mc_value *v)
{
    static const char *const through[] = {"Cast", "Reshape", "Squeeze", "Unsqueeze", "Identity", NULL};
    for (int depth = 0; v && v->producer && depth < 8; depth++) {
        const mc_node *n = v->producer;
        int32_t i = 0;
        if (mc_node_is(n, "OneHot") || mc_node_is(n, "Equal")) return 1;
        while (through[i] && !mc_node_is(n, through[i])) i++;
        if (!through[i]) return 0;
        v = n->in[0];
    }
    return 0;
}

const char *mc_q_not_weighted(const mc_node *n)
{
    const mc_tensor *w = n->n_in > 1 && n->in[1] ? mc_value_const(n->in[1]) : NULL;
    if (!n->desc || n->desc->quant != MC_Q_WEIGHTED || n->n_in < 2) return "not a weighted operator";
    if (!n->in[0] || mc_value_const(n->in[0])) return "its first input is a constant";
    if (!w) return "both inputs are computed";
    if (w->dtype != MCOMP_F32) return "its weight is not float32";
    if (one_hot(n->in[0])) return "it looks up a table by one-hot vectors";
    if (n->in[0]->type.dtype && n->in[0]->type.dtype != MCOMP_F32) return "its input is not float32";
    if (mc_tensor_elements(w) == 0) return "its weight is empty";
    if (mc_node_is(n, "MatMul") || mc_node_is(n, "Gemm")) {
        if (w->shape.rank != 2) return "its weight is not a matrix";
        if (mc_attr_i(n, "transA", 0) != 0) return "its first input is transposed";
        if (mc_node_is(n, "MatMul") && n->in[0]->type.rank >= 0 && n->in[0]->type.rank < 2) return "its input is a vector";
    } else if (w->shape.rank < 3) {
        return "its weight has no spatial axis";
    }
    return NULL;
}

int32_t mc_q_check_weights(const mc_qplan *p)
{
    char name[128];
    for (int64_t i = 0; i < p->n_nodes; i++) {
        const mc_node *n = p->g->nodes[i];
        if (n->dead || !p->node[i].candidate || (p->node[i].ruled && p->node[i].kind == MC_QK_FLOAT)) continue;
        const mc_tensor *w = mc_value_const(n->in[1]);
        const int64_t count = mc_tensor_elements(w);
        for (int64_t k = 0; k < count; k++) {
            const float v = ((const float *)w->data)[k];
            if (isfinite(v)) continue;
            (void)mc_fail(MCOMP_DATA, n->name, "element %lld of its weight \"%s\" is %g: it has no place on a grid of integers", (long long)k,
                          mc_escape(name, sizeof name, n->in[1]->name), (double)v);
            return mc_fail_hint("mend the model, or keep the node float: a rule with precision float, --keep");
        }
    }
    return MCOMP_OK;
}

int mc_q_kind_fits(const mc_node *n, int32_t kind)
{
    return kind == MC_QK_FLOAT || kind == MC_QK_STATIC || mc_node_is(n, "MatMul") || mc_node_is(n, "Gemm");
}

int32_t mc_q_weight_axis(const mc_node *n)
{
    if (mc_node_is(n, "MatMul")) return 1;
    if (mc_node_is(n, "Gemm")) return mc_attr_i(n, "transB", 0) ? 0 : 1;
    if (mc_node_is(n, "ConvTranspose")) return mc_attr_i(n, "group", 1) == 1 ? 1 : -1;
    return 0;
}

int mc_q_is_activation(const mc_node *n)
{
    static const char *const names[] = {"Relu", "Clip", "LeakyRelu", "HardSwish", "HardSigmoid", "Sigmoid", "Tanh", "Gelu",
                                        "Elu", NULL};
    for (int32_t i = 0; names[i]; i++)
        if (mc_node_is(n, names[i])) return 1;
    return 0;
}

mc_value *mc_q_after(const mc_node *n)
{
    mc_value *v = n->out[0];
    const mc_node *user = mc_value_only_user(v);
    if (user && mc_node_is(n, "MatMul") && mc_node_is(user, "Add") && user->n_in == 2 &&
        (mc_value_const(user->in[0]) || mc_value_const(user->in[1]))) {
        v = user->out[0];
        user = mc_value_only_user(v);
    }
    while (user && mc_q_is_activation(user) && user->in[0] == v) {
        v = user->out[0];
        user = mc_value_only_user(v);
    }
    return v;
}

void mc_q_candidates(mc_qplan *p)
{
    for (int64_t i = 0; i < p->n_nodes; i++) {
        const mc_node *n = p->g->nodes[i];
        mc_op_cost cost;
        if (n->dead || !n->desc) continue;
        if (n->desc->traits & MC_OP_CONTROL)
            p->node[i].why = "its branches are not quantized; fix the input that its condition depends on";
        if (mc_node_is(n, "LSTM") || mc_node_is(n, "GRU") || mc_node_is(n, "RNN"))
            p->node[i].why = "recurrent layers run in float: they have no integer kernel";
        if (n->desc->quant != MC_Q_WEIGHTED) continue;
        p->node[i].why = mc_q_not_weighted(n);
        p->node[i].candidate = p->node[i].why == NULL;
        if (mc_op_count(n, &cost) == MCOMP_OK) p->node[i].macs = cost.macs;
    }
}
