/* Sessions and execs: what they answer, what they refuse, what stays valid afterwards. */
#include "nets.h"

static mcomp_context *ctx;
static mc_graph *g;
static mcomp_session *s;
static mcomp_exec *e;

static void setup(void)
{
    mc_ck_ok(mcomp_context_create(&ctx, NULL));
    g = net_block();
    mc_ck_ok(mc_session_open(&s, ctx, g, NULL, NULL));
    mc_ck_ok(mcomp_exec_create(&e, s));
}

static void teardown(void)
{
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
    mc_graph_destroy(g);
    mcomp_context_destroy(ctx);
}

static void check_run(int64_t batch, int64_t len)
{
    mcomp_tensor *x = net_random(3, (int64_t[]){batch, len, 8}, (uint64_t)(batch * 1000 + len));
    const mcomp_tensor *in[1] = {x}, *out[1];
    mc_tensor *want[1];
    mc_ck_ok(mcomp_exec_run(e, 1, in, 1, out));
    net_interpret(g, in, want);
    ck_assert(mc_shape_equal(&want[0]->shape, &out[0]->t.shape));
    mc_ck_close_f32(mcomp_tensor_data(out[0]), want[0]->data, mc_tensor_elements(want[0]), 1e-5, 1e-5);
    mc_tensor_destroy(want[0]);
    mcomp_tensor_destroy(x);
}

START_TEST(runs)
{
    ck_assert_int_eq(mcomp_session_n_inputs(s), 1);
    ck_assert_int_eq(mcomp_session_n_outputs(s), 1);
    ck_assert_str_eq(mcomp_session_input_name(s, 0), "x");
    ck_assert_ptr_null(mcomp_session_input_name(s, 1));
    ck_assert_str_eq(mcomp_session_output_name(s, 0), g->outputs[0]->name);
    ck_assert_int_eq(mcomp_session_plans(s), 0);
    check_run(1, 16);
    check_run(2, 5);
    check_run(1, 16);
    check_run(1, 3);
    check_run(1, 1);
    ck_assert_int_eq(mcomp_session_plans(s), 2);
}
END_TEST

START_TEST(empty_batch)
{
    check_run(0, 4);
    check_run(3, 0);
    check_run(2, 4);
}
END_TEST

START_TEST(refuses)
{
    mcomp_tensor *x = net_random(3, (int64_t[]){1, 4, 8}, 1), *bad_rank = net_random(2, (int64_t[]){4, 8}, 1),
                 *bad_dim = net_random(3, (int64_t[]){1, 4, 9}, 1), *bad_type = NULL, *skew = NULL;
    mcomp_session *none = NULL;
    mcomp_session_options o;
    const mcomp_tensor *in[2] = {NULL, NULL}, *out[1];
    static float memory[40];
    mc_ck_ok(mcomp_tensor_create(&bad_type, MCOMP_F64, 3, (int64_t[]){1, 4, 8}));
    mc_ck_ok(mcomp_tensor_wrap(&skew, MCOMP_F32, 3, (int64_t[]){1, 4, 8}, (uint8_t *)memory + 1, 128, NULL, NULL));
    mc_ck_fails(mcomp_exec_run(e, 1, in, 1, out), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_exec_run(e, 2, in, 1, out), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_exec_run(NULL, 1, in, 1, out), MCOMP_ARGUMENT);
    in[0] = bad_rank;
    mc_ck_fails(mcomp_exec_run(e, 1, in, 1, out), MCOMP_SHAPE);
    in[0] = bad_dim;
    mc_ck_fails(mcomp_exec_run(e, 1, in, 1, out), MCOMP_SHAPE);
    in[0] = bad_type;
    mc_ck_fails(mcomp_exec_run(e, 1, in, 1, out), MCOMP_DTYPE);
    in[0] = skew;
    mc_ck_fails(mcomp_exec_run(e, 1, in, 1, out), MCOMP_ARGUMENT);
    in[0] = x;
    mc_ck_fails(mcomp_exec_run(e, 1, in, 2, out), MCOMP_ARGUMENT);
    mc_ck_ok(mcomp_exec_run(e, 1, in, 1, out)); /* still usable */
    mc_ck_ok(mcomp_exec_run(e, 1, in, 0, NULL));
    mc_ck_ok(mcomp_session_options_init(&o, sizeof o));
    o.backend = "cuda";
    mc_ck_fails(mc_session_open(&none, ctx, g, &o, NULL), MCOMP_NO_BACKEND);
    o.backend = NULL;
    o.threads = -1;
    mc_ck_fails(mc_session_open(&none, ctx, g, &o, NULL), MCOMP_RANGE);
    mc_ck_fails(mcomp_session_create(&none, NULL, NULL, NULL), MCOMP_ARGUMENT);
    mcomp_tensor_destroy(x);
    mcomp_tensor_destroy(bad_rank);
    mcomp_tensor_destroy(bad_dim);
    mcomp_tensor_destroy(bad_type);
    mcomp_tensor_destroy(skew);
}
END_TEST

