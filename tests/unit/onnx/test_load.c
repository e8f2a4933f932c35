/* Loading real models: structure, weights, captures, symbols. */
#include "support/support.h"

#include <stdio.h>

#include "onnx/onnx.h"

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

int main(void)
{
    Suite *s = suite_create("onnx/load");
    TCase *t = tcase_create("load");
    tcase_add_test(t, every_model_loads);
    tcase_add_test(t, weights_and_symbols);
    tcase_add_test(t, constants_and_captures);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
