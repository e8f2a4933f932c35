/* Products, convolutions and pools: hand-checked cases, and convolutions against direct sums written here. */
#include "nn_case.h"

START_TEST(matmul_ranks)
{
    nn_begin("", "MatMul");
    NN_IN(F32, NN_D(2, 3), NN_V(1, 2, 3, 4, 5, 6));
    NN_IN(F32, NN_D(3), NN_V(1, 0, -1));
    nn_run();
    NN_WANT(0, F32, NN_D(2), NN_V(-2, -2), 0.0);
    nn_end();
    nn_begin("", "MatMul");
    NN_IN(F64, NN_D(2), NN_V(2, 3));
    NN_IN(F64, NN_D(2), NN_V(5, 7));
    nn_run();
    nn_want(0, NN_V(31), 0.0);
    ck_assert_int_eq(nn_out[0]->shape.rank, 0);
    nn_end();
    nn_begin("", "MatMul"); /* batch broadcast: [2,1,1,2] x [3,2,1] */
    NN_IN(F32, NN_D(2, 1, 1, 2), NN_V(1, 2, 3, 4));
    NN_IN(F32, NN_D(3, 2, 1), NN_V(1, 0, 0, 1, 1, 1));
    nn_run();
    NN_WANT(0, F32, NN_D(2, 3, 1, 1), NN_V(1, 2, 3, 3, 4, 7), 0.0);
    nn_end();
    nn_begin("", "MatMul");
    NN_IN(I32, NN_D(1, 2), NN_V(100000, 3));
    NN_IN(I32, NN_D(2, 1), NN_V(2, -1));
    nn_run();
    NN_WANT(0, I32, NN_D(1, 1), NN_V(199997), 0.0);
    nn_end();
    nn_begin("", "MatMul"); /* empty inner axis: zeros */
    nn_input(MCOMP_F32, NN_D(2, 0));
    nn_input(MCOMP_F32, NN_D(0, 2));
    nn_run();
    NN_WANT(0, F32, NN_D(2, 2), NN_V(0, 0, 0, 0), 0.0);
    nn_end();
}
END_TEST

START_TEST(gemm)
{
    nn_begin("", "Gemm");
    NN_IN(F32, NN_D(2, 1), NN_V(1, 2));           /* A' = [1 2] */
    NN_IN(F32, NN_D(3, 2), NN_V(1, 2, 3, 4, 5, 6)); /* B' = columns */
    NN_IN(F32, NN_D(3), NN_V(10, 20, 30));
    nn_i("transA", 1);
    nn_i("transB", 1);
    nn_f("alpha", 2.0f);
    nn_f("beta", 0.5f);
    nn_run();
    NN_WANT(0, F32, NN_D(1, 3), NN_V(15, 32, 49), 0.0);
    nn_end();
    nn_begin("", "Gemm");
    NN_IN(F32, NN_D(2, 1), NN_V(1, 2));
    NN_IN(F32, NN_D(1, 2), NN_V(3, 4));
    NN_IN(F32, NN_D(2, 1), NN_V(100, 200));
    nn_run();
    NN_WANT(0, F32, NN_D(2, 2), NN_V(103, 104, 206, 208), 0.0);
    nn_end();
}
END_TEST

/* Direct sums, zero outside; independent of the window code. */
static double direct(const mc_tensor *x, const mc_tensor *w, int64_t n, int64_t m, int64_t oy, int64_t ox, const int64_t *pads,
                     const int64_t *strides, const int64_t *dilations, int64_t group)
{
    const int64_t *d = x->shape.dim, *k = w->shape.dim;
    double sum = 0.0;
    for (int64_t c = 0; c < k[1]; c++)
        for (int64_t ky = 0; ky < k[2]; ky++)
            for (int64_t kx = 0; kx < k[3]; kx++) {
                const int64_t y = oy * strides[0] - pads[0] + ky * dilations[0], z = ox * strides[1] - pads[1] + kx * dilations[1];
                const int64_t channel = m / (k[0] / group) * k[1] + c;
                if (y < 0 || z < 0 || y >= d[2] || z >= d[3]) continue;
                sum += mc_tensor_get_f64(x, ((n * d[1] + channel) * d[2] + y) * d[3] + z) *
                       mc_tensor_get_f64(w, ((m * k[1] + c) * k[2] + ky) * k[3] + kx);
            }
    return sum;
}

