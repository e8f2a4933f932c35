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

int32_t mc_buffer_from_file(mc_buffer **out, int fd, const char *name, int32_t copy, uint64_t max_bytes)
{
    int32_t st = MCOMP_OK;
    uint64_t bytes;
    mc_mapping map = {0};
    mc_buffer *b = NULL;
    *out = NULL;
    MC_TRY(mc_file_size_fd(fd, name, &bytes));
    if (bytes > max_bytes) {
        (void)mc_fail(MCOMP_LIMIT, name, "%llu bytes; max_model_bytes leaves room for %llu", (unsigned long long)bytes, (unsigned long long)max_bytes);
        st = mc_fail_hint("raise max_model_bytes of the context if the file is meant");
        goto done;
    }
    if (copy) {
        b = mc_buffer_alloc(bytes);
        if (!b) MC_FAIL(MCOMP_NO_MEMORY, name, "no memory for a copy of the file");
        MC_TRY(mc_file_copy_fd(fd, name, b->data, bytes));
    } else {
        MC_TRY(mc_file_map_fd(fd, name, &map));
        b = mc_buffer_from_mapping(&map);
        if (!b) MC_FAIL(MCOMP_NO_MEMORY, name, "no memory");
    }
    *out = b;
    b = NULL;
done:
    mc_buffer_unref(b);
    mc_file_unmap(&map);
    return st;
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
