/* onnx/save.h - private: writing graphs. */
#ifndef MC_ONNX_SAVE_H
#define MC_ONNX_SAVE_H

#include "onnx/internal.h"

/* ---- needs.c: which opset a graph needs ---- */
typedef struct mc_onnx_needs {
    int32_t opset;
    const mc_node *because; /* the node that needs it, NULL: nothing does */
} mc_onnx_needs;
int32_t mc_onnx_need_of(const mc_node *n); /* one node of the default domain */
void mc_onnx_needs_of(const mc_graph *g, mc_onnx_needs *out); /* subgraphs included; the default domain */
/* 1: the attribute may stay away, it has its default value and opset does not know it. */
int mc_onnx_attr_is_newer(const mc_node *n, const mc_attr *a, int32_t opset);
/* An unknown operator of the default domain must not be carried over a change of its meaning. */
int32_t mc_onnx_check_opaque(const mc_graph *g, int32_t opset);
int32_t mc_onnx_ir_of(int32_t opset);

/* ---- save_graph.c: graph -> message; tensors point at the weights ---- */
typedef struct mc_onnx_side { /* a tensor that goes into the data file */
    const mc_tensor *t;
    uint64_t offset;
} mc_onnx_side;
typedef struct mc_onnx_writer {
    mc_arena *arena;
    int32_t opset;
    char *location; /* name of the data file, NULL: everything inside; its digits are filled in when all is known */
    mc_onnx_side *side;
    int64_t n_side, cap_side;
    uint64_t side_bytes;
    mc_map *taken;  /* names given out so far in all open scopes */
} mc_onnx_writer;
/* outer: names of the enclosing graph's values by id, NULL for the main graph. */
int32_t mc_onnx_graph_out(mc_onnx_writer *w, const mc_graph *g, const char *const *outer, McOnnx__Graph **out);
char *mc_onnx_copy(mc_onnx_writer *w, const char *s);
/* beside.c: the data file */
typedef struct mc_onnx_beside {
    char *stem, *folder; /* of the model; the folder ends with a slash or is empty */
    char *name;          /* STEM.<hash8>.data */
    mc_str old;          /* data files of the model that is about to be replaced, each with its NUL */
    int written;         /* a file that was not there before */
} mc_onnx_beside;
int32_t mc_onnx_beside_plan(mc_onnx_beside *b, const char *path);
int32_t mc_onnx_beside_write(mc_onnx_beside *b, const mc_onnx_writer *w); /* fills in the digits of b->name */
void mc_onnx_beside_done(const mc_onnx_beside *b, int used); /* the model is in place: old data files go */
void mc_onnx_beside_undo(const mc_onnx_beside *b);           /* the model could not be written */
void mc_onnx_beside_free(mc_onnx_beside *b);
/* save_node.c */
int32_t mc_onnx_node_out(mc_onnx_writer *w, const mc_node *n, const char *const *names, McOnnx__Node **out);
int32_t mc_onnx_tensor_out(mc_onnx_writer *w, const mc_tensor *t, const char *name, McOnnx__Tensor **out);

/* A message, or a list of n + 1 elements, in the arena of w. */
#define MC_ONNX_NEW(w, p, init_function)                                                                               \
    do {                                                                                                               \
        (p) = mc_arena_alloc((w)->arena, sizeof *(p));                                                                 \
        if (!(p)) return MCOMP_NO_MEMORY;                                                                              \
        init_function(p);                                                                                              \
    } while (0)
#define MC_ONNX_LIST(w, p, n)                                                                                          \
    do {                                                                                                               \
        (p) = mc_arena_alloc((w)->arena, sizeof *(p) * ((size_t)(n) + 1));                                             \
        if (!(p)) return MCOMP_NO_MEMORY;                                                                              \
    } while (0)

#endif
