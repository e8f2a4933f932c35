/* The public quantization-aware training: the quantized graph, its training form in a trainer, the trained integers. */
#include "quant/qat.h"
#include "quant/quantizer.h"

#define SCALE_RATE 10.0 /* a scale moves by this share of the rate in a step: 1e-4 makes it 0.1 % */
#define SPARSE 0.05 /* a matrix with this fraction of exact zeros was pruned */

int32_t mcomp_qat_options_init(mcomp_qat_options *o, uint32_t size)
{
    MC_API_ENTER();
    return mc_options_init(o, size, sizeof *o, "mcomp_qat_options");
}

typedef struct job {
    mcomp_quantizer *q;
    mcomp_dataset *train, *valid;
    mcomp_trainer_options o;
    mcomp_qat_options a;
    mcomp_qat_result r;
    mcomp_train_result fit;
    mc_qat qat;
    mcomp_graph real, form; /* the float graph and the training form as handles; their graphs are owned elsewhere */
    mc_graph *own_real;
    mcomp_graph *file;
    mcomp_trainer *t;
    mc_str lr_scale;
    int lower; /* of the metric less is better */
} job;

static int32_t check(job *j, const mcomp_trainer_options *training, const mcomp_qat_options *options)
{
    int32_t st = MCOMP_OK;
    MC_TRY(mcomp_trainer_options_init(&j->o, sizeof j->o));
    MC_TRY(mc_options_read(&j->o, sizeof j->o, training, "training"));
    j->a.size = sizeof j->a;
    MC_TRY(mc_options_read(&j->a, sizeof j->a, options, "options"));
    if (j->a.mode < MCOMP_QAT_ALWAYS || j->a.mode > MCOMP_QAT_IF_BETTER) MC_FAIL(MCOMP_ARGUMENT, "mode", "must be MCOMP_QAT_ALWAYS or _IF_BETTER");
    if (j->a.scales < MCOMP_QAT_SCALES_LEARNED || j->a.scales > MCOMP_QAT_SCALES_FIXED) MC_FAIL(MCOMP_ARGUMENT, "scales", "must be MCOMP_QAT_SCALES_LEARNED or _FIXED");
    if (j->a.zeros < MCOMP_QAT_ZEROS_AUTO || j->a.zeros > MCOMP_QAT_ZEROS_FREE) MC_FAIL(MCOMP_ARGUMENT, "zeros", "must be MCOMP_QAT_ZEROS_AUTO, _KEEP or _FREE");
    if (!(j->a.scale_rate >= 0.0 && j->a.scale_rate <= 1e6)) MC_FAIL(MCOMP_RANGE, "scale_rate", "%g is no factor", j->a.scale_rate);
    if (j->o.lr == 0.0) {
        const mc_optimizer *opt = mc_optimizer_find(j->o.optimizer ? j->o.optimizer : "adamw");
        if (!opt) MC_TRY(mc_error_peek()->code);
        j->o.lr = 0.1 * opt->lr;
    }
    MC_TRY(mc_str_appendf(&j->lr_scale, "%s%s*#step=%.9g", j->o.lr_scale ? j->o.lr_scale : "", j->o.lr_scale ? "," : "", j->a.scale_rate > 0.0 ? j->a.scale_rate : SCALE_RATE));
    j->o.lr_scale = j->lr_scale.data;
done:
    return st;
}

static int has_pairs(const mc_graph *g)
{
    for (int64_t i = 0; i < g->n_nodes; i++)
        if (!g->nodes[i]->dead && mc_node_is(g->nodes[i], "DequantizeLinear") && mc_qat_is_weight(g->nodes[i])) return 1;
    return 0;
}

