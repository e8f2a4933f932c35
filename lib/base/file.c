/* Files: read-only mappings of regular files, and atomic replacement (temporary beside the target, fsync, rename). */
#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int32_t io_fail(const char *path, const char *what)
{
    const int e = errno;
    char text[128];
    const char *reason = strerror_r(e, text, sizeof text);
    const int32_t code = e == ENOSPC || e == EDQUOT || e == EFBIG ? MCOMP_NO_SPACE
                         : e == ENOENT || e == EACCES || e == ENOTDIR || e == ELOOP || e == EISDIR || e == ENAMETOOLONG ||
                                   e == EROFS || e == EPERM || e == EEXIST || e == ENXIO
                             ? MCOMP_PATH
                             : MCOMP_IO;
    return mc_fail(code, path, "%s: %s", what, reason);
}

int32_t mc_file_open(const char *path, int *fd)
{
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    return *fd < 0 ? io_fail(path, "cannot open") : MCOMP_OK;
}

int32_t mc_file_size_fd(int fd, const char *name, uint64_t *bytes)
{
    struct stat s;
    if (fstat(fd, &s) != 0) return io_fail(name, "cannot look at the file");
    if (!S_ISREG(s.st_mode)) return mc_fail(MCOMP_PATH, name, "not a regular file");
    *bytes = (uint64_t)s.st_size;
    return MCOMP_OK;
}

int32_t mc_file_map_fd(int fd, const char *name, mc_mapping *out)
{
    static const uint8_t empty[1];
    const int32_t st = mc_file_size_fd(fd, name, &out->bytes);
    if (st != MCOMP_OK) return st;
    out->data = empty;
    if (out->bytes == 0) return MCOMP_OK;
    void *p = mmap(NULL, (size_t)out->bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED) return io_fail(name, "cannot map the file");
    out->data = p;
    return MCOMP_OK;
}

int32_t mc_file_map(const char *path, mc_mapping *out)
{
    int fd;
    int32_t st = mc_file_open(path, &fd);
    if (st != MCOMP_OK) return st;
    st = mc_file_map_fd(fd, path, out);
    close(fd);
    return st;
}

int32_t mc_file_copy_fd(int fd, const char *name, void *data, uint64_t bytes)
{
    uint64_t done = 0, now = 0;
    int32_t st = MCOMP_OK;
    while (done < bytes) {
        const uint64_t left = bytes - done;
        const ssize_t n = pread(fd, (uint8_t *)data + done, left < ((uint64_t)1 << 30) ? (size_t)left : (size_t)1 << 30, (off_t)done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return io_fail(name, "cannot read");
        if (n == 0) break;
        done += (uint64_t)n;
    }
    MC_TRY(mc_file_size_fd(fd, name, &now));
    if (done == bytes && now == bytes) return MCOMP_OK;
    st = mc_fail(MCOMP_IO, name, "the file changed while it was read: it had %llu bytes, now it has %llu", (unsigned long long)bytes, (unsigned long long)now);
    (void)mc_fail_hint("wait until whoever writes it has finished; files that are renamed into place when they are whole cannot be seen half-written");
done:
    return st;
}

void mc_file_unmap(mc_mapping *m)
{
    if (m->data && m->bytes) munmap((void *)(uintptr_t)m->data, (size_t)m->bytes);
    m->data = NULL;
    m->bytes = 0;
}

int32_t mc_file_read(const char *path, uint64_t max_bytes, char **data, uint64_t *bytes)
{
    int32_t st = MCOMP_OK;
    mc_str s = {0};
    char block[16384];
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat info;
    if (fd < 0) return io_fail(path, "cannot open");
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) MC_FAIL(MCOMP_PATH, path, "not a regular file");
    for (;;) {
        const ssize_t n = read(fd, block, sizeof block);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            st = io_fail(path, "cannot read");
            goto done;
        }
        if (n == 0) break;
        if ((uint64_t)s.len + (uint64_t)n > max_bytes)
            MC_FAIL(MCOMP_LIMIT, path, "larger than %llu bytes", (unsigned long long)max_bytes);
        MC_TRY(mc_str_append_bytes(&s, block, (size_t)n));
    }
    MC_TRY(mc_str_append_bytes(&s, "", 0));
    *data = s.data;
    *bytes = (uint64_t)s.len;
    s.data = NULL;
