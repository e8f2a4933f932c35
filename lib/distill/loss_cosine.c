/* Direction of the last hidden state (Sanh et al., 2019): the mean over real tokens of 1 - s.t / (|s| |t|). Student and teacher have the same
 * width. */
#include "distill/distill.h"

mc_value *mc_kd_cosine(mc_kd_site *k);

static mc_value *dot(mc_kd_site *k, mc_value *a, mc_value *b) /* [N, S, 1] */
{
    mc_value *x = mc_loss_node(k->s, "Mul", 2, (mc_value *[]){a, b});
    return mc_loss_node_i(k->s, "ReduceSum", 2, (mc_value *[]){x, mc_loss_ints(k->s, 1, (const int64_t[]){2})}, "keepdims", 1);
}

/* |x|, never 0: padding has a teacher of zeros. */
static mc_value *norm(mc_kd_site *k, mc_value *x)
{
    mc_value *square = mc_loss_node(k->s, "Add", 2, (mc_value *[]){dot(k, x, x), mc_loss_scalar(k->s, 1e-8)});
    return mc_loss_node(k->s, "Sqrt", 1, &square);
}

mc_value *mc_kd_cosine(mc_kd_site *k)
{
    mc_value *s = k->tokens.student[MC_TOKENS_HIDDEN], *t = k->tokens.teacher[MC_TOKENS_HIDDEN];
    if (s->type.dim[2] != t->type.dim[2])
        return mc_loss_fail(k->s, MCOMP_SHAPE, "cosine needs hidden states of one width; the student has %lld, the teacher %lld: use hidden", (long long)s->type.dim[2], (long long)t->type.dim[2]);
    mc_value *lengths = mc_loss_node(k->s, "Mul", 2, (mc_value *[]){norm(k, s), norm(k, t)});
    mc_value *cosine = mc_loss_node(k->s, "Div", 2, (mc_value *[]){dot(k, s, t), lengths});
    return mc_kd_over_tokens(k, mc_loss_node(k->s, "Sub", 2, (mc_value *[]){mc_loss_scalar(k->s, 1.0), cosine}));
}
