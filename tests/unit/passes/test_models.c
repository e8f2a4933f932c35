/* Real models before and after the passes: same results, and the operators that the passes are there for. */
#include "compare.h"

#include "onnx/onnx.h"

static mc_graph *load(const char *name)
{
    mc_graph *g;
    uint64_t bytes;
    mc_ck_ok(mc_onnx_load(&g, NULL, mc_test_data(name), &bytes));
    return g;
}

static const uint32_t fuse = MC_STAGE_LOAD | MC_STAGE_SHAPE | MC_STAGE_FUSE;
static const uint32_t all = MC_STAGE_LOAD | MC_STAGE_SHAPE | MC_STAGE_FUSE | MC_STAGE_LOWER;

START_TEST(bert_toy)
{
    if (mc_test_skip_without_data()) return;
    mc_graph *g = load("models/bert_toy_optimized.onnx"), *r = mc_test_passes_dims(g, fuse, 1e-4, 1e-5, 1, (const int64_t[]){1, 12});
    ck_assert_int_eq(mc_test_count(r, "", "LayerNormalization"), 12);
    ck_assert_int_eq(mc_test_count(r, "", "Gelu"), 6);
    ck_assert_int_eq(mc_test_count(r, "", "ReduceMean"), 0);
    ck_assert_int_eq(mc_test_count(r, "", "Erf"), 0);
    mc_graph_destroy(r);
    r = mc_test_passes_dims(g, all, 1e-4, 1e-5, 1, (const int64_t[]){2, 12});
    ck_assert_int_eq(mc_test_count(r, "mcomp", "Attention"), 5);
    ck_assert_int_eq(mc_test_count(r, "mcomp", "Linear"), 24); /* a merged projection, an output and two feed-forward ones a layer */
    ck_assert_int_eq(mc_test_count(r, "", "LayerNormalization"), 1); /* behind the embeddings; the others are epilogues */
    ck_assert_int_eq(mc_test_count(r, "", "Transpose") + mc_test_count(r, "", "MatMul") + mc_test_count(r, "", "Softmax"), 0);
    ck_assert_ptr_nonnull(mc_graph_find_node(r, "Softmax_85")); /* names live on */
    mc_graph_destroy(r);
    mc_graph_destroy(g);
}
END_TEST

START_TEST(resnet8)
{
    if (mc_test_skip_without_data()) return;
    mc_graph *g = load("models/resnet8_cifar.onnx"), *r = mc_test_passes_dims(g, all, 1e-4, 1e-6, 1, (const int64_t[]){2, 2});
    ck_assert_int_eq(mc_test_count(r, "mcomp", "Conv"), 9);
    ck_assert_int_eq(mc_test_count(r, "mcomp", "AveragePool"), 1);
    ck_assert_int_eq(mc_test_count(r, "mcomp", "Linear"), 1);
    ck_assert_int_eq(mc_test_count(r, "", "Transpose"), 1); /* the input */
    ck_assert_int_eq(r->n_order, 14);
    mc_graph_destroy(r);
    mc_graph_destroy(g);
}
END_TEST

START_TEST(mnist8)
{
    if (mc_test_skip_without_data()) return;
    mc_graph *g = load("models/mnist8.onnx"), *r = mc_test_passes(g, all, 1e-4, 1e-5);
    ck_assert_int_eq(mc_test_count(r, "mcomp", "Conv") + mc_test_count(r, "mcomp", "MaxPool"), 4);
    ck_assert_int_le(r->n_order, 8);
    mc_graph_destroy(r);
    mc_graph_destroy(g);
}
END_TEST

