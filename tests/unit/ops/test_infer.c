/* Type inference: symbols through shape arithmetic, merging with declared types, subgraphs. */
#include "ops/ops.h"
#include "support/support.h"

static mc_graph *g;

static void setup(void)
{
    mc_ops_register();
    mc_ck_ok(mc_graph_create(&g, "test"));
}

static void teardown(void)
{
    mc_graph_destroy(g);
    g = NULL;
}

static mc_value *input(const char *name, int32_t dtype, int32_t rank, const char *const *symbols, const int64_t *dims)
{
    mc_type t = {.dtype = dtype, .rank = rank};
    mc_value *v;
    for (int32_t i = 0; i < rank; i++) {
        t.dim[i] = dims[i];
        if (symbols && symbols[i]) mc_ck_ok(mc_graph_symbol(g, symbols[i], &t.dim[i]));
    }
    mc_ck_ok(mc_graph_add_input(g, name, &t, &v));
    return v;
}

static mc_value *ints(const int64_t *v, int64_t n)
{
    mc_value *out;
    mc_ck_ok(mc_graph_add_const_i64s(g, NULL, v, n, &out));
    return out;
}

static mc_node *node(const char *op, int32_t n_in, mc_value *const *in, int32_t n_out)
{
    mc_node *n;
    mc_ck_ok(mc_graph_add_node(g, "", op, 0, NULL, n_in, in, n_out, NULL, &n));
    return n;
}

START_TEST(reshape_cancels_symbols)
{
    mc_value *x = input("x", MCOMP_F32, 3, (const char *[]){"B", "S", NULL}, (int64_t[]){0, 0, 768});
    mc_node *n = node("Reshape", 2, (mc_value *[]){x, ints((int64_t[]){0, 0, 12, -1}, 4)}, 1);
    mc_ck_ok(mc_infer_node(g, n));
    const mc_type *t = &n->out[0]->type;
    ck_assert_int_eq(t->rank, 4);
    ck_assert_int_eq(t->dim[0], x->type.dim[0]);
    ck_assert_int_eq(t->dim[1], x->type.dim[1]);
    ck_assert_int_eq(t->dim[3], 64);
    mc_node *bad = node("Reshape", 2, (mc_value *[]){x, ints((int64_t[]){0, 0, 11, -1}, 4)}, 1);
    (void)bad;
    mc_node *flat = node("Reshape", 2, (mc_value *[]){n->out[0], ints((int64_t[]){0, 0, 768}, 3)}, 1);
    mc_ck_ok(mc_infer_node(g, flat));
    ck_assert_int_eq(flat->out[0]->type.dim[2], 768);
    mc_node *wrong = node("Reshape", 2, (mc_value *[]){n->out[0], ints((int64_t[]){0, 0, 767}, 3)}, 1);
    mc_ck_fails(mc_infer_node(g, wrong), MCOMP_SHAPE);
}
END_TEST

START_TEST(known_numbers_win)
{
    mc_value *a = input("a", MCOMP_F32, 2, (const char *[]){"B", NULL}, (int64_t[]){0, 4});
    mc_value *b = input("b", MCOMP_F32, 1, NULL, (int64_t[]){4});
    mc_node *n = node("Add", 2, (mc_value *[]){a, b}, 1);
    n->out[0]->type = (mc_type){.dtype = MCOMP_F32, .rank = 2, .dim = {3, 4}};
    mc_ck_ok(mc_infer_graph(g));
    ck_assert_int_eq(n->out[0]->type.dim[0], 3);
    n->out[0]->type.dim[1] = 5;
    mc_ck_fails(mc_infer_graph(g), MCOMP_SHAPE);
    n->out[0]->type = (mc_type){.dtype = MCOMP_I64, .rank = -1};
    mc_ck_fails(mc_infer_graph(g), MCOMP_DTYPE);
}
END_TEST

START_TEST(inferring_again_makes_no_symbols)
{
    mc_value *a = input("a", MCOMP_F32, 1, (const char *[]){"B"}, (int64_t[]){0});
    mc_value *b = input("b", MCOMP_F32, 1, (const char *[]){"C"}, (int64_t[]){0});
    mc_node *n = node("Add", 2, (mc_value *[]){a, b}, 1);
    mc_ck_ok(mc_infer_graph(g));
    const int64_t symbols = g->n_symbols, dim = n->out[0]->type.dim[0];
    ck_assert_int_eq(symbols, 3);
    mc_ck_ok(mc_infer_graph(g));
    ck_assert_int_eq(g->n_symbols, symbols);
    ck_assert_int_eq(n->out[0]->type.dim[0], dim);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ops/infer");
    TCase *t = tcase_create("infer");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, reshape_cancels_symbols);
    tcase_add_test(t, known_numbers_win);
    tcase_add_test(t, inferring_again_makes_no_symbols);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
