/* Learning merges (Sennrich et al., 2016), step by step as the reference trainer does it, so that the same words give the same merges:
 * a queue of pairs by count (ties: the lower ids first), counts brought up to date when an entry comes to its top, and for each entry the
 * words in which its pair was formed. */
#include "data/tokenizer_train.h"

typedef struct pair_slot {
    uint64_t key; /* left << 32 | right, plus 1; 0: free */
    int64_t count;
    int64_t touched;  /* number of the merge that last formed it, 1-based */
    int32_t last_word, n_words;
    int32_t *words;
} pair_slot;

typedef struct pending { /* an entry of the queue; owns its list of words */
    int64_t count;
    uint64_t key;
    int32_t *words, n;
} pending;

typedef struct learner {
    pair_slot *slots;
    int64_t n_slots, used;
    pending *heap;
    int64_t n_heap, cap_heap;
    int32_t *symbols; /* all words one after another */
    int64_t *start;   /* [n_words + 1] */
    int32_t *len;     /* symbols left in each word */
    const mc_words *w;
    uint64_t *formed; /* keys formed by the merge at work, with the word: two entries each */
    int64_t n_formed, cap_formed;
    int64_t merge;
} learner;

static uint64_t key_of(int32_t left, int32_t right) { return ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) + 1; }

static pair_slot *locate(pair_slot *slots, int64_t n_slots, uint64_t key)
{
    uint64_t i = key * 0x9e3779b97f4a7c15u;
    for (i ^= i >> 29;; i++) {
        pair_slot *s = &slots[i & (uint64_t)(n_slots - 1)];
        if (s->key == 0 || s->key == key) return s;
    }
}

static int32_t slot_of(learner *l, uint64_t key, pair_slot **out)
{
    if (l->used * 2 >= l->n_slots) {
        const int64_t n = l->n_slots ? l->n_slots * 2 : 1024;
        pair_slot *slots = mc_calloc((size_t)n, sizeof *slots);
        if (!slots) return MCOMP_NO_MEMORY;
        for (int64_t i = 0; i < l->n_slots; i++)
            if (l->slots[i].key) *locate(slots, n, l->slots[i].key) = l->slots[i];
        mc_free(l->slots);
        l->slots = slots;
        l->n_slots = n;
    }
    *out = locate(l->slots, l->n_slots, key);
    if (!(*out)->key) {
        (*out)->key = key;
        l->used++;
    }
    return MCOMP_OK;
}

static int before(const pending *a, const pending *b) { return a->count != b->count ? a->count > b->count : a->key < b->key; }

static int32_t push(learner *l, pending x)
{
    const int32_t st = mc_grow(&l->heap, &l->cap_heap, l->n_heap + 1, sizeof *l->heap);
    if (st != MCOMP_OK) return st;
    int64_t i = l->n_heap++;
    for (int64_t up; i > 0 && (up = (i - 1) / 2, before(&x, &l->heap[up])); i = up) l->heap[i] = l->heap[up];
    l->heap[i] = x;
    return MCOMP_OK;
}

static pending pop(learner *l)
{
    pending *h = l->heap;
    const pending top = h[0], x = h[--l->n_heap];
    int64_t i = 0;
    for (int64_t k; (k = 2 * i + 1) < l->n_heap; i = k) {
        if (k + 1 < l->n_heap && before(&h[k + 1], &h[k])) k++;
        if (!before(&h[k], &x)) break;
        h[i] = h[k];
    }
    h[i] = x;
    return top;
}

/* A pair seen (delta > 0: and formed) in a word. */
static int32_t change(learner *l, int32_t left, int32_t right, int64_t delta, int32_t word)
{
    int32_t st = MCOMP_OK;
    pair_slot *s;
    MC_TRY(slot_of(l, key_of(left, right), &s));
    s->count += delta * l->w->count[word];
    if (delta < 0 || (s->touched == l->merge && s->last_word == word)) return MCOMP_OK;
    if (s->touched != l->merge) s->n_words = 0;
    s->touched = l->merge;
    s->last_word = word;
    s->n_words++;
    if (l->cap_formed < l->n_formed + 2) MC_TRY(mc_grow(&l->formed, &l->cap_formed, l->n_formed + 2, sizeof *l->formed));
    l->formed[l->n_formed++] = s->key;
    l->formed[l->n_formed++] = (uint64_t)word;
done:
    return st;
}

/* The pairs that were formed go into the queue, each with its words. */
static int32_t queue_formed(learner *l)
{
    int32_t st = MCOMP_OK;
    for (int64_t i = 0; i < l->n_formed; i += 2) {
        pair_slot *s = locate(l->slots, l->n_slots, l->formed[i]);
        if (s->n_words > 0) { /* first time: room for all of them; n_words < 0 then counts the ones not placed yet */
            s->words = mc_malloc(sizeof *s->words * (size_t)s->n_words);
            if (!s->words) return MCOMP_NO_MEMORY;
            if (s->count > 0) {
                st = push(l, (pending){s->count, s->key, s->words, s->n_words});
                if (st != MCOMP_OK) {
                    mc_free(s->words);
                    s->words = NULL;
                    return st;
                }
            }
            s->n_words = -s->n_words;
        }
        s->words[-s->n_words - 1] = (int32_t)l->formed[i + 1];
        if (++s->n_words == 0) {
            if (s->count <= 0) mc_free(s->words);
            s->words = NULL;
        }
    }
    l->n_formed = 0;
    return st;
}

