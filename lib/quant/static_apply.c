/* Static INT8, second half: inserts the pairs and replaces weights and biases. docs/quantization.md §4 is the pattern. */
#include "quant/plan.h"

#include <math.h>

/* The pair of value v, made once. *out: the dequantized value. */
static int32_t pair_of(mc_qplan *p, mc_value *v, mc_value **out)
{
    mc_qvalue *q = &p->value[v->id];
    const int32_t dtype = p->qdq == MCOMP_QDQ_TENSORRT ? MCOMP_I8 : MCOMP_U8;
    mc_value *in[3] = {v, NULL, NULL};
    mc_node *quant, *deq;
    mc_str name = {0};
    int32_t st = MCOMP_OK;
    if (!q->deq) {
        MC_TRY(mc_str_appendf(&name, "%s_scale", v->name));
        MC_TRY(mc_q_const_f32(p->g, name.data, q->scale, &in[1]));
        name.len = 0;
        MC_TRY(mc_str_appendf(&name, "%s_zero_point", v->name));
        MC_TRY(mc_q_const_int(p->g, name.data, dtype, q->zero_point, &in[2]));
        name.len = 0;
        MC_TRY(mc_str_appendf(&name, "%s_QuantizeLinear", v->name));
        MC_TRY(mc_q_emit(p->g, "QuantizeLinear", name.data, 3, in, &quant));
        in[0] = quant->out[0];
        name.len = 0;
        MC_TRY(mc_str_appendf(&name, "%s_DequantizeLinear", v->name));
        MC_TRY(mc_q_emit(p->g, "DequantizeLinear", name.data, 3, in, &deq));
        q->deq = deq->out[0];
    }
    *out = q->deq;
done:
    mc_str_free(&name);
    return st;
}

/* Bias that goes to int32: constant, one element a channel, added with weight 1. */
static const mc_tensor *int_bias(const mc_qplan *p, const mc_node *n, int64_t channels)
{
    const mc_tensor *b = n->n_in > 2 && n->in[2] ? mc_value_const(n->in[2]) : NULL;
    if (!b || p->qdq != MCOMP_QDQ_ORT || b->dtype != MCOMP_F32 || b->shape.rank != 1 || b->shape.dim[0] != channels) return NULL;
    if (mc_attr_f(n, "alpha", 1.0f) != 1.0f || mc_attr_f(n, "beta", 1.0f) != 1.0f) return NULL;
    for (int64_t c = 0; c < channels; c++)
        if (!isfinite(((const float *)b->data)[c])) return NULL;
    return b;
}

/* Smallest weight scales with which |b| / (s_x s_w) stays below 2^30: int32 with a factor of two in hand for the sum. */
static int32_t bias_floor(const mc_tensor *b, float x_scale, double **out)
{
    const int64_t n = b->shape.dim[0];
    double *f = mc_calloc((size_t)n + 1, sizeof *f);
    if (!f) return MCOMP_NO_MEMORY;
    for (int64_t c = 0; c < n; c++) f[c] = fabs((double)((const float *)b->data)[c]) / 1073741824.0 / (double)x_scale;
    *out = f;
    return MCOMP_OK;
}

