/* report/view.h - a run as the sections see it: stages in order, whichever verb printed the JSON. Strings and JSON are borrowed from it. */
#ifndef MC_REPORT_VIEW_H
#define MC_REPORT_VIEW_H

#include "report/page.h"

typedef struct mc_stage { /* absent: NaN, NULL */
    const char *name, *what;
    const mc_json *j;
    const char *metric_name;
    double metric, lo, hi, n; /* value, 95 % interval, samples */
    double bytes, params, macs, p50_ms, p90_ms, p99_ms, per_second, rss_bytes, agreement, seconds;
    double difference, difference_lo, difference_hi, mcnemar_p;
} mc_stage;

typedef struct mc_view {
    const char *name, *command;
    const mc_json *j;
    mc_stage *stages; /* mc_free */
    int64_t n;
    const mc_stage *first, *last; /* NULL where there is no stage */
} mc_view;

/* v is freed by mc_view_free also after a failure. */
int32_t mc_view_read(mc_view *v, const mc_report_run *run);
void mc_view_free(mc_view *v);

/* Values by dotted path: NaN or NULL where there is none of that type. */
const mc_json *mc_find(const mc_json *j, const char *path);
double mc_find_number(const mc_json *j, const char *path);
const char *mc_find_string(const mc_json *j, const char *path);
/* A figure of a stage by its key in the JSON, `metric` or the metric's own name; NaN. */
double mc_stage_figure(const mc_stage *s, const char *key);
extern const char *const mc_stage_keys[];
/* first over last; NaN where one is absent or not above 0. */
double mc_ratio_of(double first, double last);
/* First over last stage: the paired ratio and its interval where the run has it, else that of the medians; NaN. */
double mc_speed_ratio(const mc_view *v, double *lo, double *hi);

typedef struct mc_section {
    const char *id, *title;
    void (*write)(mc_page *p, const mc_view *v); /* writes nothing where the run has nothing to say */
} mc_section;
#define MC_SECTION(name) extern const mc_section mc_section_##name;
#include "report/sections.def"
#undef MC_SECTION

/* Several runs beside one another (compare.c). */
void mc_compare(mc_page *p, const mc_view *views, int32_t n);
extern const char *const mc_style[]; /* lines; ends with NULL */

#endif
