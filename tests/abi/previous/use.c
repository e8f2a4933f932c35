/* use.c - a program of yesterday: it knows the frozen headers only, and runs on the library of today. */
#include <math.h>
#include <mcomp/mcomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "now.h"

#ifdef MCOMP_TRAINER_H
#error "these are not the frozen headers"
#endif

static int failures;

static void expect(int32_t status, int line, const char *what)
{
    mcomp_error e = {.size = sizeof e};
    if (status >= 0) return;
    mcomp_error_get(&e);
    printf("use.c:%d: %s: %s: %s: %s\n", line, what, mcomp_status_name(status), e.where, e.message);
    failures++;
}
#define OK(call) expect((call), __LINE__, #call)
#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            printf("use.c:%d: not so: %s\n", __LINE__, #condition);                                                    \
            failures++;                                                                                                \
        }                                                                                                              \
    } while (0)

/* A struct of old length with a guard behind it. */
#define GUARD 128
#define GUARDED(type, name)                                                                                            \
    struct {                                                                                                           \
        type s;                                                                                                        \
        unsigned char guard[GUARD];                                                                                    \
    } name;                                                                                                            \
    memset(&name, 0xA5, sizeof name)
#define FACTS(type, name)                                                                                              \
    GUARDED(type, name);                                                                                               \
    name.s.size = sizeof name.s
#define WHOLE(name) CHECK(whole(name.guard))

static int whole(const unsigned char *guard)
{
    for (int i = 0; i < GUARD; i++)
        if (guard[i] != 0xA5) return 0;
    return 1;
}

static void lengths(void)
{
    static const struct length then[] = {
#define STRUCT(name) {#name, sizeof(name)},
#include "structs.inc"
#undef STRUCT
    };
    const size_t n = sizeof then / sizeof *then;
    size_t grown = 0;
    for (size_t i = 0; i < n; i++) {
        CHECK(strcmp(then[i].name, lengths_now[i].name) == 0);
        CHECK(then[i].bytes <= lengths_now[i].bytes);
        grown += then[i].bytes < lengths_now[i].bytes;
    }
    printf("%zu structs, %zu longer now than then; library %s, headers %s\n", n, grown, mcomp_version_string(), MCOMP_VERSION_STRING);
}

static void machine(mcomp_context *ctx)
{
    FACTS(mcomp_machine_info, m);
    OK(mcomp_machine_info_get(&m.s));
    CHECK(m.s.size == sizeof m.s && m.s.cpus >= 1 && m.s.memory_bytes > 0 && m.s.isa[0]);
    WHOLE(m);
    int32_t n = 0;
    OK(mcomp_backend_count(ctx, &n));
    for (int32_t i = 0; i < n; i++) {
        FACTS(mcomp_backend_info, b);
        OK(mcomp_backend_info_get(ctx, i, &b.s));
        CHECK(b.s.name[0] && b.s.size == sizeof b.s);
        WHOLE(b);
    }
}

/* y = relu(x @ w) @ v, w[i][k] = (i - k) / 8, v[k][j] = (k + j) / 16. */
static mcomp_graph *model(mcomp_context *ctx)
{
    mcomp_graph *g = NULL;
    mcomp_tensor *w = NULL, *v = NULL;
    const int64_t wd[] = {8, 16}, vd[] = {16, 4}, xd[] = {-1, 8};
    const char *const symbols[] = {"batch", NULL};
    const char *const first[] = {"x", "w"}, *const second[] = {"h", "v"};
    const char *const m = "m", *const h = "h", *const y = "y";
    OK(mcomp_graph_create(&g, ctx, "previous", 0));
    OK(mcomp_tensor_create(&w, MCOMP_F32, 2, wd));
    OK(mcomp_tensor_create(&v, MCOMP_F32, 2, vd));
    float *p = mcomp_tensor_data(w);
    for (int i = 0; i < 128; i++) p[i] = (float)(i / 16 - i % 16) / 8.0f;
    p = mcomp_tensor_data(v);
    for (int i = 0; i < 64; i++) p[i] = (float)(i / 4 + i % 4) / 16.0f;
    OK(mcomp_graph_add_input(g, "x", MCOMP_F32, 2, xd, symbols));
    OK(mcomp_graph_add_constant(g, "w", w));
    OK(mcomp_graph_add_constant(g, "v", v));
    OK(mcomp_graph_add_node(g, "MatMul", "first", 2, first, 1, &m));
    OK(mcomp_graph_add_node(g, "Relu", "relu", 1, &m, 1, &h));
    OK(mcomp_graph_add_node(g, "MatMul", "second", 2, second, 1, &y));
    OK(mcomp_graph_add_output(g, "y"));
    OK(mcomp_graph_finish(g));
    mcomp_tensor_destroy(w);
    mcomp_tensor_destroy(v);
    return g;
}

