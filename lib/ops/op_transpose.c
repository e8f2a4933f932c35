/* Transpose: y[i0..] = x[i permuted]. Without perm the axes are reversed. */
#include "ops/grad.h"
#include "ops/internal.h"

/* The permutation; 0 when it is none of `rank` axes. */
static int read_perm(const mc_node *n, int32_t rank, int32_t *perm)
{
    int64_t count;
    uint32_t seen = 0;
    const int64_t *p = mc_attr_ints(n, "perm", &count);
    if (p && count != rank) return 0;
    for (int32_t i = 0; i < rank; i++) {
        const int64_t a = p ? p[i] : rank - 1 - i;
        if (a < 0 || a >= rank || (seen >> a & 1u)) return 0;
        seen |= 1u << a;
        perm[i] = (int32_t)a;
    }
    return 1;
}

static int32_t infer(mc_infer *c)
{
    int32_t perm[MC_MAX_RANK];
    int64_t count;
    const mc_type *x = c->in[0];
    c->out[0].dtype = x->dtype;
    if (x->rank < 0) {
        const int64_t *p = mc_attr_ints(c->node, "perm", &count);
        if (!p || count > MC_MAX_RANK) return MCOMP_OK;
        c->out[0].rank = (int32_t)count;
        for (int32_t i = 0; i < c->out[0].rank; i++) c->out[0].dim[i] = mc_infer_symbol(c);
        return MCOMP_OK;
    }
    if (!read_perm(c->node, x->rank, perm)) return mc_infer_fail(c, MCOMP_FORMAT, "perm is no permutation of %d axes", x->rank);
    c->out[0].rank = x->rank;
    for (int32_t i = 0; i < x->rank; i++) c->out[0].dim[i] = x->dim[perm[i]];
    if (x->rank <= 1) mc_infer_copy_data(c, 0, 0);
    return MCOMP_OK;
}

static int32_t forward(const mc_op_run *r)
{
    int32_t perm[MC_MAX_RANK];
    int64_t to[MC_MAX_RANK], x[MC_MAX_RANK], from[MC_MAX_RANK];
    const mc_shape *s = &r->in[0]->shape;
    mc_shape want = {.rank = s->rank};
    if (!read_perm(r->node, s->rank, perm)) return mc_op_fail(r, MCOMP_FORMAT, "perm is no permutation");
    mc_contiguous_strides(s, x);
    for (int32_t i = 0; i < s->rank; i++) {
        want.dim[i] = s->dim[perm[i]];
        from[i] = x[perm[i]];
    }
    const int32_t st = mc_run_expect(r, 0, &want);
    if (st != MCOMP_OK) return st;
    mc_contiguous_strides(&want, to);
    mc_move(r->out[0], 0, to, r->in[0], 0, from, &want);
    return MCOMP_OK;
}

static int32_t gradient(mc_op_grad *c)
{
    int64_t count, back[MC_MAX_RANK];
    const int64_t *perm = mc_attr_ints(c->node, "perm", &count);
    mc_node *n = mc_grad_begin(c, "Transpose", 1, c->dy, 1);
    if (!n) return c->status;
    for (int64_t i = 0; i < count && i < MC_MAX_RANK; i++)
        if (perm[i] >= 0 && perm[i] < MC_MAX_RANK) back[perm[i]] = i;
    if (perm) c->status = mc_node_set_ints(n, "perm", back, count);
    c->dx[0] = mc_grad_end(c, n);
    return c->status;
}

const mc_op mc_op_Transpose = {.name = "Transpose", .domain = "", .version = 21, .since = 1, .min_in = 1, .max_in = 1, .min_out = 1,
                               .max_out = 1, .traits = MC_OP_SHAPE_GLUE, .quant = MC_Q_PASS, .axes = mc_axes_transpose, .infer = infer, .forward = forward,
                               .gradient = gradient};
