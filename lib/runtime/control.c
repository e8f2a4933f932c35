/* Control flow: a subgraph becomes a graph of its own, whose inputs are the outer values it captures, and runs as a nested session
 * with plans, kernels and memory like any other. */
#include "runtime/control.h"

int mc_control_supported(const mc_node *n) { return mc_node_is(n, "If"); }

/* Clone of a subgraph with every captured value turned into an input, in order of the owner's captures. */
static int32_t standalone(mc_graph **out, const mc_graph *sub, const mc_node *owner)
{
    int32_t st = MCOMP_OK;
    mc_graph *g = NULL;
    *out = NULL;
    MC_TRY(mc_graph_clone(&g, sub));
    MC_TRY(mc_grow(&g->inputs, &g->cap_inputs, g->n_inputs + owner->n_cap, sizeof *g->inputs));
    for (int32_t c = 0; c < owner->n_cap; c++) {
        mc_value *v = NULL;
        for (int64_t i = 0; i < g->n_values; i++)
            if (!g->values[i]->dead && g->values[i]->capture == c) v = g->values[i];
        if (!v) { /* captured by the other branch only */
            MC_TRY(mc_graph_add_value(g, owner->in[owner->n_in + c]->name, NULL, &v));
        }
        v->capture = -1;
        v->type = owner->in[owner->n_in + c]->type;
        for (int32_t k = 0; k < v->type.rank; k++)
            if (v->type.dim[k] < 0) v->type.rank = -1; /* outer symbols mean nothing here */
        v->flags |= MC_VALUE_INPUT;
        g->inputs[g->n_inputs++] = v;
    }
    *out = g;
    return MCOMP_OK;
done:
    mc_graph_destroy(g);
    return st;
}

int32_t mc_if_open(mcomp_session *s, const mc_node *n, mcomp_session *branch[2])
{
    static const char *const names[2] = {"then_branch", "else_branch"};
    int32_t st = MCOMP_OK;
    mc_graph *g = NULL;
    if (n->n_in < 1 || !n->in[0]) MC_FAIL(MCOMP_FORMAT, n->name, "If has no condition");
    for (int i = 0; i < 2; i++) {
        const mc_attr *a = mc_node_attr(n, names[i]);
        if (!a || !a->graph || a->graph->n_outputs != n->n_out) MC_FAIL(MCOMP_FORMAT, n->name, "If needs %s with %d outputs", names[i], n->n_out);
        MC_TRY(standalone(&g, a->graph, n));
        MC_TRY(mc_session_nested(&branch[i], s, g));
        mc_graph_destroy(g);
        g = NULL;
    }
done:
    mc_graph_destroy(g);
    return st;
}