static void count(void *payload, const mcomp_constant_info *c)
{
    CHECK(c->size >= sizeof *c && c->dtype == MCOMP_F32 && c->rank == 2 && c->data && c->bytes == (uint64_t)(c->dims[0] * c->dims[1] * 4));
    ++*(int *)payload;
}

static void look(const mcomp_graph *g)
{
    FACTS(mcomp_graph_info, i);
    OK(mcomp_graph_info_get(g, &i.s));
    CHECK(i.s.n_inputs == 1 && i.s.n_outputs == 1 && i.s.n_nodes == 3 && i.s.parameters == 192 && i.s.size == sizeof i.s);
    WHOLE(i);
    FACTS(mcomp_port_info, p);
    OK(mcomp_graph_input(g, 0, &p.s));
    CHECK(p.s.rank == 2 && p.s.dims[0] == -1 && p.s.dims[1] == 8 && strcmp(p.s.symbols[0], "batch") == 0 && strcmp(p.s.name, "x") == 0);
    WHOLE(p);
    FACTS(mcomp_node_info, n);
    OK(mcomp_graph_node(g, 1, &n.s));
    CHECK(strcmp(n.s.op, "Relu") == 0 && n.s.supported == 1);
    WHOLE(n);
    int constants = 0;
    OK(mcomp_graph_constants(g, count, &constants));
    CHECK(constants == 2);
}

static mcomp_graph *there_and_back(mcomp_context *ctx, const mcomp_graph *g, const char *path)
{
    GUARDED(mcomp_save_options, s);
    OK(mcomp_save_options_init(&s.s, sizeof s.s));
    WHOLE(s);
    s.s.overwrite = 1;
    OK(mcomp_graph_save(g, path, &s.s));
    GUARDED(mcomp_load_options, l);
    OK(mcomp_load_options_init(&l.s, sizeof l.s));
    WHOLE(l);
    mcomp_graph *back = NULL;
    OK(mcomp_graph_load_with(&back, ctx, path, &l.s));
    return back;
}

