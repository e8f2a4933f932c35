/* deeploy-cct, Kernels: one backward (or loss) node each, recomputed by building the forward graph and taking its gradient. The
 * node of network.onnx gives the attributes only; its operators are no standard. */
#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "deeploy.h"
#include "onnx/onnx.h"
#include "passes/passes.h"

#define MAX_CASES 64
static char folders[MAX_CASES][600];
static int n_folders;

typedef struct work {
    const dp_case *c;
    const mc_node *node; /* attributes */
    mc_graph *g;
    mc_tensor *feed[8];
    mc_value *y, *dy;        /* the loss is sum(y dy), or y alone without dy */
    mc_value *wrt[3];        /* in the order of the golden outputs */
    mc_value *result[3];     /* forward cases: compared as they are */
} work;

static const mc_tensor *arg(const work *w, int32_t k)
{
    const mc_tensor *t = dp_find(&w->c->in, w->node->in[k]->name);
    if (!t) t = dp_at(&w->c->in, 0, k);
    ck_assert_msg(t != NULL, "%s: input %d", w->c->dir, k);
    return t;
}

static const mc_tensor *golden(const work *w, int32_t k)
{
    const mc_tensor *t = NULL;
    int32_t found = -1;
    for (int32_t i = 0; i < w->node->n_out && !t; i++) /* dangling outputs are in no file */
        if ((t = dp_find(&w->c->out, w->node->out[i]->name)) && ++found < k) t = NULL;
    return t ? t : dp_at(&w->c->out, 0, k);
}

static mc_value *feed(work *w, const mc_tensor *t)
{
    const mc_type type = mc_type_of(t);
    mc_value *v;
    const int64_t i = w->g->n_inputs;
    mc_ck_ok(mc_graph_add_input(w->g, NULL, &type, &v));
    mc_ck_ok(mc_tensor_copy(&w->feed[i], t));
    return v;
}

/* An input of zeros like t. */
static mc_value *blank(work *w, const mc_tensor *t)
{
    mc_value *v = feed(w, t);
    memset(w->feed[w->g->n_inputs - 1]->data, 0, (size_t)mc_tensor_bytes(t));
    return v;
}

/* The node's attributes that the forward operator has too. */
static mc_value *forward(work *w, const char *op, int32_t n_out, int32_t n, mc_value *const *in)
{
    static const char *const ints[] = {"pads", "strides", "dilations", "kernel_shape"}, *const numbers[] = {"group", "ceil_mode", "axis"};
    mc_node *made;
    int64_t count;
    mc_ck_ok(mc_graph_add_node(w->g, "", op, 0, NULL, n, in, n_out, NULL, &made));
    const int window = strcmp(op, "Conv") == 0 || strcmp(op, "MaxPool") == 0 || strcmp(op, "AveragePool") == 0;
    for (int i = 0; i < 4 && window; i++) {
        const int64_t *v = mc_attr_ints(w->node, ints[i], &count);
        if (v) mc_ck_ok(mc_node_set_ints(made, ints[i], v, count));
    }
    for (int i = 0; i < 3; i++)
        if (mc_node_attr(w->node, numbers[i])) mc_ck_ok(mc_node_set_i(made, numbers[i], mc_attr_i(w->node, numbers[i], 0)));
    if (mc_node_attr(w->node, "epsilon")) mc_ck_ok(mc_node_set_f(made, "epsilon", mc_attr_f(w->node, "epsilon", 0.0f)));
    return made->out[0];
}

static void conv(work *w)
{
    const int by_weight = strcmp(w->node->op, "ConvGradW") == 0, by_input = strcmp(w->node->op, "ConvGradX") == 0;
    w->dy = feed(w, arg(w, 0));
    mc_value *x = by_input ? blank(w, golden(w, 0)) : feed(w, arg(w, 1));
    mc_value *k = by_weight ? blank(w, golden(w, 0)) : feed(w, arg(w, by_input ? 1 : 2));
    w->y = forward(w, "Conv", 1, 2, (mc_value *[]){x, k});
    w->wrt[0] = by_weight ? k : x;
    w->wrt[1] = by_weight || by_input ? NULL : k;
}

static void average_pool(work *w)
{
    const int global = strncmp(w->node->op, "Global", 6) == 0;
    w->dy = feed(w, arg(w, 0));
    w->wrt[0] = blank(w, golden(w, 0));
    w->y = forward(w, global ? "GlobalAveragePool" : "AveragePool", 1, 1, w->wrt);
}

static mc_value *transposed(work *w, mc_value *x, const int64_t *perm)
{
    mc_value *y = mc_test_op(w->g, "Transpose", 1, x);
    mc_ck_ok(mc_node_set_ints(y->producer, "perm", perm, 4));
    return y;
}

