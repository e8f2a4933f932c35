/* Texts through a tokenizer into the inputs by role: ids, attention mask, token types; padded on the right. */
#include "data/text.h"

static const char *const id_names[] = {"input_ids", "ids", "tokens", "bytes", "input", NULL};
static const char *const mask_names[] = {"attention_mask", "input_mask", "mask", NULL};
static const char *const type_names[] = {"token_type_ids", "segment_ids", NULL};

static int32_t by_names(const mcomp_dataset *d, const char *const *names)
{
    for (; *names; names++) {
        const int32_t i = mc_dataset_input(d, *names);
        if (i >= 0) return i;
    }
    return -1;
}

/* map: "role=name,..." */
static int32_t apply_map(mcomp_dataset *d, const char *map)
{
    static const char *const roles[] = {"input_ids", "attention_mask", "token_type_ids", NULL};
    int32_t st = MCOMP_OK;
    int32_t *slot[] = {&d->ids, &d->mask, &d->types};
    char *copy = mc_strdup(map);
    if (!copy) return MCOMP_NO_MEMORY;
    for (char *save = NULL, *w = strtok_r(copy, ",", &save); w; w = strtok_r(NULL, ",", &save)) {
        char *eq = strchr(w, '=');
        int32_t role = -1;
        if (eq) *eq++ = 0;
        for (int32_t i = 0; i < 3 && eq; i++)
            if (strcmp(roles[i], w) == 0) role = i;
        if (role < 0) MC_FAIL(MCOMP_ARGUMENT, w, "--map takes ROLE=NAME with the roles input_ids, attention_mask, token_type_ids");
        *slot[role] = mc_dataset_input(d, eq);
        if (*slot[role] < 0) MC_FAIL(MCOMP_ARGUMENT, eq, "the model has no such input");
    }
done:
    mc_free(copy);
    return st;
}

static int32_t find_roles(mcomp_dataset *d, const mc_data_request *r)
{
    int32_t st = MCOMP_OK;
    d->mask = by_names(d, mask_names);
    d->types = by_names(d, type_names);
    d->ids = d->n_inputs == 1 ? 0 : by_names(d, id_names);
    if (r->o->map) MC_TRY(apply_map(d, r->o->map));
    if (d->ids < 0) {
        (void)mc_fail(MCOMP_DATA, r->path, "no input of the model looks like input_ids");
        (void)mc_fail_hint("name it: --map input_ids=NAME");
        return MCOMP_DATA;
    }
    for (int64_t i = 0; i < d->n_inputs; i++) {
        if (i == d->ids || i == d->mask || i == d->types) continue;
        (void)mc_fail(MCOMP_DATA, d->input_names[i], "a text file does not feed this input of the model");
        (void)mc_fail_hint("--map gives roles to inputs, --set fixes one");
        return MCOMP_DATA;
    }
done:
    return st;
}

/* The texts as the corpus of a tokenizer that is made from them. */
static int32_t make_tokenizer(mcomp_dataset *d, const mc_data_request *r)
{
    int32_t st = MCOMP_OK;
    const mc_table *t = &d->table;
    const char *spec = r->o->tokenizer;
    mc_text *corpus = NULL;
    if (r->o->tokenizer_handle) {
        d->tokenizer = mc_tokenizer_ref(r->o->tokenizer_handle->t);
        return MCOMP_OK;
    }
    if (!spec) {
        (void)mc_fail(MCOMP_ARGUMENT, r->path, "a text file needs a tokenizer");
        (void)mc_fail_hint("--tokenizer with a vocab.txt, a tokenizer.json, bytes, chars, train:wordpiece,8000 or train:bpe,8000");
        return MCOMP_ARGUMENT;
    }
    if (mc_tokenizer_needs_corpus(spec)) {
        corpus = mc_malloc(sizeof *corpus * (size_t)(t->n > 0 ? t->n : 1));
        if (!corpus) return MCOMP_NO_MEMORY;
        for (int64_t i = 0; i < t->n; i++) corpus[i] = (mc_text){t->rows[i].text, t->rows[i].text_len};
    }
    st = mc_tokenizer_open(&d->tokenizer, d->ctx, spec, corpus, t->n);
    mc_free(corpus);
    return st;
}

