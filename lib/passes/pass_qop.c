/* QLinearConv and QLinearMatMul with constant parameters become DequantizeLinear, Conv or MatMul, QuantizeLinear, which the passes
 * behind this one make integer regions of, with what surrounds them. Only where the weight then runs on integers: others keep
 * their operator, whose sums are exact. */
#include "passes/internal.h"

#include <math.h>

typedef struct qop {
    mc_graph *g;
    mc_node *n;
    int32_t x, w, y;    /* input index of the value; its scale and zero point follow (y: scale, zero point) */
    int32_t bias, axis; /* -1: none; axis of the weight's scales */
} qop;

/* f32 constant of one element, or of `many`, positive. */
static int good_scale(const mc_value *v, int64_t many)
{
    const mc_tensor *t = v ? mc_value_const(v) : NULL;
    const int64_t n = t && t->dtype == MCOMP_F32 && t->shape.rank <= 1 ? mc_tensor_elements(t) : 0;
    for (int64_t i = 0; i < n; i++)
        if (!(((const float *)t->data)[i] > 0.0f) || isinf(((const float *)t->data)[i])) return 0;
    return n == 1 || (n > 0 && n == many);
}

static int one(const mc_value *v)
{
    double x;
    return v && mc_value_scalar(v, &x);
}

/* s8 around 0, or u8 around 128. */
static int good_weight(const mc_value *w, const mc_value *zp)
{
    const mc_tensor *t = mc_value_const(w);
    if (!t || (t->dtype != MCOMP_I8 && t->dtype != MCOMP_U8)) return 0;
    return zp ? mc_value_const_is(zp, t->dtype == MCOMP_U8 ? 128.0 : 0.0) : t->dtype == MCOMP_I8;
}

static int fits(const qop *q)
{
    mc_value *const *in = q->n->in;
    const int64_t channels = mc_dim_at(in[q->w], q->axis);
    return in[q->x] && !in[q->x]->init && channels > 0 && good_weight(in[q->w], in[q->w + 2]) && good_scale(in[q->x + 1], 1) &&
           one(in[q->x + 2]) && good_scale(in[q->w + 1], channels) && good_scale(in[q->y], 1) && one(in[q->y + 1]);
}

static int32_t dequantize(const qop *q, int32_t i, int32_t axis, mc_value **out)
{
    int32_t st = MCOMP_OK;
    mc_node *d;
    mc_value *const *in = &q->n->in[i];
    MC_TRY(mc_rewrite_begin(q->g, "", "DequantizeLinear", "qop", q->n, in[2] ? 3 : 2, in, &d));
    if (axis >= 0) MC_TRY(mc_node_set_i(d, "axis", axis));
    MC_TRY(mc_rewrite_end(q->g, d, NULL, NULL));
    *out = d->out[0];
done:
    return st;
}

/* int32 [m] times x_scale w_scale[m]: as a constant, rounded once like the epilogue's. */
static int32_t real_bias(const qop *q, mc_value **out)
{
    int32_t st = MCOMP_OK;
    float *s = NULL;
    double x_scale;
    const mc_tensor *b = mc_value_const(q->n->in[q->bias]);
    const int64_t m = mc_tensor_elements(b);
    MC_TRY(mc_const_floats(q->n->in[q->w + 1], m, &s));
    (void)mc_value_scalar(q->n->in[q->x + 1], &x_scale);
    for (int64_t i = 0; i < m; i++) s[i] = (float)((const int32_t *)b->data)[i] * ((float)x_scale * s[i]);
    st = mc_const_f32(q->g, q->n->in[q->bias]->name, s, m, out);
done:
    mc_free(s);
    return st;
}

static int32_t expand(const qop *q, const char *op)
{
    int32_t st = MCOMP_OK;
    mc_value *in[3] = {NULL}, *const *of = q->n->in;
    mc_node *p, *y;
    MC_TRY(dequantize(q, q->x, -1, &in[0]));
    MC_TRY(dequantize(q, q->w, q->axis, &in[1]));
    if (q->bias >= 0) MC_TRY(real_bias(q, &in[2]));
    MC_TRY(mc_rewrite_begin(q->g, "", op, "qop", q->n, in[2] ? 3 : 2, in, &p));
    MC_TRY(mc_node_copy_attrs(p, q->n));
    MC_TRY(mc_node_inherit(p, q->n, "qop"));
    MC_TRY(mc_rewrite_end(q->g, p, NULL, NULL));
    mc_value *const result[3] = {p->out[0], of[q->y], of[q->y + 1]};
    MC_TRY(mc_rewrite_begin(q->g, "", "QuantizeLinear", "qop", q->n, 3, result, &y));
    st = mc_rewrite_end(q->g, y, q->n, q->n->out[0]);
done:
    return st;
}

int32_t mc_pass_qop(mc_graph *g, const mc_pass_options *o)
{
    int32_t st = MCOMP_OK;
    (void)o;
    for (int64_t i = 0; i < g->n_order; i++) {
        mc_node *n = g->order[i];
        if (n->dead || mc_is_unused(n)) continue;
        if (mc_node_is(n, "QLinearConv") && n->n_in >= 8) {
            const int biased = n->n_in > 8 && n->in[8];
            const qop q = {.g = g, .n = n, .x = 0, .w = 3, .y = 6, .bias = biased ? 8 : -1, .axis = 0};
            if (biased && !mc_value_const(n->in[8])) continue;
            if (fits(&q)) MC_TRY(expand(&q, "Conv"));
        } else if (mc_node_is(n, "QLinearMatMul") && n->n_in == 8) {
            const qop q = {.g = g, .n = n, .x = 0, .w = 3, .y = 6, .bias = -1, .axis = 1};
            if (n->in[3] && n->in[3]->type.rank == 2 && fits(&q)) MC_TRY(expand(&q, "MatMul"));
        }
    }
done:
    return st;
}
