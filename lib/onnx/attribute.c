/* Attributes, and the value of a Constant node in all its spellings. */
#include "onnx/internal.h"

/* Very old files leave `type` out; the field that is there says it. */
static int32_t kind_of(const McOnnx__Attribute *a)
{
    if (a->has_type && a->type != 0) return a->type;
    if (a->n_floats) return MC_ATTR_FLOATS;
    if (a->n_ints) return MC_ATTR_INTS;
    if (a->n_strings) return MC_ATTR_STRINGS;
    if (a->t) return MC_ATTR_TENSOR;
    if (a->g) return MC_ATTR_GRAPH;
    if (a->has_s) return MC_ATTR_STRING;
    if (a->has_i) return MC_ATTR_INT;
    return a->has_f ? MC_ATTR_FLOAT : MC_ATTR_STRINGS;
}

/* Room for an attribute made here: the setters of graph/ copy NUL-terminated texts only. */
static int32_t set_bytes(mc_node *n, const char *name, const void *data, size_t bytes, int32_t kind)
{
    char *copy = mc_strndup(data ? data : "", data ? bytes : 0);
    if (!copy) return MCOMP_NO_MEMORY;
    const int32_t st = mc_node_set_s(n, name, "");
    if (st != MCOMP_OK) {
        mc_free(copy);
        return st;
    }
    mc_attr *a = &n->attrs[mc_node_attr(n, name) - n->attrs];
    mc_free(a->s);
    a->s = copy;
    a->s_len = (int64_t)bytes;
    a->kind = kind;
    return MCOMP_OK;
}

static int32_t set_strings(mc_onnx_file *f, mc_node *n, const McOnnx__Attribute *a)
{
    int32_t st = MCOMP_OK;
    char **list = mc_calloc(a->n_strings + 1, sizeof *list);
    (void)f;
    if (!list) return MCOMP_NO_MEMORY;
    for (size_t i = 0; i < a->n_strings; i++) {
        list[i] = mc_strndup(a->strings[i].data ? (const char *)a->strings[i].data : "", a->strings[i].len);
        if (!list[i]) MC_FAIL(MCOMP_NO_MEMORY, n->name, "no memory for an attribute");
    }
    MC_TRY(mc_node_set_strings(n, a->name, list, (int64_t)a->n_strings));
done:
    for (size_t i = 0; i < a->n_strings; i++) mc_free(list[i]);
    mc_free(list);
    return st;
}

/* Tensor lists, types and sparse tensors stay serialized; what they refer to is checked all the same. */
static int32_t set_serialized(mc_onnx_file *f, mc_node *n, const McOnnx__Attribute *a)
{
    int32_t st = MCOMP_OK;
    mc_tensor *t = NULL;
    if (!a->has_source_offset) MC_FAIL(MCOMP_FORMAT, n->name, "attribute \"%s\" has no value", a->name);
    for (size_t i = 0; i < a->n_tensors; i++) {
        MC_TRY(mc_onnx_tensor_in(f, a->tensors[i], n->name, &t));
        mc_tensor_destroy(t);
    }
    for (size_t i = 0; i < a->n_sparse_tensors + (a->sparse_tensor ? 1u : 0u); i++) {
        MC_TRY(mc_onnx_sparse_in(f, i < a->n_sparse_tensors ? a->sparse_tensors[i] : a->sparse_tensor, n->name, &t));
        mc_tensor_destroy(t);
    }
    MC_TRY(set_bytes(n, a->name, (const uint8_t *)mc_buffer_data(f->buffer) + a->source_offset, (size_t)a->source_length, MC_ATTR_SERIALIZED));
done:
    return st;
}

static int32_t set_tensor(mc_onnx_file *f, mc_node *n, const McOnnx__Attribute *a)
{
    mc_tensor *t;
    if (!a->t) return mc_fail(MCOMP_FORMAT, n->name, "attribute \"%s\" has no value", a->name);
    const int32_t st = mc_onnx_tensor_in(f, a->t, n->name, &t);
    return st == MCOMP_OK ? mc_node_set_tensor(n, a->name, t) : st;
}

static int32_t set_graph(mc_onnx_file *f, const mc_onnx_scope *s, mc_node *n, const McOnnx__Attribute *a)
{
    mc_graph *sub;
    if (!a->g) return mc_fail(MCOMP_FORMAT, n->name, "attribute \"%s\" has no value", a->name);
    const int32_t st = mc_onnx_graph_in(f, a->g, s, n, &sub);
    return st == MCOMP_OK ? mc_node_set_graph(n, a->name, sub) : st;
}

