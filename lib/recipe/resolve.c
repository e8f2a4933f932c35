/* What follows from other values: samples that inherit from train, and defaults that suit an optimizer, a schedule, a student. */
#include "recipe/values.h"

#include <math.h>
#include <mcomp/build.h>

static void inherit(mc_setting *to, const mc_setting *from)
{
    if (to->mark.line || (from->origin == MC_FROM_DEFAULT && !from->mark.line)) return;
    const mc_setting v = {.param = to->param, .kind = from->kind, .origin = MC_FROM_OTHERS, .number = from->number, .text = from->text, .written = from->written};
    *to = v;
}

/* ---- samples ---- */

/* How samples are read, but not which. */
static int is_how(const char *key)
{
    const char *const which[] = {"path", "from", "samples", "skip", "limit", "every"};
    for (size_t i = 0; i < sizeof which / sizeof *which; i++)
        if (strcmp(which[i], key) == 0) return 0;
    return 1;
}

static void take_samples(mc_section *to, mc_section *from, int all)
{
    for (int32_t i = 0; i < from->n; i++) {
        const mc_setting *v = &from->settings[i];
        mc_setting *mine = mc_setting_of(to, v->param->key);
        const int never = strcmp(v->param->key, "from") == 0 || strcmp(v->param->key, "samples") == 0;
        if (mine && !never && (all || is_how(v->param->key))) inherit(mine, v);
    }
}

static mc_section *named(const mcomp_recipe *r, const char *name) { return strcmp(name, "train") == 0 ? r->train : strcmp(name, "valid") == 0 ? r->valid : r->eval; }

static int32_t samples(mcomp_recipe *r, mc_section *s)
{
    const mc_setting *from = s == r->train ? NULL : mc_setting_of(s, "from"), *path = mc_setting_of(s, "path");
    mc_section *source = from && from->kind == MC_SET_FIXED ? named(r, from->text) : NULL;
    if (!source && (!mc_section_given(s) || (from && from->key.line))) return MCOMP_OK; /* a wrong `from` is noted already */
    if (source && path->mark.line) return mc_note(r, s, "from", "one of them goes", "path and from both say which samples");
    if (!source && !path->mark.line) return mc_note(r, s, NULL, s == r->train ? NULL : "path, or from: train", "path is missing");
    if (!source) {
        if (s != r->train && mc_section_given(r->train)) take_samples(s, r->train, 0);
        return MCOMP_OK;
    }
    if (source == s) return mc_note(r, s, "from", NULL, "these are the samples themselves");
    if (!mc_section_given(source)) return mc_note(r, s, "from", "name samples that data has", "there is no data.%s", from->text);
    if (source != r->train && mc_setting_given(source, "from")) return mc_note(r, s, "from", "name those", "data.%s takes its samples from others itself", from->text);
    take_samples(s, source, 1);
    return MCOMP_OK;
}

static int32_t all_samples(mcomp_recipe *r)
{
    int32_t st = MCOMP_OK;
    mc_section *const order[] = {r->train, r->valid, r->eval, r->calib};
    if (!mc_section_given(r->calib) && mc_section_given(r->train)) MC_TRY(mc_value_derive(r, r->calib, "from", "train"));
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) MC_TRY(samples(r, order[i]));
done:
    return st;
}

/* ---- metric ---- */

static int32_t metrics(mcomp_recipe *r)
{
    int32_t st = MCOMP_OK;
    const char *objective = mc_section_str(r->eval, "objective"), *metric;
    if (!mc_setting_given(r->target, "metric")) {
        if (mc_section_given(r->expect)) metric = mc_section_str(r->expect, "metric");
        else metric = objective && strcmp(objective, "classify") != 0 ? "perplexity" : "accuracy";
        if (metric) MC_TRY(mc_value_derive(r, r->target, "metric", metric));
    }
    metric = mc_section_str(r->target, "metric");
    for (int32_t i = 0; i < r->n_passes && metric; i++)
        if (!mc_setting_given(r->passes[i], "metric")) MC_TRY(mc_value_derive(r, r->passes[i], "metric", metric));
done:
    return st;
}

/* ---- passes ---- */

