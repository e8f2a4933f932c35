/* Points over two axes: curves of a training, and figures against one another. The drawing is as wide as its plot, in percentages; what is
 * written beside it lies outside, in the margin of the style sheet. A line is drawn in a stretched viewBox with strokes that do not stretch. */
#include "report/chart.h"

enum { HEIGHT = 210, TOP = 26, BOTTOM = 34, MARGIN = 58 /* of .points in style.c */ };

typedef struct range {
    double lo, hi;
} range;

static double place(const mc_axes *a, double x) { return a->log_x ? log10(x) : x; }

static int usable(const mc_axes *a, const mc_point *q) { return fabs(q->x) < 1e30 && fabs(q->y) < 1e30 && (!a->log_x || q->x > 0.0); }

static void widen(range *r, double v)
{
    if (!(fabs(v) < 1e30)) return;
    if (!(v >= r->lo)) r->lo = v;
    if (!(v <= r->hi)) r->hi = v;
}

/* Room at both ends; a single value gets a range around it. */
static void pad(range *r, double share)
{
    double room = share * (r->hi - r->lo);
    if (r->hi - r->lo <= 1e-12 * (fabs(r->hi) + fabs(r->lo))) room = r->hi == 0.0 ? 1.0 : 0.1 * fabs(r->hi);
    r->lo -= room;
    r->hi += room;
}

static double share(const range *r, double v) { return (v - r->lo) / (r->hi - r->lo); }

/* The first multiple of 1, 2 or 5 times a power of ten that gives at most `most` steps. */
static double step_of(const range *r, int most)
{
    const double rough = (r->hi - r->lo) / most, power = pow(10.0, floor(log10(rough)));
    const double m = rough / power;
    return power * (m <= 1.0 ? 1.0 : m <= 2.0 ? 2.0 : m <= 5.0 ? 5.0 : 10.0);
}

static void y_axis(mc_page *p, const mc_axes *a, const range *y)
{
    const double step = step_of(y, 5), plot = HEIGHT - TOP - BOTTOM;
    int64_t first = (int64_t)ceil(y->lo / step);
    for (int k = 0; k < 7 && (double)(first + k) * step <= y->hi; k++) {
        const double v = (double)(first + k) * step, at = TOP + plot * (1.0 - share(y, v));
        mc_page_rawf(p, "<line class=\"grid\" x1=\"0\" x2=\"100%%\" y1=\"%.1f\" y2=\"%.1f\"/><text class=\"ax\" x=\"-8\" y=\"%.1f\" text-anchor=\"end\">", at, at, at + 4.0);
        mc_page_text(p, a->show_y(fabs(v) < 1e-9 * step ? 0.0 : v).text);
        mc_page_raw(p, "</text>");
    }
    mc_page_rawf(p, "<text class=\"ax\" x=\"%d\" y=\"11\">", -MARGIN);
    mc_page_text(p, a->y_title);
    mc_page_raw(p, "</text>\n");
}

/* Within the plot: the ends of what is shown, at their places. */
static void x_axis(mc_page *p, const mc_axes *a, const range *x, double lo, double hi)
{
    const int y = HEIGHT - TOP - BOTTOM + 20;
    mc_page_rawf(p, "<text class=\"ax\" x=\"%.2f%%\" y=\"%d\">", 100.0 * share(x, place(a, lo)), y);
    mc_page_text(p, a->show_x(lo).text);
    mc_page_rawf(p, "</text><text class=\"ax\" x=\"50%%\" y=\"%d\" text-anchor=\"middle\">", y);
    mc_page_text(p, a->x_title);
    mc_page_raw(p, "</text>\n");
    if (!(hi > lo)) return;
    mc_page_rawf(p, "<text class=\"ax\" x=\"%.2f%%\" y=\"%d\" text-anchor=\"end\">", 100.0 * share(x, place(a, hi)), y);
    mc_page_text(p, a->show_x(hi).text);
    mc_page_raw(p, "</text>\n");
}

