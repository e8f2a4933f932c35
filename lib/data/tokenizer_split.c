/* Splitting by a pattern: pcre2 with its just-in-time compiler, and what is done with the matches. Patterns come from files: the number
 * of steps of a match is bounded, and a pattern that exceeds it is an error, not a hang. */
#include "data/tokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "data/encoder_cache.h"

static const char gpt2[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

static void *pcre_alloc(size_t n, void *payload)
{
    (void)payload;
    return mc_malloc(n);
}

static void pcre_free(void *p, void *payload)
{
    (void)payload;
    mc_free(p);
}

int32_t mc_pre_compile(mc_pre *p, const char *where)
{
    int code = 0;
    PCRE2_SIZE at = 0;
    PCRE2_UCHAR text[160];
    const char *pattern = p->pattern ? p->pattern : gpt2;
    pcre2_general_context *g = pcre2_general_context_create(pcre_alloc, pcre_free, NULL);
    pcre2_compile_context *c = g ? pcre2_compile_context_create(g) : NULL;
    if (c) {
        (void)pcre2_set_max_pattern_length(c, 1 << 16);
        p->regex = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, p->literal ? PCRE2_UTF | PCRE2_LITERAL : PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &code, &at, c);
    }
    pcre2_compile_context_free(c);
    pcre2_general_context_free(g);
    if (!c || (!p->regex && code == PCRE2_ERROR_HEAP_FAILED)) return mc_fail(MCOMP_NO_MEMORY, where, "no memory for a pattern");
    if (!p->regex) {
        (void)pcre2_get_error_message(code, text, sizeof text);
        return mc_fail(MCOMP_FORMAT, where, "pattern of a Split: %s at byte %lld", (const char *)text, (long long)at);
    }
    (void)pcre2_jit_compile(p->regex, PCRE2_JIT_COMPLETE); /* without it, matching is slower and the same */
    return MCOMP_OK;
}

void mc_pre_free(mc_pre *p)
{
    mc_free(p->pattern);
    pcre2_code_free(p->regex);
}

/* Match data and limits, one of each an encoder. */
typedef struct matcher {
    pcre2_match_data *data;
    pcre2_match_context *context;
} matcher;

void mc_pre_match_free(void *match)
{
    matcher *m = match;
    if (!m) return;
    pcre2_match_data_free(m->data);
    pcre2_match_context_free(m->context);
    mc_free(m);
}

static int32_t matcher_of(mc_encoder *e, matcher **out)
{
    matcher *m = e->match;
    *out = m;
    if (m) return MCOMP_OK;
    m = mc_calloc(1, sizeof *m);
    pcre2_general_context *g = m ? pcre2_general_context_create(pcre_alloc, pcre_free, NULL) : NULL;
    if (g) m->data = pcre2_match_data_create(1, g);
    if (g) m->context = pcre2_match_context_create(g);
    pcre2_general_context_free(g);
    if (!m || !m->data || !m->context) {
        mc_pre_match_free(m);
        return mc_fail(MCOMP_NO_MEMORY, "tokenizer", "no memory for a pattern");
    }
    (void)pcre2_set_match_limit(m->context, 10000000);
    (void)pcre2_set_heap_limit(m->context, 65536); /* KiB */
    *out = e->match = m;
    return MCOMP_OK;
}

/* Gives out matches and gaps as pieces by the behaviour. Merging keeps the last piece open. */
typedef struct splitter {
    mc_encoder *e;
    const mc_pre *p;
    mc_piece open;
    int has_open, last;
} splitter;

static int32_t flush(splitter *s)
{
    const int has = s->has_open;
    s->has_open = 0;
    return has ? mc_encoder_piece(s->e, s->open.from, s->open.to) : MCOMP_OK;
}

static int32_t give(splitter *s, int64_t from, int64_t to, int match)
{
    int32_t st = MCOMP_OK;
    int join = 0;
    if (s->p->invert) match = !match;
    switch (s->p->behavior) {
    case MC_SPLIT_REMOVED: return match ? MCOMP_OK : mc_encoder_piece(s->e, from, to);
    case MC_SPLIT_ISOLATED: return mc_encoder_piece(s->e, from, to);
    case MC_SPLIT_PREVIOUS: join = match && !s->last; break;
    case MC_SPLIT_CONTIGUOUS: join = match == s->last; break;
    default: join = s->last && !match; break; /* next: a match waits for what follows; matches in a row stay apart */
    }
    s->last = match;
    if (join && s->has_open) {
        s->open.to = to;
        return MCOMP_OK;
    }
    st = flush(s);
    s->open = (mc_piece){from, to};
    s->has_open = 1;
    return st;
}

static int32_t split_one(const mc_pre *p, mc_encoder *e, matcher *m, mc_piece w)
{
    int32_t st = MCOMP_OK;
    splitter s = {.e = e, .p = p};
    const PCRE2_SPTR text = (PCRE2_SPTR)e->base + w.from;
    const PCRE2_SIZE n = (PCRE2_SIZE)(w.to - w.from);
    PCRE2_SIZE prev = 0, at = 0;
    int after = 0; /* an empty match right after a match is none */
    while (at <= n) {
        int rc = pcre2_match(p->regex, text, n, at, PCRE2_NO_UTF_CHECK, m->data, m->context);
        if (rc == PCRE2_ERROR_JIT_STACKLIMIT) rc = pcre2_match(p->regex, text, n, at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, m->data, m->context);
        if (rc == PCRE2_ERROR_NOMATCH) break;
        if (rc == PCRE2_ERROR_NOMEMORY) MC_FAIL(MCOMP_NO_MEMORY, "tokenizer", "no memory for a pattern");
        if (rc < 0) MC_FAIL(MCOMP_LIMIT, p->pattern ? p->pattern : "ByteLevel", "the pattern takes too many steps on this text (pcre2 error %d)", rc);
        const PCRE2_SIZE *v = pcre2_get_ovector_pointer(m->data), from = v[0], to = v[1];
        if (from < at || to < from) MC_FAIL(MCOMP_UNSUPPORTED, p->pattern ? p->pattern : "ByteLevel", "a pattern that looks back beyond its match (\\K) is not supported");
        if (to == from) {
            at = to + 1;
            while (at < n && (text[at] & 0xc0) == 0x80) at++;
            if (after && from == prev) continue;
        } else {
            at = to;
        }
        if (from > prev) MC_TRY(give(&s, w.from + (int64_t)prev, w.from + (int64_t)from, 0));
        MC_TRY(give(&s, w.from + (int64_t)from, w.from + (int64_t)to, 1));
        prev = to;
        after = 1;
    }
    if (prev < n) MC_TRY(give(&s, w.from + (int64_t)prev, w.to, 0));
    st = flush(&s);
done:
    return st;
}

int32_t mc_pre_split(const mc_pre *p, mc_encoder *e)
{
    int32_t st = MCOMP_OK;
    matcher *m;
    MC_TRY(matcher_of(e, &m));
    mc_piece *const in = e->piece;
    const int64_t n = e->n_piece, cap = e->cap_piece;
    e->piece = e->piece2;
    e->cap_piece = e->cap_piece2;
    e->n_piece = 0;
    e->piece2 = in;
    e->cap_piece2 = cap;
    for (int64_t i = 0; i < n; i++) MC_TRY(split_one(p, e, m, in[i]));
done:
    return st;
}
