/* The page: nothing that comes from a run gets out of its place, nothing that is absent turns up, memory runs out anywhere without harm. */
#include <mcomp/context.h>
#include <mcomp/report.h>
#include <stdio.h>

#include "report/page.h"
#include "support/failing.h"
#include "support/support.h"

/* Every section has something to say about it. */
static const char whole[] =
    "{\"command\":\"compress\",\"mcomp\":\"0.1.0\",\"machine\":{\"cpu\":\"c\",\"isa\":\"avx2\",\"threads\":2},\"argv\":[\"mcomp\",\"it's\"],\"seed\":3,"
    "\"warnings\":[{\"code\":\"A\",\"node\":\"n\",\"text\":\"t\"}],\"recipe\":{\"path\":\"r.yaml\",\"sha256\":\"00\",\"text\":\"a: 1\\n\\tb: <2>\\n\"},"
    "\"data\":{\"train\":{\"path\":\"x\",\"samples\":5,\"sha256\":\"11\"}},"
    "\"stages\":[{\"name\":\"teacher\",\"metric\":{\"name\":\"accuracy\",\"value\":0.9,\"ci95\":[0.88,0.92],\"n\":1000},\"bytes\":4000,\"p50_ms\":8,\"operators\":[{\"op\":\"MatMul\",\"count\":3,\"us\":5000}]},"
    "{\"name\":\"distill\",\"what\":\"w\",\"metric\":{\"name\":\"accuracy\",\"value\":0.89,\"ci95\":[0.87,0.91],\"n\":1000},\"bytes\":400,\"p50_ms\":2,\"agreement_ratio\":0.97,"
    "\"difference\":{\"value\":-0.01,\"ci95\":[-0.02,0.0],\"mcnemar_p\":0.04},\"control\":{\"metric\":{\"name\":\"accuracy\",\"value\":0.8}},\"equivalence\":{\"max_abs\":1e-7},"
    "\"curve\":[{\"epoch\":1,\"step\":9,\"loss\":2,\"metric\":0.5},{\"epoch\":2,\"step\":18,\"loss\":1,\"metric\":0.8}],"
    "\"layers\":[{\"node\":\"l0\",\"op\":\"MatMul\",\"params\":8,\"bytes\":8,\"sparsity\":0.5,\"pattern\":\"4x1\",\"dtype\":\"int8\"}],"
    "\"operators\":[{\"op\":\"mcomp.QLinear\",\"count\":1,\"us\":500}],\"kept_float\":[{\"node\":\"k\",\"why\":\"y\"}]}],"
    "\"ratios\":[{\"of\":\"distill\",\"over\":\"teacher\",\"p50_ratio\":4.1,\"ci95\":[4.0,4.2]}],"
    "\"target\":{\"met\":true,\"max_drop\":{\"limit\":0.02,\"value\":0.01,\"met\":true}},\"trials\":[{\"id\":1,\"choices\":{\"a.b\":0.5},\"met\":false,\"value\":2}],"
    "\"cost\":{\"monthly_cost\":{\"before\":100,\"after\":50},\"saving_percent\":50,\"payback_months\":3,\"advice\":[{\"rule\":\"r\",\"text\":\"x\"}]}}";

static mcomp_context *ctx;
static mcomp_report *r; /* of page_of */

static void setup(void) { mc_ck_ok(mcomp_context_create(&ctx, NULL)); }
static void teardown(void)
{
    mcomp_report_destroy(r);
    r = NULL;
    mcomp_context_destroy(ctx);
}

/* Borrowed until the next call. */
static const char *page_of(const char *json, const char *format)
{
    const char *text;
    uint64_t n;
    mcomp_report_destroy(r);
    mc_ck_ok(mcomp_report_create(&r, ctx));
    mc_ck_ok(mcomp_report_add(r, json, strlen(json), "run.json"));
    mc_ck_ok(mcomp_report_text(&text, &n, r, format));
    ck_assert_uint_eq(strlen(text), n);
    return text;
}

