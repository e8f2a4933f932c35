/* Students cut from a teacher: what is left computes what it did. Parts of the teacher that weigh nothing are the first to go, so a cut
 * that takes only those changes no output; real encoders are recognised; what is no encoder is named. */
#include <math.h>
#include <mcomp/build.h>
#include <stdio.h>
#include <stdlib.h>

#include "distill/distill.h"
#include "support/interp.h"
#include "support/support.h"

static mcomp_context *ctx;

static void setup(void)
{
    mcomp_context_options o;
    mc_ck_ok(mcomp_context_options_init(&o, sizeof o));
    o.threads = 1;
    mc_ck_ok(mcomp_context_create(&ctx, &o));
}

static void teardown(void) { mcomp_context_destroy(ctx); }

/* 3 layers, hidden 16, 4 heads of 4, ffn 32; no dropout. */
static mcomp_graph *encoder(void)
{
    mcomp_graph *g = NULL;
    mcomp_build_options o;
    uint64_t seed = 3;
    mc_ck_ok(mcomp_build_options_init(&o, sizeof o));
    o.vocab = 40;
    o.classes = 3;
    o.length = 12;
    mc_ck_ok(mcomp_graph_build(&g, ctx, "encoder:layers=3,hidden=16,heads=4,ffn=32,dropout=0", &o));
    for (int64_t i = 0; i < g->g->n_values; i++) { /* a trained model's weights are all in use */
        mc_value *v = g->g->values[i];
        if (!v->init || v->init->dtype != MCOMP_F32 || v->init->shape.rank < 1) continue;
        for (int64_t k = 0; k < mc_tensor_elements(v->init); k++) ((float *)v->init->data)[k] += 0.3f * mc_test_random(&seed);
    }
    return g;
}

static mc_tensor *weight(mcomp_graph *g, const char *name)
{
    mc_value *v = mc_graph_find_value(g->g, name);
    ck_assert_msg(v && v->init, "%s", name);
    return v->init;
}

/* Column (or row) `index` of a matrix becomes zero. */
static void zero(mc_tensor *t, int32_t axis, int64_t index)
{
    const int64_t rows = t->shape.dim[0], cols = t->shape.rank > 1 ? t->shape.dim[1] : 1;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = 0; k < cols; k++)
            if ((axis == 0 ? i : k) == index) ((float *)t->data)[i * cols + k] = 0.0f;
}

static mcomp_graph *cut(const mcomp_graph *teacher, const char *spec)
{
    mcomp_graph *out = NULL;
    mcomp_distiller *d = NULL;
    mc_ck_ok(mcomp_distiller_create(&d, ctx, teacher, NULL));
    mc_ck_ok(mcomp_distiller_cut(&out, NULL, d, spec, NULL));
    mcomp_distiller_destroy(d);
    mc_ck_ok(mc_graph_validate(out->g));
    return out;
}

static mc_test_set run(const mcomp_graph *g, uint64_t seed)
{
    mc_test_set in = mc_test_inputs(g->g, seed, 39, (const int64_t[]){2, 8}, 2);
    for (int64_t i = 0; i < in.n; i++) /* the mask: texts of 8 and 5 ids */
        if (strstr(g->g->inputs[i]->name, "mask"))
            for (int64_t k = 0; k < 16; k++) mc_tensor_set_i64(in.t[i], k, k < 13);
    mc_test_set out = mc_test_session(g->g, &in, NULL);
    mc_test_set_free(&in);
    return out;
}

static void same(const mcomp_graph *a, const mcomp_graph *b)
{
    for (uint64_t seed = 1; seed < 4; seed++) {
        mc_test_set x = run(a, seed), y = run(b, seed);
        ck_assert_double_gt(fabs(mc_tensor_get_f64(y.t[0], 0)), 1e-6);
        mc_test_same_outputs(a->g, &x, b->g, &y, 1e-5, 1e-5);
        mc_test_set_free(&x);
        mc_test_set_free(&y);
    }
}

