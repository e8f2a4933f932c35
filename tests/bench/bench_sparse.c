/* bench_sparse [threads [rows [K N]]]: integer products with pruned weights, the sparse kernel against the dense one of the same tier
 * (MCOMP_ISA), whole nodes: bytes in, product, bias, requantization, bytes out. Weights are normal numbers of which the largest blocks
 * are kept, quantized by the channel. A star: the library chooses the sparse kernel for these weights. Dense and sparse take turns; the least time of each counts. Witness: a register-only loop of the
 * dense kernel's instructions, before and after. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "backends/cpu/entry.h"
#include "bench/witness.h"
#include "graph/graph.h"
#include "kernels/kernels.h"
#include "ops/ops.h"
#include "runtime/registry.h"

enum { ROUNDS = 15, PATTERNS = 6, VALUES = 5 };

typedef struct pattern {
    const char *name;
    double kept;   /* of all weights */
    int64_t block; /* neighbouring outputs that go together */
    int sparse;    /* kernel: 1 or -1 */
} pattern;

static const pattern patterns[PATTERNS] = {{"dense", 0.5, 4, -1}, {"4x1 50%", 0.5, 4, 1}, {"4x1 80%", 0.2, 4, 1},
                                           {"4x1 90%", 0.1, 4, 1}, {"unstr 80%", 0.2, 1, 1}, {"unstr 90%", 0.1, 1, 1}};

static void need(int32_t st, const char *what)
{
    if (st == MCOMP_OK) return;
    fprintf(stderr, "%s: %s\n", what, mc_error_peek()->message);
    exit(1);
}

static double normal(uint64_t *seed)
{
    double sum = -6.0;
    for (int k = 0; k < 12; k++) {
        *seed = *seed * 6364136223846793005u + 1442695040888963407u;
        sum += (double)(*seed >> 40) * 0x1p-24;
    }
    return sum;
}

static mc_tensor *tensor(int32_t dtype, int64_t a, int64_t b, uint64_t seed)
{
    mc_tensor *t = NULL;
    const int64_t dims[] = {a, b};
    const mc_shape s = mc_shape_make(b ? 2 : 1, dims);
    need(mc_tensor_create(&t, dtype, &s), "tensor");
    for (int64_t i = 0; i < mc_tensor_elements(t); i++) {
        if (dtype == MCOMP_F32) ((float *)t->data)[i] = 0.003f;
        else ((uint8_t *)t->data)[i] = (uint8_t)(128.0 + 30.0 * normal(&seed));
    }
    return t;
}

/* Square sums of the blocks that are kept are above this; found in a histogram. */
static double threshold(const float *w, int64_t n, int64_t k, const pattern *p)
{
    enum { BINS = 1 << 14 };
    static int64_t bin[BINS];
    const double width = 100.0 / BINS;
    memset(bin, 0, sizeof bin);
    for (int64_t j = 0; j < n; j += p->block)
        for (int64_t i = 0; i < k; i++) {
            double score = 0.0;
            for (int64_t c = 0; c < p->block; c++) score += (double)(w[(j + c) * k + i] * w[(j + c) * k + i]);
            const int64_t at = (int64_t)(score / width);
            bin[at < BINS ? at : BINS - 1]++;
        }
    int64_t left = (int64_t)(p->kept * (double)(n / p->block * k)), at = BINS;
    while (at > 0 && left > 0) left -= bin[--at];
    return (double)at * width;
}

/* [n][k], n a multiple of 4. */
static mc_tensor *weights(int64_t n, int64_t k, const pattern *p)
{
    mc_tensor *t = tensor(MCOMP_I8, n, k, 1);
    float *w = malloc((size_t)(n * k) * sizeof *w);
    uint64_t seed = 7;
    if (!w) exit(1);
    for (int64_t i = 0; i < n * k; i++) w[i] = (float)normal(&seed);
    const double least = threshold(w, n, k, p);
    for (int64_t j = 0; j < n; j += p->block)
        for (int64_t i = 0; i < k; i++) {
            double score = 0.0;
            for (int64_t c = 0; c < p->block; c++) score += (double)(w[(j + c) * k + i] * w[(j + c) * k + i]);
            for (int64_t c = 0; c < p->block && score < least; c++) w[(j + c) * k + i] = 0.0f;
        }
    for (int64_t j = 0; j < n; j++) {
        float most = 1e-6f;
        for (int64_t i = 0; i < k; i++) most = fmaxf(most, fabsf(w[j * k + i]));
        for (int64_t i = 0; i < k; i++) ((int8_t *)t->data)[j * k + i] = (int8_t)lrintf(w[j * k + i] / most * 127.0f);
    }
    free(w);
    return t;
}

