/* mcomp/types.h - fixed-width types, opaque handles and data types shared by all public headers. */
#ifndef MCOMP_TYPES_H
#define MCOMP_TYPES_H

#include <stdint.h>

#if defined(__GNUC__)
#define MCOMP_API __attribute__((visibility("default")))
#else
#define MCOMP_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mcomp_context mcomp_context;
typedef struct mcomp_graph mcomp_graph;
typedef struct mcomp_tensor mcomp_tensor;
typedef struct mcomp_dataset mcomp_dataset;
typedef struct mcomp_tokenizer mcomp_tokenizer;
typedef struct mcomp_calibrator mcomp_calibrator;
typedef struct mcomp_quantizer mcomp_quantizer;
typedef struct mcomp_trainer mcomp_trainer;
typedef struct mcomp_pruner mcomp_pruner;
typedef struct mcomp_distiller mcomp_distiller;
typedef struct mcomp_recipe mcomp_recipe;
typedef struct mcomp_report mcomp_report;
typedef struct mcomp_session mcomp_session;
typedef struct mcomp_exec mcomp_exec;

/* Element types; the values are those of ONNX TensorProto.DataType. */
#define MCOMP_DTYPE_TABLE(X)                                                                                           \
    X(UNDEFINED, 0, 0, "undefined")                                                                                    \
    X(F32, 1, 32, "float32")                                                                                           \
    X(U8, 2, 8, "uint8")                                                                                               \
    X(I8, 3, 8, "int8")                                                                                                \
    X(U16, 4, 16, "uint16")                                                                                            \
    X(I16, 5, 16, "int16")                                                                                             \
    X(I32, 6, 32, "int32")                                                                                             \
    X(I64, 7, 64, "int64")                                                                                             \
    X(STRING, 8, 0, "string")                                                                                          \
    X(BOOL, 9, 8, "bool")                                                                                              \
    X(F16, 10, 16, "float16")                                                                                          \
    X(F64, 11, 64, "float64")                                                                                          \
    X(U32, 12, 32, "uint32")                                                                                           \
    X(U64, 13, 64, "uint64")                                                                                           \
    X(C64, 14, 64, "complex64")                                                                                        \
    X(C128, 15, 128, "complex128")                                                                                     \
    X(BF16, 16, 16, "bfloat16")                                                                                        \
    X(F8E4M3FN, 17, 8, "float8e4m3fn")                                                                                 \
    X(F8E4M3FNUZ, 18, 8, "float8e4m3fnuz")                                                                             \
    X(F8E5M2, 19, 8, "float8e5m2")                                                                                     \
    X(F8E5M2FNUZ, 20, 8, "float8e5m2fnuz")                                                                             \
    X(U4, 21, 4, "uint4")                                                                                              \
    X(I4, 22, 4, "int4")                                                                                               \
    X(F4E2M1, 23, 4, "float4e2m1")                                                                                     \
    X(F8E8M0, 24, 8, "float8e8m0")                                                                                     \
    X(U2, 25, 2, "uint2")                                                                                              \
    X(I2, 26, 2, "int2")

#ifdef __cplusplus
#define MCOMP_DTYPE_CONST(name, value, bits, text) static const int32_t MCOMP_##name = value;
MCOMP_DTYPE_TABLE(MCOMP_DTYPE_CONST)
#undef MCOMP_DTYPE_CONST
#else
enum {
#define MCOMP_DTYPE_ENUM(name, value, bits, text) MCOMP_##name = value,
    MCOMP_DTYPE_TABLE(MCOMP_DTYPE_ENUM)
#undef MCOMP_DTYPE_ENUM
};
#endif

/* Highest rank of a tensor. Models with a higher rank are refused with MCOMP_LIMIT. */
#define MCOMP_MAX_RANK 8

/* Progress callback: called from the thread that made the long call. fraction is 0..1 or negative when unknown.
 * Return 0 to continue, anything else to cancel (the call then returns MCOMP_CANCELLED). */
typedef int32_t (*mcomp_progress_fn)(void *payload, const char *stage, double fraction);

#ifdef __cplusplus
}
#endif
#endif
