/* tests/support/failing.h - an allocator whose Nth allocation fails, once or from then on for ever. */
#ifndef MC_TEST_FAILING_H
#define MC_TEST_FAILING_H

#include <stdatomic.h>
#include <stdlib.h>

#include "base/base.h"

static atomic_long countdown = -1; /* allocations until one fails; negative: none fails */
static atomic_int for_ever;

static void *failing_alloc(void *payload, size_t bytes, size_t alignment)
{
    void *p = NULL;
    (void)payload;
    if (atomic_load(&countdown) >= 0) {
        const long left = atomic_load(&for_ever) && atomic_load(&countdown) == 0 ? 0 : atomic_fetch_sub(&countdown, 1);
        if (left == 0) return NULL;
    }
    return posix_memalign(&p, alignment, bytes) == 0 ? p : NULL;
}

static void plain_release(void *payload, void *p, size_t bytes, size_t alignment)
{
    (void)payload, (void)bytes, (void)alignment;
    free(p);
}

static const mc_allocator mc_test_failing = {failing_alloc, plain_release, NULL};

#endif
