/* QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear.
 *   q = saturate(rne(x / s) + z): a true division (in the type of s), rounded half to even before z is added; NaN gives z
 *   y = (q - z) * s
 *   dynamic: s = (max(0, max x) - min(0, min x)) / 255, z = clip(rne(-min / s), 0, 255), u8; an all-zero x gives s = 1, z = 0
 * Quantized types: u8 i8 u16 i16 u4 i4 u2 i2 (DequantizeLinear also i32); 8-bit floats are refused. */
#include "kernels/kernels.h"
#include "ops/grad.h"
#include "ops/qdq.h"

static int32_t refuse(const mc_infer *c, int32_t dtype)
{
    return mc_infer_fail(c, MCOMP_UNSUPPORTED, "quantized type %s is not supported", mc_dtype_name(dtype));
}

static int32_t infer_quantize(mc_infer *c)
{
    int32_t st = MCOMP_OK, lo, hi;
    const int64_t asked = mc_attr_i(c->node, "output_dtype", 0);
    const int32_t zp = mc_has(c, 2) ? c->in[2]->dtype : MCOMP_UNDEFINED;
    if (c->in[0]->dtype != MCOMP_I32) MC_TRY(mc_nn_need_float(c, 0));
    if (c->in[0]->dtype == MCOMP_F64) return mc_infer_fail(c, MCOMP_DTYPE, "input 0 must not be float64");
    MC_TRY(mc_qdq_check(c, 1));
    if (asked < 0 || asked > MCOMP_I2 || (asked && zp && asked != zp))
        return mc_infer_fail(c, MCOMP_DTYPE, "output_dtype %lld does not go with the zero point's %s", (long long)asked, mc_dtype_name(zp));
    MC_TRY(mc_infer_same(c, 0, 0));
    c->out[0].dtype = zp ? zp : asked ? (int32_t)asked : mc_has(c, 2) ? MCOMP_UNDEFINED : MCOMP_U8;
    if (c->out[0].dtype && mc_qdq_range(c->out[0].dtype, &lo, &hi) != MCOMP_OK) return refuse(c, c->out[0].dtype);
done:
    return st;
}

static int32_t infer_dequantize(mc_infer *c)
{
    int32_t st = MCOMP_OK, lo, hi;
    const int32_t dtype = c->in[0]->dtype;
    const int64_t asked = mc_attr_i(c->node, "output_dtype", 0);
    if (dtype && dtype != MCOMP_I32 && mc_qdq_range(dtype, &lo, &hi) != MCOMP_OK) return refuse(c, dtype);
    if (mc_has(c, 2) && dtype) MC_TRY(mc_nn_need_dtype(c, 2, dtype));
    MC_TRY(mc_qdq_check(c, 0)); /* blocks of weights come with negative scales, and zeros with 0 */
    if (asked < 0 || asked > MCOMP_I2 || (asked && !mc_dtype_is_float((int32_t)asked)))
        return mc_infer_fail(c, MCOMP_DTYPE, "output_dtype %lld is no float type", (long long)asked);
    MC_TRY(mc_infer_same(c, 0, 0));
    c->out[0].dtype = asked ? (int32_t)asked : c->in[1]->dtype;
done:
    return st;
}

static int32_t forward_quantize(const mc_op_run *r)
{
    const int32_t st = mc_nn_recheck(r, infer_quantize, 0);
    int32_t lo = 0, hi = 255;
    mc_qdq_map m;
    if (st != MCOMP_OK) return st;
    const mc_tensor *x = r->in[0], *s = r->in[1], *z = mc_in(r, 2);
    mc_tensor *y = r->out[0];
    (void)mc_qdq_range(y->dtype, &lo, &hi);
    mc_qdq_map_of(r, &m);
    const int64_t n = mc_tensor_elements(x);
    for (int64_t i = 0; i < n; i++) {
        const int64_t k = mc_qdq_index(&m, i);
        const float t = mc_qdq_round_to(s->dtype, (float)mc_nn_at(x, i) / (float)mc_nn_at(s, k));
        mc_tensor_set_i64(y, i, mc_quant_round(t, z ? (int32_t)mc_tensor_get_i64(z, k) : 0, lo, hi));
    }
    return MCOMP_OK;
}

