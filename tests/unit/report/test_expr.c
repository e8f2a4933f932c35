/* Expressions over the figures of runs: values, precedence, names, and what is refused. */
#include <mcomp/context.h>
#include <mcomp/report.h>

#include "support/support.h"

static const char first[] = "{\"stages\":[{\"name\":\"teacher\",\"metric\":{\"name\":\"accuracy\",\"value\":0.9},\"bytes\":1000,\"p50_ms\":8},"
                            "{\"name\":\"finetune#2\",\"metric\":{\"name\":\"accuracy\",\"value\":0.88},\"bytes\":100,\"p50_ms\":2,\"params\":7}],"
                            "\"target\":{\"met\":true,\"max_drop\":{\"limit\":0.05,\"met\":true}},\"warnings\":[{},{}],\"cost\":{\"saving_percent\":80.5}}";
static const char second[] = "{\"before\":{\"bytes\":1000,\"p50_ms\":8},\"after\":{\"metric\":{\"name\":\"mse\",\"value\":0.5},\"bytes\":200,\"p50_ms\":4},\"command\":\"quantize\"}";
static mcomp_context *ctx;
static mcomp_report *r;

static void setup(void)
{
    mc_ck_ok(mcomp_context_create(&ctx, NULL));
    mc_ck_ok(mcomp_report_create(&r, ctx));
    mc_ck_ok(mcomp_report_add(r, first, strlen(first), "first.json"));
}

static void teardown(void)
{
    mcomp_report_destroy(r);
    mcomp_context_destroy(ctx);
}

static int holds(const char *text)
{
    int32_t h = -1;
    mc_ck_ok(mcomp_report_check(&h, r, text));
    return h;
}

START_TEST(true_and_false)
{
    static const char *const yes[] = {
        "accuracy < 0.9", "accuracy == 0.88", "metric<=88%", "bytes == 0.1kB", "bytes < 1 MB", "size_ratio == 10", "speed_ratio == 4", "drop > 1.9% and drop < 2.1%",
        "teacher.bytes == 1000", "first.bytes - last.bytes == 900", "finetune#2.params == 7", "teacher.metric.value == 0.9 and first.metric.value > last.metric.value", "stages[0].bytes == 1000", "target.met", "target_met and target.max_drop.met",
        "not (bytes > 100)", "not bytes > 100", "warnings == 2", "saving_percent > 80 and cost.saving_percent < 81", "target.max_drop.limit == 5e-2",
        "1 + 2 * 3 == 7", "(1 + 2) * 3 == 9", "-1 - -2 == 1", "8 / 4 / 2 == 1", "1 == 2 or 2 == 2 and 3 == 3", "1 == 1 or 1 == 1 and 1 == 2", "1e3 == 1000", ".5 == 50 %", "2 != 3",
        "run1.bytes == 100", "params >= 7",
    };
    static const char *const no[] = {"accuracy < 0.88", "bytes > 100", "not target.met", "1 == 2 and 1 == 1 or 1 == 2", "speed_ratio < 4"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) ck_assert_msg(holds(yes[i]) == 1, "%s", yes[i]);
    for (size_t i = 0; i < sizeof no / sizeof *no; i++) ck_assert_msg(holds(no[i]) == 0, "%s", no[i]);
}
END_TEST

START_TEST(names_are_of_the_last_run)
{
    mc_ck_ok(mcomp_report_add(r, second, strlen(second), "second.json"));
    ck_assert_int_eq(holds("bytes == 200 and run1.bytes == 100 and run2.bytes == 200"), 1);
    ck_assert_int_eq(holds("p50_ms > 1.05 * run1.p50_ms"), 1);
    ck_assert_int_eq(holds("mse == 0.5 and run1.accuracy == 0.88"), 1);
    ck_assert_int_eq(holds("original.bytes == 1000 and quantize.bytes == 200"), 1);
    int32_t h;
    mc_ck_fails(mcomp_report_check(&h, r, "run3.bytes > 1"), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_report_check(&h, r, "run0.bytes > 1"), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_report_check(&h, r, "accuracy > 0.5"), MCOMP_ARGUMENT); /* the last run has another metric */
}
END_TEST

START_TEST(what_is_no_expression)
{
    static const char *const bad[] = {"", " ", "accuracy", "1", "accuracy <", "< 1", "accuracy < 0.5 0.6", "accuracy << 1", "(accuracy < 1", "accuracy < 1)", "accuracy < < 1",
                                      "1 < 2 < 3", "target.met + 1 == 2", "target.met < 1", "not 1", "1 and 2", "accuracy = 0.5", "accuracy < 0.5.5", "1 / 0 < 2", "nosuch > 1",
                                      "accurcy < 1", "p90_ms > 1", "stages[7].bytes > 1", "stages[-1].bytes > 1", "stages.bytes > 1", "teacher. > 1", ".", "a[", "1e999 > 2", "accuracy < 'x'",
                                      "\xff > 1", "stages[0 > 1", "target.max_drop > 1", "and", "accuracy or", "1 <= \"2\""};
    int32_t h;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        mc_error_clear();
        ck_assert_msg(mcomp_report_check(&h, r, bad[i]) == MCOMP_ARGUMENT, "%s: %s", bad[i], mc_error_peek()->message);
        ck_assert_msg(mc_error_peek()->message[0] && h == 0, "%s", bad[i]);
    }
    mc_ck_fails(mcomp_report_check(&h, r, "accuracyy < 1"), MCOMP_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(mc_error_peek()->hint, "accuracy?"));
    mc_ck_fails(mcomp_report_check(&h, r, "accuracy < oops"), MCOMP_ARGUMENT);
    ck_assert_str_eq(mc_error_peek()->where, "oops");
    char deep[900];
    memset(deep, '(', sizeof deep);
    deep[sizeof deep - 1] = 0;
    mc_ck_fails(mcomp_report_check(&h, r, deep), MCOMP_ARGUMENT);
    memset(deep, '-', sizeof deep - 1);
    mc_ck_fails(mcomp_report_check(&h, r, deep), MCOMP_ARGUMENT);
    char longer[2000];
    memset(longer, 'a', sizeof longer);
    longer[sizeof longer - 1] = 0;
    mc_ck_fails(mcomp_report_check(&h, r, longer), MCOMP_ARGUMENT);
    longer[500] = 0;
    mc_ck_fails(mcomp_report_check(&h, r, longer), MCOMP_ARGUMENT);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("report/expr");
    TCase *c = tcase_create("core");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, true_and_false);
    tcase_add_test(c, names_are_of_the_last_run);
    tcase_add_test(c, what_is_no_expression);
    suite_add_tcase(s, c);
    return mc_test_main(s);
}
