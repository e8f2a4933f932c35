/* Where: condition ? x : y with numpy broadcasting of all three. */
#include "ops/grad.h"
#include "ops/internal.h"

static int64_t choose(int64_t cond, int64_t x, int64_t y)
{
    if (cond == 0) return y;
    if (cond == MC_DATA_UNKNOWN || mc_data_is_symbol(cond)) return x == y ? x : MC_DATA_UNKNOWN;
    return x;
}

static int32_t infer(mc_infer *c)
{
    int32_t st = MCOMP_OK, n = 1;
    MC_TRY(mc_infer_check(c, 0, MC_CLASS_BOOL));
    MC_TRY(mc_infer_one_dtype(c, 1, 2, &c->out[0].dtype));
    MC_TRY(mc_infer_broadcast(c, 0, 3));
    if (!c->out_data[0] || !c->data[0] || !c->data[1] || !c->data[2]) return MCOMP_OK;
    for (int32_t i = 0; i < 3; i++) {
        if (c->data[i]->n != 1 && n != 1 && c->data[i]->n != n) return MCOMP_OK;
        if (c->data[i]->n != 1) n = c->data[i]->n;
    }
    c->out_data[0]->n = n;
    for (int32_t i = 0; i < n; i++) {
        int64_t v[3];
        for (int32_t k = 0; k < 3; k++) v[k] = c->data[k]->v[c->data[k]->n == 1 ? 0 : i];
        c->out_data[0]->v[i] = choose(v[0], v[1], v[2]);
    }
done:
    return st;
}

static int32_t forward(const mc_op_run *r)
{
    mc_tensor *y = r->out[0];
    const uint8_t *cond = r->in[0]->data;
    mc_walk w;
    const int32_t st = mc_walk_broadcast(&w, r, &y->shape, 3, r->in);
    if (st != MCOMP_OK) return st;
    MC_WALK_ROWS(&w)
    {
        for (int64_t i = 0; i < w.inner; i++) {
            const int k = cond[w.off[1] + i * w.step[1]] ? 2 : 3;
            mc_move_one(y, w.off[0] + i, r->in[k - 1], w.off[k] + i * w.step[k]);
        }
    }
    return MCOMP_OK;
}

static int32_t gradient(mc_op_grad *c)
{
    mc_value *zero = mc_grad_scalar(c, 0.0, c->dy[0]);
    if (mc_grad_wants(c, 1)) c->dx[1] = mc_grad_sum_to(c, mc_grad_3(c, "Where", c->x[0], c->dy[0], zero), c->x[1]);
    if (mc_grad_wants(c, 2)) c->dx[2] = mc_grad_sum_to(c, mc_grad_3(c, "Where", c->x[0], zero, c->dy[0]), c->x[2]);
    return c->status;
}

const mc_op mc_op_Where = {.name = "Where", .domain = "", .version = 16, .since = 9, .min_in = 3, .max_in = 3, .min_out = 1,
                           .max_out = 1, .traits = MC_OP_ELEMENTWISE | MC_OP_SHAPE_GLUE, .quant = MC_Q_NONE, .infer = infer,
                           .forward = forward, .gradient = gradient};
