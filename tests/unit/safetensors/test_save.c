/* Writing: the exact bytes, what cannot be written, replacement, shards. */
#include "unit/safetensors/st.h"

#include <mcomp/mcomp.h>

#include <sys/resource.h>

static mcomp_context *ctx;

static void setup(void)
{
    st_setup();
    mc_ck_ok(mcomp_context_create(&ctx, NULL));
}

static void teardown(void)
{
    mcomp_context_destroy(ctx);
    st_teardown();
}

static void constant(mc_graph *g, const char *name, int32_t dtype, int32_t rank, const int64_t *dims, const void *data)
{
    mc_tensor *t;
    mc_value *v;
    const mc_shape s = mc_shape_make(rank, dims);
    mc_ck_ok(mc_tensor_create(&t, dtype, &s));
    if (data) memcpy(t->data, data, (size_t)mc_tensor_bytes(t));
    mc_ck_ok(mc_graph_add_const(g, name, t, &v));
    ck_assert_str_eq(v->name, name);
}

/* Weights of several types; the order of adding is not that of the file. */
static mc_graph *weights(int reversed)
{
    static const float f[2] = {1.0f, -2.0f};
    static const uint8_t u[3] = {7, 8, 9};
    static const int64_t i[1] = {5}, two = 2, three = 3;
    mc_graph *g;
    mc_ck_ok(mc_graph_create(&g, "w"));
    for (int k = 0; k < 4; k++) {
        switch (reversed ? 3 - k : k) {
        case 0: constant(g, "u", MCOMP_U8, 1, &three, u); break;
        case 1: constant(g, "b\"\n\xc3\xa9", MCOMP_F32, 1, &two, f); break;
        case 2: constant(g, "i", MCOMP_I64, 0, NULL, i); break;
        default: constant(g, "a", MCOMP_F32, 1, &two, f); break;
        }
    }
    mc_ck_ok(mc_graph_set_meta(g, reversed ? "x" : "note", reversed ? "1" : "\xc3\xa9\"\\"));
    mc_ck_ok(mc_graph_set_meta(g, reversed ? "note" : "x", reversed ? "\xc3\xa9\"\\" : "1"));
    return g;
}

static void same_files(const char *a, const char *b)
{
    char *x, *y;
    uint64_t n, m;
    mc_ck_ok(mc_file_read(st_path(a), 1 << 30, &x, &n));
    mc_ck_ok(mc_file_read(st_path(b), 1 << 30, &y, &m));
    ck_assert_uint_eq(n, m);
    ck_assert_mem_eq(x, y, n);
    mc_free(x);
    mc_free(y);
}

START_TEST(exact_bytes)
{
    static const char header[] = "{\"__metadata__\":{\"format\":\"pt\",\"note\":\"\xc3\xa9\\\"\\\\\",\"x\":\"1\"},"
                                 "\"i\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]},"
                                 "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,16]},"
                                 "\"b\\\"\\n\xc3\xa9\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[16,24]},"
                                 "\"u\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[24,27]}}";
    static const uint8_t data[27] = {5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0, 0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0, 7, 8, 9};
    const size_t n = sizeof header - 1, padded = (n + 7) / 8 * 8;
    mc_graph *g = weights(0), *h = weights(1);
    char *got;
    uint64_t bytes;
    mc_ck_ok(mc_safetensors_save(g, st_path("a.safetensors"), NULL));
    mc_ck_ok(mc_safetensors_save(h, st_path("b.safetensors"), NULL));
    same_files("a.safetensors", "b.safetensors");
    mc_ck_ok(mc_file_read(st_path("a.safetensors"), 1 << 20, &got, &bytes));
    ck_assert_uint_eq(bytes, 8 + padded + sizeof data);
    for (size_t i = 0; i < 8; i++) ck_assert_uint_eq((uint8_t)got[i], (uint8_t)((uint64_t)padded >> 8 * i));
    ck_assert_mem_eq(got + 8, header, n);
    for (size_t i = n; i < padded; i++) ck_assert_int_eq(got[8 + i], ' ');
    ck_assert_mem_eq(got + 8 + padded, data, sizeof data);
    mc_free(got);
    mc_graph_destroy(g);
    mc_graph_destroy(h);
}
END_TEST

