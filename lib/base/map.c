/* Map from string to int64: open addressing with linear probing, hash seeded per process against chosen collisions. */
#include "base/base.h"

#include <pthread.h>
#include <sys/random.h>

#define SMALL 1024 /* keys */

typedef struct slot {
    char *key; /* NULL: never used; TOMB: removed */
    uint64_t hash;
    int64_t value;
    int32_t in_arena;
} slot;

struct mc_map {
    slot *slots;
    int64_t cap, count, used; /* used counts tombstones too */
    mc_arena *keys;           /* an allocation a key would take most of the time of a model with very many names; NULL while small */
};

static char tomb[1];
static uint64_t seed;
static pthread_once_t seed_once = PTHREAD_ONCE_INIT;

static void make_seed(void)
{
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != (ssize_t)sizeof seed) seed = (uint64_t)mc_clock_ns() ^ 0x5851f42d4c957f2du;
}

mc_map *mc_map_create(void)
{
    pthread_once(&seed_once, make_seed);
    return mc_calloc(1, sizeof(mc_map));
}

/* Keys that came before the arena have an allocation each. */
static int owned(const slot *s) { return s->key && s->key != tomb && !s->in_arena; }

void mc_map_destroy(mc_map *m)
{
    if (!m) return;
    for (int64_t i = 0; i < m->cap; i++)
        if (owned(&m->slots[i])) mc_free(m->slots[i].key);
    mc_arena_destroy(m->keys);
    mc_free(m->slots);
    mc_free(m);
}

/* Slot holding the key, or the one to put it into. cap is a power of two with free room. */
static slot *locate(slot *slots, int64_t cap, const char *key, uint64_t hash)
{
    slot *reuse = NULL;
    for (uint64_t i = hash;; i++) {
        slot *s = &slots[i & (uint64_t)(cap - 1)];
        if (!s->key) return reuse ? reuse : s;
        if (s->key == tomb) {
            if (!reuse) reuse = s;
        } else if (s->hash == hash && strcmp(s->key, key) == 0) {
            return s;
        }
    }
}

static int32_t rehash(mc_map *m)
{
    int64_t cap = m->cap < 16 ? 16 : m->cap;
    while (cap < (m->count + 1) * 2) cap *= 2;
    slot *slots = mc_calloc((size_t)cap, sizeof *slots);
    if (!slots) return MCOMP_NO_MEMORY;
    for (int64_t i = 0; i < m->cap; i++) {
        const slot *s = &m->slots[i];
        if (s->key && s->key != tomb) *locate(slots, cap, s->key, s->hash) = *s;
    }
    mc_free(m->slots);
    m->slots = slots;
    m->cap = cap;
    m->used = m->count;
    return MCOMP_OK;
}

int32_t mc_map_put(mc_map *m, const char *key, int64_t value)
{
    const uint64_t hash = mc_hash64(key, strlen(key), seed);
    if ((m->used + 1) * 4 > m->cap * 3) {
        const int32_t st = rehash(m);
        if (st != MCOMP_OK) return st;
    }
    slot *s = locate(m->slots, m->cap, key, hash);
    if (!s->key || s->key == tomb) {
        if (m->count >= SMALL && !m->keys && !(m->keys = mc_arena_create())) return MCOMP_NO_MEMORY;
        char *copy = m->keys ? mc_arena_strdup(m->keys, key) : mc_strdup(key);
        if (!copy) return MCOMP_NO_MEMORY;
        if (!s->key) m->used++;
        *s = (slot){copy, hash, value, m->keys != NULL};
        m->count++;
    }
    s->value = value;
    return MCOMP_OK;
}

static slot *find(const mc_map *m, const char *key)
{
    if (m->cap == 0) return NULL;
    slot *s = locate(m->slots, m->cap, key, mc_hash64(key, strlen(key), seed));
    return s->key && s->key != tomb ? s : NULL;
}

int mc_map_get(const mc_map *m, const char *key, int64_t *value)
{
    const slot *s = find(m, key);
    if (s && value) *value = s->value;
    return s != NULL;
}

int mc_map_remove(mc_map *m, const char *key)
{
    slot *s = find(m, key);
    if (!s) return 0;
    if (owned(s)) mc_free(s->key);
    s->key = tomb;
    m->count--;
    return 1;
}

int64_t mc_map_count(const mc_map *m) { return m->count; }
