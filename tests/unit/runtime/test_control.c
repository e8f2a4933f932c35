/* If and Loop run their subgraphs: values, captures, shapes that change, cancellation, observers inside and outside. */
#include <math.h>
#include <pthread.h>
#include <unistd.h>

#include "nets.h"

static mcomp_context *ctx;

static void setup(void)
{
    mc_ops_register();
    mc_ck_ok(mcomp_context_create(&ctx, NULL));
}
static void teardown(void) { mcomp_context_destroy(ctx); }

static mc_value *scalar(mc_graph *g, int32_t dtype, int64_t v)
{
    mc_tensor *t = NULL;
    mc_value *out = NULL;
    const mc_shape s = {.rank = 0};
    mc_ck_ok(mc_tensor_create(&t, dtype, &s));
    mc_tensor_set_i64(t, 0, v);
    mc_ck_ok(mc_graph_add_const(g, NULL, t, &out));
    return out;
}

/* A value of the subgraph that stands for outer value number `index` of the node's captures. */
static mc_value *capture(mc_graph *sub, const char *name, int32_t index)
{
    mc_value *v = NULL;
    mc_ck_ok(mc_graph_add_value(sub, name, NULL, &v));
    v->capture = index;
    return v;
}

/* y = cond ? relu(x) : concat(x, x) over axis 0 if `grow`, else neg(x). */
static mc_graph *if_graph(int grow)
{
    mc_graph *g = NULL, *yes = NULL, *no = NULL;
    mc_node *n = NULL, *c = NULL;
    int32_t at = 0;
    mc_ck_ok(mc_graph_create(&g, "if"));
    mc_value *cond = net_input(g, "cond", MCOMP_BOOL, 0, NULL);
    mc_value *x = net_input(g, "x", MCOMP_F32, 2, (int64_t[]){net_symbol(g, "n"), 3});
    mc_ck_ok(mc_graph_create(&yes, "yes"));
    mc_ck_ok(mc_graph_create(&no, "no"));
    mc_ck_ok(mc_graph_add_output(yes, net_node(yes, "Relu", "r", capture(yes, "x", 0), NULL)));
    mc_value *cx = capture(no, "x", 0);
    if (grow) {
        mc_value *two[2] = {cx, cx};
        mc_ck_ok(mc_graph_add_node(no, "", "Concat", 0, "c", 2, two, 1, NULL, &c));
        mc_ck_ok(mc_node_set_i(c, "axis", 0));
        mc_ck_ok(mc_graph_add_output(no, c->out[0]));
    } else {
        mc_ck_ok(mc_graph_add_output(no, net_node(no, "Neg", "m", cx, NULL)));
    }
    mc_ck_ok(mc_graph_sort(yes));
    mc_ck_ok(mc_graph_sort(no));
    mc_value *pre = net_node(g, "Abs", "pre", x, NULL);
    mc_value *centred = net_node(g, "Sub", "sub", x, net_node(g, "Mul", "square", pre, pre));
    mc_ck_ok(mc_graph_add_node(g, "", "If", 0, "if", 1, &cond, 1, NULL, &n));
    mc_ck_ok(mc_node_add_capture(g, n, centred, &at));
    ck_assert_int_eq(at, 0);
    mc_ck_ok(mc_node_set_graph(n, "then_branch", yes));
    mc_ck_ok(mc_node_set_graph(n, "else_branch", no));
    mc_ck_ok(mc_graph_add_output(g, net_node(g, "Exp", "post", n->out[0], NULL)));
    mc_ck_ok(mc_graph_sort(g));
    mc_ck_ok(mc_infer_graph(g));
    return g;
}

START_TEST(both_branches)
{
    const int grow = _i % 2, no_fusion = _i / 2;
    mcomp_session *s = NULL;
    mcomp_exec *e = NULL;
    mcomp_tensor *cond = NULL;
    mcomp_session_options o;
    mc_graph *g = if_graph(grow);
    mc_ck_ok(mcomp_session_options_init(&o, sizeof o));
    o.no_fusion = no_fusion;
    mc_ck_ok(mc_session_open(&s, ctx, g, &o, NULL));
    mc_ck_ok(mcomp_exec_create(&e, s));
    mc_ck_ok(mcomp_tensor_create(&cond, MCOMP_BOOL, 0, NULL));
    for (int64_t k = 0; k < 12; k++) {
        const int64_t n = 1 + k / 2 % 3 * 7;
        mcomp_tensor *x = net_random(2, (int64_t[]){n, 3}, (uint64_t)k);
        const mcomp_tensor *in[2] = {cond, x}, *out[1];
        *(uint8_t *)mcomp_tensor_data(cond) = (uint8_t)(k % 2);
        mc_ck_ok(mcomp_exec_run(e, 2, in, 1, out));
        const float *xv = mcomp_tensor_data(x), *y = mcomp_tensor_data(out[0]);
        ck_assert_int_eq(mcomp_tensor_dims(out[0])[0], k % 2 == 0 && grow ? 2 * n : n);
        for (int64_t i = 0; i < mcomp_tensor_elements(out[0]); i++) {
            const float a = xv[i % (3 * n)], v = a - (a < 0 ? -a : a) * (a < 0 ? -a : a), b = k % 2 ? (v > 0 ? v : 0) : grow ? v : -v;
            ck_assert_float_eq_tol(y[i], expf(b), 1e-5f);
        }
        mcomp_tensor_destroy(x);
    }
    mcomp_tensor_destroy(cond);
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
    mc_graph_destroy(g);
}
END_TEST

