/* Integer implementations of the built-in backend against the operators' references, bit for bit, on every tier. */
#include <stdlib.h>

#include "kernels/kernels.h"
#include "int8_case.h"

static const char *const tiers[] = {"ref", "avx2", "avx512", "avx512_vnni", "amx"};

static void check(int tier, const char *kernel, const char *op, const char *attrs, uint32_t constant, int32_t n_in, mc_tensor *const *in)
{
    const int onnx = (strstr(op, "Linear") != NULL && op[1] != 'L') || strstr(op, "Integer") != NULL;
    mc_node_case c = {.domain = onnx ? "" : "mcomp", .op = op, .attrs = attrs, .n_in = n_in, .n_out = strncmp(op, "Dyn", 3) == 0 ? 3 : 1, .constant = constant, .kernel = kernel};
    setenv("MCOMP_ISA", tiers[tier], 1);
    for (int32_t k = 0; k < n_in; k++) c.in[k] = in[k];
    mc_ck_node(&c);
}
#define CHECK(kernel, op, attrs, constant, ...)                                                                        \
    check(_i, kernel, op, attrs, constant, (int32_t)(sizeof((mc_tensor *[]){__VA_ARGS__}) / sizeof(mc_tensor *)),      \
          (mc_tensor *[]){__VA_ARGS__})

static mc_tensor *positive(uint64_t seed, int64_t n)
{
    mc_tensor *t = mc_test_tensor(MCOMP_F32, &n, 1, seed);
    for (int64_t i = 0; i < n; i++) ((float *)t->data)[i] = 0.008f + 0.005f * ((float *)t->data)[i];
    return t;
}

START_TEST(linear)
{
    static const int shapes[][3] = {{1, 7, 5}, {1, 768, 300}, {33, 64, 100}, {128, 48, 33}, {300, 40, 70}, {7, 384, 96}, {65, 1030, 17}, {3, 5, 1}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const int m = shapes[i][0], k = shapes[i][1], n = shapes[i][2];
        CHECK("qgemm", "QLinear", X, 6, U8(1, m, k), S8(2, k, n), SCALES(3, n));
        CHECK("qgemm", "QLinear", XS Y "trans_w=1 act='relu'", 14, S8(1, 1, m, k), S8(2, n, k), SCALES(3, n), F(4, n));
        CHECK("qgemm", "QLinear", X YS "act='gelu'", 14, F(1, m, k), S8(2, k, n), SCALES(3, n), F(4, n));
        CHECK("qgemm", "QLinear", "mode='token' act='gelu'", 14, F(1, m, k), S8(2, k, n), SCALES(3, n), F(4, n));
        CHECK("qgemm", "QLinear", "mode='token' ln_eps=0.001f", 14 + 96, F(1, m, k), S8(2, k, n), SCALES(3, n), F(4, n), F(5, m, n), F(6, n), F(7, n));
        CHECK("qgemm", "QLinear", "mode='tensor' post_act='tanh' trans_w=1", 14, F(1, m, k), S8(2, n, k), SCALES(3, n), F(4, n), F(5, m, n));
        CHECK("qgemm", "QLinear", X Y "r_scale=0.03f r_zp=7 r_dtype=2 post_act='relu'", 14, U8(1, m, k), S8(2, k, n), SCALES(3, n), F(4, n), U8(5, m, n));
        CHECK("qgemm", "QLinear", X Y "m_scale=0.04f m_zp=5 m_dtype=3 r_scale=0.03f r_zp=7 r_dtype=2 post_act='relu'", 14, U8(1, m, k), S8(2, k, n), SCALES(3, n), F(4, n), U8(5, m, n));
        CHECK("qgemm", "QLinear", X Y "r_scale=0.03f r_zp=7 r_dtype=3 ln_eps=0.001f", 14 + 96, U8(1, m, k), S8(2, k, n), SCALES(3, n), F(4, n), S8(5, m, n), F(6, n), F(7, n));
    }
    CHECK("qgemm", "QLinear", "mode='tensor'", 6, F(1, 500, 257), S8(2, 257, 20), SCALES(3, 20));
}
END_TEST

