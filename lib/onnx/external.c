/* External data: the one place that opens files named by a model. A location is relative to the model's folder and is
 * walked component by component with openat and O_NOFOLLOW, so neither "..", nor absolute paths, nor symbolic links can
 * leave the folder, and nothing can be swapped between a check and the open. Hard links, devices, FIFOs and folders are
 * refused. All locations of a file are opened before anything else happens, those in places we do not read included. */
#include "onnx/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

static int32_t refuse(const mc_onnx_file *f, const char *location, const char *why)
{
    (void)f;
    (void)mc_fail(MCOMP_PATH, location, "the location of external data is refused: %s", why);
    return mc_fail_hint("keep the data as a plain file in the folder of the model, without links, and name it by a relative path");
}

/* Folder the model lies in (the target's folder if the model is reached through a symbolic link). */
static int open_folder(const char *path)
{
    struct stat s;
    char *real = NULL, *dir;
    if (lstat(path, &s) == 0 && S_ISLNK(s.st_mode)) real = realpath(path, NULL);
    dir = mc_strdup(real ? real : path);
    free(real);
    if (!dir) return -1;
    char *slash = strrchr(dir, '/');
    if (slash) slash[slash == dir ? 1 : 0] = 0;
    const int fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    mc_free(dir);
    return fd;
}

/* Checks the text alone. *last: start of the final component. */
static const char *check_text(const char *location)
{
    const size_t n = strlen(location);
    if (n == 0) return "it is empty";
    if (n >= 4096) return "it is longer than 4095 bytes";
    if (location[0] == '/') return "it is absolute";
    if (location[n - 1] == '/') return "it ends with a slash";
    for (const char *p = location;;) {
        const char *slash = strchr(p, '/');
        const size_t k = slash ? (size_t)(slash - p) : strlen(p);
        if (k == 0) return "it has an empty component";
        if (k == 1 && p[0] == '.' && !slash) return "it names a folder";
        if (k == 2 && p[0] == '.' && p[1] == '.') return "it leaves the folder";
        if (!slash) return NULL;
        p = slash + 1;
    }
}

static const char *open_why(void)
{
    switch (errno) {
    case ELOOP: return "it leads through a symbolic link";
    case ENOTDIR: return "a part of it is no folder, or a symbolic link";
    case ENOENT: return "there is no such file";
    case EACCES: return "it cannot be read";
    default: return "it cannot be opened";
    }
}

/* Returns NULL and an open descriptor, or the reason. folder is consumed. */
static const char *open_beneath(int folder, const char *location, int *fd)
{
    const char *why = NULL;
    char part[256];
    struct stat s;
    for (const char *p = location; !why;) {
        const char *slash = strchr(p, '/');
        const size_t k = slash ? (size_t)(slash - p) : strlen(p);
        if (k >= sizeof part) {
            why = "a part of it is longer than 255 bytes";
            break;
        }
        memcpy(part, p, k);
        part[k] = 0;
        if (!slash) {
            if (fstatat(folder, part, &s, AT_SYMLINK_NOFOLLOW) != 0) why = open_why();
            else if (S_ISLNK(s.st_mode)) why = "it is a symbolic link";
            else if (!S_ISREG(s.st_mode)) why = "it is no regular file";
            if (why) break;
            *fd = openat(folder, part, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
            if (*fd < 0) why = open_why();
            break;
        }
        const int next = openat(folder, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0) {
            why = open_why();
            break;
        }
        close(folder);
        folder = next;
        p = slash + 1;
    }
    close(folder);
    if (why) return why;
    if (fstat(*fd, &s) != 0 || !S_ISREG(s.st_mode)) why = "it is no regular file";
    else if (s.st_nlink != 1) why = "the file has more than one name (hard links)";
    if (why) close(*fd);
    return why;
}

static int32_t open_one(mc_onnx_file *f, const char *location)
{
    int32_t st = MCOMP_OK;
    mc_mapping map = {0};
    mc_buffer *buffer;
    int fd = -1;
    if (mc_onnx_external_find(f, location, &buffer) == MCOMP_OK) return MCOMP_OK;
    mc_error_clear();
    if (!f->path) return refuse(f, location, "a model that is loaded from memory has no folder");
    const char *why = check_text(location);
    if (why) return refuse(f, location, why);
    const int folder = open_folder(f->path);
    if (folder < 0) return refuse(f, location, "the folder of the model cannot be opened");
    why = open_beneath(folder, location, &fd);
    if (why) return refuse(f, location, why);
    st = mc_file_map_fd(fd, location, &map);
    close(fd);
    if (st != MCOMP_OK) return st;
    if (map.bytes > f->max_bytes - f->external_bytes) MC_FAIL(MCOMP_LIMIT, location, "the model and its data are larger than max_model_bytes");
    MC_TRY(mc_grow(&f->externals, &f->cap_externals, f->n_externals + 1, sizeof *f->externals));
    mc_onnx_external *e = &f->externals[f->n_externals];
    e->location = mc_strdup(location);
    e->buffer = e->location ? mc_buffer_from_mapping(&map) : NULL;
    e->sha1[0] = 0;
    if (!e->buffer) {
        mc_free(e->location);
        st = MCOMP_NO_MEMORY;
        goto done;
    }
    f->n_externals++;
    f->external_bytes += mc_buffer_bytes(e->buffer);
done:
    mc_file_unmap(&map);
    return st;
}

int32_t mc_onnx_external_open_all(mc_onnx_file *f, const mc_str *locations)
{
    int32_t st = MCOMP_OK;
    for (int64_t i = 0; i < locations->len; i += (int64_t)strlen(locations->data + i) + 1)
        MC_TRY(open_one(f, locations->data + i));
done:
    return st;
}

int32_t mc_onnx_external_find(mc_onnx_file *f, const char *location, mc_buffer **out)
{
    for (int64_t i = 0; i < f->n_externals; i++)
        if (strcmp(f->externals[i].location, location) == 0) {
            *out = f->externals[i].buffer;
            return MCOMP_OK;
        }
    return mc_fail(MCOMP_PATH, location, "the external data is not open");
}

int32_t mc_onnx_external_check(mc_onnx_file *f, const char *location, const char *checksum, const char *where)
{
    for (int64_t i = 0; i < f->n_externals; i++) {
        mc_onnx_external *e = &f->externals[i];
        if (strcmp(e->location, location) != 0) continue;
        if (!e->sha1[0]) mc_sha1_hex(mc_buffer_data(e->buffer), mc_buffer_bytes(e->buffer), e->sha1);
        if (strcasecmp(e->sha1, checksum) == 0) return MCOMP_OK;
        return mc_fail(MCOMP_FORMAT, where, "the checksum of \"%s\" is not the one that the model names", location);
    }
    return mc_fail(MCOMP_PATH, location, "the external data is not open");
}
