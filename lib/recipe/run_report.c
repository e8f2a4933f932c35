/* run.json: what was done, and what every stage's file measures. */
#include "recipe/run.h"

#include <math.h>
#include <mcomp/version.h>
#include <stdarg.h>
#include <stdio.h>

int32_t mc_run_warn(mc_run *r, const char *code, const char *node, const char *fmt, ...)
{
    int32_t st = MCOMP_OK;
    char text[512];
    mc_json *o;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    for (int64_t i = 0; i < mc_json_size(r->warnings); i++) { /* several stages open the same data */
        const char *had = mc_json_string(mc_json_get(mc_json_at(r->warnings, i), "text"));
        if (had && strcmp(had, text) == 0) return MCOMP_OK;
    }
    MC_TRY(mc_put_new(r->warnings, NULL, 0, &o));
    MC_TRY(mc_put_text(o, "code", code));
    MC_TRY(mc_put_text(o, "node", node));
    st = mc_put_text(o, "text", text);
done:
    return st;
}

static int32_t put_metric(mc_json *o, const char *name, const mc_measured *m)
{
    int32_t st = MCOMP_OK;
    mc_json *j;
    MC_TRY(mc_put_new(o, "metric", 0, &j));
    MC_TRY(mc_put_text(j, "name", name));
    MC_TRY(mc_put_number(j, "value", m->value));
    MC_TRY(mc_put_interval(j, "ci95", m->lo, m->hi));
    st = mc_json_set_int(j, "n", m->n);
done:
    return st;
}

static int32_t put_difference(mc_json *o, const mc_comparison *c)
{
    int32_t st = MCOMP_OK;
    mc_json *j;
    if (!c->labelled) return MCOMP_OK;
    MC_TRY(mc_put_new(o, "difference", 0, &j));
    MC_TRY(mc_put_number(j, "value", c->value));
    MC_TRY(mc_put_interval(j, "ci95", c->lo, c->hi));
    st = mc_put_number(j, "mcnemar_p", c->mcnemar_p);
done:
    return st;
}

/* The control on the same samples: what the student has above it is what the teacher brought. */
static int32_t put_control(mc_run *r, mc_run_stage *s, mc_json *o)
{
    int32_t st = MCOMP_OK;
    mc_json *j;
    mc_scores scores = {0};
    mc_measured m;
    mc_comparison c;
    const mc_scores_ask ask = {.output = mc_section_str(r->recipe->model, "output")};
    if (!s->control) return MCOMP_OK;
    MC_TRY(mc_scores_make(&scores, r->ctx, s->control->g, s->data->eval, &ask));
    MC_TRY(mc_scores_metric(&scores, r->metric, &m));
    mc_scores_compare(&s->scores, &scores, &c);
    MC_TRY(mc_put_new(o, "control", 0, &j));
    MC_TRY(put_metric(j, r->metric, &m));
    st = put_difference(j, &c);
done:
    mc_scores_free(&scores);
    return st;
}

static int32_t copy_facts(const mc_run_stage *s, mc_json *o)
{
    int32_t st = MCOMP_OK;
    static const char *const keys[] = {"equivalence", "sparsity", "scheme", "kept_float", "seconds", "curve", "missed", "cut", "trained"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const mc_json *v = mc_json_get(s->facts, keys[i]);
        if (v) MC_TRY(mc_json_set(o, keys[i], mc_json_copy(v)));
    }
done:
    return st;
}

/* Relative to DIR where the file is in it. */
static const char *place(const mc_run *r, const char *path)
{
    const size_t n = strlen(r->out);
    return strncmp(path, r->out, n) == 0 && path[n] == '/' ? path + n + 1 : path;
}

