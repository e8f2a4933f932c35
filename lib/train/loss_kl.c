/* Kullback-Leibler divergence of softmax(scores) from target probabilities: the mean over rows of sum_k t (log t - log p); t log t is 0
 * at t = 0. Scores and targets [..., C]. */
#include "train/train.h"

mc_value *mc_loss_kl(mc_loss_site *s);

mc_value *mc_loss_kl(mc_loss_site *s)
{
    mc_value *x = s->out[0], *t = mc_loss_target(s, &x->type);
    const int32_t rank = x->type.rank;
    if (rank < 1 || x->type.dim[rank - 1] < 1) return mc_loss_fail(s, MCOMP_SHAPE, "kl needs scores with a known number of classes on the last axis");
    mc_value *log_p = mc_loss_node_i(s, "LogSoftmax", 1, &x, "axis", -1);
    mc_value *log_t = mc_loss_node(s, "Log", 1, (mc_value *[]){mc_loss_node(s, "Max", 2, (mc_value *[]){t, mc_loss_scalar(s, 1e-30)})});
    mc_value *d = mc_loss_node(s, "Mul", 2, (mc_value *[]){t, mc_loss_node(s, "Sub", 2, (mc_value *[]){log_t, log_p})});
    mc_value *mean = mc_loss_mean(s, d); /* over rows and classes */
    return mc_loss_node(s, "Mul", 2, (mc_value *[]){mean, mc_loss_scalar(s, (double)x->type.dim[rank - 1])});
}
