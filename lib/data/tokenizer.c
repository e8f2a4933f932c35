/* The life of a tokenizer: making one from T of a data argument, sharing it, and the sizes that follow from it. */
#include "data/tokenizer.h"

#include "data/internal.h"

static const mc_tokenizer_kind *const kinds[] = {
#define MC_TOKENIZER(name) &mc_tokenizer_##name,
#include "data/tokenizers.def"
#undef MC_TOKENIZER
};

const mc_tokenizer_kind *mc_tokenizer_kind_of(const char *name, const char *json_type)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (name && strcmp(kinds[i]->name, name) == 0) return kinds[i];
        if (json_type && kinds[i]->json_type && strcmp(kinds[i]->json_type, json_type) == 0) return kinds[i];
    }
    return NULL;
}

mc_tokenizer *mc_tokenizer_new(const mc_tokenizer_kind *kind)
{
    mc_tokenizer *t = mc_calloc(1, sizeof *t);
    if (!t) return NULL;
    t->refs = 1;
    t->kind = kind;
    t->unk = t->pad = t->mask = -1;
    return t;
}

mc_tokenizer *mc_tokenizer_ref(mc_tokenizer *t)
{
    if (t) __atomic_add_fetch(&t->refs, 1, __ATOMIC_RELAXED);
    return t;
}

void mc_tokenizer_unref(mc_tokenizer *t)
{
    if (!t || __atomic_sub_fetch(&t->refs, 1, __ATOMIC_ACQ_REL) > 0) return;
    if (t->kind && t->kind->destroy) t->kind->destroy(t->state);
    mc_vocab_free(&t->vocab);
    for (int64_t i = 0; i < t->n_added; i++) {
        mc_free(t->added[i].text);
        mc_free(t->added[i].match);
    }
    mc_free(t->added);
    for (int32_t i = 0; i < t->n_pre; i++) mc_pre_free(&t->pre[i]);
    mc_free(t);
}

int64_t mc_tokenizer_size(const mc_tokenizer *t)
{
    int64_t n = t->kind->raw ? 257 : t->vocab.n;
    for (int64_t i = 0; i < t->n_added; i++)
        if (t->added[i].id >= n) n = t->added[i].id + 1;
    return n;
}

const char *mc_tokenizer_token(const mc_tokenizer *t, int64_t id, int64_t *len)
{
    const char *s = mc_vocab_token(&t->vocab, id, len);
    for (int64_t i = 0; i < t->n_added && !s; i++) {
        if (t->added[i].id != id) continue;
        s = t->added[i].text;
        if (len) *len = t->added[i].len;
    }
    return s;
}

int32_t mc_tokenizer_id(const mc_tokenizer *t, const char *token, int64_t len)
{
    int32_t id = mc_vocab_find(&t->vocab, token, len);
    for (int64_t i = 0; i < t->n_added && id < 0; i++)
        if (t->added[i].len == len && memcmp(t->added[i].text, token, (size_t)len) == 0) id = t->added[i].id;
    return id;
}

int mc_tokenizer_needs_corpus(const char *spec) { return strcmp(spec, "chars") == 0 || strncmp(spec, "train:", 6) == 0; }

static int32_t train(mc_tokenizer **out, mcomp_context *ctx, const char *spec, const mc_text *corpus, int64_t n)
{
    char kind[32];
    int64_t size = 0;
    const char *comma = strchr(spec + 6, ',');
    const size_t k = comma ? (size_t)(comma - spec - 6) : 0;
    if (!comma || k >= sizeof kind || mc_parse_i64(comma + 1, &size) != MCOMP_OK || size < 16 || size > 1000000) {
        (void)mc_fail(MCOMP_ARGUMENT, spec, "a tokenizer is trained by train:KIND,SIZE with a size of 16 to 1000000");
        (void)mc_fail_hint("train:wordpiece,8000 or train:bpe,8000");
        return MCOMP_ARGUMENT;
    }
    memcpy(kind, spec + 6, k);
    kind[k] = 0;
    return mc_tokenizer_train(out, ctx, kind, size, corpus, n);
}

int32_t mc_tokenizer_open(mc_tokenizer **out, mcomp_context *ctx, const char *spec, const mc_text *corpus, int64_t n)
{
    int32_t st = MCOMP_OK;
    char *data = NULL;
    uint64_t bytes;
    *out = NULL;
    if (strcmp(spec, "bytes") == 0) return mc_tokenizer_bytes_new(out);
    if (mc_tokenizer_needs_corpus(spec) && !corpus)
        return mc_fail(MCOMP_ARGUMENT, spec, "this tokenizer is made from texts, and there are none here");
    if (strcmp(spec, "chars") == 0) return mc_tokenizer_chars_new(out, corpus, n);
    if (strncmp(spec, "train:", 6) == 0) return train(out, ctx, spec, corpus, n);
    if (mc_path_ends(spec, ".txt", 0)) return mc_tokenizer_load_vocab(out, spec);
    if (!mc_path_ends(spec, ".json", 0)) {
        (void)mc_fail(MCOMP_ARGUMENT, spec, "not a tokenizer");
        (void)mc_fail_hint("a vocab.txt, a tokenizer.json, bytes, chars, train:wordpiece,8000 or train:bpe,8000");
        return MCOMP_ARGUMENT;
    }
    MC_TRY(mc_file_read(spec, 1ull << 28, &data, &bytes));
    st = mc_tokenizer_load_json(out, data, bytes, spec);
done:
    mc_free(data);
    return st;
}
