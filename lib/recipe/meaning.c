/* What must hold between values. Whether a model has the nodes that a pattern names is for whoever opens it. */
#include "recipe/values.h"

static int is(const mc_section *s, const char *key, const char *word)
{
    const char *t = mc_section_str(s, key);
    return t && strcmp(t, word) == 0;
}

/* Could be this word: it is, or it is one of those that are searched. */
static int may_be(const mc_section *s, const char *key, const char *word)
{
    const mc_setting *v = mc_section_get(s, key);
    for (int32_t i = 0; i < v->n_options; i++)
        if (v->option[i].text && strcmp(v->option[i].text, word) == 0) return 1;
    return is(s, key, word);
}

/* ---- texts with a form of their own ---- */

static int32_t check_augment(mcomp_recipe *r, const mc_section *s)
{
    const char *a = mc_section_str(s, "augment");
    char number[8] = "";
    int64_t n;
    if (!a) return MCOMP_OK;
    const size_t len = strcspn(a, ",");
    if (len > 6 && len < 9) memcpy(number, a + 6, len - 6);
    if (strncmp(a, "shift:", 6) == 0 && mc_parse_i64(number, &n) == MCOMP_OK && n >= 0 && n <= 64 && (!a[len] || strcmp(a + len, ",mirror") == 0)) return MCOMP_OK;
    return mc_note(r, s, "augment", "shift:N with N from 0 to 64, or shift:N,mirror", "this is no augmentation");
}

static int32_t check_lr_scale(mcomp_recipe *r, const mc_section *s)
{
    for (const char *t = mc_section_str(s, "lr_scale"); t && *t;) {
        char word[64];
        double v;
        const size_t n = strcspn(t, ",");
        const char *eq = memrchr(t, '=', n);
        const size_t len = eq ? (size_t)(t + n - eq - 1) : 0;
        word[0] = 0;
        if (len > 0 && len < sizeof word) memcpy(word, eq + 1, len), word[len] = 0;
        if (!eq || eq == t || mc_parse_f64(word, &v) != MCOMP_OK || v < 0.0) return mc_note(r, s, "lr_scale", "PATTERN=FACTOR,PATTERN=FACTOR", "%.*s is no pattern and factor", (int)(n < 60 ? n : 60), t);
        t += n + (t[n] == ',');
    }
    return MCOMP_OK;
}

static int32_t check_student(mcomp_recipe *r, const mc_section *s, const mc_setting *v)
{
    const char *t = v->text;
    if (!t || t != v->written) return MCOMP_OK; /* a file: resolved */
    const int32_t st = strncmp(t, "teacher", 7) == 0 ? mc_cut_check(t) : mc_build_check(t);
    if (st == MCOMP_OK || st == MCOMP_NO_MEMORY) return st;
    char text[400], hint[200];
    const mcomp_error *e = mc_error_peek();
    mc_str joined = {0};
    int32_t out = mc_str_appendf(&joined, "%s%s%s", e->where, *e->where ? ": " : "", e->message);
    memcpy(hint, e->hint, sizeof hint - 1);
    hint[sizeof hint - 1] = 0;
    if (out == MCOMP_OK) {
        memset(text, 0, sizeof text);
        memcpy(text, joined.data, (size_t)joined.len < sizeof text - 1 ? (size_t)joined.len : sizeof text - 1);
        out = mc_note(r, s, "student", *hint ? hint : "docs/distillation.md lists the forms", "%s", text);
    }
    mc_str_free(&joined);
    mc_error_clear();
    return out;
}

/* ---- passes ---- */

static int32_t check_losses(mcomp_recipe *r, const mc_section *s)
{
    int32_t st = MCOMP_OK;
    int64_t n;
    mc_section *const *l = mc_section_sections(s, "losses", &n);
    const mc_setting *alpha = mc_section_get(s, "alpha");
    if (n == 0) return mc_note(r, s, "losses", "losses: [{kind: logits}]", "a pass that distills has at least one loss");
    if (n > MC_KD_MAX) return mc_note(r, s, "losses", NULL, "more than %d losses", MC_KD_MAX);
    for (int64_t i = 0; i < n; i++) {
        const char *kind = mc_section_str(l[i], "kind");
        for (int64_t k = 0; k < i && kind; k++)
            if (is(l[k], "kind", kind)) MC_TRY(mc_note(r, l[i], "kind", "once, with the sum of the weights", "the loss %s is there twice", kind));
        if (kind && strcmp(kind, "logits") != 0 && strcmp(kind, "dkd") != 0 && mc_setting_given(l[i], "temperature"))
            MC_TRY(mc_note(r, l[i], "temperature", "of logits and dkd", "%s has no temperature", kind));
        if (kind && strcmp(kind, "dkd") == 0 && alpha->kind == MC_SET_FIXED && alpha->number == 0.0) MC_TRY(mc_note(r, l[i], "kind", "an alpha above 0", "dkd needs the labels"));
    }
done:
    return st;
}

