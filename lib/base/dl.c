/* Dynamic loading of plugins. Handles are never closed: code of a plugin may still be on some thread's stack. */
#include "base/base.h"

#include <dlfcn.h>

struct mc_dl {
    void *handle;
};

int32_t mc_dl_open(mc_dl **out, const char *absolute_path)
{
    *out = NULL;
    if (absolute_path[0] != '/') return mc_fail(MCOMP_PATH, absolute_path, "plugin paths must be absolute");
    mc_dl *d = mc_calloc(1, sizeof *d);
    if (!d) return MCOMP_NO_MEMORY;
    d->handle = dlopen(absolute_path, RTLD_NOW | RTLD_LOCAL);
    if (!d->handle) {
        const char *why = dlerror();
        mc_free(d);
        return mc_fail(MCOMP_NO_BACKEND, absolute_path, "cannot load: %s", why ? why : "unknown reason");
    }
    *out = d;
    return MCOMP_OK;
}

void *mc_dl_symbol(mc_dl *d, const char *name)
{
    void *symbol = dlsym(d->handle, name);
    mc_free(d); /* the handle itself stays open for ever */
    return symbol;
}
