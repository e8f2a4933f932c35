/* DepthToSpace (modes DCR and CRD) and SpaceToDepth: a reshape to six axes, a transpose and a reshape in one move.
 * With block b: [N, b*b*C, H, W] <-> [N, C, H*b, W*b]. */
#include "ops/internal.h"

static int32_t block_of(const mc_infer *c, int64_t *b)
{
    *b = mc_attr_i(c->node, "blocksize", 0);
    if (*b < 1 || *b > 65536) return mc_infer_fail(c, MCOMP_FORMAT, "blocksize %lld", (long long)*b);
    if (c->in[0]->rank >= 0 && c->in[0]->rank != 4) return mc_infer_fail(c, MCOMP_SHAPE, "the input must have rank 4, not %d", c->in[0]->rank);
    return MCOMP_OK;
}

/* One dim multiplied or divided (mul < 0). */
static int32_t scaled(mc_infer *c, int64_t dim, int64_t factor, int divide, int64_t *out)
{
    if (dim < 0) {
        *out = factor == 1 ? dim : mc_infer_symbol(c);
    } else if (divide) {
        if (dim % factor != 0) return mc_infer_fail(c, MCOMP_SHAPE, "size %lld cannot be divided by %lld", (long long)dim, (long long)factor);
        *out = dim / factor;
    } else if (__builtin_mul_overflow(dim, factor, out)) {
        return mc_infer_fail(c, MCOMP_LIMIT, "the size overflows");
    }
    return MCOMP_OK;
}

static int32_t infer(mc_infer *c, int to_space)
{
    int64_t b;
    int32_t st = MCOMP_OK;
    const char *mode = mc_attr_s(c->node, "mode", "DCR");
    MC_TRY(block_of(c, &b));
    if (to_space && strcmp(mode, "DCR") != 0 && strcmp(mode, "CRD") != 0) return mc_infer_fail(c, MCOMP_FORMAT, "unknown mode");
    c->out[0] = *c->in[0];
    if (c->in[0]->rank < 0) return MCOMP_OK;
    MC_TRY(scaled(c, c->in[0]->dim[1], b * b, to_space, &c->out[0].dim[1]));
    for (int32_t i = 2; i < 4; i++) MC_TRY(scaled(c, c->in[0]->dim[i], b, !to_space, &c->out[0].dim[i]));
done:
    return st;
}

/* The walk goes over [N, C, H, b, W, b] of the spacious side, which is contiguous; the deep side is strided. */
static int32_t forward(const mc_op_run *r, int to_space)
{
    const mc_tensor *deep = to_space ? r->in[0] : r->out[0], *wide = to_space ? r->out[0] : r->in[0];
    const int64_t b = mc_attr_i(r->node, "blocksize", 1), *d = deep->shape.dim, *w = wide->shape.dim;
    const int crd = to_space && strcmp(mc_attr_s(r->node, "mode", "DCR"), "CRD") == 0;
    if (deep->shape.rank != 4 || wide->shape.rank != 4 || b < 1 || d[0] != w[0] || d[1] / b / b != w[1] || d[1] % (b * b) != 0 ||
        w[2] != d[2] * b || w[3] != d[3] * b)
        return mc_op_fail(r, MCOMP_SHAPE, "the sizes do not fit");
    const int64_t plane = d[2] * d[3];
    const mc_shape space = {.rank = 6, .dim = {d[0], w[1], d[2], b, d[3], b}};
    const int64_t channel = crd ? b * b * plane : plane, column = crd ? plane : w[1] * plane;
    const int64_t stride[MC_MAX_RANK] = {d[1] * plane, channel, d[3], b * column, 1, column};
    int64_t flat[MC_MAX_RANK];
    mc_contiguous_strides(&space, flat);
    if (to_space) mc_move(r->out[0], 0, flat, deep, 0, stride, &space);
    else mc_move(r->out[0], 0, stride, wide, 0, flat, &space);
    return MCOMP_OK;
}

static int32_t infer_to_space(mc_infer *c) { return infer(c, 1); }
static int32_t infer_to_depth(mc_infer *c) { return infer(c, 0); }
static int32_t forward_to_space(const mc_op_run *r) { return forward(r, 1); }
static int32_t forward_to_depth(const mc_op_run *r) { return forward(r, 0); }

const mc_op mc_op_DepthToSpace = {.name = "DepthToSpace", .domain = "", .version = 13, .since = 11, .min_in = 1, .max_in = 1,
                                  .min_out = 1, .max_out = 1, .traits = 0, .quant = MC_Q_PASS, .infer = infer_to_space,
                                  .forward = forward_to_space};
const mc_op mc_op_SpaceToDepth = {.name = "SpaceToDepth", .domain = "", .version = 13, .since = 1, .min_in = 1, .max_in = 1,
                                  .min_out = 1, .max_out = 1, .traits = 0, .quant = MC_Q_PASS, .infer = infer_to_depth,
                                  .forward = forward_to_depth};
