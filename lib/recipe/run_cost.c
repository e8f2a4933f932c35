/* What running the model costs, before and after: the recipe's figures with what was measured here. */
#include "recipe/run.h"

#include <math.h>

#include "report/report.h"

int32_t mc_run_cost(mc_run *r, mc_json *to)
{
    int32_t st = MCOMP_OK;
    mcomp_cost_options o;
    mc_json *cost = NULL;
    const mc_section *s = r->recipe->cost;
    const mc_run_stage *first = &r->stage[0], *last = &r->stage[r->n_stages - 1];
    if (!mc_section_given(s)) return MCOMP_OK;
    MC_TRY(mcomp_cost_options_init(&o, sizeof o));
    for (int32_t i = 0; i < s->n; i++)
        if (mc_section_has(s, s->settings[i].param->key)) MC_TRY(mcomp_cost_set(&o, s->settings[i].param->key, s->settings[i].number));
    if (!mc_section_has(s, "throughput") && isfinite(first->p50)) o.p50_ms = first->p50;
    if (!mc_section_has(s, "after_throughput") && isfinite(last->p50)) o.after_p50_ms = last->p50;
    if (strcmp(r->metric, "accuracy") == 0 && first->metric.value > last->metric.value) o.accuracy_drop = first->metric.value - last->metric.value;
    if (mc_section_has(r->recipe->target, "max_drop")) o.max_drop = mc_section_num(r->recipe->target, "max_drop");
    if (mc_section_has(r->recipe->target, "max_p50_ms")) o.max_p50_ms = mc_section_num(r->recipe->target, "max_p50_ms");
    if (first->data->train) o.samples = (double)mcomp_dataset_count(first->data->train);
    MC_TRY(mc_report_cost(&cost, &o));
    st = mc_json_set(to, "cost", cost);
done:
    return st;
}
