/* Old forms of operators mean the same after they were brought to the internal form: small graphs in an old opset are run
 * by the reference of each operator and compared with numbers worked out by hand. */
#include "unit/onnx/pb.h"

#include <math.h>

/* Runs the graph on x (float, the shape of the input) by evaluating node after node; returns output 0. */
static mc_tensor *run(mc_graph *g, const float *x)
{
    mc_tensor **t = mc_calloc((size_t)g->n_values + 1, sizeof *t), *in, *y;
    mc_shape s;
    mc_ck_ok(mc_type_shape(&g->inputs[0]->type, &s));
    mc_ck_ok(mc_tensor_create(&in, MCOMP_F32, &s));
    memcpy(in->data, x, (size_t)mc_tensor_bytes(in));
    for (int64_t i = 0; i < g->n_values; i++)
        if (g->values[i]->init) mc_ck_ok(mc_tensor_share(&t[i], g->values[i]->init));
    t[g->inputs[0]->id] = in;
    for (int64_t i = 0; i < g->n_order; i++) {
        const mc_node *n = g->order[i];
        const mc_tensor *args[8] = {0};
        mc_tensor *out[8] = {0};
        ck_assert_msg(n->desc && n->desc->forward, "%s has no reference", n->op);
        ck_assert_int_eq(n->version, n->desc->version);
        for (int32_t k = 0; k < n->n_in; k++) args[k] = n->in[k] ? t[n->in[k]->id] : NULL;
        mc_ck_ok(mc_op_eval(n, n->n_in, args, out));
        for (int32_t k = 0; k < n->n_out; k++) {
            if (n->out[k]) t[n->out[k]->id] = out[k];
            else mc_tensor_destroy(out[k]);
        }
    }
    mc_ck_ok(mc_tensor_share(&y, t[g->outputs[0]->id]));
    for (int64_t i = 0; i < g->n_values; i++) mc_tensor_destroy(t[i]);
    mc_free(t);
    return y;
}

/* One node with input x of the given dims; makes the graph in this opset. */
static mc_graph *graph_of(const pb *node, int64_t opset, int n_dims, const int64_t *dims, const pb *constant)
{
    mc_graph *g;
    pb graph = {.n = 0}, x = pb_value("x", 1, n_dims, dims), y = {.n = 0};
    pb_str(&y, 1, "y");
    pb_msg(&graph, 11, &x);
    pb_msg(&graph, 12, &y);
    pb_msg(&graph, 1, node);
    if (constant) pb_msg(&graph, 5, constant);
    const pb m = pb_model_of(&graph, opset, opset < 7 ? 3 : 8);
    mc_ck_ok(pb_load(&m, &g));
    ck_assert_str_eq(g->outputs[0]->name, "y");
    return g;
}

static void expect(mc_graph *g, const float *x, int rank, const int64_t *dims, const float *want)
{
    mc_tensor *y = run(g, x);
    const mc_shape s = mc_shape_make(rank, dims);
    char text[128];
    ck_assert_msg(mc_shape_equal(&y->shape, &s), "shape %s", mc_shape_text(&y->shape, text, sizeof text));
    mc_ck_close_f32(y->data, want, mc_tensor_elements(y), 1e-6, 1e-6);
    mc_tensor_destroy(y);
    mc_graph_destroy(g);
}

static const int64_t d23[2] = {2, 3}, d222[3] = {2, 2, 2}, d1144[4] = {1, 1, 2, 2};
static const float seq[24] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23};

