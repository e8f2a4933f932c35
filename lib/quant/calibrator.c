/* The calibrator: runs samples through the graph and keeps one sketch a tensor.
 *
 * A sample enters the totals only when it went through whole and was finite everywhere: its values are collected in a second
 * set of sketches and merged at the end of the run. Memory is two sketches a tensor and does not grow with the samples. */
#include "quant/calibrator.h"

#include <math.h>

#include "quant/plan.h"
#include "runtime/runtime.h"

int32_t mc_calib_new(mcomp_calibrator **out, mcomp_context *ctx)
{
    mcomp_calibrator *c = mc_calloc(1, sizeof *c);
    if (!c) return MCOMP_NO_MEMORY;
    c->ctx = ctx;
    c->names = mc_map_create();
    if (!c->names) {
        mc_free(c);
        return MCOMP_NO_MEMORY;
    }
    *out = c;
    return MCOMP_OK;
}

void mcomp_calibrator_destroy(mcomp_calibrator *c)
{
    if (!c) return;
    mcomp_exec_destroy(c->exec);
    mcomp_session_destroy(c->session);
    mc_graph_destroy(c->g);
    for (int64_t i = 0; i < c->n; i++) {
        mc_free(c->tensor[i].name);
        mc_sketch_free(&c->tensor[i].total);
        mc_sketch_free(&c->tensor[i].pending);
    }
    mc_free(c->tensor);
    mc_map_destroy(c->names);
    mc_free(c->labels);
    mc_free(c->outputs);
    mc_free(c);
}

int32_t mc_calib_tensor_add(mcomp_calibrator *c, const char *name, int32_t axis, int32_t channels, int64_t *index)
{
    int32_t st = MCOMP_OK;
    if (mc_map_get(c->names, name, index)) return MCOMP_OK;
    MC_TRY(mc_grow(&c->tensor, &c->cap, c->n + 1, sizeof *c->tensor));
    mc_calib_tensor *t = &c->tensor[c->n];
    memset(t, 0, sizeof *t);
    t->axis = axis;
    t->name = mc_strdup(name);
    if (!t->name) return MCOMP_NO_MEMORY;
    c->n++;
    MC_TRY(mc_sketch_init(&t->total, channels));
    MC_TRY(mc_map_put(c->names, name, c->n - 1));
    *index = c->n - 1;
done:
    return st;
}

const mc_sketch *mc_calibrator_sketch(const mcomp_calibrator *c, const char *tensor)
{
    int64_t i;
    return mc_map_get(c->names, tensor, &i) ? &c->tensor[i].total : NULL;
}

int32_t mc_calib_label_add(mcomp_calibrator *c, int64_t label)
{
    int64_t lo = 0, hi = c->n_labels;
    while (lo < hi) {
        const int64_t mid = lo + (hi - lo) / 2;
        if (c->labels[mid] < label) lo = mid + 1;
        else hi = mid;
    }
    if ((lo < c->n_labels && c->labels[lo] == label) || c->n_labels >= MC_CALIB_LABELS) return MCOMP_OK;
    const int32_t st = mc_grow(&c->labels, &c->cap_labels, c->n_labels + 1, sizeof *c->labels);
    if (st != MCOMP_OK) return st;
    memmove(c->labels + lo + 1, c->labels + lo, sizeof *c->labels * (size_t)(c->n_labels - lo));
    c->labels[lo] = label;
    c->n_labels++;
    return MCOMP_OK;
}

int32_t mcomp_calibrator_create(mcomp_calibrator **out, mcomp_context *ctx, const mcomp_graph *g)
{
    mcomp_calibrator *c = NULL;
    int32_t st = MCOMP_OK;
    MC_API_ENTER();
    MC_CHECK_ARG(1, out, "out", "is NULL");
    *out = NULL;
    MC_CHECK_ARG(2, ctx, "ctx", "is NULL");
    MC_CHECK_ARG(3, g, "g", "is NULL");
    MC_TRY(mc_calib_new(&c, ctx));
    mc_calib_fingerprint(g->g, c->fingerprint);
    MC_TRY(mc_graph_clone(&c->g, g->g));
    MC_TRY(mc_q_prepare(c->g, ctx->options.max_fold_bytes));
    MC_TRY(mc_calib_tap(c));
    *out = c;
    c = NULL;
done:
    mcomp_calibrator_destroy(c);
    return st;
}

