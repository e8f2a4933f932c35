/* From the JSON of a verb to stages in order. compress prints stages[]; quantize and prune print before{} and after{}, distill teacher{},
 * control{} and student{}, bench models[], train best{}, eval metric{}: each becomes a stage, with the keys it has. */
#include "report/view.h"

#include <stdio.h>

enum { MAX_STAGES = 64 };

const mc_json *mc_find(const mc_json *j, const char *path)
{
    char key[64];
    for (; j && *path; path += *path == '.') {
        const size_t n = strcspn(path, ".");
        if (n >= sizeof key) return NULL;
        memcpy(key, path, n);
        key[n] = 0;
        path += n;
        j = mc_json_is_object(j) ? mc_json_get(j, key) : NULL;
    }
    return j;
}

double mc_find_number(const mc_json *j, const char *path)
{
    double v;
    const mc_json *at = mc_find(j, path);
    return at && mc_json_number(at, &v) && isfinite(v) ? v : (double)NAN;
}

const char *mc_find_string(const mc_json *j, const char *path)
{
    const mc_json *at = mc_find(j, path);
    return at ? mc_json_string(at) : NULL;
}

static double at(const mc_json *arr, int64_t i)
{
    double v;
    const mc_json *j = arr && mc_json_is_array(arr) ? mc_json_at(arr, i) : NULL;
    return j && mc_json_number(j, &v) ? v : (double)NAN;
}

/* ---- figures of a stage ---- */

static const struct {
    const char *key;
    size_t at;
} figures[] = {
    {"bytes", offsetof(mc_stage, bytes)},   {"params", offsetof(mc_stage, params)}, {"macs", offsetof(mc_stage, macs)},
    {"p50_ms", offsetof(mc_stage, p50_ms)}, {"p90_ms", offsetof(mc_stage, p90_ms)}, {"p99_ms", offsetof(mc_stage, p99_ms)},
    {"per_second", offsetof(mc_stage, per_second)}, {"peak_rss_bytes", offsetof(mc_stage, rss_bytes)},
    {"agreement_ratio", offsetof(mc_stage, agreement)}, {"seconds", offsetof(mc_stage, seconds)},
};
const char *const mc_stage_keys[] = {"metric", "bytes", "params", "macs", "p50_ms", "p90_ms", "p99_ms", "per_second", "peak_rss_bytes",
                                     "agreement_ratio", "seconds", NULL};

double mc_stage_figure(const mc_stage *s, const char *key)
{
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        if (strcmp(key, figures[i].key) == 0) return *(const double *)(const void *)((const char *)s + figures[i].at);
    return strcmp(key, "metric") == 0 || (s->metric_name && strcmp(key, s->metric_name) == 0) ? s->metric : (double)NAN;
}

static void read_difference(mc_stage *s, const mc_json *d)
{
    if (!d) return;
    s->difference = mc_find_number(d, "value");
    s->difference_lo = at(mc_find(d, "ci95"), 0);
    s->difference_hi = at(mc_find(d, "ci95"), 1);
    s->mcnemar_p = mc_find_number(d, "mcnemar_p");
}

static void read_figures(mc_stage *s, const mc_json *j)
{
    const mc_json *m = mc_find(j, "metric");
    if (!m) m = mc_find(j, "best.metric");
    s->j = j;
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        const double v = mc_find_number(j, figures[i].key);
        *(double *)(void *)((char *)s + figures[i].at) = v >= 0.0 ? v : (double)NAN;
    }
    s->metric_name = mc_find_string(m, "name");
    s->metric = mc_find_number(m, "value");
    s->lo = at(mc_find(m, "ci95"), 0);
    s->hi = at(mc_find(m, "ci95"), 1);
    s->n = mc_find_number(m, "n");
    s->difference = s->difference_lo = s->difference_hi = s->mcnemar_p = (double)NAN;
    read_difference(s, mc_find(j, "difference"));
}

