/* Loading real models: structure, weights, captures, symbols. */
#include "unit/onnx/pb.h"

static mc_graph *load(const char *name)
{
    mc_graph *g;
    char path[64];
    snprintf(path, sizeof path, "models/%s", name);
    mc_ck_ok(mc_onnx_load(&g, NULL, mc_test_data(path), NULL));
    return g;
}

static int64_t live_nodes(const mc_graph *g)
{
    int64_t n = 0;
    for (int64_t i = 0; i < g->n_nodes; i++) {
        const mc_node *node = g->nodes[i];
        if (node->dead) continue;
        n++;
        for (int32_t k = 0; k < node->n_attrs; k++)
            if (node->attrs[k].graph) n += live_nodes(node->attrs[k].graph);
    }
    return n;
}

START_TEST(every_model_loads)
{
    static const struct {
        const char *name;
        int64_t inputs, outputs, opset, ir;
    } rows[] = {{"bert_toy_optimized.onnx", 3, 2, 10, 4},     {"magika_v3_3.onnx", 1, 1, 15, 8},
                {"mnist8.onnx", 1, 1, 8, 3},                  {"resnet8_cifar.onnx", 1, 1, 13, 7},
                {"resnet8_large_cifar.onnx", 1, 1, 13, 7},    {"silero_vad.onnx", 3, 2, 16, 8},
                {"silero_vad_16k_op15.onnx", 3, 2, 15, 8},    {"silero_vad_half.onnx", 2, 2, 16, 8},
                {"silero_vad_op18_ifless.onnx", 3, 2, 18, 10}, {"silero_vad_openvino_16k.onnx", 2, 2, 16, 8},
                {"ultraface_rfb320.onnx", 1, 2, 9, 4},        {"ultraface_rfb320_simplified.onnx", 1, 2, 9, 4}};
    if (mc_test_skip_without_data()) return;
    mc_ops_register(); /* its table lives for ever */
    const uint64_t before = mc_alloc_live_bytes();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        mc_graph *g = load(rows[i].name);
        ck_assert_msg(g->n_inputs == rows[i].inputs && g->n_outputs == rows[i].outputs, "%s: %lld inputs, %lld outputs", rows[i].name,
                      (long long)g->n_inputs, (long long)g->n_outputs);
        ck_assert_int_eq(mc_graph_opset(g, ""), rows[i].opset);
        ck_assert_int_eq(g->ir_version, rows[i].ir);
        mc_ck_ok(mc_graph_validate(g));
        ck_assert_msg(live_nodes(g) > 5, "%s has no nodes", rows[i].name);
        mc_graph_destroy(g);
    }
    ck_assert_uint_eq(mc_alloc_live_bytes(), before);
}
END_TEST

START_TEST(weights_and_symbols)
{
    if (mc_test_skip_without_data()) return;
    mc_graph *g = load("resnet8_cifar.onnx");
    const mc_value *in = mc_graph_find_value(g, "input");
    ck_assert_ptr_nonnull(in);
    ck_assert_int_eq(in->type.rank, 4);
    ck_assert_int_lt(in->type.dim[0], 0);
    ck_assert_str_eq(mc_graph_symbol_name(g, in->type.dim[0]), "N");
    ck_assert_int_eq(in->type.dim[3], 32);
    int64_t weights = 0;
    for (int64_t i = 0; i < g->n_values; i++)
        if (g->values[i]->init) weights += mc_tensor_elements(g->values[i]->init);
    ck_assert_int_eq(weights, 77706);
    mc_graph_destroy(g);
}
END_TEST

START_TEST(constants_and_captures)
{
    int64_t ifs = 0, captures = 0;
    if (mc_test_skip_without_data()) return;
    mc_graph *g = load("silero_vad_16k_op15.onnx");
    for (int64_t i = 0; i < g->n_order; i++) {
        ck_assert_str_ne(g->order[i]->op, "Constant");
        if (!mc_node_is(g->order[i], "If")) continue;
        ifs++;
        captures += g->order[i]->n_cap;
        const mc_attr *a = mc_node_attr(g->order[i], "then_branch");
        ck_assert_ptr_nonnull(a->graph);
        ck_assert_ptr_eq(a->graph->owner, g->order[i]);
    }
    ck_assert_int_gt(ifs, 0);
    ck_assert_int_gt(captures, 0);
    mc_graph_destroy(g);
}
END_TEST

static pb opset_of(const char *domain, int64_t version)
{
    pb o = {.n = 0};
    pb_str(&o, 1, domain);
    pb_int(&o, 2, version);
    return o;
}

