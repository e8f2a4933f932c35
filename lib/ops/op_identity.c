/* Operators that hand their input on: Identity, Dropout (inference: the mask is all true). */
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

static int32_t forward_dropout(const mc_op_run *r)
{
    const mc_tensor *training = mc_in(r, 2), *ratio = mc_in(r, 1);
    if (training && mc_tensor_elements(training) == 1 && mc_tensor_get_i64(training, 0) != 0 &&
        !(ratio && mc_tensor_elements(ratio) == 1 && mc_tensor_get_f64(ratio, 0) == 0.0))
        return mc_op_fail(r, MCOMP_UNSUPPORTED, "training mode cannot be run by the reference");
    if (r->n_out > 1 && r->out[1]) memset(r->out[1]->data, 1, (size_t)mc_tensor_bytes(r->out[1]));
    return forward(r);
}

static int32_t gradient(mc_op_grad *c)
{
    c->dx[0] = c->dy[0];
    return c->status;
}

const mc_op mc_op_Identity = {.name = "Identity", .domain = "", .version = 21, .since = 1, .min_in = 1, .max_in = 1, .min_out = 1,
                              .max_out = 1, .traits = MC_OP_ELEMENTWISE | MC_OP_SHAPE_GLUE | MC_OP_VIEW, .quant = MC_Q_PASS,
                              .infer = infer, .forward = forward, .gradient = gradient};
const mc_op mc_op_Dropout = {.name = "Dropout", .domain = "", .version = 13, .since = 12, .min_in = 1, .max_in = 3, .min_out = 1,
                             .max_out = 2, .traits = MC_OP_ELEMENTWISE | MC_OP_VIEW, .quant = MC_Q_PASS, .infer = infer_dropout,
                             .forward = forward_dropout, .gradient = gradient};
