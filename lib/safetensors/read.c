/* Opening: one file, or an index (model.safetensors.index.json) with its shards. Shards are names that a file gives, so they are
 * opened below the folder of the index and nowhere else; each tensor must be in the shard the index names, and nothing else. */
#include "safetensors/internal.h"

#include <fcntl.h>
#include <unistd.h>

#define MAX_INDEX ((uint64_t)16 << 20)
#define MAX_SHARDS 10000

static int ends(const char *text, const char *end)
{
    const size_t n = strlen(text), k = strlen(end);
    return n > k && strcmp(text + n - k, end) == 0;
}

static int is_index(const char *path) { return ends(path, ".index.json"); }

int mc_safetensors_is_name(const char *path) { return ends(path, ".safetensors") || ends(path, ".safetensors.index.json"); }

int mc_safetensors_is(const char *path)
{
    uint8_t head[9];
    if (mc_safetensors_is_name(path)) return 1;
    if (ends(path, ".onnx")) return 0;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    const ssize_t n = fd < 0 ? 0 : pread(fd, head, sizeof head, 0); /* fails on pipes */
    if (fd >= 0) close(fd);
    return n == 9 && head[4] == 0 && head[5] == 0 && head[6] == 0 && head[7] == 0 && head[8] == '{';
}

static int32_t create(mc_safetensors **out)
{
    mc_safetensors *s = mc_calloc(1, sizeof *s);
    *out = s;
    if (!s) return MCOMP_NO_MEMORY;
    s->arena = mc_arena_create();
    s->names = mc_map_create();
    return s->arena && s->names ? MCOMP_OK : MCOMP_NO_MEMORY;
}

void mc_safetensors_close(mc_safetensors *s)
{
    if (!s) return;
    for (int64_t i = 0; i < s->n_buffers; i++) mc_buffer_unref(s->buffer[i]);
    mc_free(s->buffer);
    mc_free(s->tensor);
    mc_free(s->meta);
    mc_map_destroy(s->names);
    mc_arena_destroy(s->arena);
    mc_free(s);
}

static int32_t check_size(const mc_safetensors *s, const mcomp_context *ctx, uint64_t bytes, const char *where)
{
    const uint64_t max = ctx ? ctx->options.max_model_bytes : (uint64_t)1 << 36;
    if (s->file_bytes <= max && bytes <= max - s->file_bytes) return MCOMP_OK;
    return mc_fail(MCOMP_LIMIT, where, "%llu bytes; max_model_bytes allows %llu", (unsigned long long)(s->file_bytes + bytes), (unsigned long long)max);
}

/* Closes fd. */
static int32_t file_in(mc_safetensors *s, mcomp_context *ctx, int fd, const char *where)
{
    int32_t st = MCOMP_OK;
    uint64_t bytes;
    mc_buffer *b;
    MC_TRY(mc_file_size_fd(fd, where, &bytes));
    MC_TRY(check_size(s, ctx, bytes, where));
    MC_TRY(mc_buffer_from_file(&b, fd, where, s->copy, UINT64_MAX));
    MC_TRY(mc_st_header_in(s, ctx, b, where)); /* takes b */
done:
    close(fd);
    return st;
}

/* ---- index ---- */

typedef struct shards {
    mc_safetensors *s;
    mcomp_context *ctx;
    const char *path;
    mc_map *wanted; /* tensor -> shard */
    mc_map *known;  /* shard -> number */
    int64_t n_shards, n_wanted;
} shards;

static int32_t open_shard(shards *h, const char *location)
{
    int fd;
    const char *why = h->n_shards >= MAX_SHARDS ? "there are more than 10000 shards" : mc_file_open_beneath(h->path, location, &fd);
    if (why) {
        (void)mc_fail(MCOMP_PATH, location, "%s: the shard is refused: %s", h->path, why);
        return mc_fail_hint("keep the shards as plain files in the folder of the index, without links (cp -L), and name them by a relative path");
    }
    return file_in(h->s, h->ctx, fd, location);
}

