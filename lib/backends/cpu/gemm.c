/* A float matrix product with its epilogue, cut into tasks of rows and columns by the size of the matrices. */
#include "backends/cpu/gemm.h"

#include <math.h>
#include <stdio.h>

#define ROWS_SMALL 32
#define ROWS_BIG 64
#define EPILOGUE_COLUMNS 256  /* columns computed before their epilogue runs: they are still in the L1 cache */
#define TASK_MACS 400000      /* products below this stay in the calling thread */

typedef struct product_tasks {
    const mc_cpu_product_args *p;
    const mc_kernels *k;
    int64_t rows, columns, row_blocks, column_blocks;
    int whole_rows;
} product_tasks;

int mc_cpu_finish(mc_gemm_f32 *g, const mcomp_epilogue_f32 *e)
{
    const int32_t last = e->residual ? e->post_act : e->act, other = e->residual ? e->act : e->post_act;
    if (other != MCOMP_ACT_NONE || (last != MCOMP_ACT_NONE && last != MCOMP_ACT_RELU && last != MCOMP_ACT_CLIP)) return 0;
    g->finish = last != MCOMP_ACT_NONE || e->bias || e->residual;
    g->bias = e->bias;
    g->residual = e->residual;
    g->ld_r = e->ld_r;
    g->lo = last == MCOMP_ACT_RELU ? 0.0f : last == MCOMP_ACT_CLIP ? e->act_lo : -INFINITY;
    g->hi = last == MCOMP_ACT_CLIP ? e->act_hi : INFINITY;
    return 1;
}

static void normalise_rows(const product_tasks *t, float *c, int64_t m)
{
    const mcomp_epilogue_f32 *e = &t->p->e;
    const mc_norm_f32 norm = {.x = c, .gamma = e->gamma, .beta = e->beta, .y = c, .ld_x = t->p->g.ldc, .ld_y = t->p->g.ldc,
                              .rows = m, .n = t->p->g.n, .eps = e->ln_eps};
    t->k->f32.norm(&norm);
}

static void product_task(void *ctx, int64_t task, int32_t worker)
{
    const product_tasks *t = ctx;
    const mc_cpu_product_args *p = t->p;
    const int64_t col = task % t->column_blocks, row = task / t->column_blocks % t->row_blocks, batch = task / t->column_blocks / t->row_blocks;
    const int64_t i0 = row * t->rows, j0 = col * t->columns, c_offset = batch * p->g.m * p->g.ldc;
    const int64_t j1 = j0 + t->columns < p->g.n ? j0 + t->columns : p->g.n;
    mc_gemm_f32 g = p->g;
    mcomp_epilogue_f32 e = p->e;
    const float *b = p->g.b;
    (void)worker;
    for (int64_t d = p->batch_rank - 1, rest = batch; d >= 0; d--) {
        g.a += rest % p->batch_dim[d] * p->batch_a[d];
        b += rest % p->batch_dim[d] * p->batch_b[d];
        rest /= p->batch_dim[d];
    }
    g.m = p->g.m - i0 < t->rows ? p->g.m - i0 : t->rows;
    g.a += i0 * g.a_row;
    float *c = p->g.c + c_offset + i0 * g.ldc;
    const float *r = e.residual ? e.residual + c_offset + i0 * e.ld_r : NULL;
    e.layernorm = 0;
    for (int64_t j = j0; j < j1; j += EPILOGUE_COLUMNS) {
        g.n = j1 - j < EPILOGUE_COLUMNS ? j1 - j : EPILOGUE_COLUMNS;
        g.b = b + j / MC_GEMM_PANEL * g.b_panel;
        g.c = c + j;
        e.bias = p->e.bias ? p->e.bias + j : NULL;
        e.residual = r ? r + j : NULL;
        const int finished = mc_cpu_finish(&g, &e);
        t->k->f32.gemm(&g);
        if (!finished) t->k->f32.epilogue(&e, g.c, g.ldc, g.m, g.n);
    }
    if (p->e.layernorm && t->whole_rows) normalise_rows(t, c, g.m);
}

static void norm_range(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const product_tasks *t = ctx;
    (void)worker;
    normalise_rows(t, t->p->g.c + begin * t->p->g.ldc, end - begin);
}

