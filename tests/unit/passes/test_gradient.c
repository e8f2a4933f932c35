/* mc_gradient on graphs: which nodes need a gradient; and ONNX's Gradient operator, which it expands. */
#include <stdio.h>

#include "passes/passes.h"
#include "support/interp.h"
#include "support/support.h"

#define TRAINING "ai.onnx.preview.training"

static mc_value *scalar_loss(mc_graph *g, mc_value *v)
{
    mc_value *loss = mc_test_op(g, "ReduceSum", 1, v);
    mc_ck_ok(mc_node_set_i(loss->producer, "keepdims", 0));
    return loss;
}

static mc_value *strange(mc_graph *g, const char *name, mc_value *x)
{
    mc_node *n;
    mc_ck_ok(mc_graph_add_node(g, "other.domain", "Strange", 1, name, 1, &x, 1, NULL, &n));
    return n->out[0];
}

/* x -> Strange -> Mul w -> loss: by w alone it is no obstacle, by x it is named, whether its type is known or not. */
START_TEST(only_nodes_on_the_way)
{
    const int64_t dims[] = {2, 3};
    for (int typed = 0; typed < 2; typed++) {
        mc_graph *g;
        mc_value *grads[2];
        mc_ck_ok(mc_graph_create(&g, "g"));
        mc_value *x = mc_test_input(g, "x", MCOMP_F32, 2, dims), *w = mc_test_input(g, "w", MCOMP_F32, 2, dims);
        mc_value *odd = strange(g, "odd", x);
        if (typed) odd->type = x->type;
        mc_value *known = mc_test_op(g, "CastLike", 2, odd, w);
        known->type = x->type;
        mc_value *loss = scalar_loss(g, mc_test_op(g, "Mul", 2, known, w));
        mc_ck_ok(mc_gradient(g, loss, 1, &w, grads));
        ck_assert_ptr_nonnull(grads[0]);
        mc_ck_fails(mc_gradient(g, loss, 2, (mc_value *[]){w, x}, grads), MCOMP_NO_GRADIENT);
        ck_assert_msg(strstr(mc_error_peek()->message, "Strange") && strcmp(mc_error_peek()->where, "odd") == 0, "%s: %s",
                      mc_error_peek()->where, mc_error_peek()->message);
        mc_graph_destroy(g);
    }
}
END_TEST

typedef struct call {
    const char *names[4]; /* xs, then zs */
    int32_t n_xs, n_zs;
    const char *y;
    const char *inputs[4];
    int32_t n_out, status;
    const char *says; /* of an error */
    double want[2][3]; /* outputs as k + ka a + kb b */
} call;

static const call calls[] = {
    {{"a", "b"}, 2, 0, "d", {"a", "b"}, 2, MCOMP_OK, NULL, {{0, 2, 1}, {0, 1, 0}}},
    {{"a", "b"}, 1, 1, "d", {"a", "b"}, 1, MCOMP_OK, NULL, {{0, 2, 1}}},
    {{"a", "e"}, 2, 0, "d", {"a", "e"}, 2, MCOMP_OK, NULL, {{0, 2, 1}}},            /* d does not depend on e */
    {{"a", "c"}, 2, 0, "d", {"a", "c"}, 2, MCOMP_OK, NULL, {{0, 1, 1}, {0, 1, 0}}}, /* by a and by c = a + b, each alone */
    {{"a", "c"}, 1, 1, "d", {"a", "c"}, 1, MCOMP_OK, NULL, {{0, 1, 1}}},            /* c held constant */
    {{"a"}, 1, 0, "d", {"b"}, 1, MCOMP_OK, NULL, {{0, 0, 3}}},                      /* at a = b: 2 b + b, and not by that other b */
    {{"a", "b"}, 2, 0, "d", {"b", "a"}, 2, MCOMP_OK, NULL, {{0, 1, 2}, {0, 0, 1}}},
    {{"c"}, 1, 0, "d", {"b"}, 1, MCOMP_OK, NULL, {{0, 1, 0}}},
    {{"a"}, 1, 0, "nothing", {"a"}, 1, MCOMP_FORMAT, "\"nothing\"", {{0}}},
    {{"q"}, 1, 0, "d", {"a"}, 1, MCOMP_FORMAT, "\"q\"", {{0}}},
    {{"a", "b"}, 2, 0, "d", {"a"}, 2, MCOMP_FORMAT, "inputs", {{0}}},
    {{"a"}, 1, 0, "d", {"a"}, 2, MCOMP_FORMAT, "outputs", {{0}}},
    {{"a"}, 1, 0, "wide", {"a"}, 1, MCOMP_SHAPE, "one element", {{0}}},
};

static void set_names(mc_node *n, const char *attr, const char *const *names, int32_t count)
{
    char text[4][16], *list[4];
    for (int32_t i = 0; i < count; i++) {
        snprintf(text[i], sizeof text[i], "%s", names[i]);
        list[i] = text[i];
    }
    mc_ck_ok(mc_node_set_strings(n, attr, list, count));
}

