/* Expressions over the figures of runs: `accuracy < 0.88 or p50_ms > 1.1 * run1.p50_ms`. The grammar is in docs/report.md:
 *
 *   or = and { "or" and }        and = not { "and" not }      not = ["not"] comparison
 *   comparison = sum [("<"|"<="|">"|">="|"=="|"!=") sum]      sum = product { ("+"|"-") product }
 *   product = factor { ("*"|"/") factor }                     factor = number [unit] | name | "-" factor | "(" or ")"
 *
 * A figure that is not there is an error, never false: a check must not pass because nothing was measured. */
#include "report/view.h"

#include <stdio.h>

enum { MAX_LENGTH = 1000, MAX_DEPTH = 32 };

typedef struct value {
    double v;
    int truth; /* it is yes or no, not a number */
} value;

typedef struct parser {
    const char *text, *at;
    const mc_view *views;
    int32_t n, st;
    int depth;
} parser;

static value bad(parser *e, const char *what)
{
    if (e->st == MCOMP_OK) {
        e->st = mc_fail(MCOMP_ARGUMENT, e->text, "at character %d: %s", (int)(e->at - e->text) + 1, what);
        (void)mc_fail_hint("for example 'accuracy < 0.88 or size_ratio < 4' (docs/report.md)");
    }
    return (value){(double)NAN, 0};
}

static void spaces(parser *e) { e->at += strspn(e->at, " \t"); }

