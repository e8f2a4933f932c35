/* tests/fuzz/scratch.h - a file with the fuzzer's bytes, for readers that take a path. One a process and ending; removed at exit. */
#ifndef MC_FUZZ_SCRATCH_H
#define MC_FUZZ_SCRATCH_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char mc_scratch_path[64];
static void mc_scratch_remove(void) { (void)unlink(mc_scratch_path); }

/* Path of a file that ends in `ending` and holds these bytes; valid until the next call. */
static const char *mc_scratch(const char *ending, const uint8_t *data, size_t size)
{
    static int registered;
    mc_scratch_remove();
    snprintf(mc_scratch_path, sizeof mc_scratch_path, "/tmp/mcomp-fuzz-%ld%s", (long)getpid(), ending);
    FILE *f = fopen(mc_scratch_path, "wb");
    if (!f || fwrite(data, 1, size, f) != size || fclose(f) != 0) {
        fprintf(stderr, "%s: cannot write\n", mc_scratch_path);
        exit(2);
    }
    if (!registered) registered = atexit(mc_scratch_remove) == 0;
    return mc_scratch_path;
}

#endif
