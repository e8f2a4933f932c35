/* The context and the size-first options mechanism. */
#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>

int32_t mc_options_init(void *o, uint32_t size, uint32_t known, const char *what)
{
    MC_API_ENTER();
    if (!o) return mc_fail_argument(1, what, "is NULL");
    if (size < sizeof(uint32_t)) return mc_fail_argument(2, "size", "is too small");
    memset(o, 0, size < known ? size : known);
    if (size > known) memset((uint8_t *)o + known, 0, size - known);
    memcpy(o, &size, sizeof size);
    return MCOMP_OK;
}

int32_t mc_options_read(void *dst, uint32_t dst_size, const void *src, const char *what)
{
    uint32_t size;
    if (!src) return MCOMP_OK;
    memcpy(&size, src, sizeof size);
    if (size < sizeof(uint32_t) || size > 65536) return mc_fail(MCOMP_ARGUMENT, what, "size %u is not set by the _init function", size);
    for (uint32_t i = dst_size; i < size; i++)
        if (((const uint8_t *)src)[i]) return mc_fail(MCOMP_ARGUMENT, what, "an option at byte %u is not known to this version", i);
    memcpy(dst, src, size < dst_size ? size : dst_size);
    memcpy(dst, &dst_size, sizeof dst_size);
    return MCOMP_OK;
}

int mc_info_sized(const void *out)
{
    uint32_t size = 0;
    if (out) memcpy(&size, out, sizeof size);
    return size >= sizeof size && size <= 65536;
}

int32_t mc_info_give(void *out, const void *info, uint32_t known, int32_t argument)
{
    uint32_t size;
    if (!mc_info_sized(out)) return mc_fail_argument(argument, "out", "is NULL or its size is not set");
    memcpy(&size, out, sizeof size);
    memset(out, 0, size);
    memcpy(out, info, size < known ? size : known);
    memcpy(out, &size, sizeof size);
    return MCOMP_OK;
}

int32_t mcomp_context_options_init(mcomp_context_options *o, uint32_t size)
{
    return mc_options_init(o, size, sizeof *o, "options");
}

static void free_context(mcomp_context *c)
{
    if (!c) return;
    if (c->registry_destroy) c->registry_destroy(c->registry);
    mc_pool_destroy(c->pool);
    mc_free((void *)(uintptr_t)c->options.backend);
    mc_free((void *)(uintptr_t)c->options.backend_dir);
    mc_free((void *)(uintptr_t)c->options.cache_dir);
    mc_free(c);
}

static int32_t own(const char **s)
{
    if (!*s) return MCOMP_OK;
    *s = mc_strdup(*s);
    return *s ? MCOMP_OK : MCOMP_NO_MEMORY;
}

static int32_t set_defaults(mcomp_context_options *o)
{
    const char *env = secure_getenv("MCOMP_NUM_THREADS");
    int64_t n;
    if (o->threads == 0 && env && *env) {
        if (mc_parse_i64(env, &n) != MCOMP_OK || n < 1 || n > 256)
            return mc_fail(MCOMP_RANGE, "MCOMP_NUM_THREADS", "\"%s\" is no number of threads from 1 to 256", env);
        o->threads = (int32_t)n;
    }
    if (!o->max_model_bytes) o->max_model_bytes = 1ull << 36;
    if (!o->max_fold_bytes) o->max_fold_bytes = 1ull << 26;
    if (!o->max_tensor_bytes) o->max_tensor_bytes = 1ull << 34;
    if (!o->max_nodes) o->max_nodes = 1000000;
    return MCOMP_OK;
}

/* Lends the public hook's 64-bit signature to the internal one. */
static mcomp_context_options hook_options;
static void *hook_alloc(void *payload, size_t bytes, size_t alignment)
{
    (void)payload;
    return hook_options.alloc(hook_options.alloc_payload, bytes, alignment);
}
static void hook_release(void *payload, void *p, size_t bytes, size_t alignment)
{
    (void)payload;
    hook_options.release(hook_options.alloc_payload, p, bytes, alignment);
}