static int is_name(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
static int goes_on(char c) { return is_name(c) || (c >= '0' && c <= '9') || c == '.' || c == '#' || c == '[' || c == ']'; }

static int take(parser *e, const char *sign)
{
    const size_t n = strlen(sign);
    spaces(e);
    if (strncmp(e->at, sign, n) != 0 || (is_name(*sign) && goes_on(e->at[n]))) return 0;
    e->at += n;
    return 1;
}

/* ---- figures ---- */

static double derived(const mc_view *v, const char *key)
{
    int met;
    double lo, hi;
    if (strcmp(key, "size_ratio") == 0) return v->n > 1 ? mc_ratio_of(v->first->bytes, v->last->bytes) : (double)NAN;
    if (strcmp(key, "speed_ratio") == 0) return mc_speed_ratio(v, &lo, &hi);
    if (strcmp(key, "drop") == 0) return v->n > 1 ? (!mc_report_is_fraction(v->last->metric_name) ? -1.0 : 1.0) * (v->first->metric - v->last->metric) : (double)NAN;
    if (strcmp(key, "target_met") == 0) return mc_json_bool(mc_find(v->j, "target.met"), &met) ? met : (double)NAN;
    if (strcmp(key, "saving_percent") == 0) return mc_find_number(v->j, "cost.saving_percent");
    if (strcmp(key, "payback_months") == 0) return mc_find_number(v->j, "cost.payback_months");
    if (strcmp(key, "warnings") == 0 && mc_json_is_array(mc_find(v->j, "warnings"))) return (double)mc_json_size(mc_find(v->j, "warnings"));
    return (double)NAN;
}
static const char *const derived_keys[] = {"size_ratio", "speed_ratio", "drop", "target_met", "saving_percent", "payback_months", "warnings", NULL};

/* A path into the JSON as it is, with list[3]. */
static double by_path(const mc_view *v, const char *path, int *truth)
{
    char key[64];
    int yes;
    double number;
    const mc_json *j = v->j;
    while (*path && j) {
        const size_t n = strcspn(path, ".[");
        if (n >= sizeof key) return (double)NAN;
        memcpy(key, path, n);
        key[n] = 0;
        path += n;
        if (n > 0) j = mc_json_is_object(j) ? mc_json_get(j, key) : NULL;
        while (*path == '[' && j) {
            int64_t i;
            const size_t digits = strspn(path + 1, "0123456789");
            if (digits == 0 || digits > 6 || path[1 + digits] != ']') return (double)NAN;
            memcpy(key, path + 1, digits);
            key[digits] = 0;
            j = mc_parse_i64(key, &i) == MCOMP_OK && mc_json_is_array(j) ? mc_json_at(j, i) : NULL;
            path += digits + 2;
        }
        if (*path == '.') path++;
    }
    if (j && mc_json_bool(j, &yes)) {
        *truth = 1;
        return yes;
    }
    return j && mc_json_number(j, &number) ? number : (double)NAN;
}

static double figure_of(const mc_view *v, const char *name, int *truth)
{
    const mc_stage *s = v->last;
    const char *key = name, *dot = strchr(name, '.');
    *truth = strcmp(name, "target_met") == 0;
    double d = derived(v, name);
    if (isfinite(d)) return d;
    for (int64_t i = 0; dot && i < v->n; i++) {
        const char *stage = v->stages[i].name;
        if (strlen(stage) == (size_t)(dot - name) && strncmp(stage, name, strlen(stage)) == 0) s = &v->stages[i], key = dot + 1;
    }
    if (dot && key == name && v->n > 0 && strncmp(name, "first.", 6) == 0) s = v->first, key = dot + 1;
    if (dot && key == name && v->n > 0 && strncmp(name, "last.", 5) == 0) s = v->last, key = dot + 1;
    d = s ? mc_stage_figure(s, key) : (double)NAN;
    if (!isfinite(d) && key != name) d = mc_find_number(s->j, key); /* quantize.difference.value */
    return isfinite(d) ? d : by_path(v, name, truth);
}

static value no_figure(parser *e, const char *name, const mc_view *v)
{
    const char *known[32];
    int n = 0;
    if (e->st != MCOMP_OK) return (value){(double)NAN, 0};
    for (int i = 0; mc_stage_keys[i]; i++) known[n++] = mc_stage_keys[i];
    for (int i = 0; derived_keys[i]; i++) known[n++] = derived_keys[i];
    if (v->last && v->last->metric_name) known[n++] = v->last->metric_name;
    known[n] = NULL;
    const char *near = mc_nearest(name, known);
    e->st = mc_fail(MCOMP_ARGUMENT, name, "%s has no such figure: it was not measured, or its name is another", v->name);
    if (near && strcmp(near, name) != 0) (void)mc_fail_hint("did you mean %s?", near);
    else (void)mc_fail_hint("names: the metric's, metric, bytes, params, p50_ms, size_ratio, speed_ratio, drop, STAGE.bytes, or a path into the JSON");
    return (value){(double)NAN, 0};
}

static value name_value(parser *e)
{
    char name[128];
    int truth = 0;
    int64_t run = e->n;
    size_t n = 0;
    while (goes_on(e->at[n])) n++;
    if (n >= sizeof name) return bad(e, "a name of more than 127 letters");
    memcpy(name, e->at, n);
    name[n] = 0;
    e->at += n;
    const char *key = name;
    const size_t digits = strncmp(name, "run", 3) == 0 ? strspn(name + 3, "0123456789") : 0;
    if (digits > 0 && digits < 4 && name[3 + digits] == '.') {
        name[3 + digits] = 0;
        if (mc_parse_i64(name + 3, &run) != MCOMP_OK || run < 1 || run > e->n) return bad(e, "there is no such run; they are counted from run1");
        key = name + 3 + digits + 1;
    }
    const mc_view *v = &e->views[run - 1];
    const double d = figure_of(v, key, &truth);
    return isfinite(d) ? (value){d, truth} : no_figure(e, key, v);
}

/* ---- the grammar ---- */

static value either(parser *e);

static value number(parser *e)
{
    static const struct {
        const char *unit;
        double times;
    } units[] = {{"%", 0.01}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}};
    char digits[40];
    double v;
    size_t n = strspn(e->at, "0123456789.");
    if ((e->at[n] == 'e' || e->at[n] == 'E') && n > 0) {
        const size_t sign = e->at[n + 1] == '-' || e->at[n + 1] == '+', more = strspn(e->at + n + 1 + sign, "0123456789");
        if (more) n += 1 + sign + more;
    }
    if (n >= sizeof digits) return bad(e, "a number of more than 39 digits");
    memcpy(digits, e->at, n);
    digits[n] = 0;
    if (mc_parse_f64(digits, &v) != MCOMP_OK) return bad(e, "not a number");
    e->at += n;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (take(e, units[i].unit)) return (value){v * units[i].times, 0};
    return (value){v, 0};
}