static void line(mc_page *p, const mc_axes *a, const mc_point *points, int64_t n, const range *x, const range *y)
{
    mc_page_raw(p, "<svg viewBox=\"0 0 1000 1000\" preserveAspectRatio=\"none\" width=\"100%\" height=\"100%\"><polyline class=\"line\" points=\"");
    for (int64_t i = 0; i < n; i++)
        if (usable(a, &points[i]))
            mc_page_rawf(p, "%.1f,%.1f ", 1000.0 * share(x, place(a, points[i].x)), 1000.0 * (1.0 - share(y, points[i].y)));
    mc_page_raw(p, "\"/></svg>\n");
}

typedef struct placed { /* where names of points stand: percent across, pixels down */
    struct {
        double x, y;
    } at[32];
    int n;
} placed;

/* Beside the point, above or below; nowhere when other names are there already (the table has them all). */
static void name_point(mc_page *p, const mc_point *q, double px, double py, placed *names)
{
    static const int downs[] = {-8, 17};
    const double y = py / 100.0 * (HEIGHT - TOP - BOTTOM);
    for (size_t k = 0; k < sizeof downs / sizeof *downs; k++) {
        int is_free = names->n < 32;
        for (int i = 0; i < names->n; i++)
            if (fabs(names->at[i].x - px) < 22.0 && fabs(names->at[i].y - (y + downs[k])) < 13.0) is_free = 0;
        if (!is_free) continue;
        names->at[names->n].x = px;
        names->at[names->n++].y = y + downs[k];
        mc_page_rawf(p, "<text class=\"lb\" x=\"%.2f%%\" y=\"%.2f%%\" dx=\"%d\" dy=\"%d\" text-anchor=\"%s\">", px, py, px > 66.0 ? -9 : 9, downs[k], px > 66.0 ? "end" : "start");
        mc_chart_label(p, q->label, 20);
        mc_page_raw(p, "</text>");
        return;
    }
}

static void dots(mc_page *p, const mc_axes *a, const mc_point *points, int64_t n, const range *x, const range *y)
{
    static const char *const tones[] = {"dot", "dot on", "dot hollow"};
    placed names = {.n = 0};
    for (int64_t i = 0; i < n; i++) {
        const mc_point *q = &points[i];
        if (!usable(a, q)) continue;
        const double px = 100.0 * share(x, place(a, q->x)), py = 100.0 * (1.0 - share(y, q->y));
        mc_page_raw(p, "<g><title>");
        mc_page_text(p, q->label);
        mc_page_raw(p, "</title>");
        if (isfinite(q->lo) && isfinite(q->hi))
            mc_page_rawf(p, "<line class=\"whisker\" x1=\"%.2f%%\" x2=\"%.2f%%\" y1=\"%.2f%%\" y2=\"%.2f%%\"/>", px, px, 100.0 * (1.0 - share(y, q->lo)),
                         100.0 * (1.0 - share(y, q->hi)));
        mc_page_rawf(p, "<circle class=\"%s\" cx=\"%.2f%%\" cy=\"%.2f%%\" r=\"5\"/>", tones[q->tone], px, py);
        if (q->tone != 2) name_point(p, q, px, py, &names);
        mc_page_raw(p, "</g>\n");
    }
}

void mc_chart_points(mc_page *p, const char *title, const char *about, const mc_axes *a, const mc_point *points, int64_t n)
{
    range x = {(double)NAN, (double)NAN}, y = x;
    double lo = (double)NAN, hi = (double)NAN;
    int64_t used = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!usable(a, &points[i])) continue;
        used++;
        widen(&x, place(a, points[i].x));
        widen(&y, points[i].y);
        widen(&y, points[i].lo);
        widen(&y, points[i].hi);
        if (!(points[i].x >= lo)) lo = points[i].x;
        if (!(points[i].x <= hi)) hi = points[i].x;
    }
    if (p->markdown || used == 0) return;
    pad(&x, a->dots ? 0.06 : 0.0);
    pad(&y, a->dots ? 0.14 : 0.05);
    mc_chart_open(p, title, about, "points", HEIGHT);
    y_axis(p, a, &y);
    mc_page_rawf(p, "<svg y=\"%d\" width=\"100%%\" height=\"%d\">\n", TOP, HEIGHT - TOP - BOTTOM);
    x_axis(p, a, &x, lo, hi);
    if (a->joined && used > 1) line(p, a, points, n, &x, &y);
    if (a->dots || used == 1) dots(p, a, points, n, &x, &y);
    mc_page_raw(p, "</svg>\n");
    mc_chart_close(p);
}
