/* What QuantizeLinear / DequantizeLinear around a value mean: parameters, s8 weights, real-valued biases. */
#include "passes/internal.h"

#include <math.h>
#include <stdio.h>

/* Scale and zero point inputs 1 and 2 of a Q or DQ node as one pair for the whole tensor. */
static int read_params(const mc_node *n, int32_t dtype, mc_qdq *p)
{
    double s, z = 0.0;
    if (dtype != MCOMP_U8 && dtype != MCOMP_I8) return 0;
    if (n->n_in < 2 || !n->in[1] || !mc_value_scalar(n->in[1], &s) || n->in[1]->type.dtype != MCOMP_F32) return 0;
    if (n->n_in > 2 && n->in[2] && !mc_value_scalar(n->in[2], &z)) return 0;
    if (mc_attr_i(n, "block_size", 0) != 0 || !(s > 0.0) || isinf(s)) return 0;
    p->scale = (float)s;
    p->zp = (int32_t)z;
    p->dtype = dtype;
    return 1;
}

mc_value *mc_dequantized(const mc_value *v, mc_qdq *p)
{
    const mc_node *n = mc_made_by(v, "DequantizeLinear");
    if (!n || n->in[0]->init || !mc_is_f32(v) || !read_params(n, n->in[0]->type.dtype, p)) return NULL;
    return n->in[0];
}

int mc_quantizes(const mc_node *n, mc_qdq *p)
{
    return mc_node_is(n, "QuantizeLinear") && mc_is_f32(n->in[0]) && n->out[0] && read_params(n, n->out[0]->type.dtype, p);
}

int mc_qdq_equal(const mc_qdq *a, const mc_qdq *b) { return a->scale == b->scale && a->zp == b->zp && a->dtype == b->dtype; }

typedef struct qdq_names { /* of the attributes */
    char scale[16], zp[16], dtype[16];
} qdq_names;

static qdq_names names_of(const char *prefix)
{
    qdq_names n;
    snprintf(n.scale, sizeof n.scale, "%s_scale", prefix);
    snprintf(n.zp, sizeof n.zp, "%s_zp", prefix);
    snprintf(n.dtype, sizeof n.dtype, "%s_dtype", prefix);
    return n;
}

int32_t mc_node_set_qdq(mc_node *n, const char *prefix, const mc_qdq *p)
{
    int32_t st = MCOMP_OK;
    const qdq_names a = names_of(prefix);
    MC_TRY(mc_node_set_f(n, a.scale, p->scale));
    MC_TRY(mc_node_set_i(n, a.zp, p->zp));
    MC_TRY(mc_node_set_i(n, a.dtype, p->dtype));
done:
    return st;
}

mc_qdq mc_node_get_qdq(const mc_node *n, const char *prefix)
{
    const qdq_names a = names_of(prefix);
    return (mc_qdq){mc_attr_f(n, a.scale, 0.0f), (int32_t)mc_attr_i(n, a.zp, 0), (int32_t)mc_attr_i(n, a.dtype, MCOMP_U8)};
}

void mc_node_drop_qdq(mc_node *n, const char *prefix)
{
    const qdq_names a = names_of(prefix);
    mc_node_remove_attr(n, a.scale);
    mc_node_remove_attr(n, a.zp);
    mc_node_remove_attr(n, a.dtype);
}

int32_t mc_symmetric_s8(mc_graph *g, const mc_value *q, const mc_value *zp, mc_value **w)
{
    int32_t st = MCOMP_OK;
    mc_tensor *t;
    const mc_tensor *c = mc_value_const(q);
    *w = NULL;
    if (!c || (c->dtype != MCOMP_I8 && c->dtype != MCOMP_U8)) return MCOMP_OK;
    if (zp ? !mc_value_const_is(zp, c->dtype == MCOMP_U8 ? 128.0 : 0.0) : c->dtype == MCOMP_U8) return MCOMP_OK;
    if (c->dtype == MCOMP_I8) {
        MC_TRY(mc_tensor_share(&t, c));
    } else {
        MC_TRY(mc_tensor_create(&t, MCOMP_I8, &c->shape));
        const int64_t n = mc_tensor_elements(c);
        for (int64_t i = 0; i < n; i++) ((uint8_t *)t->data)[i] = ((const uint8_t *)c->data)[i] ^ 0x80u;
    }
    st = mc_graph_add_const(g, q->name, t, w);
done:
    return st;
}

