/* Convolutions, pools, matrix products and LSTM of the built-in backend against the references, on every tier. */
#include "unit/backends/cpu_case.h"

START_TEST(matmul)
{
    CHECK("gemm", "MatMul", NULL, 0, F(1, 5, 7), F(2, 7, 3));
    CHECK("gemm", "MatMul", NULL, 2, F(1, 3, 20, 64), F(2, 64, 100));
    CHECK("gemm", "MatMul", NULL, 0, F(1, 2, 3, 40, 64), F(2, 3, 64, 33));
    CHECK("gemm", "MatMul", NULL, 0, F(1, 12, 128, 32), F(2, 12, 32, 128));
    CHECK("gemm", "MatMul", NULL, 0, F(1, 1, 64), F(2, 5, 64, 33));
    CHECK("gemm", "Gemm", NULL, 6, F(1, 9, 17), F(2, 17, 20), F(3, 20));
    CHECK("gemm", "Gemm", "transB=1 alpha=0.5f", 0, F(1, 9, 17), F(2, 20, 17), F(3, 9, 1));
    CHECK("gemm", "Gemm", "transA=1 transB=1", 2, F(1, 17, 9), F(2, 20, 17), F(3, 9, 20));
    CHECK("gemm", "Gemm", "transA=1", 0, F(1, 17, 90), F(2, 17, 200), mc_test_f32(3, 0));
}
END_TEST

START_TEST(conv)
{
    CHECK_MC("conv", "Conv", "kernel_shape=[1,1]", 6, F(1, 2, 9, 7, 20), F(2, 33, 20, 1, 1), F(3, 33));
    CHECK_MC("conv", "Conv", "kernel_shape=[3,3] pads=[1,1,1,1] act='relu'", 6, F(1, 2, 14, 14, 32), F(2, 48, 32, 3, 3), F(3, 48));
    CHECK_MC("conv", "Conv", "kernel_shape=[3,3] pads=[1,1,1,1] post_act='relu'", 6, F(1, 1, 7, 7, 64), F(2, 160, 64, 3, 3), F(3, 160), F(4, 1, 7, 7, 160));
    CHECK_MC("conv", "Conv", "kernel_shape=[7,7] strides=[2,2] pads=[3,3,3,3]", 2, F(1, 1, 41, 60, 3), F(2, 16, 3, 7, 7));
    CHECK_MC("conv", "Conv", "kernel_shape=[3,2] dilations=[2,3] pads=[0,1,2,3]", 2, F(1, 1, 20, 19, 5), F(2, 9, 5, 3, 2));
    CHECK_MC("conv", "Conv", "kernel_shape=[3,3] group=3 strides=[1,2]", 2, F(1, 2, 9, 11, 12), F(2, 60, 4, 3, 3));
    CHECK_MC("conv", "Conv", "kernel_shape=[5] pads=[2,2]", 6, F(1, 1, 700, 10), F(2, 20, 10, 5), F(3, 20));
    /* rows read in place and rows unfolded, once for all channels or by each task; blocks of the inner dimension; planes and images that a block of pixels crosses */
    CHECK_MC("conv", "Conv", "kernel_shape=[1,1] post_act='clip' act_lo=-0.5f act_hi=0.5f", 6, F(1, 3, 13, 9, 20), F(2, 40, 20, 1, 1), F(3, 40), F(4, 3, 13, 9, 40));
    CHECK_MC("conv", "Conv", "kernel_shape=[1,1] act='relu'", 6, F(1, 5, 15, 15, 300), F(2, 9, 300, 1, 1), F(3, 9));
    CHECK_MC("conv", "Conv", "kernel_shape=[3,3] pads=[1,1,1,1] post_act='relu'", 6, F(1, 2, 7, 7, 90), F(2, 130, 90, 3, 3), F(3, 130), F(4, 2, 7, 7, 130));
    CHECK_MC("conv", "Conv", "kernel_shape=[3,3] strides=[2,2] pads=[1,1,1,1] act='gelu'", 6, F(1, 4, 29, 31, 10), F(2, 70, 10, 3, 3), F(3, 70), F(4, 4, 15, 16, 70));
    CHECK_MC("conv", "Conv", "kernel_shape=[3,3] pads=[0,3,1,0] act='tanh' post_act='relu'", 6, F(1, 1, 9, 33, 6), F(2, 40, 6, 3, 3), F(3, 40), F(4, 1, 8, 34, 40));
    CHECK_MC("conv", "Conv", "kernel_shape=[3,3] pads=[1,1,1,1] post_act='relu'", 6, F(1, 1, 20, 24, 100), F(2, 130, 100, 3, 3), F(3, 130), F(4, 1, 20, 24, 130));
    CHECK_MC("conv", "Conv", "kernel_shape=[3,5] pads=[1,2,1,2] dilations=[2,1] act='gelu'", 6, F(1, 2, 12, 25, 40), F(2, 33, 40, 3, 5), F(3, 33));
    CHECK_MC("conv", "Conv", "kernel_shape=[1,1] strides=[2,2]", 2, F(1, 1, 15, 15, 20), F(2, 40, 20, 1, 1));
    CHECK_MC("depthwise", "Conv", "kernel_shape=[3,3] pads=[1,1,1,1] group=40 act='relu'", 6, F(1, 2, 15, 13, 40), F(2, 40, 1, 3, 3), F(3, 40));
    CHECK_MC("depthwise", "Conv", "kernel_shape=[5,3] strides=[2,1] dilations=[1,2] pads=[2,0,1,2] group=7", 2, F(1, 1, 15, 13, 7), F(2, 7, 1, 5, 3));
    CHECK_MC("conv", "Conv", "kernel_shape=[3,3] pads=[2,2,2,2]", 2, F(1, 1, 1, 1, 4), F(2, 5, 4, 3, 3));
}
END_TEST

