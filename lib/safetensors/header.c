/* The header of one file, hostile until proven otherwise. The top-level object is cut into its members here and each is parsed on
 * its own, so that memory stays in proportion to what is kept and not to a JSON tree of 100 MB; what a member says is the JSON
 * parser's business. Data must be covered exactly: no overlap, no hole, nothing behind (a file cannot be two things at once). */
#include "safetensors/internal.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_DEPTH 8

/* In the reference's order: ascending alignment. */
static const struct {
    const char *name;
    int32_t dtype;
} dtypes[] = {{"BOOL", MCOMP_BOOL}, {"U8", MCOMP_U8},   {"I8", MCOMP_I8},   {"I16", MCOMP_I16}, {"U16", MCOMP_U16}, {"F16", MCOMP_F16}, {"BF16", MCOMP_BF16},
              {"I32", MCOMP_I32},   {"U32", MCOMP_U32}, {"F32", MCOMP_F32}, {"F64", MCOMP_F64}, {"I64", MCOMP_I64}, {"U64", MCOMP_U64}};
enum { N_DTYPES = sizeof dtypes / sizeof *dtypes };
/* In the format, but not here. */
static const char *const foreign[] = {"F4", "F6_E2M3", "F6_E3M2", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "C64"};

int32_t mc_st_dtype_of(const char *name)
{
    for (int32_t i = 0; i < N_DTYPES; i++)
        if (strcmp(dtypes[i].name, name) == 0) return dtypes[i].dtype;
    return MCOMP_UNDEFINED;
}

int32_t mc_st_dtype_order(int32_t dtype)
{
    for (int32_t i = 0; i < N_DTYPES; i++)
        if (dtypes[i].dtype == dtype) return i;
    return -1;
}

const char *mc_st_dtype_name(int32_t dtype)
{
    const int32_t i = mc_st_dtype_order(dtype);
    return i < 0 ? NULL : dtypes[i].name;
}

typedef struct header {
    mc_safetensors *s;
    const char *where;
    const char *base, *p, *end; /* text of the JSON */
    mc_buffer *buffer;
    uint64_t data_at; /* offset of the data in the file */
    int64_t first;    /* index of the file's first tensor in s */
    int64_t max_tensors;
    mc_str piece;     /* {member} */
    char at[640];     /* where, for messages about a member */
} header;

static int32_t bad(const header *h, const char *at, const char *why)
{
    return mc_fail(MCOMP_FORMAT, h->where, "the header is no JSON object of tensors: %s at byte %llu", why, (unsigned long long)(8 + (at - h->base)));
}

static const char *skip_space(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')) p++;
    return p;
}

/* Behind the string that starts at p, or NULL. */
static const char *skip_string(const char *p, const char *end, int *nul)
{
    for (p++; p < end; p++) {
        if (*p == '"') return p + 1;
        if (*p == '\\' && end - p > 5 && memcmp(p, "\\u0000", 6) == 0) *nul = 1;
        if (*p == '\\') p++;
    }
    return NULL;
}

/* Cuts the next member off: h->p is behind '{' or ','. *stop is the ',' or '}' behind the member. */
static int32_t next_member(header *h, const char **stop)
{
    int depth = 0, nul = 0;
    const char *p = h->p;
    while (p < h->end) {
        const char c = *p;
        if (c == '"') {
            const char *next = skip_string(p, h->end, &nul);
            if (!next) return bad(h, p, "a string that does not end");
            if (nul) return bad(h, p, "a string with a NUL character");
            p = next;
            continue;
        }
        if (depth == 0 && (c == ',' || c == '}')) {
            *stop = p;
            return MCOMP_OK;
        }
        if (c == '-') return bad(h, p, "a negative number");
        if (c == '[' || c == '{') {
            if (++depth > MAX_DEPTH) return mc_fail(MCOMP_LIMIT, h->where, "the header is nested deeper than %d levels at byte %llu", MAX_DEPTH, (unsigned long long)(8 + (p - h->base)));
        } else if (c == ']' || c == '}') {
            depth--;
        }
        p++;
    }
    return bad(h, h->end, "the end of the text comes too early");
}