typedef struct built {
    mc_graph *g;
    mc_node *n;
    mc_store *store;
    mcomp_bk_program *program;
    mcomp_claim claim;
    mcomp_program_info info;
    mc_tensor *held[VALUES];
    mcomp_bk_buffer buffers[VALUES];
    const mcomp_bk_value *values[VALUES];
    mcomp_run_args args;
    double best;
    int chosen; /* the library would run these weights sparse */
} built;

static void hold(built *b, int32_t i, mc_tensor *t, mc_value *v)
{
    b->held[i] = t;
    b->values[i] = (const mcomp_bk_value *)(const void *)v;
    b->buffers[i] = (mcomp_bk_buffer){.data = t->data, .rank = t->shape.rank, .dtype = t->dtype};
    memcpy(b->buffers[i].dims, t->shape.dim, sizeof b->buffers[i].dims);
}

static void build(built *b, int64_t m, int64_t k, int64_t n, const pattern *p, mc_pool *pool, int32_t threads)
{
    memset(b, 0, sizeof *b);
    b->best = 1e12;
    need(mc_graph_create(&b->g, "bench"), "graph");
    mc_value *in[4];
    mc_tensor *t[4] = {tensor(MCOMP_U8, m, k, 1), weights(n, k, p), tensor(MCOMP_F32, n, 0, 3), tensor(MCOMP_F32, n, 0, 4)};
    for (int32_t i = 0; i < 4; i++) {
        const mc_type type = mc_type_of(t[i]);
        mc_tensor *share = NULL;
        need(mc_tensor_share(&share, t[i]), "share");
        if (i > 0) need(mc_graph_add_const(b->g, NULL, share, &in[i]), "constant");
        else {
            need(mc_graph_add_input(b->g, NULL, &type, &in[i]), "input");
            mc_tensor_destroy(share);
        }
        hold(b, i, t[i], in[i]);
    }
    need(mc_graph_add_node(b->g, "mcomp", "QLinear", 0, "node", 4, in, 1, NULL, &b->n), "node");
    need(mc_node_set_s(b->n, "act", "relu"), "act");
    need(mc_node_set_i(b->n, "trans_w", 1), "trans_w");
    need(mc_node_set_f(b->n, "x_scale", 0.02f), "x_scale");
    need(mc_node_set_i(b->n, "x_zp", 128), "x_zp");
    need(mc_node_set_f(b->n, "y_scale", 0.05f), "y_scale");
    need(mc_node_set_i(b->n, "y_dtype", MCOMP_U8), "y_dtype");
    mc_tensor *y = tensor(MCOMP_U8, m, n, 8);
    b->n->out[0]->type = mc_type_of(y);
    hold(b, 4, y, b->n->out[0]);
    need(mc_graph_add_output(b->g, b->n->out[0]), "output");
    const mcomp_backend_api *api = mc_cpu_backend_entry(mc_host_api());
    const mcomp_bk_node *node = (const mcomp_bk_node *)(const void *)b->n;
    b->store = mc_store_create();
    b->claim.size = sizeof b->claim;
    if (api->claim(NULL, node, &b->claim) != 1) need(MCOMP_UNSUPPORTED, "claim");
    b->chosen = strstr(b->claim.kernel, "sparse4x1") != NULL;
    need(mc_node_set_i(b->n, "sparse", p->sparse), "sparse");
    const mcomp_bk_compile c = {.size = sizeof c, .n_nodes = 1, .nodes = &node, .n_values = VALUES, .values = b->values,
                                .store = (mcomp_bk_store *)(void *)b->store, .threads = threads};
    b->info.size = sizeof b->info;
    need(api->compile(NULL, &c, &b->program), "compile");
    need(api->program_info(b->program, &b->info), "info");
    const uint64_t stride = (b->info.scratch_per_worker_bytes + 63) / 64 * 64;
    b->args = (mcomp_run_args){.size = sizeof b->args, .n_buffers = VALUES, .buffers = b->buffers,
                               .scratch = mc_malloc((size_t)b->info.scratch_bytes + 64), .worker_scratch_stride = stride,
                               .worker_scratch = mc_malloc((size_t)(stride * (uint64_t)threads + 64)),
                               .pool = (mcomp_bk_pool *)(void *)pool};
}

