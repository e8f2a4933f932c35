/* External data: what is read, and what is refused, in every place of a file that can hold a tensor. */
#include "unit/onnx/pb.h"

#include <ctype.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];

static char *path_of(const char *name)
{
    static char b[4][512];
    static int k;
    char *p = b[k++ % 4];
    snprintf(p, sizeof b[0], "%s/%s", dir, name);
    return p;
}

static void put(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(data, 1, n, f), n);
    fclose(f);
}

static void setup(void)
{
    static const float v[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    strcpy(dir, "/tmp/mcomp-ext-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    put(path_of("good.bin"), v, sizeof v);
    mkdir(path_of("sub"), 0755);
    put(path_of("sub/deep.bin"), v, sizeof v);
    mkdir(path_of("m"), 0755); /* the model's folder */
    put(path_of("m/w.bin"), v, sizeof v);
    mkdir(path_of("m/sub"), 0755);
    put(path_of("m/sub/w.bin"), v, sizeof v);
    put(path_of("m/twin.bin"), v, sizeof v);
    ck_assert_int_eq(link(path_of("m/twin.bin"), path_of("m/hard.bin")), 0);
    ck_assert_int_eq(symlink("w.bin", path_of("m/soft.bin")), 0);
    ck_assert_int_eq(symlink("../sub", path_of("m/out")), 0);
    ck_assert_int_eq(mkfifo(path_of("m/fifo"), 0600), 0);
}

static void teardown(void)
{
    char cmd[128];
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    ck_assert_int_eq(system(cmd), 0);
}

static int32_t load_model(const pb *graph, mc_graph **g)
{
    const pb m = pb_model_of(graph, 13, 8);
    put(path_of("m/model.onnx"), m.data, m.n);
    mc_error_clear();
    *g = NULL;
    return mc_onnx_load(g, NULL, path_of("m/model.onnx"), NULL);
}

static int place(int k, const pb *t, pb *graph);
static void put_model(pb *graph, const pb *t)
{
    ck_assert_int_eq(place(0, t, graph), 1);
    const pb m = pb_model_of(graph, 13, 8);
    put(path_of("m/model.onnx"), m.data, m.n);
}

/* One graph per place a tensor can be in. Returns 0 behind the last place. */
static int place(int k, const pb *t, pb *graph)
{
    static const int64_t four[1] = {4};
    static const char index[32] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3};
    pb n = pb_node("Relu", "r", "x", "y"), good = pb_tensor("g", 1, 1, four), idx = pb_tensor("i", 7, 1, four), sparse = {.n = 0}, sub = {.n = 0};
    pb_bytes(&good, 9, index, 16);
    pb_bytes(&idx, 9, index, 32);
    *graph = pb_graph();
    switch (k) {
    case 0: pb_msg(graph, 5, t); break;
    case 1:
        pb_msg(&sparse, 1, t);
        pb_msg(&sparse, 2, &idx);
        pb_int(&sparse, 3, 4);
        pb_msg(graph, 15, &sparse);
        break;
    case 2:
        pb_msg(&sparse, 1, &good);
        pb_msg(&sparse, 2, t);
        pb_int(&sparse, 3, 4);
        pb_msg(graph, 15, &sparse);
        break;
    case 3:
        sub = pb_node("Constant", "", "", "c");
        pb_attr_msg(&sub, "value", 4, t);
        pb_msg(graph, 1, &sub);
        break;
    case 4:
        pb_msg(&sparse, 1, t);
        pb_msg(&sparse, 2, &idx);
        pb_int(&sparse, 3, 4);
        sub = pb_node("Constant", "", "", "c");
        pb_attr_msg(&sub, "sparse_value", 11, &sparse);
        pb_msg(graph, 1, &sub);
        break;
    case 5: /* in the branch of an unknown operator */
        pb_msg(&sub, 5, t);
        n = pb_node("Strange", "r", "x", "y");
        pb_attr_msg(&n, "body", 5, &sub);
        break;
    case 6:
        n = pb_node("Strange", "r", "x", "y");
        pb_attr_msg(&n, "t", 4, t);
        break;
    case 7: /* attribute with a list of tensors */
        n = pb_node("Strange", "r", "x", "y");
        pb_str(&sub, 1, "list");
        pb_msg(&sub, 10, t);
        pb_int(&sub, 20, 9);
        pb_msg(&n, 5, &sub);
        break;
    default: return 0;
    }
    pb_msg(graph, 1, &n);
    return 1;
}

START_TEST(good_data_is_read)
{
    mc_graph *g;
    pb graph;
    static const struct {
        const char *location, *offset, *length;
        float first;
    } rows[] = {{"w.bin", NULL, NULL, 1}, {"w.bin", "0", "16", 1}, {"w.bin", "16", "16", 5}, {"w.bin", "16", NULL, 5}, {"sub/w.bin", "4", "16", 2}, {"./w.bin", "0", "16", 1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const pb t = pb_external("w", rows[i].location, strlen(rows[i].location), rows[i].offset, rows[i].length);
        ck_assert_int_eq(place(0, &t, &graph), 1);
        mc_ck_ok(load_model(&graph, &g));
        ck_assert(mc_tensor_get_f64(mc_graph_find_value(g, "w")->init, 0) == (double)rows[i].first);
        mc_graph_destroy(g);
    }
}
END_TEST

START_TEST(bad_locations)
{
    static char longest[5001];
    memset(longest, 'a', 5000);
    static const struct {
        const char *location;
        size_t n; /* 0: strlen */
    } rows[] = {{"../good.bin", 0},     {"sub/../../good.bin", 0}, {"sub/../w.bin", 0}, {"/etc/passwd", 0}, {"", 0},          {"w.bin\0x", 7},
                {".", 0},               {"sub/", 0},               {"w.bin/", 0},       {"sub//w.bin", 0},  {longest, 0},     {"soft.bin", 0},
                {"out/deep.bin", 0},    {"hard.bin", 0},           {"fifo", 0},         {"sub", 0},         {"missing", 0},   {"..", 0},
                {"/dev/zero", 0},       {"w.bin/x", 0},            {"\xff\xfe", 0},     {"*/_ORT_MEM_ADDR_/*", 0}};
    mc_graph *g;
    pb graph;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int k = 0;; k++) {
            const pb t = pb_external("w", rows[i].location, rows[i].n ? rows[i].n : strlen(rows[i].location), "0", "16");
            if (!place(k, &t, &graph)) break;
            const int32_t st = load_model(&graph, &g);
            ck_assert_msg(st == MCOMP_PATH, "location %zu in place %d: %s (%s)", i, k, mcomp_status_name(st), mc_error_peek()->message);
            ck_assert_ptr_null(g);
        }
}
END_TEST

/* Function bodies and training information are not read; what they refer to is refused all the same. */
START_TEST(places_that_are_not_read)
{
    mc_graph *g = NULL;
    const pb t = pb_external("w", "../good.bin", 11, "0", "16");
    pb graph = pb_graph(), n = pb_node("Relu", "r", "x", "y"), m, constant = pb_node("Constant", "", "", "c"), function = {.n = 0}, info = {.n = 0}, inner = {.n = 0};
    pb_msg(&graph, 1, &n);
    pb_attr_msg(&constant, "value", 4, &t);
    pb_str(&function, 1, "f");
    pb_msg(&function, 7, &constant);
    m = pb_model_of(&graph, 13, 8);
    pb_msg(&m, 25, &function);
    put(path_of("m/model.onnx"), m.data, m.n);
    mc_ck_fails(mc_onnx_load(&g, NULL, path_of("m/model.onnx"), NULL), MCOMP_PATH);
    pb_msg(&inner, 5, &t);
    pb_msg(&info, 1, &inner);
    m = pb_model_of(&graph, 13, 8);
    pb_msg(&m, 20, &info);
    put(path_of("m/model.onnx"), m.data, m.n);
    mc_ck_fails(mc_onnx_load(&g, NULL, path_of("m/model.onnx"), NULL), MCOMP_PATH);
}
END_TEST

START_TEST(bad_offsets)
{
    static const struct {
        const char *offset, *length;
    } rows[] = {{"-1", "16"}, {"0", "-16"}, {"x", "16"}, {"0", "1e3"}, {"", "16"}, {"0", ""}, {"33", "16"}, {"17", "16"}, {"20", NULL}, {"0", "15"}, {"0", "17"},
                {"0", "1152921504606846976"}, {"9223372036854775807", "16"}, {"18446744073709551615", "16"}, {"0x10", "16"}, {" 0", "16"}};
    mc_graph *g;
    pb graph;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const pb t = pb_external("w", "w.bin", 5, rows[i].offset, rows[i].length);
        place(0, &t, &graph);
        const int32_t st = load_model(&graph, &g);
        ck_assert_msg(st == MCOMP_FORMAT, "row %zu: %s", i, mcomp_status_name(st));
        ck_assert_ptr_nonnull(strstr(mc_error_peek()->where, "w"));
    }
    pb t = pb_external("w", "w.bin", 5, "0", "16");
    pb_entry(&t, "offset", "0", 1);
    place(0, &t, &graph);
    ck_assert_int_eq(load_model(&graph, &g), MCOMP_FORMAT); /* key twice */
    t = pb_external("w", "w.bin", 5, "0", "16");
    pb_entry(&t, "__class__", "0", 1);
    place(0, &t, &graph);
    ck_assert_int_eq(load_model(&graph, &g), MCOMP_FORMAT); /* unknown key */
    t = pb_external("w", "w.bin", 5, "0", "16");
    pb_bytes(&t, 9, "0123456789abcdef", 16);
    place(0, &t, &graph);
    ck_assert_int_eq(load_model(&graph, &g), MCOMP_FORMAT); /* inside and outside */
}
END_TEST

