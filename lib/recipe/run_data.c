/* Models and data of a run: opened as the recipe says, and hashed as the models take them. */
#include "recipe/run.h"

#include <unistd.h>

int32_t mc_run_load(mc_run *r, const char *path, mcomp_graph **out)
{
    int32_t st = MCOMP_OK;
    mcomp_load_options o;
    const mc_section *m = r->recipe->model;
    MC_TRY(mcomp_load_options_init(&o, sizeof o));
    const size_t n = strlen(path);
    if (n < 5 || strcmp(path + n - 5, ".onnx") != 0) {
        o.arch = mc_section_str(m, "arch");
        o.config = mc_section_str(m, "config");
        o.head = mc_section_has(m, "head") ? (int32_t)mc_section_int(m, "head") : 0;
        o.seed = (uint64_t)mc_section_int(r->recipe->top, "seed");
    }
    MC_TRY(mcomp_graph_load_with(out, r->ctx, path, &o));
    for (int64_t i = 0; mcomp_graph_warning(*out, i); i++) MC_TRY(mc_run_warn(r, "TENSOR", "", "%s", mcomp_graph_warning(*out, i)));
done:
    return st;
}

int32_t mc_run_identity(const char *path, const mcomp_graph *g, char hex[65])
{
    int32_t st = MCOMP_OK;
    char both[131];
    MC_TRY(mc_store_hash_file(path, both));
    both[64] = ':';
    MC_TRY(mc_graph_digest(g->g, both + 65)); /* weights beside the file are part of it */
    st = mc_sha256_hex(both, 129, hex);
done:
    return st;
}

int32_t mc_run_objective(const mc_run *r, const char **name)
{
    const char *o = mc_section_str(mc_section_given(r->recipe->train) ? r->recipe->train : r->recipe->eval, "objective");
    *name = o && strcmp(o, "classify") == 0 ? NULL : o;
    return MCOMP_OK;
}

/* ---- opening ---- */

static char *beside(mc_run *r, const char *path)
{
    const char *const ends[] = {".onnx", ".safetensors"};
    size_t n = strlen(path);
    char *out = mc_arena_alloc(r->arena, n + sizeof ".tokenizer.json");
    if (!out) return NULL;
    memcpy(out, path, n);
    for (int i = 0; i < 2; i++) {
        const size_t k = strlen(ends[i]);
        if (n > k && memcmp(path + n - k, ends[i], k) == 0) {
            n -= k;
            break;
        }
    }
    memcpy(out + n, ".tokenizer.json", sizeof ".tokenizer.json");
    return out;
}

static int from_data(const char *spec) { return strcmp(spec, "chars") == 0 || strncmp(spec, "train:", 6) == 0; }

/* The tokenizer of the recipe, unless it is made from the data, in which case the model's own file goes first. */
static int32_t find_tokenizer(mc_run *r, mc_run_data *d, const char *path, const mcomp_tokenizer *given)
{
    int32_t st = MCOMP_OK;
    if (given) return mcomp_tokenizer_share(&d->tokenizer, given);
    const mc_section *first = mc_section_given(r->recipe->train) ? r->recipe->train : r->recipe->eval;
    const char *spec = mc_section_str(first, "tokenizer"), *own = beside(r, path);
    if (!own) return MCOMP_NO_MEMORY;
    if (spec && !from_data(spec)) return mcomp_tokenizer_create(&d->tokenizer, r->ctx, spec, NULL, NULL, 0);
    if (access(own, F_OK) != 0) return MCOMP_OK;
    MC_TRY(mcomp_tokenizer_create(&d->tokenizer, r->ctx, own, NULL, NULL, 0));
    if (spec) MC_TRY(mc_run_warn(r, "TOKENIZER", "", "the model has a tokenizer of its own, %s; %s is not made from this data", own, spec));
done:
    return st;
}

