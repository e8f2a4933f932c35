/* Metrics over a validation set, collected batch by batch: one record a row (a batch, for losses), so that the interval comes from the same
 * records: Wilson (1927) for accuracy, a bootstrap of 1,000 resamples (Efron, 1979) for the others. */
#include "train/train.h"

#include <math.h>
#include <stdlib.h>

#define RESAMPLES 1000

enum { ACCURACY, MACRO_F1, LOSS, MSE, AUC, PERPLEXITY };
static const char *const names[] = {"accuracy", "macro_f1", "loss", "mse", "auc", "perplexity", NULL};

typedef struct record {
    double v;      /* squared error, negative log-likelihood, score; a batch's loss */
    double weight; /* rows it stands for */
    int32_t label, predicted;
} record;

struct mc_metric {
    int kind;
    int64_t n, cap, width;
    record *row;
};

int mc_metric_lower_is_better(const char *name) { return strcmp(name, "loss") == 0 || strcmp(name, "mse") == 0 || strcmp(name, "perplexity") == 0; }

int32_t mc_metric_open(mc_metric **out, const char *name)
{
    int kind = 0;
    *out = NULL;
    while (names[kind] && strcmp(names[kind], name) != 0) kind++;
    if (!names[kind]) {
        const char *near = mc_nearest(name, names);
        (void)mc_fail(MCOMP_ARGUMENT, "metric", "there is no metric \"%.60s\"", name);
        return mc_fail_hint(near ? "did you mean %s?" : "accuracy, macro_f1, loss, mse, auc and perplexity exist%s", near ? near : "");
    }
    *out = mc_calloc(1, sizeof **out);
    if (!*out) return MCOMP_NO_MEMORY;
    (*out)->kind = kind;
    return MCOMP_OK;
}

void mc_metric_close(mc_metric *m)
{
    if (!m) return;
    mc_free(m->row);
    mc_free(m);
}

int64_t mc_metric_rows(const mc_metric *m)
{
    double n = 0.0;
    for (int64_t i = 0; i < m->n; i++) n += m->row[i].weight;
    return (int64_t)n;
}

/* ---- collecting ---- */

static int32_t add(mc_metric *m, record r)
{
    const int32_t st = mc_grow(&m->row, &m->cap, m->n + 1, sizeof *m->row);
    if (st == MCOMP_OK) m->row[m->n++] = r;
    return st;
}

static int32_t best_of(const mc_tensor *out, int64_t row, int64_t width)
{
    int64_t best = 0;
    if (width == 1) return mc_tensor_get_f64(out, row) > 0.0; /* one score before the sigmoid */
    for (int64_t k = 1; k < width; k++)
        if (mc_tensor_get_f64(out, row * width + k) > mc_tensor_get_f64(out, row * width + best)) best = k;
    return (int32_t)best;
}

static double log_likelihood(const mc_tensor *out, int64_t row, int64_t width, int64_t label)
{
    double top = -INFINITY, sum = 0.0;
    for (int64_t k = 0; k < width; k++) top = fmax(top, mc_tensor_get_f64(out, row * width + k));
    for (int64_t k = 0; k < width; k++) sum += exp(mc_tensor_get_f64(out, row * width + k) - top);
    return mc_tensor_get_f64(out, row * width + label) - top - log(sum);
}

static int32_t add_row(mc_metric *m, const mc_tensor *out, int64_t row, int64_t width, int64_t label)
{
    record r = {.weight = 1.0, .label = (int32_t)label};
    if (label < 0 || label >= (width < 2 ? 2 : width)) return mc_fail(MCOMP_DATA, "label", "class %lld, the model has %lld", (long long)label, (long long)width);
    if (m->kind == PERPLEXITY) r.v = -log_likelihood(out, row, width, label);
    else if (m->kind == AUC && width > 2) return mc_fail(MCOMP_ARGUMENT, "metric", "auc needs two classes, the model has %lld", (long long)width);
    else if (m->kind == AUC) r.v = width == 1 ? mc_tensor_get_f64(out, row) : mc_tensor_get_f64(out, 2 * row + 1) - mc_tensor_get_f64(out, 2 * row);
    else r.predicted = best_of(out, row, width);
    return add(m, r);
}

