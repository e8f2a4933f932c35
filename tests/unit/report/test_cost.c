/* The cost of running a model: an example from the press by hand, formulas one by one, absent inputs, bad ones. */
#include <math.h>
#include <mcomp/report.h>
#include <stdio.h>

#include "report/report.h"
#include "support/support.h"

static mcomp_cost_options o;
static mcomp_cost_result r;

static void setup(void)
{
    mc_ck_ok(mcomp_cost_options_init(&o, sizeof o));
    r = (mcomp_cost_result){.size = sizeof r};
}

static void set(const char *key, double v) { mc_ck_ok(mcomp_cost_set(&o, key, v)); }
static void compute(void) { mc_ck_ok(mcomp_cost_compute(&r, &o)); }

/* docs/cost.md: 8 instances at $3.06 against 4 at $0.752. */
START_TEST(the_example_from_the_press)
{
    set("instances", 8);
    set("usd_per_hour", 3.06);
    set("after_instances", 4);
    set("after_usd_per_hour", 0.752);
    compute();
    ck_assert_double_eq_tol(r.monthly_before, 17870.40, 1e-6);
    ck_assert_double_eq_tol(r.monthly_after, 2195.84, 1e-6);
    ck_assert_double_eq_tol(r.saving_usd, 15674.56, 1e-6);
    ck_assert_double_eq_tol(r.saving_percent, 87.71, 0.005); /* not the 80.5 that is claimed */
    ck_assert_double_eq_tol(r.saving_price_usd, 13478.72, 1e-6);
    ck_assert_double_eq_tol(r.saving_price_usd + r.saving_instances_usd, r.saving_usd, 1e-6);
    ck_assert_double_eq_tol(47174.0 / r.monthly_before, 2.64, 0.005); /* two factors: no month length explains both */
    ck_assert_double_eq_tol(9187.0 / r.monthly_after, 4.18, 0.005);
    set("hours", 720);
    compute();
    ck_assert_double_eq_tol(r.monthly_before, 17625.60, 1e-6);
    ck_assert_double_eq_tol(r.monthly_after, 2165.76, 1e-6);
    set("hours", 730);
    set("requests_per_day", 1e6);
    set("accuracy_drop", 0.04);
    compute();
    ck_assert_double_eq_tol(r.break_even_usd_per_error, 0.0129, 0.0001); /* 40,000 more wrong answers a day, by 30.4 days */
}
END_TEST

/* A million requests a day is 58 a second at five times the mean; 8.3 times faster is one instance instead of eight. */
START_TEST(instances_from_the_busiest_second)
{
    set("peak_rps", 58);
    set("throughput", 20);
    set("after_throughput", 166);
    set("usd_per_hour", 1);
    compute();
    ck_assert_double_eq(r.needed_before, 5); /* 58 / (20 * 0.6) = 4.8 */
    ck_assert_double_eq(r.needed_after, 1);
    ck_assert_double_eq(r.instances_before, 5);
    ck_assert_double_eq_tol(r.utilization_before, 0.58, 1e-12);
    set("min_instances", 2);
    compute();
    ck_assert_double_eq(r.needed_after, 2);
    set("utilization", 0.58);
    compute();
    ck_assert_double_eq(r.needed_before, 5); /* exactly: rounding must not add one */
    set("instances", 8);
    compute();
    ck_assert_double_eq(r.instances_before, 8);
    ck_assert_double_eq(r.needed_before, 5);
}
END_TEST

START_TEST(latency_stands_in_for_throughput)
{
    set("peak_rps", 100);
    set("p50_ms", 20); /* 50 a second */
    set("after_p50_ms", 4);
    set("workers", 2);
    compute();
    ck_assert_double_eq(r.needed_before, 2); /* 100 / (100 * 0.6) = 1.67 */
    ck_assert_double_eq(r.needed_after, 1);
    ck_assert(isnan(r.monthly_before)); /* no price */
    setup();
    set("instances", 8); /* no peak: as loaded as today */
    set("p50_ms", 8.3);
    set("after_p50_ms", 1);
    compute();
    ck_assert_double_eq(r.instances_after, 1);
    ck_assert(isnan(r.needed_after) && isnan(r.utilization_before));
}
END_TEST

START_TEST(payback_and_wrong_answers)
{
    set("instances", 4);
    set("after_instances", 2);
    set("usd_per_hour", 1);
    set("fixed_usd", 100);
    set("retraining_usd", 60);
    set("engineering_usd", 6000);
    set("training_usd", 1000);
    compute();
    ck_assert_double_eq_tol(r.monthly_before, 3020, 1e-9);
    ck_assert_double_eq_tol(r.monthly_after, 1620, 1e-9);
    ck_assert_double_eq_tol(r.payback_months, 5, 1e-9);
    ck_assert(isnan(r.error_usd) && isnan(r.per_million_after));
    set("requests_per_day", 24000); /* 730,000 a month of 730 hours */
    set("accuracy_drop", 0.001);
    set("usd_per_error", 1);
    compute();
    ck_assert_double_eq_tol(r.error_usd, 730, 1e-9);
    ck_assert_double_eq_tol(r.net_saving_usd, 670, 1e-9);
    ck_assert_double_eq_tol(r.payback_months, 7000.0 / 670.0, 1e-9);
    ck_assert_double_eq_tol(r.per_million_after, 1620.0 / 0.73, 1e-9);
    set("after_instances", 8);
    compute();
    ck_assert(r.saving_percent < 0 && isnan(r.payback_months) && isnan(r.break_even_usd_per_error));
}
END_TEST

