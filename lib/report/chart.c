/* Bars and columns as inline SVG. Widths are percentages and text has its own size, so that one drawing is readable on a phone and on paper:
 * no viewBox stretches the letters. Colour is never the only sign: every bar has its figure beside it. */
#include "report/chart.h"

enum { BAR_ROW = 40, LABEL_Y = 14, BAR_Y = 21, BAR_HEIGHT = 12, COLUMNS_HEIGHT = 150, LABEL_MAX = 44 };

/* Opens <figure><svg>; the title and the description are what a screen reader says. */
void mc_chart_open(mc_page *p, const char *title, const char *about, int height)
{
    const int id = p->charts++;
    mc_page_raw(p, "<figure><figcaption>");
    mc_page_text(p, title);
    mc_page_rawf(p, "</figcaption>\n<svg role=\"img\" width=\"100%%\" height=\"%d\" aria-labelledby=\"c%dt c%dd\"><title id=\"c%dt\">", height, id, id, id);
    mc_page_text(p, title);
    mc_page_rawf(p, "</title><desc id=\"c%dd\">", id);
    mc_page_text(p, about);
    mc_page_raw(p, "</desc>\n");
}

void mc_chart_close(mc_page *p) { mc_page_raw(p, "</svg></figure>\n"); }

/* The end of a long name says more than its beginning. */
void mc_chart_label(mc_page *p, const char *text, size_t most)
{
    size_t n = strlen(text);
    if (n > most) {
        const char *tail = text + n - (most - 1);
        while (((unsigned char)*tail & 0xc0) == 0x80) tail++;
        mc_page_raw(p, "\xe2\x80\xa6");
        text = tail;
    }
    mc_page_text(p, text);
}

static double percent(double v, double most) { return most > 0.0 && v > 0.0 ? v < most ? 100.0 * v / most : 100.0 : 0.0; }

void mc_chart_bars(mc_page *p, const char *title, const char *about, const mc_bar *bars, int64_t n)
{
    double most = 0.0;
    if (p->markdown || n == 0) return;
    for (int64_t i = 0; i < n; i++) {
        if (bars[i].to > most) most = bars[i].to;
        if (bars[i].ghost > most) most = bars[i].ghost;
    }
    mc_chart_open(p, title, about, (int)n * BAR_ROW);
    for (int64_t i = 0; i < n; i++) {
        const mc_bar *b = &bars[i];
        const int y = (int)i * BAR_ROW;
        const double from = percent(b->from, most), to = percent(b->to, most);
        mc_page_rawf(p, "<text class=\"lb\" x=\"0\" y=\"%d\">", y + LABEL_Y);
        mc_chart_label(p, b->label, LABEL_MAX);
        mc_page_rawf(p, "</text><text class=\"vl\" x=\"100%%\" y=\"%d\" text-anchor=\"end\">", y + LABEL_Y);
        mc_page_text(p, b->value);
        mc_page_rawf(p, "</text><rect class=\"track\" x=\"0\" y=\"%d\" width=\"100%%\" height=\"%d\" rx=\"2\"/>", y + BAR_Y, BAR_HEIGHT);
        if (b->ghost > b->to)
            mc_page_rawf(p, "<rect class=\"ghost\" x=\"%.3f%%\" y=\"%d\" width=\"%.3f%%\" height=\"%d\"/>", to, y + BAR_Y, percent(b->ghost, most) - to, BAR_HEIGHT);
        mc_page_rawf(p, "<rect class=\"%s\" x=\"%.3f%%\" y=\"%d\" width=\"%.3f%%\" height=\"%d\" rx=\"2\"/>\n", b->tone ? "bar on" : "bar", from, y + BAR_Y,
                     to - from, BAR_HEIGHT);
    }
    mc_chart_close(p);
}

void mc_chart_columns(mc_page *p, const char *title, const char *about, const mc_column *columns, int64_t n)
{
    if (p->markdown || n == 0) return;
    const double width = 100.0 / (double)n, gap = n > 120 ? 0.0 : 0.12 * width;
    mc_chart_open(p, title, about, COLUMNS_HEIGHT + 18);
    for (int k = 0; k <= 2; k++) {
        const int y = 10 + k * (COLUMNS_HEIGHT - 30) / 2;
        mc_page_rawf(p, "<line class=\"grid\" x1=\"0\" x2=\"100%%\" y1=\"%d\" y2=\"%d\"/><text class=\"ax\" x=\"0\" y=\"%d\">%d %%</text>", y, y, y - 2, 100 - 50 * k);
    }
    mc_page_raw(p, "<svg x=\"36\" y=\"0\" width=\"100%\" height=\"100%\" class=\"inset\">\n");
    for (int64_t i = 0; i < n; i++) {
        const double x = (double)i * width + gap / 2.0, h = columns[i].fraction > 0.0 ? columns[i].fraction * (COLUMNS_HEIGHT - 30) : 0.0;
        mc_page_raw(p, "<g><title>");
        mc_page_text(p, columns[i].label);
        mc_page_raw(p, "</title>");
        if (h > 0.0) mc_page_rawf(p, "<rect class=\"%s\" x=\"%.3f%%\" y=\"%.1f\" width=\"%.3f%%\" height=\"%.1f\"/>", columns[i].tone, x, 10.0 + COLUMNS_HEIGHT - 30 - h, width - gap, h);
        mc_page_rawf(p, "<rect class=\"%s\" x=\"%.3f%%\" y=\"%d\" width=\"%.3f%%\" height=\"12\"/></g>\n", columns[i].tone, x, COLUMNS_HEIGHT - 14, width - gap);
    }
    mc_page_raw(p, "</svg>\n");
    mc_chart_close(p);
}
