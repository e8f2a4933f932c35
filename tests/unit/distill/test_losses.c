/* Losses with a teacher: the value against the formula in double, the gradient against central differences of that formula. */
#include <math.h>

#include "distill/distill.h"
#include "support/interp.h"
#include "support/support.h"

#define N 5
#define C 4

typedef double (*formula)(const double *z, const double *v, double t);

static void softmax(const double *x, double t, double *p)
{
    double top = x[0], sum = 0.0;
    for (int k = 1; k < C; k++) top = fmax(top, x[k]);
    for (int k = 0; k < C; k++) sum += p[k] = exp((x[k] - top) / t);
    for (int k = 0; k < C; k++) p[k] /= sum;
}

/* T^2 / N * sum of KL(q || p). */
static double logits(const double *z, const double *v, double t)
{
    double loss = 0.0, p[C], q[C];
    for (int i = 0; i < N; i++) {
        softmax(z + i * C, t, p);
        softmax(v + i * C, t, q);
        for (int k = 0; k < C; k++) loss += q[k] * log(q[k] / p[k]);
    }
    return t * t * loss / N;
}

/* Labels of the rows. */
static int64_t label_of(int i) { return (i * 3 + 1) % C; }

static double dkd(const double *z, const double *v, double t)
{
    double loss = 0.0, p[C], q[C];
    for (int i = 0; i < N; i++) {
        const int y = (int)label_of(i);
        softmax(z + i * C, t, p);
        softmax(v + i * C, t, q);
        loss += q[y] * log(q[y] / p[y]) + (1.0 - q[y]) * log((1.0 - q[y]) / (1.0 - p[y]));
        for (int k = 0; k < C; k++)
            if (k != y) loss += 8.0 * q[k] / (1.0 - q[y]) * log(q[k] / (1.0 - q[y]) / (p[k] / (1.0 - p[y])));
    }
    return t * t * loss / N;
}

static double mse(const double *z, const double *v, double t)
{
    double loss = 0.0;
    (void)t;
    for (int i = 0; i < N * C; i++) loss += (z[i] - v[i]) * (z[i] - v[i]);
    return loss / (N * C);
}

static const struct {
    const char *name;
    formula f;
    double temperature;
} rows[] = {{"logits", logits, 1.0}, {"logits", logits, 2.0}, {"logits", logits, 7.5}, {"mse", mse, 1.0}, {"dkd", dkd, 1.0}, {"dkd", dkd, 4.0}};

/* Outputs: the loss, its gradient in the student's scores. */
static mc_graph *graph_of(const char *name, double temperature)
{
    mc_graph *g = NULL;
    mc_ck_ok(mc_graph_create(&g, "loss"));
    mc_value *z = mc_test_input(g, "z", MCOMP_F32, 2, (const int64_t[]){N, C}), *grad = NULL;
    mc_loss_site s = {.g = g, .out = &z, .n_out = 1};
    const mc_type type = {.dtype = MCOMP_F32, .rank = 2, .dim = {N, C}};
    mc_kd_site k = {.s = &s, .student = z, .teacher = mc_loss_input(&s, "v", &type), .temperature = temperature};
    const mc_type labels = {.dtype = MCOMP_I64, .rank = 1, .dim = {N}};
    if (strcmp(name, "dkd") == 0) (void)mc_loss_target(&s, &labels);
    mc_value *loss = mc_kd_find(name)->emit(&k);
    mc_ck_ok(s.status);
    mc_ck_ok(mc_gradient(g, loss, 1, &z, &grad));
    ck_assert_ptr_nonnull(grad);
    mc_test_output(g, loss, "loss");
    mc_test_output(g, grad, "grad");
    mc_ck_ok(mc_graph_sort(g));
    mc_ck_ok(mc_infer_graph(g));
    return g;
}

static void fill(const mc_test_set *in, double *z, double *v, uint64_t seed, double spread)
{
    for (int i = 0; in->n > 2 && i < N; i++) ((int64_t *)in->t[2]->data)[i] = label_of(i);
    for (int i = 0; i < N * C; i++) {
        ((float *)in->t[0]->data)[i] = (float)(spread * (double)mc_test_random(&seed));
        ((float *)in->t[1]->data)[i] = (float)(spread * (double)mc_test_random(&seed));
        z[i] = (double)((float *)in->t[0]->data)[i];
        v[i] = (double)((float *)in->t[1]->data)[i];
    }
}

