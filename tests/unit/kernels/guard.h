/* Memory that ends right before an inaccessible page, so that a kernel that reads or writes past its buffers crashes. */
#ifndef MC_TEST_GUARD_H
#define MC_TEST_GUARD_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

typedef struct guard {
    void *data;
    void *map;
    size_t bytes;
} guard;

/* `bytes` usable, the last one before the guard page rounded up to `align` (1: exact). Filled with 0xA5. */
static inline guard guard_alloc(size_t bytes, size_t align)
{
    const size_t page = 4096, need = (bytes + align - 1) / align * align, body = (need + page - 1) / page * page + page;
    guard g = {.bytes = body + page};
    g.map = mmap(NULL, g.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (g.map == MAP_FAILED || mprotect((uint8_t *)g.map + body, page, PROT_NONE) != 0) abort();
    g.data = (uint8_t *)g.map + body - need;
    memset(g.data, 0xA5, need);
    return g;
}

static inline void guard_free(guard *g)
{
    munmap(g->map, g->bytes);
    g->map = g->data = NULL;
}

static inline uint32_t test_u32(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 32);
}

#endif
