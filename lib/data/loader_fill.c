/* The tensors of one batch. */
#include "data/loader_internal.h"

/* 1: the input has an axis for the samples and the data gives one row a sample (or one row for all, which is repeated). */
static int batched(const mcomp_dataset *d, int64_t i)
{
    const mc_type *t = &d->input_types[i];
    if (d->text || d->fetch) return 1;
    if (!d->bind || !d->bind[i].t) return t->rank > 0 && t->dim[0] < 0;
    const mc_binding *b = &d->bind[i];
    if (!b->constant) return t->rank < 0 || t->rank == b->t->shape.rank || b->sample.rank == t->rank;
    return b->sample.rank > 0 && b->sample.dim[0] == 1 && (t->rank < 0 || (t->rank > 0 && t->dim[0] < 0));
}

int32_t mc_loader_check(const mc_loader *l)
{
    const mcomp_dataset *d = l->d;
    if (d->cases) return mc_fail(MCOMP_UNSUPPORTED, "onnx-test", "an ONNX test directory is not data to train on");
    for (int64_t i = 0; i < d->n_inputs; i++) {
        const mc_type *t = &d->input_types[i];
        const mc_binding *b = d->bind ? &d->bind[i] : NULL;
        if (b && b->t && !b->constant && t->rank >= 0 && (b->sample.rank == 0 || b->sample.dim[0] != 1 || b->t->shape.rank == t->rank + 1))
            return mc_fail(MCOMP_SHAPE, d->input_names[i], "the input has no axis for the samples of a batch");
        if (batched(d, i) && t->rank > 0 && t->dim[0] >= 0 && t->dim[0] != l->o.batch) {
            (void)mc_fail(MCOMP_SHAPE, d->input_names[i], "the model has a fixed batch of %lld, not %lld", (long long)t->dim[0], (long long)l->o.batch);
            (void)mc_fail_hint("--batch %lld", (long long)t->dim[0]);
            return MCOMP_SHAPE;
        }
    }
    return MCOMP_OK;
}

static int64_t row_of(const mc_loader *l, int64_t sample) { return l->d->order ? l->d->order[sample] : sample; }

/* ---- texts ---- */

/* BERT's masking: hidden positions get [MASK] (80 %), a random id (10 %) or stay. */
static void hide(const mc_loader *l, int64_t sample, int32_t *ids, int64_t n, int64_t *targets)
{
    const mc_tokenizer *t = l->d->tokenizer;
    const uint32_t rate = l->o.mask_rate >= 1.0 ? UINT32_MAX : (uint32_t)(l->o.mask_rate * 4294967296.0);
    const uint64_t size = (uint64_t)mc_tokenizer_size(t);
    for (int64_t i = t->n_before; i < n - t->n_after; i++) {
        uint32_t r[4];
        mc_rng_block(l->o.seed, MC_STREAM_MASK | (uint64_t)l->epoch, (uint64_t)sample << 24 | (uint64_t)i, r);
        if (r[0] >= rate) continue;
        targets[i] = ids[i];
        if (r[1] < 3435973837u) ids[i] = t->mask; /* 0.8 of 2^32 */
        else if (r[1] < 3865470566u) ids[i] = (int32_t)(r[2] * size >> 32); /* up to 0.9 */
    }
}

static int64_t batch_length(const mc_loader *l, int64_t from, int64_t n)
{
    const mc_type *t = &l->d->input_types[l->d->ids];
    int64_t longest = 1;
    if (l->o.fixed_length || l->d->stream || (t->rank == 2 && t->dim[1] >= 0)) return l->d->max_length;
    for (int64_t i = 0; i < n; i++)
        if (l->length[l->order[from + i]] > longest) longest = l->length[l->order[from + i]];
    longest = (longest + 15) / 16 * 16;
    return longest < l->d->max_length ? longest : l->d->max_length;
}

static int32_t text_row(mc_loader *l, int64_t k, int64_t sample, int32_t *spare, mc_batch *b)
{
    int32_t st = MCOMP_OK;
    mcomp_dataset *d = l->d;
    const int32_t *ids;
    int64_t n, *targets = l->o.objective == MC_OBJECTIVE_CLASSIFY ? NULL : (int64_t *)l->labels->data + k * b->length;
    MC_TRY(mc_text_ids(d, row_of(l, sample), &ids, &n));
    for (int64_t i = 0; targets && i < b->length; i++) targets[i] = d->stream ? ids[i + 1] : MC_IGNORE_LABEL;
    if (l->o.objective == MC_OBJECTIVE_MLM) {
        memcpy(spare, ids, sizeof *spare * (size_t)n);
        hide(l, sample, spare, n, targets);
        ids = spare;
    }
    for (int32_t i = 0; i < d->n_inputs; i++) MC_TRY(mc_text_fill(d, i, l->inputs[i], k * b->length, ids, n, b->length));
    b->tokens += n;
done:
    return st;
}

static int32_t fill_texts(mc_loader *l, int64_t from, int64_t n, mc_batch *b)
{
    int32_t st = MCOMP_OK;
    mcomp_dataset *d = l->d;
    int32_t *spare = NULL;
    b->length = batch_length(l, from, n);
    const mc_shape s = {.rank = 2, .dim = {n, b->length}};
    for (int64_t i = 0; i < d->n_inputs; i++) MC_TRY(mc_tensor_create(&l->inputs[i], d->input_types[i].dtype, &s));
    if (l->o.objective != MC_OBJECTIVE_CLASSIFY) MC_TRY(mc_tensor_create(&l->labels, MCOMP_I64, &s));
    spare = mc_malloc(sizeof *spare * (size_t)(d->max_length + 1));
    if (!spare) MC_FAIL(MCOMP_NO_MEMORY, "loader", "no memory");
    for (int64_t k = 0; k < n; k++) MC_TRY(text_row(l, k, l->batch_samples[k], spare, b));
done:
    mc_free(spare);
    return st;
}

