/* Public functions that read and write files: graphs (ONNX here, safetensors in its own room) and ONNX tensors. */
#include <mcomp/graph.h>
#include <mcomp/tensor.h>

#include "onnx/onnx.h"
#include "safetensors/safetensors.h"

int32_t mcomp_load_options_init(mcomp_load_options *o, uint32_t size) { return mc_options_init(o, size, sizeof *o, "options"); }

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

/* ONNX files say everything themselves; safetensors files have no checksums. */
static int32_t check_options(const mcomp_load_options *o, int safetensors)
{
    if ((o->copy != 0 && o->copy != 1) || (o->verify != 0 && o->verify != 1)) return mc_fail(MCOMP_ARGUMENT, o->copy & ~1 ? "copy" : "verify", "is 0 or 1");
    if (safetensors && o->verify) {
        (void)mc_fail(MCOMP_ARGUMENT, "verify", "a safetensors file has no checksums: there is nothing to verify");
        return mc_fail_hint("compare the file with the checksum that its publisher gives, for example with sha256sum");
    }
    if (safetensors || (!o->arch && !o->config && !o->head)) return MCOMP_OK;
    (void)mc_fail(MCOMP_ARGUMENT, o->arch ? "arch" : o->config ? "config" : "head", "an ONNX file is a whole model: this is for safetensors files");
    return MCOMP_ARGUMENT;
}

static int32_t load(mcomp_graph **out, mcomp_context *ctx, const char *path, const mcomp_load_options *options)
{
    int32_t st = MCOMP_OK;
    mc_graph *g = NULL;
    uint64_t bytes = 0;
    mc_str warnings = {0};
    mcomp_load_options o = {.size = sizeof o};
    const int safetensors = mc_safetensors_is(path);
    MC_TRY(mc_options_read(&o, sizeof o, options, "options"));
    MC_TRY(check_options(&o, safetensors));
    MC_TRY(safetensors ? mc_safetensors_load(&g, ctx, path, &o, &warnings, &bytes) : mc_onnx_load_with(&g, ctx, path, &o, &warnings, &bytes));
    MC_TRY(wrap(out, ctx, g, bytes));
    (*out)->warnings = warnings;
    warnings.data = NULL;
done:
    mc_str_free(&warnings);
    return st;
}

int32_t mcomp_graph_load_with(mcomp_graph **out, mcomp_context *ctx, const char *path, const mcomp_load_options *options)
{
    MC_API_ENTER();
    MC_CHECK_ARG(1, out, "out", "is NULL");
    *out = NULL;
    MC_CHECK_ARG(2, ctx, "ctx", "is NULL");
    MC_CHECK_ARG(3, path, "path", "is NULL");
    return load(out, ctx, path, options);
}

const char *mcomp_graph_warning(const mcomp_graph *g, int64_t i)
{
    if (!g || i < 0) return NULL;
    for (int64_t at = 0; at < g->warnings.len; at += (int64_t)strlen(g->warnings.data + at) + 1)
        if (i-- == 0) return g->warnings.data + at;
    return NULL;
}

int32_t mcomp_graph_load(mcomp_graph **out, mcomp_context *ctx, const char *path)
{
    MC_API_ENTER();
    MC_CHECK_ARG(1, out, "out", "is NULL");
    *out = NULL;
    MC_CHECK_ARG(2, ctx, "ctx", "is NULL");
    MC_CHECK_ARG(3, path, "path", "is NULL");
    return load(out, ctx, path, NULL);
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
    return mc_safetensors_is_name(path) ? mc_safetensors_save(g->g, path, options) : mc_onnx_save(g->g, path, options);
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
