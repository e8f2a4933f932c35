/* MatMul and Gemm of float tensors. The right matrix is packed once if it is a constant; otherwise a row-major one is read in
 * place and a transposed one packed on every run. MatMul broadcasts its leading axes. */
#include "backends/cpu/broadcast.h"
#include "backends/cpu/gemm.h"

typedef struct matmul {
    const float *packed; /* constant B, or NULL */
    int32_t gemm, trans_a, trans_b;
    float alpha;
} matmul;

static int32_t claim(const mc_node *n, mcomp_claim *out)
{
    const mc_type *a = mc_cpu_in_type(n, 0), *b = mc_cpu_in_type(n, 1), *c = mc_cpu_in_type(n, 2), *y = mc_cpu_out_type(n, 0);
    const int gemm = strcmp(n->op, "Gemm") == 0;
    if (strcmp(n->domain, "") != 0 || (!gemm && strcmp(n->op, "MatMul") != 0)) return 0;
    if (!mc_cpu_is(a, MCOMP_F32) || !mc_cpu_is(b, MCOMP_F32) || a->rank < 2 || b->rank < 2) return 0;
    const int trans_a = gemm && mc_attr_i(n, "transA", 0) != 0, trans_b = gemm && mc_attr_i(n, "transB", 0) != 0;
    if (gemm && c && (!mc_cpu_is(c, MCOMP_F32) || mc_attr_f(n, "beta", 1.0f) != 1.0f)) return 0;
    if (trans_b && !mc_value_const(n->in[1]) && (b->dim[0] < 0 || b->dim[1] < 0)) return 0; /* scratch for packing unknown */
    const int64_t k = a->dim[trans_a ? 0 : a->rank - 1];
    return mc_cpu_claim_f32(out, "gemm", mc_cpu_guess(y), (k > 0 ? (double)k : 64.0) * mc_cpu_mac_ns() * 1.1 + 0.1);
}

static int32_t prepare(mc_cpu_step *s)
{
    int32_t st = MCOMP_OK;
    const mc_type *b = mc_cpu_in_type(s->node, 1);
    matmul *m = mc_calloc(1, sizeof *m);
    if (!m) return MCOMP_NO_MEMORY;
    s->state = m;
    m->gemm = strcmp(s->node->op, "Gemm") == 0;
    m->trans_a = m->gemm && mc_attr_i(s->node, "transA", 0) != 0;
    m->trans_b = m->gemm && mc_attr_i(s->node, "transB", 0) != 0;
    m->alpha = m->gemm ? mc_attr_f(s->node, "alpha", 1.0f) : 1.0f;
    if (mc_value_const(s->node->in[1]) && b->rank == 2) MC_TRY(mc_cpu_pack_weight(s, 1, m->trans_b, &m->packed));
    else if (m->trans_b) s->scratch_bytes = (uint64_t)((b->dim[0] + 15) / 16 * 16 * b->dim[1]) * sizeof(float);
done:
    return st;
}

/* Adds the broadcast operand C of Gemm to Y. */
typedef struct add_work {
    const mc_kernels *k;
    const float *c;
    float *y;
    int64_t step;
} add_work;

static void add_part(void *ctx, const int64_t *offset, int64_t out, int64_t count)
{
    const add_work *w = ctx;
    w->k->f32.binary(MC_BINARY_ADD, w->y + out, 1, w->c + offset[0], w->step, w->y + out, count);
}

static void finish_gemm(const mc_cpu_step *s, const mcomp_run_args *a, const matmul *m, const mcomp_bk_buffer *c, const mcomp_bk_buffer *y)
{
    mc_broadcast b;
    if (m->alpha != 1.0f) s->kernels->f32.unary(MC_UNARY_AFFINE, y->data, y->data, mc_cpu_elements(y), m->alpha, 0.0f);
    if (!c) return;
    mc_broadcast_plan(&b, y, &c, 1);
    add_work w = {s->kernels, c->data, y->data, b.stride[0][b.rank - 1]};
    mc_broadcast_run(s, a, &b, add_part, &w);
}

static void batch_axes(mc_cpu_product_args *p, const mcomp_bk_buffer *a, const mcomp_bk_buffer *b, const mcomp_bk_buffer *y)
{
    for (int32_t i = 0; i < y->rank - 2; i++) {
        const int32_t ia = i - (y->rank - a->rank), ib = i - (y->rank - b->rank);
        if (y->dims[i] == 1) continue;
        p->batch_dim[p->batch_rank] = y->dims[i];
        p->batch_a[p->batch_rank] = ia < 0 || a->dims[ia] == 1 ? 0 : mc_cpu_product(a->dims, ia + 1, a->rank);
        p->batch_b[p->batch_rank++] = ib < 0 || b->dims[ib] == 1 ? 0 : mc_cpu_product(b->dims, ib + 1, b->rank);
    }
}

static int32_t run(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const matmul *m = s->state;
    const mcomp_bk_buffer *x = mc_cpu_in(s, a, 0), *w = mc_cpu_in(s, a, 1), *c = mc_cpu_in(s, a, 2), *y = mc_cpu_out(s, a, 0);
    const int64_t *dx = x->dims + x->rank - 2, *dw = w->dims + w->rank - 2, *dy = y->dims + y->rank - 2;
    mc_cpu_product_args p = {.e = {.size = sizeof p.e}};
    p.g = (mc_gemm_f32){.a = x->data, .taps = 1, .a_row = m->trans_a ? 1 : dx[1], .a_col = m->trans_a ? dx[1] : 1, .c = y->data,
                        .ldc = dy[1], .m = dy[0], .n = dy[1], .k = dx[m->trans_a ? 0 : 1]};
    if (m->packed || m->trans_b) {
        if (!m->packed) s->kernels->f32.pack(w->data, 1, dw[1], dw[1], dw[0], 1.0f, a->scratch);
        p.g.b = m->packed ? m->packed : a->scratch;
        p.g.b_row = MC_GEMM_PANEL;
        p.g.b_panel = MC_GEMM_PANEL * p.g.k;
    } else {
        p.g.b = w->data;
        p.g.b_row = dw[1];
        p.g.b_panel = MC_GEMM_PANEL;
    }
    if (w->rank == 2 && x->rank > 2) { /* one matrix for all batches: they are rows */
        p.g.m = mc_cpu_product(y->dims, 0, y->rank - 1);
    } else {
        batch_axes(&p, x, w, y);
    }
    if (m->gemm && c && m->alpha == 1.0f && mc_cpu_elements(c) == dy[1] && c->dims[c->rank - 1] == dy[1]) {
        p.e.bias = c->data; /* one row for all */
        c = NULL;
    }
    mc_cpu_gemm(s, a, &p);
    if (m->gemm) finish_gemm(s, a, m, c, y);
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_matmul = {.claim = claim, .prepare = prepare, .run = run};
