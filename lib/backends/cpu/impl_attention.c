/* mcomp.Attention in float. A task is 32 queries of one head; keys are walked in blocks with a running maximum and sum
 * (the "online softmax" of FlashAttention, Dao et al. 2022), so that the scores of a block stay in the L1 cache.
 *
 * The scores are computed transposed, S^T [keys][32 queries] = K * (scale Q)^T: K is read in place, only the 32 queries are
 * packed, the softmax runs down the keys with one query a lane (in powers of two: log2(e) is in the scale), and P * V reads S^T by
 * columns and V in place.
 */
#include "backends/cpu/work.h"

#include <math.h>

#define LANES MC_ATTENTION_LANES
#define MC_MAX_WORKERS 256
#define KEYS 256 /* keys of a block: its scores are 32 KiB */

typedef struct attention {
    int64_t heads, d, dv;
    int64_t offset[3]; /* of Q, K, V in their rows */
    float scale;
    int32_t nan_zero; /* queries whose softmax is NaN get 0 */
} attention;

/* Width of the slice of input i; -1 when unknown. */
static int64_t slice_width(const mc_node *n, int32_t i, int64_t *offset)
{
    static const char *const offsets[] = {"q_offset", "k_offset", "v_offset"}, *const widths[] = {"q_width", "k_width", "v_width"};
    const mc_type *t = mc_cpu_in_type(n, i);
    *offset = mc_attr_i(n, offsets[i], 0);
    if (mc_node_attr(n, widths[i])) return mc_attr_i(n, widths[i], -1);
    return t->rank == 3 && t->dim[2] >= 0 ? t->dim[2] - *offset : -1;
}

static int read_node(const mc_node *n, attention *t)
{
    int64_t width[3];
    t->heads = mc_attr_i(n, "heads", 0);
    t->scale = mc_attr_f(n, "scale", 1.0f);
    t->nan_zero = mc_attr_i(n, "nan_zero", 0) != 0;
    for (int32_t i = 0; i < 3; i++) width[i] = slice_width(n, i, &t->offset[i]);
    if (t->heads < 1 || width[0] < 1 || width[2] < 1 || width[0] != width[1]) return 0;
    t->d = width[0] / t->heads;
    t->dv = width[2] / t->heads;
    return 1;
}

static int32_t claim(const mc_node *n, mcomp_claim *out)
{
    attention t;
    for (int32_t i = 0; i < 3; i++)
        if (!mc_cpu_is(mc_cpu_in_type(n, i), MCOMP_F32)) return 0;
    if (!read_node(n, &t)) return 0;
    const mc_type *k = mc_cpu_in_type(n, 1);
    const double keys = k->rank == 3 && k->dim[1] > 0 ? (double)k->dim[1] : 128.0;
    const double rows = mc_cpu_guess(mc_cpu_out_type(n, 0)) / (double)t.dv; /* queries of all heads */
    return mc_cpu_claim_f32(out, "attention", rows * keys, (double)(t.d + t.dv) * mc_cpu_mac_ns() * 1.1 + 0.3);
}

static uint64_t round16(int64_t n) { return (uint64_t)(n + 15) / 16 * 16; }

static int32_t prepare(mc_cpu_step *s)
{
    attention *t = mc_calloc(1, sizeof *t);
    if (!t) return MCOMP_NO_MEMORY;
    s->state = t;
    if (!read_node(s->node, t)) return mc_fail(MCOMP_INTERNAL, s->node->name, "not an attention this kernel knows");
    s->worker_scratch_bytes = sizeof(float) * (uint64_t)LANES * (round16(t->d) + 2 * KEYS);
    return MCOMP_OK;
}

typedef struct attention_work {
    const mc_cpu_step *s;
    const mcomp_run_args *a;
    const attention *t;
    const float *q, *k, *v, *mask;
    float *y;
    int64_t queries, keys, blocks, ld_q, ld_k, ld_v, ld_y;
    int64_t mask_stride[4]; /* batch, head, query, key */
    const float *tile_of[MC_MAX_WORKERS]; /* the part of the mask that a worker's tile holds */
} attention_work;

/* A mask that differs by query is laid out as the scores are, once for all heads that share it: tasks go through the heads first. */
static const float *mask_tile(attention_work *w, const float *mask, int64_t lanes, int64_t keys, float *tile, int32_t worker)
{
    if (w->mask_stride[2] == 0 || w->mask_stride[3] != 1 || worker >= MC_MAX_WORKERS) return NULL;
    if (w->tile_of[worker] != mask) {
        if (lanes < LANES) memset(tile, 0, sizeof(float) * (size_t)(LANES * keys));
        w->s->kernels->f32.transpose(mask, w->mask_stride[2], tile, LANES, lanes, keys);
        w->tile_of[worker] = mask;
    }
    return tile;
}

/* Brings rows of K or V near: they lie far apart, where no prefetcher follows, and another core wrote many of them. */
static void touch(const float *x, int64_t rows, int64_t ld, int64_t d)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < d; j += 16) __builtin_prefetch(x + i * ld + j);
}