START_TEST(softmax_flattens_before_13)
{
    double sum = 0;
    float want[8];
    for (int i = 0; i < 4; i++) sum += exp(i);
    for (int i = 0; i < 8; i++) want[i] = (float)(exp(i % 4) / sum);
    for (int64_t opset = 7; opset <= 12; opset++) {
        pb n = pb_node("Softmax", "s", "x", "y"); /* default axis 1 of rank 3: over four elements */
        expect(graph_of(&n, opset, 3, d222, NULL), seq, 3, d222, want);
        n = pb_node("LogSoftmax", "s", "x", "y");
        float logs[8];
        for (int i = 0; i < 8; i++) logs[i] = logf(want[i]);
        expect(graph_of(&n, opset, 3, d222, NULL), seq, 3, d222, logs);
        n = pb_node("Softmax", "s", "x", "y"); /* the last axis: no detour */
        pb_attr_int(&n, "axis", 2);
        mc_graph *g = graph_of(&n, opset, 3, d222, NULL);
        ck_assert_int_eq(g->n_order, 1);
        mc_graph_destroy(g);
    }
    pb n = pb_node("Softmax", "s", "x", "y"); /* 13: along one axis */
    pb_attr_int(&n, "axis", 1);
    for (int i = 0; i < 8; i++) want[i] = i & 2 ? 1.0f / (1.0f + expf(-2.0f)) : 1.0f / (1.0f + expf(2.0f));
    expect(graph_of(&n, 13, 3, d222, NULL), seq, 3, d222, want);
}
END_TEST

START_TEST(axes_became_inputs)
{
    static const int64_t axes1[1] = {1}, axes02[2] = {0, 2}, d2[1] = {2}, d21[2] = {2, 1}, d123[3] = {1, 2, 3}, d1231[4] = {1, 2, 3, 1}, none[1] = {0}, axes03[2] = {0, 3};
    static const float sums[2] = {3, 12}, means[2] = {1, 4}, all[1] = {15}, maxima[2] = {2, 5};
    for (int64_t opset = 7; opset <= 17; opset++) {
        pb n = pb_node("ReduceMean", "r", "x", "y");
        pb_attr_ints(&n, "axes", 1, axes1);
        pb_attr_int(&n, "keepdims", 0);
        expect(graph_of(&n, opset, 2, d23, NULL), seq, 1, d2, means);
        n = pb_node("ReduceMax", "r", "x", "y");
        pb_attr_ints(&n, "axes", 1, axes1);
        expect(graph_of(&n, opset, 2, d23, NULL), seq, 2, d21, maxima);
        if (opset >= 13) continue;
        n = pb_node("ReduceSum", "r", "x", "y");
        pb_attr_ints(&n, "axes", 1, axes1);
        expect(graph_of(&n, opset, 2, d23, NULL), seq, 2, d21, sums);
        n = pb_node("ReduceSum", "r", "x", "y"); /* no axes: all */
        pb_attr_int(&n, "keepdims", 0);
        expect(graph_of(&n, opset, 2, d23, NULL), seq, 0, none, all);
        n = pb_node("Unsqueeze", "u", "x", "y");
        pb_attr_ints(&n, "axes", 2, axes03);
        expect(graph_of(&n, opset, 2, d23, NULL), seq, 4, d1231, seq);
        n = pb_node("Squeeze", "u", "x", "y");
        pb_attr_ints(&n, "axes", 1, axes02);
        expect(graph_of(&n, opset, 3, d123, NULL), seq, 2, d23, seq);
    }
}
END_TEST

