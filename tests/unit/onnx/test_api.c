/* The public functions on graphs: load, look at, build, change, save. */
#include <mcomp/graph.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "support/support.h"

static mcomp_context *ctx;
static void setup(void)
{
    mcomp_context_options o;
    mc_ck_ok(mcomp_context_options_init(&o, sizeof o));
    o.threads = 1;
    mc_ck_ok(mcomp_context_create(&ctx, &o));
}
static void teardown(void) { mcomp_context_destroy(ctx); }

static mcomp_graph *load(const char *name)
{
    mcomp_graph *g;
    char path[64];
    snprintf(path, sizeof path, "models/%s.onnx", name);
    mc_ck_ok(mcomp_graph_load(&g, ctx, mc_test_data(path)));
    return g;
}

static mcomp_graph_info info_of(const mcomp_graph *g)
{
    mcomp_graph_info i = {.size = sizeof i};
    mc_ck_ok(mcomp_graph_info_get(g, &i));
    return i;
}

/* x [N,3] -> MatMul(w [3,2]) -> Add(b) -> Softmax -> y */
static mcomp_graph *built(int32_t opset)
{
    static const int64_t dims[2] = {-1, 3}, wdims[2] = {3, 2}, bdims[1] = {2};
    static const char *const symbols[2] = {"N", NULL};
    mcomp_graph *g;
    mcomp_tensor *w, *b;
    mc_ck_ok(mcomp_graph_create(&g, ctx, "net", opset));
    mc_ck_ok(mcomp_graph_add_input(g, "x", MCOMP_F32, 2, dims, symbols));
    mc_ck_ok(mcomp_tensor_create(&w, MCOMP_F32, 2, wdims));
    mc_ck_ok(mcomp_tensor_create(&b, MCOMP_F32, 1, bdims));
    mc_ck_ok(mcomp_graph_add_constant(g, "w", w));
    mc_ck_ok(mcomp_graph_add_constant(g, "b", b));
    mcomp_tensor_destroy(w);
    mcomp_tensor_destroy(b);
    const char *mm[2] = {"x", "w"}, *add[2] = {"m", "b"}, *m = "m", *s = "s", *y = "y";
    mc_ck_ok(mcomp_graph_add_node(g, "MatMul", "mm", 2, mm, 1, &m));
    mc_ck_ok(mcomp_graph_add_node(g, "Add", "add", 2, add, 1, &s));
    mc_ck_ok(mcomp_graph_add_node(g, "Softmax", "softmax", 1, &s, 1, &y));
    mc_ck_ok(mcomp_graph_set_int(g, "softmax", "axis", 1));
    mc_ck_ok(mcomp_graph_add_output(g, "y"));
    mc_ck_ok(mcomp_graph_finish(g));
    return g;
}

START_TEST(build_and_look)
{
    mcomp_graph *g = built(11);
    const mcomp_graph_info i = info_of(g);
    mcomp_port_info p = {.size = sizeof p};
    mcomp_node_info n = {.size = sizeof n};
    const char *domain;
    int64_t version;
    ck_assert_int_eq(i.n_inputs, 1);
    ck_assert_int_eq(i.n_outputs, 1);
    ck_assert_int_eq(i.n_nodes, 3);
    ck_assert_int_eq(i.opset, 11);
    ck_assert_int_eq(i.parameters, 8);
    ck_assert_uint_eq(i.parameter_bytes, 32);
    ck_assert(i.macs == 6.0);
    mc_ck_ok(mcomp_graph_input(g, 0, &p));
    ck_assert_str_eq(p.name, "x");
    ck_assert_int_eq(p.dims[0], -1);
    ck_assert_str_eq(p.symbols[0], "N");
    ck_assert_int_eq(p.dims[1], 3);
    ck_assert_ptr_null(p.symbols[1]);
    mc_ck_ok(mcomp_graph_output(g, 0, &p));
    ck_assert_int_eq(p.dims[1], 2);
    ck_assert_str_eq(p.symbols[0], "N");
    mc_ck_fails(mcomp_graph_output(g, 1, &p), MCOMP_ARGUMENT);
    mc_ck_ok(mcomp_graph_node(g, 0, &n));
    ck_assert_str_eq(n.op, "MatMul");
    ck_assert_int_eq(n.supported, 1);
    mc_ck_fails(mcomp_graph_node(g, 3, &n), MCOMP_ARGUMENT);
    mc_ck_ok(mcomp_graph_opset_at(g, 0, &domain, &version));
    ck_assert_int_eq(version, 11);
    mc_ck_fails(mcomp_graph_opset_at(g, 1, &domain, &version), MCOMP_ARGUMENT);
    mc_ck_ok(mcomp_graph_finish(g)); /* twice is fine */
    mcomp_graph_destroy(g);
}
END_TEST

