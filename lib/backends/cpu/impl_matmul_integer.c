/* MatMulInteger with a constant B [K,N]: plain s32 sums. A u8 or s8 [...,K], zero point of A one value (known at run time or
 * not before), of B none, one, or one a column (constant).
 *   sum (a - za)(b - zb) = sum a b - za colsum(b) - zb (sum a - K za)
 * Chains with DynamicQuantizeLinear usually became a QLinear before; this is for what is left. */
#include "backends/cpu/qgemm.h"

#define ROWS 32
#define COLUMNS 96

typedef struct product {
    int64_t k, n;
    uint32_t a_flip;
    int32_t copy, b_zero; /* b_zero: some zero point of B (after the shift) is not 0 */
    mc_q_matrix w;
    int32_t zb[]; /* [n] */
} product;

static int one_value(const mc_type *t) { return !t || (t->rank >= 0 && t->rank <= 1 && (t->rank == 0 || t->dim[0] == 1)); }

static mc_q_layout layout_of(const mc_tensor *b)
{
    return (mc_q_layout){.order = MC_Q_KN, .groups = 1, .n = b->shape.dim[1], .channels = b->shape.dim[0], .kh = 1, .kw = 1,
                         .flip = b->dtype == MCOMP_U8 ? 0x80 : 0};
}

static mc_q_choice choose(const mc_node *n, const mc_q_layout *l)
{
    return mc_q_choose(n, l, mc_value_const(n->in[1])->data, mc_q_guess(mc_cpu_out_type(n, 0)) / (double)l->n);
}

static int32_t claim(const mc_node *n, mcomp_claim *out)
{
    const mc_type *a = mc_cpu_in_type(n, 0), *za = mc_cpu_in_type(n, 2);
    const mc_tensor *b = n->n_in > 1 && n->in[1] ? mc_value_const(n->in[1]) : NULL;
    const mc_tensor *zb = n->n_in > 3 && n->in[3] ? mc_value_const(n->in[3]) : NULL;
    if (!mc_q_is_byte(a) || a->rank < 2 || !b || (b->dtype != MCOMP_U8 && b->dtype != MCOMP_I8) || b->shape.rank != 2) return 0;
    const int64_t k = b->shape.dim[0], cols = b->shape.dim[1];
    if (k < 1 || cols < 1 || k > MC_Q_MAX_K || !one_value(za)) return 0;
    if (n->n_in > 3 && n->in[3] && (!zb || (mc_tensor_elements(zb) != 1 && (zb->shape.rank != 1 || zb->shape.dim[0] != cols)))) return 0;
    const double y = mc_q_guess(mc_cpu_out_type(n, 0));
    const mc_q_layout layout = layout_of(b);
    const mc_q_choice c = choose(n, &layout);
    return mc_q_claim_product(out, "qgemm_s32", &c, y * (double)k, y / (double)cols * (double)k + y * 4.0);
}

static int32_t prepare(mc_cpu_step *s)
{
    int32_t st = MCOMP_OK;
    const mc_node *n = s->node;
    const mc_tensor *b = mc_value_const(n->in[1]), *zb = n->n_in > 3 && n->in[3] ? mc_value_const(n->in[3]) : NULL;
    mc_q_layout layout = layout_of(b);
    layout.sparse = choose(n, &layout).sparse;
    product *p = mc_calloc(1, sizeof *p + (size_t)layout.n * sizeof *p->zb);
    if (!p) return MCOMP_NO_MEMORY;
    s->state = p;
    p->k = layout.channels;
    p->n = layout.n;
    p->a_flip = mc_cpu_in_type(n, 0)->dtype == MCOMP_I8 ? 0x80 : 0;
    p->copy = p->a_flip || p->k % 4 != 0;
    for (int64_t j = 0; j < p->n; j++) {
        const int64_t z = zb ? mc_tensor_get_i64(zb, mc_tensor_elements(zb) == 1 ? 0 : j) : 0;
        p->zb[j] = (int32_t)z - (layout.flip ? 128 : 0);
        p->b_zero |= p->zb[j] != 0;
    }
    MC_TRY(mc_q_pack(s, 1, &layout, &p->w));
    s->scratch_bytes = (uint64_t)mc_q_padded(p->n) * 4;
    s->worker_scratch_bytes = ROWS * 8 + (uint64_t)(mc_q_up(ROWS * mc_q_up(p->k, 4), 64) + ROWS * (COLUMNS + MC_QGEMM_LANES) * 4) +
                              mc_q_product_of(s->kernels, p->w.sparse).loaded_bytes(&p->w.shape, ROWS);
done:
    return st;
}