START_TEST(slice_clip_pad_split)
{
    static const int64_t starts[2] = {0, 1}, ends[2] = {1, 100}, axes[2] = {0, 1}, d12[2] = {1, 2}, pads[4] = {0, 1, 1, 0}, d34[2] = {3, 4}, sizes[2] = {1, 2}, d21[2] = {2, 1};
    static const float sliced[2] = {1, 2}, clipped[6] = {1, 1, 2, 3, 3.5f, 3.5f}, low[6] = {2, 2, 2, 3, 4, 5};
    static const float padded[12] = {9, 0, 1, 2, 9, 3, 4, 5, 9, 9, 9, 9}, first[2] = {0, 3};
    for (int64_t opset = 7; opset <= 12; opset++) {
        pb n = pb_node("Slice", "s", "x", "y");
        pb_attr_ints(&n, "starts", 2, starts);
        pb_attr_ints(&n, "ends", 2, ends);
        pb_attr_ints(&n, "axes", 2, axes);
        if (opset < 10) expect(graph_of(&n, opset, 2, d23, NULL), seq, 2, d12, sliced);
        n = pb_node("Clip", "c", "x", "y");
        pb_attr_float(&n, "min", 1.0f);
        pb_attr_float(&n, "max", 3.5f);
        if (opset < 11) expect(graph_of(&n, opset, 2, d23, NULL), seq, 2, d23, clipped);
        n = pb_node("Clip", "c", "x", "y");
        pb_attr_float(&n, "min", 2.0f);
        if (opset < 11) expect(graph_of(&n, opset, 2, d23, NULL), seq, 2, d23, low);
        n = pb_node("Pad", "p", "x", "y");
        pb_attr_ints(&n, "pads", 4, pads);
        pb_attr_float(&n, "value", 9.0f);
        if (opset < 11) expect(graph_of(&n, opset, 2, d23, NULL), seq, 2, d34, padded);
        n = pb_node("Split", "s", "x", "y,z");
        pb_attr_ints(&n, "split", 2, sizes);
        pb_attr_int(&n, "axis", 1);
        expect(graph_of(&n, opset, 2, d23, NULL), seq, 2, d21, first);
        n = pb_node("Split", "s", "x", "y,z,w"); /* equal parts */
        pb_attr_int(&n, "axis", 1);
        mc_graph *g = graph_of(&n, opset, 2, d23, NULL);
        ck_assert_int_eq(mc_attr_i(mc_graph_find_node(g, "s"), "num_outputs", 0), 3);
        expect(g, seq, 2, d21, first);
    }
}
END_TEST

START_TEST(resize_and_upsample)
{
    static const int64_t d1156[4] = {1, 1, 4, 4};
    static const float scales[4] = {1, 1, 2, 2}, want[16] = {0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3, 2, 2, 3, 3};
    const pb c = pb_floats("c", 4, scales);
    if (!mc_op_find("", "Resize")) return;
    pb n = pb_node("Upsample", "u", "x,c", "y");
    expect(graph_of(&n, 9, 4, d1144, &c), seq, 4, d1156, want);
    n = pb_node("Resize", "u", "x,c", "y");
    expect(graph_of(&n, 10, 4, d1144, &c), seq, 4, d1156, want);
    n = pb_node("Upsample", "u", "x", "y");
    pb a = {.n = 0};
    pb_str(&a, 1, "scales");
    pb_bytes(&a, 7, scales, sizeof scales);
    pb_int(&a, 20, 6);
    pb_msg(&n, 5, &a);
    expect(graph_of(&n, 7, 4, d1144, NULL), seq, 4, d1156, want);
}
END_TEST

START_TEST(topk_dropout_batchnorm)
{
    static const int64_t d22[2] = {2, 2}, rank1[1] = {3};
    static const float top[4] = {2, 1, 5, 4};
    pb n = pb_node("TopK", "t", "x", "y,i");
    pb_attr_int(&n, "k", 2);
    expect(graph_of(&n, 9, 2, d23, NULL), seq, 2, d22, top);
    for (int64_t opset = 7; opset <= 12; opset++) {
        n = pb_node("Dropout", "d", "x", "y");
        pb_attr_float(&n, "ratio", 0.25f);
        if (opset < 12) expect(graph_of(&n, opset, 2, d23, NULL), seq, 2, d23, seq);
    }
    static const float ones[3] = {1, 1, 1};
    pb one = pb_floats("o", 3, ones);
    (void)rank1;
    n = pb_node("BatchNormalization", "b", "x,o,o,o,o", "y");
    pb_attr_float(&n, "epsilon", 0.0f);
    pb_attr_int(&n, "spatial", 1);
    expect(graph_of(&n, 7, 2, d23, &one), seq, 2, d23, seq); /* (x - 1) / 1 * 1 + 1 */
    pb graph = pb_graph();
    n = pb_node("BatchNormalization", "bn", "x,x,x,x,x", "y");
    pb_attr_int(&n, "spatial", 0);
    pb_msg(&graph, 1, &n);
    pb_refused(&graph, 7, MCOMP_UNSUPPORTED, "bn");
    ck_assert_ptr_nonnull(strstr(mc_error_peek()->message, "opset 7"));
}
END_TEST

