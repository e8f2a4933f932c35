/* bench_calls.c - what a call of mcomp_exec_run costs from C: relu(x @ w + b) on one row of 8, the model of the Go benchmarks
 * (bindings/go/mcomp_test.go) and of bench_python.py. Prints the median of blocks in nanoseconds. "owned" also copies the output into a new
 * tensor and frees it, which is what Exec.Run gives its caller in Go and session.run in Python. */
#include <mcomp/mcomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BLOCKS = 201, RUNS = 5000 };

#define NEED(call)                                                                                                     \
    do {                                                                                                               \
        if ((call) < 0) {                                                                                              \
            mcomp_error e_ = {.size = sizeof e_};                                                                      \
            mcomp_error_get(&e_);                                                                                      \
            fprintf(stderr, "bench_calls: %s: %s: %s\n", #call, e_.where, e_.message);                                 \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

static double nanoseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static mcomp_graph *tiny(mcomp_context *ctx)
{
    mcomp_graph *g = NULL;
    mcomp_tensor *w = NULL, *b = NULL;
    const char *const matmul[] = {"x", "w"}, *const add[] = {"m", "b"}, *const m = "m", *const s = "s", *const y = "y";
    NEED(mcomp_graph_create(&g, ctx, "tiny", 0));
    NEED(mcomp_tensor_create(&w, MCOMP_F32, 2, (const int64_t[]){8, 4}));
    NEED(mcomp_tensor_create(&b, MCOMP_F32, 1, (const int64_t[]){4}));
    for (int i = 0; i < 32; i++) ((float *)mcomp_tensor_data(w))[i] = (float)(i / 4 - i % 4);
    for (int i = 0; i < 4; i++) ((float *)mcomp_tensor_data(b))[i] = 1.0f;
    NEED(mcomp_graph_add_input(g, "x", MCOMP_F32, 2, (const int64_t[]){-1, 8}, NULL));
    NEED(mcomp_graph_add_constant(g, "w", w));
    NEED(mcomp_graph_add_constant(g, "b", b));
    NEED(mcomp_graph_add_node(g, "MatMul", "mm", 2, matmul, 1, &m));
    NEED(mcomp_graph_add_node(g, "Add", "add", 2, add, 1, &s));
    NEED(mcomp_graph_add_node(g, "Relu", "relu", 1, &s, 1, &y));
    NEED(mcomp_graph_add_output(g, "y"));
    NEED(mcomp_graph_finish(g));
    mcomp_tensor_destroy(w);
    mcomp_tensor_destroy(b);
    return g;
}

static void run(mcomp_exec *e, const mcomp_tensor *x, int owned)
{
    const mcomp_tensor *y;
    mcomp_tensor *copy = NULL;
    NEED(mcomp_exec_run(e, 1, &x, 1, &y));
    if (!owned) return;
    NEED(mcomp_tensor_create(&copy, mcomp_tensor_dtype(y), mcomp_tensor_rank(y), mcomp_tensor_dims(y)));
    memcpy(mcomp_tensor_data(copy), mcomp_tensor_data(y), mcomp_tensor_bytes(y));
    mcomp_tensor_destroy(copy);
}

int main(void)
{
    static double times[BLOCKS];
    mcomp_context_options o;
    mcomp_context *ctx = NULL;
    mcomp_session *s = NULL;
    mcomp_exec *e = NULL;
    mcomp_tensor *x = NULL;
    NEED(mcomp_context_options_init(&o, sizeof o));
    o.threads = 1;
    NEED(mcomp_context_create(&ctx, &o));
    mcomp_graph *g = tiny(ctx);
    NEED(mcomp_session_create(&s, ctx, g, NULL));
    NEED(mcomp_exec_create(&e, s));
    NEED(mcomp_tensor_create(&x, MCOMP_F32, 2, (const int64_t[]){1, 8}));
    for (int owned = 0; owned < 2; owned++) {
        for (int b = 0; b < BLOCKS; b++) {
            const double start = nanoseconds();
            for (int i = 0; i < RUNS; i++) run(e, x, owned);
            times[b] = (nanoseconds() - start) / RUNS;
        }
        qsort(times, BLOCKS, sizeof *times, ascending);
        printf("%s %.0f\n", owned ? "owned" : "plain", times[BLOCKS / 2]);
    }
    mcomp_tensor_destroy(x);
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
    mcomp_graph_destroy(g);
    mcomp_context_destroy(ctx);
    return 0;
}