static void max_pool(work *w)
{
    const int last = strstr(w->c->dir, "older") != NULL; /* that one case is channels-last */
    w->dy = feed(w, arg(w, 0));
    w->wrt[0] = feed(w, arg(w, 1));
    mc_value *x = last ? transposed(w, w->wrt[0], (const int64_t[]){0, 3, 1, 2}) : w->wrt[0];
    w->y = forward(w, "MaxPool", 1, 1, &x);
    if (last) w->y = transposed(w, w->y, (const int64_t[]){0, 2, 3, 1});
}

static void unary(work *w)
{
    w->dy = feed(w, arg(w, 0));
    w->wrt[0] = feed(w, arg(w, 1));
    w->y = forward(w, strcmp(w->node->op, "ReluGrad") == 0 ? "Relu" : "Gelu", 1, 1, w->wrt);
}

/* Given is y = softmax(x): log y is such an x. */
static void softmax(work *w)
{
    w->dy = feed(w, arg(w, 0));
    w->wrt[0] = feed(w, arg(w, 1));
    mc_tensor *x = w->feed[1];
    for (int64_t i = 0; i < mc_tensor_elements(x); i++) ((float *)x->data)[i] = logf(((float *)x->data)[i]);
    w->y = forward(w, "Softmax", 1, 1, w->wrt);
}

static void layer_norm(work *w)
{
    w->dy = feed(w, arg(w, 0));
    for (int32_t i = 0; i < 2; i++) w->wrt[i] = feed(w, arg(w, 1 + i));
    w->wrt[2] = blank(w, golden(w, 2));
    w->y = forward(w, "LayerNormalization", 1, 3, w->wrt);
}

static mc_value *batch_norm(work *w, mc_value *x, mc_value *scale, mc_value *bias, mc_value *mean, mc_value *var)
{
    mc_value *y = forward(w, "BatchNormalization", 3, 5, (mc_value *[]){x, scale, bias, mean, var});
    mc_ck_ok(mc_node_set_i(y->producer, "training_mode", 1));
    mc_ck_ok(mc_node_set_f(y->producer, "momentum", 0.0f)); /* the outputs are the batch's own moments */
    return y;
}

static void batch_norm_gradient(work *w)
{
    w->dy = feed(w, arg(w, 0));
    for (int32_t i = 0; i < 2; i++) w->wrt[i] = feed(w, arg(w, 1 + i));
    w->wrt[2] = blank(w, golden(w, 2));
    w->y = batch_norm(w, w->wrt[0], w->wrt[1], w->wrt[2], blank(w, arg(w, 3)), blank(w, arg(w, 4)));
}

static void batch_norm_forward(work *w)
{
    mc_value *in[5];
    for (int32_t i = 0; i < 5; i++) in[i] = feed(w, arg(w, i));
    const mc_node *n = batch_norm(w, in[0], in[1], in[2], in[3], in[4])->producer;
    w->result[0] = n->out[0];
    w->result[1] = n->out[1];
    mc_value *eps = mc_test_scalar(w->g, mc_attr_f(w->node, "epsilon", 0.0f));
    w->result[2] = mc_test_op(w->g, "Reciprocal", 1, mc_test_op(w->g, "Sqrt", 1, mc_test_op(w->g, "Add", 2, n->out[2], eps)));
}

static void squared_error(work *w)
{
    mc_value *x = feed(w, arg(w, 0)), *miss = mc_test_op(w->g, "Sub", 2, x, feed(w, arg(w, 1)));
    mc_value *loss = mc_test_op(w->g, "ReduceMean", 1, mc_test_op(w->g, "Mul", 2, miss, miss));
    mc_ck_ok(mc_node_set_i(loss->producer, "keepdims", 0));
    if (strcmp(w->node->op, "MSELoss") == 0) {
        w->result[0] = mc_test_op(w->g, "Unsqueeze", 2, loss, mc_test_i64s(w->g, 1, (int64_t)0));
        return;
    }
    w->y = loss;
    w->wrt[0] = x;
}

/* The golden of the gradient is for a loss times loss_grad, of which the file holds one an element: 1/4 (README). */
static void entropy(work *w)
{
    mc_value *in[2] = {feed(w, arg(w, 0)), feed(w, arg(w, 1))}, *loss = forward(w, "SoftmaxCrossEntropyLoss", 2, 2, in);
    if (strcmp(w->node->op, "SoftmaxCrossEntropyLoss") == 0) {
        w->result[0] = loss->producer->out[1];
        return;
    }
    const mc_tensor *factor = dp_find(&w->c->in, "loss_grad");
    ck_assert_ptr_nonnull(factor);
    w->y = mc_test_op(w->g, "Mul", 2, loss, mc_test_scalar(w->g, ((const float *)factor->data)[0]));
    w->wrt[0] = in[0];
}

