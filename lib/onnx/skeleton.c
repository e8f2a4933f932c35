/* The pre-pass over a mapped file. It copies the messages into a small "skeleton" that protobuf-c unpacks, and leaves
 * tensor data (raw_data and the typed lists) where it is: in its place come triples (field, offset, length) under a number
 * that no file can set, because numbers that are not in these tables are dropped. So a file of any size opens without
 * touching its weights, nesting is bounded before anything recurses, and every external location is known up front.
 * Documentation strings and unknown fields are dropped; function bodies are kept, training information only scanned. */
#include "onnx/internal.h"

enum { INT = 1, INTS, F32, F32S, TEXT, BYTES, MESSAGE, SCAN, DATA, REFUSED };
enum { MODEL, TENSOR, GRAPH, NODE, ATTRIBUTE, SPARSE, VALUE, TYPE, TENSOR_TYPE, SHAPE, DIM, SEQUENCE, MAP, OPSET, ENTRY, LOCATION, FUNCTION, TRAINING };

typedef struct field {
    uint8_t number, action, child, once; /* once: refused when it comes twice (merging messages is no business of a model) */
} field;

static const field model_fields[] = {{1, INT, 0, 0}, {2, TEXT, 0, 0}, {3, TEXT, 0, 0}, {7, MESSAGE, GRAPH, 1}, {8, MESSAGE, OPSET, 0},
                                     {14, MESSAGE, ENTRY, 0}, {20, SCAN, TRAINING, 0}, {25, MESSAGE, FUNCTION, 0}, {0, 0, 0, 0}};
static const field tensor_fields[] = {{1, INTS, 0, 0}, {2, INT, 0, 0}, {3, REFUSED, 0, 0}, {4, DATA, 5, 0}, {5, DATA, 0, 0},
                                      {6, BYTES, 0, 0}, {7, DATA, 0, 0}, {8, TEXT, 0, 0}, {9, DATA, 2, 1}, {10, DATA, 1, 0},
                                      {11, DATA, 0, 0}, {13, MESSAGE, LOCATION, 0}, {14, INT, 0, 0}, {0, 0, 0, 0}};
static const field graph_fields[] = {{1, MESSAGE, NODE, 0}, {2, TEXT, 0, 0}, {5, MESSAGE, TENSOR, 0}, {11, MESSAGE, VALUE, 0},
                                     {12, MESSAGE, VALUE, 0}, {13, MESSAGE, VALUE, 0}, {15, MESSAGE, SPARSE, 0}, {0, 0, 0, 0}};
static const field node_fields[] = {{1, TEXT, 0, 0}, {2, TEXT, 0, 0}, {3, TEXT, 0, 0}, {4, TEXT, 0, 0}, {5, MESSAGE, ATTRIBUTE, 0},
                                    {7, TEXT, 0, 0}, {8, TEXT, 0, 0}, {0, 0, 0, 0}};
static const field attribute_fields[] = {
    {1, TEXT, 0, 0}, {2, F32, 0, 0}, {3, INT, 0, 0}, {4, BYTES, 0, 0}, {5, MESSAGE, TENSOR, 1}, {6, MESSAGE, GRAPH, 1}, {7, F32S, 0, 0},
    {8, INTS, 0, 0}, {9, BYTES, 0, 0}, {10, MESSAGE, TENSOR, 0}, {11, MESSAGE, GRAPH, 0}, {14, SCAN, TYPE, 1}, {15, SCAN, TYPE, 0},
    {20, INT, 0, 0}, {21, TEXT, 0, 0}, {22, MESSAGE, SPARSE, 1}, {23, MESSAGE, SPARSE, 0}, {0, 0, 0, 0}};
static const field sparse_fields[] = {{1, MESSAGE, TENSOR, 1}, {2, MESSAGE, TENSOR, 1}, {3, INTS, 0, 0}, {0, 0, 0, 0}};
static const field value_fields[] = {{1, TEXT, 0, 0}, {2, MESSAGE, TYPE, 1}, {0, 0, 0, 0}};
static const field type_fields[] = {{1, MESSAGE, TENSOR_TYPE, 1}, {4, SCAN, SEQUENCE, 1}, {5, SCAN, MAP, 1}, {9, SCAN, SEQUENCE, 1}, {0, 0, 0, 0}};
static const field tensor_type_fields[] = {{1, INT, 0, 0}, {2, MESSAGE, SHAPE, 1}, {0, 0, 0, 0}};
static const field shape_fields[] = {{1, MESSAGE, DIM, 0}, {0, 0, 0, 0}};
static const field dim_fields[] = {{1, INT, 0, 0}, {2, TEXT, 0, 0}, {0, 0, 0, 0}};
static const field sequence_fields[] = {{1, SCAN, TYPE, 1}, {0, 0, 0, 0}};
static const field map_fields[] = {{2, SCAN, TYPE, 1}, {0, 0, 0, 0}};
static const field opset_fields[] = {{1, TEXT, 0, 0}, {2, INT, 0, 0}, {0, 0, 0, 0}};
static const field entry_fields[] = {{1, TEXT, 0, 0}, {2, TEXT, 0, 0}, {0, 0, 0, 0}};
static const field function_fields[] = {{1, TEXT, 0, 0}, {4, TEXT, 0, 0}, {5, TEXT, 0, 0}, {6, TEXT, 0, 0}, {7, MESSAGE, NODE, 0},
                                        {9, MESSAGE, OPSET, 0}, {10, TEXT, 0, 0}, {11, MESSAGE, ATTRIBUTE, 0}, {13, TEXT, 0, 0}, {0, 0, 0, 0}};
