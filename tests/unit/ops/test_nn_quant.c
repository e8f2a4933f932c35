/* QuantizeLinear and its family: ties, saturation, granularity, and integer products with zero points. */
#include "nn_case.h"

START_TEST(quantize_ties)
{
    nn_begin("", "QuantizeLinear");
    NN_IN(F32, NN_D(8), NN_V(0.5, 1.5, 2.5, -0.5, -1.5, 300, -300, NAN));
    nn_scalar(MCOMP_F32, 1.0);
    nn_scalar(MCOMP_I8, 1);
    nn_run();
    NN_WANT(0, I8, NN_D(8), NN_V(1, 3, 3, 1, -1, 127, -128, 1), 0.0); /* rounded before the zero point is added */
    nn_end();
    nn_begin("", "QuantizeLinear"); /* no zero point: u8; a division, not a product with 1 / 3 */
    NN_IN(F32, NN_D(3), NN_V(-1, 4.5, 1e9));
    nn_scalar(MCOMP_F32, 3.0);
    nn_run();
    NN_WANT(0, U8, NN_D(3), NN_V(0, 2, 255), 0.0);
    nn_end();
    nn_begin("", "QuantizeLinear");
    NN_IN(F32, NN_D(5), NN_V(-9, -8.5, 6.5, 7.5, 0.4));
    nn_scalar(MCOMP_F32, 1.0);
    nn_i("output_dtype", MCOMP_I4);
    nn_run();
    NN_WANT(0, I4, NN_D(5), NN_V(-8, -8, 6, 7, 0), 0.0);
    nn_end();
}
END_TEST

START_TEST(quantize_axis)
{
    nn_begin("", "QuantizeLinear");
    NN_IN(F32, NN_D(2, 2, 2), NN_V(1, 2, 10, 20, -1, -2, -10, -20));
    NN_IN(F32, NN_D(2), NN_V(1, 10));
    NN_IN(U8, NN_D(2), NN_V(0, 128));
    nn_run();
    NN_WANT(0, U8, NN_D(2, 2, 2), NN_V(1, 2, 129, 130, 0, 0, 127, 126), 0.0);
    nn_end();
    nn_begin("", "DequantizeLinear");
    NN_IN(U8, NN_D(2, 2), NN_V(1, 2, 129, 130));
    NN_IN(F32, NN_D(2), NN_V(0.5, 10));
    NN_IN(U8, NN_D(2), NN_V(0, 128));
    nn_i("axis", -2);
    nn_run();
    NN_WANT(0, F32, NN_D(2, 2), NN_V(0.5, 1, 10, 20), 0.0);
    nn_end();
    nn_begin("", "DequantizeLinear");
    NN_IN(I32, NN_D(2), NN_V(-1000000, 7));
    nn_scalar(MCOMP_F32, 0.5);
    nn_run();
    NN_WANT(0, F32, NN_D(2), NN_V(-500000, 3.5), 0.0);
    nn_end();
}
END_TEST