static const struct {
    const char *op;
    void (*build)(work *w);
} families[] = {
    {"ConvGrad", conv}, {"ConvGradW", conv}, {"ConvGradX", conv}, {"AveragePoolGrad", average_pool},
    {"GlobalAveragePoolGrad", average_pool}, {"MaxPoolGrad", max_pool}, {"ReluGrad", unary}, {"GeluGrad", unary},
    {"SoftmaxGrad", softmax}, {"LayerNormalizationGrad", layer_norm}, {"BatchNormalizationGrad", batch_norm_gradient},
    {"BatchNormInternal", batch_norm_forward}, {"MSELoss", squared_error}, {"MSELossGrad", squared_error},
    {"SoftmaxCrossEntropyLoss", entropy}, {"SoftmaxCrossEntropyLossGrad", entropy},
};

static int32_t add_results(work *w)
{
    int32_t n = 0;
    mc_ck_ok(mc_graph_sort(w->g));
    mc_ck_ok(mc_infer_graph(w->g));
    if (w->y) {
        mc_value *loss = w->y;
        if (w->dy) {
            loss = mc_test_op(w->g, "ReduceSum", 1, mc_test_op(w->g, "Mul", 2, w->y, w->dy));
            mc_ck_ok(mc_node_set_i(loss->producer, "keepdims", 0));
        }
        while (n < 3 && w->wrt[n]) n++;
        mc_ck_ok(mc_gradient(w->g, loss, n, w->wrt, w->result));
    }
    for (n = 0; n < 3 && w->result[n]; n++) mc_ck_ok(mc_graph_add_output(w->g, w->result[n]));
    mc_ck_ok(mc_graph_remove_dead(w->g, NULL));
    return n;
}

START_TEST(kernel)
{
    dp_case c;
    char path[700];
    mc_graph *net;
    if (_i >= n_folders) return; /* no data */
    dp_open(&c, folders[_i]);
    snprintf(path, sizeof path, "%s/network.onnx", c.dir);
    mc_ck_ok(mc_onnx_load(&net, NULL, path, NULL));
    ck_assert_int_eq(net->n_order, 1);
    work w = {.c = &c, .node = net->order[0]};
    mc_ck_ok(mc_graph_create(&w.g, "kernel"));
    size_t f = 0;
    while (f < sizeof families / sizeof *families && strcmp(families[f].op, w.node->op) != 0) f++;
    ck_assert_msg(f < sizeof families / sizeof *families, "%s: no family %s", c.dir, w.node->op);
    families[f].build(&w);
    const int32_t n = add_results(&w);
    ck_assert_int_eq(n, c.out.n);
    for (int fast = 0; fast < 2; fast++) {
        mc_tensor *out[3];
        dp_runner *r = dp_runner_open(w.g, fast);
        dp_run(r, w.feed, out);
        for (int32_t k = 0; k < n; k++) {
            double size = 0.0;
            const mc_tensor *want = golden(&w, k);
            for (int64_t i = 0; i < mc_tensor_elements(want); i++) size = fmax(size, fabs(mc_tensor_get_f64(want, i)));
            dp_compare(c.dir, out[k], want, 2e-5, 2e-6 * size);
            mc_tensor_destroy(out[k]);
        }
        dp_runner_close(r);
    }
    for (int64_t i = 0; i < w.g->n_inputs; i++) mc_tensor_destroy(w.feed[i]);
    mc_graph_destroy(w.g);
    mc_graph_destroy(net);
    dp_close(&c);
}
END_TEST

START_TEST(all_are_there)
{
    if (mc_test_skip_without_data()) return;
    ck_assert_int_eq(n_folders, 43);
}
END_TEST

static int visit(const char *path, const struct stat *st, int kind, struct FTW *f)
{
    const size_t n = strlen(path);
    (void)st;
    (void)kind;
    (void)f;
    if (strstr(path, "/Kernels/") && n > 13 && strcmp(path + n - 13, "/network.onnx") == 0 && n_folders < MAX_CASES)
        snprintf(folders[n_folders++], sizeof *folders, "%.*s", (int)(n - 13), path);
    return 0;
}

int main(int argc, char **argv)
{
    mc_ops_register();
    Suite *s = suite_create("conformance/deeploy_kernels");
    TCase *tc = tcase_create("kernels");
    const char *at = argc > 1 ? dp_unpack(argv[1]) : NULL;
    if (at) nftw(at, visit, 8, FTW_PHYS);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, all_are_there);
    tcase_add_loop_test(tc, kernel, 0, 43);
    suite_add_tcase(s, tc);
    return mc_test_main(s);
}
