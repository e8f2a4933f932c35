/* Range rules on distributions whose right answer is known. */
#include "support/support.h"

#include <math.h>

#include "quant/ranges.h"

enum { N = 200000 };
static float x[N];
static mc_sketch s;

static float gauss(uint64_t *seed)
{
    double t = 0.0;
    for (int i = 0; i < 12; i++) t += (double)mc_test_random(seed);
    return (float)(t / 2.0); /* variance 12/3/4 = 1 */
}

static void make(int kind)
{
    uint64_t seed = 11;
    for (int i = 0; i < N; i++) {
        if (kind == 0) x[i] = mc_test_random(&seed);                 /* uniform on [-1, 1) */
        if (kind == 1) x[i] = gauss(&seed);                          /* 0.01 % outliers at 20 sigma */
        if (kind == 2) x[i] = fmaxf(gauss(&seed), 0.0f);             /* after Relu */
    }
    if (kind == 1)
        for (int i = 0; i < N / 10000; i++) x[i * 9973] = i % 2 ? 20.0f : -20.0f;
    mc_sketch_free(&s);
    mc_ck_ok(mc_sketch_init(&s, 0));
    ck_assert_int_eq(mc_sketch_add(&s, x, 1, 0, N), 0);
    mc_sketch_close_batch(&s);
}

static void find(const char *rule, int symmetric, double *lo, double *hi)
{
    const mc_range_ask ask = {.symmetric = symmetric};
    ck_assert(mc_range_rule_named(rule) != NULL);
    mc_ck_ok(mc_range_find(mc_range_rule_named(rule), &s, &ask, lo, hi, NULL));
}

/* Mean squared error of really quantizing x. */
static double true_error(double lo, double hi, int symmetric)
{
    float scale;
    int32_t zp;
    double e = 0.0;
    mc_range_grid(lo, hi, symmetric, &scale, &zp);
    for (int i = 0; i < N; i++) {
        double q = nearbyint((double)x[i] / (double)scale) + zp;
        q = symmetric ? fmin(fmax(q, -127.0), 127.0) : fmin(fmax(q, 0.0), 255.0);
        const double d = (q - zp) * (double)scale - (double)x[i];
        e += d * d;
    }
    return e / N;
}

START_TEST(kl_clips_outliers_only)
{
    double lo, hi;
    for (int symmetric = 0; symmetric < 2; symmetric++) {
        make(1);
        find("kl", symmetric, &lo, &hi);
        ck_assert_msg(hi < 10.0 && hi > 2.5 && lo > -10.0 && lo < -2.5, "[%g, %g]", lo, hi);
        make(0);
        find("kl", symmetric, &lo, &hi);
        ck_assert_msg(hi > 0.98 && lo < -0.98, "[%g, %g]", lo, hi);
    }
}
END_TEST

START_TEST(mse_is_least)
{
    for (int kind = 0; kind < 3; kind++)
        for (int symmetric = 0; symmetric < 2; symmetric++) {
            double lo, hi, a, b;
            make(kind);
            find("mse", symmetric, &lo, &hi);
            const double e = true_error(lo, hi, symmetric);
            for (int i = 0; mc_range_rule_at(i); i++) {
                find(mc_range_rule_at(i)->name, symmetric, &a, &b);
                ck_assert_msg(e <= true_error(a, b, symmetric) * 1.05, "kind %d: mse [%g, %g] %g, %s [%g, %g] %g", kind, lo,
                              hi, e, mc_range_rule_at(i)->name, a, b, true_error(a, b, symmetric));
            }
            if (kind == 1) ck_assert(hi < 20.0);
        }
}
END_TEST

START_TEST(closed_form_is_near_the_truth)
{
    const double ranges[][2] = {{-4, 4}, {-2, 2}, {-1, 3}, {-20, 20}};
    make(1);
    for (int i = 0; i < 4; i++) {
        const double e = mc_range_error(&s, ranges[i][0], ranges[i][1], 255, 1.0), t = true_error(ranges[i][0], ranges[i][1], 0);
        ck_assert_msg(fabs(e - t) < 0.1 * t + 1e-9, "[%g, %g]: %g, true %g", ranges[i][0], ranges[i][1], e, t);
    }
}
END_TEST