static void text_is(int markdown, const char *given, const char *want)
{
    mc_page p = {.markdown = markdown};
    mc_page_text(&p, given);
    mc_ck_ok(p.st);
    ck_assert_str_eq(p.s.data ? p.s.data : "", want);
    mc_str_free(&p.s);
}

START_TEST(text_cannot_break_out)
{
    char many[400], want[1200] = "";
    text_is(0, "</script><b a=\"1\" c='2'>&amp;", "&lt;/script&gt;&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;amp;");
    text_is(0, "a\x01\nb\x7f", "a\\x01\\x0ab\\x7f");
    text_is(0, "\xff\xc3\x28\xed\xa0\x80 \xc3\xa9", "\\xff\\xc3(\\xed\\xa0\\x80 \xc3\xa9");
    text_is(0, "", "");
    text_is(1, "a|b\n`c` *d* [e](f) <g> @h #1 _i_ \\", "a\\|b\\\\x0a\\`c\\` \\*d\\* \\[e\\](f) &lt;g&gt; &#64;h \\#1 \\_i\\_ \\\\");
    for (size_t shift = 0; shift < 4; shift++) { /* characters of four bytes across every border of a piece */
        memset(many, 'x', shift);
        for (size_t i = shift; i + 4 < sizeof many; i += 4) memcpy(many + i, "\xf0\x9f\x98\x80", 5);
        snprintf(want, sizeof want, "%s", many);
        text_is(0, many, want);
    }
}
END_TEST

static void shown(mc_shown s, const char *want) { ck_assert_str_eq(s.text, want); }

START_TEST(numbers_for_people)
{
    shown(mc_show_bytes(438012000), "438.0 MB");
    shown(mc_show_bytes(999), "999 B");
    shown(mc_show_bytes(999950), "1.00 MB");
    shown(mc_show_bytes(0), "0 B");
    shown(mc_show_bytes((double)NAN), "not measured");
    shown(mc_show_count(109480000), "109.5 M");
    shown(mc_show_count(12), "12");
    shown(mc_show_ms(7.418), "7.42 ms");
    shown(mc_show_ms(0.56), "560 \xc2\xb5s");
    shown(mc_show_ms(61.4), "61.4 ms");
    shown(mc_show_ms(0), "0.00 ms");
    shown(mc_show_percent(-0.02), "\xe2\x88\x92""2.00 %");
    shown(mc_show_seconds(0.01244), "0.01");
    shown(mc_show_seconds(5230.4), "5230");
    shown(mc_show_times(8.275), "8.28\xc3\x97");
    shown(mc_show_times(40.04), "40.0\xc3\x97");
    shown(mc_show_usd(15674.56), "$15,675");
    shown(mc_show_usd(1234567), "$1,234,567");
    shown(mc_show_usd(-3), "\xe2\x88\x92$3.00");
    shown(mc_show_usd(0.752), "$0.752");
    shown(mc_show_metric("accuracy", 0.933), "93.30 %");
    shown(mc_show_metric("perplexity", 12.345678), "12.35");
    shown(mc_show_points("accuracy", -0.009), "\xe2\x88\x92""0.90 points");
    shown(mc_show_points("accuracy", 0.0), "\xc2\xb1""0.00 points");
    shown(mc_show_change(100, 10), "\xe2\x88\x92""90.0 %");
    shown(mc_show_change(100, 100), "unchanged");
    shown(mc_show_change(0, 1), "not measured");
}
END_TEST

START_TEST(the_json_cannot_end_its_element)
{
    const char *page = page_of("{\"output\":\"</script><script>alert(1)</script><!-- &\"}", "html");
    const char *data = strstr(page, "id=\"mcomp-run\">");
    ck_assert_ptr_nonnull(data);
    ck_assert_ptr_nonnull(strstr(data, "\\u003c/script\\u003e\\u003cscript\\u003ealert(1)"));
    ck_assert_ptr_nonnull(strstr(data, "\\u003c!-- \\u0026\"}</script>"));
    int scripts = 0;
    for (const char *p = page; (p = strstr(p, "<script")) != NULL; p++) scripts++;
    ck_assert_int_eq(scripts, 1);
}
END_TEST

