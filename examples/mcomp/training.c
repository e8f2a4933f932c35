/* What the verbs that train share: the options of a training, its progress, class names that go into the model. */
#include "cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- progress ---- */

/* Which of several trainings an event is of. */
static const char *run_key(const cli_training *t) { return !t->runs ? "" : t->run == 0 ? "\"run\":\"student\"," : "\"run\":\"control\","; }
static const char *run_word(const cli_training *t) { return !t->runs ? "" : t->run == 0 ? "student, " : "control, "; }

static void clock_text(char *buf, size_t cap, double seconds)
{
    const long s = (long)(seconds + 0.5);
    snprintf(buf, cap, s >= 3600 ? "%ld:%02ld:%02ld" : "%.0ld%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
}

static void step_line(cli_training *j, const mcomp_train_event *e)
{
    cli *c = j->c;
    char left[32];
    const double now = cli_now_ms();
    const int last = e->step == e->total_steps;
    if (c->progress == 0 || (!last && c->progress != 2 && now - j->reported_ms < (c->progress == 1 ? 10000.0 : 500.0))) return;
    j->reported_ms = now;
    if (c->progress == 2) { /* every step: a script draws the curve */
        fprintf(stderr, "{\"event\":\"step\",%s\"epoch\":%lld,\"step\":%lld,\"steps\":%lld,\"loss\":%.6g,\"lr\":%.6g,\"samples_per_second\":%.6g,\"left_s\":%.0f}\n",
                run_key(j), (long long)e->epoch, (long long)e->step, (long long)e->total_steps, e->loss, e->lr, e->samples_per_second, e->seconds_left);
        return;
    }
    clock_text(left, sizeof left, e->seconds_left);
    fprintf(stderr, "%s%sepoch %lld  step %lld/%lld  loss %.4f  lr %.3g  %.0f samples/s  %s left%s", c->progress == 3 ? "\r" : "", run_word(j), (long long)e->epoch,
            (long long)e->step, (long long)e->total_steps, e->loss, e->lr, e->samples_per_second, left, c->progress == 3 && !last ? "   " : "\n");
}

static void valid_line(cli_training *j, const mcomp_train_event *e)
{
    cli *c = j->c;
    json_t *row = json_pack("{s:I,s:I}", "epoch", (json_int_t)e->epoch, "step", (json_int_t)e->step);
    snprintf(j->metric, sizeof j->metric, "%s", e->metric_name);
    if (row) {
        cli_set_real(row, "loss", e->loss);
        cli_set_real(row, e->metric_name, e->metric);
        (void)json_array_append_new(j->curve[j->run], row);
    }
    if (c->progress == 2)
        fprintf(stderr, "{\"event\":\"validation\",%s\"epoch\":%lld,\"step\":%lld,\"loss\":%.6g,\"metric\":\"%s\",\"value\":%.6g}\n", run_key(j), (long long)e->epoch,
                (long long)e->step, e->loss, e->metric_name, e->metric);
    else if (c->progress != 0)
        fprintf(stderr, "%s%sepoch %lld: loss %.4f, validation %s %.4f  (%.0f s)\n", c->progress == 3 ? "\r" : "", run_word(j), (long long)e->epoch, e->loss, e->metric_name,
                e->metric, (cli_now_ms() - j->started_ms) * 1e-3);
}

static int32_t on_event(void *payload, const mcomp_train_event *e)
{
    cli_training *j = payload;
    char size[32];
    if (e->kind == 3 && j->runs) j->run = j->run + 1 < j->runs ? j->run + 1 : j->runs - 1;
    if (e->kind == 0) step_line(j, e);
    else if (e->kind == 1) valid_line(j, e);
    else if (e->kind == 2) cli_log(j->c, "checkpoint %s at step %lld\n", e->path, (long long)e->step);
    else if (j->c->progress == 2) fprintf(stderr, "{\"event\":\"plan\",%s\"steps\":%lld,\"peak_bytes\":%llu}\n", run_key(j), (long long)e->total_steps, (unsigned long long)e->peak_bytes);
    else if (j->c->progress != 0) fprintf(stderr, "%s%lld steps, %s of memory\n", run_word(j), (long long)e->total_steps, cli_human_bytes(size, sizeof size, (double)e->peak_bytes));
    return 0;
}

/* ---- options ---- */

static int read_numbers(cli *c, mcomp_trainer_options *o)
{
    int st = 0;
    int64_t v = 0;
    CLI_TRY(cli_i64(c, "batch", o->batch, 1, 1 << 20, &v));
    o->batch = (int32_t)v;
    CLI_TRY(cli_i64(c, "epochs", o->epochs, c->verb == &cli_prune ? 0 : 1, 1000000, &o->epochs));
    CLI_TRY(cli_i64(c, "steps", o->max_steps, 0, INT64_MAX, &o->max_steps));
    CLI_TRY(cli_i64(c, "accumulate", o->accumulate, 1, 1 << 20, &o->accumulate));
    CLI_TRY(cli_i64(c, "patience", o->patience, 0, 1000000, &o->patience));
    CLI_TRY(cli_i64(c, "checkpoint-every", o->checkpoint_every, 0, INT64_MAX, &o->checkpoint_every));
    CLI_TRY(cli_i64(c, "seed", 0, 0, INT64_MAX, &v));
    o->seed = (uint64_t)v;
    CLI_TRY(cli_f64(c, "lr", o->lr, 0.0, 1000.0, &o->lr));
    CLI_TRY(cli_f64(c, "weight-decay", o->weight_decay, -1.0, 1000.0, &o->weight_decay));
    CLI_TRY(cli_f64(c, "momentum", o->momentum, 0.0, 1.0, &o->momentum));
    CLI_TRY(cli_f64(c, "clip-norm", o->clip_norm, 0.0, 1e12, &o->clip_norm));
    CLI_TRY(cli_f64(c, "label-smoothing", o->label_smoothing, 0.0, 1.0, &o->label_smoothing));
    CLI_TRY(cli_f64(c, "warmup", o->warmup, 0.0, 1.0, &o->warmup));
    CLI_TRY(cli_f64(c, "average", o->average, 0.0, 1.0, &o->average));
done:
    return st;
}

/* Several --freeze become one list. */
static int read_freeze(cli *c, char **list)
{
    size_t n = 1;
    *list = NULL;
    for (int i = 0; i < c->n_args; i++)
        if (strcmp(c->args[i].name, "freeze") == 0) n += strlen(c->args[i].value) + 1;
    if (n == 1) return 0;
    if (!(*list = calloc(1, n))) return cli_fail(c, MCOMP_NO_MEMORY, "", "", "no memory");
    for (int i = 0; i < c->n_args; i++) {
        if (strcmp(c->args[i].name, "freeze") != 0) continue;
        if (**list) strcat(*list, ",");
        strcat(*list, c->args[i].value);
    }
    return 0;
}

int cli_training_options(cli_training *t, mcomp_trainer_options *o)
{
    int st = 0;
    cli *c = t->c;
    CLI_TRY(read_numbers(c, o));
    CLI_TRY(read_freeze(c, &t->freeze));
    o->optimizer = cli_str(c, "optimizer", NULL);
    o->schedule = cli_str(c, c->verb == &cli_prune ? "lr-schedule" : "schedule", NULL); /* prune has a schedule of its own */
    o->metric = cli_str(c, "metric", NULL);
    o->precision = cli_str(c, "precision", NULL);
    o->output = cli_str(c, "output", NULL);
    o->objective = cli_str(c, "objective", NULL);
    o->lr_scale = cli_str(c, "lr-scale", NULL);
    o->recompute = cli_has(c, "recompute");
    o->no_decay = cli_str(c, "no-decay", NULL);
    o->freeze = t->freeze;
    o->checkpoint = t->ckpt;
    o->resume = cli_has(c, "resume");
    o->no_shuffle = cli_has(c, "no-shuffle");
    o->balance = cli_has(c, "balance");
    o->keep_last = cli_has(c, "keep-last");
    o->progress = on_event;
    o->progress_payload = t;
done:
    return st;
}

int cli_training_open(cli_training *t, cli *c, const char *out)
{
    *t = (cli_training){.c = c, .curve = {json_array(), json_array()}, .started_ms = cli_now_ms(), .ckpt = malloc(strlen(out) + 6)};
    if (!t->curve[0] || !t->curve[1] || !t->ckpt) return cli_fail(c, MCOMP_NO_MEMORY, "", "", "no memory");
    sprintf(t->ckpt, "%s.ckpt", out);
    return 0;
}

void cli_training_close(cli_training *t)
{
    json_decref(t->curve[0]);
    json_decref(t->curve[1]);
    free(t->freeze);
    free(t->ckpt);
}

json_t *cli_best(const cli_training *t, const mcomp_train_result *r)
{
    json_t *best = json_pack("{s:I,s:I}", "epoch", (json_int_t)r->best_epoch, "step", (json_int_t)r->best_step);
    if (best) cli_set(best, "metric", json_pack("{s:s,s:f,s:o,s:I}", "name", t->metric, "value", r->best_metric, "ci95", cli_interval(r->best_lo, r->best_hi), "n", (json_int_t)r->best_n));
    return best;
}

/* Names of the classes go into the model, so that validation and every later call number them alike. */
int cli_name_labels(cli *c, mcomp_graph *g, const mcomp_dataset *d)
{
    int st = 0;
    json_t *list = json_array();
    if (mcomp_graph_meta(g, "mcomp.labels") || !mcomp_dataset_label_name(d, 0)) goto done;
    for (int64_t i = 0; mcomp_dataset_label_name(d, i); i++) (void)json_array_append_new(list, json_string(mcomp_dataset_label_name(d, i)));
    char *text = json_dumps(list, JSON_COMPACT);
    if (!text) CLI_TRY(cli_fail(c, MCOMP_NO_MEMORY, "", "", "no memory"));
    st = mcomp_graph_set_meta(g, "mcomp.labels", text);
    free(text);
    if (st != 0) st = cli_lib(c, st);
done:
    json_decref(list);
    return st;
}

const cli_opt cli_training_opts[] = {
    {"optimizer", OPT_VALUE, "adamw|adam|sgd|lamb"},
    {"lr", OPT_VALUE, "R  learning rate"},
    {"lr-scale", OPT_VALUE, "PATTERN=FACTOR,...  multiplies the rate of matching parameters"},
    {"recompute", OPT_FLAG, "keeps fewer activations and computes them again: less memory, more time"},
    {"schedule", OPT_VALUE, "cosine|constant|linear|step|one-cycle"},
    {"warmup", OPT_VALUE, "F  fraction of the steps with a rising rate (0.06)"},
    {"epochs", OPT_VALUE, "N  (3; a fresh model: what suits its kind)"},
    {"steps", OPT_VALUE, "N  stops after N updates"},
    {"accumulate", OPT_VALUE, "N  batches an update (1)"},
    {"weight-decay", OPT_VALUE, "W"},
    {"no-decay", OPT_VALUE, "PATTERN,...  parameters without weight decay, besides all vectors"},
    {"momentum", OPT_VALUE, "M  of sgd (0.9)"},
    {"clip-norm", OPT_VALUE, "N  largest norm of all gradients (1; 0: none)"},
    {"label-smoothing", OPT_VALUE, "E"},
    {"average", OPT_VALUE, "D  decay of an average of the weights, which is then the result"},
    {"balance", OPT_FLAG, "weighs classes by the inverse of their frequency"},
    {"metric", OPT_VALUE, "accuracy|macro_f1|loss|auc|mse|perplexity"},
    {"patience", OPT_VALUE, "N  stops after N validations without a better metric"},
    {"keep-last", OPT_FLAG, "writes the last epoch's model, not the best one"},
    {"precision", OPT_VALUE, "f32|bf16  of matrix products; bf16 rounds their operands (where the CPU has it)"},
    {"freeze", OPT_MULTI, "PATTERN  weights that stay as they are"},
    {"no-shuffle", OPT_FLAG, "samples in their order"},
    {"checkpoint-every", OPT_VALUE, "N  updates between checkpoints (default: each epoch)"},
    {"resume", OPT_FLAG, "goes on from OUT.ckpt if it exists"},
    {NULL, 0, NULL},
};

int cli_takes_training(const cli_verb *v) { return v == &cli_train || v == &cli_distill || v == &cli_prune || v == &cli_quantize; }
