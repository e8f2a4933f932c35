/* Integer products with their epilogue: packing, reading of attributes, one tile. */
#include "backends/cpu/qgemm.h"

#include <stdio.h>

#define BLOCK_COLS 96  /* columns whose sums stay in L1: twice three panels of the VNNI register tile */
#define SPARSE_COLS 32 /* the same for as many rows of a sparse product, whose lines of the left operand want L1 too */

static void nothing(const mc_qgemm_tile *t) { (void)t; }

mc_q_product mc_q_product_of(const mc_kernels *k, int32_t sparse)
{
    const mc_kernels_int8 *d = &k->int8;
    const mc_kernels_sparse *s = &k->sparse;
    if (sparse) return (mc_q_product){s->packed_bytes, s->pack, s->loaded_bytes, s->load, s->gemm, nothing};
    return (mc_q_product){d->qgemm_packed_bytes, d->qgemm_pack, d->qgemm_loaded_bytes, d->qgemm_load, d->qgemm, d->qgemm_done};
}

/* ---- weights ---- */

typedef struct pack_job {
    mc_q_product product;
    const mc_q_layout *l;
    const int8_t *w;
    int32_t group;
    mc_qgemm_shape shape;
    uint64_t bytes; /* of the packed part */
} pack_job;

static mc_qgemm_shape shape_of(const mc_q_layout *l)
{
    const int64_t taps = l->kh * l->kw;
    if (l->order != MC_Q_OIHW) return (mc_qgemm_shape){l->n, 1, l->channels};
    return l->rows_as_runs ? (mc_qgemm_shape){l->n, l->kh, l->kw * l->channels} : (mc_qgemm_shape){l->n, taps, l->channels};
}

/* Weights of one group as [n][depth], depth in the order of the runs. NULL without memory. */
static int8_t *gather(const pack_job *j)
{
    const mc_q_layout *l = j->l;
    const int64_t taps = l->kh * l->kw, depth = taps * l->channels, first = j->group * l->n;
    int8_t *out = mc_malloc((size_t)(l->n * depth));
    if (!out) return NULL;
    for (int64_t n = 0; n < l->n; n++)
        for (int64_t t = 0; t < taps; t++)
            for (int64_t c = 0; c < l->channels; c++) {
                const int64_t at = l->order == MC_Q_KN ? c * l->n + n : ((first + n) * l->channels + c) * taps + t;
                out[n * depth + t * l->channels + c] = (int8_t)((uint8_t)j->w[at] ^ l->flip);
            }
    return out;
}

static int32_t fill_bytes(void *ctx, void *block)
{
    pack_job *j = ctx;
    int8_t *w = gather(j);
    if (!w) return MCOMP_NO_MEMORY;
    const uint64_t bytes = j->product.packed_bytes(&j->shape, w);
    memcpy(block, &bytes, sizeof bytes);
    mc_free(w);
    return MCOMP_OK;
}

static int32_t fill_weights(void *ctx, void *block)
{
    pack_job *j = ctx;
    int8_t *w = gather(j);
    if (!w) return MCOMP_NO_MEMORY;
    j->product.pack(&j->shape, w, block, (int32_t *)(void *)((uint8_t *)block + mc_q_up((int64_t)j->bytes, 64)));
    mc_free(w);
    return MCOMP_OK;
}

int32_t mc_q_pack(const mc_cpu_step *s, int32_t index, const mc_q_layout *l, mc_q_matrix *out)
{
    int32_t st = MCOMP_OK;
    const mc_value *v = s->node->in[index];
    const uint64_t id = s->host->value_key((const mcomp_bk_value *)(const void *)v);
    for (int32_t g = 0; g < l->groups; g++) {
        char key[160];
        const void *block = NULL;
        pack_job j = {mc_q_product_of(s->kernels, l->sparse), l, mc_value_const(v)->data, g, shape_of(l), 0};
        snprintf(key, sizeof key, "qgemm%s:%s:%llx:%d:%d.%d:%lld.%lld.%lld:%d.%u:bytes", l->sparse ? "4x1" : "", mc_isa_name(mc_cpu_isa()),
                 (unsigned long long)id, l->order, l->groups, g, (long long)l->channels, (long long)l->kh, (long long)l->kw,
                 l->rows_as_runs, l->flip);
        /* the size depends on the weights; it is kept too, so that another plan need not look at them */
        MC_TRY(s->host->pack(s->store, key, sizeof j.bytes, fill_bytes, &j, &block));
        memcpy(&j.bytes, block, sizeof j.bytes);
        key[strlen(key) - strlen(":bytes")] = 0;
        const uint64_t sums = (uint64_t)mc_q_up((int64_t)j.bytes, 64);
        MC_TRY(s->host->pack(s->store, key, sums + (uint64_t)mc_q_padded(l->n) * 4, fill_weights, &j, &block));
        out[g] = (mc_q_matrix){j.shape, block, (const int32_t *)(const void *)((const uint8_t *)block + sums), l->sparse};
    }
done:
    return st;
}

