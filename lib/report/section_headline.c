/* What came of it, in a sentence and in cards: size, speed, accuracy, cost. */
#include "report/view.h"

#include <stdio.h>

static void card(mc_page *p, const char *title, mc_shown big, const char *tone, mc_shown before, mc_shown after, const char *note)
{
    if (p->markdown) {
        mc_cell(p, title);
        mc_cell_shown(p, before);
        mc_cell_shown(p, after);
        mc_cell_shown(p, big);
        return;
    }
    mc_page_raw(p, "<div class=\"card\"><p class=\"k\">");
    mc_page_text(p, title);
    mc_page_rawf(p, "</p><p class=\"big %s\">", strcmp(big.text, mc_not_measured) == 0 ? "na" : tone);
    mc_page_text(p, big.text);
    mc_page_raw(p, "</p><p class=\"sub\">");
    if (strcmp(before.text, mc_not_measured) != 0 || strcmp(after.text, mc_not_measured) != 0) {
        mc_page_raw(p, "<span>");
        mc_page_text(p, before.text);
        mc_page_raw(p, "</span> <span>\xe2\x86\x92 <b>");
        mc_page_text(p, after.text);
        mc_page_raw(p, "</b></span>");
    }
    if (note && *note) {
        mc_page_raw(p, "<br/>");
        mc_page_text(p, note);
    }
    mc_page_raw(p, "</p></div>\n");
}

static void comma(mc_page *p, int *n)
{
    mc_page_raw(p, (*n)++ ? ", " : "");
}

static void say(mc_page *p, int *n, mc_shown v, const char *more, const char *otherwise, double ratio)
{
    if (!isfinite(ratio)) return;
    comma(p, n);
    mc_page_text(p, v.text);
    mc_page_raw(p, ratio >= 1.0 ? more : otherwise);
}

/* "11.3x smaller, 8.3x faster, -0.6 points of accuracy." */
static void sentence(mc_page *p, const mc_view *v, double size, double speed)
{
    int n = 0;
    mc_page_html(p, "<p class=\"lead\">");
    say(p, &n, mc_show_times(size >= 1.0 ? size : 1.0 / size), " smaller", " larger", size);
    say(p, &n, mc_show_times(speed >= 1.0 ? speed : 1.0 / speed), " faster", " slower", speed);
    if (isfinite(v->last->metric) && isfinite(v->first->metric)) {
        const double d = v->last->metric - v->first->metric;
        comma(p, &n);
        mc_page_text(p, mc_report_is_fraction(v->last->metric_name) && fabs(d) < 5e-5 ? "the same" : mc_show_points(v->last->metric_name, d).text);
        mc_page_raw(p, mc_report_is_fraction(v->last->metric_name) && fabs(d) < 5e-5 ? " " : " of ");
        mc_page_text(p, v->last->metric_name ? v->last->metric_name : "the metric");
    }
    if (n == 0) mc_page_raw(p, "Nothing was measured before and after");
    mc_page_raw(p, p->markdown ? ".\n\n" : ".</p>\n");
}

static void accuracy_card(mc_page *p, const mc_view *v)
{
    char title[64], note[200] = "";
    const mc_stage *a = v->first, *b = v->last;
    const char *name = b->metric_name ? b->metric_name : "accuracy";
    const double d = b->metric - a->metric;
    snprintf(title, sizeof title, "%s", name);
    title[0] = (char)(title[0] >= 'a' && title[0] <= 'z' ? title[0] - 32 : title[0]);
    if (isfinite(b->lo) && isfinite(b->hi) && isfinite(b->n))
        snprintf(note, sizeof note, "95 %% interval %s to %s, n = %.0f", mc_show_metric(name, b->lo).text, mc_show_metric(name, b->hi).text, b->n);
    card(p, title, mc_show_points(name, d), "", mc_show_metric(name, a->metric), mc_show_metric(name, b->metric), note);
}

static void cost_card(mc_page *p, const mc_view *v)
{
    char note[80] = "";
    const double percent = mc_find_number(v->j, "cost.saving_percent"), months = mc_find_number(v->j, "cost.payback_months");
    if (isfinite(months)) snprintf(note, sizeof note, "a month; paid back in %.1f months", months);
    else if (isfinite(percent)) snprintf(note, sizeof note, "a month");
    mc_shown big = mc_show_percent(-percent / 100.0);
    if (isfinite(percent)) snprintf(big.text, sizeof big.text, "%s%.1f %%", percent >= 0.0 ? "\xe2\x88\x92" : "+", fabs(percent));
    card(p, "Cost", big, percent > 0.0 ? "good" : percent < 0.0 ? "bad" : "", mc_show_usd(mc_find_number(v->j, "cost.monthly_cost.before")),
         mc_show_usd(mc_find_number(v->j, "cost.monthly_cost.after")), note);
}

static void headline(mc_page *p, const mc_view *v)
{
    static const char *const titles[] = {"", "before", "after", "change"};
    char note[200] = "";
    double lo, hi;
    if (v->n == 0) return;
    const double size = v->n > 1 ? mc_ratio_of(v->first->bytes, v->last->bytes) : (double)NAN, speed = mc_speed_ratio(v, &lo, &hi);
    if (v->n > 1) sentence(p, v, size, speed);
    if (p->markdown) mc_table_open(p, "", "lrrr", titles);
    else mc_page_raw(p, "<div class=\"cards\">\n");
    card(p, "Size", mc_show_times(size), size > 1.0 ? "good" : size < 1.0 ? "bad" : "", mc_show_bytes(v->first->bytes), mc_show_bytes(v->last->bytes), "");
    if (isfinite(lo) && isfinite(hi)) snprintf(note, sizeof note, "median; ratio %s to %s, paired", mc_show_times(lo).text, mc_show_times(hi).text);
    else if (isfinite(v->last->p50_ms)) snprintf(note, sizeof note, "median of a run");
    card(p, "Speed", mc_show_times(speed), speed > 1.0 ? "good" : speed < 1.0 ? "bad" : "", mc_show_ms(v->first->p50_ms), mc_show_ms(v->last->p50_ms), note);
    accuracy_card(p, v);
    if (mc_find(v->j, "cost")) cost_card(p, v);
    if (p->markdown) mc_table_close(p);
    else mc_page_raw(p, "</div>\n");
}

const mc_section mc_section_headline = {"result", "Result", headline};
