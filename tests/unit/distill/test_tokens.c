/* Losses over tokens: values and gradients against the formulas in double and their central differences, with padding; and a whole
 * training, in which a student that is its own teacher has nothing to learn. */
#include <math.h>
#include <mcomp/build.h>
#include <stdio.h>
#include <stdlib.h>

#include "distill/distill.h"
#include "quant/quant.h"
#include "support/interp.h"
#include "support/support.h"

#define B 2
#define S 4
#define DS 4
#define DT 6
static const int real[B] = {4, 3}; /* tokens that are no padding */

typedef struct problem {
    double s[3][B * S * DS], t[3][B * S * DT], w[DS * DT];
} problem;

/* 1/3 sum over X of the mean over heads and real tokens of KL; 2 heads divide 4 and 6. */
static double relation(const problem *p)
{
    double sum = 0.0;
    const int heads = 2;
    for (int x = 0; x < 3; x++)
        for (int b = 0; b < B; b++)
            for (int a = 0; a < heads; a++)
                for (int i = 0; i < real[b]; i++) {
                    double r[2][S], z[2] = {0.0, 0.0};
                    for (int k = 0; k < 2; k++) {
                        const int width = k ? DT : DS, d = width / heads;
                        const double *m = (k ? p->t[x] : p->s[x]) + b * S * width + a * d;
                        for (int j = 0; j < real[b]; j++) {
                            r[k][j] = 0.0;
                            for (int c = 0; c < d; c++) r[k][j] += m[i * width + c] * m[j * width + c] / sqrt(d);
                            z[k] += exp(r[k][j]);
                        }
                    }
                    for (int j = 0; j < real[b]; j++) {
                        const double q = exp(r[1][j]) / z[1];
                        sum += q * log(q / (exp(r[0][j]) / z[0]));
                    }
                }
    return sum / (3.0 * heads * (real[0] + real[1]));
}

static double hidden(const problem *p)
{
    double sum = 0.0;
    for (int b = 0; b < B; b++)
        for (int i = 0; i < real[b]; i++)
            for (int c = 0; c < DT; c++) {
                double e = -p->t[0][(b * S + i) * DT + c];
                for (int k = 0; k < DS; k++) e += p->s[0][(b * S + i) * DS + k] * p->w[k * DT + c];
                sum += e * e;
            }
    return sum / (DT * (real[0] + real[1]));
}

/* Widths of DS both. */
static double cosine(const problem *p)
{
    double sum = 0.0;
    for (int b = 0; b < B; b++)
        for (int i = 0; i < real[b]; i++) {
            double st = 0.0, ss = 1e-8, tt = 1e-8;
            for (int c = 0; c < DS; c++) {
                const double x = p->s[0][(b * S + i) * DS + c], y = p->t[0][(b * S + i) * DS + c];
                st += x * y;
                ss += x * x;
                tt += y * y;
            }
            sum += 1.0 - st / sqrt(ss * tt);
        }
    return sum / (real[0] + real[1]);
}

static const struct {
    const char *name;
    double (*f)(const problem *p);
    int64_t width; /* of the teacher */
    int from, to;  /* parts that are compared */
} rows[] = {{"relation", relation, DT, MC_TOKENS_Q, MC_TOKENS_V}, {"hidden", hidden, DT, MC_TOKENS_HIDDEN, MC_TOKENS_HIDDEN}, {"cosine", cosine, DS, MC_TOKENS_HIDDEN, MC_TOKENS_HIDDEN}};