START_TEST(equal_symbols)
{
    mc_graph *two = NULL;
    mcomp_session *t = NULL;
    mcomp_exec *x = NULL;
    mc_ck_ok(mc_graph_create(&two, "two"));
    const int64_t n = net_symbol(two, "n");
    mc_value *a = net_input(two, "a", MCOMP_F32, 2, (int64_t[]){n, 4}), *b = net_input(two, "b", MCOMP_F32, 2, (int64_t[]){n, 4});
    mc_ck_ok(mc_graph_add_output(two, net_node(two, "Add", "sum", a, b)));
    mc_ck_ok(mc_graph_sort(two));
    mc_ck_ok(mc_session_open(&t, ctx, two, NULL, NULL));
    mc_ck_ok(mcomp_exec_create(&x, t));
    mcomp_tensor *p = net_random(2, (int64_t[]){3, 4}, 1), *q = net_random(2, (int64_t[]){1, 4}, 2);
    const mcomp_tensor *in[2] = {p, q}, *out[1];
    mc_ck_fails(mcomp_exec_run(x, 2, in, 1, out), MCOMP_SHAPE);
    ck_assert_ptr_nonnull(strstr(mc_error_peek()->message, "(n)"));
    in[1] = p;
    mc_ck_ok(mcomp_exec_run(x, 2, in, 1, out));
    mcomp_tensor_destroy(p);
    mcomp_tensor_destroy(q);
    mcomp_exec_destroy(x);
    mcomp_session_destroy(t);
    mc_graph_destroy(two);
}
END_TEST

/* Outputs that are an input, a constant, a view of one another, and the same value twice. */
START_TEST(odd_outputs)
{
    mc_graph *odd = NULL;
    mcomp_session *t = NULL;
    mcomp_exec *x = NULL;
    uint64_t seed = 3;
    mc_ck_ok(mc_graph_create(&odd, "odd"));
    mc_value *a = net_input(odd, "a", MCOMP_F32, 2, (int64_t[]){2, 3});
    mc_value *c = net_random_const(odd, "c", 1, (int64_t[]){5}, &seed), *flat = NULL;
    mc_ck_ok(mc_graph_add_const_i64s(odd, "flat", (int64_t[]){6}, 1, &flat));
    mc_value *r = net_node(odd, "Relu", "r", a, NULL), *v = net_node(odd, "Reshape", "v", r, flat), *va = net_node(odd, "Reshape", "va", a, flat);
    mc_value *neg = net_node(odd, "Tanh", "n", v, NULL);
    mc_value *outs[] = {a, c, v, r, va, neg};
    for (size_t i = 0; i < sizeof outs / sizeof *outs; i++) mc_ck_ok(mc_graph_add_output(odd, outs[i]));
    mc_ck_ok(mc_graph_sort(odd));
    mc_ck_ok(mc_session_open(&t, ctx, odd, NULL, NULL));
    mc_session_use_references(t);
    mc_ck_ok(mcomp_exec_create(&x, t));
    mcomp_tensor *p = net_random(2, (int64_t[]){2, 3}, 5);
    const mcomp_tensor *in[1] = {p}, *out[6];
    mc_tensor *want[6];
    net_interpret(odd, in, want);
    mc_ck_ok(mcomp_exec_run(x, 1, in, 6, out));
    memset(mcomp_tensor_data(p), 0, 24); /* outputs must not be the caller's memory */
    for (int i = 0; i < 6; i++) {
        net_ck_same(want[i], out[i], odd->outputs[i]->name);
        mc_tensor_destroy(want[i]);
    }
    mcomp_tensor_destroy(p);
    mcomp_exec_destroy(x);
    mcomp_session_destroy(t);
    mc_graph_destroy(odd);
}
END_TEST

