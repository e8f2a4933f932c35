/* Thread pool: the caller and n-1 workers. A worker begins with its own share of the tasks, the same part of the range every
 * time, and then takes what is left of the others' shares: steps that cut the same rows find them in the cache of the core that
 * wrote them. Idle workers spin for a bounded time, then sleep on a condition variable. A forked child has no workers; they are
 * made again at its first parallel_for. */
#include "base/base.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#define SPIN_NS 30000 /* about the time to wake a sleeping thread */

/* Tasks next .. end - 1 are left of a worker's share. */
typedef struct share {
    _Alignas(64) atomic_int_fast64_t next;
    int64_t end;
} share;

struct mc_pool {
    int32_t threads;   /* the caller included */
    int32_t started;   /* workers that run in process `pid` */
    _Atomic pid_t pid; /* published last: whoever sees its own process finds locks and workers ready */
    pthread_t *ids;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    int32_t sleepers;  /* under lock */
    int32_t stop;      /* under lock */
    atomic_uint_fast64_t generation;
    share *shares;               /* [threads] */
    atomic_int_fast32_t active;  /* workers inside the current generation */
    mc_task_fn fn;
    void *ctx;
    pthread_mutex_t submit;      /* one parallel_for at a time; others run inline */
};

typedef struct start_arg {
    mc_pool *pool;
    int32_t worker;
    uint64_t generation;
} start_arg;

static _Thread_local int inside; /* this thread is running a task: nested calls run inline */

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static void take_tasks(mc_pool *p, int32_t worker)
{
    const mc_task_fn fn = p->fn;
    void *ctx = p->ctx;
    const int32_t shares = p->started + 1;
    inside++;
    for (int32_t i = 0; i < shares; i++) {
        share *s = &p->shares[(worker + i) % shares];
        for (;;) {
            const int64_t t = atomic_fetch_add_explicit(&s->next, 1, memory_order_relaxed);
            if (t >= s->end) break;
            fn(ctx, t, worker);
        }
    }
    inside--;
}

/* Waits for a generation other than `seen`; returns 0 when the pool stops. */
static uint64_t wait_work(mc_pool *p, uint64_t seen)
{
    const int64_t until = mc_clock_ns() + SPIN_NS;
    uint64_t g;
    while ((g = atomic_load_explicit(&p->generation, memory_order_acquire)) == seen) {
        for (int i = 0; i < 64; i++) relax();
        if (mc_clock_ns() > until) break;
    }
    if (g != seen && g != UINT64_MAX) return g;
    pthread_mutex_lock(&p->lock);
    p->sleepers++;
    while ((g = atomic_load_explicit(&p->generation, memory_order_acquire)) == seen && !p->stop)
        pthread_cond_wait(&p->wake, &p->lock);
    p->sleepers--;
    if (p->stop) g = UINT64_MAX;
    pthread_mutex_unlock(&p->lock);
    return g;
}

static void *worker_main(void *arg)
{
    start_arg a = *(start_arg *)arg;
    mc_free(arg);
    for (uint64_t seen = a.generation;;) {
        seen = wait_work(a.pool, seen);
        if (seen == UINT64_MAX) return NULL;
        take_tasks(a.pool, a.worker);
        atomic_fetch_sub_explicit(&a.pool->active, 1, memory_order_release);
    }
}

