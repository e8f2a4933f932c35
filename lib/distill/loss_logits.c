/* Distillation of scores (Hinton, Vinyals and Dean, 2015): with p = softmax(z / T) of the student and q = softmax(v / T) of the teacher,
 *
 *   T^2 / N * sum over rows of KL(q || p)
 *
 * The mean is over rows, not over classes, and T^2 is applied: the gradient T (p - q) / N keeps its size when T changes. q log q is part of
 * it, so 0 means that both agree. */
#include "distill/distill.h"

mc_value *mc_kd_logits(mc_kd_site *k);

static mc_value *log_softmax(mc_kd_site *k, mc_value *x)
{
    mc_value *cooled = mc_loss_node(k->s, "Mul", 2, (mc_value *[]){x, mc_loss_scalar(k->s, 1.0 / k->temperature)});
    return mc_loss_node_i(k->s, "LogSoftmax", 1, &cooled, "axis", -1);
}

mc_value *mc_kd_logits(mc_kd_site *k)
{
    mc_loss_site *s = k->s;
    const double classes = (double)k->student->type.dim[k->student->type.rank - 1];
    mc_value *log_p = log_softmax(k, k->student), *log_q = log_softmax(k, k->teacher);
    mc_value *q = mc_loss_node(s, "Exp", 1, &log_q);
    mc_value *d = mc_loss_node(s, "Mul", 2, (mc_value *[]){q, mc_loss_node(s, "Sub", 2, (mc_value *[]){log_q, log_p})});
    mc_value *mean = mc_loss_mean(s, d); /* over rows and classes */
    return mc_loss_node(s, "Mul", 2, (mc_value *[]){mean, mc_loss_scalar(s, k->temperature * k->temperature * classes)});
}
