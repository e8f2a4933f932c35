/* MatMul, Gemm and mcomp.Product of float tensors. The right matrix is packed once if it is a constant; otherwise (weights in
 * training, attention) blocks of it are packed as they are used. Leading axes broadcast. */
#include "backends/cpu/broadcast.h"
#include "backends/cpu/matrix.h"

typedef struct matmul {
    const float *packed; /* constant B, or NULL */
    int32_t gemm, trans_a, trans_b, flat; /* flat: A' B over all rows */
    float alpha;
} matmul;

static void read_node(const mc_node *n, matmul *m)
{
    *m = (matmul){.gemm = strcmp(n->op, "Gemm") == 0, .alpha = 1.0f};
    if (m->gemm) {
        m->trans_a = mc_attr_i(n, "transA", 0) != 0;
        m->trans_b = mc_attr_i(n, "transB", 0) != 0;
        m->alpha = mc_attr_f(n, "alpha", 1.0f);
    } else if (strcmp(n->op, "Product") == 0) {
        m->flat = mc_attr_i(n, "flat", 0) != 0;
        m->trans_a = m->flat || mc_attr_i(n, "trans_a", 0) != 0;
        m->trans_b = !m->flat && mc_attr_i(n, "trans_b", 0) != 0;
    }
}

static int32_t claim(const mc_node *n, mcomp_claim *out)
{
    matmul m;
    const mc_type *a = mc_cpu_in_type(n, 0), *b = mc_cpu_in_type(n, 1), *c = mc_cpu_in_type(n, 2), *y = mc_cpu_out_type(n, 0);
    const int ours = strcmp(n->domain, "mcomp") == 0 && strcmp(n->op, "Product") == 0;
    if (!ours && (strcmp(n->domain, "") != 0 || (strcmp(n->op, "Gemm") != 0 && strcmp(n->op, "MatMul") != 0))) return 0;
    read_node(n, &m);
    if (!mc_cpu_is(a, MCOMP_F32) || !mc_cpu_is(b, MCOMP_F32) || a->rank < (m.flat ? 1 : 2) || b->rank < (m.flat ? 1 : 2)) return 0;
    if (m.gemm && c && (!mc_cpu_is(c, MCOMP_F32) || mc_attr_f(n, "beta", 1.0f) != 1.0f)) return 0;
    double k = 1.0;
    for (int32_t i = 0; m.flat && i + 1 < a->rank; i++) k *= a->dim[i] > 0 ? (double)a->dim[i] : 64.0;
    if (!m.flat) k = a->dim[a->rank - 1 - m.trans_a] > 0 ? (double)a->dim[a->rank - 1 - m.trans_a] : 64.0;
    for (int32_t i = 0; i < 2; i++) /* scratch of unknown size */
        if (b->dim[b->rank - 1 - (b->rank > 1 ? i : 0)] < 0 && !mc_value_const(n->in[1])) return 0;
    return mc_cpu_claim_product(out, n, mc_cpu_guess(y), mc_cpu_guess(y) * k * 1.1);
}

static int32_t prepare(mc_cpu_step *s)
{
    int32_t st = MCOMP_OK;
    const mc_type *a = mc_cpu_in_type(s->node, 0), *b = mc_cpu_in_type(s->node, 1);
    matmul *m = mc_calloc(1, sizeof *m);
    if (!m) return MCOMP_NO_MEMORY;
    s->state = m;
    read_node(s->node, m);
    if (mc_value_const(s->node->in[1]) && b->rank == 2 && !m->flat && !s->bf16) MC_TRY(mc_cpu_pack_weight(s, 1, m->trans_b, &m->packed));
    if (m->flat) mc_cpu_matrix_scratch(s, b->dim[b->rank - 1], mc_cpu_product(a->dim, 0, a->rank - 1));
    else mc_cpu_matrix_scratch(s, m->packed ? 0 : b->dim[b->rank - 1 - m->trans_b], b->dim[b->rank - 2 + m->trans_b]);
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

static void batch_axes(mc_cpu_matrix *p, const mcomp_bk_buffer *a, const mcomp_bk_buffer *b, const mcomp_bk_buffer *y)
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
    const int64_t xl = x->dims[x->rank - 1], wl = w->dims[w->rank - 1];
    mc_cpu_matrix p = {.a = x->data, .b = w->data, .c = y->data, .packed = m->packed, .split = m->flat, .e = {.size = sizeof p.e}};
    p.m = y->dims[y->rank - 2];
    p.n = y->dims[y->rank - 1];
    p.k = m->flat ? mc_cpu_product(x->dims, 0, x->rank - 1) : x->dims[x->rank - 1 - m->trans_a];
    p.a_row = m->trans_a ? 1 : xl;
    p.a_col = m->trans_a ? xl : 1;
    p.b_row = m->trans_b ? 1 : wl;
    p.b_col = m->trans_b ? wl : 1;
    if (w->rank == 2 && x->rank > 2 && !m->trans_a) p.m = mc_cpu_product(y->dims, 0, y->rank - 1); /* one matrix: batches are rows */
    else if (!m->flat) batch_axes(&p, x, w, y);
    if (m->gemm && c && m->alpha == 1.0f && mc_cpu_elements(c) == p.n && c->dims[c->rank - 1] == p.n) {
        p.e.bias = c->data; /* one row for all */
        c = NULL;
    }
    mc_cpu_matrix_run(s, a, &p);
    if (m->gemm) finish_gemm(s, a, m, c, y);
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_matmul = {.claim = claim, .prepare = prepare, .run = run};