void mc_q_init(const mc_q_matrix *w, int32_t zp, int32_t *init)
{
    for (int64_t j = 0; j < mc_q_padded(w->shape.n); j++) init[j] = (int32_t)(0u - (uint32_t)zp * (uint32_t)w->colsum[j]);
}

/* ---- attributes ---- */

int mc_q_is_byte(const mc_type *t) { return t && (t->dtype == MCOMP_U8 || t->dtype == MCOMP_I8); }

mc_qmap mc_q_map_of(float scale, int32_t zp, int32_t dtype)
{
    const int is_signed = dtype == MCOMP_I8;
    return (mc_qmap){scale, (int32_t)((uint32_t)zp + (is_signed ? 128u : 0u)), is_signed ? 0x80 : 0};
}

int mc_q_map(const mc_node *n, const char *prefix, int32_t dtype, mc_qmap *p)
{
    char scale[32], zp[32], type[32];
    snprintf(scale, sizeof scale, "%s_scale", prefix);
    snprintf(zp, sizeof zp, "%s_zp", prefix);
    snprintf(type, sizeof type, "%s_dtype", prefix);
    if (dtype == 0) dtype = (int32_t)mc_attr_i(n, type, MCOMP_U8);
    const int64_t zero = mc_attr_i(n, zp, 0), shift = dtype == MCOMP_I8 ? 128 : 0;
    *p = mc_q_map_of(mc_attr_f(n, scale, 0.0f), (int32_t)zero, dtype);
    return mc_node_attr(n, scale) && (dtype == MCOMP_U8 || dtype == MCOMP_I8) && zero + shift >= 0 && zero + shift <= 255;
}

/* 1 if input i is absent or an f32 constant of n elements. */
static int row_constant(const mc_node *n, int32_t i, int64_t elements, const float **out)
{
    *out = NULL;
    if (i >= n->n_in || !n->in[i]) return 1;
    const mc_tensor *t = mc_value_const(n->in[i]);
    if (!t || t->dtype != MCOMP_F32 || mc_tensor_elements(t) != elements) return 0;
    *out = t->data;
    return 1;
}

int mc_q_finish_read(const mc_node *n, int32_t first, int32_t gammas, int64_t outputs, mc_q_finish *finish)
{
    mc_q_finish own, *f = finish ? finish : &own;
    memset(f, 0, sizeof *f);
    const mc_type *r = mc_cpu_in_type(n, first + 2), *y = mc_cpu_out_type(n, 0);
    f->act = mc_act_read(n, "act");
    f->post_act = mc_act_read(n, "post_act");
    f->lo = mc_attr_f(n, "act_lo", 0.0f);
    f->hi = mc_attr_f(n, "act_hi", 0.0f);
    if (f->act < 0 || f->post_act < 0 || !y) return 0;
    if (!row_constant(n, first, outputs, &f->w_scale) || !f->w_scale) return 0;
    if (!row_constant(n, first + 1, outputs, &f->bias)) return 0;
    if (gammas && mc_node_attr(n, "ln_eps")) {
        f->layernorm = 1;
        f->eps = mc_attr_f(n, "ln_eps", 0.0f);
        if (!row_constant(n, first + 3, outputs, &f->gamma) || !row_constant(n, first + 4, outputs, &f->beta)) return 0;
    }
    if (r && r->dtype == MCOMP_F32) f->residual = MC_QRESIDUAL_F32;
    else if (r && mc_q_is_byte(r) && mc_q_map(n, "r", r->dtype, &f->r_param)) f->residual = MC_QRESIDUAL_BYTES;
    else if (r) return 0;
    if (mc_node_attr(n, "m_scale")) {
        if (!mc_q_map(n, "m", 0, &f->m_param)) return 0;
        f->middle = 1;
        f->m_inv = 1.0f / f->m_param.scale;
    }
    if (mc_node_attr(n, "y_scale")) {
        mc_qmap p;
        if (!mc_q_is_byte(y) || !mc_q_map(n, "y", y->dtype, &p)) return 0;
        f->out = (mc_qout){.quantized = 1, .zp = p.zp, .flip = p.flip, .inv = 1.0f / p.scale};
    } else if (y->dtype != MCOMP_F32) {
        return 0;
    }
    return 1;
}

