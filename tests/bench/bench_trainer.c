/* One training step by node: bench_trainer SPEC [batch [length [steps [threads [f32|bf16]]]]]. Images are 1x28x28, vocabulary 8000, 10 classes. Prints the
 * median time of a step, the memory of its plan, and the nodes that take most. */
#include <stdio.h>
#include <stdlib.h>

#include "train/build.h"
#include "train/trainer.h"

static double now_ms(void) { return (double)mc_clock_ns() * 1e-6; }

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static int by_time(const void *a, const void *b)
{
    const mcomp_kernel_info *x = a, *y = b;
    return x->time_us < y->time_us ? 1 : x->time_us > y->time_us ? -1 : 0;
}

static mcomp_tensor *filled(int32_t dtype, int32_t rank, const int64_t *dims, int64_t top)
{
    mcomp_tensor *t = NULL;
    uint32_t w[4];
    if (mcomp_tensor_create(&t, dtype, rank, dims) != 0) exit(2);
    for (int64_t i = 0; i < mcomp_tensor_elements(t); i++) {
        mc_rng_block(1, 2, (uint64_t)i, w);
        mc_tensor_set_f64(&t->t, i, dtype == MCOMP_I64 ? (double)(top > 1 ? w[0] % (uint32_t)top : 1) : (double)w[0] * 0x1p-31 - 1.0);
    }
    return t;
}

static void report(const mcomp_trainer *t)
{
    static mcomp_kernel_info list[20000];
    int32_t n = 0;
    double total = 0.0;
    (void)mcomp_exec_kernel_count(t->exec, &n);
    for (int32_t i = 0; i < n && i < 20000; i++) {
        list[i].size = sizeof list[i];
        (void)mcomp_exec_kernel(t->exec, i, &list[i]);
        total += list[i].time_us;
    }
    qsort(list, (size_t)n, sizeof *list, by_time);
    printf("%d nodes, %.3f ms\n", n, total * 1e-3);
    for (int32_t i = 0; i < n && i < (getenv("ALL") ? n : 45); i++)
        printf("%9.1f us %5.1f %%  %-22s %-28s %6.1f GMAC/s  %s\n", list[i].time_us, 100.0 * list[i].time_us / total, list[i].op, list[i].kernel,
               list[i].macs / list[i].time_us * 1e-3, list[i].node);
}

int main(int argc, char **argv)
{
    mcomp_context *ctx = NULL;
    mcomp_graph *g = NULL;
    mcomp_trainer *t = NULL;
    mcomp_context_options co;
    mcomp_build_options bo;
    mcomp_trainer_options to;
    if (argc < 2) return 1;
    const int64_t batch = argc > 2 ? atoll(argv[2]) : 32, length = argc > 3 ? atoll(argv[3]) : 128, steps = argc > 4 ? atoll(argv[4]) : 20;
    (void)mcomp_context_options_init(&co, sizeof co);
    co.threads = argc > 5 ? atoi(argv[5]) : 2;
    (void)mcomp_build_options_init(&bo, sizeof bo);
    (void)mcomp_trainer_options_init(&to, sizeof to);
    to.precision = argc > 6 ? argv[6] : NULL;
    bo.classes = 10;
    bo.vocab = 8000;
    bo.length = length;
    bo.image[0] = 1;
    bo.image[1] = bo.image[2] = 28;
    if (mcomp_context_create(&ctx, &co) || mcomp_graph_build(&g, ctx, argv[1], &bo) || mcomp_trainer_create(&t, ctx, g, &to)) {
        fprintf(stderr, "%s: %s\n", mc_error_peek()->where, mc_error_peek()->message);
        return 1;
    }
    t->profile = getenv("PROFILE") != NULL;
    mcomp_tensor *in[2] = {NULL, NULL};
    const int text = g->g->inputs[0]->type.dtype == MCOMP_I64, decoder = strncmp(argv[1], "decoder", 7) == 0;
    for (int64_t i = 0; i < g->g->n_inputs; i++)
        in[i] = text ? filled(MCOMP_I64, 2, (const int64_t[]){batch, length}, i ? 1 : 8000) : filled(MCOMP_F32, 4, (const int64_t[]){batch, 1, 28, 28}, 0);
    mcomp_tensor *label = filled(MCOMP_I64, decoder ? 2 : 1, (const int64_t[]){batch, length}, 10);
    double *ms = calloc((size_t)steps + 1, sizeof *ms);
    float loss = 0.0f;
    for (int64_t s = 0; s < steps + 1; s++) {
        const double start = now_ms();
        if (mcomp_trainer_step(&loss, t, (int32_t)g->g->n_inputs, (const mcomp_tensor *const *)in, label) != 0) {
            fprintf(stderr, "%s: %s\n", mc_error_peek()->where, mc_error_peek()->message);
            return 1;
        }
        if (s > 0) ms[s - 1] = now_ms() - start;
    }
    qsort(ms, (size_t)steps, sizeof *ms, by_value);
    mcomp_trainer_info i = {.size = sizeof i};
    (void)mcomp_trainer_info_get(t, &i);
    printf("%s batch %lld: %.2f ms a step, %.0f samples/s, loss %.4f; plan %.1f MB, variables %.1f MB\n", argv[1], (long long)batch, ms[steps / 2],
           1e3 * (double)batch / ms[steps / 2], (double)loss, (double)i.plan_bytes * 1e-6, (double)i.variable_bytes * 1e-6);
    if (t->profile) report(t);
    for (int k = 0; k < 2; k++) mcomp_tensor_destroy(in[k]);
    mcomp_tensor_destroy(label);
    mcomp_trainer_destroy(t);
    mcomp_graph_destroy(g);
    mcomp_context_destroy(ctx);
    free(ms);
    return 0;
}
