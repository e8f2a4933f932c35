/* Bars and columns as inline SVG. Widths are percentages and text has its own size, so that one drawing is readable on a phone and on paper:
 * no viewBox stretches the letters. Colour is never the only sign: every bar has its figure beside it. */
#include "report/chart.h"

enum { LABEL_Y = 14, BAR_Y = 21, BAR_HEIGHT = 11, BAR_GAP = 19, COLUMNS_HEIGHT = 150, LABEL_MAX = 44, FEWEST_COLUMNS = 16 };

/* Opens <figure><svg>; the title and the description are what a screen reader says. */
void mc_chart_open(mc_page *p, const char *title, const char *about, const char *kind, int height)
{
    const int id = p->charts++;
    mc_page_raw(p, mc_page_said(p, title) ? "<figure><figcaption class=\"vh\">" : "<figure><figcaption>");
    mc_page_text(p, title);
    mc_page_rawf(p, "</figcaption>\n<svg role=\"img\" class=\"%s\" width=\"100%%\" height=\"%d\" aria-labelledby=\"c%dt c%dd\"><title id=\"c%dt\">", kind, height, id, id, id);
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

static void bar(mc_page *p, const char *tone, int y, double from, double to)
{
    mc_page_rawf(p, "<rect class=\"%s\" x=\"%.3f%%\" y=\"%d\" width=\"%.3f%%\" height=\"%d\" rx=\"2\"/>", tone, from, y, to - from, BAR_HEIGHT);
}

/* One row: the label, its value, and a bar of each kind that any row has. Returns the height. */
static int bar_row(mc_page *p, const mc_bar *b, int y, double most)
{
    mc_page_rawf(p, "<text class=\"lb\" x=\"0\" y=\"%d\">", y + LABEL_Y);
    mc_chart_label(p, b->label, LABEL_MAX);
    mc_page_rawf(p, "</text><text class=\"vl\" x=\"100%%\" y=\"%d\" text-anchor=\"end\">", y + LABEL_Y);
    mc_page_text(p, b->value);
    mc_page_raw(p, "</text>");
    int at = y + BAR_Y;
    for (int side = 0; side < 2; side++) {
        if (!isfinite(b->v[side])) continue;
        const double to = percent(b->v[side], most);
        bar(p, "track", at, 0.0, 100.0);
        if (b->ghost > b->v[side]) bar(p, "ghost", at, 0.0, percent(b->ghost, most));
        bar(p, side ? "bar on" : "bar", at, 0.0, to);
        at += BAR_HEIGHT + 2;
    }
    mc_page_raw(p, "\n");
    return at - y;
}

static int row_height(const mc_bar *b) { return BAR_Y + (BAR_HEIGHT + 2) * (isfinite(b->v[0]) + isfinite(b->v[1])); }

void mc_chart_bars(mc_page *p, const char *title, const char *about, const mc_bar *bars, int64_t n)
{
    double most = 0.0;
    int height = 0, y = 0;
    if (p->markdown || n == 0) return;
    for (int64_t i = 0; i < n; i++) {
        most = fmax(most, fmax(bars[i].ghost, fmax(bars[i].v[0], bars[i].v[1]))); /* fmax leaves NaN out */
        height += row_height(&bars[i]) + (i + 1 < n ? BAR_GAP - BAR_HEIGHT : 0);
    }
    mc_chart_open(p, title, about, "bars", height);
    for (int64_t i = 0; i < n; i++) y += bar_row(p, &bars[i], y, most) + BAR_GAP - BAR_HEIGHT;
    mc_chart_close(p);
}

void mc_chart_columns(mc_page *p, const char *title, const char *about, const mc_column *columns, int64_t n)
{
    if (p->markdown || n == 0) return;
    const double width = 100.0 / (double)(n < FEWEST_COLUMNS ? FEWEST_COLUMNS : n), gap = n > 120 ? 0.0 : 0.12 * width;
    mc_chart_open(p, title, about, "columns", COLUMNS_HEIGHT);
    for (int k = 0; k <= 2; k++) {
        const int y = 10 + k * (COLUMNS_HEIGHT - 30) / 2;
        mc_page_rawf(p, "<line class=\"grid\" x1=\"0\" x2=\"100%%\" y1=\"%d\" y2=\"%d\"/><text class=\"ax\" x=\"-8\" y=\"%d\" text-anchor=\"end\">%d %%</text>", y, y, y + 4, 100 - 50 * k);
    }
    for (int64_t i = 0; i < n; i++) {
        const double x = (double)i * width + gap / 2.0, h = columns[i].fraction > 0.0 ? columns[i].fraction * (COLUMNS_HEIGHT - 30) : 0.0;
        mc_page_raw(p, "<g><title>");
        mc_page_text(p, columns[i].label);
        mc_page_raw(p, "</title>");
        if (h > 0.0) mc_page_rawf(p, "<rect class=\"%s\" x=\"%.3f%%\" y=\"%.1f\" width=\"%.3f%%\" height=\"%.1f\"/>", columns[i].tone, x, 10.0 + COLUMNS_HEIGHT - 30 - h, width - gap, h);
        mc_page_rawf(p, "<rect class=\"%s\" x=\"%.3f%%\" y=\"%d\" width=\"%.3f%%\" height=\"12\"/></g>\n", columns[i].tone, x, COLUMNS_HEIGHT - 14, width - gap);
    }
    mc_chart_close(p);
}
