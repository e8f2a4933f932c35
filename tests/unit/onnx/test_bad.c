/* Hostile and broken models: every one gets its documented code and a message that names the culprit. */
#include "unit/onnx/pb.h"

static uint64_t live;
static void setup(void)
{
    mc_ops_register(); /* lives for ever */
    live = mc_alloc_live_bytes();
}
static void teardown(void) { ck_assert_uint_eq(mc_alloc_live_bytes(), live); }

static void refused_bytes(const void *data, size_t n, int32_t code)
{
    mc_graph *g = NULL;
    mc_error_clear();
    const int32_t st = mc_onnx_load_memory(&g, NULL, data, n);
    ck_assert_msg(st == code, "%s instead of %s: %s", mcomp_status_name(st), mcomp_status_name(code), mc_error_peek()->message);
    ck_assert_ptr_null(g);
    ck_assert_int_ne(mc_error_peek()->message[0], 0);
}

START_TEST(the_helper_makes_valid_models)
{
    mc_graph *g;
    pb graph = pb_graph(), n = pb_node("Relu", "r", "x", "y"), m;
    pb_msg(&graph, 1, &n);
    m = pb_model_of(&graph, 13, 8);
    mc_ck_ok(pb_load(&m, &g));
    ck_assert_int_eq(g->n_order, 1);
    ck_assert_int_eq(g->outputs[0]->type.dim[1], 4);
    mc_graph_destroy(g);
}
END_TEST

START_TEST(empty_and_garbage)
{
    refused_bytes("", 0, MCOMP_FORMAT);
    refused_bytes("\x08", 1, MCOMP_FORMAT);
    refused_bytes("hello world, this is no model", 29, MCOMP_FORMAT);
    pb m = {.n = 0};
    pb_int(&m, 1, 8);
    refused_bytes(m.data, m.n, MCOMP_FORMAT); /* no graph */
}
END_TEST

START_TEST(wire_format)
{
    static const uint8_t long_varint[] = {0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01};
    static const uint8_t overflow[] = {0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02};
    refused_bytes(long_varint, sizeof long_varint, MCOMP_FORMAT);
    refused_bytes(overflow, sizeof overflow, MCOMP_FORMAT);
    refused_bytes("\x00\x01", 2, MCOMP_FORMAT);                     /* tag 0 */
    refused_bytes("\x80\x80\x80\x80\x20\x01", 6, MCOMP_FORMAT);     /* field number 2^30 */
    for (int type = 3; type < 8; type++) {
        if (type == 5) continue;
        const uint8_t bytes[] = {(uint8_t)(1 << 3 | type), 0, 0, 0, 0, 0, 0, 0, 0};
        refused_bytes(bytes, sizeof bytes, MCOMP_FORMAT);
    }
    refused_bytes("\x0d\0\0\0\0", 5, MCOMP_FORMAT); /* ir_version as fixed32 */
}
END_TEST

START_TEST(length_lies)
{
    static const uint64_t lengths[] = {4, 1000, (uint64_t)1 << 31, (uint64_t)1 << 63, UINT64_MAX};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        pb m = {.n = 0};
        pb_varint(&m, 7 << 3 | 2);
        pb_varint(&m, lengths[i]);
        pb_raw(&m, "abc", 3);
        const uint64_t before = mc_alloc_count();
        refused_bytes(m.data, m.n, MCOMP_FORMAT);
        ck_assert_uint_lt(mc_alloc_count() - before, 20);
        ck_assert_ptr_nonnull(strstr(mc_error_peek()->message, "byte 0"));
    }
}
END_TEST

