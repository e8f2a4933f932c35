/* One session in many threads, any number of workers, and in a forked child: always the same bits. */
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nets.h"

#if defined(__SANITIZE_THREAD__)
#define TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TSAN 1
#endif
#endif
#ifndef TSAN
#define TSAN 0
#endif

#define THREADS 8
#define RUNS 200

static mc_graph *g;
static mcomp_context *ctx;

typedef struct job {
    mcomp_session *s;
    float *want[4]; /* by shape */
    int failed;
} job;

static const int64_t shapes[4][3] = {{1, 16, 8}, {2, 30, 8}, {1, 100, 8}, {4, 7, 8}};

static void setup(void)
{
    mc_ck_ok(mcomp_context_create(&ctx, NULL));
    g = net_block();
}

static void teardown(void)
{
    mc_graph_destroy(g);
    mcomp_context_destroy(ctx);
}

static mcomp_session *open_session(int32_t threads)
{
    mcomp_session *s = NULL;
    mcomp_session_options o;
    mc_ck_ok(mcomp_session_options_init(&o, sizeof o));
    o.threads = threads;
    mc_ck_ok(mc_session_open(&s, ctx, g, &o, NULL));
    return s;
}

static int one_run(mcomp_exec *e, int k, const float *want, float *keep)
{
    uint64_t seed = (uint64_t)k + 3;
    mcomp_tensor *x = NULL;
    const mcomp_tensor *in[1], *out[1];
    if (mcomp_tensor_create(&x, MCOMP_F32, 3, shapes[k]) != MCOMP_OK) return 1;
    for (int64_t i = 0; i < mcomp_tensor_elements(x); i++) ((float *)mcomp_tensor_data(x))[i] = mc_test_random(&seed);
    in[0] = x;
    int bad = mcomp_exec_run(e, 1, in, 1, out) != MCOMP_OK;
    const size_t bytes = (size_t)mcomp_tensor_bytes(x);
    if (!bad && want) bad = memcmp(want, mcomp_tensor_data(out[0]), bytes) != 0;
    if (!bad && keep) memcpy(keep, mcomp_tensor_data(out[0]), bytes);
    mcomp_tensor_destroy(x);
    return bad;
}

static void *work(void *arg)
{
    job *j = arg;
    mcomp_exec *e = NULL;
    if (mcomp_exec_create(&e, j->s) != MCOMP_OK) {
        j->failed = 1;
        return NULL;
    }
    for (int i = 0; i < RUNS && !j->failed; i++) j->failed = one_run(e, i % 4, j->want[i % 4], NULL);
    mcomp_exec_destroy(e);
    return NULL;
}

static void reference(float want[4][4096])
{
    mcomp_session *s = open_session(1);
    mcomp_exec *e = NULL;
    mc_ck_ok(mcomp_exec_create(&e, s));
    for (int k = 0; k < 4; k++) ck_assert_int_eq(one_run(e, k, NULL, want[k]), 0);
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
}

static float want[4][4096];

START_TEST(many_execs)
{
    pthread_t id[THREADS];
    job jobs[THREADS];
    reference(want);
    mcomp_session *s = open_session(_i == 0 ? 0 : 3); /* the context's pool, then one of its own */
    for (int i = 0; i < THREADS; i++) {
        jobs[i] = (job){.s = s, .want = {want[0], want[1], want[2], want[3]}};
        ck_assert_int_eq(pthread_create(&id[i], NULL, work, &jobs[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(id[i], NULL);
        ck_assert_msg(!jobs[i].failed, "thread %d", i);
    }
    mcomp_session_destroy(s);
}
END_TEST

START_TEST(any_number_of_workers)
{
    reference(want);
    for (int32_t n = 1; n <= 4; n++) {
        mcomp_session *s = open_session(n);
        mcomp_exec *e = NULL;
        mc_ck_ok(mcomp_exec_create(&e, s));
        for (int k = 0; k < 4; k++) ck_assert_msg(one_run(e, k, want[k], NULL) == 0, "%d workers, shape %d", n, k);
        mcomp_exec_destroy(e);
        mcomp_session_destroy(s);
    }
}
END_TEST

static void count(void *ctx_, int64_t task, int32_t worker)
{
    (void)worker;
    ((int32_t *)ctx_)[task]++;
}

/* A session made and used before fork works in the child: the pool starts workers of its own there. */
START_TEST(forked_child)
{
    mcomp_session *s = open_session(3);
    mcomp_exec *e = NULL;
    int status = 0;
    int32_t done[64] = {0};
    reference(want);
    mc_ck_ok(mcomp_exec_create(&e, s));
    for (int k = 0; k < 4; k++) ck_assert_int_eq(one_run(e, k, want[k], NULL), 0);
    mc_parallel_for(mc_context_pool(ctx), 64, count, done);
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        int bad = 0;
        alarm(20);
        for (int k = 0; k < 4; k++) bad |= one_run(e, k, want[k], NULL);
        mc_parallel_for(mc_context_pool(ctx), 64, count, done);
        for (int i = 0; i < 64; i++) bad |= done[i] != 2;
        mcomp_exec_destroy(e);
        mcomp_session_destroy(s);
        _exit(bad ? 1 : 0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d", status);
    for (int k = 0; k < 4; k++) ck_assert_int_eq(one_run(e, k, want[k], NULL), 0);
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("threads");
    TCase *c = tcase_create("threads");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, many_execs, 0, 2);
    tcase_add_test(c, any_number_of_workers);
    if (!TSAN) tcase_add_test(c, forked_child); /* ThreadSanitizer allows no threads after a fork */
    suite_add_tcase(suite, c);
    return mc_test_main(suite);
}
