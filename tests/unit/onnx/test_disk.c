/* Saving on a machine that fails: killed at every system call, and every system call failing, in turn. The calls that files are written
 * with are defined here, in front of the C library's: each counts, and at the chosen one the process is killed or the call fails.
 * What is at the target afterwards is the old model or the new one, whole. */
#include <errno.h>
#include <fcntl.h>
#include <mcomp/mcomp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <dirent.h>

#include "support/support.h"

/* ---- the calls ---- */

enum { OFF, KILL, FAIL, FULL };
static int mode;
static long at, calls;      /* KILL, FAIL: the call that it happens at */
static int error_number;    /* FAIL, FULL */
static long room, for_good; /* FULL: bytes that are written before the disk is full; for_good: FAIL stays */

/* 1: this call fails, errno is set. */
static int happens(void)
{
    if (mode == OFF) return 0;
    const long n = calls++;
    if (mode == KILL && n == at) (void)raise(SIGKILL);
    if (mode != FAIL || n < at || (n > at && !for_good)) return 0;
    errno = error_number;
    return 1;
}

ssize_t write(int fd, const void *data, size_t n);
ssize_t write(int fd, const void *data, size_t n)
{
    if (happens()) return -1;
    if (mode == FULL) {
        if (room == 0) {
            errno = error_number;
            return -1;
        }
        if ((long)n > room) n = (size_t)room;
        room -= (long)n;
    }
    if (mode != OFF && n > 4096) n = 4096; /* short counts, as pipes and full disks give them */
    return (ssize_t)syscall(SYS_write, fd, data, n);
}

int fsync(int fd);
int fsync(int fd) { return happens() ? -1 : (int)syscall(SYS_fsync, fd); }
int rename(const char *from, const char *to);
int rename(const char *from, const char *to) { return happens() ? -1 : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0); }
int linkat(int from, const char *name, int to, const char *other, int flags);
int linkat(int from, const char *name, int to, const char *other, int flags) { return happens() ? -1 : (int)syscall(SYS_linkat, from, name, to, other, flags); }
int fchmod(int fd, mode_t m);
int fchmod(int fd, mode_t m) { return happens() ? -1 : (int)syscall(SYS_fchmod, fd, m); }
int open(const char *path, int flags, ...);
int open(const char *path, int flags, ...)
{
    va_list a;
    va_start(a, flags);
    const unsigned m = flags & (O_CREAT | O_TMPFILE) ? va_arg(a, unsigned) : 0;
    va_end(a);
    return (flags & O_ACCMODE) != O_RDONLY && happens() ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, m);
}

/* ---- what is saved ---- */

static char dir[64];
static mcomp_context *ctx;
static mcomp_graph *old, *new;
enum { INSIDE, BESIDE, SAFETENSORS, N_FORMS };

static const char *target(int form)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, form == SAFETENSORS ? "m.safetensors" : "m.onnx");
    return path;
}

/* w [20000] of one value, so that whatever is mixed is seen. */
static mcomp_graph *model(float value)
{
    mcomp_graph *g = NULL;
    mcomp_tensor *t = NULL;
    static const int64_t n[1] = {20000};
    const char *in[2] = {"x", "w"}, *y = "y";
    mc_ck_ok(mcomp_graph_create(&g, ctx, "m", 17));
    mc_ck_ok(mcomp_graph_add_input(g, "x", MCOMP_F32, 1, n, NULL));
    mc_ck_ok(mcomp_tensor_create(&t, MCOMP_F32, 1, n));
    for (int64_t i = 0; i < n[0]; i++) ((float *)mcomp_tensor_data(t))[i] = value;
    mc_ck_ok(mcomp_graph_add_constant(g, "w", t));
    mcomp_tensor_destroy(t);
    mc_ck_ok(mcomp_graph_add_node(g, "Add", "add", 2, in, 1, &y));
    mc_ck_ok(mcomp_graph_add_output(g, "y"));
    mc_ck_ok(mcomp_graph_finish(g));
    return g;
}

static int32_t save(const mcomp_graph *g, int form)
{
    mcomp_save_options o;
    const int32_t st = mcomp_save_options_init(&o, sizeof o);
    if (st != MCOMP_OK) return st;
    o.overwrite = 1;
    o.data = form == BESIDE ? MCOMP_DATA_BESIDE : form == INSIDE ? MCOMP_DATA_INSIDE : MCOMP_DATA_AUTO;
    return mcomp_graph_save(g, target(form), &o);
}

static void look(void *payload, const mcomp_constant_info *i)
{
    float first, v;
    if (strcmp(i->name, "w") != 0) return;
    ck_assert_uint_eq(i->bytes, 80000);
    memcpy(&first, i->data, sizeof first);
    for (uint64_t k = 0; k < i->bytes; k += sizeof v) {
        memcpy(&v, (const uint8_t *)i->data + k, sizeof v);
        ck_assert_msg(v == first, "weight %llu is %g, the first is %g", (unsigned long long)(k / 4), (double)v, (double)first);
    }
    *(float *)payload = first;
}

/* The value of the weights in the file, all of which are the same; the file must load. */
static float saved(int form)
{
    float value = 0.0f;
    mcomp_graph *g = NULL;
    mcomp_load_options o = {.size = sizeof o, .arch = form == SAFETENSORS ? "tensors" : NULL};
    mc_ck_ok(mcomp_graph_load_with(&g, ctx, target(form), &o));
    mc_ck_ok(mcomp_graph_constants(g, look, &value));
    mcomp_graph_destroy(g);
    return value;
}