START_TEST(value_and_gradient)
{
    mc_graph *g = NULL;
    problem p = {0};
    uint64_t seed = 7;
    mc_value *wrt[3], *grad[3] = {NULL};
    const int parts = rows[_i].to - rows[_i].from + 1;
    mc_ck_ok(mc_graph_create(&g, "loss"));
    mc_loss_site s = {.g = g};
    mc_kd_site k = {.s = &s, .temperature = 1.0};
    k.tokens.mask = mc_test_input(g, "mask", MCOMP_F32, 2, (const int64_t[]){B, S});
    for (int i = 0; i < parts; i++) {
        k.tokens.student[rows[_i].from + i] = wrt[i] = mc_test_input(g, "s", MCOMP_F32, 3, (const int64_t[]){B, S, DS});
        k.tokens.teacher[rows[_i].from + i] = mc_test_input(g, "t", MCOMP_F32, 3, (const int64_t[]){B, S, rows[_i].width});
    }
    mc_value *loss = mc_kd_find(rows[_i].name)->emit(&k);
    mc_ck_ok(s.status);
    const mc_value *w = mc_graph_find_value(g, "mcomp.teacher.projection");
    for (int i = 0; w && i < DS * DT; i++) {
        ((float *)w->init->data)[i] *= 20.0f;
        p.w[i] = (double)((float *)w->init->data)[i];
    }
    mc_ck_ok(mc_gradient(g, loss, parts, wrt, grad));
    mc_test_output(g, loss, "loss");
    for (int i = 0; i < parts; i++) mc_test_output(g, grad[i], i == 0 ? "grad" : i == 1 ? "grad_k" : "grad_v");
    mc_ck_ok(mc_graph_sort(g));
    mc_ck_ok(mc_infer_graph(g));
    mc_test_set in = mc_test_inputs(g, 1, 1, NULL, 0);
    for (int i = 0; i < B * S; i++) ((float *)in.t[0]->data)[i] = i % S < real[i / S] ? 1.0f : 0.0f;
    for (int i = 0; i < parts; i++) { /* padding of the student is anything, of the teacher 0 */
        for (int n = 0; n < B * S * DS; n++) p.s[i][n] = (double)(((float *)in.t[1 + 2 * i]->data)[n] = mc_test_random(&seed));
        for (int n = 0; n < B * S * rows[_i].width; n++) {
            const int token = n / (int)rows[_i].width;
            p.t[i][n] = (double)(((float *)in.t[2 + 2 * i]->data)[n] = token % S < real[token / S] ? mc_test_random(&seed) : 0.0f);
        }
    }
    mc_test_set out = mc_test_session(g, &in, NULL);
    const double want = rows[_i].f(&p), eps = 1e-5;
    ck_assert_double_gt(want, 1e-3);
    ck_assert_double_eq_tol((double)*(float *)out.t[0]->data, want, 1e-5 * want + 1e-7);
    for (int i = 0; i < parts; i++)
        for (int n = 0; n < B * S * DS; n++) {
            const double keep = p.s[i][n];
            p.s[i][n] = keep + eps;
            const double up = rows[_i].f(&p);
            p.s[i][n] = keep - eps;
            const double down = rows[_i].f(&p);
            p.s[i][n] = keep;
            ck_assert_double_eq_tol((double)((float *)out.t[1 + i]->data)[n], (up - down) / (2.0 * eps), 2e-6);
        }
    mc_test_set_free(&out);
    mc_test_set_free(&in);
    mc_graph_destroy(g);
}
END_TEST

/* ---- a whole training ---- */

#define SAMPLES 40
#define LENGTH 16


/* Sample i: 5 to 12 ids, then padding. */
static int32_t fetch(void *payload, int64_t i, int32_t n, mcomp_tensor **inputs, int64_t *label)
{
    (void)payload;
    for (int32_t k = 0; k < n; k++) {
        const int32_t st = mcomp_tensor_create(&inputs[k], MCOMP_I64, 2, (const int64_t[]){1, LENGTH});
        if (st != 0) return st;
        for (int64_t j = 0; j < 5 + i % 8; j++) ((int64_t *)mcomp_tensor_data(inputs[k]))[j] = k == 0 ? 1 + (i * 7 + j * 5) % 39 : 1;
    }
    *label = i % 3;
    return 0;
}

static mcomp_graph *encoder(mcomp_context *ctx, const char *spec)
{
    mcomp_graph *g = NULL;
    mcomp_build_options o;
    mc_ck_ok(mcomp_build_options_init(&o, sizeof o));
    o.vocab = 40;
    o.classes = 3;
    o.length = LENGTH;
    o.seed = 5;
    mc_ck_ok(mcomp_graph_build(&g, ctx, spec, &o));
    uint64_t seed = 3;
    for (int64_t i = 0; i < g->g->n_values; i++) { /* as large as those of a trained model */
        mc_value *v = g->g->values[i];
        if (!v->init || v->init->dtype != MCOMP_F32 || v->init->shape.rank < 1) continue;
        for (int64_t k = 0; k < mc_tensor_elements(v->init); k++) ((float *)v->init->data)[k] += 0.3f * mc_test_random(&seed);
    }
    return g;
}

static mcomp_distiller *taught(mcomp_context *ctx, const mcomp_graph *teacher, const char *losses, double alpha)
{
    mcomp_distiller *d = NULL;
    mcomp_distiller_options o;
    mcomp_dataset *data = NULL;
    mc_ck_ok(mcomp_distiller_options_init(&o, sizeof o));
    o.losses = losses;
    o.alpha = alpha;
    o.no_control = 1;
    mc_ck_ok(mcomp_distiller_create(&d, ctx, teacher, &o));
    mc_ck_ok(mcomp_dataset_create(&data, ctx, teacher, SAMPLES, fetch, NULL));
    mc_ck_ok(mcomp_distiller_teach(d, data));
    mcomp_dataset_destroy(data);
    return d;
}