static int32_t put_peak_rss(mc_run *r, mc_run_stage *s, mc_json *o)
{
    int32_t st = MCOMP_OK;
    uint64_t rss = 0;
    const mc_graph *g = s->g->g;
    const mcomp_tensor *in[MC_OP_MAX_IO];
    const char *names[MC_OP_MAX_IO];
    if (!r->o.peak_rss || g->n_inputs > MC_OP_MAX_IO) return MCOMP_OK;
    for (int64_t i = 0; i < g->n_inputs; i++) names[i] = g->inputs[i]->name;
    MC_TRY(mcomp_dataset_get(s->data->eval, 0, (int32_t)g->n_inputs, in, NULL));
    if (r->o.peak_rss(r->o.peak_rss_payload, &rss, s->path, (int32_t)g->n_inputs, names, in) == 0 && rss > 0) st = mc_json_set_int(o, "peak_rss_bytes", (int64_t)rss);
done:
    return st;
}

static int32_t put_stage(mc_run *r, mc_run_stage *s, mc_json *list)
{
    int32_t st = MCOMP_OK;
    mc_json *o, *inner;
    mcomp_graph_info i = {.size = sizeof i};
    const char *what = mc_json_string(mc_json_get(s->facts, "what"));
    MC_TRY(mcomp_graph_info_get(s->g, &i));
    MC_TRY(mc_put_new(list, NULL, 0, &o));
    MC_TRY(mc_put_text(o, "name", s->name));
    MC_TRY(mc_put_text(o, "what", what ? what : "the model as given"));
    MC_TRY(mc_put_text(o, "path", place(r, s->path)));
    MC_TRY(put_metric(o, r->metric, &s->metric));
    MC_TRY(mc_json_set_int(o, "bytes", (int64_t)s->file_bytes));
    MC_TRY(mc_json_set_int(o, "params", i.parameters));
    MC_TRY(mc_put_number(o, "macs", i.macs));
    MC_TRY(mc_put_number(o, "p50_ms", s->p50));
    MC_TRY(mc_put_number(o, "p90_ms", s->p90));
    MC_TRY(put_peak_rss(r, s, o));
    if (s != &r->stage[0]) {
        MC_TRY(mc_put_number(o, "agreement_ratio", s->comparison.agreement));
        MC_TRY(put_difference(o, &s->comparison));
        MC_TRY(mc_json_set(o, "reused", mc_json_new_bool(s->reused)));
    }
    MC_TRY(put_control(r, s, o));
    MC_TRY(copy_facts(s, o));
    MC_TRY(mc_put_new(o, "layers", 1, &inner));
    MC_TRY(mc_run_layers(inner, r, s));
    MC_TRY(mc_put_new(o, "operators", 1, &inner));
    st = mc_run_operators(inner, r, s);
done:
    return st;
}

static int32_t put_machine(mc_run *r, mc_json *o)
{
    int32_t st = MCOMP_OK, n = 0;
    mc_json *j, *list;
    mcomp_machine_info m = {.size = sizeof m};
    MC_TRY(mcomp_machine_info_get(&m));
    MC_TRY(mc_put_new(o, "machine", 0, &j));
    MC_TRY(mc_put_text(j, "cpu", m.cpu));
    MC_TRY(mc_put_text(j, "isa", m.isa));
    MC_TRY(mc_json_set(j, "bf16", mc_json_new_bool(m.bf16)));
    MC_TRY(mc_json_set(j, "amx", mc_json_new_bool(m.amx)));
    MC_TRY(mc_json_set_int(j, "threads", mcomp_context_threads(r->ctx)));
    MC_TRY(mc_put_new(j, "backends", 1, &list));
    MC_TRY(mcomp_backend_count(r->ctx, &n));
    for (int32_t i = 0; i < n; i++) {
        mcomp_backend_info b = {.size = sizeof b};
        MC_TRY(mcomp_backend_info_get(r->ctx, i, &b));
        if (b.usable) MC_TRY(mc_json_append(list, mc_json_new_string(b.name)));
    }
done:
    return st;
}

static int32_t put_samples(mc_json *o, const char *key, const mc_section *s, mcomp_dataset *d, const char *hash)
{
    int32_t st = MCOMP_OK;
    mc_json *j;
    if (!d) return MCOMP_OK;
    MC_TRY(mc_put_new(o, key, 0, &j));
    MC_TRY(mc_put_text(j, "path", mc_section_get(s, "path")->written));
    MC_TRY(mc_json_set_int(j, "samples", mcomp_dataset_count(d)));
    st = mc_put_text(j, "sha256", hash);
done:
    return st;
}

