/* tests/support/guard.h - arrays that end exactly at an inaccessible page: reading or writing behind them crashes the test. */
#ifndef MC_TEST_GUARD_H
#define MC_TEST_GUARD_H

#include <check.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#define MC_GUARD_PAGE 4096

static inline size_t mc_guard_span(size_t bytes) { return (bytes + MC_GUARD_PAGE - 1) / MC_GUARD_PAGE * MC_GUARD_PAGE; }

static inline void *mc_guard_alloc(size_t bytes)
{
    const size_t span = mc_guard_span(bytes);
    uint8_t *p = mmap(NULL, span + MC_GUARD_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert(p != MAP_FAILED);
    ck_assert_int_eq(mprotect(p + span, MC_GUARD_PAGE, PROT_NONE), 0);
    return p + span - bytes;
}

static inline void mc_guard_free(void *p, size_t bytes)
{
    uint8_t *end = (uint8_t *)p + bytes;
    munmap(end - mc_guard_span(bytes), mc_guard_span(bytes) + MC_GUARD_PAGE);
}

/* Any tail of a guarded array of `cap` floats: its last n. */
static inline float *mc_guard_tail(float *p, int64_t cap, int64_t n) { return p + (cap - n); }

#endif
