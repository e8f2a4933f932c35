/* Reference-counted memory: owned, mapped, or the user's with a release callback. */
#include "tensor/tensor.h"

#include <stdatomic.h>

struct mc_buffer {
    atomic_int_fast64_t refs;
    void *data;
    uint64_t bytes;
    mc_buffer_release_fn release;
    void *payload;
};

#define HEAD 64u
_Static_assert(sizeof(struct mc_buffer) <= HEAD, "the header must fit before the data");

static void release_mapping(void *payload, void *data)
{
    mc_mapping *m = payload;
    (void)data;
    mc_file_unmap(m);
    mc_free(m);
}

mc_buffer *mc_buffer_wrap(void *data, uint64_t bytes, mc_buffer_release_fn release, void *payload)
{
    mc_buffer *b = mc_calloc(1, sizeof *b);
    if (!b) return NULL;
    atomic_store(&b->refs, 1);
    b->data = data;
    b->bytes = bytes;
    b->release = release;
    b->payload = payload;
    return b;
}

mc_buffer *mc_buffer_alloc(uint64_t bytes)
{
    if (bytes > SIZE_MAX / 2) {
        (void)mc_fail(MCOMP_NO_MEMORY, "", "no memory for %llu bytes", (unsigned long long)bytes);
        return NULL;
    }
    /* one block for the header and the data behind it, which stays 64-byte aligned */
    mc_buffer *b = mc_calloc(1, HEAD + (size_t)bytes);
    if (!b) return NULL;
    atomic_store(&b->refs, 1);
    b->data = (uint8_t *)b + HEAD;
    b->bytes = bytes;
    return b;
}

mc_buffer *mc_buffer_from_mapping(mc_mapping *m)
{
    mc_mapping *own = mc_malloc(sizeof *own);
    if (!own) return NULL;
    mc_buffer *b = mc_buffer_wrap((void *)(uintptr_t)m->data, m->bytes, release_mapping, own);
    if (!b) {
        mc_free(own);
        return NULL;
    }
    *own = *m;
    m->data = NULL;
    m->bytes = 0;
    return b;
}

mc_buffer *mc_buffer_ref(mc_buffer *b)
{
    if (b) atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
    return b;
}

void mc_buffer_unref(mc_buffer *b)
{
    if (!b || atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1) return;
    if (b->release) b->release(b->payload, b->data);
    mc_free(b);
}

void *mc_buffer_data(const mc_buffer *b) { return b->data; }
uint64_t mc_buffer_bytes(const mc_buffer *b) { return b->bytes; }
