/* Small models of many shapes, written by the library itself. */
#include <mcomp/graph.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/base.h"
#include "fuzz/fuzz.h"

static void check(int32_t st, const char *what)
{
    if (st == MCOMP_OK) return;
    fprintf(stderr, "seed: %s: %s: %s\n", what, mcomp_status_name(st), mc_error_peek()->message);
    exit(1);
}
#define CHECK(expr) check((expr), #expr)

static void node(mcomp_graph *g, const char *op, const char *a, const char *b, const char *y)
{
    const char *in[2] = {a, b};
    CHECK(mcomp_graph_add_node(g, op, NULL, b ? 2 : 1, in, 1, &y));
}

static void constant(mcomp_graph *g, const char *name, int32_t dtype, int32_t rank, const int64_t *dims)
{
    mcomp_tensor *t;
    CHECK(mcomp_tensor_create(&t, dtype, rank, dims));
    CHECK(mcomp_graph_add_constant(g, name, t));
    mcomp_tensor_destroy(t);
}

static void finish(mcomp_graph *g, const char *output, mc_fuzz_give give, void *payload)
{
    char path[64], *data;
    uint64_t n;
    mcomp_save_options o;
    snprintf(path, sizeof path, "/tmp/mcomp-seed-%ld.onnx", (long)getpid());
    CHECK(mcomp_graph_add_output(g, output));
    CHECK(mcomp_graph_finish(g));
    CHECK(mcomp_save_options_init(&o, sizeof o));
    o.overwrite = 1;
    CHECK(mcomp_graph_save(g, path, &o));
    CHECK(mc_file_read(path, 1 << 20, &data, &n));
    give(payload, (const uint8_t *)data, (size_t)n);
    mc_free(data);
    (void)unlink(path);
    mcomp_graph_destroy(g);
}

void mc_fuzz_seeds(mc_fuzz_give give, void *payload)
{
    static const int64_t image[4] = {-1, 3, 8, 8}, filter[4] = {4, 3, 3, 3}, four[1] = {4}, matrix[2] = {-1, 16}, weight[2] = {16, 4}, one[1] = {1}, two[1] = {2};
    static const char *const names[4] = {"N", NULL, NULL, NULL};
    mcomp_context *ctx;
    mcomp_context_options o;
    mcomp_graph *g;
    CHECK(mcomp_context_options_init(&o, sizeof o));
    o.threads = 1;
    CHECK(mcomp_context_create(&ctx, &o));

    CHECK(mcomp_graph_create(&g, ctx, "conv", 13));
    CHECK(mcomp_graph_add_input(g, "x", MCOMP_F32, 4, image, names));
    constant(g, "w", MCOMP_F32, 4, filter);
    constant(g, "b", MCOMP_F32, 1, four);
    const char *in[3] = {"x", "w", "b"}, *out[1] = {"c"};
    CHECK(mcomp_graph_add_node(g, "Conv", "conv", 3, in, 1, out));
    node(g, "Relu", "c", NULL, "r");
    node(g, "GlobalAveragePool", "r", NULL, "p");
    node(g, "Flatten", "p", NULL, "f");
    node(g, "Softmax", "f", NULL, "y");
    finish(g, "y", give, payload);

    CHECK(mcomp_graph_create(&g, ctx, "mlp", 11));
    CHECK(mcomp_graph_add_input(g, "x", MCOMP_F32, 2, matrix, names));
    constant(g, "w", MCOMP_F32, 2, weight);
    constant(g, "b", MCOMP_F32, 1, four);
    node(g, "MatMul", "x", "w", "m");
    node(g, "Add", "m", "b", "s");
    node(g, "Softmax", "s", NULL, "y");
    finish(g, "y", give, payload);

    CHECK(mcomp_graph_create(&g, ctx, "shapes", 21));
    CHECK(mcomp_graph_add_input(g, "x", MCOMP_F32, 2, matrix, names));
    constant(g, "axis", MCOMP_I64, 1, one);
    constant(g, "like", MCOMP_I8, 1, two);
    node(g, "Shape", "x", NULL, "s");
    node(g, "Unsqueeze", "x", "axis", "u");
    node(g, "ReduceMean", "u", "axis", "m");
    node(g, "Gather", "s", "axis", "d");
    node(g, "Identity", "m", NULL, "y");
    CHECK(mcomp_graph_add_output(g, "d"));
    finish(g, "y", give, payload);
    mcomp_context_destroy(ctx);
}
