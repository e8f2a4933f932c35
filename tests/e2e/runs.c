/* runs.c - many runs of a small model do not grow the process: runs N. Public API only.
 *
 * N runs on one exec, in float and in dynamic INT8, of three shapes in turn, with a refused run now and then; then a hundredth as many
 * execs, and a ten thousandth as many sessions, each made, run and destroyed. */
#include <mcomp/mcomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { MAX_GROWTH_KIB = 1024, WIDTH = 16 };

#define NEED(call)                                                                                                     \
    do {                                                                                                               \
        if ((call) < 0) {                                                                                              \
            mcomp_error e_ = {.size = sizeof e_};                                                                      \
            mcomp_error_get(&e_);                                                                                      \
            fprintf(stderr, "runs.c:%d: %s: %s: %s\n", __LINE__, #call, e_.where, e_.message);                         \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

static long resident_kib(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%*d %ld", &pages) != 1) exit(1);
    fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static mcomp_graph *dense(mcomp_context *ctx)
{
    mcomp_graph *g = NULL;
    mcomp_tensor *w = NULL;
    const int64_t wd[] = {WIDTH, WIDTH}, xd[] = {-1, WIDTH};
    const char *const in[] = {"x", "w"}, *const m = "m", *const y = "y";
    NEED(mcomp_graph_create(&g, ctx, "runs", 0));
    NEED(mcomp_tensor_create(&w, MCOMP_F32, 2, wd));
    for (int i = 0; i < WIDTH * WIDTH; i++) ((float *)mcomp_tensor_data(w))[i] = (float)(i % 7 - 3) / 4.0f;
    NEED(mcomp_graph_add_input(g, "x", MCOMP_F32, 2, xd, NULL));
    NEED(mcomp_graph_add_constant(g, "w", w));
    NEED(mcomp_graph_add_node(g, "MatMul", "matmul", 2, in, 1, &m));
    NEED(mcomp_graph_add_node(g, "Relu", "relu", 1, &m, 1, &y));
    NEED(mcomp_graph_add_output(g, "y"));
    NEED(mcomp_graph_finish(g));
    mcomp_tensor_destroy(w);
    return g;
}

static mcomp_graph *integers(mcomp_context *ctx, const mcomp_graph *g)
{
    mcomp_graph *small = NULL;
    mcomp_quantizer *q = NULL;
    mcomp_quantizer_options o;
    NEED(mcomp_quantizer_options_init(&o, sizeof o));
    o.scheme = "int8-dynamic";
    NEED(mcomp_quantizer_create(&q, ctx, &o));
    NEED(mcomp_quantizer_apply(&small, q, g, NULL, NULL));
    mcomp_quantizer_destroy(q);
    return small;
}

typedef struct inputs {
    mcomp_tensor *good[3], *bad;
} inputs;

static void run(mcomp_exec *e, const inputs *in, long n)
{
    const mcomp_tensor *y, *x;
    for (long i = 0; i < n; i++) {
        x = in->good[i % 3];
        NEED(mcomp_exec_run(e, 1, &x, 1, &y));
        if (i % 1000) continue;
        x = in->bad;
        if (mcomp_exec_run(e, 1, &x, 1, &y) != MCOMP_SHAPE) exit(1);
    }
}

static void runs(mcomp_session *s, const inputs *in, long n)
{
    mcomp_exec *e = NULL;
    NEED(mcomp_exec_create(&e, s));
    run(e, in, n);
    mcomp_exec_destroy(e);
}

static void execs(mcomp_session *s, const inputs *in, long n)
{
    for (long i = 0; i < n; i++) runs(s, in, 3);
}

static int grew(const char *what, const char *model, long n, void (*f)(mcomp_session *, const inputs *, long), mcomp_session *s, const inputs *in)
{
    f(s, in, 1000);
    const long before = resident_kib();
    const double start = seconds();
    f(s, in, n);
    const long growth = resident_kib() - before;
    printf("%s, %ld %s: resident memory grew by %ld KiB, %.2f s\n", model, n, what, growth, seconds() - start);
    return growth > MAX_GROWTH_KIB;
}

static int sessions(mcomp_context *ctx, const mcomp_graph *g, const char *model, const inputs *in, long n)
{
    long before = 0;
    for (long i = 0; i < 20 + n; i++) {
        mcomp_session *s = NULL;
        NEED(mcomp_session_create(&s, ctx, g, NULL));
        runs(s, in, 3);
        mcomp_session_destroy(s);
        if (i == 19) before = resident_kib();
    }
    const long growth = resident_kib() - before;
    printf("%s: %ld sessions, resident memory grew by %ld KiB\n", model, n, growth);
    return growth > MAX_GROWTH_KIB;
}

int main(int argc, char **argv)
{
    const long n = argc == 2 ? atol(argv[1]) : 0;
    mcomp_context *ctx = NULL;
    inputs in;
    int bad = 0;
    if (n < 1) {
        fprintf(stderr, "usage: runs N\n");
        return 1;
    }
    NEED(mcomp_context_create(&ctx, NULL));
    for (int i = 0; i < 3; i++) NEED(mcomp_tensor_create(&in.good[i], MCOMP_F32, 2, (const int64_t[]){i + 1, WIDTH}));
    NEED(mcomp_tensor_create(&in.bad, MCOMP_F32, 2, (const int64_t[]){1, WIDTH + 1}));
    mcomp_graph *models[] = {dense(ctx), NULL};
    models[1] = integers(ctx, models[0]);
    for (int m = 0; m < 2; m++) {
        const char *const name = m ? "int8" : "float";
        mcomp_session *s = NULL;
        NEED(mcomp_session_create(&s, ctx, models[m], NULL));
        bad += grew("runs", name, n, runs, s, &in);
        bad += grew("execs", name, n / 100, execs, s, &in);
        mcomp_session_destroy(s);
        bad += sessions(ctx, models[m], name, &in, n / 10000);
    }
    for (int m = 0; m < 2; m++) mcomp_graph_destroy(models[m]);
    for (int i = 0; i < 3; i++) mcomp_tensor_destroy(in.good[i]);
    mcomp_tensor_destroy(in.bad);
    mcomp_context_destroy(ctx);
    if (bad) fprintf(stderr, "grew by more than %d KiB in %d of 6 cases\n", MAX_GROWTH_KIB, bad);
    return bad != 0;
}
