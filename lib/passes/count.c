/* What a model holds and costs: parameters, and multiply-accumulates of one run. */
#include "passes/passes.h"

/* Weights are float, quantized and integer constants of rank >= 1. int64, bool and strings are shapes, axes and labels. */
static int is_weight(const mc_tensor *t)
{
    switch (t->dtype) {
    case MCOMP_I64:
    case MCOMP_U64:
    case MCOMP_BOOL:
    case MCOMP_STRING: return 0;
    default: return t->shape.rank >= 1;
    }
}

void mc_count_parameters(const mc_graph *g, int64_t *elements, uint64_t *bytes)
{
    for (int64_t i = 0; i < g->n_values; i++) {
        const mc_tensor *t = g->values[i]->init;
        if (g->values[i]->dead || !t || !is_weight(t)) continue;
        *elements += mc_tensor_elements(t);
        *bytes += mc_tensor_bytes(t);
    }
    for (int64_t i = 0; i < g->n_nodes; i++)
        for (int32_t k = 0; k < g->nodes[i]->n_attrs; k++)
            if (!g->nodes[i]->dead && g->nodes[i]->attrs[k].graph) mc_count_parameters(g->nodes[i]->attrs[k].graph, elements, bytes);
}

/* Free axes of the inputs become `size`; what known operators make is forgotten, to be inferred again. */
static void set_free_axes(mc_graph *g, int64_t size, int forget)
{
    for (int64_t i = 0; i < g->n_values; i++) {
        mc_value *v = g->values[i];
        const int made = v->producer && v->producer->desc;
        if (forget && (made || v->capture >= 0)) {
            v->type.rank = -1;
            continue;
        }
        for (int32_t k = 0; k < v->type.rank; k++)
            if (v->type.dim[k] < 0) v->type.dim[k] = size;
    }
    for (int64_t i = 0; i < g->n_nodes; i++)
        for (int32_t k = 0; k < g->nodes[i]->n_attrs; k++)
            if (g->nodes[i]->attrs[k].graph) set_free_axes(g->nodes[i]->attrs[k].graph, size, forget);
}

/* Sum over the nodes; of the branches of an If the larger one, of a loop body one round. */
static double sum_macs(const mc_graph *g)
{
    double sum = 0;
    for (int64_t i = 0; i < g->n_nodes; i++) {
        const mc_node *n = g->nodes[i];
        mc_op_cost cost;
        double inner = 0;
        if (n->dead) continue;
        if (mc_op_count(n, &cost) == MCOMP_OK) sum += cost.macs;
        for (int32_t k = 0; k < n->n_attrs; k++) {
            const double m = n->attrs[k].graph ? sum_macs(n->attrs[k].graph) : 0;
            if (m > inner) inner = m;
        }
        sum += inner;
    }
    return sum;
}

int32_t mc_count_macs(const mc_graph *g, int64_t free_axis, double *macs)
{
    mc_graph *c;
    *macs = 0;
    int32_t st = mc_graph_clone(&c, g);
    if (st != MCOMP_OK) return st;
    set_free_axes(c, free_axis, 1);
    if (mc_infer_graph(c) != MCOMP_OK) { /* this size does not work in this model: every unknown axis counts as it */
        mc_graph_destroy(c);
        mc_error_clear();
        st = mc_graph_clone(&c, g);
        if (st != MCOMP_OK) return st;
        set_free_axes(c, free_axis, 0);
    } else {
        set_free_axes(c, free_axis, 0); /* value-dependent axes */
    }
    *macs = sum_macs(c);
    mc_graph_destroy(c);
    return MCOMP_OK;
}
