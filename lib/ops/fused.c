/* Quantization parameters and row epilogue of the mcomp operators: bias, activation, residual, second activation,
 * LayerNormalization, requantization, in exactly the order of docs/fused_ops.md, Numerics. */
#include "ops/fused.h"

#include <stdio.h>

int32_t mc_qparam_read(const mc_node *n, const char *p, mc_qparam *q)
{
    char name[3][32];
    const char *const suffix[3] = {"scale", "zp", "dtype"};
    for (int32_t i = 0; i < 3; i++) snprintf(name[i], sizeof name[i], "%s_%s", p, suffix[i]);
    const int64_t zp = mc_attr_i(n, name[1], 0), dtype = mc_attr_i(n, name[2], MCOMP_U8);
    q->scale = mc_attr_f(n, name[0], 0.0f);
    if (!(q->scale > 0.0f) || q->scale > 3.4e38f)
        return mc_fail(MCOMP_RANGE, n->name, "%s: %s is %g; it must be positive and finite", n->op, name[0], (double)q->scale);
    if (dtype != MCOMP_U8 && dtype != MCOMP_I8)
        return mc_fail(MCOMP_DTYPE, n->name, "%s: %s is %lld; it must be uint8 or int8", n->op, name[2], (long long)dtype);
    q->dtype = (int32_t)dtype;
    q->lo = dtype == MCOMP_U8 ? 0 : -128;
    q->hi = dtype == MCOMP_U8 ? 255 : 127;
    if (zp < q->lo || zp > q->hi)
        return mc_fail(MCOMP_RANGE, n->name, "%s: %s is %lld; it must be in [%d, %d]", n->op, name[1], (long long)zp, q->lo, q->hi);
    q->zp = (int32_t)zp;
    return MCOMP_OK;
}

int32_t mc_qparam_infer(const mc_infer *c, int32_t i, const char *p)
{
    mc_qparam q;
    int32_t st = MCOMP_OK;
    MC_TRY(mc_nn_need_byte(c, i));
    MC_TRY(mc_qparam_read(c->node, p, &q));
    MC_TRY(mc_nn_need_dtype(c, i, q.dtype));
done:
    return st;
}

int32_t mc_qparam_out(mc_infer *c)
{
    mc_qparam q;
    c->out[0].dtype = MCOMP_F32;
    if (!mc_qparam_given(c->node, "y_scale")) return MCOMP_OK;
    const int32_t st = mc_qparam_read(c->node, "y", &q);
    if (st == MCOMP_OK) c->out[0].dtype = q.dtype;
    return st;
}

static int32_t check_act(const mc_infer *c, const char *name)
{
    if (mc_act_read(c->node, name) < 0) return mc_infer_fail(c, MCOMP_FORMAT, "attribute %s names no activation", name);
    if (mc_act_read(c->node, name) == MCOMP_ACT_CLIP) {
        const float lo = mc_attr_f(c->node, "act_lo", -INFINITY), hi = mc_attr_f(c->node, "act_hi", INFINITY);
        if (!(lo <= hi)) return mc_infer_fail(c, MCOMP_FORMAT, "act_lo %g is not below act_hi %g", (double)lo, (double)hi);
    }
    return MCOMP_OK;
}

static int32_t check_residual(const mc_infer *c, int32_t i)
{
    int32_t st = MCOMP_OK;
    if (i < 0 || !mc_has(c, i)) goto done;
    if (c->in[i]->dtype == MCOMP_U8 || c->in[i]->dtype == MCOMP_I8) MC_TRY(mc_qparam_infer(c, i, "r"));
    else MC_TRY(mc_nn_need_dtype(c, i, MCOMP_F32));
    if (c->out[0].rank < 0) goto done;
    MC_TRY(mc_nn_need_rank(c, i, c->out[0].rank));
    for (int32_t d = 0; d < c->out[0].rank; d++) MC_TRY(mc_nn_need_dim(c, i, d, c->out[0].dim[d], "residual"));
done:
    return st;
}