static const field training_fields[] = {{1, SCAN, GRAPH, 1}, {2, SCAN, GRAPH, 1}, {0, 0, 0, 0}};

static const field *const tables[] = {model_fields, tensor_fields, graph_fields, node_fields, attribute_fields, sparse_fields,
                                      value_fields, type_fields, tensor_type_fields, shape_fields, dim_fields, sequence_fields,
                                      map_fields, opset_fields, entry_fields, entry_fields, function_fields, training_fields};

typedef struct walk {
    mc_wire w;
    mc_onnx_skeleton *out;
    int64_t nodes_left;
    int32_t graphs, types; /* open levels */
    int32_t mute;          /* > 0: inside a message that is scanned only */
} walk;

#define SKELETON_MAX ((int64_t)1 << 30)

static int32_t put(walk *s, const void *data, uint64_t n)
{
    if (s->mute) return MCOMP_OK;
    if ((uint64_t)s->out->bytes.len + n > (uint64_t)SKELETON_MAX)
        return mc_fail(MCOMP_LIMIT, s->w.where, "the model's structure (without weights) is larger than 1 GiB");
    return mc_str_append_bytes(&s->out->bytes, data, (size_t)n);
}

static int32_t put_varint(walk *s, uint64_t v)
{
    uint8_t b[10];
    return put(s, b, mc_wire_put(b, v));
}

static int32_t put_private(walk *s, uint32_t number, uint64_t v)
{
    const int32_t st = put_varint(s, (uint64_t)number << 3);
    return st == MCOMP_OK ? put_varint(s, v) : st;
}

static int type_fits(const field *f, int32_t wire_type)
{
    switch (f->action) {
    case INT: return wire_type == 0;
    case INTS: return wire_type == 0 || wire_type == 2;
    case F32: return wire_type == 5;
    case F32S: return wire_type == 5 || wire_type == 2;
    case DATA: return wire_type == 2 || wire_type == f->child;
    default: return wire_type == 2;
    }
}

/* Copies a scalar field as it is. */
static int32_t put_field(walk *s, const mc_wire_field *f)
{
    int32_t st = put_varint(s, (uint64_t)f->number << 3 | (uint32_t)f->type);
    if (st == MCOMP_OK && f->type == 2) st = put_varint(s, f->bytes);
    return st == MCOMP_OK ? put(s, f->data, f->bytes) : st;
}

static int32_t put_data(walk *s, const mc_wire_field *f)
{
    if (f->bytes == 0) return MCOMP_OK;
    int32_t st = put_private(s, 1000, f->number);
    if (st == MCOMP_OK) st = put_private(s, 1000, (uint64_t)(f->data - s->w.base));
    return st == MCOMP_OK ? put_private(s, 1000, f->bytes) : st;
}

/* The location of external data is kept even where the tensor itself is not. */
static int32_t note_location(walk *s, const uint8_t *p, const uint8_t *end)
{
    mc_wire w = {s->w.base, p, end, s->w.where};
    mc_wire_field f, key = {0}, value = {0};
    int32_t st = MCOMP_OK;
    while (w.p < w.end) {
        MC_TRY(mc_wire_next(&w, &f));
        if (f.number == 1) key = f;
        if (f.number == 2) value = f;
    }
    if (key.type != 2 || key.bytes != 8 || memcmp(key.data, "location", 8) != 0) return MCOMP_OK;
    if (value.bytes && memchr(value.data, 0, (size_t)value.bytes))
        MC_FAIL(MCOMP_PATH, s->w.where, "a location of external data holds a NUL byte");
    MC_TRY(mc_str_append_bytes(&s->out->locations, value.data, (size_t)value.bytes));
    MC_TRY(mc_str_append_bytes(&s->out->locations, "", 1));
done:
    return st;
}

static int32_t message(walk *s, int32_t kind, const uint8_t *p, const uint8_t *end);

