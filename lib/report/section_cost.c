/* What the model costs a month, before and after, and what follows. */
#include "report/view.h"

static void row(mc_page *p, const char *title, const mc_json *c, const char *before, const char *after, mc_shown (*show)(double))
{
    const double a = mc_find_number(c, before), b = mc_find_number(c, after);
    if (!isfinite(a) && !isfinite(b)) return;
    mc_cell(p, title);
    mc_cell_shown(p, show(a));
    mc_cell_shown(p, show(b));
}

static void line(mc_page *p, const char *title, mc_shown v)
{
    if (strcmp(v.text, mc_not_measured) == 0) return;
    mc_cell(p, title);
    mc_cell(p, "");
    mc_cell_shown(p, v);
}

static void advice(mc_page *p, const mc_json *list)
{
    const int64_t n = list && mc_json_is_array(list) ? mc_json_size(list) : 0;
    if (n == 0) return;
    mc_page_html(p, "<ul class=\"advice\">\n");
    for (int64_t i = 0; i < n && i < 32; i++) {
        const char *text = mc_find_string(mc_json_at(list, i), "text");
        if (!text) continue;
        mc_page_raw(p, p->markdown ? "- " : "<li>");
        mc_page_text(p, text);
        mc_page_raw(p, p->markdown ? "\n" : "</li>\n");
    }
    mc_page_raw(p, p->markdown ? "\n" : "</ul>\n");
}

static void cost(mc_page *p, const mc_view *v)
{
    static const char *const titles[] = {"", "before", "after"};
    const mc_json *c = mc_find(v->j, "cost");
    if (!c) c = mc_find(v->j, "monthly_cost") ? v->j : NULL; /* what mcomp cost printed */
    if (!c || !mc_json_is_object(c) || mc_json_size(c) == 0) return;
    mc_table_open(p, "Cost a month, from the prices and rates given", "lrr", titles);
    row(p, "instances", c, "fleet.before", "fleet.after", mc_show_number);
    row(p, "price of one an hour", c, "usd_per_hour", "after_usd_per_hour", mc_show_usd);
    row(p, "needed for the busiest second", c, "instances_needed.before", "instances_needed.after", mc_show_number);
    row(p, "load at the busiest second", c, "peak_load_ratio.before", "peak_load_ratio.after", mc_show_percent);
    row(p, "a month", c, "monthly_cost.before", "monthly_cost.after", mc_show_usd);
    row(p, "a million requests", c, "cost_per_million.before", "cost_per_million.after", mc_show_usd);
    line(p, "saved a month", mc_show_usd(mc_find_number(c, "saving_usd")));
    line(p, "saved", mc_show_percent(mc_find_number(c, "saving_percent") / 100.0));
    line(p, "of it by another price", mc_show_usd(mc_find_number(c, "saving_parts.price_usd")));
    line(p, "of it by fewer instances", mc_show_usd(mc_find_number(c, "saving_parts.instances_usd")));
    line(p, "answers that became wrong, a month", mc_show_usd(mc_find_number(c, "error_usd")));
    line(p, "spent once", mc_show_usd(mc_find_number(c, "one_off_usd")));
    const double months = mc_find_number(c, "payback_months");
    line(p, "paid back after, months", mc_show_number(floor(months * 10.0 + 0.5) / 10.0));
    mc_table_close(p);
    advice(p, mc_find(c, "advice"));
}

const mc_section mc_section_cost = {"cost", "Cost", cost};
