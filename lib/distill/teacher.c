/* The teacher over the samples, once: what the store has is not computed again. A sample's key is the hash of its tensors, so it is found
 * wherever it stands in the data; the ids stand for the tokenizer. */
#include "distill/distiller.h"

#include <math.h>
#include <stdio.h>

#define LARGEST_HALF 65504.0f

typedef struct lesson {
    mcomp_distiller *d;
    mcomp_dataset *data;
    mcomp_session *s;
    mcomp_exec *e;
    int32_t scores; /* output */
    int64_t n;
    char (*key)[MC_KD_KEY + 1]; /* by sample */
    int64_t *missing;
    int64_t n_missing;
    uint16_t *half; /* one sample's payload */
    int64_t cap_half;
} lesson;

/* ---- keys ---- */

static int32_t key_of(lesson *l, int64_t sample, const mcomp_tensor **in, mc_str *text)
{
    int32_t st = MCOMP_OK;
    text->len = 0;
    MC_TRY(mcomp_dataset_get(l->data, sample, (int32_t)l->d->teacher->n_inputs, in, NULL));
    for (int64_t i = 0; i < l->d->teacher->n_inputs; i++) {
        const mc_tensor *t = &in[i]->t;
        MC_TRY(mc_str_append_bytes(text, &t->dtype, sizeof t->dtype));
        MC_TRY(mc_str_append_bytes(text, &t->shape.rank, sizeof t->shape.rank));
        MC_TRY(mc_str_append_bytes(text, t->shape.dim, sizeof *t->shape.dim * (size_t)t->shape.rank));
        if (mc_tensor_bytes(t)) MC_TRY(mc_str_append_bytes(text, t->data, (size_t)mc_tensor_bytes(t)));
    }
    st = mc_sha256_hex(text->data, (uint64_t)text->len, l->key[sample]);
done:
    return st;
}

static int32_t keys(lesson *l)
{
    int32_t st = MCOMP_OK;
    mc_str text = {0};
    uint64_t bytes;
    const mcomp_tensor **in = mc_calloc((size_t)l->d->teacher->n_inputs + 1, sizeof *in);
    l->key = mc_calloc((size_t)l->n, sizeof *l->key);
    l->missing = mc_calloc((size_t)l->n, sizeof *l->missing);
    if (!in || !l->key || !l->missing) MC_TRY(MCOMP_NO_MEMORY);
    for (int64_t i = 0; i < l->n; i++) {
        MC_TRY(key_of(l, i, in, &text));
        if (!mc_kd_store_find(l->d->store, l->key[i], &bytes)) l->missing[l->n_missing++] = i;
        if (i % 1024 == 0) MC_TRY(mc_context_poll(l->d->ctx));
    }
done:
    mc_free(in);
    mc_str_free(&text);
    return st;
}

/* ---- running ---- */

/* width and then the scores, as halves. */
static int32_t keep(lesson *l, int64_t sample, const float *x, int64_t width)
{
    int32_t st = MCOMP_OK;
    char where[40];
    MC_TRY(mc_grow(&l->half, &l->cap_half, width, sizeof *l->half));
    for (int64_t i = 0; i < width; i++) {
        if (!isfinite(x[i]) || fabsf(x[i]) > LARGEST_HALF) {
            (void)snprintf(where, sizeof where, "sample %lld", (long long)sample);
            MC_FAIL(isfinite(x[i]) ? MCOMP_RANGE : MCOMP_DATA, where, "the teacher's score is %g; only finite numbers up to 65504 can be learned from", (double)x[i]);
        }
        l->half[i] = mc_f32_to_f16(x[i]);
    }
    st = mc_kd_store_put(l->d->store, l->key[sample], l->half, (uint64_t)width * sizeof *l->half);
done:
    return st;
}

static int32_t take(lesson *l, const mc_batch *b, const mc_tensor *out)
{
    int32_t st = MCOMP_OK;
    const char *name = l->d->teacher->outputs[l->scores]->name;
    if (out->dtype != MCOMP_F32) MC_FAIL(MCOMP_UNSUPPORTED, name, "scores of %s; float32 ones can be learned from", mc_dtype_name(out->dtype));
    if (out->shape.rank != 2 || out->shape.dim[0] != b->n || out->shape.dim[1] < 1) {
        char text[80];
        (void)mc_fail(MCOMP_UNSUPPORTED, name, "the teacher gives scores of shape %s for %lld samples; a row of scores a sample can be learned from", mc_shape_text(&out->shape, text, sizeof text),
                      (long long)b->n);
        st = mc_fail_hint("name another output of the teacher if it has one");
        goto done;
    }
    for (int64_t k = 0; k < b->n; k++) MC_TRY(keep(l, b->samples[k], (const float *)out->data + k * out->shape.dim[1], out->shape.dim[1]));
done:
    return st;
}

/* Samples at a time: the teacher's own batch where that is fixed. */
static int32_t batch_of(const lesson *l, int64_t *batch)
{
    *batch = l->d->o.batch;
    for (int64_t i = 0; i < l->d->teacher->n_inputs; i++) {
        const mc_value *v = l->d->teacher->inputs[i];
        if (v->type.rank < 1 || v->type.dim[0] < 0) continue;
        if (v->type.dim[0] != 1) return mc_fail(MCOMP_UNSUPPORTED, v->name, "the teacher's batch is fixed to %lld; a free one or 1 is needed", (long long)v->type.dim[0]);
        *batch = 1;
    }
    return MCOMP_OK;
}

