/* Embedding tables as s8: Gather(table, ids) becomes DequantizeLinear(Gather(table_s8, ids), scale, axis = last), one scale a
 * column. The table is most of a small text model's file; rounding it costs about 1e-4 of its energy, and a look-up reads a
 * quarter of the bytes. Small tables and those whose columns do not fit one scale stay float. */
#include "quant/plan.h"

enum { MIN_ELEMENTS = 65536 };
#define MAX_TABLE_ERROR 1e-3

static const char *not_table(const mc_node *n)
{
    const mc_tensor *w = n->n_in == 2 && n->in[0] && n->in[1] ? mc_value_const(n->in[0]) : NULL;
    if (!w || w->dtype != MCOMP_F32 || w->shape.rank != 2 || mc_value_const(n->in[1])) return "no table";
    if (mc_attr_i(n, "axis", 0) != 0) return "no table";
    if (mc_tensor_elements(w) < MIN_ELEMENTS) return "a small table";
    for (int64_t i = 0; i < n->in[0]->n_uses; i++)
        if (!mc_node_is(n->in[0]->uses[i].node, "Gather")) return "its table is used elsewhere as well";
    if (mc_qweight_error(w, 1) > MAX_TABLE_ERROR) return "the columns of its table do not fit one scale each";
    return NULL;
}

void mc_q_tables(mc_qplan *p)
{
    for (int64_t i = 0; i < p->n_nodes; i++) {
        const mc_node *n = p->g->nodes[i];
        if (n->dead || !mc_node_is(n, "Gather")) continue;
        const char *why = not_table(n);
        if (!why) p->node[i].kind = MC_QK_TABLE;
        else if (strcmp(why, "no table") != 0) p->node[i].why = why;
    }
}

static int32_t rewrite(mc_graph *g, mc_node *n)
{
    const mc_value *table = n->in[0];
    const int32_t rank = n->in[1]->type.rank;
    mc_value *in[3] = {NULL, NULL, NULL};
    mc_qweight q = {0};
    mc_tensor *zero = NULL;
    mc_node *gather, *deq;
    int32_t st = MCOMP_OK;
    MC_TRY(mc_qweight_make(&q, mc_value_const(table), 1, NULL, 1.0, 0));
    MC_TRY(mc_tensor_create(&zero, MCOMP_I8, &q.scale->shape));
    MC_TRY(mc_q_const_tensor(g, table->name, "_quantized", &q.q, &in[0]));
    in[1] = n->in[1];
    MC_TRY(mc_q_emit(g, "Gather", NULL, 2, in, &gather));
    MC_TRY(mc_node_set_i(gather, "axis", 0));
    in[0] = gather->out[0];
    MC_TRY(mc_q_const_tensor(g, table->name, "_scale", &q.scale, &in[1]));
    MC_TRY(mc_q_const_tensor(g, table->name, "_zero_point", &zero, &in[2]));
    MC_TRY(mc_q_emit(g, "DequantizeLinear", NULL, 3, in, &deq));
    MC_TRY(mc_node_set_i(deq, "axis", rank >= 0 ? rank : -1));
    MC_TRY(mc_node_inherit(deq, n, "quantize"));
    MC_TRY(mc_graph_replace_uses(g, n->out[0], deq->out[0]));
    mc_graph_remove_node(g, n);
done:
    mc_tensor_destroy(zero);
    mc_qweight_free(&q);
    return st;
}

int32_t mc_q_tables_apply(mc_qplan *p)
{
    int32_t st = MCOMP_OK;
    for (int64_t i = 0; i < p->n_nodes; i++)
        if (p->node[i].kind == MC_QK_TABLE && !p->g->nodes[i]->dead) MC_TRY(rewrite(p->g, p->g->nodes[i]));
    MC_TRY(mc_graph_sort(p->g));
done:
    return st;
}
