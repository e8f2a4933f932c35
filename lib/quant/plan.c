/* Plans: creation, copies, and the order in which one is applied. */
#include "quant/plan.h"

int32_t mc_qplan_create(mc_qplan **out, mc_graph *g)
{
    mc_qplan *p = mc_calloc(1, sizeof *p);
    if (!p) return MCOMP_NO_MEMORY;
    p->g = g;
    p->n_nodes = g->n_nodes;
    p->n_values = g->n_values;
    p->range = "auto";
    p->node = mc_calloc((size_t)g->n_nodes + 1, sizeof *p->node);
    p->value = mc_calloc((size_t)g->n_values + 1, sizeof *p->value);
    if (!p->node || !p->value) {
        mc_qplan_destroy(p);
        return MCOMP_NO_MEMORY;
    }
    for (int64_t i = 0; i < p->n_nodes; i++) p->node[i].error = -1.0;
    for (int64_t i = 0; i < p->n_values; i++) p->value[i].group = (int32_t)i;
    *out = p;
    return MCOMP_OK;
}

void mc_qplan_destroy(mc_qplan *p)
{
    if (!p) return;
    mc_free(p->node);
    mc_free(p->value);
    mc_free(p);
}

int32_t mc_qplan_clone(mc_qplan **out, const mc_qplan *p, mc_graph *g)
{
    mc_qplan *c = NULL;
    int32_t st = MCOMP_OK;
    MC_TRY(mc_qplan_create(&c, g));
    if (c->n_nodes != p->n_nodes || c->n_values != p->n_values)
        MC_FAIL(MCOMP_INTERNAL, NULL, "a plan was copied to another graph");
    memcpy(c->node, p->node, sizeof *c->node * (size_t)p->n_nodes);
    for (int64_t i = 0; i < c->n_nodes; i++) c->node[i].integer = 0;
    c->qdq = p->qdq;
    c->range = p->range;
    c->percentile = p->percentile;
    c->calibrator = p->calibrator;
    *out = c;
    c = NULL;
done:
    mc_qplan_destroy(c);
    return st;
}

int32_t mc_qplan_apply(mc_qplan *p)
{
    int32_t st = MCOMP_OK;
    int64_t removed;
    MC_TRY(mc_q_static_mark(p));
    MC_TRY(mc_q_static_grids(p));
    MC_TRY(mc_q_static_apply(p));
    MC_TRY(mc_q_dynamic_apply(p));
    MC_TRY(mc_q_tables_apply(p));
    MC_TRY(mc_graph_remove_dead(p->g, &removed));
    MC_TRY(mc_infer_graph(p->g));
    MC_TRY(mc_graph_validate(p->g));
done:
    return st;
}
