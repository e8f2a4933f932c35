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

/* A clone in which every axis has a size. */
static int32_t sized(mc_graph **out, const mc_graph *g, int64_t free_axis)
{
    int32_t st = mc_graph_clone(out, g);
    if (st != MCOMP_OK) return st;
    set_free_axes(*out, free_axis, 1);
    if (mc_infer_graph(*out) == MCOMP_OK) {
        set_free_axes(*out, free_axis, 0); /* value-dependent axes */
        return MCOMP_OK;
    }
    mc_graph_destroy(*out); /* this size does not work in this model: every unknown axis counts as it */
    mc_error_clear();
    st = mc_graph_clone(out, g);
    if (st == MCOMP_OK) set_free_axes(*out, free_axis, 0);
    return st;
}

int32_t mc_count_macs(const mc_graph *g, int64_t free_axis, double *macs)
{
    mc_graph *c = NULL;
    *macs = 0;
    const int32_t st = sized(&c, g, free_axis);
    if (st == MCOMP_OK) *macs = sum_macs(c);
    if (st == MCOMP_OK) mc_graph_destroy(c);
    return st;
}

int32_t mc_count_node_macs(const mc_graph *g, int64_t free_axis, double *by_node)
{
    mc_graph *c = NULL;
    const int32_t st = sized(&c, g, free_axis);
    for (int64_t i = 0; st == MCOMP_OK && i < g->n_nodes; i++) {
        mc_op_cost cost = {0};
        by_node[i] = !c->nodes[i]->dead && mc_op_count(c->nodes[i], &cost) == MCOMP_OK ? cost.macs : 0.0;
    }
    if (st == MCOMP_OK) mc_graph_destroy(c);
    return st;
}