static int32_t run(lesson *l)
{
    int32_t st = MCOMP_OK;
    mc_loader *loader = NULL;
    mc_loader_options o = mc_loader_defaults();
    const int32_t n_in = mcomp_session_n_inputs(l->s), n_out = mcomp_session_n_outputs(l->s);
    const mcomp_tensor **out = mc_calloc((size_t)n_out + 1, sizeof *out);
    int64_t done_samples = 0;
    if (!out) return MCOMP_NO_MEMORY;
    MC_TRY(batch_of(l, &o.batch));
    o.shuffle = 0;
    o.samples = l->missing;
    o.n_samples = l->n_missing;
    MC_TRY(mc_loader_open(&loader, l->data, &o));
    for (;;) {
        mc_batch b;
        MC_TRY(mc_loader_next(loader, &b));
        if (b.n == 0) break;
        MC_TRY(mcomp_exec_run(l->e, n_in, (const mcomp_tensor *const *)b.inputs, n_out, out));
        MC_TRY(take(l, &b, &out[l->scores]->t));
        done_samples += b.n;
        MC_TRY(mc_context_progress(l->d->ctx, "teacher", (double)done_samples / (double)l->n_missing));
    }
    st = mc_kd_store_flush(l->d->store);
done:
    if (st == MCOMP_CANCELLED) { /* the work so far is not lost */
        const mcomp_error why = *mc_error_peek();
        if (mc_kd_store_flush(l->d->store) != MCOMP_OK) st = mc_error_peek()->code;
        else mc_error_restore(&why);
    }
    mc_loader_close(loader);
    mc_free(out);
    return st;
}

static int32_t compute(lesson *l)
{
    int32_t st = MCOMP_OK;
    if (l->n_missing == 0) return MCOMP_OK;
    MC_TRY(mc_session_open(&l->s, l->d->ctx, l->d->teacher, NULL, NULL));
    MC_TRY(mcomp_exec_create(&l->e, l->s));
    st = run(l);
done:
    mcomp_exec_destroy(l->e);
    mcomp_session_destroy(l->s);
    return st;
}

/* ---- the whole ---- */

static int32_t open_store(lesson *l)
{
    int32_t st = MCOMP_OK;
    char digest[65] = "memory";
    mc_str text = {0};
    if (l->d->o.cache) {
        MC_TRY(mc_graph_digest(l->d->teacher, digest));
        MC_TRY(mc_str_appendf(&text, "%s:%s", digest, l->d->teacher->outputs[l->scores]->name));
        MC_TRY(mc_sha256_hex(text.data, (uint64_t)text.len, digest));
        digest[32] = 0;
    }
    st = mc_kd_store_open(&l->d->store, l->d->o.cache, digest, l->d->o.cache_bytes);
done:
    mc_str_free(&text);
    return st;
}

static int32_t remember(lesson *l)
{
    int32_t st = MCOMP_OK;
    mcomp_distiller *d = l->d;
    uint64_t bytes = 0;
    d->said = mc_calloc((size_t)l->n, sizeof *d->said);
    if (!d->said) return MCOMP_NO_MEMORY;
    for (int64_t i = 0; i < l->n; i++) {
        d->said[i].data = mc_kd_store_find(d->store, l->key[i], &bytes);
        if (!d->said[i].data) MC_FAIL(MCOMP_INTERNAL, "teacher", "sample %lld was lost", (long long)i);
        if (d->width && (uint64_t)d->width * 2 != bytes) MC_FAIL(MCOMP_SHAPE, "teacher", "sample %lld has another number of scores than the first", (long long)i);
        d->width = (int64_t)(bytes / 2);
    }
    d->n_samples = l->n;
    d->info = (mcomp_distiller_info){.samples = l->n, .computed = l->n_missing, .damaged = mc_kd_store_damaged(d->store), .cache_bytes = mc_kd_store_bytes(d->store)};
done:
    return st;
}

int32_t mcomp_distiller_teach(mcomp_distiller *d, mcomp_dataset *data)
{
    int32_t st = MCOMP_OK;
    lesson l = {.d = d, .data = data};
    MC_API_ENTER();
    MC_CHECK_ARG(1, d, "d", "is NULL");
    MC_CHECK_ARG(2, data, "data", "is NULL");
    mc_distiller_forget(d);
    l.n = mcomp_dataset_count(data);
    if (l.n < 1) MC_FAIL(MCOMP_DATA, "data", "there are no samples for the teacher");
    MC_TRY(mc_distiller_scores(d, &l.scores));
    MC_TRY(open_store(&l));
    MC_TRY(keys(&l));
    MC_TRY(compute(&l));
    MC_TRY(remember(&l));
done:
    mc_free(l.key);
    mc_free(l.missing);
    mc_free(l.half);
    if (st != MCOMP_OK) mc_distiller_forget(d);
    return st;
}
