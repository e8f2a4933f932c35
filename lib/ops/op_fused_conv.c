/* mcomp.Conv: channels-last convolution, X [N,s...,C], W [M,C/g,k...] (the ONNX layout) -> Y [N,o...,M], with the row epilogue.
 * mcomp.QConv: the same on u8/s8 with s8 weights; bit-exact by docs/fused_ops.md, Numerics. */
#include "ops/fused.h"

static const mc_fused_slots conv_slots = {.bias = 2, .residual = 3, .gamma = -1, .beta = -1};
static const mc_fused_slots qconv_slots = {.bias = 3, .residual = 4, .gamma = -1, .beta = -1};

static int32_t infer_shape(mc_infer *c)
{
    int32_t st = MCOMP_OK;
    mc_window w;
    const mc_type x = mc_type_channels_first(c->in[0]);
    MC_TRY(mc_conv_infer(c, &x, c->in[1], &w));
    c->out[0] = mc_type_channels_last(&c->out[0]);
done:
    return st;
}

static int64_t out_channels(const mc_infer *c) { return c->in[1]->rank > 0 ? c->in[1]->dim[0] : -1; }

static int32_t infer_conv(mc_infer *c)
{
    int32_t st = MCOMP_OK;
    MC_TRY(mc_nn_need_dtype(c, 0, MCOMP_F32));
    MC_TRY(mc_nn_need_dtype(c, 1, MCOMP_F32));
    MC_TRY(mc_nn_need_dtype(c, 3, MCOMP_F32));
    c->out[0].dtype = MCOMP_F32;
    if (mc_qparam_given(c->node, "y_scale")) return mc_infer_fail(c, MCOMP_FORMAT, "y_scale on a float operator");
    MC_TRY(infer_shape(c));
    MC_TRY(mc_fused_infer(c, &conv_slots, out_channels(c)));
done:
    return st;
}

/* Scale and zero point of X as operands 5 and 6 (one element each), for what is quantized at run time; otherwise attributes. */
static int32_t infer_x(mc_infer *c)
{
    int32_t st = MCOMP_OK;
    if (!mc_has(c, 5)) return mc_qparam_infer(c, 0, "x");
    if (!mc_has(c, 6)) return mc_infer_fail(c, MCOMP_FORMAT, "a scale of X without its zero point");
    MC_TRY(mc_nn_need_byte(c, 0));
    MC_TRY(mc_nn_need_dtype(c, 5, MCOMP_F32));
    if (c->in[0]->dtype) MC_TRY(mc_nn_need_dtype(c, 6, c->in[0]->dtype));
    for (int32_t i = 5; i < 7; i++) {
        const mc_type *t = c->in[i];
        if (t->rank > 1 || (t->rank == 1 && t->dim[0] >= 0 && t->dim[0] != 1)) return mc_infer_fail(c, MCOMP_SHAPE, "input %d must have one element", i);
    }
done:
    return st;
}

static int32_t infer_qconv(mc_infer *c)
{
    int32_t st = MCOMP_OK;
    MC_TRY(infer_x(c));
    MC_TRY(mc_nn_need_dtype(c, 1, MCOMP_I8));
    MC_TRY(mc_nn_need_dtype(c, 2, MCOMP_F32));
    MC_TRY(mc_qparam_out(c));
    MC_TRY(infer_shape(c));
    MC_TRY(mc_nn_need_vector(c, 2, out_channels(c), "weight scales"));
    MC_TRY(mc_nn_need_positive(c, 2, "w_scale"));
    MC_TRY(mc_fused_infer(c, &qconv_slots, out_channels(c)));
done:
    return st;
}

/* One pixel and filter; from: first channel of the group in image n. X element (pixel, channel) is at pixel * C + channel. */
static double float_point(const mc_window *w, const mc_taps *t, const float *x, int64_t ch, const float *f, int64_t cg)
{
    const int64_t taps = w->kernel[0] * w->kernel[1] * w->kernel[2];
    double sum = 0.0;
    for (int64_t c = 0; c < cg; c++, f += taps)
        MC_TAPS_FOR(*w, *t, xi, ki, { sum += (double)x[xi * ch + c] * (double)f[ki]; })
    return sum;
}

