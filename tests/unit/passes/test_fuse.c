/* The shape and fuse stages on graphs in the spellings of exporters: same results, one operator. */
#include <math.h>

#include "compare.h"

static const uint32_t fuse = MC_STAGE_LOAD | MC_STAGE_SHAPE | MC_STAGE_FUSE;

static mc_value *x_of(mc_graph *g, int32_t rank)
{
    int64_t b, s;
    mc_ck_ok(mc_graph_symbol(g, "B", &b));
    mc_ck_ok(mc_graph_symbol(g, "S", &s));
    return rank == 3 ? mc_test_input(g, "x", MCOMP_F32, 3, (int64_t[]){b, s, 16}) : mc_test_input(g, "x", MCOMP_F32, 2, (int64_t[]){b, 16});
}

static mc_value *mul(mc_graph *g, mc_value *a, mc_value *b) { return mc_test_op(g, "Mul", 2, a, b); }
static mc_value *add(mc_graph *g, mc_value *a, mc_value *b) { return mc_test_op(g, "Add", 2, a, b); }
static mc_value *c_of(mc_graph *g, double v) { return mc_test_scalar(g, (float)v); }

static void expect(mc_graph *g, mc_value *y, const char *op, int64_t nodes, double tol)
{
    mc_test_output(g, y, "y");
    mc_graph *r = mc_test_passes(g, fuse, tol, tol);
    ck_assert_msg(mc_test_count(r, "", op) == 1, "no %s (%d nodes)", op, (int)r->n_order);
    ck_assert_int_le(r->n_order, nodes);
    mc_graph_destroy(r);
    mc_graph_destroy(g);
}

START_TEST(gelu_orders)
{
    for (int form = 0; form < 5; form++) {
        mc_graph *g = mc_test_graph();
        mc_value *x = mul(g, x_of(g, 3), c_of(g, 1.5)); /* x is a product itself */
        mc_value *e = mc_test_op(g, "Erf", 1, form % 2 ? mul(g, x, c_of(g, sqrt(0.5))) : mc_test_op(g, "Div", 2, x, c_of(g, sqrt(2.0))));
        mc_value *a = form == 1 ? add(g, c_of(g, 1.0), e) : add(g, e, c_of(g, 1.0)), *y;
        if (form == 0) y = mul(g, mul(g, x, a), c_of(g, 0.5));
        else if (form == 1) y = mul(g, mul(g, x, c_of(g, 0.5)), a);
        else if (form == 2) y = mul(g, x, mul(g, a, c_of(g, 0.5)));
        else if (form == 3) y = mc_test_op(g, "Div", 2, mul(g, a, x), c_of(g, 2.0));
        else y = mul(g, mul(g, c_of(g, 0.5), a), x);
        expect(g, y, "Gelu", 2, 1e-5);
    }
}
END_TEST

START_TEST(gelu_tanh_forms)
{
    for (int form = 0; form < 3; form++) {
        mc_graph *g = mc_test_graph();
        mc_value *x = x_of(g, 3), *t;
        mc_value *cube = form == 1 ? mc_test_op(g, "Pow", 2, x, c_of(g, 3.0)) : mul(g, x, mul(g, x, x));
        if (form == 2) t = mul(g, mul(g, x, c_of(g, 0.7978845608)), add(g, c_of(g, 1.0), mul(g, mul(g, x, x), c_of(g, 0.044715))));
        else t = mul(g, c_of(g, 0.7978845608), add(g, x, mul(g, cube, c_of(g, 0.044715))));
        expect(g, mul(g, mul(g, x, c_of(g, 0.5)), add(g, mc_test_op(g, "Tanh", 1, t), c_of(g, 1.0))), "Gelu", 1, 1e-4);
    }
}
END_TEST

START_TEST(other_activations)
{
    mc_graph *g = mc_test_graph();
    mc_value *x = x_of(g, 3);
    expect(g, mul(g, x, mc_test_op(g, "Sigmoid", 1, x)), "Swish", 1, 1e-5);
    for (int form = 0; form < 2; form++) {
        g = mc_test_graph();
        x = mul(g, x_of(g, 2), c_of(g, 5.0));
        mc_value *h = form ? mc_test_op(g, "HardSigmoid", 1, x) : mc_test_op(g, "Clip", 3, add(g, x, c_of(g, 3.0)), c_of(g, 0.0), c_of(g, 6.0));
        if (form) {
            mc_ck_ok(mc_node_set_f(h->producer, "alpha", 1.0f / 6.0f));
            mc_ck_ok(mc_node_set_f(h->producer, "beta", 0.5f));
        }
        expect(g, form ? mul(g, x, h) : mc_test_op(g, "Div", 2, mul(g, x, h), c_of(g, 6.0)), "HardSwish", 2, 1e-5);
    }
}
END_TEST

