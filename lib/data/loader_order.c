/* The order of an epoch: samples sorted by a random key of (seed, epoch, sample). With buckets, stretches of 64 batches are sorted by
 * length, cut into batches, and the batches put into a random order: a batch then holds like lengths, and the epoch still mixes all. */
#include <stdlib.h>

#include "data/loader_internal.h"

#define BATCHES_A_STRETCH 64

typedef struct keyed {
    uint64_t key;
    int64_t value;
} keyed;

static int by_key(const void *a, const void *b)
{
    const keyed *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return (x->value > y->value) - (x->value < y->value);
}

static uint64_t random_key(uint64_t seed, uint64_t stream, int64_t epoch, int64_t counter)
{
    uint32_t r[4];
    mc_rng_block(seed, stream | (uint64_t)epoch, (uint64_t)counter, r);
    return (uint64_t)r[0] << 32 | r[1];
}

/* Within a stretch: by length, ties as they were. */
static void sort_stretch(const mc_loader *l, int64_t *order, int64_t n, keyed *spare)
{
    for (int64_t i = 0; i < n; i++) spare[i] = (keyed){(uint64_t)l->length[order[i]] << 32 | (uint64_t)i, order[i]};
    qsort(spare, (size_t)n, sizeof *spare, by_key);
    for (int64_t i = 0; i < n; i++) order[i] = spare[i].value;
}

/* Full batches in a random order; the last one, if it is not full, stays last. */
static int32_t mix_batches(mc_loader *l, keyed *spare)
{
    const int64_t b = l->o.batch, full = l->n / b;
    int64_t *copy = mc_malloc(sizeof *copy * (size_t)(l->n > 0 ? l->n : 1));
    if (!copy) return MCOMP_NO_MEMORY;
    memcpy(copy, l->order, sizeof *copy * (size_t)l->n);
    for (int64_t i = 0; i < full; i++) spare[i] = (keyed){random_key(l->o.seed, MC_STREAM_BATCHES, l->epoch, i), i};
    qsort(spare, (size_t)full, sizeof *spare, by_key);
    for (int64_t i = 0; i < full; i++) memcpy(l->order + i * b, copy + spare[i].value * b, sizeof *copy * (size_t)b);
    mc_free(copy);
    return MCOMP_OK;
}

int32_t mc_loader_shuffle(mc_loader *l)
{
    int32_t st = MCOMP_OK;
    const int32_t bucket = l->o.bucket && l->length;
    const int64_t stretch = l->o.shuffle ? l->o.batch * BATCHES_A_STRETCH : l->n;
    if (l->ordered == l->epoch || (l->ordered >= 0 && !l->o.shuffle)) return MCOMP_OK;
    for (int64_t i = 0; i < l->n; i++) l->order[i] = i;
    l->ordered = l->epoch;
    if (!l->o.shuffle && !bucket) return MCOMP_OK;
    keyed *k = mc_malloc(sizeof *k * (size_t)(l->n > 0 ? l->n : 1));
    if (!k) return MCOMP_NO_MEMORY;
    if (l->o.shuffle) {
        for (int64_t i = 0; i < l->n; i++) k[i] = (keyed){random_key(l->o.seed, MC_STREAM_ORDER, l->epoch, l->samples[i]), i};
        qsort(k, (size_t)l->n, sizeof *k, by_key);
        for (int64_t i = 0; i < l->n; i++) l->order[i] = k[i].value;
    }
    for (int64_t i = 0; bucket && i < l->n; i += stretch) sort_stretch(l, l->order + i, l->n - i < stretch ? l->n - i : stretch, k);
    if (bucket && l->o.shuffle) st = mix_batches(l, k);
    mc_free(k);
    if (st != MCOMP_OK) l->ordered = -1;
    return st;
}
