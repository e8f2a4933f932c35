/* mcomp.RowNormGrad of float tensors: gradients of LayerNormalization and RMSNormalization. Rows are cut into chunks that sum the
 * gradients of scale and bias for themselves; the chunks' sums are added in order. */
#include "backends/cpu/work.h"

#define CHUNKS 64
#define ELEMENTS 16384 /* of a chunk, at least */

static int covers(const mc_type *x, const mc_type *g, int32_t axis)
{
    if (!mc_cpu_is(g, MCOMP_F32) || x->rank - axis != g->rank) return 0;
    for (int32_t i = 0; i < g->rank; i++)
        if (g->dim[i] != x->dim[axis + i]) return 0;
    return 1;
}

static int32_t claim(const mc_node *n, mcomp_claim *out)
{
    const mc_type *dy = mc_cpu_in_type(n, 0), *x = mc_cpu_in_type(n, 1), *scale = mc_cpu_in_type(n, 2), *bias = mc_cpu_in_type(n, 3);
    if (!mc_cpu_is(dy, MCOMP_F32) || !mc_cpu_is(x, MCOMP_F32) || x->rank < 1) return 0;
    const int32_t axis = mc_cpu_axis(mc_attr_i(n, "axis", -1), x->rank);
    if (axis < 0 || !covers(x, scale, axis) || (bias && !covers(x, bias, axis)) || (n->n_out > 2 && !bias)) return 0;
    return mc_cpu_claim_f32(out, "norm_grad", mc_cpu_guess(x), 0.8);
}

/* Bytes of one chunk's sums. */
static int64_t stride(int64_t n) { return (2 * n + 15) / 16 * 16; }

static int32_t prepare(mc_cpu_step *s)
{
    s->scratch_bytes = (uint64_t)(CHUNKS * stride((int64_t)mc_cpu_guess(mc_cpu_in_type(s->node, 2)))) * sizeof(float);
    return MCOMP_OK;
}

typedef struct norm_work {
    const mc_kernels *k;
    mc_norm_grad_f32 g; /* all rows */
    int64_t chunk;
    float *sums; /* [chunks][stride] */
} norm_work;

static void chunks_range(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const norm_work *w = ctx;
    (void)worker;
    for (int64_t c = begin; c < end; c++) {
        mc_norm_grad_f32 g = w->g;
        const int64_t first = c * w->chunk;
        float *sums = w->sums + c * stride(g.n);
        g.rows = g.rows - first < w->chunk ? g.rows - first : w->chunk;
        g.x += first * g.n;
        g.dy += first * g.n;
        g.dx = g.dx ? g.dx + first * g.n : NULL;
        memset(sums, 0, (size_t)(2 * g.n) * sizeof *sums);
        g.dgamma = w->g.dgamma ? sums : NULL;
        g.dbeta = w->g.dbeta ? sums + g.n : NULL;
        w->k->f32.norm_grad(&g);
    }
}

static float *out_data(const mc_cpu_step *s, const mcomp_run_args *a, int32_t i)
{
    const mcomp_bk_buffer *b = mc_cpu_out(s, a, i);
    return b ? b->data : NULL;
}

static int32_t run(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const mcomp_bk_buffer *dy = mc_cpu_in(s, a, 0), *x = mc_cpu_in(s, a, 1), *scale = mc_cpu_in(s, a, 2);
    const int32_t axis = mc_cpu_axis(mc_attr_i(s->node, "axis", -1), x->rank);
    if (axis < 0) return mc_fail(MCOMP_SHAPE, s->node->name, "axis is outside the %d axes of the input", x->rank);
    if (mc_cpu_elements(x) != mc_cpu_elements(dy)) return mc_fail(MCOMP_SHAPE, s->node->name, "dy and x differ");
    const int64_t n = mc_cpu_product(x->dims, axis, x->rank), rows = mc_cpu_product(x->dims, 0, axis);
    if (n != mc_cpu_elements(scale) || n == 0) return mc_cpu_ref.run(s, a);
    norm_work w = {.k = s->kernels, .sums = a->scratch,
                   .g = {.x = x->data, .dy = dy->data, .gamma = scale->data, .dx = out_data(s, a, 0), .dgamma = out_data(s, a, 1),
                         .dbeta = out_data(s, a, 2), .rows = rows, .n = n, .eps = mc_attr_f(s->node, "epsilon", 1e-5f),
                         .rms = mc_attr_i(s->node, "centre", 1) == 0}};
    w.chunk = (ELEMENTS + n - 1) / n;
    if (rows > w.chunk * CHUNKS) w.chunk = (rows + CHUNKS - 1) / CHUNKS;
    const int64_t chunks = (rows + w.chunk - 1) / w.chunk;
    mc_cpu_split(s, a, chunks, w.chunk * n * 4, chunks_range, &w);
    float *sums[2] = {w.g.dgamma, w.g.dbeta};
    for (int i = 0; i < 2; i++) {
        if (!sums[i]) continue;
        if (chunks == 0) memset(sums[i], 0, (size_t)n * sizeof(float));
        else memcpy(sums[i], w.sums + i * n, (size_t)n * sizeof(float));
        for (int64_t c = 1; c < chunks; c++) s->kernels->f32.binary(MC_BINARY_ADD, sums[i], 1, w.sums + c * stride(n) + i * n, 1, sums[i], n);
    }
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_norm_grad = {.domain = "mcomp", .op = "RowNormGrad", .claim = claim, .prepare = prepare, .run = run};
