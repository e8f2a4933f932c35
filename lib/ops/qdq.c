/* Granularity of QuantizeLinear and DequantizeLinear: the shape of the scale decides. One element: the whole tensor; 1-D: one
 * a slice of `axis`; block_size B > 0: same rank as x, ceil(D / B) along `axis`. */
#include "ops/qdq.h"

static int32_t check_blocked(const mc_infer *c, int64_t block)
{
    int32_t st = MCOMP_OK, axis;
    const mc_type *x = c->in[0], *s = c->in[1];
    if (block < 0) return mc_infer_fail(c, MCOMP_FORMAT, "block_size is %lld", (long long)block);
    if (x->rank < 0 || s->rank < 0) return MCOMP_OK;
    MC_TRY(mc_infer_axis(c, mc_attr_i(c->node, "axis", 1), x->rank, &axis));
    MC_TRY(mc_nn_need_rank(c, 1, x->rank));
    for (int32_t i = 0; i < x->rank; i++) {
        const int64_t d = x->dim[i], want = i != axis || d < 0 ? d : d / block + (d % block != 0);
        MC_TRY(mc_nn_need_dim(c, 1, i, want, i == axis ? "blocks of the axis" : "axis of the input"));
    }
done:
    return st;
}

static int64_t elements(const mc_type *t)
{
    int64_t n = 1;
    for (int32_t i = 0; i < t->rank; i++) {
        if (t->dim[i] < 0) return -1;
        if (t->dim[i] != 1) n = t->dim[i] == 0 ? 0 : 2; /* only 0, 1 and more matter */
    }
    return t->rank < 0 ? -1 : n;
}

int32_t mc_qdq_check(const mc_infer *c, int sign)
{
    int32_t st = MCOMP_OK, axis;
    const mc_type *x = c->in[0], *s = c->in[1];
    const int64_t block = mc_attr_i(c->node, "block_size", 0);
    MC_TRY(mc_nn_need_float(c, 1));
    if (sign) MC_TRY(mc_nn_need_positive(c, 1, "scale"));
    else MC_TRY(mc_nn_need_finite(c, 1, "scale"));
    if (mc_has(c, 2) && c->in[2]->rank >= 0 && s->rank >= 0 && (elements(s) != 1 || elements(c->in[2]) != 1)) {
        MC_TRY(mc_nn_need_rank(c, 2, s->rank));
        for (int32_t i = 0; i < s->rank; i++) MC_TRY(mc_nn_need_dim(c, 2, i, s->dim[i], "zero point and scale have one shape"));
    }
    if (block != 0) MC_TRY(check_blocked(c, block));
    else if (elements(s) == 0) return mc_infer_fail(c, MCOMP_SHAPE, "the scale is empty");
    else if (elements(s) > 1) {
        if (s->rank != 1) return mc_infer_fail(c, MCOMP_SHAPE, "the scale has rank %d without block_size", s->rank);
        if (x->rank < 0) goto done;
        MC_TRY(mc_infer_axis(c, mc_attr_i(c->node, "axis", 1), x->rank, &axis));
        MC_TRY(mc_nn_need_dim(c, 0, axis, s->dim[0], "number of scales"));
    }
done:
    return st;
}

void mc_qdq_map_of(const mc_op_run *r, mc_qdq_map *m)
{
    const mc_shape *x = &r->in[0]->shape;
    const int64_t block = mc_attr_i(r->node, "block_size", 0);
    int64_t axis = mc_attr_i(r->node, "axis", 1);
    *m = (mc_qdq_map){.dim = 1, .inner = 1, .block = 1, .groups = 1, .kind = 0};
    if (block == 0 && mc_tensor_elements(r->in[1]) == 1) return;
    if (axis < 0) axis += x->rank;
    m->dim = x->dim[axis];
    m->inner = mc_nn_extent(x, (int32_t)axis + 1, x->rank);
    m->kind = block ? 2 : 1;
    m->block = block ? block : 1;
    m->groups = block ? m->dim / block + (m->dim % block != 0) : m->dim;
}

int32_t mc_qdq_range(int32_t dtype, int32_t *lo, int32_t *hi)
{
    switch (dtype) {
    case MCOMP_U8: *lo = 0; *hi = 255; return MCOMP_OK;
    case MCOMP_I8: *lo = -128; *hi = 127; return MCOMP_OK;
    case MCOMP_U16: *lo = 0; *hi = 65535; return MCOMP_OK;
    case MCOMP_I16: *lo = -32768; *hi = 32767; return MCOMP_OK;
    case MCOMP_U4: *lo = 0; *hi = 15; return MCOMP_OK;
    case MCOMP_I4: *lo = -8; *hi = 7; return MCOMP_OK;
    case MCOMP_U2: *lo = 0; *hi = 3; return MCOMP_OK;
    case MCOMP_I2: *lo = -2; *hi = 1; return MCOMP_OK;
    default: return MCOMP_UNSUPPORTED;
    }
}

float mc_qdq_round_to(int32_t dtype, float v)
{
    if (dtype == MCOMP_F16) return mc_f16_to_f32(mc_f32_to_f16(v));
    if (dtype == MCOMP_BF16) return mc_bf16_to_f32(mc_f32_to_bf16(v));
    return v;
}
