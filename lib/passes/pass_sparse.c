/* Which kernel runs weights with zeros is the backend's choice (backends/cpu/sparse.c); both give the same bits. A session that
 * compares them says so in the attribute `sparse` of integer products: 1 the sparse kernel always, -1 never. */
#include "passes/internal.h"

static int is_product(const mc_node *n)
{
    return mc_node_is_in(n, "mcomp", "QLinear") || mc_node_is_in(n, "mcomp", "QConv") || mc_node_is(n, "MatMulInteger");
}

int32_t mc_pass_sparse(mc_graph *g, const mc_pass_options *o)
{
    int32_t st = MCOMP_OK;
    for (int64_t i = 0; o->sparse && i < g->n_order; i++)
        if (is_product(g->order[i])) MC_TRY(mc_node_set_i(g->order[i], "sparse", o->sparse));
done:
    return st;
}
