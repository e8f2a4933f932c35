/* mcomp.Assign: V, X: the variable V becomes X. mcomp.Average: V, X, apply?: V = decay V + (1 - decay) X, an exponential moving average of
 * another variable (attribute decay); apply (int64 scalar) 0 does nothing. mcomp.SquareSum: X -> the sum of its squares, float scalar,
 * in double over blocks of 4096 elements, so that threads do not change it. */
#include "ops/internal.h"
#include "ops/nn.h"

/* One or two operations an element. */
static int32_t cost(const mc_node *n, const mc_type *const *in, const mc_type *const *out, mc_op_cost *c)
{
    (void)n;
    (void)out;
    c->flops = 2.0 * mc_nn_extent_f(in[0], 0, in[0]->rank);
    return MCOMP_OK;
}

static int32_t infer_write(mc_infer *c)
{
    const mc_type *v = c->in[0], *x = c->in[1];
    int differs = v->rank >= 0 && x->rank >= 0 && v->rank != x->rank;
    for (int32_t k = 0; !differs && k < v->rank && k < x->rank; k++) differs = v->dim[k] >= 0 && x->dim[k] >= 0 && v->dim[k] != x->dim[k];
    if (differs) return mc_infer_fail(c, MCOMP_SHAPE, "the value has not the variable's shape");
    if (v->dtype && x->dtype && v->dtype != x->dtype) return mc_infer_fail(c, MCOMP_DTYPE, "the value has not the variable's type");
    return MCOMP_OK;
}

static int32_t forward_assign(const mc_op_run *r)
{
    const uint64_t bytes = mc_tensor_bytes(r->in[0]);
    if (bytes != mc_tensor_bytes(r->in[1])) return mc_op_fail(r, MCOMP_SHAPE, "the value has not the variable's size");
    if (bytes && r->in[0]->data != r->in[1]->data) memcpy(r->in[0]->data, r->in[1]->data, (size_t)bytes);
    return MCOMP_OK;
}

static int32_t forward_average(const mc_op_run *r)
{
    const mc_tensor *apply = mc_in(r, 2);
    const int64_t n = mc_tensor_elements(r->in[0]);
    const float decay = mc_attr_f(r->node, "decay", 0.999f);
    if (apply && mc_tensor_get_i64(apply, 0) == 0) return MCOMP_OK;
    MC_DISPATCH_FLOAT(
        r->in[0]->dtype, T,
        {
            T *v = r->in[0]->data;
            const T *x = r->in[1]->data;
            for (int64_t i = 0; i < n; i++) v[i] = v[i] * (T)decay + x[i] * ((T)1 - (T)decay);
        },
        { return mc_op_fail(r, MCOMP_UNSUPPORTED, "an average is float or double"); })
    return MCOMP_OK;
}

static int32_t infer_squares(mc_infer *c)
{
    const int32_t st = mc_infer_check(c, 0, MC_CLASS_FLOAT);
    c->out[0] = (mc_type){.dtype = c->in[0]->dtype};
    return st;
}

static int32_t forward_squares(const mc_op_run *r)
{
    const int64_t n = mc_tensor_elements(r->in[0]);
    double total = 0.0;
    for (int64_t at = 0; at < n; at += 4096) {
        double sum = 0.0;
        for (int64_t i = at; i < n && i < at + 4096; i++) {
            const double x = mc_tensor_get_f64(r->in[0], i);
            sum += x * x;
        }
        total += sum;
    }
    mc_tensor_set_f64(r->out[0], 0, total);
    return MCOMP_OK;
}

const mc_op mc_op_mcomp_Assign = {.name = "Assign", .domain = "mcomp", .version = 1, .since = 1, .min_in = 2, .max_in = 2, .traits = MC_OP_NO_FOLD,
                                  .quant = MC_Q_NONE, .infer = infer_write, .forward = forward_assign, .cost = cost};
const mc_op mc_op_mcomp_Average = {.name = "Average", .domain = "mcomp", .version = 1, .since = 1, .min_in = 2, .max_in = 3,
                                   .traits = MC_OP_NO_FOLD, .quant = MC_Q_NONE, .infer = infer_write, .forward = forward_average, .cost = cost};
const mc_op mc_op_mcomp_SquareSum = {.name = "SquareSum", .domain = "mcomp", .version = 1, .since = 1, .min_in = 1, .max_in = 1, .min_out = 1,
                                     .max_out = 1, .quant = MC_Q_NONE, .infer = infer_squares, .forward = forward_squares, .cost = cost};