/* Child with a length that is patched afterwards: five bytes hold any length below 2^35. */
static int32_t child(walk *s, const field *t, const mc_wire_field *f)
{
    static const uint8_t blank[5] = {0x80, 0x80, 0x80, 0x80, 0};
    int32_t st = MCOMP_OK;
    if (t->action == SCAN) {
        s->mute++;
        st = message(s, t->child, f->data, f->data + f->bytes);
        s->mute--;
        return st;
    }
    MC_TRY(put_varint(s, (uint64_t)f->number << 3 | 2));
    MC_TRY(put(s, blank, sizeof blank));
    const int64_t start = s->out->bytes.len;
    MC_TRY(message(s, t->child, f->data, f->data + f->bytes));
    if (s->mute) return MCOMP_OK;
    const uint64_t n = (uint64_t)(s->out->bytes.len - start);
    for (int i = 0; i < 5; i++)
        s->out->bytes.data[start - 5 + i] = (char)(uint8_t)((n >> (7 * i) & 0x7f) | (i < 4 ? 0x80u : 0u));
done:
    return st;
}

static int32_t one(walk *s, int32_t kind, const field *t, const mc_wire_field *f)
{
    switch (t->action) {
    case TEXT:
        if (kind != LOCATION && memchr(f->data, 0, (size_t)f->bytes))
            return mc_wire_fail(&s->w, f->data, MCOMP_FORMAT, "a text holds a NUL byte");
        return put_field(s, f);
    case DATA: return put_data(s, f);
    case REFUSED: return mc_wire_fail(&s->w, f->data, MCOMP_UNSUPPORTED, "a tensor is cut into segments");
    case MESSAGE:
    case SCAN:
        if (t->child == LOCATION) {
            const int32_t st = note_location(s, f->data, f->data + f->bytes);
            if (st != MCOMP_OK) return st;
        }
        return child(s, t, f);
    default: return put_field(s, f);
    }
}

static int32_t enter(walk *s, int32_t kind, const uint8_t *p)
{
    if (kind == GRAPH && ++s->graphs > MC_ONNX_MAX_DEPTH)
        return mc_wire_fail(&s->w, p, MCOMP_LIMIT, "subgraphs are nested deeper than 64");
    if (kind == TYPE && ++s->types > MC_ONNX_MAX_DEPTH)
        return mc_wire_fail(&s->w, p, MCOMP_LIMIT, "types are nested deeper than 64");
    if (kind == NODE && --s->nodes_left < 0)
        return mc_wire_fail(&s->w, p, MCOMP_LIMIT, "more nodes than the context's limit max_nodes allows");
    return MCOMP_OK;
}

static int32_t leave(walk *s, int32_t kind, const uint8_t *p, const uint8_t *end, uint32_t seen)
{
    int32_t st = MCOMP_OK;
    if (kind == GRAPH) s->graphs--;
    if (kind == TYPE) s->types--;
    if (kind == NODE && !(seen & 1u << 3)) return mc_wire_fail(&s->w, p, MCOMP_FORMAT, "a node without operator type");
    if (kind == ATTRIBUTE && (seen & (1u << 9 | 1u << 11 | 1u << 12 | 1u << 15 | 1u << 16))) {
        MC_TRY(put_private(s, 1000, (uint64_t)(p - s->w.base)));
        MC_TRY(put_private(s, 1001, (uint64_t)(end - p)));
    }
done:
    return st;
}

static int32_t message(walk *s, int32_t kind, const uint8_t *p, const uint8_t *end)
{
    int32_t st = MCOMP_OK;
    mc_wire w = {s->w.base, p, end, s->w.where};
    mc_wire_field f;
    uint32_t seen = 0; /* bit i: row i of the table */
    MC_TRY(enter(s, kind, p));
    while (w.p < w.end) {
        const uint8_t *at = w.p;
        const field *t = tables[kind];
        MC_TRY(mc_wire_next(&w, &f));
        while (t->number && t->number != f.number) t++;
        if (!t->number) continue;
        const uint32_t bit = 1u << (t - tables[kind]);
        if (!type_fits(t, f.type)) return mc_wire_fail(&s->w, at, MCOMP_FORMAT, "a field has the wrong wire type");
        if (t->once && (seen & bit)) return mc_wire_fail(&s->w, at, MCOMP_FORMAT, "a field that may come once comes twice");
        seen |= bit;
        MC_TRY(one(s, kind, t, &f));
    }
    MC_TRY(leave(s, kind, p, end, seen));
done:
    return st;
}

int32_t mc_onnx_skeleton_make(mc_onnx_skeleton *out, const uint8_t *data, uint64_t bytes, int32_t root, int64_t max_nodes,
                              const char *where)
{
    walk s = {.w = {data, data, data + bytes, where}, .out = out, .nodes_left = max_nodes};
    memset(out, 0, sizeof *out);
    return message(&s, root == MC_ONNX_ROOT_TENSOR ? TENSOR : MODEL, data, data + bytes);
}

void mc_onnx_skeleton_free(mc_onnx_skeleton *s)
{
    mc_str_free(&s->bytes);
    mc_str_free(&s->locations);
}
