/* Byte-pair encoding (Sennrich et al., 2016; byte-level: GPT-2): a word starts as its characters, and the pair of neighbours that was
 * learned first is merged, leftmost first, until no pair is known. A heap keeps a word of n characters at n log n. */
#include <stdio.h>

#include "data/tokenizer.h"

typedef struct merge_slot { /* key = left << 32 | right, plus 1; 0: free */
    uint64_t key;
    int32_t rank, id;
} merge_slot;

typedef struct bpe {
    merge_slot *slots;
    int64_t n_slots;
    int32_t (*pairs)[2]; /* by rank; -1 where a later merge took the pair */
    int64_t n;
    char *prefix, *suffix;
    int32_t fuse_unk, byte_fallback, ignore_merges;
    int32_t byte_id[256]; /* "<0x41>" of byte_fallback, -1 = none */
    int32_t letter[128];  /* ids of ASCII characters as they are */
} bpe;

static void destroy(void *state)
{
    bpe *b = state;
    if (!b) return;
    mc_free(b->slots);
    mc_free(b->pairs);
    mc_free(b->prefix);
    mc_free(b->suffix);
    mc_free(b);
}

static merge_slot *locate(const bpe *b, int32_t left, int32_t right)
{
    const uint64_t key = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) + 1;
    uint64_t i = key * 0x9e3779b97f4a7c15u;
    for (i ^= i >> 32;; i++) {
        merge_slot *s = &b->slots[i & (uint64_t)(b->n_slots - 1)];
        if (s->key == 0 || s->key == key) return s;
    }
}

static const merge_slot *merge_of(const bpe *b, int32_t left, int32_t right)
{
    if (b->n_slots == 0) return NULL;
    const merge_slot *s = locate(b, left, right);
    return s->key ? s : NULL;
}

static int32_t state_new(mc_tokenizer *t, bpe **out)
{
    bpe *b = mc_calloc(1, sizeof *b);
    *out = b;
    if (!b) return MCOMP_NO_MEMORY;
    t->state = b;
    for (int i = 0; i < 256; i++) b->byte_id[i] = -1;
    return MCOMP_OK;
}

static void index_letters(const mc_tokenizer *t, bpe *b)
{
    char name[8];
    for (int i = 0; i < 128; i++) b->letter[i] = mc_vocab_find(&t->vocab, (const char[]){(char)i}, 1);
    for (int i = 0; i < 256 && b->byte_fallback; i++) {
        snprintf(name, sizeof name, "<0x%02X>", (unsigned)i);
        b->byte_id[i] = mc_vocab_find(&t->vocab, name, 6);
    }
}

/* What left and right make together. */
static int32_t joined(const mc_tokenizer *t, const bpe *b, const int32_t pair[2], int64_t rank, const char *where, int32_t *id)
{
    int32_t st = MCOMP_OK;
    mc_str s = {0};
    int64_t n[2];
    char shown[120];
    const char *left = mc_vocab_token(&t->vocab, pair[0], &n[0]), *right = mc_vocab_token(&t->vocab, pair[1], &n[1]);
    const int64_t cut = b->prefix ? (int64_t)strlen(b->prefix) : 0;
    if (!left || !right || n[1] < cut) MC_FAIL(MCOMP_FORMAT, where, "merge %lld is of tokens that are not in the vocabulary", (long long)rank + 1);
    MC_TRY(mc_str_append_bytes(&s, left, (size_t)n[0]));
    MC_TRY(mc_str_append_bytes(&s, right + cut, (size_t)(n[1] - cut)));
    *id = mc_vocab_find(&t->vocab, s.data, s.len);
    if (*id < 0) MC_FAIL(MCOMP_FORMAT, where, "merge %lld makes \"%s\", which is not in the vocabulary", (long long)rank + 1, mc_escape(shown, sizeof shown, s.data));
done:
    mc_str_free(&s);
    return st;
}

