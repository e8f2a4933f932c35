/* The small integer operators of the mcomp domain (docs/fused_ops.md): QAdd, QAveragePool, QGlobalAveragePool, QLut, and
 * Observe, the tap of the calibrator, which computes nothing. */
#include "ops/fused.h"
#include "ops/pool.h"

static const mc_fused_slots no_slots = {-1, -1, -1, -1};

static int32_t infer_add(mc_infer *c)
{
    int32_t st = MCOMP_OK;
    MC_TRY(mc_qparam_infer(c, 0, "a"));
    MC_TRY(mc_qparam_infer(c, 1, "b"));
    if (c->in[0]->rank >= 0) {
        MC_TRY(mc_nn_need_rank(c, 1, c->in[0]->rank));
        for (int32_t d = 0; d < c->in[0]->rank; d++) MC_TRY(mc_nn_need_dim(c, 1, d, c->in[0]->dim[d], "A and B have one shape"));
    }
    MC_TRY(mc_infer_same(c, 0, c->in[0]->rank >= 0 ? 0 : 1));
    MC_TRY(mc_qparam_out(c));
    MC_TRY(mc_fused_infer(c, &no_slots, -1));
done:
    return st;
}

static int32_t forward_add(const mc_op_run *r)
{
    int32_t st = mc_nn_recheck(r, infer_add, 1);
    mc_fused f;
    mc_qparam a, b;
    if (st != MCOMP_OK) return st;
    MC_TRY(mc_fused_open(r, &no_slots, &f));
    MC_TRY(mc_qparam_read(r->node, "a", &a));
    MC_TRY(mc_qparam_read(r->node, "b", &b));
    const int64_t n = mc_tensor_elements(r->in[0]);
    for (int64_t i = 0; i < n; i++) {
        const float va = (float)(mc_nn_byte(r->in[0], i) - a.zp) * a.scale, vb = (float)(mc_nn_byte(r->in[1], i) - b.zp) * b.scale;
        mc_fused_put(&f, r->out[0], i, mc_actf(f.act, f.lo, f.hi, va + vb));
    }
done:
    return st;
}

static int32_t infer_pool(mc_infer *c, int global)
{
    int32_t st = MCOMP_OK, flag;
    mc_window w;
    MC_TRY(mc_qparam_infer(c, 0, "x"));
    MC_TRY(mc_nn_flag(c, "ceil_mode", 0, &flag));
    MC_TRY(mc_nn_flag(c, "count_include_pad", 0, &flag));
    MC_TRY(mc_pool_infer(c, 1, global, &w));
    MC_TRY(mc_qparam_out(c));
done:
    return st;
}
static int32_t infer_average(mc_infer *c) { return infer_pool(c, 0); }
static int32_t infer_global(mc_infer *c) { return infer_pool(c, 1); }

static int32_t run_pool(const mc_op_run *r, int global)
{
    int32_t st = mc_nn_recheck(r, global ? infer_global : infer_average, 1);
    mc_fused f;
    mc_qparam q;
    mc_window w;
    mc_pool_view v;
    int64_t o[3];
    if (st != MCOMP_OK) return st;
    const int include = mc_attr_i(r->node, "count_include_pad", 0) != 0;
    MC_TRY(mc_fused_open(r, &no_slots, &f));
    MC_TRY(mc_qparam_read(r->node, "x", &q));
    MC_TRY(mc_pool_open(r, 1, global, &w, &v));
    for (int64_t p = 0; p < v.images * v.channels; p++) {
        const int64_t n = p / v.channels, c = p % v.channels, from = n * v.image + c;
        MC_OUT_FOR(w, o, oi) {
            const mc_taps t = mc_window_taps(&w, o);
            const int64_t count = mc_pool_divisor(&w, o, &t, include);
            int64_t acc = 0;
            MC_TAPS_FOR(w, t, xi, ki, {
                (void)ki;
                acc += mc_nn_byte(r->in[0], from + xi * v.step) - q.zp;
            })
            const float s = q.scale / (float)(count > 0 ? count : 1);
            mc_fused_put(&f, r->out[0], n * v.out_image + c + oi * v.out_step, (float)acc * s);
        }
    }
done:
    return st;
}
static int32_t forward_average(const mc_op_run *r) { return run_pool(r, 0); }
static int32_t forward_global(const mc_op_run *r) { return run_pool(r, 1); }

static int32_t infer_lut(mc_infer *c)
{
    int32_t st = MCOMP_OK;
    MC_TRY(mc_nn_need_byte(c, 0));
    MC_TRY(mc_nn_need_byte(c, 1));
    MC_TRY(mc_nn_need_vector(c, 1, 256, "table"));
    MC_TRY(mc_infer_same(c, 0, 0));
    c->out[0].dtype = c->in[1]->dtype;
done:
    return st;
}

static int32_t forward_lut(const mc_op_run *r)
{
    const int32_t st = mc_nn_recheck(r, infer_lut, 0);
    if (st != MCOMP_OK) return st;
    const uint8_t *x = r->in[0]->data, *table = r->in[1]->data;
    uint8_t *y = r->out[0]->data;
    const int64_t n = mc_tensor_elements(r->in[0]);
    for (int64_t i = 0; i < n; i++) y[i] = table[x[i]];
    return MCOMP_OK;
}

static int32_t infer_observe(mc_infer *c)
{
    (void)c;
    return MCOMP_OK;
}

static int32_t forward_observe(const mc_op_run *r)
{
    (void)r;
    return MCOMP_OK;
}

const mc_op mc_op_mcomp_QAdd = {.name = "QAdd", .domain = "mcomp", .version = 1, .since = 1, .min_in = 2, .max_in = 2, .min_out = 1,
                                .max_out = 1, .quant = MC_Q_NONE, .infer = infer_add, .forward = forward_add};
const mc_op mc_op_mcomp_QAveragePool = {.name = "QAveragePool", .domain = "mcomp", .version = 1, .since = 1, .min_in = 1,
                                        .max_in = 1, .min_out = 1, .max_out = 1, .quant = MC_Q_NONE, .infer = infer_average,
                                        .forward = forward_average, .cost = mc_pool_cost};
const mc_op mc_op_mcomp_QGlobalAveragePool = {.name = "QGlobalAveragePool", .domain = "mcomp", .version = 1, .since = 1,
                                              .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1, .quant = MC_Q_NONE,
                                              .infer = infer_global, .forward = forward_global, .cost = mc_pool_cost};
const mc_op mc_op_mcomp_QLut = {.name = "QLut", .domain = "mcomp", .version = 1, .since = 1, .min_in = 2, .max_in = 2, .min_out = 1,
                                .max_out = 1, .quant = MC_Q_NONE, .infer = infer_lut, .forward = forward_lut};
const mc_op mc_op_mcomp_Observe = {.name = "Observe", .domain = "mcomp", .version = 1, .since = 1, .min_in = 1, .max_in = 1,
                                   .min_out = 0, .max_out = 0, .traits = MC_OP_NO_FOLD, .quant = MC_Q_NONE,
                                   .infer = infer_observe, .forward = forward_observe};