static int32_t forward_dequantize(const mc_op_run *r)
{
    const int32_t st = mc_nn_recheck(r, infer_dequantize, 0);
    mc_qdq_map m;
    if (st != MCOMP_OK) return st;
    const mc_tensor *x = r->in[0], *s = r->in[1], *z = mc_in(r, 2);
    mc_qdq_map_of(r, &m);
    const int64_t n = mc_tensor_elements(x);
    for (int64_t i = 0; i < n; i++) {
        const int64_t k = mc_qdq_index(&m, i), d = mc_tensor_get_i64(x, i) - (z ? mc_tensor_get_i64(z, k) : 0);
        mc_nn_put(r->out[0], i, (double)((float)d * (float)mc_nn_at(s, k)));
    }
    return MCOMP_OK;
}

static int32_t infer_dynamic(mc_infer *c)
{
    int32_t st = MCOMP_OK;
    MC_TRY(mc_nn_need_dtype(c, 0, MCOMP_F32));
    MC_TRY(mc_infer_same(c, 0, 0));
    c->out[0].dtype = MCOMP_U8;
    for (int32_t k = 1; k < c->n_out; k++) {
        c->out[k].rank = 0;
        c->out[k].dtype = k == 1 ? MCOMP_F32 : MCOMP_U8;
    }
done:
    return st;
}

static int32_t forward_dynamic(const mc_op_run *r)
{
    const int32_t st = mc_nn_recheck(r, infer_dynamic, 0);
    if (st != MCOMP_OK) return st;
    const float *x = r->in[0]->data;
    uint8_t *y = r->out[0]->data;
    const int64_t n = mc_tensor_elements(r->in[0]);
    float min = 0.0f, max = 0.0f;
    int32_t zp;
    for (int64_t i = 0; i < n; i++) {
        min = x[i] < min ? x[i] : min;
        max = x[i] > max ? x[i] : max;
    }
    const float scale = mc_tensor_scale(min, max, &zp);
    for (int64_t i = 0; i < n; i++) y[i] = (uint8_t)mc_quant_round(x[i] / scale, zp, 0, 255);
    if (r->out[1]) *(float *)r->out[1]->data = scale;
    if (r->out[2]) *(uint8_t *)r->out[2]->data = (uint8_t)zp;
    return MCOMP_OK;
}

const mc_op mc_op_QuantizeLinear = {.name = "QuantizeLinear", .domain = "", .version = 25, .since = 13, .min_in = 2, .max_in = 3,
                                    .min_out = 1, .max_out = 1, .traits = MC_OP_SURROGATE, .quant = MC_Q_NONE,
                                    .axes = mc_axes_qdq, .infer = infer_quantize, .forward = forward_quantize, .gradient = mc_grad_quantize};
const mc_op mc_op_DequantizeLinear = {.name = "DequantizeLinear", .domain = "", .version = 25, .since = 13, .min_in = 2,
                                      .max_in = 3, .min_out = 1, .max_out = 1, .traits = MC_OP_NO_FOLD, .quant = MC_Q_NONE,
                                      .axes = mc_axes_qdq, .infer = infer_dequantize, .forward = forward_dequantize,
                                      .gradient = mc_grad_dequantize};
const mc_op mc_op_DynamicQuantizeLinear = {.name = "DynamicQuantizeLinear", .domain = "", .version = 11, .since = 11, .min_in = 1,
                                           .max_in = 1, .min_out = 3, .max_out = 3, .traits = MC_OP_SURROGATE, .quant = MC_Q_NONE,
                                           .infer = infer_dynamic, .forward = forward_dynamic};
