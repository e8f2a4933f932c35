/* Metrics with confidence intervals: Wilson for proportions, a seeded bootstrap (1,000 resamples) for the others; McNemar's
 * exact test for the paired comparison of two models. */
#include "cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RESAMPLES 1000

uint64_t cli_random(uint64_t *state) /* splitmix64 */
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void wilson(double p, double n, double *lo, double *hi)
{
    const double z = 1.959964, d = 1.0 + z * z / n, mid = (p + z * z / (2.0 * n)) / d;
    const double half = z / d * sqrt(p * (1.0 - p) / n + z * z / (4.0 * n * n));
    *lo = mid - half < 0.0 ? 0.0 : mid - half;
    *hi = mid + half > 1.0 ? 1.0 : mid + half;
}

/* F1 of one class over the rows index[0..n). */
static double f1(const cli_rows *r, const int64_t *pred, const int64_t *index, int64_t n, int64_t k, int64_t *support)
{
    int64_t tp = 0, fp = 0, fn = 0;
    for (int64_t i = 0; i < n; i++) {
        const int64_t p = pred[index[i]], y = r->label[index[i]];
        tp += p == k && y == k;
        fp += p == k && y != k;
        fn += p != k && y == k;
    }
    if (support) *support = tp + fn;
    return 2 * tp + fp + fn > 0 ? 2.0 * (double)tp / (double)(2 * tp + fp + fn) : 0.0;
}

/* Mean over the classes that occur as label or prediction. */
static double macro_f1(const cli_rows *r, const int64_t *pred, const int64_t *index, int64_t n)
{
    double sum = 0.0;
    int64_t classes = 0;
    const int64_t width = r->width > 1 ? r->width : 2; /* one probability: two classes */
    char *seen = calloc(1, (size_t)width + 1);
    for (int64_t i = 0; seen && i < n; i++) {
        seen[pred[index[i]]] = 1;
        if (r->label[index[i]] < width) seen[r->label[index[i]]] = 1;
    }
    for (int64_t k = 0; seen && k < width; k++)
        if (seen[k]) {
            sum += f1(r, pred, index, n, k, NULL);
            classes++;
        }
    free(seen);
    return classes ? sum / (double)classes : 0.0;
}

/* Negative log-likelihood of each row's label; the caller frees. */
static double *log_losses(const cli_rows *r)
{
    double *loss = malloc(sizeof *loss * (size_t)(r->n > 0 ? r->n : 1));
    for (int64_t i = 0; loss && i < r->n; i++) {
        const float *v = r->v + i * r->width;
        double total = 0.0;
        if (r->width == 1) { /* one probability, of class 1 */
            loss[i] = -log(r->label[i] ? (double)v[0] : 1.0 - (double)v[0]);
            continue;
        }
        const float top = v[cli_argmax(v, r->width)];
        for (int64_t k = 0; k < r->width; k++) total += exp((double)(v[k] - top));
        loss[i] = log(total) - (double)(v[r->label[i]] - top);
    }
    return loss;
}

/* exp of the mean negative log-likelihood of the labels. */
static double perplexity(const double *loss, const int64_t *index, int64_t n)
{
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) sum += loss[index[i]];
    return exp(sum / (double)n);
}

static double mse(const cli_rows *r, const int64_t *index, int64_t n)
{
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) {
        const double d = (double)r->v[index[i] * r->width] - (double)r->label[index[i]];
        sum += d * d;
    }
    return sum / (double)n;
}

enum { M_ACCURACY, M_MACRO, M_F1, M_AUC, M_MSE, M_PERPLEXITY };

/* What a metric needs of the rows, once for all resamples. */
typedef struct prepared {
    int64_t *pred;
    double *loss;
    cli_auc *roc;
    int64_t k; /* class of f1:LABEL */
} prepared;

static double compute(int kind, const cli_rows *r, const prepared *p, const int64_t *index, int64_t n)
{
    int64_t right = 0;
    switch (kind) {
    case M_MACRO: return macro_f1(r, p->pred, index, n);
    case M_F1: return f1(r, p->pred, index, n, p->k, NULL);
    case M_AUC: return cli_auc_of(p->roc, r, index, n);
    case M_MSE: return mse(r, index, n);
    case M_PERPLEXITY: return perplexity(p->loss, index, n);
    default:
        for (int64_t i = 0; i < n; i++) right += p->pred[index[i]] == r->label[index[i]];
        return (double)right / (double)n;
    }
}

