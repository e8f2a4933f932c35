/* mcomp/tensor.h - arrays at the boundary: dtype, shape, contiguous row-major elements.
 *
 * @thread one at a time for writing; may be read by many.
 */
#ifndef MCOMP_TENSOR_H
#define MCOMP_TENSOR_H

#include <mcomp/status.h>
#include <mcomp/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* New zeroed tensor; the caller owns it. rank 0..MCOMP_MAX_RANK. Codes: ARGUMENT, DTYPE, SHAPE, LIMIT, NO_MEMORY. */
MCOMP_API int32_t mcomp_tensor_create(mcomp_tensor **out, int32_t dtype, int32_t rank, const int64_t *dims);
/* Wraps the caller's memory without copying; bytes must be exactly the size of the tensor. release(payload, data) runs when
 * the library no longer needs it (may be NULL: then the memory must outlive the tensor and all its users). */
MCOMP_API int32_t mcomp_tensor_wrap(mcomp_tensor **out, int32_t dtype, int32_t rank, const int64_t *dims, void *data,
                                    uint64_t bytes, void (*release)(void *payload, void *data), void *payload);
MCOMP_API void mcomp_tensor_destroy(mcomp_tensor *t);
MCOMP_API int32_t mcomp_tensor_dtype(const mcomp_tensor *t);
MCOMP_API int32_t mcomp_tensor_rank(const mcomp_tensor *t);
/* Borrowed, rank entries, valid until the tensor is destroyed. */
MCOMP_API const int64_t *mcomp_tensor_dims(const mcomp_tensor *t);
/* Borrowed pointer to the elements. */
MCOMP_API void *mcomp_tensor_data(const mcomp_tensor *t);
MCOMP_API uint64_t mcomp_tensor_bytes(const mcomp_tensor *t);
MCOMP_API int64_t mcomp_tensor_elements(const mcomp_tensor *t);
/* "float32"; "undefined" for unknown codes. */
MCOMP_API const char *mcomp_dtype_name(int32_t dtype);
/* Name (also numpy's: "<f4", "float32") to code; MCOMP_UNDEFINED if unknown. */
MCOMP_API int32_t mcomp_dtype_from_name(const char *name);
/* .npy file (version 1-3) in and out, in C order in memory. Types that numpy lacks are saved as the smallest that holds
 * every value: bfloat16 and 8-bit floats as float32, sub-byte integers as int8 or uint8. Codes: PATH, FORMAT, DTYPE, IO. */
MCOMP_API int32_t mcomp_tensor_load_npy(mcomp_tensor **out, const char *path);
MCOMP_API int32_t mcomp_tensor_save_npy(const mcomp_tensor *t, const char *path, int32_t overwrite);
/* ONNX TensorProto file (input_0.pb of a test directory). *name (may be NULL) receives a copy, at most cap bytes. */
MCOMP_API int32_t mcomp_tensor_load_pb(mcomp_tensor **out, const char *path, char *name, uint64_t cap);

#ifdef __cplusplus
}
#endif
#endif