/* Opens each shard at its first mention and finds the tensor in it. */
static int32_t entry_in(void *payload, const char *key, const mc_json *value)
{
    int32_t st = MCOMP_OK;
    shards *h = payload;
    const char *location = mc_json_string(value);
    int64_t shard, at;
    if (!location || mc_json_has_nul(value)) MC_FAIL(location ? MCOMP_PATH : MCOMP_FORMAT, key, "%s: the shard is no name of a file", h->path);
    if (!mc_map_get(h->known, location, &shard)) {
        MC_TRY(open_shard(h, location));
        shard = h->n_shards++;
        MC_TRY(mc_map_put(h->known, location, shard));
    }
    if (!mc_map_get(h->s->names, key, &at) || h->s->tensor[at].buffer != h->s->buffer[shard])
        MC_FAIL(MCOMP_FORMAT, key, "%s: the tensor is not in the shard %s", h->path, location);
    h->n_wanted++;
    return mc_map_put(h->wanted, key, shard);
done:
    return st;
}

static int32_t index_in(mc_safetensors *s, mcomp_context *ctx, const char *path)
{
    int32_t st = MCOMP_OK;
    shards h = {.s = s, .ctx = ctx, .path = path, .wanted = mc_map_create(), .known = mc_map_create()};
    mc_json *j = NULL;
    char *text = NULL;
    uint64_t bytes = 0;
    if (!h.wanted || !h.known) MC_FAIL(MCOMP_NO_MEMORY, path, "no memory");
    MC_TRY(mc_file_read(path, MAX_INDEX, &text, &bytes));
    MC_TRY(mc_json_parse(&j, text, bytes, path));
    const mc_json *map = mc_json_get(j, "weight_map");
    if (!mc_json_is_object(map)) MC_FAIL(MCOMP_FORMAT, path, "no index of a safetensors model: it has no weight_map");
    MC_TRY(mc_json_each(map, entry_in, &h));
    for (int64_t i = 0; i < s->n && h.n_wanted != s->n; i++)
        if (!mc_map_get(h.wanted, s->tensor[i].name, NULL)) MC_FAIL(MCOMP_FORMAT, s->tensor[i].name, "%s: the tensor is in a shard, but not in the index", path);
    s->file_bytes += bytes;
done:
    mc_json_destroy(j);
    mc_free(text);
    mc_map_destroy(h.wanted);
    mc_map_destroy(h.known);
    return st;
}

/* ---- */

int32_t mc_safetensors_open(mc_safetensors **out, mcomp_context *ctx, const char *path, int32_t copy)
{
    int32_t st = MCOMP_OK;
    int fd;
    mc_safetensors *s = NULL;
    *out = NULL;
    MC_TRY(create(&s));
    s->copy = copy;
    if (is_index(path)) {
        MC_TRY(index_in(s, ctx, path));
    } else {
        MC_TRY(mc_file_open(path, &fd));
        MC_TRY(file_in(s, ctx, fd, path));
    }
    *out = s;
    s = NULL;
done:
    mc_safetensors_close(s);
    return st;
}

int32_t mc_safetensors_open_memory(mc_safetensors **out, mcomp_context *ctx, const void *data, uint64_t bytes)
{
    int32_t st = MCOMP_OK;
    mc_safetensors *s = NULL;
    *out = NULL;
    MC_TRY(create(&s));
    MC_TRY(check_size(s, ctx, bytes, "memory"));
    mc_buffer *b = mc_buffer_alloc(bytes);
    if (!b) MC_FAIL(MCOMP_NO_MEMORY, "memory", "no memory for the model");
    if (bytes) memcpy(mc_buffer_data(b), data, (size_t)bytes);
    MC_TRY(mc_st_header_in(s, ctx, b, "memory"));
    *out = s;
    s = NULL;
done:
    mc_safetensors_close(s);
    return st;
}

const mc_st_tensor *mc_safetensors_find(const mc_safetensors *s, const char *name)
{
    int64_t i;
    return mc_map_get(s->names, name, &i) ? &s->tensor[i] : NULL;
}

int32_t mc_safetensors_tensor(const mc_st_tensor *t, mc_tensor **out)
{
    return mc_tensor_from_buffer(out, t->dtype, &t->shape, t->buffer, t->offset);
}
