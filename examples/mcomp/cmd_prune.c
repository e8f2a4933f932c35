/* mcomp prune: removes weights or whole units while training, writes the smaller model, reads it back and measures both. */
#include "cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct job {
    mcomp_graph *g, *pruned, *written;
    mcomp_dataset *data, *valid, *valid2;
    mcomp_pruner *p;
    cli_training training;
    mcomp_prune_result r;
    mcomp_train_result fit;
    cli_rows rows[2];
} job;

static int options(cli *c, mcomp_pruner_options *o)
{
    int st = 0;
    CLI_LIB(mcomp_pruner_options_init(o, sizeof *o));
    o->pattern = cli_str(c, "pattern", NULL);
    o->criterion = cli_str(c, "criterion", NULL);
    o->schedule = cli_str(c, "schedule", NULL);
    o->match = cli_str(c, "match", NULL);
    o->keep = cli_str(c, "keep", NULL);
    o->global = cli_has(c, "global");
    if (cli_has(c, "sparsity") + cli_has(c, "macs") + cli_has(c, "latency") > 1)
        CLI_TRY(cli_fail(c, MCOMP_ARGUMENT, "--sparsity", "one of them", "--sparsity, --macs and --latency each say how much is removed"));
    CLI_TRY(cli_f64(c, "sparsity", o->sparsity, -1e9, 1e9, &o->sparsity));
    CLI_TRY(cli_f64(c, "macs", 0.0, -1e9, 1e9, &o->macs));
    CLI_TRY(cli_f64(c, "latency", 0.0, 0.0, 1e9, &o->latency_ms));
    CLI_TRY(cli_i64(c, "align", o->align, 1, 1024, &o->align));
done:
    return st;
}

/* Epochs that suit the schedule: the article's two an iterative step of ten points; else a few after the last removal. */
static int64_t epochs_for(const char *schedule, double sparsity)
{
    if (schedule && strcmp(schedule, "iterative") == 0) return 2 * (int64_t)ceil(sparsity / 0.1 - 1e-9);
    return schedule && strcmp(schedule, "one-shot") == 0 ? 3 : 6;
}

/* TARGET_MISSED leaves a result, and *missed for the end. */
static int prune(cli *c, job *j, int *missed)
{
    int st = 0;
    mcomp_pruner_options o;
    mcomp_trainer_options t;
    CLI_TRY(options(c, &o));
    CLI_LIB(mcomp_trainer_options_init(&t, sizeof t));
    t.epochs = epochs_for(o.schedule, o.sparsity);
    CLI_TRY(cli_training_options(&j->training, &t));
    t.loss = cli_str(c, "loss", NULL);
    t.augment = cli_str(c, "augment", NULL);
    CLI_LIB(mcomp_pruner_create(&j->p, c->ctx, j->g, &o));
    j->r.size = sizeof j->r;
    j->fit.size = sizeof j->fit;
    const int trains = t.epochs > 0;
    if (!trains) t.epochs = 1;
    *missed = mcomp_pruner_run(&j->r, &j->fit, j->p, trains ? j->data : NULL, trains ? j->valid : j->valid ? j->valid : j->data, &t);
    if (*missed != 0) st = cli_lib(c, *missed);
    if (st == MCOMP_TARGET_MISSED) st = 0;
    if (st != 0) goto done;
    CLI_LIB(mcomp_pruner_graph(&j->pruned, j->p));
done:
    return st;
}

static int write_model(cli *c, job *j, const char *out)
{
    int st = 0;
    mcomp_save_options o;
    CLI_LIB(mcomp_save_options_init(&o, sizeof o));
    o.overwrite = c->overwrite;
    CLI_TRY(cli_tokenizer_save(c, out));
    CLI_LIB(mcomp_graph_save(j->pruned, out, &o));
    CLI_LIB(mcomp_graph_load(&j->written, c->ctx, out));
    cli_set(c->root, "output", json_string(out));
done:
    return st;
}

static json_t *layers(const job *j)
{
    json_t *list = json_array();
    int64_t n = 0;
    (void)mcomp_pruner_site_count(j->p, &n);
    for (int64_t i = 0; i < n; i++) {
        mcomp_prune_site s = {.size = sizeof s};
        if (mcomp_pruner_site_get(j->p, i, &s) != 0) continue;
        json_t *o = json_pack("{s:s,s:I,s:I}", "node", s.node, "pieces", (json_int_t)s.pieces, "kept", (json_int_t)s.kept);
        if (!o) continue;
        cli_set_real(o, "sparsity", s.sparsity);
        (void)json_array_append_new(list, o);
    }
    return list;
}

