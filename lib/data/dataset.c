/* Datasets: opening by form, selection of samples, and handing them out one by one. */
#include "data/argument.h"
#include "data/text.h"

#include <stdio.h>

int32_t mcomp_dataset_options_init(mcomp_dataset_options *o, uint32_t size) { return mc_options_init(o, size, sizeof *o, "options"); }

int32_t mc_dataset_warn(mcomp_dataset *d, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    const int32_t st = mc_grow(&d->warnings, &d->cap_warnings, d->n_warnings + 1, sizeof *d->warnings);
    if (st != MCOMP_OK) return st;
    d->warnings[d->n_warnings] = mc_strdup(text);
    if (!d->warnings[d->n_warnings]) return MCOMP_NO_MEMORY;
    d->n_warnings++;
    return MCOMP_OK;
}

int32_t mc_dataset_input(const mcomp_dataset *d, const char *name)
{
    for (int64_t i = 0; i < d->n_inputs; i++)
        if (strcmp(d->input_names[i], name) == 0) return (int32_t)i;
    return -1;
}

int32_t mc_dataset_tensor(mcomp_tensor **out, int32_t dtype, const mc_shape *s)
{
    mc_tensor *t = NULL;
    const int32_t st = mc_tensor_create(&t, dtype, s);
    *out = (mcomp_tensor *)t;
    return st;
}

static int32_t dataset_new(mcomp_dataset **out, mcomp_context *ctx, const mc_graph *g)
{
    int32_t st = MCOMP_OK;
    mcomp_dataset *d = mc_calloc(1, sizeof *d);
    *out = NULL;
    if (!d) return MCOMP_NO_MEMORY;
    d->ctx = ctx;
    d->ids = d->mask = d->types = -1;
    d->input_names = mc_calloc((size_t)g->n_inputs + 1, sizeof *d->input_names);
    d->input_types = mc_calloc((size_t)g->n_inputs + 1, sizeof *d->input_types);
    d->current = mc_calloc((size_t)g->n_inputs + 1, sizeof *d->current);
    if (!d->input_names || !d->input_types || !d->current) MC_FAIL(MCOMP_NO_MEMORY, "dataset", "no memory");
    for (; d->n_inputs < g->n_inputs; d->n_inputs++) {
        d->input_types[d->n_inputs] = g->inputs[d->n_inputs]->type;
        d->input_names[d->n_inputs] = mc_strdup(g->inputs[d->n_inputs]->name);
        if (!d->input_names[d->n_inputs]) MC_FAIL(MCOMP_NO_MEMORY, "dataset", "no memory");
    }
    *out = d;
    return MCOMP_OK;
done:
    mcomp_dataset_destroy(d);
    return st;
}

/* skip, limit, every of one level applied to order[0..n). */
static int64_t narrow(int64_t *order, int64_t n, int64_t skip, int64_t limit, int64_t every)
{
    int64_t kept = 0;
    if (every < 1) every = 1;
    for (int64_t i = skip; i < n && (limit < 0 || kept < limit); i += every) order[kept++] = order[i];
    return kept;
}

static int32_t select_samples(mcomp_dataset *d, const mc_argument *a, const mcomp_dataset_options *o, int64_t rows)
{
    d->order = mc_malloc(sizeof *d->order * (size_t)(rows > 0 ? rows : 1));
    if (!d->order) return MCOMP_NO_MEMORY;
    for (int64_t i = 0; i < rows; i++) d->order[i] = i;
    d->count = narrow(d->order, rows, a->skip, a->limit, a->every);
    d->count = narrow(d->order, d->count, o->skip, o->limit > 0 ? o->limit : -1, o->every);
    if (d->count > 0) return MCOMP_OK;
    (void)mc_fail(MCOMP_DATA, a->path, rows ? "no sample is left after skip, limit and every" : "no samples in the data");
    (void)mc_fail_hint("%lld rows before skip and limit", (long long)rows);
    return MCOMP_DATA;
}

static int32_t open_form(mcomp_dataset *d, const mc_data_request *r, int64_t *rows)
{
    if (strcmp(r->form, "text") == 0) return mc_open_text(d, r, rows);
    if (strcmp(r->form, "onnx-test") == 0) return mc_open_onnx_test(d, r, rows);
    return mc_open_arrays(d, r, rows);
}

