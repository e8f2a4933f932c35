/* Operators that hand their input on: Identity, Dropout (inference: the mask is all true), mcomp.After. */
#include "ops/grad.h"
#include "ops/internal.h"

static int32_t infer(mc_infer *c)
{
    mc_infer_copy_data(c, 0, 0);
    return mc_infer_same(c, 0, 0);
}

static int32_t forward(const mc_op_run *r)
{
    if (r->out[0]) mc_move_all(r->out[0], r->in[0]);
    return MCOMP_OK;
}

static int32_t infer_dropout(mc_infer *c)
{
    if (c->n_out > 1) {
        mc_infer_same(c, 1, 0);
        c->out[1].dtype = MCOMP_BOOL;
    }
    return mc_infer_same(c, 0, 0);
}

/* Nothing is dropped: training is off (or never on), or the ratio is 0. A NULL tensor is one whose value is not known. */
static int passes_all(int never, const mc_tensor *training, const mc_tensor *ratio)
{
    if (never || (training && mc_tensor_elements(training) == 1 && mc_tensor_get_i64(training, 0) == 0)) return 1;
    return ratio && mc_tensor_elements(ratio) == 1 && mc_tensor_get_f64(ratio, 0) == 0.0;
}

/* Not a view: whether it copies is decided by the value of input 2, at run time. */
static int32_t forward_dropout(const mc_op_run *r)
{
    if (!passes_all(!mc_in(r, 2), mc_in(r, 2), mc_in(r, 1)))
        return mc_op_fail(r, MCOMP_UNSUPPORTED, "its training mode is on, the output is random; set training_mode to false for inference");
    if (r->n_out > 1 && r->out[1]) memset(r->out[1]->data, 1, (size_t)mc_tensor_bytes(r->out[1]));
    return forward(r);
}

static int32_t gradient(mc_op_grad *c)
{
    c->dx[0] = c->dy[0];
    return c->status;
}

static int32_t gradient_dropout(mc_op_grad *c)
{
    mc_value *const training = c->n_in > 2 ? c->x[2] : NULL, *const ratio = c->n_in > 1 ? c->x[1] : NULL;
    if (!passes_all(!training, training ? training->init : NULL, ratio ? ratio->init : NULL))
        return mc_grad_fail(c, MCOMP_NO_GRADIENT, "training_mode is not a constant false; it has a gradient as the identity only");
    return gradient(c);
}

const mc_op mc_op_Identity = {.name = "Identity", .domain = "", .version = 21, .since = 1, .min_in = 1, .max_in = 1, .min_out = 1,
                              .max_out = 1, .traits = MC_OP_ELEMENTWISE | MC_OP_SHAPE_GLUE | MC_OP_VIEW, .quant = MC_Q_PASS,
                              .infer = infer, .forward = forward, .gradient = gradient};
const mc_op mc_op_Dropout = {.name = "Dropout", .domain = "", .version = 13, .since = 12, .min_in = 1, .max_in = 3, .min_out = 1,
                             .max_out = 2, .traits = MC_OP_ELEMENTWISE, .quant = MC_Q_PASS, .infer = infer_dropout,
                             .forward = forward_dropout, .gradient = gradient_dropout};
/* Input 0, not before the other inputs are there: holds back what is computed again (passes/recompute.c). */
const mc_op mc_op_mcomp_After = {.name = "After", .domain = "mcomp", .version = 1, .since = 1, .min_in = 1, .max_in = -1, .min_out = 1,
                                 .max_out = 1, .traits = MC_OP_VIEW, .quant = MC_Q_NONE, .infer = infer, .forward = forward,
                                 .shape_only = ~(uint32_t)1};