#define S4X1(seed, trans, k, n) pruned(seed, trans, k, n) /* weights [k, n], or [n, k], a quarter of the 4x1 blocks kept */
static mc_tensor *pruned(uint64_t seed, int trans, int64_t k, int64_t n)
{
    const int64_t dims[] = {trans ? n : k, trans ? k : n};
    mc_tensor *t = bytes(MCOMP_I8, dims, 2, seed);
    for (int64_t i = 0; i < k; i++)
        for (int64_t j = 0; j < n; j++) {
            uint64_t block = (uint64_t)(i * 7919 + j / 4 * 104729) + seed * 31;
            if (mc_test_random(&block) > -0.5f) ((int8_t *)t->data)[trans ? j * k + i : i * n + j] = 0;
        }
    return t;
}

/* The sparse kernel, for weights that are pruned and for such as are not. */
START_TEST(sparse)
{
    static const int shapes[][3] = {{1, 7, 5}, {1, 768, 300}, {33, 64, 100}, {128, 48, 533}, {300, 40, 70}, {8, 384, 96}, {65, 1030, 17}, {16, 96, 700}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const int m = shapes[i][0], k = shapes[i][1], n = shapes[i][2];
        CHECK("qgemm_sparse4x1", "QLinear", X "sparse=1", 6, U8(1, m, k), S4X1(2, 0, k, n), SCALES(3, n));
        CHECK("qgemm_sparse4x1", "QLinear", XS Y "sparse=1 trans_w=1 act='relu'", 14, S8(1, 1, m, k), S4X1(2, 1, k, n), SCALES(3, n), F(4, n));
        CHECK("qgemm_sparse4x1", "QLinear", X YS "sparse=1 act='gelu'", 14, F(1, m, k), S8(2, k, n), SCALES(3, n), F(4, n));
        CHECK("qgemm_sparse4x1", "QLinear", "sparse=1 mode='token' ln_eps=0.001f", 14 + 96, F(1, m, k), S4X1(2, 0, k, n), SCALES(3, n), F(4, n), F(5, m, n), F(6, n), F(7, n));
        CHECK("qgemm_sparse4x1", "QLinear", "sparse=1 mode='tensor' post_act='tanh' trans_w=1", 14, F(1, m, k), S4X1(2, 1, k, n), SCALES(3, n), F(4, n), F(5, m, n));
        CHECK("qgemm_sparse4x1", "QLinear", X Y "sparse=1 r_scale=0.03f r_zp=7 r_dtype=3 ln_eps=0.001f", 14 + 96, U8(1, m, k), S4X1(2, 0, k, n), SCALES(3, n), F(4, n), S8(5, m, n), F(6, n), F(7, n));
        CHECK("qgemm:", "QLinear", X "sparse=-1", 6, U8(1, m, k), S4X1(2, 0, k, n), SCALES(3, n));
    }
    CHECK("qgemm_s32_sparse4x1", "MatMulInteger", "sparse=1", 2, U8(1, 3, 17, 64), S4X1(2, 0, 64, 33));
    CHECK("qgemm_s32_sparse4x1", "MatMulInteger", "sparse=1", 2 + 8, U8(1, 70, 37), U8(2, 37, 200), U8(3, 1), U8(4, 1));
    CHECK("qconv_sparse4x1", "QConv", X Y "sparse=1 strides=[2,2]", 14, U8(1, 2, 9, 7, 8), S8(2, 20, 8, 1, 1), SCALES(3, 20), F(4, 20));
    CHECK("qconv_sparse4x1", "QConv", XS YS "sparse=1 pads=[1,1,1,1]", 14, S8(1, 2, 9, 7, 8), S8(2, 70, 8, 3, 3), SCALES(3, 70), F(4, 70));
    CHECK("qconv_sparse4x1", "QConv", X Y "sparse=1 pads=[1,1,1,1] group=4", 6, U8(1, 2, 9, 11, 12), S8(2, 20, 3, 3, 3), SCALES(3, 20));
    CHECK("qconv_sparse4x1", "QConv", Y "sparse=1 pads=[1,1,1,1]", 6, U8(1, 2, 9, 11, 12), S8(2, 20, 12, 3, 3), SCALES(3, 20), NULL, NULL, SCALES(6, 1), U8(7, 1));
}
END_TEST

