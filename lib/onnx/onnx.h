/* onnx/onnx.h - ONNX files in and out. Nothing else of the library knows protobuf. */
#ifndef MC_ONNX_H
#define MC_ONNX_H

#include <mcomp/graph.h>

#include "ops/ops.h"

/* Loads, validates, upgrades every known operator to its internal version (mc_op.version) and infers types. Weights stay
 * references into the mapped file. ctx (limits) may be NULL. */
int32_t mc_onnx_load(mc_graph **out, mcomp_context *ctx, const char *path, uint64_t *file_bytes);
/* The same with options.copy and options.verify (others are not looked at). What was odd, but no error, goes to warnings, each text
 * with its NUL. */
int32_t mc_onnx_load_with(mc_graph **out, mcomp_context *ctx, const char *path, const mcomp_load_options *options, mc_str *warnings,
                          uint64_t *file_bytes);
/* From memory; the bytes are copied. External data is refused. */
int32_t mc_onnx_load_memory(mc_graph **out, mcomp_context *ctx, const void *data, uint64_t bytes);
/* options may be NULL. Refuses graphs that hold `mcomp` domain nodes. */
int32_t mc_onnx_save(const mc_graph *g, const char *path, const mcomp_save_options *options);
/* One serialized TensorProto. name (may be NULL) receives a copy, at most cap bytes. */
int32_t mc_onnx_tensor_load(mc_tensor **out, const char *path, char *name, uint64_t cap);

#endif
