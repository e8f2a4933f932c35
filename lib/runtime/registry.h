/* runtime/registry.h - private: the backends a context knows. */
#ifndef MC_RUNTIME_REGISTRY_H
#define MC_RUNTIME_REGISTRY_H

#include <pthread.h>

#include "runtime/runtime.h"
#include "backends/cpu/entry.h"

typedef struct mc_backend {
    char name[32];
    char version[64];
    char path[512]; /* empty: built in */
    char why[256];  /* why it is not usable */
    const mcomp_backend_api *api;
    mcomp_bk_instance *instance;
    int32_t usable;
} mc_backend;

typedef struct mc_registry {
    mc_backend *list;
    int64_t n, cap;
    pthread_mutex_t lock; /* the list, and every claim, compile and program_destroy: a backend sees one thread at a time */
} mc_registry;

/* The context's backends, searched on first use. Built-in "cpu" comes first. */
int32_t mc_registry_get(mcomp_context *ctx, mc_registry **out);
/* Loads one plugin file into the registry (refused ones are listed with the reason). */
int32_t mc_registry_load(mc_registry *r, const char *path, mc_backend **out);

const mcomp_host_api *mc_host_api(void);

/* Packed constants of a session. */
typedef struct mc_store mc_store;
mc_store *mc_store_create(void);
void mc_store_destroy(mc_store *s);
uint64_t mc_store_bytes(const mc_store *s);

#endif
