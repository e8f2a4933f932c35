/* Predictions, comparisons and paired timing against what can be worked out by hand. */
#include "support/support.h"

#include <math.h>

#include "measure/measure.h"

static void make_scores(mc_scores *s, int64_t n, int64_t width, const float *v, const int64_t *label)
{
    *s = (mc_scores){.n = n, .width = width, .samples = n};
    mc_ck_ok(mc_tensor_create(&s->v, MCOMP_F32, &(mc_shape){.rank = 2, .dim = {n, width}}));
    mc_ck_ok(mc_tensor_create(&s->label, MCOMP_I64, &(mc_shape){.rank = 1, .dim = {n}}));
    memcpy(s->v->data, v, (size_t)(n * width) * sizeof *v);
    memcpy(s->label->data, label, (size_t)n * sizeof *label);
}

START_TEST(comparison)
{
    /* a is right where b is wrong once, b where a is wrong five times; twice both are right. */
    const int64_t label[8] = {0};
    float a[16], b[16];
    mc_scores x, y;
    mc_comparison c;
    for (int i = 0; i < 8; i++) {
        const int wrong_a = i >= 1 && i < 6, wrong_b = i == 0;
        a[2 * i] = wrong_a ? 0.0f : 1.0f, a[2 * i + 1] = wrong_a ? 1.0f : 0.0f;
        b[2 * i] = wrong_b ? 0.0f : 1.0f, b[2 * i + 1] = wrong_b ? 1.0f : 0.0f;
    }
    make_scores(&x, 8, 2, a, label);
    make_scores(&y, 8, 2, b, label);
    mc_scores_compare(&x, &y, &c);
    ck_assert_double_eq_tol(c.agreement, 2.0 / 8, 1e-12);
    ck_assert_double_eq_tol(c.value, -4.0 / 8, 1e-12);
    ck_assert_double_eq_tol(c.mcnemar_p, 2.0 * (1 + 6) / 64, 1e-12);
    const double se = sqrt(6.0 / 8 - 0.25) / sqrt(8.0);
    ck_assert_double_eq_tol(c.hi - c.lo, 2 * 1.959964 * se, 1e-9);
    ck_assert_int_eq(c.labelled, 1);
    ((int64_t *)x.label->data)[3] = -1; /* a row without a label: no difference, still agreement */
    mc_scores_compare(&x, &y, &c);
    ck_assert_int_eq(c.labelled, 0);
    mc_scores_compare(&x, &x, &c);
    ck_assert_double_eq_tol(c.agreement, 1.0, 1e-12);
    mc_scores_free(&x);
    mc_scores_free(&y);
}
END_TEST

START_TEST(metric_of_one_column)
{
    const int64_t label[4] = {0, 1, 1, 0};
    const float p[4] = {0.1f, 0.9f, 0.4f, 0.2f};
    mc_scores s;
    mc_measured m;
    make_scores(&s, 4, 1, p, label);
    s.threshold = 0.5;
    mc_ck_ok(mc_scores_metric(&s, "accuracy", &m));
    ck_assert_double_eq_tol(m.value, 0.75, 1e-12);
    ck_assert(m.lo < 0.75 && m.hi > 0.75 && m.n == 4);
    ((int64_t *)s.label->data)[0] = -1;
    mc_ck_fails(mc_scores_metric(&s, "accuracy", &m), MCOMP_DATA);
    mc_ck_fails(mc_scores_metric(&s, "loss", &m), MCOMP_ARGUMENT);
    mc_scores_free(&s);
}
END_TEST

START_TEST(quantiles_and_ratio)
{
    double a[90], b[90];
    mc_ratio r;
    for (int i = 0; i < 90; i++) {
        b[i] = 1.0 + 0.01 * (i % 7);
        a[i] = 2.0 * b[i];
    }
    const double four[4] = {4, 1, 3, 2};
    ck_assert_double_eq_tol(mc_race_quantile(four, 4, 0.5), 2.5, 1e-12);
    ck_assert_double_eq_tol(mc_race_quantile(four, 4, 1.0), 4.0, 1e-12);
    ck_assert(isnan(mc_race_quantile(four, 0, 0.5)));
    mc_race_ratio(a, b, 90, &r);
    ck_assert_double_eq_tol(r.value, 2.0, 1e-12);
    ck_assert(r.lo <= 2.0 + 1e-12 && r.hi >= 2.0 - 1e-12 && r.lo > 1.9 && r.hi < 2.1);
    mc_race_ratio(a, b, 5, &r);
    ck_assert(isnan(r.lo)); /* too few for an interval */
}
END_TEST

/* ---- a model ---- */

typedef struct world {
    mcomp_context *ctx;
    mcomp_graph *g;
    mcomp_dataset *d;
} world;

static int32_t one_sample(void *payload, int64_t index, int32_t n, mcomp_tensor **in, int64_t *label)
{
    const int64_t dims[] = {1, 3};
    const int32_t st = mcomp_tensor_create(&in[0], MCOMP_F32, 2, dims);
    (void)payload, (void)n;
    if (st != MCOMP_OK) return st;
    for (int i = 0; i < 3; i++) ((float *)mcomp_tensor_data(in[0]))[i] = i == index % 3 ? 1.0f : 0.0f;
    *label = index % 3 == 2 ? 0 : index % 3; /* every third one is labelled wrong */
    return MCOMP_OK;
}

