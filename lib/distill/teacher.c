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
    mc_graph *g;    /* the teacher, with the outputs that are looked at */
    int32_t scores; /* output */
    int32_t part[MC_TOKENS], mask; /* outputs; the input that says which tokens are real, -1: none */
    int64_t n;
    char (*key)[MC_KD_KEY + 1]; /* by sample */
    int64_t *missing;
    int64_t n_missing;
    uint16_t *half; /* one sample's payload */
    int64_t cap_half, n_half;
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

static int32_t put_halves(lesson *l, int64_t sample, const float *x, int64_t n)
{
    int32_t st = MCOMP_OK;
    char where[40];
    MC_TRY(mc_grow(&l->half, &l->cap_half, l->n_half + n, sizeof *l->half));
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(x[i]) || fabsf(x[i]) > LARGEST_HALF) {
            (void)snprintf(where, sizeof where, "sample %lld", (long long)sample);
            MC_FAIL(isfinite(x[i]) ? MCOMP_RANGE : MCOMP_DATA, where, "the teacher gives %g; only finite numbers up to 65504 can be learned from", (double)x[i]);
        }
        l->half[l->n_half++] = mc_f32_to_f16(x[i]);
    }
done:
    return st;
}

/* Tokens of row k that are no padding. */
static int64_t tokens_of(const lesson *l, const mc_batch *b, int64_t k)
{
    const mc_tensor *mask = b->inputs[l->mask];
    int64_t n = 0;
    for (int64_t i = 0; i < mask->shape.dim[1]; i++) n += mc_tensor_get_i64(mask, k * mask->shape.dim[1] + i) != 0;
    return n;
}

static int32_t keep(lesson *l, const mc_batch *b, int64_t k, const mcomp_tensor *const *out)
{
    int32_t st = MCOMP_OK;
    const mc_tensor *scores = &out[l->scores]->t;
    mc_said_head h = {.width = (int32_t)scores->shape.dim[1], .tokens = l->d->taps ? (int32_t)tokens_of(l, b, k) : 0};
    l->n_half = sizeof h / sizeof *l->half;
    MC_TRY(put_halves(l, b->samples[k], (const float *)scores->data + k * h.width, h.width));
    for (int i = 0; i < MC_TOKENS; i++) {
        if (!mc_distiller_keeps(l->d, i)) continue;
        const mc_tensor *t = &out[l->part[i]]->t;
        const int64_t width = t->shape.dim[2];
        if (i == MC_TOKENS_HIDDEN) h.hidden = (int32_t)width;
        else h.inner = (int32_t)width;
        MC_TRY(put_halves(l, b->samples[k], (const float *)t->data + k * t->shape.dim[1] * width, h.tokens * width));
    }
    memcpy(l->half, &h, sizeof h);
    st = mc_kd_store_put(l->d->store, l->key[b->samples[k]], l->half, (uint64_t)l->n_half * sizeof *l->half);
done:
    return st;
}