static value numeric(parser *e, value a)
{
    return a.truth && e->st == MCOMP_OK ? bad(e, "a yes or no stands where a number must be") : a;
}
static value logical(parser *e, value a)
{
    return !a.truth && e->st == MCOMP_OK ? bad(e, "a number stands where a comparison must be") : a;
}

static value factor(parser *e)
{
    value v;
    if (e->st != MCOMP_OK) return (value){(double)NAN, 0};
    spaces(e);
    if (++e->depth > MAX_DEPTH) return bad(e, "nested too deeply");
    if (take(e, "(")) {
        v = either(e);
        if (!take(e, ")")) v = bad(e, "a closing bracket is missing");
    } else if (take(e, "-")) {
        v = numeric(e, factor(e));
        v.v = -v.v;
    } else if (is_name(*e->at)) {
        v = name_value(e);
    } else {
        v = (*e->at >= '0' && *e->at <= '9') || *e->at == '.' ? number(e) : bad(e, *e->at ? "a figure or a number must stand here" : "the expression ends too early");
    }
    e->depth--;
    return v;
}

static value product(parser *e)
{
    value a = factor(e);
    for (;;) {
        const int times = take(e, "*"), by = !times && take(e, "/");
        if (!times && !by) return a;
        const value b = numeric(e, factor(e));
        a = numeric(e, a);
        a.v = times ? a.v * b.v : a.v / b.v;
    }
}

static value sum(parser *e)
{
    value a = product(e);
    for (;;) {
        const int plus = take(e, "+"), minus = !plus && take(e, "-");
        if (!plus && !minus) return a;
        const value b = numeric(e, product(e));
        a = numeric(e, a);
        a.v += plus ? b.v : -b.v;
    }
}

static value comparison(parser *e)
{
    static const char *const signs[] = {"<=", ">=", "==", "!=", "<", ">"};
    const value a = sum(e);
    for (int i = 0; i < 6; i++) {
        if (!take(e, signs[i])) continue;
        const value b = numeric(e, sum(e));
        const double x = numeric(e, a).v, y = b.v;
        const int yes = i == 0 ? x <= y : i == 1 ? x >= y : i == 2 ? x == y : i == 3 ? x != y : i == 4 ? x < y : x > y;
        if (e->st == MCOMP_OK && !(isfinite(x) && isfinite(y))) return bad(e, "a division by zero");
        return (value){yes, 1};
    }
    return a;
}

static value negated(parser *e)
{
    if (!take(e, "not")) return comparison(e);
    value a = logical(e, comparison(e));
    a.v = a.v == 0.0;
    return a;
}

static value both(parser *e)
{
    value a = negated(e);
    while (e->st == MCOMP_OK && take(e, "and")) {
        const value b = logical(e, negated(e));
        a = logical(e, a);
        a.v = a.v != 0.0 && b.v != 0.0;
    }
    return a;
}

static value either(parser *e)
{
    value a = both(e);
    while (e->st == MCOMP_OK && take(e, "or")) {
        const value b = logical(e, both(e));
        a = logical(e, a);
        a.v = a.v != 0.0 || b.v != 0.0;
    }
    return a;
}

int32_t mc_report_check(int32_t *holds, const mc_report_run *runs, int32_t n, const char *expression)
{
    int32_t st = MCOMP_OK, read = 0;
    mc_view views[16];
    *holds = 0;
    if (n < 1 || n > 16) return mc_fail(MCOMP_ARGUMENT, "report", "a check needs 1 to 16 runs");
    if (strlen(expression) > MAX_LENGTH) return mc_fail(MCOMP_ARGUMENT, "", "an expression of more than %d letters", MAX_LENGTH);
    for (; read < n; read++) MC_TRY(mc_view_read(&views[read], &runs[read]));
    parser e = {.text = expression, .at = expression, .views = views, .n = n};
    const value v = logical(&e, either(&e));
    spaces(&e);
    if (e.st == MCOMP_OK && *e.at) (void)bad(&e, "the expression should end here");
    st = e.st;
    if (st == MCOMP_OK) *holds = v.v != 0.0;
done:
    for (int32_t i = 0; i < read; i++) mc_view_free(&views[i]);
    return st;
}