START_TEST(conv_against_sums)
{
    const int64_t pads[4] = {1, 0, 2, 3}, strides[2] = {2, 1}, dilations[2] = {1, 2}, group = 2;
    nn_begin("", "Conv");
    const mc_tensor *x = nn_random(MCOMP_F32, NN_D(2, 4, 7, 6), 1), *w = nn_random(MCOMP_F32, NN_D(6, 2, 3, 2), 2);
    const mc_tensor *b = nn_random(MCOMP_F32, NN_D(6), 3);
    nn_ints("pads", pads, 4);
    nn_ints("strides", strides, 2);
    nn_ints("dilations", dilations, 2);
    nn_i("group", group);
    nn_run();
    nn_want_dims(0, MCOMP_F32, NN_D(2, 6, 4, 7)); /* (7+3-3)/2+1, (6+3-3)/1+1 */
    for (int64_t i = 0; i < mc_tensor_elements(nn_out[0]); i++) {
        const int64_t ox = i % 7, oy = i / 7 % 4, m = i / 28 % 6, n = i / 168;
        const double want = direct(x, w, n, m, oy, ox, pads, strides, dilations, group) + mc_tensor_get_f64(b, m);
        ck_assert_double_eq_tol(mc_tensor_get_f64(nn_out[0], i), want, 1e-6);
    }
    nn_end();
}
END_TEST

START_TEST(conv_auto_pad)
{
    nn_begin("", "Conv");
    NN_IN(F32, NN_D(1, 1, 4), NN_V(1, 2, 3, 4));
    NN_IN(F32, NN_D(1, 1, 2), NN_V(1, 10));
    nn_s("auto_pad", "SAME_UPPER");
    nn_run();
    NN_WANT(0, F32, NN_D(1, 1, 4), NN_V(21, 32, 43, 4), 0.0);
    nn_end();
    nn_begin("", "Conv");
    NN_IN(F32, NN_D(1, 1, 4), NN_V(1, 2, 3, 4));
    NN_IN(F32, NN_D(1, 1, 2), NN_V(1, 10));
    nn_s("auto_pad", "SAME_LOWER");
    nn_run();
    NN_WANT(0, F32, NN_D(1, 1, 4), NN_V(10, 21, 32, 43), 0.0);
    nn_end();
    nn_begin("", "Conv");
    NN_IN(F32, NN_D(1, 1, 4), NN_V(1, 2, 3, 4));
    NN_IN(F32, NN_D(1, 1, 2), NN_V(1, 10));
    nn_s("auto_pad", "VALID");
    nn_ints("strides", (int64_t[]){2}, 1);
    nn_run();
    NN_WANT(0, F32, NN_D(1, 1, 2), NN_V(21, 43), 0.0);
    nn_end();
}
END_TEST

START_TEST(conv_transpose)
{
    nn_begin("", "ConvTranspose"); /* scatter with stride 2, output_padding 1 */
    NN_IN(F32, NN_D(1, 1, 3), NN_V(1, 2, 3));
    NN_IN(F32, NN_D(1, 1, 3), NN_V(1, 10, 100));
    nn_ints("strides", (int64_t[]){2}, 1);
    nn_ints("output_padding", (int64_t[]){1}, 1);
    nn_run();
    NN_WANT(0, F32, NN_D(1, 1, 8), NN_V(1, 10, 102, 20, 203, 30, 300, 0), 0.0);
    nn_end();
    nn_begin("", "ConvTranspose");
    NN_IN(F32, NN_D(1, 2, 2), NN_V(1, 2, 3, 4));
    NN_IN(F32, NN_D(2, 1, 2), NN_V(1, 1, 10, 10));
    NN_IN(F32, NN_D(2), NN_V(0.5, -0.5));
    nn_i("group", 2);
    nn_ints("pads", (int64_t[]){1, 0}, 2);
    nn_run();
    NN_WANT(0, F32, NN_D(1, 2, 2), NN_V(3.5, 2.5, 69.5, 39.5), 0.0);
    nn_end();
}
END_TEST

