/* ConvInteger: Y s32 = conv(X - zx, W - zw); QLinearConv: saturate(rne((acc + B) * (sx sw[m] / sy)) + zy). Channels first as
 * Conv; padding counts as x = zx. zw, sw: one, or one an output channel. Sums in 64 bits, ConvInteger wraps to 32. */
#include "kernels/kernels.h"
#include "ops/nn.h"

static int32_t one_or(const mc_infer *c, int32_t i, int64_t m, const char *what)
{
    if (!mc_has(c, i) || c->in[i]->rank < 0 || c->in[i]->rank == 0) return MCOMP_OK;
    if (c->in[i]->rank == 1 && c->in[i]->dim[0] == 1) return MCOMP_OK;
    return mc_nn_need_vector(c, i, m, what);
}

static int32_t infer_integer(mc_infer *c)
{
    int32_t st = MCOMP_OK;
    mc_window w;
    const mc_type *f = c->in[1];
    c->out[0].dtype = MCOMP_I32;
    MC_TRY(mc_nn_need_byte(c, 0));
    MC_TRY(mc_nn_need_byte(c, 1));
    MC_TRY(mc_conv_infer(c, c->in[0], f, &w));
    if (c->in[0]->dtype) MC_TRY(mc_nn_need_dtype(c, 2, c->in[0]->dtype));
    if (f->dtype) MC_TRY(mc_nn_need_dtype(c, 3, f->dtype));
    MC_TRY(one_or(c, 2, 1, "zero point of x"));
    MC_TRY(one_or(c, 3, f->rank > 0 ? f->dim[0] : -1, "zero points of w"));
done:
    return st;
}

/* x, x_scale, x_zp, w, w_scale, w_zp, y_scale, y_zp, B */
static int32_t infer_qlinear(mc_infer *c)
{
    int32_t st = MCOMP_OK;
    mc_window w;
    const mc_type *f = c->in[3];
    const int64_t m = f->rank > 0 ? f->dim[0] : -1;
    MC_TRY(mc_nn_need_byte(c, 0));
    MC_TRY(mc_nn_need_byte(c, 3));
    MC_TRY(mc_nn_need_byte(c, 7));
    MC_TRY(mc_conv_infer(c, c->in[0], f, &w));
    for (int32_t i = 1; i < 9; i++) {
        if (i == 1 || i == 4 || i == 6) {
            MC_TRY(mc_nn_need_dtype(c, i, MCOMP_F32));
            MC_TRY(mc_nn_need_positive(c, i, "scale"));
        }
        if (i != 3 && i != 8) MC_TRY(one_or(c, i, i == 4 || i == 5 ? m : 1, "scale or zero point"));
    }
    if (c->in[0]->dtype) MC_TRY(mc_nn_need_dtype(c, 2, c->in[0]->dtype));
    if (f->dtype) MC_TRY(mc_nn_need_dtype(c, 5, f->dtype));
    MC_TRY(mc_nn_need_dtype(c, 8, MCOMP_I32));
    MC_TRY(mc_nn_need_vector(c, 8, m, "output channels"));
    c->out[0].dtype = c->in[7]->dtype;
done:
    return st;
}

typedef struct operands {
    const mc_tensor *x, *w, *zx, *zw;
    const mc_op_run *requantize; /* QLinearConv: inputs 1, 4, 6, 7, 8; NULL: int32 */
} operands;

static int64_t point(const operands *p, const mc_window *w, const mc_taps *t, int64_t xo, int64_t fo, int32_t zx, int32_t zw, int64_t cg)
{
    const int64_t plane = w->in[0] * w->in[1] * w->in[2], taps = w->kernel[0] * w->kernel[1] * w->kernel[2];
    int64_t acc = 0;
    for (int64_t c = 0; c < cg; c++, xo += plane, fo += taps)
        MC_TAPS_FOR(*w, *t, xi, ki, { acc += (int64_t)(mc_nn_byte(p->x, xo + xi) - zx) * (mc_nn_byte(p->w, fo + ki) - zw); })
    return acc;
}