/* ---- arrays and callbacks ---- */

static int32_t augment(mc_loader *l, int32_t input, int64_t sample, mc_tensor *one)
{
    const mc_sample_rng r = {l->o.seed, l->epoch, sample};
    return l->o.augment ? l->o.augment(l->o.augment_payload, &r, input, one) : MCOMP_OK;
}

static int32_t fill_array(mc_loader *l, int32_t i, int64_t n)
{
    int32_t st = MCOMP_OK;
    const mcomp_dataset *d = l->d;
    const mc_binding *a = &d->bind[i];
    mc_shape s = {.rank = d->input_types[i].rank < 0 ? 0 : d->input_types[i].rank};
    if (a->t) s = a->sample;
    else
        for (int32_t k = 0; k < s.rank; k++) s.dim[k] = d->input_types[i].dim[k] < 0 ? 1 : d->input_types[i].dim[k]; /* optional and absent: zeros */
    const int rows = batched(d, i);
    mc_tensor one = {.dtype = d->input_types[i].dtype, .shape = s};
    if (rows) s.dim[0] = n;
    MC_TRY(mc_tensor_create(&l->inputs[i], one.dtype, &s));
    const uint64_t bytes = rows ? mc_tensor_bytes(l->inputs[i]) / (uint64_t)n : mc_tensor_bytes(l->inputs[i]);
    for (int64_t k = 0; a->t && bytes && k < (rows ? n : 1); k++) {
        one.data = (uint8_t *)l->inputs[i]->data + (uint64_t)k * bytes;
        memcpy(one.data, (const uint8_t *)a->t->data + (a->constant ? 0 : (uint64_t)row_of(l, l->batch_samples[k]) * bytes), bytes);
        if (rows) MC_TRY(augment(l, i, l->batch_samples[k], &one));
    }
done:
    return st;
}

/* A callback's samples, one after another; all of one shape. */
static int32_t fill_fetched(mc_loader *l, int64_t n, int64_t *labels)
{
    int32_t st = MCOMP_OK;
    mcomp_dataset *d = l->d;
    const mcomp_tensor **one = mc_calloc((size_t)d->n_inputs + 1, sizeof *one);
    if (!one) return MCOMP_NO_MEMORY;
    for (int64_t k = 0; k < n; k++) {
        MC_TRY(mcomp_dataset_get(d, l->batch_samples[k], (int32_t)d->n_inputs, one, &labels[k]));
        for (int32_t i = 0; i < d->n_inputs; i++) {
            mc_tensor t = one[i]->t;
            const uint64_t bytes = mc_tensor_bytes(&t);
            mc_shape s = t.shape;
            if (s.rank == 0 || s.dim[0] != 1) MC_FAIL(MCOMP_SHAPE, d->input_names[i], "a sample for training starts with an axis of 1");
            s.dim[0] = n;
            if (k == 0) MC_TRY(mc_tensor_create(&l->inputs[i], t.dtype, &s));
            if (!mc_shape_equal(&l->inputs[i]->shape, &s)) MC_FAIL(MCOMP_SHAPE, d->input_names[i], "the samples of one batch have different shapes");
            t.data = (uint8_t *)l->inputs[i]->data + (uint64_t)k * bytes;
            if (bytes) memcpy(t.data, one[i]->t.data, bytes);
            MC_TRY(augment(l, i, l->batch_samples[k], &t));
        }
    }
done:
    mc_free(one);
    return st;
}

static int32_t fill_targets(mc_loader *l, int64_t n)
{
    int32_t st = MCOMP_OK;
    const mc_tensor *t = l->d->target;
    mc_shape s = t->shape;
    s.dim[0] = n;
    MC_TRY(mc_tensor_create(&l->labels, MCOMP_F32, &s));
    const uint64_t bytes = mc_tensor_bytes(l->labels) / (uint64_t)n;
    for (int64_t k = 0; bytes && k < n; k++) memcpy((uint8_t *)l->labels->data + (uint64_t)k * bytes, (const uint8_t *)t->data + (uint64_t)row_of(l, l->batch_samples[k]) * bytes, bytes);
done:
    return st;
}

int32_t mc_loader_fill(mc_loader *l, int64_t from, int64_t n, mc_batch *b)
{
    int32_t st = MCOMP_OK;
    mcomp_dataset *d = l->d;
    mc_tensor *classes = NULL;
    const mc_shape s = {.rank = 1, .dim = {n}};
    for (int64_t k = 0; k < n; k++) l->batch_samples[k] = l->samples[l->order[from + k]];
    MC_TRY(mc_tensor_create(&classes, MCOMP_I64, &s));
    if (d->text) {
        MC_TRY(fill_texts(l, from, n, b));
    } else if (d->fetch) {
        MC_TRY(fill_fetched(l, n, classes->data));
    } else {
        for (int32_t i = 0; i < d->n_inputs; i++) MC_TRY(fill_array(l, i, n));
    }
    if (d->target) MC_TRY(fill_targets(l, n));
    for (int64_t k = 0; d->label && k < n; k++) ((int64_t *)classes->data)[k] = d->label[row_of(l, l->batch_samples[k])];
    if (!l->labels && d->has_labels) {
        l->labels = classes;
        classes = NULL;
    }
    b->n = n;
    b->n_inputs = (int32_t)d->n_inputs;
    b->names = d->input_names;
    b->inputs = l->inputs;
    b->labels = l->labels;
    b->samples = l->batch_samples;
done:
    mc_tensor_destroy(classes);
    return st;
}