int32_t mc_st_add_meta(mc_safetensors *s, const char *key, const char *value)
{
    int32_t st = MCOMP_OK;
    MC_TRY(mc_grow(&s->meta, &s->cap_meta, s->n_meta + 1, sizeof *s->meta));
    mc_graph_meta *m = &s->meta[s->n_meta];
    m->key = mc_arena_strdup(s->arena, key);
    m->value = mc_arena_strdup(s->arena, value);
    if (!m->key || !m->value) return MCOMP_NO_MEMORY;
    s->n_meta++;
done:
    return st;
}

static int32_t meta_in(void *payload, const char *key, const mc_json *value)
{
    header *h = payload;
    const char *text = mc_json_string(value);
    if (!text) return mc_fail(MCOMP_FORMAT, h->at, "__metadata__: \"%s\" is no string", key);
    for (int64_t i = 0; h->first > 0 && i < h->s->n_meta; i++) /* shards repeat their metadata; the first one counts */
        if (strcmp(h->s->meta[i].key, key) == 0) return MCOMP_OK;
    if (h->s->n_meta >= 10000) return mc_fail(MCOMP_LIMIT, h->at, "more than 10000 metadata entries");
    return mc_st_add_meta(h->s, key, text);
}

static int32_t shape_in(const header *h, const mc_json *j, const char *name, mc_shape *out)
{
    const int64_t n = mc_json_size(j);
    if (!mc_json_is_array(j)) return mc_fail(MCOMP_FORMAT, name, "%s: shape is no list", h->at);
    if (n > MC_MAX_RANK) return mc_fail(MCOMP_LIMIT, name, "%s: %lld axes; %d are supported", h->at, (long long)n, MC_MAX_RANK);
    *out = (mc_shape){.rank = (int32_t)n};
    for (int64_t i = 0; i < n; i++)
        if (!mc_json_int(mc_json_at(j, i), &out->dim[i]) || out->dim[i] < 0) return mc_fail(MCOMP_FORMAT, name, "%s: axis %lld of the shape is no size", h->at, (long long)i);
    return MCOMP_OK;
}

static int32_t dtype_in(const header *h, const mc_json *j, const char *name, int32_t *out)
{
    const char *text = mc_json_string(j);
    if (!text) return mc_fail(MCOMP_FORMAT, name, "%s: dtype is no string", h->at);
    *out = mc_st_dtype_of(text);
    if (*out) return MCOMP_OK;
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        if (strcmp(foreign[i], text) == 0)
            return mc_fail(MCOMP_UNSUPPORTED, name, "%s: the element type %s is not supported", h->at, text);
    return mc_fail(MCOMP_FORMAT, name, "%s: \"%s\" is no element type", h->at, text);
}