static void metric_of_training(const job *j, json_t *to, double value, double lo, double hi)
{
    cli_set(to, "metric", json_pack("{s:s,s:f,s:o,s:I}", "name", j->training.metric, "value", value, "ci95", cli_interval(lo, hi), "n", (json_int_t)j->fit.best_n));
}

/* On --valid, of the file that was written; without it the training's own figures. */
static int metrics(cli *c, job *j, json_t *before, json_t *after, cli_metric m[2])
{
    int st = 0;
    const char *valid = cli_str(c, "valid", NULL), *metric = cli_str(c, "metric", "accuracy");
    m[0] = m[1] = (cli_metric){.value = NAN};
    if (!valid && j->r.trained) {
        const mcomp_train_result *t = &j->fit;
        metric_of_training(j, before, m[0].value = j->r.before_metric, j->r.before_lo, j->r.before_hi);
        metric_of_training(j, after, m[1].value = t->best_metric, t->best_lo, t->best_hi);
        snprintf(m[0].name, sizeof m[0].name, "%s", j->training.metric);
    }
    if (!valid || strcmp(metric, "loss") == 0) return 0;
    CLI_TRY(cli_predict(c, j->g, j->valid, &j->rows[0]));
    CLI_TRY(cli_dataset(c, j->written, valid, &j->valid2));
    CLI_TRY(cli_predict(c, j->written, j->valid2, &j->rows[1]));
    cli_set_real(c->root, "agreement_ratio", cli_agreement(&j->rows[0], &j->rows[1]));
    if (!mcomp_dataset_has_labels(j->valid)) return 0;
    for (int k = 0; k < 2; k++) {
        CLI_TRY(cli_metric_of(c, metric, &j->rows[k], j->valid, &m[k]));
        cli_set(k ? after : before, "metric", cli_metric_json(&m[k]));
    }
    cli_set(c->root, "difference", cli_difference(&j->rows[1], &j->rows[0]));
done:
    return st;
}

static int results(cli *c, job *j, const char *out)
{
    int st = 0;
    json_t *before = json_object(), *after = json_object();
    char size[2][32];
    double p50[2] = {NAN, NAN};
    cli_metric m[2];
    cli_set(c->root, "before", before);
    cli_set(c->root, "after", after);
    cli_set(c->root, "layers", layers(j));
    cli_set_real(c->root, "sparsity", j->r.sparsity);
    if (j->r.equivalence_samples > 0) {
        json_t *e = json_pack("{s:I}", "samples", (json_int_t)j->r.equivalence_samples);
        cli_set_real(e, "max_abs", j->r.equivalence_max_abs);
        cli_set(c->root, "equivalence", e);
    }
    if (j->r.trained) {
        cli_set(c->root, "curve", json_incref(j->training.curve[0]));
        cli_set(c->root, "best", cli_best(&j->training, &j->fit));
    }
    CLI_TRY(write_model(c, j, out));
    const double bytes[2] = {(double)cli_model_bytes(j->g), (double)cli_model_bytes(j->written)};
    for (int k = 0; k < 2; k++) {
        json_t *o = k ? after : before;
        cli_set(o, "bytes", json_integer((json_int_t)bytes[k]));
        cli_set(o, "params", json_integer(k ? j->r.params_after : j->r.params_before));
        cli_set_real(o, "macs", k ? j->r.macs_after : j->r.macs_before);
        (void)cli_human_bytes(size[k], sizeof size[k], bytes[k]);
    }
    CLI_TRY(metrics(c, j, before, after, m));
    CLI_TRY(cli_time_pair(c, j->valid ? j->valid : j->data, j->g, j->written, before, after, p50));
    cli_say(c, "%-9s %-12s %-12s %-14s %-14s %s\n", "", isfinite(m[0].value) ? m[0].name : "", "size", "weights", "MACs", "p50 latency");
    for (int k = 0; k < 2; k++) {
        cli_say(c, "%-9s ", k ? "pruned" : "original");
        if (isfinite(m[k].value)) cli_say(c, "%-12.4f ", m[k].value);
        else cli_say(c, "%-12s ", "-");
        cli_say(c, "%-12s %-14lld %-14.4g %.4f ms\n", size[k], (long long)(k ? j->r.params_after : j->r.params_before), k ? j->r.macs_after : j->r.macs_before, p50[k]);
    }
    cli_say(c, "%.1f %% of the pruned weights are gone; wrote %s\n", 100.0 * j->r.sparsity, out);
    if (j->r.equivalence_samples == 0 && p50[1] > 0.95 * p50[0])
        cli_say(c, "zeros in a float model bring no speed: dense kernels run them. 4x1 and int8 (mcomp quantize), or the patterns channel, ffn, head, do.\n");
done:
    return st;
}

