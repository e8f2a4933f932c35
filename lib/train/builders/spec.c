/* KIND[:key=value,...] to a graph: parsing, limits, metadata. */
#include "train/build.h"

#include <stdio.h>

#define MC_KIND(symbol, name_, text_, epochs_, batch_, lr_) void mc_build_##symbol(mc_builder *b);
#include "train/builders/builders.def"
#undef MC_KIND
#define MC_KIND(symbol, name_, text_, epochs_, batch_, lr_) {name_, mc_build_##symbol, text_, epochs_, batch_, lr_},
static const mc_kind kinds[] = {
#include "train/builders/builders.def"
};
#undef MC_KIND
#define N_KINDS (sizeof kinds / sizeof *kinds)

static const char *const keys[] = {"layers", "hidden", "heads", "ffn", "vocab", "length", "classes", "channels", "dropout", NULL};

int32_t mcomp_build_options_init(mcomp_build_options *o, uint32_t size)
{
    MC_API_ENTER();
    return mc_options_init(o, size, sizeof *o, "mcomp_build_options");
}

static const mc_kind *find_kind(const char *name)
{
    const char *names[N_KINDS + 1] = {NULL};
    for (size_t i = 0; i < N_KINDS; i++) {
        if (strcmp(kinds[i].name, name) == 0) return &kinds[i];
        names[i] = kinds[i].name;
    }
    const char *near = mc_nearest(name, names);
    (void)mc_fail(MCOMP_ARGUMENT, "build", "there is no kind of model \"%.60s\"", name);
    (void)mc_fail_hint(near ? "did you mean %s?" : "encoder, text-cnn, lstm, bilstm, mlp, cnn, resnet, ds-cnn and decoder exist%s", near ? near : "");
    return NULL;
}

static int32_t set_key(mc_build_spec *s, const char *key, const char *value)
{
    int64_t *const place[] = {&s->layers, &s->hidden, &s->heads, &s->ffn, &s->vocab, &s->length, &s->classes, &s->channels};
    static const int64_t most[] = {1000, 65536, 1024, 262144, 10000000, 1000000, 1000000, 16384};
    int k = 0;
    int64_t v = 0;
    while (keys[k] && strcmp(keys[k], key) != 0) k++;
    if (!keys[k]) {
        const char *near = mc_nearest(key, keys);
        (void)mc_fail(MCOMP_ARGUMENT, "build", "there is no key \"%.60s\"", key);
        return mc_fail_hint(near ? "did you mean %s?" : "layers, hidden, heads, ffn, vocab, length, classes, channels and dropout exist%s", near ? near : "");
    }
    if (k == 8) {
        if (mc_parse_f64(value, &s->dropout) != MCOMP_OK || !(s->dropout >= 0.0 && s->dropout < 1.0))
            return mc_fail(MCOMP_RANGE, "dropout", "\"%.40s\" is no number in [0, 1)", value);
        return MCOMP_OK;
    }
    if (mc_parse_i64(value, &v) != MCOMP_OK || v < 1 || v > most[k])
        return mc_fail(MCOMP_RANGE, key, "\"%.40s\" is no whole number from 1 to %lld", value, (long long)most[k]);
    *place[k] = v;
    return MCOMP_OK;
}

static int32_t parse(char *text, const mc_kind **kind, mc_build_spec *s)
{
    int32_t st = MCOMP_OK;
    char *rest = strchr(text, ':');
    if (rest) *rest++ = 0;
    *kind = find_kind(text);
    if (!*kind) return MCOMP_ARGUMENT;
    for (char *item; rest && (item = strsep(&rest, ",")) != NULL;) {
        char *value = strchr(item, '=');
        if (!value) MC_FAIL(MCOMP_ARGUMENT, "build", "\"%.60s\" is not key=value", item);
        *value++ = 0;
        MC_TRY(set_key(s, item, value));
    }
done:
    return st;
}

/* The kind that a description names; NULL: there is none, the record says so. */
static const mc_kind *kind_of(const char *spec)
{
    char name[32];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(spec, ":"), spec);
    return find_kind(name);
}

int32_t mc_build_check(const char *spec)
{
    const mc_kind *kind;
    mc_build_spec s = {.dropout = -1.0};
    char *copy = mc_strdup(spec);
    if (!copy) return MCOMP_NO_MEMORY;
    const int32_t st = parse(copy, &kind, &s);
    mc_free(copy);
    return st;
}

