/* quant/quantizer.h - private: the quantizer behind the public handle. */
#ifndef MC_QUANT_QUANTIZER_H
#define MC_QUANT_QUANTIZER_H

#include "quant/plan.h"
#include "quant/quant.h"

typedef struct mc_qrule {
    char *pattern, *value;
    int32_t precision; /* MC_QK_*; -1: the rule names a range */
} mc_qrule;

typedef struct mc_qreport_row {
    char *node, *op, *why;
    const char *scheme;
    int32_t quantized, slower;
    double error;
} mc_qreport_row;

struct mcomp_quantizer {
    mcomp_context *ctx;
    int32_t qdq, slower;
    char *scheme, *range;
    double percentile, max_error;
    mc_qrule *rules;
    int64_t n_rules, cap_rules;
    mc_qreport_row *rows;
    int64_t n_rows, cap_rows;
    const char *chosen; /* static string */
    mc_quant_prepare_fn prepare;
    void *prepare_payload;
};

/* mcomp_quantizer_apply with the scheme int8, timing nothing. UNSUPPORTED: scheme or rules ask for something else. */
int32_t mc_quantizer_apply_static(mcomp_graph **out, mcomp_quantizer *q, const mcomp_graph *g, const mcomp_calibrator *calibrator);

/* What is reported of the last apply: static, and no node was decided about. */
void mc_quantizer_was_static(mcomp_quantizer *q);

#endif
