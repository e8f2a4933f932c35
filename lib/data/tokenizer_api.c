/* The public handle: a tokenizer and one encoder. */
#include "data/tokenizer_handle.h"

int32_t mc_tokenizer_wrap(mcomp_tokenizer **out, mc_tokenizer *t)
{
    mcomp_tokenizer *h = mc_calloc(1, sizeof *h);
    *out = NULL;
    if (!h) return MCOMP_NO_MEMORY;
    const int32_t st = mc_encoder_create(&h->encoder, t);
    if (st != MCOMP_OK) {
        mc_free(h);
        return st;
    }
    h->t = mc_tokenizer_ref(t);
    *out = h;
    return MCOMP_OK;
}

int32_t mcomp_tokenizer_create(mcomp_tokenizer **out, mcomp_context *ctx, const char *spec, const char *const *texts, const int64_t *lengths, int64_t n_texts)
{
    int32_t st = MCOMP_OK;
    mc_text *corpus = NULL;
    mc_tokenizer *t = NULL;
    MC_API_ENTER();
    MC_CHECK_ARG(1, out, "out", "is NULL");
    *out = NULL;
    MC_CHECK_ARG(3, spec, "spec", "is NULL");
    MC_CHECK_ARG(6, n_texts >= 0, "n_texts", "is negative");
    if (texts) {
        corpus = mc_malloc(sizeof *corpus * (size_t)(n_texts > 0 ? n_texts : 1));
        if (!corpus) return MCOMP_NO_MEMORY;
        for (int64_t i = 0; i < n_texts; i++) {
            if (!texts[i] || (lengths && lengths[i] < 0)) MC_FAIL(MCOMP_ARGUMENT, "texts", "text %lld is NULL or has a negative length", (long long)i);
            corpus[i] = (mc_text){texts[i], lengths ? lengths[i] : (int64_t)strlen(texts[i])};
        }
    }
    MC_TRY(mc_tokenizer_open(&t, ctx, spec, corpus, n_texts));
    st = mc_tokenizer_wrap(out, t);
done:
    mc_free(corpus);
    mc_tokenizer_unref(t);
    return st;
}

void mcomp_tokenizer_destroy(mcomp_tokenizer *h)
{
    if (!h) return;
    mc_encoder_destroy(h->encoder);
    mc_tokenizer_unref(h->t);
    mc_free(h);
}

int32_t mcomp_tokenizer_share(mcomp_tokenizer **out, const mcomp_tokenizer *h)
{
    MC_API_ENTER();
    MC_CHECK_ARG(1, out, "out", "is NULL");
    *out = NULL;
    MC_CHECK_ARG(2, h, "t", "is NULL");
    return mc_tokenizer_wrap(out, h->t);
}

int32_t mcomp_tokenizer_encode(mcomp_tokenizer *h, const char *text, int64_t bytes, int32_t special, int64_t max_length, int64_t cap, int32_t *ids, int64_t *n)
{
    MC_API_ENTER();
    MC_CHECK_ARG(1, h, "t", "is NULL");
    MC_CHECK_ARG(2, text || bytes == 0, "text", "is NULL");
    MC_CHECK_ARG(5, max_length >= 0, "max_length", "is negative");
    MC_CHECK_ARG(6, cap >= 0, "cap", "is negative");
    MC_CHECK_ARG(7, ids || cap == 0, "ids", "is NULL");
    MC_CHECK_ARG(8, n, "n", "is NULL");
    const int32_t st = mc_encoder_run(h->encoder, text ? text : "", bytes < 0 ? (int64_t)strlen(text) : bytes, special, max_length);
    *n = st == MCOMP_OK ? h->encoder->n : 0;
    if (cap > *n) cap = *n;
    if (cap > 0) memcpy(ids, h->encoder->ids, sizeof *ids * (size_t)cap);
    return st;
}

int64_t mcomp_tokenizer_count(const mcomp_tokenizer *h) { return h ? mc_tokenizer_size(h->t) : 0; }
int64_t mcomp_tokenizer_id(const mcomp_tokenizer *h, const char *token) { return h && token ? mc_tokenizer_id(h->t, token, (int64_t)strlen(token)) : -1; }
const char *mcomp_tokenizer_token(const mcomp_tokenizer *h, int64_t id) { return h ? mc_tokenizer_token(h->t, id, NULL) : NULL; }
int64_t mcomp_tokenizer_pad_id(const mcomp_tokenizer *h) { return h ? h->t->pad : -1; }

int32_t mcomp_tokenizer_save(const mcomp_tokenizer *h, const char *path, int32_t overwrite)
{
    MC_API_ENTER();
    MC_CHECK_ARG(1, h, "t", "is NULL");
    MC_CHECK_ARG(2, path, "path", "is NULL");
    return mc_tokenizer_save(h->t, path, overwrite);
}