/* ---- one tile ---- */

/* Scratch of a tile: sums [m][64], the tier's copy of the rows, float rows [m][n] between LayerNormalization and bytes. */
static int64_t acc_bytes(int64_t m) { return m * (BLOCK_COLS + MC_QGEMM_LANES) * 4; }
static int64_t loaded_bytes(const mc_kernels *k, const mc_q_matrix *w, int64_t m)
{
    return mc_q_up((int64_t)mc_q_product_of(k, w->sparse).loaded_bytes(&w->shape, m), 64);
}

uint64_t mc_q_tile_scratch(const mc_kernels *k, const mc_q_matrix *w, int64_t m, const mc_q_finish *f)
{
    const int64_t floats = f->layernorm && f->out.quantized ? mc_q_up(m * w->shape.n * 4, 64) : 0;
    return (uint64_t)(acc_bytes(m) + loaded_bytes(k, w, m) + floats);
}

void mc_q_normalise(const mc_kernels *k, const mc_norm_f32 *norm, const mc_qout *out, int64_t ld)
{
    k->f32.norm(norm);
    for (int64_t i = 0; i < norm->rows && out->quantized; i++) {
        mc_qout row = *out;
        row.y = (uint8_t *)out->y + i * ld;
        k->int8.requantize(norm->y + i * norm->ld_y, norm->n, &row);
    }
}

static void normalise(const mc_q_tile *t, float *rows, int64_t ld)
{
    const mc_q_finish *f = t->finish;
    const mc_norm_f32 norm = {.x = rows, .y = rows, .gamma = f->gamma, .beta = f->beta, .ld_x = ld, .ld_y = ld, .rows = t->m,
                              .n = t->cols, .eps = f->eps};
    mc_qout out = f->out;
    out.y = t->y;
    mc_q_normalise(t->kernels, &norm, &out, t->ld);
}

void mc_q_tile_run(const mc_q_tile *t)
{
    const mc_q_product p = mc_q_product_of(t->kernels, t->w->sparse);
    const mc_q_finish *f = t->finish;
    int32_t *acc = (int32_t *)(void *)t->scratch;
    uint8_t *loaded = t->scratch + acc_bytes(t->m);
    const int bytes_after = f->layernorm && f->out.quantized;
    float *rows = bytes_after ? (float *)(void *)(loaded + loaded_bytes(t->kernels, t->w, t->m)) : t->y;
    const int64_t ld_rows = bytes_after ? t->cols : t->ld, y_element = f->out.quantized && !bytes_after ? 1 : 4;
    const int64_t r_element = f->residual == MC_QRESIDUAL_F32 ? 4 : 1, end = t->n0 + t->cols;
    mc_qgemm_tile g = {.shape = t->w->shape, .packed = t->w->packed, .rows = t->rows, .seg = t->seg, .m = t->m,
                       .loaded = loaded, .init = t->init, .acc = acc};
    mc_qepilogue e = {.acc = acc, .m = t->m, .row_scale = t->row_scale, .x_scale = t->x_scale, .act = f->act,
                      .post_act = f->post_act, .lo = f->lo, .hi = f->hi, .residual = f->residual, .ld_r = t->ld,
                      .r_param = f->r_param, .middle = f->middle, .m_param = f->m_param, .m_inv = f->m_inv, .out = f->out};
    if (f->layernorm) e.out.quantized = 0;
    e.out.ld = ld_rows;
    p.load(&g);
    const int64_t block = t->w->sparse && t->m > SPARSE_COLS ? SPARSE_COLS : BLOCK_COLS;
    for (g.n0 = t->n0; g.n0 < end; g.n0 += g.cols) {
        const int64_t left = end - g.n0, channel = t->channel0 + g.n0;
        g.cols = left <= block + MC_QGEMM_LANES ? left : block;
        g.ld_acc = e.ld_acc = mc_q_padded(g.cols);
        p.gemm(&g);
        e.n = g.cols;
        e.w_scale = f->w_scale + channel;
        e.bias = f->bias ? f->bias + channel : NULL;
        e.r = t->r ? (const uint8_t *)t->r + channel * r_element : NULL;
        e.out.y = (uint8_t *)(void *)rows + channel * y_element;
        t->kernels->int8.epilogue(&e);
    }
    p.done(&g);
    if (f->layernorm) normalise(t, rows, ld_rows);
}

