/* Gradient checkpointing: the same bits from less memory. Each net is differentiated twice, once rewritten, and run by the references
 * and by sessions. Sizes are such that activations, not the kernels' scratch, fill a plan's memory. */
#include <stdio.h>

#include "passes/passes.h"
#include "support/interp.h"
#include "support/node.h"
#include "support/support.h"

typedef struct net {
    mc_graph *g;
    mc_value *loss, *wrt[80];
    int64_t n_wrt;
    uint64_t seed;
} net;

static mc_value *weight(net *n, int32_t rank, const int64_t *dims)
{
    mc_value *w = mc_test_random_const(n->g, ++n->seed, 0.4f, rank, dims);
    n->wrt[n->n_wrt++] = w;
    return w;
}

static mc_value *dense(net *n, mc_value *x, int64_t from, int64_t to)
{
    mc_value *w = weight(n, 2, (int64_t[]){from, to}), *b = weight(n, 1, &to);
    return mc_test_op(n->g, "Add", 2, mc_test_op(n->g, "MatMul", 2, x, w), b);
}

static mc_value *mean_square(net *n, mc_value *y)
{
    mc_value *loss = mc_test_op(n->g, "ReduceMean", 1, mc_test_op(n->g, "Mul", 2, y, y));
    mc_ck_ok(mc_node_set_i(loss->producer, "keepdims", 0));
    return loss;
}

/* Residual blocks: x + W2 gelu(W1 norm(x)); the batch is a symbol. */
static void residual(net *n)
{
    mc_type t = {.dtype = MCOMP_F32, .rank = 2, .dim = {0, 16}};
    mc_value *x;
    const int64_t d = 16;
    mc_ck_ok(mc_graph_symbol(n->g, "batch", &t.dim[0]));
    mc_ck_ok(mc_graph_add_input(n->g, "x", &t, &x));
    for (int i = 0; i < 8; i++) {
        mc_value *norm = mc_test_op(n->g, "LayerNormalization", 3, x, weight(n, 1, &d), weight(n, 1, &d));
        mc_value *h = mc_test_op(n->g, "Gelu", 1, dense(n, norm, 16, 48));
        x = mc_test_op(n->g, "Add", 2, x, dense(n, h, 48, 16));
        char name[32];
        snprintf(name, sizeof name, "block%d/out", i);
        mc_value *named;
        mc_node *id;
        mc_ck_ok(mc_graph_add_node(n->g, "", "Mul", 0, name, 2, (mc_value *[]){x, mc_test_scalar(n->g, 0.9f)}, 1, NULL, &id));
        named = id->out[0];
        x = named;
    }
    n->loss = mean_square(n, x);
}

static mc_value *heads(net *n, mc_value *x)
{
    mc_value *y = mc_test_op(n->g, "Transpose", 1, mc_test_op(n->g, "Reshape", 2, x, mc_test_i64s(n->g, 4, (int64_t)0, (int64_t)0, (int64_t)2, (int64_t)8)));
    mc_ck_ok(mc_node_set_ints(y->producer, "perm", (int64_t[]){0, 2, 1, 3}, 4));
    return y;
}

/* Drawn from the key, so it drops the same elements when it runs again. */
static mc_value *dropped(net *n, mc_value *x, mc_value *key, int64_t stream)
{
    mc_node *made;
    mc_ck_ok(mc_graph_add_node(n->g, "mcomp", "Dropout", 0, NULL, 2, (mc_value *[]){x, key}, 1, NULL, &made));
    mc_ck_ok(mc_node_set_f(made, "ratio", 0.2f));
    mc_ck_ok(mc_node_set_i(made, "stream", stream));
    return made->out[0];
}

/* Attention by hand with dropout, embeddings in front (an integer input starts the first segment). */
static void attention(net *n)
{
    const int64_t ids_dims[] = {8, 64}, table_dims[] = {20, 16};
    const int64_t two = 2;
    mc_value *ids = mc_test_input(n->g, "ids", MCOMP_I64, 2, ids_dims), *key = mc_test_input(n->g, "key", MCOMP_I64, 1, &two), *x = mc_test_op(n->g, "Gather", 2, weight(n, 2, table_dims), ids);
    for (int i = 0; i < 4; i++) {
        mc_value *q = heads(n, dense(n, x, 16, 16)), *k = heads(n, dense(n, x, 16, 16)), *v = heads(n, dense(n, x, 16, 16));
        mc_value *kt = mc_test_op(n->g, "Transpose", 1, k);
        mc_ck_ok(mc_node_set_ints(kt->producer, "perm", (int64_t[]){0, 1, 3, 2}, 4));
        mc_value *p = dropped(n, mc_test_op(n->g, "Softmax", 1, mc_test_op(n->g, "MatMul", 2, q, kt)), key, i);
        mc_value *y = mc_test_op(n->g, "Transpose", 1, mc_test_op(n->g, "MatMul", 2, p, v));
        mc_ck_ok(mc_node_set_ints(y->producer, "perm", (int64_t[]){0, 2, 1, 3}, 4));
        y = mc_test_op(n->g, "Reshape", 2, y, mc_test_i64s(n->g, 3, (int64_t)0, (int64_t)0, (int64_t)16));
        x = mc_test_op(n->g, "Add", 2, x, dense(n, y, 16, 16));
        x = mc_test_op(n->g, "Add", 2, x, dense(n, mc_test_op(n->g, "Tanh", 1, dense(n, x, 16, 32)), 32, 16));
    }
    n->loss = mean_square(n, x);
}

