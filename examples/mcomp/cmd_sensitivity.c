/* mcomp sensitivity: what static INT8 costs at each layer alone, by the error of the whole model's output, and which layers to keep float. */
#include "cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct layer {
    char *node, *op;
    double error, agreement, metric, macs; /* macs: run on integers when it alone is quantized */
    int64_t bytes_saved;
} layer;

typedef struct job {
    mcomp_graph *g;
    mcomp_dataset *calib, *eval;
    mcomp_calibrator *sketch;
    cli_rows before;
    cli_metric metric;
    layer *layers;
    int32_t n;
    double max_error;
} job;

/* sum (y - y0)^2 / sum y0^2 over all rows. */
static double error_of(const cli_rows *y0, const cli_rows *y)
{
    double noise = 0.0, signal = 0.0;
    for (int64_t i = 0; i < y0->n * y0->width; i++) {
        const double d = (double)y->v[i] - (double)y0->v[i];
        noise += d * d;
        signal += (double)y0->v[i] * (double)y0->v[i];
    }
    return signal > 0.0 ? noise / signal : 0.0;
}

static int labelled(const job *j) { return mcomp_dataset_has_labels(j->eval); }

/* Multiply-accumulates on integers in one sample's plan. */
static int integer_macs(cli *c, job *j, const mcomp_graph *q, double *macs)
{
    int st = 0;
    mcomp_session *s = NULL;
    mcomp_exec *e = NULL;
    mcomp_plan_info p = {.size = sizeof p};
    const mcomp_tensor *in[64], *out[64];
    int64_t label;
    CLI_TRY(cli_session(c, q, 0, &s, &e));
    const int32_t n_in = mcomp_session_n_inputs(s), n_out = mcomp_session_n_outputs(s);
    CLI_LIB(mcomp_dataset_get(j->eval, 0, n_in, in, &label));
    CLI_LIB(mcomp_exec_run(e, n_in, in, n_out, out));
    CLI_LIB(mcomp_exec_plan_info(e, &p));
    *macs = p.integer_macs;
done:
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
    return st;
}

/* Quantizer with the user's rules; alone: only that node on integers. first (kept float): the `kept` most sensitive layers. */
static int quantizer(cli *c, const job *j, const char *alone, int32_t kept, mcomp_quantizer **out)
{
    int st = 0;
    mcomp_quantizer_options o;
    CLI_LIB(mcomp_quantizer_options_init(&o, sizeof o));
    o.scheme = "int8";
    o.range = cli_str(c, "range", NULL);
    o.slower = MCOMP_SLOWER_KEEP;
    CLI_LIB(mcomp_quantizer_create(out, c->ctx, &o));
    if (alone) CLI_LIB(mcomp_quantizer_set_rule(*out, "*", "precision", "float"));
    if (alone) CLI_LIB(mcomp_quantizer_set_rule(*out, alone, "precision", "int8"));
    for (int32_t i = 0; i < kept; i++) CLI_LIB(mcomp_quantizer_set_rule(*out, j->layers[i].node, "precision", "float"));
    for (int i = 0; i < c->n_args; i++)
        if (strcmp(c->args[i].name, "keep") == 0) CLI_LIB(mcomp_quantizer_set_rule(*out, c->args[i].value, "precision", "float"));
done:
    return st;
}

/* One variant of the model, measured. */
static int measure(cli *c, job *j, const char *alone, int32_t kept, layer *to)
{
    int st = 0;
    mcomp_quantizer *q = NULL;
    mcomp_graph *g = NULL;
    cli_rows after = {0};
    cli_metric m;
    mcomp_graph_info before = {.size = sizeof before}, now = {.size = sizeof now};
    CLI_TRY(quantizer(c, j, alone, kept, &q));
    CLI_LIB(mcomp_quantizer_apply(&g, q, j->g, j->sketch, NULL));
    CLI_TRY(cli_predict(c, g, j->eval, &after));
    to->error = error_of(&j->before, &after);
    to->agreement = cli_agreement(&j->before, &after);
    to->metric = NAN;
    if (labelled(j)) {
        CLI_TRY(cli_metric_of(c, cli_str(c, "metric", "accuracy"), &after, j->eval, &m));
        to->metric = m.value;
    }
    CLI_LIB(mcomp_graph_info_get(j->g, &before));
    CLI_LIB(mcomp_graph_info_get(g, &now));
    to->bytes_saved = (int64_t)before.parameter_bytes - (int64_t)now.parameter_bytes;
    CLI_TRY(integer_macs(c, j, g, &to->macs));
done:
    cli_rows_free(&after);
    mcomp_graph_destroy(g);
    mcomp_quantizer_destroy(q);
    return st;
}

