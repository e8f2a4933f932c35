/* bench_qnodes [threads [part of a name [percent]]]: whole integer nodes (quantization on the way in, product, fused epilogue) through the cpu backend,
 * microseconds and GMAC/s, at the tier in effect (MCOMP_ISA). percent: of the weights' 4x1 blocks are zero. */
#include <stdio.h>
#include <stdlib.h>

#include "backends/cpu/entry.h"
#include "graph/graph.h"
#include "ops/ops.h"
#include "runtime/registry.h"

enum { REPEATS = 100 };

typedef struct node_case {
    const char *name, *op;
    int64_t m, k, n; /* QLinear; QConv: image m x m, k channels, n filters */
    int64_t window, stride, group;
    const char *mode, *act, *post_act;
    int32_t x_dtype, y_dtype, r_dtype, layernorm; /* r_dtype 0: none */
} node_case;

static const node_case cases[] = {
    {"token, f32", "QLinear", 128, 384, 384, 0, 0, 0, "token", "none", "none", MCOMP_F32, MCOMP_F32, 0, 0},
    {"token, f32", "QLinear", 128, 384, 1152, 0, 0, 0, "token", "none", "none", MCOMP_F32, MCOMP_F32, 0, 0},
    {"token, +R, LN", "QLinear", 128, 384, 384, 0, 0, 0, "token", "none", "none", MCOMP_F32, MCOMP_F32, MCOMP_F32, 1},
    {"token, gelu", "QLinear", 128, 384, 1536, 0, 0, 0, "token", "gelu", "none", MCOMP_F32, MCOMP_F32, 0, 0},
    {"token, +R, LN", "QLinear", 128, 1536, 384, 0, 0, 0, "token", "none", "none", MCOMP_F32, MCOMP_F32, MCOMP_F32, 1},
    {"tensor, f32", "QLinear", 128, 384, 1152, 0, 0, 0, "tensor", "none", "none", MCOMP_F32, MCOMP_F32, 0, 0},
    {"static, f32", "QLinear", 128, 384, 1152, 0, 0, 0, "static", "none", "none", MCOMP_U8, MCOMP_F32, 0, 0},
    {"static, gelu, u8", "QLinear", 128, 384, 1536, 0, 0, 0, "static", "gelu", "none", MCOMP_U8, MCOMP_U8, 0, 0},
    {"static, relu, u8", "QLinear", 128, 384, 1536, 0, 0, 0, "static", "relu", "none", MCOMP_U8, MCOMP_U8, 0, 0},
    {"static, +R, LN, u8", "QLinear", 128, 1536, 384, 0, 0, 0, "static", "none", "none", MCOMP_U8, MCOMP_U8, MCOMP_F32, 1},
    {"BERT token, gelu", "QLinear", 128, 768, 3072, 0, 0, 0, "token", "gelu", "none", MCOMP_F32, MCOMP_F32, 0, 0},
    {"BERT token, +R, LN", "QLinear", 128, 3072, 768, 0, 0, 0, "token", "none", "none", MCOMP_F32, MCOMP_F32, MCOMP_F32, 1},
    {"16 rows, token", "QLinear", 16, 384, 1536, 0, 0, 0, "token", "none", "none", MCOMP_F32, MCOMP_F32, 0, 0},
    {"one row, token", "QLinear", 1, 768, 768, 0, 0, 0, "token", "none", "none", MCOMP_F32, MCOMP_F32, 0, 0},
    {"stem 7x7 /2", "QConv", 224, 3, 64, 7, 2, 1, "", "relu", "none", MCOMP_U8, MCOMP_U8, 0, 0},
    {"1x1 64-64", "QConv", 56, 64, 64, 1, 1, 1, "", "relu", "none", MCOMP_U8, MCOMP_U8, 0, 0},
    {"3x3 64", "QConv", 56, 64, 64, 3, 1, 1, "", "relu", "none", MCOMP_U8, MCOMP_U8, 0, 0},
    {"1x1 64-256 +R", "QConv", 56, 64, 256, 1, 1, 1, "", "none", "relu", MCOMP_U8, MCOMP_U8, MCOMP_U8, 0},
    {"1x1 256-64", "QConv", 56, 256, 64, 1, 1, 1, "", "relu", "none", MCOMP_U8, MCOMP_U8, 0, 0},
    {"3x3 128", "QConv", 28, 128, 128, 3, 1, 1, "", "relu", "none", MCOMP_U8, MCOMP_U8, 0, 0},
    {"3x3 256", "QConv", 14, 256, 256, 3, 1, 1, "", "relu", "none", MCOMP_U8, MCOMP_U8, 0, 0},
    {"3x3 256, s8", "QConv", 14, 256, 256, 3, 1, 1, "", "relu", "none", MCOMP_I8, MCOMP_I8, 0, 0},
    {"1x1 1024-256", "QConv", 14, 1024, 256, 1, 1, 1, "", "relu", "none", MCOMP_U8, MCOMP_U8, 0, 0},
    {"3x3 512", "QConv", 7, 512, 512, 3, 1, 1, "", "relu", "none", MCOMP_U8, MCOMP_U8, 0, 0},
    {"depthwise 3x3 96", "QConv", 56, 96, 96, 3, 1, 96, "", "relu", "none", MCOMP_U8, MCOMP_U8, 0, 0},
    {"depthwise 3x3 384", "QConv", 14, 384, 384, 3, 1, 384, "", "relu", "none", MCOMP_U8, MCOMP_U8, 0, 0},
};

