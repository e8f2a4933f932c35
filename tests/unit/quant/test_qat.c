/* Quantization-aware training: hard cases, shared grids, zeros, resuming, models that are quantized already, errors. */
#include <stdio.h>
#include <unistd.h>

#include "unit/quant/qat.h"

static mcomp_trainer_options t;
static mcomp_qat_options o;
static mcomp_qat_result r; /* of the last trained() */
static mcomp_train_result fit;
static char path[64];
static float quarter = 0.25f;

static void setup(void)
{
    open_models();
    mc_ck_ok(mcomp_trainer_options_init(&t, sizeof t));
    mc_ck_ok(mcomp_qat_options_init(&o, sizeof o));
    t.epochs = 4;
    t.lr = 0.003;
    snprintf(path, sizeof path, "/tmp/mcomp_qat_%d.ckpt", (int)getpid());
    (void)unlink(path);
}

static void teardown(void)
{
    (void)unlink(path);
    close_models();
}

static int32_t train_it(mcomp_graph **out, const mcomp_graph *g, mcomp_dataset *calibration, mcomp_dataset *d)
{
    mcomp_calibrator *c = calibration ? calibrated(g, calibration) : NULL;
    mcomp_quantizer *q = quantizer(NULL, "minmax");
    r = (mcomp_qat_result){.size = sizeof r};
    fit = (mcomp_train_result){.size = sizeof fit};
    const int32_t st = mcomp_quantizer_train(out, &r, &fit, q, g, c, d, d, &t, &o);
    mcomp_quantizer_destroy(q);
    mcomp_calibrator_destroy(c);
    return st;
}

static mcomp_graph *trained(const mcomp_graph *g, mcomp_dataset *calibration, mcomp_dataset *d)
{
    mcomp_graph *out = NULL;
    mc_ck_ok(train_it(&out, g, calibration, d));
    ck_assert_int_eq(mc_test_count(out->g, "mcomp", "Through"), 0);
    return out;
}

/* The float model, trained, and data of a quarter of its range. */
static mcomp_graph *good_model(mcomp_dataset **small)
{
    mcomp_trainer *f = NULL;
    mcomp_graph *good = NULL;
    t.epochs = 25;
    t.lr = 0.01;
    mc_ck_ok(mcomp_trainer_create(&f, ctx, mlp, &t));
    mc_ck_ok(mcomp_trainer_fit(NULL, f, data, data));
    mc_ck_ok(mcomp_trainer_graph(&good, f));
    mc_ck_ok(mcomp_dataset_create(small, ctx, good, SAMPLES, fetch, &quarter));
    mcomp_trainer_destroy(f);
    return good;
}

/* Ranges four times too small because the calibration saw small samples: calibration alone loses many answers, training brings them
 * back. */
START_TEST(recovers_from_bad_ranges)
{
    mcomp_dataset *small = NULL;
    mcomp_graph *good = good_model(&small), *out;
    o.scales = _i ? MCOMP_QAT_SCALES_FIXED : MCOMP_QAT_SCALES_LEARNED;
    t.epochs = 12;
    out = trained(good, small, data);
    ck_assert(r.has_float && r.trained && !r.kept_calibrated && r.weights == 3);
    ck_assert_int_eq(r.learned_scales, _i ? 0 : 6);
    ck_assert_msg(r.calibrated_metric < r.float_metric - 0.05, "float %g, calibrated %g", r.float_metric, r.calibrated_metric);
    ck_assert_msg(fit.best_metric > r.calibrated_metric + (r.float_metric - r.calibrated_metric) * (_i ? 0.3 : 0.8), "float %g, calibrated %g, trained %g", r.float_metric, r.calibrated_metric,
                  fit.best_metric);
    mcomp_graph_destroy(out);
    mcomp_dataset_destroy(small);
    mcomp_graph_destroy(good);
}
END_TEST

/* Around Concat one scale, also after it was trained; biases follow their scales. */
START_TEST(shared_grids_stay_shared)
{
    mcomp_graph *out = trained(cnn, images, images), *before = pairs(cnn, images);
    const float *a = init_of(out->g, "ha_scale")->data, *b = init_of(out->g, "hb_scale")->data, *h = init_of(out->g, "h_scale")->data;
    ck_assert(*a == *b && *a == *h && *a != *(const float *)init_of(before->g, "ha_scale")->data);
    const float *x = init_of(out->g, "x_scale")->data, *w = init_of(out->g, "wa_scale")->data, *s = init_of(out->g, "ba_scale")->data;
    for (int i = 0; i < 3; i++) ck_assert(s[i] == x[0] * w[i]);
    ck_assert(r.learned_scales < 4 + 7);
    same_classes(out->g, out->g, 0.02);
    mcomp_graph_destroy(before);
    mcomp_graph_destroy(out);
}
END_TEST

