/* Squeeze and Unsqueeze, axes as input 1. */
#include "ops/grad.h"
#include "ops/internal.h"

/* Axes of the list as a bit mask over `rank`; a repeated axis is an error. */
static int32_t axes_mask(const mc_infer *c, const int64_t *axes, int32_t n, int32_t rank, uint32_t *mask)
{
    *mask = 0;
    for (int32_t i = 0; i < n; i++) {
        int32_t a;
        const int32_t st = mc_infer_axis(c, axes[i], rank, &a);
        if (st != MCOMP_OK) return st;
        if (*mask >> a & 1u) return mc_infer_fail(c, MCOMP_FORMAT, "axis %d is named twice", a);
        *mask |= 1u << a;
    }
    return MCOMP_OK;
}

/* Only the number of axes may be known. */
static int32_t unknown_axes(mc_infer *c, int32_t sign)
{
    const mc_type *x = c->in[0], *a = c->in[1];
    if (x->rank < 0 || a->rank != 1 || a->dim[0] < 0) return MCOMP_OK;
    const int32_t st = mc_infer_set_rank(c, 0, x->rank + sign * a->dim[0]);
    for (int32_t i = 0; st == MCOMP_OK && i < c->out[0].rank; i++) c->out[0].dim[i] = mc_infer_symbol(c);
    return st;
}

static int32_t infer_squeeze(mc_infer *c)
{
    int32_t st = MCOMP_OK, n = 0, rank = 0;
    int64_t axes[MC_MAX_RANK];
    uint32_t mask = 0;
    const mc_type *x = c->in[0];
    c->out[0].dtype = x->dtype;
    mc_infer_copy_data(c, 0, 0);
    if (mc_has(c, 1) && !mc_infer_ints(c, 1, axes, MC_MAX_RANK, &n)) return unknown_axes(c, -1);
    if (x->rank < 0) return MCOMP_OK;
    if (mc_has(c, 1)) {
        MC_TRY(axes_mask(c, axes, n, x->rank, &mask));
    } else {
        for (int32_t i = 0; i < x->rank; i++) {
            if (x->dim[i] < 0) return MCOMP_OK; /* whether it goes is known at run time only */
            mask |= (uint32_t)(x->dim[i] == 1) << i;
        }
    }
    for (int32_t i = 0; i < x->rank; i++) {
        if (!(mask >> i & 1u)) c->out[0].dim[rank++] = x->dim[i];
        else if (x->dim[i] >= 0 && x->dim[i] != 1)
            MC_TRY(mc_infer_fail(c, MCOMP_SHAPE, "axis %d has size %lld, not 1", i, (long long)x->dim[i]));
    }
    c->out[0].rank = rank;
done:
    return st;
}

static int32_t infer_unsqueeze(mc_infer *c)
{
    int32_t st = MCOMP_OK, n = 0;
    int64_t axes[MC_MAX_RANK];
    uint32_t mask = 0;
    const mc_type *x = c->in[0];
    c->out[0].dtype = x->dtype;
    mc_infer_copy_data(c, 0, 0);
    if (!mc_infer_ints(c, 1, axes, MC_MAX_RANK, &n)) return unknown_axes(c, 1);
    if (x->rank < 0) return MCOMP_OK;
    MC_TRY(mc_infer_set_rank(c, 0, x->rank + n));
    MC_TRY(axes_mask(c, axes, n, c->out[0].rank, &mask));
    for (int32_t i = 0, k = 0; i < c->out[0].rank; i++) c->out[0].dim[i] = mask >> i & 1u ? 1 : x->dim[k++];
done:
    if (st != MCOMP_OK) c->out[0].rank = -1;
    return st;
}

static int32_t forward(const mc_op_run *r)
{
    if (mc_tensor_bytes(r->out[0]) != mc_tensor_bytes(r->in[0])) return mc_op_fail(r, MCOMP_SHAPE, "the sizes differ");
    mc_move_all(r->out[0], r->in[0]);
    return MCOMP_OK;
}

static int32_t gradient(mc_op_grad *c)
{
    if (mc_grad_wants(c, 0)) c->dx[0] = mc_grad_reshape_like(c, c->dy[0], c->x[0]);
    return c->status;
}

const mc_op mc_op_Squeeze = {.name = "Squeeze", .domain = "", .version = 21, .since = 13, .min_in = 1, .max_in = 2, .min_out = 1,
                             .max_out = 1, .traits = MC_OP_VIEW | MC_OP_SHAPE_GLUE, .quant = MC_Q_PASS, .axes = mc_axes_reshape, .infer = infer_squeeze,
                             .forward = forward, .gradient = gradient};
const mc_op mc_op_Unsqueeze = {.name = "Unsqueeze", .domain = "", .version = 21, .since = 13, .min_in = 2, .max_in = 2, .min_out = 1,
                               .max_out = 1, .traits = MC_OP_VIEW | MC_OP_SHAPE_GLUE, .quant = MC_Q_PASS, .axes = mc_axes_reshape, .infer = infer_unsqueeze,
                               .forward = forward, .gradient = gradient};
