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

static mc_value *scalar(int64_t v)
{
    mc_tensor *t;
    mc_value *out;
    mc_ck_ok(mc_tensor_create(&t, MCOMP_I64, &(mc_shape){.rank = 0}));
    mc_tensor_set_i64(t, 0, v);
    mc_ck_ok(mc_graph_add_const(g, NULL, t, &out));
    return out;
}

static mc_value *op1(const char *op, mc_value *a) { return node(op, 1, &a, 1)->out[0]; }
static mc_value *op2(const char *op, mc_value *a, mc_value *b) { return node(op, 2, (mc_value *[]){a, b}, 1)->out[0]; }
static mc_value *concat(int32_t n, mc_value *const *v)
{
    mc_node *c = node("Concat", n, v, 1);
    mc_ck_ok(mc_node_set_i(c, "axis", 0));
    return c->out[0];
}
/* Dim i of x as an exporter writes it: Unsqueeze(Gather(Shape(x), i)). */
static mc_value *dim_of(mc_value *x, int64_t i) { return op2("Unsqueeze", op2("Gather", op1("Shape", x), scalar(i)), ints((int64_t[]){0}, 1)); }
static mc_value *batch_of_tokens(void) { return input("x", MCOMP_F32, 3, (const char *[]){"B", "S", NULL}, (int64_t[]){0, 0, 768}); }

/* What an exported attention does with its shapes: (B, S, 768) -> (B, S, 12, 64) -> (B, 12, S, 64) -> (B, S, 768). */
START_TEST(attention_keeps_symbols)
{
    mc_value *x = batch_of_tokens(), *b = dim_of(x, 0), *s = dim_of(x, 1);
    mc_value *heads = op2("Reshape", x, concat(4, (mc_value *[]){b, s, ints((int64_t[]){12}, 1), ints((int64_t[]){64}, 1)}));
    mc_node *t = node("Transpose", 1, &heads, 1);
    mc_ck_ok(mc_node_set_ints(t, "perm", (int64_t[]){0, 2, 1, 3}, 4));
    mc_node *back = node("Transpose", 1, t->out, 1);
    mc_ck_ok(mc_node_set_ints(back, "perm", (int64_t[]){0, 2, 1, 3}, 4));
    mc_value *all = op2("Mul", ints((int64_t[]){12}, 1), ints((int64_t[]){64}, 1));
    mc_node *y = node("Reshape", 2, (mc_value *[]){back->out[0], concat(3, (mc_value *[]){b, s, all})}, 1);
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 0) mc_ck_ok(mc_infer_graph(g));
        else { /* a single node finds the shape through its producers */
            y->out[0]->type = (mc_type){.rank = -1};
            mc_ck_ok(mc_infer_node(g, y));
        }
        ck_assert_int_eq(t->out[0]->type.dim[1], 12);
        ck_assert_int_eq(t->out[0]->type.dim[2], x->type.dim[1]);
        ck_assert_int_eq(y->out[0]->type.rank, 3);
        ck_assert_int_eq(y->out[0]->type.dim[0], x->type.dim[0]);
        ck_assert_int_eq(y->out[0]->type.dim[1], x->type.dim[1]);
        ck_assert_int_eq(y->out[0]->type.dim[2], 768);
    }
    ck_assert_int_eq(g->n_symbols, 2);
}
END_TEST

/* torch's expand: Where(shape == -1, 1, shape) with ConstantOfShape(...) * -1 compared. */
START_TEST(expand_keeps_symbols)
{
    mc_value *x = batch_of_tokens(), *mask = input("mask", MCOMP_F32, 4, (const char *[]){"B", NULL, NULL, "S"}, (int64_t[]){0, 1, 1, 0});
    mc_value *shape = concat(4, (mc_value *[]){dim_of(x, 0), ints((int64_t[]){-1}, 1), dim_of(x, 1), dim_of(x, 1)});
    mc_node *ones = node("ConstantOfShape", 1, (mc_value *[]){op1("Shape", shape)}, 1);
    mc_tensor *one;
    mc_ck_ok(mc_tensor_create(&one, MCOMP_I64, &(mc_shape){1, {1}}));
    mc_tensor_set_i64(one, 0, 1);
    mc_ck_ok(mc_node_set_tensor(ones, "value", one));
    mc_value *minus = op2("Mul", ones->out[0], scalar(-1));
    mc_value *full = node("Where", 3, (mc_value *[]){op2("Equal", shape, minus), ones->out[0], shape}, 1)->out[0];
    mc_node *y = node("Expand", 2, (mc_value *[]){mask, full}, 1);
    mc_ck_ok(mc_infer_graph(g));
    const int64_t *d = y->out[0]->type.dim;
    ck_assert_int_eq(y->out[0]->type.rank, 4);
    ck_assert_int_eq(d[0], x->type.dim[0]);
    ck_assert_int_eq(d[1], 1);
    ck_assert_int_eq(d[2], x->type.dim[1]);
    ck_assert_int_eq(d[3], x->type.dim[1]);
}
END_TEST

