/* Writing shards: STEM-<hash8>-00001-of-00003.safetensors, and STEM.safetensors.index.json renamed into place last. The hash is of what
 * is written, so a new set never touches the files that the old index names; those go once the new index is there. */
#include "safetensors/save.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_INDEX ((uint64_t)16 << 20)
#define SUFFIX ".safetensors"

typedef struct names {
    const mc_st_output *o;
    char tag[9];
    char *stem;    /* file name without folder and ending */
    mc_str folder; /* with its slash, or empty */
    mc_str index;  /* path of the index */
    mc_str old;    /* shards of ours that the old index names, each with its NUL */
} names;

/* In layout order, each as full as it gets; a tensor larger than the limit has a shard of its own. */
static void cut(mc_st_output *o, uint64_t limit, char tag[9])
{
    uint64_t fill = 0, hash = 0;
    o->n_shards = 0;
    for (int64_t i = 0; i < o->n; i++) {
        const mc_tensor *t = o->items[i].t;
        const uint64_t bytes = mc_tensor_bytes(t);
        if (fill && (fill >= limit || bytes > limit - fill)) {
            o->n_shards++;
            fill = 0;
        }
        o->items[i].shard = o->n_shards;
        fill += bytes;
        hash = mc_hash64(o->items[i].name, strlen(o->items[i].name), hash ^ (uint64_t)o->n_shards);
        hash = mc_hash64(t->shape.dim, sizeof *t->shape.dim * (size_t)t->shape.rank, hash ^ (uint64_t)t->dtype);
        hash = mc_hash64(t->data, (size_t)bytes, hash);
    }
    if (o->n) o->n_shards++;
    for (int64_t i = 0; i < o->g->n_meta; i++) {
        const mc_graph_meta *m = &o->g->meta[i];
        hash += mc_hash64(m->value, strlen(m->value), mc_hash64(m->key, strlen(m->key), 1)); /* in any order */
    }
    snprintf(tag, 9, "%08x", (unsigned)(hash ^ hash >> 32));
}

static int32_t shard_name(const names *n, int64_t shard, mc_str *out)
{
    out->len = 0;
    return mc_str_appendf(out, "%s-%s-%05lld-of-%05lld" SUFFIX, n->stem, n->tag, (long long)shard + 1, (long long)n->o->n_shards);
}

static int32_t in_folder(const names *n, const char *name, mc_str *out)
{
    out->len = 0;
    const int32_t st = n->folder.len ? mc_str_append(out, n->folder.data) : MCOMP_OK;
    return st == MCOMP_OK ? mc_str_append(out, name) : st;
}

/* STEM-xxxxxxxx-ddddd-of-ddddd.safetensors, with another hash than ours? */
static int is_old(const names *n, const char *name)
{
    const size_t stem = strlen(n->stem), tail = strlen(SUFFIX);
    const size_t len = strlen(name);
    if (len < stem + 11 + tail || strncmp(name, n->stem, stem) != 0 || name[stem] != '-' || name[stem + 9] != '-') return 0;
    if (strncmp(name + stem + 1, n->tag, 8) == 0 || strcmp(name + len - tail, SUFFIX) != 0) return 0;
    for (size_t i = stem + 1; i < stem + 9; i++)
        if (!strchr("0123456789abcdef", name[i])) return 0;
    for (size_t i = stem + 10; i < len - tail; i++)
        if (!strchr("0123456789-of", name[i])) return 0;
    return 1;
}

static int32_t note_old(void *payload, const char *key, const mc_json *value)
{
    names *n = payload;
    const char *name = mc_json_string(value);
    (void)key;
    if (!name || !is_old(n, name)) return MCOMP_OK;
    for (int64_t at = 0; at < n->old.len; at += (int64_t)strlen(n->old.data + at) + 1)
        if (strcmp(n->old.data + at, name) == 0) return MCOMP_OK;
    return mc_str_append_bytes(&n->old, name, strlen(name) + 1);
}

