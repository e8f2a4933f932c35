/* Area under the ROC curve by ranks (ties share). Two classes: score = logit 1 - logit 0, or the single value. More classes: mean
 * over the classes of one against the rest by softmax probability, as in Hand and Till 2001's one-vs-rest form. Rows are sorted
 * once a class, so that a resample only counts. */
#include "cli.h"

#include <math.h>
#include <stdlib.h>

struct cli_auc {
    int64_t n, classes; /* classes 1: label 1 against the rest */
    double *score;      /* [classes][n] */
    int64_t *order;     /* [classes][n], by rising score */
    int64_t *times;     /* how often the resample holds a row */
};

static const double *sort_by;
static int by_score(const void *a, const void *b)
{
    const double x = sort_by[*(const int64_t *)a], y = sort_by[*(const int64_t *)b];
    return x < y ? -1 : x > y;
}

/* Probabilities of a row; rows that are probabilities already stay as they are. NaN sorts first. */
static void probabilities(const float *v, int64_t width, double *p, int64_t stride)
{
    const double top = (double)v[cli_argmax(v, width)];
    double sum = 0.0, total = 0.0;
    int plain = 1;
    for (int64_t k = 0; k < width; k++) {
        plain &= v[k] >= 0.0f;
        sum += (double)v[k];
        total += exp((double)v[k] - top);
    }
    plain &= fabs(sum - 1.0) < 1e-3;
    for (int64_t k = 0; k < width; k++) {
        const double x = plain ? (double)v[k] : exp((double)v[k] - top) / total;
        p[k * stride] = isnan(x) ? -1.0 : x;
    }
}

cli_auc *cli_auc_new(const cli_rows *r)
{
    cli_auc *a = calloc(1, sizeof *a);
    if (!a) return NULL;
    a->n = r->n;
    a->classes = r->width > 2 ? r->width : 1;
    const size_t cells = (size_t)(a->classes * a->n);
    a->score = calloc(cells + 1, sizeof *a->score);
    a->order = calloc(cells + 1, sizeof *a->order);
    a->times = calloc((size_t)a->n + 1, sizeof *a->times);
    if (!a->score || !a->order || !a->times) {
        cli_auc_free(a);
        return NULL;
    }
    for (int64_t i = 0; i < a->n; i++) {
        const float *v = r->v + i * r->width;
        if (a->classes > 1) probabilities(v, r->width, a->score + i, a->n);
        else a->score[i] = r->width == 2 ? (double)v[1] - (double)v[0] : (double)v[0];
        if (isnan(a->score[i])) a->score[i] = -INFINITY;
    }
    for (int64_t k = 0; k < a->classes; k++) {
        int64_t *order = a->order + k * a->n;
        for (int64_t i = 0; i < a->n; i++) order[i] = i;
        sort_by = a->score + k * a->n;
        qsort(order, (size_t)a->n, sizeof *order, by_score);
    }
    return a;
}

void cli_auc_free(cli_auc *a)
{
    if (!a) return;
    free(a->score);
    free(a->order);
    free(a->times);
    free(a);
}

/* One class against the rest; NaN where one side is empty. Counts pairs won by the positive, ties half. */
static double one_class(const cli_auc *a, const cli_rows *r, int64_t k, int64_t positive)
{
    const int64_t *order = a->order + k * a->n;
    const double *score = a->score + k * a->n;
    double won = 0.0, below = 0.0, p = 0.0;
    for (int64_t i = 0, j; i < a->n; i = j) {
        double pos = 0.0, neg = 0.0;
        for (j = i; j < a->n && (j == i || !(score[order[j]] > score[order[i]])); j++) {
            if (r->label[order[j]] == positive) pos += (double)a->times[order[j]];
            else neg += (double)a->times[order[j]];
        }
        won += pos * (below + 0.5 * neg);
        below += neg;
        p += pos;
    }
    return p > 0.0 && below > 0.0 ? won / (p * below) : NAN;
}

double cli_auc_of(cli_auc *a, const cli_rows *r, const int64_t *index, int64_t n)
{
    double sum = 0.0;
    int64_t defined = 0;
    for (int64_t i = 0; i < a->n; i++) a->times[i] = 0;
    for (int64_t i = 0; i < n; i++) a->times[index[i]]++;
    for (int64_t k = 0; k < a->classes; k++) {
        const double v = one_class(a, r, k, a->classes > 1 ? k : 1);
        if (isnan(v)) continue;
        sum += v;
        defined++;
    }
    return defined ? sum / (double)defined : NAN;
}