START_TEST(every_section_is_there_and_none_without_figures)
{
    static const char *const ids[] = {"result0", "targets0", "stages0", "size0", "tradeoff0", "agreement0", "operators0", "layers0", "training0", "trials0", "cost0", "warnings0", "reproduce0"};
    const char *page = page_of(whole, "html");
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        char section[48];
        snprintf(section, sizeof section, "<section id=\"%s\">", ids[i]);
        ck_assert_msg(strstr(page, section) != NULL, "%s", ids[i]);
    }
    ck_assert_ptr_null(strstr(page, "nan"));
    ck_assert_ptr_nonnull(strstr(page, "mcomp &#39;it&#39;\\&#39;&#39;s&#39;")); /* 'it'\''s': a shell reads it back */
    page = page_of("{}", "html");
    ck_assert_ptr_null(strstr(page, "<section"));
    ck_assert_ptr_null(strstr(page, "<table"));
    page = page_of("{\"stages\":[{\"name\":\"a\"},{\"name\":\"b\"}]}", "html");
    ck_assert_ptr_nonnull(strstr(page, "not measured"));
    ck_assert_ptr_null(strstr(page, "0 B"));
    ck_assert_ptr_null(strstr(page, "<svg"));
    page = page_of(whole, "md");
    ck_assert_ptr_nonnull(strstr(page, "\n| distill | 89.00 % (87.00\xe2\x80\x93" "91.00) |"));
    ck_assert_ptr_null(strstr(page, "<svg"));
}
END_TEST

START_TEST(values_of_the_wrong_type_are_absent)
{
    static const char *const bad[] = {
        "{\"stages\":1}", "{\"stages\":[1,null,\"x\",[]]}", "{\"stages\":[{\"name\":7,\"bytes\":\"x\",\"metric\":[],\"curve\":{},\"layers\":7,\"operators\":[1]}]}",
        "{\"stages\":[{\"name\":\"a\",\"bytes\":-4,\"p50_ms\":-1}]}", "{\"stages\":[{\"name\":\"a\",\"bytes\":1e308},{\"name\":\"b\",\"bytes\":1e-308,\"metric\":{\"value\":1e308,\"ci95\":[1,\"x\"]}}]}",
        "{\"target\":[],\"trials\":{},\"cost\":3,\"warnings\":\"x\",\"argv\":7,\"data\":[1],\"recipe\":\"r\",\"machine\":[]}", "{\"target\":{\"a\":7,\"b\":{\"limit\":\"x\"}}}",
        "{\"before\":1,\"after\":null}", "{\"models\":[{}]}", "{\"stages\":[{\"name\":\"a\",\"curve\":[{\"epoch\":1e300,\"loss\":1e300},{\"epoch\":-1e300,\"loss\":-1e300},3]}]}",
        "{\"stages\":[{\"name\":\"a\",\"layers\":[{\"sparsity\":7},{\"sparsity\":-1,\"dtype\":3},null]}]}", "{\"trials\":[1,{\"id\":[],\"choices\":\"c\",\"met\":1}]}",
        "{\"cost\":{\"monthly_cost\":{\"before\":1e300,\"after\":-1e300},\"advice\":[1,{\"text\":2}]}}", "{\"stages\":[{\"name\":\"a\\u0000b\"}]}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *page = page_of(bad[i], "html");
        const char *data = strstr(page, "<script");
        for (const char *p = page; p < data; p++) /* no number that is none; names hold no such letters here */
            ck_assert_msg(strncmp(p, ">nan", 4) != 0 && strncmp(p, "\"nan", 4) != 0 && strncmp(p, "inf%", 4) != 0 && strncmp(p, "nan%", 4) != 0, "%s: %.60s", bad[i], p);
        (void)page_of(bad[i], "md");
    }
}
END_TEST

