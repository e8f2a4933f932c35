/* The target: what the exported file must meet, all of it. */
#include "recipe/run.h"

#include <stdio.h>

typedef struct checking {
    mc_run *r;
    mc_json *out;
    int met;
    mc_str missed; /* what was, for people */
} checking;

static int32_t hold(checking *c, const char *key, double value, int lower)
{
    int32_t st = MCOMP_OK;
    mc_json *o;
    const mc_section *s = c->r->recipe->target;
    if (!mc_section_has(s, key)) return MCOMP_OK;
    const double limit = mc_section_num(s, key);
    const int met = lower ? value <= limit : value >= limit; /* what was not measured (NaN) is not met */
    MC_TRY(mc_put_new(c->out, key, 0, &o));
    MC_TRY(mc_put_number(o, "limit", limit));
    MC_TRY(mc_put_number(o, "value", value));
    MC_TRY(mc_json_set(o, "met", mc_json_new_bool(met)));
    if (!met) {
        c->met = 0;
        MC_TRY(mc_put_number(o, "by", lower ? value - limit : limit - value));
        MC_TRY(mc_str_appendf(&c->missed, "%s%s is %.6g, the limit %.6g", c->missed.len ? "; " : "", key, value, limit));
    }
done:
    return st;
}

/* Weights that are not zero, quantized ones that are not their zero point aside: those are counted as they are stored. */
static double nonzero(const mc_graph *g)
{
    int64_t n = 0;
    for (int64_t i = 0; i < g->n_values; i++) {
        const mc_value *v = g->values[i];
        if (v->dead || !v->init || v->n_uses == 0 || v->init->dtype == MCOMP_STRING || v->init->shape.rank < 1) continue;
        for (int64_t k = 0; k < mc_tensor_elements(v->init); k++) n += mc_tensor_get_f64(v->init, k) != 0.0;
    }
    return (double)n;
}

int32_t mc_run_target(mc_run *r, mc_json **out)
{
    int32_t st = MCOMP_OK;
    const mc_run_stage *last = &r->stage[r->n_stages - 1];
    const int lower = mc_metric_lower_is_better(r->metric);
    const double drop = lower ? last->metric.value - r->stage[0].metric.value : r->stage[0].metric.value - last->metric.value;
    checking c = {.r = r, .out = mc_json_object(), .met = 1};
    *out = c.out;
    if (!c.out) return MCOMP_NO_MEMORY;
    MC_TRY(hold(&c, "max_drop", drop, 1));
    MC_TRY(hold(&c, "min_metric", last->metric.value, lower));
    MC_TRY(hold(&c, "max_size_bytes", (double)last->file_bytes, 1));
    if (mc_section_has(r->recipe->target, "max_params")) MC_TRY(hold(&c, "max_params", nonzero(last->g->g), 1));
    MC_TRY(hold(&c, "max_p50_ms", last->p50, 1));
    MC_TRY(hold(&c, "max_p90_ms", last->p90, 1));
    for (int32_t i = 1; i < r->n_stages; i++) { /* a pass that could not do what it was asked */
        const char *why = mc_json_string(mc_json_get(r->stage[i].facts, "missed"));
        if (!why) continue;
        c.met = 0;
        MC_TRY(mc_str_appendf(&c.missed, "%s%s: %s", c.missed.len ? "; " : "", r->stage[i].name, why));
    }
    MC_TRY(mc_json_set(c.out, "met", mc_json_new_bool(c.met)));
    if (c.met) goto done;
    r->missed = 1;
    (void)mc_fail(MCOMP_TARGET_MISSED, r->recipe->path, "%s", c.missed.data);
    (void)mc_fail_hint("the model was written all the same; run.json and the report have every stage");
    r->why = *mc_error_peek();
    mc_error_clear();
done:
    mc_str_free(&c.missed);
    return st;
}