static int32_t take(lesson *l, const mc_batch *b, const mcomp_tensor *const *out)
{
    int32_t st = MCOMP_OK;
    const mc_tensor *t = &out[l->scores]->t;
    const char *name = l->g->outputs[l->scores]->name;
    if (t->dtype != MCOMP_F32) MC_FAIL(MCOMP_UNSUPPORTED, name, "scores of %s; float32 ones can be learned from", mc_dtype_name(t->dtype));
    if (t->shape.rank != 2 || t->shape.dim[0] != b->n || t->shape.dim[1] < 1) {
        char text[80];
        (void)mc_fail(MCOMP_UNSUPPORTED, name, "the teacher gives scores of shape %s for %lld samples; a row of scores a sample can be learned from",
                      mc_shape_text(&t->shape, text, sizeof text), (long long)b->n);
        st = mc_fail_hint("name another output of the teacher if it has one");
        goto done;
    }
    for (int i = 0; i < MC_TOKENS; i++)
        if (mc_distiller_keeps(l->d, i) && (out[l->part[i]]->t.shape.rank != 3 || out[l->part[i]]->t.dtype != MCOMP_F32))
            MC_FAIL(MCOMP_UNSUPPORTED, l->g->outputs[l->part[i]]->name, "the teacher's layers do not give [samples, tokens, width]");
    for (int64_t k = 0; k < b->n; k++) MC_TRY(keep(l, b, k, out));
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
        MC_TRY(take(l, &b, out));
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

static int32_t output_of(mc_graph *g, mc_value *v, int32_t *index)
{
    for (*index = 0; *index < g->n_outputs; ++*index)
        if (g->outputs[*index] == v) return MCOMP_OK;
    return mc_graph_add_output(g, v);
}

/* What losses over tokens look at becomes outputs. */
static int32_t look_inside(lesson *l)
{
    int32_t st = MCOMP_OK;
    mc_encoder_map m = {0};
    const mc_pass_options o = {.isa = (int32_t)mc_cpu_isa()};
    MC_TRY(mc_graph_clone(&l->g, l->d->teacher));
    if (!l->d->taps) return MCOMP_OK;
    l->mask = -1;
    for (int64_t i = 0; i < l->g->n_inputs && l->mask < 0; i++)
        if (strstr(l->g->inputs[i]->name, "mask") && mc_dtype_is_integer(l->g->inputs[i]->type.dtype) && l->g->inputs[i]->type.rank == 2) l->mask = (int32_t)i;
    if (l->mask < 0) MC_FAIL(MCOMP_UNSUPPORTED, "losses", "losses over tokens need a teacher with an attention mask among its inputs");
    MC_TRY(mc_infer_graph(l->g));
    MC_TRY(mc_passes_run(l->g, MC_STAGE_LOAD | MC_STAGE_SHAPE | MC_STAGE_FUSE, &o));
    MC_TRY(mc_cut_find(&m, l->g));
    const mc_layer *last = &m.layers[m.n - 1];
    mc_value *const all[MC_TOKENS] = {last->out, last->q, last->k, last->v};
    for (int i = 0; i < MC_TOKENS; i++)
        if (mc_distiller_keeps(l->d, i)) MC_TRY(output_of(l->g, all[i], &l->part[i]));
    MC_TRY(mc_graph_sort(l->g));
done:
    mc_free(m.layers);
    return st;
}

static int32_t compute(lesson *l)
{
    int32_t st = MCOMP_OK;
    if (l->n_missing == 0) return MCOMP_OK;
    MC_TRY(mc_session_open(&l->s, l->d->ctx, l->g, NULL, NULL));
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
        MC_TRY(mc_str_appendf(&text, "%s:%s:2:%d", digest, l->d->teacher->outputs[l->scores]->name, l->d->taps));
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
        mc_said_head h = {0};
        if (bytes >= sizeof h) memcpy(&h, d->said[i].data, sizeof h);
        const uint64_t numbers = (uint64_t)h.width + (uint64_t)h.tokens * ((uint64_t)h.hidden + 3 * (uint64_t)h.inner);
        if (h.width < 1 || h.tokens < 0 || h.hidden < 0 || h.inner < 0 || bytes != sizeof h + 2 * numbers) MC_FAIL(MCOMP_INTERNAL, "teacher", "the entry of sample %lld is not understood", (long long)i);
        if (i > 0 && (d->width != h.width || d->hidden != h.hidden || d->inner != h.inner)) MC_FAIL(MCOMP_SHAPE, "teacher", "sample %lld has other sizes than the first", (long long)i);
        d->width = h.width;
        d->hidden = h.hidden;
        d->inner = h.inner;
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
    MC_TRY(look_inside(&l));
    MC_TRY(open_store(&l));
    MC_TRY(keys(&l));
    MC_TRY(compute(&l));
    MC_TRY(remember(&l));
done:
    mc_free(l.key);
    mc_free(l.missing);
    mc_free(l.half);
    mc_graph_destroy(l.g);
    if (st != MCOMP_OK) mc_distiller_forget(d);
    return st;
}
