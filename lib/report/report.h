/* report/report.h - what rooms above may use of the report: a page from the JSON of a run, and the cost of running a model. */
#ifndef MC_REPORT_REPORT_H
#define MC_REPORT_REPORT_H

#include <mcomp/report.h>

#include "base/base.h"

typedef struct mc_report_run {
    const char *name;    /* how the page calls it */
    const mc_json *json; /* an object: what `mcomp compress --json` or another verb prints */
    const char *text;    /* its text as it was read, or NULL: it is written anew into the page */
} mc_report_run;

/* The page of one run, or of several beside one another. out is appended to. */
int32_t mc_report_html(mc_str *out, const mc_report_run *runs, int32_t n);
int32_t mc_report_markdown(mc_str *out, const mc_report_run *runs, int32_t n);
/* The page of one run into a file, in one step. */
int32_t mc_report_save_html(const mc_report_run *run, const char *path, int32_t overwrite);
/* Truth of an expression such as `accuracy < 0.88`; names without a run are of the last one. */
int32_t mc_report_check(int32_t *holds, const mc_report_run *runs, int32_t n, const char *expression);

/* `cost` of run.json: inputs, results, advice. *out is the caller's. */
int32_t mc_report_cost(mc_json **out, const mcomp_cost_options *o);

#endif