START_TEST(slices_and_ranges_keep_symbols)
{
    mc_value *x = batch_of_tokens();
    mc_value *ids = ints((int64_t[]){0, 1, 2, 3, 4, 5, 6, 7}, 8);
    mc_value *s = op2("Gather", op1("Shape", x), scalar(1));
    mc_node *cut = node("Slice", 3, (mc_value *[]){op2("Unsqueeze", ids, ints((int64_t[]){0}, 1)), ints((int64_t[]){0}, 1),
                                                   op2("Unsqueeze", s, ints((int64_t[]){0}, 1))}, 1);
    mc_value *axes[] = {op2("Unsqueeze", ids, ints((int64_t[]){0}, 1)), ints((int64_t[]){0}, 1), op2("Unsqueeze", s, ints((int64_t[]){0}, 1)),
                        ints((int64_t[]){1}, 1)};
    mc_node *cut1 = node("Slice", 4, axes, 1);
    mc_node *range = node("Range", 3, (mc_value *[]){scalar(0), s, scalar(1)}, 1);
    mc_node *same = node("Slice", 3, (mc_value *[]){x, ints((int64_t[]){0}, 1), ints((int64_t[]){INT64_MAX}, 1)}, 1);
    mc_ck_ok(mc_infer_graph(g));
    ck_assert_int_eq(cut->out[0]->type.dim[0], x->type.dim[1]);
    ck_assert_int_eq(cut1->out[0]->type.dim[0], 1);
    ck_assert_int_eq(cut1->out[0]->type.dim[1], x->type.dim[1]);
    ck_assert_int_eq(range->out[0]->type.dim[0], x->type.dim[1]);
    ck_assert_int_eq(same->out[0]->type.dim[0], x->type.dim[0]);
}
END_TEST

/* flatten and unflatten: -1 over two symbols is a new one, and it comes back apart. */
START_TEST(products_of_symbols)
{
    mc_value *x = batch_of_tokens();
    mc_node *rows = node("Reshape", 2, (mc_value *[]){x, ints((int64_t[]){-1, 768}, 2)}, 1);
    mc_node *y = node("Reshape", 2, (mc_value *[]){rows->out[0], concat(3, (mc_value *[]){dim_of(x, 0), dim_of(x, 1), ints((int64_t[]){-1}, 1)})}, 1);
    mc_ck_ok(mc_infer_graph(g));
    ck_assert_int_lt(rows->out[0]->type.dim[0], 0);
    ck_assert_int_ne(rows->out[0]->type.dim[0], x->type.dim[0]);
    ck_assert_int_eq(rows->out[0]->type.dim[1], 768);
    ck_assert_int_eq(y->out[0]->type.dim[0], x->type.dim[0]);
    ck_assert_int_eq(y->out[0]->type.dim[1], x->type.dim[1]);
}
END_TEST

/* A branch over the captured x: y = Reshape(x, Shape(x)) or Identity(x)[, one more axis]. */
static mc_graph *branch(mc_node *owner, const char *name, int32_t index, int wider)
{
    mc_graph *sub;
    mc_value *cap;
    mc_node *shape, *r;
    mc_ck_ok(mc_graph_create(&sub, name));
    mc_ck_ok(mc_graph_add_value(sub, "x_inner", NULL, &cap));
    cap->capture = index;
    mc_ck_ok(mc_graph_add_node(sub, "", "Shape", 0, NULL, 1, &cap, 1, NULL, &shape));
    mc_ck_ok(mc_graph_add_node(sub, "", "Reshape", 0, NULL, 2, (mc_value *[]){cap, shape->out[0]}, 1, NULL, &r));
    if (wider) {
        mc_value *two;
        mc_ck_ok(mc_graph_add_const_i64s(sub, NULL, (int64_t[]){2, 1, 1}, 3, &two));
        mc_ck_ok(mc_graph_add_node(sub, "", "Tile", 0, NULL, 2, (mc_value *[]){r->out[0], two}, 1, NULL, &r));
    }
    mc_ck_ok(mc_graph_add_output(sub, r->out[0]));
    mc_ck_ok(mc_node_set_graph(owner, name, sub));
    return sub;
}