/* A model without inputs has no dims to key its plans by. */
START_TEST(no_inputs)
{
    mc_graph *alone = NULL;
    mcomp_session *t = NULL;
    mcomp_exec *x = NULL;
    uint64_t seed = 4;
    mc_ck_ok(mc_graph_create(&alone, "alone"));
    mc_value *c = net_random_const(alone, "c", 1, (int64_t[]){5}, &seed);
    mc_ck_ok(mc_graph_add_output(alone, net_node(alone, "Relu", "r", c, NULL)));
    mc_ck_ok(mc_graph_sort(alone));
    mc_ck_ok(mc_session_open(&t, ctx, alone, NULL, NULL));
    mc_ck_ok(mcomp_exec_create(&x, t));
    for (int i = 0; i < 2; i++) {
        const mcomp_tensor *out[1];
        mc_ck_ok(mcomp_exec_run(x, 0, NULL, 1, out));
        ck_assert_int_eq(mcomp_tensor_elements(out[0]), 5);
    }
    ck_assert_int_eq(mcomp_session_plans(t), 1);
    mcomp_exec_destroy(x);
    mcomp_session_destroy(t);
    mc_graph_destroy(alone);
}
END_TEST

/* A state that is fed back without being copied by the caller. */
START_TEST(feedback)
{
    mcomp_tensor *x = net_random(3, (int64_t[]){1, 4, 8}, 9);
    const mcomp_tensor *in[1] = {x}, *out[1];
    mc_tensor *want[1], *state = NULL;
    mc_ck_ok(mc_tensor_copy(&state, &x->t));
    mc_ck_ok(mcomp_exec_run(e, 1, in, 1, out));
    for (int i = 0; i < 5; i++) {
        const mcomp_tensor t = {*state}, *const tp[1] = {&t};
        net_interpret(g, tp, want);
        mc_ck_close_f32(mcomp_tensor_data(out[0]), want[0]->data, 32, 1e-5, 1e-5);
        mc_tensor_destroy(state);
        state = want[0];
        mc_ck_ok(mcomp_exec_run(e, 1, (const mcomp_tensor *const *)out, 1, out));
    }
    mc_tensor_destroy(state);
    mcomp_tensor_destroy(x);
}
END_TEST

START_TEST(cancel)
{
    mcomp_tensor *x = net_random(3, (int64_t[]){1, 4, 8}, 9);
    const mcomp_tensor *in[1] = {x}, *out[1];
    mcomp_context_cancel(ctx);
    mc_ck_fails(mcomp_exec_run(e, 1, in, 1, out), MCOMP_CANCELLED);
    mcomp_context_cancel_clear(ctx);
    mc_ck_ok(mcomp_exec_run(e, 1, in, 1, out));
    mcomp_tensor_destroy(x);
}
END_TEST

