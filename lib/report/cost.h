/* report/cost.h - the arithmetic of `mcomp cost`, for the files of this room. */
#ifndef MC_REPORT_COST_H
#define MC_REPORT_COST_H

#include "report/report.h"

/* Options as given, checked, defaults filled in. */
int32_t mc_cost_read(mcomp_cost_options *out, const mcomp_cost_options *given);
/* Every member that its inputs allow; the others are NaN. */
void mc_cost_compute(mcomp_cost_result *r, const mcomp_cost_options *o);

/* One line of advice: a rule that holds, and the figure that made it hold. */
typedef struct mc_advice {
    const char *rule;  /* stable name */
    const char *figure;  /* what `value` is */
    double value;
    char text[240];
} mc_advice;
/* Fills at most `capacity` lines in the order of importance; returns how many. */
int32_t mc_cost_advice(mc_advice *out, int32_t capacity, const mcomp_cost_options *o, const mcomp_cost_result *r);

#endif
