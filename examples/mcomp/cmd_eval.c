/* mcomp eval: a metric on labelled data with its interval, and the comparison with another model. */
#include "cli.h"

#include <math.h>
#include <string.h>

static int against(cli *c, const char *path, const cli_rows *a, int labels)
{
    int st = 0;
    double mean, p5;
    mcomp_graph *other = NULL;
    mcomp_dataset *d2 = NULL;
    cli_rows b = {0};
    CLI_TRY(cli_model(c, path, &other));
    CLI_TRY(cli_dataset(c, other, cli_str(c, "data", ""), &d2));
    CLI_TRY(cli_predict(c, other, d2, &b));
    const double same = cli_agreement(a, &b);
    if (!isfinite(same)) CLI_TRY(cli_fail(c, MCOMP_SHAPE, path, "", "the two models give outputs of different shapes"));
    cli_cosine(a, &b, &mean, &p5);
    cli_set_real(c->root, "agreement_ratio", same);
    if (isfinite(mean)) cli_set(c->root, "output_cosine", json_pack("{s:f,s:f}", "mean", mean, "p5", p5));
    cli_say(c, "agreement with %s: %.4f, cosine of outputs %.5f (5th percentile %.5f)\n", path, same, mean, p5);
    if (labels) cli_set(c->root, "difference", cli_difference(a, &b));
    if (!labels) {
        const double se = sqrt(same * (1.0 - same) / (double)a->n);
        json_t *m = json_pack("{s:s,s:f,s:[f,f],s:I}", "name", "agreement", "value", same, "ci95", fmax(0.0, same - 1.96 * se), fmin(1.0, same + 1.96 * se), "n",
                              (json_int_t)a->n);
        cli_set(c->root, "metric", m);
    }
done:
    cli_rows_free(&b);
    mcomp_dataset_destroy(d2);
    mcomp_graph_destroy(other);
    return st;
}

static int run(cli *c)
{
    int st = 0;
    mcomp_graph *g = NULL;
    mcomp_dataset *d = NULL;
    cli_rows r = {0};
    cli_metric m;
    const char *data = cli_str(c, "data", NULL), *other = cli_str(c, "against", NULL), *metric = cli_str(c, "metric", NULL);
    if (!data) return cli_fail(c, MCOMP_ARGUMENT, "--data", c->verb->usage, "mcomp eval needs --data DATA");
    CLI_TRY(cli_model(c, c->pos[0], &g));
    CLI_TRY(cli_dataset(c, g, data, &d));
    CLI_TRY(cli_predict(c, g, d, &r));
    const int labels = (mcomp_dataset_has_labels(d) || cli_next_token(c)) && !(metric && strcmp(metric, "agreement") == 0);
    if (!labels && !other)
        CLI_TRY(cli_fail(c, MCOMP_DATA, data, "give labels, or --against MODEL2 for agreement", "the data has no labels to measure against"));
    if (!labels && metric && strcmp(metric, "agreement") != 0) CLI_TRY(cli_fail(c, MCOMP_DATA, data, "", "the metric %s needs labels", metric));
    if (labels) {
        CLI_TRY(cli_metric_of(c, metric ? metric : cli_next_token(c) ? "perplexity" : "accuracy", &r, d, &m));
        cli_set(c->root, "metric", cli_metric_json(&m));
        if (!cli_next_token(c)) cli_set(c->root, "per_class", cli_per_class(&r, d));
        cli_say(c, "%s %.4f  (95 %% interval %.4f to %.4f, n %lld)\n", m.name, m.value, m.lo, m.hi, (long long)m.n);
    }
    if (other) st = against(c, other, &r, labels);
done:
    cli_rows_free(&r);
    mcomp_dataset_destroy(d);
    mcomp_graph_destroy(g);
    return st;
}

static const cli_opt opts[] = {
    {"metric", OPT_VALUE, "M  accuracy macro_f1 f1:LABEL auc mse perplexity agreement"},
    {"against", OPT_VALUE, "MODEL2  agreement and paired difference with another model"},
    {NULL, 0, NULL},
};
const cli_verb cli_eval = {"eval", "mcomp eval MODEL --data DATA [--metric M] [--against MODEL2]", "a metric with its confidence interval, and the paired comparison of two models", 1, 1, opts, run};