/* Convolutions, batch normalization in training mode, pooling, skips over two blocks. */
static void convolution(net *n)
{
    const int64_t dims[] = {8, 4, 24, 24}, w[] = {4, 4, 3, 3}, c[] = {4};
    mc_value *x = mc_test_input(n->g, "x", MCOMP_F32, 4, dims), *skip = x;
    for (int i = 0; i < 8; i++) {
        mc_value *y = mc_test_op(n->g, "Conv", 2, x, weight(n, 4, w));
        mc_ck_ok(mc_node_set_ints(y->producer, "pads", (int64_t[]){1, 1, 1, 1}, 4));
        mc_value *in[5] = {y, weight(n, 1, c), weight(n, 1, c), mc_test_random_const(n->g, 3, 0.1f, 1, c), mc_test_random_const(n->g, 4, 0.1f, 1, c)};
        mc_node *norm;
        mc_ck_ok(mc_graph_add_node(n->g, "", "BatchNormalization", 0, NULL, 5, in, 3, NULL, &norm));
        mc_ck_ok(mc_node_set_i(norm, "training_mode", 1));
        if (i % 3 == 0) mc_ck_ok(mc_graph_add_output(n->g, norm->out[1])); /* running moments leave the graph once */
        x = mc_test_op(n->g, "Relu", 1, norm->out[0]);
        if (i % 2 == 1) {
            x = mc_test_op(n->g, "Add", 2, x, skip);
            skip = x;
        }
    }
    n->loss = mean_square(n, mc_test_op(n->g, "GlobalAveragePool", 1, x));
}

static void (*const nets[])(net *) = {residual, attention, convolution};

/* Loss and gradients as outputs. */
static net build(int which)
{
    net n = {.seed = 10};
    mc_value *grads[80];
    mc_ck_ok(mc_graph_create(&n.g, "net"));
    nets[which](&n);
    mc_ck_ok(mc_graph_add_output(n.g, n.loss));
    mc_ck_ok(mc_graph_sort(n.g));
    mc_ck_ok(mc_gradient(n.g, n.loss, n.n_wrt, n.wrt, grads));
    for (int64_t i = 0; i < n.n_wrt; i++) {
        ck_assert_ptr_nonnull(grads[i]);
        if (i < MC_TEST_IO - 1) mc_ck_ok(mc_graph_add_output(n.g, grads[i]));
    }
    mc_ck_ok(mc_graph_remove_dead(n.g, NULL));
    return n;
}

static void same_bits(const mc_test_set *a, const mc_test_set *b, const char *what)
{
    ck_assert_int_eq(a->n, b->n);
    for (int64_t i = 0; i < a->n; i++) {
        ck_assert(mc_shape_equal(&a->t[i]->shape, &b->t[i]->shape));
        ck_assert_msg(memcmp(a->t[i]->data, b->t[i]->data, (size_t)mc_tensor_bytes(a->t[i])) == 0, "%s: output %lld differs", what, (long long)i);
    }
}

START_TEST(same_gradients_less_memory)
{
    static const int64_t batch[] = {2000};
    static const char *const bad[] = {"block1/out", "block?/nothing", NULL}, *const good[] = {"block1/out", "block3/*", "block5/out", NULL};
    const mc_recompute_options options[] = {{0}, {.segments = 3}, {.after = bad}};
    const int which = _i / 3, how = _i % 3;
    mc_recompute_report report;
    uint64_t before, after;
    if (how == 2 && which != 0) return; /* named blocks are in the first net */
    net plain = build(which), less = build(which);
    mc_recompute_options o = options[how];
    if (how == 2) {
        mc_ck_fails(mc_recompute(less.g, less.loss, &o, &report), MCOMP_ARGUMENT);
        ck_assert_msg(strstr(mc_error_peek()->message, "nothing") != NULL, "%s", mc_error_peek()->message);
        o.after = good;
    }
    mc_ck_ok(mc_recompute(less.g, less.loss, &o, &report));
    ck_assert_int_gt(report.nodes, 5);
    ck_assert_int_ge(report.segments, 3);
    if (how == 2) ck_assert_int_eq(report.segments, 4);
    mc_ck_ok(mc_graph_validate(less.g));
    mc_test_set in = mc_test_inputs(plain.g, 7, 19, batch, 1);
    mc_test_set a = mc_test_interp(plain.g, &in), b = mc_test_interp(less.g, &in);
    same_bits(&a, &b, "references");
    mc_test_set c = mc_test_session(plain.g, &in, &before), d = mc_test_session(less.g, &in, &after);
    /* a forward part that nobody reads any more may be fused (attention): other kernels, other rounding */
    if (which == 1) mc_test_same_outputs(plain.g, &c, less.g, &d, 1e-4, 1e-6);
    else same_bits(&c, &d, "sessions");
    printf("# net %d, %d segments, %d nodes again: %.1f KiB -> %.1f KiB\n", which, (int)report.segments, (int)report.nodes,
           (double)before / 1024.0, (double)after / 1024.0);
    ck_assert_msg((double)after < 0.8 * (double)before, "from %llu to %llu bytes", (unsigned long long)before, (unsigned long long)after);
    mc_test_set_free(&in);
    mc_test_set_free(&a);
    mc_test_set_free(&b);
    mc_test_set_free(&c);
    mc_test_set_free(&d);
    mc_graph_destroy(plain.g);
    mc_graph_destroy(less.g);
}
END_TEST

int main(void)
{
    mc_ops_register();
    Suite *s = suite_create("passes/recompute");
    TCase *tc = tcase_create("recompute");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, same_gradients_less_memory, 0, 9);
    suite_add_tcase(s, tc);
    return mc_test_main(s);
}