#define SMALL_MACS 200000.0 /* about as long as it takes to wake the pool */

void mc_q_parallel(const mc_cpu_step *s, const mcomp_run_args *a, int64_t tasks, double macs, mcomp_bk_task_fn fn, void *ctx)
{
    if (macs >= SMALL_MACS && tasks > 1) s->host->parallel_for(a->pool, tasks, fn, ctx);
    else
        for (int64_t i = 0; i < tasks; i++) fn(ctx, i, 0);
}

/* ---- scale of a tensor ---- */

typedef struct extremes {
    const mc_kernels_int8 *k;
    const float *x;
    int64_t n, chunk;
    float *found; /* [tasks][2] */
} extremes;

static void extremes_task(void *ctx, int64_t index, int32_t worker)
{
    const extremes *e = ctx;
    const int64_t at = index * e->chunk, left = e->n - at;
    float min = 0.0f, max = 0.0f;
    (void)worker;
    e->k->minmax(e->x + at, left < e->chunk ? left : e->chunk, &min, &max);
    e->found[2 * index] = min;
    e->found[2 * index + 1] = max;
}

float mc_q_tensor_scale(const mc_cpu_step *s, const mcomp_run_args *a, const float *x, int64_t n, float *scratch, int32_t *zp)
{
    extremes e = {&s->kernels->int8, x, n, (n + MC_Q_EXTREMES - 1) / MC_Q_EXTREMES, scratch};
    if (e.chunk < 16384) e.chunk = 16384;
    const int64_t tasks = (n + e.chunk - 1) / e.chunk;
    mc_q_parallel(s, a, tasks, (double)n * 8.0, extremes_task, &e);
    float min = 0.0f, max = 0.0f;
    for (int64_t i = 0; i < tasks; i++) {
        min = scratch[2 * i] < min ? scratch[2 * i] : min;
        max = scratch[2 * i + 1] > max ? scratch[2 * i + 1] : max;
    }
    return mc_tensor_scale(min, max, zp);
}

/* ---- claims ---- */

double mc_q_guess(const mc_type *t)
{
    double n = 1.0;
    if (!t || t->rank < 0) return 128.0 * 384.0;
    for (int32_t i = 0; i < t->rank; i++) n *= t->dim[i] < 0 ? 128.0 : (double)t->dim[i];
    return n;
}

int32_t mc_q_claim(mcomp_claim *c, const char *name, double macs, double bytes)
{
    static const double gmacs[] = {2.0, 70.0, 100.0, 280.0, 1500.0}; /* by tier, one core, measured (lib/kernels/README.md) */
    const mc_isa isa = mc_cpu_isa();
    c->cost_us = 0.5 + macs / gmacs[isa] * 1e-3 + bytes / (isa == MC_ISA_REF ? 4.0 : 10.0) * 1e-3;
    c->integer = macs > 0.0;
    mc_cpu_claim_name(c, name, mc_isa_name(isa));
    return 1;
}

int32_t mc_q_claim_product(mcomp_claim *c, const char *name, const mc_q_choice *choice, double macs, double bytes)
{
    char full[48];
    snprintf(full, sizeof full, "%.30s%s", name, choice->sparse ? "_sparse4x1" : "");
    const int32_t r = mc_q_claim(c, full, macs * choice->cost, bytes);
    memcpy(c->note, choice->note, sizeof c->note);
    return r;
}