START_TEST(conv)
{
    CHECK("qconv", "QConv", X, 6, U8(1, 2, 9, 7, 8), S8(2, 20, 8, 1, 1), SCALES(3, 20));
    CHECK("qconv", "QConv", X Y "strides=[2,2]", 14, U8(1, 2, 9, 7, 8), S8(2, 20, 8, 1, 1), SCALES(3, 20), F(4, 20));
    CHECK("qconv", "QConv", XS YS "pads=[1,1,1,1]", 14, S8(1, 2, 9, 7, 8), S8(2, 70, 8, 3, 3), SCALES(3, 70), F(4, 70));
    CHECK("qconv", "QConv", XS Y "pads=[3,3,3,3] strides=[2,2] act='relu'", 14, S8(1, 1, 37, 41, 3), S8(2, 64, 3, 7, 7), SCALES(3, 64), F(4, 64));
    CHECK("qconv", "QConv", X Y "pads=[0,2,1,0] strides=[1,3] dilations=[2,3]", 6, U8(1, 3, 20, 23, 5), S8(2, 17, 5, 3, 2), SCALES(3, 17));
    CHECK("qconv", "QConv", X Y "pads=[1,1,1,1] group=4", 6, U8(1, 2, 9, 11, 12), S8(2, 20, 3, 3, 3), SCALES(3, 20));
    /* scale and zero point of X as operands */
    CHECK("qconv", "QConv", Y "pads=[1,1,1,1]", 6, U8(1, 2, 9, 11, 12), S8(2, 20, 12, 3, 3), SCALES(3, 20), NULL, NULL, SCALES(6, 1), U8(7, 1));
    CHECK("qconv", "QConv", "pads=[1,0,2,1] strides=[2,2] group=3 act='relu'", 14, S8(1, 1, 9, 11, 12), S8(2, 21, 4, 3, 3), SCALES(3, 21), F(4, 21), NULL, SCALES(6, 1), S8(7, 1));
    CHECK("qconv", "QConv", "", 6, U8(1, 1, 8, 8, 16), S8(2, 40, 16, 1, 1), SCALES(3, 40), NULL, NULL, SCALES(6, 1), U8(7, 1));
    CHECK("qconv", "QConv", X "group=2", 6, U8(1, 2, 9, 11, 8), S8(2, 6, 4, 3, 3), SCALES(3, 6));
    CHECK("qconv", "QConv", X Y "pads=[2,2] r_scale=0.03f r_zp=7 r_dtype=3 post_act='relu'", 14, U8(1, 2, 40, 6), S8(2, 33, 6, 5), SCALES(3, 33), F(4, 33), S8(5, 2, 40, 33));
    CHECK("qconv", "QConv", X Y "m_scale=0.04f m_zp=-5 m_dtype=3 r_scale=0.03f r_zp=7 r_dtype=2 post_act='relu'", 14, U8(1, 1, 9, 11, 8), S8(2, 81, 8, 1, 1), SCALES(3, 81), F(4, 81), U8(5, 1, 9, 11, 81));
    CHECK("qconv", "QConv", X "m_scale=0.04f m_zp=100 m_dtype=2 r_scale=0.03f r_zp=7 r_dtype=3", 14, U8(1, 1, 9, 11, 8), S8(2, 40, 8, 1, 1), SCALES(3, 40), F(4, 40), S8(5, 1, 9, 11, 40));
    CHECK("qconv", "QConv", X "strides=[2] dilations=[2]", 6, U8(1, 2, 140, 4), S8(2, 3, 4, 3), SCALES(3, 3));
    CHECK("qconv", "QConv", X Y "pads=[1,1,1,1] act='relu'", 14, U8(1, 1, 14, 14, 64), S8(2, 96, 64, 3, 3), SCALES(3, 96), F(4, 96));
    CHECK("qconv", "QConv", X Y "pads=[5,5,5,5]", 6, U8(1, 1, 3, 2, 4), S8(2, 4, 4, 2, 2), SCALES(3, 4));
    CHECK("qconv", "QConv", X Y "pads=[0,0,0,150]", 6, U8(1, 1, 3, 2, 4), S8(2, 4, 4, 2, 2), SCALES(3, 4));
}
END_TEST

