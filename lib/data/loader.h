/* data/loader.h - batches for training, of any dataset: arrays, images, texts, callbacks. Included through data/data.h.
 *
 *   mc_loader_options o = mc_loader_defaults();
 *   o.batch = 32; o.seed = seed; o.samples = split.train; o.n_samples = split.n_train;
 *   mc_loader_open(&l, dataset, &o);
 *   for (;;) {
 *       mc_batch b;
 *       st = mc_loader_next(l, &b);          // b.n == 0: the epoch is over, the next call begins another
 *       ... b.inputs[k] is the tensor of the model's input b.names[k], b.labels the targets ...
 *   }
 *
 * Order, masks and augmentation are functions of (seed, epoch, sample): not of threads, of the batch size or of what ran before, so that a
 * loader that is put to a saved position goes on with the very same batches. @thread one at a time; the dataset belongs to the loader
 * while it is in use.
 */
#ifndef MC_DATA_LOADER_H
#define MC_DATA_LOADER_H

#include <mcomp/dataset.h>

#include "tensor/tensor.h"

typedef struct mc_loader mc_loader;

enum {
    MC_OBJECTIVE_CLASSIFY,   /* a label a sample */
    MC_OBJECTIVE_MLM,        /* texts; some ids are hidden, the targets are what stood there (BERT: 80 % [MASK], 10 % random, 10 % as it was) */
    MC_OBJECTIVE_NEXT_TOKEN, /* one stream cut into windows of max_length ids; the targets are the ids one further */
};
/* One of them by name, NULL: classify. ARGUMENT names the nearest. */
int32_t mc_objective_find(const char *name, int32_t *out);
#define MC_IGNORE_LABEL (-100) /* in targets of texts: this position does not count */

/* Changes one sample of an input in place, before it goes into the batch. random: numbers of (seed, epoch, sample, k), any k. */
typedef struct mc_sample_rng {
    uint64_t seed;
    int64_t epoch, sample;
} mc_sample_rng;
void mc_sample_random(const mc_sample_rng *r, uint32_t k, uint32_t out[4]);
typedef int32_t (*mc_augment_fn)(void *payload, const mc_sample_rng *r, int32_t input, mc_tensor *sample);
/* Ready-made: payload is mc_augment_shift; moves a [1, C, H, W] image by up to `pixels` in each direction, mirrors it if asked; what comes in
 * from outside is `fill`. */
typedef struct mc_augment_shift {
    int32_t pixels, mirror;
    double fill;
} mc_augment_shift;
int32_t mc_augment_shift_image(void *payload, const mc_sample_rng *r, int32_t input, mc_tensor *sample);

typedef struct mc_loader_options {
    int64_t batch;          /* samples a batch */
    uint64_t seed;
    int32_t shuffle;        /* 1: another order in each epoch */
    int32_t bucket;         /* 1: texts of like length come together, so that little is padding */
    int32_t fixed_length;   /* 1: texts are padded to max_length; 0: to the longest of the batch, rounded up to a multiple of 16 */
    int32_t drop_last;      /* 1: a last batch that is not full is left out (always for models with a fixed batch) */
    int32_t repeat;         /* 1: every epoch is the first one again, masks included: for validation */
    int32_t objective;
    double mask_rate;       /* MLM: share of ids that are hidden */
    const int64_t *samples; /* which samples of the dataset, copied; NULL: all */
    int64_t n_samples;
    mc_augment_fn augment;  /* NULL: none */
    void *augment_payload;
} mc_loader_options;
mc_loader_options mc_loader_defaults(void); /* batch 32, shuffled, bucketed, mask_rate 0.15 */

/* One batch; everything in it is borrowed and stays valid until the next call with this loader. */
typedef struct mc_batch {
    int64_t n;                /* samples in it; 0: the epoch is over */
    int64_t epoch, index;     /* the how-manieth batch of the how-manieth epoch, both from 0 */
    int64_t length, tokens;   /* texts: ids a row; ids in all rows that are not padding. 0 for arrays */
    int32_t n_inputs;
    char *const *names;       /* of the model's inputs, in the graph's order */
    mc_tensor *const *inputs; /* [n, ...]; an input without a sample axis as it is */
    const mc_tensor *labels;  /* classes int64 [n]; numbers f32 [n, ...] for label arrays that are no classes; texts of MLM and next-token int64
                               * [n, length], MC_IGNORE_LABEL where nothing is asked; NULL: the data has none */
    const int64_t *samples;   /* indices in the dataset */
} mc_batch;

int32_t mc_loader_open(mc_loader **out, mcomp_dataset *d, const mc_loader_options *o);
void mc_loader_close(mc_loader *l);
int32_t mc_loader_next(mc_loader *l, mc_batch *out);
int64_t mc_loader_batches(const mc_loader *l); /* of one epoch */

/* Where the loader stands: the batch that mc_loader_next gives next. Plain data, to be written into a checkpoint. */
typedef struct mc_cursor {
    int64_t epoch, index;
    uint64_t fingerprint; /* of the samples, their order and the options */
} mc_cursor;
void mc_loader_tell(const mc_loader *l, mc_cursor *out);
int32_t mc_loader_seek(mc_loader *l, const mc_cursor *c); /* MISMATCH when the data or the options are others */

/* Samples for training and for validation, each in the order of the dataset. A sample goes to validation by the hash of its text or array
 * bytes, or of its group (option group of the dataset): the same samples whatever their order or number, and equal texts stay together. A
 * stream (next-token) is cut at its end instead. Neither side is empty when there are two samples or more of different content. */
typedef struct mc_split {
    int64_t *train, *valid; /* mc_split_free */
    int64_t n_train, n_valid;
} mc_split;
int32_t mc_split_make(mc_split *out, mcomp_dataset *d, double valid_fraction);
void mc_split_free(mc_split *s);

/* Weight of each class so that every class counts alike: n / (classes * n_of_class), 0 for one that does not occur. samples NULL: all. */
int32_t mc_class_weights(mcomp_dataset *d, const int64_t *samples, int64_t n, int64_t classes, float *weights);
int64_t mc_class_count(const mcomp_dataset *d); /* names, or 1 + the highest label; 0: no classes */

#endif
