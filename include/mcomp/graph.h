/* mcomp/graph.h - models: load, save, look at, build.
 *
 * @thread a graph may be read by many threads after loading or building; edits need exclusive access.
 */
#ifndef MCOMP_GRAPH_H
#define MCOMP_GRAPH_H

#include <mcomp/context.h>
#include <mcomp/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Loads an ONNX file (IR 3-13, opset 7-25). Weights stay mapped: the file must not change while the graph lives.
 * The caller owns *out. Codes: PATH, IO, FORMAT, LIMIT, UNSUPPORTED, SHAPE, DTYPE, NO_MEMORY. */
MCOMP_API int32_t mcomp_graph_load(mcomp_graph **out, mcomp_context *ctx, const char *path);
/* From memory, which is copied when the call returns; external data is refused. */
MCOMP_API int32_t mcomp_graph_load_memory(mcomp_graph **out, mcomp_context *ctx, const void *data, uint64_t bytes);

#define MCOMP_DATA_AUTO 0   /* weights inside up to 1 GiB, beside it beyond */
#define MCOMP_DATA_INSIDE 1
#define MCOMP_DATA_BESIDE 2
#define MCOMP_QDQ_ORT 0       /* u8 activations, s8 weights, int32 biases */
#define MCOMP_QDQ_TENSORRT 1  /* all symmetric s8, float biases */
#define MCOMP_QDQ_OPENVINO 2
typedef struct mcomp_save_options {
    uint32_t size;
    int32_t overwrite; /* 0: an existing file is MCOMP_PATH */
    int32_t data;      /* MCOMP_DATA_* */
    int32_t opset;     /* 0: the lowest that the model needs */
} mcomp_save_options;
MCOMP_API int32_t mcomp_save_options_init(mcomp_save_options *o, uint32_t size);
/* Writes beside the target and renames; the same graph gives the same bytes. Codes: PATH, IO, NO_SPACE, UNSUPPORTED. */
MCOMP_API int32_t mcomp_graph_save(const mcomp_graph *g, const char *path, const mcomp_save_options *options);
MCOMP_API int32_t mcomp_graph_clone(mcomp_graph **out, const mcomp_graph *g);
MCOMP_API void mcomp_graph_destroy(mcomp_graph *g);

/* ---- looking at it ---- */
typedef struct mcomp_graph_info {
    uint32_t size;
    int32_t n_inputs, n_outputs;
    int32_t reserved;
    int64_t n_nodes;
    int64_t ir_version, opset;  /* of the default domain */
    int64_t parameters;         /* elements of float and integer weights (initializers of rank >= 1, subgraphs included) */
    uint64_t parameter_bytes;
    double macs;                /* multiply-accumulates of one run with free axes set to `macs_free_axis` */
    int64_t macs_free_axis;     /* 1 for batch-like axes is assumed; see mcomp_graph_macs */
    char producer[128];
    uint64_t file_bytes;        /* of the model file and its sidecar; 0 for a graph built in memory */
} mcomp_graph_info;
MCOMP_API int32_t mcomp_graph_info_get(const mcomp_graph *g, mcomp_graph_info *out);

typedef struct mcomp_port_info { /* an input or output; strings borrowed from the graph */
    uint32_t size;
    int32_t dtype;
    int32_t rank; /* -1 unknown */
    int32_t reserved;
    int64_t dims[MCOMP_MAX_RANK];            /* -1 where symbolic */
    const char *symbols[MCOMP_MAX_RANK];     /* name of a symbolic axis, NULL where known */
    const char *name;
} mcomp_port_info;
MCOMP_API int32_t mcomp_graph_input(const mcomp_graph *g, int32_t i, mcomp_port_info *out);
MCOMP_API int32_t mcomp_graph_output(const mcomp_graph *g, int32_t i, mcomp_port_info *out);

typedef struct mcomp_node_info { /* strings borrowed from the graph */
    uint32_t size;
    int32_t supported; /* 1: can be run */
    const char *name, *domain, *op;
} mcomp_node_info;
/* Node i of the main graph in execution order. */
MCOMP_API int32_t mcomp_graph_node(const mcomp_graph *g, int64_t i, mcomp_node_info *out);
/* Operators that cannot be run: calls visit(payload, node, op, why) for each, subgraphs included. Returns OK. */
MCOMP_API int32_t mcomp_graph_unsupported(const mcomp_graph *g, void (*visit)(void *payload, const char *node, const char *op,
                                          const char *why), void *payload);
/* Metadata property; NULL when absent. Borrowed. */
MCOMP_API const char *mcomp_graph_meta(const mcomp_graph *g, const char *key);
MCOMP_API int32_t mcomp_graph_meta_at(const mcomp_graph *g, int64_t i, const char **key, const char **value);
MCOMP_API int32_t mcomp_graph_set_meta(mcomp_graph *g, const char *key, const char *value);
MCOMP_API int32_t mcomp_graph_opset_at(const mcomp_graph *g, int64_t i, const char **domain, int64_t *version);
/* Makes an inner value an output too (to look at it). Codes: ARGUMENT if there is no such value. */
MCOMP_API int32_t mcomp_graph_expose(mcomp_graph *g, const char *value);
/* Fixes an input to a constant and folds what follows from it (If with a constant condition disappears). Takes no
 * ownership of t. */
MCOMP_API int32_t mcomp_graph_fix_input(mcomp_graph *g, const char *input, const mcomp_tensor *t);

/* ---- building ---- */
MCOMP_API int32_t mcomp_graph_create(mcomp_graph **out, mcomp_context *ctx, const char *name, int32_t opset);
/* dims: -1 is a free axis; symbols (may be NULL) names the free axes. */
MCOMP_API int32_t mcomp_graph_add_input(mcomp_graph *g, const char *name, int32_t dtype, int32_t rank, const int64_t *dims,
                                        const char *const *symbols);
/* The elements are copied. */
MCOMP_API int32_t mcomp_graph_add_constant(mcomp_graph *g, const char *name, const mcomp_tensor *t);
/* Inputs and outputs by value name; "" omits an optional one. Attributes are set afterwards by node name. */
MCOMP_API int32_t mcomp_graph_add_node(mcomp_graph *g, const char *op, const char *name, int32_t n_inputs,
                                       const char *const *inputs, int32_t n_outputs, const char *const *outputs);
MCOMP_API int32_t mcomp_graph_set_int(mcomp_graph *g, const char *node, const char *attribute, int64_t value);
MCOMP_API int32_t mcomp_graph_set_float(mcomp_graph *g, const char *node, const char *attribute, float value);
MCOMP_API int32_t mcomp_graph_set_string(mcomp_graph *g, const char *node, const char *attribute, const char *value);
MCOMP_API int32_t mcomp_graph_set_ints(mcomp_graph *g, const char *node, const char *attribute, const int64_t *values, int64_t n);
MCOMP_API int32_t mcomp_graph_add_output(mcomp_graph *g, const char *value);
/* Checks and infers shapes; call once after building. */
MCOMP_API int32_t mcomp_graph_finish(mcomp_graph *g);

#ifdef __cplusplus
}
#endif
#endif
