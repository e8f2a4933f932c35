/* Texts of 128 lengths compile at most 8 plans, on a real transformer and on the INT8 model made of it, where the output of a fused
 * linear node overwrites its residual. */
#include <mcomp/quantizer.h>
#include <mcomp/session.h>

#include "support/support.h"

static int32_t plans_of_all_lengths(mcomp_context *ctx, const mcomp_graph *g)
{
    mcomp_session *s = NULL;
    mcomp_exec *e = NULL;
    mc_ck_ok(mcomp_session_create(&s, ctx, g, NULL));
    mc_ck_ok(mcomp_exec_create(&e, s));
    const int32_t n_in = mcomp_session_n_inputs(s), n_out = mcomp_session_n_outputs(s);
    for (int64_t k = 0; k < 128; k++) {
        const int64_t dims[2] = {1, k * 53 % 128 + 1}; /* every length once, in no order */
        mcomp_tensor *in[3];
        const mcomp_tensor *ins[3], *out[2];
        ck_assert_int_eq(n_in, 3);
        for (int32_t i = 0; i < n_in; i++) {
            mc_ck_ok(mcomp_tensor_create(&in[i], MCOMP_I64, 2, dims));
            for (int64_t j = 0; j < dims[1]; j++) ((int64_t *)mcomp_tensor_data(in[i]))[j] = 1;
            ins[i] = in[i];
        }
        mc_ck_ok(mcomp_exec_run(e, n_in, ins, n_out, out));
        ck_assert_int_eq(mcomp_tensor_dims(out[0])[1], dims[1]);
        for (int32_t i = 0; i < n_in; i++) mcomp_tensor_destroy(in[i]);
    }
    const int32_t plans = mcomp_session_plans(s);
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
    return plans;
}

START_TEST(lengths)
{
    mcomp_context *ctx = NULL;
    mcomp_graph *g = NULL, *int8 = NULL;
    mcomp_quantizer *q = NULL;
    if (mc_test_skip_without_data()) return;
    mc_ck_ok(mcomp_context_create(&ctx, NULL));
    mc_ck_ok(mcomp_graph_load(&g, ctx, mc_test_data("models/bert_toy_optimized.onnx")));
    ck_assert_int_le(plans_of_all_lengths(ctx, g), 8);
    mc_ck_ok(mcomp_quantizer_create(&q, ctx, NULL));
    mc_ck_ok(mcomp_quantizer_apply(&int8, q, g, NULL, NULL));
    ck_assert_int_le(plans_of_all_lengths(ctx, int8), 8);
    mcomp_quantizer_destroy(q);
    mcomp_graph_destroy(int8);
    mcomp_graph_destroy(g);
    mcomp_context_destroy(ctx);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("buckets");
    TCase *c = tcase_create("buckets");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, lengths);
    suite_add_tcase(suite, c);
    return mc_test_main(suite);
}
