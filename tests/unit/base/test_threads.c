/* The pool: every task once, nesting, several submitters, a forked child. Also the TSan target. */
#include "support/support.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct counts {
    atomic_int seen[1000];
    mc_pool *pool;
    atomic_int nested;
    int32_t threads;
    atomic_int bad_worker;
} counts;

static void count(void *ctx, int64_t task, int32_t worker)
{
    counts *c = ctx;
    atomic_fetch_add(&c->seen[task], 1);
    if (worker < 0 || worker >= c->threads) atomic_store(&c->bad_worker, 1);
}

START_TEST(every_task_runs_once)
{
    static const int32_t sizes[] = {1, 2, 3, 4};
    for (size_t k = 0; k < 4; k++) {
        counts c = {.threads = sizes[k]};
        mc_ck_ok(mc_pool_create(&c.pool, sizes[k]));
        ck_assert_int_eq(mc_pool_threads(c.pool), sizes[k]);
        for (int round = 0; round < 200; round++) mc_parallel_for(c.pool, 1000, count, &c);
        for (int i = 0; i < 1000; i++) ck_assert_int_eq(atomic_load(&c.seen[i]), 200);
        ck_assert_int_eq(atomic_load(&c.bad_worker), 0);
        mc_pool_destroy(c.pool);
    }
}
END_TEST

static void inner(void *ctx, int64_t task, int32_t worker)
{
    (void)task;
    (void)worker;
    atomic_fetch_add(&((counts *)ctx)->nested, 1);
}
static void outer(void *ctx, int64_t task, int32_t worker)
{
    (void)task;
    (void)worker;
    mc_parallel_for(((counts *)ctx)->pool, 10, inner, ctx);
}

START_TEST(nested_calls_run_in_the_task)
{
    counts c = {.threads = 3};
    mc_ck_ok(mc_pool_create(&c.pool, 3));
    mc_parallel_for(c.pool, 50, outer, &c);
    ck_assert_int_eq(atomic_load(&c.nested), 500);
    mc_pool_destroy(c.pool);
}
END_TEST

static void *submit(void *arg)
{
    for (int i = 0; i < 200; i++) mc_parallel_for(((counts *)arg)->pool, 100, count, arg);
    return NULL;
}

START_TEST(several_threads_submit)
{
    counts c = {.threads = 4};
    pthread_t t[4];
    mc_ck_ok(mc_pool_create(&c.pool, 4));
    for (int i = 0; i < 4; i++) ck_assert_int_eq(pthread_create(&t[i], NULL, submit, &c), 0);
    for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
    for (int i = 0; i < 100; i++) ck_assert_int_eq(atomic_load(&c.seen[i]), 800);
    mc_pool_destroy(c.pool);
}
END_TEST

#if defined(__SANITIZE_THREAD__)
#define CAN_FORK 0 /* TSan's runtime does not survive a fork with threads */
#else
#define CAN_FORK 1
#endif

START_TEST(a_forked_child_gets_fresh_workers)
{
    counts c = {.threads = 3};
    int status = -1;
    if (!CAN_FORK) return;
    mc_ck_ok(mc_pool_create(&c.pool, 3));
    mc_parallel_for(c.pool, 1000, count, &c);
    const pid_t pid = fork();
    if (pid == 0) {
        mc_parallel_for(c.pool, 1000, count, &c);
        int good = 1;
        for (int i = 0; i < 1000; i++) good = good && atomic_load(&c.seen[i]) == 2;
        mc_pool_destroy(c.pool);
        _exit(good ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    mc_parallel_for(c.pool, 1000, count, &c);
    ck_assert_int_eq(atomic_load(&c.seen[999]), 2);
    mc_pool_destroy(c.pool);
}
END_TEST

START_TEST(sizes_out_of_range)
{
    mc_pool *p;
    mc_ck_fails(mc_pool_create(&p, -1), MCOMP_RANGE);
    mc_ck_fails(mc_pool_create(&p, 1000000), MCOMP_RANGE);
    mc_parallel_for(NULL, 0, inner, NULL);
    mc_pool_destroy(NULL);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("base/threads");
    TCase *c = tcase_create("core");
    tcase_add_test(c, every_task_runs_once);
    tcase_add_test(c, nested_calls_run_in_the_task);
    tcase_add_test(c, several_threads_submit);
    tcase_add_test(c, a_forked_child_gets_fresh_workers);
    tcase_add_test(c, sizes_out_of_range);
    suite_add_tcase(s, c);
    return mc_test_main(s);
}
