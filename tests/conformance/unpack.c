/* The archive of cases is unpacked beside the test by the system's tar, once for a build folder. */
#include "conformance.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int tar(const char *archive, const char *dir)
{
    char *argv[] = {(char *)(uintptr_t)"tar", (char *)(uintptr_t)"xzf", (char *)(uintptr_t)archive, (char *)(uintptr_t)"-C",
                    (char *)(uintptr_t)dir, NULL};
    pid_t pid;
    int status;
    if (posix_spawnp(&pid, "tar", NULL, NULL, argv, environ) != 0) return -1;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

int conf_unpack(const char *archive, const char *dir)
{
    char lock[600], stamp[600];
    int bad = 0;
    mkdir(dir, 0777);
    snprintf(lock, sizeof lock, "%s/lock", dir);
    snprintf(stamp, sizeof stamp, "%s/unpacked", dir);
    const int fd = open(lock, O_CREAT | O_RDWR | O_CLOEXEC, 0666);
    if (fd < 0 || flock(fd, LOCK_EX) != 0) return -1;
    if (access(stamp, F_OK) != 0) {
        bad = tar(archive, dir);
        const int s = bad ? -1 : open(stamp, O_CREAT | O_WRONLY | O_CLOEXEC, 0666);
        if (s >= 0) close(s);
    }
    close(fd);
    return bad;
}
