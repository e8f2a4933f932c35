/* Arrays: the first byte chooses npy, npz, IDX (also gzipped), raw with its specification, a TensorProto file, or a whole
 * dataset on a model. Each gives an array or a reason. */
#include "data/argument.h"
#include "fuzz/fuzz.h"
#include "fuzz/scratch.h"

static void outcome(int32_t st)
{
    if (st > 0 || (st != MCOMP_OK && !mc_error_peek()->message[0])) __builtin_trap();
}

static mcomp_graph *model(void)
{
    static mcomp_graph *g;
    mcomp_context *ctx;
    mcomp_context_options o;
    static const int64_t dims[2] = {-1, 4};
    if (g) return g;
    if (mcomp_context_options_init(&o, sizeof o) != MCOMP_OK) exit(2);
    o.threads = 1;
    if (mcomp_context_create(&ctx, &o) != MCOMP_OK || mcomp_graph_create(&g, ctx, "m", 13) != MCOMP_OK || mcomp_graph_add_input(g, "x", MCOMP_F32, 2, dims, NULL) != MCOMP_OK) exit(2);
    return g;
}

static void open_dataset(const char *argument)
{
    mcomp_dataset *d = NULL;
    const mcomp_tensor *in[1];
    int64_t label;
    const int32_t st = mcomp_dataset_open(&d, NULL, model(), argument, NULL);
    outcome(st);
    for (int64_t i = 0; st == MCOMP_OK && i < 16 && i < mcomp_dataset_count(d); i++) outcome(mcomp_dataset_get(d, i, 1, in, &label));
    mcomp_dataset_destroy(d);
}

/* Up to the first newline the specification (DTYPE:SHAPE), behind it the bytes. */
static void raw(const uint8_t *data, size_t size)
{
    char spec[256];
    mc_tensor *t = NULL;
    const uint8_t *nl = size ? memchr(data, '\n', size < 100 ? size : 100) : NULL;
    if (!nl) return;
    const char *path = mc_scratch(".bin", nl + 1, size - (size_t)(nl + 1 - data));
    snprintf(spec, sizeof spec, "%s:%.*s", path, (int)(nl - data), (const char *)data);
    outcome(mc_raw_read(&t, spec));
    mc_tensor_destroy(t);
    snprintf(spec, sizeof spec, "raw:x=%s:%.*s", path, (int)(nl - data), (const char *)data);
    open_dataset(spec);
}

static void argument(const uint8_t *data, size_t size)
{
    mc_argument a;
    char *text = mc_strndup((const char *)data, size);
    if (!text) return;
    outcome(mc_argument_parse(&a, text));
    mc_argument_free(&a);
    mc_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mc_tensor *t = NULL;
    mc_arrays arrays = {0};
    char name[16];
    if (size == 0) return 0;
    mc_error_clear();
    const uint8_t *body = data + 1;
    const size_t n = size - 1;
    switch (data[0] % 9) {
    case 0: outcome(mc_npy_parse(&t, body, n, "npy")); break;
    case 1: outcome(mc_npz_read(&arrays, mc_scratch(".npz", body, n))); break;
    case 2: outcome(mc_idx_read(&t, mc_scratch(".idx", body, n))); break;
    case 3: outcome(mc_idx_read(&t, mc_scratch(".idx.gz", body, n))); break;
    case 4: raw(body, n); break;
    case 5: outcome(mc_onnx_tensor_load(&t, mc_scratch(".pb", body, n), name, sizeof name)); break;
    case 6: argument(body, n); break;
    case 7: open_dataset(mc_scratch(".npz", body, n)); break;
    default: open_dataset(mc_scratch(".npy", body, n)); break;
    }
    mc_tensor_destroy(t);
    mc_arrays_free(&arrays);
    return 0;
}
