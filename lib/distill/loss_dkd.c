/* Decoupled distillation (Zhao et al., 2022). With y the label, b = [p_y, 1 - p_y] and p^ the softmax over the classes other than y:
 *
 *   T^2 / N * sum over rows of KL(b_T || b_S) + 8 KL(p^_T || p^_S)
 *
 * Plain distillation weighs the second part by 1 - q_y, which is nothing where the teacher is sure. 1 and 8 are the paper's weights. With
 * two classes there is one other class and nothing to tell about it: refused. The other classes' softmax comes from scores with the
 * label's pushed down; log(1 - p_y) is log p_i - log p^_i of any other class i, exact where 1 - p_y has no digits left. */
#include "distill/distill.h"

mc_value *mc_kd_dkd(mc_kd_site *k);

#define FAR 1e9
#define BETA 8.0

typedef struct parts {
    mc_value *label, *rest;   /* [N, 1]: log p_y, log (1 - p_y) */
    mc_value *others;         /* [N, C]: log p^; far below zero at the label */
} parts;

static mc_value *mul(mc_kd_site *k, mc_value *a, mc_value *b) { return mc_loss_node(k->s, "Mul", 2, (mc_value *[]){a, b}); }
static mc_value *sub(mc_kd_site *k, mc_value *a, mc_value *b) { return mc_loss_node(k->s, "Sub", 2, (mc_value *[]){a, b}); }

static mc_value *over_classes(mc_kd_site *k, mc_value *x)
{
    return mc_loss_node_i(k->s, "ReduceSum", 2, (mc_value *[]){x, mc_loss_ints(k->s, 1, (const int64_t[]){1})}, "keepdims", 1);
}

static parts parts_of(mc_kd_site *k, mc_value *scores, mc_value *is_label, mc_value *is_other, double classes)
{
    mc_value *cooled = mul(k, scores, mc_loss_scalar(k->s, 1.0 / k->temperature));
    mc_value *log_p = mc_loss_node_i(k->s, "LogSoftmax", 1, &cooled, "axis", -1);
    mc_value *pushed = sub(k, cooled, mul(k, is_label, mc_loss_scalar(k->s, FAR)));
    parts p = {.label = over_classes(k, mul(k, log_p, is_label)), .others = mc_loss_node_i(k->s, "LogSoftmax", 1, &pushed, "axis", -1)};
    mc_value *each = sub(k, mul(k, log_p, is_other), mul(k, p.others, is_other));
    p.rest = mul(k, over_classes(k, each), mc_loss_scalar(k->s, 1.0 / (classes - 1.0)));
    return p;
}

/* exp(a) (a - b) */
static mc_value *divergence(mc_kd_site *k, mc_value *a, mc_value *b) { return mul(k, mc_loss_node(k->s, "Exp", 1, &a), sub(k, a, b)); }

mc_value *mc_kd_dkd(mc_kd_site *k)
{
    mc_loss_site *s = k->s;
    const int64_t classes = k->student->type.dim[1];
    int64_t numbers[1024];
    if (classes < 3) return mc_loss_fail(s, MCOMP_UNSUPPORTED, "dkd needs at least 3 classes, here are %lld: use logits", (long long)classes);
    if (classes > 1024) return mc_loss_fail(s, MCOMP_LIMIT, "dkd takes at most 1024 classes, here are %lld", (long long)classes);
    if (!s->target || s->target->type.rank != 1) return mc_loss_fail(s, MCOMP_ARGUMENT, "dkd needs a class label a sample: a hard loss on classes, with alpha above 0");
    for (int64_t i = 0; i < classes; i++) numbers[i] = i;
    mc_value *column = mc_loss_node(s, "Unsqueeze", 2, (mc_value *[]){s->target, mc_loss_ints(s, 1, (const int64_t[]){1})});
    mc_value *equal = mc_loss_node(s, "Equal", 2, (mc_value *[]){column, mc_loss_ints(s, classes, numbers)});
    mc_value *is_label = mc_loss_node_i(s, "Cast", 1, &equal, "to", MCOMP_F32);
    mc_value *is_other = sub(k, mc_loss_scalar(s, 1.0), is_label);
    const parts z = parts_of(k, k->student, is_label, is_other, (double)classes), v = parts_of(k, k->teacher, is_label, is_other, (double)classes);
    mc_value *target = mc_loss_node(s, "Add", 2, (mc_value *[]){divergence(k, v.label, z.label), divergence(k, v.rest, z.rest)});
    mc_value *others = over_classes(k, divergence(k, v.others, z.others));
    mc_value *rows = mc_loss_node(s, "Add", 2, (mc_value *[]){target, mul(k, others, mc_loss_scalar(s, BETA))});
    return mul(k, mc_loss_mean(s, rows), mc_loss_scalar(s, k->temperature * k->temperature));
}