static int32_t options_of(const mc_section *s, const mc_run_data *d, mcomp_dataset_options *o, char **labels)
{
    int32_t st = MCOMP_OK;
    uint64_t bytes;
    MC_TRY(mcomp_dataset_options_init(o, sizeof *o));
    o->max_length = mc_section_has(s, "max_length") ? (int32_t)mc_section_int(s, "max_length") : 0;
    o->label = mc_section_str(s, "label");
    o->text = mc_section_str(s, "text");
    o->map = mc_section_str(s, "map");
    o->group = mc_section_str(s, "group");
    o->objective = mc_section_str(s, "objective");
    o->scale = mc_section_num(s, "scale");
    o->shift = mc_section_num(s, "shift");
    o->skip = mc_section_int(s, "skip");
    o->limit = mc_section_has(s, "limit") ? mc_section_int(s, "limit") : 0;
    o->every = mc_section_int(s, "every");
    if (d->tokenizer) o->tokenizer_handle = d->tokenizer;
    else o->tokenizer = mc_section_str(s, "tokenizer");
    if (mc_section_has(s, "labels")) MC_TRY(mc_file_read(mc_section_str(s, "labels"), 1 << 24, labels, &bytes));
    o->labels = *labels;
done:
    return st;
}

static int32_t open_one(mc_run *r, mc_run_data *d, const mcomp_graph *g, const mc_section *s, mcomp_dataset **out)
{
    int32_t st = MCOMP_OK;
    char *labels = NULL;
    mcomp_dataset_options o;
    const char *path = mc_section_str(s, "path");
    if (!path) return mc_recipe_fail(r->recipe, MCOMP_RECIPE, s, NULL, "no samples are named here");
    MC_TRY(options_of(s, d, &o, &labels));
    MC_TRY(mcomp_dataset_open(out, r->ctx, g, path, &o));
    for (int64_t i = 0; mcomp_dataset_warning(*out, i); i++) MC_TRY(mc_run_warn(r, "DATA", s->name, "%s", mcomp_dataset_warning(*out, i)));
    if (!d->tokenizer && mcomp_dataset_tokenizer(*out)) MC_TRY(mcomp_tokenizer_share(&d->tokenizer, mcomp_dataset_tokenizer(*out)));
done:
    mc_free(labels);
    return st;
}

int32_t mc_run_data_train(mc_run *r, const mcomp_graph *g, const char *tokenizer, mcomp_tokenizer *handle, mcomp_dataset **out)
{
    int32_t st = MCOMP_OK;
    char *labels = NULL;
    mcomp_dataset_options o;
    const mc_run_data own = {.tokenizer = handle};
    MC_TRY(options_of(r->recipe->train, &own, &o, &labels));
    if (tokenizer) o.tokenizer = tokenizer;
    st = mcomp_dataset_open(out, r->ctx, g, mc_section_str(r->recipe->train, "path"), &o);
done:
    mc_free(labels);
    return st;
}

/* At most `samples` of those that find ranges, spread over all. */
static int32_t open_calib(mc_run *r, mc_run_data *d, const mcomp_graph *g)
{
    int32_t st = MCOMP_OK;
    const mc_section *s = r->recipe->calib;
    const char *path = mc_section_str(s, "path");
    char *labels = NULL;
    mcomp_dataset *all = NULL;
    mcomp_dataset_options o;
    if (!path) return MCOMP_OK;
    const size_t n = strlen(path);
    if (n > 6 && strcmp(path + n - 6, ".calib") == 0) {
        d->ranges = path;
        return mc_store_hash_file(path, d->calib_hash);
    }
    const int64_t want = mc_section_int(s, "samples");
    MC_TRY(options_of(s, d, &o, &labels));
    MC_TRY(mcomp_dataset_open(&all, r->ctx, g, path, &o));
    const int64_t count = mcomp_dataset_count(all);
    if (want > 0 && count > want) {
        mcomp_dataset_destroy(all);
        all = NULL;
        o.every = (o.every > 1 ? o.every : 1) * (count / want);
        o.limit = want;
        MC_TRY(mcomp_dataset_open(&all, r->ctx, g, path, &o));
    }
    d->calib = all;
    all = NULL;
done:
    mcomp_dataset_destroy(all);
    mc_free(labels);
    return st;
}

/* ---- hashing ---- */

#define CHUNK (1 << 20)

