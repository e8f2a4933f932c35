/* data/loader_internal.h - private: what a loader is made of. */
#ifndef MC_DATA_LOADER_INTERNAL_H
#define MC_DATA_LOADER_INTERNAL_H

#include "data/text.h"

/* Streams of the counter-based random numbers; the epoch is added in the low bits. */
#define MC_STREAM_ORDER (1ull << 56)
#define MC_STREAM_BATCHES (2ull << 56)
#define MC_STREAM_MASK (3ull << 56)
#define MC_STREAM_AUGMENT (4ull << 56)

struct mc_loader {
    mcomp_dataset *d;
    mc_loader_options o;
    int64_t *samples; /* the subset */
    int64_t n;
    int32_t *length;  /* ids of each sample of the subset; NULL: no text */
    int64_t *order;   /* positions in the subset, in the order of this epoch */
    int64_t n_batches;
    int64_t epoch, index; /* of the batch that comes next */
    int64_t ordered;      /* epoch that order is for; -1: none */
    uint64_t fingerprint;
    /* the batch that was given out */
    mc_tensor **inputs, *labels;
    int64_t *batch_samples;
};

/* Order of the epoch l->epoch into l->order (loader_order.c). */
int32_t mc_loader_shuffle(mc_loader *l);
/* Tensors of the batch that has n samples at order[from...] (loader_fill.c). */
int32_t mc_loader_fill(mc_loader *l, int64_t from, int64_t n, mc_batch *b);
/* Checks that the model's inputs take batches (loader_fill.c). */
int32_t mc_loader_check(const mc_loader *l);

#endif