/* The layers that would be quantized. */
static int find_layers(cli *c, job *j)
{
    int st = 0;
    mcomp_quantizer *q = NULL;
    mcomp_graph *g = NULL;
    int32_t n = 0;
    CLI_TRY(quantizer(c, j, NULL, 0, &q));
    CLI_LIB(mcomp_quantizer_apply(&g, q, j->g, j->sketch, NULL));
    CLI_LIB(mcomp_quantizer_node_count(q, &n));
    if (!(j->layers = calloc((size_t)n + 1, sizeof *j->layers))) CLI_TRY(cli_fail(c, MCOMP_NO_MEMORY, "", "", "no memory"));
    for (int32_t i = 0; i < n; i++) {
        mcomp_quantized_node k = {.size = sizeof k};
        CLI_LIB(mcomp_quantizer_node(q, i, &k));
        if (!k.quantized || strcmp(k.scheme, "int8") != 0) continue;
        layer *l = &j->layers[j->n++];
        l->node = strdup(k.node);
        l->op = strdup(k.op);
        if (!l->node || !l->op) CLI_TRY(cli_fail(c, MCOMP_NO_MEMORY, "", "", "no memory"));
    }
    if (j->n == 0) CLI_TRY(cli_fail(c, MCOMP_UNSUPPORTED, "model", "mcomp quantize -v says why", "no node of this model would run on static integers"));
done:
    mcomp_graph_destroy(g);
    mcomp_quantizer_destroy(q);
    return st;
}

static int worst_first(const void *a, const void *b)
{
    const layer *x = a, *y = b;
    return x->error > y->error ? -1 : x->error < y->error ? 1 : strcmp(x->node, y->node);
}

/* The fewest of the most sensitive layers that are kept float for the error to be met, at most half of them. */
static int find_kept(cli *c, job *j, layer *whole, layer *with, int32_t *kept)
{
    int st = 0;
    *kept = 0;
    CLI_TRY(measure(c, j, NULL, 0, whole));
    *with = *whole;
    while (with->error > j->max_error && *kept < j->n / 2) {
        ++*kept;
        CLI_TRY(measure(c, j, NULL, *kept, with));
    }
done:
    return st;
}

static json_t *variant(const layer *l)
{
    json_t *o = json_object();
    cli_set_real(o, "error", l->error);
    cli_set_real(o, "agreement_ratio", l->agreement);
    cli_set_real(o, "metric", l->metric);
    cli_set_real(o, "macs", l->macs);
    cli_set(o, "bytes_saved", json_integer((json_int_t)l->bytes_saved));
    return o;
}

static void print(cli *c, const job *j, const layer *whole, const layer *with, int32_t kept)
{
    json_t *list = json_array(), *keep = json_array();
    cli_say(c, "%-12s %-10s %-9s %-12s %-12s %s\n", "error", "agreement", labelled(j) ? j->metric.name : "", "MACs", "bytes saved", "layer on integers alone");
    for (int32_t i = 0; i < j->n; i++) {
        const layer *l = &j->layers[i];
        json_t *o = variant(l);
        cli_set(o, "node", json_string(l->node));
        cli_set(o, "op", json_string(l->op));
        (void)json_array_append_new(list, o);
        cli_say(c, "%-12.3e %-10.4f ", l->error, l->agreement);
        if (isfinite(l->metric)) cli_say(c, "%-9.4f ", l->metric);
        else cli_say(c, "%-9s ", "");
        cli_say(c, "%-12.4g %-12lld %s (%s)\n", l->macs, (long long)l->bytes_saved, l->node, l->op);
    }
    for (int32_t i = 0; i < kept; i++) (void)json_array_append_new(keep, json_string(j->layers[i].node));
    cli_set(c->root, "layers", list);
    cli_set(c->root, "all", variant(whole));
    cli_set(c->root, "keep", keep);
    cli_set(c->root, "kept", variant(with));
    cli_set_real(c->root, "max_error", j->max_error);
    if (labelled(j)) cli_set(c->root, "metric", cli_metric_json(&j->metric));
    cli_say(c, "all of them together: error %.3e, agreement %.4f\n", whole->error, whole->agreement);
    if (kept > 0) cli_say(c, "with the first %d kept float: error %.3e, agreement %.4f%s\n", kept, with->error, with->agreement, with->error > j->max_error ? " (still above --max-error)" : "");
    for (int32_t i = 0; i < kept; i++) cli_say(c, "%s--keep \"%s\"%s", i ? " " : "mcomp quantize ... ", j->layers[i].node, i + 1 == kept ? "\n" : "");
}

