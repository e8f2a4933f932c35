/* quant/auto.h - private: the choice of scheme and float exceptions. */
#ifndef MC_QUANT_AUTO_H
#define MC_QUANT_AUTO_H

#include "base/context.h"
#include "quant/calibrator.h"
#include "quant/measure.h"

typedef struct mc_qauto {
    mcomp_context *ctx;
    mc_qmeasure *measure; /* NULL: no samples, decide by the rules of docs/quantization.md §5 */
    const char *range;    /* rule name or "auto" */
    int32_t range_given;  /* 1: the user named it */
    double max_error;
    const char *scheme;   /* out: static string */
    mc_qresult result;    /* out: of the chosen plan, with samples */
} mc_qauto;

/* Sets kind, why and error of the candidates of p that no rule has fixed, and p's range rule. */
int32_t mc_qauto_run(mc_qauto *a, mc_qplan *p);

#endif