static int32_t apply_bias(mc_qplan *p, mc_node *n, const mc_tensor *b, float x_scale, const mc_tensor *w_scale)
{
    const int64_t c_n = b->shape.dim[0];
    mc_tensor *q = NULL, *s = NULL;
    mc_value *in[2] = {NULL, NULL};
    mc_node *deq;
    int32_t st = MCOMP_OK;
    MC_TRY(mc_tensor_create(&q, MCOMP_I32, &b->shape));
    MC_TRY(mc_tensor_create(&s, MCOMP_F32, &b->shape));
    for (int64_t c = 0; c < c_n; c++) {
        const float sb = x_scale * ((const float *)w_scale->data)[w_scale->shape.rank ? c : 0];
        /* A product that underflows would make an infinite integer; the smallest normal number keeps it finite. */
        const float safe = sb >= 1.17549435e-38f ? sb : 1.17549435e-38f;
        const double v = nearbyint((double)((const float *)b->data)[c] / (double)safe);
        ((float *)s->data)[c] = safe;
        ((int32_t *)q->data)[c] = (int32_t)fmin(fmax(v, -2147483647.0), 2147483647.0);
    }
    const char *name = n->in[2]->name;
    MC_TRY(mc_q_const_tensor(p->g, name, "_quantized", &q, &in[0]));
    MC_TRY(mc_q_const_tensor(p->g, name, "_scale", &s, &in[1]));
    MC_TRY(mc_q_emit(p->g, "DequantizeLinear", NULL, 2, in, &deq));
    MC_TRY(mc_node_set_i(deq, "axis", 0));
    MC_TRY(mc_node_set_input(p->g, n, 2, deq->out[0]));
done:
    mc_tensor_destroy(q);
    mc_tensor_destroy(s);
    return st;
}

static int32_t apply_weighted(mc_qplan *p, mc_node *n)
{
    const mc_tensor *w = mc_value_const(n->in[1]);
    const int32_t axis = mc_q_weight_axis(n);
    const int64_t channels = axis < 0 ? 1 : w->shape.dim[axis];
    const float x_scale = p->value[n->in[0]->id].scale;
    const mc_tensor *b = int_bias(p, n, axis < 0 ? -1 : channels);
    mc_qweight q = {0};
    mc_value *in[3] = {NULL, NULL, NULL}, *x;
    mc_tensor *zero = NULL;
    mc_node *deq;
    double *floor = NULL;
    int32_t st = MCOMP_OK;
    MC_TRY(pair_of(p, n->in[0], &x));
    if (b) MC_TRY(bias_floor(b, x_scale, &floor));
    MC_TRY(mc_qweight_make(&q, w, axis, floor, 1.0, 0));
    MC_TRY(mc_tensor_create(&zero, MCOMP_I8, &q.scale->shape));
    if (b) MC_TRY(apply_bias(p, n, b, x_scale, q.scale));
    const char *name = n->in[1]->name;
    MC_TRY(mc_q_const_tensor(p->g, name, "_quantized", &q.q, &in[0]));
    MC_TRY(mc_q_const_tensor(p->g, name, "_scale", &q.scale, &in[1]));
    MC_TRY(mc_q_const_tensor(p->g, name, "_zero_point", &zero, &in[2]));
    MC_TRY(mc_q_emit(p->g, "DequantizeLinear", NULL, 3, in, &deq));
    if (axis >= 0) MC_TRY(mc_node_set_i(deq, "axis", axis));
    MC_TRY(mc_node_set_input(p->g, n, 0, x));
    MC_TRY(mc_node_set_input(p->g, n, 1, deq->out[0]));
done:
    mc_free(floor);
    mc_tensor_destroy(zero);
    mc_qweight_free(&q);
    return st;
}

int32_t mc_q_static_apply(mc_qplan *p)
{
    mc_graph *g = p->g;
    int32_t st = MCOMP_OK;
    const int64_t n_order = g->n_order; /* nodes made here come behind it */
    for (int64_t k = 0; k < n_order; k++) {
        mc_node *n = g->order[k];
        if (n->id >= p->n_nodes || !p->node[n->id].integer) continue;
        if (p->node[n->id].kind == MC_QK_STATIC) {
            MC_TRY(apply_weighted(p, n));
            continue;
        }
        for (int32_t i = 0; i < n->n_in; i++) {
            mc_value *v = n->in[i], *d;
            if (!v || v->id >= p->n_values || !p->value[v->id].wanted) continue;
            MC_TRY(pair_of(p, v, &d));
            MC_TRY(mc_node_set_input(g, n, i, d));
        }
    }
    MC_TRY(mc_graph_sort(g));
done:
    return st;
}
