/* Backends of a context: the built-in one and plugins from, in this order, an explicit path, the context's folder,
 * MCOMP_BACKEND_PATH (not under setuid) and the compiled-in folder. Never the working directory. A plugin that somebody
 * else could have written (group- or world-writable, foreign owner) is refused before it is opened. */
#include "runtime/registry.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX "libmcomp-"

static void copy_text(char *dst, size_t cap, const char *src)
{
    size_t n = src ? strlen(src) : 0;
    if (n >= cap) n = cap - 1;
    if (n) memcpy(dst, src, n);
    dst[n] = 0;
}

/* Refused: keeps the thread's error as the reason. */
static void refuse(mc_backend *b, const char *otherwise)
{
    const mcomp_error *e = mc_error_peek();
    copy_text(b->why, sizeof b->why, e && e->code ? e->message : otherwise);
    b->usable = 0;
}

/* Checks the table and brings the backend up: score, instance, self-test. */
static void bring_up(mc_backend *b, const mcomp_backend_api *api)
{
    if (!api) {
        refuse(b, "the plugin refused to load");
        return;
    }
    if (api->abi_major != MCOMP_BACKEND_ABI_MAJOR || api->size < offsetof(mcomp_backend_api, buffer_alloc)) {
        mc_error_clear();
        (void)mc_fail(MCOMP_NO_BACKEND, b->name, "plugin interface version %u, this library has %d", api->abi_major,
                      MCOMP_BACKEND_ABI_MAJOR);
        refuse(b, "");
        return;
    }
    if (!api->create || !api->destroy || !api->claim || !api->compile || !api->program_destroy || !api->program_info || !api->run) {
        mc_error_clear();
        refuse(b, "the plugin's table lacks functions");
        return;
    }
    if ((api->flags & MCOMP_BACKEND_OWN_MEMORY) &&
        (api->size < offsetof(mcomp_backend_api, synchronize) + sizeof api->synchronize || !api->buffer_alloc || !api->buffer_free ||
         !api->upload || !api->download)) {
        mc_error_clear();
        refuse(b, "the plugin owns memory but its table lacks the functions for it");
        return;
    }
    b->api = api;
    if (api->name) copy_text(b->name, sizeof b->name, api->name);
    copy_text(b->version, sizeof b->version, api->version);
    mc_error_clear();
    if (api->score && api->score() <= 0) {
        refuse(b, "not usable on this machine");
        return;
    }
    if (api->create(&b->instance, 0, NULL, NULL, 0) != MCOMP_OK) {
        refuse(b, "could not be created");
        return;
    }
    if (api->self_test && api->self_test(b->instance) != MCOMP_OK) {
        refuse(b, "the self-test failed");
        api->destroy(b->instance);
        b->instance = NULL;
        return;
    }
    b->usable = 1;
}

static int32_t check_file(const char *path)
{
    struct stat s;
    if (path[0] != '/') return mc_fail(MCOMP_PATH, path, "plugin paths must be absolute");
    if (stat(path, &s) != 0) return mc_fail(MCOMP_PATH, path, "no such plugin file");
    if (!S_ISREG(s.st_mode)) return mc_fail(MCOMP_PATH, path, "not a regular file");
    if (s.st_mode & (S_IWGRP | S_IWOTH)) return mc_fail(MCOMP_PATH, path, "plugin refused: writable by group or others");
    if (s.st_uid != 0 && s.st_uid != geteuid()) return mc_fail(MCOMP_PATH, path, "plugin refused: owned by another user");
    return MCOMP_OK;
}

static mc_backend *find(mc_registry *r, const char *name)
{
    for (int64_t i = 0; i < r->n; i++)
        if (strcmp(r->list[i].name, name) == 0) return &r->list[i];
    return NULL;
}

int32_t mc_registry_load(mc_registry *r, const char *path, mc_backend **out)
{
    int32_t st = MCOMP_OK;
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    char name[32];
    mc_dl *dl = NULL;
    copy_text(name, sizeof name, strncmp(base, PREFIX, sizeof PREFIX - 1) == 0 ? base + sizeof PREFIX - 1 : base);
    char *dot = strchr(name, '.');
    if (dot) *dot = 0;
    mc_backend *b = find(r, name);
    if (b && b->usable) {
        *out = b;
        return MCOMP_OK;
    }
    if (!b) {
        MC_TRY(mc_grow(&r->list, &r->cap, r->n + 1, sizeof *r->list));
        b = &r->list[r->n++];
    }
    memset(b, 0, sizeof *b);
    copy_text(b->name, sizeof b->name, name);
    copy_text(b->path, sizeof b->path, path);
    *out = b;
    mc_error_clear();
    if (check_file(path) != MCOMP_OK || mc_dl_open(&dl, path) != MCOMP_OK) {
        refuse(b, "cannot be opened");
        return MCOMP_OK;
    }
    void *symbol = mc_dl_symbol(dl, "mcomp_backend_entry");
    if (!symbol) {
        mc_error_clear();
        refuse(b, "no symbol mcomp_backend_entry: not a backend");
        return MCOMP_OK;
    }
    mcomp_backend_entry_fn entry;
    memcpy(&entry, &symbol, sizeof entry);
    bring_up(b, entry(mc_host_api()));
done:
    return st;
}

static int is_plugin_name(const struct dirent *e)
{
    const size_t n = strlen(e->d_name);
    return strncmp(e->d_name, PREFIX, sizeof PREFIX - 1) == 0 && n > 3 && strcmp(e->d_name + n - 3, ".so") == 0;
}

