/* The load stage: no-op removal, folding, constant If, fixed inputs, affine folding. Every rewrite must leave the results alone. */
#include "compare.h"

static const int64_t dims[2] = {3, 5};

START_TEST(noops_go)
{
    mc_graph *g = mc_test_graph();
    int64_t n;
    mc_ck_ok(mc_graph_symbol(g, "N", &n));
    mc_value *x = mc_test_input(g, "x", MCOMP_F32, 2, (int64_t[]){n, 6});
    mc_value *a = mc_test_op(g, "Identity", 1, x);
    mc_value *b = mc_test_op(g, "Reshape", 2, a, mc_test_i64s(g, 2, (int64_t)-1, (int64_t)6));
    mc_value *c = mc_test_op(g, "Add", 2, mc_test_scalar(g, 0.0f), b);
    mc_value *d = mc_test_op(g, "Dropout", 1, c);
    mc_value *e = mc_test_op(g, "Max", 2, mc_test_scalar(g, -__builtin_inff()), d);
    mc_value *f = mc_test_op(g, "Relu", 1, mc_test_op(g, "Mul", 2, e, mc_test_scalar(g, 1.0f)));
    mc_test_output(g, mc_test_op(g, "Identity", 1, f), "y");
    mc_test_output(g, mc_test_op(g, "Identity", 1, x), "z"); /* input to output: must stay */
    mc_graph *r = mc_test_passes(g, MC_STAGE_LOAD, 0, 0);
    ck_assert_int_eq(r->n_order, 2);
    ck_assert_int_eq(mc_test_count(r, "", "Identity"), 1);
    mc_graph_destroy(r);
    mc_graph_destroy(g);
}
END_TEST

START_TEST(constants_fold)
{
    mc_graph *g = mc_test_graph();
    mc_value *x = mc_test_input(g, "x", MCOMP_F32, 2, (int64_t[]){4, 6});
    mc_value *w = mc_test_random_const(g, 1, 1.0f, 1, (int64_t[]){6});
    mc_value *v = mc_test_op(g, "Exp", 1, mc_test_op(g, "Sin", 1, w));
    mc_value *s = mc_test_op(g, "Shape", 1, x);
    mc_value *z = mc_test_op(g, "Reshape", 2, mc_test_op(g, "Add", 2, x, v), s);
    mc_test_output(g, z, "z");
    mc_graph *r = mc_test_passes(g, MC_STAGE_LOAD, 0, 0);
    ck_assert_int_eq(r->n_order, 1);
    ck_assert_str_eq(r->order[0]->op, "Add");
    mc_graph_destroy(r);
    mc_graph_destroy(g);
}
END_TEST

START_TEST(folding_keeps_its_budget)
{
    mc_graph *g = mc_test_graph();
    mc_value *w = mc_test_random_const(g, 1, 1.0f, 2, (int64_t[]){64, 1});
    mc_value *big = mc_test_op(g, "Add", 2, w, mc_test_random_const(g, 2, 1.0f, 2, (int64_t[]){1, 64})); /* 16 KiB from 512 bytes */
    mc_test_output(g, big, "y");
    mc_ck_ok(mc_infer_graph(g));
    const mc_pass_options small = {.fold_bytes = 1024}, large = {.fold_bytes = 65536};
    mc_ck_ok(mc_passes_run(g, MC_STAGE_LOAD, &small));
    ck_assert_int_eq(g->n_order, 1);
    mc_ck_ok(mc_passes_run(g, MC_STAGE_LOAD, &large));
    ck_assert_int_eq(g->n_order, 0);
    mc_graph_destroy(g);
}
END_TEST

/* If(cond) { then: Relu(x) + k } else { x * 2 } with a captured outer value and a nested If of the same condition. */
static mc_graph *branch(const mc_value *x, int32_t x_slot, int32_t c_slot, int nested, int then_branch);
static void add_if(mc_graph *g, mc_value *c, mc_value *x, int nested, mc_node **out)
{
    int32_t slot_x, slot_c;
    mc_ck_ok(mc_graph_add_node(g, "", "If", 0, "if", 1, &c, 1, NULL, out));
    mc_ck_ok(mc_node_add_capture(g, *out, x, &slot_x));
    mc_ck_ok(mc_node_add_capture(g, *out, c, &slot_c));
    mc_ck_ok(mc_node_set_graph(*out, "then_branch", branch(x, slot_x, slot_c, nested, 1)));
    mc_ck_ok(mc_node_set_graph(*out, "else_branch", branch(x, slot_x, slot_c, 0, 0)));
}