/* Axis of the ids that holds the text: the last. */
static int32_t text_length(mcomp_dataset *d, const mc_data_request *r)
{
    const mc_type *t = &d->input_types[d->ids];
    const int64_t fixed = t->rank >= 1 && t->dim[t->rank - 1] >= 0 ? t->dim[t->rank - 1] : -1;
    if (t->rank >= 0 && t->rank != 2) return mc_fail(MCOMP_SHAPE, d->input_names[d->ids], "ids need an input of 2 axes [samples, length], not %d", t->rank);
    if (t->rank == 2 && t->dim[0] > 1) return mc_fail(MCOMP_SHAPE, d->input_names[d->ids], "the model has a fixed batch of %lld", (long long)t->dim[0]);
    d->max_length = r->o->max_length > 0 ? r->o->max_length : fixed > 0 ? fixed : 128;
    if (fixed >= 0 && d->max_length != fixed)
        return mc_fail(MCOMP_SHAPE, d->input_names[d->ids], "the model takes exactly %lld ids, --max-length says %lld", (long long)fixed, (long long)d->max_length);
    return MCOMP_OK;
}

/* Integer labels when every value is a number and the model names no labels; otherwise names. */
static int32_t text_labels(mcomp_dataset *d)
{
    int32_t st = MCOMP_OK;
    const mc_table *t = &d->table;
    const char **values = mc_malloc(sizeof *values * (size_t)(t->n > 0 ? t->n : 1));
    d->label = mc_malloc(sizeof *d->label * (size_t)(t->n > 0 ? t->n : 1));
    if (!values || !d->label) MC_FAIL(MCOMP_NO_MEMORY, "labels", "no memory");
    d->has_labels = 1;
    int numeric = d->labels.n == 0;
    for (int64_t i = 0; i < t->n; i++) {
        values[i] = t->rows[i].label;
        numeric = numeric && mc_parse_i64(values[i], &d->label[i]) == MCOMP_OK && d->label[i] >= 0;
    }
    if (numeric) goto done;
    if (d->labels.n == 0) MC_TRY(mc_labels_collect(&d->labels, values, t->n));
    for (int64_t i = 0; i < t->n; i++) {
        if (mc_map_get(d->labels.index, values[i], &d->label[i])) continue;
        (void)mc_fail(MCOMP_DATA, values[i], "label of row %lld is not one of the model's %lld labels", (long long)i, (long long)d->labels.n);
        (void)mc_fail_hint("--labels FILE gives the names in the model's order");
        st = MCOMP_DATA;
        goto done;
    }
done:
    mc_free(values);
    return st;
}

int32_t mc_objective_find(const char *name, int32_t *out)
{
    static const char *const names[] = {"classify", "mlm", "next-token", NULL};
    const char *o = name ? name : names[0];
    for (*out = 0; *out < 3; ++*out)
        if (strcmp(o, names[*out]) == 0) return MCOMP_OK;
    const char *near = mc_nearest(o, names);
    (void)mc_fail(MCOMP_ARGUMENT, "objective", "\"%.40s\" is not classify, mlm or next-token", o);
    if (near) (void)mc_fail_hint("did you mean \"%s\"?", near);
    return MCOMP_ARGUMENT;
}

int32_t mc_open_text(mcomp_dataset *d, const mc_data_request *r, int64_t *rows)
{
    int32_t st = MCOMP_OK;
    if (!r->o->tokenizer && !r->o->tokenizer_handle) MC_TRY(make_tokenizer(d, r)); /* the error that is found first */
    MC_TRY(mc_objective_find(r->o->objective, &d->objective));
    MC_TRY(find_roles(d, r));
    MC_TRY(text_length(d, r));
    d->text = 1;
    const mc_table_request q = {.path = r->path, .text = r->o->text, .label = d->objective == MC_OBJECTIVE_CLASSIFY ? r->o->label : NULL, .group = r->o->group,
                                .select = r->select, .n_select = r->n_select, .stream = d->objective == MC_OBJECTIVE_NEXT_TOKEN};
    MC_TRY(mc_table_read(&d->table, &q));
    if (d->table.n == 0) {
        *rows = 0;
        return MCOMP_OK;
    }
    MC_TRY(make_tokenizer(d, r));
    MC_TRY(mc_encoder_create(&d->encoder, d->tokenizer));
    if (d->objective == MC_OBJECTIVE_NEXT_TOKEN) return mc_stream_open(d, rows);
    if (d->objective == MC_OBJECTIVE_MLM && d->tokenizer->mask < 0) {
        (void)mc_fail(MCOMP_UNSUPPORTED, r->path, "the tokenizer has no [MASK] token, which the objective mlm needs");
        (void)mc_fail_hint("train:wordpiece,8000 and train:bpe,8000 have one");
        return MCOMP_UNSUPPORTED;
    }
    if (d->table.has_label && d->objective == MC_OBJECTIVE_CLASSIFY) MC_TRY(text_labels(d));
    d->encoded = mc_calloc((size_t)d->table.n, sizeof *d->encoded);
    if (!d->encoded) MC_FAIL(MCOMP_NO_MEMORY, r->path, "no memory");
    *rows = d->table.n;
done:
    return st;
}