static int32_t check_distill(mcomp_recipe *r, const mc_section *s)
{
    int32_t st = MCOMP_OK;
    const mc_setting *v = mc_section_get(s, "student");
    if (v->kind == MC_SET_FIXED) MC_TRY(check_student(r, s, v));
    for (int32_t i = 0; i < v->n_options; i++) MC_TRY(check_student(r, s, &v->option[i]));
    st = check_losses(r, s);
done:
    return st;
}

static int32_t check_prune(mcomp_recipe *r, const mc_section *s)
{
    int32_t st = MCOMP_OK;
    const int units = may_be(s, "pattern", "channel") || may_be(s, "pattern", "head") || may_be(s, "pattern", "ffn");
    const int asked = mc_setting_given(s, "sparsity") + mc_setting_given(s, "macs") + mc_setting_given(s, "latency_ms");
    const mc_setting *epochs = mc_section_get(s, "epochs");
    if (asked > 1) MC_TRY(mc_note(r, s, mc_setting_given(s, "latency_ms") ? "latency_ms" : "macs", "one of them", "sparsity, macs and latency_ms each say how much is removed"));
    if (mc_setting_given(s, "latency_ms") && !units) MC_TRY(mc_note(r, s, "latency_ms", "pattern: channel, head or ffn", "a latency is reached by removing whole units"));
    if (is(s, "criterion", "fpgm") && !units) MC_TRY(mc_note(r, s, "criterion", "pattern: channel, head or ffn", "fpgm compares whole units"));
    if (is(s, "criterion", "taylor") && epochs->kind == MC_SET_FIXED && epochs->number == 0.0) MC_TRY(mc_note(r, s, "criterion", "epochs of 1 or more", "taylor needs gradients, and nothing is trained"));
    if (is(s, "criterion", "taylor") && is(s, "optimizer", "sgd")) MC_TRY(mc_note(r, s, "optimizer", "adamw, adam or lamb", "taylor reads moments that sgd does not keep"));
    if (is(s, "pattern", "2:4") && mc_setting_given(s, "schedule") && !is(s, "schedule", "one-shot")) MC_TRY(mc_note(r, s, "schedule", "schedule: one-shot", "2:4 removes its half at once"));
    if (is(s, "pattern", "2:4") && (mc_setting_given(s, "macs") || (mc_setting_given(s, "sparsity") && mc_section_num(s, "sparsity") != 0.5)))
        MC_TRY(mc_note(r, s, mc_setting_given(s, "macs") ? "macs" : "sparsity", "leave it out", "2:4 removes one half, no more and no less"));
done:
    return st;
}

static int32_t check_quantize(mcomp_recipe *r, const mc_section *s)
{
    int32_t st = MCOMP_OK;
    int64_t n;
    mc_section *const *rules = mc_section_sections(s, "rules", &n);
    const int dynamic = is(s, "scheme", "int8-dynamic") || is(s, "scheme", "w8") || is(s, "scheme", "w4");
    if (is(s, "scheme", "int8") && !mc_section_given(r->calib) && !mc_section_given(r->train)) MC_TRY(mc_note(r, s, "scheme", "data: {calib: ...}, or scheme: int8-dynamic", "static int8 needs samples to find ranges"));
    if (dynamic && !is(s, "mode", "ptq") && mc_section_has(s, "mode")) MC_TRY(mc_note(r, s, "mode", "scheme: int8", "training with quantization is for scheme int8, not %s", mc_section_str(s, "scheme")));
    if (mc_setting_given(s, "percentile") && !may_be(s, "range", "percentile")) MC_TRY(mc_note(r, s, "percentile", "range: percentile", "of range: percentile only"));
    for (int64_t i = 0; i < n; i++)
        if (!mc_section_has(rules[i], "precision") && !mc_section_has(rules[i], "range")) MC_TRY(mc_note(r, rules[i], NULL, "precision or range", "a rule that says nothing"));
done:
    return st;
}

