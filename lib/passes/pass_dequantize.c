/* Weights that stayed behind a DequantizeLinear because nothing runs them on integers are dequantized once, when the plan is made.
 * Only the plan pays the memory: the graph that is saved keeps its integers. */
#include "passes/internal.h"

int32_t mc_pass_dequantize(mc_graph *g, const mc_pass_options *o)
{
    int32_t st = MCOMP_OK;
    (void)o;
    for (int64_t i = 0; i < g->n_order; i++) {
        mc_node *n = g->order[i];
        const mc_tensor *in[3] = {NULL};
        mc_tensor *out = NULL;
        if (n->dead || !mc_node_is(n, "DequantizeLinear") || n->n_in > 3 || !n->out[0]) continue;
        int constant = 1;
        for (int32_t k = 0; k < n->n_in; k++) {
            in[k] = mc_value_const(n->in[k]);
            constant &= !n->in[k] || (in[k] && !(n->in[k]->flags & MC_VALUE_VARIABLE));
        }
        if (!constant) continue;
        st = mc_op_eval(n, n->n_in, in, &out);
        if (st == MCOMP_NO_MEMORY) return st;
        mc_error_clear();
        if (st != MCOMP_OK) continue; /* its error shows when it runs */
        MC_TRY(mc_value_make_const(g, n->out[0], out));
        mc_graph_remove_node(g, n);
    }
    st = MCOMP_OK;
done:
    return st;
}