int32_t mcomp_dataset_open(mcomp_dataset **out, mcomp_context *ctx, const mcomp_graph *g, const char *argument, const mcomp_dataset_options *options)
{
    int32_t st = MCOMP_OK;
    mcomp_dataset *d = NULL;
    mcomp_dataset_options o = {.size = sizeof o};
    mc_argument a = {0};
    int64_t rows = 0;
    MC_API_ENTER();
    MC_CHECK_ARG(1, out, "out", "is NULL");
    *out = NULL;
    MC_CHECK_ARG(3, g, "g", "is NULL");
    MC_CHECK_ARG(4, argument, "argument", "is NULL");
    MC_TRY(mc_options_read(&o, sizeof o, options, "options"));
    if (o.skip < 0 || o.limit < 0 || o.every < 0 || o.max_length < 0) MC_FAIL(MCOMP_RANGE, "options", "skip, limit, every and max_length cannot be negative");
    MC_TRY(mc_argument_parse(&a, argument));
    MC_TRY(dataset_new(&d, ctx, g->g));
    const char *labels = o.labels ? o.labels : mc_graph_get_meta(g->g, "mcomp.labels");
    if (labels) MC_TRY(mc_labels_parse(&d->labels, labels, o.labels ? "labels" : "mcomp.labels"));
    const mc_data_request r = {g->g, &o, a.form, a.path, a.select, a.n_select};
    MC_TRY(open_form(d, &r, &rows));
    MC_TRY(select_samples(d, &a, &o, rows));
    *out = d;
    d = NULL;
done:
    mc_argument_free(&a);
    mcomp_dataset_destroy(d);
    return st;
}

int32_t mcomp_dataset_create(mcomp_dataset **out, mcomp_context *ctx, const mcomp_graph *g, int64_t samples, mcomp_fetch_fn fetch, void *payload)
{
    MC_API_ENTER();
    MC_CHECK_ARG(1, out, "out", "is NULL");
    *out = NULL;
    MC_CHECK_ARG(3, g, "g", "is NULL");
    MC_CHECK_ARG(4, samples > 0, "samples", "must be positive");
    MC_CHECK_ARG(5, fetch, "fetch", "is NULL");
    const int32_t st = dataset_new(out, ctx, g->g);
    if (st != MCOMP_OK) return st;
    (*out)->count = samples;
    (*out)->fetch = fetch;
    (*out)->payload = payload;
    return MCOMP_OK;
}

static void drop_current(mcomp_dataset *d)
{
    for (int64_t i = 0; d->current && i < d->n_inputs; i++) {
        mcomp_tensor_destroy(d->current[i]);
        d->current[i] = NULL;
    }
}

static void free_cases(mcomp_dataset *d)
{
    for (int64_t k = 0; k < d->n_cases; k++) {
        mc_onnx_case *c = &d->cases[k];
        for (int64_t i = 0; c->in && i < c->n_in; i++) mc_tensor_destroy(c->in[i]);
        for (int64_t i = 0; i < c->n_out; i++) mc_tensor_destroy(c->out[i]);
        mc_free(c->in);
        mc_free(c->out);
    }
    mc_free(d->cases);
}

void mcomp_dataset_destroy(mcomp_dataset *d)
{
    if (!d) return;
    drop_current(d);
    mc_free(d->current);
    for (int64_t i = 0; i < d->n_inputs; i++) {
        mc_free(d->input_names[i]);
        if (d->bind) mc_tensor_destroy(d->bind[i].t);
    }
    mc_free(d->input_names);
    mc_free(d->input_types);
    mc_free(d->bind);
    mc_free(d->order);
    mc_free(d->label);
    mc_tensor_destroy(d->target);
    for (int64_t i = 0; d->encoded && i < d->table.n; i++) mc_free(d->encoded[i]);
    mc_free(d->encoded);
    mc_free(d->stream);
    mc_encoder_destroy(d->encoder);
    mcomp_tokenizer_destroy(d->handle);
    mc_tokenizer_unref(d->tokenizer);
    mc_table_free(&d->table);
    mc_labels_free(&d->labels);
    free_cases(d);
    for (int64_t i = 0; i < d->n_warnings; i++) mc_free(d->warnings[i]);
    mc_free(d->warnings);
    mc_free(d);
}

int64_t mcomp_dataset_count(const mcomp_dataset *d) { return d ? d->count : 0; }
int32_t mcomp_dataset_has_labels(const mcomp_dataset *d) { return d ? d->has_labels : 0; }

const char *mcomp_dataset_label_name(const mcomp_dataset *d, int64_t i) { return d && i >= 0 && i < d->labels.n ? d->labels.names[i] : NULL; }

const char *mcomp_dataset_warning(const mcomp_dataset *d, int64_t i) { return d && i >= 0 && i < d->n_warnings ? d->warnings[i] : NULL; }