static void attention_task(void *ctx, int64_t task, int32_t worker)
{
    attention_work *w = ctx;
    const attention *t = w->t;
    const mc_kernels_f32 *kernel = &w->s->kernels->f32;
    const int64_t head = task % t->heads, block = task / t->heads % w->blocks, batch = task / t->heads / w->blocks;
    const int64_t q0 = block * LANES, lanes = w->queries - q0 < LANES ? w->queries - q0 : LANES;
    float *packed = mc_cpu_worker_scratch(w->a, worker), *scores = packed + (uint64_t)LANES * round16(t->d), *tile = scores + LANES * KEYS;
    float maximum[LANES], sum[LANES], rescale[LANES];
    const float *q = w->q + (batch * w->queries + q0) * w->ld_q + head * t->d;
    const float *k = w->k + batch * w->keys * w->ld_k + head * t->d, *v = w->v + batch * w->keys * w->ld_v + head * t->dv;
    float *y = w->y + (batch * w->queries + q0) * w->ld_y + head * t->dv;
    const float *mask = w->mask ? w->mask + batch * w->mask_stride[0] + head * w->mask_stride[1] + q0 * w->mask_stride[2] : NULL;
    if (lanes <= MC_GEMM_PANEL) memset(packed, 0, sizeof(float) * (size_t)(LANES * t->d));
    kernel->pack(q, 1, w->ld_q, t->d, lanes, t->scale * MC_LOG2E, packed);
    for (int64_t i = 0; i < LANES; i++) {
        maximum[i] = -INFINITY;
        sum[i] = 0.0f;
    }
    for (int64_t k0 = 0; k0 < w->keys; k0 += KEYS) {
        const int64_t keys = w->keys - k0 < KEYS ? w->keys - k0 : KEYS;
        const mc_gemm_f32 qk = {.a = k + k0 * w->ld_k, .taps = 1, .a_row = w->ld_k, .a_col = 1, .b = packed, .b_row = MC_GEMM_PANEL,
                                .b_panel = MC_GEMM_PANEL * t->d, .c = scores, .ldc = LANES, .m = keys, .n = LANES, .k = t->d};
        const float *part = mask ? mask + k0 * w->mask_stride[3] : NULL;
        const float *laid = part ? mask_tile(w, part, lanes, keys, tile, worker) : NULL;
        const mc_attention_f32 soft = {.s = scores, .t = keys, .mask = laid ? NULL : part, .tile = laid, .mask_t = w->mask_stride[3], .mask_q = w->mask_stride[2], .lanes = lanes,
                                       .maximum = maximum, .sum = sum, .rescale = rescale};
        const mc_gemm_f32 av = {.a = scores, .taps = 1, .a_row = 1, .a_col = LANES, .b = v + k0 * w->ld_v, .b_row = w->ld_v,
                                .b_panel = MC_GEMM_PANEL, .c = y, .ldc = w->ld_y, .m = lanes, .n = t->dv, .k = keys,
                                .accumulate = k0 > 0};
        touch(k + k0 * w->ld_k, keys, w->ld_k, t->d);
        touch(v + k0 * w->ld_v, keys, w->ld_v, t->dv);
        kernel->gemm(&qk);
        kernel->attention(&soft);
        if (k0 > 0) kernel->scale_rows(y, w->ld_y, lanes, t->dv, rescale);
        kernel->gemm(&av);
    }
    for (int64_t i = 0; i < lanes; i++) {
        const int nothing = t->nan_zero && !(sum[i] > 0.0f); /* no key, or NaN among the scores */
        if (nothing) memset(y + i * w->ld_y, 0, sizeof(float) * (size_t)t->dv);
        sum[i] = nothing ? 0.0f : 1.0f / sum[i];
    }
    kernel->scale_rows(y, w->ld_y, lanes, t->dv, sum);
}

static void read_mask(attention_work *w, const mcomp_bk_buffer *m)
{
    if (!m) return;
    w->mask = m->data;
    for (int32_t i = 0; i < m->rank && i < 4; i++) /* from the last axis */
        if (m->dims[m->rank - 1 - i] != 1) w->mask_stride[3 - i] = mc_cpu_product(m->dims, m->rank - i, m->rank);
}

static int32_t run(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const attention *t = s->state;
    const mcomp_bk_buffer *q = mc_cpu_in(s, a, 0), *k = mc_cpu_in(s, a, 1), *v = mc_cpu_in(s, a, 2), *y = mc_cpu_out(s, a, 0);
    attention_work w = {.s = s, .a = a, .t = t, .y = y->data};
    const int64_t batches = q->dims[0];
    w.q = (const float *)q->data + t->offset[0];
    w.k = (const float *)k->data + t->offset[1];
    w.v = (const float *)v->data + t->offset[2];
    w.queries = q->dims[1];
    w.keys = k->dims[1];
    w.ld_q = q->dims[2];
    w.ld_k = k->dims[2];
    w.ld_v = v->dims[2];
    w.ld_y = y->dims[2];
    w.blocks = (w.queries + LANES - 1) / LANES;
    read_mask(&w, mc_cpu_in(s, a, 3));
    if (w.keys == 0) return mc_cpu_ref.run(s, a);
    const int64_t tasks = batches * t->heads * w.blocks;
    if (tasks * LANES * w.keys * (t->d + t->dv) < 400000) {
        for (int64_t i = 0; i < tasks; i++) attention_task(&w, i, 0);
    } else {
        s->host->parallel_for(a->pool, tasks, attention_task, &w);
    }
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_attention_f32 = {.domain = "mcomp", .op = "Attention", .claim = claim, .prepare = prepare, .run = run};
