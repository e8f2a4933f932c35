/* Texts through a tokenizer into the inputs by role: ids, attention mask, token types; padded on the right. Only the byte
 * tokenizer is in this version: id = byte value, 256 = padding. */
#include "data/internal.h"

#define PAD_ID 256

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

static int32_t read_tokenizer(const mc_data_request *r)
{
    if (r->o->tokenizer && strcmp(r->o->tokenizer, "bytes") == 0) return MCOMP_OK;
    if (!r->o->tokenizer) {
        (void)mc_fail(MCOMP_ARGUMENT, r->path, "a text file needs a tokenizer");
        (void)mc_fail_hint("--tokenizer bytes");
        return MCOMP_ARGUMENT;
    }
    (void)mc_fail(MCOMP_UNSUPPORTED, r->o->tokenizer, "this tokenizer is not in this version");
    (void)mc_fail_hint("\"bytes\" is; or tokenize elsewhere and pass an .npz");
    return MCOMP_UNSUPPORTED;
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

int32_t mc_open_text(mcomp_dataset *d, const mc_data_request *r, int64_t *rows)
{
    int32_t st = MCOMP_OK;
    MC_TRY(read_tokenizer(r));
    MC_TRY(find_roles(d, r));
    MC_TRY(text_length(d, r));
    d->text = 1;
    MC_TRY(mc_table_read(&d->table, r->path, r->o->text, r->o->label, r->select, r->n_select));
    if (d->table.has_label) MC_TRY(text_labels(d));
    *rows = d->table.n;
done:
    return st;
}

static int32_t fill(mcomp_dataset *d, int32_t input, mcomp_tensor **out, int64_t n, const uint8_t *text, int64_t inside, int64_t outside)
{
    const mc_shape s = {.rank = 2, .dim = {1, d->max_length}};
    const int32_t st = mc_dataset_tensor(out, d->input_types[input].dtype, &s);
    if (st != MCOMP_OK) return st;
    for (int64_t i = 0; i < d->max_length; i++) mc_tensor_set_i64(&(*out)->t, i, i >= n ? outside : text ? (int64_t)text[i] : inside);
    return MCOMP_OK;
}

int32_t mc_sample_text(mcomp_dataset *d, int64_t row, mcomp_tensor **inputs)
{
    int32_t st = MCOMP_OK;
    const mc_row *r = &d->table.rows[row];
    const int64_t n = r->text_len < d->max_length ? r->text_len : d->max_length;
    MC_TRY(fill(d, d->ids, &inputs[d->ids], n, (const uint8_t *)r->text, 0, PAD_ID));
    if (d->mask >= 0) MC_TRY(fill(d, d->mask, &inputs[d->mask], n, NULL, 1, 0));
    if (d->types >= 0) MC_TRY(fill(d, d->types, &inputs[d->types], n, NULL, 0, 0));
done:
    return st;
}
