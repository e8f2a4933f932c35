/* tensor/tensor.h - dtypes, checked sizes, reference-counted buffers, contiguous tensors.
 *
 * A tensor is dtype + shape + a pointer to row-major contiguous elements. Its memory belongs to a buffer (mapped file,
 * owned block, user memory with a release callback) shared by reference counting, or to nobody (a view that the holder
 * keeps alive, buffer == NULL).
 */
#ifndef MC_TENSOR_H
#define MC_TENSOR_H

#include "base/base.h"

#define MC_MAX_RANK MCOMP_MAX_RANK

typedef struct mc_shape {
    int32_t rank;
    int64_t dim[MC_MAX_RANK];
} mc_shape;

/* Bits of one element; 0 for strings and unknown codes. */
int32_t mc_dtype_bits(int32_t dtype);
const char *mc_dtype_name(int32_t dtype);     /* "float32"; "undefined" for unknown codes */
int32_t mc_dtype_from_name(const char *name); /* also numpy descr names "<f4", "|u1"; MCOMP_UNDEFINED if unknown */
int mc_dtype_is_float(int32_t dtype);
int mc_dtype_is_integer(int32_t dtype); /* signed or unsigned, 8 to 64 bit; not bool, not sub-byte */

/* The one checked size computation of the library. Number of elements / bytes (sub-byte types rounded up to whole
 * bytes). MCOMP_SHAPE for negative dims, MCOMP_LIMIT on overflow of int64 (zero dims do not hide an overflow). */
int32_t mc_shape_elements(const mc_shape *s, int64_t *elements);
int32_t mc_size_bytes(int32_t dtype, const mc_shape *s, uint64_t *bytes);
mc_shape mc_shape_make(int32_t rank, const int64_t *dims);
int mc_shape_equal(const mc_shape *a, const mc_shape *b);
/* numpy broadcasting of two shapes; MCOMP_SHAPE when they do not fit. */
int32_t mc_shape_broadcast(const mc_shape *a, const mc_shape *b, mc_shape *out);
/* Strides in elements for reading a tensor of shape `s` as if broadcast to `to` (0 on broadcast axes). */
void mc_shape_broadcast_strides(const mc_shape *s, const mc_shape *to, int64_t strides[MC_MAX_RANK]);
/* "[2,3,4]"; returns buf. */
const char *mc_shape_text(const mc_shape *s, char *buf, size_t cap);

typedef struct mc_buffer mc_buffer;
typedef void (*mc_buffer_release_fn)(void *payload, void *data);
mc_buffer *mc_buffer_alloc(uint64_t bytes); /* zeroed, 64-byte aligned; NULL on failure with the record set */
/* Wraps foreign memory; release(payload, data) runs when the last reference goes (may be NULL). NULL on failure: then
 * release is not called. */
mc_buffer *mc_buffer_wrap(void *data, uint64_t bytes, mc_buffer_release_fn release, void *payload);
/* Takes over the mapping. */
mc_buffer *mc_buffer_from_mapping(mc_mapping *m);
/* The open file, mapped, or with copy read into memory; larger than max_bytes: MCOMP_LIMIT, before anything is allocated. */
int32_t mc_buffer_from_file(mc_buffer **out, int fd, const char *name_for_errors, int32_t copy, uint64_t max_bytes);
mc_buffer *mc_buffer_ref(mc_buffer *b); /* atomic */
void mc_buffer_unref(mc_buffer *b);     /* NULL is a no-op */
void *mc_buffer_data(const mc_buffer *b);
uint64_t mc_buffer_bytes(const mc_buffer *b);

/* String tensors (dtype STRING): data points to `char *` elements, owned by the buffer's release callback. */
typedef struct mc_tensor {
    int32_t dtype;
    mc_shape shape;
    void *data;
    mc_buffer *buffer; /* NULL: view */
} mc_tensor;

/* The public handle is the same thing. */
struct mcomp_tensor {
    mc_tensor t;
};

/* New tensor with a zeroed buffer of its own. */
int32_t mc_tensor_create(mc_tensor **out, int32_t dtype, const mc_shape *shape);
/* Heap tensor over part of a buffer (takes a reference). Bounds are checked. */
int32_t mc_tensor_from_buffer(mc_tensor **out, int32_t dtype, const mc_shape *shape, mc_buffer *b, uint64_t offset);
/* Another header over the same memory. */
int32_t mc_tensor_share(mc_tensor **out, const mc_tensor *t);
int32_t mc_tensor_copy(mc_tensor **out, const mc_tensor *t);
/* Weights that stay mapped from a file may start at any byte. Moves such a tensor to memory of its own; nothing to do
 * for all others. Changes this header only, not those that share the memory. */
int32_t mc_tensor_align(mc_tensor *t);
void mc_tensor_destroy(mc_tensor *t); /* drops the buffer reference; NULL is a no-op */
int64_t mc_tensor_elements(const mc_tensor *t);
uint64_t mc_tensor_bytes(const mc_tensor *t);
/* Element i (flat) as double / int64, for any numeric or bool dtype incl. f16, bf16 and sub-byte types. */
double mc_tensor_get_f64(const mc_tensor *t, int64_t i);
int64_t mc_tensor_get_i64(const mc_tensor *t, int64_t i);
void mc_tensor_set_f64(mc_tensor *t, int64_t i, double v); /* rounds and saturates for integer types */
void mc_tensor_set_i64(mc_tensor *t, int64_t i, int64_t v);

float mc_f16_to_f32(uint16_t h);
uint16_t mc_f32_to_f16(float f); /* round to nearest even */
float mc_bf16_to_f32(uint16_t h);
uint16_t mc_f32_to_bf16(float f);

/* Dispatch of one piece of source over element types:
 *   MC_DISPATCH_FLOAT(dtype, T, { T *x = t->data; ... }, { unsupported... })
 */
#define MC_DISPATCH_FLOAT(dtype_, T, BODY, OTHERWISE)                                                                  \
    switch (dtype_) {                                                                                                  \
    case MCOMP_F32: { typedef float T; BODY } break;                                                                   \
    case MCOMP_F64: { typedef double T; BODY } break;                                                                  \
    default: OTHERWISE break;                                                                                          \
    }
#define MC_DISPATCH_NUMERIC(dtype_, T, BODY, OTHERWISE)                                                                \
    switch (dtype_) {                                                                                                  \
    case MCOMP_F32: { typedef float T; BODY } break;                                                                   \
    case MCOMP_F64: { typedef double T; BODY } break;                                                                  \
    case MCOMP_I64: { typedef int64_t T; BODY } break;                                                                 \
    case MCOMP_I32: { typedef int32_t T; BODY } break;                                                                 \
    case MCOMP_I16: { typedef int16_t T; BODY } break;                                                                 \
    case MCOMP_I8: { typedef int8_t T; BODY } break;                                                                   \
    case MCOMP_U64: { typedef uint64_t T; BODY } break;                                                                \
    case MCOMP_U32: { typedef uint32_t T; BODY } break;                                                                \
    case MCOMP_U16: { typedef uint16_t T; BODY } break;                                                                \
    case MCOMP_U8: { typedef uint8_t T; BODY } break;                                                                  \
    default: OTHERWISE break;                                                                                          \
    }

#endif
