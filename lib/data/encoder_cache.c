/* The word cache: open addressing, keys and ids inline, no eviction. */
#include "data/encoder_cache.h"

#define N_SLOTS 65536
#define MAX_WORDS (N_SLOTS / 4 * 3)
#define MAX_LEN 40
#define MAX_IDS 14

typedef struct slot { /* 128 bytes */
    uint64_t hash;
    uint8_t len, n; /* len 0: free */
    char word[MAX_LEN];
    int32_t ids[MAX_IDS];
} slot;

struct mc_word_cache {
    slot *slots;
    int64_t n_slots, used;
};

int32_t mc_word_cache_create(struct mc_word_cache **out)
{
    struct mc_word_cache *c = mc_calloc(1, sizeof *c);
    *out = NULL;
    if (!c) return MCOMP_NO_MEMORY;
    c->n_slots = 1024;
    c->slots = mc_calloc((size_t)c->n_slots, sizeof *c->slots);
    if (!c->slots) {
        mc_free(c);
        return MCOMP_NO_MEMORY;
    }
    *out = c;
    return MCOMP_OK;
}

void mc_word_cache_destroy(struct mc_word_cache *c)
{
    if (!c) return;
    mc_free(c->slots);
    mc_free(c);
}

static slot *locate(const struct mc_word_cache *c, uint64_t hash, const char *word, int64_t len)
{
    for (uint64_t i = hash;; i++) {
        slot *s = &c->slots[i & (uint64_t)(c->n_slots - 1)];
        if (s->len == 0 || (s->hash == hash && s->len == len && memcmp(s->word, word, (size_t)len) == 0)) return s;
    }
}

static uint64_t hash_of(const char *word, int64_t len) { return mc_hash64(word, (size_t)len, 17); }

int mc_word_cache_get(mc_encoder *e, const char *word, int64_t len, int32_t *st)
{
    *st = MCOMP_OK;
    if (len > MAX_LEN) return 0;
    const slot *s = locate(e->cache, hash_of(word, len), word, len);
    if (s->len == 0) return 0;
    if (e->cap - e->n < s->n) *st = mc_grow(&e->ids, &e->cap, e->n + s->n, sizeof *e->ids);
    if (*st != MCOMP_OK) return 1;
    for (int i = 0; i < s->n; i++) e->ids[e->n + i] = s->ids[i];
    e->n += s->n;
    return 1;
}

static int32_t grow(struct mc_word_cache *c)
{
    struct mc_word_cache big = {.n_slots = c->n_slots * 4, .used = c->used};
    big.slots = mc_calloc((size_t)big.n_slots, sizeof *big.slots);
    if (!big.slots) return MCOMP_NO_MEMORY;
    for (int64_t i = 0; i < c->n_slots; i++)
        if (c->slots[i].len) *locate(&big, c->slots[i].hash, c->slots[i].word, c->slots[i].len) = c->slots[i];
    mc_free(c->slots);
    *c = big;
    return MCOMP_OK;
}

int32_t mc_word_cache_put(mc_encoder *e, const char *word, int64_t len, const int32_t *ids, int64_t n)
{
    struct mc_word_cache *c = e->cache;
    if (len > MAX_LEN || n > MAX_IDS || c->used >= MAX_WORDS) return MCOMP_OK;
    if (c->used * 2 >= c->n_slots && c->n_slots < N_SLOTS) {
        const int32_t st = grow(c);
        if (st != MCOMP_OK) return st;
    }
    const uint64_t h = hash_of(word, len);
    slot *s = locate(c, h, word, len);
    s->hash = h;
    s->len = (uint8_t)len;
    s->n = (uint8_t)n;
    memcpy(s->word, word, (size_t)len);
    if (n) memcpy(s->ids, ids, sizeof *ids * (size_t)n);
    c->used++;
    return MCOMP_OK;
}
