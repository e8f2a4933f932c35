/* bench_grads [threads [part of a name]]: nodes of training graphs through the cpu backend at the tier in effect (MCOMP_ISA):
 * microseconds, GMAC/s and the share of what a register-only loop of multiply-adds gives in the same minute on as many threads,
 * or GB/s of the operands read and written once. */
#include <stdio.h>
#include <stdlib.h>

#include "support/node.h"
#include "support/support.h"

typedef struct grad_case {
    const char *name, *domain, *op, *attrs;
    const char *in;    /* "x2,3 x3,4 i7": floats or integers of these dims; '-': omitted; 'c': a constant */
    const char *out;   /* "2,4 3": dims of the outputs */
    double macs;       /* 0: count bytes */
} grad_case;

#define MM(m, k, n) ((double)(m) * (k) * (n))
static const grad_case cases[] = {
    {"weights are constants", "mcomp", "Linear", NULL, "x2048,384 c384,1536", "2048,1536", MM(2048, 384, 1536)},
    {"weights are constants", "mcomp", "Linear", NULL, "x2048,384 c384,384", "2048,384", MM(2048, 384, 384)},
    {"weights are constants", "mcomp", "Linear", NULL, "x2048,1536 c1536,384", "2048,384", MM(2048, 1536, 384)},
    {"Y = X W", "", "MatMul", NULL, "x2048,384 x384,384", "2048,384", MM(2048, 384, 384)},
    {"Y = X W", "", "MatMul", NULL, "x2048,384 x384,1536", "2048,1536", MM(2048, 384, 1536)},
    {"Y = X W", "", "MatMul", NULL, "x2048,1536 x1536,384", "2048,384", MM(2048, 1536, 384)},
    {"dX = dY W'", "mcomp", "Product", "trans_b=1", "x2048,384 x384,384", "2048,384", MM(2048, 384, 384)},
    {"dX = dY W'", "mcomp", "Product", "trans_b=1", "x2048,1536 x384,1536", "2048,384", MM(2048, 1536, 384)},
    {"dX = dY W'", "mcomp", "Product", "trans_b=1", "x2048,384 x1536,384", "2048,1536", MM(2048, 384, 1536)},
    {"dW = X' dY", "mcomp", "Product", "flat=1", "x2048,384 x2048,384", "384,384", MM(2048, 384, 384)},
    {"dW = X' dY", "mcomp", "Product", "flat=1", "x2048,384 x2048,1536", "384,1536", MM(2048, 384, 1536)},
    {"dW = X' dY", "mcomp", "Product", "flat=1", "x2048,1536 x2048,384", "1536,384", MM(2048, 384, 1536)},
    {"small dW", "mcomp", "Product", "flat=1", "x4096,128 x4096,128", "128,128", MM(4096, 128, 128)},
    {"small dW", "mcomp", "Product", "flat=1", "x4096,128 x4096,512", "128,512", MM(4096, 128, 512)},
    {"small dX", "mcomp", "Product", "trans_b=1", "x4096,128 x128,128", "4096,128", MM(4096, 128, 128)},
    {"attention S = Q K", "", "MatMul", NULL, "x16,12,128,32 x16,12,32,128", "16,12,128,128", 192 * MM(128, 32, 128)},
    {"attention O = P V", "", "MatMul", NULL, "x16,12,128,128 x16,12,128,32", "16,12,128,32", 192 * MM(128, 32, 128)},
    {"attention dP = dO V'", "mcomp", "Product", "trans_b=1", "x16,12,128,32 x16,12,128,32", "16,12,128,128", 192 * MM(128, 32, 128)},
    {"attention dV = P' dO", "mcomp", "Product", "trans_a=1", "x16,12,128,128 x16,12,128,32", "16,12,128,32", 192 * MM(128, 32, 128)},
    {"attention dQ = dS K", "mcomp", "Product", "trans_b=1", "x16,12,128,128 x16,12,32,128", "16,12,128,32", 192 * MM(128, 32, 128)},
    {"attention dK = Q' dS", "mcomp", "Product", "trans_a=1", "x16,12,128,32 x16,12,128,128", "16,12,32,128", 192 * MM(128, 32, 128)},
    {"classifier dW", "mcomp", "Product", "flat=1", "x16,384 x16,2", "384,2", MM(16, 384, 2)},
    {"1024 wide", "mcomp", "Product", "trans_b=1", "x1024,1024 x1024,1024", "1024,1024", MM(1024, 1024, 1024)},
    {"1024 wide", "mcomp", "Product", "trans_a=1", "x1024,1024 x1024,1024", "1024,1024", MM(1024, 1024, 1024)},
    {"gelu", "mcomp", "UnaryGrad", "of='Gelu'", "x2048,1536 x2048,1536", "2048,1536", 0.0},
    {"relu", "mcomp", "UnaryGrad", "of='Relu'", "x2048,1536 x2048,1536", "2048,1536", 0.0},
    {"softmax", "mcomp", "SoftmaxGrad", NULL, "x16,12,128,128 x16,12,128,128", "16,12,128,128", 0.0},
    {"layer normalization", "mcomp", "RowNormGrad", "centre=1", "x2048,384 x2048,384 x384 x384", "2048,384 384 384", 0.0},
    {"bias", "mcomp", "SumTo", NULL, "x2048,1536 x1536", "1536", 0.0},
    {"bias", "mcomp", "SumTo", NULL, "x2048,384 x384", "384", 0.0},
    {"positions", "mcomp", "SumTo", NULL, "x16,128,384 x128,384", "128,384", 0.0},
    {"embedding", "mcomp", "MoveGrad", "of='Gather'", "x16,128,384 x30522,384 i16,128", "30522,384", 0.0},
};

