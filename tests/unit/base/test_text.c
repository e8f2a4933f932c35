/* Strings, numbers, names, maps, JSON, the error record. */
#include "support/support.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>

START_TEST(numbers_do_not_depend_on_the_locale)
{
    double v;
    int64_t i;
    (void)setlocale(LC_ALL, "de_DE.UTF-8");
    ck_assert_int_eq(mc_parse_f64("1.5", &v), MCOMP_OK);
    ck_assert_double_eq(v, 1.5);
    ck_assert_int_ne(mc_parse_f64("1,5", &v), MCOMP_OK);
    ck_assert_int_ne(mc_parse_f64("nan", &v), MCOMP_OK);
    ck_assert_int_ne(mc_parse_f64("1e400", &v), MCOMP_OK);
    ck_assert_int_ne(mc_parse_f64(" 1", &v), MCOMP_OK);
    ck_assert_int_ne(mc_parse_f64("", &v), MCOMP_OK);
    ck_assert_int_eq(mc_parse_i64("-9223372036854775808", &i), MCOMP_OK);
    ck_assert_int_eq(mc_parse_i64("9223372036854775808", &i), MCOMP_RANGE);
    ck_assert_int_eq(mc_parse_i64("1x", &i), MCOMP_FORMAT);
    (void)setlocale(LC_ALL, "C");
}
END_TEST

START_TEST(hostile_names_are_escaped)
{
    char buf[32];
    ck_assert_str_eq(mc_escape(buf, sizeof buf, "a\n\x1b%n"), "a\\x0a\\x1b%n");
    ck_assert_str_eq(mc_escape(buf, sizeof buf, "\xff\xc3\xa9"), "\\xff\xc3\xa9");
    ck_assert_str_eq(mc_escape(buf, 6, "abcdefgh"), "abcde");
    (void)mc_fail(MCOMP_FORMAT, "evil\nname", "bad %s", "\x07");
    ck_assert_str_eq(mc_error_peek()->where, "evil\\x0aname");
    ck_assert_str_eq(mc_error_peek()->message, "bad \\x07");
}
END_TEST

START_TEST(long_messages_are_cut_not_overrun)
{
    char text[3000];
    for (size_t n = 500; n < 520; n++) {
        memset(text, 'x', n);
        text[n] = 0;
        mc_error_clear();
        (void)mc_fail(MCOMP_FORMAT, text, "%s", text);
        ck_assert_uint_lt(strlen(mc_error_peek()->message), sizeof mc_error_peek()->message);
        ck_assert_uint_lt(strlen(mc_error_peek()->where), sizeof mc_error_peek()->where);
    }
}
END_TEST

START_TEST(the_innermost_message_wins)
{
    mc_error_clear();
    (void)mc_fail(MCOMP_SHAPE, "node", "inner");
    (void)mc_fail(MCOMP_SHAPE, "graph", "outer");
    ck_assert_str_eq(mc_error_peek()->message, "inner");
    mcomp_error small = {.size = 12};
    mcomp_error_get(&small);
    ck_assert_int_eq(small.code, MCOMP_SHAPE);
    ck_assert_str_eq(mcomp_status_name(-6), "SHAPE");
    ck_assert_str_eq(mcomp_status_name(-7777), "UNKNOWN");
    ck_assert_int_eq(mcomp_status_exit_code(MCOMP_CANCELLED), 130);
}
END_TEST

START_TEST(globs_and_nearest)
{
    static const char *const names[] = {"percentile", "minmax", "kl", NULL};
    ck_assert_int_eq(mc_glob_match("*ffn*", "layer.0.ffn.up"), 1);
    ck_assert_int_eq(mc_glob_match("a?c", "abc"), 1);
    ck_assert_int_eq(mc_glob_match("a?c", "ac"), 0);
    ck_assert_int_eq(mc_glob_match("*", ""), 1);
    ck_assert_str_eq(mc_nearest("percentil", names), "percentile");
    ck_assert_ptr_null(mc_nearest("completely-else", names));
}
END_TEST

START_TEST(maps_keep_many_keys)
{
    char key[32];
    int64_t v;
    mc_map *m = mc_map_create();
    for (int i = 0; i < 20000; i++) {
        snprintf(key, sizeof key, "key%d", i);
        mc_ck_ok(mc_map_put(m, key, i));
        if (i % 3 == 0) ck_assert_int_eq(mc_map_remove(m, key), 1);
    }
    for (int i = 0; i < 20000; i++) {
        snprintf(key, sizeof key, "key%d", i);
        ck_assert_int_eq(mc_map_get(m, key, &v), i % 3 != 0);
        if (i % 3) ck_assert_int_eq(v, i);
    }
    ck_assert_int_eq(mc_map_count(m), 13333);
    mc_map_destroy(m);
}
END_TEST

static int32_t parse(const char *text)
{
    mc_json *j = NULL;
    mc_error_clear();
    const int32_t st = mc_json_parse(&j, text, strlen(text), "t");
    mc_json_destroy(j);
    return st;
}

START_TEST(json_refuses_what_others_differ_on)
{
    char deep[300];
    ck_assert_int_eq(parse("{\"a\":[1,2.5,\"x\"]}"), MCOMP_OK);
    ck_assert_int_ne(parse("{\"a\":1,\"a\":2}"), MCOMP_OK);
    ck_assert_int_ne(parse("{\"a\":NaN}"), MCOMP_OK);
    ck_assert_int_ne(parse("{\"a\":1} x"), MCOMP_OK);
    ck_assert_int_ne(parse(""), MCOMP_OK);
    memset(deep, '[', 200);
    memset(deep + 200, 0, 1);
    ck_assert_int_ne(parse(deep), MCOMP_OK);
}
END_TEST

START_TEST(options_are_size_first)
{
    struct {
        mcomp_context_options o;
        uint32_t tail[2];
    } big;
    mcomp_context *c;
    memset(&big, 0, sizeof big);
    mc_ck_ok(mcomp_context_options_init(&big.o, sizeof big));
    mc_ck_ok(mcomp_context_create(&c, &big.o));
    mcomp_context_destroy(c);
    big.tail[0] = 1;
    mc_ck_fails(mcomp_context_create(&c, &big.o), MCOMP_ARGUMENT);
    big.tail[0] = 0;
    big.o.size = 0;
    mc_ck_fails(mcomp_context_create(&c, &big.o), MCOMP_ARGUMENT);
    mcomp_context_destroy(NULL);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("base/text");
    TCase *c = tcase_create("core");
    tcase_add_test(c, numbers_do_not_depend_on_the_locale);
    tcase_add_test(c, hostile_names_are_escaped);
    tcase_add_test(c, long_messages_are_cut_not_overrun);
    tcase_add_test(c, the_innermost_message_wins);
    tcase_add_test(c, globs_and_nearest);
    tcase_add_test(c, maps_keep_many_keys);
    tcase_add_test(c, json_refuses_what_others_differ_on);
    tcase_add_test(c, options_are_size_first);
    suite_add_tcase(s, c);
    return mc_test_main(s);
}
