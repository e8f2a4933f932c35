/* The loader: which samples, where it stands, and the batch that comes next. */
#include "data/loader_internal.h"

mc_loader_options mc_loader_defaults(void) { return (mc_loader_options){.batch = 32, .shuffle = 1, .bucket = 1, .mask_rate = 0.15}; }

static int32_t check_options(const mcomp_dataset *d, const mc_loader_options *o)
{
    if (o->batch < 1 || o->batch > 1 << 24) return mc_fail(MCOMP_RANGE, "batch", "%lld is not a batch size", (long long)o->batch);
    if (o->objective < 0 || o->objective > MC_OBJECTIVE_NEXT_TOKEN) return mc_fail(MCOMP_ARGUMENT, "objective", "%d is no objective", o->objective);
    if (o->objective != d->objective) return mc_fail(MCOMP_ARGUMENT, "objective", "the data was opened for another objective");
    if (!(o->mask_rate >= 0.0 && o->mask_rate <= 1.0)) return mc_fail(MCOMP_RANGE, "mask_rate", "%g is not in 0..1", o->mask_rate);
    if (o->samples && o->n_samples < 1) return mc_fail(MCOMP_DATA, "samples", "no samples to train on");
    for (int64_t i = 0; o->samples && i < o->n_samples; i++)
        if (o->samples[i] < 0 || o->samples[i] >= d->count) return mc_fail(MCOMP_RANGE, "samples", "there is no sample %lld", (long long)o->samples[i]);
    return MCOMP_OK;
}

static int32_t take_lengths(mc_loader *l)
{
    int32_t st = MCOMP_OK;
    const int32_t *ids;
    int64_t n;
    if (!l->d->text) return MCOMP_OK;
    MC_TRY(mc_text_encode_all(l->d));
    l->length = mc_malloc(sizeof *l->length * (size_t)l->n);
    if (!l->length) return MCOMP_NO_MEMORY;
    for (int64_t i = 0; i < l->n; i++) {
        MC_TRY(mc_text_ids(l->d, l->d->order[l->samples[i]], &ids, &n));
        l->length[i] = (int32_t)n;
    }
done:
    return st;
}

/* Of what a position depends on: samples, their lengths and labels, batch size, seed, order. */
static uint64_t fingerprint_of(const mc_loader *l)
{
    const mcomp_dataset *d = l->d;
    const int64_t options[] = {l->n, l->o.batch, l->o.shuffle, l->o.bucket, l->o.fixed_length, l->o.drop_last, l->o.repeat, l->o.objective, d->max_length, (int64_t)l->o.seed, l->o.augment != NULL};
    uint64_t h = mc_hash64(options, sizeof options, 1);
    h = mc_hash64(l->samples, sizeof *l->samples * (size_t)l->n, h);
    if (l->length) h = mc_hash64(l->length, sizeof *l->length * (size_t)l->n, h);
    for (int64_t i = 0; d->label && i < l->n; i++) h = mc_hash64(&d->label[d->order[l->samples[i]]], sizeof *d->label, h);
    return h;
}

int32_t mc_loader_open(mc_loader **out, mcomp_dataset *d, const mc_loader_options *o)
{
    int32_t st = MCOMP_OK;
    mc_loader *l = NULL;
    *out = NULL;
    MC_TRY(check_options(d, o));
    l = mc_calloc(1, sizeof *l);
    if (!l) return MCOMP_NO_MEMORY;
    l->d = d;
    l->o = *o;
    l->o.samples = NULL;
    l->n = o->samples ? o->n_samples : d->count;
    l->ordered = -1;
    l->samples = mc_malloc(sizeof *l->samples * (size_t)l->n);
    l->order = mc_malloc(sizeof *l->order * (size_t)l->n);
    l->inputs = mc_calloc((size_t)d->n_inputs + 1, sizeof *l->inputs);
    l->batch_samples = mc_malloc(sizeof *l->batch_samples * (size_t)(o->batch < l->n ? o->batch : l->n));
    if (!l->samples || !l->order || !l->inputs || !l->batch_samples) MC_FAIL(MCOMP_NO_MEMORY, "loader", "no memory");
    for (int64_t i = 0; i < l->n; i++) l->samples[i] = o->samples ? o->samples[i] : i;
    for (int64_t i = 0; i < d->n_inputs; i++)
        if (d->input_types[i].rank > 0 && d->input_types[i].dim[0] >= 0 && !(d->bind && d->bind[i].constant)) l->o.drop_last = 1;
    l->n_batches = l->o.drop_last ? l->n / o->batch : (l->n + o->batch - 1) / o->batch;
    if (l->n_batches == 0) MC_FAIL(MCOMP_DATA, "batch", "%lld samples do not fill one batch of %lld", (long long)l->n, (long long)o->batch);
    MC_TRY(mc_loader_check(l));
    MC_TRY(take_lengths(l));
    l->fingerprint = fingerprint_of(l);
    *out = l;
    l = NULL;
done:
    mc_loader_close(l);
    return st;
}

static void drop_batch(mc_loader *l)
{
    for (int64_t i = 0; l->inputs && i < l->d->n_inputs; i++) {
        mc_tensor_destroy(l->inputs[i]);
        l->inputs[i] = NULL;
    }
    mc_tensor_destroy(l->labels);
    l->labels = NULL;
}

void mc_loader_close(mc_loader *l)
{
    if (!l) return;
    drop_batch(l);
    mc_free(l->inputs);
    mc_free(l->samples);
    mc_free(l->order);
    mc_free(l->length);
    mc_free(l->batch_samples);
    mc_free(l);
}

int32_t mc_loader_next(mc_loader *l, mc_batch *b)
{
    int32_t st = MCOMP_OK;
    *b = (mc_batch){.epoch = l->epoch, .index = l->index};
    drop_batch(l);
    if (l->index >= l->n_batches) {
        l->epoch += !l->o.repeat;
        l->index = 0;
        return MCOMP_OK;
    }
    MC_TRY(mc_loader_shuffle(l));
    const int64_t from = l->index * l->o.batch, left = l->n - from;
    MC_TRY(mc_loader_fill(l, from, left < l->o.batch ? left : l->o.batch, b));
    l->index++;
done:
    if (st != MCOMP_OK) b->n = 0;
    return st;
}

int64_t mc_loader_batches(const mc_loader *l) { return l->n_batches; }

void mc_loader_tell(const mc_loader *l, mc_cursor *c) { *c = (mc_cursor){l->epoch, l->index, l->fingerprint}; }

int32_t mc_loader_seek(mc_loader *l, const mc_cursor *c)
{
    if (c->fingerprint != l->fingerprint) {
        (void)mc_fail(MCOMP_MISMATCH, "position in the data", "the data or its options are not those that the position was saved with");
        (void)mc_fail_hint("resume with the same data, batch size, max_length and seed, or start afresh");
        return MCOMP_MISMATCH;
    }
    if (c->epoch < 0 || c->index < 0 || c->index > l->n_batches) return mc_fail(MCOMP_RANGE, "position in the data", "batch %lld of epoch %lld", (long long)c->index, (long long)c->epoch);
    l->epoch = c->epoch;
    l->index = c->index;
    return MCOMP_OK;
}
