/* Nodes, attributes and tensors as messages in the writer's arena. */
#include "onnx/save.h"

#include <stdio.h>

char *mc_onnx_copy(mc_onnx_writer *w, const char *s) { return mc_arena_strdup(w->arena, s); }

static int32_t entry(mc_onnx_writer *w, McOnnx__Tensor *p, const char *key, char *value)
{
    McOnnx__Entry *e;
    MC_ONNX_NEW(w, e, mc_onnx__entry__init);
    e->key = mc_onnx_copy(w, key);
    e->value = value;
    if (!e->key || !e->value) return MCOMP_NO_MEMORY;
    p->external_data[p->n_external_data++] = e;
    return MCOMP_OK;
}

/* Data goes into the file beside, at the next page. */
static int32_t put_beside(mc_onnx_writer *w, const mc_tensor *t, McOnnx__Tensor *p)
{
    int32_t st = MCOMP_OK;
    char text[32];
    const uint64_t bytes = mc_tensor_bytes(t), offset = (w->side_bytes + 4095) & ~(uint64_t)4095;
    MC_ONNX_LIST(w, p->external_data, 3);
    MC_TRY(entry(w, p, "location", w->location));
    snprintf(text, sizeof text, "%llu", (unsigned long long)offset);
    MC_TRY(entry(w, p, "offset", mc_onnx_copy(w, text)));
    snprintf(text, sizeof text, "%llu", (unsigned long long)bytes);
    MC_TRY(entry(w, p, "length", mc_onnx_copy(w, text)));
    MC_TRY(mc_grow(&w->side, &w->cap_side, w->n_side + 1, sizeof *w->side));
    w->side[w->n_side++] = (mc_onnx_side){t, offset};
    w->side_bytes = offset + bytes;
    p->has_data_location = 1;
    p->data_location = 1;
done:
    return st;
}

static int32_t put_strings(mc_onnx_writer *w, const mc_tensor *t, McOnnx__Tensor *p)
{
    const int64_t n = mc_tensor_elements(t);
    char *const *s = t->data;
    MC_ONNX_LIST(w, p->string_data, n);
    p->n_string_data = (size_t)n;
    for (int64_t i = 0; i < n; i++) {
        p->string_data[i].len = strlen(s[i]);
        p->string_data[i].data = (uint8_t *)s[i];
    }
    return MCOMP_OK;
}

int32_t mc_onnx_tensor_out(mc_onnx_writer *w, const mc_tensor *t, const char *name, McOnnx__Tensor **out)
{
    McOnnx__Tensor *p;
    MC_ONNX_NEW(w, p, mc_onnx__tensor__init);
    *out = p;
    MC_ONNX_LIST(w, p->dims, t->shape.rank);
    p->n_dims = (size_t)t->shape.rank;
    for (int32_t i = 0; i < t->shape.rank; i++) p->dims[i] = t->shape.dim[i];
    p->has_data_type = 1;
    p->data_type = t->dtype;
    if (name && !(p->name = mc_onnx_copy(w, name))) return MCOMP_NO_MEMORY;
    if (t->dtype == MCOMP_STRING) return put_strings(w, t, p);
    if (w->location && mc_tensor_bytes(t) >= 1024) return put_beside(w, t, p);
    p->has_raw_data = 1;
    p->raw_data.len = (size_t)mc_tensor_bytes(t);
    p->raw_data.data = t->data;
    return MCOMP_OK;
}

static void *arena_alloc(void *arena, size_t n) { return mc_arena_alloc(arena, n); }
static void arena_free(void *arena, void *p)
{
    (void)arena;
    (void)p;
}

/* What was kept serialized comes out as it went in; types and other parts we do not know ride along as unknown fields. */
static int32_t put_serialized(mc_onnx_writer *w, const mc_node *n, const mc_attr *a, McOnnx__Attribute **out)
{
    ProtobufCAllocator alloc = {arena_alloc, arena_free, w->arena};
    McOnnx__Attribute *p = mc_onnx__attribute__unpack(&alloc, (size_t)a->s_len, (const uint8_t *)a->s);
    if (!p) return mc_fail(MCOMP_FORMAT, n->name, "attribute \"%s\" cannot be written", a->name);
    for (size_t i = 0; i < p->n_tensors; i++)
        if (p->tensors[i]->data_location) return mc_fail(MCOMP_UNSUPPORTED, n->name, "attribute \"%s\" keeps its tensors in another file", a->name);
    for (size_t i = 0; i < p->n_sparse_tensors + (p->sparse_tensor ? 1u : 0u); i++) {
        const McOnnx__SparseTensor *s = i < p->n_sparse_tensors ? p->sparse_tensors[i] : p->sparse_tensor;
        if ((s->values && s->values->data_location) || (s->indices && s->indices->data_location))
            return mc_fail(MCOMP_UNSUPPORTED, n->name, "attribute \"%s\" keeps its tensors in another file", a->name);
    }
    *out = p;
    return MCOMP_OK;
}

