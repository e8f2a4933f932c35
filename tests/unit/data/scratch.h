/* A folder for the files of one test, and a graph with inputs to open data for. */
#ifndef MC_TEST_DATA_SCRATCH_H
#define MC_TEST_DATA_SCRATCH_H

#include <stdio.h>
#include <stdlib.h>

#include "data/internal.h"
#include "support/support.h"

static char dir[64];
static mcomp_graph model;

static inline const char *at(const char *name)
{
    static char path[8][256];
    static int next;
    char *p = path[next++ % 8];
    snprintf(p, 256, "%s/%s", dir, name);
    return p;
}
static inline void put_bytes(const char *name, const void *data, size_t n)
{
    FILE *f = fopen(at(name), "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fwrite(data, 1, n, f), n);
    fclose(f);
}
static inline void put(const char *name, const char *text) { put_bytes(name, text, strlen(text)); }
static inline void add_input(const char *name, int32_t dtype, int32_t rank, int64_t d0, int64_t d1)
{
    mc_value *v;
    mc_type t = {.dtype = dtype, .rank = rank, .dim = {d0, d1}};
    if (d0 < 0) mc_ck_ok(mc_graph_symbol(model.g, "batch", &t.dim[0]));
    if (d1 < 0) mc_ck_ok(mc_graph_symbol(model.g, "length", &t.dim[1]));
    mc_ck_ok(mc_graph_add_input(model.g, name, &t, &v));
}
static inline void setup(void)
{
    strcpy(dir, "/tmp/mcomp_data_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    mc_ck_ok(mc_graph_create(&model.g, "m"));
}
static inline void teardown(void)
{
    char cmd[128];
    mc_graph_destroy(model.g);
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    ck_assert_int_eq(system(cmd), 0);
}

#endif