static int32_t put_recipe(mc_run *r, mc_json *o)
{
    int32_t st = MCOMP_OK;
    char hex[65];
    const char *text;
    mc_json *j, *data;
    const mc_run_data *d = r->stage[0].data;
    const mcomp_recipe *q = r->recipe;
    MC_TRY(mc_put_new(o, "recipe", 0, &j));
    MC_TRY(mc_put_text(j, "path", q->path));
    MC_TRY(mc_sha256_hex(q->text, q->bytes, hex));
    MC_TRY(mc_put_text(j, "sha256", hex));
    MC_TRY(mcomp_recipe_explain(&text, r->recipe));
    MC_TRY(mc_put_text(j, "text", text));
    MC_TRY(mc_put_new(o, "data", 0, &data));
    MC_TRY(put_samples(data, "train", q->train, d->train, d->train_hash));
    MC_TRY(put_samples(data, "valid", q->valid, d->valid, d->valid_hash));
    MC_TRY(put_samples(data, "eval", q->eval, d->eval, d->eval_hash));
    st = put_samples(data, "calib", q->calib, d->calib, d->calib_hash);
done:
    return st;
}

static int32_t put_ratios(mc_run *r, mc_json *o)
{
    int32_t st = MCOMP_OK;
    mc_json *list, *j;
    const mc_run_stage *last = &r->stage[r->n_stages - 1];
    MC_TRY(mc_put_new(o, "ratios", 1, &list));
    for (int32_t i = 1; i < r->n_stages; i++) {
        mc_ratio ratio;
        mc_race_ratio(r->stage[0].ms, r->stage[i].ms, r->rounds, &ratio);
        MC_TRY(mc_put_new(list, NULL, 0, &j));
        MC_TRY(mc_put_text(j, "of", r->stage[i].name));
        MC_TRY(mc_put_text(j, "over", r->stage[0].name));
        MC_TRY(mc_put_number(j, "p50_ratio", ratio.value));
        MC_TRY(mc_put_interval(j, "ci95", ratio.lo, ratio.hi));
    }
    st = mc_put_number(o, "size_ratio", (double)r->stage[0].file_bytes / (double)last->file_bytes);
done:
    return st;
}

static int32_t put_argv(const mc_run *r, mc_json *o)
{
    int32_t st = MCOMP_OK;
    mc_json *j = NULL;
    if (!r->o.argv) return mc_put_new(o, "argv", 1, &j);
    MC_TRY(mc_json_parse(&j, r->o.argv, strlen(r->o.argv), "argv"));
    st = mc_json_set(o, "argv", j);
done:
    return st;
}

int32_t mc_run_report(mc_run *r)
{
    int32_t st = MCOMP_OK;
    mc_json *o = r->root, *list, *target = NULL;
    MC_TRY(mc_json_set_int(o, "schema_version", 1));
    MC_TRY(mc_put_text(o, "command", "compress"));
    MC_TRY(mc_put_text(o, "mcomp", mcomp_version_string()));
    MC_TRY(put_machine(r, o));
    MC_TRY(put_argv(r, o));
    MC_TRY(mc_json_set_int(o, "seed", mc_section_int(r->recipe->top, "seed")));
    MC_TRY(put_recipe(r, o));
    MC_TRY(mc_put_new(o, "stages", 1, &list));
    for (int32_t i = 0; i < r->n_stages; i++) {
        MC_TRY(mc_context_progress(r->ctx, "report", (double)i / (double)r->n_stages));
        MC_TRY(put_stage(r, &r->stage[i], list));
    }
    MC_TRY(put_ratios(r, o));
    MC_TRY(mc_run_cost(r, o));
    st = mc_run_target(r, &target);
    if (st == MCOMP_OK) st = mc_json_set(o, "target", target);
    else mc_json_destroy(target);
    MC_TRY(st);
    MC_TRY(mc_json_set(o, "warnings", mc_json_copy(r->warnings)));
done:
    return st;
}
