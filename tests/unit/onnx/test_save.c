/* Saving: what is written loads as the same model, the same graph gives the same bytes, nothing is lost on failure. */
#include "unit/onnx/pb.h"
#include "unit/onnx/same.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];
static const char *const models[] = {"bert_toy_optimized", "magika_v3_3", "mnist8", "resnet8_cifar", "resnet8_large_cifar", "silero_vad", "silero_vad_16k_op15",
                                     "silero_vad_half", "silero_vad_op18_ifless", "silero_vad_openvino_16k", "ultraface_rfb320", "ultraface_rfb320_simplified"};

static char *path_of(const char *name)
{
    static char b[8][512];
    static int k;
    char *p = b[k++ % 8];
    snprintf(p, sizeof b[0], "%s/%s", dir, name);
    return p;
}
static void setup(void)
{
    strcpy(dir, "/tmp/mcomp-save-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}
static void teardown(void)
{
    char cmd[128];
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    ck_assert_int_eq(system(cmd), 0);
}
static int files_in_dir(void)
{
    int n = 0;
    DIR *d = opendir(dir);
    for (const struct dirent *e; (e = readdir(d));) n += e->d_name[0] != '.';
    closedir(d);
    return n;
}
static mcomp_save_options options(int32_t overwrite, int32_t data, int32_t opset)
{
    mcomp_save_options o;
    mcomp_save_options_init(&o, sizeof o);
    o.overwrite = overwrite;
    o.data = data;
    o.opset = opset;
    return o;
}
static mc_graph *load(const char *path)
{
    mc_graph *g;
    mc_ck_ok(mc_onnx_load(&g, NULL, path, NULL));
    return g;
}
static mc_graph *from_pb(const pb *graph, int64_t opset)
{
    mc_graph *g;
    const pb m = pb_model_of(graph, opset, 8);
    mc_ck_ok(pb_load(&m, &g));
    return g;
}

START_TEST(round_trip)
{
    if (mc_test_skip_without_data()) return;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        char name[64];
        snprintf(name, sizeof name, "models/%s.onnx", models[i]);
        mc_graph *a = load(mc_test_data(name)), *b, *c;
        const mcomp_save_options o = options(1, i % 2 ? MCOMP_DATA_BESIDE : MCOMP_DATA_AUTO, 0);
        mc_ck_ok(mc_onnx_save(a, path_of("a.onnx"), &o));
        b = load(path_of("a.onnx"));
        same_graph(a, b, 1);
        mc_ck_ok(mc_onnx_save(a, path_of("again.onnx"), &o));
        if (i % 2 == 0) same_bytes(path_of("a.onnx"), path_of("again.onnx"));
        mc_ck_ok(mc_onnx_save(b, path_of("a.onnx"), &o)); /* over the file its weights are mapped from */
        c = load(path_of("a.onnx"));
        same_graph(a, c, 1);
        same_graph(b, c, 1);
        if (i % 2 == 0) same_bytes(path_of("a.onnx"), path_of("again.onnx"));
        mc_graph_destroy(a);
        mc_graph_destroy(b);
        mc_graph_destroy(c);
    }
}
END_TEST

static mc_graph *with_weight(int n)
{
    mc_graph *g;
    mc_value *x, *w;
    mc_tensor *t;
    mc_node *node;
    const mc_type type = {.dtype = MCOMP_F32, .rank = 1, .dim = {n}};
    const mc_shape s = {.rank = 1, .dim = {n}};
    mc_ops_register();
    mc_ck_ok(mc_graph_create(&g, "w"));
    mc_ck_ok(mc_graph_add_input(g, "x", &type, &x));
    mc_ck_ok(mc_tensor_create(&t, MCOMP_F32, &s));
    for (int i = 0; i < n; i++) ((float *)t->data)[i] = (float)i;
    mc_ck_ok(mc_graph_add_const(g, "w", t, &w));
    mc_value *const in[2] = {x, w};
    mc_ck_ok(mc_graph_add_node(g, "", "Add", 0, "add", 2, in, 1, NULL, &node));
    mc_ck_ok(mc_graph_add_output(g, node->out[0]));
    mc_ck_ok(mc_graph_sort(g));
    mc_ck_ok(mc_infer_graph(g));
    return g;
}

START_TEST(data_beside)
{
    mc_graph *g = with_weight(5000), *b;
    mcomp_save_options o = options(0, MCOMP_DATA_BESIDE, 0);
    char first[64] = "", second[64] = "";
    struct stat s;
    mc_ck_ok(mc_onnx_save(g, path_of("model.onnx"), &o));
    ck_assert_int_eq(files_in_dir(), 2);
    DIR *d = opendir(dir);
    for (const struct dirent *e; (e = readdir(d));)
        if (strstr(e->d_name, ".data")) snprintf(first, sizeof first, "%.60s", e->d_name);
    closedir(d);
    ck_assert_uint_eq(strlen(first), strlen("model.01234567.data"));
    ck_assert_int_eq(strncmp(first, "model.", 6), 0);
    ck_assert_int_eq(stat(path_of(first), &s), 0);
    ck_assert_int_eq(s.st_size, 20000);
    b = load(path_of("model.onnx"));
    same_graph(g, b, 1);
    ((float *)mc_graph_find_value(g, "w")->init->data)[7] = -1; /* other weights: another data file, the old one goes */
    mc_ck_fails(mc_onnx_save(g, path_of("model.onnx"), &o), MCOMP_PATH);
    ck_assert_int_eq(files_in_dir(), 2);
    o.overwrite = 1;
    mc_ck_ok(mc_onnx_save(g, path_of("model.onnx"), &o));
    ck_assert_int_eq(files_in_dir(), 2);
    d = opendir(dir);
    for (const struct dirent *e; (e = readdir(d));)
        if (strstr(e->d_name, ".data")) snprintf(second, sizeof second, "%.60s", e->d_name);
    closedir(d);
    ck_assert_str_ne(first, second);
    ck_assert(mc_tensor_get_f64(mc_graph_find_value(b, "w")->init, 7) == 7.0); /* the old mapping lives on */
    mc_graph_destroy(b);
    o.data = MCOMP_DATA_INSIDE; /* no data file any more */
    mc_ck_ok(mc_onnx_save(g, path_of("model.onnx"), &o));
    ck_assert_int_eq(files_in_dir(), 1);
    mc_graph_destroy(g);
}
END_TEST

START_TEST(alignment_of_the_data_file)
{
    mc_graph *g = with_weight(5000), *b;
    const mcomp_save_options o = options(1, MCOMP_DATA_BESIDE, 0);
    mc_value *w;
    mc_tensor *t;
    const mc_shape s = {.rank = 1, .dim = {5000}};
    mc_ck_ok(mc_tensor_create(&t, MCOMP_F32, &s));
    ((float *)t->data)[4999] = 5;
    mc_ck_ok(mc_graph_add_const(g, "w2", t, &w));
    mc_node *node;
    mc_value *const in[2] = {g->outputs[0], w};
    mc_ck_ok(mc_graph_add_node(g, "", "Mul", 0, "mul", 2, in, 1, NULL, &node));
    mc_ck_ok(mc_graph_add_output(g, node->out[0]));
    mc_ck_ok(mc_onnx_save(g, path_of("m.onnx"), &o));
    b = load(path_of("m.onnx"));
    ck_assert_uint_eq((uintptr_t)mc_graph_find_value(b, "w2")->init->data % 4096, 0);
    ck_assert(mc_tensor_get_f64(mc_graph_find_value(b, "w2")->init, 4999) == 5.0);
    mc_graph_destroy(g);
    mc_graph_destroy(b);
}
END_TEST

START_TEST(overwrite_and_bad_targets)
{
    mc_graph *g = with_weight(4);
    mcomp_save_options o = options(0, 0, 0);
    struct stat s;
    mc_ck_ok(mc_onnx_save(g, path_of("m.onnx"), &o));
    mc_ck_fails(mc_onnx_save(g, path_of("m.onnx"), &o), MCOMP_PATH);
    mc_ck_fails(mc_onnx_save(g, path_of("m.onnx"), NULL), MCOMP_PATH);
    o.overwrite = 1;
    ck_assert_int_eq(chmod(path_of("m.onnx"), 0640), 0);
    mc_ck_ok(mc_onnx_save(g, path_of("m.onnx"), &o));
    ck_assert_int_eq(stat(path_of("m.onnx"), &s), 0);
    ck_assert_int_eq(s.st_mode & 0777, 0640);
    mc_ck_fails(mc_onnx_save(g, dir, &o), MCOMP_PATH);
    mc_ck_fails(mc_onnx_save(g, path_of("no/such/dir/m.onnx"), &o), MCOMP_PATH);
    mc_ck_fails(mc_onnx_save(g, "", &o), MCOMP_PATH);
    mc_ck_fails(mc_onnx_save(g, "/dev/full", &o), MCOMP_PATH);
    static char longest[5001];
    memset(longest, 'a', 5000);
    mc_ck_fails(mc_onnx_save(g, longest, &o), MCOMP_PATH);
    mc_ck_ok(mc_onnx_save(g, path_of("n\xff%n.onnx"), &o));
    ck_assert_int_eq(symlink("m.onnx", path_of("link.onnx")), 0);
    mc_ck_ok(mc_onnx_save(g, path_of("link.onnx"), &o));
    ck_assert_int_eq(lstat(path_of("link.onnx"), &s), 0);
    ck_assert(S_ISLNK(s.st_mode));
    o.size = 0;
    mc_ck_fails(mc_onnx_save(g, path_of("m.onnx"), &o), MCOMP_ARGUMENT);
    o = options(1, 7, 0);
    mc_ck_fails(mc_onnx_save(g, path_of("m.onnx"), &o), MCOMP_ARGUMENT);
    ck_assert_int_eq(files_in_dir(), 3); /* no temporary file stays behind */
    mc_graph_destroy(g);
}
END_TEST

/* A full disk, at every 4 KiB: the old file stays as it was and no temporary is left. */
START_TEST(no_space)
{
    mc_graph *g = with_weight(20000), *small = with_weight(10);
    const mcomp_save_options o[2] = {options(1, MCOMP_DATA_INSIDE, 0), options(1, MCOMP_DATA_BESIDE, 0)};
    const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    mc_ck_ok(mc_onnx_save(small, path_of("m.onnx"), &o[0]));
    mc_ck_ok(mc_onnx_save(small, path_of("keep.onnx"), &o[0]));
    for (rlim_t limit = 0; limit < 80000; limit += 4096)
        for (int k = 0; k < 2; k++) {
            const struct rlimit r = {limit, RLIM_INFINITY};
            const char *path = path_of("m.onnx"); /* no assertion inside the limit: Check writes a file too */
            int set = setrlimit(RLIMIT_FSIZE, &r);
            mc_error_clear();
            const int32_t st = mc_onnx_save(g, path, &o[k]);
            set |= setrlimit(RLIMIT_FSIZE, &all);
            ck_assert_int_eq(set, 0);
            ck_assert_int_eq(st, MCOMP_NO_SPACE);
            ck_assert_int_eq(files_in_dir(), 2);
            same_bytes(path_of("m.onnx"), path_of("keep.onnx"));
        }
    mc_graph_destroy(g);
    mc_graph_destroy(small);
}
END_TEST

START_TEST(mcomp_nodes_are_refused)
{
    mc_graph *g = with_weight(4);
    mc_node *n;
    mc_value *const in[1] = {g->outputs[0]};
    mc_ck_ok(mc_graph_add_node(g, "mcomp", "Observe", 1, "tap", 1, in, 0, NULL, &n));
    mc_ck_fails(mc_onnx_save(g, path_of("m.onnx"), NULL), MCOMP_UNSUPPORTED);
    ck_assert_str_eq(mc_error_peek()->where, "tap");
    ck_assert_int_eq(files_in_dir(), 0);
    mc_graph_destroy(g);
}
END_TEST

START_TEST(lowest_opset)
{
    static const struct {
        const char *op;
        int64_t opset, want, ir;
    } rows[] = {{"Relu", 8, 13, 7}, {"HardSwish", 14, 14, 7}, {"Mish", 18, 18, 8}, {"Gelu", 20, 20, 9}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        pb graph = pb_graph(), n = pb_node(rows[i].op, "n", "x", "y");
        pb_msg(&graph, 1, &n);
        mc_graph *g = from_pb(&graph, rows[i].opset), *b;
        mcomp_save_options o = options(1, 0, 0);
        mc_ck_ok(mc_onnx_save(g, path_of("m.onnx"), &o));
        b = load(path_of("m.onnx"));
        ck_assert_int_eq(mc_graph_opset(b, ""), rows[i].want);
        ck_assert_int_eq(b->ir_version, rows[i].ir);
        mc_graph_destroy(b);
        o.opset = (int32_t)rows[i].want - 1;
        mc_ck_fails(mc_onnx_save(g, path_of("m.onnx"), &o), MCOMP_UNSUPPORTED);
        o.opset = 26;
        mc_ck_fails(mc_onnx_save(g, path_of("m.onnx"), &o), MCOMP_UNSUPPORTED);
        o.opset = 25;
        mc_ck_ok(mc_onnx_save(g, path_of("m.onnx"), &o));
        b = load(path_of("m.onnx"));
        ck_assert_int_eq(mc_graph_opset(b, ""), 25);
        ck_assert_int_eq(b->ir_version, 13);
        mc_graph_destroy(b);
        mc_graph_destroy(g);
    }
}
END_TEST

/* A branch that names a value like one outside, and captures; unknown operators with every kind of attribute. */
START_TEST(subgraphs_and_opaque_nodes)
{
    static const int64_t no_dims[1] = {0}, ints[3] = {3, -1, INT64_MIN};
    static const float f[2] = {1, 2};
    pb graph = pb_graph(), c = pb_value("c", 9, 0, no_dims), sub[2] = {{.n = 0}, {.n = 0}}, n, odd;
    for (int k = 0; k < 2; k++) {
        pb o = {.n = 0}, inner = pb_node(k ? "Neg" : "Abs", "", "p", "q"), shadow = pb_node("Relu", "", "q", "x"); /* x exists outside */
        pb_str(&o, 1, "x");
        pb_str(&sub[k], 2, "branch");
        pb_msg(&sub[k], 1, &inner);
        pb_msg(&sub[k], 1, &shadow);
        pb_msg(&sub[k], 12, &o);
    }
    pb_msg(&graph, 11, &c);
    n = pb_node("Sigmoid", "s", "x", "p");
    pb_msg(&graph, 1, &n);
    n = pb_node("If", "if", "c", "r");
    pb_attr_msg(&n, "then_branch", 5, &sub[0]);
    pb_attr_msg(&n, "else_branch", 5, &sub[1]);
    pb_msg(&graph, 1, &n);
    odd = pb_node("Odd", "odd", "r,,p", "y");
    pb_str(&odd, 7, "my.domain");
    pb_attr_int(&odd, "i", -5);
    pb_attr_float(&odd, "f", 0.25f);
    pb_attr_ints(&odd, "ints", 3, ints);
    const pb t = pb_floats("t", 2, f);
    pb_attr_msg(&odd, "t", 4, &t);
    pb type = {.n = 0}, a = {.n = 0}; /* a type attribute: kept as bytes */
    pb_str(&a, 1, "tp");
    pb_msg(&a, 14, &type);
    pb_int(&a, 20, 13);
    pb_msg(&odd, 5, &a);
    pb_msg(&graph, 1, &odd);
    mc_graph *g = from_pb(&graph, 13), *b, *again;
    const mcomp_save_options o = options(1, 0, 0);
    ck_assert_int_eq(mc_graph_find_node(g, "if")->n_cap, 1);
    mc_ck_ok(mc_onnx_save(g, path_of("m.onnx"), &o));
    b = load(path_of("m.onnx"));
    same_graph(g, b, 1);
    const mc_graph *branch = mc_node_attr(mc_graph_find_node(b, "if"), "then_branch")->graph;
    ck_assert_str_ne(branch->outputs[0]->name, "x"); /* one name, one meaning */
    ck_assert_int_eq(mc_graph_find_node(b, "odd")->n_in, 3);
    ck_assert_ptr_null(mc_graph_find_node(b, "odd")->in[1]);
    mc_ck_ok(mc_onnx_save(b, path_of("n.onnx"), &o));
    again = load(path_of("n.onnx"));
    same_graph(b, again, 1);
    same_bytes(path_of("m.onnx"), path_of("n.onnx"));
    mc_graph_destroy(g);
    mc_graph_destroy(b);
    mc_graph_destroy(again);
}
END_TEST

/* An operator that nobody here knows may not be carried over a change of its meaning. */
START_TEST(opaque_forms_stay_in_their_opset)
{
    pb graph = pb_graph(), n = pb_node("GridSample", "gs", "x,x", "p"), m = pb_node("Gelu", "g", "p", "y");
    pb_msg(&graph, 1, &n);
    m = pb_node("Relu", "g", "p", "y");
    pb_msg(&graph, 1, &m);
    mc_graph *g = from_pb(&graph, 16);
    mcomp_save_options o = options(1, 0, 0);
    ck_assert_ptr_null(mc_graph_find_node(g, "gs")->desc);
    mc_ck_ok(mc_onnx_save(g, path_of("m.onnx"), &o));
    o.opset = 20;
    mc_ck_fails(mc_onnx_save(g, path_of("m.onnx"), &o), MCOMP_UNSUPPORTED);
    ck_assert_str_eq(mc_error_peek()->where, "gs");
    mc_graph_destroy(g);
}
END_TEST

START_TEST(every_element_type)
{
    for (int32_t dtype = 1; dtype <= 26; dtype++) {
        mc_graph *g, *b;
        mc_tensor *t;
        mc_value *v;
        mc_node *n;
        const mc_shape s = {.rank = 1, .dim = {3}};
        if (dtype == MCOMP_STRING) continue;
        mc_ops_register();
        mc_ck_ok(mc_graph_create(&g, "t"));
        mc_ck_ok(mc_tensor_create(&t, dtype, &s));
        memset(t->data, 0x11, (size_t)mc_tensor_bytes(t));
        mc_ck_ok(mc_graph_add_const(g, "w", t, &v));
        mc_ck_ok(mc_graph_add_node(g, "my", "Use", 1, "use", 1, &v, 1, NULL, &n));
        mc_ck_ok(mc_graph_add_output(g, n->out[0]));
        mc_ck_ok(mc_graph_sort(g));
        const mcomp_save_options o = options(1, 0, 0);
        mc_ck_ok(mc_onnx_save(g, path_of("m.onnx"), &o));
        b = load(path_of("m.onnx"));
        same_tensor(v->init, mc_graph_find_value(b, "w")->init);
        mc_graph_destroy(g);
        mc_graph_destroy(b);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("onnx/save");
    TCase *t = tcase_create("save");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, round_trip);
    tcase_add_test(t, data_beside);
    tcase_add_test(t, alignment_of_the_data_file);
    tcase_add_test(t, overwrite_and_bad_targets);
    tcase_add_test(t, no_space);
    tcase_add_test(t, mcomp_nodes_are_refused);
    tcase_add_test(t, lowest_opset);
    tcase_add_test(t, subgraphs_and_opaque_nodes);
    tcase_add_test(t, opaque_forms_stay_in_their_opset);
    tcase_add_test(t, every_element_type);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
