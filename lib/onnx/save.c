/* Saving: deterministic bytes, streamed (weights go from their mapping to the file), everything written beside the target
 * and renamed. With data beside the model, the data file is complete before the model that names it appears, and the data
 * file of the model that was replaced goes last: a reader never sees a mix. */
#include "onnx/save.h"

#include <mcomp/version.h>

#include <stdlib.h>

#define INSIDE_MAX ((uint64_t)1 << 30)      /* MCOMP_DATA_AUTO */
#define PROTOBUF_MAX (((uint64_t)1 << 31) - 1) /* a message cannot be larger */

typedef struct stream { /* protobuf-c's sink */
    ProtobufCBuffer base;
    mc_writer *w;
    int32_t st;
} stream;

static void stream_append(ProtobufCBuffer *b, size_t n, const uint8_t *data)
{
    stream *s = (stream *)b;
    if (s->st == MCOMP_OK) s->st = mc_writer_write(s->w, data, n);
}

static uint64_t weight_bytes(const mc_graph *g)
{
    uint64_t sum = 0;
    for (int64_t i = 0; i < g->n_values; i++)
        if (!g->values[i]->dead && g->values[i]->init) sum += mc_tensor_bytes(g->values[i]->init);
    for (int64_t i = 0; i < g->n_nodes; i++)
        for (int32_t k = 0; k < g->nodes[i]->n_attrs; k++)
            if (g->nodes[i]->attrs[k].graph) sum += weight_bytes(g->nodes[i]->attrs[k].graph);
    return sum;
}

static int by_key(const void *a, const void *b)
{
    const McOnnx__Entry *const *x = a, *const *y = b;
    return strcmp((*x)->key, (*y)->key);
}

static int32_t heads_out(mc_onnx_writer *w, const mc_graph *g, McOnnx__Model *m)
{
    m->has_ir_version = 1;
    m->ir_version = mc_onnx_ir_of(w->opset);
    m->producer_name = mc_onnx_copy(w, "libmcomp");
    m->producer_version = mc_onnx_copy(w, MCOMP_VERSION_STRING);
    m->opset_import = mc_arena_alloc(w->arena, sizeof *m->opset_import * ((size_t)g->n_opsets + 1));
    m->metadata_props = mc_arena_alloc(w->arena, sizeof *m->metadata_props * ((size_t)g->n_meta + 1));
    if (!m->producer_name || !m->producer_version || !m->opset_import || !m->metadata_props) return MCOMP_NO_MEMORY;
    for (int64_t i = -1; i < g->n_opsets; i++) {
        if (i >= 0 && !*g->opsets[i].domain) continue;
        McOnnx__Opset *o = mc_arena_alloc(w->arena, sizeof *o);
        if (!o) return MCOMP_NO_MEMORY;
        mc_onnx__opset__init(o);
        o->domain = i < 0 ? mc_onnx_copy(w, "") : g->opsets[i].domain;
        o->has_version = 1;
        o->version = i < 0 ? w->opset : g->opsets[i].version;
        m->opset_import[m->n_opset_import++] = o;
    }
    for (int64_t i = 0; i < g->n_meta; i++) {
        McOnnx__Entry *e = mc_arena_alloc(w->arena, sizeof *e);
        if (!e) return MCOMP_NO_MEMORY;
        mc_onnx__entry__init(e);
        e->key = g->meta[i].key;
        e->value = g->meta[i].value;
        m->metadata_props[m->n_metadata_props++] = e;
    }
    qsort(m->metadata_props, m->n_metadata_props, sizeof *m->metadata_props, by_key);
    return MCOMP_OK;
}

/* Domains of nodes that the file did not import (nodes made here). */
static int32_t import_domains(mc_graph *top, const mc_graph *g)
{
    int32_t st = MCOMP_OK;
    for (int64_t i = 0; i < g->n_nodes; i++) {
        const mc_node *n = g->nodes[i];
        if (n->dead) continue;
        if (*n->domain && mc_graph_opset(top, n->domain) == 0) {
            MC_TRY(mc_grow(&top->opsets, &top->cap_opsets, top->n_opsets + 1, sizeof *top->opsets));
            top->opsets[top->n_opsets] = (mc_opset){mc_strdup(n->domain), n->version > 0 ? n->version : 1};
            if (!top->opsets[top->n_opsets].domain) return MCOMP_NO_MEMORY;
            top->n_opsets++;
        }
        for (int32_t k = 0; k < n->n_attrs; k++)
            if (n->attrs[k].graph) MC_TRY(import_domains(top, n->attrs[k].graph));
    }
done:
    return st;
}

