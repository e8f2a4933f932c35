/* Paired, interleaved timing: in each round every model runs the same sample once, the order alternating, so that a busy
 * neighbour slows all of them alike. A ratio is that of the two medians; its interval is a bootstrap of the
 * same ratio over blocks of rounds, so that slow changes of the machine are in it. */
#include "cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WARM_UP 5
#define BLOCKS 20
#define DRAWS 500
#define MARKS 20000

int cli_samples(cli *c, mcomp_dataset *d, int32_t n_inputs, int64_t want, mcomp_tensor ****out, int64_t *n)
{
    int st = 0;
    const mcomp_tensor *in[64];
    const int64_t count = mcomp_dataset_count(d) < want ? mcomp_dataset_count(d) : want;
    mcomp_tensor ***list = calloc((size_t)count + 1, sizeof *list);
    *out = list;
    *n = 0;
    if (!list || n_inputs > 64) return cli_fail(c, MCOMP_NO_MEMORY, "", "", "no memory for the samples");
    for (int64_t i = 0; i < count; i++) {
        list[i] = calloc((size_t)n_inputs + 1, sizeof **list);
        if (!list[i]) return cli_fail(c, MCOMP_NO_MEMORY, "", "", "no memory for the samples");
        *n = i + 1;
        CLI_LIB(mcomp_dataset_get(d, i, n_inputs, in, NULL));
        for (int32_t k = 0; k < n_inputs; k++) {
            CLI_LIB(mcomp_tensor_create(&list[i][k], mcomp_tensor_dtype(in[k]), mcomp_tensor_rank(in[k]), mcomp_tensor_dims(in[k])));
            memcpy(mcomp_tensor_data(list[i][k]), mcomp_tensor_data(in[k]), (size_t)mcomp_tensor_bytes(in[k]));
        }
    }
done:
    return st;
}

void cli_samples_free(mcomp_tensor ***samples, int64_t n, int32_t n_inputs)
{
    for (int64_t i = 0; samples && i < n; i++) {
        for (int32_t k = 0; samples[i] && k < n_inputs; k++) mcomp_tensor_destroy(samples[i][k]);
        free(samples[i]);
    }
    free(samples);
}

static int run_once(cli *c, const cli_timed *m, const mcomp_tensor *const *in, int32_t n_in, double *ms)
{
    const mcomp_tensor *out[64];
    const int32_t n_out = mcomp_session_n_outputs(m->s);
    if (n_out > 64) return cli_fail(c, MCOMP_UNSUPPORTED, "", "", "more than 64 outputs");
    const double start = cli_now_ms();
    const int st = mcomp_exec_run(m->e, n_in, in, n_out, out);
    *ms = cli_now_ms() - start;
    return st == 0 ? 0 : cli_lib(c, st);
}

