/* Writing one file. The layout is the reference's, byte for byte: tensors by falling alignment and then by name, the header padded
 * with spaces to 8 bytes. */
#include "safetensors/save.h"

#include <stdlib.h>

int32_t mc_st_quote(mc_str *out, const char *text, const char *what)
{
    mc_json *j = mc_json_new_string(text);
    int32_t st = j ? MCOMP_OK : mc_fail(MCOMP_NO_MEMORY, text, "no memory");
    if (j && strcmp(mc_json_string(j), text) != 0) st = mc_fail(MCOMP_UNSUPPORTED, text, "the %s is no UTF-8 text, which the format needs", what);
    if (st == MCOMP_OK) st = mc_json_dump(j, out);
    mc_json_destroy(j);
    return st;
}

static int32_t add(mc_st_output *o, const char *name, const mc_tensor *t)
{
    int32_t st = MCOMP_OK;
    if (!mc_st_dtype_name(t->dtype)) MC_FAIL(MCOMP_UNSUPPORTED, name, "%s has no place in a safetensors file written here", mc_dtype_name(t->dtype));
    if (strcmp(name, "__metadata__") == 0) MC_FAIL(MCOMP_UNSUPPORTED, name, "a tensor cannot have this name in a safetensors file");
    MC_TRY(mc_map_put(o->taken, name, o->n));
    MC_TRY(mc_grow(&o->items, &o->cap, o->n + 1, sizeof *o->items));
    o->items[o->n++] = (mc_st_item){.name = name, .t = t, .order = mc_st_dtype_order(t->dtype)};
done:
    return st;
}

/* Constants of subgraphs keep their names where they are free; otherwise the node's comes in front. */
static int32_t collect(mc_st_output *o, const mc_graph *g, const char *owner)
{
    int32_t st = MCOMP_OK;
    for (int64_t i = 0; i < g->n_values; i++) {
        const mc_value *v = g->values[i];
        const char *name = v->name;
        mc_str made = {0};
        if (v->dead || !v->init) continue;
        for (int64_t k = 0; mc_map_get(o->taken, name, NULL); k++) {
            mc_str_free(&made);
            MC_TRY(k ? mc_str_appendf(&made, "%s/%s_%lld", owner, v->name, (long long)k) : mc_str_appendf(&made, "%s/%s", owner, v->name));
            name = made.data;
        }
        if (made.data) name = mc_arena_strdup(o->arena, made.data);
        mc_str_free(&made);
        if (!name) return MCOMP_NO_MEMORY;
        MC_TRY(add(o, name, v->init));
    }
    for (int64_t i = 0; i < g->n_nodes; i++)
        for (int32_t k = 0; !g->nodes[i]->dead && k < g->nodes[i]->n_attrs; k++)
            if (g->nodes[i]->attrs[k].graph) MC_TRY(collect(o, g->nodes[i]->attrs[k].graph, g->nodes[i]->name));
done:
    return st;
}

static int by_layout(const void *a, const void *b)
{
    const mc_st_item *x = a, *y = b;
    return x->order != y->order ? y->order - x->order : strcmp(x->name, y->name);
}

static int meta_by_key(const void *a, const void *b)
{
    const mc_graph_meta *const *x = a, *const *y = b;
    return strcmp((*x)->key, (*y)->key);
}

/* Loaders of the field refuse files without "format"; "pt" says that the names and axes are as PyTorch has them. */
static int32_t meta_out(const mc_graph *g, mc_str *out)
{
    int32_t st = MCOMP_OK;
    const mc_graph_meta format = {(char *)(uintptr_t) "format", (char *)(uintptr_t) "pt"};
    const mc_graph_meta **order = mc_malloc(sizeof *order * ((size_t)g->n_meta + 1));
    int64_t n = 0;
    if (!order) return MCOMP_NO_MEMORY;
    for (int64_t i = 0; i < g->n_meta; i++) order[n++] = &g->meta[i];
    if (!mc_graph_get_meta(g, "format")) order[n++] = &format;
    qsort(order, (size_t)n, sizeof *order, meta_by_key);
    MC_TRY(mc_str_append(out, "{\"__metadata__\":{"));
    for (int64_t i = 0; i < n; i++) {
        if (i) MC_TRY(mc_str_append(out, ","));
        MC_TRY(mc_st_quote(out, order[i]->key, "metadata key"));
        MC_TRY(mc_str_append(out, ":"));
        MC_TRY(mc_st_quote(out, order[i]->value, "metadata"));
    }
    MC_TRY(mc_str_append(out, "}"));
done:
    mc_free(order);
    return st;
}