static mc_value *mean(mc_graph *g, mc_value *x, int64_t axis, int sum, int keep)
{
    mc_value *m = mc_test_op(g, sum ? "ReduceSum" : "ReduceMean", 2, x, mc_test_i64s(g, 1, axis));
    mc_ck_ok(mc_node_set_i(m->producer, "keepdims", keep));
    return sum ? mul(g, m, c_of(g, 1.0 / 16.0)) : m;
}

START_TEST(layernorm_forms)
{
    for (int form = 0; form < 6; form++) {
        mc_graph *g = mc_test_graph();
        mc_value *x = x_of(g, 3), *m = mean(g, x, -1, form & 1, 1), *d = mc_test_op(g, "Sub", 2, x, m), *v, *s, *y;
        mc_value *gamma = mc_test_random_const(g, 1, 1.0f, 1, (int64_t[]){16}), *beta = mc_test_random_const(g, 2, 1.0f, 1, (int64_t[]){16});
        if (form == 3) v = mc_test_op(g, "Max", 2, c_of(g, 0.0), mc_test_op(g, "Sub", 2, mean(g, mul(g, x, x), -1, 1, 1), mul(g, m, m)));
        else if (form == 2) v = mean(g, mul(g, d, d), -1, 0, 1);
        else v = mean(g, mc_test_op(g, "Pow", 2, mc_test_op(g, "Sub", 2, x, m), c_of(g, 2.0)), -1, form & 1, 1); /* Sub twice */
        s = add(g, v, c_of(g, 1e-5));
        if (form == 4) y = mul(g, d, mc_test_op(g, "Pow", 2, s, c_of(g, -0.5)));
        else if (form == 3) y = mul(g, d, mul(g, mc_test_op(g, "Reciprocal", 1, mc_test_op(g, "Sqrt", 1, s)), gamma));
        else y = mc_test_op(g, "Div", 2, d, mc_test_op(g, "Sqrt", 1, s));
        if (form != 3 && form != 5) y = mul(g, gamma, y);
        if (form != 5) y = add(g, y, beta);
        expect(g, y, "LayerNormalization", 1, 1e-4);
    }
}
END_TEST

/* Statistics without the reduced axis, brought back by Reshape; an axis that is not the last. */
START_TEST(layernorm_in_the_middle)
{
    mc_graph *g = mc_test_graph();
    int64_t b;
    mc_ck_ok(mc_graph_symbol(g, "B", &b));
    mc_value *x = mc_test_input(g, "x", MCOMP_F32, 3, (int64_t[]){b, 16, 6});
    mc_value *shape = mc_test_op(g, "Concat", 2, mc_test_op(g, "Slice", 3, mc_test_op(g, "Shape", 1, x), mc_test_i64s(g, 1, (int64_t)0), mc_test_i64s(g, 1, (int64_t)1)),
                                 mc_test_i64s(g, 2, (int64_t)1, (int64_t)6));
    mc_ck_ok(mc_node_set_i(shape->producer, "axis", 0));
    mc_value *m = mean(g, x, 1, 1, 0), *sq = mean(g, mul(g, x, x), 1, 1, 0);
    mc_value *v = mc_test_op(g, "Max", 2, mc_test_op(g, "Sub", 2, sq, mul(g, m, m)), c_of(g, 0.0));
    mc_value *r = mc_test_op(g, "Reciprocal", 1, mc_test_op(g, "Sqrt", 1, add(g, mc_test_op(g, "Expand", 2, mc_test_op(g, "Reshape", 2, v, shape), shape), c_of(g, 1e-5))));
    mc_value *d = mc_test_op(g, "Sub", 2, x, mc_test_op(g, "Expand", 2, mc_test_op(g, "Reshape", 2, m, shape), shape));
    mc_value *y = add(g, mul(g, d, mul(g, r, mc_test_random_const(g, 1, 1.0f, 3, (int64_t[]){1, 16, 1}))), mc_test_random_const(g, 2, 1.0f, 3, (int64_t[]){1, 16, 1}));
    expect(g, y, "LayerNormalization", 3, 1e-4);
}
END_TEST