START_TEST(smaller_and_larger_structs)
{
    mcomp_graph *g = built(0);
    struct {
        mcomp_graph_info i;
        uint8_t more[16];
    } big = {.i = {.size = sizeof big}};
    mcomp_graph_info small = {.size = 12, .reserved = 77};
    memset(big.more, 1, sizeof big.more);
    mc_ck_ok(mcomp_graph_info_get(g, &big.i));
    ck_assert_uint_eq(big.i.size, sizeof big);
    ck_assert_int_eq(big.more[0], 0);
    mc_ck_ok(mcomp_graph_info_get(g, &small));
    ck_assert_int_eq(small.n_outputs, 1);
    ck_assert_int_eq(small.reserved, 77); /* behind the caller's size: untouched */
    small.size = 0;
    mc_ck_fails(mcomp_graph_info_get(g, &small), MCOMP_ARGUMENT);
    mcomp_graph_destroy(g);
}
END_TEST

static void count(void *payload, const char *node, const char *op, const char *why)
{
    ck_assert(*node && *op && *why);
    ++*(int *)payload;
}

START_TEST(unknown_operators_are_listed)
{
    static const int64_t dims[1] = {4};
    mcomp_graph *g;
    mcomp_node_info n = {.size = sizeof n};
    int found = 0;
    const char *x = "x", *p = "p", *y = "y";
    mc_ck_ok(mcomp_graph_create(&g, ctx, NULL, 0));
    mc_ck_ok(mcomp_graph_add_input(g, "x", MCOMP_F32, 1, dims, NULL));
    mc_ck_ok(mcomp_graph_add_node(g, "Frobnicate", "f", 1, &x, 1, &p));
    mc_ck_ok(mcomp_graph_add_node(g, "Relu", "r", 1, &p, 1, &y));
    mc_ck_ok(mcomp_graph_add_output(g, "y"));
    mc_ck_ok(mcomp_graph_finish(g));
    mc_ck_ok(mcomp_graph_unsupported(g, count, &found));
    ck_assert_int_eq(found, 1);
    mc_ck_ok(mcomp_graph_node(g, 0, &n));
    ck_assert_int_eq(n.supported, 0);
    mcomp_graph_destroy(g);
}
END_TEST