int32_t mc_split_s8(mc_graph *g, const mc_value *q, const mc_value *zp, int32_t axis, mc_value **w, mc_value **rest)
{
    int32_t st = MCOMP_OK, any = 0;
    mc_tensor *a = NULL, *b = NULL;
    const mc_tensor *c = mc_value_const(q), *z = zp ? mc_value_const(zp) : NULL;
    *rest = NULL;
    MC_TRY(mc_symmetric_s8(g, q, zp, w));
    if (*w || !c || (c->dtype != MCOMP_I8 && c->dtype != MCOMP_U8) || (zp && !z)) return MCOMP_OK;
    const int64_t n = mc_tensor_elements(c), channels = c->shape.dim[axis], zeros = z ? mc_tensor_elements(z) : 0;
    int64_t inner = 1;
    for (int32_t i = axis + 1; i < c->shape.rank; i++) inner *= c->shape.dim[i];
    if (zeros > 1 && (zeros != channels || z->shape.rank != 1)) return MCOMP_OK;
    MC_TRY(mc_tensor_create(&a, MCOMP_I8, &c->shape));
    MC_TRY(mc_tensor_create(&b, MCOMP_I8, &c->shape));
    for (int64_t i = 0; i < n; i++) {
        const int64_t real = mc_tensor_get_i64(c, i) - (zeros ? mc_tensor_get_i64(z, zeros > 1 ? i / inner % channels : 0) : 0);
        if (real > 254) goto done; /* 127 + 127 */
        const int64_t near = real < -128 ? -128 : real > 127 ? 127 : real;
        ((int8_t *)a->data)[i] = (int8_t)near;
        ((int8_t *)b->data)[i] = (int8_t)(real - near);
        any |= real != near;
    }
    MC_TRY(mc_graph_add_const(g, q->name, a, w));
    a = NULL;
    if (any) {
        st = mc_graph_add_const(g, q->name, b, rest);
        b = NULL;
    }
done:
    mc_tensor_destroy(a);
    mc_tensor_destroy(b);
    return st;
}

int32_t mc_integer_weight(mc_graph *g, const mc_value *v, int32_t axis, mc_value **w, mc_value **scale)
{
    int32_t st = MCOMP_OK;
    float *s = NULL;
    const mc_node *n = mc_made_by(v, "DequantizeLinear");
    const mc_tensor *c = n ? mc_value_const(n->in[0]) : NULL, *ts = n ? mc_value_const(n->in[1]) : NULL;
    *w = *scale = NULL;
    if (!c || !ts || axis < 0 || axis >= c->shape.rank || mc_attr_i(n, "block_size", 0) != 0 || ts->dtype != MCOMP_F32) return MCOMP_OK;
    const int64_t channels = c->shape.dim[axis], count = mc_tensor_elements(ts);
    if (count != 1 && (count != channels || ts->shape.rank != 1 || mc_axis_of(mc_attr_i(n, "axis", 1), c->shape.rank) != axis)) return MCOMP_OK;
    if (channels < 1) return MCOMP_OK;
    for (int64_t i = 0; i < count; i++)
        if (!(((const float *)ts->data)[i] > 0.0f) || isinf(((const float *)ts->data)[i])) return MCOMP_OK;
    MC_TRY(mc_symmetric_s8(g, n->in[0], n->n_in > 2 ? n->in[2] : NULL, w));
    if (!*w) return MCOMP_OK;
    MC_TRY(mc_const_floats(n->in[1], channels, &s));
    st = mc_const_f32(g, n->in[1]->name, s, channels, scale);
done:
    mc_free(s);
    return st;
}

int32_t mc_real_bias(mc_graph *g, const mc_value *v, int64_t n, mc_value **b)
{
    int32_t st = MCOMP_OK;
    const mc_node *d = mc_made_by(v, "DequantizeLinear");
    const mc_tensor *q = d ? mc_value_const(d->in[0]) : NULL, *s = d ? mc_value_const(d->in[1]) : NULL;
    float *f = NULL;
    *b = NULL;
    if (mc_value_const(v)) return mc_const_vector(g, v, v->type.rank, n, 1.0, b);
    if (!q || !s || q->dtype != MCOMP_I32 || q->shape.rank != 1 || mc_tensor_elements(q) != n) return MCOMP_OK;
    if ((mc_tensor_elements(s) != n && mc_tensor_elements(s) != 1) || (d->n_in > 2 && d->in[2] && !mc_value_const_is(d->in[2], 0.0)))
        return MCOMP_OK;
    MC_TRY(mc_const_floats(d->in[1], n, &f));
    for (int64_t i = 0; i < n; i++) f[i] = (float)((const int32_t *)q->data)[i] * f[i];
    st = mc_const_f32(g, d->in[0]->name, f, n, b);
done:
    mc_free(f);
    return st;
}
