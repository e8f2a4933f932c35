/* Models from descriptions: every kind runs, gives the same bytes for the same seed, does not care for padding, and trains; errors. */
#include <mcomp/build.h>

#include "net.h"

static mcomp_context *ctx;
static mcomp_build_options o;
static void setup(void)
{
    ctx = net_context(2);
    mc_ck_ok(mcomp_build_options_init(&o, sizeof o));
    o.classes = 3;
    o.vocab = 50;
    o.length = 24;
    o.image[0] = 1;
    o.image[1] = o.image[2] = 12;
}
static void teardown(void) { mcomp_context_destroy(ctx); }

typedef struct kind {
    const char *spec;
    int text;
    int64_t parameters; /* trained and running moments: all float initializers */
} kind;
static const kind kinds[] = {
    /* word + position + per layer (2 norms, q k v o, ffn) + final norm + classifier */
    {"encoder:layers=2,hidden=16,heads=2,ffn=32,dropout=0", 1, 50 * 16 + 24 * 16 + 2 * (4 * 16 + 4 * (16 * 16 + 16) + 16 * 32 + 32 + 32 * 16 + 16) + 32 + 16 * 3 + 3},
    {"text-cnn:hidden=8,channels=6", 1, 50 * 8 + 6 * 8 * 12 + 18 + 18 * 3 + 3},
    {"lstm:layers=2,hidden=8", 1, 50 * 8 + 2 * (32 * 8 + 32 * 8 + 64) + 8 * 3 + 3},
    {"bilstm:hidden=8", 1, 50 * 8 + 2 * (32 * 8 + 32 * 8 + 64) + 16 * 3 + 3},
    {"mlp:layers=1,hidden=10", 0, 144 * 10 + 10 + 10 * 3 + 3},
    {"cnn:channels=4,hidden=8", 0, 9 * 4 + 16 + 9 * 16 + 16 + 9 * 32 + 32 + 9 * 64 + 32 + 8 * 9 * 8 + 8 + 8 * 3 + 3},
    {"resnet:channels=4", 0, 36 + 16 + 2 * (144 + 16) + (288 + 32 + 576 + 32 + 32 + 32) + (1152 + 64 + 2304 + 64 + 128 + 64) + 16 * 3 + 3},
    {"ds-cnn:layers=2,channels=4", 0, 36 + 16 + 2 * (36 + 16 + 16 + 16) + 4 * 3 + 3},
    {"decoder:layers=1,hidden=16,heads=2,ffn=32", 1, 50 * 16 + 24 * 16 + 4 * 16 + 4 * (16 * 16 + 16) + 16 * 32 + 32 + 32 * 16 + 16 + 32 + 16 * 50 + 50},
};
#define N_KINDS ((int)(sizeof kinds / sizeof *kinds))

static mcomp_graph *built(const kind *k)
{
    mcomp_graph *g = NULL;
    mc_ck_ok(mcomp_graph_build(&g, ctx, k->spec, &o));
    return g;
}

/* Ids of two texts of 5 and 9 tokens, padded to `length`; or images. */
static int32_t inputs(const kind *k, const mcomp_graph *g, int64_t length, mcomp_tensor **in)
{
    uint64_t seed = 3;
    if (!k->text) {
        mc_ck_ok(mcomp_tensor_create(&in[0], MCOMP_F32, 4, (const int64_t[]){2, 1, 12, 12}));
        for (int i = 0; i < 288; i++) ((float *)mcomp_tensor_data(in[0]))[i] = mc_test_random(&seed);
        return 1;
    }
    for (int i = 0; i < g->g->n_inputs; i++) mc_ck_ok(mcomp_tensor_create(&in[i], MCOMP_I64, 2, (const int64_t[]){2, length}));
    for (int t = 0; t < 2; t++)
        for (int j = 0; j < 5 + 4 * t; j++) {
            ((int64_t *)mcomp_tensor_data(in[0]))[t * length + j] = 1 + (7 * j + t) % 49;
            if (g->g->n_inputs > 1) ((int64_t *)mcomp_tensor_data(in[1]))[t * length + j] = 1;
        }
    return (int32_t)g->g->n_inputs;
}

static void run(const kind *k, const mcomp_graph *g, int64_t length, float *out, int64_t *n)
{
    mcomp_session *s = NULL;
    mcomp_exec *e = NULL;
    mcomp_tensor *in[2];
    const mcomp_tensor *y = NULL;
    mc_ck_ok(mcomp_session_create(&s, ctx, g, NULL));
    mc_ck_ok(mcomp_exec_create(&e, s));
    const int32_t n_in = inputs(k, g, length, in);
    mc_ck_ok(mcomp_exec_run(e, n_in, (const mcomp_tensor *const *)in, 1, &y));
    *n = mc_tensor_elements(&y->t);
    ck_assert(*n <= 4096);
    memcpy(out, y->t.data, (size_t)*n * sizeof(float));
    for (int32_t i = 0; i < n_in; i++) mcomp_tensor_destroy(in[i]);
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
}

START_TEST(runs_and_counts)
{
    const kind *k = &kinds[_i];
    float y[4096];
    int64_t n = 0, parameters = 0;
    mcomp_graph *g = built(k);
    const int decoder = strncmp(k->spec, "decoder", 7) == 0;
    run(k, g, 12, y, &n);
    ck_assert_int_eq(n, decoder ? 2 * 12 * 50 : 2 * 3);
    for (int64_t i = 0; i < n; i++) ck_assert(isfinite(y[i]));
    for (int64_t i = 0; i < g->g->n_values; i++) {
        const mc_value *v = g->g->values[i];
        if (!v->dead && v->init && v->init->dtype == MCOMP_F32 && v->type.rank > 0 && strcmp(v->name, "causal_bias") != 0) parameters += mc_tensor_elements(v->init);
    }
    ck_assert_int_eq(parameters, k->parameters);
    mcomp_graph_destroy(g);
}
END_TEST

