/* What a model costs a month, before and after: instances from the busiest second, money from instances. The formulas are in docs/cost.md.
 * A figure whose inputs are not given is NaN and spreads as such; nothing is guessed. */
#include "report/cost.h"

#include <math.h>

enum { COUNT, SHARE, NUMBER };

static const struct {
    const char *key;
    int kind;
    double highest, otherwise;
    size_t at;
} rows[] = {
#define MC_COST(key, kind, highest, otherwise, about) {#key, kind, highest, otherwise, offsetof(mcomp_cost_options, key)},
#include "report/cost.def"
#undef MC_COST
};
enum { N_ROWS = (int)(sizeof rows / sizeof *rows) };

static double *field(mcomp_cost_options *o, int i) { return (double *)(void *)((char *)o + rows[i].at); }

static int32_t check(int i, double v)
{
    const char *kind = rows[i].kind == COUNT ? "a whole number from 1" : rows[i].kind == SHARE ? "a fraction above 0" : "a number above 0";
    if (isfinite(v) && v > 0.0 && v <= rows[i].highest && (rows[i].kind != COUNT || v == floor(v))) return MCOMP_OK;
    (void)mc_fail(MCOMP_RANGE, rows[i].key, "%g is not %s to %g", v, kind, rows[i].highest);
    if (rows[i].kind == SHARE && v > 1.0 && v <= 100.0) return mc_fail_hint("%g %% is %g", v, v / 100.0);
    return mc_fail_hint(v == 0.0 ? "leave it out where there is none" : "docs/cost.md says what it means");
}

int32_t mcomp_cost_options_init(mcomp_cost_options *o, uint32_t size)
{
    mcomp_cost_options d = {.size = size};
    MC_API_ENTER();
    const int32_t st = mc_options_init(o, size, sizeof *o, "mcomp_cost_options");
    if (st != MCOMP_OK) return st;
    for (int i = 0; i < N_ROWS; i++) *field(&d, i) = rows[i].otherwise;
    memcpy(o, &d, size < sizeof d ? size : sizeof d);
    return MCOMP_OK;
}

int32_t mcomp_cost_set(mcomp_cost_options *o, const char *key, double value)
{
    const char *keys[N_ROWS + 1] = {NULL};
    MC_API_ENTER();
    MC_CHECK_ARG(1, o, "o", "is NULL");
    MC_CHECK_ARG(2, key, "key", "is NULL");
    for (int i = 0; i < N_ROWS; i++) {
        keys[i] = rows[i].key;
        if (strcmp(key, rows[i].key) != 0) continue;
        const int32_t st = check(i, value);
        if (st != MCOMP_OK) return st;
        if (rows[i].at + sizeof value > o->size) return mc_fail_argument(1, "o", "is of an older version, without this field");
        *field(o, i) = value;
        return MCOMP_OK;
    }
    (void)mc_fail(MCOMP_ARGUMENT, key, "the cost of a model has no such input");
    const char *near = mc_nearest(key, keys);
    return near ? mc_fail_hint("did you mean %s?", near) : mc_fail_hint("docs/cost.md lists the inputs");
}

int32_t mc_cost_read(mcomp_cost_options *out, const mcomp_cost_options *given)
{
    int32_t st = mcomp_cost_options_init(out, sizeof *out);
    if (st == MCOMP_OK) st = mc_options_read(out, sizeof *out, given, "options");
    for (int i = 0; i < N_ROWS && st == MCOMP_OK; i++) {
        if (*field(out, i) == 0.0) *field(out, i) = rows[i].otherwise;
        else st = check(i, *field(out, i));
    }
    return st;
}

/* ---- the arithmetic: 0 is "not given" in, NaN out ---- */

static double given(double v) { return v > 0.0 ? v : (double)NAN; }
static double either(double v, double otherwise) { return v > 0.0 ? v : otherwise; }

/* Requests a second of one instance. */
static double capacity(double throughput, double p50_ms, double workers)
{
    return throughput > 0.0 ? throughput : workers * 1e3 / given(p50_ms);
}