/* Loop: acc = acc * a (captured), collecting every acc and the iteration number; stops early when acc[0] > limit. */
static mc_graph *loop_graph(int grow, int forever)
{
    mc_graph *g = NULL, *body = NULL;
    mc_node *n = NULL, *c = NULL;
    int32_t at = 0;
    mc_ck_ok(mc_graph_create(&g, "loop"));
    mc_value *trip = net_input(g, "trip", MCOMP_I64, 0, NULL);
    mc_value *acc = net_input(g, "acc", MCOMP_F32, 1, (int64_t[]){net_symbol(g, "n")});
    mc_value *a = net_input(g, "a", MCOMP_F32, 1, (int64_t[]){1});
    mc_ck_ok(mc_graph_create(&body, "body"));
    mc_value *iter = net_input(body, "iter", MCOMP_I64, 0, NULL), *go = net_input(body, "go", MCOMP_BOOL, 0, NULL);
    const mc_type free_type = {.dtype = MCOMP_F32, .rank = -1};
    mc_value *state = NULL;
    mc_ck_ok(mc_graph_add_input(body, "state", &free_type, &state));
    mc_value *next = net_node(body, "Mul", "mul", state, capture(body, "a", 0));
    if (grow) {
        mc_value *two[2] = {next, state};
        mc_ck_ok(mc_graph_add_node(body, "", "Concat", 0, "cat", 2, two, 1, NULL, &c));
        mc_ck_ok(mc_node_set_i(c, "axis", 0));
        next = c->out[0];
    }
    mc_ck_ok(mc_graph_add_output(body, forever ? go : net_node(body, "Less", "less", iter, scalar(body, MCOMP_I64, 5))));
    mc_ck_ok(mc_graph_add_output(body, next));
    mc_ck_ok(mc_graph_add_output(body, net_node(body, "Identity", "it", iter, NULL)));
    mc_ck_ok(mc_graph_sort(body));
    mc_value *in[3] = {trip, forever ? scalar(g, MCOMP_BOOL, 1) : NULL, acc};
    mc_ck_ok(mc_graph_add_node(g, "", "Loop", 0, "loop", 3, in, 2, NULL, &n));
    mc_ck_ok(mc_node_add_capture(g, n, a, &at));
    mc_ck_ok(mc_node_set_graph(n, "body", body));
    mc_ck_ok(mc_graph_add_output(g, net_node(g, "Neg", "neg", n->out[0], NULL)));
    mc_ck_ok(mc_graph_add_output(g, n->out[1]));
    mc_ck_ok(mc_graph_sort(g));
    mc_ck_ok(mc_infer_graph(g));
    return g;
}

START_TEST(loops)
{
    const int grow = _i % 2;
    mcomp_session *s = NULL;
    mcomp_exec *e = NULL;
    mcomp_tensor *trip = NULL, *a = NULL;
    mc_graph *g = loop_graph(grow, 0);
    mc_ck_ok(mc_session_open(&s, ctx, g, NULL, NULL));
    mc_ck_ok(mcomp_exec_create(&e, s));
    mc_ck_ok(mcomp_tensor_create(&trip, MCOMP_I64, 0, NULL));
    mc_ck_ok(mcomp_tensor_create(&a, MCOMP_F32, 1, (int64_t[]){1}));
    *(float *)mcomp_tensor_data(a) = 2.0f;
    for (int64_t m = 0; m < 9; m++) {
        const int64_t n = 1 + m % 3, times = m < 6 ? m : 6; /* the condition ends it after iteration 5 */
        mcomp_tensor *x = net_random(1, &n, 4);
        const mcomp_tensor *in[3] = {trip, x, a}, *out[2];
        *(int64_t *)mcomp_tensor_data(trip) = m;
        mc_ck_ok(mcomp_exec_run(e, 3, in, 2, out));
        const float *y = mcomp_tensor_data(out[0]), *xv = mcomp_tensor_data(x);
        ck_assert_int_eq(mcomp_tensor_elements(out[0]), grow ? n << times : n);
        ck_assert_float_eq_tol(y[0], -xv[0] * (float)(1 << times), 1e-4f);
        if (!grow) ck_assert_float_eq_tol(y[n - 1], -xv[n - 1] * (float)(1 << times), 1e-4f);
        ck_assert_int_eq(mcomp_tensor_elements(out[1]), times);
        for (int64_t i = 0; i < times; i++) ck_assert_int_eq(((const int64_t *)mcomp_tensor_data(out[1]))[i], i);
        mcomp_tensor_destroy(x);
    }
    mcomp_tensor_destroy(trip);
    mcomp_tensor_destroy(a);
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
    mc_graph_destroy(g);
}
END_TEST

