/* Training and validation parts, and weights of classes. */
#include "data/loader_internal.h"

#define SPLIT_KEY 0x76616c6964617465u /* not the user's seed: every run validates on the same samples */

static uint64_t array_hash(const mcomp_dataset *d, int64_t row)
{
    uint64_t h = SPLIT_KEY;
    for (int64_t i = 0; i < d->n_inputs; i++) {
        const mc_binding *b = &d->bind[i];
        if (!b->t || b->constant || b->t->shape.dim[0] == 0) continue;
        const uint64_t bytes = mc_tensor_bytes(b->t) / (uint64_t)b->t->shape.dim[0];
        h = mc_hash64((const uint8_t *)b->t->data + (uint64_t)row * bytes, (size_t)bytes, h);
    }
    return h;
}

static int32_t hash_of(mcomp_dataset *d, int64_t sample, const mcomp_tensor **one, uint64_t *h)
{
    const int64_t row = d->order ? d->order[sample] : sample;
    *h = SPLIT_KEY;
    if (d->text && d->table.rows[row].group) {
        *h = mc_hash64(d->table.rows[row].group, strlen(d->table.rows[row].group), *h);
    } else if (d->text) {
        *h = mc_hash64(d->table.rows[row].text, (size_t)d->table.rows[row].text_len, *h);
    } else if (d->bind) {
        *h = array_hash(d, row);
    } else {
        const int32_t st = mcomp_dataset_get(d, sample, (int32_t)d->n_inputs, one, NULL);
        if (st != MCOMP_OK) return st;
        for (int64_t i = 0; i < d->n_inputs; i++) *h = mc_hash64(one[i]->t.data, (size_t)mc_tensor_bytes(&one[i]->t), *h);
    }
    return MCOMP_OK;
}

/* If one side came out empty: the samples of the lowest hash are the validation part. */
static void rescue(mc_split *s, const uint64_t *h, int64_t n)
{
    uint64_t lowest = UINT64_MAX;
    for (int64_t i = 0; i < n; i++)
        if (h[i] < lowest) lowest = h[i];
    s->n_train = s->n_valid = 0;
    for (int64_t i = 0; i < n; i++) {
        if (h[i] == lowest) s->valid[s->n_valid++] = i;
        else s->train[s->n_train++] = i;
    }
}

int32_t mc_split_make(mc_split *out, mcomp_dataset *d, double fraction)
{
    int32_t st = MCOMP_OK;
    const int64_t n = d->count;
    mc_split s = {0};
    memset(out, 0, sizeof *out);
    if (!(fraction > 0.0 && fraction < 1.0)) return mc_fail(MCOMP_RANGE, "validation split", "%g is not between 0 and 1", fraction);
    const mcomp_tensor **one = mc_calloc((size_t)d->n_inputs + 1, sizeof *one);
    uint64_t *h = mc_malloc(sizeof *h * (size_t)n);
    s.train = mc_malloc(sizeof *s.train * (size_t)n);
    s.valid = mc_malloc(sizeof *s.valid * (size_t)n);
    if (!h || !one || !s.train || !s.valid) MC_FAIL(MCOMP_NO_MEMORY, "validation split", "no memory");
    const int64_t keep = n - (int64_t)((double)n * fraction + 0.5);
    for (int64_t i = 0; i < n; i++) {
        int valid;
        if (d->stream) {
            valid = i >= (keep < n ? keep : n - 1) && i > 0;
        } else {
            MC_TRY(hash_of(d, i, one, &h[i]));
            valid = (double)(h[i] >> 11) * 0x1p-53 < fraction;
        }
        if (valid) s.valid[s.n_valid++] = i;
        else s.train[s.n_train++] = i;
    }
    if (!d->stream && (s.n_valid == 0 || s.n_train == 0)) rescue(&s, h, n);
    if (s.n_valid == 0 || s.n_train == 0) {
        (void)mc_fail(MCOMP_DATA, "validation split", "%lld samples cannot be split into training and validation", (long long)n);
        (void)mc_fail_hint("give validation data of its own (--valid)");
        st = MCOMP_DATA;
        goto done;
    }
    *out = s;
    s = (mc_split){0};
done:
    mc_free(h);
    mc_free(one);
    mc_split_free(&s);
    return st;
}

int32_t mcomp_dataset_split(mcomp_dataset *d, mcomp_dataset *by, int32_t part, double fraction)
{
    int32_t st = MCOMP_OK;
    mc_split s = {0};
    MC_API_ENTER();
    MC_CHECK_ARG(1, d, "d", "is NULL");
    MC_CHECK_ARG(3, part == 0 || part == 1, "part", "is neither 0 (train) nor 1 (validation)");
    if (!by) by = d;
    MC_CHECK_ARG(2, by->count == d->count, "by", "has another number of samples");
    MC_TRY(mc_split_make(&s, by, fraction));
    const int64_t *keep = part ? s.valid : s.train, n = part ? s.n_valid : s.n_train;
    if (!d->order) {
        d->order = mc_malloc(sizeof *d->order * (size_t)n);
        if (!d->order) MC_TRY(MCOMP_NO_MEMORY);
        memcpy(d->order, keep, sizeof *keep * (size_t)n);
    } else {
        for (int64_t i = 0; i < n; i++) d->order[i] = d->order[keep[i]]; /* keep[] rises: nothing is read after it was written over */
    }
    d->count = n;
done:
    mc_split_free(&s);
    return st;
}

void mc_split_free(mc_split *s)
{
    mc_free(s->train);
    mc_free(s->valid);
    memset(s, 0, sizeof *s);
}

int64_t mc_class_count(const mcomp_dataset *d)
{
    int64_t n = d->labels.n;
    for (int64_t i = 0; d->label && i < d->count; i++)
        if (d->label[d->order[i]] >= n) n = d->label[d->order[i]] + 1;
    return n;
}

int32_t mc_class_weights(mcomp_dataset *d, const int64_t *samples, int64_t n, int64_t classes, float *weights)
{
    if (!d->label) return mc_fail(MCOMP_DATA, "class weights", "the data has no classes");
    if (!samples) n = d->count;
    int64_t *count = mc_calloc((size_t)classes + 1, sizeof *count);
    if (!count) return MCOMP_NO_MEMORY;
    int32_t st = MCOMP_OK;
    for (int64_t i = 0; i < n; i++) {
        const int64_t c = d->label[d->order[samples ? samples[i] : i]];
        if (c >= classes) MC_FAIL(MCOMP_RANGE, "class weights", "label %lld, the model has %lld classes", (long long)c, (long long)classes);
        count[c]++;
    }
    for (int64_t c = 0; c < classes; c++) weights[c] = count[c] ? (float)((double)n / ((double)classes * (double)count[c])) : 0.0f;
done:
    mc_free(count);
    return st;
}
