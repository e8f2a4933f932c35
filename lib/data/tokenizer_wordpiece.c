/* WordPiece (Schuster and Nakajima, 2012; BERT): a word is cut from the left into the longest tokens of the vocabulary; those that do
 * not begin the word carry a prefix, "##". A word that cannot be cut to its end, or is too long, is the unknown token as a whole. */
#include <libgen.h>
#include <stdio.h>

#include "data/internal.h"
#include "data/tokenizer.h"

typedef struct wordpiece {
    char *prefix;
    int64_t prefix_len, max_chars, max_len;
    int32_t *lengths; /* bytes that tokens of the vocabulary have, descending: no other length is tried */
    int64_t n_lengths;
} wordpiece;

static void destroy(void *state)
{
    wordpiece *w = state;
    if (!w) return;
    mc_free(w->prefix);
    mc_free(w->lengths);
    mc_free(w);
}

static int32_t token_lengths(wordpiece *w, const mc_vocab *v)
{
    for (int64_t i = 0; i < v->n; i++)
        if (v->token[i].at >= 0 && v->token[i].len > w->max_len) w->max_len = v->token[i].len;
    uint8_t *seen = mc_calloc((size_t)w->max_len + 1, 1);
    w->lengths = mc_malloc(sizeof *w->lengths * (size_t)(w->max_len + 1));
    if (!seen || !w->lengths) {
        mc_free(seen);
        return MCOMP_NO_MEMORY;
    }
    for (int64_t i = 0; i < v->n; i++)
        if (v->token[i].at >= 0) seen[v->token[i].len] = 1;
    for (int64_t k = w->max_len; k > 0; k--)
        if (seen[k]) w->lengths[w->n_lengths++] = (int32_t)k;
    mc_free(seen);
    return MCOMP_OK;
}

int32_t mc_wordpiece_init(mc_tokenizer *t, const char *unk, const char *prefix, int64_t max_chars, const char *where)
{
    wordpiece *w = mc_calloc(1, sizeof *w);
    if (!w) return MCOMP_NO_MEMORY;
    t->state = w;
    w->prefix = mc_strdup(prefix);
    if (!w->prefix) return MCOMP_NO_MEMORY;
    w->prefix_len = (int64_t)strlen(prefix);
    w->max_chars = max_chars;
    t->unk = mc_vocab_find(&t->vocab, unk, (int64_t)strlen(unk));
    if (t->unk < 0) {
        (void)mc_fail(MCOMP_FORMAT, where, "the vocabulary has no unknown token \"%s\"", unk);
        (void)mc_fail_hint("is this a WordPiece vocabulary, one token a line?");
        return MCOMP_FORMAT;
    }
    return token_lengths(w, &t->vocab);
}

static int32_t word(const mc_tokenizer *t, mc_encoder *e, const char *text, int64_t n)
{
    int32_t st = MCOMP_OK;
    const wordpiece *w = t->state;
    const int64_t first = e->n;
    if (n > w->max_chars && mc_utf8_length(text, n) > w->max_chars) return mc_encoder_push(e, t->unk);
    if (e->scratch_cap < w->prefix_len + n) MC_TRY(mc_grow(&e->scratch, &e->scratch_cap, w->prefix_len + n, 1));
    char *buf = e->scratch;
    for (int64_t from = 0; from < n;) {
        const int64_t lead = from > 0 ? w->prefix_len : 0, rest = n - from;
        int32_t id = -1;
        int64_t used = 0;
        if (lead) memcpy(buf, w->prefix, (size_t)lead);
        memcpy(buf + lead, text + from, (size_t)(rest < w->max_len ? rest : w->max_len));
        for (int64_t k = 0; k < w->n_lengths && id < 0; k++) {
            used = w->lengths[k] - lead;
            if (used <= 0) break;
            if (used <= rest && (used == rest || ((uint8_t)text[from + used] & 0xc0) != 0x80)) id = mc_vocab_find(&t->vocab, buf, lead + used);
        }
        if (id < 0) {
            e->n = first;
            return mc_encoder_push(e, t->unk);
        }
        MC_TRY(mc_encoder_push(e, id));
        from += used;
    }
done:
    return st;
}

static int32_t put_token(void *payload, const char *key, const mc_json *value)
{
    void **p = payload;
    int64_t id;
    if (!mc_json_int(value, &id)) return mc_fail(MCOMP_FORMAT, p[1], "model.vocab: the id of \"%.60s\" is no integer", key);
    return mc_vocab_put(&((mc_tokenizer *)p[0])->vocab, key, (int64_t)strlen(key), id, p[1]);
}

int32_t mc_tokenizer_json_vocab(mc_tokenizer *t, const mc_json *model, const char *where)
{
    char place[300];
    void *payload[2] = {t, place};
    const mc_json *v = mc_json_get(model, "vocab");
    mc_escape(place, sizeof place, where);
    if (!mc_json_is_object(v)) return mc_fail(MCOMP_FORMAT, where, "model.vocab is no object");
    return mc_json_each(v, put_token, payload);
}