/* The graph with pairs, and the float one beside it where that was given. */
static int32_t quantized(job *j, const mcomp_graph *g, const mcomp_calibrator *calibrator)
{
    int32_t st = MCOMP_OK;
    mc_graph *sorted = NULL;
    MC_TRY(mc_graph_clone(&sorted, g->g));
    MC_TRY(mc_infer_graph(sorted));
    if (has_pairs(sorted)) {
        if (calibrator) {
            (void)mc_fail(MCOMP_ARGUMENT, "calibrator", "the model is quantized already: its scales are in the file");
            st = mc_fail_hint("leave the calibration out, or give the float model");
            goto done;
        }
        MC_TRY(mcomp_graph_clone(&j->file, g));
        mc_quantizer_was_static(j->q);
    } else {
        if (!calibrator) {
            (void)mc_fail(MCOMP_ARGUMENT, "calibrator", "a float model needs calibration data: they say where the ranges start");
            st = mc_fail_hint("give calibration data, or a model that is quantized already");
            goto done;
        }
        MC_TRY(mc_quantizer_apply_static(&j->file, j->q, g, calibrator));
        MC_TRY(mc_graph_clone(&j->own_real, g->g));
        MC_TRY(mc_q_prepare(j->own_real, j->q->ctx->options.max_fold_bytes));
        j->real = (mcomp_graph){.g = j->own_real, .ctx = j->q->ctx};
        j->r.has_float = 1;
    }
    j->qat.file = j->file->g;
    j->qat.real = j->own_real;
    MC_TRY(mc_qat_open(&j->qat, j->a.scales == MCOMP_QAT_SCALES_LEARNED));
    j->form = (mcomp_graph){.g = j->qat.g, .ctx = j->q->ctx};
    j->r.weights = j->qat.n_weights;
    j->r.learned_scales = j->qat.n_steps;
done:
    mc_graph_destroy(sorted);
    return st;
}

/* ---- what the trainer is told ---- */

static int32_t hold_zeros(job *j, mcomp_trainer *t, const mc_value *v)
{
    int32_t st = MCOMP_OK;
    const int64_t n = mc_tensor_elements(v->init);
    const float *w = v->init->data;
    mc_tensor *mask = NULL;
    int64_t zeros = 0;
    for (int64_t i = 0; i < n; i++) zeros += w[i] == 0.0f;
    if (zeros == 0 || (j->a.zeros == MCOMP_QAT_ZEROS_AUTO && (double)zeros < SPARSE * (double)n)) return MCOMP_OK;
    MC_TRY(mc_tensor_create(&mask, MCOMP_F32, &v->init->shape));
    for (int64_t i = 0; i < n; i++) ((float *)mask->data)[i] = w[i] != 0.0f;
    MC_TRY(mc_trainer_set_mask(t, v->name, mask, 1));
    j->r.masked += zeros;
done:
    mc_tensor_destroy(mask);
    return st;
}

/* Masters and steps are trained; normalization by running statistics is part of the quantized graph and stays. */
static int32_t tell(job *j, mcomp_trainer *t)
{
    int32_t st = MCOMP_OK;
    const mc_graph *g = j->qat.g;
    j->r.masked = 0;
    for (int64_t i = 0; i < j->qat.n_marks; i++) MC_TRY(mc_trainer_mark(t, j->qat.marks[i].name, j->qat.marks[i].trained));
    for (int64_t i = 0; i < g->n_nodes; i++) {
        const mc_node *n = g->nodes[i];
        for (int32_t k = 1; !n->dead && mc_node_is(n, "BatchNormalization") && k < n->n_in; k++)
            if (n->in[k] && n->in[k]->init) MC_TRY(mc_trainer_mark(t, n->in[k]->name, 0));
    }
    for (int64_t i = 0; i < g->n_values && j->a.zeros != MCOMP_QAT_ZEROS_FREE; i++) {
        const mc_value *v = g->values[i];
        if (!v->dead && v->init && v->init->dtype == MCOMP_F32 && v->init->shape.rank >= 2 && v->n_uses > 0) MC_TRY(hold_zeros(j, t, v));
    }
done:
    return st;
}

static int32_t measure(job *j, const mcomp_graph *g, int form, double *value, double *lo, double *hi)
{
    int32_t st = MCOMP_OK;
    mcomp_trainer *t = NULL;
    mcomp_trainer_options o = j->o;
    mc_measured m = {0};
    o.resume = 0;
    MC_TRY(mcomp_trainer_create(&t, j->q->ctx, g, &o));
    if (form) MC_TRY(tell(j, t));
    MC_TRY(mc_trainer_measure(t, j->train, j->valid, &m));
    *value = m.value;
    *lo = m.lo;
    *hi = m.hi;
    j->lower = m.lower;
done:
    mcomp_trainer_destroy(t);
    return st;
}