static int run(cli *c)
{
    int st = 0;
    int32_t kept = 0;
    job j = {0};
    layer whole = {0}, with = {0};
    const char *calib = cli_str(c, "calib", NULL), *eval = cli_str(c, "eval", NULL);
    if (!calib) return cli_fail(c, MCOMP_ARGUMENT, "--calib", c->verb->usage, "mcomp sensitivity needs --calib DATA");
    if (cli_ends(calib, ".calib") && !eval) return cli_fail(c, MCOMP_ARGUMENT, "--eval", c->verb->usage, "a .calib file holds no samples to measure on: give --eval DATA");
    CLI_TRY(cli_f64(c, "max-error", 0.02, 0.0, 1e9, &j.max_error));
    CLI_TRY(cli_model(c, c->pos[0], &j.g));
    if (eval) CLI_TRY(cli_dataset(c, j.g, eval, &j.eval));
    if (cli_ends(calib, ".calib")) {
        CLI_LIB(mcomp_calibrator_load(&j.sketch, c->ctx, j.g, calib));
    } else {
        CLI_TRY(cli_dataset(c, j.g, calib, &j.calib));
        CLI_LIB(mcomp_calibrator_create(&j.sketch, c->ctx, j.g));
        CLI_LIB(mcomp_calibrator_feed_dataset(j.sketch, j.calib));
    }
    CLI_TRY(cli_coverage(c, j.sketch, j.g));
    if (!j.eval) {
        j.eval = j.calib;
        j.calib = NULL;
    }
    CLI_TRY(find_layers(c, &j));
    CLI_TRY(cli_predict(c, j.g, j.eval, &j.before));
    if (labelled(&j)) CLI_TRY(cli_metric_of(c, cli_str(c, "metric", "accuracy"), &j.before, j.eval, &j.metric));
    for (int32_t i = 0; i < j.n; i++) CLI_TRY(measure(c, &j, j.layers[i].node, 0, &j.layers[i]));
    qsort(j.layers, (size_t)j.n, sizeof *j.layers, worst_first);
    CLI_TRY(find_kept(c, &j, &whole, &with, &kept));
    print(c, &j, &whole, &with, kept);
done:
    for (int32_t i = 0; i < j.n; i++) {
        free(j.layers[i].node);
        free(j.layers[i].op);
    }
    free(j.layers);
    cli_rows_free(&j.before);
    mcomp_calibrator_destroy(j.sketch);
    mcomp_dataset_destroy(j.calib);
    mcomp_dataset_destroy(j.eval);
    mcomp_graph_destroy(j.g);
    return st;
}

static const cli_opt opts[] = {
    {"calib", OPT_VALUE, "DATA|F.calib  calibration data"},
    {"eval", OPT_VALUE, "DATA  the samples that errors are measured on (default: the calibration data)"},
    {"range", OPT_VALUE, "auto|minmax|average|percentile|kl|mse"},
    {"keep", OPT_MULTI, "PATTERN  nodes that stay float in any case"},
    {"max-error", OPT_VALUE, "E  relative squared error of the output to be met by keeping layers float (0.02)"},
    {"metric", OPT_VALUE, "M  as in mcomp eval"},
    {NULL, 0, NULL},
};
const cli_verb cli_sensitivity = {"sensitivity", "mcomp sensitivity MODEL --calib DATA|F.calib [--eval DATA]", "what static INT8 costs at each layer alone, and which layers to keep float", 1, 1, opts, run};