/* plugin (NULL: none): name of a backend that must have got a node. */
static void run(mcomp_context *ctx, const mcomp_graph *g, double tolerance, const char *plugin)
{
    int placed = 0;
    GUARDED(mcomp_session_options, o);
    OK(mcomp_session_options_init(&o.s, sizeof o.s));
    WHOLE(o);
    o.s.profile = 1;
    o.s.no_fusion = plugin != NULL; /* the nodes as they are, which is what the plugin knows */
    mcomp_session *s = NULL;
    mcomp_exec *e = NULL;
    mcomp_tensor *x = NULL;
    const mcomp_tensor *y = NULL;
    const int64_t dims[] = {1, 8};
    OK(mcomp_session_create(&s, ctx, g, &o.s));
    OK(mcomp_exec_create(&e, s));
    OK(mcomp_tensor_create(&x, MCOMP_F32, 2, dims));
    float *in = mcomp_tensor_data(x);
    for (int i = 0; i < 8; i++) in[i] = 1.0f;
    OK(mcomp_exec_run(e, 1, (const mcomp_tensor *const[]){x}, 1, &y));
    for (int j = 0; j < 4 && y; j++) {
        double want = 0; /* sum over i of (i - k) / 8 is (28 - 8 k) / 8 */
        for (int k = 0; k < 16; k++) want += fmax(28.0 - 8.0 * k, 0) / 8.0 * (k + j) / 16.0;
        const double got = ((const float *)mcomp_tensor_data(y))[j];
        if (fabs(got - want) > tolerance * want) printf("output %d: %g, not %g\n", j, got, want);
        CHECK(fabs(got - want) <= tolerance * want);
    }
    int32_t kernels = 0;
    OK(mcomp_exec_kernel_count(e, &kernels));
    CHECK(kernels > 0);
    for (int32_t i = 0; i < kernels; i++) {
        FACTS(mcomp_kernel_info, k);
        OK(mcomp_exec_kernel(e, i, &k.s));
        CHECK(k.s.node && k.s.kernel && k.s.size == sizeof k.s);
        placed += plugin && strcmp(k.s.backend, plugin) == 0;
        WHOLE(k);
    }
    CHECK(!plugin || placed > 0);
    FACTS(mcomp_plan_info, p);
    OK(mcomp_exec_plan_info(e, &p.s));
    CHECK(p.s.n_steps == kernels && p.s.size == sizeof p.s);
    WHOLE(p);
    mcomp_tensor_destroy(x);
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
}

static int32_t fetch(void *payload, int64_t index, int32_t n_inputs, mcomp_tensor **inputs, int64_t *label)
{
    (void)payload;
    if (n_inputs != 1) return MCOMP_DATA;
    const int32_t status = mcomp_tensor_create(&inputs[0], MCOMP_F32, 2, (const int64_t[]){1, 8});
    if (status < 0) return status;
    float *x = mcomp_tensor_data(inputs[0]);
    for (int i = 0; i < 8; i++) x[i] = 1.0f + 0.2f * sinf((float)(index * 8 + i));
    *label = -1;
    return MCOMP_OK;
}

/* Samples of a file, with the options as long as they were. */
static void data_of_file(mcomp_context *ctx, const mcomp_graph *g, const char *folder)
{
    char path[512];
    snprintf(path, sizeof path, "%s/x.npy", folder);
    mcomp_tensor *t = NULL;
    OK(mcomp_tensor_create(&t, MCOMP_F32, 2, (const int64_t[]){10, 8}));
    OK(mcomp_tensor_save_npy(t, path, 1));
    mcomp_tensor_destroy(t);
    GUARDED(mcomp_dataset_options, o);
    OK(mcomp_dataset_options_init(&o.s, sizeof o.s));
    WHOLE(o);
    o.s.limit = 7;
    mcomp_dataset *d = NULL;
    OK(mcomp_dataset_open(&d, ctx, g, path, &o.s));
    CHECK(mcomp_dataset_count(d) == 7);
    mcomp_dataset_destroy(d);
    remove(path);
}

