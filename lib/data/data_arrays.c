/* The forms that bring arrays: .npz, .npy, idx:IMAGES,LABELS, raw:NAME=FILE:DTYPE:SHAPE. */
#include "data/internal.h"

static const char *label_key(const mc_data_request *r) { return r->o->label ? r->o->label : "label"; }

static int32_t scale_idx(mc_tensor **t, const mcomp_dataset_options *o)
{
    mc_tensor *f;
    const double scale = o->scale != 0.0 ? o->scale : 1.0;
    if (scale == 1.0 && o->shift == 0.0) return MCOMP_OK;
    const int32_t st = mc_tensor_create(&f, MCOMP_F32, &(*t)->shape);
    if (st != MCOMP_OK) return st;
    const int64_t n = mc_tensor_elements(*t);
    for (int64_t i = 0; i < n; i++) ((float *)f->data)[i] = (float)((mc_tensor_get_f64(*t, i) - o->shift) / scale);
    mc_tensor_destroy(*t);
    *t = f;
    return MCOMP_OK;
}

/* First input's name: what one nameless array feeds. */
static int32_t only_input(const mcomp_dataset *d, const char *path, const char **name)
{
    if (d->n_inputs == 1) {
        *name = d->input_names[0];
        return MCOMP_OK;
    }
    (void)mc_fail(MCOMP_DATA, path, "one array cannot feed a model of %lld inputs", (long long)d->n_inputs);
    (void)mc_fail_hint("use an .npz with one array an input");
    return MCOMP_DATA;
}

static int32_t gather_arrays(mcomp_dataset *d, const mc_data_request *r, mc_arrays *a)
{
    int32_t st = MCOMP_OK;
    const char *name = NULL;
    mc_tensor *t = NULL;
    char *path = NULL;
    if (strcmp(r->form, "npz") == 0) return mc_npz_read(a, r->path);
    path = mc_strdup(r->path);
    if (!path) return MCOMP_NO_MEMORY;
    if (strcmp(r->form, "npy") == 0) {
        mcomp_tensor *p = NULL;
        MC_TRY(only_input(d, r->path, &name));
        MC_TRY(mcomp_tensor_load_npy(&p, path));
        st = mc_arrays_add(a, name, strlen(name), (mc_tensor *)p);
    } else if (strcmp(r->form, "idx") == 0) {
        char *labels = strchr(path, ',');
        if (labels) *labels++ = 0;
        MC_TRY(only_input(d, r->path, &name));
        MC_TRY(mc_idx_read(&t, path));
        st = scale_idx(&t, r->o);
        if (st != MCOMP_OK) mc_tensor_destroy(t);
        else st = mc_arrays_add(a, name, strlen(name), t);
        if (st == MCOMP_OK && labels && *labels) {
            MC_TRY(mc_idx_read(&t, labels));
            st = mc_arrays_add(a, label_key(r), strlen(label_key(r)), t);
        }
    } else {
        char *eq = strchr(path, '=');
        if (!eq) MC_FAIL(MCOMP_ARGUMENT, r->path, "the raw form is raw:NAME=FILE:DTYPE:SHAPE");
        MC_TRY(mc_raw_read(&t, eq + 1));
        st = mc_arrays_add(a, path, (size_t)(eq - path), t);
    }
done:
    mc_free(path);
    return st;
}

static int32_t string_labels(mcomp_dataset *d, const mc_tensor *t, int64_t n)
{
    int32_t st = MCOMP_OK;
    const char *const *s = t->data;
    if (d->labels.n == 0) MC_TRY(mc_labels_collect(&d->labels, s, n));
    for (int64_t i = 0; i < n; i++)
        if (!mc_map_get(d->labels.index, s[i], &d->label[i]))
            MC_FAIL(MCOMP_DATA, s[i], "label of sample %lld is not one of the model's %lld labels", (long long)i, (long long)d->labels.n);
done:
    return st;
}

/* Targets that are no classes: floating-point numbers with a fraction, or several a sample. */
static int numbers(const mcomp_dataset *d, const mc_tensor *t)
{
    int whole = t->shape.rank == 1;
    if (!mc_dtype_is_float(t->dtype) || t->shape.rank < 1 || d->labels.n > 0) return 0;
    for (int64_t i = 0; whole && i < t->shape.dim[0]; i++) {
        const double v = mc_tensor_get_f64(t, i);
        whole = v >= 0 && v < 9e15 && v == (double)(int64_t)v;
    }
    return !whole;
}

static int32_t take_numbers(mcomp_dataset *d, const mc_tensor *t, const char *name)
{
    int32_t st = MCOMP_OK;
    MC_TRY(mc_tensor_create(&d->target, MCOMP_F32, &t->shape));
    const int64_t n = mc_tensor_elements(t), rows = t->shape.dim[0];
    for (int64_t i = 0; i < n; i++) {
        const double v = mc_tensor_get_f64(t, i);
        if (!(v >= -3.4e38 && v <= 3.4e38)) MC_FAIL(MCOMP_RANGE, name, "target %g of sample %lld is not a finite number", v, (long long)(i / (n / rows)));
        ((float *)d->target->data)[i] = (float)v;
    }
done:
    return st;
}

