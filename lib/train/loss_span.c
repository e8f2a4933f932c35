/* Start and end of an answer: two outputs [N, S], labels [N, 2] (start, end); the mean of both cross-entropies. -100: no such position. */
#include "train/train.h"

mc_value *mc_loss_span(mc_loss_site *s);

static mc_value *half(mc_loss_site *s, int64_t k)
{
    mc_value *label = mc_loss_node_i(s, "Gather", 2, (mc_value *[]){s->target, mc_loss_ints(s, 1, &k)}, "axis", 1);
    label = mc_loss_node(s, "Squeeze", 2, (mc_value *[]){label, mc_loss_ints(s, 1, (const int64_t[]){1})});
    return mc_loss_node_i(s, "SoftmaxCrossEntropyLoss", 2, (mc_value *[]){s->out[k], label}, "ignore_index", -100);
}

mc_value *mc_loss_span(mc_loss_site *s)
{
    if (s->n_out < 2 || s->out[0]->type.rank != 2 || s->out[1]->type.rank != 2)
        return mc_loss_fail(s, MCOMP_SHAPE, "span needs two outputs [batch, positions]: scores of the start and of the end");
    const mc_type type = {.dtype = MCOMP_I64, .rank = 2, .dim = {s->out[0]->type.dim[0], 2}};
    if (!mc_loss_target(s, &type)) return NULL;
    mc_value *sum = mc_loss_node(s, "Add", 2, (mc_value *[]){half(s, 0), half(s, 1)});
    return mc_loss_node(s, "Mul", 2, (mc_value *[]){sum, mc_loss_scalar(s, 0.5)});
}
