/* Loading: map, pre-pass, unpack, check versions, import, bring operators to their internal form, infer types. */
#include "onnx/internal.h"

#include <unistd.h>

static void *arena_alloc(void *arena, size_t n) { return mc_arena_alloc(arena, n); }
static void arena_free(void *arena, void *p)
{
    (void)arena; /* everything goes with the arena */
    (void)p;
}

static void file_close(mc_onnx_file *f)
{
    for (int64_t i = 0; i < f->n_externals; i++) {
        mc_free(f->externals[i].location);
        mc_buffer_unref(f->externals[i].buffer);
    }
    mc_free(f->externals);
    mc_buffer_unref(f->buffer);
    mc_arena_destroy(f->arena);
}

static int32_t file_init(mc_onnx_file *f, mcomp_context *ctx, const char *path, const char *where)
{
    *f = (mc_onnx_file){.ctx = ctx, .path = path, .where = where};
    f->max_bytes = ctx ? ctx->options.max_model_bytes : (uint64_t)1 << 36;
    f->copy_budget = (uint64_t)8 << 20;
    f->arena = mc_arena_create();
    mc_ops_register();
    return f->arena ? MCOMP_OK : MCOMP_NO_MEMORY;
}

static int32_t file_open(mc_onnx_file *f)
{
    int fd;
    int32_t st = mc_file_open(f->path, &fd);
    if (st != MCOMP_OK) return st;
    st = mc_buffer_from_file(&f->buffer, fd, f->where, f->copy, f->max_bytes);
    close(fd);
    return st;
}

/* Skeleton and unpacked message of the mapped file; opens external data. */
static int32_t file_unpack(mc_onnx_file *f, int32_t root, const ProtobufCMessageDescriptor *what, ProtobufCMessage **out)
{
    int32_t st = MCOMP_OK;
    mc_onnx_skeleton sk = {0};
    ProtobufCAllocator a = {arena_alloc, arena_free, f->arena};
    const uint64_t bytes = mc_buffer_bytes(f->buffer);
    const int64_t max_nodes = f->ctx ? f->ctx->options.max_nodes : 1000000;
    if (bytes == 0) MC_FAIL(MCOMP_FORMAT, f->where, "the file is empty");
    if (bytes > f->max_bytes) MC_FAIL(MCOMP_LIMIT, f->where, "%llu bytes; max_model_bytes allows %llu", (unsigned long long)bytes, (unsigned long long)f->max_bytes);
    f->external_bytes = bytes;
    MC_TRY(mc_onnx_skeleton_make(&sk, mc_buffer_data(f->buffer), bytes, root, max_nodes, f->where));
    MC_TRY(mc_onnx_external_open_all(f, &sk.locations));
    *out = protobuf_c_message_unpack(what, &a, (size_t)sk.bytes.len, (const uint8_t *)mc_onnx_text(sk.bytes.data));
    if (!*out) st = mc_error_peek()->code == MCOMP_NO_MEMORY ? MCOMP_NO_MEMORY : mc_fail(MCOMP_FORMAT, f->where, "a message cannot be decoded");
done:
    mc_onnx_skeleton_free(&sk);
    return st;
}

/* Is there any node of the default domain? */
static int uses_default(const McOnnx__Graph *g)
{
    for (size_t i = 0; i < g->n_node; i++) {
        const McOnnx__Node *n = g->node[i];
        const char *d = mc_onnx_text(n->domain);
        if (!*d || strcmp(d, "ai.onnx") == 0) return 1;
        for (size_t k = 0; k < n->n_attribute; k++)
            if (n->attribute[k]->g && uses_default(n->attribute[k]->g)) return 1;
    }
    return 0;
}