static mc_graph *branch(const mc_value *x, int32_t x_slot, int32_t c_slot, int nested, int then_branch)
{
    mc_graph *s = mc_test_graph();
    mc_value *cx, *cc;
    mc_node *inner;
    mc_ck_ok(mc_graph_add_value(s, "cx", &x->type, &cx));
    cx->capture = x_slot;
    if (nested) {
        mc_ck_ok(mc_graph_add_value(s, "cc", NULL, &cc));
        cc->capture = c_slot;
        add_if(s, cc, mc_test_op(s, "Relu", 1, cx), 0, &inner);
        mc_ck_ok(mc_graph_add_output(s, inner->out[0]));
    } else {
        mc_value *y = then_branch ? mc_test_op(s, "Add", 2, cx, mc_test_scalar(s, 3.0f)) : mc_test_op(s, "Mul", 2, cx, mc_test_scalar(s, 2.0f));
        mc_ck_ok(mc_graph_add_output(s, y));
    }
    mc_ck_ok(mc_graph_sort(s));
    return s;
}

START_TEST(constant_if_is_inlined)
{
    for (int condition = 0; condition < 2; condition++) {
        mc_graph *g = mc_test_graph();
        mc_node *n;
        mc_value *x = mc_test_input(g, "x", MCOMP_F32, 1, (int64_t[]){4});
        mc_value *c = mc_test_const(g, MCOMP_BOOL, 0, (double[]){condition});
        add_if(g, c, x, 1, &n);
        mc_test_output(g, n->out[0], "y");
        mc_ck_ok(mc_passes_run(g, MC_STAGE_LOAD, NULL));
        mc_ck_ok(mc_graph_validate(g));
        ck_assert_int_eq(mc_test_count(g, "", "If"), 0);
        ck_assert_ptr_nonnull(mc_graph_find_node(g, "if"));
        mc_test_set in = mc_test_inputs(g, 5, 9, dims, 2), y = mc_test_interp(g, &in);
        ck_assert_str_eq(g->outputs[0]->name, "y");
        for (int64_t i = 0; i < 4; i++) {
            const double v = mc_tensor_get_f64(in.t[0], i), want = condition ? (v > 0 ? v : 0) + 3.0 : 2.0 * v;
            ck_assert_double_eq_tol(mc_tensor_get_f64(y.t[0], i), want, 1e-6);
        }
        mc_test_set_free(&in);
        mc_test_set_free(&y);
        mc_graph_destroy(g);
    }
}
END_TEST

START_TEST(fixed_input_decides)
{
    mc_graph *g = mc_test_graph();
    mc_node *n;
    mc_tensor *t, *wrong;
    mc_value *c = mc_test_input(g, "flag", MCOMP_BOOL, 0, NULL);
    mc_value *x = mc_test_input(g, "x", MCOMP_F32, 1, (int64_t[]){4});
    add_if(g, c, x, 1, &n);
    mc_test_output(g, n->out[0], "y");
    mc_ck_ok(mc_passes_run(g, MC_STAGE_LOAD, NULL));
    ck_assert_int_eq(mc_test_count(g, "", "If"), 1);
    mc_ck_ok(mc_tensor_create(&t, MCOMP_BOOL, &(mc_shape){.rank = 0}));
    mc_ck_ok(mc_tensor_create(&wrong, MCOMP_F32, &(mc_shape){.rank = 0}));
    mc_ck_fails(mc_pass_fix_input(g, "nothing", t, NULL), MCOMP_ARGUMENT);
    mc_ck_fails(mc_pass_fix_input(g, "flag", wrong, NULL), MCOMP_DTYPE);
    mc_ck_fails(mc_pass_fix_input(g, "x", wrong, NULL), MCOMP_SHAPE);
    mc_ck_ok(mc_pass_fix_input(g, "flag", t, NULL));
    ck_assert_int_eq(mc_test_count(g, "", "If"), 0);
    ck_assert_int_eq(g->n_inputs, 1);
    ck_assert_int_eq(g->n_order, 1);
    ck_assert_str_eq(g->order[0]->op, "Mul");
    mc_tensor_destroy(t);
    mc_tensor_destroy(wrong);
    mc_graph_destroy(g);
}
END_TEST

static mc_value *positive(mc_graph *g, uint64_t seed, int64_t n)
{
    mc_value *v = mc_test_random_const(g, seed, 0.4f, 1, &n);
    for (int64_t i = 0; i < n; i++) ((float *)v->init->data)[i] += 1.0f;
    return v;
}

