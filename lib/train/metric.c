/* Metrics over a validation set, collected batch by batch: predictions and labels are kept, scores only where they are needed. */
#include "train/train.h"

#include <math.h>
#include <stdlib.h>

enum { ACCURACY, MACRO_F1, LOSS, MSE, AUC, PERPLEXITY };
static const char *const names[] = {"accuracy", "macro_f1", "loss", "mse", "auc", "perplexity", NULL};

typedef struct scored {
    double score;
    int32_t label;
} scored;

struct mc_metric {
    int kind;
    int64_t n, right, cap, width;
    double sum;         /* of losses, squared errors, negative log-likelihoods */
    int64_t *tp, *fp, *fn; /* by class, MACRO_F1 */
    scored *list;       /* AUC */
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
    mc_free(m->tp);
    mc_free(m->fp);
    mc_free(m->fn);
    mc_free(m->list);
    mc_free(m);
}

static int64_t best_of(const mc_tensor *out, int64_t row, int64_t width)
{
    int64_t best = 0;
    if (width == 1) return mc_tensor_get_f64(out, row) > 0.0; /* one score before the sigmoid */
    for (int64_t k = 1; k < width; k++)
        if (mc_tensor_get_f64(out, row * width + k) > mc_tensor_get_f64(out, row * width + best)) best = k;
    return best;
}

static double log_likelihood(const mc_tensor *out, int64_t row, int64_t width, int64_t label)
{
    double top = -INFINITY, sum = 0.0;
    for (int64_t k = 0; k < width; k++) top = fmax(top, mc_tensor_get_f64(out, row * width + k));
    for (int64_t k = 0; k < width; k++) sum += exp(mc_tensor_get_f64(out, row * width + k) - top);
    return mc_tensor_get_f64(out, row * width + label) - top - log(sum);
}

static int32_t room(mc_metric *m, int64_t width)
{
    if (m->kind == MACRO_F1 && !m->tp) {
        const size_t classes = (size_t)(width < 2 ? 2 : width);
        m->width = (int64_t)classes;
        m->tp = mc_calloc(classes, sizeof *m->tp);
        m->fp = mc_calloc(classes, sizeof *m->fp);
        m->fn = mc_calloc(classes, sizeof *m->fn);
        if (!m->tp || !m->fp || !m->fn) return MCOMP_NO_MEMORY;
    }
    return m->kind == AUC ? mc_grow(&m->list, &m->cap, m->n + 1, sizeof *m->list) : MCOMP_OK;
}

static int32_t add_row(mc_metric *m, const mc_tensor *out, int64_t row, int64_t width, int64_t label)
{
    int32_t st = MCOMP_OK;
    MC_TRY(room(m, width));
    if (label < 0 || label >= (width < 2 ? 2 : width)) MC_FAIL(MCOMP_DATA, "label", "class %lld, the model has %lld", (long long)label, (long long)width);
    const int64_t p = m->kind == PERPLEXITY || m->kind == LOSS ? 0 : best_of(out, row, width);
    m->right += p == label;
    if (m->kind == MACRO_F1) {
        m->tp[label] += p == label;
        m->fp[p] += p != label;
        m->fn[label] += p != label;
    }
    if (m->kind == PERPLEXITY) m->sum -= log_likelihood(out, row, width, label);
    if (m->kind == AUC) {
        if (width > 2) MC_FAIL(MCOMP_ARGUMENT, "metric", "auc needs two classes, the model has %lld", (long long)width);
        const double s = width == 1 ? mc_tensor_get_f64(out, row) : mc_tensor_get_f64(out, 2 * row + 1) - mc_tensor_get_f64(out, 2 * row);
        m->list[m->n] = (scored){s, (int32_t)label};
    }
    m->n++;
done:
    return st;
}

int32_t mc_metric_add(mc_metric *m, const mc_tensor *out, const mc_tensor *target, double loss)
{
    int32_t st = MCOMP_OK;
    const int64_t rows = mc_tensor_elements(target), n = mc_tensor_elements(out);
    if (rows == 0) return MCOMP_OK;
    if (m->kind == LOSS) {
        m->sum += loss * (double)target->shape.dim[0];
        m->n += target->shape.dim[0];
        return MCOMP_OK;
    }
    if (m->kind == MSE) {
        for (int64_t i = 0; i < n && i < rows; i++) {
            const double d = mc_tensor_get_f64(out, i) - mc_tensor_get_f64(target, i);
            m->sum += d * d;
        }
        m->n += rows;
        return MCOMP_OK;
    }
    const int64_t width = n / rows;
    if (width < 1 || width * rows != n) MC_FAIL(MCOMP_SHAPE, "metric", "%lld scores for %lld labels", (long long)n, (long long)rows);
    for (int64_t i = 0; i < rows; i++) {
        const double label = mc_tensor_get_f64(target, i);
        if (label == -100.0) continue;
        MC_TRY(add_row(m, out, i, width, (int64_t)label));
    }
done:
    return st;
}

static int by_score(const void *a, const void *b)
{
    const scored *x = a, *y = b;
    return x->score < y->score ? -1 : x->score > y->score;
}

/* Probability that a positive scores above a negative, ties half (Mann-Whitney). */
static double auc(scored *list, int64_t n)
{
    double ranks = 0.0, positives = 0.0;
    if (n > 0) qsort(list, (size_t)n, sizeof *list, by_score);
    for (int64_t i = 0; i < n;) {
        int64_t j = i;
        while (j < n && list[j].score == list[i].score) j++;
        const double rank = 0.5 * (double)(i + 1 + j);
        for (; i < j; i++) {
            ranks += list[i].label ? rank : 0.0;
            positives += list[i].label != 0;
        }
    }
    const double negatives = (double)n - positives;
    return positives > 0.0 && negatives > 0.0 ? (ranks - positives * (positives + 1.0) / 2.0) / (positives * negatives) : 0.5;
}

static double macro_f1(const mc_metric *m)
{
    double sum = 0.0;
    int64_t classes = 0;
    for (int64_t k = 0; k < m->width; k++) {
        const int64_t all = 2 * m->tp[k] + m->fp[k] + m->fn[k];
        if (all == 0) continue;
        sum += 2.0 * (double)m->tp[k] / (double)all;
        classes++;
    }
    return classes ? sum / (double)classes : 0.0;
}

double mc_metric_value(const mc_metric *m)
{
    const double n = m->n > 0 ? (double)m->n : 1.0;
    switch (m->kind) {
    case MACRO_F1: return macro_f1(m);
    case LOSS:
    case MSE: return m->sum / n;
    case AUC: return auc(m->list, m->n);
    case PERPLEXITY: return exp(m->sum / n);
    default: return (double)m->right / n;
    }
}