/* An Observe node shows its tensor. */
static int32_t see(void *payload, int64_t slot, const mc_tensor *t)
{
    mcomp_calibrator *c = payload;
    if (slot < 0 || slot >= c->n || t->dtype != MCOMP_F32) return MCOMP_OK;
    mc_calib_tensor *e = &c->tensor[slot];
    int64_t outer = 1, axis = 0, inner = 1;
    for (int32_t d = 0; d < t->shape.rank; d++) {
        if (d == e->axis) axis = t->shape.dim[d];
        else if (e->axis >= 0 && d > e->axis) inner *= t->shape.dim[d];
        else outer *= t->shape.dim[d];
    }
    if (!mc_sketch_add(&e->pending, t->data, outer, axis, inner)) return MCOMP_OK;
    c->bad = 1;
    return mc_fail(MCOMP_DATA, e->name, "holds NaN or infinity");
}

static int all_finite(const mc_tensor *t)
{
    const int64_t n = mc_tensor_elements(t);
    if (t->dtype == MCOMP_F32) {
        const float *x = t->data;
        float worst = 0.0f; /* NaN and infinity times zero are NaN */
        for (int64_t i = 0; i < n; i++) worst += x[i] * 0.0f;
        return worst == 0.0f;
    }
    for (int64_t i = 0; mc_dtype_is_float(t->dtype) && i < n; i++)
        if (!isfinite(mc_tensor_get_f64(t, i))) return 0;
    return 1;
}

static int32_t open_session(mcomp_calibrator *c)
{
    const mc_observer observer = {see, c};
    int32_t st = MCOMP_OK;
    if (!c->exec) {
        if (!c->session) MC_TRY(mc_session_open(&c->session, c->ctx, c->g, NULL, &observer));
        MC_TRY(mcomp_exec_create(&c->exec, c->session));
        c->outputs = mc_calloc((size_t)mcomp_session_n_outputs(c->session) + 1, sizeof *c->outputs);
        if (!c->outputs) st = MCOMP_NO_MEMORY;
    }
    for (int64_t i = 0; i < c->n && st == MCOMP_OK; i++) {
        mc_calib_tensor *t = &c->tensor[i];
        if (!t->pending.bin) st = mc_sketch_init(&t->pending, t->total.channels);
        else mc_sketch_reset(&t->pending);
    }
done:
    return st;
}

static int32_t feed(mcomp_calibrator *c, int32_t n_inputs, const mcomp_tensor *const *inputs, int64_t label)
{
    int32_t st = MCOMP_OK;
    if (!c->g) MC_FAIL(MCOMP_ARGUMENT, NULL, "this calibrator was loaded without a model: it can only be merged and looked at");
    MC_TRY(open_session(c));
    c->bad = 0;
    for (int32_t i = 0; i < n_inputs; i++) c->bad |= !all_finite(&inputs[i]->t);
    if (!c->bad) {
        const int32_t n_out = mcomp_session_n_outputs(c->session);
        st = mcomp_exec_run(c->exec, n_inputs, inputs, n_out, c->outputs);
        if (st != MCOMP_OK && !c->bad) goto done;
        for (int32_t i = 0; i < n_out && !c->bad; i++) c->bad = !all_finite(&c->outputs[i]->t);
        st = MCOMP_OK;
    }
    c->samples++;
    if (c->bad) {
        mc_error_clear();
        c->skipped++;
        goto done;
    }
    for (int64_t i = 0; i < c->n; i++) {
        mc_sketch_close_batch(&c->tensor[i].pending);
        mc_sketch_merge(&c->tensor[i].total, &c->tensor[i].pending);
    }
    if (label >= 0) MC_TRY(mc_calib_label_add(c, label));
done:
    return st;
}

int32_t mcomp_calibrator_feed(mcomp_calibrator *c, int32_t n_inputs, const mcomp_tensor *const *inputs, int64_t label)
{
    MC_API_ENTER();
    MC_CHECK_ARG(1, c, "c", "is NULL");
    MC_CHECK_ARG(2, n_inputs >= 0, "n_inputs", "is negative");
    MC_CHECK_ARG(3, n_inputs == 0 || inputs, "inputs", "is NULL");
    for (int32_t i = 0; i < n_inputs; i++) MC_CHECK_ARG(3, inputs[i], "inputs", "holds NULL");
    return feed(c, n_inputs, inputs, label);
}

