/* MaxPool (with Indices), AveragePool, GlobalMaxPool, GlobalAveragePool: X [N,C,s...] -> Y [N,C,o...]. And the channels-last
 * forms of the mcomp domain, X [N,s...,C] -> Y [N,o...,C] (docs/fused_ops.md). */
#include "ops/grad.h"
#include "ops/pool.h"

static int32_t infer_max(mc_infer *c, int last)
{
    mc_window w;
    int32_t st = MCOMP_OK, flag;
    MC_TRY(mc_infer_check(c, 0, MC_CLASS_FLOAT | MC_CLASS_INT));
    MC_TRY(mc_nn_flag(c, "ceil_mode", 0, &flag));
    MC_TRY(mc_nn_flag(c, "storage_order", 0, &flag));
    MC_TRY(mc_pool_infer(c, last, 0, &w));
    if (c->n_out > 1) {
        c->out[1] = c->out[0];
        c->out[1].dtype = MCOMP_I64;
    }
done:
    return st;
}

static int32_t infer_average(mc_infer *c, int last)
{
    mc_window w;
    int32_t st = MCOMP_OK, flag;
    MC_TRY(mc_nn_need_float(c, 0));
    MC_TRY(mc_nn_flag(c, "ceil_mode", 0, &flag));
    MC_TRY(mc_nn_flag(c, "count_include_pad", 0, &flag));
    MC_TRY(mc_pool_infer(c, last, 0, &w));
done:
    return st;
}

static int32_t infer_global(mc_infer *c, int last, uint32_t classes)
{
    mc_window w;
    const int32_t st = mc_infer_check(c, 0, classes);
    return st != MCOMP_OK ? st : mc_pool_infer(c, last, 1, &w);
}

static int32_t max_first(mc_infer *c) { return infer_max(c, 0); }
static int32_t max_last(mc_infer *c) { return infer_max(c, 1); }
static int32_t average_first(mc_infer *c) { return infer_average(c, 0); }
static int32_t average_last(mc_infer *c) { return infer_average(c, 1); }
static int32_t global_max_first(mc_infer *c) { return infer_global(c, 0, MC_CLASS_NUMBER); } /* ONNX: floats; plans have bytes */
static int32_t global_max_last(mc_infer *c) { return infer_global(c, 1, MC_CLASS_NUMBER); }
static int32_t global_average_first(mc_infer *c) { return infer_global(c, 0, MC_CLASS_FLOAT); }
static int32_t global_average_last(mc_infer *c) { return infer_global(c, 1, MC_CLASS_FLOAT); }

/* fn is the forward of one descriptor: recheck, then the core. */
#define FORWARD(name, infer, call)                                                                                     \
    static int32_t name(const mc_op_run *r)                                                                            \
    {                                                                                                                  \
        const int32_t st = mc_nn_recheck(r, infer, 0);                                                                 \
        return st != MCOMP_OK ? st : call;                                                                             \
    }
FORWARD(run_max_first, max_first, mc_pool_max(r, 0, 0))
FORWARD(run_max_last, max_last, mc_pool_max(r, 1, 0))
FORWARD(run_average_first, average_first, mc_pool_average(r, 0, 0))
FORWARD(run_average_last, average_last, mc_pool_average(r, 1, 0))
FORWARD(run_global_max_first, global_max_first, mc_pool_max(r, 0, 1))
FORWARD(run_global_max_last, global_max_last, mc_pool_max(r, 1, 1))
FORWARD(run_global_average_first, global_average_first, mc_pool_average(r, 0, 1))
FORWARD(run_global_average_last, global_average_last, mc_pool_average(r, 1, 1))

static int32_t grad_max(mc_op_grad *c) { return mc_grad_pool(c, 1, 0); }
static int32_t grad_average(mc_op_grad *c) { return mc_grad_pool(c, 0, 0); }
static int32_t grad_global_max(mc_op_grad *c) { return mc_grad_pool(c, 1, 1); }
static int32_t grad_global_average(mc_op_grad *c) { return mc_grad_pool(c, 0, 1); }

const mc_op mc_op_MaxPool = {.name = "MaxPool", .domain = "", .version = 22, .since = 12, .min_in = 1, .max_in = 1, .min_out = 1,
                             .max_out = 2, .quant = MC_Q_PASS, .axes = mc_axes_pool, .infer = max_first, .forward = run_max_first, .cost = mc_pool_cost,
                             .gradient = grad_max};
const mc_op mc_op_AveragePool = {.name = "AveragePool", .domain = "", .version = 22, .since = 11, .min_in = 1, .max_in = 1,
                                 .min_out = 1, .max_out = 1, .quant = MC_Q_POOL, .axes = mc_axes_pool, .infer = average_first,
                                 .forward = run_average_first, .cost = mc_pool_cost, .gradient = grad_average};
const mc_op mc_op_GlobalMaxPool = {.name = "GlobalMaxPool", .domain = "", .version = 22, .since = 1, .min_in = 1, .max_in = 1,
                                   .min_out = 1, .max_out = 1, .quant = MC_Q_PASS, .axes = mc_axes_pool, .infer = global_max_first,
                                   .forward = run_global_max_first, .cost = mc_pool_cost, .gradient = grad_global_max};
const mc_op mc_op_GlobalAveragePool = {.name = "GlobalAveragePool", .domain = "", .version = 22, .since = 1, .min_in = 1,
                                       .max_in = 1, .min_out = 1, .max_out = 1, .quant = MC_Q_POOL, .axes = mc_axes_pool, .infer = global_average_first,
                                       .forward = run_global_average_first, .cost = mc_pool_cost,
                                       .gradient = grad_global_average};
const mc_op mc_op_mcomp_MaxPool = {.name = "MaxPool", .domain = "mcomp", .version = 1, .since = 1, .min_in = 1, .max_in = 1,
                                   .min_out = 1, .max_out = 1, .quant = MC_Q_PASS, .infer = max_last, .forward = run_max_last,
                                   .cost = mc_pool_cost};
const mc_op mc_op_mcomp_AveragePool = {.name = "AveragePool", .domain = "mcomp", .version = 1, .since = 1, .min_in = 1, .max_in = 1,
                                       .min_out = 1, .max_out = 1, .quant = MC_Q_POOL, .infer = average_last,
                                       .forward = run_average_last, .cost = mc_pool_cost};
const mc_op mc_op_mcomp_GlobalMaxPool = {.name = "GlobalMaxPool", .domain = "mcomp", .version = 1, .since = 1, .min_in = 1,
                                         .max_in = 1, .min_out = 1, .max_out = 1, .quant = MC_Q_PASS, .infer = global_max_last,
                                         .forward = run_global_max_last, .cost = mc_pool_cost};
const mc_op mc_op_mcomp_GlobalAveragePool = {.name = "GlobalAveragePool", .domain = "mcomp", .version = 1, .since = 1, .min_in = 1,
                                             .max_in = 1, .min_out = 1, .max_out = 1, .quant = MC_Q_POOL,
                                             .infer = global_average_last, .forward = run_global_average_last, .cost = mc_pool_cost};