/* All bytes are equally likely, which the padding-heavy golden inputs are not: the variance is well conditioned. */
START_TEST(magika)
{
    if (mc_test_skip_without_data()) return;
    mc_graph *g = load("models/magika_v3_3.onnx"), *r = mc_test_passes_dims(g, all, 1e-3, 1e-6, 256, (const int64_t[]){1, 1});
    ck_assert_int_eq(mc_test_count(r, "", "Gather"), 1);
    ck_assert_int_eq(mc_test_count(r, "", "LayerNormalization"), 2);
    ck_assert_int_eq(mc_test_count(r, "", "Gelu"), 0); /* one is in the table of the Gather, one in the epilogue of the Conv */
    ck_assert_int_eq(mc_test_count(r, "mcomp", "Conv"), 1);
    ck_assert_int_eq(mc_test_count(r, "", "Softmax"), 1);
    ck_assert_int_eq(mc_test_count(r, "", "Expand") + mc_test_count(r, "", "Shape"), 0);
    ck_assert_int_le(r->n_order, 12);
    mc_graph_destroy(r);
    mc_graph_destroy(g);
}
END_TEST

START_TEST(ultraface)
{
    if (mc_test_skip_without_data()) return;
    mc_graph *g = load("models/ultraface_rfb320.onnx"), *r;
    mc_ck_ok(mc_graph_clone(&r, g));
    mc_ck_ok(mc_passes_run(r, fuse, NULL)); /* 35 BatchNormalizations go into the convolutions */
    mc_ck_ok(mc_graph_validate(r));
    ck_assert_int_eq(mc_test_count(r, "", "BatchNormalization"), 0);
    ck_assert_int_eq(mc_test_count(r, "", "Mul"), 4);
    ck_assert_int_eq(mc_test_count(r, "", "Shape") + mc_test_count(r, "", "Gather") + mc_test_count(r, "", "Unsqueeze"), 0);
    ck_assert_int_le(r->n_order, 125);
    mc_ck_ok(mc_passes_run(r, MC_STAGE_LOWER, NULL));
    mc_ck_ok(mc_graph_validate(r));
    ck_assert_int_eq(mc_test_count(r, "mcomp", "Conv"), 52);
    ck_assert_int_eq(mc_test_count(r, "", "Transpose"), 1);
    ck_assert_int_eq(mc_test_count(r, "", "Relu"), 0);
    ck_assert_int_le(r->n_order, 80);
    mc_graph_destroy(r);
    mc_graph_destroy(g);
}
END_TEST

START_TEST(silero_needs_no_if)
{
    if (mc_test_skip_without_data()) return;
    static const char *const names[] = {"models/silero_vad.onnx", "models/silero_vad_16k_op15.onnx", "models/silero_vad_op18_ifless.onnx",
                                        "models/silero_vad_half.onnx"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        mc_graph *g = load(names[i]);
        mc_tensor *sr;
        mc_value *input = mc_graph_find_value(g, "input"), *state = mc_graph_find_value(g, "state");
        input->type = (mc_type){.dtype = MCOMP_F32, .rank = 2, .dim = {1, 576}};
        if (state) state->type = (mc_type){.dtype = MCOMP_F32, .rank = 3, .dim = {2, 1, 128}};
        mc_ck_ok(mc_tensor_create(&sr, MCOMP_I64, &(mc_shape){.rank = 0}));
        mc_tensor_set_i64(sr, 0, 16000);
        mc_value *v = mc_graph_find_value(g, "sr");
        if (v && v->flags & MC_VALUE_INPUT) mc_ck_ok(mc_pass_fix_input(g, "sr", sr, NULL));
        mc_ck_ok(mc_passes_run(g, MC_STAGE_LOAD | MC_STAGE_SHAPE, NULL));
        mc_ck_ok(mc_graph_validate(g));
        ck_assert_msg(mc_test_count(g, "", "If") == 0, "%s: %d If left", names[i], (int)mc_test_count(g, "", "If"));
        ck_assert_int_le(g->n_order, 90);
        mc_tensor_destroy(sr);
        mc_graph_destroy(g);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("passes/models");
    TCase *t = tcase_create("models");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, bert_toy);
    tcase_add_test(t, resnet8);
    tcase_add_test(t, mnist8);
    tcase_add_test(t, magika);
    tcase_add_test(t, ultraface);
    tcase_add_test(t, silero_needs_no_if);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
