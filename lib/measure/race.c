/* Paired timing: models in turn on the same samples. Ratios come with a bootstrap interval over blocks of rounds (Efron, 1979; blocks, since
 * neighbouring rounds share what else the machine does: Künsch, 1989). */
#include "measure/measure.h"

#include <math.h>
#include <stdlib.h>

enum { WARM_UP = 5, BLOCKS = 20, RESAMPLES = 500 };

static int32_t run_once(const mc_race *race, const mc_racer *r, int32_t which, int64_t sample, double *ms)
{
    int32_t st = MCOMP_OK;
    const mcomp_tensor *in[MC_OP_MAX_IO], *out[MC_OP_MAX_IO];
    MC_TRY(mc_context_poll(race->ctx));
    MC_TRY(race->fetch(race->payload, which, sample, in));
    const int64_t start = mc_clock_ns();
    MC_TRY(mcomp_exec_run(r[which].exec, r[which].n_in, in, r[which].n_out, out));
    *ms = (double)(mc_clock_ns() - start) * 1e-6;
done:
    return st;
}

int32_t mc_race_run(const mc_race *race, int32_t n, mc_racer *r, int64_t *rounds)
{
    int32_t st = MCOMP_OK;
    double ms, spent = 0.0;
    const int64_t warm = race->n_samples > WARM_UP ? race->n_samples : WARM_UP;
    *rounds = 0;
    for (int32_t k = 0; k < n; k++)
        if (r[k].n_in > MC_OP_MAX_IO || r[k].n_out > MC_OP_MAX_IO) MC_FAIL(MCOMP_LIMIT, NULL, "a model with more than %d inputs or outputs is not timed", MC_OP_MAX_IO);
    for (int64_t i = 0; i < warm; i++)
        for (int32_t k = 0; k < n; k++) MC_TRY(run_once(race, r, k, i % race->n_samples, &ms));
    while (*rounds < race->max_rounds) {
        const int64_t i = *rounds;
        for (int32_t k = 0; k < n; k++) {
            const int32_t which = i % 2 ? n - 1 - k : k;
            MC_TRY(run_once(race, r, which, i % race->n_samples, &r[which].ms[i]));
            spent += r[which].ms[i] * 1e-3;
        }
        ++*rounds;
        if (*rounds < race->min_rounds) continue;
        if (spent >= race->seconds || (race->enough && race->enough(race->payload, r, *rounds, spent))) break;
    }
done:
    return st;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double mc_race_quantile(const double *ms, int64_t n, double q)
{
    double result = NAN, *copy = n > 0 ? mc_malloc((size_t)n * sizeof *copy) : NULL;
    if (!copy) return NAN;
    memcpy(copy, ms, (size_t)n * sizeof *copy);
    qsort(copy, (size_t)n, sizeof *copy, ascending);
    if (q == 0.5 && n % 2 == 0) result = 0.5 * (copy[n / 2 - 1] + copy[n / 2]);
    else result = copy[(int64_t)(q * (double)(n - 1) + 0.5)];
    mc_free(copy);
    return result;
}

void mc_race_ratio(const double *a, const double *b, int64_t n, mc_ratio *out)
{
    double block[BLOCKS], means[RESAMPLES];
    const int blocks = n >= BLOCKS * 3 ? BLOCKS : n >= 6 ? (int)(n / 3) : 0;
    out->value = mc_race_quantile(a, n, 0.5) / mc_race_quantile(b, n, 0.5);
    out->lo = out->hi = NAN;
    if (blocks < 2) return;
    for (int k = 0; k < blocks; k++) {
        const int64_t from = n * k / blocks, to = n * (k + 1) / blocks;
        block[k] = log(mc_race_quantile(a + from, to - from, 0.5) / mc_race_quantile(b + from, to - from, 0.5));
    }
    for (int t = 0; t < RESAMPLES; t++) {
        double sum = 0.0;
        uint32_t w[4];
        for (int k = 0; k < blocks; k++) {
            mc_rng_block((uint64_t)t, 0x72616365u, (uint64_t)k, w);
            sum += block[w[0] % (uint32_t)blocks];
        }
        means[t] = exp(sum / blocks);
    }
    out->lo = mc_race_quantile(means, RESAMPLES, 0.025);
    out->hi = mc_race_quantile(means, RESAMPLES, 0.975);
}