static int work(cli *c, job *j, const char *out)
{
    int st = 0, missed = 0;
    const char *valid = cli_str(c, "valid", NULL);
    CLI_TRY(cli_model(c, c->pos[0], &j->g));
    CLI_TRY(cli_dataset(c, j->g, cli_str(c, "data", NULL), &j->data));
    CLI_TRY(cli_name_labels(c, j->g, j->data));
    if (valid) CLI_TRY(cli_dataset(c, j->g, valid, &j->valid));
    CLI_TRY(prune(c, j, &missed));
    const mcomp_error why = c->error;
    CLI_TRY(results(c, j, out));
    if (missed != 0) {
        c->error = why;
        st = missed;
    }
done:
    return st;
}

static int run(cli *c)
{
    int st = 0;
    job j = {0};
    const char *out = cli_str(c, "out-file", NULL);
    c->own_progress = 1;
    if (!cli_str(c, "data", NULL)) st = cli_fail(c, MCOMP_ARGUMENT, "--data", "docs/data.md lists the forms", "mcomp prune needs --data DATA");
    else if (!out) st = cli_fail(c, MCOMP_ARGUMENT, "-o", "", "mcomp prune needs -o OUT");
    else if (access(out, F_OK) == 0 && !c->overwrite) st = cli_fail(c, MCOMP_PATH, out, "-f replaces it", "the file exists");
    else st = cli_training_open(&j.training, c, out);
    if (st == 0) st = work(c, &j, out);
    for (int k = 0; k < 2; k++) cli_rows_free(&j.rows[k]);
    mcomp_pruner_destroy(j.p);
    mcomp_dataset_destroy(j.valid2);
    mcomp_dataset_destroy(j.valid);
    mcomp_dataset_destroy(j.data);
    mcomp_graph_destroy(j.written);
    mcomp_graph_destroy(j.pruned);
    mcomp_graph_destroy(j.g);
    cli_training_close(&j.training);
    return st;
}

static const cli_opt opts[] = {
    {"out-file", OPT_VALUE, "OUT  the pruned model; OUT.ckpt is the checkpoint"},
    {"valid", OPT_VALUE, "DATA  chooses the best epoch and measures both models (default: 10 % of the data, by hash)"},
    {"pattern", OPT_VALUE, "unstructured|4x1|1x4|2:4|channel|ffn|head"},
    {"criterion", OPT_VALUE, "l2|l1|fpgm|taylor"},
    {"sparsity", OPT_VALUE, "R  fraction of the weights, or units, that is removed (0.5)"},
    {"macs", OPT_VALUE, "R  fraction of the multiply-accumulates that is removed"},
    {"latency", OPT_VALUE, "MS  median latency to reach (channel, ffn, head)"},
    {"schedule", OPT_VALUE, "cubic|one-shot|iterative|linear"},
    {"lr-schedule", OPT_VALUE, "cosine|constant|linear|step|one-cycle  of the learning rate"},
    {"loss", OPT_VALUE, "cross_entropy|bce|mse|kl|cosine|span"},
    {"augment", OPT_VALUE, "shift:N[,mirror]"},
    {"match", OPT_VALUE, "PATTERN,...  nodes or weights that are pruned (default: all that can be)"},
    {"keep", OPT_VALUE, "PATTERN,...  nodes or weights that are not"},
    {"global", OPT_FLAG, "one ranking over all layers instead of the same fraction of each"},
    {"align", OPT_VALUE, "N  channels and neurons that stay are a multiple of N (8)"},
    {NULL, 0, NULL},
};
const cli_verb cli_prune = {"prune", "mcomp prune MODEL --data DATA [--valid DATA] -o OUT", "removes weights or whole channels, neurons, heads while training (--epochs 0: without)", 1, 1, opts, run};