static int64_t integer_point(const mc_window *w, const mc_taps *t, const mc_tensor *x, int64_t from, int64_t ch, int32_t zp,
                             const int8_t *f, int64_t cg)
{
    const int64_t taps = w->kernel[0] * w->kernel[1] * w->kernel[2];
    int64_t acc = 0;
    for (int64_t c = 0; c < cg; c++, f += taps)
        MC_TAPS_FOR(*w, *t, xi, ki, { acc += (int64_t)(mc_nn_byte(x, from + xi * ch + c) - zp) * f[ki]; })
    return acc;
}

/* q NULL: float. */
static int32_t run(const mc_op_run *r, const mc_fused_slots *slots, const mc_qparam *q)
{
    int32_t st = MCOMP_OK;
    mc_fused f;
    mc_window w;
    float *v = NULL;
    int64_t o[3];
    const mc_tensor *x = r->in[0], *filter = r->in[1];
    const mc_type tx = mc_type_of(x), first = mc_type_channels_first(&tx);
    MC_TRY(mc_fused_open(r, slots, &f));
    MC_TRY(mc_window_read(r->node, &first, &filter->shape.dim[2], &w));
    w = mc_window_3d(&w);
    const int64_t m = filter->shape.dim[0], cg = filter->shape.dim[1], mg = m / w.group, ch = first.dim[1];
    const int64_t size = mc_nn_extent(&filter->shape, 1, filter->shape.rank), plane = w.in[0] * w.in[1] * w.in[2];
    const int64_t out_plane = w.out[0] * w.out[1] * w.out[2];
    const float *ws = q ? r->in[2]->data : NULL;
    v = mc_malloc(sizeof *v * (size_t)m);
    if (!v) MC_FAIL(MCOMP_NO_MEMORY, r->node->name, "no memory for a row");
    for (int64_t n = 0; n < first.dim[0]; n++)
        MC_OUT_FOR(w, o, oi) {
            const mc_taps t = mc_window_taps(&w, o);
            for (int64_t k = 0; k < m; k++) {
                const int64_t from = n * plane * ch + k / mg * cg;
                if (q)
                    v[k] = (float)integer_point(&w, &t, x, from, ch, q->zp, (const int8_t *)filter->data + k * size, cg) *
                           (q->scale * ws[k]);
                else v[k] = (float)float_point(&w, &t, (const float *)x->data + from, ch, (const float *)filter->data + k * size, cg);
            }
            mc_fused_row(&f, v, n * out_plane + oi, m, r->out[0]);
        }
done:
    mc_free(v);
    return st;
}

static int32_t forward_conv(const mc_op_run *r)
{
    const int32_t st = mc_nn_recheck(r, infer_conv, 1);
    return st != MCOMP_OK ? st : run(r, &conv_slots, NULL);
}

static int32_t forward_qconv(const mc_op_run *r)
{
    mc_qparam q;
    int32_t st = MCOMP_OK;
    MC_TRY(mc_nn_recheck(r, infer_qconv, 1));
    if (mc_in(r, 5)) q = (mc_qparam){.scale = *(const float *)r->in[5]->data, .zp = mc_nn_byte(r->in[6], 0), .dtype = r->in[0]->dtype};
    else MC_TRY(mc_qparam_read(r->node, "x", &q));
    MC_TRY(run(r, &qconv_slots, &q));
done:
    return st;
}

static int32_t cost(const mc_node *n, const mc_type *const *in, const mc_type *const *out, mc_op_cost *c)
{
    (void)n;
    c->macs = mc_conv_macs(out[0], in[1]);
    if (out[0]->rank >= 0) c->flops = mc_nn_extent_f(out[0], 0, out[0]->rank);
    return MCOMP_OK;
}

const mc_op mc_op_mcomp_Conv = {.name = "Conv", .domain = "mcomp", .version = 1, .since = 1, .min_in = 2, .max_in = 4, .min_out = 1,
                                .max_out = 1, .quant = MC_Q_WEIGHTED, .infer = infer_conv, .forward = forward_conv, .cost = cost};
const mc_op mc_op_mcomp_QConv = {.name = "QConv", .domain = "mcomp", .version = 1, .since = 1, .min_in = 3, .max_in = 7,
                                 .min_out = 1, .max_out = 1, .quant = MC_Q_NONE, .infer = infer_qconv, .forward = forward_qconv,
                                 .cost = cost};
