/* Softmax, normalizations, LRN, Resize: hand-checked cases. */
#include "nn_case.h"

START_TEST(softmax)
{
    const double e = exp(1.0), s = 1.0 + e;
    nn_begin("", "Softmax");
    NN_IN(F32, NN_D(2, 2), NN_V(1000, 1001, -INFINITY, 5));
    nn_run();
    NN_WANT(0, F32, NN_D(2, 2), NN_V(1 / s, e / s, 0, 1), 1e-7);
    nn_end();
    nn_begin("", "LogSoftmax");
    NN_IN(F64, NN_D(2, 2), NN_V(0, 7, 1, 7));
    nn_i("axis", 0);
    nn_run();
    NN_WANT(0, F64, NN_D(2, 2), NN_V(-log(s), -log(2.0), 1 - log(s), -log(2.0)), 1e-12);
    nn_end();
}
END_TEST

START_TEST(layer_normalization)
{
    const double r = 1.0 / sqrt(1.0 + 0.5);
    nn_begin_outs("", "LayerNormalization", 3);
    NN_IN(F32, NN_D(2, 2), NN_V(1, 3, -2, 0));
    NN_IN(F32, NN_D(2), NN_V(2, 10));
    NN_IN(F32, NN_D(2), NN_V(0, 1));
    nn_f("epsilon", 0.5f);
    nn_run();
    NN_WANT(0, F32, NN_D(2, 2), NN_V(-2 * r, 10 * r + 1, -2 * r, 10 * r + 1), 1e-6);
    NN_WANT(1, F32, NN_D(2, 1), NN_V(2, -1), 0.0);
    NN_WANT(2, F32, NN_D(2, 1), NN_V(r, r), 1e-7);
    nn_end();
    nn_begin("", "LayerNormalization"); /* over both axes, no bias */
    NN_IN(F32, NN_D(2, 2), NN_V(1, 1, 3, 3));
    NN_IN(F32, NN_D(2, 2), NN_V(1, 2, 3, 4));
    nn_i("axis", 0);
    nn_f("epsilon", 0.0f);
    nn_run();
    NN_WANT(0, F32, NN_D(2, 2), NN_V(-1, -2, 3, 4), 1e-6);
    nn_end();
    nn_begin("", "RMSNormalization");
    NN_IN(F32, NN_D(1, 2), NN_V(3, 4));
    NN_IN(F32, NN_D(2), NN_V(1, 10));
    nn_f("epsilon", 0.0f);
    nn_run();
    NN_WANT(0, F32, NN_D(1, 2), NN_V(3 / sqrt(12.5), 40 / sqrt(12.5)), 1e-6);
    nn_end();
}
END_TEST

START_TEST(channel_normalization)
{
    nn_begin("", "BatchNormalization");
    NN_IN(F32, NN_D(1, 2, 2), NN_V(1, 2, 3, 4));
    NN_IN(F32, NN_D(2), NN_V(2, 1));
    NN_IN(F32, NN_D(2), NN_V(0.5, 0));
    NN_IN(F32, NN_D(2), NN_V(1, 3));
    NN_IN(F32, NN_D(2), NN_V(4, 0.25));
    nn_f("epsilon", 0.0f);
    nn_run();
    NN_WANT(0, F32, NN_D(1, 2, 2), NN_V(0.5, 1.5, 0, 2), 1e-6);
    nn_end();
    nn_begin("", "InstanceNormalization");
    NN_IN(F32, NN_D(1, 2, 2), NN_V(1, 3, 10, 30));
    NN_IN(F32, NN_D(2), NN_V(1, 2));
    NN_IN(F32, NN_D(2), NN_V(0, 5));
    nn_f("epsilon", 0.0f);
    nn_run();
    NN_WANT(0, F32, NN_D(1, 2, 2), NN_V(-1, 1, 3, 7), 1e-6);
    nn_end();
    nn_begin("", "GroupNormalization");
    NN_IN(F32, NN_D(1, 4, 1), NN_V(1, 3, 10, 30));
    NN_IN(F32, NN_D(4), NN_V(1, 2, 3, 4));
    NN_IN(F32, NN_D(4), NN_V(0, 0, 0, 1));
    nn_i("num_groups", 2);
    nn_f("epsilon", 0.0f);
    nn_run();
    NN_WANT(0, F32, NN_D(1, 4, 1), NN_V(-1, 2, -3, 5), 1e-6);
    nn_end();
    nn_begin("", "LRN");
    NN_IN(F32, NN_D(1, 3, 1, 1), NN_V(1, 2, 3));
    nn_i("size", 2); /* one channel up, none down */
    nn_f("alpha", 2.0f);
    nn_f("beta", 1.0f);
    nn_run();
    NN_WANT(0, F32, NN_D(1, 3, 1, 1), NN_V(1.0 / 6, 2.0 / 14, 3.0 / 10), 1e-6);
    nn_end();
}
END_TEST

