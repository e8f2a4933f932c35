/* The table of stages: what each step did to the model. Columns that no stage has are left out. */
#include "report/view.h"

#include <stdio.h>

typedef struct column {
    const char *title;
    double (*value)(const mc_view *v, int64_t i);
    mc_shown (*show)(const mc_view *v, int64_t i);
} column;

#define OF(name, expression)                                                                                           \
    static double value_##name(const mc_view *v, int64_t i) { return (void)v, expression; }
#define SHOWN(name, expression)                                                                                        \
    static mc_shown show_##name(const mc_view *v, int64_t i) { return (void)v, expression; }

OF(metric, v->stages[i].metric)
static mc_shown show_metric(const mc_view *v, int64_t i)
{
    const mc_stage *s = &v->stages[i];
    mc_shown out = mc_show_metric(s->metric_name, s->metric);
    const size_t n = strlen(out.text);
    if (isfinite(s->metric) && isfinite(s->lo) && isfinite(s->hi) && mc_report_is_fraction(s->metric_name))
        snprintf(out.text + n, sizeof out.text - n, " (%.2f\xe2\x80\x93%.2f)", 100.0 * s->lo, 100.0 * s->hi);
    return out;
}
OF(difference, v->stages[i].difference)
SHOWN(difference, mc_show_points(v->stages[i].metric_name, v->stages[i].difference))
OF(bytes, v->stages[i].bytes)
SHOWN(bytes, mc_show_bytes(v->stages[i].bytes))
OF(smaller, i > 0 ? mc_ratio_of(v->first->bytes, v->stages[i].bytes) : (double)NAN)
OF(params, v->stages[i].params)
SHOWN(params, mc_show_count(v->stages[i].params))
OF(macs, v->stages[i].macs)
SHOWN(macs, mc_show_count(v->stages[i].macs))
OF(p50, v->stages[i].p50_ms)
SHOWN(p50, mc_show_ms(v->stages[i].p50_ms))
OF(p90, v->stages[i].p90_ms)
SHOWN(p90, mc_show_ms(v->stages[i].p90_ms))
OF(faster, i > 0 ? mc_ratio_of(v->first->p50_ms, v->stages[i].p50_ms) : (double)NAN)
OF(per_second, v->stages[i].per_second)
SHOWN(per_second, mc_show_number(floor(v->stages[i].per_second * 10.0 + 0.5) / 10.0))
OF(rss, v->stages[i].rss_bytes)
SHOWN(rss, mc_show_bytes(v->stages[i].rss_bytes))
OF(agreement, v->stages[i].agreement)
SHOWN(agreement, mc_show_percent(v->stages[i].agreement))
OF(seconds, v->stages[i].seconds)
SHOWN(seconds, mc_show_number(v->stages[i].seconds < 100.0 ? v->stages[i].seconds : floor(v->stages[i].seconds + 0.5)))

/* The first stage is what the others are compared with. */
static mc_shown times(double (*value)(const mc_view *, int64_t), const mc_view *v, int64_t i)
{
    mc_shown one = {"1"};
    return i == 0 ? one : mc_show_times(value(v, i));
}
SHOWN(smaller, times(value_smaller, v, i))
SHOWN(faster, times(value_faster, v, i))

static const column columns[] = {
    {"metric", value_metric, show_metric}, /* the title is the metric's name */
    {"against the first", value_difference, show_difference},
    {"size", value_bytes, show_bytes},
    {"smaller", value_smaller, show_smaller},
    {"parameters", value_params, show_params},
    {"MACs", value_macs, show_macs},
    {"p50", value_p50, show_p50},
    {"p90", value_p90, show_p90},
    {"faster", value_faster, show_faster},
    {"per second", value_per_second, show_per_second},
    {"peak memory", value_rss, show_rss},
    {"agreement", value_agreement, show_agreement},
    {"took, s", value_seconds, show_seconds},
};
enum { N_COLUMNS = (int)(sizeof columns / sizeof *columns) };

static int measured(const column *c, const mc_view *v)
{
    for (int64_t i = 0; i < v->n; i++)
        if (isfinite(c->value(v, i))) return 1;
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
        align[n + 1] = 'r';
        shown[n++] = &columns[c];
    }
    align[n + 1] = 0;
    mc_table_open(p, "Stages, in order; the interval is of 95 %", align, titles);
    for (int64_t i = 0; i < v->n; i++) {
        mc_cell(p, v->stages[i].name);
        for (int c = 0; c < n; c++) {
            const int no_peer = i == 0 && (shown[c]->value == value_difference || shown[c]->value == value_agreement);
            if (no_peer) mc_cell(p, "\xe2\x80\x93");
            else mc_cell_shown(p, shown[c]->show(v, i));
        }
    }
    mc_table_close(p);
    what_was_done(p, v);
}

const mc_section mc_section_stages = {"stages", "Stages", stages};
