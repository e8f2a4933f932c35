/* mcomp.Linear: X [...,K] times W [K,N] on tiles of 64 rows; the rest of the rows in powers of two, so that one program serves every
 * number of rows of a bucket. Without AVX-512 oneDNN's matmul falls back to a plain GEMM, and the same product as a 1x1
 * convolution over rows is up to 2.3 times faster: a fixed rule by tier, because choices by timing would make float results vary. */
#include "plugin.h"

#include <stdio.h>
#include <string.h>

#define TILE 64
#define INLINE_MACS 400000.0 /* products below stay in the calling thread */

typedef struct linear_shape {
    int64_t k, n;
    int32_t trans;
    double rows; /* of the plan, guessed where symbolic */
} linear_shape;

static int as_conv(void) { return dn_host->cpu_isa() < MCOMP_ISA_AVX512; }

static int read_shape(const mcomp_bk_node *n, linear_shape *s)
{
    int64_t dims[MCOMP_MAX_RANK];
    const mcomp_bk_value *x = dn_host->node_input(n, 0), *w = dn_host->node_input(n, 1);
    if (!x || !w || dn_host->value_dtype(x) != MCOMP_F32 || dn_host->value_dtype(w) != MCOMP_F32) return 0;
    if (dn_host->value_rank(w) != 2 || dn_host->value_rank(x) < 1 || !dn_host->value_const(w)) return 0;
    s->trans = dn_host->attr_int(n, "trans_w", 0) != 0;
    dn_host->value_dims(w, dims);
    s->k = dims[s->trans ? 1 : 0];
    s->n = dims[s->trans ? 0 : 1];
    dn_host->value_dims(x, dims);
    s->rows = 1.0;
    for (int32_t i = 0; i + 1 < dn_host->value_rank(x); i++) s->rows *= dims[i] >= 0 ? (double)dims[i] : 32.0;
    return s->k > 0 && s->n > 0;
}

/* Primitive for `rows` rows; weights: NULL lets it choose the layout. */
static int describe(const mcomp_bk_instance *b, const linear_shape *s, int64_t rows, const dc_md *weights, dnnl_primitive_desc_t *pd)
{
    dc_md src = {0}, wei = {0}, dst = {0};
    int bad;
    if (as_conv()) {
        const int64_t ds[4] = {1, s->k, 1, rows}, dw[4] = {s->n, s->k, 1, 1}, dd[4] = {1, s->n, 1, rows};
        const dc_conv_geometry g = {{1, 1}, {0, 0}, {0, 0}, {0, 0}};
        bad = dc_md_tag(&src, 4, ds, dnnl_f32, dnnl_nhwc) || dc_md_tag(&dst, 4, dd, dnnl_f32, dnnl_nhwc) ||
              (!weights && dc_md_tag(&wei, 4, dw, dnnl_f32, dnnl_format_tag_any)) ||
              dc_conv(pd, b->engine, &src, weights ? weights : &wei, &dst, &g, b->attr);
    } else {
        const int64_t ds[2] = {rows, s->k}, dw[2] = {s->k, s->n}, dd[2] = {rows, s->n};
        bad = dc_md_tag(&src, 2, ds, dnnl_f32, dnnl_ab) || dc_md_tag(&dst, 2, dd, dnnl_f32, dnnl_ab) ||
              (!weights && dc_md_tag(&wei, 2, dw, dnnl_f32, dnnl_format_tag_any)) ||
              dc_matmul(pd, b->engine, &src, weights ? weights : &wei, &dst, b->attr);
    }
    dc_md_free(&src);
    dc_md_free(&wei);
    dc_md_free(&dst);
    return bad;
}

/* Every tile height must have a real implementation on the layout that the whole tile chooses. */
static int usable_tiles(const mcomp_bk_instance *b, const linear_shape *s)
{
    dnnl_primitive_desc_t pd = NULL;
    dc_md weights = {0};
    if (describe(b, s, TILE, NULL, &pd)) return 0;
    int good = !dc_md_query(&weights, pd, dnnl_query_weights_md) && dn_usable(pd);
    for (int64_t rows = TILE / 2; rows >= 1 && good; rows /= 2) good = !describe(b, s, rows, &weights, &pd) && dn_usable(pd);
    dc_md_free(&weights);
    return good;
}

