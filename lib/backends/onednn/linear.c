/* mcomp.Linear and mcomp.QLinear: X [...,K] times W [K,N] on tiles of 64 rows; the rest of the rows in powers of two, so that one program
 * serves every number of rows of a bucket. Plans of few rows are cut into parts of the columns too. Without AVX-512 oneDNN's matmul falls
 * back to a plain GEMM, and the same product as a 1x1 convolution over rows is up to 2.3 times faster: a fixed rule by tier, because
 * choices by timing would make float results vary. */
#include "plugin.h"

#include <stdio.h>
#include <string.h>

#define TILE 64
#define INLINE_US 5.0 /* products below stay in the calling thread */
#define PART_BYTES 65536.0 /* least weights of a part */

typedef struct linear_shape {
    int64_t k, n;
    int32_t trans, integer, quantize; /* quantize: DN_ROWS_* */
    dnnl_data_type_t x_type;
    float x_scale;
    int32_t x_zp;
    double rows; /* of the plan, guessed where symbolic */
    dn_parts cut;
} linear_shape;

static int as_conv(void) { return dn_host->cpu_isa() < MCOMP_ISA_AVX512; }

static const char *read_quantization(const mcomp_bk_node *n, int32_t dtype, linear_shape *s)
{
    const char *mode = dn_host->attr_string(n, "mode", "static");
    const int bytes = dtype == MCOMP_U8 || dtype == MCOMP_I8;
    s->x_scale = (float)dn_host->attr_float(n, "x_scale", 0.0);
    s->x_zp = (int32_t)dn_host->attr_int(n, "x_zp", 0);
    s->x_type = dtype == MCOMP_I8 ? dnnl_s8 : dnnl_u8;
    if (strcmp(mode, "tensor") == 0) return "mode tensor needs the range of all of X first";
    if (strcmp(mode, "token") == 0) {
        s->quantize = DN_ROWS_TOKEN;
        s->x_zp = 128;
        return dtype == MCOMP_F32 ? NULL : "mode token of an X that is not f32";
    }
    if (strcmp(mode, "static") != 0 || !(s->x_scale > 0.0f) || (dtype != MCOMP_F32 && !bytes)) return "an unknown mode";
    s->quantize = bytes ? DN_ROWS_AS_THEY_ARE : DN_ROWS_STATIC;
    if (!bytes && dn_host->attr_int(n, "x_dtype", MCOMP_U8) == MCOMP_I8) s->x_zp += 128;
    return NULL;
}

static const char *read_shape(const mcomp_bk_node *n, linear_shape *s)
{
    int64_t dims[MCOMP_MAX_RANK];
    const mcomp_bk_value *x = dn_host->node_input(n, 0), *w = dn_host->node_input(n, 1);
    memset(s, 0, sizeof *s);
    s->integer = dn_is_op(n, "QLinear");
    if (!x || !w || dn_host->value_dtype(w) != (s->integer ? MCOMP_I8 : MCOMP_F32)) return "weights of another type";
    if (!s->integer && dn_host->value_dtype(x) != MCOMP_F32) return "an X that is not f32";
    if (dn_host->value_rank(w) != 2 || dn_host->value_rank(x) < 1 || !dn_host->value_const(w)) return "weights that are no constant matrix";
    if (dn_host->attr_int(n, "bf16", 0)) return "BF16 operands, which the built-in backend rounds";
    s->trans = dn_host->attr_int(n, "trans_w", 0) != 0;
    dn_host->value_dims(w, dims);
    s->k = dims[s->trans ? 1 : 0];
    s->n = dims[s->trans ? 0 : 1];
    dn_host->value_dims(x, dims);
    s->rows = 1.0;
    for (int32_t i = 0; i + 1 < dn_host->value_rank(x); i++) s->rows *= dims[i] >= 0 ? (double)dims[i] : 32.0;
    if (s->k < 1 || s->n < 1) return "an empty product";
    /* Few rows are one or two tiles: the columns give every core something to do, unless a row must stay whole. */
    const double bytes = (double)s->k * (double)s->n * (s->integer ? 1.0 : 4.0);
    s->cut = dn_cut(s->n, s->rows > TILE / 2 || dn_host->attr_float(n, "ln_eps", -1.0) >= 0.0 ? 1.0 : bytes / PART_BYTES > 4.0 ? 4.0 : bytes / PART_BYTES);
    if (!s->integer) return NULL;
    if (!dn_has_vnni()) return DN_NO_VNNI;
    if (s->k > DN_MAX_DEPTH) return "sums may leave 32 bits";
    return read_quantization(n, dn_host->value_dtype(x), s);
}

