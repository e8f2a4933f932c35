/* A model over samples: the scores of each as a row of floats, with its label. */
#include "measure/measure.h"

#include <math.h>

typedef struct gathering {
    mc_scores *s;
    float *v;
    int64_t *label;
    int64_t n, cap_v, cap_label;
} gathering;

void mc_scores_free(mc_scores *s)
{
    mc_tensor_destroy(s->v);
    mc_tensor_destroy(s->label);
    memset(s, 0, sizeof *s);
}

static int32_t find_output(const mc_graph *g, const char *name, int32_t *index)
{
    for (*index = 0; *index < g->n_outputs; ++*index) {
        const mc_value *v = g->outputs[*index];
        if (name ? strcmp(v->name, name) == 0 : g->n_outputs == 1 || mc_dtype_is_float(v->type.dtype)) return MCOMP_OK;
    }
    if (name) return mc_fail(MCOMP_ARGUMENT, name, "the model has no such output");
    return mc_fail(MCOMP_ARGUMENT, "output", "the model has no float output to measure");
}

static int32_t take(gathering *g, const mc_tensor *t, int64_t sample, int64_t label)
{
    int32_t st = MCOMP_OK;
    const int64_t n = mc_tensor_elements(t), width = t->shape.rank > 0 ? t->shape.dim[t->shape.rank - 1] : 1;
    if (!mc_dtype_is_float(t->dtype) && t->dtype != MCOMP_I64) MC_FAIL(MCOMP_DTYPE, "output", "an output of %s cannot be measured", mc_dtype_name(t->dtype));
    if (width < 1 || n < 1) MC_FAIL(MCOMP_SHAPE, "output", "sample %lld gave an empty output", (long long)sample);
    if (g->s->width && g->s->width != width) MC_FAIL(MCOMP_SHAPE, "output", "the last axis of the output varies between samples");
    g->s->width = width;
    const int64_t rows = n / width;
    if (g->n + rows > (INT64_C(1) << 30) / width) MC_FAIL(MCOMP_LIMIT, "output", "more than 2^30 scores are not kept: measure on fewer samples");
    MC_TRY(mc_grow(&g->v, &g->cap_v, (g->n + rows) * width, sizeof *g->v));
    MC_TRY(mc_grow(&g->label, &g->cap_label, g->n + rows, sizeof *g->label));
    for (int64_t i = 0; i < n; i++) g->v[g->n * width + i] = (float)mc_tensor_get_f64(t, i);
    for (int64_t i = 0; i < rows; i++) g->label[g->n + i] = label;
    g->n += rows;
done:
    return st;
}

static int32_t finish(gathering *g)
{
    int32_t st = MCOMP_OK;
    mc_scores *s = g->s;
    int probability = s->width == 1;
    MC_TRY(mc_tensor_create(&s->v, MCOMP_F32, &(mc_shape){.rank = 2, .dim = {g->n, s->width}}));
    MC_TRY(mc_tensor_create(&s->label, MCOMP_I64, &(mc_shape){.rank = 1, .dim = {g->n}}));
    memcpy(s->v->data, g->v, (size_t)(g->n * s->width) * sizeof *g->v);
    memcpy(s->label->data, g->label, (size_t)g->n * sizeof *g->label);
    s->n = g->n;
    for (int64_t i = 0; i < g->n && probability; i++) probability = g->v[i] >= 0.0f && g->v[i] <= 1.0f;
    s->threshold = probability ? 0.5 : 0.0;
done:
    return st;
}

int32_t mc_scores_make(mc_scores *out, mcomp_context *ctx, const mc_graph *g, mcomp_dataset *d, const mc_scores_ask *ask)
{
    int32_t st = MCOMP_OK, which = 0;
    mcomp_session *s = NULL;
    mcomp_exec *e = NULL;
    const mcomp_tensor *in[MC_OP_MAX_IO], *o[MC_OP_MAX_IO];
    gathering all = {.s = out};
    const int32_t n_in = (int32_t)g->n_inputs, n_out = (int32_t)g->n_outputs;
    *out = (mc_scores){.samples = mcomp_dataset_count(d)};
    if (n_in > MC_OP_MAX_IO || n_out > MC_OP_MAX_IO) MC_FAIL(MCOMP_LIMIT, NULL, "the model has more than %d inputs or outputs", MC_OP_MAX_IO);
    if (out->samples < 1) MC_FAIL(MCOMP_DATA, NULL, "there are no samples to measure on");
    MC_TRY(find_output(g, ask ? ask->output : NULL, &which));
    MC_TRY(mc_session_open(&s, ctx, g, NULL, NULL));
    MC_TRY(mcomp_exec_create(&e, s));
    for (int64_t i = 0; i < out->samples; i++) {
        int64_t label = -1;
        if (i % 64 == 0) MC_TRY(mc_context_progress(ctx, "measure", (double)i / (double)out->samples));
        MC_TRY(mcomp_dataset_get(d, i, n_in, in, &label));
        MC_TRY(mcomp_exec_run(e, n_in, in, n_out, o));
        const int64_t before = all.n;
        MC_TRY(take(&all, &o[which]->t, i, label));
        if (ask && ask->next_token) MC_TRY(mcomp_dataset_targets(d, i, all.n - before, all.label + before));
    }
    st = finish(&all);
done:
    mc_free(all.v);
    mc_free(all.label);
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
    if (st != MCOMP_OK) mc_scores_free(out);
    return st;
}

int64_t mc_scores_class(const mc_scores *s, int64_t row)
{
    const float *v = (const float *)s->v->data + row * s->width;
    int64_t best = 0;
    if (s->width == 1) return (double)v[0] > s->threshold;
    for (int64_t k = 1; k < s->width; k++)
        if (v[k] > v[best]) best = k;
    return best;
}

int32_t mc_scores_metric(const mc_scores *s, const char *name, mc_measured *out)
{
    int32_t st = MCOMP_OK;
    mc_metric *m = NULL;
    mc_tensor *shifted = NULL;
    const int numbers = strcmp(name, "mse") == 0;
    const int64_t *label = s->label->data;
    if (strcmp(name, "loss") == 0) MC_FAIL(MCOMP_ARGUMENT, "metric", "a finished model has scores and no loss: accuracy, macro_f1, auc, perplexity, mse");
    for (int64_t i = 0; i < s->n && !numbers; i++)
        if (label[i] < 0) MC_FAIL(MCOMP_DATA, "label", "row %lld has no label to measure by", (long long)i);
    if (s->width == 1 && s->threshold > 0.0 && !numbers) { /* the metric's threshold is 0 */
        MC_TRY(mc_tensor_copy(&shifted, s->v));
        for (int64_t i = 0; i < s->n; i++) ((float *)shifted->data)[i] -= (float)s->threshold;
    }
    MC_TRY(mc_metric_open(&m, name));
    MC_TRY(mc_metric_add(m, shifted ? shifted : s->v, s->label, 0.0));
    MC_TRY(mc_metric_result(m, &out->value, &out->lo, &out->hi));
    out->n = mc_metric_rows(m);
done:
    mc_tensor_destroy(shifted);
    mc_metric_close(m);
    return st;
}
