/* mcomp.AttentionGrad in float. A task is one head of one sequence; 32 queries at a time lie side by side, as in impl_attention.c, so
 * that probabilities P and their gradients are [keys][32] and never leave the cache. P is computed again instead of being kept
 * (as in FlashAttention's backward pass, Dao et al. 2022). With S' = K Q', dP' = V dY':
 *   dQ = dS K,  dK += dS' Q,  dV += P' dY */
#include "backends/cpu/work.h"

#include <math.h>

#define LANES MC_ATTENTION_LANES

typedef struct attention_grad {
    int64_t heads, d, dv, keys; /* keys: the most */
    float scale;
} attention_grad;

static int read_node(const mc_node *n, attention_grad *t)
{
    const mc_type *q = mc_cpu_in_type(n, 1), *k = mc_cpu_in_type(n, 2), *v = mc_cpu_in_type(n, 3);
    t->heads = mc_attr_i(n, "heads", 0);
    t->scale = mc_attr_f(n, "scale", 1.0f);
    if (t->heads < 1 || q->rank != 3 || k->rank != 3 || v->rank != 3 || q->dim[2] < 1 || v->dim[2] < 1 || k->dim[1] < 0) return 0;
    if (q->dim[2] != k->dim[2]) return 0;
    t->d = q->dim[2] / t->heads;
    t->dv = v->dim[2] / t->heads;
    t->keys = k->dim[1];
    return 1;
}

static int32_t claim(const mc_node *n, mcomp_claim *out)
{
    attention_grad t;
    for (int32_t i = 0; i < n->n_in; i++)
        if (n->in[i] && !mc_cpu_is(&n->in[i]->type, MCOMP_F32)) return 0;
    if (!read_node(n, &t)) return 0;
    const double rows = mc_cpu_guess(mc_cpu_in_type(n, 1)) / (double)t.d;
    return mc_cpu_claim_f32(out, "attention_grad", rows * (double)t.keys, (double)(3 * t.d + 2 * t.dv) * mc_cpu_mac_ns() * 1.2 + 0.5);
}

static int64_t up16(int64_t n) { return (n + 15) / 16 * 16; }

static int32_t prepare(mc_cpu_step *s)
{
    attention_grad *t = mc_calloc(1, sizeof *t);
    if (!t) return MCOMP_NO_MEMORY;
    s->state = t;
    if (!read_node(s->node, t)) return mc_fail(MCOMP_INTERNAL, s->node->name, "not an attention this kernel knows");
    s->worker_scratch_bytes = sizeof(float) * (uint64_t)(LANES * (up16(t->d) + up16(t->dv)) + t->keys * (2 * LANES + 2 * (t->d + t->dv)) + 256);
    return MCOMP_OK;
}

typedef struct grad_work {
    const mc_cpu_step *s;
    const mcomp_run_args *a;
    const attention_grad *t;
    const float *dy, *q, *k, *v, *mask;
    float *dq, *dk, *dv;
    int64_t queries, keys, ld_q, ld_k, ld_v; /* ld_v: of V and dY */
    int64_t mask_stride[4];                  /* batch, head, query, key */
} grad_work;

/* Scratch of one task. */
typedef struct head {
    float *q, *dy;          /* 32 queries and their gradients, packed */
    float *p, *dp;          /* [keys][32] */
    float *k, *v, *dk, *dv; /* [keys][d or dv], of this head only */
} head;

static head lay_out(const grad_work *w, float *scratch)
{
    const attention_grad *t = w->t;
    head h = {.q = scratch};
    h.dy = h.q + LANES * up16(t->d);
    h.p = h.dy + LANES * up16(t->dv);
    h.dp = h.p + w->keys * LANES;
    h.k = h.dp + w->keys * LANES;
    h.dk = h.k + w->keys * t->d;
    h.v = h.dk + w->keys * t->d;
    h.dv = h.v + w->keys * t->dv;
    return h;
}

