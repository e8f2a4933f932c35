/* Precision bf16: which products run in it, how close sessions and trainings stay to float, equal bits for all thread counts and with a
 * resume, what is refused. */
#include <mcomp/build.h>
#include <stdio.h>
#include <unistd.h>

#include "net.h"
#include "train/trainer.h"

static mcomp_context *ctx;
static mcomp_trainer_options o;
static void setup(void)
{
    ctx = net_context(2);
    mc_ck_ok(mcomp_trainer_options_init(&o, sizeof o));
    o.precision = "bf16";
    o.lr = 1e-3;
}
static void teardown(void) { mcomp_context_destroy(ctx); }

/* ---- sessions ---- */

typedef struct matmul_case {
    int64_t m, k, n;
    int constant;
} matmul_case;
static const matmul_case cases[] = {{1, 40, 3, 1}, {5, 64, 48, 0}, {70, 33, 65, 1}, {300, 1100, 70, 0}, {1100, 96, 600, 0}, {1100, 520, 530, 1}};

static mcomp_tensor *random_matrix(int64_t rows, int64_t columns, uint64_t seed)
{
    mcomp_tensor *t = NULL;
    mc_ck_ok(mcomp_tensor_create(&t, MCOMP_F32, 2, (const int64_t[]){rows, columns}));
    for (int64_t i = 0; i < rows * columns; i++) ((float *)mcomp_tensor_data(t))[i] = mc_test_random(&seed);
    return t;
}

static double rounded(const mcomp_tensor *t, int64_t i) { return (double)mc_bf16_to_f32(mc_f32_to_bf16(((const float *)t->t.data)[i])); }

/* x w + bias, relu: against sums in double of rounded operands. */
static void run_case(const matmul_case *c, const char *precision, int32_t no_fusion, double *worst)
{
    mcomp_graph *g = NULL;
    mcomp_session *s = NULL;
    mcomp_exec *e = NULL;
    const mcomp_tensor *y = NULL;
    mcomp_tensor *x = random_matrix(c->m, c->k, 1), *w = random_matrix(c->k, c->n, 2);
    mc_ck_ok(mcomp_graph_create(&g, ctx, "product", 17));
    mc_ck_ok(mcomp_graph_add_input(g, "x", MCOMP_F32, 2, (const int64_t[]){c->m, c->k}, NULL));
    if (c->constant) mc_ck_ok(mcomp_graph_add_constant(g, "w", w));
    else mc_ck_ok(mcomp_graph_add_input(g, "w", MCOMP_F32, 2, (const int64_t[]){c->k, c->n}, NULL));
    net_node(g, "MatMul", "product", "x", "w", NULL, "z");
    net_node(g, "Relu", "relu", "z", NULL, NULL, "y");
    mc_ck_ok(mcomp_graph_add_output(g, "y"));
    mcomp_session_options so;
    mc_ck_ok(mcomp_session_options_init(&so, sizeof so));
    so.precision = precision;
    so.no_fusion = no_fusion;
    so.backend = "cpu";
    mc_ck_ok(mcomp_session_create(&s, ctx, g, &so));
    mc_ck_ok(mcomp_exec_create(&e, s));
    mc_ck_ok(mcomp_exec_run(e, c->constant ? 1 : 2, (const mcomp_tensor *const[]){x, w}, 1, &y));
    for (int64_t i = 0; i < c->m; i += 1 + c->m / 40)
        for (int64_t j = 0; j < c->n; j++) {
            double sum = 0.0;
            for (int64_t r = 0; r < c->k; r++) sum += rounded(x, i * c->k + r) * rounded(w, r * c->n + j);
            *worst = fmax(*worst, fabs((double)((const float *)y->t.data)[i * c->n + j] - fmax(sum, 0.0)) / sqrt((double)c->k));
        }
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
    mcomp_graph_destroy(g);
    mcomp_tensor_destroy(x);
    mcomp_tensor_destroy(w);
}

START_TEST(sessions)
{
    double bf16 = 0.0, plain = 0.0, f32 = 0.0;
    run_case(&cases[_i], "bf16", 0, &bf16);
    run_case(&cases[_i], "bf16", 1, &plain);
    run_case(&cases[_i], "f32", 0, &f32);
    ck_assert_msg(bf16 < 4e-6 && plain < 4e-6, "%g, unfused %g", bf16, plain);
    ck_assert_msg(f32 > 1e-4, "operands of f32 are not rounded: %g", f32);
}
END_TEST

/* ---- trainings ---- */

static mcomp_graph *encoder(void)
{
    mcomp_build_options bo;
    mcomp_graph *g = NULL;
    mc_ck_ok(mcomp_build_options_init(&bo, sizeof bo));
    bo.classes = 4;
    bo.vocab = 100;
    bo.length = 64;
    mc_ck_ok(mcomp_graph_build(&g, ctx, "encoder:layers=2,hidden=64,dropout=0.1", &bo));
    return g;
}

