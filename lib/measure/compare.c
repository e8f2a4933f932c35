/* Two models on the same samples: the pairs say more than two intervals do. */
#include "measure/measure.h"

#include <math.h>

/* McNemar (1947), exact: two-sided binomial test of b against c discordant pairs. */
static double mcnemar(int64_t b, int64_t c)
{
    const int64_t n = b + c, k = b < c ? b : c;
    double sum = 0.0;
    if (n == 0) return 1.0;
    for (int64_t i = 0; i <= k; i++) sum += exp(lgamma((double)n + 1) - lgamma((double)i + 1) - lgamma((double)(n - i) + 1) - (double)n * log(2.0));
    return fmin(2.0 * sum, 1.0);
}

void mc_scores_compare(const mc_scores *a, const mc_scores *b, mc_comparison *out)
{
    int64_t same = 0, only_a = 0, only_b = 0;
    const int64_t *label = a->label->data;
    *out = (mc_comparison){.agreement = NAN};
    if (a->n != b->n || a->n == 0 || (a->width == 1) != (b->width == 1)) return;
    out->labelled = 1;
    for (int64_t i = 0; i < a->n; i++) {
        const int64_t x = mc_scores_class(a, i), y = mc_scores_class(b, i);
        same += x == y;
        only_a += x == label[i] && y != label[i];
        only_b += x != label[i] && y == label[i];
        out->labelled &= label[i] >= 0;
    }
    const double n = (double)a->n;
    out->agreement = (double)same / n;
    out->value = (double)(only_a - only_b) / n;
    const double se = sqrt((double)(only_a + only_b) / n - out->value * out->value) / sqrt(n);
    out->lo = out->value - 1.959964 * se;
    out->hi = out->value + 1.959964 * se;
    out->mcnemar_p = mcnemar(only_a, only_b);
}
