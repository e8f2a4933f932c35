/* Epilogue, softmax, normalisation and reductions of rows, portable: math_f32.h applied row by row. */
#include "kernels/math_f32.h"
#include "kernels/rows.h"

void mc_k_f32_epilogue_ref(const mcomp_epilogue_f32 *e, float *y, int64_t ld_y, int64_t m, int64_t n)
{
    for (int64_t i = 0; i < m; i++, y += ld_y) {
        for (int64_t j = 0; j < n; j++) {
            float v = e->bias ? y[j] + e->bias[j] : y[j];
            v = mc_actf(e->act, e->act_lo, e->act_hi, v);
            if (e->residual) v = v + e->residual[i * e->ld_r + j];
            y[j] = mc_actf(e->post_act, e->act_lo, e->act_hi, v);
        }
        if (e->layernorm) mc_layernorm_row_ref(y, y, e->gamma, e->beta, e->ln_eps, n);
    }
}

void mc_k_f32_softmax_ref(const mc_softmax_f32 *s)
{
    for (int64_t i = 0; i < s->rows; i++) {
        const float *x = s->x + i * s->ld_x;
        float *y = s->y + i * s->ld_y, lane[16] = {0}, max = -INFINITY;
        for (int64_t j = 0; j < s->n; j++) max = s->scale * x[j] > max ? s->scale * x[j] : max;
        for (int64_t j = 0; j < s->n; j++) {
            const float d = s->scale * x[j] - max, v = mc_expf(d);
            y[j] = s->log ? d : v;
            lane[j & 15] = lane[j & 15] + v;
        }
        const float total = mc_lanes_fold(lane), f = s->log ? logf(total) : 1.0f / total;
        for (int64_t j = 0; j < s->n; j++) y[j] = s->log ? y[j] - f : y[j] * f;
    }
}

void mc_k_f32_attention_ref(const mc_attention_f32 *a)
{
    for (int64_t i = 0; i < MC_ATTENTION_LANES; i++) {
        const float old = a->maximum[i];
        float top = old, sum = 0.0f;
        for (int64_t t = 0; t < a->t; t++) {
            float *s = &a->s[t * MC_ATTENTION_LANES + i];
            if (a->tile) *s = *s + MC_LOG2E * a->tile[t * MC_ATTENTION_LANES + i];
            else if (a->mask && (i < a->lanes || a->mask_q == 0)) *s = *s + MC_LOG2E * a->mask[t * a->mask_t + i * a->mask_q];
            top = *s > top ? *s : top;
        }
        const float base = top == -INFINITY ? 0.0f : top; /* only masked keys so far: all become 0 */
        for (int64_t t = 0; t < a->t; t++) {
            float *s = &a->s[t * MC_ATTENTION_LANES + i];
            *s = exp2f(*s - base);
            sum = sum + *s;
        }
        a->rescale[i] = exp2f(old - base);
        a->maximum[i] = top;
        a->sum[i] = a->sum[i] * a->rescale[i] + sum;
    }
}

void mc_k_f32_scale_rows_ref(float *y, int64_t ld, int64_t rows, int64_t n, const float *factor)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < n; j++) y[i * ld + j] = y[i * ld + j] * factor[i];
}

void mc_k_f32_norm_ref(const mc_norm_f32 *s)
{
    for (int64_t i = 0; i < s->rows; i++) {
        const float *x = s->x + i * s->ld_x;
        float *y = s->y + i * s->ld_y, lane[16] = {0};
        if (!s->rms) {
            mc_layernorm_row_ref(y, x, s->gamma, s->beta, s->eps, s->n);
            continue;
        }
        for (int64_t j = 0; j < s->n; j++) lane[j & 15] = lane[j & 15] + x[j] * x[j];
        const float inv = 1.0f / sqrtf(mc_lanes_fold(lane) / (float)s->n + s->eps);
        for (int64_t j = 0; j < s->n; j++) {
            float v = x[j] * inv;
            if (s->gamma) v = v * s->gamma[j];
            if (s->beta) v = v + s->beta[j];
            y[j] = v;
        }
    }
}

static float step(int32_t code, float acc, float x)
{
    switch (code) {
    case MC_REDUCE_MAX: return isnan(x) || isnan(acc) ? x + acc : acc > x ? acc : x;
    case MC_REDUCE_MIN: return isnan(x) || isnan(acc) ? x + acc : acc < x ? acc : x;
    case MC_REDUCE_SQUARES: return acc + x * x;
    default: return acc + x;
    }
}

float mc_k_f32_reduce_ref(int32_t code, const float *x, int64_t n)
{
    const int sums = code == MC_REDUCE_SUM || code == MC_REDUCE_SQUARES;
    float lane[16];
    for (int i = 0; i < 16; i++) lane[i] = sums ? 0.0f : x[0];
    for (int64_t j = 0; j < n; j++) lane[j & 15] = step(code, lane[j & 15], x[j]);
    if (sums) return mc_lanes_fold(lane);
    for (int i = 1; i < 16; i++) lane[0] = step(code, lane[0], lane[i]);
    return lane[0];
}

void mc_k_f32_reduce_rows_ref(int32_t code, const float *x, int64_t ld, int64_t rows, float *y, int64_t n)
{
    for (int64_t j = 0; j < n; j++) {
        float acc = code == MC_REDUCE_SQUARES ? x[j] * x[j] : x[j];
        for (int64_t i = 1; i < rows; i++) acc = step(code, acc, x[i * ld + j]);
        y[j] = acc;
    }
}