static void steps(mcomp_trainer *t, int first, int last, float *loss)
{
    for (int s = first; s < last; s++) {
        mcomp_tensor *in[2], *label;
        uint64_t seed = (uint64_t)s % 8 + 1;
        for (int i = 0; i < 2; i++) mc_ck_ok(mcomp_tensor_create(&in[i], MCOMP_I64, 2, (const int64_t[]){16, 64}));
        mc_ck_ok(mcomp_tensor_create(&label, MCOMP_I64, 1, (const int64_t[]){16}));
        for (int64_t i = 0; i < 16; i++) {
            ((int64_t *)label->t.data)[i] = i % 4;
            for (int64_t j = 0; j < 64; j++) {
                ((int64_t *)in[0]->t.data)[i * 64 + j] = mc_test_random(&seed) > 0.5f ? 1 + i % 4 : 5 + (int64_t)(45.0f * (mc_test_random(&seed) + 1.0f));
                ((int64_t *)in[1]->t.data)[i * 64 + j] = 1;
            }
        }
        mc_ck_ok(mcomp_trainer_step(&loss[s], t, (int32_t)t->model->n_inputs, (const mcomp_tensor *const *)in, label));
        for (int i = 0; i < 2; i++) mcomp_tensor_destroy(in[i]);
        mcomp_tensor_destroy(label);
    }
}

START_TEST(close_to_float)
{
    enum { STEPS = 60 };
    float low[STEPS], full[STEPS];
    mcomp_graph *g = encoder();
    mcomp_trainer *t = net_trainer(ctx, g, &o);
    o.precision = "f32";
    mcomp_trainer *u = net_trainer(ctx, g, &o);
    int32_t n = 0, in_bf16 = 0, products = 0, differs = 0;
    steps(t, 0, STEPS, low);
    steps(u, 0, STEPS, full);
    for (int i = 0; i < STEPS; i++) {
        ck_assert_msg(fabsf(low[i] - full[i]) < 0.03f, "step %d: %g, in float %g", i, (double)low[i], (double)full[i]);
        differs += low[i] < full[i] || low[i] > full[i];
    }
    ck_assert_int_gt(differs, STEPS / 2);
    ck_assert(low[STEPS - 1] < 0.5f * low[0]);
    mc_ck_ok(mcomp_exec_kernel_count(t->exec, &n));
    for (int32_t i = 0; i < n; i++) {
        mcomp_kernel_info k = {.size = sizeof k};
        mc_ck_ok(mcomp_exec_kernel(t->exec, i, &k));
        in_bf16 += strncmp(k.kernel, "gemm_bf16:", 10) == 0;
        products += strcmp(k.op, "Linear") == 0 || strcmp(k.op, "Product") == 0 || strcmp(k.op, "MatMul") == 0 || strcmp(k.op, "Gemm") == 0;
    }
    ck_assert_int_gt(in_bf16, 20);
    ck_assert_int_eq(in_bf16, products);
    mcomp_trainer_destroy(t);
    mcomp_trainer_destroy(u);
    mcomp_graph_destroy(g);
}
END_TEST

/* The gradient of a large weight: blocks of C with parts of the inner dimension. One step of gradient descent is the gradient. */
START_TEST(gradient_of_a_large_weight)
{
    enum { ROWS = 2048, WIDTH = 1024, UNITS = 600 };
    mcomp_graph *g = NULL, *result[2];
    mcomp_tensor *x = random_matrix(ROWS, WIDTH, 5), *label = NULL;
    double worst = 0.0, largest = 0.0;
    mc_ck_ok(mcomp_graph_create(&g, ctx, "wide", 17));
    mc_ck_ok(mcomp_graph_add_input(g, "x", MCOMP_F32, 2, (const int64_t[]){-1, WIDTH}, (const char *const[]){"N", NULL}));
    net_weight(g, "w1", 2, (const int64_t[]){WIDTH, UNITS}, 1, 0.03f, 0.0f);
    net_weight(g, "w2", 2, (const int64_t[]){UNITS, CLASSES}, 2, 0.1f, 0.0f);
    net_node(g, "MatMul", "fc1", "x", "w1", NULL, "z");
    net_node(g, "Tanh", "act", "z", NULL, NULL, "h");
    net_node(g, "MatMul", "fc2", "h", "w2", NULL, "y");
    mc_ck_ok(mcomp_graph_add_output(g, "y"));
    mc_ck_ok(mcomp_tensor_create(&label, MCOMP_I64, 1, (const int64_t[]){ROWS}));
    for (int64_t i = 0; i < ROWS; i++) ((int64_t *)mcomp_tensor_data(label))[i] = i % CLASSES;
    o.optimizer = "sgd";
    o.lr = 1.0;
    o.weight_decay = o.clip_norm = 0.0;
    for (int i = 0; i < 2; i++) {
        float loss;
        o.precision = i ? "f32" : "bf16";
        mcomp_trainer *t = net_trainer(ctx, g, &o);
        mc_ck_ok(mcomp_trainer_step(&loss, t, 1, (const mcomp_tensor *const[]){x}, label));
        mc_ck_ok(mcomp_trainer_graph(&result[i], t));
        mcomp_trainer_destroy(t);
    }
    const float *before = mc_graph_find_value(g->g, "w1")->init->data, *low = mc_graph_find_value(result[0]->g, "w1")->init->data;
    const float *full = mc_graph_find_value(result[1]->g, "w1")->init->data;
    for (int64_t i = 0; i < (int64_t)WIDTH * UNITS; i++) {
        worst = fmax(worst, fabs((double)low[i] - (double)full[i]));
        largest = fmax(largest, fabs((double)full[i] - (double)before[i]));
    }
    ck_assert_msg(worst < 0.02 * largest && worst > 0.0, "gradients differ by %g of %g", worst, largest);
    for (int i = 0; i < 2; i++) mcomp_graph_destroy(result[i]);
    mcomp_graph_destroy(g);
    mcomp_tensor_destroy(x);
    mcomp_tensor_destroy(label);
}
END_TEST

