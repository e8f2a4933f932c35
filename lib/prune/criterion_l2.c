/* Magnitude: sum of w^2, which orders as the Euclidean norm does. */
#include "prune/prune.h"

static void element(const float *w, const float *v, int64_t n, float *score)
{
    (void)v;
    for (int64_t i = 0; i < n; i++) score[i] = w[i] * w[i];
}

const mc_criterion mc_criterion_l2 = {.name = "l2", .element = element};