/* c = a + b, d = c a; wide = three times a; e is not used. */
static mc_graph *make(const call *k, mc_node **out)
{
    const int64_t three[] = {3};
    mc_graph *g;
    mc_value *in[4] = {NULL};
    int32_t n = 0;
    mc_ck_ok(mc_graph_create(&g, "g"));
    mc_value *a = mc_test_input(g, "a", MCOMP_F32, 0, NULL), *b = mc_test_input(g, "b", MCOMP_F32, 0, NULL);
    (void)mc_test_input(g, "e", MCOMP_F32, 1, three);
    mc_value *c = mc_test_op(g, "Add", 2, a, b), *d = mc_test_op(g, "Mul", 2, c, a), *wide = mc_test_op(g, "Expand", 2, a, mc_test_i64s(g, 1, (int64_t)3));
    mc_ck_ok(mc_value_rename(g, c, "c"));
    mc_ck_ok(mc_value_rename(g, d, "d"));
    mc_ck_ok(mc_value_rename(g, wide, "wide"));
    for (; n < 4 && k->inputs[n]; n++) in[n] = mc_graph_find_value(g, k->inputs[n]);
    mc_ck_ok(mc_graph_add_node(g, TRAINING, "Gradient", 1, "gradient", n, in, k->n_out, NULL, out));
    set_names(*out, "xs", k->names, k->n_xs);
    if (k->n_zs) set_names(*out, "zs", k->names + k->n_xs, k->n_zs);
    mc_ck_ok(mc_node_set_s(*out, "y", k->y));
    for (int32_t i = 0; i < k->n_out; i++) mc_ck_ok(mc_graph_add_output(g, (*out)->out[i]));
    mc_ck_ok(mc_graph_sort(g));
    return g;
}

START_TEST(gradient_operator)
{
    const call *k = &calls[_i];
    mc_node *n;
    mc_graph *g = make(k, &n);
    if (k->status != MCOMP_OK) {
        mc_ck_fails(mc_expand_gradients(g), k->status);
        ck_assert_msg(strstr(mc_error_peek()->message, k->says) != NULL, "%s", mc_error_peek()->message);
    } else {
        const char *name = g->outputs[0]->name;
        mc_ck_ok(mc_expand_gradients(g));
        ck_assert_int_eq(mc_test_count(g, TRAINING, "Gradient"), 0);
        ck_assert_str_eq(g->outputs[0]->name, name);
        mc_test_set in = mc_test_inputs(g, 3, 1, NULL, 0), out = mc_test_interp(g, &in);
        const double a = mc_tensor_get_f64(in.t[0], 0), b = mc_tensor_get_f64(in.t[1], 0);
        for (int32_t i = 0; i < k->n_out; i++)
            for (int64_t e = 0; e < mc_tensor_elements(out.t[i]); e++)
                ck_assert_double_eq_tol(mc_tensor_get_f64(out.t[i], e), k->want[i][0] + k->want[i][1] * a + k->want[i][2] * b, 1e-6);
        mc_test_set_free(&in);
        mc_test_set_free(&out);
    }
    mc_graph_destroy(g);
}
END_TEST

/* The gradient of a gradient: y of the second is an output of the first. d/da of (2a + b) is 2. */
START_TEST(second_order)
{
    const call first = {{"a"}, 1, 0, "d", {"a"}, 1, MCOMP_OK, NULL, {{0}}};
    static const char *const xs[] = {"a"};
    mc_node *n, *again;
    mc_graph *g = make(&first, &n);
    mc_ck_ok(mc_graph_add_node(g, TRAINING, "Gradient", 1, "again", 1, n->in, 1, NULL, &again));
    set_names(again, "xs", xs, 1);
    mc_ck_ok(mc_node_set_s(again, "y", n->out[0]->name));
    mc_ck_ok(mc_graph_add_output(g, again->out[0]));
    mc_ck_ok(mc_graph_sort(g));
    mc_ck_ok(mc_expand_gradients(g));
    mc_test_set in = mc_test_inputs(g, 3, 1, NULL, 0), out = mc_test_interp(g, &in);
    ck_assert_double_eq(mc_tensor_get_f64(out.t[1], 0), 2.0);
    mc_test_set_free(&in);
    mc_test_set_free(&out);
    mc_graph_destroy(g);
}
END_TEST

/* What y is made of lives on though only an attribute names it, and nothing is left of the operator. */
START_TEST(before_dead_code)
{
    mc_node *n;
    mc_graph *g = make(&calls[0], &n);
    const mc_pass_options o = {.isa = 0};
    mc_ck_ok(mc_passes_run(g, MC_STAGE_LOAD, &o));
    mc_test_set in = mc_test_inputs(g, 3, 1, NULL, 0), out = mc_test_interp(g, &in);
    ck_assert_double_eq_tol(mc_tensor_get_f64(out.t[1], 0), mc_tensor_get_f64(in.t[0], 0), 1e-6);
    mc_test_set_free(&in);
    mc_test_set_free(&out);
    mc_graph_destroy(g);
}
END_TEST

int main(void)
{
    mc_ops_register();
    Suite *s = suite_create("passes/gradient");
    TCase *tc = tcase_create("gradient");
    tcase_add_test(tc, only_nodes_on_the_way);
    tcase_add_loop_test(tc, gradient_operator, 0, (int)(sizeof calls / sizeof *calls));
    tcase_add_test(tc, second_order);
    tcase_add_test(tc, before_dead_code);
    suite_add_tcase(s, tc);
    return mc_test_main(s);
}
