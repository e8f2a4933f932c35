/* mcomp quantize --mode qat|ptq_then_qat: trains the quantized model before it is written. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CALIB_SAMPLES 256 /* of the training data, where --calib is absent */

int cli_qat_mode(cli *c, int *mode)
{
    static const char *const modes[] = {"ptq", "qat", "ptq_then_qat", NULL};
    const char *text = cli_str(c, "mode", "ptq");
    for (*mode = 0; modes[*mode] && strcmp(modes[*mode], text) != 0;) ++*mode;
    if (!modes[*mode]) return cli_fail(c, MCOMP_ARGUMENT, "mode", "ptq, qat, ptq_then_qat", "--mode cannot be \"%.60s\"", text);
    for (const cli_opt *o = cli_training_opts; *mode == CLI_PTQ && o->name; o++)
        if (cli_has(c, o->name) && strcmp(o->name, "metric") != 0)
            return cli_fail(c, MCOMP_ARGUMENT, o->name, "--mode qat trains", "--%s is of a training, and --mode ptq trains nothing", o->name);
    for (const char *const *o = (const char *const[]){"valid", "scales", "zeros", NULL}; *mode == CLI_PTQ && *o; o++)
        if (cli_has(c, *o)) return cli_fail(c, MCOMP_ARGUMENT, *o, "--mode qat trains", "--%s is of a training, and --mode ptq trains nothing", *o);
    if (*mode != CLI_PTQ && !cli_str(c, "data", NULL)) return cli_fail(c, MCOMP_ARGUMENT, "--data", "docs/data.md lists the forms", "--mode %s needs --data DATA to train on", text);
    if (*mode != CLI_PTQ && strcmp(cli_str(c, "slower", "keep"), "keep") != 0)
        return cli_fail(c, MCOMP_ARGUMENT, "slower", "--keep PATTERN keeps nodes float", "a training does not depend on timings: --slower %s goes with --mode ptq", cli_str(c, "slower", ""));
    return 0;
}

int cli_has_pairs(const mcomp_graph *g)
{
    mcomp_node_info n = {.size = sizeof n};
    for (int64_t i = 0; mcomp_graph_node(g, i, &n) == 0; i++)
        if (strcmp(n.op, "DequantizeLinear") == 0) return 1;
    return 0;
}

/* Samples spread over the training data. */
int cli_qat_calibrate(cli *c, const mcomp_graph *g, mcomp_dataset *d, mcomp_calibrator **out)
{
    int st = 0;
    const int64_t all = mcomp_dataset_count(d), n = all < CALIB_SAMPLES ? all : CALIB_SAMPLES;
    const mcomp_tensor *in[64];
    mcomp_graph_info i = {.size = sizeof i};
    CLI_LIB(mcomp_graph_info_get(g, &i));
    if (i.n_inputs > 64) CLI_TRY(cli_fail(c, MCOMP_LIMIT, "model", "", "more than 64 inputs"));
    CLI_LIB(mcomp_calibrator_create(out, c->ctx, g));
    for (int64_t k = 0; k < n; k++) {
        int64_t label = -1;
        CLI_LIB(mcomp_dataset_get(d, k * all / n, (int32_t)i.n_inputs, in, &label));
        CLI_LIB(mcomp_calibrator_feed(*out, (int32_t)i.n_inputs, in, label));
    }
done:
    return st;
}

static int choice(cli *c, const char *option, const char *const *names, int32_t *out)
{
    const char *text = cli_str(c, option, names[0]);
    for (*out = 0; names[*out]; ++*out)
        if (strcmp(names[*out], text) == 0) return 0;
    return cli_fail(c, MCOMP_ARGUMENT, option, "'mcomp quantize --help' lists the values", "--%s cannot be \"%.60s\"", option, text);
}