/* Whole instances; what rounding of a quotient adds is not an instance. */
static double whole(double x, double least)
{
    const double n = ceil(x - 1e-9);
    return isnan(n) ? n : n < least ? least : n;
}

static void instances(mcomp_cost_result *r, const mcomp_cost_options *o)
{
    const double before = capacity(o->throughput, o->p50_ms, o->workers);
    const double after = capacity(o->after_throughput, o->after_p50_ms, either(o->after_workers, o->workers));
    const double peak = given(o->peak_rps);
    r->needed_before = whole(peak / (before * o->utilization), o->min_instances);
    r->needed_after = whole(peak / (after * o->utilization), o->min_instances);
    r->instances_before = either(o->instances, r->needed_before);
    r->instances_after = either(o->after_instances, r->needed_after);
    if (isnan(r->instances_after)) r->instances_after = whole(r->instances_before * before / after, o->min_instances); /* as loaded as today */
    r->utilization_before = peak / (r->instances_before * before);
    r->utilization_after = peak / (r->instances_after * after);
}

void mc_cost_compute(mcomp_cost_result *r, const mcomp_cost_options *o)
{
    const double price = given(o->usd_per_hour), after_price = either(o->after_usd_per_hour, price);
    const double requests = given(o->requests_per_day) * o->hours / 24.0; /* a month */
    const double wrong = requests * given(o->accuracy_drop);
    *r = (mcomp_cost_result){.size = sizeof *r};
    instances(r, o);
    r->monthly_before = r->instances_before * price * o->hours + o->fixed_usd;
    r->monthly_after = r->instances_after * after_price * o->hours + either(o->after_fixed_usd, o->fixed_usd) + o->retraining_usd;
    r->saving_usd = r->monthly_before - r->monthly_after;
    r->saving_percent = 100.0 * r->saving_usd / r->monthly_before;
    r->saving_price_usd = r->instances_before * (price - after_price) * o->hours;
    r->saving_instances_usd = (r->instances_before - r->instances_after) * after_price * o->hours;
    r->per_million_before = r->monthly_before / requests * 1e6;
    r->per_million_after = r->monthly_after / requests * 1e6;
    r->error_usd = wrong * given(o->usd_per_error);
    r->break_even_usd_per_error = given(r->saving_usd) / wrong;
    r->net_saving_usd = isnan(r->error_usd) ? r->saving_usd : r->saving_usd - r->error_usd;
    r->one_off_usd = given(o->engineering_usd + o->training_usd);
    r->payback_months = r->one_off_usd / given(r->net_saving_usd);
}

int32_t mcomp_cost_compute(mcomp_cost_result *out, const mcomp_cost_options *o)
{
    mcomp_cost_options all;
    mcomp_cost_result r;
    MC_API_ENTER();
    MC_CHECK_ARG(1, mc_info_sized(out), "out", "is NULL or its size is not set");
    MC_CHECK_ARG(2, o, "o", "is NULL");
    const int32_t st = mc_cost_read(&all, o);
    if (st != MCOMP_OK) return st;
    mc_cost_compute(&r, &all);
    return mc_info_give(out, &r, sizeof r, 1);
}

/* ---- as JSON ---- */

static int32_t set(mc_json *to, const char *key, double v) { return isfinite(v) ? mc_json_set_number(to, key, v) : MCOMP_OK; }

static int32_t pair(mc_json *to, const char *key, const char *first, double a, const char *second, double b)
{
    int32_t st = MCOMP_OK;
    if (!isfinite(a) && !isfinite(b)) return st;
    mc_json *o = mc_json_object();
    if (!o) return mc_fail(MCOMP_NO_MEMORY, key, "no memory");
    MC_TRY(set(o, first, a));
    MC_TRY(set(o, second, b));
    return mc_json_set(to, key, o);
done:
    mc_json_destroy(o);
    return st;
}

