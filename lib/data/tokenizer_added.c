/* Added tokens: pieces of text that are tokens by themselves and never reach the model, such as [MASK] or <|endoftext|>. Those that
 * are "normalized" are searched in the normal form, the others before it. Leftmost match, the longest where several begin. */
#include "data/tokenizer.h"

int32_t mc_tokenizer_add(mc_tokenizer *t, const char *text, int32_t special, const char *where)
{
    int32_t st = MCOMP_OK;
    mc_added a = {.special = (uint8_t)special, .normalized = (uint8_t)!special, .len = (int64_t)strlen(text)};
    a.id = mc_vocab_find(&t->vocab, text, a.len);
    if (a.id < 0) return mc_fail(MCOMP_INTERNAL, where, "added token \"%s\" has no id", text);
    MC_TRY(mc_grow(&t->added, &t->cap_added, t->n_added + 1, sizeof *t->added));
    a.text = mc_strdup(text);
    a.match = mc_strdup(text);
    a.match_len = a.len;
    if (!a.text || !a.match) MC_FAIL(MCOMP_NO_MEMORY, where, "no memory");
    t->added_first[a.normalized][(uint8_t)*text] = 1;
    t->added[t->n_added++] = a;
    return MCOMP_OK;
done:
    mc_free(a.text);
    mc_free(a.match);
    return st;
}

static uint32_t char_before(const char *text, int64_t at)
{
    uint32_t cp;
    int valid;
    do at--;
    while (at > 0 && ((uint8_t)text[at] & 0xc0) == 0x80);
    (void)mc_utf8_next((const uint8_t *)text + at, 4, &cp, &valid);
    return cp;
}

static uint32_t char_at(const char *text, int64_t n, int64_t at)
{
    uint32_t cp;
    int valid;
    (void)mc_utf8_next((const uint8_t *)text + at, n - at, &cp, &valid);
    return cp;
}

/* Longest token of this sort that begins at `at`; -1 if none. */
static int64_t longest(const mc_tokenizer *t, int normalized, const char *text, int64_t n, int64_t at)
{
    int64_t best = -1;
    for (int64_t i = 0; i < t->n_added; i++) {
        const mc_added *a = &t->added[i];
        if (a->normalized != normalized || a->match_len == 0 || a->match_len > n - at || memcmp(a->match, text + at, (size_t)a->match_len) != 0) continue;
        if (best < 0 || a->match_len > t->added[best].match_len) best = i;
    }
    return best;
}

int mc_added_find(const mc_tokenizer *t, int normalized, const char *text, int64_t n, int64_t from, int64_t floor, mc_piece *at, int64_t *row)
{
    for (int64_t i = from; i < n; i++) {
        if (!t->added_first[normalized][(uint8_t)text[i]]) continue;
        *row = longest(t, normalized, text, n, i);
        if (*row < 0) continue;
        const mc_added *a = &t->added[*row];
        *at = (mc_piece){i, i + a->match_len};
        if (a->single_word && ((at->from > 0 && mc_uc_word(char_before(text, at->from))) || (at->to < n && mc_uc_word(char_at(text, n, at->to))))) {
            i = at->to - 1;
            continue;
        }
        while (a->lstrip && at->from > floor && mc_uc_space(char_before(text, at->from)))
            do at->from--;
            while (((uint8_t)text[at->from] & 0xc0) == 0x80);
        while (a->rstrip && at->to < n && mc_uc_space(char_at(text, n, at->to)))
            do at->to++;
            while (at->to < n && ((uint8_t)text[at->to] & 0xc0) == 0x80);
        return 1;
    }
    return 0;
}
