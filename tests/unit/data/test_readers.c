/* npy, npz, IDX, raw and text readers: what they accept, and that damage is an error, never a crash. */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include "data/internal.h"

static char dir[64];
static const char *at(const char *name)
{
    static char path[4][256];
    static int next;
    char *p = path[next++ % 4];
    snprintf(p, 256, "%s/%s", dir, name);
    return p;
}
static void put(const char *name, const void *data, size_t n)
{
    FILE *f = fopen(at(name), "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(data, 1, n, f), n);
    fclose(f);
}
static void setup(void)
{
    strcpy(dir, "/tmp/mcomp_data_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}
static void teardown(void)
{
    char cmd[128];
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    ck_assert_int_eq(system(cmd), 0);
}

static size_t make_npy(uint8_t *out, const char *descr, const char *shape, const void *data, size_t n)
{
    char head[128];
    const int len = snprintf(head, sizeof head, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }\n", descr, shape);
    memcpy(out, "\x93NUMPY\x01\x00", 8);
    out[8] = (uint8_t)len;
    out[9] = 0;
    memcpy(out + 10, head, (size_t)len);
    memcpy(out + 10 + len, data, n);
    return 10 + (size_t)len + n;
}

START_TEST(npy_types_and_byte_order)
{
    uint8_t file[256];
    mc_tensor *t;
    const float f[2] = {1.5f, -2.0f};
    const uint8_t big[4] = {0, 1, 2, 3};
    size_t n = make_npy(file, "<f4", "(2,)", f, sizeof f);
    mc_ck_ok(mc_npy_parse(&t, file, n, "x"));
    ck_assert_int_eq(t->dtype, MCOMP_F32);
    ck_assert_float_eq(((float *)t->data)[1], -2.0f);
    mc_tensor_destroy(t);
    n = make_npy(file, ">i2", "(2, 1)", big, sizeof big);
    mc_ck_ok(mc_npy_parse(&t, file, n, "x"));
    ck_assert_int_eq(((int16_t *)t->data)[0], 1);
    ck_assert_int_eq(((int16_t *)t->data)[1], 0x203);
    mc_tensor_destroy(t);
    const uint32_t text[4] = {'a', 0, 0xe9, 'b'};
    n = make_npy(file, "<U2", "(2,)", text, sizeof text);
    mc_ck_ok(mc_npy_parse(&t, file, n, "x"));
    ck_assert_str_eq(((char **)t->data)[0], "a");
    ck_assert_str_eq(((char **)t->data)[1], "\xc3\xa9" "b");
    mc_tensor_destroy(t);
}
END_TEST

START_TEST(npy_refuses_damage)
{
    uint8_t file[256];
    mc_tensor *t;
    const float f[2] = {1, 2};
    const size_t n = make_npy(file, "<f4", "(2,)", f, sizeof f);
    for (size_t k = 0; k < n; k++) mc_ck_fails(mc_npy_parse(&t, file, k, "x"), MCOMP_FORMAT);
    mc_ck_fails(mc_npy_parse(&t, file, make_npy(file, "<f4", "(3,)", f, 8), "x"), MCOMP_FORMAT);
    mc_error_clear();
    ck_assert_int_ne(mc_npy_parse(&t, file, make_npy(file, "<f4", "(4611686018427387904, 4)", f, 8), "x"), MCOMP_OK);
    mc_ck_fails(mc_npy_parse(&t, file, make_npy(file, "|O8", "(1,)", f, 8), "x"), MCOMP_DTYPE);
    mc_ck_fails(mc_npy_parse(&t, file, make_npy(file, "<f4", "(2", f, 8), "x"), MCOMP_FORMAT);
}
END_TEST

START_TEST(npy_fortran_order)
{
    uint8_t file[256];
    mc_tensor *t;
    const int16_t column_major[12] = {0, 6, 2, 8, 4, 10, 1, 7, 3, 9, 5, 11}; /* [2, 3, 2], first axis fastest */
    const size_t n = make_npy(file, "<i2", "(2, 3, 2)", column_major, sizeof column_major);
    char *order = strstr((char *)file + 10, "False");
    memcpy(order, "True ", 5);
    mc_ck_ok(mc_npy_parse(&t, file, n, "x"));
    for (int i = 0; i < 12; i++) ck_assert_int_eq(((int16_t *)t->data)[i], i);
    mc_tensor_destroy(t);
}
END_TEST

/* numpy has no bfloat16: the file holds the same values as float32. */
START_TEST(npy_widens_types_numpy_lacks)
{
    mcomp_tensor *t, *u;
    const int64_t dims[1] = {3};
    const float v[3] = {1.5f, -0.25f, 65280.0f};
    mc_ck_ok(mcomp_tensor_create(&t, MCOMP_BF16, 1, dims));
    for (int i = 0; i < 3; i++) mc_tensor_set_f64(&t->t, i, (double)v[i]);
    mc_ck_ok(mcomp_tensor_save_npy(t, at("bf.npy"), 1));
    mc_ck_ok(mcomp_tensor_load_npy(&u, at("bf.npy")));
    ck_assert_int_eq(mcomp_tensor_dtype(u), MCOMP_F32);
    ck_assert_mem_eq(mcomp_tensor_data(u), v, sizeof v);
    mcomp_tensor_destroy(t);
    mcomp_tensor_destroy(u);
}
END_TEST

START_TEST(npy_round_trip)
{
    mcomp_tensor *t, *u;
    const int64_t dims[2] = {2, 3};
    mc_ck_ok(mcomp_tensor_create(&t, MCOMP_I64, 2, dims));
    for (int i = 0; i < 6; i++) ((int64_t *)mcomp_tensor_data(t))[i] = i * 7 - 3;
    mc_ck_ok(mcomp_tensor_save_npy(t, at("a.npy"), 0));
    ck_assert_int_eq(mcomp_tensor_save_npy(t, at("a.npy"), 0), MCOMP_PATH);
    mc_ck_ok(mcomp_tensor_save_npy(t, at("a.npy"), 1));
    mc_ck_ok(mcomp_tensor_load_npy(&u, at("a.npy")));
    ck_assert_int_eq(mcomp_tensor_rank(u), 2);
    ck_assert_mem_eq(mcomp_tensor_data(u), mcomp_tensor_data(t), 48);
    mcomp_tensor_destroy(t);
    mcomp_tensor_destroy(u);
}
END_TEST

static void le(uint8_t *p, uint64_t v, int n)
{
    for (int i = 0; i < n; i++) p[i] = (uint8_t)(v >> (8 * i));
}

/* A zip of one member, deflated. */
static size_t make_npz(uint8_t *out, const char *name, const uint8_t *data, size_t n)
{
    uint8_t packed[512];
    z_stream z = {0};
    ck_assert_int_eq(deflateInit2(&z, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
    uint8_t copy[512];
    memcpy(copy, data, n);
    z.next_in = copy;
    z.avail_in = (uInt)n;
    z.next_out = packed;
    z.avail_out = sizeof packed;
    ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    const size_t p = z.total_out, k = strlen(name);
    const uint64_t crc = crc32_z(0, data, n);
    memset(out, 0, 1024);
    uint8_t *o = out;
    le(o, 0x04034b50, 4), le(o + 8, 8, 2), le(o + 14, crc, 4), le(o + 18, p, 4), le(o + 22, n, 4), le(o + 26, k, 2);
    memcpy(o + 30, name, k);
    memcpy(o + 30 + k, packed, p);
    uint8_t *c = o + 30 + k + p;
    le(c, 0x02014b50, 4), le(c + 10, 8, 2), le(c + 16, crc, 4), le(c + 20, p, 4), le(c + 24, n, 4), le(c + 28, k, 2);
    memcpy(c + 46, name, k);
    uint8_t *e = c + 46 + k;
    le(e, 0x06054b50, 4), le(e + 8, 1, 2), le(e + 10, 1, 2), le(e + 12, 46 + k, 4), le(e + 16, (uint64_t)(c - out), 4);
    return (size_t)(e + 22 - out);
}

START_TEST(npz_members_and_damage)
{
    uint8_t npy[256], zip[1024];
    const float f[3] = {1, 2, 3};
    mc_arrays a = {0};
    const size_t n = make_npz(zip, "x.npy", npy, make_npy(npy, "<f4", "(3,)", f, sizeof f));
    put("a.npz", zip, n);
    mc_ck_ok(mc_npz_read(&a, at("a.npz")));
    ck_assert_int_eq(a.n, 1);
    ck_assert_str_eq(a.list[0].name, "x");
    ck_assert_float_eq(((float *)a.list[0].t->data)[2], 3.0f);
    mc_arrays_free(&a);
    int refused = 0;
    for (size_t k = 0; k < n; k++) { /* truncated at every byte */
        put("b.npz", zip, k);
        refused += mc_npz_read(&a, at("b.npz")) != MCOMP_OK;
        mc_arrays_free(&a);
    }
    ck_assert_int_eq(refused, (int)n);
    for (size_t k = 0; k < n; k++) { /* one byte damaged: an error or the same array, never a crash */
        uint8_t bad[1024];
        memcpy(bad, zip, n);
        bad[k] ^= 0xff;
        put("b.npz", bad, n);
        if (mc_npz_read(&a, at("b.npz")) == MCOMP_OK && a.n == 1) ck_assert_float_eq(((float *)a.list[0].t->data)[2], 3.0f);
        mc_arrays_free(&a);
    }
}
END_TEST

START_TEST(idx_and_raw)
{
    mc_tensor *t;
    const uint8_t idx[] = {0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3, 4};
    put("a.idx", idx, sizeof idx);
    mc_ck_ok(mc_idx_read(&t, at("a.idx")));
    ck_assert_int_eq(t->shape.dim[1], 2);
    ck_assert_uint_eq(((uint8_t *)t->data)[3], 4);
    mc_tensor_destroy(t);
    for (size_t k = 0; k < sizeof idx; k++) {
        put("a.idx", idx, k);
        mc_ck_fails(mc_idx_read(&t, at("a.idx")), MCOMP_FORMAT);
    }
    char spec[300];
    put("a.bin", "\1\0\2\0\3\0", 6);
    snprintf(spec, sizeof spec, "%s:int16:3", at("a.bin"));
    mc_ck_ok(mc_raw_read(&t, spec));
    ck_assert_int_eq(((int16_t *)t->data)[2], 3);
    mc_tensor_destroy(t);
    snprintf(spec, sizeof spec, "%s:int16:4", at("a.bin"));
    mc_ck_fails(mc_raw_read(&t, spec), MCOMP_DATA);
    snprintf(spec, sizeof spec, "%s:int99:3", at("a.bin"));
    mc_ck_fails(mc_raw_read(&t, spec), MCOMP_DTYPE);
}
END_TEST

static int64_t rows(const char *name, const char *body, const mc_select *select, int32_t n_select, char *first, char *label)
{
    mc_table t = {0};
    put(name, body, strlen(body));
    mc_ck_ok(mc_table_read(&t, &(mc_table_request){.path = at(name), .select = select, .n_select = n_select}));
    if (t.n > 0) {
        strcpy(first, t.rows[0].text);
        strcpy(label, t.rows[0].label ? t.rows[0].label : "-");
    }
    const int64_t n = t.n;
    mc_table_free(&t);
    return n;
}

START_TEST(text_tables)
{
    char text[64], label[64], column[] = "split", value[] = "test";
    const mc_select test = {column, value};
    mc_table t = {0};
    ck_assert_int_eq(rows("a.tsv", "split\tlabel\ttext\ntrain\tx\tone\r\ntest\ty\ttwo", &test, 1, text, label), 1);
    ck_assert_str_eq(text, "two");
    ck_assert_str_eq(label, "y");
    ck_assert_int_eq(rows("a.csv", "label,text\n1,\"a \"\"b\"\",\nc\"\n2,d\n", NULL, 0, text, label), 2);
    ck_assert_str_eq(text, "a \"b\",\nc");
    ck_assert_int_eq(rows("a.jsonl", "{\"text\":\"q\",\"label\":3}\n\n{\"text\":\"r\",\"label\":\"z\"}\n", NULL, 0, text, label), 2);
    ck_assert_str_eq(label, "3");
    ck_assert_int_eq(rows("a.txt", "one\n\ntwo\n", NULL, 0, text, label), 2);
    put("b.tsv", "label\ttext\nx\n", 13);
    mc_ck_fails(mc_table_read(&t, &(mc_table_request){.path = at("b.tsv")}), MCOMP_DATA);
    mc_table_free(&t);
    put("b.tsv", "label\ttexts\nx\ty\n", 16);
    mc_ck_fails(mc_table_read(&t, &(mc_table_request){.path = at("b.tsv")}), MCOMP_DATA);
    ck_assert_str_eq(mc_error_peek()->hint, "did you mean \"texts\"?");
    mc_table_free(&t);
    put("b.csv", "text\n\"open", 10);
    mc_ck_fails(mc_table_read(&t, &(mc_table_request){.path = at("b.csv")}), MCOMP_DATA);
    mc_table_free(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("data/readers");
    TCase *c = tcase_create("core");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, npy_types_and_byte_order);
    tcase_add_test(c, npy_refuses_damage);
    tcase_add_test(c, npy_fortran_order);
    tcase_add_test(c, npy_widens_types_numpy_lacks);
    tcase_add_test(c, npy_round_trip);
    tcase_add_test(c, npz_members_and_damage);
    tcase_add_test(c, idx_and_raw);
    tcase_add_test(c, text_tables);
    suite_add_tcase(s, c);
    return mc_test_main(s);
}