static void need(int32_t st, const char *what)
{
    if (st == MCOMP_OK) return;
    fprintf(stderr, "%s: %s\n", what, mc_error_peek()->message);
    exit(1);
}

static mc_tensor *tensor(int32_t dtype, int32_t rank, const int64_t *dims, uint64_t seed)
{
    mc_tensor *t = NULL;
    const mc_shape s = mc_shape_make(rank, dims);
    need(mc_tensor_create(&t, dtype, &s), "tensor");
    for (int64_t i = 0; i < mc_tensor_elements(t); i++) {
        double sum = 0.0;
        for (int k = 0; k < 6; k++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            sum += (double)(seed >> 40) * 0x1p-24 - 0.5;
        }
        if (dtype == MCOMP_F32) ((float *)t->data)[i] = (float)sum;
        else mc_tensor_set_i64(t, i, (int64_t)(sum * 54.0) + (dtype == MCOMP_U8 ? 128 : 0)); /* spread of trained weights */
    }
    return t;
}

static int64_t percent_zero;

/* Weights [outputs][...]: that many of the blocks of four outputs by one input become zero. */
static mc_tensor *pruned(mc_tensor *t)
{
    const int64_t n = t->shape.dim[0], depth = mc_tensor_elements(t) / n;
    uint64_t seed = 9;
    for (int64_t j = 0; j < n; j += 4)
        for (int64_t k = 0; k < depth; k++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            for (int64_t c = j; c < j + 4 && c < n && (int64_t)((seed >> 33) % 100u) < percent_zero; c++) ((int8_t *)t->data)[c * depth + k] = 0;
        }
    return t;
}

typedef struct built {
    mc_graph *g;
    mc_node *n;
    mcomp_bk_buffer buffers[9];
    const mcomp_bk_value *values[9];
    mc_tensor *held[9];
    int32_t count;
} built;