START_TEST(depthwise)
{
    CHECK("qdepthwise", "QConv", X Y "group=8", 6, U8(1, 2, 9, 7, 8), S8(2, 8, 1, 3, 3), SCALES(3, 8));
    CHECK("qdepthwise", "QConv", XS YS "group=40 pads=[1,1,1,1] act='clip' act_lo=0.0f act_hi=0.6f", 14, S8(1, 2, 9, 45, 40), S8(2, 40, 1, 3, 3), SCALES(3, 40), F(4, 40));
    CHECK("qdepthwise", "QConv", X Y "group=33 pads=[2,2,2,2] strides=[2,2]", 14, U8(1, 1, 20, 19, 33), S8(2, 33, 1, 5, 5), SCALES(3, 33), F(4, 33));
    CHECK("qdepthwise", "QConv", X "group=17 pads=[1,2] strides=[2] dilations=[2]", 6, U8(1, 1, 50, 17), S8(2, 17, 1, 4), SCALES(3, 17));
    CHECK("qdepthwise", "QConv", X Y "group=5 r_scale=0.03f r_zp=7 r_dtype=2", 6, U8(1, 1, 4, 4, 5), S8(2, 5, 1, 1, 1), SCALES(3, 5), NULL, U8(4, 1, 4, 4, 5));
    CHECK("qdepthwise", "QConv", X Y "group=5 m_scale=0.02f m_zp=90 m_dtype=2 r_scale=0.03f r_zp=7 r_dtype=2", 6, U8(1, 1, 4, 4, 5), S8(2, 5, 1, 1, 1), SCALES(3, 5), NULL, U8(4, 1, 4, 4, 5));
    CHECK("qconv", "QConv", X Y "group=4", 6, U8(1, 2, 9, 7, 4), S8(2, 8, 1, 3, 3), SCALES(3, 8)); /* two filters a channel */
}
END_TEST

START_TEST(pools)
{
    CHECK("qmaxpool", "MaxPool", "kernel_shape=[3,3] strides=[2,2] pads=[1,1,1,1]", 0, U8(1, 2, 13, 11, 40));
    CHECK("qmaxpool", "MaxPool", "kernel_shape=[3,2] dilations=[2,1]", 0, S8(1, 2, 13, 11, 5));
    CHECK("qmaxpool", "MaxPool", "kernel_shape=[9,9] pads=[4,4,4,4]", 0, S8(1, 1, 12, 12, 33));
    CHECK("qmaxpool", "MaxPool", "kernel_shape=[2] strides=[2] ceil_mode=1", 0, U8(1, 2, 13, 7));
    CHECK("qmaxpool", "GlobalMaxPool", NULL, 0, S8(1, 2, 9, 11, 6));
    CHECK("qavgpool", "QGlobalAveragePool", X Y, 0, U8(1, 2, 7, 7, 70));
    CHECK("qavgpool", "QGlobalAveragePool", XS, 0, S8(1, 1, 20, 33, 3));
    CHECK("qavgpool", "QAveragePool", XS YS "kernel_shape=[3,3] strides=[2,2] pads=[1,1,1,1]", 0, S8(1, 2, 13, 11, 20));
    CHECK("qavgpool", "QAveragePool", X Y "kernel_shape=[3,3] strides=[2,2] pads=[1,1,1,1] count_include_pad=1 ceil_mode=1", 0, U8(1, 2, 12, 10, 20));
    CHECK("qavgpool", "QAveragePool", X "kernel_shape=[3] dilations=[2]", 0, U8(1, 2, 12, 10));
}
END_TEST

