/* Mean squared error: the mean of (x - t)^2 over all elements; targets of the output's shape. */
#include "train/train.h"

mc_value *mc_loss_mse(mc_loss_site *s);

mc_value *mc_loss_mse(mc_loss_site *s)
{
    mc_value *x = s->out[0], *t = mc_loss_target(s, &x->type), *d = mc_loss_node(s, "Sub", 2, (mc_value *[]){x, t});
    return mc_loss_mean(s, mc_loss_node(s, "Mul", 2, (mc_value *[]){d, d}));
}
