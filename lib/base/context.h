/* base/context.h - the context behind mcomp_context: options, pool, cancellation, and a slot for the backend registry. */
#ifndef MC_BASE_CONTEXT_H
#define MC_BASE_CONTEXT_H

#include <mcomp/context.h>
#include <stdatomic.h>

struct mc_pool;

struct mcomp_context {
    mcomp_context_options options; /* strings owned */
    struct mc_pool *pool;
    atomic_int cancelled;
    void *registry;                        /* runtime/: backends; created on first use */
    void (*registry_destroy)(void *registry);
    atomic_flag lock;                      /* guards registry creation */
};

/* MCOMP_CANCELLED when asked to stop; polled by long loops. ctx may be NULL. */
int32_t mc_context_poll(mcomp_context *ctx);
/* Progress report; MCOMP_CANCELLED when the callback or mcomp_context_cancel says stop. */
int32_t mc_context_progress(mcomp_context *ctx, const char *stage, double fraction);
void mc_context_log(mcomp_context *ctx, int32_t level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
struct mc_pool *mc_context_pool(mcomp_context *ctx); /* NULL for a NULL context: run in the caller */

/* Copies a size-first options struct over defaults already in dst: min(size) bytes, and MCOMP_ARGUMENT naming `what` for a
 * zero or too small size or for non-zero bytes beyond what the library knows. src may be NULL (defaults). */
int32_t mc_options_read(void *dst, uint32_t dst_size, const void *src, const char *what);
/* Body of every _init function: zeroes min(size, known) bytes and stores size. */
int32_t mc_options_init(void *o, uint32_t size, uint32_t known, const char *what);
/* Gives a size-first struct of facts to a caller who may know a shorter or a longer one and has set its size: min(size, known) bytes of
 * info, zeroes behind them, the caller's size kept. ARGUMENT when the size is not set. */
int32_t mc_info_give(void *out, const void *info, uint32_t known, int32_t argument);
/* Whether mc_info_give will take it: for calls that work long before they give. */
int mc_info_sized(const void *out);

#endif
