/* Before the first step of a training: the split, the loaders, class weights, how many updates there will be, the checkpoint. */
#include "train/fit.h"

#include <stdio.h>
#include <unistd.h>

static int32_t batch_axes(const mcomp_trainer *t)
{
    for (int64_t i = 0; i < t->model->n_inputs; i++) {
        const mc_type *x = &t->model->inputs[i]->type;
        if (x->rank < 1 || x->dim[0] < 0 || x->dim[0] == t->o.batch) continue;
        (void)mc_fail(MCOMP_SHAPE, t->model->inputs[i]->name, "the batch axis is fixed to %lld; training with batches of %d needs a free one", (long long)x->dim[0], t->o.batch);
        return mc_fail_hint("export the model with a free (dynamic) first axis, or train with batches of %lld", (long long)x->dim[0]);
    }
    return MCOMP_OK;
}

static int32_t augment(mc_fit *f, mc_loader_options *o)
{
    const char *a = f->t->o.augment;
    int64_t n = 0;
    char text[24];
    if (!a) return MCOMP_OK;
    const size_t len = strcspn(a, ",");
    f->shift.mirror = a[len] && strcmp(a + len, ",mirror") == 0;
    snprintf(text, sizeof text, "%.*s", (int)(len > 6 ? len - 6 : 0), len > 6 ? a + 6 : "");
    if (strncmp(a, "shift:", 6) != 0 || mc_parse_i64(text, &n) != MCOMP_OK || n < 0 || n > 64 || (a[len] && !f->shift.mirror)) {
        (void)mc_fail(MCOMP_ARGUMENT, "augment", "\"%.60s\" is no augmentation", a);
        return mc_fail_hint("shift:N with N from 0 to 64, or shift:N,mirror");
    }
    f->shift.pixels = (int32_t)n;
    o->augment = mc_augment_shift_image;
    o->augment_payload = &f->shift;
    return MCOMP_OK;
}

static int32_t loaders(mc_fit *f)
{
    int32_t st = MCOMP_OK;
    const mcomp_trainer *t = f->t;
    mc_loader_options o = mc_loader_defaults();
    o.batch = t->o.batch;
    o.seed = t->o.seed;
    o.shuffle = !t->o.no_shuffle;
    o.bucket = !t->o.no_shuffle;
    MC_TRY(mc_objective_find(t->o.objective, &o.objective));
    if (f->valid_set == f->train_set) {
        MC_TRY(mc_split_make(&f->split, f->train_set, 0.1));
        if (f->split.n_valid == 0) MC_FAIL(MCOMP_DATA, "data", "there are too few samples to set some apart for validation");
        o.samples = f->split.train;
        o.n_samples = f->split.n_train;
    }
    MC_TRY(augment(f, &o));
    MC_TRY(mc_loader_open(&f->train, f->train_set, &o));
    o.augment = NULL;
    o.samples = f->split.valid;
    o.n_samples = f->split.n_valid;
    o.shuffle = 0;
    o.bucket = 1;
    o.repeat = 1;
    MC_TRY(mc_loader_open(&f->valid, f->valid_set, &o));
done:
    return st;
}

static int32_t balance(mc_fit *f)
{
    int32_t st = MCOMP_OK;
    mcomp_trainer *t = f->t;
    const mc_type *like = &f->target_like;
    const int64_t classes = like->rank > 1 ? like->dim[like->rank - 1] : 0;
    if (classes < 1) MC_FAIL(MCOMP_SHAPE, "balance", "the number of classes is not known from the model");
    if (!t->weight && !(t->weight = mc_calloc((size_t)classes, sizeof *t->weight))) MC_TRY(MCOMP_NO_MEMORY);
    t->n_weight = classes;
    MC_TRY(mc_class_weights(f->train_set, f->split.train, f->split.n_train, classes, t->weight));
done:
    return st;
}

static int32_t go_on(mc_fit *f)
{
    int32_t st = MCOMP_OK;
    mcomp_trainer *t = f->t;
    const int64_t total = t->total;
    if (!t->o.resume || access(t->o.checkpoint, F_OK) != 0) {
        mc_loader_tell(f->train, &t->cursor);
        return MCOMP_OK;
    }
    MC_TRY(mcomp_trainer_load(t, t->o.checkpoint));
    if (t->total != total)
        MC_FAIL(MCOMP_DATA, t->o.checkpoint, "the checkpoint is of a training with %lld updates, this one has %lld", (long long)t->total, (long long)total);
    MC_TRY(mc_loader_seek(f->train, &t->cursor));
done:
    return st;
}

/* The names of the classes go with the model, so that whoever runs it numbers them as it was trained; training and validation must agree. */
static int32_t labels(mc_fit *f)
{
    int32_t st = MCOMP_OK;
    mc_json *list = NULL;
    mc_str text = {0};
    int64_t n = 0;
    for (; mcomp_dataset_label_name(f->train_set, n); n++) {
        const char *other = mcomp_dataset_label_name(f->valid_set, n);
        if (other && strcmp(other, mcomp_dataset_label_name(f->train_set, n)) == 0) continue;
        (void)mc_fail(MCOMP_DATA, "validation data", "class %lld is \"%.60s\" for training and \"%.60s\" for validation", (long long)n, mcomp_dataset_label_name(f->train_set, n), other ? other : "");
        return mc_fail_hint("open both with the same labels");
    }
    if (n == 0 || mc_graph_get_meta(f->t->model, "mcomp.labels")) return MCOMP_OK;
    list = mc_json_array();
    for (int64_t i = 0; i < n; i++) MC_TRY(mc_json_append(list, mc_json_new_string(mcomp_dataset_label_name(f->train_set, i))));
    MC_TRY(mc_json_dump(list, &text));
    st = mc_graph_set_meta(f->t->model, "mcomp.labels", text.data);
done:
    mc_json_destroy(list);
    mc_str_free(&text);
    return st;
}