int32_t mcomp_calibrator_feed_dataset(mcomp_calibrator *c, mcomp_dataset *d)
{
    int32_t st = MCOMP_OK, n_in;
    const mcomp_tensor **inputs = NULL;
    int64_t label = -1;
    MC_API_ENTER();
    MC_CHECK_ARG(1, c, "c", "is NULL");
    MC_CHECK_ARG(2, d, "d", "is NULL");
    const int64_t n = mcomp_dataset_count(d), skipped = c->skipped;
    if (n <= 0) return mc_fail(MCOMP_DATA, NULL, "the calibration data hold no sample");
    if (!c->g) return mc_fail(MCOMP_ARGUMENT, NULL, "this calibrator was loaded without a model");
    n_in = (int32_t)c->g->n_inputs;
    inputs = mc_calloc((size_t)n_in + 1, sizeof *inputs);
    if (!inputs) return MCOMP_NO_MEMORY;
    for (int64_t i = 0; i < n; i++) {
        MC_TRY(mc_context_progress(c->ctx, "calibrate", (double)i / (double)n));
        MC_TRY(mcomp_dataset_get(d, i, n_in, inputs, &label));
        MC_TRY(feed(c, n_in, inputs, label));
    }
    if ((c->skipped - skipped) * 100 > n)
        MC_FAIL(MCOMP_DATA, NULL, "%lld of %lld samples hold NaN or infinity, or lead to it; more than 1 %% is refused",
                (long long)(c->skipped - skipped), (long long)n);
    MC_TRY(mc_context_progress(c->ctx, "calibrate", 1.0));
done:
    mc_free(inputs);
    return st;
}

int32_t mcomp_calibrator_merge(mcomp_calibrator *c, const mcomp_calibrator *other)
{
    int32_t st = MCOMP_OK;
    int64_t at;
    MC_API_ENTER();
    MC_CHECK_ARG(1, c, "c", "is NULL");
    MC_CHECK_ARG(2, other, "other", "is NULL");
    MC_CHECK_ARG(2, other != c, "other", "is the same calibrator");
    if (strcmp(c->fingerprint, other->fingerprint) != 0) {
        st = mc_fail(MCOMP_DATA, NULL, "the two calibrations are of different models (%s, %s)", c->fingerprint,
                     other->fingerprint);
        mc_fail_hint("calibrate again with the model that is used now");
        return st;
    }
    int64_t samples, skipped;
    if (__builtin_add_overflow(c->samples, other->samples, &samples) || __builtin_add_overflow(c->skipped, other->skipped, &skipped))
        return mc_fail(MCOMP_DATA, NULL, "the two calibrations count more samples than can be");
    for (int64_t i = 0; i < other->n; i++) {
        const mc_calib_tensor *t = &other->tensor[i];
        MC_TRY(mc_calib_tensor_add(c, t->name, t->axis, t->total.channels, &at));
        mc_sketch_merge(&c->tensor[at].total, &t->total);
    }
    for (int64_t i = 0; i < other->n_labels; i++) MC_TRY(mc_calib_label_add(c, other->labels[i]));
    c->samples = samples;
    c->skipped = skipped;
done:
    return st;
}

int32_t mcomp_calibrator_info(const mcomp_calibrator *c, mcomp_calibration_info *out)
{
    mcomp_calibration_info info = {.size = sizeof info};
    MC_API_ENTER();
    MC_CHECK_ARG(1, c, "c", "is NULL");
    MC_CHECK_ARG(2, out, "out", "is NULL");
    info.samples = c->samples;
    info.skipped = c->skipped;
    info.tensors = c->n;
    info.labels_seen = c->n_labels;
    info.classes = mc_calib_classes(c);
    for (int64_t i = 0; i < c->n; i++) {
        const mc_sketch *s = &c->tensor[i].total;
        info.channels += s->channels;
        info.dead_channels += mc_sketch_dead_channels(s);
        info.constant_tensors += s->count > 0 && s->min == s->max;
    }
    return mc_info_give(out, &info, sizeof info, 2);
}

int32_t mcomp_calibrator_range(const mcomp_calibrator *c, int64_t i, const char *rule, const char **tensor, double *lo,
                               double *hi)
{
    const mc_range_ask ask = {0};
    MC_API_ENTER();
    MC_CHECK_ARG(1, c, "c", "is NULL");
    MC_CHECK_ARG(2, i >= 0 && i < c->n, "i", "is not the number of a tensor");
    MC_CHECK_ARG(5, lo, "lo", "is NULL");
    MC_CHECK_ARG(6, hi, "hi", "is NULL");
    const mc_range_rule *r = rule ? mc_range_rule_named(rule) : NULL;
    MC_CHECK_ARG(3, r || !rule || strcmp(rule, "auto") == 0, "rule", "is no range rule");
    if (tensor) *tensor = c->tensor[i].name;
    const mc_sketch *s = &c->tensor[i].total;
    return r ? mc_range_find(r, s, &ask, lo, hi, NULL) : mc_range_auto(s, &ask, lo, hi, NULL, NULL);
}