static void release(built *b)
{
    mc_cpu_backend_entry(mc_host_api())->program_destroy(b->program);
    mc_free(b->args.scratch);
    mc_free(b->args.worker_scratch);
    mc_graph_destroy(b->g);
    mc_store_destroy(b->store);
    for (int32_t i = 0; i < VALUES; i++) mc_tensor_destroy(b->held[i]);
}

static void shape(int64_t m, int64_t k, int64_t n, mc_pool *pool, int32_t threads, double logs[PATTERNS])
{
    static built b[PATTERNS];
    const mcomp_backend_api *api = mc_cpu_backend_entry(mc_host_api());
    const double macs = (double)m * (double)k * (double)n;
    const int inner = (int)(4e6 / macs) + 1;
    for (int p = 0; p < PATTERNS; p++) build(&b[p], m, k, n, &patterns[p], pool, threads);
    const double before = witness(mc_cpu_isa());
    for (int r = 0; r < ROUNDS; r++)
        for (int p = 0; p < PATTERNS; p++) {
            const double start = seconds();
            for (int i = 0; i < inner; i++) need(api->run(b[p].program, &b[p].args), "run");
            const double us = (seconds() - start) * 1e6 / inner;
            if (us < b[p].best) b[p].best = us;
        }
    const double after = witness(mc_cpu_isa()), peak = (before > after ? before : after) * threads;
    const double rate = macs / b[0].best * 1e-3;
    for (int p = 1; p < PATTERNS; p++) logs[p] += log(b[0].best / b[p].best);
    printf("%4lld %5lld %5lld %9.1f us %6.0f %3.0f%%", (long long)m, (long long)k, (long long)n, b[0].best, rate, 100.0 * rate / peak);
    for (int p = 1; p < PATTERNS; p++) printf("  %8.1f %5.2fx%c", b[p].best, b[0].best / b[p].best, b[p].chosen ? '*' : ' ');
    const double useful = macs * patterns[2].kept / b[2].best * 1e-3;
    printf("  %5.0f %3.0f%%  witness %.0f %.0f\n", useful, 100.0 * useful / peak, before, after);
    fflush(stdout);
    for (int p = 0; p < PATTERNS; p++) release(&b[p]);
}

int main(int argc, char **argv)
{
    static const int64_t rows[] = {1, 8, 128}, sizes[] = {384, 768, 1536, 3072};
    const int32_t threads = argc > 1 ? atoi(argv[1]) : 1;
    const int64_t only_m = argc > 2 ? atoll(argv[2]) : 0, only_k = argc > 4 ? atoll(argv[3]) : 0, only_n = argc > 4 ? atoll(argv[4]) : 0;
    mc_pool *pool = NULL;
    mc_ops_register();
    need(mc_pool_create(&pool, threads), "pool");
    printf("-- %s, %d thread(s): microseconds and how many times faster than dense; GMAC/s and share of the witness's peak for dense and for\n"
           "   the weights that are there of 4x1 80 %%\n   M     K     N     dense          ", mc_isa_name(mc_cpu_isa()), threads);
    for (int p = 1; p < PATTERNS; p++) printf("  %16s", patterns[p].name);
    printf("\n");
    for (int r = 0; r < 3; r++) {
        double logs[PATTERNS] = {0.0};
        int n = 0;
        if (only_m && only_m != rows[r] && !(only_k && r == 0)) continue;
        for (int i = 0; i < 16; i++) {
            if (only_k && i > 0) break;
            shape(only_m ? only_m : rows[r], only_k ? only_k : sizes[i / 4], only_n ? only_n : sizes[i % 4], pool, threads, logs);
            n++;
        }
        printf("%4lld geometric mean of %2d            ", (long long)(only_m ? only_m : rows[r]), n);
        for (int p = 1; p < PATTERNS; p++) printf("  %14.2fx ", exp(logs[p] / n));
        printf("\n");
        if (only_k) break;
    }
    mc_pool_destroy(pool);
    return 0;
}
