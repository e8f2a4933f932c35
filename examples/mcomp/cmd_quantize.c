/* mcomp quantize: calibrate, quantize, write, read back what was written, and measure it beside the original. */
#include "cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct job {
    mcomp_graph *g, *q, *written;
    mcomp_dataset *calib, *eval, *eval2;
    mcomp_calibrator *sketch;
    mcomp_quantizer *quantizer;
    cli_rows before, after;
    cli_qat qat;
    const char *out;
    char *own_out;
} job;

static int calibrate(cli *c, job *j)
{
    int st = 0;
    const int trains = j->qat.mode != CLI_PTQ;
    const char *calib = cli_str(c, "calib", trains ? NULL : cli_str(c, "data", NULL)), *scheme = cli_str(c, "scheme", "auto");
    if (!calib && trains) {
        if (cli_has_pairs(j->g)) return 0;
        CLI_TRY(cli_qat_calibrate(c, j->g, j->qat.data, &j->sketch));
        return cli_coverage(c, j->sketch, j->g);
    }
    if (!calib) {
        if (strcmp(scheme, "int8") != 0) return 0;
        return cli_fail(c, MCOMP_ARGUMENT, "--calib", "--calib DATA, or --scheme int8-dynamic", "static int8 needs calibration data");
    }
    if (cli_ends(calib, ".calib")) {
        CLI_LIB(mcomp_calibrator_load(&j->sketch, c->ctx, j->g, calib));
        return cli_coverage(c, j->sketch, j->g);
    }
    CLI_TRY(cli_dataset(c, j->g, calib, &j->calib));
    CLI_LIB(mcomp_calibrator_create(&j->sketch, c->ctx, j->g));
    CLI_LIB(mcomp_calibrator_feed_dataset(j->sketch, j->calib));
    st = cli_coverage(c, j->sketch, j->g);
done:
    return st;
}

static int quantize(cli *c, job *j)
{
    int st = 0;
    mcomp_quantizer_options o;
    const char *qdq = cli_str(c, "qdq", "ort"), *slower = cli_str(c, "slower", "float");
    CLI_LIB(mcomp_quantizer_options_init(&o, sizeof o));
    if (strcmp(qdq, "tensorrt") == 0) o.qdq = MCOMP_QDQ_TENSORRT;
    else if (strcmp(qdq, "openvino") == 0) o.qdq = MCOMP_QDQ_OPENVINO;
    else if (strcmp(qdq, "ort") != 0) CLI_TRY(cli_fail(c, MCOMP_ARGUMENT, "qdq", "ort, tensorrt, openvino", "--qdq cannot be \"%.60s\"", qdq));
    o.scheme = cli_str(c, "scheme", NULL);
    o.range = cli_str(c, "range", NULL);
    o.slower = j->qat.mode == CLI_PTQ ? MCOMP_SLOWER_FLOAT : MCOMP_SLOWER_KEEP;
    if (strcmp(slower, "keep") == 0) o.slower = MCOMP_SLOWER_KEEP;
    else if (strcmp(slower, "float") != 0) CLI_TRY(cli_fail(c, MCOMP_ARGUMENT, "slower", "float, keep", "--slower cannot be \"%.60s\"", slower));
    CLI_LIB(mcomp_quantizer_create(&j->quantizer, c->ctx, &o));
    for (int i = 0; i < c->n_args; i++)
        if (strcmp(c->args[i].name, "keep") == 0) CLI_LIB(mcomp_quantizer_set_rule(j->quantizer, c->args[i].value, "precision", "float"));
    if (j->qat.mode != CLI_PTQ) CLI_TRY(cli_qat_train(c, &j->qat, j->quantizer, j->g, j->sketch, &j->q));
    else CLI_LIB(mcomp_quantizer_apply(&j->q, j->quantizer, j->g, j->sketch, j->calib));
done:
    return st;
}

static int write_model(cli *c, job *j)
{
    int st = 0;
    mcomp_save_options o;
    CLI_LIB(mcomp_save_options_init(&o, sizeof o));
    o.overwrite = c->overwrite;
    CLI_TRY(cli_tokenizer_save(c, j->out));
    CLI_LIB(mcomp_graph_save(j->q, j->out, &o));
    CLI_LIB(mcomp_graph_load(&j->written, c->ctx, j->out));
    cli_set(c->root, "output", json_string(j->out));
done:
    return st;
}