static int32_t put_strings_attr(mc_onnx_writer *w, const mc_attr *a, McOnnx__Attribute *p)
{
    MC_ONNX_LIST(w, p->strings, a->n);
    p->n_strings = (size_t)a->n;
    for (int64_t i = 0; i < a->n; i++) {
        p->strings[i].len = strlen(a->strings[i]);
        p->strings[i].data = (uint8_t *)a->strings[i];
    }
    return MCOMP_OK;
}

static int32_t attribute_out(mc_onnx_writer *w, const mc_node *n, const mc_attr *a, const char *const *names, McOnnx__Attribute **out)
{
    McOnnx__Attribute *p;
    if (a->kind == MC_ATTR_SERIALIZED) return put_serialized(w, n, a, out);
    MC_ONNX_NEW(w, p, mc_onnx__attribute__init);
    *out = p;
    p->name = a->name;
    p->has_type = 1;
    p->type = a->kind;
    switch (a->kind) {
    case MC_ATTR_FLOAT:
        p->has_f = 1;
        p->f = a->f;
        return MCOMP_OK;
    case MC_ATTR_INT:
        p->has_i = 1;
        p->i = a->i;
        return MCOMP_OK;
    case MC_ATTR_STRING:
        p->has_s = 1;
        p->s.len = (size_t)a->s_len;
        p->s.data = (uint8_t *)a->s;
        return MCOMP_OK;
    case MC_ATTR_TENSOR: return mc_onnx_tensor_out(w, a->tensor, NULL, &p->t);
    case MC_ATTR_GRAPH: return mc_onnx_graph_out(w, a->graph, names, &p->g);
    case MC_ATTR_FLOATS:
        p->n_floats = (size_t)a->n;
        p->floats = a->floats;
        return MCOMP_OK;
    case MC_ATTR_INTS:
        p->n_ints = (size_t)a->n;
        p->ints = a->ints;
        return MCOMP_OK;
    case MC_ATTR_STRINGS: return put_strings_attr(w, a, p);
    default: return mc_fail(MCOMP_INTERNAL, n->name, "attribute \"%s\" of kind %d cannot be written", a->name, a->kind);
    }
}

static int32_t put_names(mc_onnx_writer *w, mc_value *const *list, int32_t n, int32_t least, const char *const *names, char ***out, size_t *count)
{
    static char none[1];
    while (n > least && !list[n - 1]) n--; /* omitted at the end: left away, as far as the operator can do without */
    MC_ONNX_LIST(w, *out, n);
    *count = (size_t)n;
    for (int32_t i = 0; i < n; i++) (*out)[i] = list[i] ? (char *)(uintptr_t)names[list[i]->id] : none;
    return MCOMP_OK;
}

int32_t mc_onnx_node_out(mc_onnx_writer *w, const mc_node *n, const char *const *names, McOnnx__Node **out)
{
    int32_t st = MCOMP_OK;
    McOnnx__Node *p;
    MC_ONNX_NEW(w, p, mc_onnx__node__init);
    *out = p;
    p->name = n->name;
    p->op_type = n->op;
    p->domain = *n->domain ? n->domain : NULL;
    if (strcmp(n->domain, "mcomp") == 0) {
        (void)mc_fail(MCOMP_UNSUPPORTED, n->name, "the node (mcomp.%s) belongs to a compiled or training graph and is never written to a file", n->op);
        return MCOMP_UNSUPPORTED;
    }
    MC_TRY(put_names(w, n->in, n->n_in, n->desc ? n->desc->min_in : n->n_in, names, &p->input, &p->n_input));
    MC_TRY(put_names(w, n->out, n->n_out, n->desc ? n->desc->min_out : n->n_out, names, &p->output, &p->n_output));
    MC_ONNX_LIST(w, p->attribute, n->n_attrs);
    for (int32_t i = 0; i < n->n_attrs; i++) {
        if (mc_onnx_attr_is_newer(n, &n->attrs[i], w->opset)) continue;
        MC_TRY(attribute_out(w, n, &n->attrs[i], names, &p->attribute[p->n_attribute]));
        p->n_attribute++;
    }
done:
    return st;
}