/* The key that makes a pass train; NULL: it does not. */
static const char *trains(const mc_section *s)
{
    const mc_setting *epochs = mc_section_get(s, "epochs");
    if (s->kind == MC_IN_QUANTIZE) return may_be(s, "mode", "qat") || may_be(s, "mode", "ptq_then_qat") ? "mode" : NULL;
    return epochs->kind != MC_SET_FIXED || epochs->number > 0.0 ? "epochs" : NULL;
}

static int32_t check_pass(mcomp_recipe *r, const mc_section *s, int distilled)
{
    int32_t st = MCOMP_OK;
    const char *key = trains(s);
    if (key && !mc_section_given(r->train)) MC_TRY(mc_note(r, s, mc_setting_given(s, key) ? key : NULL, "data: {train: ...}", "there is no data.train to train on"));
    if (s->kind != MC_IN_DISTILL && mc_section_flag(s, "keep_distilling")) {
        if (!distilled) MC_TRY(mc_note(r, s, "keep_distilling", "a distill pass in front of it", "no pass before this one distills"));
        else if (!key) MC_TRY(mc_note(r, s, "keep_distilling", s->kind == MC_IN_QUANTIZE ? "mode: qat" : "epochs of 1 or more", "nothing is trained in this pass"));
    }
    MC_TRY(check_augment(r, s));
    MC_TRY(check_lr_scale(r, s));
    if (s->kind == MC_IN_DISTILL) st = check_distill(r, s);
    else if (s->kind == MC_IN_PRUNE) st = check_prune(r, s);
    else if (s->kind == MC_IN_QUANTIZE) st = check_quantize(r, s);
done:
    return st;
}

/* ---- search, target ---- */

static int32_t check_search(mcomp_recipe *r)
{
    int32_t st = MCOMP_OK;
    int64_t bisected = 0;
    const char *method = mc_section_str(r->search, "method");
    if (!method || r->choices) return MCOMP_OK;
    for (int64_t i = 0; i < r->n_searched; i++) {
        const mc_searched *v = &r->searched[i];
        const int bisect = v->setting->kind == MC_SET_BISECT;
        bisected += bisect;
        if (strcmp(method, "none") == 0) MC_TRY(mc_note(r, v->section, v->setting->param->key, "search: {method: bisect} or {method: halving}", "a value to search, and search.method is none"));
        else if (bisect && strcmp(method, "halving") == 0) MC_TRY(mc_note(r, v->section, v->setting->param->key, "{choose: [a, b]}, or search.method: bisect", "halving tries values that are listed"));
    }
    if (strcmp(method, "bisect") == 0 && bisected == 0) MC_TRY(mc_note(r, r->search, "method", "{bisect: [lowest, highest], step: s} somewhere in passes", "there is nothing to bisect"));
    if (strcmp(method, "halving") == 0 && r->n_searched == 0) MC_TRY(mc_note(r, r->search, "method", "{choose: [a, b]} somewhere in passes", "there is nothing to search"));
    if (strcmp(method, "none") != 0 && !mc_setting_given(r->search, "max_trials") && r->n_searched) MC_TRY(mc_note(r, r->search, NULL, "max_trials: 20", "how many trials? max_trials is missing"));
done:
    return st;
}

static int32_t check_metrics(mcomp_recipe *r)
{
    const char *a = mc_section_str(r->expect, "metric"), *b = mc_section_str(r->target, "metric");
    if (!a || !b || strcmp(a, b) == 0 || !mc_section_given(r->expect)) return MCOMP_OK;
    return mc_note(r, r->target, "metric", "one metric for both", "model.expect speaks of %s", a);
}

int32_t mc_recipe_meaning(mcomp_recipe *r)
{
    int32_t st = MCOMP_OK;
    int distilled = 0;
    for (int32_t i = 0; i < r->n_passes; i++) {
        MC_TRY(check_pass(r, r->passes[i], distilled));
        distilled |= r->passes[i]->kind == MC_IN_DISTILL;
    }
    MC_TRY(check_search(r));
    MC_TRY(check_metrics(r));
done:
    return st;
}