static void start_workers(mc_pool *p)
{
    sigset_t all, old;
    p->started = 0;
    p->stop = 0;
    p->sleepers = 0;
    atomic_store(&p->active, 0);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    for (int32_t i = 1; i < p->threads; i++) {
        start_arg *a = mc_malloc(sizeof *a);
        if (!a) break;
        *a = (start_arg){p, i, atomic_load(&p->generation)};
        if (pthread_create(&p->ids[i], NULL, worker_main, a) != 0) {
            mc_free(a);
            break; /* fewer workers: slower, not wrong */
        }
        p->started++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    atomic_store_explicit(&p->pid, getpid(), memory_order_release);
}

int32_t mc_pool_create(mc_pool **out, int32_t n)
{
    *out = NULL;
    if (n < 0 || n > 256) return mc_fail(MCOMP_RANGE, "threads", "%d threads; 0 (automatic) to 256 are possible", n);
    if (n == 0) n = mc_cpu_count();
    mc_pool *p = mc_calloc(1, sizeof *p);
    if (!p) return MCOMP_NO_MEMORY;
    p->threads = n;
    p->ids = mc_calloc((size_t)n, sizeof *p->ids);
    p->shares = mc_calloc((size_t)n, sizeof *p->shares);
    if (!p->ids || !p->shares) {
        mc_free(p->shares);
        mc_free(p->ids);
        mc_free(p);
        return MCOMP_NO_MEMORY;
    }
    pthread_mutex_init(&p->lock, NULL);
    pthread_mutex_init(&p->submit, NULL);
    pthread_cond_init(&p->wake, NULL);
    atomic_store(&p->generation, 1);
    atomic_store(&p->pid, 0); /* workers start at the first parallel_for */
    *out = p;
    return MCOMP_OK;
}

void mc_pool_destroy(mc_pool *p)
{
    if (!p) return;
    if (atomic_load(&p->pid) == getpid() && p->started > 0) {
        pthread_mutex_lock(&p->lock);
        p->stop = 1;
        pthread_cond_broadcast(&p->wake);
        pthread_mutex_unlock(&p->lock);
        for (int32_t i = 1; i <= p->started; i++) pthread_join(p->ids[i], NULL);
        pthread_cond_destroy(&p->wake);
        pthread_mutex_destroy(&p->lock);
        pthread_mutex_destroy(&p->submit);
    }
    mc_free(p->shares);
    mc_free(p->ids);
    mc_free(p);
}

int32_t mc_pool_threads(const mc_pool *p) { return p ? p->threads : 1; }

static void run_inline(int64_t n, mc_task_fn fn, void *ctx)
{
    for (int64_t i = 0; i < n; i++) fn(ctx, i, 0);
}

static void share_out(mc_pool *p, int64_t n)
{
    const int64_t shares = p->started + 1, each = n / shares, more = n % shares; /* the first `more` have one more */
    for (int64_t i = 0, at = 0; i < shares; i++) {
        atomic_store_explicit(&p->shares[i].next, at, memory_order_relaxed);
        p->shares[i].end = at += each + (i < more);
    }
}

void mc_parallel_for(mc_pool *p, int64_t n, mc_task_fn fn, void *ctx)
{
    if (!p || p->threads == 1 || n <= 1 || inside) {
        run_inline(n, fn, ctx);
        return;
    }
    if (atomic_load_explicit(&p->pid, memory_order_acquire) != getpid()) { /* first use, or a forked child: fresh locks and workers */
        static pthread_mutex_t starting = PTHREAD_MUTEX_INITIALIZER;
        pthread_mutex_lock(&starting);
        if (atomic_load_explicit(&p->pid, memory_order_relaxed) != getpid()) {
            pthread_mutex_init(&p->lock, NULL);
            pthread_mutex_init(&p->submit, NULL);
            pthread_cond_init(&p->wake, NULL);
            start_workers(p);
        }
        pthread_mutex_unlock(&starting);
    }
    /* Another thread is using the workers: wait for its turn to end, so that worker numbers stay unique a submission. */
    pthread_mutex_lock(&p->submit);
    p->fn = fn;
    p->ctx = ctx;
    share_out(p, n);
    atomic_store_explicit(&p->active, p->started, memory_order_relaxed);
    atomic_fetch_add_explicit(&p->generation, 1, memory_order_release);
    pthread_mutex_lock(&p->lock);
    if (p->sleepers > 0) pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    take_tasks(p, 0);
    for (int64_t spins = 0; atomic_load_explicit(&p->active, memory_order_acquire) != 0; spins++) {
        relax();
        if (spins > 20000) {
            spins = 0;
            usleep(0); /* a worker lost its CPU: let it run */
        }
    }
    pthread_mutex_unlock(&p->submit);
}