static int32_t threads = 1;
static const char *part;

/* ---- witness ---- */

static void fma_loop(int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        __asm__ volatile("vfmadd231ps %%zmm0,%%zmm0,%%zmm1\n vfmadd231ps %%zmm0,%%zmm0,%%zmm2\n vfmadd231ps %%zmm0,%%zmm0,%%zmm3\n"
                         "vfmadd231ps %%zmm0,%%zmm0,%%zmm4\n vfmadd231ps %%zmm0,%%zmm0,%%zmm5\n vfmadd231ps %%zmm0,%%zmm0,%%zmm6\n"
                         "vfmadd231ps %%zmm0,%%zmm0,%%zmm7\n vfmadd231ps %%zmm0,%%zmm0,%%zmm8\n vfmadd231ps %%zmm0,%%zmm0,%%zmm9\n"
                         "vfmadd231ps %%zmm0,%%zmm0,%%zmm10\n vfmadd231ps %%zmm0,%%zmm0,%%zmm11\n vfmadd231ps %%zmm0,%%zmm0,%%zmm12\n" ::
                             : "memory");
}

static void fma_loop_256(int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        __asm__ volatile("vfmadd231ps %%ymm0,%%ymm0,%%ymm1\n vfmadd231ps %%ymm0,%%ymm0,%%ymm2\n vfmadd231ps %%ymm0,%%ymm0,%%ymm3\n"
                         "vfmadd231ps %%ymm0,%%ymm0,%%ymm4\n vfmadd231ps %%ymm0,%%ymm0,%%ymm5\n vfmadd231ps %%ymm0,%%ymm0,%%ymm6\n"
                         "vfmadd231ps %%ymm0,%%ymm0,%%ymm7\n vfmadd231ps %%ymm0,%%ymm0,%%ymm8\n vfmadd231ps %%ymm0,%%ymm0,%%ymm9\n"
                         "vfmadd231ps %%ymm0,%%ymm0,%%ymm10\n vfmadd231ps %%ymm0,%%ymm0,%%ymm11\n vfmadd231ps %%ymm0,%%ymm0,%%ymm12\n" ::
                             : "memory");
}

