/* Accuracy against size: where each stage, and each trial of a search, lies. */
#include "report/view.h"

#include <stdio.h>

enum { MOST = 200 };

static mc_shown show_percent_of(double v)
{
    mc_shown s;
    snprintf(s.text, sizeof s.text, "%.4g %%", 100.0 * v);
    return s;
}

static int64_t collect(mc_point *points, const mc_view *v)
{
    int64_t n = 0;
    for (int64_t i = 0; i < v->n && n < MOST; i++) {
        const mc_stage *s = &v->stages[i];
        if (isfinite(s->metric) && s->bytes > 0.0)
            points[n++] = (mc_point){.label = s->name, .x = s->bytes, .y = s->metric, .lo = s->lo, .hi = s->hi, .tone = i == v->n - 1};
    }
    return n;
}

static void tradeoff(mc_page *p, const mc_view *v)
{
    static const char *const titles[] = {"stage", "size", "metric", "95 % interval"};
    mc_point *points = mc_malloc(MOST * sizeof *points);
    if (!points) p->st = MCOMP_NO_MEMORY;
    const int64_t n = points ? collect(points, v) : 0;
    const char *name = v->n > 0 ? v->last->metric_name : NULL;
    if (n > 1) {
        const mc_axes axes = {.x_title = "size, logarithmic", .y_title = name ? name : "metric", .show_x = mc_show_bytes,
                              .show_y = mc_report_is_fraction(name) ? show_percent_of : mc_show_number, .log_x = 1, .joined = 1, .dots = 1};
        mc_chart_points(p, "Accuracy against size", "One point a stage, in order from the original; bars are 95 % intervals. Up is better, left is smaller.", &axes, points, n);
        mc_table_open(p, "Accuracy against size", "lrrr", titles);
        for (int64_t i = 0; i < n; i++) {
            char interval[64];
            const int known = isfinite(points[i].lo) && isfinite(points[i].hi);
            if (known) snprintf(interval, sizeof interval, "%.25s to %.25s", mc_show_metric(name, points[i].lo).text, mc_show_metric(name, points[i].hi).text);
            mc_cell(p, points[i].label);
            mc_cell_shown(p, mc_show_bytes(points[i].x));
            mc_cell_shown(p, mc_show_metric(name, points[i].y));
            mc_cell(p, known ? interval : NULL);
        }
        mc_table_close(p);
    }
    mc_free(points);
}

const mc_section mc_section_tradeoff = {"tradeoff", "Accuracy against size", tradeoff};