static mc_value *add(built *b, mc_tensor *t, int constant)
{
    mc_value *v = NULL;
    mc_tensor *share = NULL;
    const mc_type type = mc_type_of(t);
    need(mc_tensor_share(&share, t), "share");
    if (constant) need(mc_graph_add_const(b->g, NULL, share, &v), "const");
    else {
        need(mc_graph_add_input(b->g, NULL, &type, &v), "input");
        mc_tensor_destroy(share);
    }
    b->held[b->count] = t;
    b->values[b->count] = (const mcomp_bk_value *)(const void *)v;
    b->buffers[b->count] = (mcomp_bk_buffer){.data = t->data, .rank = t->shape.rank, .dtype = t->dtype};
    memcpy(b->buffers[b->count].dims, t->shape.dim, sizeof b->buffers[0].dims);
    b->count++;
    return v;
}

static double build(const node_case *c, built *b)
{
    const int conv = strcmp(c->op, "QConv") == 0;
    const int64_t out = conv ? (c->m + 2 * (c->window / 2) - c->window) / c->stride + 1 : 0, n1 = c->n;
    const int64_t xl[] = {c->m, c->k}, wl[] = {c->n, c->k}, yl[] = {c->m, c->n};
    const int64_t xc[] = {1, c->m, c->m, c->k}, wc[] = {c->n, c->k / (c->group ? c->group : 1), c->window, c->window}, yc[] = {1, out, out, c->n};
    memset(b, 0, sizeof *b);
    need(mc_graph_create(&b->g, "bench"), "graph");
    mc_value *in[7] = {NULL};
    in[0] = add(b, tensor(c->x_dtype, conv ? 4 : 2, conv ? xc : xl, 1), 0);
    in[1] = add(b, pruned(tensor(MCOMP_I8, conv ? 4 : 2, conv ? wc : wl, 2)), 1);
    mc_tensor *scale = tensor(MCOMP_F32, 1, &n1, 3);
    for (int64_t i = 0; i < c->n; i++) ((float *)scale->data)[i] = 0.003f;
    in[2] = add(b, scale, 1);
    in[3] = add(b, tensor(MCOMP_F32, 1, &n1, 4), 1);
    if (c->r_dtype) in[4] = add(b, tensor(c->r_dtype, conv ? 4 : 2, conv ? yc : yl, 5), 0);
    if (c->layernorm) {
        in[5] = add(b, tensor(MCOMP_F32, 1, &n1, 6), 1);
        in[6] = add(b, tensor(MCOMP_F32, 1, &n1, 7), 1);
    }
    need(mc_graph_add_node(b->g, "mcomp", c->op, 0, "node", conv ? 5 : 7, in, 1, NULL, &b->n), "node");
    need(mc_node_set_s(b->n, "act", c->act), "act");
    need(mc_node_set_s(b->n, "post_act", c->post_act), "post_act");
    if (!conv) need(mc_node_set_s(b->n, "mode", c->mode), "mode");
    if (!conv) need(mc_node_set_i(b->n, "trans_w", 1), "trans_w");
    const char *names[] = {"x", "y", "r"};
    const int32_t types[] = {c->x_dtype == MCOMP_F32 ? 0 : c->x_dtype, c->y_dtype == MCOMP_F32 ? 0 : c->y_dtype, c->r_dtype == MCOMP_F32 ? 0 : c->r_dtype};
    for (int i = 0; i < 3; i++) {
        char key[16];
        if (!types[i]) continue;
        snprintf(key, sizeof key, "%s_scale", names[i]);
        need(mc_node_set_f(b->n, key, 0.02f), key);
        snprintf(key, sizeof key, "%s_zp", names[i]);
        need(mc_node_set_i(b->n, key, types[i] == MCOMP_U8 ? 120 : 3), key);
        snprintf(key, sizeof key, "%s_dtype", names[i]);
        need(mc_node_set_i(b->n, key, types[i]), key);
    }
    if (c->layernorm) need(mc_node_set_f(b->n, "ln_eps", 1e-5f), "eps");
    if (conv) {
        const int64_t p = c->window / 2, pads[] = {p, p, p, p}, strides[] = {c->stride, c->stride};
        need(mc_node_set_ints(b->n, "pads", pads, 4), "pads");
        need(mc_node_set_ints(b->n, "strides", strides, 2), "strides");
        need(mc_node_set_i(b->n, "group", c->group), "group");
    }
    mc_tensor *y = tensor(c->y_dtype, conv ? 4 : 2, conv ? yc : yl, 8);
    b->n->out[0]->type = mc_type_of(y);
    b->held[b->count] = y;
    b->values[b->count] = (const mcomp_bk_value *)(const void *)b->n->out[0];
    b->buffers[b->count] = (mcomp_bk_buffer){.data = y->data, .rank = y->shape.rank, .dtype = y->dtype};
    memcpy(b->buffers[b->count].dims, y->shape.dim, sizeof b->buffers[0].dims);
    b->count++;
    need(mc_graph_add_output(b->g, b->n->out[0]), "output");
    return conv ? (double)(out * out * c->n) * (double)(c->k / c->group * c->window * c->window) : (double)c->m * (double)c->k * (double)c->n;
}

