/* deeploy-cct, Models/Training: whole runs of plain SGD. The file holds forward, loss and another tool's backward graph; only the
 * forward part is kept, in standard operators, and our gradients train it. The four losses and the weights after the run must be
 * the file's. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "deeploy.h"
#include "onnx/onnx.h"
#include "passes/passes.h"

#define RATE 0.001 /* lr of the SGD nodes in <x>_optimizer */

static const char *root;

typedef struct run {
    mc_graph *g;
    mc_tensor *in[DP_IO]; /* batch, labels, weights */
    double *sum[DP_IO];   /* accumulated gradients */
    int32_t n_weights, n_accum;
} run;

/* The exporter imports the default set twice, as 21 and as 17, which the importer rightly refuses; the nodes are of 21. */
static mc_graph *load(const char *path)
{
    static const char twice[] = {0x42, 2, 0x10, 17}; /* opset_import { version: 17 } */
    char *data = NULL;
    uint64_t bytes;
    mc_graph *g;
    int found = 0;
    mc_ck_ok(mc_file_read(path, (uint64_t)64 << 20, &data, &bytes));
    for (uint64_t i = 0; i + 4 <= bytes; i++)
        if (memcmp(data + i, twice, 4) == 0) {
            data[i + 3] = 21;
            found++;
        }
    ck_assert_int_eq(found, 1);
    mc_ck_ok(mc_onnx_load_memory(&g, NULL, data, bytes));
    mc_free(data);
    return g;
}

static mc_value *standard_batch_norm(mc_graph *g, const mc_node *n)
{
    mc_node *made;
    mc_ck_ok(mc_graph_add_node(g, "", "BatchNormalization", 0, NULL, 5, n->in, 1, NULL, &made));
    mc_ck_ok(mc_node_set_i(made, "training_mode", 1));
    mc_ck_ok(mc_node_set_f(made, "epsilon", mc_attr_f(n, "epsilon", 0.0f)));
    return made->out[0];
}

static mc_value *standard_squares(mc_graph *g, const mc_node *n)
{
    mc_value *miss = mc_test_op(g, "Sub", 2, n->in[0], n->in[1]), *loss = mc_test_op(g, "ReduceMean", 1, mc_test_op(g, "Mul", 2, miss, miss));
    mc_ck_ok(mc_node_set_i(loss->producer, "keepdims", 0));
    return loss;
}

/* Only the loss stays, and the inputs that it depends on: the batch, its labels or target, the weights. */
static mc_value *keep_forward(mc_graph *g)
{
    const int64_t n = g->n_nodes;
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++) {
        mc_node *x = g->nodes[i];
        mc_value *y = NULL;
        if (mc_node_is_in(x, "com.microsoft", "BatchNormInternal")) y = standard_batch_norm(g, x);
        if (mc_node_is(x, "MSELoss")) y = standard_squares(g, x);
        if (y) mc_ck_ok(mc_graph_replace_uses(g, x->out[0], y));
    }
    for (int64_t i = 1; i < g->n_outputs; i++) g->outputs[i]->flags &= ~(uint32_t)MC_VALUE_OUTPUT;
    g->n_outputs = 1;
    mc_ck_ok(mc_graph_remove_dead(g, NULL));
    for (int64_t i = 0; i < g->n_inputs; i++)
        if (g->inputs[i]->n_uses > 0) g->inputs[kept++] = g->inputs[i];
    g->n_inputs = kept;
    mc_ck_ok(mc_infer_graph(g));
    return g->outputs[0];
}

static run open_run(const dp_case *c)
{
    run r = {.n_accum = 1};
    char path[700];
    mc_value *grads[DP_IO];
    snprintf(path, sizeof path, "%s/network.onnx", c->dir);
    r.g = load(path);
    mc_value *loss = keep_forward(r.g);
    r.n_weights = (int32_t)r.g->n_inputs - 2;
    ck_assert(r.n_weights > 0 && r.g->n_inputs <= DP_IO);
    mc_ck_ok(mc_gradient(r.g, loss, r.n_weights, r.g->inputs + 2, grads));
    for (int32_t i = 0; i < r.n_weights; i++) {
        const mc_tensor *w = dp_at(&c->in, 0, 2 + i);
        ck_assert_msg(grads[i] != NULL && w != NULL, "%s: weight %d", c->dir, i);
        mc_ck_ok(mc_graph_add_output(r.g, grads[i]));
        mc_ck_ok(mc_tensor_copy(&r.in[2 + i], w));
        r.sum[i] = mc_calloc((size_t)mc_tensor_elements(w), sizeof(double));
    }
    mc_ck_ok(mc_graph_sort(r.g));
    mc_ck_ok(mc_graph_validate(r.g));
    const mc_tensor *accum = dp_find(&c->in, "meta_n_accum");
    if (accum) r.n_accum = (int32_t)mc_tensor_get_i64(accum, 0);
    return r;
}

