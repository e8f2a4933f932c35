/* Float implementations of the built-in backend against the operators' references, on every tier. */
#include <math.h>

#include "unit/backends/cpu_case.h"

START_TEST(unary)
{
    static const char *const ops[] = {"Relu", "Sigmoid", "Tanh", "HardSwish", "HardSigmoid", "LeakyRelu", "Elu", "Erf", "Exp", "Neg", "Abs",
                                      "Floor", "Ceil", "Round", "Sin", "Cos", "Softplus", "Sign", "Mish", "Selu"};
    for (size_t k = 0; k < sizeof ops / sizeof *ops; k++) {
        CHECK(NULL, ops[k], NULL, 0, F(1, 3, 50));
        CHECK(NULL, ops[k], NULL, 0, F(2, 100, 501));
    }
    CHECK("hardsigmoid", "HardSigmoid", "alpha=0.3f beta=0.4f", 0, F(3, 7));
    CHECK("clip", "Clip", NULL, 0, F(3, 70), mc_test_f32(1, 0), mc_test_f32(2, 0));
    CHECK("gelu", "Gelu", NULL, 0, F(3, 70));
    CHECK("gelu", "Gelu", "approximate='tanh'", 0, F(3, 70));
}
END_TEST

START_TEST(binary)
{
    static const char *const ops[] = {"Add", "Sub", "Mul", "Div", "Min", "Max"};
    for (size_t k = 0; k < sizeof ops / sizeof *ops; k++) {
        CHECK("binary", ops[k], NULL, 0, F(1, 3, 50), F(2, 3, 50));
        CHECK("binary", ops[k], NULL, 0, F(1, 200, 301), F(2, 301));
        CHECK("binary", ops[k], NULL, 0, F(1, 20, 30, 1), F(2, 30, 40));
        CHECK("binary", ops[k], NULL, 0, F(1, 2, 5, 7, 9), F(2, 5, 1, 1));
        CHECK("binary", ops[k], NULL, 0, F(1, 1), F(2, 5, 4, 1));
        CHECK("binary", ops[k], NULL, 0, F(1, 4, 1, 6), F(2, 1, 5, 1));
        CHECK("binary", ops[k], NULL, 0, F(1, 0, 5), F(2, 1, 5));
    }
}
END_TEST

START_TEST(softmax)
{
    for (int log = 0; log < 2; log++) {
        const char *op = log ? "LogSoftmax" : "Softmax";
        CHECK("softmax", op, NULL, 0, F(1, 7, 33));
        CHECK("softmax", op, "axis=-1", 0, F(1, 300, 128));
        CHECK("softmax", op, "axis=1", 0, F(1, 3, 20, 19));
        CHECK("softmax", op, "axis=0", 0, F(1, 5, 700));
        CHECK("softmax", op, "axis=1", 0, F(1, 4, 50, 1));
    }
}
END_TEST

START_TEST(norm)
{
    CHECK("layernorm", "LayerNormalization", NULL, 0, F(1, 5, 384), F(2, 384), F(3, 384));
    CHECK("layernorm", "LayerNormalization", "axis=1 epsilon=0.01f", 0, F(1, 300, 4, 33), F(2, 4, 33));
    CHECK("instancenorm", "InstanceNormalization", NULL, 0, F(1, 2, 6, 9, 5), F(2, 6), F(3, 6));
    CHECK("groupnorm", "GroupNormalization", "num_groups=3", 0, F(1, 2, 6, 9, 5), F(2, 6), F(3, 6));
}
END_TEST

START_TEST(reduce)
{
    static const char *const ops[] = {"ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceSumSquare", "ReduceL2"};
    for (size_t k = 0; k < sizeof ops / sizeof *ops; k++) {
        CHECK("reduce", ops[k], "keepdims=0", 2, F(1, 6, 100), mc_test_ints(1, -1));
        CHECK("reduce", ops[k], NULL, 2, F(1, 400, 300), mc_test_ints(1, 0));
        CHECK("reduce", ops[k], NULL, 2, F(1, 4, 150, 13), mc_test_ints(1, 1));
        CHECK("reduce", ops[k], NULL, 2, F(1, 4, 5, 6, 7), mc_test_ints(2, 2, 3));
        CHECK("reduce", ops[k], NULL, 2, F(1, 4, 5, 6, 7), mc_test_ints(2, 1, 3));
        CHECK("reduce", ops[k], "keepdims=0", 0, F(1, 4, 5, 6));
    }
    CHECK("reduce", "GlobalAveragePool", NULL, 0, F(1, 2, 30, 7, 7));
    CHECK("reduce", "GlobalMaxPool", NULL, 0, F(1, 2, 30, 7, 7));
}
END_TEST

