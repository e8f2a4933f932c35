/* Bump: an operator that does not exist, for the test that one file and one row are all an operator needs (docs/adding.md).
 * Y = X + by where X is not zero, over any number of axes; `by` is an attribute, 1 unless given. */
#include "ops/internal.h"

static int32_t infer(mc_infer *c) { return mc_infer_same(c, 0, 0); }

static int32_t forward(const mc_op_run *r)
{
    const double by = (double)mc_attr_f(r->node, "by", 1.0f);
    const int64_t n = mc_tensor_elements(r->in[0]);
    if (!mc_dtype_is_float(r->in[0]->dtype)) return mc_op_fail(r, MCOMP_DTYPE, "type %s", mc_dtype_name(r->in[0]->dtype));
    for (int64_t i = 0; i < n; i++) {
        const double x = mc_tensor_get_f64(r->in[0], i);
        mc_tensor_set_f64(r->out[0], i, x != 0.0 ? x + by : x);
    }
    return MCOMP_OK;
}

static const char *const cases[] = {
    "", "f32[2,2]:0 1 -1 2.5", "f32[2,2]:0 2 0 3.5",
    "by=0.25f", "f64[3]:1 0 -2", "f64[3]:1.25 0 -1.75",
    "", "f32[0,3]:", "f32[0,3]:",
    "", "i64[1]:4", "!DTYPE",
    NULL,
};

const mc_op mc_op_Bump = {.name = "Bump", .domain = "", .version = 25, .since = 25, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
                          .traits = MC_OP_ELEMENTWISE, .quant = MC_Q_UNARY, .infer = infer, .forward = forward, .cases = cases};