START_TEST(max_pool)
{
    nn_begin_outs("", "MaxPool", 2);
    NN_IN(F32, NN_D(1, 1, 3, 4), NN_V(1, 2, 3, 4, 9, 8, 7, 6, 1, 1, 1, 5));
    nn_ints("kernel_shape", (int64_t[]){2, 2}, 2);
    nn_ints("strides", (int64_t[]){2, 2}, 2);
    nn_i("ceil_mode", 1);
    nn_run();
    NN_WANT(0, F32, NN_D(1, 1, 2, 2), NN_V(9, 7, 1, 5), 0.0);
    NN_WANT(1, I64, NN_D(1, 1, 2, 2), NN_V(4, 6, 8, 11), 0.0);
    nn_end();
    nn_begin_outs("", "MaxPool", 2); /* column-major indices */
    NN_IN(F32, NN_D(1, 1, 2, 3), NN_V(1, 2, 3, 4, 9, 6));
    nn_ints("kernel_shape", (int64_t[]){2, 2}, 2);
    nn_i("storage_order", 1);
    nn_run();
    NN_WANT(1, I64, NN_D(1, 1, 1, 2), NN_V(3, 3), 0.0);
    nn_end();
    nn_begin("", "MaxPool");
    NN_IN(I8, NN_D(1, 1, 5), NN_V(-5, -3, -9, -1, -7));
    nn_ints("kernel_shape", (int64_t[]){2}, 1);
    nn_ints("dilations", (int64_t[]){2}, 1);
    nn_ints("pads", (int64_t[]){1, 1}, 2);
    nn_run();
    NN_WANT(0, I8, NN_D(1, 1, 5), NN_V(-3, -5, -1, -7, -1), 0.0);
    nn_end();
}
END_TEST

START_TEST(average_pool)
{
    nn_begin("", "AveragePool");
    NN_IN(F32, NN_D(1, 1, 4), NN_V(1, 2, 3, 4));
    nn_ints("kernel_shape", (int64_t[]){3}, 1);
    nn_ints("strides", (int64_t[]){2}, 1);
    nn_ints("pads", (int64_t[]){1, 0}, 2);
    nn_i("ceil_mode", 1);
    nn_run();
    NN_WANT(0, F32, NN_D(1, 1, 2), NN_V(1.5, 3), 1e-6);
    nn_end();
    nn_begin("", "AveragePool"); /* padding counts, what ceil_mode adds does not */
    NN_IN(F32, NN_D(1, 1, 4), NN_V(1, 2, 3, 4));
    nn_ints("kernel_shape", (int64_t[]){3}, 1);
    nn_ints("strides", (int64_t[]){3}, 1);
    nn_ints("pads", (int64_t[]){1, 0}, 2);
    nn_i("ceil_mode", 1);
    nn_i("count_include_pad", 1);
    nn_run();
    NN_WANT(0, F32, NN_D(1, 1, 2), NN_V(1, 3.5), 1e-6);
    nn_end();
    nn_begin("", "GlobalAveragePool");
    NN_IN(F32, NN_D(1, 2, 2, 1), NN_V(1, 3, 10, 20));
    nn_run();
    NN_WANT(0, F32, NN_D(1, 2, 1, 1), NN_V(2, 15), 0.0);
    nn_end();
    nn_begin("mcomp", "GlobalMaxPool"); /* channels last */
    NN_IN(F32, NN_D(1, 2, 1, 2), NN_V(1, 10, 3, 5));
    nn_run();
    NN_WANT(0, F32, NN_D(1, 1, 1, 2), NN_V(3, 10), 0.0);
    nn_end();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("nn_conv");
    TCase *t = tcase_create("all");
    tcase_add_test(t, matmul_ranks);
    tcase_add_test(t, gemm);
    tcase_add_test(t, conv_against_sums);
    tcase_add_test(t, conv_auto_pad);
    tcase_add_test(t, conv_transpose);
    tcase_add_test(t, max_pool);
    tcase_add_test(t, average_pool);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