START_TEST(threads_do_not_matter)
{
    float loss[6];
    mcomp_graph *g = encoder();
    mcomp_trainer *two = net_trainer(ctx, g, &o);
    steps(two, 0, 6, loss);
    for (int32_t threads = 1; threads <= 4; threads += 3) {
        mcomp_context *other = net_context(threads);
        mcomp_trainer *t = net_trainer(other, g, &o);
        steps(t, 0, 6, loss);
        ck_assert(net_same(two, t));
        mcomp_trainer_destroy(t);
        mcomp_context_destroy(other);
    }
    mcomp_trainer_destroy(two);
    mcomp_graph_destroy(g);
}
END_TEST

START_TEST(resumes_to_the_byte)
{
    float loss[8];
    char path[64];
    snprintf(path, sizeof path, "/tmp/mcomp_precision_%d.ckpt", (int)getpid());
    mcomp_graph *g = encoder();
    mcomp_trainer *whole = net_trainer(ctx, g, &o), *second = net_trainer(ctx, g, &o);
    steps(whole, 0, 4, loss);
    mc_ck_ok(mcomp_trainer_save(whole, path));
    steps(whole, 4, 8, loss);
    mc_ck_ok(mcomp_trainer_load(second, path));
    steps(second, 4, 8, loss);
    ck_assert(net_same(whole, second));
    o.precision = "f32";
    mcomp_trainer *other = net_trainer(ctx, g, &o);
    mc_ck_fails(mcomp_trainer_load(other, path), MCOMP_DATA);
    (void)unlink(path);
    mcomp_trainer_destroy(whole);
    mcomp_trainer_destroy(second);
    mcomp_trainer_destroy(other);
    mcomp_graph_destroy(g);
}
END_TEST

START_TEST(refused)
{
    mcomp_trainer *t = NULL;
    mcomp_session *s = NULL;
    mcomp_session_options so;
    mcomp_graph *g = encoder();
    mc_ck_ok(mcomp_session_options_init(&so, sizeof so));
    so.precision = o.precision = "f16";
    mc_ck_fails(mcomp_trainer_create(&t, ctx, g, &o), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_session_create(&s, ctx, g, &so), MCOMP_ARGUMENT);
    so.precision = o.precision = "bf16";
    const char *isa = getenv("MCOMP_ISA");
    char was[32] = "";
    if (isa) snprintf(was, sizeof was, "%s", isa);
    ck_assert_int_eq(setenv("MCOMP_ISA", "avx2", 1), 0);
    mc_ck_fails(mcomp_trainer_create(&t, ctx, g, &o), MCOMP_UNSUPPORTED);
    mc_ck_fails(mcomp_session_create(&s, ctx, g, &so), MCOMP_UNSUPPORTED);
    ck_assert(t == NULL && s == NULL);
    ck_assert_int_eq(isa ? setenv("MCOMP_ISA", was, 1) : unsetenv("MCOMP_ISA"), 0); /* tests may share the process */
    mcomp_graph_destroy(g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("precision");
    TCase *t = tcase_create("train");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 120);
    tcase_add_test(t, refused);
    if (mc_cpu_has_bf16()) {
        tcase_add_loop_test(t, sessions, 0, (int)(sizeof cases / sizeof *cases));
        tcase_add_test(t, close_to_float);
        tcase_add_test(t, gradient_of_a_large_weight);
        tcase_add_test(t, threads_do_not_matter);
        tcase_add_test(t, resumes_to_the_byte);
    }
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