START_TEST(layernorm_is_not_seen_where_it_is_not)
{
    mc_graph *g = mc_test_graph();
    mc_value *x = x_of(g, 3), *m = mean(g, x, -1, 0, 1), *d = mc_test_op(g, "Sub", 2, x, m);
    mc_value *v = mean(g, mul(g, d, d), 1, 0, 1); /* variance over another axis */
    mc_test_output(g, mc_test_op(g, "Div", 2, d, mc_test_op(g, "Sqrt", 1, add(g, v, c_of(g, 1e-5)))), "y");
    mc_graph *r = mc_test_passes(g, fuse, 1e-6, 1e-6);
    ck_assert_int_eq(mc_test_count(r, "", "LayerNormalization"), 0);
    mc_graph_destroy(r);
    mc_graph_destroy(g);
    g = mc_test_graph();
    x = x_of(g, 3);
    d = mc_test_op(g, "Sub", 2, x, mean(g, x, -1, 0, 1));
    mc_test_output(g, mc_test_op(g, "Div", 2, d, mc_test_op(g, "Sqrt", 1, add(g, mean(g, mul(g, d, d), -1, 0, 1), c_of(g, 1e-5)))), "y");
    mc_ck_ok(mc_graph_add_node(g, "mcomp", "Observe", 0, "tap", 1, &d, 0, NULL, NULL)); /* somebody watches the inside */
    r = mc_test_passes(g, fuse, 1e-6, 1e-6);
    ck_assert_int_eq(mc_test_count(r, "", "LayerNormalization"), 0);
    ck_assert_int_eq(mc_test_count(r, "mcomp", "Observe"), 1);
    mc_graph_destroy(r);
    mc_graph_destroy(g);
}
END_TEST

START_TEST(softmax_forms)
{
    for (int64_t keep = 0; keep < 2; keep++) {
        mc_graph *g = mc_test_graph();
        mc_value *x = x_of(g, 2), *m = mc_test_op(g, "ReduceMax", 2, x, mc_test_i64s(g, 1, (int64_t)1)), *e, *s;
        mc_ck_ok(mc_node_set_i(m->producer, "keepdims", keep));
        if (!keep) m = mc_test_op(g, "Unsqueeze", 2, mc_test_op(g, "Max", 2, c_of(g, -INFINITY), m), mc_test_i64s(g, 1, (int64_t)1));
        e = mc_test_op(g, "Exp", 1, mc_test_op(g, "Sub", 2, x, m));
        s = mc_test_op(g, "ReduceSum", 2, e, mc_test_i64s(g, 1, (int64_t)-1));
        mc_ck_ok(mc_node_set_i(s->producer, "keepdims", keep));
        if (!keep) s = mc_test_op(g, "Unsqueeze", 2, s, mc_test_i64s(g, 1, (int64_t)1));
        expect(g, mc_test_op(g, "Div", 2, e, s), "Softmax", 1, 1e-5);
    }
}
END_TEST

/* Ids 0..9 against 7 classes: those out of range give rows of zeros, before and after. The activation moves into the table. */
START_TEST(onehot_is_a_table)
{
    mc_graph *g = mc_test_graph();
    int64_t b;
    double count[7];
    mc_ck_ok(mc_graph_symbol(g, "B", &b));
    for (int i = 0; i < 7; i++) count[i] = i;
    mc_value *ids = mc_test_input(g, "ids", MCOMP_I32, 2, (int64_t[]){b, 5});
    mc_value *low = mc_test_op(g, "Sub", 2, ids, mc_test_const(g, MCOMP_I32, 0, (double[]){1.0})); /* -1 too */
    mc_value *eq = mc_test_op(g, "Equal", 2, mc_test_op(g, "Unsqueeze", 2, low, mc_test_i64s(g, 1, (int64_t)-1)), mc_test_const(g, MCOMP_I32, 7, count));
    mc_value *hot = mc_test_op(g, "Cast", 1, eq);
    mc_ck_ok(mc_node_set_i(hot->producer, "to", MCOMP_F32));
    mc_value *y = mc_test_op(g, "MatMul", 2, hot, mc_test_random_const(g, 1, 1.0f, 2, (int64_t[]){7, 4}));
    y = mc_test_op(g, "Relu", 1, add(g, y, mc_test_random_const(g, 2, 1.0f, 3, (int64_t[]){1, 1, 4})));
    expect(g, y, "Gather", 3, 1e-6);
}
END_TEST