/* Primitive for `rows` rows of a part of n columns; weights: NULL lets it choose the layout. */
static int describe(const mcomp_bk_instance *b, const linear_shape *s, int64_t rows, int64_t n, const dc_md *weights, dnnl_primitive_desc_t *pd)
{
    dc_md src = {0}, wei = {0}, dst = {0};
    int bad;
    if (as_conv()) {
        const int64_t ds[4] = {1, s->k, 1, rows}, dw[4] = {n, s->k, 1, 1}, dd[4] = {1, n, 1, rows};
        const dc_conv_geometry g = {{1, 1}, {0, 0}, {0, 0}, {0, 0}};
        bad = dc_md_tag(&src, 4, ds, dnnl_f32, dnnl_nhwc) || dc_md_tag(&dst, 4, dd, dnnl_f32, dnnl_nhwc) ||
              (!weights && dc_md_tag(&wei, 4, dw, dnnl_f32, dnnl_format_tag_any)) ||
              dc_conv(pd, b->engine, &src, weights ? weights : &wei, &dst, &g, b->attr);
    } else {
        const int64_t ds[2] = {rows, s->k}, dw[2] = {s->k, n}, dd[2] = {rows, n};
        bad = dc_md_tag(&src, 2, ds, s->integer ? s->x_type : dnnl_f32, dnnl_ab) || dc_md_tag(&dst, 2, dd, s->integer ? dnnl_s32 : dnnl_f32, dnnl_ab) ||
              (!weights && dc_md_tag(&wei, 2, dw, s->integer ? dnnl_s8 : dnnl_f32, dnnl_format_tag_any)) ||
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
    int good = 1;
    for (int64_t part = 0; part < s->cut.count && good; part += s->cut.count > 1 ? s->cut.count - 1 : 1) { /* the first and the last */
        const int64_t n = dn_part_size(&s->cut, part), depth = s->integer ? s->k : 0;
        dnnl_primitive_desc_t pd = NULL;
        dc_md weights = {0};
        if (describe(b, s, TILE, n, NULL, &pd)) return 0;
        good = !dc_md_query(&weights, pd, dnnl_query_weights_md);
        good &= dn_usable(pd, depth);
        for (int64_t rows = TILE / 2; rows >= 1 && good; rows /= 2) good = !describe(b, s, rows, n, &weights, &pd) && dn_usable(pd, depth);
        dc_md_free(&weights);
    }
    return good;
}

static const int32_t float_index[5] = {2, 3, 4, 5, -1}, integer_index[5] = {3, 4, 5, 6, 2};

int32_t dn_linear_claim(mcomp_bk_instance *b, const mcomp_bk_node *n, mcomp_claim *out)
{
    linear_shape s;
    dn_epilogue e;
    const char *no = read_shape(n, &s);
    if (!no) no = dn_epilogue_read(n, NULL, s.integer ? integer_index : float_index, &e);
    if (!no && !usable_tiles(b, &s)) no = s.integer ? "no exact implementation of a tile" : "only a reference implementation of a tile";
    if (no) return dn_refuse(n, no);
    const double macs = s.rows * (double)s.k * (double)s.n, tiles = s.rows / TILE + (s.rows < TILE ? 1.0 : 0.0);
    out->cost_us = macs / dn_rate(s.integer) * 1e-3 + tiles * (double)s.cut.count * DN_EXEC_US + s.rows * (double)s.n * (s.integer ? 0.2e-3 : 0.1e-3);
    /* Few rows: bound by reading the weights, and no faster than a matrix-vector product. */
    if (s.rows < 8.0) out->cost_us += (double)s.k * (double)s.n * (s.integer ? 1.0 : 4.0) / 10.0 * 1e-3;
    out->integer = s.integer;
    snprintf(out->kernel, sizeof out->kernel, "%s%s", as_conv() ? "onednn:conv1x1" : "onednn:matmul", s.integer ? "_s8" : "");
    return 1;
}

/* Rows of X as the primitive reads them: in place, or quantized into the worker's scratch. */
static const uint8_t *input_rows(const dn_work *w, int64_t row, int64_t rows, int32_t worker, float **scale)
{
    const mcomp_bk_program *p = w->p;
    const uint8_t *x = w->a->buffers[p->x].data;
    *scale = NULL;
    if (!p->quantize) return x + row * p->k * (p->e.integer ? 1 : 4);
    uint8_t *copy = dn_tile_input(p, w->a, worker);
    if (p->quantize == DN_ROWS_TOKEN) *scale = (float *)(void *)(copy + (TILE * p->k + 63) / 64 * 64);
    ((mcomp_quantize_q8_fn)dn_host->get_proc("quantize_q8"))((const float *)(const void *)x + row * p->k, p->k, rows, p->k, p->x_scale, p->x_zp, copy,
                                                             p->k, *scale);
    return copy;
}

static int32_t linear_task(const dn_work *w, int64_t task, int32_t worker)
{
    const mcomp_bk_program *p = w->p;
    const int64_t row = task / p->cut.count * w->tile, part = task % p->cut.count, element = p->e.integer ? 1 : 4;
    const int64_t rows = w->rows - row < w->tile ? w->rows - row : w->tile;
    float *scale;
    const uint8_t *x = input_rows(w, row, rows, worker, &scale);
    int32_t st = MCOMP_OK;
    for (int64_t done = 0, size = TILE; done < rows && st == MCOMP_OK; done += size) {
        while (size > rows - done) size /= 2;
        const dn_tile t = {.k = dn_find(p, (const int64_t[DN_KEY]){size, 0, 0, 0, dn_part_size(&p->cut, part)}), .part = part,
                           .src = x + done * p->k * element, .row = row + done, .rows = size, .row_scale = scale ? scale + done : NULL,
                           .worker = worker};
        st = dn_tile_run(p, w->a, &t);
    }
    return st;
}

static int32_t linear_run(const mcomp_bk_program *p, const mcomp_run_args *a)
{
    const mcomp_bk_buffer *y = &a->buffers[p->y];
    dn_work w = {.p = p, .a = a, .task = linear_task, .rows = 1, .tile = TILE};
    for (int32_t i = 0; i + 1 < y->rank; i++) w.rows *= y->dims[i];
    if (w.rows == 0) return MCOMP_OK;
    if (w.rows <= 2 * TILE) w.tile = TILE / 2; /* two or more tasks from 33 rows on */
    const int64_t tasks = (w.rows + w.tile - 1) / w.tile * p->cut.count;
    return dn_work_run(&w, tasks, (double)w.rows * (double)p->k * (double)p->cut.m < INLINE_US * 1e3 * dn_rate(p->e.integer));
}

/* Part of the columns of an integer W [K,N] as a matrix of its own: the library refuses to reorder a strided view of bytes where it has to
 * sum columns (s8 rows). NULL: no memory. */
static uint8_t *gather_columns(const linear_shape *s, const uint8_t *w, int64_t first, int64_t n)
{
    uint8_t *copy = dn_host->alloc((uint64_t)(s->k * n));
    for (int64_t k = 0; copy && k < s->k; k++) memcpy(copy + k * n, w + k * s->n + first, (size_t)n);
    return copy;
}

static int32_t pack_part(mcomp_bk_program *p, const mcomp_bk_compile *c, const linear_shape *s, int64_t part)
{
    const mcomp_bk_value *w = dn_host->node_input(c->nodes[0], 1);
    const dnnl_data_type_t type = s->integer ? dnnl_s8 : dnnl_f32;
    const int64_t n = dn_part_size(&p->cut, part), first = part * p->cut.block, gather = s->integer && !s->trans && p->cut.count > 1;
    const int64_t step_k = s->trans ? 1 : gather ? n : s->n, step_n = s->trans ? s->k : 1;
    const int64_t d2[2] = {s->k, n}, s2[2] = {step_k, step_n}, d4[4] = {n, s->k, 1, 1}, s4[4] = {step_n, step_k, 1, 1};
    const uint8_t *data = dn_host->value_const(w);
    uint8_t *copy = gather ? gather_columns(s, data, first, n) : NULL;
    dc_md from = {0};
    int32_t st = MCOMP_OK;
    if (gather && !copy) return dn_host->fail(MCOMP_NO_MEMORY, "onednn", "no memory for a part of the weights");
    data = gather ? copy : data + first * step_n * (s->integer ? 1 : 4);
    if (as_conv() ? dc_md_strides(&from, 4, d4, type, s4) : dc_md_strides(&from, 2, d2, type, s2))
        st = dn_fail(MCOMP_INTERNAL, c->nodes[0], "no descriptor of the weights");
    else st = dn_pack(p, c, w, part, &from, data, s->trans ? "lt" : "l");
    dc_md_free(&from);
    if (copy) dn_host->release(copy);
    return st;
}

static int32_t pack_parts(mcomp_bk_program *p, const mcomp_bk_compile *c, const linear_shape *s)
{
    int32_t st = MCOMP_OK;
    for (int64_t part = 0; part < p->cut.count && st == MCOMP_OK; part++) st = pack_part(p, c, s, part);
    return st;
}

/* Zero point times column sums of W. */
static int32_t sum_columns(mcomp_bk_program *p, const linear_shape *s, const int8_t *w)
{
    if (!s->integer || s->x_zp == 0) return MCOMP_OK;
    int32_t *sums = dn_host->alloc((uint64_t)s->n * sizeof *sums);
    if (!sums) return dn_host->fail(MCOMP_NO_MEMORY, "onednn", "no memory for column sums");
    memset(sums, 0, (size_t)s->n * sizeof *sums);
    for (int64_t k = 0; k < s->k; k++)
        for (int64_t n = 0; n < s->n; n++) sums[n] += s->x_zp * w[s->trans ? n * s->k + k : k * s->n + n];
    p->correction.rows = sums;
    return MCOMP_OK;
}

int32_t dn_linear_compile(mcomp_bk_program *p, const mcomp_bk_compile *c)
{
    const mcomp_bk_node *n = c->nodes[0];
    linear_shape s;
    int32_t st = MCOMP_OK;
    const char *no = read_shape(n, &s);
    if (!no) no = dn_epilogue_read(n, c, s.integer ? integer_index : float_index, &p->e);
    if (no) return dn_fail(MCOMP_INTERNAL, n, no);
    p->k = s.k;
    p->cut = s.cut;
    p->run = linear_run;
    p->quantize = s.quantize;
    p->x_scale = s.x_scale;
    p->x_zp = s.x_zp;
    for (int32_t set = 0; set < 2 && st == MCOMP_OK; set++) {
        const int64_t columns = dn_part_size(&p->cut, set ? p->cut.count - 1 : 0);
        if (set && dn_part_set(&p->cut, p->cut.count - 1) == 0) break;
        for (int64_t rows = TILE; rows >= 1 && st == MCOMP_OK; rows /= 2) {
            dnnl_primitive_desc_t pd = NULL;
            if (describe(p->b, &s, rows, columns, rows < TILE ? &p->weights[set] : NULL, &pd)) return dn_fail(MCOMP_INTERNAL, n, "oneDNN refuses a tile");
            st = dn_add(p, pd, (const int64_t[DN_KEY]){rows, 0, 0, 0, columns}, set);
        }
    }
    if (st == MCOMP_OK) st = pack_parts(p, c, &s);
    if (st == MCOMP_OK) st = sum_columns(p, &s, dn_host->value_const(dn_host->node_input(n, 1)));
    dn_tile_plan(p, TILE, s.quantize ? (uint64_t)(TILE * s.k + 64 + TILE * 4) : 0);
    return st;
}
