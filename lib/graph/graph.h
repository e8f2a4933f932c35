/* graph/graph.h - the one intermediate representation: values, nodes, attributes, graphs and the primitives to edit them.
 *
 * Ownership: a graph owns its values and nodes; they live in its arena-like tables until the graph is destroyed (removed
 * nodes and values stay as tombstones with `dead` set, so pointers held by a pass stay valid during it). Initializers are
 * mc_tensor headers owned by the value, their memory shared by reference counting: cloning a graph copies no weights.
 *
 * Threads: a graph is built and edited by one thread; after that it may be read by many.
 */
#ifndef MC_GRAPH_H
#define MC_GRAPH_H

#include "tensor/tensor.h"

typedef struct mc_graph mc_graph;
typedef struct mc_node mc_node;
typedef struct mc_value mc_value;
struct mc_op; /* operator descriptor, ops/ops.h */

/* dtype and symbolic shape. rank -1: unknown rank. dim >= 0: known; dim < 0: symbol number -(dim) - 1 of the graph. */
typedef struct mc_type {
    int32_t dtype;
    int32_t rank;
    int64_t dim[MC_MAX_RANK];
} mc_type;

typedef struct mc_use {
    mc_node *node;
    int32_t index; /* input index; >= node->n_in means capture */
} mc_use;

/* OUTPUT: it is a graph output. VARIABLE: nodes without outputs may write its memory (mc_node_is_effect); nothing may assume its
 * contents before the run. Training turns initializers into variables (mc_value_make_variable). */
enum { MC_VALUE_INPUT = 1, MC_VALUE_OUTPUT = 2, MC_VALUE_VARIABLE = 4 };

struct mc_value {
    int32_t id;      /* index in graph->values; stable */
    int32_t dead;
    uint32_t flags;  /* MC_VALUE_* */
    char *name;      /* unique within the graph, never empty */
    mc_type type;
    mc_node *producer; /* NULL for inputs, constants, captured values */
    int32_t producer_index;
    int32_t capture;   /* in a subgraph: index into the owning node's captures; -1 otherwise */
    mc_tensor *init;   /* constant (initializer), owned; NULL otherwise */
    mc_use *uses;
    int64_t n_uses, cap_uses;
};

/* Attribute kinds, values as in ONNX AttributeProto.AttributeType. */
enum {
    MC_ATTR_FLOAT = 1, MC_ATTR_INT = 2, MC_ATTR_STRING = 3, MC_ATTR_TENSOR = 4, MC_ATTR_GRAPH = 5,
    MC_ATTR_FLOATS = 6, MC_ATTR_INTS = 7, MC_ATTR_STRINGS = 8
};

typedef struct mc_attr {
    char *name;
    int32_t kind;
    float f;
    int64_t i;
    char *s; /* NUL-terminated copy */
    int64_t s_len;
    int64_t n; /* FLOATS, INTS, STRINGS */
    float *floats;
    int64_t *ints;
    char **strings;
    mc_tensor *tensor;
    mc_graph *graph; /* owned subgraph */
} mc_attr;

struct mc_node {
    int32_t id; /* index in graph->nodes; stable */
    int32_t dead;
    char *name;   /* survives rewrites; unique, never empty (made up when the file has none) */
    char *domain; /* "" = ai.onnx, "mcomp", or foreign */
    char *op;
    int32_t version; /* version of the operator the node is written in (internal version for known operators) */
    const struct mc_op *desc; /* NULL: unknown operator, kept as an opaque node */
    int32_t n_in, n_cap, n_out;
    mc_value **in;  /* n_in formal inputs (NULL = omitted), then n_cap captured outer values of the subgraphs */
    mc_value **out; /* NULL = omitted optional output */
    mc_attr *attrs;
    int32_t n_attrs;
    const char *origin; /* provenance: static string, name of the pass that made it, or NULL for the file */
    char *refused;      /* why a known operator is opaque here (a form or type the library has not); NULL otherwise */
    char **aliases;     /* names of nodes this one replaced */
    int32_t n_aliases;
};

typedef struct mc_graph_meta {
    char *key;
    char *value;
} mc_graph_meta;

typedef struct mc_opset {
    char *domain;
    int64_t version;
} mc_opset;