static mcomp_context *context(void)
{
    mcomp_context *ctx = NULL;
    mcomp_context_options o;
    mc_ck_ok(mcomp_context_options_init(&o, sizeof o));
    o.threads = 1;
    mc_ck_ok(mcomp_context_create(&ctx, &o));
    return ctx;
}

static double trained(mcomp_context *ctx, mcomp_distiller *d, const mcomp_graph *student, mcomp_graph **out, int64_t epochs, const char *ckpt)
{
    mcomp_trainer_options o;
    mcomp_train_result r = {.size = sizeof r};
    mcomp_dataset *train = NULL, *valid = NULL;
    mc_ck_ok(mcomp_trainer_options_init(&o, sizeof o));
    o.batch = 8;
    o.epochs = epochs;
    o.optimizer = "sgd";
    o.weight_decay = 0.0;
    o.lr = 0.05;
    o.keep_last = 1;
    o.checkpoint = ckpt;
    o.resume = ckpt != NULL;
    mc_ck_ok(mcomp_dataset_create(&train, ctx, student, SAMPLES, fetch, NULL));
    mc_ck_ok(mcomp_dataset_create(&valid, ctx, student, 12, fetch, NULL));
    mc_ck_ok(mcomp_distiller_fit(&r, NULL, d, student, &o, train, valid));
    if (out) mc_ck_ok(mcomp_distiller_graph(out, d, 0));
    mcomp_dataset_destroy(train);
    mcomp_dataset_destroy(valid);
    return r.last_loss;
}

/* What the teacher said of a token must reach that token, in shuffled batches of different lengths: then nothing moves. */
START_TEST(its_own_teacher)
{
    mcomp_context *ctx = context();
    mcomp_graph *g = encoder(ctx, "encoder:layers=2,hidden=16,heads=2,ffn=32,dropout=0"), *same = NULL;
    mcomp_distiller *d = taught(ctx, g, "logits,hidden,cosine,relation", 0.0);
    ck_assert_double_lt(trained(ctx, d, g, &same, 2, NULL), 1e-4);
    ck_assert_int_eq(same->g->n_outputs, 1);
    ck_assert_int_eq(same->g->n_inputs, g->g->n_inputs);
    for (int64_t i = 0; i < g->g->n_values; i++) {
        const mc_value *v = g->g->values[i], *w = same->g->values[i];
        if (v->init && v->init->dtype == MCOMP_F32) mc_ck_close_f32(w->init->data, v->init->data, mc_tensor_elements(v->init), 0.0, 1e-3);
    }
    mcomp_graph_destroy(same);
    mcomp_distiller_destroy(d);
    mcomp_graph_destroy(g);
    mcomp_context_destroy(ctx);
}
END_TEST

/* A narrower student with a projection: the loss falls, the projection stays out of the model, and checkpoints hold it. */
START_TEST(narrower_student)
{
    static const char *const losses[] = {"hidden", "relation", "logits,hidden,relation"};
    mcomp_context *ctx = context();
    mcomp_graph *teacher = encoder(ctx, "encoder:layers=2,hidden=24,heads=3,ffn=32,dropout=0"), *student = encoder(ctx, "encoder:layers=1,hidden=16,heads=2,ffn=16,dropout=0.1"), *out = NULL;
    char path[64] = "/tmp/mcomp-tokens-XXXXXX";
    const int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(remove(path), 0);
    mcomp_distiller *d = taught(ctx, teacher, losses[_i], 0.0);
    const double first = trained(ctx, d, student, NULL, 1, NULL), last = trained(ctx, d, student, &out, 30, path);
    ck_assert_double_lt(last, 0.9 * first);
    ck_assert_ptr_null(mc_graph_find_value(out->g, "mcomp.teacher.projection"));
    ck_assert_double_lt(trained(ctx, d, student, NULL, 30, path), 0.9 * first); /* from the checkpoint at its end */
    (void)remove(path);
    mcomp_graph_destroy(out);
    mcomp_distiller_destroy(d);
    mcomp_graph_destroy(student);
    mcomp_graph_destroy(teacher);
    mcomp_context_destroy(ctx);
}
END_TEST

static int32_t attach(void *distiller, mcomp_trainer *t) { return mcomp_distiller_attach(distiller, t); }