/* Queries q0 .. q0 + lanes. q, dy, dq: their first rows; mask: that of the first of them. */
static void queries(const grad_work *w, const head *h, const float *q, const float *dy, float *dq, const float *mask, int64_t lanes, int first)
{
    const attention_grad *t = w->t;
    const mc_kernels_f32 *k = &w->s->kernels->f32;
    float maximum[LANES], sum[LANES], rescale[LANES];
    if (lanes <= MC_GEMM_PANEL) { /* the second panel is not written */
        memset(h->q, 0, sizeof(float) * (size_t)(LANES * t->d));
        memset(h->dy, 0, sizeof(float) * (size_t)(LANES * t->dv));
    }
    k->pack(q, 1, w->ld_q, t->d, lanes, t->scale * MC_LOG2E, h->q);
    k->pack(dy, 1, w->ld_v, t->dv, lanes, 1.0f, h->dy);
    for (int64_t i = 0; i < LANES; i++) {
        maximum[i] = -INFINITY;
        sum[i] = 0.0f;
    }
    mc_gemm_f32 g = {.a = h->k, .taps = 1, .a_row = t->d, .a_col = 1, .b = h->q, .b_row = MC_GEMM_PANEL, .b_panel = MC_GEMM_PANEL * t->d,
                     .c = h->p, .ldc = LANES, .m = w->keys, .n = LANES, .k = t->d};
    k->gemm(&g);
    const mc_attention_f32 soft = {.s = h->p, .t = w->keys, .mask = mask, .mask_t = w->mask_stride[3], .mask_q = w->mask_stride[2], .lanes = lanes,
                                   .maximum = maximum, .sum = sum, .rescale = rescale};
    k->attention(&soft);
    g.a = h->v;
    g.a_row = g.k = t->dv;
    g.b = h->dy;
    g.b_panel = MC_GEMM_PANEL * t->dv;
    g.c = h->dp;
    k->gemm(&g);
    k->attention_grad(h->p, h->dp, w->keys, sum, t->scale);
    const mc_gemm_f32 by_q = {.a = h->dp, .taps = 1, .a_row = 1, .a_col = LANES, .b = h->k, .b_row = t->d, .b_panel = MC_GEMM_PANEL,
                              .c = dq, .ldc = w->ld_q, .m = lanes, .n = t->d, .k = w->keys};
    const mc_gemm_f32 by_k = {.a = h->dp, .taps = 1, .a_row = LANES, .a_col = 1, .b = q, .b_row = w->ld_q, .b_panel = MC_GEMM_PANEL,
                              .c = h->dk, .ldc = t->d, .m = w->keys, .n = t->d, .k = lanes, .accumulate = !first};
    const mc_gemm_f32 by_v = {.a = h->p, .taps = 1, .a_row = LANES, .a_col = 1, .b = dy, .b_row = w->ld_v, .b_panel = MC_GEMM_PANEL,
                              .c = h->dv, .ldc = t->dv, .m = w->keys, .n = t->dv, .k = lanes, .accumulate = !first};
    k->gemm(&by_q);
    k->gemm(&by_k);
    k->gemm(&by_v);
}

static void head_task(void *ctx, int64_t task, int32_t worker)
{
    const grad_work *w = ctx;
    const attention_grad *t = w->t;
    const mc_kernels_f32 *k = &w->s->kernels->f32;
    const int64_t batch = task / t->heads, at = task % t->heads;
    const head h = lay_out(w, mc_cpu_worker_scratch(w->a, worker));
    const int64_t q = batch * w->queries * w->ld_q + at * t->d, y = batch * w->queries * w->ld_v + at * t->dv;
    const int64_t key = batch * w->keys * w->ld_k + at * t->d, value = batch * w->keys * w->ld_v + at * t->dv;
    const float *mask = w->mask ? w->mask + batch * w->mask_stride[0] + at * w->mask_stride[1] : NULL;
    k->copy_block(w->k + key, w->ld_k, h.k, t->d, w->keys, t->d);
    k->copy_block(w->v + value, w->ld_v, h.v, t->dv, w->keys, t->dv);
    for (int64_t i = 0; i < w->queries; i += LANES) {
        const int64_t lanes = w->queries - i < LANES ? w->queries - i : LANES;
        queries(w, &h, w->q + q + i * w->ld_q, w->dy + y + i * w->ld_v, w->dq + q + i * w->ld_q, mask ? mask + i * w->mask_stride[2] : NULL, lanes,
                i == 0);
    }
    k->copy_block(h.dk, t->d, w->dk + key, w->ld_k, w->keys, t->d);
    k->copy_block(h.dv, t->dv, w->dv + value, w->ld_v, w->keys, t->dv);
}

static void read_mask(grad_work *w, const mcomp_bk_buffer *m)
{
    if (!m) return;
    w->mask = m->data;
    for (int32_t i = 0; i < m->rank && i < 4; i++) /* from the last axis */
        if (m->dims[m->rank - 1 - i] != 1) w->mask_stride[3 - i] = mc_cpu_product(m->dims, m->rank - i, m->rank);
}

static int32_t run(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const attention_grad *t = s->state;
    const mcomp_bk_buffer *dy = mc_cpu_in(s, a, 0), *q = mc_cpu_in(s, a, 1), *k = mc_cpu_in(s, a, 2), *v = mc_cpu_in(s, a, 3);
    const mcomp_bk_buffer *dq = mc_cpu_out(s, a, 0), *dk = mc_cpu_out(s, a, 1), *dv = mc_cpu_out(s, a, 2);
    grad_work w = {.s = s, .a = a, .t = t, .dy = dy->data, .q = q->data, .k = k->data, .v = v->data};
    w.queries = q->dims[1];
    w.keys = k->dims[1];
    w.ld_q = q->dims[2];
    w.ld_k = k->dims[2];
    w.ld_v = v->dims[2];
    read_mask(&w, mc_cpu_in(s, a, 4));
    if (w.keys == 0 || w.queries == 0 || !dq || !dk || !dv) return mc_cpu_ref.run(s, a);
    w.dq = dq->data;
    w.dk = dk->data;
    w.dv = dv->data;
    if (dy->dims[1] != w.queries || dy->dims[2] != w.ld_v) return mc_fail(MCOMP_SHAPE, s->node->name, "dy is not what Attention gives");
    s->host->parallel_for(a->pool, q->dims[0] * t->heads, head_task, &w);
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_attention_grad = {.domain = "mcomp", .op = "AttentionGrad", .claim = claim, .prepare = prepare, .run = run};