static int32_t put_results(mc_json *j, const mcomp_cost_result *r)
{
    int32_t st = MCOMP_OK;
    MC_TRY(pair(j, "fleet", "before", r->instances_before, "after", r->instances_after));
    MC_TRY(pair(j, "instances_needed", "before", r->needed_before, "after", r->needed_after));
    MC_TRY(pair(j, "peak_load_ratio", "before", r->utilization_before, "after", r->utilization_after));
    MC_TRY(pair(j, "monthly_cost", "before", r->monthly_before, "after", r->monthly_after));
    MC_TRY(set(j, "saving_usd", r->saving_usd));
    MC_TRY(set(j, "saving_percent", r->saving_percent));
    MC_TRY(pair(j, "saving_parts", "price_usd", r->saving_price_usd, "instances_usd", r->saving_instances_usd));
    MC_TRY(pair(j, "cost_per_million", "before", r->per_million_before, "after", r->per_million_after));
    MC_TRY(set(j, "error_usd", r->error_usd));
    MC_TRY(set(j, "break_even_usd_per_error", r->break_even_usd_per_error));
    MC_TRY(set(j, "net_saving_usd", r->net_saving_usd));
    MC_TRY(set(j, "one_off_usd", r->one_off_usd));
    MC_TRY(set(j, "payback_months", r->payback_months));
done:
    return st;
}

static int32_t put_advice(mc_json *j, const mcomp_cost_options *o, const mcomp_cost_result *r)
{
    int32_t st = MCOMP_OK;
    mc_advice lines[16];
    mc_json *list = mc_json_array(), *one = NULL;
    const int32_t n = mc_cost_advice(lines, 16, o, r);
    if (!list) return mc_fail(MCOMP_NO_MEMORY, "", "no memory");
    for (int32_t i = 0; i < n; i++) {
        one = mc_json_object();
        if (!one) MC_FAIL(MCOMP_NO_MEMORY, "", "no memory");
        MC_TRY(mc_json_set_string(one, "rule", lines[i].rule));
        MC_TRY(mc_json_set_string(one, "text", lines[i].text));
        MC_TRY(mc_json_set_string(one, "figure", lines[i].figure));
        MC_TRY(set(one, "value", lines[i].value));
        mc_json *given_away = one;
        one = NULL;
        MC_TRY(mc_json_append(list, given_away));
    }
    return mc_json_set(j, "advice", list);
done:
    if (one) mc_json_destroy(one);
    mc_json_destroy(list);
    return st;
}

int32_t mc_report_cost(mc_json **out, const mcomp_cost_options *given_options)
{
    int32_t st = MCOMP_OK;
    mcomp_cost_options o;
    mcomp_cost_result r;
    mc_json *j = NULL;
    *out = NULL;
    MC_TRY(mc_cost_read(&o, given_options));
    mc_cost_compute(&r, &o);
    j = mc_json_object();
    if (!j) MC_FAIL(MCOMP_NO_MEMORY, "", "no memory");
    for (int i = 0; i < N_ROWS; i++) {
        const double v = *field(&o, i);
        if (v == 0.0) continue;
        MC_TRY(rows[i].kind == COUNT ? mc_json_set_int(j, rows[i].key, (int64_t)v) : mc_json_set_number(j, rows[i].key, v));
    }
    MC_TRY(put_results(j, &r));
    MC_TRY(put_advice(j, &o, &r));
    *out = j;
    j = NULL;
done:
    if (j) mc_json_destroy(j);
    return st;
}

int32_t mcomp_cost_json(char *out, uint64_t *bytes, uint64_t capacity_bytes, const mcomp_cost_options *o)
{
    int32_t st = MCOMP_OK;
    mc_json *j = NULL;
    mc_str text = {0};
    MC_API_ENTER();
    MC_CHECK_ARG(1, out || capacity_bytes == 0, "out", "is NULL");
    MC_CHECK_ARG(2, bytes, "bytes", "is NULL");
    MC_CHECK_ARG(4, o, "o", "is NULL");
    MC_TRY(mc_report_cost(&j, o));
    MC_TRY(mc_json_dump(j, &text));
    *bytes = (uint64_t)text.len + 1;
    if (*bytes > capacity_bytes) MC_FAIL(MCOMP_LIMIT, "capacity", "the text takes %llu bytes", (unsigned long long)*bytes);
    memcpy(out, text.data, (size_t)*bytes);
done:
    if (j) mc_json_destroy(j);
    mc_str_free(&text);
    return st;
}
