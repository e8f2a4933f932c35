/* Files that a file names (external data, shards). The name is relative to the folder of the file that names it and is walked
 * component by component with openat and O_NOFOLLOW, so neither "..", nor absolute paths, nor symbolic links can leave the
 * folder, and nothing can be swapped between a check and the open. Hard links, devices, FIFOs and folders are refused. */
#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Folder the file lies in (the target's folder if it is reached through a symbolic link). */
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

/* Checks the text alone. */
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
static const char *walk(int folder, const char *location, int *fd)
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

const char *mc_file_open_beneath(const char *of, const char *location, int *fd)
{
    const char *why = check_text(location);
    *fd = -1;
    if (why) return why;
    const int folder = open_folder(of);
    if (folder < 0) return "the folder of the file that names it cannot be opened";
    why = walk(folder, location, fd);
    if (why) *fd = -1;
    return why;
}