static int32_t encode_with(mcomp_dataset *d, mc_encoder *e, int64_t row)
{
    int32_t st = MCOMP_OK;
    const mc_row *r = &d->table.rows[row];
    MC_TRY(mc_encoder_run(e, r->text, r->text_len, 1, d->max_length));
    int32_t *ids = mc_malloc(sizeof *ids * (size_t)(e->n + 1));
    if (!ids) return MCOMP_NO_MEMORY;
    ids[0] = (int32_t)e->n;
    if (e->n) memcpy(ids + 1, e->ids, sizeof *ids * (size_t)e->n);
    d->encoded[row] = ids;
done:
    return st;
}

int32_t mc_text_ids(mcomp_dataset *d, int64_t row, const int32_t **ids, int64_t *n)
{
    int32_t st = MCOMP_OK;
    if (d->stream) {
        *ids = d->stream + row * d->max_length;
        *n = d->max_length;
        return MCOMP_OK;
    }
    if (!d->encoded[row]) MC_TRY(encode_with(d, d->encoder, row));
    *n = d->encoded[row][0];
    *ids = d->encoded[row] + 1;
done:
    return st;
}

/* Several encoders at once, each on its part of the rows. */
typedef struct encoding {
    mcomp_dataset *d;
    mc_encoder *encoder[256];
    int32_t st[256];
    mcomp_error error[256];
} encoding;

static void encode_task(void *ctx, int64_t task, int32_t worker)
{
    encoding *e = ctx;
    mcomp_dataset *d = e->d;
    const int64_t from = task * 64, to = from + 64 < d->count ? from + 64 : d->count;
    if (!e->encoder[worker] && e->st[worker] == MCOMP_OK) e->st[worker] = mc_encoder_create(&e->encoder[worker], d->tokenizer);
    for (int64_t i = from; i < to && e->st[worker] == MCOMP_OK; i++)
        if (!d->encoded[d->order[i]]) e->st[worker] = encode_with(d, e->encoder[worker], d->order[i]);
    if (e->st[worker] != MCOMP_OK) e->error[worker] = *mc_error_peek();
}

int32_t mc_text_encode_all(mcomp_dataset *d)
{
    int32_t st = MCOMP_OK;
    if (!d->text || d->stream) return MCOMP_OK;
    encoding *e = mc_calloc(1, sizeof *e);
    if (!e) return MCOMP_NO_MEMORY;
    e->d = d;
    mc_parallel_for(mc_context_pool(d->ctx), (d->count + 63) / 64, encode_task, e);
    for (int i = 0; i < 256; i++) {
        mc_encoder_destroy(e->encoder[i]);
        if (st != MCOMP_OK || e->st[i] == MCOMP_OK) continue;
        st = e->st[i];
        mc_error_restore(&e->error[i]);
    }
    mc_free(e);
    return st;
}

int32_t mc_text_fill(mcomp_dataset *d, int32_t input, mc_tensor *t, int64_t at, const int32_t *ids, int64_t n, int64_t length)
{
    const mc_tokenizer *k = d->tokenizer;
    const int64_t pad = k->pad >= 0 ? k->pad : 0;
    const int64_t before = k->n_before, after = d->stream ? n : n - k->n_after;
    for (int64_t i = 0; i < length; i++) {
        int64_t v = 0;
        if (input == d->ids) v = i < n ? ids[i] : pad;
        else if (input == d->mask) v = i < n;
        else if (i < n && !d->stream) v = i < before ? k->before[i].type : i < after ? k->text_type : k->after[i - after].type;
        mc_tensor_set_i64(t, at + i, v);
    }
    if (input != d->ids || (t->dtype != MCOMP_U8 && t->dtype != MCOMP_I8 && t->dtype != MCOMP_I16 && t->dtype != MCOMP_U16)) return MCOMP_OK;
    for (int64_t i = 0; i < length; i++)
        if (mc_tensor_get_i64(t, at + i) != (i < n ? ids[i] : pad)) return mc_fail(MCOMP_DTYPE, d->input_names[input], "ids of this tokenizer do not fit the model's %s", mc_dtype_name(t->dtype));
    return MCOMP_OK;
}

int32_t mc_sample_text(mcomp_dataset *d, int64_t row, mcomp_tensor **inputs)
{
    int32_t st = MCOMP_OK;
    const int32_t *ids;
    int64_t n;
    const mc_shape s = {.rank = 2, .dim = {1, d->max_length}};
    MC_TRY(mc_text_ids(d, row, &ids, &n));
    for (int32_t i = 0; i < d->n_inputs; i++) {
        MC_TRY(mc_dataset_tensor(&inputs[i], d->input_types[i].dtype, &s));
        MC_TRY(mc_text_fill(d, i, &inputs[i]->t, 0, ids, n, d->max_length));
    }
done:
    return st;
}