static void prune_some(mcomp_graph *g, const char *name, int every)
{
    mc_tensor *p = NULL, **at = &mc_graph_find_value(g->g, name)->init;
    mc_ck_ok(mc_tensor_copy(&p, *at));
    for (int64_t i = 0; i < mc_tensor_elements(p); i += every) ((float *)p->data)[i] = 0.0f;
    mc_tensor_destroy(*at);
    *at = p;
}

/* Zeros stay where they were a part of the matrix (1 of 3), move where they are chance (1 of 200), and stay everywhere if asked. */
START_TEST(zeros_stay)
{
    mcomp_graph *out;
    prune_some(mlp, "w2", 3);
    prune_some(mlp, "w1", 200);
    o.zeros = _i;
    out = trained(mlp, data, data);
    const int8_t *w2 = init_of(out->g, "w2_quantized")->data, *w1 = init_of(out->g, "w1_quantized")->data;
    int64_t moved[2] = {0};
    for (int64_t i = 0; i < 32 * 24; i += 3) moved[0] += w2[i] != 0;
    for (int64_t i = 0; i < FEATURES * 32; i += 200) moved[1] += w1[i] != 0;
    ck_assert_int_eq(r.masked, _i == MCOMP_QAT_ZEROS_FREE ? 0 : _i == MCOMP_QAT_ZEROS_KEEP ? 256 + 3 : 256);
    ck_assert((moved[0] == 0) == (_i != MCOMP_QAT_ZEROS_FREE));
    ck_assert((moved[1] == 0) == (_i == MCOMP_QAT_ZEROS_KEEP));
    mcomp_graph_destroy(out);
}
END_TEST

static void same_constants(const mcomp_graph *a, const mcomp_graph *b)
{
    for (int64_t i = 0; i < a->g->n_values; i++) {
        const mc_value *x = a->g->values[i], *y = b->g->values[i];
        if (x->dead || !x->init) continue;
        ck_assert_msg(mc_tensor_bytes(x->init) == mc_tensor_bytes(y->init) && memcmp(x->init->data, y->init->data, (size_t)mc_tensor_bytes(x->init)) == 0, "%s differs", x->name);
    }
}

static int32_t watch(void *payload, const mcomp_train_event *e)
{
    const int64_t stop_at = *(const int64_t *)payload;
    return stop_at > 0 && e->kind == 0 && e->step == stop_at;
}

/* Stopped in the middle and resumed, with another number of threads: the same bytes. */
START_TEST(resumes_to_the_byte)
{
    int64_t stop_at = 21;
    mcomp_graph *whole_run = trained(mlp, data, data), *again = NULL;
    t.checkpoint = path;
    t.progress = watch;
    t.progress_payload = &stop_at;
    mc_ck_fails(train_it(&again, mlp, data, data), MCOMP_CANCELLED);
    ck_assert_ptr_null(again);
    stop_at = 0;
    t.resume = 1;
    again = trained(mlp, data, data);
    same_constants(whole_run, again);
    mcomp_graph_destroy(whole_run);
    mcomp_graph_destroy(again);
}
END_TEST

/* A file with pairs is trained as it is: no calibration, no float model. */
START_TEST(quantized_already)
{
    mcomp_graph *file = pairs(cnn, images), *out = trained(file, NULL, images);
    ck_assert(!r.has_float && r.trained && r.weights == 4);
    ck_assert_int_eq(out->g->n_nodes, file->g->n_nodes);
    ck_assert_msg(fit.best_metric >= r.calibrated_metric, "%g, before %g", fit.best_metric, r.calibrated_metric);
    ck_assert(memcmp(init_of(out->g, "wa_quantized")->data, init_of(file->g, "wa_quantized")->data, 54) != 0);
    mc_ck_fails(train_it(&(mcomp_graph *){NULL}, file, images, images), MCOMP_ARGUMENT);
    mcomp_graph_destroy(file);
    mcomp_graph_destroy(out);
}
END_TEST

