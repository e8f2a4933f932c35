/* Byte strings by key: what is there, what is new, when a shard is full. */
#include "distill/store.h"

static uint64_t checksum(const char *key, const void *data, uint64_t bytes) { return mc_hash64(data, (size_t)bytes, mc_hash64(key, MC_KD_KEY, 1)); }

static uint64_t padded(uint64_t bytes) { return (bytes + 7) / 8 * 8; }

static void shard_free(mc_shard *x)
{
    if (x->map.data) mc_file_unmap(&x->map);
    mc_str_free(&x->own);
}

static int32_t add_entry(mc_kd_store *s, const char *key, const uint8_t *data, uint64_t bytes)
{
    int32_t st = MCOMP_OK;
    char name[MC_KD_KEY + 1];
    memcpy(name, key, MC_KD_KEY);
    name[MC_KD_KEY] = 0;
    MC_TRY(mc_grow(&s->entries, &s->cap_entries, s->n_entries + 1, sizeof *s->entries));
    MC_TRY(mc_map_put(s->index, name, s->n_entries));
    s->entries[s->n_entries++] = (struct mc_entry){data, bytes};
done:
    return st;
}

int32_t mc_kd_store_adopt(mc_kd_store *s, mc_shard *shard)
{
    int32_t st = MCOMP_OK;
    const uint8_t *p = shard->map.data ? shard->map.data : (const uint8_t *)shard->own.data;
    const uint64_t size = shard->map.data ? shard->map.bytes : (uint64_t)shard->own.len;
    uint64_t at = MC_SHARD_HEAD;
    st = mc_grow(&s->shards, &s->cap_shards, s->n_shards + 1, sizeof *s->shards);
    if (st != MCOMP_OK) {
        shard_free(shard);
        return st;
    }
    s->shards[s->n_shards++] = *shard;
    if (size < MC_SHARD_HEAD || memcmp(p, MC_SHARD_MAGIC, MC_SHARD_HEAD) != 0) {
        s->damaged++;
        return MCOMP_OK;
    }
    while (at < size) {
        mc_record r;
        if (size - at >= sizeof r) memcpy(&r, p + at, sizeof r);
        if (size - at < sizeof r || r.bytes > size - at - sizeof r || padded(r.bytes) > size - at - sizeof r) {
            s->damaged++; /* its length is wrong: what follows cannot be found */
            break;
        }
        at += sizeof r;
        if (checksum(r.key, p + at, r.bytes) == r.check) MC_TRY(add_entry(s, r.key, p + at, r.bytes));
        else s->damaged++;
        at += padded(r.bytes);
    }
done:
    return st;
}

int32_t mc_kd_store_open(mc_kd_store **out, const char *folder, const char *group, uint64_t limit)
{
    int32_t st = MCOMP_OK;
    mc_kd_store *s = mc_calloc(1, sizeof *s);
    *out = NULL;
    if (!s) return MCOMP_NO_MEMORY;
    s->limit = limit;
    s->index = mc_map_create();
    if (folder) {
        s->folder = mc_strdup(folder);
        s->group = mc_strdup(group);
    }
    if (!s->index || (folder && (!s->folder || !s->group))) MC_TRY(MCOMP_NO_MEMORY);
    if (folder) MC_TRY(mc_kd_store_scan(s));
    *out = s;
    return MCOMP_OK;
done:
    mc_kd_store_close(s);
    return st;
}

void mc_kd_store_close(mc_kd_store *s)
{
    if (!s) return;
    for (int64_t i = 0; i < s->n_shards; i++) shard_free(&s->shards[i]);
    mc_free(s->shards);
    mc_free(s->entries);
    mc_map_destroy(s->index);
    mc_str_free(&s->pending);
    mc_free(s->folder);
    mc_free(s->group);
    mc_free(s);
}

const uint8_t *mc_kd_store_find(const mc_kd_store *s, const char *key, uint64_t *bytes)
{
    int64_t i = 0;
    if (!mc_map_get(s->index, key, &i)) return NULL;
    *bytes = s->entries[i].bytes;
    return s->entries[i].data;
}

int32_t mc_kd_store_put(mc_kd_store *s, const char *key, const void *data, uint64_t bytes)
{
    int32_t st = MCOMP_OK;
    static const uint8_t zeros[8];
    mc_record r = {.bytes = bytes, .check = checksum(key, data, bytes)};
    memcpy(r.key, key, MC_KD_KEY);
    if (s->pending.len == 0) MC_TRY(mc_str_append_bytes(&s->pending, MC_SHARD_MAGIC, MC_SHARD_HEAD));
    MC_TRY(mc_str_append_bytes(&s->pending, &r, sizeof r));
    MC_TRY(mc_str_append_bytes(&s->pending, data, (size_t)bytes));
    if (padded(bytes) > bytes) MC_TRY(mc_str_append_bytes(&s->pending, zeros, (size_t)(padded(bytes) - bytes)));
    if (s->pending.len >= MC_SHARD_BYTES) MC_TRY(mc_kd_store_flush(s));
done:
    return st;
}

int32_t mc_kd_store_flush(mc_kd_store *s)
{
    mc_shard x = {.own = s->pending};
    if (s->pending.len == 0) return MCOMP_OK;
    s->pending = (mc_str){0};
    if (s->folder) return mc_kd_store_write(s, &x.own);
    s->bytes += (uint64_t)x.own.len;
    if (s->bytes > s->limit) {
        mc_str_free(&x.own);
        (void)mc_fail(MCOMP_LIMIT, "cache", "the teacher's outputs take more than the %llu bytes allowed", (unsigned long long)s->limit);
        return mc_fail_hint("allow more (cache_bytes), or choose losses that keep less");
    }
    return mc_kd_store_adopt(s, &x);
}

int64_t mc_kd_store_damaged(const mc_kd_store *s) { return s->damaged; }
uint64_t mc_kd_store_bytes(const mc_kd_store *s) { return s->bytes; }