static int32_t install_hook(const mcomp_context_options *o)
{
    const mc_allocator a = {hook_alloc, hook_release, NULL};
    if (!o->alloc && !o->release) return MCOMP_OK;
    if (!o->alloc || !o->release) return mc_fail(MCOMP_ARGUMENT, "alloc", "alloc and release must be given together");
    if (hook_options.alloc && (hook_options.alloc != o->alloc || hook_options.release != o->release || hook_options.alloc_payload != o->alloc_payload))
        return mc_fail(MCOMP_ARGUMENT, "alloc", "another allocator is already in use in this process");
    const int32_t st = mc_allocator_set(&a);
    if (st == MCOMP_OK) hook_options = *o;
    return st;
}

int32_t mcomp_context_create(mcomp_context **out, const mcomp_context_options *options)
{
    int32_t st = MCOMP_OK;
    mcomp_context *c = NULL;
    mcomp_context_options o = {.size = sizeof o};
    MC_API_ENTER();
    MC_CHECK_ARG(1, out, "out", "is NULL");
    *out = NULL;
    MC_TRY(mc_options_read(&o, sizeof o, options, "options"));
    MC_TRY(install_hook(&o));
    MC_TRY(set_defaults(&o));
    if (o.threads < 0 || o.threads > 256) MC_FAIL(MCOMP_RANGE, "threads", "%d threads; 0 (automatic) to 256 are possible", o.threads);
    c = mc_calloc(1, sizeof *c);
    if (!c) return MCOMP_NO_MEMORY;
    c->options = o;
    c->options.backend = c->options.backend_dir = c->options.cache_dir = NULL;
    atomic_flag_clear(&c->lock);
    c->options.backend = o.backend;
    MC_TRY(own(&c->options.backend));
    c->options.backend_dir = o.backend_dir;
    MC_TRY(own(&c->options.backend_dir));
    c->options.cache_dir = o.cache_dir;
    MC_TRY(own(&c->options.cache_dir));
    MC_TRY(mc_pool_create(&c->pool, o.threads));
    *out = c;
    return MCOMP_OK;
done:
    free_context(c);
    return st;
}

void mcomp_context_destroy(mcomp_context *ctx) { free_context(ctx); }

void mcomp_context_cancel(mcomp_context *ctx)
{
    if (ctx) atomic_store(&ctx->cancelled, 1);
}
void mcomp_context_cancel_clear(mcomp_context *ctx)
{
    if (ctx) atomic_store(&ctx->cancelled, 0);
}
int32_t mcomp_context_threads(const mcomp_context *ctx) { return ctx ? mc_pool_threads(ctx->pool) : 1; }

int32_t mc_context_poll(mcomp_context *ctx)
{
    if (ctx && atomic_load_explicit(&ctx->cancelled, memory_order_relaxed)) return mc_fail(MCOMP_CANCELLED, "", "cancelled on request");
    return MCOMP_OK;
}

int32_t mc_context_progress(mcomp_context *ctx, const char *stage, double fraction)
{
    const int32_t st = mc_context_poll(ctx);
    if (st != MCOMP_OK || !ctx || !ctx->options.progress) return st;
    if (ctx->options.progress(ctx->options.progress_payload, stage, fraction) != 0)
        return mc_fail(MCOMP_CANCELLED, stage, "cancelled by the progress callback");
    return MCOMP_OK;
}

void mc_context_log(mcomp_context *ctx, int32_t level, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    if (!ctx || !ctx->options.log) return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    ctx->options.log(ctx->options.log_payload, level, text);
}

struct mc_pool *mc_context_pool(mcomp_context *ctx) { return ctx ? ctx->pool : NULL; }

int32_t mcomp_machine_info_get(mcomp_machine_info *out)
{
    mcomp_machine_info i = {.size = sizeof i};
    MC_API_ENTER();
    i.cpus = mc_cpu_count();
    (void)mc_cpu_name(i.cpu, sizeof i.cpu);
    snprintf(i.isa, sizeof i.isa, "%s", mc_isa_name(mc_isa_tier(mc_cpu_isa())));
    snprintf(i.isa_max, sizeof i.isa_max, "%s", mc_isa_name(mc_isa_tier(mc_cpu_isa_max())));
    i.bf16 = mc_cpu_has_bf16();
    i.amx = mc_cpu_isa() >= MC_ISA_AMX;
    i.memory_bytes = mc_memory_bytes();
    return mc_info_give(out, &i, sizeof i, 1);
}
