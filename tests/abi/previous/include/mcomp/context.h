/* mcomp/context.h - the library context: allocator, limits, threads, backends, callbacks.
 *
 * @thread safe: one context may be used by all threads of a process. Objects made from a context must be destroyed before
 * it. Options structs here and elsewhere are size-first: set size with the matching _init function, append-only; bytes
 * beyond what the library knows must be zero, else MCOMP_ARGUMENT. NULL options mean all defaults.
 */
#ifndef MCOMP_CONTEXT_H
#define MCOMP_CONTEXT_H

#include <mcomp/status.h>
#include <mcomp/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mcomp_context_options {
    uint32_t size;
    int32_t threads;           /* workers of the pool, the caller included; 0: MCOMP_NUM_THREADS or one per CPU of the mask */
    const char *backend;       /* "auto" (NULL), "cpu", "onednn", "cuda": which backends sessions may use */
    const char *backend_dir;   /* absolute folder searched first for plugins, or NULL */
    const char *cache_dir;     /* folder for measured choices, or NULL: nothing is written */
    /* allocator hook, all three or none; process-wide: the first context decides, another one later is MCOMP_ARGUMENT */
    void *(*alloc)(void *payload, uint64_t bytes, uint64_t alignment);
    void (*release)(void *payload, void *p, uint64_t bytes, uint64_t alignment);
    void *alloc_payload;
    mcomp_progress_fn progress; /* also polled for cancellation in long calls */
    void *progress_payload;
    void (*log)(void *payload, int32_t level, const char *text); /* level 0 error .. 3 debug; NULL: nothing is logged */
    void *log_payload;
    /* limits on untrusted input; 0 = default */
    uint64_t max_model_bytes;   /* default 64 GiB: bytes mapped for one model */
    uint64_t max_fold_bytes;    /* default 64 MiB: constant folding never creates more than this or the file's size */
    uint64_t max_tensor_bytes;  /* default 16 GiB: one tensor at run time */
    int64_t max_nodes;          /* default 1,000,000 */
} mcomp_context_options;

MCOMP_API int32_t mcomp_context_options_init(mcomp_context_options *o, uint32_t size);
/* Creates a context. The caller owns *out. Codes: ARGUMENT, RANGE (threads outside 0..256), NO_MEMORY. */
MCOMP_API int32_t mcomp_context_create(mcomp_context **out, const mcomp_context_options *options);
MCOMP_API void mcomp_context_destroy(mcomp_context *ctx);
/* Asks every long call of this context to return MCOMP_CANCELLED soon. Async-signal-safe. Cleared by _cancel_clear. */
MCOMP_API void mcomp_context_cancel(mcomp_context *ctx);
MCOMP_API void mcomp_context_cancel_clear(mcomp_context *ctx);
MCOMP_API int32_t mcomp_context_threads(const mcomp_context *ctx);

/* Loads a plugin by absolute path. Codes: PATH, NO_BACKEND (refused, the reason in the error record). */
MCOMP_API int32_t mcomp_backend_load(mcomp_context *ctx, const char *path);

typedef struct mcomp_backend_info {
    uint32_t size;
    int32_t usable;      /* 1: sessions may use it */
    char name[32];
    char version[64];
    char path[512];      /* empty for built-in ones */
    char why[256];       /* why it is not usable, or empty */
} mcomp_backend_info;
/* Backends found by the context, usable or refused; searches the plugin folders on first use. */
MCOMP_API int32_t mcomp_backend_count(mcomp_context *ctx, int32_t *count);
MCOMP_API int32_t mcomp_backend_info_get(mcomp_context *ctx, int32_t index, mcomp_backend_info *out);

typedef struct mcomp_machine_info {
    uint32_t size;
    int32_t cpus;       /* of the affinity mask */
    char cpu[96];       /* model name */
    char isa[16];       /* tier in effect: ref, avx2, avx512, avx512_vnni */
    char isa_max[16];   /* tier of the CPU without MCOMP_ISA */
    int32_t bf16, reserved;
    uint64_t memory_bytes;
} mcomp_machine_info;
MCOMP_API int32_t mcomp_machine_info_get(mcomp_machine_info *out);

#ifdef __cplusplus
}
#endif
#endif