int32_t mcomp_build_is_text(const char *spec, int32_t *text)
{
    MC_API_ENTER();
    MC_CHECK_ARG(1, spec, "spec", "is NULL");
    MC_CHECK_ARG(2, text, "text", "is NULL");
    const mc_kind *k = kind_of(spec);
    if (!k) return MCOMP_ARGUMENT;
    *text = k->text;
    return MCOMP_OK;
}

int32_t mcomp_build_training(mcomp_trainer_options *o, const char *spec)
{
    MC_API_ENTER();
    const uint32_t needed = offsetof(mcomp_trainer_options, epochs) + sizeof o->epochs; /* all three fields are there in every version */
    MC_CHECK_ARG(1, o && o->size >= needed, "o", "is NULL or its size is not set");
    MC_CHECK_ARG(2, spec, "spec", "is NULL");
    const mc_kind *k = kind_of(spec);
    if (!k) return MCOMP_ARGUMENT;
    o->epochs = k->epochs;
    o->batch = k->batch;
    o->lr = k->lr;
    return MCOMP_OK;
}

/* Sizes that the description leaves open come from the options: from data and tokenizer, as a rule. */
static int32_t complete(mc_build_spec *s, const mc_kind *kind, const mcomp_build_options *o)
{
    int32_t st = MCOMP_OK;
    const int text = kind->text, decoder = strcmp(kind->name, "decoder") == 0;
    s->classes = mc_b_default(s->classes, o->classes);
    s->vocab = mc_b_default(s->vocab, o->vocab);
    s->length = mc_b_default(s->length, o->length);
    s->features = o->features;
    s->pad = o->pad;
    s->tokens = o->tokens != 0;
    for (int i = 0; i < 3; i++) s->image[i] = o->image[i];
    if (s->tokens && strcmp(kind->name, "encoder") != 0) MC_FAIL(MCOMP_ARGUMENT, kind->name, "only encoder gives logits a token");
    if (s->classes < 1 && !decoder && !s->tokens) MC_FAIL(MCOMP_ARGUMENT, "classes", "how many classes has it? say classes=N");
    if (text && s->vocab < 1) MC_FAIL(MCOMP_ARGUMENT, "vocab", "how many tokens are there? say vocab=N");
    if (!text && s->features < 1 && (s->image[0] < 1 || s->image[1] < 1 || s->image[2] < 1))
        MC_FAIL(MCOMP_ARGUMENT, "image", "the size of the input is not known");
    if (!text && s->features > 0 && strcmp(kind->name, "mlp") != 0) MC_FAIL(MCOMP_SHAPE, kind->name, "it takes images [channels, height, width]; rows of numbers go with mlp");
done:
    return st;
}

int32_t mcomp_graph_build(mcomp_graph **out, mcomp_context *ctx, const char *spec, const mcomp_build_options *options)
{
    int32_t st = MCOMP_OK;
    mcomp_build_options o = {.size = sizeof o};
    mc_builder b = {.s = {.dropout = -1.0}};
    const mc_kind *kind = NULL;
    char *text = NULL;
    mcomp_graph *g = NULL;
    MC_API_ENTER();
    MC_CHECK_ARG(1, out, "out", "is NULL");
    *out = NULL;
    MC_CHECK_ARG(2, ctx, "ctx", "is NULL");
    MC_CHECK_ARG(3, spec, "spec", "is NULL");
    MC_TRY(mc_options_read(&o, sizeof o, options, "options"));
    text = mc_strdup(spec);
    if (!text) MC_TRY(MCOMP_NO_MEMORY);
    MC_TRY(parse(text, &kind, &b.s));
    MC_TRY(complete(&b.s, kind, &o));
    b.seed = o.seed;
    mc_ops_register();
    MC_TRY(mcomp_graph_create(&g, ctx, kind->name, 20)); /* Gelu is of opset 20 */
    b.g = g->g;
    kind->build(&b);
    MC_TRY(b.status);
    MC_TRY(mcomp_graph_finish(g));
    *out = g;
    g = NULL;
done:
    mcomp_graph_destroy(g);
    mc_free(text);
    return st;
}