int32_t mc_metric_add(mc_metric *m, const mc_tensor *out, const mc_tensor *target, double loss)
{
    int32_t st = MCOMP_OK;
    const int64_t rows = mc_tensor_elements(target), n = mc_tensor_elements(out);
    if (rows == 0) return MCOMP_OK;
    if (m->kind == LOSS) return add(m, (record){.v = loss, .weight = (double)target->shape.dim[0]});
    if (m->kind == MSE) {
        if (n != rows) MC_FAIL(MCOMP_SHAPE, "metric", "%lld numbers for %lld targets", (long long)n, (long long)rows);
        for (int64_t i = 0; i < rows; i++) {
            const double d = mc_tensor_get_f64(out, i) - mc_tensor_get_f64(target, i);
            MC_TRY(add(m, (record){.v = d * d, .weight = 1.0}));
        }
        return MCOMP_OK;
    }
    const int64_t width = n / rows;
    if (width < 1 || width * rows != n) MC_FAIL(MCOMP_SHAPE, "metric", "%lld scores for %lld labels", (long long)n, (long long)rows);
    m->width = width < 2 ? 2 : width;
    for (int64_t i = 0; i < rows; i++) {
        const double label = mc_tensor_get_f64(target, i);
        if (label != (double)MC_IGNORE_LABEL) MC_TRY(add_row(m, out, i, width, (int64_t)label));
    }
done:
    return st;
}

/* ---- values over the records index[0..n) (NULL: all) ---- */

static const record *at(const mc_metric *m, const int64_t *index, int64_t i) { return &m->row[index ? index[i] : i]; }

static double mean(const mc_metric *m, const int64_t *index, int64_t n)
{
    double sum = 0.0, weight = 0.0;
    for (int64_t i = 0; i < n; i++) {
        sum += at(m, index, i)->v * at(m, index, i)->weight;
        weight += at(m, index, i)->weight;
    }
    return weight > 0.0 ? sum / weight : 0.0;
}

static double accuracy(const mc_metric *m, const int64_t *index, int64_t n)
{
    int64_t right = 0;
    for (int64_t i = 0; i < n; i++) right += at(m, index, i)->predicted == at(m, index, i)->label;
    return n > 0 ? (double)right / (double)n : 0.0;
}

/* Mean over the classes that occur as label or prediction. count: [3 width] of scratch. */
static double macro_f1(const mc_metric *m, const int64_t *index, int64_t n, int64_t *count)
{
    double sum = 0.0;
    int64_t classes = 0, *tp = count, *labels = count + m->width, *predictions = count + 2 * m->width;
    memset(count, 0, 3 * (size_t)m->width * sizeof *count);
    for (int64_t i = 0; i < n; i++) {
        const record *r = at(m, index, i);
        tp[r->label] += r->label == r->predicted;
        labels[r->label]++;
        predictions[r->predicted]++;
    }
    for (int64_t k = 0; k < m->width; k++) {
        if (labels[k] + predictions[k] == 0) continue;
        sum += 2.0 * (double)tp[k] / (double)(labels[k] + predictions[k]);
        classes++;
    }
    return classes ? sum / (double)classes : 0.0;
}

static int by_score(const void *a, const void *b)
{
    const record *x = a, *y = b;
    return x->v < y->v ? -1 : x->v > y->v;
}

/* Probability that a positive scores above a negative, ties half (Mann and Whitney, 1947), from the sorted scores; `times`: how often each
 * record counts (NULL: once). */
