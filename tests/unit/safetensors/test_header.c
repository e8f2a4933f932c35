/* The header: what is read, and every way in which one can be wrong. */
#include "unit/safetensors/st.h"

#include <fcntl.h>
#include <time.h>

#define A "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}"
#define B(from, to) "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[" #from "," #to "]}"
#define ONE(dtype, shape, offsets) "{\"a\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

START_TEST(good_headers)
{
    static const struct {
        const char *header;
        size_t data;
        int64_t tensors, meta;
    } rows[] = {
        {"{}", 0, 0, 0},
        {"{ }   ", 0, 0, 0},
        {"{" A "}", 8, 1, 0},
        {"{" A "}       ", 8, 1, 0},
        {"{\n\t" A " ,\r\n " B(8, 12) "\n}\n", 12, 2, 0},
        {"{" B(8, 12) "," A "}", 12, 2, 0},                                                        /* order in the header is free */
        {"{\"__metadata__\":{\"format\":\"pt\",\"x\":\"\"}," A "}", 8, 1, 2},
        {"{" A ",\"__metadata__\":{}}", 8, 1, 0},
        {ONE("F64", "[]", "[0,8]"), 8, 1, 0},                                                      /* a scalar */
        {ONE("F32", "[0,3]", "[0,0]"), 0, 1, 0},
        {"{" A ",\"z\":{\"dtype\":\"I64\",\"shape\":[0],\"data_offsets\":[0,0]},\"y\":{\"dtype\":\"I8\",\"shape\":[0],\"data_offsets\":[8,8]}}", 8, 3, 0},
        {"{\"a, }{\\\" [\":{\"shape\":[2],\"note\":{\"k\":[1]},\"data_offsets\":[0,8],\"dtype\":\"F32\"}}", 8, 1, 0}, /* other keys, any order */
        {"{\"%n%s\\u001b\\u00e9\":{\"dtype\":\"BF16\",\"shape\":[1,2,2],\"data_offsets\":[0,8]}}", 8, 1, 0},
    };
    static const char *const dtypes[] = {"BOOL", "U8", "I8", "I16", "U16", "F16", "BF16", "I32", "U32", "F32", "F64", "I64", "U64"};
    static const size_t width[] = {1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 8, 8, 8};
    mc_safetensors *s;
    char text[200];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        st_file f = st_make(rows[i].header, rows[i].data);
        const int32_t st = st_open(&s, &f);
        ck_assert_msg(st == MCOMP_OK, "header %zu: %s: %s", i, mcomp_status_name(st), mc_error_peek()->message);
        ck_assert_int_eq(s->n, rows[i].tensors);
        ck_assert_int_eq(s->n_meta, rows[i].meta);
        ck_assert_uint_eq(s->file_bytes, f.n);
        mc_safetensors_close(s);
        free(f.bytes);
    }
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        snprintf(text, sizeof text, "{\"a\":{\"dtype\":\"%s\",\"shape\":[3,1],\"data_offsets\":[0,%zu]}}", dtypes[i], 3 * width[i]);
        st_file f = st_make(text, 3 * width[i]);
        mc_ck_ok(st_open(&s, &f));
        ck_assert_uint_eq((size_t)mc_dtype_bits(s->tensor[0].dtype) / 8, width[i]);
        mc_safetensors_close(s);
        free(f.bytes);
    }
}
END_TEST