static void measure(const node_case *c, int32_t threads)
{
    built b;
    const double macs = build(c, &b);
    const mcomp_backend_api *api = mc_cpu_backend_entry(mc_host_api());
    mc_store *store = mc_store_create();
    mcomp_bk_program *p = NULL;
    mc_pool *pool = NULL;
    const mcomp_bk_node *node = (const mcomp_bk_node *)(const void *)b.n;
    mcomp_claim claim = {.size = sizeof claim};
    if (api->claim(NULL, node, &claim) != 1) need(MCOMP_UNSUPPORTED, c->name);
    mcomp_bk_compile comp = {.size = sizeof comp, .n_nodes = 1, .nodes = &node, .n_values = b.count, .values = b.values,
                             .store = (mcomp_bk_store *)(void *)store, .threads = threads};
    mcomp_program_info info = {.size = sizeof info};
    need(api->compile(NULL, &comp, &p), "compile");
    need(api->program_info(p, &info), "info");
    need(mc_pool_create(&pool, threads), "pool");
    const uint64_t stride = (info.scratch_per_worker_bytes + 63) / 64 * 64;
    const mcomp_run_args args = {.size = sizeof args, .n_buffers = b.count, .buffers = b.buffers, .scratch = mc_malloc((size_t)info.scratch_bytes + 64),
                                 .worker_scratch = mc_malloc((size_t)(stride * (uint64_t)threads + 64)), .worker_scratch_stride = stride,
                                 .pool = (mcomp_bk_pool *)(void *)pool};
    double best = 1e12;
    const int inner = (int)(5e6 / macs) + 1;
    for (int r = 0; r < REPEATS; r++) {
        const int64_t start = mc_clock_ns();
        for (int i = 0; i < inner; i++) need(api->run(p, &args), "run");
        const double us = (double)(mc_clock_ns() - start) * 1e-3 / inner;
        if (us < best) best = us;
    }
    printf("%-20s %4lldx%4lldx%4lld %9.1f us %7.1f GMAC/s  (claimed %.0f us, %s)\n", c->name, (long long)c->m, (long long)c->k, (long long)c->n,
           best, macs / best * 1e-3, claim.cost_us, claim.kernel);
    api->program_destroy(p);
    mc_pool_destroy(pool);
    mc_free(args.scratch);
    mc_free(args.worker_scratch);
    mc_graph_destroy(b.g);
    mc_store_destroy(store);
    for (int32_t i = 0; i < b.count; i++) mc_tensor_destroy(b.held[i]);
}

int main(int argc, char **argv)
{
    const int32_t threads = argc > 1 ? atoi(argv[1]) : 1;
    percent_zero = argc > 3 ? atoll(argv[3]) : 0;
    mc_ops_register();
    printf("-- %s, %d thread(s)\n", mc_isa_name(mc_cpu_isa()), threads);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (argc < 3 || strstr(cases[i].name, argv[2])) measure(&cases[i], threads);
    return 0;
}
