/* mcomp/report.h - what a compression came to, as one HTML file or as Markdown tables, and what it is worth a month.
 *
 * A report is made from the JSON that `mcomp compress --json` prints (run.json); the objects of quantize, prune, distill, train, bench and
 * eval are read too, as far as their keys go. The page has no scripts and asks for nothing from elsewhere; every chart has its table; the
 * JSON is embedded. What was not measured is not in the JSON and not on the page. docs/report.md, docs/cost.md. @thread one at a time.
 */
#ifndef MCOMP_REPORT_H
#define MCOMP_REPORT_H

#include <mcomp/status.h>
#include <mcomp/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* An empty report. The caller owns *out. Codes: ARGUMENT, NO_MEMORY. */
MCOMP_API int32_t mcomp_report_create(mcomp_report **out, mcomp_context *ctx);
MCOMP_API void mcomp_report_destroy(mcomp_report *r);
/* Adds a run: `bytes` bytes of JSON, at most 64 MiB and 64 levels deep; copied. name: how the page calls it. Several runs are compared with
 * the first one; at most 16. Codes: FORMAT (names line and column), LIMIT, NO_MEMORY; the report is then as before. */
MCOMP_API int32_t mcomp_report_add(mcomp_report *r, const char *json, uint64_t bytes, const char *name);
MCOMP_API int32_t mcomp_report_add_file(mcomp_report *r, const char *path);
/* The report as text, borrowed until the report is changed or destroyed. format: "html", "md" (Markdown tables). Codes: ARGUMENT (unknown
 * format, no run), NO_MEMORY. */
MCOMP_API int32_t mcomp_report_text(const char **text, uint64_t *bytes, mcomp_report *r, const char *format);
/* The same into a file, in one step. Codes: as _text; PATH (exists and overwrite is 0), IO, NO_SPACE. */
MCOMP_API int32_t mcomp_report_save(mcomp_report *r, const char *path, const char *format, int32_t overwrite);
/* *holds = 1 when the expression is true of the runs, else 0, as in `accuracy < 0.88 or p50_ms > 1.1 * run1.p50_ms` (grammar: docs/report.md).
 * Codes: ARGUMENT (not an expression; a figure that the runs do not have). */
MCOMP_API int32_t mcomp_report_check(int32_t *holds, mcomp_report *r, const char *expression);

/* Running a model as it was (plain names) and compressed (after_). 0: not given; utilization, hours, min_instances and workers have
 * defaults. Formulas: docs/cost.md. */
typedef struct mcomp_cost_options { /* start with _init */
    uint32_t size;
    int32_t reserved;
    double instances, after_instances;       /* that run today and will run; not given: what the peak needs */
    double usd_per_hour, after_usd_per_hour; /* of one instance; after: the same price unless given */
    double peak_rps;                         /* requests a second at the busiest time */
    double throughput, after_throughput;     /* requests a second of one instance that still meet the latency */
    double p50_ms, after_p50_ms;             /* latency of one request: instead of a throughput, with */
    double workers, after_workers;           /* requests that an instance serves at once: 1 */
    double utilization;                      /* share of the capacity that the peak may take: 0.6 */
    double min_instances;                    /* never fewer: 1 */
    double hours;                            /* a month: 730 */
    double fixed_usd, after_fixed_usd;       /* a month: storage, load balancers, transfer */
    double retraining_usd;                   /* a month, after: repeating the compression, monitoring */
    double engineering_usd, training_usd;    /* once: people; machines */
    double requests_per_day;
    double accuracy_drop;                    /* fraction of the answers that become wrong */
    double usd_per_error;                    /* what a wrong answer costs */
    double max_drop;                         /* accuracy that may be lost, a fraction */
    double max_p50_ms;                       /* latency that is asked for */
    double samples;                          /* samples of the task, with or without labels */
} mcomp_cost_options;
MCOMP_API int32_t mcomp_cost_options_init(mcomp_cost_options *o, uint32_t size);
/* Sets the field `key`. Codes: ARGUMENT (unknown key: names the nearest), RANGE. */
MCOMP_API int32_t mcomp_cost_set(mcomp_cost_options *o, const char *key, double value);

typedef struct mcomp_cost_result { /* NaN: what it is computed from was not given */
    uint32_t size;
    int32_t reserved;
    double instances_before, instances_after;     /* that are paid for */
    double needed_before, needed_after;           /* that the peak needs */
    double utilization_before, utilization_after; /* peak over the capacity of those that are paid for */
    double monthly_before, monthly_after;         /* USD */
    double saving_usd, saving_percent;            /* a month; below 0: it got dearer */
    double saving_price_usd;                      /* part of it that is another price an hour, at the old number of instances */
    double saving_instances_usd;                  /* part that is fewer instances, at the new price */
    double per_million_before, per_million_after; /* USD for a million requests */
    double error_usd;                             /* a month, of answers that became wrong */
    double break_even_usd_per_error;              /* what a wrong answer may cost before the saving is gone */
    double net_saving_usd;                        /* saving less error_usd */
    double one_off_usd;                           /* engineering and training */
    double payback_months;                        /* NaN too when nothing is saved */
} mcomp_cost_result;
MCOMP_API int32_t mcomp_cost_compute(mcomp_cost_result *out, const mcomp_cost_options *o);
/* The object of `mcomp cost --json` without the common keys: inputs, results, advice. Writes at most `capacity` bytes, the closing NUL
 * among them, and the length with it to *bytes. Codes: ARGUMENT, RANGE, LIMIT (capacity is too small: *bytes is what it takes), NO_MEMORY. */
MCOMP_API int32_t mcomp_cost_json(char *out, uint64_t *bytes, uint64_t capacity, const mcomp_cost_options *o);

#ifdef __cplusplus
}
#endif
#endif