START_TEST(resize)
{
    nn_begin("", "Resize");
    NN_IN(F32, NN_D(1, 1, 2), NN_V(1, 3));
    nn_omit();
    NN_IN(F32, NN_D(3), NN_V(1, 1, 2));
    nn_s("mode", "linear");
    nn_run();
    NN_WANT(0, F32, NN_D(1, 1, 4), NN_V(1, 1.5, 2.5, 3), 1e-6);
    nn_end();
    nn_begin("", "Resize");
    NN_IN(F32, NN_D(1, 1, 2), NN_V(1, 3));
    nn_omit();
    nn_omit();
    NN_IN(I64, NN_D(1), NN_V(5));
    nn_ints("axes", (int64_t[]){2}, 1);
    nn_s("mode", "linear");
    nn_s("coordinate_transformation_mode", "align_corners");
    nn_run();
    NN_WANT(0, F32, NN_D(1, 1, 5), NN_V(1, 1.5, 2, 2.5, 3), 1e-6);
    nn_end();
    nn_begin("", "Resize"); /* nearest: ties go down */
    NN_IN(U8, NN_D(1, 1, 4), NN_V(1, 2, 3, 4));
    nn_omit();
    NN_IN(F32, NN_D(3), NN_V(1, 1, 0.5));
    nn_run();
    NN_WANT(0, U8, NN_D(1, 1, 2), NN_V(1, 3), 0.0);
    nn_end();
    nn_begin("", "Resize");
    NN_IN(F32, NN_D(1, 1, 2), NN_V(1, 3));
    nn_omit();
    NN_IN(F32, NN_D(3), NN_V(1, 1, 2));
    nn_s("coordinate_transformation_mode", "tf_crop_and_resize");
    nn_fails(MCOMP_UNSUPPORTED);
}
END_TEST

START_TEST(losses)
{
    nn_begin("", "NegativeLogLikelihoodLoss"); /* weighted mean, one label ignored */
    NN_IN(F32, NN_D(3, 2), NN_V(-1, -2, -3, -4, -5, -6));
    NN_IN(I64, NN_D(3), NN_V(1, 0, -100));
    NN_IN(F32, NN_D(2), NN_V(10, 30));
    nn_i("ignore_index", -100);
    nn_run();
    nn_want(0, NN_V((30 * 2 + 10 * 3) / 40.0), 1e-6);
    nn_end();
    nn_begin_outs("", "SoftmaxCrossEntropyLoss", 2);
    NN_IN(F32, NN_D(1, 2, 2), NN_V(0, 5, 0, 5));
    NN_IN(I64, NN_D(1, 2), NN_V(0, 1));
    nn_s("reduction", "none");
    nn_run();
    NN_WANT(0, F32, NN_D(1, 2), NN_V(log(2.0), log(2.0)), 1e-6);
    NN_WANT(1, F32, NN_D(1, 2, 2), NN_V(-log(2.0), -log(2.0), -log(2.0), -log(2.0)), 1e-6);
    nn_end();
    nn_begin("", "NegativeLogLikelihoodLoss"); /* no such class */
    NN_IN(F32, NN_D(1, 2), NN_V(-1, -2));
    NN_IN(I64, NN_D(1), NN_V(2));
    nn_fails(MCOMP_RANGE);
}
END_TEST

START_TEST(roi_align)
{
    const double box[2][4] = {{0.5, 0.5, 2.5, 2.5}, {0, 0, 1e30, 1}};
    nn_begin("", "RoiAlign"); /* a linear image: the mean of a bin is its centre */
    NN_IN(F32, NN_D(1, 1, 3, 3), NN_V(0, 1, 2, 10, 11, 12, 20, 21, 22));
    nn_in_values(MCOMP_F32, NN_D(1, 4), box[0]);
    NN_IN(I64, NN_D(1), NN_V(0));
    nn_i("output_height", 2);
    nn_i("output_width", 1);
    nn_i("sampling_ratio", 2);
    nn_run();
    NN_WANT(0, F32, NN_D(1, 1, 2, 1), NN_V(6, 16), 1e-6);
    nn_end();
    nn_begin("", "RoiAlign"); /* a box that would need 1e30 samples */
    nn_random(MCOMP_F32, NN_D(1, 1, 3, 3), 1);
    nn_in_values(MCOMP_F32, NN_D(1, 4), box[1]);
    NN_IN(I64, NN_D(1), NN_V(0));
    nn_fails(MCOMP_RANGE);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("nn_rows");
    TCase *t = tcase_create("all");
    tcase_add_test(t, softmax);
    tcase_add_test(t, layer_normalization);
    tcase_add_test(t, channel_normalization);
    tcase_add_test(t, resize);
    tcase_add_test(t, losses);
    tcase_add_test(t, roi_align);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
