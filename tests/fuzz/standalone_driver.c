/* Replays files through a fuzz target where no fuzzing engine is built: `driver FILE...`, or `driver --seeds [ROUNDS [FILE...]]`
 * for the target's own seeds and ROUNDS seeded mutations of each, and files as they are. `driver --write DIR` puts the seeds into files, as the corpus that a
 * fuzzing engine starts from. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"

static int64_t rounds, runs;

static uint64_t next(uint64_t *s) /* splitmix64 */
{
    uint64_t z = (*s += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* Exactly as many bytes as the target is told, so that sanitizers see a read beyond them. */
static void run_copy(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy) return;
    if (size) memcpy(copy, data, size);
    (void)LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    runs++;
}

static void replay(void *payload, const uint8_t *data, size_t size)
{
    uint64_t seed = size;
    uint8_t *copy = malloc(size ? size : 1);
    (void)payload;
    run_copy(data, size);
    for (int64_t r = 0; copy && size && r < rounds; r++) {
        size_t n = size;
        memcpy(copy, data, size);
        for (uint64_t k = next(&seed) % 3 + 1; k > 0; k--) {
            const size_t at = next(&seed) % n;
            if (next(&seed) % 4 == 0) n = at + 1;
            else copy[at] = (uint8_t)(next(&seed) % 2 ? next(&seed) : copy[at] ^ (1u << next(&seed) % 8));
        }
        run_copy(copy, n);
    }
    free(copy);
}

static void write_seed(void *payload, const uint8_t *data, size_t size)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/seed%02lld", (const char *)payload, (long long)runs++);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, size, f) != size || fclose(f) != 0) {
        fprintf(stderr, "%s: cannot write\n", path);
        exit(1);
    }
}

static int replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        fprintf(stderr, "%s: cannot open\n", path);
        return 1;
    }
    fseek(f, 0, SEEK_END);
    const long n = ftell(f);
    rewind(f);
    uint8_t *data = malloc(n > 0 ? (size_t)n : 1);
    const size_t got = data && n > 0 ? fread(data, 1, (size_t)n, f) : 0;
    fclose(f);
    run_copy(data, got);
    free(data);
    return 0;
}

int main(int argc, char **argv)
{
    int bad = 0;
    if (argc > 1 && strcmp(argv[1], "--seeds") == 0) {
        rounds = argc > 2 ? strtol(argv[2], NULL, 10) : 0;
        mc_fuzz_seeds(replay, NULL);
        for (int i = 3; i < argc; i++) bad |= replay_file(argv[i]);
    } else if (argc == 3 && strcmp(argv[1], "--write") == 0) {
        mc_fuzz_seeds(write_seed, argv[2]);
    } else {
        for (int i = 1; i < argc; i++) bad |= replay_file(argv[i]);
    }
    printf("%lld inputs\n", (long long)runs);
    return bad || runs == 0;
}