START_TEST(bad_headers)
{
    static const struct {
        const char *header;
        size_t data;
        int32_t code;
    } rows[] = {
        /* no object of tensors */
        {"", 0, MCOMP_FORMAT}, {" {}", 0, MCOMP_FORMAT}, {"[]", 0, MCOMP_FORMAT}, {"{", 0, MCOMP_FORMAT}, {"{ ", 0, MCOMP_FORMAT}, {"\xef\xbb\xbf{}", 0, MCOMP_FORMAT},
        {"{}x", 0, MCOMP_FORMAT}, {"{}{}", 0, MCOMP_FORMAT}, {"{" A ",}", 8, MCOMP_FORMAT}, {"{," A "}", 8, MCOMP_FORMAT}, {"{" A ",," B(8, 12) "}", 12, MCOMP_FORMAT},
        {"{" A " " B(8, 12) "}", 12, MCOMP_FORMAT}, {"{" A "]", 8, MCOMP_FORMAT}, {"{" A, 8, MCOMP_FORMAT}, {"{\"a", 0, MCOMP_FORMAT}, {"{\"a\\\"}", 0, MCOMP_FORMAT},
        {"{\"a\"}", 0, MCOMP_FORMAT}, {"{\"a\":}", 0, MCOMP_FORMAT}, {"{\"a\":1}", 0, MCOMP_FORMAT}, {"{\"a\":[]}", 0, MCOMP_FORMAT}, {"{\"a\":null}", 0, MCOMP_FORMAT},
        {"{\"a\":{}}", 0, MCOMP_FORMAT}, {"{" A "/* */}", 8, MCOMP_FORMAT}, {"{a:{}}", 0, MCOMP_FORMAT}, {"{" A "],\"b\":[}", 8, MCOMP_FORMAT},
        /* twice */
        {"{" A "," A "}", 8, MCOMP_FORMAT}, {"{\"\\u0061\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}," A "}", 8, MCOMP_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"shape\":[2],\"data_offsets\":[0,8]}}", 8, MCOMP_FORMAT},
        {"{\"__metadata__\":{\"x\":\"1\",\"x\":\"2\"}}", 0, MCOMP_FORMAT}, {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, MCOMP_FORMAT},
        /* metadata */
        {"{\"__metadata__\":{\"x\":1}}", 0, MCOMP_FORMAT}, {"{\"__metadata__\":{\"x\":{}}}", 0, MCOMP_FORMAT}, {"{\"__metadata__\":[]}", 0, MCOMP_FORMAT},
        {"{\"__metadata__\":\"x\"}", 0, MCOMP_FORMAT}, {"{\"__metadata__\":{\"x\":null}}", 0, MCOMP_FORMAT},
        /* names */
        {"{\"\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0, MCOMP_FORMAT}, {"{\"a\\u0000b\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0, MCOMP_FORMAT},
        {"{\"\\ud800\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0, MCOMP_FORMAT}, {"{\"\xff\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0, MCOMP_FORMAT},
        /* types */
        {ONE("F33", "[2]", "[0,8]"), 8, MCOMP_FORMAT}, {ONE("", "[2]", "[0,8]"), 8, MCOMP_FORMAT}, {ONE("f32", "[2]", "[0,8]"), 8, MCOMP_FORMAT},
        {ONE("F8_E4M3", "[8]", "[0,8]"), 8, MCOMP_UNSUPPORTED}, {ONE("F8_E5M2", "[8]", "[0,8]"), 8, MCOMP_UNSUPPORTED}, {ONE("C64", "[1]", "[0,8]"), 8, MCOMP_UNSUPPORTED},
        {ONE("F4", "[16]", "[0,8]"), 8, MCOMP_UNSUPPORTED}, {"{\"a\":{\"dtype\":7,\"shape\":[2],\"data_offsets\":[0,8]}}", 8, MCOMP_FORMAT},
        /* shapes */
        {ONE("F32", "2", "[0,8]"), 8, MCOMP_FORMAT}, {ONE("F32", "{}", "[0,4]"), 4, MCOMP_FORMAT}, {ONE("F32", "\"\"", "[0,4]"), 4, MCOMP_FORMAT}, {ONE("F32", "[-2]", "[0,8]"), 8, MCOMP_FORMAT},
        {ONE("F32", "[-0]", "[0,0]"), 0, MCOMP_FORMAT}, {ONE("F32", "[2.0]", "[0,8]"), 8, MCOMP_FORMAT}, {ONE("F32", "[\"2\"]", "[0,8]"), 8, MCOMP_FORMAT}, {ONE("F32", "[2e0]", "[0,8]"), 8, MCOMP_FORMAT},
        {ONE("F32", "[1e400]", "[0,8]"), 8, MCOMP_FORMAT}, {ONE("F32", "[NaN]", "[0,8]"), 8, MCOMP_FORMAT}, {ONE("F32", "[true,2]", "[0,8]"), 8, MCOMP_FORMAT},
        {ONE("F32", "[1,1,1,1,1,1,1,1,2]", "[0,8]"), 8, MCOMP_LIMIT}, {ONE("F32", "[4611686018427387904,4]", "[0,0]"), 0, MCOMP_FORMAT},
        {ONE("F32", "[9223372036854775807,2]", "[0,0]"), 0, MCOMP_FORMAT}, {ONE("F32", "[0,9223372036854775807,9223372036854775807]", "[0,0]"), 0, MCOMP_FORMAT},
        {ONE("F32", "[18446744073709551616]", "[0,0]"), 0, MCOMP_FORMAT}, {ONE("F32", "[9223372036854775808]", "[0,0]"), 0, MCOMP_FORMAT}, {ONE("F64", "[2305843009213693952]", "[0,0]"), 0, MCOMP_FORMAT},
        /* offsets */
        {ONE("F32", "[2]", "[0]"), 8, MCOMP_FORMAT}, {ONE("F32", "[2]", "[0,8,8]"), 8, MCOMP_FORMAT}, {ONE("F32", "[2]", "{\"a\":0,\"b\":8}"), 8, MCOMP_FORMAT},
        {ONE("F32", "[2]", "[0,8.0]"), 8, MCOMP_FORMAT}, {ONE("F32", "[2]", "[1.5,9.5]"), 10, MCOMP_FORMAT}, {ONE("F32", "[2]", "[8,0]"), 8, MCOMP_FORMAT}, {ONE("F32", "[2]", "[-8,0]"), 8, MCOMP_FORMAT},
        {ONE("F32", "[2]", "[0,7]"), 7, MCOMP_FORMAT}, {ONE("F32", "[2]", "[0,9]"), 9, MCOMP_FORMAT}, {ONE("F32", "[2]", "[0,8]"), 7, MCOMP_FORMAT}, {ONE("F32", "[2]", "[0,8]"), 9, MCOMP_FORMAT},
        {ONE("F32", "[2]", "[0,8]"), 0, MCOMP_FORMAT}, {ONE("F32", "[2]", "[4,12]"), 12, MCOMP_FORMAT}, {ONE("F32", "[2]", "[9223372036854775800,9223372036854775808]"), 8, MCOMP_FORMAT},
        {ONE("F32", "[2]", "[9223372036854775799,9223372036854775807]"), 8, MCOMP_FORMAT}, {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, MCOMP_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 8, MCOMP_FORMAT}, {"{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8, MCOMP_FORMAT},
        /* cover: overlap, hole, the same bytes twice, data of nobody */
        {"{" A "," B(4, 8) "}", 8, MCOMP_FORMAT}, {"{" A "," B(7, 11) "}", 11, MCOMP_FORMAT}, {"{" A "," B(9, 13) "}", 13, MCOMP_FORMAT}, {"{" A "," B(0, 4) "}", 8, MCOMP_FORMAT},
        {"{" A "," B(8, 12) "}", 13, MCOMP_FORMAT}, {"{}", 1, MCOMP_FORMAT}, {"{\"z\":{\"dtype\":\"I8\",\"shape\":[0],\"data_offsets\":[3,3]}," A "}", 8, MCOMP_FORMAT},
        {"{\"z\":{\"dtype\":\"I8\",\"shape\":[0],\"data_offsets\":[9,9]}," A "}", 8, MCOMP_FORMAT},
        /* depth */
        {"{\"a\":[[[[[[[[[]]]]]]]]]}", 0, MCOMP_LIMIT}, {"{\"a\":{\"b\":{\"c\":{\"d\":{\"e\":{\"f\":{\"g\":{\"h\":{\"i\":{\"j\":1}}}}}}}}}}}", 0, MCOMP_LIMIT},
    };
    mc_safetensors *s;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        st_file f = st_make(rows[i].header, rows[i].data);
        const int32_t st = st_open(&s, &f);
        ck_assert_msg(st == rows[i].code, "header %zu %s: %s (%s)", i, rows[i].header, mcomp_status_name(st), mc_error_peek()->message);
        ck_assert_ptr_null(s);
        ck_assert_msg(mc_error_peek()->message[0] != 0, "header %zu: no message", i);
        free(f.bytes);
    }
}
END_TEST

START_TEST(bad_lengths)
{
    static const struct {
        uint64_t n;
        int32_t code;
    } rows[] = {{0, MCOMP_FORMAT}, {1, MCOMP_FORMAT}, {7, MCOMP_FORMAT}, {100, MCOMP_FORMAT}, {100000001, MCOMP_FORMAT}, {UINT64_MAX, MCOMP_FORMAT}, {UINT64_MAX - 7, MCOMP_FORMAT}, {(uint64_t)1 << 63, MCOMP_FORMAT}};
    mc_safetensors *s;
    st_file f = st_make("{" A "}", 8);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (int k = 0; k < 8; k++) f.bytes[k] = (uint8_t)(rows[i].n >> 8 * k);
        const int32_t st = st_open(&s, &f);
        ck_assert_msg(st == rows[i].code, "length %zu: %s", i, mcomp_status_name(st));
    }
    free(f.bytes);
    f = st_make("{" A "}  ", 8);
    const size_t n = f.n;
    for (f.n = 0; f.n < n; f.n++) mc_ck_fails(st_open(&s, &f), MCOMP_FORMAT); /* every prefix */
    mc_ck_ok(st_open(&s, &f));
    mc_safetensors_close(s);
    free(f.bytes);
}
END_TEST

/* A name with a bracket bomb behind it, a number that a double cannot hold, names in messages. */
START_TEST(hostile_texts)
{
    mc_safetensors *s;
    enum { DEEP = 100000 };
    char *text = malloc(DEEP + 8);
    memset(text, '[', DEEP);
    memcpy(text, "{\"a\":", 5);
    text[DEEP] = 0;
    st_file f = st_make(text, 0);
    mc_ck_fails(st_open(&s, &f), MCOMP_LIMIT);
    free(f.bytes);
    free(text);
    f = st_make(ONE("U8", "[9007199254740993]", "[0,9007199254740992]"), 8);
    mc_ck_fails(st_open(&s, &f), MCOMP_FORMAT);
    ck_assert_ptr_nonnull(strstr(mc_error_peek()->message, "9007199254740993"));
    ck_assert_ptr_nonnull(strstr(mc_error_peek()->message, "9007199254740992"));
    free(f.bytes);
    f = st_make("{\"w\\u001b[31m%s%n\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8);
    mc_ck_fails(st_open(&s, &f), MCOMP_FORMAT);
    ck_assert_str_eq(mc_error_peek()->where, "w\\x1b[31m%s%n");
    free(f.bytes);
}
END_TEST

START_TEST(limits_of_the_context)
{
    mcomp_context *ctx;
    mcomp_context_options o;
    mc_safetensors *s;
    st_file f = st_make("{" A "," B(8, 12) "}", 12);
    mc_ck_ok(mcomp_context_options_init(&o, sizeof o));
    o.max_nodes = 1;
    mc_ck_ok(mcomp_context_create(&ctx, &o));
    mc_ck_fails(mc_safetensors_open_memory(&s, ctx, f.bytes, f.n), MCOMP_LIMIT);
    mcomp_context_destroy(ctx);
    o.max_nodes = 0;
    o.max_model_bytes = f.n - 1;
    mc_ck_ok(mcomp_context_create(&ctx, &o));
    mc_ck_fails(mc_safetensors_open_memory(&s, ctx, f.bytes, f.n), MCOMP_LIMIT);
    mcomp_context_destroy(ctx);
    free(f.bytes);
}
END_TEST

/* Twice the tensors, twice the time (names are looked up, not compared with all others), and memory in proportion to the header. */
START_TEST(many_tensors)
{
    mc_safetensors *s;
    mc_str h = {0};
    enum { N = 100000 };
    mc_ck_ok(mc_str_append(&h, "{"));
    for (int i = 0; i < N; i++) mc_ck_ok(mc_str_appendf(&h, "%s\"t%d\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}", i ? "," : "", i));
    mc_ck_ok(mc_str_append(&h, "}"));
    st_file f = st_make_n(h.data, (size_t)h.len, 0);
    const uint64_t before = mc_alloc_live_bytes();
    mc_ck_ok(mc_safetensors_open_memory(&s, NULL, f.bytes, f.n));
    ck_assert_int_eq(s->n, N);
    ck_assert_uint_lt(mc_alloc_live_bytes() - before, 6 * f.n + (16 << 20));
    ck_assert_ptr_eq(mc_safetensors_find(s, "t99999"), &s->tensor[99999]);
    ck_assert_ptr_null(mc_safetensors_find(s, "t100000"));
    mc_safetensors_close(s);
    ck_assert_uint_eq(mc_alloc_live_bytes(), before);
    free(f.bytes);
    mc_str_free(&h);
}
END_TEST

/* As many entries as 90 MB can hold: counted and refused before one of them is parsed, in time and memory that do not follow their number. */
START_TEST(bad_024_ninety_megabytes_of_entries)
{
    static const char entry[] = "\"\":0,"; /* the shortest that is a member: 18 million of them */
    enum { BYTES = 90 << 20 };
    mc_safetensors *s;
    char *text = malloc(BYTES + 1);
    ck_assert_ptr_nonnull(text);
    for (size_t i = 0; i < BYTES; i++) text[i] = i == 0 ? '{' : entry[(i - 1) % (sizeof entry - 1)];
    text[BYTES] = 0;
    memcpy(text + BYTES - 6, "\"z\":0}", 6);
    st_file f = st_make_n(text, BYTES, 0);
    free(text);
    const uint64_t calls = mc_alloc_count();
    const clock_t start = clock(); /* of this process: the machine may be busy */
    mc_ck_fails(mc_safetensors_open_memory(&s, NULL, f.bytes, f.n), MCOMP_LIMIT);
    ck_assert_ptr_nonnull(strstr(mc_error_peek()->message, "1000000 tensors"));
    ck_assert_ptr_null(s);
    ck_assert_uint_lt(mc_alloc_count() - calls, 50);
    ck_assert_int_lt(clock() - start, 2 * CLOCKS_PER_SEC);
    free(f.bytes);
}
END_TEST

/* A header of more than 100,000,000 bytes, and a file that really has them (as a hole). */
START_TEST(bad_019_a_header_beyond_the_limit)
{
    mc_safetensors *s;
    uint8_t head[9] = {0, 0, 0, 0, 0, 0, 0, 0, '{'};
    st_setup();
    for (int k = 0; k < 8; k++) head[k] = (uint8_t)((uint64_t)(MC_ST_MAX_HEADER + 1) >> 8 * k);
    st_put("long.safetensors", (const char *)head, 9);
    ck_assert_int_eq(truncate(st_path("long.safetensors"), (off_t)MC_ST_MAX_HEADER + 100), 0);
    mc_ck_fails(mc_safetensors_open(&s, NULL, st_path("long.safetensors"), 0), MCOMP_LIMIT);
    ck_assert_ptr_nonnull(strstr(mc_error_peek()->message, "100000001"));
    ck_assert_ptr_nonnull(strstr(mc_error_peek()->where, "long.safetensors"));
    st_teardown();
}
END_TEST

/* Values at any address; a tensor keeps the mapping alive. */
START_TEST(tensors_outlive_the_set)
{
    mc_safetensors *s;
    mc_tensor *t;
    st_setup();
    st_put_file("x.safetensors", "{\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},\"a\":{\"dtype\":\"I16\",\"shape\":[2],\"data_offsets\":[1,5]}}", 5);
    mc_ck_ok(mc_safetensors_open(&s, NULL, st_path("x.safetensors"), 0));
    mc_ck_ok(mc_safetensors_tensor(mc_safetensors_find(s, "a"), &t));
    ck_assert_ptr_eq(t->data, (uint8_t *)mc_buffer_data(s->buffer[0]) + mc_buffer_bytes(s->buffer[0]) - 4); /* no copy */
    mc_safetensors_close(s);
    mc_ck_ok(mc_tensor_align(t));
    ck_assert_int_eq(mc_tensor_get_i64(t, 0), 0x0201);
    ck_assert_int_eq(mc_tensor_get_i64(t, 1), 0x0403);
    mc_tensor_destroy(t);
    st_teardown();
}
END_TEST

/* Offsets beyond 32 bits, in a file that is mostly a hole. */
START_TEST(beyond_four_gigabytes)
{
    static const uint64_t big = ((uint64_t)1 << 32) + 5;
    mc_safetensors *s;
    mc_tensor *t;
    char header[200];
    st_setup();
    snprintf(header, sizeof header, "{\"a\":{\"dtype\":\"U8\",\"shape\":[%llu],\"data_offsets\":[0,%llu]},\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[%llu,%llu]}}",
             (unsigned long long)big, (unsigned long long)big, (unsigned long long)big, (unsigned long long)big + 2);
    st_put_file("big.safetensors", header, 0);
    const off_t end = (off_t)(8 + strlen(header) + big + 2);
    ck_assert_int_eq(truncate(st_path("big.safetensors"), end), 0);
    const int fd = open(st_path("big.safetensors"), O_WRONLY | O_CLOEXEC);
    ck_assert_int_eq(pwrite(fd, "\x07\x2a\x2b", 3, end - 3), 3);
    close(fd);
    mc_ck_ok(mc_safetensors_open(&s, NULL, st_path("big.safetensors"), 0));
    mc_ck_ok(mc_safetensors_tensor(mc_safetensors_find(s, "a"), &t));
    ck_assert_int_eq(mc_tensor_get_i64(t, (int64_t)big - 1), 7);
    mc_tensor_destroy(t);
    mc_ck_ok(mc_safetensors_tensor(mc_safetensors_find(s, "b"), &t));
    ck_assert_int_eq(mc_tensor_get_i64(t, 1), 0x2b);
    mc_tensor_destroy(t);
    mc_safetensors_close(s);
    st_teardown();
}
END_TEST

START_TEST(special_files)
{
    mc_safetensors *s;
    st_setup();
    ck_assert_int_eq(mkfifo(st_path("f.safetensors"), 0600), 0);
    mkdir(st_path("d.safetensors"), 0755);
    st_put("e.safetensors", "", 0);
    mc_ck_fails(mc_safetensors_open(&s, NULL, st_path("f.safetensors"), 0), MCOMP_PATH);
    mc_ck_fails(mc_safetensors_open(&s, NULL, st_path("d.safetensors"), 0), MCOMP_PATH);
    mc_ck_fails(mc_safetensors_open(&s, NULL, st_path("e.safetensors"), 0), MCOMP_FORMAT);
    mc_ck_fails(mc_safetensors_open(&s, NULL, st_path("missing.safetensors"), 0), MCOMP_PATH);
    mc_ck_fails(mc_safetensors_open(&s, NULL, "/dev/zero", 0), MCOMP_PATH);
    mc_ck_fails(mc_safetensors_open(&s, NULL, "/proc/self/maps", 0), MCOMP_FORMAT);
    ck_assert_int_eq(mc_safetensors_is(st_path("f.safetensors")), 1);
    ck_assert_int_eq(mkfifo(st_path("pipe"), 0600), 0);
    ck_assert_int_eq(mc_safetensors_is(st_path("pipe")), 0); /* and does not hang */
    st_put_file("plain.bin", "{}", 0);
    ck_assert_int_eq(mc_safetensors_is(st_path("plain.bin")), 1);
    st_teardown();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("safetensors/header");
    TCase *c = tcase_create("core");
    tcase_add_test(c, good_headers);
    tcase_add_test(c, bad_headers);
    tcase_add_test(c, bad_lengths);
    tcase_add_test(c, hostile_texts);
    tcase_add_test(c, limits_of_the_context);
    tcase_add_test(c, many_tensors);
    tcase_add_test(c, bad_024_ninety_megabytes_of_entries);
    tcase_add_test(c, bad_019_a_header_beyond_the_limit);
    tcase_add_test(c, tensors_outlive_the_set);
    tcase_add_test(c, beyond_four_gigabytes);
    tcase_add_test(c, special_files);
    suite_add_tcase(s, c);
    return mc_test_main(s);
}
