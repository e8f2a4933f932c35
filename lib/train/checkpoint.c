/* Checkpoint files. Little-endian:
 *   "MCOMPCKP", uint32 version, uint32 zero, uint64 bytes of the header, uint64 hash of the header;
 *   the header, JSON: {"state":{...},"tensors":[{"name","dtype","shape","offset","hash"}...]}, padded with spaces to 64 bytes;
 *   the tensors, each at a multiple of 64 behind the header.
 * A file is written beside its target, flushed, and renamed. Reading checks every hash before anything is copied. */
#include "train/train.h"

#include <stdio.h>
#include <stdlib.h>

#define VERSION 1
#define HEAD 32
#define MAX_HEADER (256u << 20)

static const char magic[8] = {'M', 'C', 'O', 'M', 'P', 'C', 'K', 'P'};

static uint64_t round_up(uint64_t n) { return (n + 63) & ~(uint64_t)63; }

static int32_t hash_text(uint64_t h, char out[17])
{
    snprintf(out, 17, "%016llx", (unsigned long long)h);
    return MCOMP_OK;
}

static int32_t item_out(mc_str *s, const mc_ckpt_item *x, uint64_t offset)
{
    int32_t st = MCOMP_OK;
    char hash[17];
    mc_str name = {0};
    mc_json *j = mc_json_new_string(x->name);
    if (!j) return MCOMP_NO_MEMORY;
    MC_TRY(mc_json_dump(j, &name));
    (void)hash_text(mc_hash64(x->t->data, (size_t)mc_tensor_bytes(x->t), 1), hash);
    MC_TRY(mc_str_appendf(s, "{\"name\":%s,\"dtype\":\"%s\",\"shape\":[", name.data, mc_dtype_name(x->t->dtype)));
    for (int32_t k = 0; k < x->t->shape.rank; k++) MC_TRY(mc_str_appendf(s, "%s%lld", k ? "," : "", (long long)x->t->shape.dim[k]));
    MC_TRY(mc_str_appendf(s, "],\"offset\":%llu,\"hash\":\"%s\"}", (unsigned long long)offset, hash));
done:
    mc_str_free(&name);
    mc_json_destroy(j);
    return st;
}

static int32_t header_out(mc_str *s, const mc_json *state, int64_t n, const mc_ckpt_item *items)
{
    int32_t st = MCOMP_OK;
    uint64_t at = 0;
    MC_TRY(mc_str_append(s, "{\"state\":"));
    MC_TRY(mc_json_dump(state, s));
    MC_TRY(mc_str_append(s, ",\"tensors\":["));
    for (int64_t i = 0; i < n; i++) {
        if (i) MC_TRY(mc_str_append(s, ","));
        MC_TRY(item_out(s, &items[i], at));
        at += round_up(mc_tensor_bytes(items[i].t));
    }
    MC_TRY(mc_str_append(s, "]}"));
    while ((s->len + HEAD) % 64) MC_TRY(mc_str_append(s, " "));
done:
    return st;
}

static void put(uint8_t *p, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++) p[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t get(const uint8_t *p, int bytes)
{
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++) v |= (uint64_t)p[i] << (8 * i);
    return v;
}

int32_t mc_checkpoint_write(const char *path, const mc_json *state, int64_t n, const mc_ckpt_item *items)
{
    static const uint8_t zeros[64] = {0};
    int32_t st = MCOMP_OK;
    mc_writer *w = NULL;
    mc_str header = {0};
    uint8_t head[HEAD] = {0};
    MC_TRY(header_out(&header, state, n, items));
    memcpy(head, magic, 8);
    put(head + 8, VERSION, 4);
    put(head + 16, (uint64_t)header.len, 8);
    put(head + 24, mc_hash64(header.data, (size_t)header.len, 0), 8);
    MC_TRY(mc_writer_open(&w, path, 1));
    MC_TRY(mc_writer_write(w, head, HEAD));
    MC_TRY(mc_writer_write(w, header.data, (uint64_t)header.len));
    for (int64_t i = 0; i < n; i++) {
        const uint64_t bytes = mc_tensor_bytes(items[i].t);
        MC_TRY(mc_writer_write(w, items[i].t->data, bytes));
        MC_TRY(mc_writer_write(w, zeros, round_up(bytes) - bytes));
    }
    st = mc_writer_commit(w);
    w = NULL;
done:
    mc_writer_abort(w);
    mc_str_free(&header);
    return st;
}

/* ---- reading ---- */

typedef struct reader {
    const char *path;
    const uint8_t *data; /* behind the header */
    uint64_t bytes;
    const mc_json *tensors;
    mc_map *index;       /* name -> place in tensors */
} reader;

static int32_t damaged(const char *path, const char *what) { return mc_fail(MCOMP_FORMAT, path, "the checkpoint is damaged: %s", what); }

