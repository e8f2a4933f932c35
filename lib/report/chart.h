/* report/chart.h - what the charts share. */
#ifndef MC_REPORT_CHART_H
#define MC_REPORT_CHART_H

#include "report/page.h"

void mc_chart_open(mc_page *p, const char *title, const char *about, const char *kind, int height); /* kind: class of the drawing */
void mc_chart_close(mc_page *p);
/* The text, or its last `most` bytes behind an ellipsis. */
void mc_chart_label(mc_page *p, const char *text, size_t most);

#endif