/* Folder of plugins; a missing folder is nothing. */
static int32_t search_dir(mc_registry *r, const char *dir, size_t dir_len)
{
    int32_t st = MCOMP_OK;
    char path[512];
    struct dirent **names = NULL;
    if (dir_len == 0 || dir_len >= sizeof path || dir[0] != '/') return MCOMP_OK;
    memcpy(path, dir, dir_len);
    path[dir_len] = 0;
    const int n = scandir(path, &names, is_plugin_name, alphasort);
    for (int i = 0; i < n; i++) {
        mc_backend *b;
        const size_t len = strlen(names[i]->d_name);
        if (st == MCOMP_OK && dir_len + 1 + len < sizeof path) {
            path[dir_len] = '/';
            memcpy(path + dir_len + 1, names[i]->d_name, len + 1);
            st = mc_registry_load(r, path, &b);
        }
        free(names[i]);
    }
    free(names);
    return st;
}

static int32_t search_path(mc_registry *r, const char *list)
{
    int32_t st = MCOMP_OK;
    while (list && *list) {
        const char *end = strchr(list, ':');
        const size_t n = end ? (size_t)(end - list) : strlen(list);
        MC_TRY(search_dir(r, list, n));
        list = end ? end + 1 : NULL;
    }
done:
    return st;
}

static void registry_destroy(void *p)
{
    mc_registry *r = p;
    if (!r) return;
    for (int64_t i = 0; i < r->n; i++)
        if (r->list[i].instance) r->list[i].api->destroy(r->list[i].instance);
    mc_free(r->list);
    pthread_mutex_destroy(&r->lock);
    mc_free(r);
}

static int32_t registry_create(mc_registry **out, mcomp_context *ctx)
{
    int32_t st = MCOMP_OK;
    mc_registry *r = mc_calloc(1, sizeof *r);
    if (!r) return MCOMP_NO_MEMORY;
    pthread_mutex_init(&r->lock, NULL);
    MC_TRY(mc_grow(&r->list, &r->cap, 1, sizeof *r->list));
    r->n = 1;
    memset(&r->list[0], 0, sizeof r->list[0]);
    copy_text(r->list[0].name, sizeof r->list[0].name, "cpu");
    bring_up(&r->list[0], mc_cpu_backend_entry(mc_host_api()));
    if (!r->list[0].usable) MC_FAIL(MCOMP_INTERNAL, "cpu", "the built-in backend does not work: %s", r->list[0].why);
    MC_TRY(search_path(r, ctx->options.backend_dir));
    MC_TRY(search_path(r, secure_getenv("MCOMP_BACKEND_PATH")));
    MC_TRY(search_path(r, MC_BACKENDS_DIR));
    mc_error_clear();
    *out = r;
    return MCOMP_OK;
done:
    registry_destroy(r);
    return st;
}

int32_t mc_registry_get(mcomp_context *ctx, mc_registry **out)
{
    int32_t st = MCOMP_OK;
    while (atomic_flag_test_and_set_explicit(&ctx->lock, memory_order_acquire)) usleep(100);
    if (!ctx->registry) {
        mc_registry *r = NULL;
        st = registry_create(&r, ctx);
        if (st == MCOMP_OK) {
            ctx->registry = r;
            ctx->registry_destroy = registry_destroy;
        }
    }
    *out = ctx->registry;
    atomic_flag_clear_explicit(&ctx->lock, memory_order_release);
    return st;
}

/* ---- public ---- */

int32_t mcomp_backend_load(mcomp_context *ctx, const char *path)
{
    mc_registry *r;
    mc_backend *b;
    MC_API_ENTER();
    MC_CHECK_ARG(1, ctx, "ctx", "is NULL");
    MC_CHECK_ARG(2, path, "path", "is NULL");
    int32_t st = mc_registry_get(ctx, &r);
    if (st != MCOMP_OK) return st;
    pthread_mutex_lock(&r->lock);
    st = mc_registry_load(r, path, &b);
    if (st == MCOMP_OK && !b->usable) {
        mc_error_clear();
        st = mc_fail(MCOMP_NO_BACKEND, path, "%s", b->why);
    }
    pthread_mutex_unlock(&r->lock);
    return st;
}

int32_t mcomp_backend_count(mcomp_context *ctx, int32_t *count)
{
    mc_registry *r;
    MC_API_ENTER();
    MC_CHECK_ARG(1, ctx, "ctx", "is NULL");
    MC_CHECK_ARG(2, count, "count", "is NULL");
    const int32_t st = mc_registry_get(ctx, &r);
    if (st != MCOMP_OK) return st;
    pthread_mutex_lock(&r->lock);
    *count = (int32_t)r->n;
    pthread_mutex_unlock(&r->lock);
    return st;
}

int32_t mcomp_backend_info_get(mcomp_context *ctx, int32_t index, mcomp_backend_info *out)
{
    mc_registry *r;
    MC_API_ENTER();
    MC_CHECK_ARG(1, ctx, "ctx", "is NULL");
    MC_CHECK_ARG(3, out, "out", "is NULL");
    int32_t st = mc_registry_get(ctx, &r);
    if (st != MCOMP_OK) return st;
    pthread_mutex_lock(&r->lock);
    if (index >= 0 && index < r->n) {
        const mc_backend *b = &r->list[index];
        mcomp_backend_info info = {.size = sizeof info, .usable = b->usable};
        copy_text(info.name, sizeof info.name, b->name);
        copy_text(info.version, sizeof info.version, b->version);
        copy_text(info.path, sizeof info.path, b->path);
        copy_text(info.why, sizeof info.why, b->why);
        st = mc_info_give(out, &info, sizeof info, 3);
    } else {
        st = mc_fail_argument(2, "index", "is out of range");
    }
    pthread_mutex_unlock(&r->lock);
    return st;
}