/* What was read is written again, over its own file too; the metadata stays. */
START_TEST(round_trip)
{
    mcomp_load_options o;
    mcomp_save_options over;
    mcomp_graph *r;
    mc_graph *g = weights(0);
    struct stat info;
    mc_ck_ok(mc_safetensors_save(g, st_path("a.safetensors"), NULL));
    mc_graph_destroy(g);
    mc_ck_ok(mcomp_load_options_init(&o, sizeof o));
    o.arch = "tensors";
    mc_ck_ok(mcomp_graph_load_with(&r, ctx, st_path("a.safetensors"), &o));
    ck_assert_str_eq(mcomp_graph_meta(r, "note"), "\xc3\xa9\"\\");
    mc_ck_ok(mcomp_graph_save(r, st_path("b.safetensors"), NULL));
    same_files("a.safetensors", "b.safetensors");
    mc_ck_fails(mcomp_graph_save(r, st_path("b.safetensors"), NULL), MCOMP_PATH);
    ck_assert_int_eq(chmod(st_path("a.safetensors"), 0640), 0);
    mc_ck_ok(mcomp_save_options_init(&over, sizeof over));
    over.overwrite = 1;
    mc_ck_ok(mcomp_graph_save(r, st_path("a.safetensors"), &over)); /* the file it reads from */
    mc_ck_ok(mcomp_graph_save(r, st_path("a.safetensors"), &over));
    same_files("a.safetensors", "b.safetensors");
    ck_assert_int_eq(stat(st_path("a.safetensors"), &info), 0);
    ck_assert_int_eq(info.st_mode & 0777, 0640);
    ck_assert_int_eq(st_count_files(), 2);
    mcomp_graph_destroy(r);
}
END_TEST

static int32_t save_one(const char *name, int32_t dtype)
{
    static const int64_t dim = 2;
    mc_graph *g;
    mc_ck_ok(mc_graph_create(&g, "w"));
    constant(g, name, dtype, 1, &dim, NULL);
    mc_error_clear();
    const int32_t st = mc_safetensors_save(g, st_path("x.safetensors"), NULL);
    mc_graph_destroy(g);
    return st;
}

START_TEST(what_has_no_place)
{
    static const int32_t dtypes[] = {MCOMP_I4, MCOMP_U4, MCOMP_F8E4M3FN, MCOMP_F8E5M2, MCOMP_C64};
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) mc_ck_fails(save_one("w", dtypes[i]), MCOMP_UNSUPPORTED);
    mc_ck_fails(save_one("bad\xff", MCOMP_F32), MCOMP_UNSUPPORTED);
    mc_ck_fails(save_one("\xed\xa0\x80", MCOMP_F32), MCOMP_UNSUPPORTED); /* a surrogate */
    mc_ck_fails(save_one("__metadata__", MCOMP_F32), MCOMP_UNSUPPORTED);
    ck_assert_int_eq(st_count_files(), 0);
    mc_ck_ok(save_one("w", MCOMP_F32));
}
END_TEST

START_TEST(paths)
{
    static char longest[5100];
    mc_graph *g = weights(0);
    memset(longest, 'a', 5000);
    strcpy(longest + 5000, ".safetensors");
    mc_ck_fails(mc_safetensors_save(g, longest, NULL), MCOMP_PATH);
    mc_ck_fails(mc_safetensors_save(g, st_path("no/x.safetensors"), NULL), MCOMP_PATH);
    mkdir(st_path("d.safetensors"), 0755);
    mc_ck_fails(mc_safetensors_save(g, st_path("d.safetensors"), &(mcomp_save_options){.size = sizeof(mcomp_save_options), .overwrite = 1}), MCOMP_PATH);
    mc_ck_fails(mc_safetensors_save(g, st_path("x.bin"), NULL), MCOMP_ARGUMENT);
    mc_ck_fails(mc_safetensors_save(g, st_path("x.safetensors.index.json"), NULL), MCOMP_ARGUMENT);
    mc_ck_ok(mc_safetensors_save(g, st_path("\xff\xfe.safetensors"), NULL)); /* a name that is no text is still a name */
    mc_graph_destroy(g);
}
END_TEST

