/* report/page.h - writing the page: text that cannot break out, numbers, tables and charts. One call for HTML and for Markdown: a table is
 * written in both, a chart only in HTML.
 *
 * The first failure stays in page.st and everything after it is a no-op, so that sections read as what they write.
 */
#ifndef MC_REPORT_PAGE_H
#define MC_REPORT_PAGE_H

#include <math.h>

#include "report/report.h"

typedef struct mc_page {
    mc_str s;
    int32_t st;
    int markdown;
    int32_t run;     /* index of the run being written, -1 outside of one */
    int32_t charts;  /* made so far: names their titles */
    int columns, column; /* of the open table */
    const char *align;
    char said[96]; /* the heading or chart title above: a caption that repeats it is for screen readers only */
} mc_page;

/* ---- text (page.c) ---- */

void mc_page_raw(mc_page *p, const char *markup); /* ours, as it stands */
void mc_page_rawf(mc_page *p, const char *fmt, ...) __attribute__((format(printf, 2, 3))); /* ours, with numbers or our words only */
void mc_page_text(mc_page *p, const char *hostile); /* escaped for the format; control characters and what is not UTF-8 as \xNN */
void mc_page_html(mc_page *p, const char *markup);  /* left out of Markdown */
void mc_page_md(mc_page *p, const char *markup);    /* left out of HTML */
/* Whether what is about to be said was the last thing said; it is now. */
int mc_page_said(mc_page *p, const char *title);
void mc_page_heading(mc_page *p, int level, const char *title);
void mc_page_note(mc_page *p, const char *text); /* a small paragraph */
void mc_page_pre(mc_page *p, const char *hostile); /* lines as they are */

/* ---- numbers for people (format.c): NaN is "not measured" ---- */

typedef struct mc_shown {
    char text[48];
} mc_shown;
extern const char mc_not_measured[];
mc_shown mc_show_bytes(double v);
mc_shown mc_show_count(double v);    /* 109.5 M */
mc_shown mc_show_ms(double v);       /* 7.42 ms, 560 us */
mc_shown mc_show_number(double v);   /* four digits */
mc_shown mc_show_seconds(double v);  /* without the unit */
mc_shown mc_show_percent(double fraction);
mc_shown mc_show_usd(double v);
mc_shown mc_show_times(double ratio); /* 8.3x */
mc_shown mc_show_metric(const char *name, double v); /* a percentage where the metric is a fraction */
mc_shown mc_show_points(const char *name, double difference); /* signed; points of a percentage where the metric is a fraction */
mc_shown mc_show_change(double before, double after); /* signed percentage; "unchanged" */
int mc_report_is_fraction(const char *metric); /* of right answers, more is better; else a loss or an error in its own unit */

/* ---- tables (page.c) ---- */

/* align: one letter a column: l, r, or w for long names that may break anywhere. The first cell of a row heads it. */
void mc_table_open(mc_page *p, const char *caption, const char *align, const char *const *titles);
void mc_cell(mc_page *p, const char *hostile); /* NULL: not measured */
void mc_cell_shown(mc_page *p, mc_shown v);
void mc_cell_two(mc_page *p, mc_shown v, const char *below); /* with a second line; NULL: none */
void mc_cell_met(mc_page *p, int met);                       /* 1 met, 0 missed, -1 not judged */
void mc_table_close(mc_page *p);
/* What is long: closed until asked for (HTML). */
void mc_fold_open(mc_page *p, const char *summary);
void mc_fold_close(mc_page *p);

/* ---- charts (chart.c, chart_line.c): nothing in Markdown ---- */

typedef struct mc_bar {
    const char *label, *value; /* hostile, ours */
    double v[2];               /* on a common scale from 0: plain and accented; NaN none */
    double ghost;              /* beyond both: what there was before; NaN none */
} mc_bar;
void mc_chart_bars(mc_page *p, const char *title, const char *about, const mc_bar *bars, int64_t n);

typedef struct mc_column { /* one of many narrow columns: a fraction, and a class of colour */
    const char *label;
    double fraction; /* NaN: none */
    const char *tone; /* our class name */
} mc_column;
void mc_chart_columns(mc_page *p, const char *title, const char *about, const mc_column *columns, int64_t n);

typedef struct mc_point {
    const char *label;
    double x, y, lo, hi; /* lo, hi: interval of y, NaN none */
    int tone;            /* 0 plain, 1 accent, 2 hollow */
} mc_point;
typedef struct mc_axes {
    const char *x_title, *y_title;
    mc_shown (*show_x)(double), (*show_y)(double);
    int log_x, joined, dots; /* joined: a line through the points; dots: the points themselves */
} mc_axes;
void mc_chart_points(mc_page *p, const char *title, const char *about, const mc_axes *axes, const mc_point *points, int64_t n);

#endif