START_TEST(blocked)
{
    nn_begin("", "DequantizeLinear"); /* axis 0 of 5 in blocks of 2: 3 blocks, the last ragged */
    NN_IN(I8, NN_D(5, 2), NN_V(1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
    NN_IN(F32, NN_D(3, 2), NN_V(1, 10, 100, 1000, 2, 3));
    NN_IN(I8, NN_D(3, 2), NN_V(0, 0, 1, 0, 0, 0));
    nn_i("axis", 0);
    nn_i("block_size", 2);
    nn_run();
    NN_WANT(0, F32, NN_D(5, 2), NN_V(1, 20, 3, 40, 400, 6000, 600, 8000, 18, 30), 0.0);
    nn_end();
    nn_begin("", "QuantizeLinear");
    NN_IN(F32, NN_D(2, 3), NN_V(1, 2, 3, 4, 5, 6));
    NN_IN(F32, NN_D(2, 2), NN_V(1, 3, 2, 6));
    nn_i("block_size", 2);
    nn_run();
    NN_WANT(0, U8, NN_D(2, 3), NN_V(1, 2, 1, 2, 2, 1), 0.0);
    nn_end();
}
END_TEST

START_TEST(dynamic)
{
    nn_begin_outs("", "DynamicQuantizeLinear", 3);
    NN_IN(F32, NN_D(3), NN_V(-1, 0, 1.55));
    nn_run();
    NN_WANT(0, U8, NN_D(3), NN_V(0, 100, 255), 0.0);
    nn_want(1, NN_V(0.01), 1e-9);
    nn_want(2, NN_V(100), 0.0);
    nn_end();
    nn_begin_outs("", "DynamicQuantizeLinear", 3); /* all zero: nothing divides by zero */
    NN_IN(F32, NN_D(2), NN_V(0, 0));
    nn_run();
    nn_want(0, NN_V(0, 0), 0.0);
    nn_want(1, NN_V(1), 0.0);
    nn_want(2, NN_V(0), 0.0);
    nn_end();
}
END_TEST

START_TEST(bad_scales)
{
    const double bad[] = {0.0, -1.0, NAN, INFINITY};
    for (int i = 0; i < 4; i++) {
        nn_begin("", "QuantizeLinear");
        NN_IN(F32, NN_D(1), NN_V(1));
        nn_scalar(MCOMP_F32, bad[i]);
        nn_fails(MCOMP_RANGE);
    }
    nn_begin("", "DequantizeLinear"); /* wrong number of scales */
    NN_IN(U8, NN_D(2, 3), NN_V(1, 2, 3, 4, 5, 6));
    NN_IN(F32, NN_D(2), NN_V(1, 1));
    nn_fails(MCOMP_SHAPE);
    nn_begin("", "DequantizeLinear"); /* axis out of range */
    NN_IN(U8, NN_D(2), NN_V(1, 2));
    NN_IN(F32, NN_D(2), NN_V(1, 1));
    nn_i("axis", -9);
    nn_fails(MCOMP_FORMAT);
    nn_begin("", "DequantizeLinear"); /* zero point of another type */
    NN_IN(U8, NN_D(2), NN_V(1, 2));
    nn_scalar(MCOMP_F32, 1);
    nn_scalar(MCOMP_I8, 1);
    nn_fails(MCOMP_DTYPE);
}
END_TEST

START_TEST(integer_products)
{
    nn_begin("", "MatMulInteger"); /* a zero point a row of A, one a column of B */
    NN_IN(U8, NN_D(2, 2), NN_V(255, 0, 10, 20));
    NN_IN(I8, NN_D(2, 2), NN_V(1, -128, 2, 127));
    NN_IN(U8, NN_D(2), NN_V(128, 10));
    NN_IN(I8, NN_D(2), NN_V(0, -1));
    nn_run();
    NN_WANT(0, I32, NN_D(2, 2), NN_V(127 - 256, 127.0 * -127 - 128.0 * 128, 20, 1280), 0.0);
    nn_end();
    nn_begin("", "QLinearMatMul");
    NN_IN(U8, NN_D(1, 2), NN_V(130, 126)); /* 1, -1 */
    nn_scalar(MCOMP_F32, 0.5);
    nn_scalar(MCOMP_U8, 128);
    NN_IN(I8, NN_D(2, 2), NN_V(10, 100, -3, 5));
    NN_IN(F32, NN_D(2), NN_V(1, 2));
    NN_IN(I8, NN_D(2), NN_V(0, 0));
    nn_scalar(MCOMP_F32, 2.0);
    nn_scalar(MCOMP_U8, 100);
    nn_run(); /* acc = 2*13, 2*95; times .5*1/2, .5*2/2 -> 6.5 (to even 6), 95 */
    NN_WANT(0, U8, NN_D(1, 2), NN_V(106, 195), 0.0);
    nn_end();
}
END_TEST

START_TEST(integer_convolutions)
{
    nn_begin("", "ConvInteger"); /* padding counts as the zero point */
    NN_IN(U8, NN_D(1, 1, 3), NN_V(11, 12, 13));
    NN_IN(U8, NN_D(1, 1, 2), NN_V(2, 4));
    nn_scalar(MCOMP_U8, 10);
    nn_scalar(MCOMP_U8, 1);
    nn_ints("pads", (int64_t[]){1, 1}, 2);
    nn_run();
    NN_WANT(0, I32, NN_D(1, 1, 4), NN_V(3, 7, 11, 3), 0.0);
    nn_end();
    nn_begin("", "QLinearConv");
    NN_IN(U8, NN_D(1, 2, 2), NN_V(130, 131, 10, 255));
    nn_scalar(MCOMP_F32, 0.5);
    nn_scalar(MCOMP_U8, 128);
    NN_IN(I8, NN_D(2, 1, 1), NN_V(3, -2));
    NN_IN(F32, NN_D(2), NN_V(1, 0.5));
    NN_IN(I8, NN_D(2), NN_V(0, 0));
    nn_scalar(MCOMP_F32, 1.0);
    nn_scalar(MCOMP_I8, -5);
    NN_IN(I32, NN_D(2), NN_V(1, 0));
    nn_i("group", 2);
    nn_run(); /* (6+1)*.5=3.5->4, (9+1)*.5=5; -118*-2*.25=59, 127*-2*.25=-63.5->-64 */
    NN_WANT(0, I8, NN_D(1, 2, 2), NN_V(-1, 0, 54, -69), 0.0);
    nn_end();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("nn_quant");
    TCase *t = tcase_create("all");
    tcase_add_test(t, quantize_ties);
    tcase_add_test(t, quantize_axis);
    tcase_add_test(t, blocked);
    tcase_add_test(t, dynamic);
    tcase_add_test(t, bad_scales);
    tcase_add_test(t, integer_products);
    tcase_add_test(t, integer_convolutions);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