START_TEST(group_normalization_18)
{
    static const int64_t d142[3] = {1, 4, 2};
    static const float scale[2] = {1, 10}, want[8] = {-1.3416407f, -0.4472136f, 0.4472136f, 1.3416407f, -13.416407f, -4.472136f, 4.472136f, 13.416407f};
    mc_graph *g;
    pb n = pb_node("GroupNormalization", "gn", "x,s,b", "y"), s = pb_floats("s", 2, scale), graph = {.n = 0}, x = pb_value("x", 1, 3, d142), y = {.n = 0};
    static const float zeros[2] = {0, 0};
    const pb b = pb_floats("b", 2, zeros);
    pb_attr_int(&n, "num_groups", 2);
    pb_attr_float(&n, "epsilon", 0.0f);
    pb_str(&y, 1, "y");
    pb_msg(&graph, 11, &x);
    pb_msg(&graph, 12, &y);
    pb_msg(&graph, 1, &n);
    pb_msg(&graph, 5, &s);
    pb_msg(&graph, 5, &b);
    const pb m = pb_model_of(&graph, 18, 8);
    mc_ck_ok(pb_load(&m, &g));
    mc_tensor *t = run(g, seq);
    mc_ck_close_f32(t->data, want, 8, 1e-4, 1e-4);
    mc_tensor_destroy(t);
    mc_graph_destroy(g);
}
END_TEST

START_TEST(broadcasting_of_opset_6)
{
    static const float v[2] = {10, 20}, want[8] = {10, 11, 12, 13, 24, 25, 26, 27}, along[8] = {10, 11, 22, 23, 14, 15, 26, 27};
    const pb c = pb_floats("c", 2, v);
    pb n = pb_node("Add", "a", "x,c", "y");
    pb_attr_int(&n, "broadcast", 1);
    pb_attr_int(&n, "axis", 0);
    expect(graph_of(&n, 6, 3, d222, &c), seq, 3, d222, want);
    n = pb_node("Add", "a", "x,c", "y");
    pb_attr_int(&n, "broadcast", 1);
    pb_attr_int(&n, "axis", 1);
    expect(graph_of(&n, 6, 3, d222, &c), seq, 3, d222, along);
    pb graph = pb_graph();
    n = pb_node("Dropout", "drop", "x", "y");
    pb_msg(&graph, 1, &n);
    pb_refused(&graph, 6, MCOMP_UNSUPPORTED, "drop"); /* is_test=0 */
}
END_TEST

/* An attribute and an input that say the same: which one counts? Refused. */
START_TEST(both_spellings)
{
    static const int64_t one[1] = {1};
    pb graph = pb_graph(), n = pb_node("Squeeze", "sq", "x,x", "y");
    pb_attr_ints(&n, "axes", 1, one);
    pb_msg(&graph, 1, &n);
    pb_refused(&graph, 11, MCOMP_FORMAT, "axes");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("onnx/upgrade");
    TCase *t = tcase_create("upgrade");
    tcase_add_test(t, softmax_flattens_before_13);
    tcase_add_test(t, axes_became_inputs);
    tcase_add_test(t, slice_clip_pad_split);
    tcase_add_test(t, resize_and_upsample);
    tcase_add_test(t, topk_dropout_batchnorm);
    tcase_add_test(t, group_normalization_18);
    tcase_add_test(t, broadcasting_of_opset_6);
    tcase_add_test(t, both_spellings);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