int32_t mc_bpe_set_merges(mc_tokenizer *t, const int32_t (*pairs)[2], int64_t n, const char *where)
{
    int32_t st = MCOMP_OK, id = -1;
    bpe *b = t->state;
    if (!b) MC_TRY(state_new(t, &b));
    index_letters(t, b);
    if (n == 0) return MCOMP_OK;
    for (b->n_slots = 64; b->n_slots < 2 * n;) b->n_slots *= 2;
    b->slots = mc_calloc((size_t)b->n_slots, sizeof *b->slots);
    b->pairs = mc_malloc(sizeof *b->pairs * (size_t)n);
    if (!b->slots || !b->pairs) MC_FAIL(MCOMP_NO_MEMORY, where, "no memory");
    for (b->n = 0; b->n < n; b->n++) {
        const int32_t *p = pairs[b->n];
        MC_TRY(joined(t, b, p, b->n, where, &id));
        merge_slot *s = locate(b, p[0], p[1]);
        if (s->key) b->pairs[s->rank][0] = -1;
        *s = (merge_slot){((uint64_t)(uint32_t)p[0] << 32 | (uint32_t)p[1]) + 1, (int32_t)b->n, id};
        memcpy(b->pairs[b->n], p, sizeof *b->pairs);
    }
done:
    return st;
}

int mc_bpe_has_merges(const mc_tokenizer *t) { return t->state && ((const bpe *)t->state)->n > 0; }

/* ---- one word ---- */

typedef struct symbol {
    int32_t id, prev, next, len; /* len 0: merged away */
} symbol;
typedef struct entry {
    int32_t rank, pos, id;
} entry;

static int before(const entry *a, const entry *b) { return a->rank != b->rank ? a->rank < b->rank : a->pos < b->pos; }

static void heap_push(entry *h, int64_t *n, entry x)
{
    int64_t i = (*n)++;
    for (int64_t up; i > 0 && (up = (i - 1) / 2, before(&x, &h[up])); i = up) h[i] = h[up];
    h[i] = x;
}

static entry heap_pop(entry *h, int64_t *n)
{
    const entry top = h[0], x = h[--*n];
    int64_t i = 0;
    for (int64_t k; (k = 2 * i + 1) < *n; i = k) {
        if (k + 1 < *n && before(&h[k + 1], &h[k])) k++;
        if (!before(&h[k], &x)) break;
        h[i] = h[k];
    }
    h[i] = x;
    return top;
}

static void offer(const bpe *b, const symbol *s, int32_t at, entry *h, int64_t *n)
{
    if (at < 0 || s[at].next < 0) return;
    const merge_slot *m = merge_of(b, s[at].id, s[s[at].next].id);
    if (m) heap_push(h, n, (entry){m->rank, at, m->id});
}

/* The reference takes an entry of its queue for alive when the pair that stands there now makes the same token, and so do we:
 * another pair of the same result is merged at the older rank. */
static void merge_all(const bpe *b, symbol *s, int64_t n, entry *h)
{
    int64_t n_heap = 0;
    for (int32_t i = 0; i + 1 < n; i++) offer(b, s, i, h, &n_heap);
    while (n_heap > 0) {
        const entry top = heap_pop(h, &n_heap);
        symbol *x = &s[top.pos];
        if (x->len == 0 || x->next < 0) continue;
        symbol *y = &s[x->next];
        const merge_slot *m = merge_of(b, x->id, y->id);
        if (!m || m->id != top.id) continue;
        x->id = top.id;
        x->len += y->len;
        x->next = y->next;
        y->len = 0;
        if (x->next >= 0) s[x->next].prev = top.pos;
        offer(b, s, x->prev, h, &n_heap);
        offer(b, s, top.pos, h, &n_heap);
    }
}

typedef struct builder {
    symbol *s;
    int64_t n, unk_len; /* unk_len > 0: an unknown token waits, to be fused with the next */
    int32_t unk;
} builder;

static void add(builder *w, int32_t id, int64_t len)
{
    if (w->n > 0) w->s[w->n - 1].next = (int32_t)w->n;
    w->s[w->n] = (symbol){id, (int32_t)w->n - 1, -1, (int32_t)len};
    w->n++;
}

static void add_unk(builder *w)
{
    if (w->unk_len > 0) add(w, w->unk, w->unk_len);
    w->unk_len = 0;
}