int32_t dn_linear_claim(mcomp_bk_instance *b, const mcomp_bk_node *n, mcomp_claim *out)
{
    static const int32_t index[4] = {2, 3, 4, 5};
    linear_shape s;
    dn_epilogue e;
    if (!read_shape(n, &s) || !dn_epilogue_read(n, NULL, index, &e)) return 0;
    if (!usable_tiles(b, &s)) return 0;
    const double macs = s.rows * (double)s.k * (double)s.n, tiles = s.rows / TILE + (s.rows < TILE ? 1.0 : 0.0);
    out->cost_us = macs / dn_rate() * 1e-3 + tiles * DN_EXEC_US + s.rows * (double)s.n * 0.1e-3;
    /* Few rows: bound by reading the weights, and no faster than a matrix-vector product. */
    if (s.rows < 8.0) out->cost_us += (double)s.k * (double)s.n * 4.0 / 10.0 * 1e-3;
    snprintf(out->kernel, sizeof out->kernel, "%s", as_conv() ? "onednn:conv1x1" : "onednn:matmul");
    return 1;
}

static int32_t linear_rows(const mcomp_bk_program *p, const mcomp_run_args *a, int64_t row, int64_t rows, int32_t worker)
{
    int32_t st = MCOMP_OK;
    float *y = a->buffers[p->y].data;
    const float *x = a->buffers[p->x].data;
    void *scratch = (uint8_t *)a->worker_scratch + (uint64_t)worker * a->worker_scratch_stride;
    const int64_t first = row;
    for (int64_t left = rows, size = TILE; left > 0 && st == MCOMP_OK;) {
        while (size > left) size /= 2;
        st = dn_execute(p, dn_find(p, (const int64_t[4]){size, 0, 0, 0}), x + row * p->k, y + row * p->m, scratch);
        row += size;
        left -= size;
    }
    if (st == MCOMP_OK) dn_epilogue_run(p, a, first * p->m, rows);
    return st;
}

typedef struct linear_work {
    const mcomp_bk_program *p;
    const mcomp_run_args *a;
    int64_t rows, tile;
    int32_t status; /* any task's failure */
} linear_work;

static void linear_task(void *ctx, int64_t task, int32_t worker)
{
    linear_work *w = ctx;
    const int64_t row = task * w->tile, rows = w->rows - row < w->tile ? w->rows - row : w->tile;
    const int32_t st = linear_rows(w->p, w->a, row, rows, worker);
    if (st != MCOMP_OK) __atomic_store_n(&w->status, st, __ATOMIC_RELAXED);
}

static int32_t linear_run(const mcomp_bk_program *p, const mcomp_run_args *a)
{
    const mcomp_bk_buffer *y = &a->buffers[p->y];
    linear_work w = {.p = p, .a = a, .rows = 1, .tile = TILE};
    for (int32_t i = 0; i + 1 < y->rank; i++) w.rows *= y->dims[i];
    if (w.rows == 0) return MCOMP_OK;
    if ((double)w.rows * (double)p->k * (double)p->m < INLINE_MACS) return linear_rows(p, a, 0, w.rows, 0);
    if (w.rows <= 2 * TILE) w.tile = TILE / 2; /* two or more tasks from 33 rows on */
    dn_host->parallel_for(a->pool, (w.rows + w.tile - 1) / w.tile, linear_task, &w);
    return w.status == MCOMP_OK ? MCOMP_OK : dn_host->fail(w.status, "onednn", "a primitive failed");
}

int32_t dn_linear_compile(mcomp_bk_program *p, const mcomp_bk_compile *c)
{
    static const int32_t index[4] = {2, 3, 4, 5};
    const mcomp_bk_node *n = c->nodes[0];
    linear_shape s;
    dc_md from = {0};
    int32_t st = MCOMP_OK;
    if (!read_shape(n, &s) || !dn_epilogue_read(n, c, index, &p->e)) return dn_fail(MCOMP_INTERNAL, n, "not a Linear that was claimed");
    p->k = s.k;
    p->m = s.n;
    p->run = linear_run;
    for (int64_t rows = TILE; rows >= 1 && st == MCOMP_OK; rows /= 2) {
        dnnl_primitive_desc_t pd = NULL;
        if (describe(p->b, &s, rows, p->n ? &p->weights : NULL, &pd)) return dn_fail(MCOMP_INTERNAL, n, "oneDNN refuses a tile");
        st = dn_add(p, pd, (const int64_t[4]){rows, 0, 0, 0});
    }
    if (st != MCOMP_OK) return st;
    const int64_t d2[2] = {s.k, s.n}, d4[4] = {s.n, s.k, 1, 1};
    const int bad = as_conv() ? dc_md_tag(&from, 4, d4, dnnl_f32, s.trans ? dnnl_oihw : dnnl_iohw)
                              : dc_md_tag(&from, 2, d2, dnnl_f32, s.trans ? dnnl_ba : dnnl_ab);
    st = bad ? dn_fail(MCOMP_INTERNAL, n, "no descriptor of the weights") : dn_pack(p, c, dn_host->node_input(n, 1), &from, s.trans ? "lt" : "l");
    dc_md_free(&from);
    return st;
}
