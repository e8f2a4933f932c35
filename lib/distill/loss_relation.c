/* Relations of tokens in the last layer (MiniLM v2, Wang et al., 2021). For X of queries, keys, values, cut into A relation heads of width
 * d = D / A, R = X X' / sqrt(d) says how each token sees the others;
 *
 *   1/3 sum over X of the mean over heads and real tokens of KL(softmax R_T || softmax R_S)
 *
 * Only A is shared: student and teacher may differ in width and in attention heads, and nothing is projected. A is the largest number up to
 * 12 that divides both widths; more heads tell more and cost A S^2 numbers a sample. */
#include "distill/distill.h"

#include <math.h>

mc_value *mc_kd_relation(mc_kd_site *k);

#define MOST_HEADS 12

static int64_t heads_of(int64_t a, int64_t b)
{
    int64_t n = MOST_HEADS;
    while (a % n != 0 || b % n != 0) n--;
    return n;
}

static mc_value *transpose(mc_loss_site *s, mc_value *x, const int64_t perm[4])
{
    mc_node *n = NULL;
    if (s->status == MCOMP_OK) s->status = mc_graph_add_node(s->g, "", "Transpose", 0, NULL, 1, &x, 1, NULL, &n);
    if (s->status == MCOMP_OK) s->status = mc_node_set_ints(n, "perm", perm, 4);
    if (s->status == MCOMP_OK) s->status = mc_infer_node(s->g, n);
    return s->status == MCOMP_OK ? n->out[0] : NULL;
}

/* log softmax of the relations of x [N, S, D]: [N, A, S, S]. away: far below zero at padding, [N, 1, 1, S]. */
static mc_value *relations(mc_kd_site *k, mc_value *x, int64_t heads, mc_value *away)
{
    mc_loss_site *s = k->s;
    const int64_t width = x->type.dim[2] / heads, split[] = {0, 0, heads, width};
    mc_value *cut = mc_loss_node(s, "Reshape", 2, (mc_value *[]){x, mc_loss_ints(s, 4, split)});
    mc_value *a = transpose(s, cut, (const int64_t[]){0, 2, 1, 3}), *b = transpose(s, cut, (const int64_t[]){0, 2, 3, 1});
    mc_value *r = mc_loss_node(s, "MatMul", 2, (mc_value *[]){a, b});
    r = mc_loss_node(s, "Mul", 2, (mc_value *[]){r, mc_loss_scalar(s, 1.0 / sqrt((double)width))});
    r = mc_loss_node(s, "Add", 2, (mc_value *[]){r, away});
    return mc_loss_node_i(s, "LogSoftmax", 1, &r, "axis", -1);
}

mc_value *mc_kd_relation(mc_kd_site *k)
{
    mc_loss_site *s = k->s;
    mc_value *sum = NULL;
    mc_value *pad = mc_loss_node(s, "Sub", 2, (mc_value *[]){k->tokens.mask, mc_loss_scalar(s, 1.0)});
    mc_value *away = mc_loss_node(s, "Unsqueeze", 2, (mc_value *[]){mc_loss_node(s, "Mul", 2, (mc_value *[]){pad, mc_loss_scalar(s, 1e9)}), mc_loss_ints(s, 2, (const int64_t[]){1, 2})});
    for (int i = MC_TOKENS_Q; i <= MC_TOKENS_V; i++) {
        mc_value *student = k->tokens.student[i], *teacher = k->tokens.teacher[i];
        const int64_t heads = heads_of(student->type.dim[2], teacher->type.dim[2]);
        mc_value *log_p = relations(k, student, heads, away), *log_q = relations(k, teacher, heads, away);
        mc_value *d = mc_loss_node(s, "Sub", 2, (mc_value *[]){log_q, log_p});
        d = mc_loss_node(s, "Mul", 2, (mc_value *[]){mc_loss_node(s, "Exp", 1, &log_q), d});
        d = mc_loss_node_i(s, "ReduceSum", 2, (mc_value *[]){d, mc_loss_ints(s, 1, (const int64_t[]){3})}, "keepdims", 0);  /* [N, A, S] */
        d = mc_loss_node_i(s, "ReduceMean", 2, (mc_value *[]){d, mc_loss_ints(s, 1, (const int64_t[]){1})}, "keepdims", 0); /* over heads */
        d = mc_loss_node(s, "Unsqueeze", 2, (mc_value *[]){d, mc_loss_ints(s, 1, (const int64_t[]){2})});
        sum = sum ? mc_loss_node(s, "Add", 2, (mc_value *[]){sum, d}) : d;
    }
    return mc_kd_over_tokens(k, mc_loss_node(s, "Mul", 2, (mc_value *[]){sum, mc_loss_scalar(s, 1.0 / 3.0)}));
}