static void add_unknown(const mc_tokenizer *t, const bpe *b, builder *w, const char *c, int64_t len)
{
    int all = b->byte_fallback;
    for (int64_t i = 0; i < len && all; i++) all = b->byte_id[(uint8_t)c[i]] >= 0;
    if (all) {
        for (int64_t i = 0; i < len; i++) add(w, b->byte_id[(uint8_t)c[i]], 1);
    } else if (t->unk >= 0) {
        if (w->unk_len > 0 && !b->fuse_unk) add_unk(w);
        w->unk_len += len;
    }
}

/* Id of the i-th character with the word's prefix and suffix where they apply. */
static int32_t find_char(const mc_tokenizer *t, const bpe *b, const char *c, int64_t len, int first, int last)
{
    char buf[128];
    const char *prefix = first ? NULL : b->prefix, *suffix = last ? b->suffix : NULL;
    if (!prefix && !suffix) return len == 1 ? b->letter[(int)*c] : mc_vocab_find(&t->vocab, c, len);
    const int n = snprintf(buf, sizeof buf, "%s%.*s%s", prefix ? prefix : "", (int)len, c, suffix ? suffix : "");
    return mc_vocab_find(&t->vocab, buf, n);
}

static int32_t word(const mc_tokenizer *t, mc_encoder *e, const char *text, int64_t n)
{
    int32_t st = MCOMP_OK;
    const bpe *b = t->state;
    int32_t id;
    if (b->ignore_merges && (id = mc_vocab_find(&t->vocab, text, n)) >= 0) return mc_encoder_push(e, id);
    if (n > 1 << 28) MC_FAIL(MCOMP_LIMIT, "tokenizer", "a word of %lld bytes", (long long)n);
    const int64_t need = n * (int64_t)(sizeof(symbol) + (b->n > 0 ? 3 * sizeof(entry) : 0));
    if (e->scratch_cap < need) MC_TRY(mc_grow(&e->scratch, &e->scratch_cap, need, 1));
    builder w = {.s = e->scratch, .unk = t->unk};
    entry *heap = (entry *)(void *)(w.s + n);
    for (int64_t i = 0, len; i < n; i += len) {
        for (len = 1; i + len < n && ((uint8_t)text[i + len] & 0xc0) == 0x80;) len++;
        id = find_char(t, b, text + i, len, i == 0, i + len == n);
        if (id < 0) {
            add_unknown(t, b, &w, text + i, len);
            continue;
        }
        add_unk(&w);
        add(&w, id, len);
    }
    add_unk(&w);
    if (b->n > 0) merge_all(b, w.s, w.n, heap);
    for (int64_t i = 0; i < w.n; i++)
        if (w.s[i].len > 0) MC_TRY(mc_encoder_push(e, w.s[i].id));
done:
    return st;
}

/* ---- tokenizer.json ---- */

static int32_t take_merge(const mc_tokenizer *t, const mc_json *m, int64_t rank, const char *where, int32_t pair[2])
{
    char shown[120];
    const char *side[2] = {mc_json_string(mc_json_at(m, 0)), mc_json_string(mc_json_at(m, 1))}, *s = mc_json_string(m);
    int64_t n[2] = {side[0] ? (int64_t)strlen(side[0]) : 0, side[1] ? (int64_t)strlen(side[1]) : 0};
    if (s) {
        const char *space = strchr(s, ' ');
        if (!space || strchr(space + 1, ' ')) return mc_fail(MCOMP_FORMAT, where, "merge %lld is not two tokens with a space between", (long long)rank + 1);
        side[0] = s;
        n[0] = space - s;
        side[1] = space + 1;
        n[1] = (int64_t)strlen(space + 1);
    }
    if (!side[0] || !side[1]) return mc_fail(MCOMP_FORMAT, where, "merge %lld is no pair of tokens", (long long)rank + 1);
    for (int i = 0; i < 2; i++) {
        pair[i] = mc_vocab_find(&t->vocab, side[i], n[i]);
        if (pair[i] < 0)
            return mc_fail(MCOMP_FORMAT, where, "merge %lld names \"%s\", which is not in the vocabulary", (long long)rank + 1, mc_escape(shown, sizeof shown, side[i]));
    }
    return MCOMP_OK;
}