static void close_run(run *r)
{
    for (int32_t i = 0; i < r->n_weights; i++) {
        mc_free(r->sum[i]);
        mc_tensor_destroy(r->in[2 + i]);
    }
    mc_graph_destroy(r->g);
}

/* Sums the gradients of one batch; after n_accum of them the weights take a step. */
static void step(run *r, mc_tensor *const *out, int64_t batch)
{
    for (int32_t i = 0; i < r->n_weights; i++) {
        float *w = r->in[2 + i]->data;
        for (int64_t k = 0; k < mc_tensor_elements(r->in[2 + i]); k++) {
            r->sum[i][k] += mc_tensor_get_f64(out[1 + i], k);
            if ((batch + 1) % r->n_accum) continue;
            w[k] = (float)((double)w[k] - RATE * r->sum[i][k]);
            r->sum[i][k] = 0.0;
        }
    }
}

static void train(const dp_case *c, int fast)
{
    run r = open_run(c);
    const mc_tensor *losses = dp_find(&c->out, "loss");
    dp_runner *runner = dp_runner_open(r.g, fast);
    double worst = 0.0;
    ck_assert(losses && mc_tensor_elements(losses) == mc_tensor_get_i64(dp_find(&c->in, "meta_n_batches"), 0));
    for (int64_t b = 0; b < mc_tensor_elements(losses); b++) {
        mc_tensor *out[DP_IO];
        for (int k = 0; k < 2; k++) mc_ck_ok(mc_tensor_copy(&r.in[k], dp_at(&c->in, (int)b, k)));
        dp_run(runner, r.in, out);
        const double got = mc_tensor_get_f64(out[0], 0), want = mc_tensor_get_f64(losses, b);
        ck_assert_msg(fabs(got - want) <= 2e-6 * fabs(want), "%s: loss %lld is %.9g, not %.9g", c->dir, (long long)b, got, want);
        step(&r, out, b);
        for (int32_t i = 0; i <= r.n_weights; i++) mc_tensor_destroy(out[i]);
        for (int k = 0; k < 2; k++) mc_tensor_destroy(r.in[k]);
    }
    for (int32_t i = 0; i < r.n_weights; i++) {
        const char *name = r.g->inputs[2 + i]->name;
        const mc_tensor *want = dp_find(&c->out, name);
        ck_assert_msg(want != NULL, "%s: no weight %s", c->dir, name);
        worst = fmax(worst, dp_compare(name, r.in[2 + i], want, 1e-6, 1e-7));
    }
    printf("# %s %s: weights within %.2g\n", strrchr(c->dir, '/') + 1, fast ? "session" : "references", worst);
    dp_runner_close(runner);
    close_run(&r);
}

static const char *const models[] = {"SimpleMLP/simplemlp_train", "Autoencoder/autoencoder_train", "DSCNN/dscnn_train", "ResNet8/resnet8_train"};

START_TEST(whole_run)
{
    dp_case c;
    char dir[600];
    if (mc_test_skip_without_data()) return;
    ck_assert_ptr_nonnull(root);
    snprintf(dir, sizeof dir, "%s/Models/Training/%s", root, models[_i]);
    dp_open(&c, dir);
    train(&c, 0);
    train(&c, 1);
    dp_close(&c);
}
END_TEST

int main(int argc, char **argv)
{
    mc_ops_register();
    Suite *s = suite_create("conformance/deeploy_train");
    TCase *tc = tcase_create("train");
    root = argc > 1 ? dp_unpack(argv[1]) : NULL;
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, whole_run, 0, 4);
    suite_add_tcase(s, tc);
    return mc_test_main(s);
}