/* What a callback returned must fit the model: it is the caller's data, but our kernels run on it. */
static int32_t check_fetched(const mcomp_dataset *d, int64_t sample)
{
    char where[300];
    for (int64_t i = 0; i < d->n_inputs; i++) {
        const mc_type *want = &d->input_types[i];
        const mcomp_tensor *t = d->current[i];
        snprintf(where, sizeof where, "sample %lld, input %.200s", (long long)sample, d->input_names[i]);
        if (!t) return mc_fail(MCOMP_DATA, where, "the callback gave no tensor");
        if (t->t.dtype != want->dtype)
            return mc_fail(MCOMP_DTYPE, where, "the callback gave %s, the model takes %s", mc_dtype_name(t->t.dtype), mc_dtype_name(want->dtype));
        if (want->rank >= 0 && t->t.shape.rank != want->rank)
            return mc_fail(MCOMP_SHAPE, where, "the callback gave %d axes, the model takes %d", t->t.shape.rank, want->rank);
        for (int32_t k = 0; k < want->rank; k++)
            if (want->dim[k] >= 0 && want->dim[k] != t->t.shape.dim[k])
                return mc_fail(MCOMP_SHAPE, where, "axis %d is %lld, the model takes %lld", k, (long long)t->t.shape.dim[k], (long long)want->dim[k]);
    }
    return MCOMP_OK;
}

int32_t mcomp_dataset_get(mcomp_dataset *d, int64_t i, int32_t n_inputs, const mcomp_tensor **inputs, int64_t *label)
{
    int32_t st = MCOMP_OK;
    int64_t got_label = -1;
    MC_API_ENTER();
    MC_CHECK_ARG(1, d, "d", "is NULL");
    MC_CHECK_ARG(2, i >= 0 && i < d->count, "i", "is out of range");
    MC_CHECK_ARG(3, n_inputs == d->n_inputs, "n_inputs", "is not the model's number of inputs");
    MC_CHECK_ARG(4, inputs || n_inputs == 0, "inputs", "is NULL");
    drop_current(d);
    const int64_t row = d->order ? d->order[i] : i;
    if (d->fetch) {
        MC_TRY(d->fetch(d->payload, row, n_inputs, d->current, &got_label));
        MC_TRY(check_fetched(d, i));
        if (got_label >= 0) d->has_labels = 1;
    } else if (d->text) {
        MC_TRY(mc_sample_text(d, row, d->current));
    } else if (d->cases) {
        MC_TRY(mc_sample_onnx_test(d, row, d->current));
    } else {
        MC_TRY(mc_sample_arrays(d, row, d->current));
    }
    for (int32_t k = 0; k < n_inputs; k++) inputs[k] = d->current[k];
    if (label) *label = d->label ? d->label[row] : got_label;
done:
    if (st != MCOMP_OK) drop_current(d);
    return st;
}

const mcomp_tokenizer *mcomp_dataset_tokenizer(mcomp_dataset *d)
{
    if (!d || !d->tokenizer) return NULL;
    if (!d->handle && mc_tokenizer_wrap(&d->handle, d->tokenizer) != MCOMP_OK) return NULL;
    return d->handle;
}

int32_t mcomp_dataset_targets(mcomp_dataset *d, int64_t i, int64_t n, int64_t *targets)
{
    MC_API_ENTER();
    MC_CHECK_ARG(1, d, "d", "is NULL");
    MC_CHECK_ARG(2, i >= 0 && i < d->count, "i", "is out of range");
    MC_CHECK_ARG(4, targets, "targets", "is NULL");
    if (!d->stream) return mc_fail(MCOMP_DATA, "", "only data opened for the objective next-token has targets");
    MC_CHECK_ARG(3, n == d->max_length, "n", "is not the number of ids a sample");
    for (int64_t k = 0; k < n; k++) targets[k] = d->stream[d->order[i] * n + k + 1];
    return MCOMP_OK;
}

int32_t mcomp_dataset_expected(mcomp_dataset *d, int64_t i, int32_t k, const mcomp_tensor **out)
{
    MC_API_ENTER();
    MC_CHECK_ARG(1, d, "d", "is NULL");
    MC_CHECK_ARG(2, i >= 0 && i < d->count, "i", "is out of range");
    MC_CHECK_ARG(4, out, "out", "is NULL");
    const mc_onnx_case *c = d->cases ? &d->cases[d->order[i]] : NULL;
    if (!c || k < 0 || k >= c->n_out) return mc_fail(MCOMP_DATA, "", "there is no expected output %d", k);
    *out = (const mcomp_tensor *)c->out[k];
    return MCOMP_OK;
}
