/* Binary cross-entropy of scores before the sigmoid: the mean of softplus(x) - x t, targets of the output's shape in [0, 1]. */
#include "train/train.h"

mc_value *mc_loss_bce(mc_loss_site *s);

mc_value *mc_loss_bce(mc_loss_site *s)
{
    mc_value *x = s->out[0], *t = mc_loss_target(s, &x->type);
    mc_value *soft = mc_loss_node(s, "Softplus", 1, &x), *xt = mc_loss_node(s, "Mul", 2, (mc_value *[]){x, t});
    return mc_loss_mean(s, mc_loss_node(s, "Sub", 2, (mc_value *[]){soft, xt}));
}
