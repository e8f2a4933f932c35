/* 1 - cosine of the angle between rows of the output and of the target, mean over rows; squared norms below 1e-12 count as 1e-12. */
#include "train/train.h"

mc_value *mc_loss_cosine(mc_loss_site *s);

static mc_value *dot(mc_loss_site *s, mc_value *a, mc_value *b)
{
    mc_value *p = mc_loss_node(s, "Mul", 2, (mc_value *[]){a, b});
    return mc_loss_node_i(s, "ReduceSum", 2, (mc_value *[]){p, mc_loss_ints(s, 1, (const int64_t[]){-1})}, "keepdims", 0);
}

static mc_value *norm(mc_loss_site *s, mc_value *a)
{
    return mc_loss_node(s, "Sqrt", 1, (mc_value *[]){mc_loss_node(s, "Max", 2, (mc_value *[]){dot(s, a, a), mc_loss_scalar(s, 1e-12)})});
}

mc_value *mc_loss_cosine(mc_loss_site *s)
{
    mc_value *x = s->out[0], *t = mc_loss_target(s, &x->type);
    mc_value *norms = mc_loss_node(s, "Mul", 2, (mc_value *[]){norm(s, x), norm(s, t)});
    mc_value *c = mc_loss_node(s, "Div", 2, (mc_value *[]){dot(s, x, t), norms});
    return mc_loss_node(s, "Sub", 2, (mc_value *[]){mc_loss_scalar(s, 1.0), mc_loss_mean(s, c)});
}