/* Every "left right" of a word becomes `id`. */
static int32_t merge_word(learner *l, int32_t word, int32_t left, int32_t right, int32_t id)
{
    int32_t st = MCOMP_OK;
    int32_t *s = l->symbols + l->start[word], n = l->len[word], to = 0;
    for (int32_t i = 0; i < n; i++) {
        if (s[i] != left || i + 1 >= n || s[i + 1] != right) {
            s[to++] = s[i];
            continue;
        }
        if (to > 0) {
            MC_TRY(change(l, s[to - 1], left, -1, word));
            MC_TRY(change(l, s[to - 1], id, 1, word));
        }
        if (i + 2 < n) {
            MC_TRY(change(l, right, s[i + 2], -1, word));
            MC_TRY(change(l, id, s[i + 2], 1, word));
        }
        s[to++] = id;
        i++;
    }
    l->len[word] = to;
done:
    return st;
}

static int32_t letter_id(mc_vocab *v, const char *c, int64_t len, const char *prefix, int first, int32_t *id)
{
    char buf[16];
    *id = mc_vocab_find(v, c, len);
    if (*id < 0 || first || !*prefix) return MCOMP_OK;
    const size_t k = strlen(prefix);
    memcpy(buf, prefix, k);
    memcpy(buf + k, c, (size_t)len);
    *id = mc_vocab_find(v, buf, (int64_t)k + len);
    if (*id >= 0) return MCOMP_OK;
    *id = (int32_t)v->n;
    return mc_vocab_put(v, buf, (int64_t)k + len, v->n, "alphabet");
}

static int32_t take_words(learner *l, mc_vocab *v, const char *prefix)
{
    int32_t st = MCOMP_OK, id;
    const mc_words *w = l->w;
    const int64_t n = w->words.n;
    int64_t len, at = 0;
    l->symbols = mc_malloc(sizeof *l->symbols * (size_t)(w->words.pool.len + 1));
    l->start = mc_malloc(sizeof *l->start * (size_t)(n + 1));
    l->len = mc_malloc(sizeof *l->len * (size_t)n);
    if (!l->symbols || !l->start || !l->len) return MCOMP_NO_MEMORY;
    l->merge = 1;
    for (int64_t i = 0; i < n; i++) {
        const int32_t word = w->order[i];
        const char *s = mc_vocab_token(&w->words, word, &len);
        l->start[word] = at;
        for (int64_t k = 0, c; k < len; k += c) {
            for (c = 1; k + c < len && ((uint8_t)s[k + c] & 0xc0) == 0x80;) c++;
            MC_TRY(letter_id(v, s + k, c, prefix, k == 0, &id));
            if (id >= 0) l->symbols[at++] = id;
        }
        l->len[word] = (int32_t)(at - l->start[word]);
        for (int32_t k = 0; k + 1 < l->len[word]; k++) MC_TRY(change(l, l->symbols[l->start[word] + k], l->symbols[l->start[word] + k + 1], 1, word));
    }
    st = queue_formed(l);
done:
    return st;
}

static int32_t new_token(mc_vocab *v, int32_t left, int32_t right, const char *prefix, int32_t *id)
{
    int32_t st = MCOMP_OK;
    int64_t a, b;
    const size_t k = strlen(prefix);
    mc_str s = {0};
    MC_TRY(mc_str_append(&s, mc_vocab_token(v, left, &a)));
    const char *r = mc_vocab_token(v, right, &b);
    MC_TRY(mc_str_append(&s, (size_t)b >= k && memcmp(r, prefix, k) == 0 ? r + k : r));
    *id = mc_vocab_find(v, s.data, s.len);
    if (*id >= 0) goto done;
    *id = (int32_t)v->n;
    st = mc_vocab_put(v, s.data, s.len, v->n, "merge");
done:
    mc_str_free(&s);
    return st;
}

int32_t mc_bpe_learn(mc_vocab *v, mc_merges *out, mcomp_context *ctx, const mc_words *w, const char *prefix, int64_t size, int64_t min_count)
{
    int32_t st = MCOMP_OK, id;
    learner l = {.w = w};
    pending top = {0};
    MC_TRY(take_words(&l, v, prefix));
    while (v->n < size && l.n_heap > 0) {
        top = pop(&l);
        const int64_t now = locate(l.slots, l.n_slots, top.key)->count;
        if (top.count != now) {
            top.count = now;
            if (now > 0) MC_TRY(push(&l, top));
            else mc_free(top.words);
            top.words = NULL;
            continue;
        }
        if (top.count < min_count) break;
        const int32_t left = (int32_t)((top.key - 1) >> 32), right = (int32_t)((top.key - 1) & 0xffffffffu);
        MC_TRY(new_token(v, left, right, prefix, &id));
        MC_TRY(mc_grow(&out->pairs, &out->cap, out->n + 1, sizeof *out->pairs));
        out->pairs[out->n][0] = left;
        out->pairs[out->n++][1] = right;
        l.merge++;
        for (int32_t i = 0; i < top.n; i++) MC_TRY(merge_word(&l, top.words[i], left, right, id));
        mc_free(top.words);
        top.words = NULL;
        MC_TRY(queue_formed(&l));
        if (out->n % 64 == 0) MC_TRY(mc_context_progress(ctx, "merges", (double)v->n / (double)size));
    }
done:
    mc_free(top.words);
    for (int64_t i = 0; i < l.n_heap; i++) mc_free(l.heap[i].words);
    mc_free(l.heap);
    for (int64_t i = 0; i < l.n_slots; i++) /* no memory in the midst of queue_formed */
        if (l.slots[i].words && l.slots[i].count <= 0) mc_free(l.slots[i].words);
    mc_free(l.slots);
    mc_free(l.symbols);
    mc_free(l.start);
    mc_free(l.len);
    mc_free(l.formed);
    return st;
}