START_TEST(building_mistakes)
{
    static const int64_t dims[2] = {-2, 3}, good[1] = {4};
    mcomp_graph *g;
    const char *none = "none", *x = "x", *y = "y";
    mc_ck_fails(mcomp_graph_create(&g, ctx, "n", 6), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_graph_create(&g, ctx, "n", 26), MCOMP_ARGUMENT);
    mc_ck_ok(mcomp_graph_create(&g, ctx, "n", 13));
    mc_ck_fails(mcomp_graph_add_input(g, "x", MCOMP_F32, 2, dims, NULL), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_graph_add_input(g, "x", 99, 1, good, NULL), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_graph_add_input(g, "", MCOMP_F32, 1, good, NULL), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_graph_add_input(g, "x", MCOMP_F32, 9, good, NULL), MCOMP_ARGUMENT);
    mc_ck_ok(mcomp_graph_add_input(g, "x", MCOMP_F32, 1, good, NULL));
    mc_ck_fails(mcomp_graph_add_input(g, "x", MCOMP_F32, 1, good, NULL), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_graph_add_node(g, "Relu", "r", 1, &none, 1, &y), MCOMP_ARGUMENT);
    ck_assert_str_eq(mc_error_peek()->where, "none");
    mc_ck_fails(mcomp_graph_add_node(g, "Relu", "r", 1, &x, 1, &x), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_graph_add_node(g, "", "r", 1, &x, 1, &y), MCOMP_ARGUMENT);
    mc_ck_ok(mcomp_graph_add_node(g, "Relu", "r", 1, &x, 1, &y));
    mc_ck_fails(mcomp_graph_add_node(g, "Relu", "r", 1, &x, 1, &none), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_graph_set_int(g, "nobody", "axis", 1), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_graph_set_string(g, "r", "mode", NULL), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_graph_add_output(g, "none"), MCOMP_ARGUMENT);
    mc_ck_ok(mcomp_graph_add_output(g, "y"));
    mc_ck_fails(mcomp_graph_add_output(g, "y"), MCOMP_ARGUMENT);
    mcomp_graph_destroy(g);
    mcomp_graph_destroy(NULL);
}
END_TEST

START_TEST(null_arguments)
{
    mcomp_graph *g = built(13), *out;
    mcomp_graph_info i = {.size = sizeof i};
    mc_ck_fails(mcomp_graph_load(NULL, ctx, "x"), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_graph_load(&out, NULL, "x"), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_graph_load(&out, ctx, NULL), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_graph_load_memory(&out, ctx, NULL, 5), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_graph_load_memory(&out, ctx, NULL, 0), MCOMP_FORMAT);
    mc_ck_fails(mcomp_graph_save(NULL, "x", NULL), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_graph_save(g, NULL, NULL), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_graph_clone(NULL, g), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_graph_clone(&out, NULL), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_graph_info_get(NULL, &i), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_graph_info_get(g, NULL), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_graph_unsupported(g, NULL, NULL), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_graph_expose(g, NULL), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_graph_fix_input(g, "x", NULL), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_graph_finish(NULL), MCOMP_ARGUMENT);
    ck_assert_ptr_null(mcomp_graph_meta(NULL, "x"));
    ck_assert_int_eq(mc_error_peek()->argument, 1);
    mc_ck_fails(mcomp_graph_load(&out, ctx, "/no/such/file.onnx"), MCOMP_PATH);
    mc_ck_fails(mcomp_graph_load(&out, ctx, "/tmp"), MCOMP_PATH);
    mc_ck_fails(mcomp_graph_load(&out, ctx, "/dev/zero"), MCOMP_PATH);
    mcomp_graph_destroy(g);
}
END_TEST

START_TEST(metadata_clone_expose_save)
{
    mcomp_graph *g = built(13), *c, *b;
    const char *key, *value;
    char path[] = "/tmp/mcomp-api-XXXXXX";
    mcomp_save_options o;
    const int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    mc_ck_ok(mcomp_graph_set_meta(g, "mcomp.scheme", "int8"));
    mc_ck_ok(mcomp_graph_set_meta(g, "author", "me"));
    mc_ck_ok(mcomp_graph_clone(&c, g));
    mc_ck_ok(mcomp_graph_set_meta(c, "author", NULL));
    ck_assert_ptr_null(mcomp_graph_meta(c, "author"));
    ck_assert_str_eq(mcomp_graph_meta(g, "author"), "me");
    mc_ck_ok(mcomp_graph_expose(c, "m"));
    mc_ck_ok(mcomp_graph_expose(c, "m"));
    mc_ck_fails(mcomp_graph_expose(c, "nothing"), MCOMP_ARGUMENT);
    ck_assert_int_eq(info_of(c).n_outputs, 2);
    ck_assert_int_eq(info_of(g).n_outputs, 1);
    mc_ck_ok(mcomp_save_options_init(&o, sizeof o));
    mc_ck_fails(mcomp_graph_save(g, path, &o), MCOMP_PATH); /* exists */
    o.overwrite = 1;
    mc_ck_ok(mcomp_graph_save(g, path, &o));
    mc_ck_ok(mcomp_graph_load(&b, ctx, path));
    mc_ck_ok(mcomp_graph_meta_at(b, 0, &key, &value)); /* sorted in the file */
    ck_assert_str_eq(key, "author");
    mc_ck_ok(mcomp_graph_meta_at(b, 1, &key, &value));
    ck_assert_str_eq(value, "int8");
    mc_ck_fails(mcomp_graph_meta_at(b, 2, &key, &value), MCOMP_ARGUMENT);
    ck_assert_int_eq(strncmp(info_of(b).producer, "libmcomp", 8), 0);
    mcomp_graph_destroy(g);
    mcomp_graph_destroy(c);
    mcomp_graph_destroy(b);
    unlink(path);
}
END_TEST

