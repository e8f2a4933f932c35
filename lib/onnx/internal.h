/* onnx/internal.h - private to the room: wire reader, skeleton, the open file, import steps. */
#ifndef MC_ONNX_INTERNAL_H
#define MC_ONNX_INTERNAL_H

#include "onnx/onnx.h"
#include "onnx_min.pb-c.h"

#define MC_ONNX_MAX_DEPTH 64 /* nesting of subgraphs, and of types */
#define MC_ONNX_OPSET_MIN 6  /* 6 only for operators that did not change in 7 */
#define MC_ONNX_OPSET_MAX 25
#define MC_ONNX_IR_MIN 3
#define MC_ONNX_IR_MAX 13

/* ---- wire.c: bounded reading of protobuf's wire format -------------------------------------------------------- */
typedef struct mc_wire {
    const uint8_t *base, *p, *end; /* base: start of the file, for offsets in messages */
    const char *where;             /* file name for messages */
} mc_wire;
typedef struct mc_wire_field {
    uint32_t number;
    int32_t type;        /* 0 varint, 1 fixed64, 2 length-delimited, 5 fixed32 */
    const uint8_t *data; /* payload, behind the length of type 2 */
    uint64_t bytes;
} mc_wire_field;
int32_t mc_wire_varint(mc_wire *w, uint64_t *v);
int32_t mc_wire_next(mc_wire *w, mc_wire_field *f); /* w->p < w->end */
int32_t mc_wire_fail(const mc_wire *w, const uint8_t *at, int32_t code, const char *what);
size_t mc_wire_put(uint8_t out[10], uint64_t v); /* varint, returns its length */

/* ---- skeleton.c: the pre-pass ------------------------------------------------------------------------------------ */
typedef struct mc_onnx_skeleton {
    mc_str bytes;     /* the file without tensor data */
    mc_str locations; /* every external location in it, each with its NUL; function bodies and training info included */
} mc_onnx_skeleton;
enum { MC_ONNX_ROOT_MODEL = 0, MC_ONNX_ROOT_TENSOR = 1 };
int32_t mc_onnx_skeleton_make(mc_onnx_skeleton *out, const uint8_t *data, uint64_t bytes, int32_t root, int64_t max_nodes,
                              const char *where);
void mc_onnx_skeleton_free(mc_onnx_skeleton *s);

/* ---- the file being read ------------------------------------------------------------------------------------------ */
typedef struct mc_onnx_external {
    char *location;
    mc_buffer *buffer;
    char sha1[41]; /* of the whole file, once somebody asked */
    int8_t warned; /* that there is no checksum */
} mc_onnx_external;
typedef struct mc_onnx_file {
    mcomp_context *ctx;
    const char *path;        /* NULL: from memory */
    const char *where;       /* name for messages */
    mc_buffer *buffer;       /* the model file */
    mc_arena *arena;         /* the unpacked skeleton */
    McOnnx__Model *model;
    mc_onnx_external *externals;
    int64_t n_externals, cap_externals;
    uint64_t external_bytes; /* sum of the sizes of the external files */
    uint64_t max_bytes;      /* limit on everything that is mapped */
    int32_t copy, verify;    /* as in mcomp_load_options */
    mc_str *warnings;        /* may be NULL */
    uint64_t copy_budget;    /* bytes of misaligned tensors that may still be copied into place */
} mc_onnx_file;

/* external.c: resolves a location below the model's folder, once for every tensor-bearing field. */
int32_t mc_onnx_external_open_all(mc_onnx_file *f, const mc_str *locations);
int32_t mc_onnx_external_find(mc_onnx_file *f, const char *location, mc_buffer **out); /* borrowed */
/* With verify: `checksum` of external data, the SHA-1 of the whole file in hexadecimal, is compared; MCOMP_FORMAT when it is
 * another. NULL, a file whose checksum nobody wrote down, is a warning, once. Without verify nothing is read. */
int32_t mc_onnx_external_check(mc_onnx_file *f, const char *location, const char *checksum, const char *where);

/* tensor_in.c */
int32_t mc_onnx_tensor_in(mc_onnx_file *f, const McOnnx__Tensor *p, const char *where, mc_tensor **out);
int32_t mc_onnx_sparse_in(mc_onnx_file *f, const McOnnx__SparseTensor *p, const char *where, mc_tensor **out);

/* ---- import ---------------------------------------------------------------------------------------------------------- */
typedef struct mc_onnx_scope {
    mc_graph *g;
    const struct mc_onnx_scope *outer;
    mc_node *owner; /* node of the outer graph whose subgraph g is */
} mc_onnx_scope;

static inline const char *mc_onnx_text(const char *s) { return s ? s : ""; }
/* resolve.c: name -> value of s->g, capturing it from outer scopes where needed; *out NULL when there is none. */
int32_t mc_onnx_resolve(const mc_onnx_scope *s, const char *name, mc_value **out);
int32_t mc_onnx_type_in(mc_graph *g, const McOnnx__Type *p, const char *where, mc_type *out);
/* functions.c: calls of model-local functions are replaced by their bodies in f->model */
int32_t mc_onnx_inline_functions(mc_onnx_file *f);
/* import.c */
int32_t mc_onnx_graph_in(mc_onnx_file *f, const McOnnx__Graph *p, const mc_onnx_scope *outer, mc_node *owner, mc_graph **out);
/* attribute.c */
int32_t mc_onnx_attribute_in(mc_onnx_file *f, const mc_onnx_scope *s, mc_node *n, const McOnnx__Attribute *a);
int32_t mc_onnx_constant_in(mc_onnx_file *f, const McOnnx__Node *p, mc_tensor **out); /* value of a Constant node */

/* upgrade.c: every known operator to its internal version. */
int32_t mc_onnx_upgrade(mcomp_context *ctx, mc_graph *g, int32_t opset);
/* Types of all values. Nodes in a form that inference does not support (mcomp_graph_unsupported tells them) become opaque
 * instead of stopping those who only want to look. */
int32_t mc_onnx_infer(mcomp_context *ctx, mc_graph *g);
int32_t mc_onnx_capture_types(const mc_graph *outer, const mc_node *n, mc_graph *sub);

/* Attribute kinds that mc_attr has no place for (tensor lists, types, sparse tensors): the serialized AttributeProto in
 * mc_attr.s, so that opaque nodes are written back as they were. */
#define MC_ATTR_SERIALIZED 100

#endif
