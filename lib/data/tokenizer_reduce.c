/* A tokenizer with a part of its vocabulary, or with the ids of another. WordPiece cuts a word into the longest tokens that are left, so any word that could be cut
 * still can be as long as its characters stay. */
#include "data/tokenizer_handle.h"

/* "a", "##a": one character, whatever its place in a word. */
static int is_character(const char *s, int64_t n)
{
    const int64_t lead = n > 2 && s[0] == '#' && s[1] == '#' ? 2 : 0;
    return n - lead >= 1 && n - lead <= 4 && mc_utf8_length(s + lead, n - lead) == 1;
}

int32_t mc_tokenizer_needed(const mcomp_tokenizer *h, const uint8_t *seen, uint8_t *keep, int64_t n)
{
    const mc_tokenizer *t = h->t;
    if (strcmp(t->kind->name, "wordpiece") != 0) {
        (void)mc_fail(MCOMP_UNSUPPORTED, "vocab", "the vocabulary of a %s tokenizer cannot be reduced; that of WordPiece can", t->kind->name);
        return mc_fail_hint("leave out vocab, or describe a student with a tokenizer of its own");
    }
    for (int64_t i = 0; i < n; i++) {
        int64_t len = 0;
        const char *s = mc_vocab_token(&t->vocab, i, &len);
        keep[i] = s && is_character(s, len) && (seen[i] || !(s[len - 1] & 0x80)); /* those of other scripts only when they occur */
    }
    for (int64_t i = 0; i < t->n_added; i++) keep[t->added[i].id] = 1;
    for (int32_t i = 0; i < t->n_before; i++) keep[t->before[i].id] = 1;
    for (int32_t i = 0; i < t->n_after; i++) keep[t->after[i].id] = 1;
    const int32_t ids[] = {t->unk, t->pad, t->mask};
    for (int i = 0; i < 3; i++)
        if (ids[i] >= 0) keep[ids[i]] = 1;
    return MCOMP_OK;
}

static int32_t copy_added(mc_tokenizer *r, const mc_tokenizer *t, const int32_t *to)
{
    int32_t st = MCOMP_OK;
    for (int64_t i = 0; i < t->n_added; i++) {
        mc_added a = t->added[i];
        MC_TRY(mc_grow(&r->added, &r->cap_added, r->n_added + 1, sizeof *r->added));
        a.id = to[a.id];
        a.text = mc_strndup(a.text, (size_t)a.len);
        a.match = t->added[i].match ? mc_strndup(t->added[i].match, (size_t)a.match_len) : NULL;
        r->added[r->n_added++] = a;
        if (!a.text || (t->added[i].match && !a.match)) MC_TRY(MCOMP_NO_MEMORY);
    }
    memcpy(r->added_first, t->added_first, sizeof r->added_first);
done:
    return st;
}

static int32_t copy_parts(mc_tokenizer *r, const mc_tokenizer *t, const int32_t *to)
{
    int32_t st = MCOMP_OK;
    memcpy(r->norm, t->norm, sizeof r->norm);
    r->n_norm = t->n_norm;
    for (int32_t i = 0; i < t->n_pre; i++) {
        mc_pre p = t->pre[i];
        p.regex = NULL;
        p.pattern = NULL;
        if (t->pre[i].pattern && !(p.pattern = mc_strdup(t->pre[i].pattern))) MC_TRY(MCOMP_NO_MEMORY);
        r->pre[r->n_pre++] = p;
        if (t->pre[i].regex) MC_TRY(mc_pre_compile(&r->pre[i], "tokenizer"));
    }
    r->n_before = t->n_before;
    r->n_after = t->n_after;
    r->text_type = t->text_type;
    for (int32_t i = 0; i < t->n_before; i++) r->before[i] = (mc_special){to[t->before[i].id], t->before[i].type};
    for (int32_t i = 0; i < t->n_after; i++) r->after[i] = (mc_special){to[t->after[i].id], t->after[i].type};
    r->pad = t->pad < 0 ? -1 : to[t->pad];
    r->mask = t->mask < 0 ? -1 : to[t->mask];
    st = copy_added(r, t, to);
done:
    return st;
}

/* The model as the kind itself writes and reads it, with the tokens that are kept. */
static int32_t copy_model(mc_tokenizer *r, const mc_tokenizer *t, const int32_t *to, int64_t n)
{
    int32_t st = MCOMP_OK;
    mc_json *model = mc_json_object(), *vocab = mc_json_object();
    if (!model || !vocab) MC_TRY(MCOMP_NO_MEMORY);
    for (int64_t i = 0; i < n; i++)
        if (to[i] >= 0 && mc_vocab_token(&t->vocab, i, NULL)) MC_TRY(mc_json_set_int(vocab, mc_vocab_token(&t->vocab, i, NULL), to[i]));
    MC_TRY(t->kind->save(t, model));
    st = mc_json_set(model, "vocab", vocab);
    vocab = NULL;
    MC_TRY(st);
    st = r->kind->load(r, model, "tokenizer");
done:
    mc_json_destroy(vocab);
    mc_json_destroy(model);
    return st;
}

int32_t mc_tokenizer_reduce(mcomp_tokenizer **out, const mcomp_tokenizer *h, const int32_t *to, int64_t n)
{
    int32_t st = MCOMP_OK;
    const mc_tokenizer *t = h->t;
    mc_tokenizer *r = mc_tokenizer_new(t->kind);
    *out = NULL;
    if (!r) return MCOMP_NO_MEMORY;
    MC_TRY(copy_model(r, t, to, n));
    MC_TRY(copy_parts(r, t, to));
    st = mc_tokenizer_wrap(out, r);
done:
    mc_tokenizer_unref(r);
    return st;
}

int32_t mcomp_tokenizer_renumber(mcomp_tokenizer **out, const mcomp_tokenizer *t, const mcomp_tokenizer *like)
{
    int32_t st = MCOMP_OK;
    int32_t *to = NULL;
    MC_API_ENTER();
    MC_CHECK_ARG(1, out, "out", "is NULL");
    *out = NULL;
    MC_CHECK_ARG(2, t, "t", "is NULL");
    MC_CHECK_ARG(3, like, "like", "is NULL");
    if (strcmp(t->t->kind->name, "wordpiece") != 0 || like->t->kind != t->t->kind)
        MC_FAIL(MCOMP_UNSUPPORTED, "tokenizer", "%s as %s: WordPiece tokenizers can be numbered as others", t->t->kind->name, like->t->kind->name);
    const int64_t n = mcomp_tokenizer_count(t);
    to = mc_malloc(sizeof *to * (size_t)(n > 0 ? n : 1));
    if (!to) return MCOMP_NO_MEMORY;
    for (int64_t i = 0; i < n; i++) {
        const char *token = mcomp_tokenizer_token(t, i);
        to[i] = token ? (int32_t)mcomp_tokenizer_id(like, token) : -1;
        if (token && to[i] < 0) MC_FAIL(MCOMP_DATA, "tokenizer", "the other vocabulary has no token \"%.60s\"", token);
    }
    st = mc_tokenizer_reduce(out, t, to, n);
done:
    mc_free(to);
    return st;
}
