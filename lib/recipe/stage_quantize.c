/* Integers: after training (ptq), in training (qat), or in training where calibrating alone loses something (ptq_then_qat). */
#include "recipe/run.h"

#include "quant/quant.h"

static int32_t rules(mc_run *r, mc_run_stage *s, mcomp_quantizer *q)
{
    int32_t st = MCOMP_OK;
    int64_t n = 0;
    const char *const *keep = mc_section_list(s->pass, "keep", &n);
    for (int64_t i = 0; i < n; i++) MC_TRY(mcomp_quantizer_set_rule(q, keep[i], "precision", "float"));
    mc_section *const *list = mc_section_sections(s->pass, "rules", &n);
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < 2; k++) {
            const char *const key = k ? "range" : "precision";
            if (mc_section_has(list[i], key)) MC_TRY(mcomp_quantizer_set_rule(q, mc_section_str(list[i], "match"), key, mc_section_str(list[i], key)));
        }
    (void)r;
done:
    return st;
}

static int32_t options(mc_run *r, const mc_section *p, mcomp_quantizer_options *o)
{
    int32_t st = MCOMP_OK;
    const char *qdq = mc_section_str(r->recipe->exporting, "qdq"), *slower = mc_section_str(p, "slower");
    MC_TRY(mcomp_quantizer_options_init(o, sizeof *o));
    o->qdq = strcmp(qdq, "tensorrt") == 0 ? MCOMP_QDQ_TENSORRT : strcmp(qdq, "openvino") == 0 ? MCOMP_QDQ_OPENVINO : MCOMP_QDQ_ORT;
    o->slower = strcmp(slower, "float") == 0 ? MCOMP_SLOWER_FLOAT : strcmp(slower, "keep") == 0 ? MCOMP_SLOWER_KEEP : MCOMP_SLOWER_AUTO;
    o->scheme = mc_section_str(p, "scheme");
    o->range = mc_section_str(p, "range");
    o->percentile = mc_section_num(p, "percentile");
    o->max_error = mc_section_has(p, "max_error") ? mc_section_num(p, "max_error") : 0.0;
done:
    return st;
}

static int32_t facts(mc_run_stage *s, const mcomp_quantizer *q)
{
    int32_t st = MCOMP_OK, n = 0, integer = 0;
    mc_json *kept, *one;
    mc_str what = {0};
    MC_TRY(mcomp_quantizer_node_count(q, &n));
    MC_TRY(mc_put_new(s->facts, "kept_float", 1, &kept));
    for (int32_t i = 0; i < n; i++) {
        mcomp_quantized_node k = {.size = sizeof k};
        MC_TRY(mcomp_quantizer_node(q, i, &k));
        integer += k.quantized != 0;
        if (k.quantized) continue;
        MC_TRY(mc_put_new(kept, NULL, 0, &one));
        MC_TRY(mc_put_text(one, "node", k.node));
        MC_TRY(mc_put_text(one, "op", k.op));
        MC_TRY(mc_put_text(one, "why", k.why ? k.why : ""));
    }
    MC_TRY(mc_put_text(s->facts, "scheme", mcomp_quantizer_scheme(q)));
    MC_TRY(mc_str_appendf(&what, "%s, %d of %d quantizable nodes on integers", mcomp_quantizer_scheme(q), integer, n));
    st = mc_put_text(s->facts, "what", what.data);
done:
    mc_str_free(&what);
    return st;
}

static int32_t calibrate(mc_run *r, mc_run_stage *s, mcomp_calibrator **out)
{
    int32_t st = MCOMP_OK;
    const mc_run_data *d = s->from->data;
    mcomp_calibration_info i = {.size = sizeof i};
    if (d->ranges) return mcomp_calibrator_load(out, r->ctx, s->from->g, d->ranges);
    if (!d->calib) {
        if (strcmp(mc_section_str(s->pass, "scheme"), "int8") != 0) return MCOMP_OK;
        return mc_recipe_fail(r->recipe, MCOMP_RECIPE, s->pass, "scheme", "static int8 needs samples that find ranges: data.calib or data.train");
    }
    MC_TRY(mcomp_calibrator_create(out, r->ctx, s->from->g));
    MC_TRY(mcomp_calibrator_feed_dataset(*out, d->calib));
    MC_TRY(mcomp_calibrator_info(*out, &i));
    if (i.skipped > 0) MC_TRY(mc_run_warn(r, "DATA", s->name, "%lld samples held NaN or Inf and were skipped", (long long)i.skipped));
    if (i.labels_seen == 1 && i.samples > 1) MC_TRY(mc_run_warn(r, "COVERAGE", s->name, "all calibration samples carry one label"));
done:
    return st;
}

static int32_t prepare(void *payload, mcomp_trainer *t) { return mcomp_distiller_attach(payload, t); }

/* Zeros of earlier passes stay (MCOMP_QAT_ZEROS_AUTO); nothing is timed. */
static int32_t train(mc_run *r, mc_run_stage *s, mcomp_quantizer *q, const mcomp_calibrator *c)
{
    int32_t st = MCOMP_OK;
    const mc_run_data *d = s->from->data;
    mc_stage_training training = {0};
    mcomp_trainer_options o;
    mcomp_qat_options qat;
    mcomp_qat_result result = {.size = sizeof result};
    mcomp_distiller *teacher = NULL;
    if (!d->train) return mc_recipe_fail(r->recipe, MCOMP_RECIPE, s->pass, "mode", "there are no samples to train on: data.train");
    MC_TRY(mc_stage_training_open(&training, r, s, &o));
    MC_TRY(mc_stage_teacher(r, s, &teacher));
    if (teacher) mc_quantizer_set_prepare(q, prepare, teacher);
    MC_TRY(mcomp_qat_options_init(&qat, sizeof qat));
    qat.mode = strcmp(mc_section_str(s->pass, "mode"), "ptq_then_qat") == 0 ? MCOMP_QAT_IF_BETTER : MCOMP_QAT_ALWAYS;
    MC_TRY(mcomp_quantizer_train(&s->made, &result, NULL, q, s->from->g, c, d->train, d->valid, &o, &qat));
    MC_TRY(mc_put_text(s->facts, "trained", !result.trained ? "no: calibrated, it was as good" : result.kept_calibrated ? "yes, and the calibrated model was better" : "yes"));
done:
    mc_quantizer_set_prepare(q, NULL, NULL);
    mcomp_distiller_destroy(teacher);
    mc_stage_training_close(&training);
    return st;
}

static int32_t run(mc_run *r, mc_run_stage *s)
{
    int32_t st = MCOMP_OK;
    const int64_t start = mc_clock_ns();
    mcomp_quantizer_options o;
    mcomp_quantizer *q = NULL;
    mcomp_calibrator *c = NULL;
    MC_TRY(options(r, s->pass, &o));
    MC_TRY(mcomp_quantizer_create(&q, r->ctx, &o));
    MC_TRY(rules(r, s, q));
    MC_TRY(calibrate(r, s, &c));
    if (strcmp(mc_section_str(s->pass, "mode"), "ptq") == 0) {
        MC_TRY(mcomp_quantizer_apply(&s->made, q, s->from->g, c, s->from->data->calib));
        MC_TRY(mc_put_number(s->facts, "seconds", (double)(mc_clock_ns() - start) * 1e-9));
    } else {
        MC_TRY(train(r, s, q, c));
    }
    st = facts(s, q);
done:
    mcomp_calibrator_destroy(c);
    mcomp_quantizer_destroy(q);
    return st;
}

const mc_stage_kind mc_stage_quantize = {"quantize", mc_stage_teacher_key, run};
