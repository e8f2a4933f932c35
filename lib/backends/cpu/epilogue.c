/* What the built-in backend offers to plugins, so that tiles are finished alike everywhere: the row epilogue of float tiles, that of
 * integer sums (docs/fused_ops.md, Numerics), and quantization of rows on the way in. */
#include "backends/cpu/cpu.h"
#include "backends/cpu/qgemm.h"

void mc_cpu_epilogue_f32(const mcomp_epilogue_f32 *e, float *y, int64_t ld_y, int64_t m, int64_t n)
{
    mc_kernels_for(mc_cpu_isa())->f32.epilogue(e, y, ld_y, m, n);
}

void mc_cpu_epilogue_q8(const mcomp_epilogue_q8 *e, int64_t m, int64_t n)
{
    const mc_kernels *k = mc_kernels_for(mc_cpu_isa());
    const int bytes = e->y_scale > 0.0f;
    mc_qepilogue q = {.acc = e->acc, .ld_acc = e->ld_acc, .m = m, .n = n, .w_scale = e->w_scale, .row_scale = e->row_scale, .x_scale = e->x_scale,
                      .act = e->act, .post_act = e->post_act, .lo = e->act_lo, .hi = e->act_hi, .bias = e->bias, .r = e->residual, .ld_r = e->ld_r,
                      .out = {.y = e->y, .ld = e->ld_y}};
    if (e->residual) {
        q.residual = e->r_dtype == MCOMP_F32 ? MC_QRESIDUAL_F32 : MC_QRESIDUAL_BYTES;
        q.r_param = mc_q_map_of(e->r_scale, e->r_zp, e->r_dtype);
    }
    if (e->residual && e->m_scale > 0.0f) {
        q.middle = 1;
        q.m_param = mc_q_map_of(e->m_scale, e->m_zp, e->m_dtype);
        q.m_inv = 1.0f / e->m_scale;
    }
    mc_qout out = q.out;
    if (bytes) {
        const mc_qmap p = mc_q_map_of(e->y_scale, e->y_zp, e->y_dtype);
        out.quantized = 1;
        out.zp = p.zp;
        out.flip = p.flip;
        out.inv = 1.0f / e->y_scale;
    }
    if (!e->layernorm) q.out = out;
    else if (bytes) q.out = (mc_qout){.y = e->rows, .ld = n};
    k->int8.epilogue(&q);
    if (!e->layernorm) return;
    const mc_norm_f32 norm = {.x = q.out.y, .y = q.out.y, .gamma = e->gamma, .beta = e->beta, .ld_x = q.out.ld, .ld_y = q.out.ld, .rows = m, .n = n,
                              .eps = e->ln_eps};
    mc_q_normalise(k, &norm, &out, e->ld_y);
}

void mc_cpu_quantize_q8(const float *x, int64_t ld_x, int64_t m, int64_t k, float scale, int32_t zp, uint8_t *y, int64_t ld_y, float *row_scale)
{
    const mc_kernels_int8 *kernels = &mc_kernels_for(mc_cpu_isa())->int8;
    const mc_qmap p = {scale, zp, 0};
    if (row_scale) kernels->quantize_rows(x, ld_x, m, k, y, ld_y, row_scale);
    for (int64_t i = 0; i < m && !row_scale; i++) kernels->quantize(x + i * ld_x, k, &p, y + i * ld_y);
}
