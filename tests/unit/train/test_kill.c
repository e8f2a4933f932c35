/* A training is killed at random moments (SIGKILL) and resumed, again and again: the checkpoint can always be read, loses no more than the
 * updates since the last one, and in the end the weights are those of the run that nobody disturbed. MCOMP_KILLS sets the number. */
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "net.h"

#define EVERY 5 /* updates between checkpoints */

static char path[64];
static volatile int64_t *done; /* updates that the child has reported, shared */

static int32_t see(void *payload, const mcomp_train_event *e)
{
    (void)payload;
    if (e->kind == 0) *done = e->step;
    return 0;
}

static mcomp_trainer_options options(int32_t resume)
{
    mcomp_trainer_options o;
    mc_ck_ok(mcomp_trainer_options_init(&o, sizeof o));
    o.lr = 0.02;
    o.epochs = 40;
    o.batch = 16;
    o.checkpoint = path;
    o.checkpoint_every = EVERY;
    o.resume = resume;
    o.progress = see;
    return o;
}

/* All of it, or until somebody kills us. */
static int32_t train(mcomp_context *ctx, int32_t resume, mcomp_trainer **out)
{
    mcomp_graph *g = net_mlp(ctx, 0.2f);
    mcomp_dataset *d = NULL;
    const mcomp_trainer_options o = options(resume);
    mc_ck_ok(mcomp_dataset_create(&d, ctx, g, 600, net_fetch, NULL));
    *out = net_trainer(ctx, g, &o);
    const int32_t st = mcomp_trainer_fit(NULL, *out, d, NULL);
    mcomp_dataset_destroy(d);
    mcomp_graph_destroy(g);
    return st;
}

static void child(void)
{
    mcomp_context *ctx = net_context(1);
    mcomp_trainer *t = NULL;
    _exit(train(ctx, 1, &t) == MCOMP_OK ? 0 : 1);
}

/* Steps in the checkpoint, -1 if there is none; one that cannot be read fails the test. */
static int64_t saved(void)
{
    mcomp_context *ctx = net_context(1);
    mcomp_graph *g = net_mlp(ctx, 0.2f);
    const mcomp_trainer_options o = options(0);
    mcomp_trainer *t = net_trainer(ctx, g, &o);
    mcomp_trainer_info i = {.size = sizeof i};
    if (access(path, F_OK) == 0) mc_ck_ok(mcomp_trainer_load(t, path));
    else i.steps = -1;
    if (i.steps == 0) mc_ck_ok(mcomp_trainer_info_get(t, &i));
    mcomp_trainer_destroy(t);
    mcomp_graph_destroy(g);
    mcomp_context_destroy(ctx);
    return i.steps;
}

START_TEST(killed_and_resumed)
{
    const char *want = getenv("MCOMP_KILLS");
    const int kills = want ? atoi(want) : 15;
    uint64_t seed = 77;
    int finished = 0, killed = 0;
    int64_t last = -1;
    snprintf(path, sizeof path, "/tmp/mcomp_kill_%d.ckpt", (int)getpid());
    (void)unlink(path);
    done = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(done != MAP_FAILED);
    for (int k = 0; k < kills; k++) {
        int status = 0;
        const pid_t pid = fork();
        if (pid == 0) child();
        const double ms = 2.0 + 40.0 * fabs((double)mc_test_random(&seed));
        const struct timespec wait = {0, (long)(ms * 1e6)};
        (void)nanosleep(&wait, NULL);
        (void)kill(pid, SIGKILL);
        ck_assert(waitpid(pid, &status, 0) == pid);
        killed += WIFSIGNALED(status);
        ck_assert_msg(WIFSIGNALED(status) || WEXITSTATUS(status) == 0, "the resumed training failed");
        const int64_t now = saved();
        ck_assert_msg(now >= last, "the checkpoint went back from %lld to %lld", (long long)last, (long long)now);
        ck_assert_msg(*done - now <= EVERY, "%lld updates were reported, %lld are in the checkpoint", (long long)*done, (long long)now);
        last = now;
        if (WIFSIGNALED(status)) continue;
        finished++; /* that was the whole training: from the start again */
        (void)unlink(path);
        *done = 0;
        last = -1;
    }
    ck_assert(killed > kills / 2 || finished > 0);
    mcomp_context *ctx = net_context(1);
    mcomp_trainer *resumed = NULL, *whole = NULL;
    mc_ck_ok(train(ctx, 1, &resumed));
    (void)unlink(path);
    mc_ck_ok(train(ctx, 0, &whole));
    ck_assert(net_same(resumed, whole));
    mcomp_trainer_destroy(resumed);
    mcomp_trainer_destroy(whole);
    mcomp_context_destroy(ctx);
    (void)unlink(path);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("train/kill");
    TCase *t = tcase_create("all");
    tcase_set_timeout(t, 280);
    tcase_add_test(t, killed_and_resumed);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
