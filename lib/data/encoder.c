/* Encoding one text: sections between added tokens, normal form, words, model, special ids. Words that came before are found in a
 * cache: most words of a language are a few thousand. */
#include "data/encoder_cache.h"

int32_t mc_encoder_create(mc_encoder **out, const mc_tokenizer *t)
{
    int32_t st = MCOMP_OK;
    mc_encoder *e = mc_calloc(1, sizeof *e);
    *out = NULL;
    if (!e) return MCOMP_NO_MEMORY;
    e->t = t;
    if (!t->kind->raw) MC_TRY(mc_word_cache_create(&e->cache));
    *out = e;
    return MCOMP_OK;
done:
    mc_encoder_destroy(e);
    return st;
}

void mc_encoder_destroy(mc_encoder *e)
{
    if (!e) return;
    mc_str_free(&e->clean);
    mc_str_free(&e->norm);
    mc_str_free(&e->text);
    mc_str_free(&e->other);
    mc_cps_free(&e->cps);
    mc_free(e->piece);
    mc_free(e->piece2);
    mc_free(e->ids);
    mc_free(e->scratch);
    mc_pre_match_free(e->match);
    mc_word_cache_destroy(e->cache);
    mc_free(e);
}

int32_t mc_encoder_push(mc_encoder *e, int32_t id)
{
    if (e->n == e->cap) {
        const int32_t st = mc_grow(&e->ids, &e->cap, e->n + 1, sizeof *e->ids);
        if (st != MCOMP_OK) return st;
    }
    e->ids[e->n++] = id;
    return MCOMP_OK;
}

int32_t mc_encoder_piece(mc_encoder *e, int64_t from, int64_t to)
{
    if (from >= to) return MCOMP_OK;
    if (e->n_piece == e->cap_piece) {
        const int32_t st = mc_grow(&e->piece, &e->cap_piece, e->n_piece + 1, sizeof *e->piece);
        if (st != MCOMP_OK) return st;
    }
    e->piece[e->n_piece++] = (mc_piece){from, to};
    return MCOMP_OK;
}

/* A stretch of normal form without added tokens. */
static int32_t run_words(mc_encoder *e, const char *text, int64_t n, int64_t limit)
{
    int32_t st = MCOMP_OK;
    if (n == 0) return MCOMP_OK;
    MC_TRY(mc_tokenizer_words(e->t, e, text, n));
    for (int64_t i = 0; i < e->n_piece && e->n < limit; i++) {
        const char *w = e->base + e->piece[i].from;
        const int64_t len = e->piece[i].to - e->piece[i].from, first = e->n;
        if (mc_word_cache_get(e, w, len, &st)) {
            if (st != MCOMP_OK) goto done;
            continue;
        }
        MC_TRY(e->t->kind->word(e->t, e, w, len));
        MC_TRY(mc_word_cache_put(e, w, len, e->ids + first, e->n - first));
    }
done:
    return st;
}

static int32_t run_section(mc_encoder *e, const char *text, int64_t n, int64_t limit)
{
    int32_t st = MCOMP_OK;
    mc_piece hit;
    int64_t row, from = 0;
    e->norm.len = 0;
    if (n == 0) return MCOMP_OK;
    MC_TRY(mc_tokenizer_normalize(e->t, &e->cps, text, n, &e->norm));
    const char *s = e->norm.data;
    const int64_t m = e->norm.len;
    while (from < m && e->n < limit) {
        if (!mc_added_find(e->t, 1, s, m, from, from, &hit, &row)) hit = (mc_piece){m, m};
        MC_TRY(run_words(e, s + from, hit.from - from, limit));
        if (hit.from < m && e->n < limit) MC_TRY(mc_encoder_push(e, e->t->added[row].id));
        from = hit.to;
    }
done:
    return st;
}

int32_t mc_encoder_valid(mc_encoder *e, const char **text, int64_t *n)
{
    int32_t st = MCOMP_OK;
    if (mc_utf8_valid(*text, *n)) return MCOMP_OK;
    e->cps.n = e->clean.len = 0;
    MC_TRY(mc_cps_decode(&e->cps, *text, *n));
    MC_TRY(mc_cps_encode(&e->clean, &e->cps));
    *text = e->clean.data;
    *n = e->clean.len;
done:
    return st;
}

static int32_t run_raw(mc_encoder *e, const char *text, int64_t n, int64_t limit)
{
    int32_t st = MCOMP_OK;
    for (int64_t i = 0; i < n && i < limit; i++) MC_TRY(mc_encoder_push(e, (uint8_t)text[i]));
done:
    return st;
}

int32_t mc_encoder_run(mc_encoder *e, const char *text, int64_t n, int32_t special, int64_t limit)
{
    int32_t st = MCOMP_OK;
    const mc_tokenizer *t = e->t;
    mc_piece hit;
    int64_t row, from = 0;
    const int64_t n_before = special ? t->n_before : 0, n_after = special ? t->n_after : 0;
    e->n = 0;
    if (limit <= 0) limit = INT64_MAX;
    if (t->kind->raw) return run_raw(e, text, n, limit);
    if (limit < n_before + n_after) MC_FAIL(MCOMP_RANGE, "max-length", "%lld ids leave no room for the %lld special ones", (long long)limit, (long long)(n_before + n_after));
    limit -= n_after;
    MC_TRY(mc_encoder_valid(e, &text, &n));
    for (int64_t i = 0; i < n_before; i++) MC_TRY(mc_encoder_push(e, t->before[i].id));
    while (from < n && e->n < limit) {
        if (!mc_added_find(t, 0, text, n, from, from, &hit, &row)) hit = (mc_piece){n, n};
        MC_TRY(run_section(e, text + from, hit.from - from, limit));
        if (hit.from < n && e->n < limit) MC_TRY(mc_encoder_push(e, t->added[row].id));
        from = hit.to;
    }
    if (e->n > limit) e->n = limit;
    for (int64_t i = 0; i < n_after; i++) MC_TRY(mc_encoder_push(e, t->after[i].id));
done:
    return st;
}
