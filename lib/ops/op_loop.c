/* Loop: types only (the executor runs the body). Inputs: trip count, condition, carried values; body: iteration, condition, carried
 * values -> condition, carried values, scan outputs. Carried values may change their shape from one iteration to the next, so only
 * dtypes are certain; a scan output has one axis more than what the body gives, as long as the number of iterations. */
#include "ops/internal.h"

static int32_t infer(mc_infer *c)
{
    const mc_attr *a = mc_node_attr(c->node, "body");
    const int32_t carried = c->n_in - 2;
    if (!a || !a->graph) return mc_infer_fail(c, MCOMP_FORMAT, "no body");
    if (a->graph->n_inputs != c->n_in || a->graph->n_outputs < 1 + c->n_out || c->n_out < carried)
        return mc_infer_fail(c, MCOMP_FORMAT, "the body has %lld inputs and %lld outputs, the node %d and %d", (long long)a->graph->n_inputs,
                             (long long)a->graph->n_outputs, c->n_in, c->n_out);
    for (int32_t k = 0; k < c->n_out; k++) {
        const mc_type *t = &a->graph->outputs[1 + k]->type;
        c->out[k].dtype = t->dtype ? t->dtype : k < carried && c->in[2 + k] ? c->in[2 + k]->dtype : MCOMP_UNDEFINED;
        if (k < carried || t->rank < 0 || t->rank >= MC_MAX_RANK) continue;
        c->out[k].rank = t->rank + 1;
        c->out[k].dim[0] = mc_infer_symbol(c);
        for (int32_t i = 0; i < t->rank; i++) c->out[k].dim[i + 1] = t->dim[i] >= 0 ? t->dim[i] : mc_infer_symbol(c);
    }
    return MCOMP_OK;
}

const mc_op mc_op_Loop = {.name = "Loop", .domain = "", .version = 21, .since = 1, .min_in = 0, .max_in = -1, .min_out = 0,
                          .max_out = -1, .traits = MC_OP_CONTROL, .quant = MC_Q_NONE, .infer = infer};
