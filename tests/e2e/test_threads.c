/* Real models give the same bits with any number of workers, and from many threads at once. */
#include <mcomp/session.h>
#include <pthread.h>
#include <stdio.h>

#include "support/support.h"

static const struct {
    const char *file;
    int64_t batch, length;
} models[] = {{"resnet8_cifar", 5, 0}, {"bert_toy_optimized", 3, 40}, {"magika_v3_3", 2, 0}, {"silero_vad_openvino_16k", 1, 0}, {"ultraface_rfb320_simplified", 1, 0}};
#define N_MODELS ((int)(sizeof models / sizeof *models))

typedef struct net {
    mcomp_context *ctx;
    mcomp_graph *g;
    mcomp_session *s;
    mcomp_tensor *in[4];
    const mcomp_tensor *ins[4];
    int32_t k, n_in, n_out;
    uint64_t hash; /* of all outputs */
} net;

static void open_net(net *n, int k, int32_t threads)
{
    char path[128];
    mcomp_session_options o;
    mc_ck_ok(mcomp_session_options_init(&o, sizeof o));
    o.threads = threads;
    snprintf(path, sizeof path, "models/%s.onnx", models[k].file);
    memset(n, 0, sizeof *n);
    n->k = k;
    mc_ck_ok(mcomp_context_create(&n->ctx, NULL));
    mc_ck_ok(mcomp_graph_load(&n->g, n->ctx, mc_test_data(path)));
    mc_ck_ok(mcomp_session_create(&n->s, n->ctx, n->g, &o));
    n->n_in = mcomp_session_n_inputs(n->s);
    n->n_out = mcomp_session_n_outputs(n->s);
    for (int32_t i = 0; i < n->n_in; i++) {
        mcomp_port_info p = {.size = sizeof p};
        uint64_t seed = 17;
        mc_ck_ok(mcomp_graph_input(n->g, i, &p));
        for (int32_t j = 0; j < p.rank; j++)
            if (p.dims[j] < 0) p.dims[j] = j == 0 ? models[k].batch : models[k].length;
        mc_ck_ok(mcomp_tensor_create(&n->in[i], p.dtype, p.rank, p.dims));
        for (int64_t j = 0; j < mcomp_tensor_elements(n->in[i]); j++) {
            if (p.dtype == MCOMP_F32) ((float *)mcomp_tensor_data(n->in[i]))[j] = mc_test_random(&seed);
            if (p.dtype == MCOMP_I64) ((int64_t *)mcomp_tensor_data(n->in[i]))[j] = j % 2;
            if (p.dtype == MCOMP_I32) ((int32_t *)mcomp_tensor_data(n->in[i]))[j] = (int32_t)(j * 7 % 257);
        }
        n->ins[i] = n->in[i];
    }
}

static void close_net(net *n)
{
    for (int32_t i = 0; i < n->n_in; i++) mcomp_tensor_destroy(n->in[i]);
    mcomp_session_destroy(n->s);
    mcomp_graph_destroy(n->g);
    mcomp_context_destroy(n->ctx);
}

/* Hash of all outputs of one run, 0 on failure. */
static uint64_t run_hash(const net *n, mcomp_exec *e)
{
    const mcomp_tensor *out[8];
    uint64_t h = 1;
    if (mcomp_exec_run(e, n->n_in, n->ins, n->n_out, out) != MCOMP_OK) return 0;
    for (int32_t i = 0; i < n->n_out; i++) h = mc_hash64(mcomp_tensor_data(out[i]), (size_t)mcomp_tensor_bytes(out[i]), h);
    return h;
}

static void *work(void *arg)
{
    net *n = arg;
    mcomp_exec *e = NULL;
    const char *bad = NULL;
    if (mcomp_exec_create(&e, n->s) != MCOMP_OK) return (void *)(uintptr_t) "no exec";
    for (int i = 0; i < 6 && !bad; i++)
        if (run_hash(n, e) != n->hash) bad = "other bits";
    mcomp_exec_destroy(e);
    return (void *)(uintptr_t)bad;
}

START_TEST(same_bits)
{
    uint64_t want = 0;
    if (mc_test_skip_without_data()) return;
    for (int32_t threads = 1; threads <= 4; threads++) {
        net n;
        mcomp_exec *e = NULL;
        open_net(&n, _i, threads);
        mc_ck_ok(mcomp_exec_create(&e, n.s));
        for (int i = 0; i < 2; i++) {
            const uint64_t h = run_hash(&n, e);
            ck_assert_uint_ne(h, 0);
            if (!want) want = h;
            ck_assert_msg(h == want, "%s: %d workers, run %d", models[_i].file, threads, i);
        }
        mcomp_exec_destroy(e);
        if (threads == 3) {
            pthread_t id[4];
            n.hash = want;
            for (int i = 0; i < 4; i++) ck_assert_int_eq(pthread_create(&id[i], NULL, work, &n), 0);
            for (int i = 0; i < 4; i++) {
                void *bad = NULL;
                pthread_join(id[i], &bad);
                ck_assert_msg(!bad, "%s: %s", models[_i].file, (const char *)bad);
            }
        }
        close_net(&n);
    }
}
END_TEST

/* Threads of other languages have small stacks: loading, compiling and running must fit into 128 KiB. */
static void *everything(void *arg)
{
    mcomp_graph *g = NULL;
    mcomp_session *s = NULL;
    mcomp_exec *e = NULL;
    const net *n = arg;
    char path[128];
    snprintf(path, sizeof path, "models/%s.onnx", models[n->k].file);
    const char *bad = "failed";
    if (mcomp_graph_load(&g, n->ctx, mc_test_data(path)) == MCOMP_OK && mcomp_session_create(&s, n->ctx, g, NULL) == MCOMP_OK &&
        mcomp_exec_create(&e, s) == MCOMP_OK && run_hash(n, e) != 0)
        bad = NULL;
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
    mcomp_graph_destroy(g);
    return (void *)(uintptr_t)bad;
}

START_TEST(small_stack)
{
    if (mc_test_skip_without_data()) return;
    net n;
    pthread_t id;
    pthread_attr_t attr;
    void *bad = NULL;
    open_net(&n, _i, 2);
    ck_assert_int_eq(pthread_attr_init(&attr), 0);
    ck_assert_int_eq(pthread_attr_setstacksize(&attr, 128 * 1024), 0);
    ck_assert_int_eq(pthread_create(&id, &attr, everything, &n), 0);
    pthread_join(id, &bad);
    pthread_attr_destroy(&attr);
    ck_assert_msg(!bad, "%s", (const char *)bad);
    close_net(&n);
}
END_TEST

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

int main(void)
{
    Suite *suite = suite_create("threads");
    TCase *c = tcase_create("threads");
    tcase_set_timeout(c, 120);
    tcase_add_loop_test(c, same_bits, 0, N_MODELS);
    if (!SANITIZED) tcase_add_loop_test(c, small_stack, 0, N_MODELS); /* their frames are larger */
    suite_add_tcase(suite, c);
    return mc_test_main(suite);
}
