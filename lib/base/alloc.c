/* Memory: one process-wide allocator behind every block, a 64-byte header that keeps the size (so that the hook gets exact
 * sizes back and live bytes are exact), and an arena for many small blocks. */
#include "base/base.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#define ALIGN 64u
#define LARGE_PAGE ((size_t)2 << 20)
#define MAGIC 0x6d636f6d70626c6bull

typedef struct header {
    uint64_t bytes; /* of the payload */
    uint64_t magic;
} header;

/* glibc's aligned allocation splits a larger block and frees the rest, which costs microseconds once there are many blocks.
 * A plain block with room for the alignment is much faster; where it starts is noted in the bytes before the aligned one
 * (malloc aligns to 16, so there is room). Under AddressSanitizer the end of a block must be exact, so it is not done. */
#if defined(__SANITIZE_ADDRESS__)
#define EXACT_BLOCKS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EXACT_BLOCKS 1
#endif
#endif

/* Whole 2 MiB pages within a large block: weights that stream through a core once a run would otherwise miss the TLB at each
 * 4 KiB. Advice only, and none beyond the block: memory use stays what it was. */
static void advise_large_pages(uint8_t *p, size_t bytes)
{
#ifdef MADV_HUGEPAGE
    const uintptr_t first = ((uintptr_t)p + LARGE_PAGE - 1) & ~(uintptr_t)(LARGE_PAGE - 1), end = ((uintptr_t)p + bytes) & ~(uintptr_t)(LARGE_PAGE - 1);
    if (end > first) (void)madvise((void *)first, end - first, MADV_HUGEPAGE);
#else
    (void)p;
    (void)bytes;
#endif
}

static void *default_alloc(void *payload, size_t bytes, size_t alignment)
{
    (void)payload;
#ifdef EXACT_BLOCKS
    void *p = NULL;
    return posix_memalign(&p, alignment, bytes) == 0 ? p : NULL;
#else
    uint8_t *raw = malloc(bytes + alignment);
    if (!raw) return NULL;
    uint8_t *p = raw + alignment - ((uintptr_t)raw & (alignment - 1));
    memcpy(p - sizeof raw, &raw, sizeof raw);
    if (bytes >= LARGE_PAGE) advise_large_pages(p, bytes);
    return p;
#endif
}

static void default_release(void *payload, void *p, size_t bytes, size_t alignment)
{
    (void)payload;
    (void)bytes;
    (void)alignment;
#ifdef EXACT_BLOCKS
    free(p);
#else
    void *raw;
    memcpy(&raw, (uint8_t *)p - sizeof raw, sizeof raw);
    free(raw);
#endif
}

static mc_allocator hook = {default_alloc, default_release, NULL};
static atomic_uint_fast64_t live, calls;

int32_t mc_allocator_set(const mc_allocator *a)
{
    if (a->alloc == hook.alloc && a->release == hook.release && a->payload == hook.payload) return MCOMP_OK;
    if (atomic_load(&calls) != 0)
        return mc_fail(MCOMP_ARGUMENT, "alloc", "the allocator of the process is already in use; set it in the first context");
    hook = *a;
    return MCOMP_OK;
}

void *mc_malloc(size_t bytes)
{
    atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
    if (bytes > SIZE_MAX - 2 * ALIGN) {
        (void)mc_fail(MCOMP_NO_MEMORY, "", "allocation of %zu bytes overflows", bytes);
        return NULL;
    }
    uint8_t *base = hook.alloc(hook.payload, bytes + ALIGN, ALIGN);
    if (!base) {
        (void)mc_fail(MCOMP_NO_MEMORY, "", "no memory for %zu bytes", bytes);
        return NULL;
    }
    header *h = (header *)(void *)base;
    h->bytes = bytes;
    h->magic = MAGIC;
    atomic_fetch_add_explicit(&live, bytes, memory_order_relaxed);
    return base + ALIGN;
}

void *mc_calloc(size_t count, size_t bytes)
{
    size_t total;
    if (__builtin_mul_overflow(count, bytes, &total)) {
        (void)mc_fail(MCOMP_NO_MEMORY, "", "allocation of %zu x %zu bytes overflows", count, bytes);
        return NULL;
    }
    void *p = mc_malloc(total);
    if (p) memset(p, 0, total);
    return p;
}