struct mc_graph {
    char *name;
    mc_value **values; /* by id */
    int64_t n_values, cap_values;
    mc_node **nodes;   /* by id; `order` gives execution order */
    int64_t n_nodes, cap_nodes;
    mc_node **order;   /* topological order of live nodes, valid after mc_graph_sort */
    int64_t n_order, cap_order;
    mc_value **inputs, **outputs;
    int64_t n_inputs, cap_inputs, n_outputs, cap_outputs;
    char **symbols; /* names of symbolic dims */
    int64_t n_symbols, cap_symbols;
    mc_graph_meta *meta; /* metadata properties of the model */
    int64_t n_meta, cap_meta;
    mc_opset *opsets; /* as imported */
    int64_t n_opsets, cap_opsets;
    int64_t ir_version;
    char *producer;
    char *source_path; /* file it came from, or NULL */
    mc_map *names;     /* value name -> id */
    int64_t next_name; /* counter for made-up names */
    mc_map *node_names;
    mc_node *owner; /* the node whose attribute this subgraph is; NULL for the main graph */
};

/* The public handle (include/mcomp/graph.h). */
struct mcomp_graph {
    mc_graph *g;
    mcomp_context *ctx;
    uint64_t file_bytes; /* model file and sidecar, 0 if built in memory */
    mc_str warnings;     /* of loading, each with its NUL */
};

/* Layer 3 registers how descriptors are found; until then nodes have none. */
void mc_graph_set_op_lookup(const struct mc_op *(*find)(const char *domain, const char *op),
                            int32_t (*version)(const struct mc_op *op));

/* ---- life ---------------------------------------------------------------------------------------------------- */
int32_t mc_graph_create(mc_graph **out, const char *name);
void mc_graph_destroy(mc_graph *g);
/* Deep copy of structure, shared weights. Ids of values and nodes are kept, tombstones included. */
int32_t mc_graph_clone(mc_graph **out, const mc_graph *g);

/* ---- building ------------------------------------------------------------------------------------------------ */
/* name NULL or taken: a unique one is derived. type NULL: unknown. */
int32_t mc_graph_add_value(mc_graph *g, const char *name, const mc_type *type, mc_value **out);
int32_t mc_graph_add_input(mc_graph *g, const char *name, const mc_type *type, mc_value **out);
int32_t mc_graph_add_output(mc_graph *g, mc_value *v);
/* Constant; takes over t (also on failure). */
int32_t mc_graph_add_const(mc_graph *g, const char *name, mc_tensor *t, mc_value **out);
int32_t mc_graph_add_const_f32(mc_graph *g, const char *name, float v, mc_value **out);                 /* 0-d */
int32_t mc_graph_add_const_i64s(mc_graph *g, const char *name, const int64_t *v, int64_t n, mc_value **out); /* 1-d */
/* New node with n_out fresh output values (named after the node unless out_names given). Looks up the descriptor.
 * version 0 = the internal version of the operator. The node is appended; call mc_graph_sort after a batch of edits. */
int32_t mc_graph_add_node(mc_graph *g, const char *domain, const char *op, int32_t version, const char *name,
                          int32_t n_in, mc_value *const *in, int32_t n_out, const char *const *out_names, mc_node **out);
int32_t mc_graph_symbol(mc_graph *g, const char *name, int64_t *dim); /* name NULL: fresh anonymous symbol */
const char *mc_graph_symbol_name(const mc_graph *g, int64_t dim);
int32_t mc_graph_set_meta(mc_graph *g, const char *key, const char *value); /* value NULL removes */
const char *mc_graph_get_meta(const mc_graph *g, const char *key);
mc_value *mc_graph_find_value(const mc_graph *g, const char *name);
mc_node *mc_graph_find_node(const mc_graph *g, const char *name); /* by name or alias */
/* Version of the default (or given) opset of the graph, 0 if none. */
int64_t mc_graph_opset(const mc_graph *g, const char *domain);

/* ---- editing ------------------------------------------------------------------------------------------------- */
int32_t mc_node_set_input(mc_graph *g, mc_node *n, int32_t index, mc_value *v); /* v may be NULL; grows n_in */
int32_t mc_node_add_capture(mc_graph *g, mc_node *n, mc_value *outer, int32_t *index);
/* All uses of a become uses of b, the graph-output role too (b then keeps a's name if it has to stay visible: outputs
 * keep their names). */
