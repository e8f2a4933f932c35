/* Batches of a dataset: samples stacked along the model's batch axis. */
#include "train/trainer.h"

#include <stdio.h>

int32_t mc_feed_open(mc_feed *f, mcomp_dataset *d, const mc_graph *model)
{
    int32_t st = MCOMP_OK;
    *f = (mc_feed){.d = d, .n_inputs = (int32_t)model->n_inputs};
    for (int64_t i = 0; i < model->n_inputs; i++) {
        const mc_type *t = &model->inputs[i]->type;
        if (t->rank < 1 || t->dim[0] < 0) continue;
        (void)mc_fail(MCOMP_SHAPE, model->inputs[i]->name, "the batch axis is fixed to %lld; training needs a free one", (long long)t->dim[0]);
        st = mc_fail_hint("export the model with a free (dynamic) first axis");
        goto done;
    }
    f->in = mc_calloc((size_t)f->n_inputs + 1, sizeof *f->in);
    if (!f->in) st = MCOMP_NO_MEMORY;
done:
    return st;
}

static void drop(mc_feed *f)
{
    for (int32_t i = 0; f->in && i < f->n_inputs; i++) {
        mcomp_tensor_destroy(f->in[i]);
        f->in[i] = NULL;
    }
    mcomp_tensor_destroy(f->target);
    f->target = NULL;
}

void mc_feed_close(mc_feed *f)
{
    drop(f);
    mc_free(f->in);
    *f = (mc_feed){0};
}

void mc_feed_shuffle(int64_t *list, int64_t n, uint64_t seed, uint64_t epoch)
{
    uint32_t word[4];
    for (int64_t i = n - 1; i > 0; i--) { /* Fisher and Yates; 64 random bits make the bias of the remainder negligible */
        mc_rng_block(seed, 0x5348554646u + (epoch << 32), (uint64_t)i, word);
        const int64_t j = (int64_t)((((uint64_t)word[0] << 32) | word[1]) % (uint64_t)(i + 1)), x = list[i];
        list[i] = list[j];
        list[j] = x;
    }
}

/* Room for n samples like `t`, which has a leading axis of 1. */
static int32_t batch_like(mcomp_tensor **out, const mc_tensor *t, int64_t n, int32_t input)
{
    mc_shape s = t->shape;
    mc_tensor *made = NULL;
    char where[32];
    snprintf(where, sizeof where, "input %d", input);
    if (s.rank > 0) {
        if (s.dim[0] != 1) return mc_fail(MCOMP_SHAPE, where, "a sample has %lld rows; one is wanted", (long long)s.dim[0]);
        s.dim[0] = n;
    }
    const int32_t st = mc_tensor_create(&made, t->dtype, &s);
    *out = (mcomp_tensor *)made;
    return st;
}

static int32_t put_sample(mc_feed *f, int64_t row, const mcomp_tensor *const *in, int64_t n)
{
    int32_t st = MCOMP_OK;
    for (int32_t i = 0; i < f->n_inputs; i++) {
        const mc_tensor *from = &in[i]->t;
        if (row == 0) MC_TRY(batch_like(&f->in[i], from, n, i));
        const uint64_t bytes = mc_tensor_bytes(from);
        mc_tensor *to = &f->in[i]->t;
        int same = to->shape.rank == from->shape.rank;
        for (int32_t k = 1; same && k < from->shape.rank; k++) same = to->shape.dim[k] == from->shape.dim[k];
        if (!same) MC_FAIL(MCOMP_SHAPE, "batch", "samples of one batch differ in shape; pad them, or train with batch 1");
        if (from->shape.rank == 0) memcpy(to->data, from->data, (size_t)bytes);
        else memcpy((uint8_t *)to->data + (uint64_t)row * bytes, from->data, (size_t)bytes);
    }
done:
    return st;
}

static int32_t make_target(mc_feed *f, int64_t n, int labels, const mc_type *like)
{
    mc_tensor *t = NULL;
    mc_shape s = {.rank = 1, .dim = {n}};
    for (int32_t k = 1; !labels && k < like->rank; k++) {
        s.rank = k + 1;
        s.dim[k] = like->dim[k];
        if (like->dim[k] < 1) return mc_fail(MCOMP_SHAPE, "target", "axis %d of the target is not known", k);
    }
    const int32_t st = mc_tensor_create(&t, labels ? MCOMP_I64 : MCOMP_F32, &s);
    f->target = (mcomp_tensor *)t;
    return st;
}

/* A label as the float target of one row: a number, or one-hot. */
static int32_t put_target(mc_feed *f, int64_t row, int64_t label, int64_t width, int labels)
{
    mc_tensor *t = &f->target->t;
    if (labels) ((int64_t *)t->data)[row] = label;
    else if (width == 1) ((float *)t->data)[row] = (float)label;
    else if (label < width) ((float *)t->data)[row * width + label] = 1.0f;
    else return mc_fail(MCOMP_DATA, "label", "class %lld of %lld", (long long)label, (long long)width);
    return MCOMP_OK;
}

int32_t mc_feed_get(mc_feed *f, const int64_t *index, int64_t n, int labels, const mc_type *like)
{
    int32_t st = MCOMP_OK;
    int64_t width = 1;
    const mcomp_tensor **in = mc_calloc((size_t)f->n_inputs + 1, sizeof *in);
    drop(f);
    f->rows = n;
    if (!in) MC_TRY(MCOMP_NO_MEMORY);
    MC_TRY(make_target(f, n, labels, like));
    if (!labels && n > 0) width = mc_tensor_elements(&f->target->t) / n;
    for (int64_t row = 0; row < n; row++) {
        int64_t label = -1;
        MC_TRY(mcomp_dataset_get(f->d, index[row], f->n_inputs, in, &label));
        if (label < 0) {
            char where[40];
            snprintf(where, sizeof where, "sample %lld", (long long)index[row]);
            MC_FAIL(MCOMP_DATA, where, "it has no label to train on");
        }
        MC_TRY(put_sample(f, row, in, n));
        MC_TRY(put_target(f, row, label, width, labels));
    }
done:
    mc_free(in);
    return st;
}
