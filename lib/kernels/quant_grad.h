/* kernels/quant_grad.h - body of quant_grad.c of every tier: plain C that the compiler turns into vectors, so that it is one
 * definition with one order of sums. MC_K names the functions. */
#include "kernels/kernels.h"

void MC_K(quantize_grad)(const mc_quant_grad_f32 *g);
double MC_K(scale_grad)(const mc_quant_grad_f32 *g);

#define LANES 16
#define BLOCK 512
#define MAGIC 0x1.8p23f /* adding and taking it away rounds |t| < 2^22 half to even */

/* x / s rounded; one step outside of [lo, hi] says that it is outside. */
static inline float on_grid(float t, float lo, float hi)
{
    t = t < lo - 1.0f ? lo - 1.0f : t;
    t = t > hi + 1.0f ? hi + 1.0f : t;
    return (t + MAGIC) - MAGIC;
}

void MC_K(quantize_grad)(const mc_quant_grad_f32 *g)
{
    const float s = g->scale, by = g->pair ? 1.0f : s, lo = g->lo, hi = g->hi;
    const float *restrict d = g->d, *restrict x = g->x;
    float *restrict dx = g->dx;
    const int64_t n = g->n;
    for (int64_t i = 0; i < n; i++) {
        const float r = on_grid(x[i] / s, lo, hi), y = d[i] / by;
        dx[i] = r >= lo && r <= hi ? y : 0.0f;
    }
}

/* q: the rounded x on the grid's edge where it is outside, 0 for NaN; in: x where it is in range, else 0. Floats first, doubles in
 * loops of their own: mixed widths keep the compiler from using vectors. */
static void split(const mc_quant_grad_f32 *g, int64_t at, int64_t n, float *restrict q, float *restrict in)
{
    const float s = g->scale, lo = g->lo, hi = g->hi;
    const float *restrict x = g->x + at;
    for (int64_t i = 0; i < n; i++) {
        const float r = on_grid(x[i] / s, lo, hi);
        in[i] = r >= lo && r <= hi ? x[i] : 0.0f;
    }
    for (int64_t i = 0; i < n; i++) {
        float r = on_grid(x[i] / s, lo, hi);
        r = r < lo ? lo : r;
        r = r > hi ? hi : r;
        q[i] = r == r ? r : 0.0f;
    }
}

static void terms(const mc_quant_grad_f32 *g, int64_t at, int64_t n, double *restrict term)
{
    float q[BLOCK], in[BLOCK];
    const double inv = 1.0 / (double)g->scale, by = -inv * inv;
    const float *restrict d = g->d + at;
    split(g, at, n, q, in);
    if (g->pair)
        for (int64_t i = 0; i < n; i++) term[i] = (double)d[i] * ((double)q[i] - (double)in[i] * inv);
    else
        for (int64_t i = 0; i < n; i++) term[i] = (double)d[i] * ((double)in[i] * by);
}

double MC_K(scale_grad)(const mc_quant_grad_f32 *g)
{
    double lane[LANES] = {0.0}, term[BLOCK];
    for (int64_t at = 0; at < g->n; at += BLOCK) {
        const int64_t n = g->n - at < BLOCK ? g->n - at : BLOCK, whole = n / LANES * LANES;
        terms(g, at, n, term);
        for (int64_t i = 0; i < whole; i += LANES)
            for (int j = 0; j < LANES; j++) lane[j] += term[i + j];
        for (int64_t i = whole; i < n; i++) lane[i - whole] += term[i];
    }
    for (int step = LANES / 2; step > 0; step /= 2)
        for (int j = 0; j < step; j++) lane[j] += lane[j + step];
    return lane[0];
}