START_TEST(explains)
{
    mcomp_session *t = NULL;
    mcomp_exec *x = NULL;
    mcomp_session_options o;
    int32_t n = 0;
    double time = 0.0, macs = 0.0;
    mcomp_plan_info info = {.size = sizeof info};
    mcomp_kernel_info k = {.size = sizeof k};
    mc_ck_ok(mcomp_session_options_init(&o, sizeof o));
    o.profile = 1;
    o.no_fusion = 1;
    mc_ck_ok(mc_session_open(&t, ctx, g, &o, NULL));
    mc_ck_ok(mcomp_exec_create(&x, t));
    mc_ck_fails(mcomp_exec_kernel_count(x, &n), MCOMP_ARGUMENT);
    mcomp_tensor *p = net_random(3, (int64_t[]){1, 16, 8}, 9);
    const mcomp_tensor *in[1] = {p}, *out[1];
    for (int i = 0; i < 3; i++) mc_ck_ok(mcomp_exec_run(x, 1, in, 1, out));
    mc_ck_ok(mcomp_exec_kernel_count(x, &n));
    ck_assert_int_eq(n, 4);
    for (int32_t i = 0; i < n; i++) {
        mc_ck_ok(mcomp_exec_kernel(x, i, &k));
        ck_assert_str_eq(k.node, g->order[i]->name);
        ck_assert_str_eq(k.op, g->order[i]->op);
        ck_assert_str_eq(k.dtype, "float32");
        ck_assert_msg(k.kernel[0] && k.why[0] && k.cost_us > 0.0, "node %s", k.node);
        time += k.time_us;
        macs += k.macs;
    }
    ck_assert_double_gt(time, 0.0);
    mc_ck_fails(mcomp_exec_kernel(x, n, &k), MCOMP_ARGUMENT);
    mc_ck_ok(mcomp_exec_plan_info(x, &info));
    ck_assert_int_eq(info.n_steps, 4);
    ck_assert_int_eq(info.bucket, 16);
    ck_assert_double_eq(info.macs, macs);
    ck_assert_double_eq(macs, 16.0 * 8 * 8);
    mcomp_tensor_destroy(p);
    mcomp_exec_destroy(x);
    mcomp_session_destroy(t);
}
END_TEST

START_TEST(lists_unsupported)
{
    mc_graph *odd = NULL;
    mcomp_session *t = NULL;
    mc_node *n;
    mc_ck_ok(mc_graph_create(&odd, "odd"));
    mc_value *a = net_input(odd, "a", MCOMP_F32, 1, (int64_t[]){2});
    mc_ck_ok(mc_graph_add_node(odd, "acme", "Frobnicate", 1, "f1", 1, &a, 1, NULL, &n));
    mc_ck_ok(mc_graph_add_node(odd, "", "NoSuchOp", 1, "f2", 1, n->out, 1, NULL, &n));
    mc_ck_ok(mc_graph_add_output(odd, n->out[0]));
    mc_ck_ok(mc_graph_sort(odd));
    mc_ck_fails(mc_session_open(&t, ctx, odd, NULL, NULL), MCOMP_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(mc_error_peek()->message, "acme.Frobnicate"));
    ck_assert_ptr_nonnull(strstr(mc_error_peek()->message, "NoSuchOp"));
    ck_assert_ptr_null(t);
    mc_graph_destroy(odd);
}
END_TEST

/* A known operator in a form that is not known says which; an input that is no tensor is a refusal, not bad data. */
START_TEST(says_why)
{
    mc_graph *odd = NULL, *copy = NULL;
    mcomp_session *t = NULL;
    mc_value *x = NULL;
    const mc_type none = {.dtype = MCOMP_UNDEFINED, .rank = -1};
    mc_ck_ok(mc_graph_create(&odd, "odd"));
    mc_ck_ok(mc_graph_add_input(odd, "many", &none, &x));
    mc_ck_ok(mc_graph_add_output(odd, net_node(odd, "Identity", "id", x, NULL)));
    mc_ck_ok(mc_graph_sort(odd));
    mc_ck_fails(mc_session_open(&t, ctx, odd, NULL, NULL), MCOMP_UNSUPPORTED);
    ck_assert_str_eq(mc_error_peek()->where, "many");
    odd->order[0]->desc = NULL;
    ck_assert_ptr_nonnull(odd->order[0]->refused = mc_strdup("of another kind"));
    mc_ck_ok(mc_graph_clone(&copy, odd));
    mc_graph_destroy(odd);
    mc_ck_fails(mc_session_open(&t, ctx, copy, NULL, NULL), MCOMP_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(mc_error_peek()->message, "Identity (node id: of another kind)"));
    mc_graph_destroy(copy);
}
END_TEST

