/* Products of float matrices that are to be computed by BF16 instructions say so by the attribute `bf16`, the numbers an operand: the last pass, so that nodes made by other
 * passes say it too. Which operators: those whose kernels round their operands while packing (backends/cpu/matrix.h). */
#include "passes/internal.h"

static int is_product(const mc_node *n)
{
    const int ours = mc_node_is_in(n, "mcomp", "Linear") || mc_node_is_in(n, "mcomp", "Product");
    return (ours || mc_node_is(n, "MatMul") || mc_node_is(n, "Gemm")) && n->n_in >= 2 && n->in[0] && n->in[1] &&
           n->in[0]->type.dtype == MCOMP_F32 && n->in[1]->type.dtype == MCOMP_F32;
}

int32_t mc_pass_precision(mc_graph *g, const mc_pass_options *o)
{
    int32_t st = MCOMP_OK;
    for (int64_t i = 0; o->bf16 && i < g->n_order; i++)
        if (is_product(g->order[i])) MC_TRY(mc_node_set_i(g->order[i], "bf16", o->bf16));
done:
    return st;
}