static int compare_double(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void bootstrap(cli *c, int kind, const cli_rows *r, const prepared *p, cli_metric *m)
{
    int64_t seed = 0;
    double v[RESAMPLES];
    int64_t *index = malloc(sizeof *index * (size_t)r->n);
    (void)cli_i64(c, "seed", 0, 0, INT64_MAX, &seed);
    uint64_t state = (uint64_t)seed + 1;
    m->lo = m->hi = NAN;
    if (!index) return;
    for (int t = 0; t < RESAMPLES; t++) {
        for (int64_t i = 0; i < r->n; i++) index[i] = (int64_t)(cli_random(&state) % (uint64_t)r->n);
        v[t] = compute(kind, r, p, index, r->n);
        if (!isfinite(v[t])) v[t] = m->value;
    }
    qsort(v, RESAMPLES, sizeof *v, compare_double);
    m->lo = v[(int)(0.025 * RESAMPLES)];
    m->hi = v[(int)(0.975 * RESAMPLES) - 1];
    free(index);
}

static int64_t *predictions(const cli_rows *r)
{
    int64_t *p = malloc(sizeof *p * (size_t)(r->n > 0 ? r->n : 1));
    for (int64_t i = 0; p && i < r->n; i++) p[i] = cli_class(r, i);
    return p;
}

static int kind_of(cli *c, const char *name, mcomp_dataset *labels, int *kind, int64_t *k)
{
    static const char *const names[] = {"accuracy", "macro_f1", "f1:LABEL", "auc", "mse", "perplexity", "agreement", NULL};
    char hint[160];
    for (int i = 0; i < 6; i++)
        if (i != M_F1 && strcmp(names[i], name) == 0) {
            *kind = i;
            return 0;
        }
    if (strncmp(name, "f1:", 3) == 0) {
        char *end;
        *kind = M_F1;
        for (*k = 0; mcomp_dataset_label_name(labels, *k); ++*k)
            if (strcmp(mcomp_dataset_label_name(labels, *k), name + 3) == 0) return 0;
        *k = strtoll(name + 3, &end, 10);
        return *end || !name[3] ? cli_fail(c, MCOMP_ARGUMENT, name, "", "no such label") : 0;
    }
    const char *near = cli_nearest(name, names);
    snprintf(hint, sizeof hint, "%s%s%saccuracy macro_f1 f1:LABEL auc mse perplexity agreement", near ? "did you mean " : "", near ? near : "", near ? "? one of " : "one of ");
    return cli_fail(c, MCOMP_ARGUMENT, name, hint, "no such metric");
}

int cli_metric_of(cli *c, const char *name, const cli_rows *r, mcomp_dataset *labels, cli_metric *m)
{
    int kind = M_ACCURACY;
    int64_t k = -1;
    const int known = kind_of(c, name, labels, &kind, &k);
    if (known != 0) return known;
    for (int64_t i = 0; i < r->n && kind != M_MSE; i++)
        if (r->label[i] < 0 || (r->label[i] >= r->width && r->width > 1))
            return cli_fail(c, MCOMP_RANGE, "label", "are these the labels of this model?", "label of row %lld is %lld, the model gives %lld classes", (long long)i,
                            (long long)r->label[i], (long long)r->width);
    int64_t *all = malloc(sizeof *all * (size_t)(r->n > 0 ? r->n : 1));
    prepared p = {.pred = predictions(r), .loss = kind == M_PERPLEXITY ? log_losses(r) : NULL, .roc = kind == M_AUC && r->n > 0 ? cli_auc_new(r) : NULL, .k = k};
    int st = 0;
    if (!p.pred || !all || r->n == 0 || (kind == M_AUC && !p.roc) || (kind == M_PERPLEXITY && !p.loss))
        CLI_TRY(cli_fail(c, r->n ? MCOMP_NO_MEMORY : MCOMP_DATA, "", "", r->n ? "no memory" : "no samples"));
    for (int64_t i = 0; i < r->n; i++) all[i] = i;
    snprintf(m->name, sizeof m->name, "%s", name);
    m->n = r->n;
    m->value = compute(kind, r, &p, all, r->n);
    if (kind == M_ACCURACY) wilson(m->value, (double)r->n, &m->lo, &m->hi);
    else bootstrap(c, kind, r, &p, m);
    if (!isfinite(m->value)) st = cli_fail(c, MCOMP_DATA, name, "", "the metric is not defined on these labels");
done:
    cli_auc_free(p.roc);
    free(p.pred);
    free(p.loss);
    free(all);
    return st;
}

double cli_agreement(const cli_rows *a, const cli_rows *b)
{
    int64_t same = 0;
    if (a->n != b->n || a->width != b->width || a->n == 0) return NAN;
    for (int64_t i = 0; i < a->n; i++) same += cli_class(a, i) == cli_class(b, i);
    return (double)same / (double)a->n;
}

void cli_cosine(const cli_rows *a, const cli_rows *b, double *mean, double *p5)
{
    *mean = *p5 = NAN;
    if (a->n != b->n || a->width != b->width || a->samples == 0) return;
    double *v = malloc(sizeof *v * (size_t)a->samples), sum = 0.0;
    const int64_t per = a->n / a->samples * a->width;
    if (!v || per == 0 || a->n % a->samples) {
        free(v);
        return;
    }
    for (int64_t s = 0; s < a->samples; s++) {
        double xy = 0, xx = 0, yy = 0;
        for (int64_t i = s * per; i < (s + 1) * per; i++) {
            xy += (double)a->v[i] * (double)b->v[i];
            xx += (double)a->v[i] * (double)a->v[i];
            yy += (double)b->v[i] * (double)b->v[i];
        }
        v[s] = xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : xx == yy;
        sum += v[s];
    }
    qsort(v, (size_t)a->samples, sizeof *v, compare_double);
    *mean = sum / (double)a->samples;
    *p5 = v[(int64_t)(0.05 * (double)(a->samples - 1))];
    free(v);
}

json_t *cli_metric_json(const cli_metric *m)
{
    json_t *o = json_object();
    cli_set(o, "name", json_string(m->name));
    cli_set_real(o, "value", m->value);
    cli_set(o, "ci95", cli_interval(m->lo, m->hi));
    cli_set(o, "n", json_integer(m->n));
    return o;
}

json_t *cli_per_class(const cli_rows *r, mcomp_dataset *labels)
{
    json_t *list = json_array();
    int64_t *pred = predictions(r), *all = malloc(sizeof *all * (size_t)(r->n > 0 ? r->n : 1));
    for (int64_t i = 0; all && i < r->n; i++) all[i] = i;
    for (int64_t k = 0; pred && all && k < (r->width > 1 ? r->width : 2) && k < 1000; k++) {
        int64_t support;
        char number[24];
        const char *name = mcomp_dataset_label_name(labels, k);
        const double f = f1(r, pred, all, r->n, k, &support);
        snprintf(number, sizeof number, "%lld", (long long)k);
        (void)json_array_append_new(list, json_pack("{s:s,s:f,s:I}", "label", name ? name : number, "f1", f, "n", (json_int_t)support));
    }
    free(pred);
    free(all);
    return list;
}

/* Two-sided exact binomial test of b against c discordant pairs. */
static double mcnemar(int64_t b, int64_t c)
{
    const int64_t n = b + c, k = b < c ? b : c;
    double sum = 0.0;
    if (n == 0) return 1.0;
    for (int64_t i = 0; i <= k; i++) sum += exp(lgamma((double)n + 1) - lgamma((double)i + 1) - lgamma((double)(n - i) + 1) - (double)n * log(2.0));
    return sum * 2.0 > 1.0 ? 1.0 : sum * 2.0;
}

json_t *cli_difference(const cli_rows *x, const cli_rows *y)
{
    int64_t b = 0, d = 0;
    if (x->n != y->n || x->n == 0) return NULL;
    for (int64_t i = 0; i < x->n; i++) {
        const int right_x = cli_class(x, i) == x->label[i];
        const int right_y = cli_class(y, i) == x->label[i];
        b += right_x && !right_y;
        d += !right_x && right_y;
    }
    const double n = (double)x->n, diff = (double)(b - d) / n;
    const double se = sqrt((double)(b + d) / n - diff * diff) / sqrt(n);
    return json_pack("{s:f,s:[f,f],s:f}", "value", diff, "ci95", diff - 1.959964 * se, diff + 1.959964 * se, "mcnemar_p", mcnemar(b, d));
}