static int32_t check_model(const mc_onnx_file *f, int64_t *opset)
{
    const McOnnx__Model *m = f->model;
    int found = 0;
    *opset = 0;
    if (!m->graph) return mc_fail(MCOMP_FORMAT, f->where, "no ONNX model: there is no graph in it");
    if (!m->has_ir_version) return mc_fail(MCOMP_FORMAT, f->where, "no ONNX model: the IR version is missing");
    if (m->ir_version < MC_ONNX_IR_MIN || m->ir_version > MC_ONNX_IR_MAX)
        return mc_fail(MCOMP_UNSUPPORTED, f->where, "IR version %lld; %d to %d are supported", (long long)m->ir_version, MC_ONNX_IR_MIN, MC_ONNX_IR_MAX);
    for (size_t i = 0; i < m->n_opset_import; i++) {
        const char *d = mc_onnx_text(m->opset_import[i]->domain);
        if (*d && strcmp(d, "ai.onnx") != 0) continue;
        if (found && *opset != m->opset_import[i]->version) return mc_fail(MCOMP_FORMAT, f->where, "the default operator set is imported in two versions");
        *opset = m->opset_import[i]->version;
        found = 1;
    }
    if (!found && uses_default(m->graph))
        return mc_fail(MCOMP_UNSUPPORTED, f->where, "the model does not say which operator set it uses; 7 to %d are supported", MC_ONNX_OPSET_MAX);
    if (found && (*opset < MC_ONNX_OPSET_MIN || *opset > MC_ONNX_OPSET_MAX)) {
        (void)mc_fail(MCOMP_UNSUPPORTED, f->where, "operator set (opset) %lld; 7 to %d are supported", (long long)*opset, MC_ONNX_OPSET_MAX);
        return mc_fail_hint("convert the model to a supported opset, for example with onnx.version_converter");
    }
    return MCOMP_OK;
}

static int32_t heads_in(const mc_onnx_file *f, mc_graph *g)
{
    int32_t st = MCOMP_OK;
    const McOnnx__Model *m = f->model;
    mc_str producer = {0};
    g->ir_version = m->ir_version;
    if (m->n_metadata_props > 10000) MC_FAIL(MCOMP_LIMIT, f->where, "more than 10000 metadata properties");
    for (size_t i = 0; i < m->n_metadata_props; i++)
        MC_TRY(mc_graph_set_meta(g, mc_onnx_text(m->metadata_props[i]->key), mc_onnx_text(m->metadata_props[i]->value)));
    MC_TRY(mc_grow(&g->opsets, &g->cap_opsets, (int64_t)m->n_opset_import, sizeof *g->opsets));
    for (size_t i = 0; i < m->n_opset_import; i++) {
        const char *d = mc_onnx_text(m->opset_import[i]->domain);
        g->opsets[i].version = m->opset_import[i]->version;
        g->opsets[i].domain = mc_strdup(strcmp(d, "ai.onnx") == 0 ? "" : d);
        g->n_opsets++;
        if (!g->opsets[i].domain) MC_FAIL(MCOMP_NO_MEMORY, f->where, "no memory");
    }
    if (m->producer_name && *m->producer_name) {
        MC_TRY(mc_str_append(&producer, m->producer_name));
        if (m->producer_version && *m->producer_version) MC_TRY(mc_str_appendf(&producer, " %s", m->producer_version));
        g->producer = producer.data;
        producer.data = NULL;
    }
    if (f->path && !(g->source_path = mc_strdup(f->path))) st = MCOMP_NO_MEMORY;
done:
    mc_str_free(&producer);
    return st;
}

/* Types stated for the graph's outputs help where inference gave nothing. */
static int32_t adopt_outputs(const mc_onnx_file *f, mc_graph *g)
{
    int32_t st = MCOMP_OK;
    mc_type type;
    for (int64_t i = 0; i < g->n_outputs && i < (int64_t)f->model->graph->n_output; i++) {
        mc_value *v = g->outputs[i];
        if (v->type.rank >= 0 && v->type.dtype) continue;
        MC_TRY(mc_onnx_type_in(g, f->model->graph->output[i]->type, v->name, &type));
        if (!v->type.dtype) v->type.dtype = type.dtype;
        if (v->type.rank < 0) v->type = (mc_type){.dtype = v->type.dtype, .rank = type.rank};
        for (int32_t k = 0; k < type.rank; k++) v->type.dim[k] = type.dim[k];
    }
done:
    return st;
}

