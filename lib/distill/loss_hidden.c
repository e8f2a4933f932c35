/* The last hidden state through a trained projection (Romero et al., 2015; Jiao et al., 2020): with H of the student [n, D_S], H_T of the
 * teacher [n, D_T] and W [D_S, D_T], n real tokens,
 *
 *   |H W - H_T|^2 / (n D_T)
 *
 * W is trained with the student and left behind: it is the identity at first where the widths agree, N(0, 0.02) elsewhere. */
#include "distill/distill.h"

#include <math.h>

mc_value *mc_kd_hidden(mc_kd_site *k);

static int32_t projection(mc_tensor **out, int64_t from, int64_t to)
{
    const mc_shape shape = {.rank = 2, .dim = {from, to}};
    const int32_t st = mc_tensor_create(out, MCOMP_F32, &shape);
    if (st != MCOMP_OK) return st;
    float *w = (*out)->data;
    for (int64_t i = 0; i < from * to; i++) {
        uint32_t r[4];
        if (from == to) {
            w[i] = i / to == i % to ? 1.0f : 0.0f;
            continue;
        }
        mc_rng_block(1, UINT64_C(0x68696464656e), (uint64_t)i, r);
        const double u = ((double)r[0] + 1.0) / 4294967297.0, v = (double)r[1] / 4294967296.0; /* Box and Muller */
        w[i] = (float)(0.02 * sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v));
    }
    return MCOMP_OK;
}

mc_value *mc_kd_hidden(mc_kd_site *k)
{
    mc_loss_site *s = k->s;
    mc_value *h = k->tokens.student[MC_TOKENS_HIDDEN], *t = k->tokens.teacher[MC_TOKENS_HIDDEN];
    mc_tensor *start = NULL;
    if (s->status == MCOMP_OK) s->status = projection(&start, h->type.dim[2], t->type.dim[2]);
    mc_value *w = mc_loss_parameter(s, "mcomp.teacher.projection", start);
    mc_value *e = mc_loss_node(s, "Sub", 2, (mc_value *[]){mc_loss_node(s, "MatMul", 2, (mc_value *[]){h, w}), t});
    mc_value *square = mc_loss_node(s, "Mul", 2, (mc_value *[]){e, e});
    return mc_kd_over_tokens(k, mc_loss_node_i(s, "ReduceMean", 2, (mc_value *[]){square, mc_loss_ints(s, 1, (const int64_t[]){2})}, "keepdims", 1));
}