typedef struct job {
    const mc_cpu_step *s;
    const mcomp_run_args *a;
    const product *p;
    const uint8_t *x;
    int32_t *y, za;
    const int32_t *init;
    int64_t m;
} job;

static void store(const job *j, const mc_qgemm_tile *g, int64_t row)
{
    const product *p = j->p;
    for (int64_t i = 0; i < g->m; i++) {
        int32_t *y = j->y + (row + i) * p->n + g->n0;
        const int32_t *acc = g->acc + i * g->ld_acc;
        if (!p->b_zero) {
            memcpy(y, acc, (size_t)g->cols * sizeof *y);
            continue;
        }
        int64_t sum = 0;
        for (int64_t k = 0; k < p->k; k++) sum += g->rows[i][k];
        const uint32_t rest = (uint32_t)(sum - p->k * j->za);
        for (int64_t c = 0; c < g->cols; c++) y[c] = (int32_t)((uint32_t)acc[c] - (uint32_t)p->zb[g->n0 + c] * rest);
    }
}

static void task(void *ctx, int64_t index, int32_t worker)
{
    const job *j = ctx;
    const product *p = j->p;
    static const int64_t seg = 0;
    const int64_t row = index * ROWS, m = j->m - row < ROWS ? j->m - row : ROWS, ld = mc_q_up(p->k, 4);
    const mc_q_product q = mc_q_product_of(j->s->kernels, p->w.sparse);
    uint8_t *scratch = mc_cpu_worker_scratch(j->a, worker), *copy = scratch + ROWS * 8;
    const uint8_t **rows = (const uint8_t **)(void *)scratch;
    int32_t *acc = (int32_t *)(void *)(copy + mc_q_up(ROWS * ld, 64));
    for (int64_t i = 0; i < m; i++) {
        rows[i] = p->copy ? copy + i * ld : j->x + (row + i) * p->k;
        if (p->copy) j->s->kernels->int8.flip(j->x + (row + i) * p->k, p->k, p->a_flip, copy + i * ld);
    }
    mc_qgemm_tile g = {.shape = p->w.shape, .packed = p->w.packed, .rows = rows, .seg = &seg, .m = m,
                       .loaded = acc + ROWS * (COLUMNS + MC_QGEMM_LANES), .init = j->init, .acc = acc};
    q.load(&g);
    for (; g.n0 < p->n; g.n0 += g.cols) {
        const int64_t left = p->n - g.n0;
        g.cols = left <= COLUMNS + MC_QGEMM_LANES ? left : COLUMNS;
        g.ld_acc = mc_q_padded(g.cols);
        q.gemm(&g);
        store(j, &g, row);
    }
    q.done(&g);
}

static int32_t run(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const product *p = s->state;
    const mcomp_bk_buffer *x = mc_cpu_in(s, a, 0), *z = mc_cpu_in(s, a, 2), *y = mc_cpu_out(s, a, 0);
    const uint32_t za = (z ? *(const uint8_t *)z->data : 0u) ^ p->a_flip;
    job j = {s, a, p, x->data, y->data, (int32_t)za, a->scratch, mc_cpu_elements(x) / p->k};
    mc_q_init(&p->w, j.za, a->scratch);
    mc_q_parallel(s, a, (j.m + ROWS - 1) / ROWS, (double)j.m * (double)p->k * (double)p->n, task, &j);
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_matmul_integer = {.domain = "", .op = "MatMulInteger", .claim = claim, .prepare = prepare, .run = run};