static int32_t header_out(const mc_st_output *o, int64_t shard, mc_str *out)
{
    int32_t st = MCOMP_OK;
    uint64_t at = 0;
    MC_TRY(meta_out(o->g, out));
    for (int64_t i = 0; i < o->n; i++) {
        const mc_st_item *t = &o->items[i];
        if (t->shard != shard) continue;
        MC_TRY(mc_str_append(out, ","));
        MC_TRY(mc_st_quote(out, t->name, "name of a tensor"));
        MC_TRY(mc_str_appendf(out, ":{\"dtype\":\"%s\",\"shape\":[", mc_st_dtype_name(t->t->dtype)));
        for (int32_t k = 0; k < t->t->shape.rank; k++) MC_TRY(mc_str_appendf(out, "%s%lld", k ? "," : "", (long long)t->t->shape.dim[k]));
        MC_TRY(mc_str_appendf(out, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)at, (unsigned long long)(at + mc_tensor_bytes(t->t))));
        at += mc_tensor_bytes(t->t);
    }
    MC_TRY(mc_str_append(out, "}"));
    while (out->len % 8) MC_TRY(mc_str_append(out, " "));
    if (out->len > (int64_t)MC_ST_MAX_HEADER) st = mc_fail(MCOMP_LIMIT, o->path, "the header would have %lld bytes; the format allows %u", (long long)out->len, MC_ST_MAX_HEADER);
done:
    return st;
}

int32_t mc_st_file_out(const mc_st_output *o, int64_t shard, const char *path, int32_t overwrite)
{
    int32_t st = MCOMP_OK;
    mc_str head = {0};
    mc_writer *w = NULL;
    uint8_t length[8];
    MC_TRY(header_out(o, shard, &head));
    MC_TRY(mc_writer_open(&w, path, overwrite));
    for (int i = 0; i < 8; i++) length[i] = (uint8_t)((uint64_t)head.len >> 8 * i);
    MC_TRY(mc_writer_write(w, length, 8));
    MC_TRY(mc_writer_write(w, head.data, (uint64_t)head.len));
    for (int64_t i = 0; i < o->n; i++)
        if (o->items[i].shard == shard) MC_TRY(mc_writer_write(w, o->items[i].t->data, mc_tensor_bytes(o->items[i].t)));
    st = mc_writer_commit(w);
    w = NULL;
done:
    mc_writer_abort(w);
    mc_str_free(&head);
    return st;
}

int32_t mc_safetensors_save(const mc_graph *g, const char *path, const mcomp_save_options *options)
{
    int32_t st = MCOMP_OK;
    mcomp_save_options s = {.size = sizeof s};
    mc_st_output o = {.path = path, .g = g};
    MC_TRY(mc_options_read(&s, sizeof s, options, "options"));
    if (s.opset || s.data) MC_FAIL(MCOMP_ARGUMENT, s.opset ? "opset" : "data", "a safetensors file has no operators and no data beside it");
    if (!mc_safetensors_is_name(path) || strlen(path) < 13 || strcmp(path + strlen(path) - 12, ".safetensors") != 0)
        MC_FAIL(MCOMP_ARGUMENT, path, "the name of a safetensors file ends in .safetensors (the index of a sharded one is made from it)");
    o.overwrite = s.overwrite;
    o.taken = mc_map_create();
    o.arena = mc_arena_create();
    if (!o.taken || !o.arena) MC_FAIL(MCOMP_NO_MEMORY, path, "no memory to write the file");
    MC_TRY(collect(&o, g, "graph"));
    if (o.n) qsort(o.items, (size_t)o.n, sizeof *o.items, by_layout);
    st = s.shard_bytes ? mc_st_shards_out(&o, s.shard_bytes) : mc_st_file_out(&o, 0, path, o.overwrite);
done:
    mc_map_destroy(o.taken);
    mc_arena_destroy(o.arena);
    mc_free(o.items);
    return st;
}
