/* safetensors/safetensors.h - safetensors files and sharded sets of them, in and out, and models built from their weights.
 *
 * A file is: 8 bytes little-endian length N; N bytes of JSON, {"NAME":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},...},
 * with an optional "__metadata__" of strings; then the data. It holds weights only, no graph: the graph is built by an
 * architecture (archs.def).
 */
#ifndef MC_SAFETENSORS_H
#define MC_SAFETENSORS_H

#include <mcomp/graph.h>

#include "ops/ops.h"

#define MC_ST_MAX_HEADER 100000000u /* bytes of JSON, as the reference implementation */
#define MC_ST_MAX_TENSORS 1000000

typedef struct mc_st_tensor {
    const char *name;
    int32_t dtype;
    mc_shape shape;
    uint64_t offset, bytes; /* in the buffer */
    mc_buffer *buffer;      /* the mapped file; borrowed from the set */
} mc_st_tensor;

/* An open file, or an open index with all its shards. */
typedef struct mc_safetensors {
    mc_arena *arena; /* names, metadata */
    mc_st_tensor *tensor; /* in the order of the header */
    int64_t n, cap;
    mc_map *names; /* -> index in tensor */
    mc_graph_meta *meta; /* of __metadata__ */
    int64_t n_meta, cap_meta;
    mc_buffer **buffer;
    int64_t n_buffers, cap_buffers;
    uint64_t file_bytes; /* of all files, the index included */
    int32_t copy;        /* files are read, not mapped */
} mc_safetensors;

/* path: a file, or an index (*.index.json) whose shards lie in its folder. Nothing is copied: tensors point into the mapped files.
 * With copy they are read instead of mapped. ctx (limits) may be NULL. Codes: PATH, IO, FORMAT, LIMIT, UNSUPPORTED, NO_MEMORY. */
int32_t mc_safetensors_open(mc_safetensors **out, mcomp_context *ctx, const char *path, int32_t copy);
/* One file from memory; the bytes are copied. */
int32_t mc_safetensors_open_memory(mc_safetensors **out, mcomp_context *ctx, const void *data, uint64_t bytes);
void mc_safetensors_close(mc_safetensors *s);
/* 1: the name or the first bytes say that it is a safetensors file or an index of such. */
int mc_safetensors_is(const char *path);
int mc_safetensors_is_name(const char *path); /* by the name alone */
const mc_st_tensor *mc_safetensors_find(const mc_safetensors *s, const char *name); /* NULL: there is none */
/* A tensor that shares the mapping and keeps it alive. */
int32_t mc_safetensors_tensor(const mc_st_tensor *t, mc_tensor **out);

/* Graph of an architecture, or, with arch "tensors", a graph without nodes that holds the tensors as constants. What was odd but
 * no error (tensors that nobody uses) goes to warnings, each text with its NUL. */
int32_t mc_safetensors_load(mc_graph **out, mcomp_context *ctx, const char *path, const mcomp_load_options *options, mc_str *warnings,
                            uint64_t *file_bytes);

/* Every constant of the graph under its name, metadata too. options: overwrite, shard_bytes; may be NULL. The bytes are those of
 * the reference implementation (order by alignment, then name) and depend on the tensors only. */
int32_t mc_safetensors_save(const mc_graph *g, const char *path, const mcomp_save_options *options);

/* ---- a BERT encoder from any source of weights (bert_graph.c) ---------------------------------------------------------------- */
#define MC_BERT_CONST "const/" /* in front of the names of constants that are no weights */
enum { MC_BERT_GELU = 0, MC_BERT_GELU_TANH = 1, MC_BERT_RELU = 2 };
typedef struct mc_bert_config {
    int64_t vocab, positions, types, hidden, layers, heads, ffn;
    int32_t act;     /* MC_BERT_* */
    int32_t pooler;  /* 1: first token -> dense -> tanh */
    int64_t classes; /* > 0: a classifier on the pooled (or the first) token; `logits` is then the only output */
    float eps;       /* of LayerNorm */
} mc_bert_config;
/* Where a weight comes from. name is the checkpoint's without prefix ("encoder.layer.0.output.dense.weight"), matrices are
 * [out, in]. *out: an f32 tensor of this shape, the caller's; *as: its name in the graph. */
typedef int32_t (*mc_bert_weight_fn)(void *payload, const char *name, const mc_shape *shape, mc_tensor **out, const char **as);
/* Inputs input_ids, attention_mask, token_type_ids: int64 [batch, sequence]. Outputs last_hidden_state [batch, sequence, hidden]
 * and pooler_output [batch, hidden], or logits [batch, classes]. Types are inferred. */
int32_t mc_bert_build(mc_graph **out, const mc_bert_config *c, mc_bert_weight_fn weight, void *payload);

#endif