/* A value that stands at a loss is the pass's: a distiller has one temperature and one alpha. */
static int32_t hoist(mcomp_recipe *r, mc_section *pass, const char *key)
{
    int64_t n;
    mc_section *const *losses = mc_section_sections(pass, "losses", &n);
    mc_setting *mine = mc_setting_of(pass, key);
    for (int64_t i = 0; i < n; i++) {
        const mc_setting *v = mc_section_get(losses[i], key);
        if (!v->key.line) continue;
        const int same = v->kind == MC_SET_FIXED && mine->kind == MC_SET_FIXED && v->number == mine->number;
        if (mine->key.line && !same) return mc_note(r, losses[i], key, "once is enough", "another %s stands in line %d, and a pass has one", key, mine->key.line);
        const mc_param *p = mine->param;
        *mine = *v;
        mine->param = p;
    }
    return MCOMP_OK;
}

static int32_t default_number(mcomp_recipe *r, mc_section *s, const char *key, double v)
{
    return mc_setting_given(s, key) ? MCOMP_OK : mc_value_derive_number(r, s, key, v);
}

static int ends(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);
    return n > m && strcmp(text + n - m, end) == 0;
}

static int32_t student_defaults(mcomp_recipe *r, mc_section *s, double lr)
{
    int32_t st = MCOMP_OK;
    mcomp_trainer_options o;
    const char *student = mc_section_str(s, "student");
    if (!student) return MCOMP_OK; /* several, or none */
    MC_TRY(mcomp_trainer_options_init(&o, sizeof o));
    o.lr = lr;
    if (strcmp(student, "teacher") == 0 || strncmp(student, "teacher:", 8) == 0) {
        o.epochs = 10;
        o.lr = 3e-4;
    } else if (!ends(student, ".onnx") && !ends(student, ".safetensors") && mcomp_build_training(&o, student) != MCOMP_OK) {
        return MCOMP_OK; /* meaning.c says what is wrong with it */
    }
    MC_TRY(default_number(r, s, "epochs", (double)o.epochs));
    MC_TRY(default_number(r, s, "batch", o.batch));
    if (o.lr > 0.0) MC_TRY(default_number(r, s, "lr", o.lr));
done:
    return st;
}

/* Epochs that suit a schedule: two an iterative step of ten points; else a few after the last removal (as `mcomp prune`). */
static int32_t prune_defaults(mcomp_recipe *r, mc_section *s)
{
    int32_t st = MCOMP_OK;
    const char *pattern = mc_section_str(s, "pattern");
    if (!mc_setting_given(s, "schedule") && pattern) MC_TRY(mc_value_derive(r, s, "schedule", strcmp(pattern, "2:4") == 0 ? "one-shot" : "cubic"));
    if (!mc_setting_given(s, "macs") && !mc_setting_given(s, "latency_ms")) MC_TRY(default_number(r, s, "sparsity", 0.5));
    const char *schedule = mc_section_str(s, "schedule");
    if (!mc_section_given(r->train)) return default_number(r, s, "epochs", 0);
    if (!schedule) return MCOMP_OK;
    if (strcmp(schedule, "iterative") != 0) return default_number(r, s, "epochs", strcmp(schedule, "one-shot") == 0 ? 3 : 6);
    if (mc_section_has(s, "sparsity")) st = default_number(r, s, "epochs", 2.0 * ceil(mc_section_num(s, "sparsity") / 0.1 - 1e-9));
    else if (!mc_setting_given(s, "sparsity")) st = default_number(r, s, "epochs", 10);
done:
    return st;
}

static int32_t pass(mcomp_recipe *r, mc_section *s)
{
    int32_t st = MCOMP_OK;
    const char *name = mc_section_str(s, "optimizer");
    const mc_optimizer *o = name ? mc_optimizer_find(name) : NULL;
    if (o) MC_TRY(default_number(r, s, "weight_decay", o->weight_decay));
    if (s->kind == MC_IN_DISTILL) {
        MC_TRY(hoist(r, s, "alpha"));
        MC_TRY(hoist(r, s, "temperature"));
        MC_TRY(student_defaults(r, s, o ? o->lr : 0.0));
    } else if (s->kind == MC_IN_QUANTIZE) {
        if (mc_section_str(s, "range") && strcmp(mc_section_str(s, "range"), "percentile") == 0) MC_TRY(default_number(r, s, "percentile", 99.999));
    } else if (s->kind == MC_IN_PRUNE) {
        if (o) MC_TRY(default_number(r, s, "lr", o->lr));
        MC_TRY(prune_defaults(r, s));
    }
done:
    return st;
}

int32_t mc_recipe_resolve(mcomp_recipe *r)
{
    int32_t st;
    MC_TRY(all_samples(r));
    MC_TRY(metrics(r));
    for (int32_t i = 0; i < r->n_passes; i++) MC_TRY(pass(r, r->passes[i]));
    mc_error_clear();
done:
    return st;
}