START_TEST(a_full_disk_leaves_the_old_file)
{
    static const int64_t many = 100000;
    const mcomp_save_options over = {.size = sizeof over, .overwrite = 1};
    struct rlimit old, small;
    mc_graph *g = weights(0), *big;
    mc_ck_ok(mc_safetensors_save(g, st_path("a.safetensors"), NULL));
    mc_ck_ok(mc_safetensors_save(g, st_path("b.safetensors"), NULL));
    mc_ck_ok(mc_graph_create(&big, "big"));
    constant(big, "w", MCOMP_F32, 1, &many, NULL);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
    for (rlim_t k = 0; k < 400000; k += 65536) {
        small = (struct rlimit){k, old.rlim_max};
        const int set = setrlimit(RLIMIT_FSIZE, &small); /* no assertion while it holds: they write, too */
        const int32_t st = mc_safetensors_save(big, st_path("a.safetensors"), &over);
        const int back = setrlimit(RLIMIT_FSIZE, &old);
        ck_assert_int_eq(set, 0);
        ck_assert_int_eq(back, 0);
        ck_assert_int_eq(st, MCOMP_NO_SPACE);
        same_files("a.safetensors", "b.safetensors");
        ck_assert_int_eq(st_count_files(), 2);
    }
    mc_graph_destroy(big);
    mc_graph_destroy(g);
}
END_TEST

START_TEST(sharded)
{
    mcomp_save_options o = {.size = sizeof o, .shard_bytes = 12};
    mc_safetensors *s;
    mcomp_graph *r;
    mcomp_load_options tensors = {.size = sizeof tensors, .arch = "tensors"};
    mc_graph *g = weights(0), *other;
    static const int64_t one = 1;
    mc_ck_ok(mc_safetensors_save(g, st_path("all.safetensors"), NULL));
    mc_ck_ok(mc_safetensors_save(g, st_path("m.safetensors"), &o)); /* 8 | 8 | 8 + 3 */
    ck_assert_int_eq(st_count("-of-"), 3);
    mc_ck_ok(mc_safetensors_open(&s, NULL, st_path("m.safetensors.index.json"), 0));
    ck_assert_int_eq(s->n, 4);
    ck_assert_int_eq(s->n_buffers, 3);
    mc_safetensors_close(s);
    mc_ck_ok(mcomp_graph_load_with(&r, ctx, st_path("m.safetensors.index.json"), &tensors));
    mc_ck_ok(mcomp_graph_save(r, st_path("one.safetensors"), NULL));
    same_files("all.safetensors", "one.safetensors");
    mcomp_graph_destroy(r);
    /* without leave nothing changes; the same again changes nothing; another content replaces the set and takes the old one away */
    mc_ck_fails(mc_safetensors_save(g, st_path("m.safetensors"), &o), MCOMP_PATH);
    o.overwrite = 1;
    mc_ck_ok(mc_safetensors_save(g, st_path("m.safetensors"), &o));
    ck_assert_int_eq(st_count("-of-"), 3);
    mc_ck_ok(mc_graph_create(&other, "o"));
    constant(other, "only", MCOMP_F32, 1, &one, NULL);
    mc_ck_ok(mc_safetensors_save(other, st_path("m.safetensors"), &o));
    ck_assert_int_eq(st_count("-of-"), 1);
    mc_graph_destroy(other);
    mc_ck_ok(mc_graph_create(&other, "nothing"));
    mc_ck_ok(mc_safetensors_save(other, st_path("m.safetensors"), &o));
    ck_assert_int_eq(st_count("-of-"), 0);
    o.shard_bytes = 1; /* smaller than any tensor */
    mc_ck_ok(mc_safetensors_save(g, st_path("m.safetensors"), &o));
    ck_assert_int_eq(st_count("-of-"), 4);
    ck_assert_int_eq(st_count_files(), 4 + 3);
    mc_graph_destroy(other);
    mc_graph_destroy(g);
}
END_TEST

/* Constants of both branches of an If with one name. */
START_TEST(constants_of_subgraphs)
{
    static const int64_t one = 1;
    mc_graph *g = weights(0), *branch[2];
    mc_value *c;
    mc_node *n;
    mc_safetensors *s;
    mc_type type = {.dtype = MCOMP_BOOL, .rank = 0};
    mc_ops_register();
    mc_ck_ok(mc_graph_add_input(g, "cond", &type, &c));
    mc_ck_ok(mc_graph_add_node(g, "", "If", 0, "choice", 1, &c, 1, NULL, &n));
    for (int i = 0; i < 2; i++) {
        mc_ck_ok(mc_graph_create(&branch[i], "branch"));
        constant(branch[i], i ? "inner" : "a", MCOMP_F32, 1, &one, NULL);
        constant(branch[i], "u", MCOMP_F32, 1, &one, NULL);
        mc_ck_ok(mc_node_set_graph(n, i ? "else_branch" : "then_branch", branch[i]));
    }
    mc_ck_ok(mc_safetensors_save(g, st_path("x.safetensors"), NULL));
    mc_ck_ok(mc_safetensors_open(&s, NULL, st_path("x.safetensors"), 0));
    ck_assert_int_eq(s->n, 8);
    static const char *const names[] = {"a", "choice/a", "inner", "u", "choice/u", "choice/u_1"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) ck_assert_msg(mc_safetensors_find(s, names[i]) != NULL, "%s", names[i]);
    mc_safetensors_close(s);
    mc_graph_destroy(g);
}
END_TEST