static int32_t chain(mc_str *block, int everything)
{
    int32_t st = MCOMP_OK;
    char hex[65];
    if (block->len < CHUNK && !everything) return MCOMP_OK;
    MC_TRY(mc_sha256_hex(block->data, (uint64_t)block->len, hex));
    block->len = 0;
    st = mc_str_append(block, hex); /* the next block begins with the hash of all before it */
done:
    return st;
}

static int32_t add_tensor(mc_str *block, const mc_tensor *t)
{
    int32_t st = MCOMP_OK;
    MC_TRY(mc_str_append_bytes(block, &t->dtype, sizeof t->dtype));
    MC_TRY(mc_str_append_bytes(block, &t->shape.rank, sizeof t->shape.rank));
    MC_TRY(mc_str_append_bytes(block, t->shape.dim, sizeof *t->shape.dim * (size_t)t->shape.rank));
    if (t->dtype == MCOMP_STRING)
        for (int64_t i = 0; i < mc_tensor_elements(t); i++) MC_TRY(mc_str_append_bytes(block, ((char *const *)t->data)[i], strlen(((char *const *)t->data)[i]) + 1));
    else if (mc_tensor_bytes(t)) MC_TRY(mc_str_append_bytes(block, t->data, (size_t)mc_tensor_bytes(t)));
    st = chain(block, 0);
done:
    return st;
}

/* SHA-256 of all samples with their targets, in their order. */
static int32_t hash(mc_run *r, mcomp_dataset *d, char hex[65])
{
    int32_t st = MCOMP_OK;
    const char *objective;
    mc_str block = {0};
    mc_loader *l = NULL;
    mc_loader_options o = mc_loader_defaults();
    if (!d) return MCOMP_OK;
    MC_TRY(mc_run_objective(r, &objective));
    o.batch = 1;
    o.shuffle = o.bucket = 0;
    MC_TRY(mc_objective_find(objective, &o.objective));
    MC_TRY(mc_loader_open(&l, d, &o));
    for (int64_t i = 0;; i++) {
        mc_batch b;
        if (i % 1024 == 0) MC_TRY(mc_context_poll(r->ctx));
        MC_TRY(mc_loader_next(l, &b));
        if (b.n == 0) break;
        for (int32_t k = 0; k < b.n_inputs; k++) MC_TRY(add_tensor(&block, b.inputs[k]));
        if (b.labels) MC_TRY(add_tensor(&block, b.labels));
    }
    for (int64_t i = 0; mcomp_dataset_label_name(d, i); i++) MC_TRY(mc_str_append_bytes(&block, mcomp_dataset_label_name(d, i), strlen(mcomp_dataset_label_name(d, i)) + 1));
    MC_TRY(chain(&block, 1));
    memcpy(hex, block.data, 65);
done:
    mc_loader_close(l);
    mc_str_free(&block);
    return st;
}

int32_t mc_run_data_open(mc_run *r, mc_run_data *d, const mcomp_graph *g, const char *path, const mcomp_tokenizer *tokenizer)
{
    int32_t st = MCOMP_OK;
    const mcomp_recipe *q = r->recipe;
    MC_TRY(find_tokenizer(r, d, path, tokenizer));
    if (mc_section_given(q->train)) MC_TRY(open_one(r, d, g, q->train, &d->train));
    if (mc_section_given(q->valid)) MC_TRY(open_one(r, d, g, q->valid, &d->valid));
    MC_TRY(open_one(r, d, g, q->eval, &d->eval));
    MC_TRY(open_calib(r, d, g));
    MC_TRY(hash(r, d->train, d->train_hash));
    MC_TRY(hash(r, d->valid, d->valid_hash));
    MC_TRY(hash(r, d->eval, d->eval_hash));
    MC_TRY(hash(r, d->calib, d->calib_hash));
done:
    return st;
}

void mc_run_data_close(mc_run_data *d)
{
    mcomp_dataset_destroy(d->train);
    mcomp_dataset_destroy(d->valid);
    mcomp_dataset_destroy(d->eval);
    mcomp_dataset_destroy(d->calib);
    mcomp_tokenizer_destroy(d->tokenizer);
    memset(d, 0, sizeof *d);
}