/* Whether a Dropout passes its input on is decided by an input: the plan must not take it for a copy beforehand. */
START_TEST(dropout_in_training)
{
    const int constant = _i & 1, no_fusion = _i >> 1;
    const int64_t dims[2] = {2, 3};
    mc_graph *d = NULL;
    mcomp_session *sd = NULL;
    mcomp_exec *ed = NULL;
    mcomp_tensor *x = net_random(2, dims, 5), *t = NULL;
    mc_node *n = NULL;
    mcomp_session_options o;
    mc_ck_ok(mcomp_session_options_init(&o, sizeof o));
    o.no_fusion = no_fusion;
    mc_ck_ok(mc_graph_create(&d, "drop"));
    mc_ck_ok(mcomp_tensor_create(&t, MCOMP_BOOL, 0, NULL));
    mc_value *in[3] = {net_input(d, "x", MCOMP_F32, 2, dims), NULL, NULL};
    mc_tensor_set_i64(&t->t, 0, 1);
    if (constant) {
        mc_tensor *on;
        mc_ck_ok(mc_tensor_copy(&on, &t->t));
        mc_ck_ok(mc_graph_add_const(d, "training", on, &in[2]));
    } else {
        in[2] = net_input(d, "training", MCOMP_BOOL, 0, NULL);
    }
    mc_ck_ok(mc_graph_add_node(d, "", "Dropout", 0, "drop", 3, in, 1, NULL, &n));
    mc_ck_ok(mc_graph_add_output(d, n->out[0]));
    mc_ck_ok(mc_graph_sort(d));
    mc_ck_ok(mc_infer_graph(d));
    mc_ck_ok(mc_session_open(&sd, ctx, d, &o, NULL));
    mc_ck_ok(mcomp_exec_create(&ed, sd));
    const mcomp_tensor *feed[2] = {x, t}, *out[1];
    ck_assert_int_eq(mcomp_exec_run(ed, constant ? 1 : 2, feed, 1, out), MCOMP_UNSUPPORTED);
    ck_assert_str_eq(mc_error_peek()->where, "drop");
    if (!constant) { /* the same session, off: a copy */
        mc_tensor_set_i64(&t->t, 0, 0);
        mc_ck_ok(mcomp_exec_run(ed, 2, feed, 1, out));
        ck_assert_mem_eq(mcomp_tensor_data(out[0]), mcomp_tensor_data(x), mcomp_tensor_bytes(x));
    }
    mcomp_tensor_destroy(x);
    mcomp_tensor_destroy(t);
    mcomp_exec_destroy(ed);
    mcomp_session_destroy(sd);
    mc_graph_destroy(d);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session");
    TCase *c = tcase_create("session");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, runs);
    tcase_add_test(c, empty_batch);
    tcase_add_test(c, refuses);
    tcase_add_test(c, equal_symbols);
    tcase_add_test(c, odd_outputs);
    tcase_add_test(c, no_inputs);
    tcase_add_test(c, feedback);
    tcase_add_test(c, cancel);
    tcase_add_test(c, explains);
    tcase_add_test(c, lists_unsupported);
    tcase_add_test(c, says_why);
    tcase_add_loop_test(c, dropout_in_training, 0, 4);
    suite_add_tcase(suite, c);
    return mc_test_main(suite);
}
