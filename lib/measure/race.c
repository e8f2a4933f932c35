/* Paired timing: models in turn on the same samples. A ratio is that of the two medians; its interval is a bootstrap of the same ratio over
 * blocks of rounds (Efron, 1979; blocks, since neighbouring rounds share what else the machine does: Künsch, 1989). */
#include "measure/measure.h"

#include <math.h>
#include <stdlib.h>

enum { WARM_UP = 5, BLOCKS = 20, DRAWS = 500, MARKS = 20000 };

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

/* One measured time and the block of rounds it comes from. */
typedef struct mark {
    double ms;
    int block;
} mark;

static int by_time(const void *a, const void *b) { return ascending(&((const mark *)a)->ms, &((const mark *)b)->ms); }

/* At most MARKS of the times, in order of time. NULL: no memory. */
static mark *marks_of(const double *ms, int64_t n, int blocks, int64_t *n_marks)
{
    const int64_t step = (n + MARKS - 1) / MARKS;
    mark *m = mc_malloc(sizeof *m * (size_t)(n / step + 1));
    *n_marks = 0;
    for (int64_t i = 0; m && i < n; i += step) m[(*n_marks)++] = (mark){ms[i], (int)(i * blocks / n)};
    if (m) qsort(m, (size_t)*n_marks, sizeof *m, by_time);
    return m;
}

/* Median when block k was drawn times[k] times. */
static double median_of_draw(const mark *m, int64_t n, const int *times)
{
    int64_t all = 0, seen = 0, i = 0;
    for (int64_t k = 0; k < n; k++) all += times[m[k].block];
    for (; i < n - 1; i++) {
        seen += times[m[i].block];
        if (2 * seen >= all) break;
    }
    return m[i].ms;
}

void mc_race_ratio(const double *a, const double *b, int64_t n, mc_ratio *out)
{
    double draws[DRAWS];
    const int blocks = n >= BLOCKS * 3 ? BLOCKS : n >= 6 ? (int)(n / 3) : 0;
    int64_t na = 0, nb = 0;
    out->value = mc_race_quantile(a, n, 0.5) / mc_race_quantile(b, n, 0.5);
    out->lo = out->hi = NAN;
    if (blocks < 2) return;
    mark *ma = marks_of(a, n, blocks, &na), *mb = marks_of(b, n, blocks, &nb);
    for (int t = 0; ma && mb && t < DRAWS; t++) {
        int times[BLOCKS] = {0};
        uint32_t w[4];
        for (int k = 0; k < blocks; k++) {
            mc_rng_block((uint64_t)t, 0x72616365u, (uint64_t)k, w);
            times[w[0] % (uint32_t)blocks]++;
        }
        draws[t] = median_of_draw(ma, na, times) / median_of_draw(mb, nb, times);
    }
    if (ma && mb) {
        out->lo = mc_race_quantile(draws, DRAWS, 0.025);
        out->hi = mc_race_quantile(draws, DRAWS, 0.975);
    }
    mc_free(ma);
    mc_free(mb);
}