static json_t *kept(cli *c, const mcomp_quantizer *q, int32_t *integer, int32_t *total)
{
    int32_t n = 0, slower = 0;
    json_t *list = json_array();
    *integer = *total = 0;
    if (mcomp_quantizer_node_count(q, &n) != 0) return list;
    for (int32_t i = 0; i < n; i++) {
        mcomp_quantized_node k = {.size = sizeof k};
        if (mcomp_quantizer_node(q, i, &k) != 0) continue;
        ++*total;
        *integer += k.quantized != 0;
        slower += k.slower != 0;
        if (k.quantized) continue;
        json_t *o = json_pack("{s:s,s:s,s:s}", "node", k.node, "op", k.op, "why", k.why ? k.why : "");
        if (o) (void)json_array_append_new(list, o);
        cli_log(c, "kept float: %s (%s): %s\n", k.node, k.op, k.why ? k.why : "");
    }
    if (slower) cli_warn(c, "FALLBACK", "", "%d nodes stay float: on this machine the model is slower with them on integers (kept_float names them; --slower keep quantizes them all the same)", slower);
    return list;
}

static int evaluate(cli *c, job *j, json_t *before, json_t *after, cli_metric m[2], int *has_metric)
{
    int st = 0;
    double mean, p5;
    const char *data = cli_str(c, "eval", NULL), *metric = cli_str(c, "metric", "accuracy");
    *has_metric = 0;
    if (!data) return 0;
    CLI_TRY(cli_predict(c, j->g, j->eval, &j->before));
    CLI_TRY(cli_dataset(c, j->written, data, &j->eval2));
    CLI_TRY(cli_predict(c, j->written, j->eval2, &j->after));
    cli_set_real(c->root, "agreement_ratio", cli_agreement(&j->before, &j->after));
    cli_cosine(&j->before, &j->after, &mean, &p5);
    if (isfinite(mean)) cli_set(c->root, "output_cosine", json_pack("{s:f,s:f}", "mean", mean, "p5", p5));
    if (!mcomp_dataset_has_labels(j->eval)) return 0;
    CLI_TRY(cli_metric_of(c, metric, &j->before, j->eval, &m[0]));
    CLI_TRY(cli_metric_of(c, metric, &j->after, j->eval, &m[1]));
    cli_set(before, "metric", cli_metric_json(&m[0]));
    cli_set(after, "metric", cli_metric_json(&m[1]));
    cli_set(c->root, "difference", cli_difference(&j->after, &j->before));
    *has_metric = 1;
done:
    return st;
}

static void table(const cli *c, const job *j, const cli_metric m[2], int has_metric, const double p50[2], const char *scheme, int32_t integer, int32_t total)
{
    char a[32], b[32];
    const double bytes[2] = {(double)cli_model_bytes(j->g), (double)cli_model_bytes(j->written)};
    cli_say(c, "%-10s %-28s %-20s %-18s %s\n", "", has_metric ? m[0].name : "", "size", "p50 latency", "agreement");
    cli_say(c, "%-10s ", "original");
    if (has_metric) cli_say(c, "%-28.4f ", m[0].value);
    else cli_say(c, "%-28s ", "-");
    cli_say(c, "%-20s ", cli_human_bytes(a, sizeof a, bytes[0]));
    if (isfinite(p50[0])) cli_say(c, "%.4f ms", p50[0]);
    cli_say(c, "\n%-10s ", "int8");
    if (has_metric) cli_say(c, "%.4f (%+.4f, %.4f..%.4f)   ", m[1].value, m[1].value - m[0].value, m[1].lo, m[1].hi);
    else cli_say(c, "%-28s ", "-");
    cli_say(c, "%s (%.2fx smaller)  ", cli_human_bytes(b, sizeof b, bytes[1]), bytes[1] > 0 ? bytes[0] / bytes[1] : 0.0);
    if (isfinite(p50[1])) cli_say(c, "%.4f ms (%.2fx)   ", p50[1], p50[0] / p50[1]);
    const json_t *same = json_object_get(c->root, "agreement_ratio");
    if (same) cli_say(c, "%.4f", json_real_value(same));
    cli_say(c, "\nscheme %s, %d of %d quantizable nodes on integers; wrote %s\n", scheme, integer, total, j->out);
}