/* IF_BETTER: nothing is trained where calibration loses nothing, and a training that ruins the model is not taken. */
START_TEST(trains_only_if_needed)
{
    mcomp_dataset *small = NULL;
    mcomp_graph *good = good_model(&small), *before = pairs(good, data), *bad = pairs(good, small), *out;
    o.mode = MCOMP_QAT_IF_BETTER;
    t.epochs = 1;
    out = trained(good, data, data);
    ck_assert(r.calibrated_metric >= r.float_metric && !r.trained);
    same_constants(before, out);
    mcomp_graph_destroy(out);
    t.lr = 10.0;
    out = trained(good, small, data);
    ck_assert(r.trained && r.kept_calibrated);
    same_constants(bad, out);
    mcomp_graph_destroy(out);
    t.lr = 0.01;
    out = trained(good, small, data);
    ck_assert(r.trained && !r.kept_calibrated && fit.best_metric > r.calibrated_metric);
    mcomp_graph_destroy(out);
    mcomp_dataset_destroy(small);
    mcomp_graph_destroy(before);
    mcomp_graph_destroy(bad);
    mcomp_graph_destroy(good);
}
END_TEST

static int32_t prepare(void *payload, mcomp_trainer *trainer)
{
    ++*(int *)payload;
    return trainer ? MCOMP_OK : MCOMP_INTERNAL;
}

/* What a recipe plugs in is called once, with the trainer; its error is the call's. */
START_TEST(prepared)
{
    int called = 0;
    mcomp_graph *out = NULL;
    mcomp_calibrator *c = calibrated(mlp, data);
    mcomp_quantizer *q = quantizer("int8", NULL);
    mc_quantizer_set_prepare(q, prepare, &called);
    t.epochs = 1;
    mc_ck_ok(mcomp_quantizer_train(&out, NULL, NULL, q, mlp, c, data, NULL, &t, NULL));
    ck_assert_int_eq(called, 1);
    mcomp_graph_destroy(out);
    mcomp_quantizer_destroy(q);
    mcomp_calibrator_destroy(c);
}
END_TEST

START_TEST(errors)
{
    mcomp_graph *out = NULL;
    mcomp_calibrator *c = calibrated(mlp, data);
    mcomp_quantizer *q = quantizer("int8-dynamic", NULL);
    mc_ck_fails(mcomp_quantizer_train(&out, NULL, NULL, q, mlp, c, data, NULL, &t, &o), MCOMP_UNSUPPORTED);
    mcomp_quantizer_destroy(q);
    q = quantizer("int8", NULL);
    mc_ck_fails(mcomp_quantizer_train(&out, NULL, NULL, q, mlp, NULL, data, NULL, &t, &o), MCOMP_ARGUMENT);
    o.mode = 7;
    mc_ck_fails(mcomp_quantizer_train(&out, NULL, NULL, q, mlp, c, data, NULL, &t, &o), MCOMP_ARGUMENT);
    o.mode = 0;
    o.scale_rate = -1.0;
    mc_ck_fails(mcomp_quantizer_train(&out, NULL, NULL, q, mlp, c, data, NULL, &t, &o), MCOMP_RANGE);
    o.scale_rate = 0.0;
    mc_ck_ok(mcomp_quantizer_set_rule(q, "*", "precision", "float"));
    mc_ck_fails(mcomp_quantizer_train(&out, NULL, NULL, q, mlp, c, data, NULL, &t, &o), MCOMP_UNSUPPORTED);
    mcomp_quantizer_destroy(q);
    q = quantizer("int8", NULL);
    mc_ck_ok(mcomp_quantizer_set_rule(q, "fc2", "precision", "int8-dynamic"));
    mc_ck_fails(mcomp_quantizer_train(&out, NULL, NULL, q, mlp, c, data, NULL, &t, &o), MCOMP_UNSUPPORTED);
    ck_assert_ptr_null(out);
    mcomp_quantizer_destroy(q);
    mcomp_calibrator_destroy(c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("quant/qat");
    TCase *c = tcase_create("all");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, recovers_from_bad_ranges, 0, 2);
    tcase_add_test(c, shared_grids_stay_shared);
    tcase_add_loop_test(c, zeros_stay, 0, 3);
    tcase_add_test(c, resumes_to_the_byte);
    tcase_add_test(c, quantized_already);
    tcase_add_test(c, trains_only_if_needed);
    tcase_add_test(c, prepared);
    tcase_add_test(c, errors);
    suite_add_tcase(s, c);
    return mc_test_main(s);
}
