/* Epilogue of integer products and the quantized sum, portable: the order of docs/fused_ops.md, "Numerics". */
#include "kernels/rows.h"

static void put(const mc_qout *o, int64_t row, int64_t j, float v)
{
    const int64_t at = row * o->ld + j;
    if (o->quantized) ((uint8_t *)o->y)[at] = (uint8_t)((uint32_t)mc_requant(v, o->inv, o->zp, 0, 255) ^ o->flip);
    else ((float *)o->y)[at] = v;
}

static float real_of(const mc_qmap *p, uint8_t byte) { return (float)((int32_t)(byte ^ p->flip) - p->zp) * p->scale; }

void mc_k_int8_epilogue_ref(const mc_qepilogue *e)
{
    for (int64_t i = 0; i < e->m; i++) {
        const float x_scale = e->row_scale ? e->row_scale[i] : e->x_scale;
        for (int64_t j = 0; j < e->n; j++) {
            float v = (float)e->acc[i * e->ld_acc + j] * (x_scale * e->w_scale[j]);
            if (e->bias) v = v + e->bias[j];
            v = mc_actf(e->act, e->lo, e->hi, v);
            if (e->middle) v = (float)(mc_requant(v, e->m_inv, e->m_param.zp, 0, 255) - e->m_param.zp) * e->m_param.scale;
            if (e->residual == MC_QRESIDUAL_F32) v = v + ((const float *)e->r)[i * e->ld_r + j];
            else if (e->residual == MC_QRESIDUAL_BYTES) v = v + real_of(&e->r_param, ((const uint8_t *)e->r)[i * e->ld_r + j]);
            put(&e->out, i, j, mc_actf(e->post_act, e->lo, e->hi, v));
        }
    }
}

void mc_k_int8_add_ref(const mc_qadd *a)
{
    for (int64_t j = 0; j < a->n; j++) {
        const float v = real_of(&a->a_param, a->a[j]) + real_of(&a->b_param, a->b[j]);
        put(&a->out, 0, j, a->relu ? mc_actf(MCOMP_ACT_RELU, 0.0f, 0.0f, v) : v);
    }
}

void mc_k_int8_requantize_ref(const float *x, int64_t n, const mc_qout *out)
{
    for (int64_t j = 0; j < n; j++) put(out, 0, j, x[j]);
}