/* An old index that cannot be read has no shards. */
static int32_t find_old(names *n)
{
    int32_t st = MCOMP_OK;
    char *text = NULL;
    uint64_t bytes;
    mc_json *j = NULL;
    if (mc_file_read(n->index.data, MAX_INDEX, &text, &bytes) != MCOMP_OK || mc_json_parse(&j, text, bytes, n->index.data) != MCOMP_OK) mc_error_clear();
    const mc_json *map = mc_json_get(j, "weight_map");
    if (mc_json_is_object(map)) st = mc_json_each(map, note_old, n);
    mc_json_destroy(j);
    mc_free(text);
    return st;
}

static void remove_old(const names *n)
{
    mc_str path = {0};
    for (int64_t at = 0; at < n->old.len; at += (int64_t)strlen(n->old.data + at) + 1)
        if (in_folder(n, n->old.data + at, &path) == MCOMP_OK) (void)unlink(path.data);
    mc_str_free(&path);
}

static int32_t names_in(names *n)
{
    int32_t st = MCOMP_OK;
    struct stat info;
    const char *path = n->o->path, *slash = strrchr(path, '/'), *file = slash ? slash + 1 : path;
    n->stem = mc_strndup(file, strlen(file) - strlen(SUFFIX));
    if (!n->stem) return MCOMP_NO_MEMORY;
    if (slash) MC_TRY(mc_str_append_bytes(&n->folder, path, (size_t)(file - path)));
    MC_TRY(mc_str_appendf(&n->index, "%s.index.json", path));
    if (lstat(n->index.data, &info) == 0 && S_ISLNK(info.st_mode)) /* the shards would be beside the link, and nobody would look there */
        MC_FAIL(MCOMP_PATH, n->index.data, "the index is a symbolic link; sharded sets are not written through links");
    MC_TRY(find_old(n));
done:
    return st;
}

static int32_t index_text(const names *n, mc_str *out)
{
    int32_t st = MCOMP_OK;
    uint64_t total = 0;
    mc_str name = {0};
    const mc_st_output *o = n->o;
    for (int64_t i = 0; i < o->n; i++) total += mc_tensor_bytes(o->items[i].t);
    MC_TRY(mc_str_appendf(out, "{\"metadata\":{\"total_size\":%llu},\"weight_map\":{", (unsigned long long)total));
    for (int64_t i = 0; i < o->n; i++) {
        MC_TRY(shard_name(n, o->items[i].shard, &name));
        MC_TRY(mc_str_append(out, i ? ",\n" : "\n"));
        MC_TRY(mc_st_quote(out, o->items[i].name, "name of a tensor"));
        MC_TRY(mc_str_append(out, ":"));
        MC_TRY(mc_st_quote(out, name.data, "name of a shard"));
    }
    MC_TRY(mc_str_append(out, "\n}}\n"));
    if ((uint64_t)out->len > MAX_INDEX) st = mc_fail(MCOMP_LIMIT, o->path, "the index would have %lld bytes", (long long)out->len);
done:
    mc_str_free(&name);
    return st;
}

int32_t mc_st_shards_out(mc_st_output *o, uint64_t limit)
{
    int32_t st = MCOMP_OK;
    names n = {.o = o};
    mc_str text = {0}, name = {0}, path = {0};
    mc_writer *w = NULL;
    cut(o, limit, n.tag);
    MC_TRY(names_in(&n));
    MC_TRY(index_text(&n, &text));
    MC_TRY(mc_writer_open(&w, n.index.data, o->overwrite)); /* refuses before anything large is written */
    for (int64_t i = 0; i < o->n_shards; i++) {
        MC_TRY(shard_name(&n, i, &name));
        MC_TRY(in_folder(&n, name.data, &path));
        MC_TRY(mc_st_file_out(o, i, path.data, 1)); /* a file of this name has these bytes */
    }
    MC_TRY(mc_writer_write(w, text.data, (uint64_t)text.len));
    st = mc_writer_commit(w);
    w = NULL;
    if (st == MCOMP_OK) remove_old(&n);
done:
    mc_writer_abort(w);
    mc_free(n.stem);
    mc_str_free(&n.folder);
    mc_str_free(&n.index);
    mc_str_free(&n.old);
    mc_str_free(&text);
    mc_str_free(&name);
    mc_str_free(&path);
    return st;
}