static int32_t take_labels(mcomp_dataset *d, const mc_tensor *t, const char *name)
{
    int32_t st = MCOMP_OK;
    if (numbers(d, t)) return take_numbers(d, t, name);
    const int64_t n = mc_tensor_elements(t);
    d->label = mc_malloc(sizeof *d->label * (size_t)(n > 0 ? n : 1));
    if (!d->label) return MCOMP_NO_MEMORY;
    d->has_labels = 1;
    if (t->shape.rank < 1 || t->shape.dim[0] != n) MC_FAIL(MCOMP_SHAPE, name, "labels must be one number a sample");
    if (t->dtype == MCOMP_STRING) return string_labels(d, t, n);
    for (int64_t i = 0; i < n; i++) {
        const double v = mc_tensor_get_f64(t, i);
        if (!(v >= 0 && v < 9e15) || v != (double)(int64_t)v) MC_FAIL(MCOMP_RANGE, name, "label of sample %lld is %g: not a class number", (long long)i, v);
        d->label[i] = (int64_t)v;
        if (d->labels.n > 0 && d->label[i] >= d->labels.n)
            MC_FAIL(MCOMP_RANGE, name, "label of sample %lld is %lld, the model has %lld classes", (long long)i, (long long)d->label[i], (long long)d->labels.n);
    }
done:
    return st;
}

static int optional(const mc_data_request *r, const char *name)
{
    const char *list = r->o->optional;
    const size_t n = strlen(name);
    for (const char *p = list; p && *p;) {
        const size_t k = strcspn(p, ",");
        if (k == n && memcmp(p, name, n) == 0) return 1;
        p += k + (p[k] == ',');
    }
    return 0;
}

static int32_t missing(const mcomp_dataset *d, const mc_data_request *r, const mc_arrays *a, int64_t i)
{
    const char *near = NULL;
    const char *names[2] = {NULL, NULL};
    for (int64_t k = 0; k < a->n && !near; k++) {
        names[0] = a->list[k].name;
        near = mc_dataset_input(d, a->list[k].name) < 0 ? mc_nearest(d->input_names[i], names) : NULL;
    }
    (void)mc_fail(MCOMP_DATA, r->path, "no array for the model's input \"%s\"", d->input_names[i]);
    if (near) (void)mc_fail_hint("the file has \"%s\"; arrays must carry the input's name", near);
    else (void)mc_fail_hint("arrays must carry the names of the inputs");
    return MCOMP_DATA;
}

static int32_t bind_all(mcomp_dataset *d, const mc_data_request *r, mc_arrays *a, int64_t *rows)
{
    int32_t st = MCOMP_OK;
    int64_t n_rows = -1;
    for (int64_t i = 0; i < d->n_inputs; i++) {
        int64_t at = -1, samples;
        for (int64_t k = 0; k < a->n; k++)
            if (strcmp(a->list[k].name, d->input_names[i]) == 0) at = k;
        if (at < 0 && optional(r, d->input_names[i])) continue;
        if (at < 0) return missing(d, r, a, i);
        mc_tensor *t = a->list[at].t;
        a->list[at].t = NULL;
        MC_TRY(mc_binding_make(&d->bind[i], r->g->inputs[i], t, &samples, strcmp(r->form, "idx") == 0));
        if (d->bind[i].constant) continue;
        if (n_rows >= 0 && n_rows != samples)
            MC_FAIL(MCOMP_DATA, d->input_names[i], "%lld samples where another array has %lld", (long long)samples, (long long)n_rows);
        n_rows = samples;
    }
    *rows = n_rows < 0 ? 1 : n_rows;
done:
    return st;
}

int32_t mc_open_arrays(mcomp_dataset *d, const mc_data_request *r, int64_t *rows)
{
    int32_t st = MCOMP_OK;
    mc_arrays a = {0};
    if (r->n_select > 0) return mc_fail(MCOMP_ARGUMENT, r->select[0].column, "rows are selected by column in text files only; here skip, limit and every");
    d->bind = mc_calloc((size_t)d->n_inputs + 1, sizeof *d->bind);
    if (!d->bind) return MCOMP_NO_MEMORY;
    MC_TRY(gather_arrays(d, r, &a));
    MC_TRY(bind_all(d, r, &a, rows));
    for (int64_t k = 0; k < a.n; k++) {
        if (!a.list[k].t) continue;
        if (strcmp(a.list[k].name, label_key(r)) != 0) {
            MC_TRY(mc_dataset_warn(d, "array \"%s\" is not used", a.list[k].name));
            continue;
        }
        MC_TRY(take_labels(d, a.list[k].t, a.list[k].name));
        if (a.list[k].t->shape.dim[0] != *rows)
            MC_FAIL(MCOMP_DATA, a.list[k].name, "%lld labels for %lld samples", (long long)a.list[k].t->shape.dim[0], (long long)*rows);
    }
    if (r->o->label && !d->has_labels && !d->target) MC_FAIL(MCOMP_DATA, r->path, "no array \"%s\" for the labels", r->o->label);
done:
    mc_arrays_free(&a);
    return st;
}

int32_t mc_sample_arrays(mcomp_dataset *d, int64_t row, mcomp_tensor **inputs)
{
    int32_t st = MCOMP_OK;
    for (int64_t i = 0; i < d->n_inputs; i++) {
        const mc_binding *b = &d->bind[i];
        if (!b->t) { /* optional and absent: zeros, free axes 1 */
            mc_shape s = {.rank = d->input_types[i].rank < 0 ? 0 : d->input_types[i].rank};
            for (int32_t k = 0; k < s.rank; k++) s.dim[k] = d->input_types[i].dim[k] < 0 ? 1 : d->input_types[i].dim[k];
            MC_TRY(mc_dataset_tensor(&inputs[i], d->input_types[i].dtype, &s));
            continue;
        }
        MC_TRY(mc_dataset_tensor(&inputs[i], b->t->dtype, &b->sample));
        const uint64_t bytes = mc_tensor_bytes(&inputs[i]->t);
        if (bytes) memcpy(inputs[i]->t.data, (const uint8_t *)b->t->data + (b->constant ? 0 : (uint64_t)row * bytes), bytes);
    }
done:
    return st;
}