START_TEST(what_is_no_run)
{
    const char *text;
    uint64_t n;
    mc_ck_ok(mcomp_report_create(&r, ctx));
    mc_ck_fails(mcomp_report_text(&text, &n, r, "html"), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_report_add(r, "{\n\"a\": 1,\n \"b\": }", 18, "bad.json"), MCOMP_FORMAT);
    ck_assert_ptr_nonnull(strstr(mc_error_peek()->message, "line 3 column"));
    mc_ck_fails(mcomp_report_add(r, "[1]", 3, "x"), MCOMP_FORMAT);
    mc_ck_fails(mcomp_report_add(r, "", 0, "x"), MCOMP_FORMAT);
    mc_ck_fails(mcomp_report_add(r, "{\"a\":\"\xff\"}", 9, "x"), MCOMP_FORMAT);
    mc_ck_fails(mcomp_report_add(r, "{\"a\":NaN}", 9, "x"), MCOMP_FORMAT);
    mc_ck_fails(mcomp_report_add(r, "{}", (uint64_t)100 << 20, "x"), MCOMP_LIMIT); /* the size alone: not read */
    char *deep = mc_malloc(60000);
    for (int i = 0; i < 10000; i++) memcpy(deep + 5 * i, "{\"a\":", 5);
    memset(deep + 50000, '}', 10000);
    mc_ck_fails(mcomp_report_add(r, deep, 60000, "deep"), MCOMP_LIMIT);
    mc_free(deep);
    for (int i = 0; i < 16; i++) mc_ck_ok(mcomp_report_add(r, "{}", 2, "\xff</title>"));
    mc_ck_fails(mcomp_report_add(r, "{}", 2, "x"), MCOMP_LIMIT);
    mc_ck_ok(mcomp_report_text(&text, &n, r, "html"));
    ck_assert_ptr_nonnull(strstr(text, "\\xff&lt;/title&gt;"));
    mc_ck_fails(mcomp_report_text(&text, &n, r, "pdf"), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_report_save(r, "/no/such/folder/r.html", "html", 1), MCOMP_PATH);
    mc_ck_fails(mcomp_report_add_file(r, "/no/such/run.json"), MCOMP_PATH);
}
END_TEST

/* The same three calls with the Nth allocation failing, for every N. */
static int32_t all_of_it(void)
{
    int32_t st = MCOMP_OK, holds;
    mcomp_report *two = NULL;
    const char *text;
    uint64_t n;
    MC_TRY(mcomp_report_create(&two, ctx));
    MC_TRY(mcomp_report_add(two, whole, strlen(whole), "a"));
    MC_TRY(mcomp_report_add(two, whole, strlen(whole), "b"));
    MC_TRY(mcomp_report_text(&text, &n, two, "html"));
    MC_TRY(mcomp_report_text(&text, &n, two, "md"));
    MC_TRY(mcomp_report_check(&holds, two, "accuracy < 0.5"));
done:
    mcomp_report_destroy(two);
    return st;
}

START_TEST(memory_may_run_out_anywhere)
{
    const uint64_t before = mc_alloc_live_bytes();
    int32_t st = MCOMP_NO_MEMORY;
    long n = 0;
    for (; st != MCOMP_OK && n < 2000; n++) {
        mc_error_clear();
        atomic_store(&countdown, n);
        st = all_of_it();
        atomic_store(&countdown, -1);
        ck_assert_msg(st == MCOMP_OK || st == MCOMP_NO_MEMORY, "allocation %ld: %s", n, mcomp_status_name(st));
        ck_assert_msg(st == MCOMP_OK || mc_error_peek()->code == MCOMP_NO_MEMORY, "allocation %ld: no record", n);
        ck_assert_uint_eq(mc_alloc_live_bytes(), before);
    }
    ck_assert(n > 20 && st == MCOMP_OK);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("report/page");
    TCase *c = tcase_create("core");
    mc_allocator_set(&mc_test_failing);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, text_cannot_break_out);
    tcase_add_test(c, numbers_for_people);
    tcase_add_test(c, the_json_cannot_end_its_element);
    tcase_add_test(c, every_section_is_there_and_none_without_figures);
    tcase_add_test(c, values_of_the_wrong_type_are_absent);
    tcase_add_test(c, what_is_no_run);
    tcase_add_test(c, memory_may_run_out_anywhere);
    suite_add_tcase(s, c);
    return mc_test_main(s);
}