static mcomp_graph *quantize(mcomp_context *ctx, const mcomp_graph *g, const char *folder)
{
    char path[512];
    snprintf(path, sizeof path, "%s/a.calib", folder);
    mcomp_dataset *d = NULL;
    mcomp_calibrator *c = NULL, *loaded = NULL;
    mcomp_quantizer *q = NULL;
    mcomp_graph *small = NULL;
    OK(mcomp_dataset_create(&d, ctx, g, 32, fetch, NULL));
    OK(mcomp_calibrator_create(&c, ctx, g));
    OK(mcomp_calibrator_feed_dataset(c, d));
    OK(mcomp_calibrator_save(c, path, 1));
    OK(mcomp_calibrator_load(&loaded, ctx, g, path));
    OK(mcomp_calibrator_merge(loaded, c));
    FACTS(mcomp_calibration_info, i);
    OK(mcomp_calibrator_info(loaded, &i.s));
    CHECK(i.s.samples == 64 && i.s.skipped == 0 && i.s.tensors > 0);
    WHOLE(i);
    GUARDED(mcomp_quantizer_options, o);
    OK(mcomp_quantizer_options_init(&o.s, sizeof o.s));
    WHOLE(o);
    o.s.scheme = "int8";
    OK(mcomp_quantizer_create(&q, ctx, &o.s));
    OK(mcomp_quantizer_apply(&small, q, g, loaded, d));
    int32_t n = 0;
    OK(mcomp_quantizer_node_count(q, &n));
    CHECK(n == 2);
    for (int32_t k = 0; k < n; k++) {
        FACTS(mcomp_quantized_node, node);
        OK(mcomp_quantizer_node(q, k, &node.s));
        CHECK(node.s.quantized == 1 && strcmp(node.s.op, "MatMul") == 0 && strcmp(node.s.scheme, "int8") == 0);
        WHOLE(node);
    }
    mcomp_quantizer_destroy(q);
    mcomp_calibrator_destroy(loaded);
    mcomp_calibrator_destroy(c);
    mcomp_dataset_destroy(d);
    remove(path);
    return small;
}

static void errors(mcomp_context *ctx)
{
    mcomp_graph *g = NULL;
    FACTS(mcomp_error, e);
    CHECK(mcomp_graph_load(&g, ctx, "/no/such/model.onnx") == MCOMP_PATH);
    mcomp_error_get(&e.s);
    CHECK(e.s.code == MCOMP_PATH && strstr(e.s.where, "/no/such/model.onnx") && e.s.message[0]);
    WHOLE(e);
}

/* The plugin of yesterday; copied, as the build's file may be writable for a group, which the library refuses. */
static void with_plugin(const char *file, const char *folder)
{
    char path[512], block[4096];
    snprintf(path, sizeof path, "%s/libmcomp-fake.so", folder);
    FILE *in = fopen(file, "rb"), *out = fopen(path, "wb");
    CHECK(in && out);
    if (!in || !out) return;
    for (size_t n; (n = fread(block, 1, sizeof block, in)) > 0;) CHECK(fwrite(block, 1, n, out) == n);
    fclose(in);
    fclose(out);
    CHECK(chmod(path, 0755) == 0);
    mcomp_context *ctx = NULL;
    OK(mcomp_context_create(&ctx, NULL));
    OK(mcomp_backend_load(ctx, path));
    mcomp_graph *g = model(ctx);
    run(ctx, g, 1e-5, "fake");
    mcomp_graph_destroy(g);
    mcomp_context_destroy(ctx);
    remove(path);
}

int main(int argc, char **argv)
{
    char folder[256];
    snprintf(folder, sizeof folder, "%s/mcomp_previous_XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    if (!mkdtemp(folder)) return 1;
    char path[512];
    snprintf(path, sizeof path, "%s/a.onnx", folder);
    lengths();
    GUARDED(mcomp_context_options, o);
    OK(mcomp_context_options_init(&o.s, sizeof o.s));
    WHOLE(o);
    o.s.threads = 1;
    mcomp_context *ctx = NULL;
    OK(mcomp_context_create(&ctx, &o.s));
    machine(ctx);
    mcomp_graph *g = model(ctx), *back = there_and_back(ctx, g, path);
    look(back);
    run(ctx, back, 1e-5, NULL);
    data_of_file(ctx, back, folder);
    mcomp_graph *small = quantize(ctx, back, folder), *again = there_and_back(ctx, small, path);
    run(ctx, again, 0.03, NULL);
    if (argc == 2) with_plugin(argv[1], folder);
    errors(ctx);
    mcomp_graph_destroy(again);
    mcomp_graph_destroy(small);
    mcomp_graph_destroy(back);
    mcomp_graph_destroy(g);
    mcomp_context_destroy(ctx);
    remove(path);
    remove(folder);
    printf("%d failures\n", failures);
    return failures != 0;
}
