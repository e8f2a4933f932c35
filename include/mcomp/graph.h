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

/* Loads an ONNX file (IR 3-13, opset 7-25). Weights stay mapped, also in what is made of the graph (clones, sessions, trainers). Replacing
 * the file by renaming another over it is harmless; a program that overwrites it in place changes weights under a running session, and
 * one that truncates it ends the process with SIGBUS. Where that can happen, load with mcomp_load_options.copy.
 * The caller owns *out. Codes: PATH, IO, FORMAT, LIMIT, UNSUPPORTED, SHAPE, DTYPE, NO_MEMORY. */
MCOMP_API int32_t mcomp_graph_load(mcomp_graph **out, mcomp_context *ctx, const char *path);
/* A safetensors file (by name, or by its first bytes) holds weights only: mcomp_graph_load says so and stops with ARGUMENT,
 * mcomp_graph_load_with builds the graph. */
typedef struct mcomp_load_options {
    uint32_t size;
    int32_t head;       /* safetensors: > 0 adds a fresh classifier of so many classes; `logits` [batch, classes] is then the output */
    const char *arch;   /* safetensors: "bert", or "tensors" (the tensors as constants, no graph); NULL for ONNX files */
    const char *config; /* safetensors: the architecture's config.json; NULL: the one beside the file */
    uint64_t seed;      /* of the fresh classifier */
    int32_t copy;       /* 1: reads the files into memory instead of mapping them; what happens to them later does not matter. A file that
                         * changes its size while it is read is IO */
    int32_t verify;     /* 1: the `checksum` of external data (SHA-1 of the file) is compared, FORMAT if it is another; data without one is
                         * a warning. 0: checksums are not looked at. ARGUMENT for safetensors files, which have none */
} mcomp_load_options;
MCOMP_API int32_t mcomp_load_options_init(mcomp_load_options *o, uint32_t size);
/* Loads an ONNX file, a safetensors file, or the index of a sharded one (NAME.index.json; shards only in its folder). Weights stay
 * mapped. options NULL: all defaults. "bert": inputs input_ids, attention_mask, token_type_ids, int64 [batch, sequence]; outputs
 * last_hidden_state [batch, sequence, hidden] and, if the file has a pooler, pooler_output [batch, hidden]; logits alone if the file has
 * a classifier or one is asked for. A tensor that is missing or has another shape than the configuration says is an error that
 * names it. Codes: as mcomp_graph_load, and ARGUMENT, RANGE. */
MCOMP_API int32_t mcomp_graph_load_with(mcomp_graph **out, mcomp_context *ctx, const char *path, const mcomp_load_options *options);
/* What was odd in the file, but no error (tensors that the architecture has no place for). Text i, NULL behind the last. Borrowed. */
MCOMP_API const char *mcomp_graph_warning(const mcomp_graph *g, int64_t i);
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
    uint64_t shard_bytes; /* safetensors: > 0 writes NAME.index.json and shards with at most so many bytes of tensors; 0: one file */
} mcomp_save_options;
MCOMP_API int32_t mcomp_save_options_init(mcomp_save_options *o, uint32_t size);
/* Writes beside the target and renames; the same graph gives the same bytes. A path that ends in .safetensors gets every constant
 * under its name, and the metadata (data and opset must be 0 then); any other is an ONNX file (shard_bytes must be 0).
 * Codes: PATH, IO, NO_SPACE, UNSUPPORTED, ARGUMENT. */
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
typedef struct mcomp_constant_info { /* a weight; strings and data borrowed from the graph */
    uint32_t size;
    int32_t dtype, rank, reserved;
    int64_t dims[MCOMP_MAX_RANK];
    uint64_t bytes;
    const char *name;
    const void *data; /* at any address, aligned or not */
} mcomp_constant_info;
/* Constants of the main graph, in the order of the file: calls visit for each; info lives during the call. Returns OK. */
MCOMP_API int32_t mcomp_graph_constants(const mcomp_graph *g, void (*visit)(void *payload, const mcomp_constant_info *info), void *payload);
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