static mc_stage *add(mc_view *v, const char *name, const mc_json *j)
{
    if (!mc_json_is_object(j) || v->n == MAX_STAGES) return NULL;
    mc_stage *s = &v->stages[v->n++];
    read_figures(s, j);
    s->name = name ? name : "unnamed";
    s->what = mc_find_string(j, "what");
    return s;
}

/* Figures that the verb gives of the whole call belong to what it made. */
static void of_the_result(mc_stage *s, const mc_json *root)
{
    if (!s) return;
    if (isnan(s->agreement)) s->agreement = mc_find_number(root, "agreement_ratio");
    if (isnan(s->difference)) read_difference(s, mc_find(root, "difference"));
}

static void read_list(mc_view *v, const mc_json *list, const char *name_key)
{
    for (int64_t i = 0; mc_json_is_array(list) && i < mc_json_size(list); i++) {
        const mc_json *j = mc_json_at(list, i);
        (void)add(v, mc_find_string(j, name_key), j);
    }
}

static void read_stages(mc_view *v)
{
    const mc_json *j = v->j;
    if (mc_find(j, "stages")) {
        read_list(v, mc_find(j, "stages"), "name");
    } else if (mc_find(j, "before") || mc_find(j, "after")) {
        if (mc_find(j, "before")) (void)add(v, "original", mc_find(j, "before"));
        of_the_result(add(v, v->command ? v->command : "result", mc_find(j, "after")), j);
    } else if (mc_find(j, "teacher") || mc_find(j, "student")) {
        if (mc_find(j, "teacher")) (void)add(v, "teacher", mc_find(j, "teacher"));
        if (mc_find(j, "control")) (void)add(v, "control", mc_find(j, "control"));
        of_the_result(add(v, "student", mc_find(j, "student")), j);
    } else if (mc_find(j, "models")) {
        read_list(v, mc_find(j, "models"), "path");
    } else if (mc_find(j, "best") || mc_find(j, "metric")) {
        of_the_result(add(v, v->command ? v->command : "model", j), j);
    }
}

int32_t mc_view_read(mc_view *v, const mc_report_run *run)
{
    *v = (mc_view){.name = run->name, .j = run->json};
    if (!mc_json_is_object(run->json)) return mc_fail(MCOMP_FORMAT, run->name, "not a JSON object: a report is made from what --json prints");
    v->stages = mc_calloc(MAX_STAGES, sizeof *v->stages);
    if (!v->stages) return MCOMP_NO_MEMORY;
    v->command = mc_find_string(v->j, "command");
    read_stages(v);
    if (v->n > 0) {
        v->first = &v->stages[0];
        v->last = &v->stages[v->n - 1];
    }
    return MCOMP_OK;
}

void mc_view_free(mc_view *v) { mc_free(v->stages); }

double mc_ratio_of(double first, double last) { return first > 0.0 && last > 0.0 ? first / last : (double)NAN; }

static int same(const mc_stage *s, const char *name)
{
    const char *path = mc_find_string(s->j, "path");
    return name && (strcmp(name, s->name) == 0 || (path && strcmp(name, path) == 0));
}

double mc_speed_ratio(const mc_view *v, double *lo, double *hi)
{
    const mc_json *list = mc_find(v->j, "ratios");
    *lo = *hi = (double)NAN;
    for (int64_t i = 0; v->n > 1 && mc_json_is_array(list) && i < mc_json_size(list); i++) {
        const mc_json *r = mc_json_at(list, i);
        const double ratio = mc_find_number(r, "p50_ratio");
        if (!(ratio > 0.0) || !same(v->last, mc_find_string(r, "of")) || !same(v->first, mc_find_string(r, "over"))) continue;
        *lo = at(mc_find(r, "ci95"), 0);
        *hi = at(mc_find(r, "ci95"), 1);
        return ratio;
    }
    return v->n > 1 ? mc_ratio_of(v->first->p50_ms, v->last->p50_ms) : (double)NAN;
}