static int64_t parameters(const mcomp_graph *g)
{
    int64_t n = 0;
    uint64_t bytes = 0;
    mc_count_parameters(g->g, &n, &bytes);
    return n;
}

START_TEST(nothing_named_nothing_changed)
{
    mcomp_graph *g = encoder(), *s = cut(g, "teacher"), *all = cut(g, "teacher:layers=0+1+2,hidden=16,heads=4,ffn=32");
    same(s, g);
    same(all, g);
    mcomp_graph_destroy(all);
    mcomp_graph_destroy(s);
    mcomp_graph_destroy(g);
}
END_TEST

/* A layer whose branches give zero is the identity, first, middle or last. */
START_TEST(layers)
{
    static const char *const specs[] = {"teacher:layers=1+2", "teacher:layers=0+2", "teacher:layers=0+1"};
    static const char *const names[] = {"attention.output.weight", "attention.output.bias", "ffn.down.weight", "ffn.down.bias"};
    char name[80];
    mcomp_graph *g = encoder();
    for (size_t i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "encoder.layer.%d.%s", _i, names[i]);
        memset(weight(g, name)->data, 0, (size_t)mc_tensor_bytes(weight(g, name)));
    }
    mcomp_graph *s = cut(g, specs[_i]);
    same(s, g);
    ck_assert_int_lt(parameters(s), parameters(g));
    mcomp_graph_destroy(s);
    mcomp_graph_destroy(g);
}
END_TEST

START_TEST(feed_forward)
{
    mcomp_graph *g = encoder();
    char name[80];
    for (int l = 0; l < 3; l++)
        for (int64_t i = 0; i < 32; i += 2 + l) { /* 16, 11 and 8 neurons that nobody hears */
            snprintf(name, sizeof name, "encoder.layer.%d.ffn.up.weight", l);
            zero(weight(g, name), 1, i);
            snprintf(name, sizeof name, "encoder.layer.%d.ffn.down.weight", l);
            zero(weight(g, name), 0, i);
        }
    mcomp_graph *s = cut(g, "teacher:ffn=24"), *less = cut(g, "teacher:ffn=16");
    same(s, g);
    ck_assert_int_eq(parameters(g) - parameters(less), 3 * 16 * (16 + 1 + 16));
    mc_test_set x = run(less, 1);
    ck_assert(isfinite(mc_tensor_get_f64(x.t[0], 0)));
    mc_test_set_free(&x);
    mcomp_graph_destroy(less);
    mcomp_graph_destroy(s);
    mcomp_graph_destroy(g);
}
END_TEST

/* Heads 0 and 2 (of 4 columns) weigh nothing. */
START_TEST(heads)
{
    static const char *const in[] = {"query", "key", "value"};
    mcomp_graph *g = encoder();
    char name[80];
    for (int l = 0; l < 3; l++)
        for (int64_t i = 0; i < 16; i++) {
            if (i / 4 % 2) continue;
            for (int k = 0; k < 3; k++) {
                snprintf(name, sizeof name, "encoder.layer.%d.attention.%s.weight", l, in[k]);
                zero(weight(g, name), 1, i);
            }
            snprintf(name, sizeof name, "encoder.layer.%d.attention.output.weight", l);
            zero(weight(g, name), 0, i);
        }
    mcomp_graph *s = cut(g, "teacher:heads=2");
    same(s, g);
    ck_assert_int_eq(parameters(g) - parameters(s), 3 * 8 * (3 * 17 + 16));
    mcomp_graph_destroy(s);
    mcomp_graph_destroy(g);
}
END_TEST