static void witness_task(void *ctx, int64_t task, int32_t worker)
{
    (void)task;
    (void)worker;
    if (*(const int *)ctx) fma_loop(200000);
    else fma_loop_256(200000);
}

/* GMAC/s of one thread while all are busy. */
static double witness(void)
{
    mc_pool *pool;
    int wide = mc_cpu_isa() >= MC_ISA_AVX512;
    double best = 1e30;
    if (mc_cpu_isa() < MC_ISA_AVX2 || mc_pool_create(&pool, threads) != MCOMP_OK) return 0.0;
    for (int r = 0; r < 10; r++) {
        const int64_t start = mc_clock_ns();
        mc_parallel_for(pool, threads, witness_task, &wide);
        const double ns = (double)(mc_clock_ns() - start);
        if (ns < best) best = ns;
    }
    mc_pool_destroy(pool);
    return 12.0 * (wide ? 16.0 : 8.0) * 200000.0 / best;
}

/* ---- nodes ---- */

static const char *read_dims(const char *p, int64_t *dims, int32_t *rank)
{
    for (*rank = 0; *p >= '0' && *p <= '9'; p += *p == ',') {
        char *end;
        dims[(*rank)++] = strtoll(p, &end, 10);
        p = end;
    }
    while (*p == ' ') p++;
    return p;
}

static double measure(const grad_case *g)
{
    mc_node_case c = {.domain = g->domain, .op = g->op, .attrs = g->attrs, .threads = threads, .rtol = 1e30, .atol = 1e30};
    mc_tensor *want[MC_TEST_OUT] = {NULL};
    int64_t dims[MC_MAX_RANK];
    double bytes = 0.0;
    int32_t rank;
    for (const char *p = g->in; *p;) {
        const char kind = *p++;
        p = read_dims(p, dims, &rank);
        if (kind == 'c') c.constant |= 1u << c.n_in;
        mc_tensor *t = kind == '-' ? NULL : mc_test_tensor(kind == 'i' ? MCOMP_I64 : MCOMP_F32, dims, rank, (uint64_t)c.n_in + 1);
        for (int64_t i = 0; kind == 'i' && i < mc_tensor_elements(t); i++) mc_tensor_set_i64(t, i, i * 7 % 10);
        if (t) bytes += (double)mc_tensor_bytes(t);
        c.in[c.n_in++] = t;
    }
    for (const char *p = g->out; *p;) {
        p = read_dims(p, dims, &rank);
        want[c.n_out] = mc_test_tensor(MCOMP_F32, dims, rank, 9);
        bytes += (double)mc_tensor_bytes(want[c.n_out++]);
    }
    (void)mc_ck_node_want(&c, want);
    return bytes;
}

START_TEST(all) /* the helpers of the tests want to be inside of one */
{
    printf("-- %s, %d thread(s)\n", mc_isa_name(mc_cpu_isa()), threads);
    mc_test_rounds = 12;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const grad_case *g = &cases[i];
        if (part && !strstr(g->name, part) && !strstr(g->op, part)) continue;
        const double before = witness(), bytes = measure(g), after = witness();
        const double peak = (before > after ? before : after) * threads;
        printf("%-22s %-18s %-12s %-28s %9.1f us ", g->name, g->op, g->attrs ? g->attrs : "", g->in, mc_test_us);
        if (g->macs > 0.0) printf("%7.1f GMAC/s, %.0f %% of %.0f\n", g->macs / mc_test_us * 1e-3, 100.0 * g->macs / mc_test_us * 1e-3 / peak, peak);
        else printf("%7.1f GB/s\n", bytes / mc_test_us * 1e-3);
    }
}
END_TEST

int main(int argc, char **argv)
{
    Suite *s = suite_create("bench");
    TCase *t = tcase_create("bench");
    threads = argc > 1 ? atoi(argv[1]) : 1;
    part = argc > 2 ? argv[2] : NULL;
    tcase_add_test(t, all);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_MINIMAL);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