/* The checksum is compared only where that was asked for; a wrong one says which file, which tensor and what to do. */
START_TEST(bad_016_checksums)
{
    mcomp_graph *g = NULL;
    mcomp_context *ctx = NULL;
    mcomp_load_options o;
    static const float v[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    char right[41], upper[41];
    mc_sha1_hex("abc", 3, right);
    ck_assert_str_eq(right, "a9993e364706816aba3e25717850c26c9cd0d89d");
    mc_sha1_hex(v, sizeof v, right);
    for (int i = 0; i < 41; i++) upper[i] = (char)toupper(right[i]);
    const char *const wrong[] = {"a9993e364706816aba3e25717850c26c9cd0d89d", "", "no checksum", "%s%n%s%n"};
    mc_ck_ok(mcomp_context_create(&ctx, NULL));
    mc_ck_ok(mcomp_load_options_init(&o, sizeof o));
    for (size_t i = 0; i < 6; i++)
        for (o.verify = 0; o.verify < 2; o.verify++) {
            pb graph, t = pb_external("w", "w.bin", 5, "0", "16");
            const char *checksum = i < 4 ? wrong[i] : i == 4 ? right : upper;
            pb_entry(&t, "checksum", checksum, strlen(checksum));
            put_model(&graph, &t);
            const int32_t st = mcomp_graph_load_with(&g, ctx, path_of("m/model.onnx"), &o);
            if (i >= 4 || !o.verify) {
                mc_ck_ok(st);
                ck_assert_ptr_null(mcomp_graph_warning(g, 0));
            } else {
                ck_assert_int_eq(st, MCOMP_FORMAT);
                ck_assert_str_eq(mc_error_peek()->where, "w");
                ck_assert_ptr_nonnull(strstr(mc_error_peek()->message, "w.bin"));
                ck_assert_ptr_nonnull(strstr(mc_error_peek()->message, right));
                ck_assert(mc_error_peek()->hint[0]);
            }
            mcomp_graph_destroy(g);
        }
    pb graph, none = pb_external("w", "w.bin", 5, "0", "16"); /* nothing to compare with: told, once a file */
    put_model(&graph, &none);
    o.verify = 1;
    mc_ck_ok(mcomp_graph_load_with(&g, ctx, path_of("m/model.onnx"), &o));
    ck_assert_ptr_nonnull(strstr(mcomp_graph_warning(g, 0), "w.bin"));
    ck_assert_ptr_null(mcomp_graph_warning(g, 1));
    mcomp_graph_destroy(g);
    o.verify = 2;
    mc_ck_fails(mcomp_graph_load_with(&g, ctx, path_of("m/model.onnx"), &o), MCOMP_ARGUMENT);
    put(path_of("m/w.safetensors"), "\x02\0\0\0\0\0\0\0{}", 10);
    o = (mcomp_load_options){.size = sizeof o, .arch = "tensors", .verify = 1};
    mc_ck_fails(mcomp_graph_load_with(&g, ctx, path_of("m/w.safetensors"), &o), MCOMP_ARGUMENT);
    ck_assert_ptr_null(g);
    mcomp_context_destroy(ctx);
}
END_TEST

/* Sum of a model's only constant that is called w. */
static void sum_of_w(void *payload, const mcomp_constant_info *i)
{
    if (strcmp(i->name, "w") != 0) return;
    for (uint64_t k = 0; k < i->bytes / sizeof(float); k++) {
        float v;
        memcpy(&v, (const uint8_t *)i->data + k * sizeof v, sizeof v);
        *(double *)payload += (double)v;
    }
}

/* With copy, neither truncating nor overwriting the files in place matters any more; replaced files never do. */
START_TEST(a_copied_model_does_not_follow_its_files)
{
    static const float others[8] = {90, 90, 90, 90, 90, 90, 90, 90};
    mcomp_context *ctx = NULL;
    mcomp_load_options o;
    mc_ck_ok(mcomp_context_create(&ctx, NULL));
    mc_ck_ok(mcomp_load_options_init(&o, sizeof o));
    for (int inside = 0; inside < 2; inside++)
        for (int copy = 0; copy < 2; copy++) {
            mcomp_graph *g = NULL;
            static const int64_t four[1] = {4};
            static const float v[8] = {1, 2, 3, 4, 5, 6, 7, 8};
            double sum = 0.0;
            pb graph, t = pb_external("w", "w.bin", 5, "0", "16");
            if (inside) {
                t = pb_tensor("w", 1, 1, four);
                pb_bytes(&t, 9, v, 16);
            }
            put(path_of("m/w.bin"), v, sizeof v);
            put_model(&graph, &t);
            o.copy = copy;
            mc_ck_ok(mcomp_graph_load_with(&g, ctx, path_of("m/model.onnx"), &o));
            if (copy) {
                put(path_of("m/w.bin"), others, sizeof others);
                ck_assert_int_eq(truncate(path_of("m/w.bin"), 0), 0);
                ck_assert_int_eq(truncate(path_of("m/model.onnx"), 0), 0);
            } else { /* as the library replaces files itself */
                put(path_of("m/new"), others, sizeof others);
                ck_assert_int_eq(rename(path_of("m/new"), path_of(inside ? "m/model.onnx" : "m/w.bin")), 0);
            }
            mc_ck_ok(mcomp_graph_constants(g, sum_of_w, &sum));
            ck_assert(sum == 10.0);
            mcomp_graph_destroy(g);
        }
    mcomp_context_destroy(ctx);
}
END_TEST

START_TEST(from_memory_there_is_no_folder)
{
    mc_graph *g;
    pb graph;
    const pb t = pb_external("w", "w.bin", 5, "0", "16");
    place(0, &t, &graph);
    const pb m = pb_model_of(&graph, 13, 8);
    mc_ck_fails(mc_onnx_load_memory(&g, NULL, m.data, m.n), MCOMP_PATH);
}
END_TEST

/* The model itself may be reached through a link; its data then lies beside the link's target. */
START_TEST(linked_model)
{
    mc_graph *g;
    pb graph;
    const pb t = pb_external("w", "w.bin", 5, "0", "16");
    place(0, &t, &graph);
    mc_ck_ok(load_model(&graph, &g));
    mc_graph_destroy(g);
    ck_assert_int_eq(symlink("m/model.onnx", path_of("link.onnx")), 0);
    mc_ck_ok(mc_onnx_load(&g, NULL, path_of("link.onnx"), NULL));
    mc_graph_destroy(g);
}
END_TEST

START_TEST(no_descriptor_is_left_open)
{
    mc_graph *g;
    pb graph;
    const int before = open("/dev/null", O_RDONLY);
    close(before);
    for (int i = 0; i < 20; i++) {
        const pb bad = pb_external("w", i % 2 ? "soft.bin" : "sub/missing", i % 2 ? 8 : 11, "0", "16");
        place(0, &bad, &graph);
        ck_assert_int_eq(load_model(&graph, &g), MCOMP_PATH);
    }
    const int after = open("/dev/null", O_RDONLY);
    close(after);
    ck_assert_int_eq(before, after);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("onnx/external");
    TCase *t = tcase_create("external");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, good_data_is_read);
    tcase_add_test(t, bad_locations);
    tcase_add_test(t, places_that_are_not_read);
    tcase_add_test(t, bad_offsets);
    tcase_add_test(t, bad_016_checksums);
    tcase_add_test(t, a_copied_model_does_not_follow_its_files);
    tcase_add_test(t, from_memory_there_is_no_folder);
    tcase_add_test(t, linked_model);
    tcase_add_test(t, no_descriptor_is_left_open);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