START_TEST(arguments)
{
    mcomp_graph *g = NULL;
    mcomp_load_options l;
    mcomp_save_options o = {.size = sizeof o, .opset = 13};
    const struct {
        mcomp_load_options o;
        uint64_t tail;
    } longer = {{.size = sizeof longer, .arch = "tensors"}, 1}, zeros = {{.size = sizeof zeros, .arch = "tensors"}, 0};
    mc_graph *w = weights(0);
    mc_ck_ok(mc_safetensors_save(w, st_path("a.safetensors"), NULL));
    mc_ck_fails(mc_safetensors_save(w, st_path("b.safetensors"), &o), MCOMP_ARGUMENT);
    o = (mcomp_save_options){.size = sizeof o, .data = MCOMP_DATA_BESIDE};
    mc_ck_fails(mc_safetensors_save(w, st_path("b.safetensors"), &o), MCOMP_ARGUMENT);
    mc_graph_destroy(w);
    mc_ck_fails(mcomp_graph_load_with(NULL, ctx, "x", NULL), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_graph_load_with(&g, NULL, "x", NULL), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_graph_load_with(&g, ctx, NULL, NULL), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_load_options_init(NULL, sizeof l), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_load_options_init(&l, 0), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_graph_load(&g, ctx, st_path("a.safetensors")), MCOMP_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(mc_error_peek()->hint, "--arch bert"));
    mc_ck_fails(mcomp_graph_load_with(&g, ctx, st_path("a.safetensors"), &longer.o), MCOMP_ARGUMENT);
    mc_ck_ok(mcomp_graph_load_with(&g, ctx, st_path("a.safetensors"), &zeros.o));
    mc_ck_fails(mcomp_graph_constants(NULL, NULL, NULL), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_graph_constants(g, NULL, NULL), MCOMP_ARGUMENT);
    ck_assert_ptr_null(mcomp_graph_warning(g, 0));
    ck_assert_ptr_null(mcomp_graph_warning(NULL, 0));
    ck_assert_ptr_null(mcomp_graph_warning(g, -1));
    o = (mcomp_save_options){.size = sizeof o, .shard_bytes = 1};
    mc_ck_fails(mcomp_graph_save(g, st_path("x.onnx"), &o), MCOMP_ARGUMENT);
    mcomp_graph_destroy(g);
    mc_ck_ok(mcomp_load_options_init(&l, sizeof l));
    l.arch = "brt";
    mc_ck_fails(mcomp_graph_load_with(&g, ctx, st_path("a.safetensors"), &l), MCOMP_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(mc_error_peek()->hint, "bert"));
    l.arch = "tensors";
    l.head = 2;
    mc_ck_fails(mcomp_graph_load_with(&g, ctx, st_path("a.safetensors"), &l), MCOMP_ARGUMENT);
    l = (mcomp_load_options){.size = sizeof l, .arch = "bert"};
    st_put_text("y.onnx", "no model");
    mc_ck_fails(mcomp_graph_load_with(&g, ctx, st_path("y.onnx"), &l), MCOMP_ARGUMENT); /* an ONNX file has no use for it */
    ck_assert_ptr_null(g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("safetensors/save");
    TCase *c = tcase_create("core");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, exact_bytes);
    tcase_add_test(c, round_trip);
    tcase_add_test(c, what_has_no_place);
    tcase_add_test(c, paths);
    tcase_add_test(c, a_full_disk_leaves_the_old_file);
    tcase_add_test(c, sharded);
    tcase_add_test(c, constants_of_subgraphs);
    tcase_add_test(c, arguments);
    suite_add_tcase(s, c);
    return mc_test_main(s);
}