static int32_t file_load(mc_onnx_file *f, mc_graph **out)
{
    int32_t st = MCOMP_OK;
    int64_t opset;
    mc_graph *g = NULL;
    ProtobufCMessage *m;
    MC_TRY(file_unpack(f, MC_ONNX_ROOT_MODEL, &mc_onnx__model__descriptor, &m));
    f->model = (McOnnx__Model *)m;
    MC_TRY(check_model(f, &opset));
    MC_TRY(mc_onnx_inline_functions(f));
    MC_TRY(mc_onnx_graph_in(f, f->model->graph, NULL, NULL, &g));
    MC_TRY(heads_in(f, g));
    MC_TRY(mc_graph_validate(g));
    MC_TRY(mc_onnx_upgrade(f->ctx, g, (int32_t)opset));
    MC_TRY(mc_onnx_infer(f->ctx, g));
    MC_TRY(adopt_outputs(f, g));
    *out = g;
    g = NULL;
done:
    mc_graph_destroy(g);
    return st;
}

int32_t mc_onnx_load(mc_graph **out, mcomp_context *ctx, const char *path, uint64_t *file_bytes)
{
    const mcomp_load_options o = {.size = sizeof o};
    return mc_onnx_load_with(out, ctx, path, &o, NULL, file_bytes);
}

int32_t mc_onnx_load_with(mc_graph **out, mcomp_context *ctx, const char *path, const mcomp_load_options *options, mc_str *warnings,
                          uint64_t *file_bytes)
{
    int32_t st = MCOMP_OK;
    mc_onnx_file f;
    *out = NULL;
    MC_TRY(file_init(&f, ctx, path, path));
    f.copy = options->copy;
    f.verify = options->verify;
    f.warnings = warnings;
    MC_TRY(file_open(&f));
    MC_TRY(file_load(&f, out));
    if (file_bytes) *file_bytes = f.external_bytes;
done:
    file_close(&f);
    return st;
}

int32_t mc_onnx_load_memory(mc_graph **out, mcomp_context *ctx, const void *data, uint64_t bytes)
{
    int32_t st = MCOMP_OK;
    mc_onnx_file f;
    *out = NULL;
    MC_TRY(file_init(&f, ctx, NULL, "memory"));
    if (bytes > f.max_bytes) MC_FAIL(MCOMP_LIMIT, f.where, "%llu bytes; max_model_bytes allows %llu", (unsigned long long)bytes, (unsigned long long)f.max_bytes);
    f.buffer = mc_buffer_alloc(bytes);
    if (!f.buffer) MC_FAIL(MCOMP_NO_MEMORY, f.where, "no memory for the model");
    if (bytes) memcpy(mc_buffer_data(f.buffer), data, (size_t)bytes);
    MC_TRY(file_load(&f, out));
done:
    file_close(&f);
    return st;
}

int32_t mc_onnx_tensor_load(mc_tensor **out, const char *path, char *name, uint64_t cap)
{
    int32_t st = MCOMP_OK;
    mc_onnx_file f;
    ProtobufCMessage *m;
    *out = NULL;
    MC_TRY(file_init(&f, NULL, path, path));
    MC_TRY(file_open(&f));
    MC_TRY(file_unpack(&f, MC_ONNX_ROOT_TENSOR, &mc_onnx__tensor__descriptor, &m));
    const McOnnx__Tensor *t = (const McOnnx__Tensor *)m;
    MC_TRY(mc_onnx_tensor_in(&f, t, t->name && *t->name ? t->name : path, out));
    if (name && cap) {
        const size_t n = strlen(mc_onnx_text(t->name)), k = n < cap ? n : (size_t)cap - 1;
        memcpy(name, mc_onnx_text(t->name), k);
        name[k] = 0;
    }
done:
    file_close(&f);
    return st;
}