done:
    close(fd);
    mc_free(s.data);
    return st;
}

/* ---- writer ---- */

struct mc_writer {
    char *path;
    char *temp;       /* name of the temporary; NULL while the file has none (O_TMPFILE) */
    int fd;
    uint64_t written;
    int64_t fill;
    uint8_t buffer[65536];
};

static void writer_free(mc_writer *w)
{
    if (w->fd >= 0) close(w->fd);
    mc_free(w->path);
    mc_free(w->temp);
    mc_free(w);
}

/* Target behind symbolic links, so that replacing a link's target keeps the link. */
static int32_t resolve(char **out, const char *path)
{
    char real[PATH_MAX]; /* the other form of realpath would allocate past the allocator */
    *out = NULL;
    if (!realpath(path, real)) return io_fail(path, "cannot resolve the path");
    *out = mc_strdup(real);
    return *out ? MCOMP_OK : MCOMP_NO_MEMORY;
}

static int32_t temp_name(mc_writer *w, char **out)
{
    mc_str s = {0};
    const int32_t st = mc_str_appendf(&s, "%s.tmp%llx", w->path, (unsigned long long)(mc_clock_ns() ^ getpid()) & 0xffffffffu);
    *out = s.data;
    return st;
}

static char *folder_of(const char *path)
{
    char *dir = mc_strdup(path), *slash = dir ? strrchr(dir, '/') : NULL;
    if (slash) slash[slash == dir ? 1 : 0] = 0;
    else if (dir) {
        mc_free(dir);
        dir = mc_strdup(".");
    }
    return dir;
}

/* A file without a name leaves nothing behind if the process is killed while it writes. It gets one just before it is renamed, through
 * /proc. Leaves fd at -1 where the system has no such thing, or the name could not be given (too long): then the named way says why. */
static void open_nameless(mc_writer *w)
{
    struct stat info;
    char *dir = folder_of(w->path), *name = NULL;
    if (dir && temp_name(w, &name) == MCOMP_OK && lstat(name, &info) != 0 && errno == ENOENT && access("/proc/self/fd", X_OK) == 0)
        w->fd = open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
    mc_free(dir);
    mc_free(name);
}