/* A narrower stream is another model (the norms see fewer channels): every weight fits, and it runs. */
START_TEST(hidden)
{
    mcomp_graph *g = encoder(), *s = cut(g, "teacher:layers=0+2,hidden=8,heads=2,ffn=12");
    const int64_t layer = 3 * (8 * 8 + 8) + 8 * 8 + 8 + 2 * 16 + 8 * 12 + 12 + 12 * 8 + 8;
    ck_assert_int_eq(parameters(s) - 2 * layer, 40 * 8 + 12 * 8 + 16 + 8 * 3 + 3);
    mc_test_set x = run(s, 1);
    ck_assert(isfinite(mc_tensor_get_f64(x.t[0], 0)));
    mc_test_set_free(&x);
    mcomp_graph_destroy(s);
    mcomp_graph_destroy(g);
}
END_TEST

/* A file that another exporter wrote: norms and activations in pieces, fixed sizes. */
START_TEST(foreign_file)
{
    if (mc_test_skip_without_data()) return;
    mcomp_graph *g = NULL;
    mc_ck_ok(mcomp_graph_load(&g, ctx, mc_test_data("models/bert_toy_optimized.onnx")));
    mcomp_graph *s = cut(g, "teacher:layers=0+2+4,ffn=16,hidden=16");
    ck_assert_int_lt(parameters(s), parameters(g) / 2);
    mc_test_set in = mc_test_inputs(s->g, 1, 1, (const int64_t[]){1, 16}, 2), x = mc_test_session(s->g, &in, NULL);
    ck_assert(isfinite(mc_tensor_get_f64(x.t[0], 0)));
    mc_test_set_free(&x);
    mc_test_set_free(&in);
    mcomp_graph_destroy(s);
    mcomp_graph_destroy(g);
}
END_TEST

START_TEST(bad_input)
{
    static const struct {
        const char *spec;
        int32_t code;
    } rows[] = {{"teacher:layers=0+3", MCOMP_RANGE}, {"teacher:layers=1+0", MCOMP_RANGE}, {"teacher:layers=1+1", MCOMP_RANGE}, {"teacher:layers=x", MCOMP_RANGE},
                {"teacher:hiden=8", MCOMP_ARGUMENT}, {"teacher:hidden", MCOMP_ARGUMENT}, {"teacher:hidden=0", MCOMP_RANGE}, {"teacher:hidden=17", MCOMP_RANGE},
                {"teacher:heads=5", MCOMP_RANGE}, {"teacher:ffn=33", MCOMP_RANGE}, {"student", MCOMP_ARGUMENT}, {"teacher:", MCOMP_ARGUMENT}, {"teacher:vocab=30", MCOMP_ARGUMENT}};
    mcomp_graph *g = encoder(), *out = NULL, *mlp = NULL;
    mcomp_tokenizer *t = NULL;
    mcomp_distiller *d = NULL;
    mcomp_build_options o;
    mc_ck_ok(mcomp_distiller_create(&d, ctx, g, NULL));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        mc_ck_fails(mcomp_distiller_cut(&out, &t, d, rows[i].spec, NULL), rows[i].code);
        ck_assert(!out && !t);
    }
    mcomp_distiller_destroy(d);
    mc_ck_ok(mcomp_build_options_init(&o, sizeof o));
    o.classes = 3;
    o.features = 6;
    mc_ck_ok(mcomp_graph_build(&mlp, ctx, "mlp", &o));
    mc_ck_ok(mcomp_distiller_create(&d, ctx, mlp, NULL));
    mc_ck_fails(mcomp_distiller_cut(&out, &t, d, "teacher:ffn=8", NULL), MCOMP_UNSUPPORTED);
    mcomp_distiller_destroy(d);
    mcomp_graph_destroy(mlp);
    mcomp_graph_destroy(g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("distill/cut");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, nothing_named_nothing_changed);
    tcase_add_loop_test(t, layers, 0, 3);
    tcase_add_test(t, feed_forward);
    tcase_add_test(t, heads);
    tcase_add_test(t, hidden);
    tcase_add_test(t, foreign_file);
    tcase_add_test(t, bad_input);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