static header *header_of(void *p) { return (header *)(void *)((uint8_t *)p - ALIGN); }

void *mc_realloc(void *p, size_t bytes)
{
    if (!p) return mc_malloc(bytes);
    void *q = mc_malloc(bytes);
    if (!q) return NULL;
    const size_t old = (size_t)header_of(p)->bytes;
    memcpy(q, p, old < bytes ? old : bytes);
    mc_free(p);
    return q;
}

void mc_free(void *p)
{
    if (!p) return;
    header *h = header_of(p);
    if (h->magic != MAGIC) return; /* not ours or freed twice: leaking is the safe answer */
    const size_t bytes = (size_t)h->bytes;
    h->magic = 0;
    atomic_fetch_sub_explicit(&live, bytes, memory_order_relaxed);
    hook.release(hook.payload, h, bytes + ALIGN, ALIGN);
}

char *mc_strndup(const char *s, size_t n)
{
    char *p = mc_malloc(n + 1);
    if (!p) return NULL;
    if (n) memcpy(p, s, n);
    p[n] = 0;
    return p;
}

char *mc_strdup(const char *s) { return mc_strndup(s, strlen(s)); }

uint64_t mc_alloc_live_bytes(void) { return atomic_load(&live); }
uint64_t mc_alloc_count(void) { return atomic_load(&calls); }

int32_t mc_grow(void *p_to_pointer, int64_t *capacity, int64_t need, size_t element_bytes)
{
    void *old, *p;
    int64_t cap = *capacity < 4 ? 4 : *capacity;
    size_t bytes;
    if (need <= *capacity) return MCOMP_OK;
    while (cap < need) {
        if (cap > INT64_MAX / 2) return mc_fail(MCOMP_LIMIT, "", "container too large");
        cap *= 2;
    }
    if (__builtin_mul_overflow((size_t)cap, element_bytes, &bytes)) return mc_fail(MCOMP_LIMIT, "", "container too large");
    memcpy(&old, p_to_pointer, sizeof old);
    p = mc_realloc(old, bytes);
    if (!p) return MCOMP_NO_MEMORY;
    memcpy(p_to_pointer, &p, sizeof p);
    *capacity = cap;
    return MCOMP_OK;
}

/* ---- arena ---- */

#define CHUNK 65536u

typedef struct chunk {
    struct chunk *next;
    size_t used, cap;
} chunk;

struct mc_arena {
    chunk *head;
};

mc_arena *mc_arena_create(void) { return mc_calloc(1, sizeof(mc_arena)); }

void mc_arena_destroy(mc_arena *a)
{
    if (!a) return;
    for (chunk *c = a->head; c;) {
        chunk *next = c->next;
        mc_free(c);
        c = next;
    }
    mc_free(a);
}

void *mc_arena_alloc(mc_arena *a, size_t bytes)
{
    const size_t head = (sizeof(chunk) + 15u) & ~(size_t)15u;
    if (bytes > SIZE_MAX - CHUNK - head) return NULL;
    bytes = (bytes + 15u) & ~(size_t)15u;
    if (!a->head || a->head->cap - a->head->used < bytes) {
        const size_t cap = bytes > CHUNK ? bytes : CHUNK;
        chunk *c = mc_malloc(head + cap);
        if (!c) return NULL;
        c->next = a->head;
        c->used = 0;
        c->cap = cap;
        a->head = c;
    }
    void *p = (uint8_t *)a->head + head + a->head->used;
    a->head->used += bytes;
    memset(p, 0, bytes);
    return p;
}

char *mc_arena_strdup(mc_arena *a, const char *s)
{
    const size_t n = strlen(s) + 1;
    char *p = mc_arena_alloc(a, n);
    if (p) memcpy(p, s, n);
    return p;
}

int32_t mc_arena_split(mc_arena *a, const char *list, const char ***out)
{
    int64_t n = 2, k = 0;
    for (const char *p = list; p && *p; p++) n += *p == ',';
    *out = mc_arena_alloc(a, (size_t)n * sizeof **out);
    char *text = mc_arena_strdup(a, list ? list : "");
    if (!*out || !text) return MCOMP_NO_MEMORY;
    for (char *word; (word = strsep(&text, ",")) != NULL;)
        if (*word) (*out)[k++] = word;
    return MCOMP_OK;
}