static int32_t affix(char **out, const mc_json *model, const char *key, const char *where)
{
    const char *s = mc_json_string(mc_json_get(model, key));
    if (!s || !*s) return MCOMP_OK;
    if (strlen(s) > 32) return mc_fail(MCOMP_LIMIT, where, "model.%s is longer than 32 bytes", key);
    *out = mc_strdup(s);
    return *out ? MCOMP_OK : MCOMP_NO_MEMORY;
}

static int32_t options(mc_tokenizer *t, bpe *b, const mc_json *model, const char *where)
{
    int32_t st = MCOMP_OK;
    double dropout = 0.0;
    const char *unk = mc_json_string(mc_json_get(model, "unk_token"));
    if (mc_json_number(mc_json_get(model, "dropout"), &dropout) && dropout != 0.0) MC_FAIL(MCOMP_UNSUPPORTED, where, "model.dropout: merges left out at random");
    MC_TRY(affix(&b->prefix, model, "continuing_subword_prefix", where));
    MC_TRY(affix(&b->suffix, model, "end_of_word_suffix", where));
    b->fuse_unk = mc_part_flag(model, "fuse_unk", 0);
    b->byte_fallback = mc_part_flag(model, "byte_fallback", 0);
    b->ignore_merges = mc_part_flag(model, "ignore_merges", 0);
    if (unk && (t->unk = mc_vocab_find(&t->vocab, unk, (int64_t)strlen(unk))) < 0) MC_FAIL(MCOMP_FORMAT, where, "the vocabulary has no unknown token \"%s\"", unk);
done:
    return st;
}

static int32_t load(mc_tokenizer *t, const mc_json *model, const char *where)
{
    int32_t st = MCOMP_OK;
    bpe *b;
    const mc_json *merges = mc_json_get(model, "merges");
    const int64_t n = mc_json_size(merges);
    int32_t(*pairs)[2] = NULL;
    MC_TRY(state_new(t, &b));
    MC_TRY(mc_tokenizer_json_vocab(t, model, where));
    MC_TRY(options(t, b, model, where));
    if (!mc_json_is_array(merges)) MC_FAIL(MCOMP_FORMAT, where, "model.merges is no list");
    pairs = mc_malloc(sizeof *pairs * (size_t)(n > 0 ? n : 1));
    if (!pairs) MC_FAIL(MCOMP_NO_MEMORY, where, "no memory");
    for (int64_t i = 0; i < n; i++) MC_TRY(take_merge(t, mc_json_at(merges, i), i, where, pairs[i]));
    st = mc_bpe_set_merges(t, (const int32_t(*)[2])pairs, n, where);
done:
    mc_free(pairs);
    return st;
}

static int32_t save(const mc_tokenizer *t, mc_json *model)
{
    int32_t st = MCOMP_OK;
    const bpe *b = t->state;
    mc_json *merges = mc_json_array();
    MC_TRY(mc_json_set(model, "merges", merges));
    if (t->unk >= 0) MC_TRY(mc_json_set_string(model, "unk_token", mc_vocab_token(&t->vocab, t->unk, NULL)));
    if (b->prefix) MC_TRY(mc_json_set_string(model, "continuing_subword_prefix", b->prefix));
    if (b->suffix) MC_TRY(mc_json_set_string(model, "end_of_word_suffix", b->suffix));
    MC_TRY(mc_json_set(model, "fuse_unk", mc_json_new_bool(b->fuse_unk)));
    MC_TRY(mc_json_set(model, "byte_fallback", mc_json_new_bool(b->byte_fallback)));
    MC_TRY(mc_json_set(model, "ignore_merges", mc_json_new_bool(b->ignore_merges)));
    for (int64_t i = 0; i < b->n; i++) {
        if (b->pairs[i][0] < 0) continue;
        mc_json *pair = mc_json_array();
        MC_TRY(mc_json_append(merges, pair));
        for (int k = 0; k < 2; k++) MC_TRY(mc_json_append(pair, mc_json_new_string(mc_vocab_token(&t->vocab, b->pairs[i][k], NULL))));
    }
done:
    return st;
}

const mc_tokenizer_kind mc_tokenizer_bpe = {"bpe", "BPE", load, word, save, destroy, 0};
