/* The table of stages: what each step did to the model. Columns that no stage has are left out. */
#include "report/view.h"

#include <stdio.h>

typedef struct column {
    const char *title, *key; /* key of the figure (mc_stage_figure), or one of `metric` and `difference` */
    mc_shown (*show)(double);
    int ratio;               /* how many times less than in the first stage stands below it */
    int later;               /* the first stage has none */
} column;

static const column columns[] = {
    {"metric", "metric", NULL, 0, 0}, /* the title is the metric's name */
    {"difference, points", "difference", NULL, 0, 1},
    {"size", "bytes", mc_show_bytes, 1, 0},
    {"parameters", "params", mc_show_count, 1, 0},
    {"MACs", "macs", mc_show_count, 1, 0},
    {"p50", "p50_ms", mc_show_ms, 1, 0},
    {"p90", "p90_ms", mc_show_ms, 0, 0},
    {"per second", "per_second", mc_show_number, 0, 0},
    {"peak memory", "peak_rss_bytes", mc_show_bytes, 0, 0},
    {"agreement", "agreement_ratio", mc_show_percent, 0, 1},
    {"took, s", "seconds", mc_show_seconds, 0, 1},
};
enum { N_COLUMNS = (int)(sizeof columns / sizeof *columns) };

static double figure(const column *c, const mc_stage *s)
{
    return strcmp(c->key, "difference") == 0 ? s->difference : mc_stage_figure(s, c->key);
}

static void cell(mc_page *p, const column *c, const mc_view *v, int64_t i)
{
    const mc_stage *s = &v->stages[i];
    const double x = figure(c, s);
    char below[64];
    if (i == 0 && isnan(x) && c->later) {
        mc_cell(p, "\xe2\x80\x93"); /* it was there, and the others are compared with it */
    } else if (strcmp(c->key, "metric") == 0) {
        const int known = isfinite(x) && isfinite(s->lo) && isfinite(s->hi);
        if (known && mc_report_is_fraction(s->metric_name)) snprintf(below, sizeof below, "%.2f\xe2\x80\x93%.2f", 100.0 * s->lo, 100.0 * s->hi);
        else if (known) snprintf(below, sizeof below, "%.4g\xe2\x80\x93%.4g", s->lo, s->hi);
        mc_cell_two(p, mc_show_metric(s->metric_name, x), known ? below : NULL);
    } else if (strcmp(c->key, "difference") == 0) {
        mc_shown d = mc_show_points(s->metric_name, x);
        char *unit = strstr(d.text, " points"); /* the title says it */
        if (unit) *unit = 0;
        mc_cell_shown(p, d);
    } else {
        const double ratio = c->ratio && i > 0 ? mc_ratio_of(figure(c, v->first), x) : (double)NAN;
        if (isfinite(ratio)) snprintf(below, sizeof below, "%s", mc_show_times(ratio).text);
        mc_cell_two(p, c->show(x < 100.0 || c->show != mc_show_number ? x : floor(x + 0.5)), isfinite(ratio) ? below : NULL);
    }
}

static int measured(const column *c, const mc_view *v)
{
    for (int64_t i = 0; i < v->n; i++)
        if (isfinite(figure(c, &v->stages[i]))) return 1;
    return 0;
}

static void what_was_done(mc_page *p, const mc_view *v)
{
    int any = 0;
    for (int64_t i = 0; i < v->n; i++) any |= v->stages[i].what != NULL;
    if (!any) return;
    mc_page_html(p, "<dl class=\"what\">\n");
    for (int64_t i = 0; i < v->n; i++) {
        if (!v->stages[i].what) continue;
        mc_page_raw(p, p->markdown ? "- **" : "<dt>");
        mc_page_text(p, v->stages[i].name);
        mc_page_raw(p, p->markdown ? "**: " : "</dt><dd>");
        mc_page_text(p, v->stages[i].what);
        mc_page_raw(p, p->markdown ? "\n" : "</dd>\n");
    }
    mc_page_raw(p, p->markdown ? "\n" : "</dl>\n");
}

static void stages(mc_page *p, const mc_view *v)
{
    const char *titles[N_COLUMNS + 1] = {"stage"};
    const column *shown[N_COLUMNS];
    char align[N_COLUMNS + 2] = "l";
    int n = 0;
    if (v->n == 0) return;
    for (int c = 0; c < N_COLUMNS; c++) {
        if (!measured(&columns[c], v)) continue;
        titles[n + 1] = c == 0 && v->last->metric_name ? v->last->metric_name : columns[c].title;
        if (columns[c].key[0] == 'd' && !mc_report_is_fraction(v->last->metric_name)) titles[n + 1] = "difference";
        align[n + 1] = 'r';
        shown[n++] = &columns[c];
    }
    align[n + 1] = 0;
    mc_table_open(p, "In order. Below: 95 % interval; how many times less than in the first stage", align, titles);
    for (int64_t i = 0; i < v->n; i++) {
        mc_cell(p, v->stages[i].name);
        for (int c = 0; c < n; c++) cell(p, shown[c], v, i);
    }
    mc_table_close(p);
    what_was_done(p, v);
}

const mc_section mc_section_stages = {"stages", "Stages", stages};
