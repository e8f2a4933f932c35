/* Optimizer steps and dropout, portable. */
#include "kernels/rows.h"

#include "base/base.h"

#include <math.h>

void mc_k_f32_adam_ref(const mc_adam_f32 *s)
{
    for (int64_t i = 0; i < s->n; i++) {
        const float p = s->p[i], mask = s->mask ? s->mask[i] : 1.0f;
        float g = s->g[i] * s->scale;
        if (!s->u) g = g + s->l2 * p;
        g = g * mask;
        s->m[i] = s->m[i] * s->beta1 + g * (1.0f - s->beta1);
        s->v[i] = s->v[i] * s->beta2 + (g * g) * (1.0f - s->beta2);
        const float d = s->step * s->m[i] / (sqrtf(s->v[i]) * s->root + s->eps);
        if (s->u) s->u[i] = d + s->l2 * p;
        else s->p[i] = (p * s->decay - d) * mask;
    }
}

void mc_k_f32_sgd_ref(const mc_sgd_f32 *s)
{
    for (int64_t i = 0; i < s->n; i++) {
        const float p = s->p[i], mask = s->mask ? s->mask[i] : 1.0f, g = (s->g[i] * s->scale + s->l2 * p) * mask;
        float d = g;
        if (s->b) {
            s->b[i] = s->b[i] * s->momentum + g;
            d = s->nesterov ? s->b[i] * s->momentum + g : s->b[i];
        }
        s->p[i] = (p - s->lr * d) * mask;
    }
}

void mc_k_f32_dropout_ref(const mc_dropout_f32 *d)
{
    uint32_t word[16][4];
    for (int64_t i = 0; i < d->n; i++) {
        const int64_t e = d->first + i, lane = e % 16;
        if (e % 64 == 0)
            for (uint64_t k = 0; k < 16; k++) mc_rng_block(d->seed, d->stream, 16 * (uint64_t)(e / 64) + k, word[k]);
        d->y[i] = word[lane][(e % 64) / 16] >= d->threshold ? d->x[i] * d->scale : 0.0f;
    }
}

/* Lanes are added as v_reduce_add does it. */
static float lanes(const float v[16])
{
    float t[16];
    memcpy(t, v, sizeof t);
    for (int step = 8; step > 0; step /= 2)
        for (int i = 0; i < step; i++) t[i] += t[i + step];
    return t[0];
}

void mc_k_f32_plane_sums_ref(const mc_plane_sums_f32 *s, double out[2])
{
    for (int64_t at = 0; at < s->n; at += 1024) {
        float a[16] = {0.0f}, b[16] = {0.0f};
        const int64_t end = s->n - at < 1024 ? s->n : at + 1024;
        for (int64_t i = at; i < end; i++) {
            const float d = s->x[i] - s->mean, w = s->dy ? s->dy[i] : d;
            a[(i - at) % 16] += w;
            b[(i - at) % 16] += w * d;
        }
        out[0] += (double)lanes(a);
        out[1] += (double)lanes(b);
    }
}

void mc_k_f32_combine_ref(const float *p, float a, const float *q, float b, float c, float *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] = p[i] * a + q[i] * b + c;
}
