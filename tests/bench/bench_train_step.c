/* bench_train_step [shape [threads [rounds [nodes|- [segments]]]]]: one forward and backward pass of a training graph whose weights are inputs,
 * in milliseconds, with the memory of its plan, then the time of each kind of node (or, with `nodes`, of the slowest nodes). With
 * `segments` activations are computed again (mc_recompute; 0: about the square root of their number). Shapes: minilm (6 layers x 384,
 * 16 x 128 tokens), encoder (4 x 128, 32 x 128), cnn (two 3x3 convolutions on 28 x 28, batch 64), or all. The optimizer is not
 * part of it. anchors/train_step.py times the same three in PyTorch. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ops/ops.h"
#include "passes/passes.h"
#include "runtime/runtime.h"

enum { MAX_INPUTS = 256, KINDS = 128 };

static void need(int32_t st, const char *what)
{
    if (st == MCOMP_OK) return;
    fprintf(stderr, "%s: %s (%s)\n", what, mc_error_peek()->message, mc_error_peek()->where);
    exit(1);
}

/* ---- models ---- */

typedef struct model {
    mc_graph *g;
    mc_value *weight[MAX_INPUTS];
    mcomp_tensor *input[MAX_INPUTS]; /* of every graph input, in order */
    int32_t n_weights, n_inputs;
    uint64_t seed;
} model;

static mc_value *input(model *m, const char *name, int32_t dtype, int32_t rank, const int64_t *dims, double top)
{
    mc_type t = {.dtype = dtype, .rank = rank};
    mc_value *v;
    mcomp_tensor *d;
    for (int32_t i = 0; i < rank; i++) t.dim[i] = dims[i];
    need(mc_graph_add_input(m->g, name, &t, &v), name);
    need(mcomp_tensor_create(&d, dtype, rank, dims), name);
    for (int64_t i = 0; i < mc_tensor_elements(&d->t); i++) {
        m->seed = m->seed * 6364136223846793005u + 1442695040888963407u;
        const double u = (double)(m->seed >> 40) * 0x1p-24;
        if (dtype == MCOMP_F32) ((float *)d->t.data)[i] = (float)(top * (2.0 * u - 1.0));
        else mc_tensor_set_i64(&d->t, i, (int64_t)(u * top));
    }
    m->input[m->n_inputs++] = d;
    return v;
}

static mc_value *weight(model *m, int32_t rank, int64_t a, int64_t b, int64_t c, int64_t d)
{
    char name[32];
    const int64_t dims[4] = {a, b, c, d};
    const double fan_in = rank < 2 ? 1.0 : rank == 2 ? (double)a : (double)(b * c * d);
    snprintf(name, sizeof name, "w%d", m->n_weights);
    mc_value *v = input(m, name, MCOMP_F32, rank, dims, rank < 2 ? 0.5 : sqrt(3.0 / fan_in));
    v->flags |= MC_VALUE_VARIABLE;
    return m->weight[m->n_weights++] = v;
}

static mc_value *op(model *m, const char *name, int32_t n, mc_value *a, mc_value *b, mc_value *c)
{
    mc_node *node;
    need(mc_graph_add_node(m->g, "", name, 0, NULL, n, (mc_value *[]){a, b, c}, 1, NULL, &node), name);
    return node->out[0];
}

static mc_node *last(const model *m) { return m->g->nodes[m->g->n_nodes - 1]; }

static mc_value *ints(model *m, int64_t n, const int64_t *v)
{
    mc_value *out;
    need(mc_graph_add_const_i64s(m->g, NULL, v, n, &out), "constant");
    return out;
}

static mc_value *dense(model *m, mc_value *x, int64_t k, int64_t n)
{
    return op(m, "Add", 2, op(m, "MatMul", 2, x, weight(m, 2, k, n, 0, 0), NULL), weight(m, 1, n, 0, 0, 0), NULL);
}

static mc_value *transpose(model *m, mc_value *x, const int64_t *perm)
{
    mc_value *y = op(m, "Transpose", 1, x, NULL, NULL);
    need(mc_node_set_ints(last(m), "perm", perm, 4), "perm");
    return y;
}

static mc_value *attention(model *m, mc_value *x, int64_t batch, int64_t length, int64_t width, int64_t heads)
{
    const int64_t split[] = {batch, length, heads, width / heads}, join[] = {batch, length, width};
    const int64_t front[] = {0, 2, 1, 3}, keys[] = {0, 2, 3, 1};
    mc_value *part[3], *scale;
    need(mc_graph_add_const_f32(m->g, NULL, 1.0f / sqrtf((float)(width / heads)), &scale), "scale");
    for (int i = 0; i < 3; i++)
        part[i] = transpose(m, op(m, "Reshape", 2, dense(m, x, width, width), ints(m, 4, split), NULL), i == 1 ? keys : front);
    mc_value *p = op(m, "Softmax", 1, op(m, "Mul", 2, op(m, "MatMul", 2, part[0], part[1], NULL), scale, NULL), NULL, NULL);
    mc_value *y = transpose(m, op(m, "MatMul", 2, p, part[2], NULL), front);
    return dense(m, op(m, "Reshape", 2, y, ints(m, 3, join), NULL), width, width);
}

