/* An index and its shards: what is read, and what is refused. The table of locations is that of ONNX's external data. */
#include "unit/safetensors/st.h"

#define T(name, from, to) "\"" name "\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[" #from "," #to "]}"

static void setup(void)
{
    st_setup();
    mkdir(st_path("m"), 0755);
    mkdir(st_path("m/sub"), 0755);
    mkdir(st_path("sub"), 0755);
    st_put_file("m/one.safetensors", "{\"__metadata__\":{\"format\":\"pt\"}," T("a", 0, 4) "," T("b", 4, 8) "}", 8);
    st_put_file("m/two.safetensors", "{\"__metadata__\":{\"format\":\"tf\",\"k\":\"v\"}," T("c", 0, 4) "}", 4);
    st_put_file("m/sub/three.safetensors", "{" T("c", 0, 4) "}", 4);
    st_put_file("m/again.safetensors", "{" T("a", 0, 4) "}", 4);
    st_put_file("out.safetensors", "{" T("c", 0, 4) "}", 4);
    st_put_file("sub/deep.safetensors", "{" T("c", 0, 4) "}", 4);
    st_put_file("m/twin.safetensors", "{" T("c", 0, 4) "}", 4);
    ck_assert_int_eq(link(st_path("m/twin.safetensors"), st_path("m/hard.safetensors")), 0);
    ck_assert_int_eq(symlink("two.safetensors", st_path("m/soft.safetensors")), 0);
    ck_assert_int_eq(symlink("../sub", st_path("m/away")), 0);
    ck_assert_int_eq(mkfifo(st_path("m/fifo"), 0600), 0);
}

static int32_t open_index(const char *text, mc_safetensors **s)
{
    st_put_text("m/model.safetensors.index.json", text);
    mc_error_clear();
    *s = NULL;
    return mc_safetensors_open(s, NULL, st_path("m/model.safetensors.index.json"), 0);
}

START_TEST(good_sets)
{
    static const char *const rows[] = {
        "{\"weight_map\":{\"a\":\"one.safetensors\",\"c\":\"two.safetensors\",\"b\":\"one.safetensors\"}}",
        "{\"metadata\":{\"total_size\":12},\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"one.safetensors\",\"c\":\"sub/three.safetensors\"}}",
        "{\"weight_map\":{\"a\":\"./one.safetensors\",\"b\":\"./one.safetensors\",\"c\":\"two.safetensors\"}}",
    };
    mc_safetensors *s;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        mc_ck_ok(open_index(rows[i], &s));
        ck_assert_int_eq(s->n, 3);
        ck_assert_int_eq(s->n_buffers, 2);
        ck_assert_str_eq(s->meta[0].value, "pt"); /* of the first shard */
        mc_safetensors_close(s);
    }
    /* an index that is reached through a link: its shards are where it lies */
    ck_assert_int_eq(symlink("m/model.safetensors.index.json", st_path("link.safetensors.index.json")), 0);
    mc_ck_ok(mc_safetensors_open(&s, NULL, st_path("link.safetensors.index.json"), 0));
    mc_safetensors_close(s);
}
END_TEST

START_TEST(bad_indexes)
{
    static const struct {
        const char *text;
        int32_t code;
    } rows[] = {
        {"", MCOMP_FORMAT}, {"{}", MCOMP_FORMAT}, {"[]", MCOMP_FORMAT}, {"{\"weight_map\":[]}", MCOMP_FORMAT}, {"{\"weight_map\":{\"a\":1}}", MCOMP_FORMAT},
        {"{\"weight_map\":{\"a\":\"one.safetensors\"}}", MCOMP_FORMAT},                                            /* b is in the shard too */
        {"{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"one.safetensors\",\"x\":\"one.safetensors\"}}", MCOMP_FORMAT}, /* x is not */
        {"{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"two.safetensors\",\"c\":\"two.safetensors\"}}", MCOMP_FORMAT}, /* in the other */
        {"{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"one.safetensors\",\"a\":\"two.safetensors\"}}", MCOMP_FORMAT},
        {"{\"weight_map\":{\"b\":\"one.safetensors\",\"a\":\"again.safetensors\"}}", MCOMP_FORMAT},                 /* a is in two shards */
    };
    mc_safetensors *s;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const int32_t st = open_index(rows[i].text, &s);
        ck_assert_msg(st == rows[i].code, "index %zu: %s (%s)", i, mcomp_status_name(st), mc_error_peek()->message);
        ck_assert_ptr_null(s);
    }
}
END_TEST

START_TEST(bad_locations)
{
    static char longest[5001];
    static const char *const rows[] = {"../out.safetensors", "sub/../../out.safetensors", "sub/../two.safetensors", "/etc/passwd", "", ".", "..", "sub/", "two.safetensors/",
        "sub//three.safetensors", longest, "soft.safetensors", "away/deep.safetensors", "hard.safetensors", "fifo", "sub", "missing", "/dev/zero", "two.safetensors/x"};
    mc_safetensors *s;
    mc_str text = {0};
    memset(longest, 'a', 5000);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        text.len = 0;
        mc_ck_ok(mc_str_appendf(&text, "{\"weight_map\":{\"c\":\"%s\"}}", rows[i]));
        const int32_t st = open_index(text.data, &s);
        ck_assert_msg(st == MCOMP_PATH, "location %zu %s: %s (%s)", i, rows[i], mcomp_status_name(st), mc_error_peek()->message);
        ck_assert_ptr_null(s);
    }
    mc_str_free(&text);
    mc_ck_fails(open_index("{\"weight_map\":{\"c\":\"two.safetensors\\u0000/../../out.safetensors\"}}", &s), MCOMP_PATH);
    ck_assert_ptr_null(s);
}
END_TEST

/* Links as download caches have them: one file is fine, a set is refused with a way out. */
START_TEST(download_cache)
{
    mc_safetensors *s;
    mkdir(st_path("blobs"), 0755);
    mkdir(st_path("snap"), 0755);
    st_put_file("blobs/aa", "{" T("c", 0, 4) "}", 4);
    st_put_text("blobs/bb", "{\"weight_map\":{\"c\":\"model-00001-of-00001.safetensors\"}}");
    ck_assert_int_eq(symlink("../blobs/aa", st_path("snap/model-00001-of-00001.safetensors")), 0);
    ck_assert_int_eq(symlink("../blobs/bb", st_path("snap/model.safetensors.index.json")), 0);
    mc_ck_ok(mc_safetensors_open(&s, NULL, st_path("snap/model-00001-of-00001.safetensors"), 0));
    mc_safetensors_close(s);
    mc_ck_fails(mc_safetensors_open(&s, NULL, st_path("snap/model.safetensors.index.json"), 0), MCOMP_PATH);
    ck_assert_ptr_nonnull(strstr(mc_error_peek()->hint, "cp -L"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("safetensors/shards");
    TCase *c = tcase_create("core");
    tcase_add_checked_fixture(c, setup, st_teardown);
    tcase_add_test(c, good_sets);
    tcase_add_test(c, bad_indexes);
    tcase_add_test(c, bad_locations);
    tcase_add_test(c, download_cache);
    suite_add_tcase(s, c);
    return mc_test_main(s);
}
