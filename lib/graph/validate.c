/* Structural checks: single assignment, everything produced, no cycle; subgraphs too. */
#include "graph/internal.h"

static int32_t check_node(const mc_graph *g, const mc_node *n)
{
    int32_t st = MCOMP_OK;
    for (int32_t i = 0; i < n->n_in + n->n_cap; i++) {
        const mc_value *v = n->in[i];
        if (!v) continue;
        if (v->id < 0 || v->id >= g->n_values || g->values[v->id] != v || v->dead)
            MC_FAIL(MCOMP_FORMAT, n->name, "input %d is not a value of this graph", i);
        if (!v->producer && !v->init && !(v->flags & MC_VALUE_INPUT) && v->capture < 0)
            MC_FAIL(MCOMP_FORMAT, n->name, "input \"%s\" is never produced", v->name);
    }
    for (int32_t i = 0; i < n->n_out; i++) {
        const mc_value *v = n->out[i];
        if (v && (v->producer != n || v->producer_index != i))
            MC_FAIL(MCOMP_FORMAT, n->name, "output \"%s\" has two producers", v->name);
    }
    for (int32_t i = 0; i < n->n_attrs; i++)
        if (n->attrs[i].graph) MC_TRY(mc_graph_validate(n->attrs[i].graph));
done:
    return st;
}

int32_t mc_graph_validate(const mc_graph *g)
{
    int32_t st = MCOMP_OK;
    for (int64_t i = 0; i < g->n_nodes; i++)
        if (!g->nodes[i]->dead) MC_TRY(check_node(g, g->nodes[i]));
    for (int64_t i = 0; i < g->n_outputs; i++) {
        const mc_value *v = g->outputs[i];
        if (!v->producer && !v->init && !(v->flags & MC_VALUE_INPUT) && v->capture < 0)
            MC_FAIL(MCOMP_FORMAT, v->name, "the graph output is never produced");
    }
done:
    return st;
}