int cli_qat_train(cli *c, cli_qat *q, mcomp_quantizer *quantizer, const mcomp_graph *g, const mcomp_calibrator *sketch, mcomp_graph **out)
{
    int st = 0;
    mcomp_trainer_options t;
    mcomp_qat_options o;
    CLI_LIB(mcomp_trainer_options_init(&t, sizeof t));
    CLI_TRY(cli_training_options(&q->training, &t));
    t.loss = cli_str(c, "loss", NULL);
    CLI_LIB(mcomp_qat_options_init(&o, sizeof o));
    o.mode = q->mode == CLI_PTQ_THEN_QAT ? MCOMP_QAT_IF_BETTER : MCOMP_QAT_ALWAYS;
    CLI_TRY(choice(c, "scales", (const char *const[]){"learned", "fixed", NULL}, &o.scales));
    CLI_TRY(choice(c, "zeros", (const char *const[]){"auto", "keep", "free", NULL}, &o.zeros));
    q->r.size = sizeof q->r;
    q->fit.size = sizeof q->fit;
    CLI_LIB(mcomp_quantizer_train(out, &q->r, &q->fit, quantizer, g, sketch, q->data, q->valid, &t, &o));
done:
    return st;
}

static json_t *metric(const cli_qat *q, double value, double lo, double hi)
{
    const char *name = q->training.metric[0] ? q->training.metric : cli_str(q->training.c, "metric", "accuracy");
    return json_pack("{s:s,s:f,s:o,s:I}", "name", name, "value", value, "ci95", cli_interval(lo, hi), "n", (json_int_t)q->fit.best_n);
}

/* Where --eval is absent, before and after are the training's own figures. */
void cli_qat_report(const cli_qat *q, json_t *before, json_t *after)
{
    cli *c = q->training.c;
    const mcomp_qat_result *r = &q->r;
    json_t *o = json_pack("{s:b,s:b,s:I,s:I,s:I}", "trained", r->trained, "kept_calibrated", r->kept_calibrated || !r->trained, "weights", (json_int_t)r->weights, "learned_scales",
                          (json_int_t)r->learned_scales, "held_zeros", (json_int_t)r->masked);
    cli_set_real(o, "calibrated_metric", r->calibrated_metric);
    if (r->has_float) cli_set_real(o, "float_metric", r->float_metric);
    cli_set(c->root, "qat", o);
    cli_set(c->root, "curve", json_incref(q->training.curve[0]));
    if (r->trained) cli_set(c->root, "best", cli_best(&q->training, &q->fit));
    if (r->has_float) cli_say(c, "on the validation samples: float %.4f, calibrated %.4f", r->float_metric, r->calibrated_metric);
    else cli_say(c, "on the validation samples: before %.4f", r->calibrated_metric);
    if (r->trained) cli_say(c, ", trained %.4f%s", q->fit.best_metric, r->kept_calibrated ? " (the calibrated model was no worse and is kept)" : "");
    else cli_say(c, ": nothing is lost, so nothing was trained");
    cli_say(c, "\n");
    if (cli_str(c, "eval", NULL) || !r->trained) return;
    if (r->has_float) cli_set(before, "metric", metric(q, r->float_metric, r->float_lo, r->float_hi));
    if (r->kept_calibrated) cli_set(after, "metric", metric(q, r->calibrated_metric, r->calibrated_lo, r->calibrated_hi));
    else cli_set(after, "metric", metric(q, q->fit.best_metric, q->fit.best_lo, q->fit.best_hi));
}

int cli_qat_open(cli *c, cli_qat *q, mcomp_graph *g, const char *out)
{
    int st = 0;
    const char *valid = cli_str(c, "valid", NULL);
    c->own_progress = 1;
    if (access(out, F_OK) == 0 && !c->overwrite) CLI_TRY(cli_fail(c, MCOMP_PATH, out, "-f replaces it", "the file exists"));
    CLI_TRY(cli_training_open(&q->training, c, out));
    CLI_TRY(cli_dataset(c, g, cli_str(c, "data", NULL), &q->data));
    CLI_TRY(cli_name_labels(c, g, q->data));
    if (valid) CLI_TRY(cli_dataset(c, g, valid, &q->valid));
done:
    return st;
}

void cli_qat_close(cli_qat *q)
{
    mcomp_dataset_destroy(q->valid);
    mcomp_dataset_destroy(q->data);
    if (q->training.c) cli_training_close(&q->training);
}