int32_t mc_fused_infer(mc_infer *c, const mc_fused_slots *s, int64_t n)
{
    int32_t st = MCOMP_OK;
    MC_TRY(check_act(c, "act"));
    MC_TRY(check_act(c, "post_act"));
    if (s->bias >= 0 && mc_has(c, s->bias)) {
        MC_TRY(mc_nn_need_dtype(c, s->bias, MCOMP_F32));
        MC_TRY(mc_nn_need_vector(c, s->bias, n, "bias"));
    }
    MC_TRY(check_residual(c, s->residual));
    if (s->residual >= 0 && mc_qparam_given(c->node, "m_scale")) {
        mc_qparam m;
        MC_TRY(mc_qparam_read(c->node, "m", &m));
    }
    if (s->gamma < 0) goto done;
    if (mc_node_attr(c->node, "ln_eps") && !(mc_attr_f(c->node, "ln_eps", -1.0f) >= 0.0f))
        return mc_infer_fail(c, MCOMP_RANGE, "ln_eps is %g", (double)mc_attr_f(c->node, "ln_eps", -1.0f));
    for (int32_t k = 0; k < 2; k++) {
        const int32_t i = k ? s->beta : s->gamma;
        if (!mc_has(c, i)) continue;
        MC_TRY(mc_nn_need_dtype(c, i, MCOMP_F32));
        MC_TRY(mc_nn_need_vector(c, i, n, k ? "beta" : "gamma"));
    }
done:
    return st;
}

static const float *floats(const mc_op_run *r, int32_t i)
{
    const mc_tensor *t = i < 0 ? NULL : mc_in(r, i);
    return t ? t->data : NULL;
}

int32_t mc_fused_open(const mc_op_run *r, const mc_fused_slots *s, mc_fused *f)
{
    int32_t st = MCOMP_OK;
    const mc_node *n = r->node;
    memset(f, 0, sizeof *f);
    f->act = mc_act_read(n, "act");
    f->post_act = mc_act_read(n, "post_act");
    f->lo = mc_attr_f(n, "act_lo", -INFINITY);
    f->hi = mc_attr_f(n, "act_hi", INFINITY);
    f->bias = floats(r, s->bias);
    f->residual = s->residual < 0 ? NULL : mc_in(r, s->residual);
    if (f->residual && f->residual->dtype != MCOMP_F32) MC_TRY(mc_qparam_read(n, "r", &f->r));
    f->middle = s->residual >= 0 && mc_qparam_given(n, "m_scale");
    if (f->middle) MC_TRY(mc_qparam_read(n, "m", &f->m));
    f->inv_m = f->middle ? 1.0f / f->m.scale : 0.0f;
    f->layernorm = s->gamma >= 0 && mc_node_attr(n, "ln_eps");
    f->eps = mc_attr_f(n, "ln_eps", 0.0f);
    f->gamma = floats(r, s->gamma);
    f->beta = floats(r, s->beta);
    f->quantized = mc_qparam_given(n, "y_scale");
    if (f->quantized) MC_TRY(mc_qparam_read(n, "y", &f->y));
    f->inv_y = f->quantized ? 1.0f / f->y.scale : 0.0f;
done:
    return st;
}

void mc_fused_row(const mc_fused *f, float *v, int64_t row, int64_t n, mc_tensor *y)
{
    for (int64_t j = 0; j < n; j++) {
        float x = v[j];
        if (f->bias) x = x + f->bias[j];
        x = mc_actf(f->act, f->lo, f->hi, x);
        if (f->middle) x = (float)(mc_requant(x, f->inv_m, f->m.zp, f->m.lo, f->m.hi) - f->m.zp) * f->m.scale;
        if (f->residual && f->residual->dtype == MCOMP_F32) x = x + ((const float *)f->residual->data)[row * n + j];
        else if (f->residual) x = x + (float)(mc_nn_byte(f->residual, row * n + j) - f->r.zp) * f->r.scale;
        v[j] = mc_actf(f->post_act, f->lo, f->hi, x);
    }
    if (f->layernorm) mc_layernorm_row_ref(v, v, f->gamma, f->beta, f->eps, n);
    for (int64_t j = 0; j < n; j++) mc_fused_put(f, y, row * n + j, v[j]);
}

mc_type mc_type_channels_last(const mc_type *t)
{
    mc_type r = *t;
    if (t->rank < 2) return r;
    for (int32_t i = 2; i < t->rank; i++) r.dim[i - 1] = t->dim[i];
    r.dim[t->rank - 1] = t->dim[1];
    return r;
}