static int files(void)
{
    int n = 0;
    DIR *d = opendir(dir);
    ck_assert_ptr_nonnull(d);
    for (struct dirent *e = readdir(d); e; e = readdir(d)) n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static void clean(void)
{
    char cmd[128];
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    ck_assert_int_eq(system(cmd), 0);
}

static void setup(void)
{
    const mcomp_context_options o = {.size = sizeof o, .threads = 1};
    strcpy(dir, access("/dev/shm", W_OK) == 0 ? "/dev/shm/mcomp-disk-XXXXXX" : "/tmp/mcomp-disk-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    mc_ck_ok(mcomp_context_create(&ctx, &o));
    old = model(1.0f);
    new = model(2.0f);
}

static void teardown(void)
{
    mode = OFF;
    mcomp_graph_destroy(old);
    mcomp_graph_destroy(new);
    mcomp_context_destroy(ctx);
    clean();
}

START_TEST(bad_056_killed_at_every_call)
{
    const int form = _i;
    int killed = 0, old_seen = 0, new_seen = 0;
    for (at = 0; at < 1000; at++) {
        int status = 0;
        mc_ck_ok(save(old, form));
        const pid_t pid = fork();
        if (pid == 0) {
            mode = KILL;
            calls = 0;
            const int32_t st = save(new, form);
            mode = OFF;
            _exit(st == MCOMP_OK ? 0 : 1);
        }
        ck_assert(waitpid(pid, &status, 0) == pid);
        const float value = saved(form);
        ck_assert_msg(value == 1.0f || value == 2.0f, "killed at call %ld: the weights are %g", at, (double)value);
        old_seen += value == 1.0f;
        new_seen += value == 2.0f;
        if (!WIFSIGNALED(status)) {
            ck_assert_int_eq(WEXITSTATUS(status), 0);
            ck_assert(value == 2.0f);
            break;
        }
        killed++;
    }
    ck_assert_msg(killed > 10 && old_seen > 10 && new_seen > 1, "%d kills: %d times the old model, %d times the new one", killed, old_seen, new_seen);
}
END_TEST

/* Each call fails once, or it and all that follow: a code that says so, the old model (or, once it is renamed, the new one), no other file. */
START_TEST(bad_054_every_call_fails)
{
    static const int errors[] = {EIO, ENOSPC, EDQUOT, EROFS, EACCES};
    const int form = _i / 2;
    for_good = _i & 1;
    for (size_t e = 0; e < sizeof errors / sizeof *errors; e++) {
        int failed = 0;
        error_number = errors[e];
        clean();
        ck_assert_int_eq(mkdir(dir, 0700), 0);
        mc_ck_ok(save(old, form));
        const int before = files();
        for (at = 0; at < 1000; at++) {
            mc_ck_ok(save(old, form));
            const uint64_t live = mc_alloc_live_bytes();
            calls = 0;
            mode = FAIL;
            const int32_t st = save(new, form);
            mode = OFF;
            const long made = calls;
            ck_assert_uint_eq(mc_alloc_live_bytes(), live);
            if (st == MCOMP_OK) {
                ck_assert(saved(form) == 2.0f);
            } else {
                failed++;
                ck_assert_msg(st == MCOMP_IO || st == MCOMP_PATH || st == MCOMP_NO_SPACE, "call %ld: %s", at, mcomp_status_name(st));
                if (error_number == ENOSPC || error_number == EDQUOT) ck_assert_int_eq(st, MCOMP_NO_SPACE);
                if (error_number == EIO) ck_assert_int_eq(st, MCOMP_IO);
                ck_assert_msg(strstr(mc_error_peek()->where, "/m."), "call %ld: where is \"%s\"", at, mc_error_peek()->where);
                ck_assert(saved(form) == 1.0f);
            }
            ck_assert_msg(files() == before || for_good, "call %ld leaves %d files instead of %d", at, files(), before);
            if (at >= made) break;
        }
        ck_assert_msg(failed > 10, "%s: only %d calls failed", strerror(error_number), failed);
    }
}
END_TEST

/* The disk is full after so many bytes. */
START_TEST(bad_054_full_at_every_page)
{
    const int form = _i;
    long full = 0;
    mc_ck_ok(save(old, form));
    const int before = files();
    error_number = ENOSPC;
    for (long bytes = 0; bytes < 200000; bytes += 4096) {
        room = bytes;
        mode = FULL;
        const int32_t st = save(new, form);
        mode = OFF;
        if (st == MCOMP_OK) {
            ck_assert(saved(form) == 2.0f);
            break;
        }
        ck_assert_int_eq(st, MCOMP_NO_SPACE);
        ck_assert(saved(form) == 1.0f);
        ck_assert_int_eq(files(), before);
        full++;
    }
    ck_assert_int_ge(full, 20);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("onnx/disk");
    TCase *t = tcase_create("disk");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, bad_056_killed_at_every_call, 0, N_FORMS);
    tcase_add_loop_test(t, bad_054_every_call_fails, 0, 2 * N_FORMS);
    tcase_add_loop_test(t, bad_054_full_at_every_page, 0, N_FORMS);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