static int32_t sort_all(mc_graph *g)
{
    int32_t st = mc_graph_sort(g);
    for (int64_t i = 0; st == MCOMP_OK && i < g->n_nodes; i++)
        for (int32_t k = 0; st == MCOMP_OK && k < g->nodes[i]->n_attrs; k++)
            if (g->nodes[i]->attrs[k].graph) st = sort_all(g->nodes[i]->attrs[k].graph);
    return st;
}

static int32_t choose_opset(const mc_graph *g, const mcomp_save_options *o, int32_t *out)
{
    mc_onnx_needs needs = {0, NULL};
    mc_onnx_needs_of(g, &needs);
    *out = needs.opset;
    if (o->opset == 0) return mc_onnx_check_opaque(g, *out);
    if (o->opset > MC_ONNX_OPSET_MAX || o->opset < 7)
        return mc_fail(MCOMP_UNSUPPORTED, "opset", "opset %d; 7 to %d are supported", o->opset, MC_ONNX_OPSET_MAX);
    if (o->opset < needs.opset)
        return mc_fail(MCOMP_UNSUPPORTED, needs.because ? needs.because->name : "opset", "opset %d is too low: %s needs %d", o->opset,
                       needs.because ? needs.because->op : "every model written here", needs.opset);
    *out = o->opset;
    return mc_onnx_check_opaque(g, *out);
}

static int32_t write_model(const char *path, int32_t overwrite, McOnnx__Model *m)
{
    stream s = {{stream_append}, NULL, MCOMP_OK};
    int32_t st = mc_writer_open(&s.w, path, overwrite);
    if (st != MCOMP_OK) return st;
    (void)protobuf_c_message_pack_to_buffer(&m->base, &s.base);
    if (s.st == MCOMP_OK) return mc_writer_commit(s.w);
    mc_writer_abort(s.w);
    return s.st;
}

static int32_t run(mc_onnx_writer *w, mc_graph *g, const char *path, const mcomp_save_options *o)
{
    int32_t st = MCOMP_OK;
    mc_onnx_beside beside = {0};
    McOnnx__Model *m = mc_arena_alloc(w->arena, sizeof *m);
    if (!m) return MCOMP_NO_MEMORY;
    mc_onnx__model__init(m);
    MC_TRY(sort_all(g));
    MC_TRY(import_domains(g, g));
    MC_TRY(choose_opset(g, o, &w->opset));
    MC_TRY(mc_onnx_beside_plan(&beside, path));
    if (o->data == MCOMP_DATA_BESIDE || (o->data == MCOMP_DATA_AUTO && weight_bytes(g) > INSIDE_MAX)) w->location = beside.name;
    MC_TRY(mc_onnx_graph_out(w, g, NULL, &m->graph));
    MC_TRY(heads_out(w, g, m));
    if (w->n_side) MC_TRY(mc_onnx_beside_write(&beside, w));
    if (protobuf_c_message_get_packed_size(&m->base) > PROTOBUF_MAX) {
        (void)mc_fail(MCOMP_LIMIT, path, "the file would be larger than 2 GiB, which the format cannot hold");
        (void)mc_fail_hint("keep the weights beside the model (MCOMP_DATA_BESIDE)");
        st = MCOMP_LIMIT;
        goto done;
    }
    MC_TRY(write_model(path, o->overwrite, m));
    mc_onnx_beside_done(&beside, w->n_side > 0);
done:
    if (st != MCOMP_OK) mc_onnx_beside_undo(&beside);
    mc_onnx_beside_free(&beside);
    return st;
}

int32_t mc_onnx_save(const mc_graph *g, const char *path, const mcomp_save_options *options)
{
    int32_t st = MCOMP_OK;
    mc_graph *copy = NULL; /* the writer sorts; weights are shared */
    mc_onnx_writer w = {0};
    mcomp_save_options o = {.size = sizeof o};
    MC_TRY(mc_options_read(&o, sizeof o, options, "options"));
    if (o.shard_bytes) MC_FAIL(MCOMP_ARGUMENT, "shard_bytes", "an ONNX file has no shards; data chooses where the weights go");
    if (o.data < MCOMP_DATA_AUTO || o.data > MCOMP_DATA_BESIDE) MC_FAIL(MCOMP_ARGUMENT, "data", "%d is no way to keep weights", o.data);
    w.arena = mc_arena_create();
    w.taken = mc_map_create();
    if (!w.arena || !w.taken) MC_FAIL(MCOMP_NO_MEMORY, path, "no memory to write the model");
    MC_TRY(mc_graph_clone(&copy, g));
    MC_TRY(run(&w, copy, path, &o));
done:
    mc_graph_destroy(copy);
    mc_free(w.side);
    mc_map_destroy(w.taken);
    mc_arena_destroy(w.arena);
    return st;
}