static int is_worse(const job *j, double a, double b) { return j->lower ? a > b : a < b; }

/* ---- the call ---- */

static int32_t fit(job *j, mc_graph **out)
{
    int32_t st = MCOMP_OK;
    mcomp_graph *g = NULL;
    MC_TRY(mcomp_trainer_create(&j->t, j->q->ctx, &j->form, &j->o));
    if (j->q->prepare) MC_TRY(j->q->prepare(j->q->prepare_payload, j->t));
    MC_TRY(tell(j, j->t));
    j->r.trained = 1;
    MC_TRY(mcomp_trainer_fit(&j->fit, j->t, j->train, j->valid));
    if (j->a.mode == MCOMP_QAT_IF_BETTER && !is_worse(j, j->r.calibrated_metric, j->fit.best_metric)) {
        j->r.kept_calibrated = 1;
        MC_TRY(mc_graph_clone(out, j->file->g));
        goto done;
    }
    MC_TRY(mcomp_trainer_graph(&g, j->t));
    MC_TRY(mc_qat_export(out, &j->qat, g->g));
done:
    mcomp_graph_destroy(g);
    return st;
}

static void close_job(job *j)
{
    mcomp_trainer_destroy(j->t);
    mc_qat_close(&j->qat);
    mcomp_graph_destroy(j->file);
    mc_graph_destroy(j->own_real);
    mc_str_free(&j->lr_scale);
}

int32_t mcomp_quantizer_train(mcomp_graph **out, mcomp_qat_result *result, mcomp_train_result *fitted, mcomp_quantizer *q, const mcomp_graph *g,
                              const mcomp_calibrator *calibrator, mcomp_dataset *train, mcomp_dataset *valid, const mcomp_trainer_options *training,
                              const mcomp_qat_options *options)
{
    int32_t st = MCOMP_OK;
    mcomp_graph *made = NULL;
    MC_API_ENTER();
    MC_CHECK_ARG(1, out, "out", "is NULL");
    *out = NULL;
    MC_CHECK_ARG(2, !result || mc_info_sized(result), "result", "its size is not set");
    MC_CHECK_ARG(3, !fitted || mc_info_sized(fitted), "fit", "its size is not set");
    MC_CHECK_ARG(4, q, "q", "is NULL");
    MC_CHECK_ARG(5, g && g->g, "g", "is NULL");
    MC_CHECK_ARG(7, train, "train", "is NULL");
    job j = {.q = q, .train = train, .valid = valid, .r = {.size = sizeof j.r}, .fit = {.size = sizeof j.fit}};
    MC_TRY(check(&j, training, options));
    MC_TRY(quantized(&j, g, calibrator));
    if (j.r.has_float) MC_TRY(measure(&j, &j.real, 0, &j.r.float_metric, &j.r.float_lo, &j.r.float_hi));
    MC_TRY(measure(&j, &j.form, 1, &j.r.calibrated_metric, &j.r.calibrated_lo, &j.r.calibrated_hi));
    made = mc_calloc(1, sizeof *made);
    if (!made) MC_TRY(MCOMP_NO_MEMORY);
    made->ctx = g->ctx;
    if (j.a.mode == MCOMP_QAT_IF_BETTER && j.r.has_float && !is_worse(&j, j.r.calibrated_metric, j.r.float_metric)) MC_TRY(mc_graph_clone(&made->g, j.file->g));
    else MC_TRY(fit(&j, &made->g));
    *out = made;
    made = NULL;
done:
    if (made) mcomp_graph_destroy(made);
    if (result) (void)mc_info_give(result, &j.r, sizeof j.r, 2);
    if (fitted && j.r.trained) (void)mc_info_give(fitted, &j.fit, sizeof j.fit, 3);
    close_job(&j);
    return st;
}