/* The teacher stays on while its quantized copy is trained: layers are found behind the pairs, rounding is all the loss there is, and it falls. */
START_TEST(quantized_student)
{
    mcomp_context *ctx = context();
    mcomp_graph *g = encoder(ctx, "encoder:layers=2,hidden=16,heads=2,ffn=32,dropout=0"), *out = NULL;
    mcomp_distiller *d = taught(ctx, g, "logits,hidden,relation", 0.0);
    mcomp_dataset *data = NULL;
    mcomp_calibrator *c = NULL;
    mcomp_quantizer *q = NULL;
    mcomp_trainer_options o;
    mcomp_qat_result r = {.size = sizeof r};
    mcomp_train_result fit = {.size = sizeof fit};
    double loss[2];
    mc_ck_ok(mcomp_dataset_create(&data, ctx, g, SAMPLES, fetch, NULL));
    mc_ck_ok(mcomp_calibrator_create(&c, ctx, g));
    mc_ck_ok(mcomp_calibrator_feed_dataset(c, data));
    mc_ck_ok(mcomp_quantizer_create(&q, ctx, NULL));
    mc_quantizer_set_prepare(q, attach, d);
    mc_ck_ok(mcomp_trainer_options_init(&o, sizeof o));
    o.batch = SAMPLES;
    o.lr = 3e-5;
    for (int k = 0; k < 2; k++) {
        o.epochs = k ? 30 : 1;
        mc_ck_ok(mcomp_quantizer_train(&out, &r, &fit, q, g, c, data, data, &o, NULL));
        mcomp_graph_destroy(out);
        loss[k] = fit.last_loss;
    }
    ck_assert_int_eq(r.weights, 2 * 6 + 1);
    ck_assert_msg(loss[0] < 0.1 && loss[0] > 0.0 && loss[1] < 0.9 * loss[0], "loss %g, then %g", loss[0], loss[1]);
    mcomp_quantizer_destroy(q);
    mcomp_calibrator_destroy(c);
    mcomp_dataset_destroy(data);
    mcomp_distiller_destroy(d);
    mcomp_graph_destroy(g);
    mcomp_context_destroy(ctx);
}
END_TEST

START_TEST(bad_input)
{
    mcomp_context *ctx = context();
    mcomp_graph *teacher = encoder(ctx, "encoder:layers=1,hidden=16,heads=2,ffn=16,dropout=0"), *wide = encoder(ctx, "encoder:layers=1,hidden=8,heads=2,ffn=16,dropout=0"),
                *cnn = encoder(ctx, "text-cnn:hidden=8,channels=4"), *out = NULL;
    mcomp_distiller_options o;
    mcomp_distiller *d = taught(ctx, teacher, "cosine", 0.5), *none = NULL;
    mcomp_dataset *data = NULL, *valid = NULL;
    mc_ck_ok(mcomp_dataset_create(&data, ctx, wide, SAMPLES, fetch, NULL));
    mc_ck_fails(mcomp_distiller_fit(NULL, NULL, d, wide, NULL, data, data), MCOMP_SHAPE); /* widths differ */
    mcomp_dataset_destroy(data);
    mc_ck_ok(mcomp_dataset_create(&data, ctx, cnn, SAMPLES, fetch, NULL));
    mc_ck_fails(mcomp_distiller_fit(NULL, NULL, d, cnn, NULL, data, data), MCOMP_UNSUPPORTED); /* no layers */
    mc_ck_fails(mcomp_distiller_graph(&out, d, 0), MCOMP_ARGUMENT);
    mcomp_distiller_destroy(d);
    mc_ck_ok(mcomp_distiller_options_init(&o, sizeof o));
    o.losses = "relation";
    mc_ck_ok(mcomp_distiller_create(&none, ctx, cnn, &o));
    mc_ck_fails(mcomp_distiller_teach(none, data), MCOMP_UNSUPPORTED);
    mcomp_distiller_destroy(none);
    mcomp_dataset_destroy(valid);
    mcomp_dataset_destroy(data);
    mcomp_graph_destroy(cnn);
    mcomp_graph_destroy(wide);
    mcomp_graph_destroy(teacher);
    mcomp_context_destroy(ctx);
}
END_TEST

int main(void)
{
    mc_ops_register();
    Suite *s = suite_create("distill/tokens");
    TCase *t = tcase_create("all");
    tcase_set_timeout(t, 100);
    tcase_add_loop_test(t, value_and_gradient, 0, 3);
    tcase_add_test(t, its_own_teacher);
    tcase_add_loop_test(t, narrower_student, 0, 3);
    tcase_add_test(t, quantized_student);
    tcase_add_test(t, bad_input);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
