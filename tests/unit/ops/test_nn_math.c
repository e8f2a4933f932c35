/* The float functions of integer epilogues against libm, over a grid of all floats, and their edge values. */
#include "kernels/kernels.h"
#include "support/support.h"

#include <math.h>

/* Distance of got from want in units of want's last place. */
static double ulps(float got, double want)
{
    const float w = (float)want, a = fabsf(w);
    if (w == got) return 0.0;
    return fabs((double)got - want) / ((double)nextafterf(a, INFINITY) - (double)a);
}

typedef float (*function)(float);
static double ref_exp(double x) { return exp(x); }
static double ref_erf(double x) { return erf(x); }
static double ref_tanh(double x) { return tanh(x); }
static double ref_sigmoid(double x) { return 1.0 / (1.0 + exp(-x)); }
static double ref_silu(double x) { return x / (1.0 + exp(-x)); }

/* Largest error in ulps for lo <= x <= hi; results below the normal range are left out. */
static void sweep(const char *name, function f, double (*ref)(double), float lo, float hi, double limit)
{
    for (uint64_t u = 0; u < 0x100000000u; u += 40009) {
        const float x = mc_f32_from_bits((uint32_t)u);
        if (!(x >= lo && x <= hi)) continue;
        const double want = ref((double)x);
        if (fabs(want) < 1.2e-38) continue;
        ck_assert_msg(ulps(f(x), want) <= limit, "%s(%.9g) is %.9g, not %.9g", name, (double)x, (double)f(x), want);
    }
}

START_TEST(errors)
{
    sweep("exp", mc_expf, ref_exp, -87.33f, 88.3f, 2.0);
    sweep("erf", mc_erff, ref_erf, -1e30f, 1e30f, 7.0);
    sweep("tanh", mc_tanhf, ref_tanh, -1e30f, 1e30f, 7.0);
    sweep("sigmoid", mc_sigmoidf, ref_sigmoid, -87.0f, 1e30f, 4.0);
    sweep("silu", mc_siluf, ref_silu, -80.0f, 1e30f, 4.0);
    for (float x = -8.0f; x < 8.0f; x += 0.00371f) {
        const double gelu = 0.5 * (double)x * erfc(-(double)x * M_SQRT1_2);
        const double u = sqrt(2.0 / M_PI) * ((double)x + 0.044715 * pow((double)x, 3.0));
        ck_assert_double_eq_tol((double)mc_geluf(x), gelu, 2e-6);
        ck_assert_double_eq_tol((double)mc_gelu_tanhf(x), 0.5 * (double)x * (1.0 + tanh(u)), 2e-6);
    }
}
END_TEST

START_TEST(edges)
{
    ck_assert(mc_expf(0.0f) == 1.0f);
    ck_assert(mc_expf(-100.0f) == 0.0f);
    ck_assert(mc_expf(-INFINITY) == 0.0f);
    ck_assert(mc_expf(1000.0f) > 2e38f && isfinite(mc_expf(1000.0f)));
    ck_assert(isnan(mc_expf(NAN)) && isnan(mc_erff(NAN)) && isnan(mc_tanhf(NAN)) && isnan(mc_geluf(NAN)));
    ck_assert(mc_erff(INFINITY) == 1.0f && mc_erff(-5.0f) == -1.0f && mc_erff(0.0f) == 0.0f);
    ck_assert(mc_tanhf(20.0f) == 1.0f && mc_tanhf(-INFINITY) == -1.0f);
    ck_assert(mc_geluf(-1e6f) == 0.0f && mc_gelu_tanhf(-1e6f) == 0.0f);
    ck_assert(mc_hardswishf(-3.0f) == 0.0f && mc_hardswishf(6.0f) == 6.0f);
    ck_assert(mc_actf(MCOMP_ACT_CLIP, 0.0f, 6.0f, 7.0f) == 6.0f && mc_actf(MCOMP_ACT_CLIP, 0.0f, 6.0f, -7.0f) == 0.0f);
    ck_assert(isnan(mc_actf(MCOMP_ACT_RELU, 0.0f, 0.0f, NAN)));
}
END_TEST

START_TEST(rounding)
{
    const float t[] = {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 254.5f, 1e30f, -1e30f, NAN, INFINITY};
    const int32_t want[] = {10, 12, 12, 10, 8, 255, 255, 0, 10, 255};
    for (int i = 0; i < 10; i++) ck_assert_int_eq(mc_quant_round(t[i], 10, 0, 255), want[i]);
    ck_assert_int_eq(mc_quant_round(-127.5f, 0, -128, 127), -128);
    ck_assert_int_eq(mc_quant_round(-126.5f, 0, -128, 127), -126);
    ck_assert_int_eq(mc_requant(3.0f, 1.0f / 2.0f, 0, -128, 127), 2);
    int32_t zp;
    ck_assert(mc_tensor_scale(0.0f, 0.0f, &zp) == 1.0f && zp == 0);
    ck_assert(mc_tensor_scale(-1.0f, 1.5f, &zp) == 2.5f / 255.0f && zp == 102);
    const float zeros[3] = {0}, row[3] = {1.0f, -254.0f, NAN};
    ck_assert(mc_token_scale(zeros, 3) == 1.0f);
    ck_assert(mc_token_scale(row, 3) == 2.0f);
}
END_TEST

START_TEST(layernorm_order)
{
    float x[37], y[37], s[16] = {0};
    for (int i = 0; i < 37; i++) x[i] = (float)(i * i % 11) - 3.0f;
    mc_layernorm_row_ref(y, x, NULL, NULL, 1e-5f, 37);
    for (int i = 0; i < 37; i++) s[i % 16] += x[i];
    const float folded = ((s[0] + s[8]) + (s[4] + s[12])) + ((s[2] + s[10]) + (s[6] + s[14]));
    const float odd = ((s[1] + s[9]) + (s[5] + s[13])) + ((s[3] + s[11]) + (s[7] + s[15]));
    ck_assert(mc_sum_row_ref(x, 37) == folded + odd);
    double mean = 0.0, square = 0.0;
    for (int i = 0; i < 37; i++) mean += (double)x[i] / 37.0;
    for (int i = 0; i < 37; i++) square += ((double)x[i] - mean) * ((double)x[i] - mean) / 37.0;
    for (int i = 0; i < 37; i++) ck_assert_double_eq_tol((double)y[i], ((double)x[i] - mean) / sqrt(square + 1e-5), 1e-6);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("nn_math");
    TCase *t = tcase_create("all");
    tcase_add_test(t, errors);
    tcase_add_test(t, edges);
    tcase_add_test(t, rounding);
    tcase_add_test(t, layernorm_order);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