static mc_value *batchnorm(mc_graph *g, mc_value *x, int64_t c)
{
    return mc_test_op(g, "BatchNormalization", 5, x, positive(g, 11, c), mc_test_random_const(g, 12, 1.0f, 1, &c),
                      mc_test_random_const(g, 13, 1.0f, 1, &c), positive(g, 14, c));
}

START_TEST(affine_folds_into_conv)
{
    mc_graph *g = mc_test_graph();
    mc_value *x = mc_test_input(g, "x", MCOMP_F32, 4, (int64_t[]){2, 3, 5, 5});
    mc_value *y = mc_test_op(g, "Conv", 2, x, mc_test_random_const(g, 1, 0.5f, 4, (int64_t[]){4, 3, 3, 3}));
    y = batchnorm(g, y, 4);
    y = mc_test_op(g, "Mul", 2, y, positive(g, 20, 1));
    y = mc_test_op(g, "Add", 2, mc_test_random_const(g, 3, 1.0f, 3, (int64_t[]){4, 1, 1}), y);
    mc_test_output(g, mc_test_op(g, "Relu", 1, y), "y");
    mc_graph *r = mc_test_passes(g, MC_STAGE_LOAD, 1e-5, 1e-5);
    ck_assert_int_eq(r->n_order, 2);
    mc_graph_destroy(r);
    mc_graph_destroy(g);
}
END_TEST

START_TEST(affine_stays_where_it_must)
{
    mc_graph *g = mc_test_graph();
    mc_value *x = mc_test_input(g, "x", MCOMP_F32, 4, (int64_t[]){2, 3, 5, 5});
    mc_value *c = mc_test_op(g, "Conv", 2, x, mc_test_random_const(g, 1, 0.5f, 4, (int64_t[]){5, 3, 1, 1}));
    mc_test_output(g, batchnorm(g, c, 5), "y");
    mc_test_output(g, mc_test_op(g, "Relu", 1, c), "z"); /* reads the unnormalised value */
    mc_test_output(g, mc_test_op(g, "Add", 2, c, mc_test_random_const(g, 3, 1.0f, 1, (int64_t[]){5})), "w"); /* along the width */
    mc_graph *r = mc_test_passes(g, MC_STAGE_LOAD, 1e-5, 1e-5);
    ck_assert_int_eq(mc_test_count(r, "", "BatchNormalization"), 0); /* spelled out as Mul and Add */
    ck_assert_int_eq(mc_test_count(r, "", "Add"), 2);
    mc_graph_destroy(r);
    mc_graph_destroy(g);
}
END_TEST

START_TEST(affine_folds_into_gemm)
{
    for (int64_t trans = 0; trans < 2; trans++) {
        mc_graph *g = mc_test_graph();
        mc_value *x = mc_test_input(g, "x", MCOMP_F32, 2, (int64_t[]){2, 6});
        mc_value *w = mc_test_random_const(g, 1, 0.5f, 2, trans ? (int64_t[]){4, 6} : (int64_t[]){6, 4});
        mc_value *y = mc_test_op(g, "Gemm", 3, x, w, mc_test_random_const(g, 2, 0.5f, 1, (int64_t[]){4}));
        mc_ck_ok(mc_node_set_i(y->producer, "transB", trans));
        mc_test_output(g, batchnorm(g, y, 4), "y");
        mc_graph *r = mc_test_passes(g, MC_STAGE_LOAD, 1e-5, 1e-5);
        ck_assert_int_eq(r->n_order, 1);
        mc_graph_destroy(r);
        mc_graph_destroy(g);
    }
}
END_TEST

START_TEST(table_is_sound)
{
    mc_graph *g = mc_test_graph();
    ck_assert_int_gt(mc_pass_count(), 3);
    for (int32_t i = 0; i < mc_pass_count(); i++) {
        ck_assert(mc_pass_at(i)->run != NULL);
        mc_ck_ok(mc_pass_run_one(g, mc_pass_at(i)->name, NULL)); /* on an empty graph */
    }
    ck_assert_ptr_null(mc_pass_at(mc_pass_count()));
    mc_ck_fails(mc_pass_run_one(g, "no such pass", NULL), MCOMP_ARGUMENT);
    mc_graph_destroy(g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("passes/load");
    TCase *t = tcase_create("load");
    tcase_add_test(t, noops_go);
    tcase_add_test(t, constants_fold);
    tcase_add_test(t, folding_keeps_its_budget);
    tcase_add_test(t, constant_if_is_inlined);
    tcase_add_test(t, fixed_input_decides);
    tcase_add_test(t, affine_folds_into_conv);
    tcase_add_test(t, affine_stays_where_it_must);
    tcase_add_test(t, affine_folds_into_gemm);
    tcase_add_test(t, table_is_sound);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