static mc_value *norm(model *m, mc_value *x, int64_t width)
{
    mc_value *scale = weight(m, 1, width, 0, 0, 0), *bias = weight(m, 1, width, 0, 0, 0);
    return op(m, "LayerNormalization", 3, x, scale, bias);
}

/* The first position of each sequence. */
static mc_value *first(model *m, mc_value *x)
{
    mc_tensor *zero;
    mc_value *index;
    const mc_shape scalar = {.rank = 0};
    need(mc_tensor_create(&zero, MCOMP_I64, &scalar), "index");
    mc_tensor_set_i64(zero, 0, 0);
    need(mc_graph_add_const(m->g, NULL, zero, &index), "index");
    mc_value *y = op(m, "Gather", 2, x, index, NULL);
    need(mc_node_set_i(last(m), "axis", 1), "axis");
    return y;
}

static mc_value *encoder(model *m, int64_t layers, int64_t batch, int64_t length, int64_t width, int64_t heads, int64_t vocabulary)
{
    mc_value *ids = input(m, "ids", MCOMP_I64, 2, (int64_t[]){batch, length}, (double)vocabulary);
    mc_value *words = weight(m, 2, vocabulary, width, 0, 0), *places = weight(m, 2, length, width, 0, 0);
    mc_value *x = norm(m, op(m, "Add", 2, op(m, "Gather", 2, words, ids, NULL), places, NULL), width);
    for (int64_t i = 0; i < layers; i++) {
        x = norm(m, op(m, "Add", 2, x, attention(m, x, batch, length, width, heads), NULL), width);
        mc_value *y = op(m, "Gelu", 1, dense(m, x, width, 4 * width), NULL, NULL);
        x = norm(m, op(m, "Add", 2, x, dense(m, y, 4 * width, width), NULL), width);
    }
    return dense(m, first(m, x), width, 2);
}

static mc_value *conv_pool(model *m, mc_value *x, int64_t from, int64_t to)
{
    const int64_t pads[] = {1, 1, 1, 1}, two[] = {2, 2};
    mc_value *w = weight(m, 4, to, from, 3, 3), *y = op(m, "Conv", 3, x, w, weight(m, 1, to, 0, 0, 0));
    need(mc_node_set_ints(last(m), "pads", pads, 4), "pads");
    y = op(m, "MaxPool", 1, op(m, "Relu", 1, y, NULL, NULL), NULL, NULL);
    need(mc_node_set_ints(last(m), "kernel_shape", two, 2), "kernel_shape");
    need(mc_node_set_ints(last(m), "strides", two, 2), "strides");
    return y;
}

static mc_value *cnn(model *m, int64_t batch)
{
    mc_value *x = input(m, "image", MCOMP_F32, 4, (int64_t[]){batch, 1, 28, 28}, 1.0);
    x = conv_pool(m, conv_pool(m, x, 1, 32), 32, 64);
    x = op(m, "Reshape", 2, x, ints(m, 2, (int64_t[]){batch, 3136}), NULL);
    x = op(m, "Relu", 1, dense(m, x, 3136, 128), NULL, NULL);
    return dense(m, x, 128, 10);
}

/* Loss and gradients of all weights become the outputs. */
static void finish(model *m, mc_value *scores, int64_t batch, int64_t classes, int32_t segments)
{
    mc_value *labels = input(m, "labels", MCOMP_I64, 1, &batch, (double)classes), *grads[MAX_INPUTS];
    mc_value *loss = op(m, "SoftmaxCrossEntropyLoss", 2, scores, labels, NULL);
    const mc_pass_options po = {.isa = (int32_t)mc_cpu_isa(), .training = 1};
    need(mc_graph_add_output(m->g, loss), "loss");
    need(mc_graph_sort(m->g), "order");
    need(mc_infer_graph(m->g), "types");
    need(mc_passes_run(m->g, MC_STAGE_TRAIN, &po), "passes"); /* as the trainer does */
    need(mc_gradient(m->g, loss, m->n_weights, m->weight, grads), "gradient");
    for (int32_t i = 0; i < m->n_weights; i++) need(mc_graph_add_output(m->g, grads[i]), "gradient");
    const mc_recompute_options o = {.segments = segments};
    mc_recompute_report r;
    if (segments >= 0) {
        need(mc_recompute(m->g, loss, &o, &r), "recompute");
        printf("%d segments, %lld nodes are computed again\n", r.segments, (long long)r.nodes);
    }
    need(mc_infer_graph(m->g), "types");
}

static const char *const shapes[] = {"minilm", "encoder", "cnn"};

static void build(model *m, int shape, int32_t segments)
{
    *m = (model){.seed = 1};
    need(mc_graph_create(&m->g, shapes[shape]), "graph");
    if (shape == 0) finish(m, encoder(m, 6, 16, 128, 384, 12, 30522), 16, 2, segments);
    else if (shape == 1) finish(m, encoder(m, 4, 32, 128, 128, 4, 4096), 32, 2, segments);
    else finish(m, cnn(m, 64), 64, 10, segments);
}