int cli_time_models(cli *c, cli_timed *m, int n_models, int64_t n_samples, const mcomp_tensor *const *const *samples, int32_t n_in, int64_t runs,
                    double seconds)
{
    int st = 0;
    double ms;
    for (int64_t i = 0; i < (n_samples > WARM_UP ? n_samples : WARM_UP); i++) /* every shape once: plans are compiled here */
        for (int k = 0; k < n_models; k++) CLI_TRY(run_once(c, &m[k], samples[i % n_samples], n_in, &ms));
    const double end = cli_now_ms() + seconds * 1e3;
    int64_t cap = 0;
    for (int64_t i = 0; i < runs && (i < 10 || cli_now_ms() < end); i++) {
        if (i == cap) {
            cap = cap ? cap * 2 : 256;
            for (int k = 0; k < n_models; k++) {
                double *more = realloc(m[k].ms, sizeof *more * (size_t)cap);
                if (!more) CLI_TRY(cli_fail(c, MCOMP_NO_MEMORY, "", "", "no memory"));
                m[k].ms = more;
            }
        }
        for (int k = 0; k < n_models; k++) {
            const int which = i % 2 ? n_models - 1 - k : k;
            CLI_TRY(run_once(c, &m[which], samples[i % n_samples], n_in, &m[which].ms[i]));
        }
        for (int k = 0; k < n_models; k++) m[k].n = i + 1;
    }
done:
    return st;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double cli_quantile(const double *ms, int64_t n, double q)
{
    double *copy = malloc(sizeof *copy * (size_t)(n > 0 ? n : 1)), r = NAN;
    if (copy && n > 0) {
        memcpy(copy, ms, sizeof *copy * (size_t)n);
        qsort(copy, (size_t)n, sizeof *copy, compare);
        r = copy[(int64_t)(q * (double)(n - 1) + 0.5)];
    }
    free(copy);
    return r;
}

/* One measured time and the block of rounds it comes from. */
typedef struct mark {
    double ms;
    int block;
} mark;

static int by_time(const void *a, const void *b) { return compare(&((const mark *)a)->ms, &((const mark *)b)->ms); }

/* At most MARKS of the first n times, in order of time. NULL: no memory. */
static mark *marks_of(const cli_timed *t, int64_t n, int blocks, int64_t *n_marks)
{
    const int64_t step = (n + MARKS - 1) / MARKS;
    mark *m = malloc(sizeof *m * (size_t)(n / step + 1));
    *n_marks = 0;
    for (int64_t i = 0; m && i < n; i += step) m[(*n_marks)++] = (mark){t->ms[i], (int)(i * blocks / n)};
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

void cli_ratio(const cli_timed *a, const cli_timed *b, double *ratio, double *lo, double *hi)
{
    double draws[DRAWS];
    const int64_t n = a->n < b->n ? a->n : b->n;
    const int blocks = n >= BLOCKS * 3 ? BLOCKS : n >= 6 ? (int)(n / 3) : 0;
    int64_t na, nb;
    uint64_t state = 7;
    *ratio = cli_quantile(a->ms, n, 0.5) / cli_quantile(b->ms, n, 0.5);
    *lo = *hi = NAN;
    if (blocks < 2) return;
    mark *ma = marks_of(a, n, blocks, &na), *mb = marks_of(b, n, blocks, &nb);
    for (int t = 0; ma && mb && t < DRAWS; t++) {
        int times[BLOCKS] = {0};
        for (int k = 0; k < blocks; k++) times[cli_random(&state) % (uint64_t)blocks]++;
        draws[t] = median_of_draw(ma, na, times) / median_of_draw(mb, nb, times);
    }
    if (ma && mb) {
        *lo = cli_quantile(draws, DRAWS, 0.025);
        *hi = cli_quantile(draws, DRAWS, 0.975);
    }
    free(ma);
    free(mb);
}

int cli_time_pair(cli *c, mcomp_dataset *d, const mcomp_graph *before, const mcomp_graph *after, json_t *to_before, json_t *to_after, double p50[2])
{
    int st = 0;
    cli_timed m[2] = {{.g = before}, {.g = after}};
    mcomp_tensor ***samples = NULL;
    int64_t n = 0;
    mcomp_graph_info i = {.size = sizeof i};
    p50[0] = p50[1] = NAN;
    if (!d) return 0; /* nothing to run on: the timing stays absent */
    CLI_LIB(mcomp_graph_info_get(before, &i));
    CLI_TRY(cli_samples(c, d, i.n_inputs, 16, &samples, &n));
    for (int k = 0; k < 2; k++) CLI_TRY(cli_session(c, m[k].g, 0, &m[k].s, &m[k].e));
    CLI_TRY(cli_time_models(c, m, 2, n, (const mcomp_tensor *const *const *)samples, i.n_inputs, 2000, 2.0));
    for (int k = 0; k < 2; k++) cli_set_real(k ? to_after : to_before, "p50_ms", p50[k] = cli_quantile(m[k].ms, m[k].n, 0.5));
done:
    for (int k = 0; k < 2; k++) {
        free(m[k].ms);
        mcomp_exec_destroy(m[k].e);
        mcomp_session_destroy(m[k].s);
    }
    cli_samples_free(samples, n, i.n_inputs);
    return st;
}