START_TEST(percentile_cuts_what_it_says)
{
    double lo, hi;
    const mc_range_ask ask = {.percentile = 90.0}, sym = {.percentile = 90.0, .symmetric = 1};
    make(0);
    mc_ck_ok(mc_range_find(mc_range_rule_named("percentile"), &s, &ask, &lo, &hi, NULL));
    ck_assert_msg(fabs(hi - 0.9) < 0.01 && fabs(lo + 0.9) < 0.01, "[%g, %g]", lo, hi);
    mc_ck_ok(mc_range_find(mc_range_rule_named("percentile"), &s, &sym, &lo, &hi, NULL));
    ck_assert_msg(fabs(hi - 0.9) < 0.01 && lo == -hi, "[%g, %g]", lo, hi);
    make(2);
    find("percentile", 0, &lo, &hi);
    ck_assert(lo == 0.0 && hi <= s.max);
}
END_TEST

START_TEST(average_of_batches)
{
    const float a[] = {-1.0f, 3.0f}, b[] = {-3.0f, 5.0f};
    mc_sketch t;
    double lo, hi;
    mc_sketch_free(&s);
    mc_ck_ok(mc_sketch_init(&s, 0));
    mc_ck_ok(mc_sketch_init(&t, 0));
    for (int i = 0; i < 2; i++) {
        mc_sketch_reset(&t);
        mc_sketch_add(&t, i ? b : a, 1, 0, 2);
        mc_sketch_close_batch(&t);
        mc_sketch_merge(&s, &t);
    }
    find("average", 0, &lo, &hi);
    ck_assert(lo == -2.0 && hi == 4.0);
    find("minmax", 0, &lo, &hi);
    ck_assert(lo == -3.0 && hi == 5.0);
    mc_sketch_free(&t);
}
END_TEST

START_TEST(flat_and_one_sided)
{
    const float zero[4] = {0}, five[4] = {5, 5, 5, 5}, minus[2] = {-3, -1};
    double lo, hi;
    float scale;
    int32_t flat, zp;
    for (int i = 0; mc_range_rule_at(i); i++)
        for (int symmetric = 0; symmetric < 2; symmetric++) {
            const mc_range_ask ask = {.symmetric = symmetric};
            const float *data[] = {zero, five, minus};
            for (int k = 0; k < 3; k++) {
                mc_sketch_free(&s);
                mc_ck_ok(mc_sketch_init(&s, 0));
                mc_sketch_add(&s, data[k], 1, 0, k == 2 ? 2 : 4);
                mc_ck_ok(mc_range_find(mc_range_rule_at(i), &s, &ask, &lo, &hi, &flat));
                ck_assert_int_eq(flat, k < 2);
                ck_assert(lo <= 0.0 && hi >= 0.0 && hi - lo > 1e-6);
                mc_range_grid(lo, hi, symmetric, &scale, &zp);
                ck_assert(isfinite(scale) && scale > 1e-6f && zp >= 0 && zp <= 255);
                if (k == 1) ck_assert_msg(hi == 5.0, "%s", mc_range_rule_at(i)->name);
            }
        }
}
END_TEST

START_TEST(automatic_choice)
{
    const mc_range_ask ask = {0};
    const mc_range_rule *rule;
    double lo, hi;
    make(0);
    mc_ck_ok(mc_range_auto(&s, &ask, &lo, &hi, &rule, NULL));
    ck_assert_msg(hi > 0.97, "uniform: %s [%g, %g]", rule->name, lo, hi);
    make(1);
    mc_ck_ok(mc_range_auto(&s, &ask, &lo, &hi, &rule, NULL));
    ck_assert_msg(true_error(lo, hi, 0) <= true_error(s.min, s.max, 0), "%s", rule->name);
}
END_TEST

START_TEST(grid)
{
    float scale;
    int32_t zp;
    mc_range_grid(-1.0, 1.0, 0, &scale, &zp);
    ck_assert(scale == (float)(2.0 / 255.0) && (zp == 127 || zp == 128));
    mc_range_grid(0.0, 6.0, 0, &scale, &zp);
    ck_assert(scale == (float)(6.0 / 255.0) && zp == 0);
    mc_range_grid(-2.0, 2.0, 1, &scale, &zp);
    ck_assert(scale == (float)(2.0 / 127.0) && zp == 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("quant/ranges");
    TCase *t = tcase_create("ranges");
    tcase_add_test(t, kl_clips_outliers_only);
    tcase_add_test(t, mse_is_least);
    tcase_add_test(t, closed_form_is_near_the_truth);
    tcase_add_test(t, percentile_cuts_what_it_says);
    tcase_add_test(t, average_of_batches);
    tcase_add_test(t, flat_and_one_sided);
    tcase_add_test(t, automatic_choice);
    tcase_add_test(t, grid);
    suite_add_tcase(suite, t);
    return mc_test_main(suite);
}