static int32_t load(mc_tokenizer *t, const mc_json *model, const char *where)
{
    int32_t st = MCOMP_OK;
    int64_t max_chars = 100;
    const char *unk = mc_json_string(mc_json_get(model, "unk_token")), *prefix = mc_json_string(mc_json_get(model, "continuing_subword_prefix"));
    (void)mc_json_int(mc_json_get(model, "max_input_chars_per_word"), &max_chars);
    if (max_chars < 0) MC_FAIL(MCOMP_FORMAT, where, "model.max_input_chars_per_word is negative");
    MC_TRY(mc_tokenizer_json_vocab(t, model, where));
    st = mc_wordpiece_init(t, unk ? unk : "[UNK]", prefix ? prefix : "##", max_chars, where);
done:
    return st;
}

static int32_t save(const mc_tokenizer *t, mc_json *model)
{
    int32_t st = MCOMP_OK;
    const wordpiece *w = t->state;
    MC_TRY(mc_json_set_string(model, "unk_token", mc_vocab_token(&t->vocab, t->unk, NULL)));
    MC_TRY(mc_json_set_string(model, "continuing_subword_prefix", w->prefix));
    st = mc_json_set_int(model, "max_input_chars_per_word", w->max_chars);
done:
    return st;
}

const mc_tokenizer_kind mc_tokenizer_wordpiece = {"wordpiece", "WordPiece", load, word, save, destroy, 0};

/* What a Hugging Face checkpoint says of its vocab.txt, when it lies beside it: cased vocabularies must not be lowercased. */
static int32_t read_config(mc_tokenizer *t, const char *path)
{
    int32_t st = MCOMP_OK;
    mc_str name = {0};
    char *copy = mc_strdup(path), *data = NULL;
    mc_json *j = NULL;
    uint64_t bytes;
    mcomp_error none;
    if (!copy) return MCOMP_NO_MEMORY;
    none = *mc_error_peek();
    MC_TRY(mc_str_appendf(&name, "%s/tokenizer_config.json", dirname(copy)));
    if (mc_file_read(name.data, 1 << 24, &data, &bytes) != MCOMP_OK) {
        mc_error_restore(&none);
        goto done;
    }
    MC_TRY(mc_json_parse(&j, data, bytes, name.data));
    mc_norm *b = &t->norm[0];
    b->lower = (uint8_t)mc_part_flag(j, "do_lower_case", 1);
    b->accents = (uint8_t)mc_part_flag(j, "strip_accents", b->lower);
    b->cjk = (uint8_t)mc_part_flag(j, "tokenize_chinese_chars", 1);
done:
    mc_json_destroy(j);
    mc_free(data);
    mc_free(copy);
    mc_str_free(&name);
    return st;
}

/* One token a line, id = line number; white space at the end of a line is not part of it. */
static int32_t read_lines(mc_tokenizer *t, const char *data, uint64_t bytes, const char *path)
{
    int32_t st = MCOMP_OK;
    int64_t id = 0;
    char where[300];
    if (memchr(data, 0, (size_t)bytes)) return mc_fail(MCOMP_FORMAT, path, "the vocabulary holds NUL bytes: not a text file");
    if (!mc_utf8_valid(data, (int64_t)bytes)) return mc_fail(MCOMP_FORMAT, path, "the vocabulary is not UTF-8");
    for (const char *p = data, *end = data + bytes; p < end; id++) {
        const char *e = memchr(p, '\n', (size_t)(end - p)), *stop = e ? e : end;
        while (stop > p && !(stop[-1] & 0x80) && mc_uc_space((uint8_t)stop[-1])) stop--;
        if (id >= 1 << 22) return mc_fail(MCOMP_LIMIT, path, "more than 4194304 lines");
        if (stop == p) { /* its id stays unused: some vocabularies hold a token that is only white space */
            p = e ? e + 1 : end;
            continue;
        }
        snprintf(where, sizeof where, "%.250s:%lld", path, (long long)id + 1);
        MC_TRY(mc_vocab_put(&t->vocab, p, stop - p, id, where));
        p = e ? e + 1 : end;
    }
    if (t->vocab.n == 0) st = mc_fail(MCOMP_FORMAT, path, "the vocabulary is empty");
done:
    return st;
}

int32_t mc_tokenizer_load_vocab(mc_tokenizer **out, const char *path)
{
    int32_t st = MCOMP_OK;
    char *data = NULL;
    uint64_t bytes;
    mc_tokenizer *t = mc_tokenizer_new(&mc_tokenizer_wordpiece);
    *out = NULL;
    if (!t) return MCOMP_NO_MEMORY;
    MC_TRY(mc_file_read(path, 1ull << 28, &data, &bytes));
    MC_TRY(read_lines(t, data, bytes, path));
    MC_TRY(mc_wordpiece_init(t, "[UNK]", "##", 100, path));
    MC_TRY(mc_tokenizer_bert_parts(t, path));
    MC_TRY(read_config(t, path));
    *out = t;
    t = NULL;
done:
    mc_free(data);
    mc_tokenizer_unref(t);
    return st;
}