/* scaled(a, b) = LeakyRelu(a + b, alpha = @slope); twice(a) = scaled(a, a) inside an If. */
static pb with_functions(int64_t function_opset)
{
    static const int64_t no_dims[1] = {0};
    pb graph = pb_graph(), m, fn = {.n = 0}, n, a = {.n = 0}, o = opset_of("", function_opset), mine = opset_of("my", 1), c = pb_value("c", 9, 0, no_dims), sub = {.n = 0}, out = {.n = 0};
    n = pb_node("scaled", "call", "x,x", "p");
    pb_str(&n, 7, "my");
    pb_attr_float(&n, "slope", 0.5f);
    pb_msg(&graph, 1, &n);
    n = pb_node("twice", "", "p", "y");
    pb_str(&n, 7, "my");
    pb_msg(&graph, 1, &n);
    pb_msg(&graph, 11, &c);
    m = pb_model_of(&graph, 13, 8);
    pb_msg(&m, 8, &mine);
    pb_str(&fn, 1, "scaled");
    pb_str(&fn, 4, "a");
    pb_str(&fn, 4, "b");
    pb_str(&fn, 5, "r");
    pb_str(&fn, 6, "slope");
    n = pb_node("Add", "add", "a,b", "s");
    pb_msg(&fn, 7, &n);
    n = pb_node("LeakyRelu", "leaky", "s", "r");
    pb_str(&a, 1, "alpha");
    pb_int(&a, 20, 1);
    pb_str(&a, 21, "slope");
    pb_msg(&n, 5, &a);
    pb_msg(&fn, 7, &n);
    pb_msg(&fn, 9, &o);
    pb_str(&fn, 10, "my");
    pb_msg(&m, 25, &fn);
    fn.n = 0;
    pb_str(&fn, 1, "twice");
    pb_str(&fn, 4, "a");
    pb_str(&fn, 5, "r");
    n = pb_node("scaled", "", "a,a", "inner");
    pb_str(&n, 7, "my");
    pb_msg(&sub, 1, &n);
    pb_str(&out, 1, "inner");
    pb_msg(&sub, 12, &out);
    n = pb_node("ReduceMax", "", "a", "m");
    pb_attr_int(&n, "keepdims", 0);
    pb_msg(&fn, 7, &n);
    n = pb_node("Cast", "", "m", "b");
    pb_attr_int(&n, "to", 9);
    pb_msg(&fn, 7, &n);
    n = pb_node("If", "", "b", "r");
    pb_attr_msg(&n, "then_branch", 5, &sub);
    pb_attr_msg(&n, "else_branch", 5, &sub);
    pb_msg(&fn, 7, &n);
    pb_str(&fn, 10, "my");
    pb_msg(&m, 25, &fn);
    return m;
}

START_TEST(functions_become_their_bodies)
{
    mc_graph *g;
    pb m = with_functions(13);
    mc_ck_ok(pb_load(&m, &g));
    ck_assert_int_eq(g->n_order, 5); /* Add, LeakyRelu, ReduceMax, Cast, If */
    ck_assert_int_eq(live_nodes(g), 9);
    const mc_node *leaky = mc_graph_find_value(g, "p")->producer;
    ck_assert_str_eq(leaky->op, "LeakyRelu");
    ck_assert(mc_attr_f(leaky, "alpha", 0) == 0.5f);
    const mc_node *branch = mc_graph_find_value(g, "y")->producer;
    ck_assert_str_eq(branch->op, "If");
    ck_assert_int_eq(branch->n_cap, 1);
    const mc_node *inner = mc_node_attr(branch, "then_branch")->graph->outputs[0]->producer;
    ck_assert_str_eq(inner->op, "LeakyRelu"); /* without the attribute: the operator's default */
    ck_assert_ptr_null(mc_node_attr(inner, "alpha"));
    ck_assert_int_eq(g->outputs[0]->type.dim[1], 4);
    mc_graph_destroy(g);
    m = with_functions(15);
    ck_assert_int_eq(pb_load(&m, &g), MCOMP_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(mc_error_peek()->where, "scaled"));
}
END_TEST

START_TEST(functions_that_call_in_circles)
{
    mc_graph *g;
    pb graph = pb_graph(), m, n = pb_node("f", "", "x", "y"), fn = {.n = 0}, mine = opset_of("my", 1);
    pb_str(&n, 7, "my");
    pb_msg(&graph, 1, &n);
    m = pb_model_of(&graph, 13, 8);
    pb_msg(&m, 8, &mine);
    for (int k = 0; k < 2; k++) { /* f calls g, g calls f */
        fn.n = 0;
        pb_str(&fn, 1, k ? "g" : "f");
        pb_str(&fn, 4, "a");
        pb_str(&fn, 5, "b");
        n = pb_node(k ? "f" : "g", "", "a", "b");
        pb_str(&n, 7, "my");
        pb_msg(&fn, 7, &n);
        pb_str(&fn, 10, "my");
        pb_msg(&m, 25, &fn);
    }
    ck_assert_int_eq(pb_load(&m, &g), MCOMP_LIMIT);
    m = pb_model_of(&graph, 13, 8); /* each level doubles: 2^40 nodes */
    pb_msg(&m, 8, &mine);
    for (int k = 0; k < 40; k++) {
        char name[8], next[8];
        snprintf(name, sizeof name, k ? "f%d" : "f", k);
        snprintf(next, sizeof next, "f%d", k + 1);
        fn.n = 0;
        pb_str(&fn, 1, name);
        pb_str(&fn, 4, "a");
        pb_str(&fn, 5, "c");
        pb n1 = pb_node(next, "", "a", "b"), n2 = pb_node(next, "", "b", "c");
        pb_str(&n1, 7, "my");
        pb_str(&n2, 7, "my");
        pb_msg(&fn, 7, &n1);
        pb_msg(&fn, 7, &n2);
        pb_str(&fn, 10, "my");
        pb_msg(&m, 25, &fn);
    }
    ck_assert_int_eq(pb_load(&m, &g), MCOMP_LIMIT);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("onnx/load");
    TCase *t = tcase_create("load");
    tcase_add_test(t, every_model_loads);
    tcase_add_test(t, weights_and_symbols);
    tcase_add_test(t, constants_and_captures);
    tcase_add_test(t, functions_become_their_bodies);
    tcase_add_test(t, functions_that_call_in_circles);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