/* Wraps bytes into length-delimited fields from the inside out. */
static uint8_t *nest(const uint32_t *path, int n_path, int levels, size_t *bytes)
{
    const size_t cap = (size_t)levels * (size_t)n_path * 12 + 64;
    uint8_t *buf = malloc(cap), *p = buf + cap;
    for (int l = 0; l < levels; l++)
        for (int k = n_path - 1; k >= 0; k--) {
            const size_t n = (size_t)(buf + cap - p);
            pb head = {.n = 0};
            pb_varint(&head, path[k] << 3 | 2);
            pb_varint(&head, n);
            p -= head.n;
            memcpy(p, head.data, head.n);
        }
    *bytes = (size_t)(buf + cap - p);
    memmove(buf, p, *bytes);
    return buf;
}

START_TEST(deep_nesting)
{
    static const uint32_t inner[] = {1, 5, 6}, type[] = {4, 1}, sequence_path[] = {7, 11, 2};
    size_t n, m;
    for (int levels = 63; levels <= 10000; levels += 9937) {
        uint8_t *deep = nest(inner, 3, levels, &n), *whole = malloc(n + 32);
        pb head = {.n = 0};
        pb_int(&head, 1, 8);
        pb_varint(&head, 7 << 3 | 2);
        pb_varint(&head, n);
        memcpy(whole, head.data, head.n);
        memcpy(whole + head.n, deep, n);
        refused_bytes(whole, head.n + n, levels > 63 ? MCOMP_LIMIT : MCOMP_FORMAT); /* 63: only the operator type is missing */
        free(deep);
        free(whole);
    }
    uint8_t *types = nest(type, 2, 10000, &n), *whole = malloc(n + 64);
    pb head[3] = {{.n = 0}, {.n = 0}, {.n = 0}};
    m = n;
    for (int k = 2; k >= 0; k--) {
        pb_varint(&head[k], sequence_path[k] << 3 | 2);
        pb_varint(&head[k], m);
        m += head[k].n;
    }
    size_t at = 0;
    for (int k = 0; k < 3; k++) {
        memcpy(whole + at, head[k].data, head[k].n);
        at += head[k].n;
    }
    memcpy(whole + at, types, n);
    refused_bytes(whole, at + n, MCOMP_LIMIT);
    free(types);
    free(whole);
}
END_TEST

START_TEST(thirty_nested_ifs_load)
{
    mc_graph *g;
    static const int64_t no_dims[1] = {0};
    pb body = {.n = 0}, out = {.n = 0}, graph = {.n = 0}, m;
    pb leaf = pb_node("Identity", "leaf", "x", "y0");
    pb_str(&out, 1, "y0");
    pb_str(&body, 2, "b");
    pb_msg(&body, 1, &leaf);
    pb_msg(&body, 12, &out);
    for (int i = 1; i <= 30; i++) {
        char name[16];
        pb next = {.n = 0};
        snprintf(name, sizeof name, "y%d", i);
        pb n = pb_node("If", "", "c", name), o = {.n = 0};
        pb_attr_msg(&n, "then_branch", 5, &body);
        if (i == 1) pb_attr_msg(&n, "else_branch", 5, &body);
        else { /* a small one, or the file doubles */
            pb small = {.n = 0}, so = {.n = 0}, leaf2 = pb_node("Identity", "", "x", "z");
            pb_str(&so, 1, "z");
            pb_msg(&small, 1, &leaf2);
            pb_msg(&small, 12, &so);
            pb_attr_msg(&n, "else_branch", 5, &small);
        }
        pb_str(&next, 2, "b");
        pb_msg(&next, 1, &n);
        pb_str(&o, 1, name);
        pb_msg(&next, 12, &o);
        body = next;
    }
    graph = body;
    pb x = pb_value("x", 1, 0, no_dims), c = pb_value("c", 9, 0, no_dims);
    pb_msg(&graph, 11, &x);
    pb_msg(&graph, 11, &c);
    m = pb_model_of(&graph, 13, 8);
    mc_ck_ok(pb_load(&m, &g));
    ck_assert_int_eq(g->outputs[0]->type.dtype, MCOMP_F32);
    mc_graph_destroy(g);
}
END_TEST