static int32_t tensor_in(header *h, const char *name, const mc_json *value)
{
    int32_t st = MCOMP_OK;
    mc_safetensors *s = h->s;
    const mc_json *offsets = mc_json_get(value, "data_offsets");
    mc_st_tensor t = {.buffer = h->buffer};
    int64_t begin, end;
    uint64_t bytes;
    if (!*name) MC_FAIL(MCOMP_FORMAT, h->at, "a tensor without a name");
    if (s->n >= h->max_tensors) MC_FAIL(MCOMP_LIMIT, h->at, "more than %lld tensors", (long long)h->max_tensors);
    MC_TRY(dtype_in(h, mc_json_get(value, "dtype"), name, &t.dtype));
    MC_TRY(shape_in(h, mc_json_get(value, "shape"), name, &t.shape));
    if (mc_json_size(offsets) != 2 || !mc_json_int(mc_json_at(offsets, 0), &begin) || !mc_json_int(mc_json_at(offsets, 1), &end) || begin < 0 || end < begin)
        MC_FAIL(MCOMP_FORMAT, name, "%s: data_offsets is no pair of offsets in order", h->at);
    if (mc_size_bytes(t.dtype, &t.shape, &bytes) != MCOMP_OK) {
        mc_error_clear();
        MC_FAIL(MCOMP_FORMAT, name, "%s: the size that the shape gives overflows", h->at);
    }
    if (bytes != (uint64_t)(end - begin))
        MC_FAIL(MCOMP_FORMAT, name, "%s: %lld bytes of data, the shape needs %llu", h->at, (long long)(end - begin), (unsigned long long)bytes);
    if ((uint64_t)end > mc_buffer_bytes(h->buffer) - h->data_at)
        MC_FAIL(MCOMP_FORMAT, name, "%s: the data ends at %lld, %llu bytes of data are in the file", h->at, (long long)end,
                (unsigned long long)(mc_buffer_bytes(h->buffer) - h->data_at));
    t.offset = h->data_at + (uint64_t)begin;
    t.bytes = bytes;
    t.name = mc_arena_strdup(s->arena, name);
    if (!t.name) return MCOMP_NO_MEMORY;
    MC_TRY(mc_grow(&s->tensor, &s->cap, s->n + 1, sizeof *s->tensor));
    MC_TRY(mc_map_put(s->names, name, s->n));
    s->tensor[s->n++] = t;
done:
    return st;
}

static int32_t member_in(header *h, const char *from, const char *to, int *has_meta)
{
    int32_t st = MCOMP_OK;
    mc_json *j = NULL;
    h->piece.len = 0;
    snprintf(h->at, sizeof h->at, "%.560s: header at byte %llu", h->where, (unsigned long long)(8 + (from - h->base)));
    MC_TRY(mc_str_append_bytes(&h->piece, "{", 1));
    MC_TRY(mc_str_append_bytes(&h->piece, from, (size_t)(to - from)));
    MC_TRY(mc_str_append_bytes(&h->piece, "}", 1));
    MC_TRY(mc_json_parse(&j, h->piece.data, (uint64_t)h->piece.len, h->at));
    if (mc_json_size(j) != 1) MC_FAIL(MCOMP_FORMAT, h->at, "a member is empty");
    const char *key = mc_json_key_at(j, 0);
    const mc_json *value = mc_json_get(j, key);
    if (strcmp(key, "__metadata__") == 0) {
        if ((*has_meta)++) MC_FAIL(MCOMP_FORMAT, h->at, "__metadata__ is there twice");
        if (!mc_json_is_object(value)) MC_FAIL(MCOMP_FORMAT, h->at, "__metadata__ is no object");
        MC_TRY(mc_json_each(value, meta_in, h));
    } else {
        if (mc_map_get(h->s->names, key, NULL)) MC_FAIL(MCOMP_FORMAT, key, "%s: the tensor is there twice", h->at);
        if (!mc_json_is_object(value)) MC_FAIL(MCOMP_FORMAT, key, "%s: the value is no object", h->at);
        MC_TRY(tensor_in(h, key, value));
    }
done:
    mc_json_destroy(j);
    return st;
}

/* Before anything is parsed or kept: how many there are. */
static int32_t count_members(header *h)
{
    int32_t st = MCOMP_OK;
    const char *const first = h->p, *stop;
    int64_t n = 0;
    do {
        MC_TRY(next_member(h, &stop));
        if (++n > h->max_tensors + 1) MC_FAIL(MCOMP_LIMIT, h->where, "more than %lld tensors", (long long)h->max_tensors);
        h->p = stop + 1;
    } while (*stop == ',');
done:
    h->p = first;
    return st;
}

static int32_t members_in(header *h)
{
    int32_t st = MCOMP_OK;
    int has_meta = 0;
    const char *stop = h->base;
    h->p = skip_space(h->base + 1, h->end);
    if (h->p < h->end && *h->p == '}') {
        stop = h->p;
    } else {
        MC_TRY(count_members(h));
        do {
            MC_TRY(next_member(h, &stop));
            MC_TRY(member_in(h, h->p, stop, &has_meta));
            h->p = stop + 1;
        } while (*stop == ',');
    }
    const char *rest = skip_space(stop + 1, h->end);
    if (rest != h->end) st = bad(h, rest, "text behind the object");
done:
    return st;
}