static void setup(world *w)
{
    const int64_t dims[] = {-1, 3};
    const char *symbols[] = {"batch", NULL}, *in = "x", *out = "y";
    mc_ck_ok(mcomp_context_create(&w->ctx, NULL));
    mc_ck_ok(mcomp_graph_create(&w->g, w->ctx, "m", 20));
    mc_ck_ok(mcomp_graph_add_input(w->g, "x", MCOMP_F32, 2, dims, symbols));
    mc_ck_ok(mcomp_graph_add_node(w->g, "Relu", "relu", 1, &in, 1, &out));
    mc_ck_ok(mcomp_graph_add_output(w->g, "y"));
    mc_ck_ok(mcomp_graph_finish(w->g));
    mc_ck_ok(mcomp_dataset_create(&w->d, w->ctx, w->g, 9, one_sample, NULL));
}

static void teardown(world *w)
{
    mcomp_dataset_destroy(w->d);
    mcomp_graph_destroy(w->g);
    mcomp_context_destroy(w->ctx);
}

START_TEST(scores_of_a_model)
{
    world w;
    mc_scores s;
    mc_measured m;
    setup(&w);
    mc_ck_ok(mc_scores_make(&s, w.ctx, w.g->g, w.d, NULL));
    ck_assert_int_eq(s.n, 9);
    ck_assert_int_eq(s.width, 3);
    for (int64_t i = 0; i < 9; i++) ck_assert_int_eq(mc_scores_class(&s, i), i % 3);
    mc_ck_ok(mc_scores_metric(&s, "accuracy", &m));
    ck_assert_double_eq_tol(m.value, 6.0 / 9, 1e-12);
    mc_scores_free(&s);
    mc_ck_fails(mc_scores_make(&s, w.ctx, w.g->g, w.d, &(mc_scores_ask){.output = "nowhere"}), MCOMP_ARGUMENT);
    mcomp_context_cancel(w.ctx);
    mc_ck_fails(mc_scores_make(&s, w.ctx, w.g->g, w.d, NULL), MCOMP_CANCELLED);
    teardown(&w);
}
END_TEST

/* Which racer ran which sample, in order. */
typedef struct seen {
    int64_t n;
    int32_t racer[64];
    int64_t sample[64];
    const mcomp_tensor *x;
} seen;

static int32_t fetch(void *payload, int32_t racer, int64_t sample, const mcomp_tensor **inputs)
{
    seen *s = payload;
    ck_assert(s->n < 64);
    s->racer[s->n] = racer;
    s->sample[s->n++] = sample;
    inputs[0] = s->x;
    return MCOMP_OK;
}

static int after_four(void *payload, const mc_racer *r, int64_t rounds, double seconds)
{
    (void)payload, (void)r, (void)seconds;
    return rounds >= 4;
}

START_TEST(race_takes_turns)
{
    world w;
    seen s = {0};
    double ms[2][16] = {{0}};
    mcomp_session *session;
    mcomp_exec *e[2];
    mcomp_tensor *x;
    const int64_t dims[] = {1, 3};
    int64_t rounds = 0;
    setup(&w);
    mc_ck_ok(mcomp_session_create(&session, w.ctx, w.g, NULL));
    for (int i = 0; i < 2; i++) mc_ck_ok(mcomp_exec_create(&e[i], session));
    mc_ck_ok(mcomp_tensor_create(&x, MCOMP_F32, 2, dims));
    memset(mcomp_tensor_data(x), 0, 12);
    s.x = x;
    mc_racer r[] = {{e[0], 1, 1, ms[0]}, {e[1], 1, 1, ms[1]}};
    const mc_race race = {.ctx = w.ctx, .n_samples = 2, .min_rounds = 2, .max_rounds = 16, .seconds = 1e9, .fetch = fetch, .enough = after_four, .payload = &s};
    mc_ck_ok(mc_race_run(&race, 2, r, &rounds));
    ck_assert_int_eq(rounds, 4);
    ck_assert_int_eq(s.n, 2 * 5 + 2 * 4); /* warm-up, rounds */
    for (int64_t i = 0; i < 4; i++) {
        const int64_t at = 10 + 2 * i;
        ck_assert_int_eq(s.racer[at], i % 2);
        ck_assert_int_eq(s.racer[at + 1], 1 - i % 2);
        ck_assert_int_eq(s.sample[at], i % 2);
        ck_assert(ms[0][i] > 0.0 && ms[1][i] > 0.0);
    }
    mcomp_tensor_destroy(x);
    for (int i = 0; i < 2; i++) mcomp_exec_destroy(e[i]);
    mcomp_session_destroy(session);
    teardown(&w);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("measure");
    TCase *t = tcase_create("measure");
    tcase_add_test(t, comparison);
    tcase_add_test(t, metric_of_one_column);
    tcase_add_test(t, quantiles_and_ratio);
    tcase_add_test(t, scores_of_a_model);
    tcase_add_test(t, race_takes_turns);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