static const char *metric_of(const mcomp_trainer *t)
{
    if (t->o.metric) return t->o.metric;
    if (!t->loss->labels) return "loss";
    return t->o.objective && strcmp(t->o.objective, "classify") != 0 ? "perplexity" : "accuracy";
}

int32_t mc_fit_open(mc_fit *f)
{
    int32_t st = MCOMP_OK;
    mcomp_trainer *t = f->t;
    mc_value *scores[MC_LOSS_OUTPUTS];
    int32_t n = 0;
    mc_metric *m = NULL;
    MC_TRY(mc_trainer_outputs(t, t->model, scores, &n));
    f->target_like = scores[0]->type;
    f->metric = metric_of(t);
    MC_TRY(mc_metric_open(&m, f->metric));
    MC_TRY(batch_axes(t));
    MC_TRY(labels(f));
    MC_TRY(loaders(f));
    if (t->o.balance && !t->ready) MC_TRY(balance(f));
    MC_TRY(mc_trainer_ready(t));
    const int64_t updates = t->o.epochs * mc_loader_batches(f->train) / t->o.accumulate;
    if (!t->o.max_steps) t->total = updates > 0 ? updates : 1;
    MC_TRY(go_on(f));
done:
    mc_metric_close(m);
    return st;
}

void mc_fit_close(mc_fit *f)
{
    mc_loader_close(f->train);
    mc_loader_close(f->valid);
    mc_split_free(&f->split);
    mc_tensor_destroy(f->target);
}

/* ---- targets ---- */

/* Class k as numbers: [n, 1] or [n]: k itself; [n, C]: one-hot. */
static int32_t numbers(mc_fit *f, const mc_batch *b)
{
    int32_t st = MCOMP_OK;
    const mc_type *like = &f->target_like;
    mc_shape s = {.rank = like->rank, .dim = {b->n}};
    int64_t width = 1;
    for (int32_t k = 1; k < like->rank; k++) {
        s.dim[k] = like->dim[k];
        if (like->dim[k] < 1) MC_FAIL(MCOMP_SHAPE, "target", "axis %d of the output is not known", k);
        width *= like->dim[k];
    }
    mc_tensor_destroy(f->target);
    f->target = NULL;
    MC_TRY(mc_tensor_create(&f->target, MCOMP_F32, &s));
    for (int64_t i = 0; i < b->n; i++) {
        const int64_t k = mc_tensor_get_i64(b->labels, i);
        if (width > 1 && (k < 0 || k >= width)) MC_FAIL(MCOMP_DATA, "label", "class %lld of %lld", (long long)k, (long long)width);
        if (width == 1) ((float *)f->target->data)[i] = (float)k;
        else ((float *)f->target->data)[i * width + k] = 1.0f;
    }
done:
    return st;
}

/* Numbers of the output's size, in its shape. */
static int32_t reshaped(mc_fit *f, const mc_batch *b)
{
    mc_shape s = {.rank = f->target_like.rank, .dim = {b->n}};
    int64_t n = b->n;
    for (int32_t k = 1; k < s.rank; k++) n *= s.dim[k] = f->target_like.dim[k];
    mc_tensor_destroy(f->target);
    f->target = NULL;
    if (n != mc_tensor_elements(b->labels))
        return mc_fail(MCOMP_SHAPE, "target", "%lld target numbers for an output of %lld", (long long)mc_tensor_elements(b->labels), (long long)n);
    const int32_t st = mc_tensor_share(&f->target, b->labels);
    if (st == MCOMP_OK) f->target->shape = s;
    return st;
}

static int32_t check_classes(const mc_fit *f, const mc_batch *b)
{
    const mc_type *like = &f->target_like;
    const int64_t classes = like->rank > 0 ? like->dim[like->rank - 1] : -1, n = mc_tensor_elements(b->labels);
    char where[40];
    for (int64_t i = 0; i < n; i++) {
        const int64_t k = ((const int64_t *)b->labels->data)[i];
        if (k == MC_IGNORE_LABEL && b->labels->shape.rank > 1) continue;
        if (k >= 0 && (k < classes || classes < 0)) continue;
        snprintf(where, sizeof where, "sample %lld", (long long)b->samples[b->labels->shape.rank > 1 ? i / b->labels->shape.dim[1] : i]);
        return k < 0 ? mc_fail(MCOMP_DATA, where, "it has no label to train on") : mc_fail(MCOMP_DATA, where, "it is of class %lld; the model has %lld", (long long)k, (long long)classes);
    }
    return MCOMP_OK;
}

int32_t mc_fit_target(mc_fit *f, const mc_batch *b, const mc_tensor **out)
{
    int32_t st = MCOMP_OK;
    if (!b->labels) {
        (void)mc_fail(MCOMP_DATA, "label", "the data have no labels to train on");
        return mc_fail_hint("name their column or array with label, or use the objective mlm or next-token for plain text");
    }
    *out = b->labels;
    if (f->t->loss->labels) {
        if (b->labels->dtype != MCOMP_I64) MC_FAIL(MCOMP_DTYPE, "label", "%s needs class labels, the data have %s", f->t->loss->name, mc_dtype_name(b->labels->dtype));
        if (strcmp(f->t->loss->name, "span") != 0) MC_TRY(check_classes(f, b));
        return MCOMP_OK;
    }
    MC_TRY(b->labels->dtype == MCOMP_F32 ? reshaped(f, b) : numbers(f, b));
    *out = f->target;
done:
    return st;
}