START_TEST(pools)
{
    static const char *const attrs[] = {"kernel_shape=[3,3] strides=[2,2] pads=[1,1,1,1]", "kernel_shape=[2,3] dilations=[2,1]",
                                        "kernel_shape=[3,3] strides=[2,2] pads=[0,1,2,1] ceil_mode=1",
                                        "kernel_shape=[4,4] strides=[3,3] pads=[1,2,3,1] count_include_pad=1 ceil_mode=1"};
    for (size_t k = 0; k < 4; k++) {
        for (int average = k == 3; average < 2; average++) {
            const char *op = average ? "AveragePool" : "MaxPool";
            CHECK_MC("pool", op, attrs[k], 0, F(1, 2, 13, 12, 20));
            CHECK("pool_planes", op, attrs[k], 0, F(1, 2, 5, 13, 12));
        }
    }
    CHECK_MC("pool", "MaxPool", "kernel_shape=[3] strides=[2]", 0, F(1, 1, 131, 40));
    CHECK("pool_planes", "AveragePool", "kernel_shape=[3] strides=[2]", 0, F(1, 1, 40, 131));
    CHECK_MC("reduce", "GlobalAveragePool", NULL, 0, F(1, 2, 7, 7, 40));
    CHECK_MC("reduce", "GlobalMaxPool", NULL, 0, F(1, 2, 60, 300));
}
END_TEST

static void lstm_case(int i, const char *attrs, int dirs, int steps, int batch, int input, int hidden, int state)
{
    mc_node_case c = {.op = "LSTM", .domain = "", .attrs = attrs, .n_in = 7, .n_out = 3, .constant = 0xe, .kernel = "lstm", .rtol = 1e-5, .atol = 1e-5};
    setenv("MCOMP_ISA", tiers[i], 1);
    c.in[0] = F(1, steps, batch, input);
    c.in[1] = F(2, dirs, 4 * hidden, input);
    c.in[2] = F(3, dirs, 4 * hidden, hidden);
    c.in[3] = state ? F(4, dirs, 8 * hidden) : NULL;
    c.in[5] = state ? F(5, dirs, batch, hidden) : NULL;
    c.in[6] = state ? F(6, dirs, batch, hidden) : NULL;
    mc_ck_node(&c);
}

START_TEST(lstm)
{
    lstm_case(_i, "hidden_size=128", 1, 1, 1, 128, 128, 1);
    lstm_case(_i, "hidden_size=17", 1, 9, 3, 5, 17, 0);
    lstm_case(_i, "hidden_size=17 direction='reverse'", 1, 9, 3, 5, 17, 1);
    lstm_case(_i, "hidden_size=20 direction='bidirectional'", 2, 30, 2, 40, 20, 1);
}
END_TEST

START_TEST(fill)
{
    CHECK("fill", "ConstantOfShape", NULL, 1, mc_test_ints(2, 30, 40));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cpu_nn");
    TCase *t = tcase_create("implementations");
    const int n = tier_count();
    tcase_add_loop_test(t, matmul, 0, n);
    tcase_add_loop_test(t, conv, 0, n);
    tcase_add_loop_test(t, pools, 0, n);
    tcase_add_loop_test(t, lstm, 0, n);
    tcase_add_loop_test(t, fill, n - 1, n);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
