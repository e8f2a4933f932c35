/* Magnitude: sum of |w| (Han et al., 2015; Li et al., 2017, for filters). */
#include "prune/prune.h"

#include <math.h>

static void element(const float *w, const float *v, int64_t n, float *score)
{
    (void)v;
    for (int64_t i = 0; i < n; i++) score[i] = fabsf(w[i]);
}

const mc_criterion mc_criterion_l1 = {.name = "l1", .element = element};
