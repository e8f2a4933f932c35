/* First-order Taylor expansion of the loss: E[(w g)^2] = w^2 E[g^2], the squared change of the loss when w is removed (Molchanov et al.,
 * "Importance Estimation for Neural Network Pruning", 2019). E[g^2] is the second moment that Adam keeps. */
#include "prune/prune.h"

static void element(const float *w, const float *v, int64_t n, float *score)
{
    for (int64_t i = 0; i < n; i++) score[i] = w[i] * w[i] * v[i];
}

const mc_criterion mc_criterion_taylor = {.name = "taylor", .moments = 1, .element = element};