static const mc_json *advice_of(const mc_json *j, const char *rule)
{
    const mc_json *list = mc_json_get(j, "advice");
    for (int64_t i = 0; i < mc_json_size(list); i++)
        if (strcmp(mc_json_string(mc_json_get(mc_json_at(list, i), "rule")), rule) == 0) return mc_json_at(list, i);
    return NULL;
}

START_TEST(absent_inputs_are_absent_outputs)
{
    static const char *const results[] = {"fleet", "instances_needed", "peak_load_ratio", "monthly_cost", "saving_usd", "saving_percent", "saving_parts", "cost_per_million",
                                          "error_usd", "break_even_usd_per_error", "net_saving_usd", "one_off_usd", "payback_months"};
    mc_json *j;
    mc_ck_ok(mc_report_cost(&j, &o));
    for (size_t i = 0; i < sizeof results / sizeof *results; i++) ck_assert_msg(!mc_json_get(j, results[i]), "%s", results[i]);
    ck_assert(!mc_json_get(j, "instances") && mc_json_size(mc_json_get(j, "advice")) == 0);
    double v;
    ck_assert(mc_json_number(mc_json_get(j, "utilization"), &v) && v == 0.6); /* in effect: echoed */
    mc_json_destroy(j);
    set("instances", 8);
    set("usd_per_hour", 2);
    mc_ck_ok(mc_report_cost(&j, &o));
    ck_assert(mc_json_number(mc_json_get(mc_json_get(j, "monthly_cost"), "before"), &v) && v == 11680);
    ck_assert(!mc_json_get(mc_json_get(j, "monthly_cost"), "after") && !mc_json_get(j, "saving_usd"));
    mc_json_destroy(j);
}
END_TEST

START_TEST(advice_names_what_made_it_hold)
{
    mc_json *j;
    double v;
    set("instances", 8);
    set("usd_per_hour", 3.06);
    set("after_instances", 1);
    set("peak_rps", 58);
    set("throughput", 60);
    set("after_throughput", 90);
    set("max_drop", 0.005);
    set("accuracy_drop", 0.02);
    set("engineering_usd", 1e6);
    mc_ck_ok(mc_report_cost(&j, &o));
    ck_assert(mc_json_number(mc_json_get(advice_of(j, "right_size"), "value"), &v));
    ck_assert_double_eq_tol(v, 58.0 / 480.0, 1e-9);
    ck_assert_ptr_nonnull(strstr(mc_json_string(mc_json_get(advice_of(j, "right_size"), "text")), "12 %"));
    ck_assert(advice_of(j, "payback") && advice_of(j, "too_few") && advice_of(j, "too_lossy") && advice_of(j, "tight") && advice_of(j, "quantize"));
    ck_assert(!advice_of(j, "prune") && !advice_of(j, "mixed") && !advice_of(j, "errors"));
    mc_json_destroy(j);
}
END_TEST

START_TEST(bad_inputs_name_the_key)
{
    static const struct {
        const char *key;
        double v;
    } bad[] = {{"instances", 1.5}, {"instances", 0}, {"instances", -1}, {"usd_per_hour", (double)NAN}, {"usd_per_hour", (double)INFINITY}, {"utilization", 1.01},
               {"utilization", 60}, {"hours", 745}, {"accuracy_drop", 4}, {"peak_rps", 1e10}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        mc_ck_fails(mcomp_cost_set(&o, bad[i].key, bad[i].v), MCOMP_RANGE);
        ck_assert_str_eq(mc_error_peek()->where, bad[i].key);
    }
    mc_ck_fails(mcomp_cost_set(&o, "utilization", 60), MCOMP_RANGE);
    ck_assert_ptr_nonnull(strstr(mc_error_peek()->hint, "0.6"));
    mc_ck_fails(mcomp_cost_set(&o, "instnaces", 8), MCOMP_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(mc_error_peek()->hint, "instances"));
    o.peak_rps = -3; /* past the setter */
    mc_ck_fails(mcomp_cost_compute(&r, &o), MCOMP_RANGE);
}
END_TEST

START_TEST(json_says_how_long_it_is)
{
    char text[8192];
    uint64_t n = 0;
    set("instances", 8);
    mc_ck_fails(mcomp_cost_json(NULL, &n, 0, &o), MCOMP_LIMIT);
    ck_assert_uint_gt(n, 20);
    mc_ck_fails(mcomp_cost_json(text, &n, n - 1, &o), MCOMP_LIMIT);
    mc_ck_ok(mcomp_cost_json(text, &n, n, &o));
    ck_assert_uint_eq(strlen(text) + 1, n);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("report/cost");
    TCase *c = tcase_create("core");
    tcase_add_checked_fixture(c, setup, NULL);
    tcase_add_test(c, the_example_from_the_press);
    tcase_add_test(c, instances_from_the_busiest_second);
    tcase_add_test(c, latency_stands_in_for_throughput);
    tcase_add_test(c, payback_and_wrong_answers);
    tcase_add_test(c, absent_inputs_are_absent_outputs);
    tcase_add_test(c, advice_names_what_made_it_hold);
    tcase_add_test(c, bad_inputs_name_the_key);
    tcase_add_test(c, json_says_how_long_it_is);
    suite_add_tcase(s, c);
    return mc_test_main(s);
}
