/* After the first run of a shape a run allocates nothing: counted at the library's allocator and, without sanitizers, at malloc
 * itself, so that allocations of libraries below are seen too. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "nets.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define INTERPOSE 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define INTERPOSE 0
#endif
#endif
#ifndef INTERPOSE
#ifdef __GLIBC__
#define INTERPOSE 1
#else
#define INTERPOSE 0
#endif
#endif

static atomic_long calls;

#if INTERPOSE
/* The executable's malloc comes before the C library's for every library in the process. */
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t m);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t a, size_t n);
void *malloc(size_t n)
{
    atomic_fetch_add(&calls, 1);
    return __libc_malloc(n);
}
void *calloc(size_t n, size_t m)
{
    atomic_fetch_add(&calls, 1);
    return __libc_calloc(n, m);
}
void *realloc(void *p, size_t n)
{
    atomic_fetch_add(&calls, 1);
    return __libc_realloc(p, n);
}
void *aligned_alloc(size_t a, size_t n)
{
    atomic_fetch_add(&calls, 1);
    return __libc_memalign(a, n);
}
int posix_memalign(void **p, size_t a, size_t n)
{
    atomic_fetch_add(&calls, 1);
    *p = __libc_memalign(a, n);
    return *p ? 0 : ENOMEM;
}
#endif

static void run_many(const mcomp_session_options *o)
{
    mcomp_context *ctx = NULL;
    mcomp_session *s = NULL;
    mcomp_exec *e = NULL;
    static const int64_t shapes[4][3] = {{1, 5, 8}, {2, 16, 8}, {1, 40, 8}, {3, 1, 8}};
    const mcomp_tensor *in[4], *out[1];
    mcomp_tensor *x[4];
    mc_ck_ok(mcomp_context_create(&ctx, NULL));
    mc_graph *g = net_block();
    mc_ck_ok(mc_session_open(&s, ctx, g, o, NULL));
    mc_ck_ok(mcomp_exec_create(&e, s));
    for (int i = 0; i < 4; i++) {
        x[i] = net_random(3, shapes[i], (uint64_t)i);
        in[i] = x[i];
        mc_ck_ok(mcomp_exec_run(e, 1, &in[i], 1, out));
    }
    const long before = atomic_load(&calls);
    const uint64_t before_mc = mc_alloc_count();
    int32_t st = MCOMP_OK;
    for (int i = 0; i < 1000; i++) st |= mcomp_exec_run(e, 1, &in[i % 4], 1, out);
    const long after = atomic_load(&calls);
    const uint64_t after_mc = mc_alloc_count();
    ck_assert_int_eq(st, MCOMP_OK);
    ck_assert_msg(after == before && after_mc == before_mc, "%ld calls of malloc, %lld of mc_malloc in 1,000 runs", after - before,
                  (long long)(after_mc - before_mc));
    for (int i = 0; i < 4; i++) mcomp_tensor_destroy(x[i]);
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
    mc_graph_destroy(g);
    mcomp_context_destroy(ctx);
}

START_TEST(interposer_counts)
{
#if INTERPOSE
    const long before = atomic_load(&calls);
    void *volatile p = malloc(10);
    ck_assert_int_eq(atomic_load(&calls), before + 1);
    free(p);
#endif
}
END_TEST

START_TEST(default_session) { run_many(NULL); }
END_TEST

START_TEST(own_pool_profiled)
{
    mcomp_session_options o;
    mc_ck_ok(mcomp_session_options_init(&o, sizeof o));
    o.threads = 3;
    o.profile = 1;
    run_many(&o);
}
END_TEST

START_TEST(no_fusion)
{
    mcomp_session_options o;
    mc_ck_ok(mcomp_session_options_init(&o, sizeof o));
    o.no_fusion = 1;
    run_many(&o);
}
END_TEST

/* Real models, with what the passes make of them and every kernel that they get. */
START_TEST(real_models)
{
    static const char *const files[] = {"mnist8", "resnet8_cifar", "bert_toy_optimized", "magika_v3_3", "silero_vad_openvino_16k"};
    if (mc_test_skip_without_data()) return;
    mcomp_context *ctx = NULL;
    mcomp_graph *g = NULL;
    mcomp_session *s = NULL;
    mcomp_exec *e = NULL;
    mcomp_tensor *in[8] = {NULL};
    const mcomp_tensor *ins[8], *out[8];
    char path[128];
    snprintf(path, sizeof path, "models/%s.onnx", files[_i]);
    mc_ck_ok(mcomp_context_create(&ctx, NULL));
    mc_ck_ok(mcomp_graph_load(&g, ctx, mc_test_data(path)));
    mc_ck_ok(mcomp_session_create(&s, ctx, g, NULL));
    mc_ck_ok(mcomp_exec_create(&e, s));
    const int32_t n = mcomp_session_n_inputs(s), m = mcomp_session_n_outputs(s);
    for (int32_t i = 0; i < n; i++) {
        mcomp_port_info p = {.size = sizeof p};
        mc_ck_ok(mcomp_graph_input(g, i, &p));
        for (int32_t k = 0; k < p.rank; k++)
            if (p.dims[k] < 0) p.dims[k] = k == 0 ? 1 : 20;
        mc_ck_ok(mcomp_tensor_create(&in[i], p.dtype, p.rank, p.dims));
        ins[i] = in[i];
    }
    mc_ck_ok(mcomp_exec_run(e, n, ins, m, out));
    mc_ck_ok(mcomp_exec_run(e, n, ins, m, out));
    const long before = atomic_load(&calls);
    int32_t st = MCOMP_OK;
    for (int i = 0; i < 20; i++) st |= mcomp_exec_run(e, n, ins, m, out);
    const long after = atomic_load(&calls);
    ck_assert_int_eq(st, MCOMP_OK);
    ck_assert_msg(after == before, "%s: %ld calls of malloc in 20 runs", files[_i], after - before);
    for (int32_t i = 0; i < n; i++) mcomp_tensor_destroy(in[i]);
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
    mcomp_graph_destroy(g);
    mcomp_context_destroy(ctx);
}
END_TEST

/* Everything is given back. */
START_TEST(no_leak)
{
    run_many(NULL);
    const uint64_t live = mc_alloc_live_bytes();
    run_many(NULL);
    ck_assert_uint_eq(mc_alloc_live_bytes(), live);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("alloc");
    TCase *c = tcase_create("alloc");
    tcase_add_test(c, interposer_counts);
    tcase_add_test(c, default_session);
    tcase_add_test(c, own_pool_profiled);
    tcase_add_test(c, no_fusion);
    tcase_add_test(c, no_leak);
    tcase_add_loop_test(c, real_models, 0, 5);
    suite_add_tcase(suite, c);
    return mc_test_main(suite);
}
