/* Shape buckets: few plans for many lengths, right results at every length, exact plans where buckets cannot serve. */
#include "nets.h"

static mcomp_context *ctx;

static void setup(void)
{
    mc_ops_register();
    mc_ck_ok(mcomp_context_create(&ctx, NULL));
}
static void teardown(void) { mcomp_context_destroy(ctx); }

static void run_and_compare(mcomp_exec *e, const mc_graph *g, int32_t rank, const int64_t *dims)
{
    mcomp_tensor *x = net_random(rank, dims, (uint64_t)dims[rank - 2] * 31 + 1);
    const mcomp_tensor *in[1] = {x}, *out[4];
    mc_tensor *want[4];
    net_interpret(g, in, want);
    mc_ck_ok(mcomp_exec_run(e, 1, in, (int32_t)g->n_outputs, out));
    for (int64_t i = 0; i < g->n_outputs; i++) {
        ck_assert(mc_shape_equal(&want[i]->shape, &out[i]->t.shape));
        if (want[i]->dtype == MCOMP_F32) mc_ck_close_f32(mcomp_tensor_data(out[i]), want[i]->data, mc_tensor_elements(want[i]), 1e-5, 1e-5);
        else net_ck_same(want[i], out[i], g->outputs[i]->name);
        mc_tensor_destroy(want[i]);
    }
    mcomp_tensor_destroy(x);
}

START_TEST(lengths)
{
    mc_graph *g = net_block();
    mcomp_session *s = NULL;
    mcomp_exec *e = NULL;
    mc_ck_ok(mc_session_open(&s, ctx, g, NULL, NULL));
    mc_ck_ok(mcomp_exec_create(&e, s));
    for (int64_t n = 1; n <= 128; n++) run_and_compare(e, g, 3, (int64_t[]){1, n, 8});
    ck_assert_int_le(mcomp_session_plans(s), 8);
    for (int64_t n = 129; n >= 2; n--) run_and_compare(e, g, 3, (int64_t[]){1, n, 8});
    ck_assert_int_le(mcomp_session_plans(s), 8);
    for (int64_t b = 1; b <= 64; b++) run_and_compare(e, g, 3, (int64_t[]){b, 5, 8});
    ck_assert_int_le(mcomp_session_plans(s), 8 + 8 + 3);
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
    mc_graph_destroy(g);
}
END_TEST

/* Computed shapes: [b,n,8] -> Reshape by Concat(Shape(x)[0], -1, 2, 4). */
START_TEST(computed_shape)
{
    mc_graph *g = NULL;
    mcomp_session *s = NULL;
    mcomp_exec *e = NULL;
    mc_value *zero = NULL, *rest = NULL;
    mc_node *n;
    mc_ck_ok(mc_graph_create(&g, "computed"));
    mc_value *x = net_input(g, "x", MCOMP_F32, 3, (int64_t[]){net_symbol(g, "b"), net_symbol(g, "n"), 8});
    mc_ck_ok(mc_graph_add_const_i64s(g, "zero", (int64_t[]){0}, 1, &zero));
    mc_ck_ok(mc_graph_add_const_i64s(g, "rest", (int64_t[]){-1, 2, 4}, 3, &rest));
    mc_value *batch = net_node(g, "Gather", "batch", net_node(g, "Shape", "shape", x, NULL), zero);
    mc_value *both[2] = {batch, rest};
    mc_ck_ok(mc_graph_add_node(g, "", "Concat", 0, "to", 2, both, 1, NULL, &n));
    mc_ck_ok(mc_node_set_i(n, "axis", 0));
    mc_value *y = net_node(g, "Reshape", "split", net_node(g, "Relu", "act", x, NULL), n->out[0]);
    mc_ck_ok(mc_graph_add_output(g, net_node(g, "Tanh", "neg", y, NULL)));
    mc_ck_ok(mc_graph_add_output(g, batch));
    mc_ck_ok(mc_graph_sort(g));
    mc_ck_ok(mc_session_open(&s, ctx, g, NULL, NULL));
    mc_ck_ok(mcomp_exec_create(&e, s));
    for (int64_t len = 1; len <= 32; len++) run_and_compare(e, g, 3, (int64_t[]){1 + len % 2, len, 8});
    ck_assert_int_le(mcomp_session_plans(s), 4);
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
    mc_graph_destroy(g);
}
END_TEST