START_TEST(value_and_gradient)
{
    double z[N * C], v[N * C];
    const double t = rows[_i].temperature, eps = 1e-5;
    mc_graph *g = graph_of(rows[_i].name, t);
    mc_test_set in = mc_test_inputs(g, 1, 1, NULL, 0);
    fill(&in, z, v, 11, 3.0);
    mc_test_set out = mc_test_interp(g, &in), fast = mc_test_session(g, &in, NULL);
    const double want = rows[_i].f(z, v, t);
    ck_assert_double_gt(want, 0.01);
    for (int path = 0; path < 2; path++) {
        const mc_test_set *o = path ? &fast : &out;
        ck_assert_double_eq_tol((double)*(float *)o->t[0]->data, want, 1e-5 * want);
        for (int i = 0; i < N * C; i++) {
            const double keep = z[i];
            z[i] = keep + eps;
            const double up = rows[_i].f(z, v, t);
            z[i] = keep - eps;
            const double down = rows[_i].f(z, v, t);
            z[i] = keep;
            ck_assert_double_eq_tol((double)((float *)o->t[1]->data)[i], (up - down) / (2.0 * eps), 2e-6);
        }
    }
    mc_test_set_free(&fast);
    mc_test_set_free(&out);
    /* A student that says what the teacher says has nothing to learn. */
    memcpy(in.t[0]->data, in.t[1]->data, sizeof(float) * N * C);
    out = mc_test_interp(g, &in);
    ck_assert_double_eq_tol((double)*(float *)out.t[0]->data, 0.0, 1e-6);
    for (int i = 0; i < N * C; i++) ck_assert_double_eq_tol((double)((float *)out.t[1]->data)[i], 0.0, 1e-6);
    mc_test_set_free(&out);
    mc_test_set_free(&in);
    mc_graph_destroy(g);
}
END_TEST

/* Scores far apart: no infinity, no NaN. */
START_TEST(far_apart)
{
    double z[N * C], v[N * C];
    mc_graph *g = graph_of(_i ? "dkd" : "logits", 1.0);
    mc_test_set in = mc_test_inputs(g, 1, 1, NULL, 0);
    fill(&in, z, v, 5, 1e4);
    mc_test_set out = mc_test_session(g, &in, NULL);
    ck_assert(isfinite(*(float *)out.t[0]->data));
    for (int i = 0; i < N * C; i++) ck_assert(isfinite(((float *)out.t[1]->data)[i]));
    mc_test_set_free(&out);
    mc_test_set_free(&in);
    mc_graph_destroy(g);
}
END_TEST

START_TEST(dkd_refuses)
{
    mc_graph *g = NULL;
    mc_ck_ok(mc_graph_create(&g, "loss"));
    mc_value *z = mc_test_input(g, "z", MCOMP_F32, 2, (const int64_t[]){N, 2}), *wide = mc_test_input(g, "w", MCOMP_F32, 2, (const int64_t[]){N, C});
    mc_loss_site s = {.g = g, .out = &z, .n_out = 1};
    mc_kd_site k = {.s = &s, .student = z, .teacher = z, .temperature = 1.0};
    ck_assert_ptr_null(mc_kd_find("dkd")->emit(&k));
    ck_assert_int_eq(s.status, MCOMP_UNSUPPORTED); /* two classes */
    s.status = MCOMP_OK;
    mc_error_clear();
    k.student = k.teacher = wide;
    ck_assert_ptr_null(mc_kd_find("dkd")->emit(&k));
    ck_assert_int_eq(s.status, MCOMP_ARGUMENT); /* no labels */
    mc_graph_destroy(g);
}
END_TEST

START_TEST(lists)
{
    mc_kd_choice c[MC_KD_MAX];
    int32_t n = 0;
    mc_ck_ok(mc_kd_parse(c, &n, "mse=0.25,logits"));
    ck_assert(n == 2 && strcmp(c[0].loss->name, "mse") == 0 && c[0].weight == 0.25 && c[1].weight == 1.0);
    mc_ck_fails(mc_kd_parse(c, &n, "logit"), MCOMP_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(mc_error_peek()->hint, "logits"));
    mc_ck_fails(mc_kd_parse(c, &n, ""), MCOMP_ARGUMENT);
    mc_ck_fails(mc_kd_parse(c, &n, "logits,logits"), MCOMP_ARGUMENT);
    mc_ck_fails(mc_kd_parse(c, &n, "logits=-1"), MCOMP_RANGE);
    mc_ck_fails(mc_kd_parse(c, &n, "logits=x"), MCOMP_RANGE);
}
END_TEST

int main(void)
{
    mc_ops_register();
    Suite *s = suite_create("distill/losses");
    TCase *t = tcase_create("all");
    tcase_add_loop_test(t, value_and_gradient, 0, (int)(sizeof rows / sizeof *rows));
    tcase_add_loop_test(t, far_apart, 0, 2);
    tcase_add_test(t, dkd_refuses);
    tcase_add_test(t, lists);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
