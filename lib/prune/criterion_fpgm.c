/* Geometric median: a unit near all the others is replaceable, sum over m of |w_n - w_m| (He et al., "Filter Pruning via Geometric Median",
 * 2019). Distances by |a|^2 + |b|^2 - 2 a b; units^2 * width products, pairs once. */
#include "prune/prune.h"

#include <math.h>

static double dot(const float *a, const float *b, int64_t n)
{
    float lane[16] = {0};
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (int k = 0; k < 16; k++) lane[k] += a[i + k] * b[i + k];
    double sum = 0.0;
    for (int k = 0; k < 16; k++) sum += (double)lane[k];
    for (; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

static void unit(const float *w, int64_t units, int64_t width, float *score)
{
    for (int64_t n = 0; n < units; n++) score[n] = 0.0f;
    for (int64_t n = 0; n < units; n++) {
        const double own = dot(w + n * width, w + n * width, width);
        for (int64_t m = n + 1; m < units; m++) {
            const double square = own + dot(w + m * width, w + m * width, width) - 2.0 * dot(w + n * width, w + m * width, width);
            const float distance = square > 0.0 ? (float)sqrt(square) : 0.0f;
            score[n] += distance;
            score[m] += distance;
        }
    }
}

const mc_criterion mc_criterion_fpgm = {.name = "fpgm", .unit = unit};