static double auc(const mc_metric *m, const int64_t *times)
{
    double wins = 0.0, positives = 0.0, negatives = 0.0;
    for (int64_t i = 0; i < m->n;) {
        double p = 0.0, q = 0.0;
        const double score = m->row[i].v;
        for (; i < m->n && m->row[i].v == score; i++) {
            const double w = times ? (double)times[i] : 1.0;
            *(m->row[i].label ? &p : &q) += w;
        }
        wins += p * (negatives + 0.5 * q);
        positives += p;
        negatives += q;
    }
    return positives > 0.0 && negatives > 0.0 ? wins / (positives * negatives) : 0.5;
}

static double value(const mc_metric *m, const int64_t *index, int64_t n, int64_t *scratch)
{
    switch (m->kind) {
    case ACCURACY: return accuracy(m, index, n);
    case MACRO_F1: return macro_f1(m, index, n, scratch);
    case AUC: return auc(m, index ? scratch : NULL);
    case PERPLEXITY: return exp(mean(m, index, n));
    default: return mean(m, index, n);
    }
}

static void wilson(double p, double n, double *lo, double *hi)
{
    const double z = 1.959964, d = 1.0 + z * z / n, mid = (p + z * z / (2.0 * n)) / d;
    const double half = z / d * sqrt(p * (1.0 - p) / n + z * z / (4.0 * n * n));
    *lo = fmax(mid - half, 0.0);
    *hi = fmin(mid + half, 1.0);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void bootstrap(const mc_metric *m, int64_t *index, int64_t *scratch, double *lo, double *hi)
{
    double v[RESAMPLES];
    uint32_t w[4];
    for (uint64_t t = 0; t < RESAMPLES; t++) {
        if (m->kind == AUC) memset(scratch, 0, (size_t)m->n * sizeof *scratch);
        for (int64_t i = 0; i < m->n; i++) {
            if (i % 2 == 0) mc_rng_block(t, 0x626f6f74u, (uint64_t)i / 2, w);
            const uint64_t r = ((uint64_t)w[i % 2 * 2] << 32) | w[i % 2 * 2 + 1];
            index[i] = (int64_t)(r % (uint64_t)m->n);
            if (m->kind == AUC) scratch[index[i]]++;
        }
        v[t] = value(m, index, m->n, scratch);
    }
    qsort(v, RESAMPLES, sizeof *v, by_value);
    *lo = v[RESAMPLES * 25 / 1000];
    *hi = v[RESAMPLES * 975 / 1000 - 1];
}

int32_t mc_metric_result(mc_metric *m, double *out, double *lo, double *hi)
{
    int32_t st = MCOMP_OK;
    const size_t room = (size_t)(m->n > 3 * m->width ? m->n : 3 * m->width) + 1;
    int64_t *index = mc_malloc((size_t)(m->n + 1) * sizeof *index), *scratch = mc_calloc(room, sizeof *scratch);
    if (!index || !scratch) MC_TRY(MCOMP_NO_MEMORY);
    if (m->n == 0) MC_FAIL(MCOMP_DATA, "metric", "there is nothing to measure on");
    if (m->kind == AUC) qsort(m->row, (size_t)m->n, sizeof *m->row, by_score);
    *out = value(m, NULL, m->n, scratch);
    if (m->kind == ACCURACY) wilson(*out, (double)m->n, lo, hi);
    else if (m->n <= 200000) bootstrap(m, index, scratch, lo, hi);
    else { /* so many that the mean is normal */
        double squares = 0.0;
        const double centre = mean(m, NULL, m->n);
        for (int64_t i = 0; i < m->n; i++) squares += (m->row[i].v - centre) * (m->row[i].v - centre);
        const double half = 1.959964 * sqrt(squares) / (double)m->n;
        *lo = m->kind == PERPLEXITY ? exp(centre - half) : *out - half;
        *hi = m->kind == PERPLEXITY ? exp(centre + half) : *out + half;
    }
done:
    mc_free(index);
    mc_free(scratch);
    return st;
}
