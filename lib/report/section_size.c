/* The size of the file after each stage, and what the stage took away. */
#include "report/view.h"

#include <stdio.h>

static void size(mc_page *p, const mc_view *v)
{
    static const char *const titles[] = {"after", "size", "change", "of the first"};
    int64_t n = 0;
    double sizes[64];
    mc_bar bars[64];
    char values[64][112];
    double previous = (double)NAN, first = (double)NAN;
    for (int64_t i = 0; i < v->n && n < 64; i++) {
        const double b = v->stages[i].bytes;
        if (!(b > 0.0)) continue;
        if (n == 0) first = b;
        snprintf(values[n], sizeof values[n], "%s%s%s%s", mc_show_bytes(b).text, n ? " (" : "", n ? mc_show_change(previous, b).text : "", n ? ")" : "");
        bars[n] = (mc_bar){.label = v->stages[i].name, .value = values[n], .v = {n ? (double)NAN : b, n ? b : (double)NAN}, .ghost = previous};
        sizes[n] = previous = b;
        n++;
    }
    if (n < 2) return;
    mc_chart_bars(p, "Size of the model file", "One bar a stage; the pale part is what the stage took away.", bars, n);
    mc_table_open(p, "Size of the model file", "lrrr", titles);
    for (int64_t i = 0; i < n; i++) {
        mc_cell(p, bars[i].label);
        mc_cell_shown(p, mc_show_bytes(sizes[i]));
        mc_cell(p, i ? mc_show_change(sizes[i - 1], sizes[i]).text : "\xe2\x80\x93");
        mc_cell(p, i ? mc_show_percent(sizes[i] / first).text : "\xe2\x80\x93");
    }
    mc_table_close(p);
}

const mc_section mc_section_size = {"size", "Size", size};