START_TEST(elementwise)
{
    static const char table_attrs[] = "";
    CHECK("qadd", "QAdd", "a_scale=0.02f a_zp=3 a_dtype=2 b_scale=0.03f b_zp=-7 b_dtype=3 " Y, 0, U8(1, 3, 50), S8(2, 3, 50));
    CHECK("qadd", "QAdd", "a_scale=0.02f a_zp=3 a_dtype=2 b_scale=0.03f b_zp=7 b_dtype=2 act='relu'", 0, U8(1, 333, 350), U8(2, 333, 350));
    CHECK("qlut", "QLut", table_attrs, 2, U8(1, 333, 350), S8(2, 256));
    CHECK("qlut", "QLut", table_attrs, 2, S8(1, 33), U8(2, 256));
}
END_TEST

START_TEST(casts)
{
    CHECK("quantize", "QuantizeLinear", NULL, 0, F(1, 3, 77), positive(2, 1), U8(3, 1));
    CHECK("quantize", "QuantizeLinear", NULL, 6, F(1, 30, 2000), positive(2, 1), S8(3, 1));
    CHECK("quantize", "QuantizeLinear", "axis=0", 0, F(1, 40, 384), positive(2, 40), S8(3, 40));
    CHECK("quantize", "QuantizeLinear", "axis=1", 0, F(1, 4, 3, 70, 5), positive(2, 3));
    CHECK("dequantize", "DequantizeLinear", NULL, 0, U8(1, 300, 301), positive(2, 1), U8(3, 1));
    CHECK("dequantize", "DequantizeLinear", "axis=-1", 0, S8(1, 20, 31), positive(2, 31), S8(3, 31));
    CHECK("dequantize", "DequantizeLinear", "axis=0", 0, S8(1, 20, 31), positive(2, 20));
    CHECK("dynamic_quantize", "DynamicQuantizeLinear", NULL, 0, F(1, 20, 31));
    CHECK("dynamic_quantize", "DynamicQuantizeLinear", NULL, 0, F(1, 200, 1001));
}
END_TEST

START_TEST(matmul_integer)
{
    CHECK("qgemm_s32", "MatMulInteger", NULL, 2, U8(1, 3, 17, 64), S8(2, 64, 33));
    CHECK("qgemm_s32", "MatMulInteger", NULL, 2, S8(1, 70, 37), S8(2, 37, 200), S8(3, 1));
    CHECK("qgemm_s32", "MatMulInteger", NULL, 2 + 8, U8(1, 70, 37), U8(2, 37, 200), U8(3, 1), U8(4, 1));
    CHECK("qgemm_s32", "MatMulInteger", NULL, 2 + 8, U8(1, 5, 37), S8(2, 37, 20), U8(3, 1), S8(4, 20));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cpu_int8");
    TCase *t = tcase_create("implementations");
    const int n = (int)mc_cpu_isa_max() + 1;
    tcase_add_loop_test(t, linear, 0, n);
    tcase_add_loop_test(t, sparse, 0, n);
    tcase_add_loop_test(t, conv, 0, n);
    tcase_add_loop_test(t, depthwise, 0, n);
    tcase_add_loop_test(t, pools, 0, n);
    tcase_add_loop_test(t, elementwise, 0, n);
    tcase_add_loop_test(t, casts, 0, n);
    tcase_add_loop_test(t, matmul_integer, 0, n);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