START_TEST(linear)
{
    static const int shapes[][3] = {{1, 7, 5}, {1, 768, 300}, {33, 64, 100}, {128, 48, 33}, {300, 40, 70}, {7, 384, 384}};
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
        const int m = shapes[k][0], kk = shapes[k][1], n = shapes[k][2];
        CHECK_MC("gemm", "Linear", NULL, 2, F(1, m, kk), F(2, kk, n));
        CHECK_MC("gemm", "Linear", "trans_w=1 act='gelu'", 6, F(1, 1, m, kk), F(2, n, kk), F(3, n));
        CHECK_MC("gemm", "Linear", "act='relu' post_act='tanh'", 6, F(1, m, kk), F(2, kk, n), F(3, n), F(4, m, n));
        CHECK_MC("gemm", "Linear", "ln_eps=0.001f", 0x36, F(1, m, kk), F(2, kk, n), F(3, n), F(4, m, n), F(5, n), F(6, n));
    }
}
END_TEST

START_TEST(attention)
{
    CHECK_MC("attention", "Attention", "heads=2 scale=0.3f", 0, F(1, 1, 5, 8), F(2, 1, 7, 8), F(3, 1, 7, 12));
    CHECK_MC("attention", "Attention", "heads=12 scale=0.176f", 0, F(1, 2, 50, 384), F(2, 2, 50, 384), F(3, 2, 50, 384), F(4, 2, 1, 1, 50));
    CHECK_MC("attention", "Attention", "heads=3 scale=0.5f", 0, F(1, 1, 40, 51), F(2, 1, 600, 51), F(3, 1, 600, 54), F(4, 3, 40, 600));
    CHECK_MC("attention", "Attention", "heads=2 q_width=16 k_width=16 v_width=16 k_offset=16 v_offset=32", 0, F(1, 2, 33, 48),
             F(1, 2, 33, 48), F(1, 2, 33, 48), F(4, 33, 33));
    CHECK_MC("attention", "Attention", "heads=1", 0, F(1, 1, 1, 3), F(2, 1, 1, 3), F(3, 1, 1, 1));
}
END_TEST

/* Keys that are masked out altogether come first: the running maximum starts at -inf over a whole block. */
START_TEST(attention_masked_blocks)
{
    mc_tensor *mask = F(4, 1, 1, 1, 700);
    for (int64_t j = 0; j < 600; j++) mc_tensor_set_f64(mask, j, -(double)INFINITY);
    CHECK_MC("attention", "Attention", "heads=2", 0, F(1, 1, 40, 16), F(2, 1, 700, 16), F(3, 1, 700, 16), mask);
}
END_TEST

/* A query that may see no key: NaN, or 0 where that is asked for; the others are not touched. */
START_TEST(attention_of_nothing)
{
    mc_tensor *mask = F(4, 1, 1, 40, 300);
    for (int64_t q = 0; q < 40; q += 13)
        for (int64_t j = 0; j < 300; j++) mc_tensor_set_f64(mask, q * 300 + j, -(double)INFINITY);
    CHECK_MC("attention", "Attention", "heads=2 nan_zero=1", 0, F(1, 1, 40, 16), F(2, 1, 300, 16), F(3, 1, 300, 16), mask);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cpu_f32");
    TCase *t = tcase_create("implementations");
    const int n = tier_count();
    tcase_add_loop_test(t, unary, 0, n);
    tcase_add_loop_test(t, binary, 0, n);
    tcase_add_loop_test(t, softmax, 0, n);
    tcase_add_loop_test(t, norm, 0, n);
    tcase_add_loop_test(t, reduce, 0, n);
    tcase_add_loop_test(t, linear, 0, n);
    tcase_add_loop_test(t, attention, 0, n);
    tcase_add_loop_test(t, attention_masked_blocks, 0, n);
    tcase_add_loop_test(t, attention_of_nothing, 0, n);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