static int by_offset(const void *a, const void *b)
{
    const mc_st_tensor *const *x = a, *const *y = b;
    if ((*x)->offset != (*y)->offset) return (*x)->offset < (*y)->offset ? -1 : 1;
    return (*x)->bytes < (*y)->bytes ? -1 : (*x)->bytes > (*y)->bytes;
}

/* The tensors of this file lie one behind the other, from the first byte of the data to the last. */
static int32_t check_cover(const header *h)
{
    int32_t st = MCOMP_OK;
    uint64_t at = h->data_at;
    const mc_safetensors *s = h->s;
    const int64_t n = s->n - h->first;
    const mc_st_tensor **order = mc_malloc(sizeof *order * (size_t)(n + 1));
    if (!order) return MCOMP_NO_MEMORY;
    for (int64_t i = 0; i < n; i++) order[i] = &s->tensor[h->first + i];
    qsort(order, (size_t)n, sizeof *order, by_offset);
    for (int64_t i = 0; i < n; i++) {
        const mc_st_tensor *t = order[i];
        if (t->offset != at)
            MC_FAIL(MCOMP_FORMAT, t->name, "%s: the data %s at byte %llu of the data", h->where, t->offset < at ? "overlaps that of another tensor" : "leaves a hole in front",
                    (unsigned long long)(t->offset - h->data_at));
        at += t->bytes;
    }
    if (at != mc_buffer_bytes(h->buffer))
        MC_FAIL(MCOMP_FORMAT, h->where, "%llu bytes at the end of the file belong to no tensor", (unsigned long long)(mc_buffer_bytes(h->buffer) - at));
done:
    mc_free(order);
    return st;
}

int32_t mc_st_header_in(mc_safetensors *s, mcomp_context *ctx, mc_buffer *b, const char *where)
{
    int32_t st = MCOMP_OK;
    header h = {.s = s, .where = where, .buffer = b, .first = s->n, .max_tensors = MC_ST_MAX_TENSORS};
    const uint8_t *data = mc_buffer_data(b);
    const uint64_t bytes = mc_buffer_bytes(b);
    uint64_t n = 0;
    st = mc_grow(&s->buffer, &s->cap_buffers, s->n_buffers + 1, sizeof *s->buffer);
    if (st != MCOMP_OK) {
        mc_buffer_unref(b);
        return st;
    }
    s->buffer[s->n_buffers++] = b;
    s->file_bytes += bytes;
    if (ctx && ctx->options.max_nodes < h.max_tensors) h.max_tensors = ctx->options.max_nodes;
    if (bytes < 8) MC_FAIL(MCOMP_FORMAT, where, "no safetensors file: %llu bytes; the length of the header alone takes 8", (unsigned long long)bytes);
    for (int i = 0; i < 8; i++) n |= (uint64_t)data[i] << 8 * i;
    if (n > bytes - 8) MC_FAIL(MCOMP_FORMAT, where, "no safetensors file: a header of %llu bytes in a file of %llu", (unsigned long long)n, (unsigned long long)bytes);
    if (n > MC_ST_MAX_HEADER) MC_FAIL(MCOMP_LIMIT, where, "a header of %llu bytes; %u are allowed", (unsigned long long)n, MC_ST_MAX_HEADER);
    if (n < 2 || data[8] != '{') MC_FAIL(MCOMP_FORMAT, where, "no safetensors file: the header does not start with '{'");
    h.base = (const char *)data + 8;
    h.end = h.base + n;
    h.data_at = 8 + n;
    MC_TRY(members_in(&h));
    MC_TRY(check_cover(&h));
done:
    mc_str_free(&h.piece);
    return st;
}
