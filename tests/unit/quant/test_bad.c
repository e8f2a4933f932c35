/* Weights that are not finite: they load, run and are saved as they are; whoever wants to quantize them hears which tensor it is. */
#include <math.h>
#include <mcomp/mcomp.h>
#include <stdio.h>
#include <unistd.h>

#include "support/support.h"

static mcomp_context *ctx;

static void setup(void) { mc_ck_ok(mcomp_context_create(&ctx, NULL)); }
static void teardown(void) { mcomp_context_destroy(ctx); }

/* x [N,6] -> MatMul "fine" -> Relu -> MatMul "product" with w2, one element of which is `odd` -> y */
static mcomp_graph *model(float odd)
{
    static const int64_t x[2] = {-1, 6}, dims[2][2] = {{6, 8}, {8, 3}};
    static const char *const names[] = {"w1", "w2"}, *const first[] = {"x", "w1"}, *const second[] = {"r", "w2"}, *const m = "m", *const r = "r", *const y = "y";
    mcomp_graph *g = NULL;
    uint64_t seed = 7;
    mc_ck_ok(mcomp_graph_create(&g, ctx, "m", 17));
    mc_ck_ok(mcomp_graph_add_input(g, "x", MCOMP_F32, 2, x, NULL));
    for (int k = 0; k < 2; k++) {
        mcomp_tensor *t = NULL;
        mc_ck_ok(mcomp_tensor_create(&t, MCOMP_F32, 2, dims[k]));
        for (int64_t i = 0; i < mcomp_tensor_elements(t); i++) ((float *)mcomp_tensor_data(t))[i] = mc_test_random(&seed);
        if (k == 1) ((float *)mcomp_tensor_data(t))[5] = odd;
        mc_ck_ok(mcomp_graph_add_constant(g, names[k], t));
        mcomp_tensor_destroy(t);
    }
    mc_ck_ok(mcomp_graph_add_node(g, "MatMul", "fine", 2, first, 1, &m));
    mc_ck_ok(mcomp_graph_add_node(g, "Relu", "relu", 1, &m, 1, &r));
    mc_ck_ok(mcomp_graph_add_node(g, "MatMul", "product", 2, second, 1, &y));
    mc_ck_ok(mcomp_graph_add_output(g, "y"));
    mc_ck_ok(mcomp_graph_finish(g));
    return g;
}

static int32_t quantize(mcomp_graph **out, const mcomp_graph *g, const char *scheme, const char *keep)
{
    int32_t st = MCOMP_OK;
    mcomp_quantizer *q = NULL;
    mcomp_calibrator *c = NULL;
    mcomp_tensor *x = NULL;
    mcomp_quantizer_options o;
    uint64_t seed = 3;
    *out = NULL;
    mc_ck_ok(mcomp_quantizer_options_init(&o, sizeof o));
    o.scheme = scheme;
    mc_ck_ok(mcomp_quantizer_create(&q, ctx, &o));
    if (keep) mc_ck_ok(mcomp_quantizer_set_rule(q, keep, "precision", "float"));
    if (strcmp(scheme, "int8") == 0 && keep) { /* as far as the Relu all is finite */
        mc_ck_ok(mcomp_tensor_create(&x, MCOMP_F32, 2, (const int64_t[]){4, 6}));
        for (int i = 0; i < 24; i++) ((float *)mcomp_tensor_data(x))[i] = mc_test_random(&seed);
        const mcomp_tensor *in[1] = {x};
        mc_ck_ok(mcomp_calibrator_create(&c, ctx, g));
        MC_TRY(mcomp_calibrator_feed(c, 1, in, -1));
        mcomp_calibration_info i = {.size = sizeof i};
        mc_ck_ok(mcomp_calibrator_info(c, &i));
    }
    MC_TRY(mcomp_quantizer_apply(out, q, g, c, NULL));
done:
    mcomp_quantizer_destroy(q);
    mcomp_calibrator_destroy(c);
    mcomp_tensor_destroy(x);
    return st;
}

START_TEST(bad_026_weights_that_are_not_finite)
{
    static const float odd[] = {NAN, INFINITY, -INFINITY};
    static const char *const schemes[] = {"auto", "int8-dynamic", "int8-dynamic-tensor"};
    const char *scheme = schemes[_i / 3];
    mcomp_graph *g = model(odd[_i % 3]), *q = NULL, *back = NULL;
    mcomp_session *s = NULL;
    mcomp_save_options so;
    char path[64];
    snprintf(path, sizeof path, "/tmp/mcomp-nan-%d.onnx", (int)getpid());
    mc_ck_ok(mcomp_save_options_init(&so, sizeof so));
    so.overwrite = 1;
    mc_ck_ok(mcomp_graph_save(g, path, &so));
    mc_ck_ok(mcomp_graph_load(&back, ctx, path)); /* and that is all right */
    mc_ck_ok(mcomp_session_create(&s, ctx, back, NULL));
    mcomp_session_destroy(s);
    ck_assert_int_eq(quantize(&q, back, scheme, NULL), MCOMP_DATA);
    ck_assert_ptr_null(q);
    ck_assert_str_eq(mc_error_peek()->where, "product");
    ck_assert_msg(strstr(mc_error_peek()->message, "w2") && strstr(mc_error_peek()->message, "5"), "%s", mc_error_peek()->message);
    ck_assert(mc_error_peek()->hint[0]);
    mc_ck_ok(quantize(&q, back, scheme, "product")); /* what the hint says */
    mcomp_graph_destroy(q);
    mcomp_graph_destroy(back);
    mcomp_graph_destroy(g);
    (void)unlink(path);
    g = model(1.0f);
    mc_ck_ok(quantize(&q, g, scheme, NULL));
    mcomp_graph_destroy(q);
    mcomp_graph_destroy(g);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("quant/bad");
    TCase *t = tcase_create("bad");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, bad_026_weights_that_are_not_finite, 0, 9);
    suite_add_tcase(suite, t);
    return mc_test_main(suite);
}
