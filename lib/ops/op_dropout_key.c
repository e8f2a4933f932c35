/* mcomp.Dropout: X, key -> Y. Elements are zeroed with probability `ratio`, the others divided by 1 - ratio. Which ones follows from
 * key (int64 [2]: seed and step), the attribute `stream` (one a place of the model) and the element's index alone, so that the gradient
 * draws the same mask again instead of keeping it, and so do a resumed run and any number of threads. The numbers: mc_dropout_f32. */
#include "ops/grad.h"
#include "ops/internal.h"
#include "ops/train.h"

static int32_t infer(mc_infer *c)
{
    int32_t st = MCOMP_OK;
    const mc_type *key = c->in[1];
    const float ratio = mc_attr_f(c->node, "ratio", 0.5f);
    MC_TRY(mc_infer_check(c, 0, MC_CLASS_FLOAT));
    MC_TRY(mc_infer_check(c, 1, MC_CLASS_INT));
    if (key->rank >= 0 && (key->rank != 1 || (key->dim[0] >= 0 && key->dim[0] != 2)))
        return mc_infer_fail(c, MCOMP_SHAPE, "the key is int64 [2]: seed and step");
    if (!(ratio >= 0.0f && ratio < 1.0f)) return mc_infer_fail(c, MCOMP_RANGE, "ratio is %g; it must be in [0, 1)", (double)ratio);
    MC_TRY(mc_infer_same(c, 0, 0));
done:
    return st;
}

uint32_t mc_dropout_threshold(double ratio) { return (uint32_t)(ratio * 4294967296.0); }

static int32_t forward(const mc_op_run *r)
{
    const mc_tensor *x = r->in[0];
    const int64_t n = mc_tensor_elements(x);
    const double ratio = (double)mc_attr_f(r->node, "ratio", 0.5f), scale = 1.0 / (1.0 - ratio);
    const uint32_t threshold = mc_dropout_threshold(ratio);
    const uint64_t seed = (uint64_t)mc_tensor_get_i64(r->in[1], 0);
    const uint64_t stream = ((uint64_t)mc_attr_i(r->node, "stream", 0) << 40) ^ (uint64_t)mc_tensor_get_i64(r->in[1], 1);
    uint32_t word[16][4];
    if (r->in[1]->dtype != MCOMP_I64) return mc_op_fail(r, MCOMP_DTYPE, "the key is int64 [2]");
    for (int64_t e = 0; e < n; e++) {
        if (e % 64 == 0)
            for (uint64_t k = 0; k < 16; k++) mc_rng_block(seed, stream, 16 * (uint64_t)(e / 64) + k, word[k]);
        const double v = word[e % 16][(e % 64) / 16] >= threshold ? mc_tensor_get_f64(x, e) : 0.0;
        mc_tensor_set_f64(r->out[0], e, x->dtype == MCOMP_F32 ? (double)((float)v * (float)scale) : v * scale);
    }
    return MCOMP_OK;
}

static int32_t gradient(mc_op_grad *c)
{
    if (!mc_grad_wants(c, 0)) return c->status;
    mc_node *n = mc_grad_begin(c, "mcomp.Dropout", 2, (mc_value *[]){c->dy[0], c->x[1]}, 1);
    if (n && (c->status = mc_node_copy_attrs(n, c->node)) == MCOMP_OK) c->dx[0] = mc_grad_end(c, n);
    return c->status;
}

const mc_op mc_op_mcomp_Dropout = {.name = "Dropout", .domain = "mcomp", .version = 1, .since = 1, .min_in = 2, .max_in = 2, .min_out = 1,
                                   .max_out = 1, .traits = MC_OP_NO_FOLD, .quant = MC_Q_NONE, .infer = infer, .forward = forward,
                                   .gradient = gradient};
