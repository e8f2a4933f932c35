/* The oneDNN plugin opened as the library opens it, for its tests. */
#ifndef MC_TEST_ONEDNN_CASE_H
#define MC_TEST_ONEDNN_CASE_H

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernels/kernels.h"
#include "runtime/registry.h"
#include "support/node.h"
#include "support/support.h"

static const mcomp_backend_api *api;
static mcomp_bk_instance *instance;

static void open_plugin(void)
{
    const char *path = getenv("ONEDNN_PLUGIN");
    void *dl = dlopen(path ? path : ONEDNN_PLUGIN, RTLD_NOW | RTLD_LOCAL);
    ck_assert_msg(dl != NULL, "%s", dlerror());
    mcomp_backend_entry_fn entry;
    void *symbol = dlsym(dl, "mcomp_backend_entry");
    ck_assert(symbol != NULL);
    memcpy(&entry, &symbol, sizeof entry);
    api = entry(mc_host_api());
    ck_assert(api != NULL);
    ck_assert_int_gt(api->score(), 0);
    mc_ck_ok(api->create(&instance, 0, NULL, NULL, 0));
    mc_ck_ok(api->self_test(instance));
}

static void close_plugin(void)
{
    api->destroy(instance);
    instance = NULL;
}

/* The whole suite of a test program: cases run with the plugin open; skipped where oneDNN has nothing to run on. */
static int run_suite(const char *name, const TTest *const *tests, int n)
{
    Suite *s = suite_create(name);
    TCase *t = tcase_create("plugin");
    if (mc_cpu_isa() < MC_ISA_AVX2) {
        puts("1..0 # SKIP oneDNN needs AVX2");
        return 0;
    }
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, open_plugin, close_plugin);
    for (int i = 0; i < n; i++) tcase_add_test(t, tests[i]);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}

#endif
