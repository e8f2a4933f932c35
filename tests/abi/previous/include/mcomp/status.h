/* mcomp/status.h - status codes and the error record.
 *
 * Every fallible function returns int32_t: 0 (MCOMP_OK) or one of the negative codes below. The values are pinned for
 * ever. Positive values are reserved for "ok, with a remark". After a failure the calling thread can read the detail
 * with mcomp_error_get(): what went wrong, where (file, node, tensor, line), and what to do next. The record lives in
 * thread-local storage of fixed size, never allocates, and is cleared on entry of every fallible public call, so read
 * it before the next call on the same thread.
 */
#ifndef MCOMP_STATUS_H
#define MCOMP_STATUS_H

#include <mcomp/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* code, value, exit code of the command line program, one line of text */
#define MCOMP_STATUS_TABLE(X)                                                                                          \
    X(OK, 0, 0, "success")                                                                                             \
    X(ARGUMENT, -1, 1, "invalid argument or call order")                                                               \
    X(FORMAT, -2, 2, "malformed file or model")                                                                        \
    X(PATH, -3, 2, "path refused or not found")                                                                        \
    X(IO, -4, 2, "input/output error")                                                                                 \
    X(LIMIT, -5, 2, "a configured limit was exceeded")                                                                 \
    X(SHAPE, -6, 2, "shapes do not fit together")                                                                      \
    X(DTYPE, -7, 2, "wrong or unsuitable data type")                                                                   \
    X(RANGE, -8, 2, "value out of range")                                                                              \
    X(DATA, -9, 2, "malformed or unsuitable data")                                                                     \
    X(RECIPE, -10, 2, "error in a recipe")                                                                             \
    X(UNSUPPORTED, -20, 3, "operator or feature not supported")                                                        \
    X(NO_GRADIENT, -21, 3, "operator without a gradient")                                                              \
    X(TARGET_MISSED, -30, 4, "target missed; the best result was written")                                             \
    X(MISMATCH, -31, 4, "comparison failed")                                                                           \
    X(NO_MEMORY, -40, 5, "out of memory")                                                                              \
    X(NO_SPACE, -41, 5, "no space left on the device")                                                                 \
    X(DEVICE, -42, 5, "device error")                                                                                  \
    X(NO_BACKEND, -43, 5, "backend or device not available")                                                           \
    X(BUSY, -44, 5, "object in use")                                                                                   \
    X(FORKED, -45, 5, "object used in a forked child")                                                                 \
    X(CANCELLED, -50, 130, "cancelled")                                                                                \
    X(DIVERGED, -60, 4, "training diverged")                                                                           \
    X(INTERNAL, -90, 6, "internal error")

#define MCOMP_STATUS_CONST(name, value, exit_code, text) static const int32_t MCOMP_##name = value;
#ifdef __cplusplus
MCOMP_STATUS_TABLE(MCOMP_STATUS_CONST)
#else
/* Integer constants usable in case labels and static initializers of C. */
enum {
#define MCOMP_STATUS_ENUM(name, value, exit_code, text) MCOMP_##name = value,
    MCOMP_STATUS_TABLE(MCOMP_STATUS_ENUM)
#undef MCOMP_STATUS_ENUM
};
#endif
#undef MCOMP_STATUS_CONST

/* The error record. size is set by the caller; the library fills at most that many bytes. */
typedef struct mcomp_error {
    uint32_t size;      /* sizeof(mcomp_error) as the caller knows it */
    int32_t code;       /* status code, 0 if the last call on this thread succeeded */
    int32_t argument;   /* 1-based index of the offending argument, 0 if none */
    int32_t reserved;
    char where[256];    /* file:offset, node, tensor or parameter; non-printables escaped; may be empty */
    char message[512];  /* what and why, one line */
    char hint[256];     /* what to do next; may be empty */
} mcomp_error;

/* Copies the calling thread's error record into *out (out->size must be set). Never fails; safe from any thread. */
MCOMP_API void mcomp_error_get(mcomp_error *out);

/* "UNSUPPORTED" for MCOMP_UNSUPPORTED; "UNKNOWN" for values that are no code. Static storage. */
MCOMP_API const char *mcomp_status_name(int32_t status);

/* One line of text for a code. Static storage. */
MCOMP_API const char *mcomp_status_text(int32_t status);

/* Exit code that the command line program uses for this status. */
MCOMP_API int32_t mcomp_status_exit_code(int32_t status);

#ifdef __cplusplus
}
#endif
#endif