static void store(const operands *p, mc_tensor *y, int64_t at, int64_t k, int64_t acc)
{
    const mc_op_run *q = p->requantize;
    if (!q) {
        ((int32_t *)y->data)[at] = (int32_t)(uint32_t)(uint64_t)acc;
        return;
    }
    if (mc_in(q, 8)) acc += ((const int32_t *)q->in[8]->data)[k];
    const float sx = *(const float *)q->in[1]->data, sy = *(const float *)q->in[6]->data;
    const float sw = ((const float *)q->in[4]->data)[mc_tensor_elements(q->in[4]) == 1 ? 0 : k];
    const int is_unsigned = y->dtype == MCOMP_U8;
    mc_nn_put_byte(y, at, mc_quant_round((float)acc * (sx * sw / sy), mc_nn_byte(q->in[7], 0), is_unsigned ? 0 : -128, is_unsigned ? 255 : 127));
}

static int32_t run(const mc_op_run *r, const operands *p)
{
    int32_t st = MCOMP_OK;
    mc_window w;
    int64_t o[3];
    const mc_type tx = mc_type_of(p->x);
    MC_TRY(mc_window_read(r->node, &tx, &p->w->shape.dim[2], &w));
    w = mc_window_3d(&w);
    const int64_t m = p->w->shape.dim[0], cg = p->w->shape.dim[1], mg = m / w.group, plane = w.in[0] * w.in[1] * w.in[2];
    const int64_t filter = mc_nn_extent(&p->w->shape, 1, p->w->shape.rank), out_plane = w.out[0] * w.out[1] * w.out[2];
    const int32_t zx = p->zx ? mc_nn_byte(p->zx, 0) : 0;
    for (int64_t n = 0; n < tx.dim[0]; n++)
        MC_OUT_FOR(w, o, oi) {
            const mc_taps t = mc_window_taps(&w, o);
            for (int64_t k = 0; k < m; k++) {
                const int32_t zw = p->zw ? mc_nn_byte(p->zw, mc_tensor_elements(p->zw) == 1 ? 0 : k) : 0;
                const int64_t acc = point(p, &w, &t, (n * tx.dim[1] + k / mg * cg) * plane, k * filter, zx, zw, cg);
                store(p, r->out[0], (n * m + k) * out_plane + oi, k, acc);
            }
        }
done:
    return st;
}

static int32_t forward_integer(const mc_op_run *r)
{
    const int32_t st = mc_nn_recheck(r, infer_integer, 0);
    const operands p = {.x = r->in[0], .w = r->in[1], .zx = mc_in(r, 2), .zw = mc_in(r, 3)};
    return st != MCOMP_OK ? st : run(r, &p);
}

static int32_t forward_qlinear(const mc_op_run *r)
{
    const int32_t st = mc_nn_recheck(r, infer_qlinear, 0);
    const operands p = {.x = r->in[0], .w = r->in[3], .zx = r->in[2], .zw = r->in[5], .requantize = r};
    return st != MCOMP_OK ? st : run(r, &p);
}

static int32_t cost_integer(const mc_node *n, const mc_type *const *in, const mc_type *const *out, mc_op_cost *c)
{
    (void)n;
    c->macs = mc_conv_macs(out[0], in[1]);
    return MCOMP_OK;
}

static int32_t cost_qlinear(const mc_node *n, const mc_type *const *in, const mc_type *const *out, mc_op_cost *c)
{
    (void)n;
    c->macs = mc_conv_macs(out[0], in[3]);
    return MCOMP_OK;
}

const mc_op mc_op_ConvInteger = {.name = "ConvInteger", .domain = "", .version = 10, .since = 10, .min_in = 2, .max_in = 4,
                                 .min_out = 1, .max_out = 1, .quant = MC_Q_NONE, .infer = infer_integer,
                                 .forward = forward_integer, .cost = cost_integer};
const mc_op mc_op_QLinearConv = {.name = "QLinearConv", .domain = "", .version = 10, .since = 10, .min_in = 8, .max_in = 9,
                                 .min_out = 1, .max_out = 1, .quant = MC_Q_NONE, .infer = infer_qlinear,
                                 .forward = forward_qlinear, .cost = cost_qlinear};