static int run(cli *c)
{
    int st = 0, has_metric;
    int32_t integer, total;
    job j = {0};
    cli_metric m[2];
    double p50[2];
    json_t *before = json_object(), *after = json_object();
    const char *eval = cli_str(c, "eval", NULL);
    cli_set(c->root, "before", before);
    cli_set(c->root, "after", after);
    CLI_TRY(cli_qat_mode(c, &j.qat.mode));
    j.out = cli_str(c, "out-file", NULL);
    if (!j.out) j.out = j.own_out = cli_stem(c->pos[0], ".int8.onnx");
    if (!j.out) CLI_TRY(cli_fail(c, MCOMP_NO_MEMORY, "", "", "no memory"));
    cli_set(c->root, "mode", json_string(cli_str(c, "mode", "ptq")));
    CLI_TRY(cli_model(c, c->pos[0], &j.g));
    if (j.qat.mode != CLI_PTQ) CLI_TRY(cli_qat_open(c, &j.qat, j.g, j.out));
    if (eval) CLI_TRY(cli_dataset(c, j.g, eval, &j.eval)); /* a wrong --eval is found before the work */
    CLI_TRY(calibrate(c, &j));
    CLI_TRY(quantize(c, &j));
    const char *scheme = mcomp_quantizer_scheme(j.quantizer);
    cli_set(c->root, "scheme", json_string(scheme));
    cli_set(c->root, "kept_float", kept(c, j.quantizer, &integer, &total));
    if (integer == 0 && !cli_has_pairs(j.g)) cli_warn(c, "FLOAT", "", "no node of this model was quantized (-v says why)");
    CLI_TRY(write_model(c, &j));
    cli_set(before, "bytes", json_integer((json_int_t)cli_model_bytes(j.g)));
    cli_set(after, "bytes", json_integer((json_int_t)cli_model_bytes(j.written)));
    CLI_TRY(evaluate(c, &j, before, after, m, &has_metric));
    if (j.qat.mode != CLI_PTQ) cli_qat_report(&j.qat, before, after);
    CLI_TRY(cli_time_pair(c, j.eval ? j.eval : j.calib ? j.calib : j.qat.data, j.g, j.written, before, after, p50));
    if (isfinite(p50[1]) && p50[1] > p50[0]) cli_warn(c, "SLOWER", "", "on this machine the quantized model is slower: %.4f ms instead of %.4f ms", p50[1], p50[0]);
    table(c, &j, m, has_metric, p50, scheme, integer, total);
done:
    cli_rows_free(&j.before);
    cli_rows_free(&j.after);
    cli_qat_close(&j.qat);
    mcomp_quantizer_destroy(j.quantizer);
    mcomp_calibrator_destroy(j.sketch);
    mcomp_dataset_destroy(j.calib);
    mcomp_dataset_destroy(j.eval);
    mcomp_dataset_destroy(j.eval2);
    mcomp_graph_destroy(j.written);
    mcomp_graph_destroy(j.q);
    mcomp_graph_destroy(j.g);
    free(j.own_out);
    return st;
}

static const cli_opt opts[] = {
    {"calib", OPT_VALUE, "DATA|F.calib  calibration data (without it: dynamic int8)"},
    {"eval", OPT_VALUE, "DATA  measures original and result on it; used for no choice"},
    {"out-file", OPT_VALUE, "OUT  default STEM.int8.onnx"},
    {"scheme", OPT_VALUE, "auto|int8|int8-dynamic|w8|w4"},
    {"range", OPT_VALUE, "auto|minmax|average|percentile|kl|mse"},
    {"keep", OPT_MULTI, "PATTERN  nodes (name or operator) that stay float"},
    {"qdq", OPT_VALUE, "ort|tensorrt|openvino"},
    {"slower", OPT_VALUE, "float|keep  what makes the model slower on this machine than float stays float (default), or is quantized all the same"},
    {"mode", OPT_VALUE, "ptq|qat|ptq_then_qat  calibrates (default); trains the quantized model on --data; trains it if calibration loses, and keeps the better one"},
    {"valid", OPT_VALUE, "DATA  qat: chooses the best epoch (default: 10 % of the data, by hash)"},
    {"loss", OPT_VALUE, "cross_entropy|bce|mse|kl|cosine|span  of the training"},
    {"scales", OPT_VALUE, "learned|fixed  qat: scales are trained (LSQ), or stay as calibrated"},
    {"zeros", OPT_VALUE, "auto|keep|free  qat: weights that are 0 stay 0 where 5 % of a matrix are, everywhere, or nowhere"},
    {NULL, 0, NULL},
};
const cli_verb cli_quantize = {"quantize", "mcomp quantize MODEL [--calib DATA|F.calib] [--eval DATA] [-o OUT]", "a calibrated INT8 model beside the original, measured", 1, 1, opts, run};
