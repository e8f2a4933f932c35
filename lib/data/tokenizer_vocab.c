/* The vocabulary: tokens as bytes with a length, found by hash; ids from the file, which may leave gaps. */
#include "data/tokenizer.h"

#define MAX_ID (1 << 22) /* the largest vocabularies in use have a quarter of a million */

static const uint64_t seed = 0x6d636f6d70746f6bu;

static int32_t *locate(const mc_vocab *v, int32_t *slots, int64_t n_slots, const char *bytes, int64_t len)
{
    for (uint64_t i = mc_hash64(bytes, (size_t)len, seed);; i++) {
        int32_t *s = &slots[i & (uint64_t)(n_slots - 1)];
        if (*s == 0) return s;
        const struct mc_vocab_token *t = &v->token[*s - 1];
        if (t->len == len && memcmp(v->pool.data + t->at, bytes, (size_t)len) == 0) return s;
    }
}

static int32_t grow_slots(mc_vocab *v)
{
    const int64_t n = v->n_slots ? v->n_slots * 2 : 64;
    int32_t *slots = mc_calloc((size_t)n, sizeof *slots);
    if (!slots) return MCOMP_NO_MEMORY;
    for (int64_t i = 0; i < v->n; i++)
        if (v->token[i].at >= 0) *locate(v, slots, n, v->pool.data + v->token[i].at, v->token[i].len) = (int32_t)i + 1;
    mc_free(v->slots);
    v->slots = slots;
    v->n_slots = n;
    return MCOMP_OK;
}

int32_t mc_vocab_put(mc_vocab *v, const char *bytes, int64_t len, int64_t id, const char *where)
{
    int32_t st = MCOMP_OK;
    char shown[80];
    if (id < 0 || id >= MAX_ID) return mc_fail(MCOMP_LIMIT, where, "token id %lld is outside of 0..%d", (long long)id, MAX_ID - 1);
    if (len > 1 << 20) return mc_fail(MCOMP_LIMIT, where, "token %lld is longer than 1 MiB", (long long)id);
    if (id < v->n && v->token[id].at >= 0)
        return mc_fail(MCOMP_FORMAT, where, "id %lld belongs to two tokens, one is \"%s\"", (long long)id, mc_escape(shown, sizeof shown, mc_vocab_token(v, id, NULL)));
    if ((v->used + 1) * 2 > v->n_slots) MC_TRY(grow_slots(v));
    if (*locate(v, v->slots, v->n_slots, bytes, len)) {
        const int32_t first = mc_vocab_find(v, bytes, len);
        MC_FAIL(MCOMP_FORMAT, where, "token \"%s\" is there twice, as %d and as %lld", mc_escape(shown, sizeof shown, mc_vocab_token(v, first, NULL)), first, (long long)id);
    }
    if (id >= v->n) {
        MC_TRY(mc_grow(&v->token, &v->cap, id + 1, sizeof *v->token));
        for (int64_t i = v->n; i <= id; i++) v->token[i] = (struct mc_vocab_token){-1, 0};
        v->n = id + 1;
    }
    const int64_t at = v->pool.len;
    MC_TRY(mc_str_append_bytes(&v->pool, bytes, (size_t)len));
    MC_TRY(mc_str_append_bytes(&v->pool, "", 1));
    v->token[id] = (struct mc_vocab_token){at, len};
    *locate(v, v->slots, v->n_slots, bytes, len) = (int32_t)id + 1;
    v->used++;
done:
    return st;
}

int32_t mc_vocab_find(const mc_vocab *v, const char *bytes, int64_t len) { return v->n_slots ? *locate(v, v->slots, v->n_slots, bytes, len) - 1 : -1; }

const char *mc_vocab_token(const mc_vocab *v, int64_t id, int64_t *len)
{
    if (id < 0 || id >= v->n || v->token[id].at < 0) return NULL;
    if (len) *len = v->token[id].len;
    return v->pool.data + v->token[id].at;
}

void mc_vocab_free(mc_vocab *v)
{
    mc_str_free(&v->pool);
    mc_free(v->token);
    mc_free(v->slots);
    memset(v, 0, sizeof *v);
}