int32_t mc_graph_replace_uses(mc_graph *g, mc_value *a, mc_value *b);
void mc_graph_remove_node(mc_graph *g, mc_node *n); /* unused outputs die too; used ones become producerless */
/* Nodes and constants nothing depends on (nodes without outputs, such as mcomp.Observe, stay); then sorts. */
int32_t mc_graph_remove_dead(mc_graph *g, int64_t *removed);
int32_t mc_graph_sort(mc_graph *g); /* MCOMP_FORMAT naming a node on a cycle */
int32_t mc_node_add_alias(mc_node *n, const char *name);
/* n takes over name (as alias) and origin bookkeeping of a replaced node. */
int32_t mc_node_inherit(mc_node *n, const mc_node *replaced, const char *origin);
/* Value becomes a constant: the producer is detached; takes over t (also on failure). */
int32_t mc_value_make_const(mc_graph *g, mc_value *v, mc_tensor *t);
/* A constant becomes an input that effects may write; its tensor goes to *t, which the caller owns now. */
int32_t mc_value_make_variable(mc_graph *g, mc_value *v, mc_tensor **t);
int32_t mc_value_rename(mc_graph *g, mc_value *v, const char *name);

/* mc_tensor_align on every constant, subgraphs included: before anything reads weights of a graph that came from a file. */
int32_t mc_graph_align_constants(mc_graph *g);

/* ---- attributes ------------------------------------------------------------------------------------------------ */
const mc_attr *mc_node_attr(const mc_node *n, const char *name);
int64_t mc_attr_i(const mc_node *n, const char *name, int64_t otherwise);
float mc_attr_f(const mc_node *n, const char *name, float otherwise);
const char *mc_attr_s(const mc_node *n, const char *name, const char *otherwise);
/* Pointer to the ints (NULL and *n = 0 when absent). */
const int64_t *mc_attr_ints(const mc_node *n, const char *name, int64_t *count);
const float *mc_attr_floats(const mc_node *n, const char *name, int64_t *count);
int32_t mc_node_set_i(mc_node *n, const char *name, int64_t v);
int32_t mc_node_set_f(mc_node *n, const char *name, float v);
int32_t mc_node_set_s(mc_node *n, const char *name, const char *v);
int32_t mc_node_set_ints(mc_node *n, const char *name, const int64_t *v, int64_t count);
int32_t mc_node_set_floats(mc_node *n, const char *name, const float *v, int64_t count);
int32_t mc_node_set_strings(mc_node *n, const char *name, char *const *v, int64_t count);
int32_t mc_node_set_tensor(mc_node *n, const char *name, mc_tensor *t); /* takes over t */
int32_t mc_node_set_graph(mc_node *n, const char *name, mc_graph *sub); /* takes over sub, sets sub->owner */
int32_t mc_node_copy_attrs(mc_node *to, const mc_node *from);
void mc_node_remove_attr(mc_node *n, const char *name);

/* ---- checks, helpers -------------------------------------------------------------------------------------------- */
/* SSA, every input produced, outputs produced, no cycle; recursively. MCOMP_FORMAT naming the culprit. */
int32_t mc_graph_validate(const mc_graph *g);
int mc_type_known(const mc_type *t);                       /* dtype, rank and every dim known */
int32_t mc_type_shape(const mc_type *t, mc_shape *out);    /* MCOMP_SHAPE if not fully known */
mc_type mc_type_of(const mc_tensor *t);
int mc_node_is(const mc_node *n, const char *op);          /* default domain and this op */
int mc_dims_equal(const mc_type *a, const mc_type *b);      /* rank known and every dim the same number or symbol */
int mc_node_is_effect(const mc_node *n);                   /* no outputs, writes a variable: runs after every reader (sort.c) */
int mc_node_is_control(const mc_node *n);                  /* its subgraphs are run by the executor: If, Loop */
int mc_node_is_in(const mc_node *n, const char *domain, const char *op);
/* The single consumer of v if it has exactly one use, is no graph output and that use is no capture; else NULL. */
mc_node *mc_value_only_user(const mc_value *v);
/* The constant behind v (its init), or NULL. */
const mc_tensor *mc_value_const(const mc_value *v);
/* 1 if v is a constant whose every element equals x (within rel. 1e-6). */
int mc_value_const_is(const mc_value *v, double x);
/* Constant with one element: its value; returns 0 if it is not. */
int mc_value_scalar(const mc_value *v, double *out);

#endif
