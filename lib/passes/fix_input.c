/* Fixes a graph input to a constant: it leaves the list of inputs, and what follows from it is folded. */
#include "passes/internal.h"

static int32_t check(const mc_value *v, const mc_tensor *t, const char *name)
{
    char have[128];
    if (v->type.dtype != MCOMP_UNDEFINED && v->type.dtype != t->dtype)
        return mc_fail(MCOMP_DTYPE, name, "the input is %s, the value is %s", mc_dtype_name(v->type.dtype), mc_dtype_name(t->dtype));
    if (v->type.rank < 0) return MCOMP_OK;
    int fits = v->type.rank == t->shape.rank;
    for (int32_t i = 0; fits && i < v->type.rank; i++) fits = v->type.dim[i] < 0 || v->type.dim[i] == t->shape.dim[i];
    if (fits) return MCOMP_OK;
    return mc_fail(MCOMP_SHAPE, name, "the value has shape %s, which the input does not take",
                   mc_shape_text(&t->shape, have, sizeof have));
}

int32_t mc_pass_fix_input(mc_graph *g, const char *name, const mc_tensor *t, const mc_pass_options *o)
{
    int32_t st = MCOMP_OK;
    mc_tensor *copy;
    mc_value *v = mc_graph_find_value(g, name);
    if (!v || !(v->flags & MC_VALUE_INPUT)) return mc_fail(MCOMP_ARGUMENT, name, "the graph has no input of this name");
    MC_TRY(check(v, t, name));
    MC_TRY(mc_tensor_copy(&copy, t));
    int64_t kept = 0;
    for (int64_t i = 0; i < g->n_inputs; i++)
        if (g->inputs[i] != v) g->inputs[kept++] = g->inputs[i];
    g->n_inputs = kept;
    v->flags &= ~(uint32_t)MC_VALUE_INPUT;
    MC_TRY(mc_value_make_const(g, v, copy));
    st = mc_passes_run(g, MC_STAGE_LOAD, o);
done:
    return st;
}
