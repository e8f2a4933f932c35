/* Public functions that read and write files: graphs and ONNX tensors. */
#include <mcomp/graph.h>
#include <mcomp/tensor.h>

#include "onnx/onnx.h"

static int32_t wrap(mcomp_graph **out, mcomp_context *ctx, mc_graph *g, uint64_t file_bytes)
{
    mcomp_graph *h = mc_calloc(1, sizeof *h);
    if (!h) {
        mc_graph_destroy(g);
        return MCOMP_NO_MEMORY;
    }
    h->g = g;
    h->ctx = ctx;
    h->file_bytes = file_bytes;
    *out = h;
    return MCOMP_OK;
}

int32_t mcomp_graph_load(mcomp_graph **out, mcomp_context *ctx, const char *path)
{
    mc_graph *g;
    uint64_t bytes = 0;
    MC_API_ENTER();
    MC_CHECK_ARG(1, out, "out", "is NULL");
    *out = NULL;
    MC_CHECK_ARG(2, ctx, "ctx", "is NULL");
    MC_CHECK_ARG(3, path, "path", "is NULL");
    const int32_t st = mc_onnx_load(&g, ctx, path, &bytes);
    return st == MCOMP_OK ? wrap(out, ctx, g, bytes) : st;
}

int32_t mcomp_graph_load_memory(mcomp_graph **out, mcomp_context *ctx, const void *data, uint64_t bytes)
{
    mc_graph *g;
    MC_API_ENTER();
    MC_CHECK_ARG(1, out, "out", "is NULL");
    *out = NULL;
    MC_CHECK_ARG(2, ctx, "ctx", "is NULL");
    MC_CHECK_ARG(3, data || bytes == 0, "data", "is NULL");
    const int32_t st = mc_onnx_load_memory(&g, ctx, data, bytes);
    return st == MCOMP_OK ? wrap(out, ctx, g, bytes) : st;
}

int32_t mcomp_save_options_init(mcomp_save_options *o, uint32_t size) { return mc_options_init(o, size, sizeof *o, "options"); }

int32_t mcomp_graph_save(const mcomp_graph *g, const char *path, const mcomp_save_options *options)
{
    MC_API_ENTER();
    MC_CHECK_ARG(1, g, "g", "is NULL");
    MC_CHECK_ARG(2, path, "path", "is NULL");
    return mc_onnx_save(g->g, path, options);
}

int32_t mcomp_tensor_load_pb(mcomp_tensor **out, const char *path, char *name, uint64_t cap)
{
    mc_tensor *t = NULL;
    MC_API_ENTER();
    MC_CHECK_ARG(1, out, "out", "is NULL");
    *out = NULL;
    MC_CHECK_ARG(2, path, "path", "is NULL");
    MC_CHECK_ARG(4, !name || cap > 0, "cap", "is 0");
    const int32_t st = mc_onnx_tensor_load(&t, path, name, cap);
    *out = (mcomp_tensor *)t;
    return st;
}