int32_t mc_onnx_attribute_in(mc_onnx_file *f, const mc_onnx_scope *s, mc_node *n, const McOnnx__Attribute *a)
{
    if (!a->name || !*a->name) return mc_fail(MCOMP_FORMAT, n->name, "an attribute without a name");
    if (mc_node_attr(n, a->name)) return mc_fail(MCOMP_FORMAT, n->name, "the attribute \"%s\" comes twice", a->name);
    if (a->ref_attr_name && *a->ref_attr_name)
        return mc_fail(MCOMP_FORMAT, n->name, "the attribute \"%s\" refers to a function's attribute outside of a function", a->name);
    switch (kind_of(a)) {
    case MC_ATTR_FLOAT: return mc_node_set_f(n, a->name, a->f);
    case MC_ATTR_INT: return mc_node_set_i(n, a->name, a->i);
    case MC_ATTR_STRING: return set_bytes(n, a->name, a->s.data, a->s.len, MC_ATTR_STRING);
    case MC_ATTR_TENSOR: return set_tensor(f, n, a);
    case MC_ATTR_GRAPH: return set_graph(f, s, n, a);
    case MC_ATTR_FLOATS: return mc_node_set_floats(n, a->name, a->floats, (int64_t)a->n_floats);
    case MC_ATTR_INTS: return mc_node_set_ints(n, a->name, a->ints, (int64_t)a->n_ints);
    case MC_ATTR_STRINGS: return set_strings(f, n, a);
    case 9:
    case 11:
    case 12:
    case 13:
    case 14: return set_serialized(f, n, a);
    case 10: return mc_fail(MCOMP_UNSUPPORTED, n->name, "attribute \"%s\" is a list of graphs", a->name);
    default: return mc_fail(MCOMP_FORMAT, n->name, "attribute \"%s\" has the unknown kind %d", a->name, a->type);
    }
}

/* ---- Constant ---- */

static int32_t numbers(mc_tensor **out, int32_t dtype, int32_t rank, const void *data, size_t n, size_t unit)
{
    const mc_shape s = {.rank = rank, .dim = {(int64_t)n}};
    const int32_t st = mc_tensor_create(out, dtype, &s);
    if (st == MCOMP_OK && n) memcpy((*out)->data, data, n * unit);
    return st;
}

static int32_t texts(mc_onnx_file *f, const char *where, int32_t rank, ProtobufCBinaryData *list, size_t n, mc_tensor **out)
{
    McOnnx__Tensor p = MC_ONNX__TENSOR__INIT;
    int64_t dim = (int64_t)n;
    p.data_type = MCOMP_STRING;
    p.n_dims = (size_t)rank;
    p.dims = &dim;
    p.n_string_data = n;
    p.string_data = list;
    return mc_onnx_tensor_in(f, &p, where, out);
}

int32_t mc_onnx_constant_in(mc_onnx_file *f, const McOnnx__Node *p, mc_tensor **out)
{
    *out = NULL;
    const char *where = p->n_output ? p->output[0] : "Constant";
    if (p->n_attribute != 1) return mc_fail(MCOMP_FORMAT, where, "a Constant node needs exactly one value");
    McOnnx__Attribute *a = p->attribute[0];
    const char *name = mc_onnx_text(a->name);
    if (a->ref_attr_name && *a->ref_attr_name) return mc_fail(MCOMP_FORMAT, where, "a Constant refers to a function's attribute outside of a function");
    if (strcmp(name, "value") == 0 && a->t) return mc_onnx_tensor_in(f, a->t, where, out);
    if (strcmp(name, "value_float") == 0) return numbers(out, MCOMP_F32, 0, &a->f, 1, sizeof a->f);
    if (strcmp(name, "value_int") == 0) return numbers(out, MCOMP_I64, 0, &a->i, 1, sizeof a->i);
    if (strcmp(name, "value_floats") == 0) return numbers(out, MCOMP_F32, 1, a->floats, a->n_floats, sizeof *a->floats);
    if (strcmp(name, "value_ints") == 0) return numbers(out, MCOMP_I64, 1, a->ints, a->n_ints, sizeof *a->ints);
    if (strcmp(name, "value_string") == 0) return texts(f, where, 0, &a->s, 1, out);
    if (strcmp(name, "value_strings") == 0) return texts(f, where, 1, a->strings, a->n_strings, out);
    if (strcmp(name, "sparse_value") == 0 && a->sparse_tensor) return mc_onnx_sparse_in(f, a->sparse_tensor, where, out);
    return mc_fail(MCOMP_FORMAT, where, "a Constant node without a value");
}