START_TEST(same_seed_same_bytes)
{
    const kind *k = &kinds[_i];
    mcomp_graph *a = built(k), *b = built(k);
    o.seed = 1;
    mcomp_graph *c = built(k);
    int differs = 0;
    for (int64_t i = 0; i < a->g->n_values; i++) {
        const mc_tensor *x = a->g->values[i]->init, *y = b->g->values[i]->init, *z = c->g->values[i]->init;
        if (!x) continue;
        ck_assert_mem_eq(x->data, y->data, (size_t)mc_tensor_bytes(x));
        differs |= memcmp(x->data, z->data, (size_t)mc_tensor_bytes(x)) != 0;
    }
    ck_assert(differs);
    mcomp_graph_destroy(a);
    mcomp_graph_destroy(b);
    mcomp_graph_destroy(c);
}
END_TEST

START_TEST(padding_changes_nothing)
{
    const kind *k = &kinds[_i];
    float a[4096], b[4096];
    int64_t n = 0, m = 0;
    if (!k->text) return;
    mcomp_graph *g = built(k);
    run(k, g, 9, a, &n);
    run(k, g, 20, b, &m);
    if (n == m) mc_ck_close_f32(b, a, n, 1e-5, 1e-6);
    for (int64_t t = 0; t < 2 && n != m; t++) /* the decoder: the positions before the padding */
        mc_ck_close_f32(b + t * 20 * 50, a + t * 9 * 50, (5 + 4 * t) * 50, 1e-4, 1e-5);
    mcomp_graph_destroy(g);
}
END_TEST

/* A few steps on one batch lower its loss; the biases and norms are found, too. */
START_TEST(trains)
{
    const kind *k = &kinds[_i];
    mcomp_trainer_options t;
    mcomp_tensor *in[2], *label = NULL;
    float first = 0.0f, loss = 0.0f;
    mcomp_graph *g = built(k);
    const int decoder = strncmp(k->spec, "decoder", 7) == 0;
    mc_ck_ok(mcomp_trainer_options_init(&t, sizeof t));
    t.lr = 0.01;
    mcomp_trainer *x = net_trainer(ctx, g, &t);
    const int32_t n_in = inputs(k, g, 9, in);
    mc_ck_ok(mcomp_tensor_create(&label, MCOMP_I64, decoder ? 2 : 1, (const int64_t[]){2, 9}));
    for (int64_t i = 0; i < mc_tensor_elements(&label->t); i++) ((int64_t *)mcomp_tensor_data(label))[i] = i % 3;
    for (int s = 0; s < 40; s++) {
        mc_ck_ok(mcomp_trainer_step(&loss, x, n_in, (const mcomp_tensor *const *)in, label));
        if (s == 0) first = loss;
    }
    ck_assert_msg(loss < 0.7f * first, "%s: loss %g -> %g", k->spec, (double)first, (double)loss);
    for (int32_t i = 0; i < n_in; i++) mcomp_tensor_destroy(in[i]);
    mcomp_tensor_destroy(label);
    mcomp_trainer_destroy(x);
    mcomp_graph_destroy(g);
}
END_TEST

START_TEST(errors)
{
    static const struct {
        const char *spec;
        int32_t code;
        const char *where, *hint;
    } bad[] = {
        {"encodr", MCOMP_ARGUMENT, "build", "encoder"}, {"encoder:hiden=3", MCOMP_ARGUMENT, "build", "hidden"},
        {"encoder:hidden", MCOMP_ARGUMENT, "build", ""}, {"encoder:hidden=30,heads=4", MCOMP_RANGE, "heads", ""},
        {"encoder:hidden=0", MCOMP_RANGE, "hidden", ""}, {"encoder:hidden=1e3", MCOMP_RANGE, "hidden", ""}, {"mlp:dropout=1", MCOMP_RANGE, "dropout", ""},
        {"mlp:dropout=x", MCOMP_RANGE, "dropout", ""}, {"cnn:layers=9", MCOMP_RANGE, "layers", ""}, {"", MCOMP_ARGUMENT, "build", ""},
        {"encoder:layers=99999999999999999999", MCOMP_RANGE, "layers", ""},
    };
    mcomp_graph *g = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        mc_ck_fails(mcomp_graph_build(&g, ctx, bad[i].spec, &o), bad[i].code);
        ck_assert_str_eq(mc_error_peek()->where, bad[i].where);
        ck_assert_msg(strstr(mc_error_peek()->hint, bad[i].hint) != NULL, "%s: %s", bad[i].spec, mc_error_peek()->hint);
        ck_assert(g == NULL);
    }
    o.vocab = 0;
    mc_ck_fails(mcomp_graph_build(&g, ctx, "lstm", &o), MCOMP_ARGUMENT);
    o.classes = 0;
    mc_ck_fails(mcomp_graph_build(&g, ctx, "mlp", &o), MCOMP_ARGUMENT);
    o.classes = 3;
    o.features = 7;
    mc_ck_fails(mcomp_graph_build(&g, ctx, "cnn", &o), MCOMP_SHAPE);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("train/build");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, runs_and_counts, 0, N_KINDS);
    tcase_add_loop_test(t, same_seed_same_bytes, 0, N_KINDS);
    tcase_add_loop_test(t, padding_changes_nothing, 0, N_KINDS);
    tcase_add_loop_test(t, trains, 0, N_KINDS);
    tcase_add_test(t, errors);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
