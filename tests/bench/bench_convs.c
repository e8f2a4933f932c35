/* bench_convs [threads [part of a kernel's name]]: float convolutions of the cpu backend, channels-last, with bias and ReLU: microseconds and
 * GMAC/s (of the direct sum, whatever the kernel computes), at the tier in effect (MCOMP_ISA). */
#include <stdio.h>
#include <stdlib.h>

#include "backends/cpu/entry.h"
#include "graph/graph.h"
#include "ops/ops.h"
#include "runtime/registry.h"

enum { REPEATS = 60 };

typedef struct conv_case {
    int64_t size, c, m, window, stride; /* images size x size */
} conv_case;

static const conv_case cases[] = {
    {224, 3, 64, 7, 2},   {56, 64, 64, 1, 1},    {56, 64, 256, 1, 1},  {56, 256, 64, 1, 1},   {56, 256, 128, 1, 1}, {28, 128, 512, 1, 1},
    {28, 512, 128, 1, 1}, {14, 256, 1024, 1, 1}, {14, 1024, 256, 1, 1}, {7, 512, 2048, 1, 1}, {7, 2048, 512, 1, 1}, {56, 128, 128, 3, 2},
    {28, 256, 256, 3, 2}, {14, 512, 512, 3, 2},  {112, 8, 8, 3, 1},    {56, 8, 8, 3, 1},      {56, 16, 16, 3, 1},   {56, 16, 64, 3, 1},
    {56, 64, 16, 3, 1},   {56, 32, 32, 3, 1},    {14, 32, 32, 3, 1},   {7, 32, 32, 3, 1},     {112, 64, 64, 3, 1},  {56, 64, 64, 3, 1},
    {28, 64, 64, 3, 1},   {14, 64, 64, 3, 1},    {7, 64, 64, 3, 1},    {4, 64, 64, 3, 1},     {28, 128, 128, 3, 1}, {14, 128, 128, 3, 1},
    {7, 128, 128, 3, 1},  {4, 128, 128, 3, 1},   {28, 256, 256, 3, 1}, {14, 256, 256, 3, 1},  {7, 256, 256, 3, 1},  {4, 256, 256, 3, 1},
    {28, 512, 512, 3, 1}, {14, 512, 512, 3, 1},  {7, 512, 512, 3, 1},  {4, 512, 512, 3, 1},   {7, 1024, 1024, 3, 1}, {14, 1024, 512, 3, 1},
};

static void need(int32_t st, const char *what)
{
    if (st == MCOMP_OK) return;
    fprintf(stderr, "%s: %s\n", what, mc_error_peek()->message);
    exit(1);
}

static mc_tensor *tensor(int32_t rank, const int64_t *dims, uint64_t seed)
{
    mc_tensor *t = NULL;
    const mc_shape s = mc_shape_make(rank, dims);
    need(mc_tensor_create(&t, MCOMP_F32, &s), "tensor");
    for (int64_t i = 0; i < mc_tensor_elements(t); i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        ((float *)t->data)[i] = (float)((double)(seed >> 40) * 0x1p-24 - 0.5);
    }
    return t;
}

typedef struct built {
    mc_graph *g;
    mc_node *n;
    mcomp_bk_buffer buffers[4];
    const mcomp_bk_value *values[4];
    mc_tensor *held[4];
    int32_t count;
} built;

static void hold(built *b, mc_tensor *t, const mc_value *v)
{
    b->held[b->count] = t;
    b->values[b->count] = (const mcomp_bk_value *)(const void *)v;
    b->buffers[b->count] = (mcomp_bk_buffer){.data = t->data, .rank = t->shape.rank, .dtype = t->dtype};
    memcpy(b->buffers[b->count++].dims, t->shape.dim, sizeof b->buffers[0].dims);
}