static int32_t open_header(const char *path, const mc_mapping *m, mc_json **header, reader *r)
{
    int32_t st = MCOMP_OK;
    if (m->bytes < HEAD || memcmp(m->data, magic, 8) != 0) MC_FAIL(MCOMP_FORMAT, path, "this is no checkpoint of a training");
    if (get(m->data + 8, 4) != VERSION)
        MC_FAIL(MCOMP_UNSUPPORTED, path, "checkpoint version %llu; this library reads %d", (unsigned long long)get(m->data + 8, 4), VERSION);
    const uint64_t n = get(m->data + 16, 8);
    if (n > MAX_HEADER || n > m->bytes - HEAD) MC_TRY(damaged(path, "it ends early"));
    if (mc_hash64(m->data + HEAD, (size_t)n, 0) != get(m->data + 24, 8)) MC_TRY(damaged(path, "the header's checksum is wrong"));
    MC_TRY(mc_json_parse(header, (const char *)m->data + HEAD, n, path));
    *r = (reader){path, m->data + HEAD + n, m->bytes - HEAD - n, mc_json_get(*header, "tensors"), mc_map_create()};
    if (!r->index) MC_TRY(MCOMP_NO_MEMORY);
    if (!mc_json_is_array(r->tensors) || !mc_json_get(*header, "state")) MC_TRY(damaged(path, "the header lacks something"));
    for (int64_t i = 0; i < mc_json_size(r->tensors); i++) {
        const char *name = mc_json_string(mc_json_get(mc_json_at(r->tensors, i), "name"));
        if (!name) MC_TRY(damaged(path, "a tensor has no name"));
        MC_TRY(mc_map_put(r->index, name, i));
    }
done:
    return st;
}

static int same_type(const mc_json *j, const mc_tensor *t)
{
    const char *dtype = mc_json_string(mc_json_get(j, "dtype"));
    const mc_json *shape = mc_json_get(j, "shape");
    if (!dtype || mc_dtype_from_name(dtype) != t->dtype || !mc_json_is_array(shape) || mc_json_size(shape) != t->shape.rank) return 0;
    for (int32_t k = 0; k < t->shape.rank; k++) {
        int64_t dim = -1;
        if (!mc_json_int(mc_json_at(shape, k), &dim) || dim != t->shape.dim[k]) return 0;
    }
    return 1;
}

/* The bytes of one tensor, checked. */
static int32_t locate(const reader *r, const mc_ckpt_item *x, const uint8_t **from)
{
    int64_t at = 0, offset = -1;
    char hash[17];
    if (!mc_map_get(r->index, x->name, &at)) {
        (void)mc_fail(MCOMP_DATA, x->name, "the checkpoint %s has no such tensor: it belongs to another model or other options", r->path);
        return mc_fail_hint("train with the options the checkpoint was written with, or start afresh without it");
    }
    const mc_json *j = mc_json_at(r->tensors, at);
    const uint64_t bytes = mc_tensor_bytes(x->t);
    if (!same_type(j, x->t)) return mc_fail(MCOMP_DATA, x->name, "the checkpoint %s has this tensor with another type or shape", r->path);
    if (!mc_json_int(mc_json_get(j, "offset"), &offset) || offset < 0 || (uint64_t)offset > r->bytes || bytes > r->bytes - (uint64_t)offset)
        return damaged(r->path, "it ends early");
    *from = r->data + offset;
    const char *want = mc_json_string(mc_json_get(j, "hash"));
    (void)hash_text(mc_hash64(*from, (size_t)bytes, 1), hash);
    return want && strcmp(want, hash) == 0 ? MCOMP_OK : damaged(r->path, "a tensor's checksum is wrong");
}

int32_t mc_checkpoint_read(const char *path, mc_json **state, int64_t n, mc_ckpt_item *items)
{
    int32_t st = MCOMP_OK;
    mc_mapping m = {0};
    mc_json *header = NULL;
    mc_str text = {0};
    reader r = {0};
    const uint8_t **from = mc_calloc((size_t)n + 1, sizeof *from);
    *state = NULL;
    if (!from) MC_TRY(MCOMP_NO_MEMORY);
    MC_TRY(mc_file_map(path, &m));
    MC_TRY(open_header(path, &m, &header, &r));
    for (int64_t i = 0; i < n; i++)
        if (items[i].t) MC_TRY(locate(&r, &items[i], &from[i]));
    MC_TRY(mc_json_dump(mc_json_get(header, "state"), &text)); /* a document of its own */
    MC_TRY(mc_json_parse(state, text.data, (uint64_t)text.len, path));
    for (int64_t i = 0; i < n; i++)
        if (items[i].t) memcpy(items[i].t->data, from[i], (size_t)mc_tensor_bytes(items[i].t));
done:
    mc_map_destroy(r.index);
    mc_json_destroy(header);
    mc_str_free(&text);
    mc_file_unmap(&m);
    mc_free(from);
    return st;
}