START_TEST(numbers_of_real_models)
{
    static const struct {
        const char *name;
        int64_t parameters; /* +- 1 % */
        double macs;
    } rows[] = {{"resnet8_cifar", 77706, 12.5e6}, {"resnet8_large_cifar", 480330, 77.4e6}, {"magika_v3_3", 784000, 0}, {"mnist8", 5998, 0}};
    if (mc_test_skip_without_data()) return;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        mcomp_graph *g = load(rows[i].name);
        const mcomp_graph_info info = info_of(g);
        int unsupported = 0;
        ck_assert_msg(llabs(info.parameters - rows[i].parameters) <= rows[i].parameters / 50, "%s: %lld parameters", rows[i].name, (long long)info.parameters);
        ck_assert_msg(info.macs > 0 && (rows[i].macs == 0 || (info.macs > rows[i].macs * 0.95 && info.macs < rows[i].macs * 1.05)), "%s: %g MACs",
                      rows[i].name, info.macs);
        mc_ck_ok(mcomp_graph_unsupported(g, count, &unsupported));
        ck_assert_int_eq(unsupported, 0);
        mcomp_graph_destroy(g);
    }
}
END_TEST

START_TEST(fixing_an_input_folds_the_branches)
{
    static const int64_t no_dims[1] = {0};
    mcomp_tensor *sr;
    int64_t before, after = 0;
    if (mc_test_skip_without_data()) return;
    mcomp_graph *g = load("silero_vad_op18_ifless");
    mc_ck_ok(mcomp_tensor_create(&sr, MCOMP_I64, 0, no_dims));
    *(int64_t *)mcomp_tensor_data(sr) = 16000;
    before = info_of(g).n_inputs;
    mc_ck_ok(mcomp_graph_fix_input(g, "sr", sr));
    mc_ck_fails(mcomp_graph_fix_input(g, "sr", sr), MCOMP_ARGUMENT);
    ck_assert_int_eq(info_of(g).n_inputs, before - 1);
    for (int64_t i = 0; i < info_of(g).n_nodes; i++) {
        mcomp_node_info n = {.size = sizeof n};
        mc_ck_ok(mcomp_graph_node(g, i, &n));
        after += strcmp(n.op, "If") == 0;
    }
    ck_assert_int_eq(after, 0);
    mcomp_tensor_destroy(sr);
    mcomp_graph_destroy(g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("onnx/api");
    TCase *t = tcase_create("api");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, build_and_look);
    tcase_add_test(t, smaller_and_larger_structs);
    tcase_add_test(t, unknown_operators_are_listed);
    tcase_add_test(t, building_mistakes);
    tcase_add_test(t, null_arguments);
    tcase_add_test(t, metadata_clone_expose_save);
    tcase_add_test(t, numbers_of_real_models);
    tcase_add_test(t, fixing_an_input_folds_the_branches);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