START_TEST(branches_are_merged)
{
    for (int wider = 0; wider < 2; wider++) {
        mc_value *x = batch_of_tokens(), *cond = input("c", MCOMP_BOOL, 0, NULL, NULL);
        mc_node *n = node("If", 1, &cond, 1);
        int32_t at;
        mc_ck_ok(mc_node_add_capture(g, n, x, &at));
        branch(n, "then_branch", at, 0);
        branch(n, "else_branch", at, wider);
        mc_ck_ok(mc_infer_graph(g));
        const mc_type *t = &n->out[0]->type;
        ck_assert_int_eq(t->dtype, MCOMP_F32);
        ck_assert_int_eq(t->rank, 3);
        ck_assert_int_eq(t->dim[1], x->type.dim[1]);
        ck_assert_int_eq(t->dim[2], 768);
        if (wider) ck_assert_int_ne(t->dim[0], x->type.dim[0]);
        else ck_assert_int_eq(t->dim[0], x->type.dim[0]);
    }
}
END_TEST

/* A contradiction in a branch is no error: it may never be taken. */
START_TEST(impossible_branch)
{
    mc_value *x = input("x", MCOMP_F32, 2, NULL, (int64_t[]){2, 3}), *cond = input("c", MCOMP_BOOL, 0, NULL, NULL);
    mc_node *n = node("If", 1, &cond, 1);
    int32_t at;
    mc_ck_ok(mc_node_add_capture(g, n, x, &at));
    branch(n, "then_branch", at, 0);
    branch(n, "else_branch", at, 1); /* Tile with three repeats */
    mc_ck_ok(mc_infer_graph(g));
    ck_assert_int_eq(n->out[0]->type.dtype, MCOMP_F32);
}
END_TEST

START_TEST(unknown_operators_stop_nothing)
{
    mc_value *x = batch_of_tokens(), *y;
    mc_node *n;
    mc_ck_ok(mc_graph_add_node(g, "com.acme", "Secret", 1, NULL, 1, &x, 1, NULL, &n));
    y = op1("Relu", n->out[0]);
    mc_node *m = node("Reshape", 2, (mc_value *[]){y, ints((int64_t[]){-1, 4}, 2)}, 1);
    mc_ck_ok(mc_infer_graph(g));
    ck_assert_int_eq(y->type.rank, -1);
    ck_assert_int_eq(m->out[0]->type.rank, 2);
    ck_assert_int_eq(m->out[0]->type.dim[1], 4);
    mc_tensor *t, *out;
    mc_ck_ok(mc_tensor_create(&t, MCOMP_F32, &(mc_shape){1, {1}}));
    mc_ck_fails(mc_op_eval(n, 1, (const mc_tensor *const[]){t}, &out), MCOMP_UNSUPPORTED);
    mc_tensor_destroy(t);
}
END_TEST

/* A long chain of shape arithmetic ends the walk of a single node, it does not end the stack. */
START_TEST(walk_is_bounded)
{
    mc_value *x = batch_of_tokens(), *s = op1("Shape", x), *zero = scalar(0);
    for (int i = 0; i < 5000; i++) s = op2("Add", s, zero);
    mc_node *y = node("Reshape", 2, (mc_value *[]){x, s}, 1);
    mc_ck_ok(mc_infer_node(g, y));
    mc_ck_ok(mc_infer_graph(g));
    ck_assert_int_eq(y->out[0]->type.dim[1], x->type.dim[1]);
}
END_TEST

START_TEST(limits_of_evaluation)
{
    mc_value *s = ints((int64_t[]){1000}, 1);
    mc_node *n = node("ConstantOfShape", 1, &s, 1);
    mc_tensor *out;
    mc_ck_fails(mc_op_eval_limit(n, 1, (const mc_tensor *const[]){s->init}, 3999, &out), MCOMP_LIMIT);
    ck_assert_ptr_null(out);
    mc_ck_ok(mc_op_eval_limit(n, 1, (const mc_tensor *const[]){s->init}, 4000, &out));
    mc_tensor_destroy(out);
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
    tcase_add_test(t, attention_keeps_symbols);
    tcase_add_test(t, expand_keeps_symbols);
    tcase_add_test(t, slices_and_ranges_keep_symbols);
    tcase_add_test(t, products_of_symbols);
    tcase_add_test(t, branches_are_merged);
    tcase_add_test(t, impossible_branch);
    tcase_add_test(t, unknown_operators_stop_nothing);
    tcase_add_test(t, walk_is_bounded);
    tcase_add_test(t, limits_of_evaluation);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
