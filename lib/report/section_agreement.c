/* How far each stage answers as the first one does: agreement, the paired difference and its test; the student beside one trained without
 * a teacher; the cut model beside the masked one. */
#include "report/view.h"

#include <stdio.h>

static mc_shown between(const char *name, double lo, double hi)
{
    mc_shown s = mc_show_points(name, (double)NAN);
    if (isfinite(lo) && isfinite(hi)) snprintf(s.text, sizeof s.text, "%.20s to %.20s", mc_show_points(name, lo).text, mc_show_points(name, hi).text);
    return s;
}

static mc_shown show_p(double v)
{
    mc_shown s = mc_show_number(v);
    if (v >= 0.0) snprintf(s.text, sizeof s.text, v < 1e-4 ? "< 0.0001" : "%.2g", v);
    return s;
}

static void control(mc_page *p, const mc_stage *s)
{
    const char *name = mc_find_string(s->j, "control.metric.name");
    const double m = mc_find_number(s->j, "control.metric.value"), d = mc_find_number(s->j, "control.difference.value");
    if (!isfinite(m)) return;
    mc_page_html(p, "<p class=\"note\">");
    mc_page_text(p, s->name);
    mc_page_raw(p, ": the same model trained without the teacher reaches ");
    mc_page_text(p, mc_show_metric(name, m).text);
    if (isfinite(d)) {
        mc_page_raw(p, "; the teacher brought ");
        mc_page_text(p, mc_show_points(name, d).text);
    }
    mc_page_raw(p, p->markdown ? ".\n\n" : ".</p>\n");
}

static void equivalence(mc_page *p, const char *stage, const mc_json *j)
{
    const double e = mc_find_number(j, "equivalence.max_abs");
    if (!isfinite(e)) return;
    mc_page_html(p, "<p class=\"note\">");
    mc_page_text(p, stage);
    mc_page_raw(p, ": the largest difference of an output between the cut model and the masked one is ");
    mc_page_text(p, mc_show_number(e).text);
    mc_page_raw(p, p->markdown ? ".\n\n" : ".</p>\n");
}

static void agreement(mc_page *p, const mc_view *v)
{
    static const char *const titles[] = {"stage", "same answer as the first", "difference", "95 % interval", "McNemar p"};
    int any = 0;
    for (int64_t i = 0; i < v->n; i++) any |= isfinite(v->stages[i].agreement) || isfinite(v->stages[i].difference);
    if (any) {
        mc_table_open(p, "Agreement with the first stage, on the evaluation data", "lrrrr", titles);
        for (int64_t i = 1; i < v->n; i++) {
            const mc_stage *s = &v->stages[i];
            mc_cell(p, s->name);
            mc_cell_shown(p, mc_show_percent(s->agreement));
            mc_cell_shown(p, mc_show_points(s->metric_name, s->difference));
            mc_cell_shown(p, between(s->metric_name, s->difference_lo, s->difference_hi));
            mc_cell_shown(p, show_p(s->mcnemar_p));
        }
        mc_table_close(p);
    }
    for (int64_t i = 0; i < v->n; i++) {
        control(p, &v->stages[i]);
        equivalence(p, v->stages[i].name, v->stages[i].j);
    }
    if (v->n > 0) equivalence(p, v->last->name, v->j);
}

const mc_section mc_section_agreement = {"agreement", "Agreement", agreement};