static void *cancel_soon(void *arg)
{
    usleep(30000);
    mcomp_context_cancel(arg);
    return NULL;
}

/* A loop without end stops on request. */
START_TEST(endless)
{
    mcomp_session *s = NULL;
    mcomp_exec *e = NULL;
    mcomp_tensor *trip = NULL, *a = NULL, *x = net_random(1, (int64_t[]){1}, 4);
    pthread_t id;
    mc_graph *g = loop_graph(0, 1);
    mc_ck_ok(mc_session_open(&s, ctx, g, NULL, NULL));
    mc_ck_ok(mcomp_exec_create(&e, s));
    mc_ck_ok(mcomp_tensor_create(&trip, MCOMP_I64, 0, NULL));
    mc_ck_ok(mcomp_tensor_create(&a, MCOMP_F32, 1, (int64_t[]){1}));
    *(int64_t *)mcomp_tensor_data(trip) = INT64_MAX;
    const mcomp_tensor *in[3] = {trip, x, a}, *out[2];
    ck_assert_int_eq(pthread_create(&id, NULL, cancel_soon, ctx), 0);
    mc_ck_fails(mcomp_exec_run(e, 3, in, 2, out), MCOMP_CANCELLED);
    pthread_join(id, NULL);
    mcomp_context_cancel_clear(ctx);
    *(int64_t *)mcomp_tensor_data(trip) = 3;
    mc_ck_ok(mcomp_exec_run(e, 3, in, 2, out));
    ck_assert_int_eq(mcomp_tensor_elements(out[1]), 3);
    mcomp_tensor_destroy(x);
    mcomp_tensor_destroy(trip);
    mcomp_tensor_destroy(a);
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
    mc_graph_destroy(g);
}
END_TEST

typedef struct seen {
    int64_t slots[8], elements[8];
    double first[8];
    int n, stop_at;
} seen;

static int32_t see(void *payload, int64_t slot, const mc_tensor *t)
{
    seen *s = payload;
    if (s->n < 8) {
        s->slots[s->n] = slot;
        s->elements[s->n] = mc_tensor_elements(t);
        s->first[s->n] = mc_tensor_get_f64(t, 0);
    }
    s->n++;
    return s->n == s->stop_at ? mc_fail(MCOMP_CANCELLED, "", "the observer has seen enough") : MCOMP_OK;
}

/* Observe nodes see values as they are, those that others overwrite in place and constants included. */
START_TEST(observers)
{
    mcomp_session *s = NULL;
    mcomp_exec *e = NULL;
    mc_graph *g = NULL;
    seen what = {0};
    mc_node *n = NULL;
    const mc_observer ob = {see, &what};
    mc_ck_ok(mc_graph_create(&g, "observe"));
    mc_value *x = net_input(g, "x", MCOMP_F32, 2, (int64_t[]){net_symbol(g, "n"), 2});
    mc_value *v[3] = {net_node(g, "Neg", "a", x, NULL)};
    v[1] = net_node(g, "Relu", "b", v[0], NULL);
    v[2] = net_node(g, "Neg", "c", v[1], NULL);
    for (int64_t i = 0; i < 3; i++) {
        mc_ck_ok(mc_graph_add_node(g, "mcomp", "Observe", 0, NULL, 1, &v[i], 0, NULL, &n));
        ck_assert_ptr_nonnull(n->desc);
        mc_ck_ok(mc_node_set_i(n, "slot", 10 + i));
    }
    mc_ck_ok(mc_graph_add_output(g, net_node(g, "Exp", "y", v[2], NULL)));
    mc_ck_ok(mc_graph_sort(g));
    mc_ck_ok(mc_session_open(&s, ctx, g, NULL, &ob));
    mc_ck_ok(mcomp_exec_create(&e, s));
    mcomp_tensor *t = NULL;
    mc_ck_ok(mcomp_tensor_create(&t, MCOMP_F32, 2, (int64_t[]){3, 2}));
    ((float *)mcomp_tensor_data(t))[0] = -4.0f;
    const mcomp_tensor *in[1] = {t}, *out[1];
    mc_ck_ok(mcomp_exec_run(e, 1, in, 1, out));
    ck_assert_int_eq(what.n, 3);
    static const double want[3] = {4.0, 4.0, -4.0};
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(what.elements[i], 6);
        ck_assert_double_eq(what.first[i], want[what.slots[i] - 10]);
    }
    what = (seen){.stop_at = 2};
    mc_ck_fails(mcomp_exec_run(e, 1, in, 1, out), MCOMP_CANCELLED);
    ck_assert_int_eq(what.n, 2);
    mcomp_tensor_destroy(t);
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
    mc_graph_destroy(g);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("control");
    TCase *c = tcase_create("control");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, both_branches, 0, 4);
    tcase_add_loop_test(c, loops, 0, 2);
    tcase_add_test(c, endless);
    if (mc_op_find("mcomp", "Observe")) tcase_add_test(c, observers);
    suite_add_tcase(suite, c);
    return mc_test_main(suite);
}