START_TEST(conv_over_one_axis)
{
    for (int side = 0; side < 2; side++) {
        mc_graph *g = mc_test_graph();
        int64_t b;
        mc_ck_ok(mc_graph_symbol(g, "B", &b));
        mc_value *x = mc_test_input(g, "x", MCOMP_F32, 3, (int64_t[]){b, 4, 10}), *axis = mc_test_i64s(g, 1, (int64_t)(side ? 2 : 3));
        mc_value *c = mc_test_op(g, "Conv", 2, mc_test_op(g, "Unsqueeze", 2, x, axis),
                                 mc_test_random_const(g, 1, 1.0f, 4, side ? (int64_t[]){6, 2, 1, 3} : (int64_t[]){6, 2, 3, 1}));
        mc_ck_ok(mc_node_set_i(c->producer, "group", 2));
        mc_ck_ok(mc_node_set_ints(c->producer, "pads", side ? (int64_t[]){0, 1, 0, 2} : (int64_t[]){1, 0, 2, 0}, 4));
        mc_ck_ok(mc_node_set_ints(c->producer, "strides", side ? (int64_t[]){1, 2} : (int64_t[]){2, 1}, 2));
        mc_value *y = mc_test_op(g, "Relu", 1, mc_test_op(g, "Squeeze", 2, c, axis));
        expect(g, y, "Conv", 2, 1e-6);
    }
}
END_TEST

START_TEST(shapes_keep_symbols)
{
    mc_graph *g = mc_test_graph();
    mc_value *x = x_of(g, 3), *s = mc_test_op(g, "Shape", 1, x), *b, *l, *y;
    b = mc_test_op(g, "Unsqueeze", 2, mc_test_op(g, "Gather", 2, s, mc_test_const(g, MCOMP_I64, 0, (double[]){0.0})), mc_test_i64s(g, 1, (int64_t)0));
    l = mc_test_op(g, "Unsqueeze", 2, mc_test_op(g, "Gather", 2, s, mc_test_const(g, MCOMP_I64, 0, (double[]){1.0})), mc_test_i64s(g, 1, (int64_t)0));
    mc_value *to = mc_test_op(g, "Concat", 4, b, l, mc_test_i64s(g, 1, (int64_t)4), mc_test_i64s(g, 1, (int64_t)-1));
    mc_ck_ok(mc_node_set_i(to->producer, "axis", 0));
    y = mc_test_op(g, "Transpose", 1, mc_test_op(g, "Reshape", 2, x, to));
    mc_ck_ok(mc_node_set_ints(y->producer, "perm", (int64_t[]){0, 2, 1, 3}, 4));
    y = mc_test_op(g, "Transpose", 1, y);
    mc_ck_ok(mc_node_set_ints(y->producer, "perm", (int64_t[]){0, 2, 1, 3}, 4));
    mc_value *back = mc_test_op(g, "Concat", 2, b, mc_test_i64s(g, 2, (int64_t)-1, (int64_t)16));
    mc_ck_ok(mc_node_set_i(back->producer, "axis", 0));
    mc_test_output(g, mc_test_op(g, "Relu", 1, mc_test_op(g, "Reshape", 2, y, back)), "y");
    mc_graph *r = mc_test_passes(g, MC_STAGE_LOAD | MC_STAGE_SHAPE, 0, 0);
    ck_assert_int_eq(r->n_order, 1); /* all of it is the identity */
    mc_graph_destroy(r);
    mc_graph_destroy(g);
}
END_TEST

START_TEST(equal_nodes_become_one)
{
    mc_graph *g = mc_test_graph();
    mc_value *x = x_of(g, 3);
    mc_value *a = mc_test_op(g, "Relu", 1, add(g, x, c_of(g, 0.5))), *b = mc_test_op(g, "Relu", 1, add(g, x, c_of(g, 0.5)));
    mc_value *c = mc_test_op(g, "Relu", 1, add(g, x, c_of(g, 0.25)));
    mc_test_output(g, add(g, add(g, a, b), c), "y");
    mc_graph *r = mc_test_passes(g, MC_STAGE_SHAPE, 0, 0);
    ck_assert_int_eq(mc_test_count(r, "", "Relu"), 2);
    mc_graph_destroy(r);
    mc_graph_destroy(g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("passes/fuse");
    TCase *t = tcase_create("fuse");
    tcase_add_test(t, gelu_orders);
    tcase_add_test(t, gelu_tanh_forms);
    tcase_add_test(t, other_activations);
    tcase_add_test(t, layernorm_forms);
    tcase_add_test(t, layernorm_in_the_middle);
    tcase_add_test(t, layernorm_is_not_seen_where_it_is_not);
    tcase_add_test(t, softmax_forms);
    tcase_add_test(t, onehot_is_a_table);
    tcase_add_test(t, conv_over_one_axis);
    tcase_add_test(t, shapes_keep_symbols);
    tcase_add_test(t, equal_nodes_become_one);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
