/* If: types only (the executor runs the branches). Subgraphs are inferred before this is called; where the branches differ,
 * dims become fresh symbols. A constant condition leaves one branch to look at. */
#include "ops/internal.h"

static int32_t branch_type(mc_infer *c, const char *name, int32_t k, mc_type *t)
{
    const mc_attr *a = mc_node_attr(c->node, name);
    *t = (mc_type){.rank = -1};
    if (!a || !a->graph) return mc_infer_fail(c, MCOMP_FORMAT, "no %s", name);
    if (a->graph->n_outputs != c->n_out)
        return mc_infer_fail(c, MCOMP_FORMAT, "%s has %lld outputs, the node %d", name, (long long)a->graph->n_outputs, c->n_out);
    if (!a->graph->outputs[k]) return MCOMP_OK;
    if (c->graph) return mc_type_out_of(a->graph, c->graph, &a->graph->outputs[k]->type, t);
    *t = a->graph->outputs[k]->type;
    for (int32_t i = 0; i < t->rank; i++)
        if (t->dim[i] < 0) t->dim[i] = MC_DIM_ANONYMOUS;
    return MCOMP_OK;
}

static int32_t unite(mc_infer *c, int32_t k, const mc_type *a, const mc_type *b)
{
    mc_type *y = &c->out[k];
    *y = *a;
    if (!a->dtype) y->dtype = b->dtype;
    else if (b->dtype && b->dtype != a->dtype)
        return mc_infer_fail(c, MCOMP_DTYPE, "output %d is %s in one branch and %s in the other", k, mc_dtype_name(a->dtype),
                             mc_dtype_name(b->dtype));
    if (a->rank != b->rank) {
        y->rank = -1;
        return MCOMP_OK;
    }
    for (int32_t i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i]) y->dim[i] = mc_infer_symbol(c);
    return MCOMP_OK;
}

static int32_t infer(mc_infer *c)
{
    int32_t st = MCOMP_OK;
    const mc_tensor *cond = c->cst[0];
    if (c->in[0]->dtype && c->in[0]->dtype != MCOMP_BOOL) return mc_infer_fail(c, MCOMP_DTYPE, "the condition must be bool");
    const int known = cond && cond->dtype == MCOMP_BOOL && mc_tensor_elements(cond) == 1;
    for (int32_t k = 0; k < c->n_out; k++) {
        mc_type a, b;
        MC_TRY(branch_type(c, "then_branch", k, &a));
        MC_TRY(branch_type(c, "else_branch", k, &b));
        if (known) c->out[k] = mc_tensor_get_i64(cond, 0) ? a : b;
        else MC_TRY(unite(c, k, &a, &b));
    }
done:
    return st;
}

const mc_op mc_op_If = {.name = "If", .domain = "", .version = 21, .since = 1, .min_in = 1, .max_in = 1, .min_out = 1,
                        .max_out = -1, .traits = MC_OP_CONTROL, .quant = MC_Q_NONE, .infer = infer};