void mc_cpu_gemm(const mc_cpu_step *s, const mcomp_run_args *a, const mc_cpu_product_args *p)
{
    const mc_gemm_f32 *g = &p->g;
    const int64_t batches = mc_cpu_product(p->batch_dim, 0, p->batch_rank);
    const double macs = (double)g->m * (double)g->n * (double)g->k * (double)g->taps * (double)batches;
    product_tasks t = {.p = p, .k = s->kernels, .rows = g->m, .columns = g->n, .row_blocks = 1, .column_blocks = 1};
    if (g->m <= 0 || g->n <= 0 || batches <= 0) return;
    if (macs >= TASK_MACS) {
        t.rows = g->m >= 4 * ROWS_BIG ? ROWS_BIG : ROWS_SMALL;
        t.row_blocks = (g->m + t.rows - 1) / t.rows;
        if (t.row_blocks * batches < 4) { /* few rows: cut the columns too */
            int64_t blocks = (int64_t)(macs / TASK_MACS) / (t.row_blocks * batches) + 1;
            if (blocks > 8) blocks = 8;
            t.columns = (g->n / blocks + 127) / 128 * 128;
            if (t.columns > g->n) t.columns = g->n;
        }
        t.column_blocks = (g->n + t.columns - 1) / t.columns;
    }
    t.whole_rows = t.column_blocks == 1;
    const int64_t tasks = t.row_blocks * t.column_blocks * batches;
    if (macs < TASK_MACS) {
        for (int64_t i = 0; i < tasks; i++) product_task(&t, i, 0);
    } else {
        s->host->parallel_for(a->pool, tasks, product_task, &t);
    }
    if (p->e.layernorm && !t.whole_rows) mc_cpu_split(s, a, g->m, g->n, norm_range, &t);
}

/* ---- constants ---- */

typedef struct pack_ctx {
    const mc_kernels *k;
    const float *w;
    int64_t row, col, kk, n;
} pack_ctx;

static int32_t pack_fill(void *ctx, void *block)
{
    const pack_ctx *c = ctx;
    c->k->f32.pack(c->w, c->row, c->col, c->kk, c->n, 1.0f, block);
    return MCOMP_OK;
}

int32_t mc_cpu_pack_weight(const mc_cpu_step *s, int32_t i, int32_t transposed, const float **out)
{
    const mc_value *v = s->node->in[i];
    const mc_tensor *w = mc_value_const(v);
    char key[64];
    const void *block = NULL;
    if (!w || w->shape.rank != 2) return mc_fail(MCOMP_INTERNAL, s->node->name, "the weight is no constant matrix");
    const int64_t *d = w->shape.dim;
    pack_ctx c = {s->kernels, w->data, transposed ? 1 : d[1], transposed ? d[1] : 1, transposed ? d[1] : d[0], transposed ? d[0] : d[1]};
    const int64_t panels = (c.n + MC_GEMM_PANEL - 1) / MC_GEMM_PANEL;
    snprintf(key, sizeof key, "gemm_f32:%llx:%d", (unsigned long long)s->host->value_key((const mcomp_bk_value *)(const void *)v), transposed);
    const int32_t st = s->host->pack(s->store, key, (uint64_t)(panels * MC_GEMM_PANEL * c.kk) * sizeof(float) + 1, pack_fill, &c, &block);
    *out = block;
    return st;
}

int32_t mc_cpu_epilogue_read(const mc_node *n, mcomp_epilogue_f32 *e)
{
    *e = (mcomp_epilogue_f32){.size = sizeof *e, .act = mc_act_read(n, "act"), .post_act = mc_act_read(n, "post_act"),
                              .act_lo = mc_attr_f(n, "act_lo", 0.0f), .act_hi = mc_attr_f(n, "act_hi", 0.0f),
                              .ln_eps = mc_attr_f(n, "ln_eps", 0.0f), .layernorm = mc_node_attr(n, "ln_eps") != NULL};
    if (e->act < 0 || e->post_act < 0) return mc_fail(MCOMP_UNSUPPORTED, n->name, "unknown activation");
    return MCOMP_OK;
}