static int32_t open_named(mc_writer *w, const char *path)
{
    int32_t st = MCOMP_OK;
    for (int attempt = 0; attempt < 16 && w->fd < 0; attempt++) {
        mc_free(w->temp);
        MC_TRY(temp_name(w, &w->temp));
        w->fd = open(w->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
        if (w->fd >= 0) return MCOMP_OK;
        if (errno == EEXIST) continue;
        st = io_fail(path, "cannot create the output file");
        goto done;
    }
    st = mc_fail(MCOMP_IO, path, "no free name for the temporary file");
done:
    mc_free(w->temp); /* not ours to remove */
    w->temp = NULL;
    return st;
}

/* Gives a nameless file its temporary name. */
static int32_t link_temp(mc_writer *w)
{
    int32_t st = MCOMP_OK;
    char self[48], *name = NULL;
    snprintf(self, sizeof self, "/proc/self/fd/%d", w->fd);
    for (int attempt = 0; attempt < 16 && !w->temp; attempt++) {
        mc_free(name);
        MC_TRY(temp_name(w, &name));
        if (linkat(AT_FDCWD, self, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0) {
            w->temp = name;
            name = NULL;
        } else if (errno != EEXIST) {
            st = io_fail(w->path, "cannot name the output file");
            goto done;
        }
    }
    if (!w->temp) st = mc_fail(MCOMP_IO, w->path, "no free name for the temporary file");
done:
    mc_free(name);
    return st;
}

int32_t mc_writer_open(mc_writer **out, const char *path, int32_t overwrite)
{
    int32_t st = MCOMP_OK;
    struct stat info;
    mode_t mode = 0;
    mc_writer *w = NULL;
    *out = NULL;
    const int exists = stat(path, &info) == 0;
    if (!*path) MC_FAIL(MCOMP_PATH, path, "empty path");
    if (exists && !overwrite) {
        (void)mc_fail(MCOMP_PATH, path, "the file exists already");
        (void)mc_fail_hint("choose another name or ask to overwrite (-f)");
        return MCOMP_PATH;
    }
    if (exists && !S_ISREG(info.st_mode)) MC_FAIL(MCOMP_PATH, path, "exists and is not a regular file");
    w = mc_calloc(1, sizeof *w);
    if (!w) return MCOMP_NO_MEMORY;
    w->fd = -1;
    if (exists) MC_TRY(resolve(&w->path, path));
    else if (!(w->path = mc_strdup(path))) MC_FAIL(MCOMP_NO_MEMORY, path, "no memory for the path");
    open_nameless(w);
    if (w->fd < 0) MC_TRY(open_named(w, path));
    if (exists) mode = info.st_mode & 07777;
    if (exists && fchmod(w->fd, mode) != 0) mode = 0; /* not the owner: the default mode stays */
    *out = w;
    w = NULL;
done:
    if (w) writer_free(w);
    return st;
}

/* Writes everything; a file size limit raises SIGXFSZ in the thread, which is blocked and taken back here. */
static int32_t write_all(mc_writer *w, const uint8_t *p, uint64_t n)
{
    int32_t st = MCOMP_OK;
    sigset_t set, old, pending;
    sigemptyset(&set);
    sigaddset(&set, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &set, &old);
    while (n > 0) {
        const ssize_t k = write(w->fd, p, n > (1u << 30) ? (1u << 30) : (size_t)n);
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) {
            const int e = errno;
            if (e == EFBIG && sigpending(&pending) == 0 && sigismember(&pending, SIGXFSZ)) {
                struct timespec zero = {0, 0};
                sigtimedwait(&set, NULL, &zero);
            }
            errno = e;
            st = io_fail(w->path, "cannot write");
            break;
        }
        p += k;
        n -= (uint64_t)k;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return st;
}

static int32_t flush(mc_writer *w)
{
    const int64_t n = w->fill;
    w->fill = 0;
    return write_all(w, w->buffer, (uint64_t)n);
}

int32_t mc_writer_write(mc_writer *w, const void *data, uint64_t bytes)
{
    int32_t st = MCOMP_OK;
    w->written += bytes;
    if (w->fill + (int64_t)bytes > (int64_t)sizeof w->buffer) MC_TRY(flush(w));
    if (bytes > sizeof w->buffer) return write_all(w, data, bytes);
    if (bytes) memcpy(w->buffer + w->fill, data, bytes);
    w->fill += (int64_t)bytes;
done:
    return st;
}

uint64_t mc_writer_tell(const mc_writer *w) { return w->written; }

static void sync_directory(const char *path)
{
    char *dir = folder_of(path);
    if (!dir) return;
    const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
    mc_free(dir);
}

int32_t mc_writer_commit(mc_writer *w)
{
    int32_t st = MCOMP_OK;
    MC_TRY(flush(w));
    if (fsync(w->fd) != 0 && errno != EINVAL && errno != EROFS) {
        st = io_fail(w->path, "cannot flush to disk");
        goto done;
    }
    if (!w->temp) MC_TRY(link_temp(w));
    const int closed = close(w->fd);
    w->fd = -1;
    if (closed != 0) {
        st = io_fail(w->path, "cannot close");
        goto done;
    }
    if (rename(w->temp, w->path) != 0) {
        st = io_fail(w->path, "cannot rename into place");
        goto done;
    }
    sync_directory(w->path);
    writer_free(w);
    return MCOMP_OK;
done:
    mc_writer_abort(w);
    return st;
}

void mc_writer_abort(mc_writer *w)
{
    if (!w) return;
    if (w->temp) (void)unlink(w->temp);
    writer_free(w);
}
