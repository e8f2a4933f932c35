/* A tile: the primitive, the correction of integer sums for the zero point, and the host's row epilogue while the tile is in the cache. */
#include "plugin.h"

#include <string.h>

static int32_t act_code(const mcomp_bk_node *n, const char *attr)
{
    static const char *const names[] = {"none", "relu", "clip", "gelu", "gelu_tanh", "sigmoid", "tanh", "silu", "hardswish"};
    const char *s = dn_host->attr_string(n, attr, "none");
    for (int32_t i = 0; i < (int32_t)(sizeof names / sizeof *names); i++)
        if (strcmp(names[i], s) == 0) return i;
    return -1;
}

static int is_byte(int32_t dtype) { return dtype == MCOMP_U8 || dtype == MCOMP_I8; }

/* Quantization of residual and output. */
static const char *read_integer(const mcomp_bk_node *n, const mcomp_bk_value *r, dn_epilogue *e)
{
    mcomp_epilogue_q8 *q = &e->q;
    const int32_t y = dn_host->value_dtype(dn_host->node_output(n, 0));
    q->size = sizeof *q;
    q->act = e->f.act;
    q->post_act = e->f.post_act;
    q->act_lo = e->f.act_lo;
    q->act_hi = e->f.act_hi;
    q->layernorm = e->f.layernorm;
    q->ln_eps = e->f.ln_eps;
    q->r_dtype = r ? dn_host->value_dtype(r) : MCOMP_F32;
    q->r_scale = (float)dn_host->attr_float(n, "r_scale", 0.0);
    q->r_zp = (int32_t)dn_host->attr_int(n, "r_zp", 0);
    if (q->r_dtype != MCOMP_F32 && (!is_byte(q->r_dtype) || !(q->r_scale > 0.0f))) return "a residual that is neither float nor scaled bytes";
    q->m_scale = (float)dn_host->attr_float(n, "m_scale", 0.0);
    q->m_zp = (int32_t)dn_host->attr_int(n, "m_zp", 0);
    q->m_dtype = (int32_t)dn_host->attr_int(n, "m_dtype", MCOMP_U8);
    if (q->m_scale > 0.0f && !is_byte(q->m_dtype)) return "a middle grid that is no bytes";
    q->y_dtype = y;
    q->y_scale = (float)dn_host->attr_float(n, "y_scale", 0.0);
    q->y_zp = (int32_t)dn_host->attr_int(n, "y_zp", 0);
    if (y == MCOMP_F32 ? q->y_scale != 0.0f : !is_byte(y) || !(q->y_scale > 0.0f)) return "an output that is neither float nor scaled bytes";
    return dn_host->get_proc("epilogue_q8") && dn_host->get_proc("quantize_q8") ? NULL : "the host offers no integer epilogue";
}

const char *dn_epilogue_read(const mcomp_bk_node *n, const mcomp_bk_compile *c, const int32_t index[5], dn_epilogue *e)
{
    memset(e, 0, sizeof *e);
    e->f.size = sizeof e->f;
    e->f.act = act_code(n, "act");
    e->f.post_act = act_code(n, "post_act");
    e->f.act_lo = (float)dn_host->attr_float(n, "act_lo", 0.0);
    e->f.act_hi = (float)dn_host->attr_float(n, "act_hi", 0.0);
    const double eps = dn_host->attr_float(n, "ln_eps", -1.0);
    e->f.layernorm = eps >= 0.0;
    e->f.ln_eps = (float)eps;
    e->integer = index[4] >= 0;
    for (int32_t i = 0; i < 5; i++) {
        const mcomp_bk_value *v = index[i] >= 0 ? dn_host->node_input(n, index[i]) : NULL;
        e->slot[i] = c ? dn_slot(c, v) : -1;
        if (v && (i != 1 || !e->integer) && dn_host->value_dtype(v) != MCOMP_F32) return "an operand that is not f32";
        if (v && i != 1 && e->integer && !dn_host->value_const(v)) return "scales or biases that vary";
        if (!v && i == 4 && e->integer) return "no weight scales";
    }
    if (e->f.act < 0 || e->f.post_act < 0) return "an unknown activation";
    if (e->integer) return read_integer(n, dn_host->node_input(n, index[1]), e);
    return dn_host->get_proc("epilogue_f32") ? NULL : "the host offers no float epilogue";
}

static uint64_t up64(uint64_t bytes) { return (bytes + 63) & ~(uint64_t)63; }

void dn_tile_plan(mcomp_bk_program *p, int64_t rows, uint64_t x_bytes)
{
    const uint64_t tile = up64((uint64_t)(rows * p->cut.block) * 4 + 64); /* the epilogue reads whole vectors of sums */
    p->pad_bytes = up64(p->pad_bytes);
    p->acc_bytes = p->e.integer || p->cut.count > 1 ? tile : 0;
    p->row_bytes = p->e.integer && p->e.q.layernorm && p->e.q.y_scale > 0.0f ? tile : 0;
    p->x_bytes = up64(x_bytes);
}

