/* Training a vocabulary on texts: words and their counts, the alphabet, then the most frequent pair of neighbours joined again and again
 * (bpe_learn.c). For WordPiece the joined pieces are the vocabulary; BPE keeps the order of the merges as well. Words are taken in
 * the order of their bytes, so that the result depends neither on the order of the texts nor on threads. */
#include "data/tokenizer_train.h"

#include <stdlib.h>

static const char *const specials[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};

/* Special tokens, [CLS] text [SEP]. The vocabulary is there. */
static int32_t special_parts(mc_tokenizer *t, const char *where)
{
    int32_t st = MCOMP_OK, id[5];
    for (int i = 0; i < 5; i++) {
        id[i] = mc_vocab_find(&t->vocab, specials[i], (int64_t)strlen(specials[i]));
        if (id[i] >= 0) MC_TRY(mc_tokenizer_add(t, specials[i], 1, where));
        else if (i == 2 || i == 3) MC_FAIL(MCOMP_FORMAT, where, "the vocabulary has no %s", specials[i]);
    }
    t->pad = id[0];
    t->unk = id[1];
    t->mask = id[4];
    t->before[0] = (mc_special){id[2], 0};
    t->after[0] = (mc_special){id[3], 0};
    t->n_before = t->n_after = 1;
done:
    return st;
}

static void bert_stages(mc_tokenizer *t)
{
    t->norm[0] = (mc_norm){MC_NORM_BERT, 1, 1, 1, 1};
    t->pre[0] = (mc_pre){.kind = MC_PRE_BERT};
    t->n_norm = t->n_pre = 1;
}

int32_t mc_tokenizer_bert_parts(mc_tokenizer *t, const char *where)
{
    bert_stages(t);
    return special_parts(t, where);
}

/* ---- words ---- */

static int32_t count_text(mc_encoder *e, mc_words *w, const mc_text *x)
{
    int32_t st = MCOMP_OK;
    const char *text = x->bytes;
    int64_t n = x->len;
    MC_TRY(mc_encoder_valid(e, &text, &n));
    e->norm.len = 0;
    if (n == 0) goto done;
    MC_TRY(mc_tokenizer_normalize(e->t, &e->cps, text, n, &e->norm));
    if (e->norm.len == 0) goto done;
    MC_TRY(mc_tokenizer_words(e->t, e, e->norm.data, e->norm.len));
    for (int64_t i = 0; i < e->n_piece; i++) {
        const char *s = e->base + e->piece[i].from;
        const int64_t len = e->piece[i].to - e->piece[i].from;
        int32_t id = mc_vocab_find(&w->words, s, len);
        if (id < 0) {
            id = (int32_t)w->words.n;
            MC_TRY(mc_vocab_put(&w->words, s, len, id, "words to train on"));
            MC_TRY(mc_grow(&w->count, &w->cap_count, w->words.n, sizeof *w->count));
            w->count[id] = 0;
        }
        w->count[id]++;
    }
done:
    return st;
}

static int by_bytes(const void *a, const void *b, void *payload)
{
    const mc_vocab *v = payload;
    const struct mc_vocab_token *x = &v->token[*(const int32_t *)a], *y = &v->token[*(const int32_t *)b];
    const int k = memcmp(v->pool.data + x->at, v->pool.data + y->at, (size_t)(x->len < y->len ? x->len : y->len));
    return k ? k : x->len < y->len ? -1 : x->len > y->len;
}

static int32_t count_words(mc_words *w, mcomp_context *ctx, const mc_tokenizer *t, const mc_text *corpus, int64_t n)
{
    int32_t st = MCOMP_OK;
    mc_encoder *e;
    MC_TRY(mc_encoder_create(&e, t));
    for (int64_t i = 0; i < n && st == MCOMP_OK; i++) {
        st = count_text(e, w, &corpus[i]);
        if (st == MCOMP_OK && i % 256 == 0) st = mc_context_progress(ctx, "words", (double)i / (double)n);
    }
    mc_encoder_destroy(e);
    if (st != MCOMP_OK) return st;
    if (w->words.n == 0) MC_FAIL(MCOMP_DATA, "tokenizer", "there are no words to train on");
    w->order = mc_malloc(sizeof *w->order * (size_t)w->words.n);
    if (!w->order) return MCOMP_NO_MEMORY;
    for (int32_t i = 0; i < w->words.n; i++) w->order[i] = i;
    qsort_r(w->order, (size_t)w->words.n, sizeof *w->order, by_bytes, &w->words);
done:
    return st;
}

/* ---- alphabet ---- */

typedef struct letter {
    uint32_t cp;
    int64_t count;
} letter;

static int by_count(const void *a, const void *b)
{
    const letter *x = a, *y = b;
    return x->count != y->count ? (x->count < y->count ? 1 : -1) : (x->cp > y->cp) - (x->cp < y->cp);
}