static void refused_tensor(pb tensor, int32_t code, const char *what)
{
    pb g = pb_graph(), n = pb_node("Add", "a", "x,w", "y");
    pb_msg(&g, 1, &n);
    pb_msg(&g, 5, &tensor);
    pb_refused(&g, 13, code, what);
}

START_TEST(tensor_sizes)
{
    static const int64_t overflow[][3] = {{(int64_t)1 << 62, 4, 1}, {INT64_MAX, 2, 1}, {0, INT64_MAX, INT64_MAX}, {-1, 1, 1}, {-4, -4, 1}};
    static const int64_t four[1] = {4}, three[1] = {3}, many[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    static const float zeros[8] = {0};
    for (size_t i = 0; i < 5; i++) refused_tensor(pb_tensor("w", 1, 3, overflow[i]), MCOMP_FORMAT, "w");
    refused_tensor(pb_tensor("w", 1, 9, many), MCOMP_LIMIT, "w");
    for (size_t bytes = 0; bytes < 32; bytes++) {
        pb t = pb_tensor("w", 1, 1, four);
        if (bytes == 16) continue;
        if (bytes) pb_bytes(&t, 9, zeros, bytes);
        refused_tensor(t, MCOMP_FORMAT, "w");
    }
    pb t = pb_tensor("w", 22, 1, three); /* three int4 need two bytes */
    pb_bytes(&t, 9, "a", 1);
    refused_tensor(t, MCOMP_FORMAT, "w");
    t = pb_tensor("w", 1, 1, four);
    pb_bytes(&t, 9, zeros, 16);
    pb_bytes(&t, 4, zeros, 16);
    refused_tensor(t, MCOMP_FORMAT, "two kinds");
    t = pb_tensor("w", 1, 1, four);
    pb_bytes(&t, 5, "\0\0\0\0", 4); /* int32_data of a float tensor */
    refused_tensor(t, MCOMP_FORMAT, "w");
    t = pb_tensor("w", 6, 1, four); /* three values for four elements */
    pb_bytes(&t, 5, "\0\0\0", 3);
    refused_tensor(t, MCOMP_FORMAT, "w");
    t = pb_tensor("w", 2, 1, four); /* 300 in uint8 */
    pb_bytes(&t, 5, "\0\0\0\xac\x02", 5);
    refused_tensor(t, MCOMP_FORMAT, "w");
    refused_tensor(pb_tensor("w", 0, 1, four), MCOMP_FORMAT, "w");
    refused_tensor(pb_tensor("w", 99, 1, four), MCOMP_DTYPE, "w");
    t = pb_tensor("w", 1, 1, four);
    pb_bytes(&t, 9, zeros, 16);
    pb_bytes(&t, 9, zeros, 16); /* raw_data twice */
    refused_tensor(t, MCOMP_FORMAT, NULL);
    const int64_t huge[2] = {(int64_t)1 << 40, 1 << 10}; /* declared far beyond the file: no allocation */
    t = pb_tensor("w", 7, 2, huge);
    pb_bytes(&t, 7, "\1\1\1", 3);
    refused_tensor(t, MCOMP_FORMAT, "w");
}
END_TEST

START_TEST(private_fields_are_not_for_files)
{
    static const int64_t four[1] = {4};
    pb t = pb_tensor("w", 1, 1, four);
    pb_int(&t, 1000, 9); /* what the pre-pass writes: field, offset, length */
    pb_int(&t, 1000, 0);
    pb_int(&t, 1000, 16);
    refused_tensor(t, MCOMP_FORMAT, "w");
}
END_TEST

START_TEST(names_and_values)
{
    static const float v[4] = {0};
    pb g = pb_graph(), w = pb_floats("w", 4, v), n = pb_node("Add", "a", "x,w", "y"), n2 = pb_node("Relu", "b", "x", "y");
    pb_msg(&g, 1, &n);
    pb_msg(&g, 5, &w);
    pb_msg(&g, 5, &w);
    pb_refused(&g, 13, MCOMP_FORMAT, "w"); /* initializer twice */
    g = pb_graph();
    pb_msg(&g, 1, &n2);
    pb_msg(&g, 1, &n2);
    pb_refused(&g, 13, MCOMP_FORMAT, "y"); /* two producers */
    g = pb_graph();
    n = pb_node("Add", "a", "x,nowhere", "y");
    pb_msg(&g, 1, &n);
    pb_refused(&g, 13, MCOMP_FORMAT, "nowhere");
    g = pb_graph();
    n = pb_node("Relu", "a", "x", "z");
    pb_msg(&g, 1, &n);
    pb_refused(&g, 13, MCOMP_FORMAT, "y"); /* output never produced */
    g = pb_graph();
    n = pb_node("Relu", "a", "x", "x");
    pb_msg(&g, 1, &n);
    pb_refused(&g, 13, MCOMP_FORMAT, "x"); /* a node writes an input */
    g = pb_graph();
    n = pb_node("Dropout", "a", "x", "y,y");
    pb_msg(&g, 1, &n);
    pb_refused(&g, 13, MCOMP_FORMAT, "y");
    g = pb_graph();
    n = pb_node("Relu", "a", "x", "y");
    pb_attr_int(&n, "k", 1);
    pb_attr_int(&n, "k", 1);
    pb_msg(&g, 1, &n);
    pb_refused(&g, 13, MCOMP_FORMAT, "k");
}
END_TEST

START_TEST(cycles_and_order)
{
    mc_graph *g;
    pb graph = pb_graph(), a = pb_node("Add", "a", "x,q", "p"), b = pb_node("Relu", "b", "p", "q"), c = pb_node("Relu", "c", "q", "y"), m;
    pb_msg(&graph, 1, &a);
    pb_msg(&graph, 1, &b);
    pb_msg(&graph, 1, &c);
    pb_refused(&graph, 13, MCOMP_FORMAT, "cycle");
    graph = pb_graph();
    a = pb_node("Add", "self", "x,y", "y");
    pb_msg(&graph, 1, &a);
    pb_refused(&graph, 13, MCOMP_FORMAT, "self");
    graph = pb_graph(); /* unsorted is fine */
    a = pb_node("Relu", "last", "p", "y");
    b = pb_node("Relu", "first", "x", "p");
    pb_msg(&graph, 1, &a);
    pb_msg(&graph, 1, &b);
    m = pb_model_of(&graph, 13, 8);
    mc_ck_ok(pb_load(&m, &g));
    ck_assert_str_eq(g->order[0]->name, "first");
    mc_graph_destroy(g);
}
END_TEST

START_TEST(versions)
{
    static const int64_t opsets[] = {-1, 0, 1, 5, 26, 314159, (int64_t)1 << 31, INT64_MAX}, irs[] = {-1, 0, 2, 14, INT64_MAX};
    mc_graph *g;
    pb graph = pb_graph(), n = pb_node("Relu", "r", "x", "y"), m = {.n = 0};
    pb_msg(&graph, 1, &n);
    for (size_t i = 0; i < sizeof opsets / sizeof *opsets; i++) pb_refused(&graph, opsets[i], MCOMP_UNSUPPORTED, "7 to 25");
    for (size_t i = 0; i < sizeof irs / sizeof *irs; i++) {
        m = pb_model_of(&graph, 13, irs[i]);
        ck_assert_int_eq(pb_load(&m, &g), MCOMP_UNSUPPORTED);
    }
    m.n = 0;
    pb_int(&m, 1, 8);
    pb_msg(&m, 7, &graph);
    ck_assert_int_eq(pb_load(&m, &g), MCOMP_UNSUPPORTED); /* no opset at all */
    for (int64_t opset = 7; opset <= 25; opset++) {
        m = pb_model_of(&graph, opset, 8);
        mc_ck_ok(pb_load(&m, &g));
        mc_graph_destroy(g);
    }
}
END_TEST

START_TEST(unknown_operators_stay)
{
    mc_graph *g;
    pb graph = pb_graph(), n = pb_node("Frobnicate", "f", "x", "p"), n2 = pb_node("Relu", "r", "p", "q"), n3 = pb_node("Thing", "t", "q", "y"), m;
    pb_str(&n3, 7, "my.domain");
    pb_msg(&graph, 1, &n);
    pb_msg(&graph, 1, &n2);
    pb_msg(&graph, 1, &n3);
    m = pb_model_of(&graph, 13, 8);
    mc_ck_ok(pb_load(&m, &g));
    ck_assert_ptr_null(mc_graph_find_node(g, "f")->desc);
    ck_assert_ptr_null(mc_graph_find_node(g, "t")->desc);
    ck_assert_str_eq(mc_graph_find_node(g, "t")->domain, "my.domain");
    mc_graph_destroy(g);
}
END_TEST

START_TEST(strange_names)
{
    static const char *const names[] = {"%n%s%s", "line\nbreak", "\x1b[31m", "\xff\xfe\xc3", "a/b:0", " "};
    char longest[6001];
    mc_graph *g;
    memset(longest, 'n', 6000);
    longest[6000] = 0;
    for (size_t i = 0; i <= sizeof names / sizeof *names; i++) {
        const char *name = i < sizeof names / sizeof *names ? names[i] : longest;
        pb graph = {.n = 0}, in = {.n = 0}, n = {.n = 0}, m;
        static const int64_t two[1] = {2};
        if (strlen(name) > 4000) longest[2500] = 0;
        in = pb_value(name, 1, 1, two);
        pb_msg(&graph, 11, &in);
        pb_str(&n, 1, name);
        pb_str(&n, 2, "y");
        pb_str(&n, 3, name);
        pb_str(&n, 4, "Relu");
        pb_msg(&graph, 1, &n);
        pb out = {.n = 0};
        pb_str(&out, 1, "y");
        pb_msg(&graph, 12, &out);
        m = pb_model_of(&graph, 13, 8);
        mc_ck_ok(pb_load(&m, &g));
        ck_assert_str_eq(g->inputs[0]->name, name);
        mc_graph_destroy(g);
    }
    pb graph = pb_graph(), n = pb_node("Relu", "bad%s\x1b\nname", "missing\x1b", "y"); /* errors are printable */
    pb_msg(&graph, 1, &n);
    pb_refused(&graph, 13, MCOMP_FORMAT, NULL);
    for (const char *p = mc_error_peek()->message; *p; p++) ck_assert_int_ge(*p, ' ');
    for (const char *p = mc_error_peek()->where; *p; p++) ck_assert_int_ge(*p, ' ');
    graph = pb_graph(); /* NUL inside a name */
    n = pb_node("Relu", "", "x", "y");
    pb_bytes(&n, 3, "a\0b", 3);
    pb_msg(&graph, 1, &n);
    pb_refused(&graph, 13, MCOMP_FORMAT, "NUL");
}
END_TEST

/* Ranks and geometry that cannot be: refused when types are inferred. */
START_TEST(impossible_operators)
{
    static const float v[36] = {0};
    static const int64_t rank4[4] = {1, 1, 3, 3}, rank6[6] = {1, 1, 1, 1, 3, 3}, image[4] = {1, 1, 8, 8};
    static const struct {
        const char *attr;
        int64_t v[4];
        int n;
    } rows[] = {{"strides", {0, 1}, 2}, {"dilations", {0, 1}, 2}, {"group", {0}, 0}, {"group", {3}, 0}, {"kernel_shape", {0, 3}, 2}, {"pads", {-9, 0, 0, 0}, 4}};
    for (size_t i = 0; i <= sizeof rows / sizeof *rows; i++) {
        pb g = {.n = 0}, x = pb_value("x", 1, 4, image), y = {.n = 0}, w = pb_tensor("w", 1, i ? 4 : 6, i ? rank4 : rank6);
        pb n = pb_node("Conv", "c", "x,w", "y");
        mc_graph *out = NULL;
        pb_bytes(&w, 9, v, 36);
        if (i && rows[i - 1].n) pb_attr_ints(&n, rows[i - 1].attr, rows[i - 1].n, rows[i - 1].v);
        if (i && !rows[i - 1].n) pb_attr_int(&n, rows[i - 1].attr, rows[i - 1].v[0]);
        pb_str(&y, 1, "y");
        pb_msg(&g, 11, &x);
        pb_msg(&g, 12, &y);
        pb_msg(&g, 1, &n);
        pb_msg(&g, 5, &w);
        const pb m = pb_model_of(&g, 13, 8);
        const int32_t st = pb_load(&m, &out);
        ck_assert_msg(st == MCOMP_FORMAT || st == MCOMP_SHAPE || st == MCOMP_UNSUPPORTED, "row %zu: %s", i, mcomp_status_name(st));
        ck_assert_ptr_null(out);
    }
    pb g = pb_graph(), n = pb_node("Softmax", "s", "x", "y");
    pb_attr_int(&n, "axis", -9);
    pb_msg(&g, 1, &n);
    pb_refused(&g, 13, MCOMP_FORMAT, "s");
    g = pb_graph(); /* a required input is missing */
    n = pb_node("MatMul", "mm", "x", "y");
    pb_msg(&g, 1, &n);
    pb_refused(&g, 13, MCOMP_FORMAT, "mm");
}
END_TEST

START_TEST(limits_of_the_context)
{
    mcomp_context *ctx;
    mcomp_context_options o;
    mc_graph *g;
    pb graph = pb_graph(), m;
    for (int i = 0; i < 5; i++) {
        char in[8], out[8];
        snprintf(in, sizeof in, i ? "v%d" : "x", i);
        snprintf(out, sizeof out, i < 4 ? "v%d" : "y", i + 1);
        const pb n = pb_node("Relu", "", in, out);
        pb_msg(&graph, 1, &n);
    }
    m = pb_model_of(&graph, 13, 8);
    mcomp_context_options_init(&o, sizeof o);
    o.threads = 1;
    o.max_nodes = 4;
    mc_ck_ok(mcomp_context_create(&ctx, &o));
    mc_ck_fails(mc_onnx_load_memory(&g, ctx, m.data, m.n), MCOMP_LIMIT);
    mcomp_context_destroy(ctx);
    o.max_nodes = 5;
    o.max_model_bytes = m.n - 1;
    mc_ck_ok(mcomp_context_create(&ctx, &o));
    mc_ck_fails(mc_onnx_load_memory(&g, ctx, m.data, m.n), MCOMP_LIMIT);
    mcomp_context_destroy(ctx);
    o.max_model_bytes = m.n;
    mc_ck_ok(mcomp_context_create(&ctx, &o));
    mc_ck_ok(mc_onnx_load_memory(&g, ctx, m.data, m.n));
    mc_graph_destroy(g);
    mcomp_context_destroy(ctx);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("onnx/bad");
    TCase *t = tcase_create("bad");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, the_helper_makes_valid_models);
    tcase_add_test(t, empty_and_garbage);
    tcase_add_test(t, wire_format);
    tcase_add_test(t, length_lies);
    tcase_add_test(t, deep_nesting);
    tcase_add_test(t, thirty_nested_ifs_load);
    tcase_add_test(t, tensor_sizes);
    tcase_add_test(t, private_fields_are_not_for_files);
    tcase_add_test(t, names_and_values);
    tcase_add_test(t, cycles_and_order);
    tcase_add_test(t, versions);
    tcase_add_test(t, unknown_operators_stay);
    tcase_add_test(t, strange_names);
    tcase_add_test(t, impossible_operators);
    tcase_add_test(t, limits_of_the_context);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