static uint8_t *worker_scratch(const mcomp_run_args *a, int32_t worker)
{
    return (uint8_t *)a->worker_scratch + (uint64_t)worker * a->worker_scratch_stride;
}

uint8_t *dn_tile_input(const mcomp_bk_program *p, const mcomp_run_args *a, int32_t worker)
{
    return worker_scratch(a, worker) + p->pad_bytes + p->acc_bytes + p->row_bytes;
}

static const float *column_operand(const mcomp_bk_program *p, const mcomp_run_args *a, int32_t i, int64_t column)
{
    return p->e.slot[i] >= 0 ? (const float *)a->buffers[p->e.slot[i]].data + column : NULL;
}

static void finish_f32(const mcomp_bk_program *p, const mcomp_run_args *a, const dn_tile *t, const float *sums)
{
    mcomp_epilogue_f32 e = p->e.f;
    const int64_t n = dn_part_size(&p->cut, t->part), column = t->part * p->cut.block, at = t->row * p->cut.m + column;
    const float *r = column_operand(p, a, 1, at);
    float *y = (float *)a->buffers[p->y].data + at;
    for (int64_t i = 0; i < t->rows && sums != y; i++) memcpy(y + i * p->cut.m, sums + i * n, (size_t)n * sizeof *y);
    e.bias = column_operand(p, a, 0, column);
    e.residual = r;
    e.gamma = column_operand(p, a, 2, 0);
    e.beta = column_operand(p, a, 3, 0);
    e.ld_r = p->cut.m;
    ((mcomp_epilogue_f32_fn)dn_host->get_proc("epilogue_f32"))(&e, y, p->cut.m, t->rows, n);
}

/* The library's sums hold X as stored and zeros for padding; the reference's hold X - zero point. */
static void correct(const mcomp_bk_program *p, const dn_tile *t, int32_t *acc, int64_t n)
{
    const dn_correction *c = &p->correction;
    if (!c->rows) return;
    for (int64_t i = 0; i < t->rows; i++) {
        int64_t class = 0;
        if (c->row_class) class = c->row_class[t->oy + i / p->win.ow] * c->columns + c->col_class[i % p->win.ow];
        const uint32_t *w = (const uint32_t *)(const void *)(c->rows + class * p->cut.m + t->part * p->cut.block);
        uint32_t *row = (uint32_t *)(void *)(acc + i * n);
        for (int64_t j = 0; j < n; j++) row[j] -= w[j];
    }
}

static void finish_q8(const mcomp_bk_program *p, const mcomp_run_args *a, const dn_tile *t, int32_t *acc)
{
    mcomp_epilogue_q8 e = p->e.q;
    const int64_t n = dn_part_size(&p->cut, t->part), column = t->part * p->cut.block, at = t->row * p->cut.m + column;
    const uint8_t *r = p->e.slot[1] >= 0 ? a->buffers[p->e.slot[1]].data : NULL;
    correct(p, t, acc, n);
    e.acc = acc;
    e.ld_acc = n;
    e.x_scale = p->x_scale;
    e.row_scale = t->row_scale;
    e.w_scale = column_operand(p, a, 4, column);
    e.bias = column_operand(p, a, 0, column);
    e.gamma = column_operand(p, a, 2, 0);
    e.beta = column_operand(p, a, 3, 0);
    e.residual = r ? r + at * (e.r_dtype == MCOMP_F32 ? 4 : 1) : NULL;
    e.y = (uint8_t *)a->buffers[p->y].data + at * (e.y_scale > 0.0f ? 1 : 4);
    e.ld_r = e.ld_y = p->cut.m;
    e.rows = (float *)(void *)(worker_scratch(a, t->worker) + p->pad_bytes + p->acc_bytes);
    ((mcomp_epilogue_q8_fn)dn_host->get_proc("epilogue_q8"))(&e, t->rows, n);
}

int32_t dn_tile_run(const mcomp_bk_program *p, const mcomp_run_args *a, const dn_tile *t)
{
    uint8_t *scratch = worker_scratch(a, t->worker);
    void *sums = scratch + p->pad_bytes;
    if (!p->acc_bytes) sums = (float *)a->buffers[p->y].data + t->row * p->cut.m;
    const int32_t st = dn_execute(p, t->k, t->part, t->src, sums, scratch);
    if (st != MCOMP_OK) return st;
    if (p->e.integer) finish_q8(p, a, t, sums);
    else finish_f32(p, a, t, sums);
    return MCOMP_OK;
}