static int by_cp(const void *a, const void *b)
{
    const letter *x = a, *y = b;
    return (x->cp > y->cp) - (x->cp < y->cp);
}

/* The `limit` most frequent characters into the vocabulary, in the order of their code points; bytes: the 256 letters as well. */
static int32_t alphabet(mc_tokenizer *t, const mc_words *w, int bytes, int64_t limit)
{
    int32_t st = MCOMP_OK;
    char utf8[4];
    int valid;
    int64_t n = 0;
    int64_t *count = mc_calloc(0x110000, sizeof *count);
    letter *l = NULL;
    if (!count) return MCOMP_NO_MEMORY;
    for (int64_t i = 0; i < w->words.n; i++) {
        int64_t len;
        const char *s = mc_vocab_token(&w->words, i, &len);
        for (int64_t k = 0; k < len;) {
            uint32_t cp;
            k += mc_utf8_next((const uint8_t *)s + k, len - k, &cp, &valid);
            n += count[cp] == 0;
            count[cp] += w->count[i];
        }
    }
    for (int i = 0; bytes && i < 256; i++) {
        n += count[mc_byte_letter((uint8_t)i)] == 0;
        count[mc_byte_letter((uint8_t)i)] = INT64_MAX;
    }
    l = mc_malloc(sizeof *l * (size_t)n);
    if (!l) MC_FAIL(MCOMP_NO_MEMORY, "tokenizer", "no memory");
    n = 0;
    for (uint32_t cp = 0; cp < 0x110000; cp++)
        if (count[cp]) l[n++] = (letter){cp, count[cp]};
    qsort(l, (size_t)n, sizeof *l, by_count);
    if (n > limit) n = limit;
    qsort(l, (size_t)n, sizeof *l, by_cp);
    for (int64_t i = 0; i < n; i++) MC_TRY(mc_vocab_put(&t->vocab, utf8, mc_utf8_put(utf8, l[i].cp), t->vocab.n, "alphabet"));
done:
    mc_free(count);
    mc_free(l);
    return st;
}

void mc_words_free(mc_words *w)
{
    mc_vocab_free(&w->words);
    mc_free(w->count);
    mc_free(w->order);
}

int32_t mc_tokenizer_train(mc_tokenizer **out, mcomp_context *ctx, const char *name, int64_t size, const mc_text *corpus, int64_t n)
{
    int32_t st = MCOMP_OK;
    mc_words w = {0};
    mc_merges merges = {0};
    const mc_tokenizer_kind *kind = mc_tokenizer_kind_of(name, NULL);
    *out = NULL;
    if (!kind || !kind->json_type) {
        (void)mc_fail(MCOMP_ARGUMENT, name, "not a kind of tokenizer that is trained");
        (void)mc_fail_hint("train:wordpiece,8000 or train:bpe,8000");
        return MCOMP_ARGUMENT;
    }
    const int bpe = kind == &mc_tokenizer_bpe;
    const char *prefix = bpe ? "" : "##";
    mc_tokenizer *t = mc_tokenizer_new(kind);
    if (!t) return MCOMP_NO_MEMORY;
    if (bpe) {
        t->pre[0] = (mc_pre){.kind = MC_PRE_BYTE_LEVEL, .behavior = MC_SPLIT_ISOLATED, .use_regex = 1};
        t->n_pre = 1;
        MC_TRY(mc_pre_compile(&t->pre[0], "ByteLevel"));
    } else {
        bert_stages(t);
    }
    MC_TRY(count_words(&w, ctx, t, corpus, n));
    for (int i = 0; i < 5; i++) MC_TRY(mc_vocab_put(&t->vocab, specials[i], (int64_t)strlen(specials[i]), i, "special tokens"));
    MC_TRY(alphabet(t, &w, bpe, 1000));
    MC_TRY(mc_bpe_learn(&t->vocab, &merges, ctx, &w, prefix, size, 2));
    if (t->vocab.n > size) {
        (void)mc_fail(MCOMP_RANGE, "tokenizer", "%lld tokens are too few: the special tokens and the characters of the data alone are %lld", (long long)size, (long long)t->vocab.n);
        st = MCOMP_RANGE;
        goto done;
    }
    if (bpe) MC_TRY(mc_bpe_set_merges(t, (const int32_t(*)[2])merges.pairs, merges.n, "trained merges"));
    else MC_TRY(mc_wordpiece_init(t, "[UNK]", prefix, 100, "trained vocabulary"));
    MC_TRY(special_parts(t, "trained vocabulary"));
    if (bpe) t->unk = -1; /* every byte has a letter */
    *out = t;
    t = NULL;
done:
    mc_free(merges.pairs);
    mc_words_free(&w);
    mc_tokenizer_unref(t);
    return st;
}