/* ---- measurement ---- */

typedef struct kind {
    const char *op, *kernel;
    double us, macs;
    int32_t count;
} kind;

static int slower(const void *a, const void *b)
{
    const double d = ((const kind *)b)->us - ((const kind *)a)->us;
    return d > 0.0 ? 1 : d < 0.0 ? -1 : 0;
}

static void profile(const mcomp_exec *e, int nodes)
{
    static kind k[8192];
    int32_t n = 0, steps = 0;
    double total = 0.0;
    need(mcomp_exec_kernel_count(e, &steps), "kernels");
    for (int32_t i = 0; i < steps; i++) {
        mcomp_kernel_info info = {.size = sizeof info};
        need(mcomp_exec_kernel(e, i, &info), "kernel");
        int32_t at = nodes ? n : 0;
        while (at < n && (strcmp(k[at].op, info.op) != 0 || strcmp(k[at].kernel, info.kernel) != 0)) at++;
        if (at == (int32_t)(sizeof k / sizeof *k)) break;
        if (at == n) k[n++] = (kind){info.op, info.kernel, 0.0, 0.0, 0};
        k[at].us += info.time_us;
        k[at].macs += info.macs;
        k[at].count++;
        total += info.time_us;
    }
    qsort(k, (size_t)n, sizeof *k, slower);
    for (int32_t i = 0; i < n && i < 40; i++) {
        printf("  %9.1f us %5.1f %%  %3d x %-24s %-28s", k[i].us, 100.0 * k[i].us / total, k[i].count, k[i].op, k[i].kernel);
        if (k[i].macs > 0.0 && k[i].us > 0.0) printf(" %6.1f GMAC/s", k[i].macs / k[i].us * 1e-3);
        printf("\n");
    }
}

static double run_times(mcomp_session *s, const model *m, int32_t rounds, int nodes)
{
    mcomp_exec *e;
    const mcomp_tensor *out[MAX_INPUTS];
    const int32_t n_out = mcomp_session_n_outputs(s);
    double *ms = mc_calloc((size_t)rounds, sizeof *ms), best = 1e30;
    if (!ms) need(MCOMP_NO_MEMORY, "times");
    need(mcomp_exec_create(&e, s), "exec");
    for (int32_t i = -1; i < rounds; i++) {
        const int64_t start = mc_clock_ns();
        need(mcomp_exec_run(e, m->n_inputs, (const mcomp_tensor *const *)m->input, n_out, out), "run");
        const double t = (double)(mc_clock_ns() - start) * 1e-6;
        if (i >= 0 && t < best) best = t;
        if (i >= 0) ms[i] = t;
    }
    for (int32_t i = 1; i < rounds; i++) /* sorted for the median */
        for (int32_t j = i; j > 0 && ms[j] < ms[j - 1]; j--) {
            const double t = ms[j];
            ms[j] = ms[j - 1];
            ms[j - 1] = t;
        }
    mcomp_plan_info info = {.size = sizeof info};
    need(mcomp_exec_plan_info(e, &info), "plan");
    printf("%.2f ms a step (least), %.2f (median of %d), %.1f MiB\n", best, ms[rounds / 2], rounds, (double)info.memory_bytes / 1048576.0);
    if (nodes >= 0) profile(e, nodes);
    mcomp_exec_destroy(e);
    mc_free(ms);
    return best;
}

int main(int argc, char **argv)
{
    const char *only = argc > 1 ? argv[1] : "all";
    const int32_t threads = argc > 2 ? atoi(argv[2]) : 2, rounds = argc > 3 ? atoi(argv[3]) : 20;
    mcomp_context *ctx;
    mc_ops_register();
    need(mcomp_context_create(&ctx, NULL), "context");
    for (int i = 0; i < 3; i++) {
        model m;
        if (strcmp(only, "all") != 0 && strcmp(only, shapes[i]) != 0) continue;
        build(&m, i, argc > 5 ? atoi(argv[5]) : -1);
        for (int32_t p = 0; p < 2; p++) { /* without and with the profile */
            mcomp_session *s;
            mcomp_session_options o;
            need(mcomp_session_options_init(&o, sizeof o), "options");
            o.threads = threads;
            o.backend = "cpu";
            o.profile = p;
            need(mc_session_open(&s, ctx, m.g, &o, NULL), "session");
            printf("%s, %d thread(s)%s: ", shapes[i], threads, p ? ", profiled" : "");
            run_times(s, &m, p ? (rounds + 3) / 4 : rounds, p ? argc > 4 && argv[4][0] != '-' : -1);
            mcomp_session_destroy(s);
        }
        for (int32_t k = 0; k < m.n_inputs; k++) mcomp_tensor_destroy(m.input[k]);
        mc_graph_destroy(m.g);
    }
    mcomp_context_destroy(ctx);
    return 0;
}
