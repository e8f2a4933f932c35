/* Building, editing, ordering, cloning and validating graphs. */
#include "support/support.h"

#include "graph/graph.h"

static mc_graph *g;
static mc_value *x;
static void setup(void)
{
    const mc_type t = {.dtype = MCOMP_F32, .rank = 1, .dim = {4}};
    mc_ck_ok(mc_graph_create(&g, "g"));
    mc_ck_ok(mc_graph_add_input(g, "x", &t, &x));
}
static void teardown(void) { mc_graph_destroy(g); }
static mc_node *unary(const char *op, const char *name, mc_value *in)
{
    mc_node *n;
    mc_ck_ok(mc_graph_add_node(g, "", op, 0, name, 1, &in, 1, NULL, &n));
    return n;
}

START_TEST(names_stay_unique)
{
    mc_node *a = unary("Relu", "n", x), *b = unary("Relu", "n", x);
    mc_value *v;
    ck_assert_str_eq(a->name, "n");
    ck_assert_str_ne(b->name, "n");
    mc_ck_ok(mc_graph_add_value(g, "x", NULL, &v));
    ck_assert_str_ne(v->name, "x");
    ck_assert_ptr_eq(mc_graph_find_value(g, "x"), x);
}
END_TEST

START_TEST(replacing_uses_keeps_output_names)
{
    mc_node *a = unary("Relu", "a", x), *b = unary("Exp", "b", a->out[0]);
    mc_ck_ok(mc_value_rename(g, b->out[0], "y"));
    mc_ck_ok(mc_graph_add_output(g, b->out[0]));
    mc_node *c = unary("Tanh", "c", a->out[0]);
    mc_ck_ok(mc_node_inherit(c, b, "test"));
    mc_ck_ok(mc_graph_replace_uses(g, b->out[0], c->out[0]));
    mc_graph_remove_node(g, b);
    mc_ck_ok(mc_graph_remove_dead(g, NULL));
    mc_ck_ok(mc_graph_validate(g));
    ck_assert_str_eq(g->outputs[0]->name, "y");
    ck_assert_ptr_eq(g->outputs[0]->producer, c);
    ck_assert_ptr_eq(mc_graph_find_node(g, "b"), c);
    ck_assert_int_eq(g->n_order, 2);
}
END_TEST

START_TEST(cycles_are_named)
{
    mc_node *a = unary("Relu", "first", x), *b = unary("Exp", "second", a->out[0]);
    mc_ck_ok(mc_graph_add_output(g, b->out[0]));
    mc_ck_ok(mc_graph_sort(g));
    mc_ck_ok(mc_node_set_input(g, a, 0, b->out[0]));
    mc_ck_fails(mc_graph_sort(g), MCOMP_FORMAT);
    ck_assert(strcmp(mc_error_peek()->where, "first") == 0 || strcmp(mc_error_peek()->where, "second") == 0);
}
END_TEST

START_TEST(unsorted_nodes_are_ordered)
{
    mc_node *late = unary("Exp", "late", x), *early = unary("Relu", "early", x);
    mc_ck_ok(mc_node_set_input(g, late, 0, early->out[0]));
    mc_ck_ok(mc_graph_add_output(g, late->out[0]));
    mc_ck_ok(mc_graph_sort(g));
    ck_assert_ptr_eq(g->order[0], early);
}
END_TEST

START_TEST(clones_share_weights_only)
{
    mc_value *w, *in[2];
    mc_node *n;
    mc_graph *c;
    mc_ck_ok(mc_graph_add_const_f32(g, "w", 2.0f, &w));
    in[0] = x;
    in[1] = w;
    mc_ck_ok(mc_graph_add_node(g, "", "Mul", 0, "m", 2, in, 1, NULL, &n));
    mc_ck_ok(mc_node_set_ints(n, "list", (const int64_t[]){1, 2}, 2));
    mc_ck_ok(mc_graph_add_output(g, n->out[0]));
    mc_ck_ok(mc_graph_sort(g));
    mc_ck_ok(mc_graph_clone(&c, g));
    mc_ck_ok(mc_graph_validate(c));
    ck_assert_ptr_eq(c->values[w->id]->init->data, w->init->data);
    mc_ck_ok(mc_node_set_i(c->nodes[n->id], "list", 5));
    int64_t count;
    ck_assert_ptr_nonnull(mc_attr_ints(n, "list", &count));
    ck_assert_int_eq(count, 2);
    const int32_t id = w->id;
    mc_graph_destroy(g);
    g = c;
    ck_assert_float_eq(*(float *)g->values[id]->init->data, 2.0f);
}
END_TEST

START_TEST(missing_producers_are_found)
{
    mc_value *orphan;
    mc_ck_ok(mc_graph_add_value(g, "orphan", NULL, &orphan));
    mc_node *n = unary("Relu", "n", orphan);
    mc_ck_ok(mc_graph_add_output(g, n->out[0]));
    mc_ck_ok(mc_graph_sort(g));
    mc_ck_fails(mc_graph_validate(g), MCOMP_FORMAT);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("graph");
    TCase *c = tcase_create("core");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, names_stay_unique);
    tcase_add_test(c, replacing_uses_keeps_output_names);
    tcase_add_test(c, cycles_are_named);
    tcase_add_test(c, unsorted_nodes_are_ordered);
    tcase_add_test(c, clones_share_weights_only);
    tcase_add_test(c, missing_producers_are_found);
    suite_add_tcase(s, c);
    return mc_test_main(s);
}