static double build(const conv_case *c, built *b)
{
    const int64_t p = c->window / 2, out = (c->size + 2 * p - c->window) / c->stride + 1, pads[] = {p, p, p, p}, strides[] = {c->stride, c->stride};
    const int64_t x[] = {1, c->size, c->size, c->c}, w[] = {c->m, c->c, c->window, c->window}, y[] = {1, out, out, c->m};
    mc_value *in[3];
    *b = (built){0};
    need(mc_graph_create(&b->g, "bench"), "graph");
    for (int i = 0; i < 3; i++) {
        mc_tensor *t = i == 0 ? tensor(4, x, 1) : i == 1 ? tensor(4, w, 2) : tensor(1, &c->m, 3), *share = NULL;
        const mc_type type = mc_type_of(t);
        if (i == 0) {
            need(mc_graph_add_input(b->g, NULL, &type, &in[i]), "input");
        } else {
            need(mc_tensor_share(&share, t), "share");
            need(mc_graph_add_const(b->g, NULL, share, &in[i]), "const");
        }
        hold(b, t, in[i]);
    }
    need(mc_graph_add_node(b->g, "mcomp", "Conv", 0, "node", 3, in, 1, NULL, &b->n), "node");
    need(mc_node_set_s(b->n, "act", "relu"), "act");
    need(mc_node_set_ints(b->n, "pads", pads, 4), "pads");
    need(mc_node_set_ints(b->n, "strides", strides, 2), "strides");
    mc_tensor *t = tensor(4, y, 4);
    b->n->out[0]->type = mc_type_of(t);
    hold(b, t, b->n->out[0]);
    need(mc_graph_add_output(b->g, b->n->out[0]), "output");
    return (double)(out * out * c->m) * (double)(c->c * c->window * c->window);
}

static void measure(const conv_case *c, int32_t threads, const char *part)
{
    built b;
    const double macs = build(c, &b);
    const mcomp_backend_api *api = mc_cpu_backend_entry(mc_host_api());
    mc_store *store = mc_store_create();
    mcomp_bk_program *p = NULL;
    mc_pool *pool = NULL;
    const mcomp_bk_node *node = (const mcomp_bk_node *)(const void *)b.n;
    mcomp_claim claim = {.size = sizeof claim};
    mcomp_bk_compile comp = {.size = sizeof comp, .n_nodes = 1, .nodes = &node, .n_values = b.count, .values = b.values,
                             .store = (mcomp_bk_store *)(void *)store, .threads = threads};
    mcomp_program_info info = {.size = sizeof info};
    if (api->claim(NULL, node, &claim) != 1) need(MCOMP_UNSUPPORTED, "claim");
    need(api->compile(NULL, &comp, &p), "compile");
    need(api->program_info(p, &info), "info");
    need(mc_pool_create(&pool, threads), "pool");
    const uint64_t stride = (info.scratch_per_worker_bytes + 63) / 64 * 64;
    const mcomp_run_args args = {.size = sizeof args, .n_buffers = b.count, .buffers = b.buffers, .scratch = mc_malloc((size_t)info.scratch_bytes + 64),
                                 .worker_scratch = mc_malloc((size_t)(stride * (uint64_t)threads + 64)), .worker_scratch_stride = stride,
                                 .pool = (mcomp_bk_pool *)(void *)pool};
    double best = 1e12;
    const int inner = (int)(2e7 / macs) + 1;
    for (int r = 0; r < REPEATS && strstr(claim.kernel, part); r++) {
        const int64_t start = mc_clock_ns();
        for (int i = 0; i < inner; i++) need(api->run(p, &args), "run");
        const double us = (double)(mc_clock_ns() - start) * 1e-3 / inner;
        if (us < best) best = us;
    }
    if (strstr(claim.kernel, part))
        printf("%lldx%lld/%lld %3lld x %-3lld %4lld -> %-4lld %9.1f us %7.1f GMAC/s  (claimed %.0f us, %s)\n", (long long)c->window, (long long)c->window,
               (long long)c->stride, (long long)c->size, (long long)c->size, (long long)c->c, (long long)c->m, best, macs / best * 1e-3, claim.cost_us,
               claim.kernel);
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
    mc_ops_register();
    printf("-- %s, %d thread(s)\n", mc_isa_name(mc_cpu_isa()), threads);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) measure(&cases[i], threads, argc > 2 ? argv[2] : "");
    return 0;
}
