/* Several runs beside one another: the result of each, and how the others differ from the first. */
#include "report/view.h"

#include <stdio.h>

enum { MAX_RUNS = 16 };

typedef struct figure {
    const char *key, *title;
    mc_shown (*show)(double);
} figure;

static const figure figures[] = {
    {"bytes", "size", mc_show_bytes},          {"params", "parameters", mc_show_count},    {"macs", "MACs", mc_show_count},
    {"p50_ms", "median latency", mc_show_ms},  {"p90_ms", "90th percentile", mc_show_ms},  {"per_second", "per second", mc_show_number},
    {"peak_rss_bytes", "peak memory", mc_show_bytes}, {"agreement_ratio", "agreement with the original", mc_show_percent},
};

static double of_result(const mc_view *v, const char *key) { return v->last ? mc_stage_figure(v->last, key) : (double)NAN; }

static void metric_row(mc_page *p, const mc_view *views, int32_t n)
{
    const char *name = views[0].last ? views[0].last->metric_name : NULL;
    int any = 0;
    for (int32_t i = 0; i < n; i++) any |= views[i].last && isfinite(views[i].last->metric);
    if (!any) return;
    mc_cell(p, name ? name : "metric");
    for (int32_t i = 0; i < n; i++) {
        const mc_stage *s = views[i].last;
        char text[128];
        const int same = s && (!name || (s->metric_name && strcmp(name, s->metric_name) == 0));
        if (!s || isnan(s->metric)) mc_cell(p, NULL);
        else if (!same) snprintf(text, sizeof text, "%s (%.40s)", mc_show_metric(s->metric_name, s->metric).text, s->metric_name ? s->metric_name : "unnamed");
        else if (i == 0) snprintf(text, sizeof text, "%s", mc_show_metric(name, s->metric).text);
        else snprintf(text, sizeof text, "%s (%s)", mc_show_metric(name, s->metric).text, mc_show_points(name, s->metric - views[0].last->metric).text);
        if (s && isfinite(s->metric)) mc_cell(p, text);
    }
}

static void rows(mc_page *p, const mc_view *views, int32_t n)
{
    metric_row(p, views, n);
    for (size_t k = 0; k < sizeof figures / sizeof *figures; k++) {
        const double first = of_result(&views[0], figures[k].key);
        int any = 0;
        for (int32_t i = 0; i < n; i++) any |= isfinite(of_result(&views[i], figures[k].key));
        if (!any) continue;
        mc_cell(p, figures[k].title);
        for (int32_t i = 0; i < n; i++) {
            const double v = of_result(&views[i], figures[k].key);
            char text[112];
            snprintf(text, sizeof text, "%s", figures[k].show(v).text);
            if (i > 0 && isfinite(v) && first > 0.0) snprintf(text, sizeof text, "%s (%s)", figures[k].show(v).text, mc_show_change(first, v).text);
            mc_cell(p, text);
        }
    }
}

static void bars(mc_page *p, const mc_view *views, int32_t n, const char *key, const char *title, mc_shown (*show)(double))
{
    mc_bar list[MAX_RUNS];
    mc_shown values[MAX_RUNS];
    int used = 0;
    for (int32_t i = 0; i < n; i++) {
        const double v = of_result(&views[i], key);
        if (!(v > 0.0)) continue;
        values[used] = show(v);
        list[used] = (mc_bar){.label = views[i].name, .value = values[used].text, .v = {i ? (double)NAN : v, i ? v : (double)NAN}, .ghost = (double)NAN};
        used++;
    }
    if (used > 1) mc_chart_bars(p, title, "One bar a run, of its result.", list, used);
}

void mc_compare(mc_page *p, const mc_view *views, int32_t n)
{
    const char *titles[MAX_RUNS + 1] = {""};
    char align[MAX_RUNS + 2] = "l";
    for (int32_t i = 0; i < n; i++) {
        titles[i + 1] = views[i].name;
        align[i + 1] = 'r';
    }
    mc_page_html(p, "<section id=\"compare\"><h2 class=\"s\">Side by side</h2>\n");
    mc_page_md(p, "## Side by side\n\n");
    mc_page_html(p, "<div class=\"pair\">\n");
    bars(p, views, n, "bytes", "Size of the result", mc_show_bytes);
    bars(p, views, n, "p50_ms", "Median latency of the result", mc_show_ms);
    mc_page_html(p, "</div>\n");
    mc_table_open(p, "The result of each run; in brackets against the first", align, titles);
    rows(p, views, n);
    mc_table_close(p);
    mc_page_html(p, "</section>\n");
}
