/* Cast and CastLike between numbers and bool. Integers wrap when they get narrower; floats are cut towards zero and held
 * within the range of the target (outside of it the standard leaves the result open), but wrap for types of less than 8 bits. */
#include "ops/grad.h"
#include "ops/internal.h"

#include <math.h>

static int castable(int32_t d)
{
    return mc_dtype_is_float(d) || mc_dtype_is_integer(d) || d == MCOMP_BOOL || d == MCOMP_I4 || d == MCOMP_U4 || d == MCOMP_I2 ||
           d == MCOMP_U2;
}

static int32_t infer_to(mc_infer *c, int32_t to)
{
    c->out[0] = *c->in[0];
    c->out[0].dtype = to;
    if (mc_dtype_is_integer(to) && mc_dtype_is_integer(c->in[0]->dtype)) mc_infer_copy_data(c, 0, 0);
    return MCOMP_OK;
}

static int32_t infer_cast(mc_infer *c)
{
    const int64_t to = mc_attr_i(c->node, "to", 0);
    if (to <= 0 || to > INT32_MAX || strcmp(mc_dtype_name((int32_t)to), "undefined") == 0)
        return mc_infer_fail(c, MCOMP_FORMAT, "no such type: %lld", (long long)to);
    return infer_to(c, (int32_t)to);
}

static int32_t infer_like(mc_infer *c) { return infer_to(c, c->in[1]->dtype); }

/* Integer -> integer without saturation. */
static void set_wrapped(mc_tensor *y, int64_t i, int64_t v)
{
    switch (y->dtype) {
    case MCOMP_I32: ((int32_t *)y->data)[i] = (int32_t)(uint32_t)(uint64_t)v; break;
    case MCOMP_I16: ((int16_t *)y->data)[i] = (int16_t)(uint16_t)(uint64_t)v; break;
    case MCOMP_I8: ((int8_t *)y->data)[i] = (int8_t)(uint8_t)(uint64_t)v; break;
    case MCOMP_U64: ((uint64_t *)y->data)[i] = (uint64_t)v; break;
    case MCOMP_U32: ((uint32_t *)y->data)[i] = (uint32_t)(uint64_t)v; break;
    case MCOMP_U16: ((uint16_t *)y->data)[i] = (uint16_t)(uint64_t)v; break;
    case MCOMP_U8: ((uint8_t *)y->data)[i] = (uint8_t)(uint64_t)v; break;
    case MCOMP_U4: mc_tensor_set_i64(y, i, v & 15); break;
    case MCOMP_I4: mc_tensor_set_i64(y, i, ((v & 15) ^ 8) - 8); break;
    case MCOMP_U2: mc_tensor_set_i64(y, i, v & 3); break;
    case MCOMP_I2: mc_tensor_set_i64(y, i, ((v & 3) ^ 2) - 2); break;
    default: mc_tensor_set_i64(y, i, v); break;
    }
}

static void from_float(mc_tensor *y, int64_t i, double v)
{
    if (y->dtype == MCOMP_BOOL) ((uint8_t *)y->data)[i] = v != 0.0;
    else if (y->dtype == MCOMP_U64) ((uint64_t *)y->data)[i] = v >= 0x1p64 ? UINT64_MAX : v > 0.0 ? (uint64_t)v : 0;
    else if (mc_dtype_bits(y->dtype) < 8) set_wrapped(y, i, v >= -0x1p62 && v < 0x1p62 ? (int64_t)v : 0);
    else mc_tensor_set_f64(y, i, mc_dtype_is_float(y->dtype) ? v : trunc(v));
}

static int32_t forward(const mc_op_run *r)
{
    const mc_tensor *x = r->in[0];
    mc_tensor *y = r->out[0];
    const int64_t n = mc_tensor_elements(x);
    if (mc_tensor_elements(y) != n) return mc_op_fail(r, MCOMP_SHAPE, "the sizes differ");
    if (x->dtype == y->dtype) {
        mc_move_all(y, x);
        return MCOMP_OK;
    }
    if (!castable(x->dtype) || !castable(y->dtype))
        return mc_op_fail(r, MCOMP_UNSUPPORTED, "from %s to %s", mc_dtype_name(x->dtype), mc_dtype_name(y->dtype));
    if (mc_dtype_is_float(x->dtype)) {
        for (int64_t i = 0; i < n; i++) from_float(y, i, mc_tensor_get_f64(x, i));
    } else if (mc_dtype_is_float(y->dtype)) {
        for (int64_t i = 0; i < n; i++) mc_tensor_set_f64(y, i, mc_tensor_get_f64(x, i));
    } else {
        for (int64_t i = 0; i < n; i++) set_wrapped(y, i, mc_tensor_get_i64(x, i));
    }
    return MCOMP_OK;
}

/* Between float types; integers end the path, but for quantized ones, whose gradient is a float. */
static int32_t gradient(mc_op_grad *c)
{
    if (mc_grad_wants(c, 0)) c->dx[0] = mc_dtype_is_float(c->x[0]->type.dtype) ? mc_grad_mask(c, c->dy[0], c->x[0]) : c->dy[0];
    return c->status;
}

const mc_op mc_op_Cast = {.name = "Cast", .domain = "", .version = 21, .since = 6, .min_in = 1, .max_in = 1, .min_out = 1,
                          .max_out = 1, .traits = MC_OP_ELEMENTWISE | MC_OP_SHAPE_GLUE, .quant = MC_Q_NONE, .infer = infer_cast,
                          .forward = forward, .gradient = gradient};
const mc_op mc_op_CastLike = {.name = "CastLike", .domain = "", .version = 21, .since = 15, .min_in = 2, .max_in = 2, .min_out = 1,
                              .max_out = 1, .traits = MC_OP_ELEMENTWISE | MC_OP_SHAPE_GLUE, .quant = MC_Q_NONE, .infer = infer_like,
                              .forward = forward, .gradient = gradient};
