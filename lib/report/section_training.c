/* How the losses and the metric went, stage by stage that was trained. */
#include "report/view.h"

#include <stdio.h>

enum { MOST = 400 };

static mc_shown show_percent_of(double v)
{
    mc_shown s = mc_show_number(v);
    snprintf(s.text, sizeof s.text, "%.4g %%", 100.0 * v);
    return s;
}

/* The key of the metric in a row of the curve: `metric`, or its own name. */
static const char *metric_key(const mc_json *curve, const char *name)
{
    for (int64_t i = 0; i < mc_json_size(curve); i++) {
        if (isfinite(mc_find_number(mc_json_at(curve, i), "metric"))) return "metric";
        if (name && isfinite(mc_find_number(mc_json_at(curve, i), name))) return name;
    }
    return NULL;
}

static double epoch_of(const mc_json *row)
{
    const double e = mc_find_number(row, "epoch");
    return isfinite(e) ? e : mc_find_number(row, "step");
}

/* Of a long curve every so many rows, the last one among them. */
static int64_t stride_of(int64_t rows) { return (rows + MOST - 1) / MOST; }
static int64_t row_at(int64_t rows, int64_t i) { return rows - 1 - (rows - 1) / stride_of(rows) * stride_of(rows) + i * stride_of(rows); }

static int64_t points_of(mc_point *to, const mc_json *curve, const char *key)
{
    const int64_t rows = mc_json_size(curve), used = (rows - 1) / stride_of(rows) + 1;
    int64_t n = 0, finite = 0;
    for (int64_t i = 0; i < used; i++) {
        const mc_json *row = mc_json_at(curve, row_at(rows, i));
        to[n] = (mc_point){.label = "", .x = epoch_of(row), .y = mc_find_number(row, key), .lo = (double)NAN, .hi = (double)NAN};
        finite += isfinite(to[n].x) && isfinite(to[n].y);
        n++;
    }
    return finite ? n : 0;
}

static void curve_of(mc_page *p, const char *stage, const mc_json *curve, const char *metric)
{
    const char *titles[] = {"epoch", "step", "loss", metric ? metric : "metric"};
    char title[128];
    const int64_t rows = mc_json_size(curve), used = (rows - 1) / stride_of(rows) + 1;
    const char *key = metric_key(curve, metric);
    mc_point *points = mc_calloc(MOST, sizeof *points);
    if (!points) {
        p->st = MCOMP_NO_MEMORY;
        return;
    }
    mc_page_html(p, "<div class=\"pair\">\n");
    int64_t n = points_of(points, curve, "loss");
    snprintf(title, sizeof title, "%.60s: loss", stage);
    mc_axes axes = {.x_title = "epoch", .y_title = "loss", .show_x = mc_show_number, .show_y = mc_show_number, .joined = 1};
    if (n) mc_chart_points(p, title, "Loss on the training data, epoch by epoch.", &axes, points, n);
    n = key ? points_of(points, curve, key) : 0;
    snprintf(title, sizeof title, "%.60s: %.60s", stage, metric ? metric : "metric");
    axes.y_title = metric ? metric : "metric";
    axes.show_y = mc_report_is_fraction(metric) ? show_percent_of : mc_show_number;
    if (n) mc_chart_points(p, title, "The metric on the validation data, epoch by epoch.", &axes, points, n);
    mc_page_html(p, "</div>\n");
    snprintf(title, sizeof title, "%.60s: figures of the curve", stage);
    mc_fold_open(p, title);
    mc_table_open(p, title, "lrrr", titles);
    for (int64_t i = 0; i < used; i++) {
        const mc_json *row = mc_json_at(curve, row_at(rows, i));
        mc_cell_shown(p, mc_show_number(mc_find_number(row, "epoch")));
        mc_cell_shown(p, mc_show_number(mc_find_number(row, "step")));
        mc_cell_shown(p, mc_show_number(mc_find_number(row, "loss")));
        mc_cell_shown(p, mc_show_metric(metric, key ? mc_find_number(row, key) : (double)NAN));
    }
    mc_table_close(p);
    mc_fold_close(p);
    mc_free(points);
}

static void one(mc_page *p, const char *name, const mc_json *j, const char *metric)
{
    const mc_json *curve = mc_find(j, "curve");
    if (curve && mc_json_is_array(curve) && mc_json_size(curve) > 0) curve_of(p, name, curve, metric);
}

static void training(mc_page *p, const mc_view *v)
{
    int own = 0;
    for (int64_t i = 0; i < v->n; i++) {
        own |= v->stages[i].j == v->j;
        one(p, v->stages[i].name, v->stages[i].j, v->stages[i].metric_name);
    }
    if (!own && v->n > 0) one(p, v->last->name, v->j, v->last->metric_name); /* prune gives the curve of the whole call */
}

const mc_section mc_section_training = {"training", "Training", training};