/* A table of 20 rows added to the first rows: the bucket of 17..20 (32 rows) does not fit the model, those lengths do. */
START_TEST(bucket_beyond_model)
{
    mc_graph *g = NULL;
    mcomp_session *s = NULL;
    mcomp_exec *e = NULL;
    uint64_t seed = 5;
    mc_value *zero = NULL;
    mc_ck_ok(mc_graph_create(&g, "table"));
    mc_value *x = net_input(g, "x", MCOMP_F32, 2, (int64_t[]){net_symbol(g, "n"), 4});
    (void)net_input(g, "m", MCOMP_F32, 2, (int64_t[]){1, net_symbol(g, "n")}); /* n is no batch */
    mc_value *table = net_random_const(g, "table", 2, (int64_t[]){20, 4}, &seed);
    mc_ck_ok(mc_graph_add_const_i64s(g, "zero", (int64_t[]){0}, 1, &zero));
    mc_value *n = net_node(g, "Gather", "rows", net_node(g, "Shape", "shape", x, NULL), zero);
    mc_value *in[3] = {table, zero, n};
    mc_node *slice;
    mc_ck_ok(mc_graph_add_node(g, "", "Slice", 0, "slice", 3, in, 1, NULL, &slice));
    mc_ck_ok(mc_graph_add_output(g, net_node(g, "Add", "add", x, slice->out[0])));
    mc_ck_ok(mc_graph_sort(g));
    mc_ck_ok(mc_session_open(&s, ctx, g, NULL, NULL));
    mc_ck_ok(mcomp_exec_create(&e, s));
    for (int64_t rows = 14; rows <= 21; rows++) {
        mcomp_tensor *a = net_random(2, (int64_t[]){rows, 4}, 1), *m = net_random(2, (int64_t[]){1, rows}, 1);
        const mcomp_tensor *ins[2] = {a, m}, *out[1];
        mc_tensor *want[1];
        if (rows == 21) {
            mc_ck_fails(mcomp_exec_run(e, 2, ins, 1, out), MCOMP_SHAPE);
        } else {
            mc_ck_ok(mcomp_exec_run(e, 2, ins, 1, out));
            net_interpret(g, ins, want);
            net_ck_same(want[0], out[0], "sum");
            mc_tensor_destroy(want[0]);
        }
        mcomp_tensor_destroy(a);
        mcomp_tensor_destroy(m);
    }
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
    mc_graph_destroy(g);
}
END_TEST

/* Dims that depend on values: NonZero; what follows is interpreted. */
START_TEST(value_shaped)
{
    mc_graph *g = NULL;
    mcomp_session *s = NULL;
    mcomp_exec *e = NULL;
    mc_ck_ok(mc_graph_create(&g, "nonzero"));
    mc_value *x = net_input(g, "x", MCOMP_F32, 2, (int64_t[]){net_symbol(g, "n"), 6});
    mc_value *r = net_node(g, "Relu", "r", x, NULL);
    mc_value *nz = net_node(g, "NonZero", "nz", r, NULL);
    mc_ck_ok(mc_graph_add_output(g, net_node(g, "Transpose", "t", nz, NULL)));
    mc_ck_ok(mc_graph_add_output(g, net_node(g, "Tanh", "neg", r, NULL)));
    mc_ck_ok(mc_graph_sort(g));
    mc_ck_ok(mc_session_open(&s, ctx, g, NULL, NULL));
    mc_ck_ok(mcomp_exec_create(&e, s));
    for (int64_t n = 1; n < 6; n++) run_and_compare(e, g, 2, (int64_t[]){n, 6});
    run_and_compare(e, g, 2, (int64_t[]){3, 6});
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
    mc_graph_destroy(g);
}
END_TEST

START_TEST(plan_cache_is_bounded)
{
    mc_graph *g = net_block();
    mcomp_session *s = NULL;
    mcomp_exec *e = NULL;
    mcomp_session_options o;
    mc_ck_ok(mcomp_session_options_init(&o, sizeof o));
    o.max_plans = 2;
    mc_ck_ok(mc_session_open(&s, ctx, g, &o, NULL));
    mc_ck_ok(mcomp_exec_create(&e, s));
    for (int round = 0; round < 2; round++)
        for (int64_t n = 16; n <= 64; n += 16) run_and_compare(e, g, 3, (int64_t[]){1, n, 8});
    ck_assert_int_eq(mcomp_session_plans(s), 4); /* the exec keeps the ones it uses */
    for (int64_t b = 1; b <= 80; b++) run_and_compare(e, g, 3, (int64_t[]){1, b, 8}); /* more shapes than bindings kept */
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
    mc_graph_destroy(g);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bucket");
    TCase *c = tcase_create("bucket");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, lengths);
    if (mc_op_find("", "Gather") && mc_op_find("", "Concat") && mc_op_find("", "Slice")) {
        tcase_add_test(c, computed_shape);
        tcase_add_test(c, bucket_beyond_model);
    }
    if (mc_op_find("", "NonZero") && mc_op_find("", "Transpose")) tcase_add_test(c, value_shaped);
    tcase_add_test(c, plan_cache_is_bounded);
    suite_add_tcase(suite, c);
    return mc_test_main(suite);
}
