/* Pow: base and exponent may differ in type; the result has the type of the base. Integer powers of integers are exact modulo
 * the width; a negative exponent of the base 0 is MCOMP_RANGE. */
#include "ops/grad.h"
#include "ops/internal.h"

#include <math.h>

static int32_t infer(mc_infer *c)
{
    int32_t st = MCOMP_OK;
    MC_TRY(mc_infer_check(c, 0, MC_CLASS_NUMBER));
    MC_TRY(mc_infer_check(c, 1, MC_CLASS_NUMBER));
    c->out[0].dtype = c->in[0]->dtype;
    st = mc_infer_broadcast(c, 0, 2);
done:
    return st;
}

/* 1 = cannot be. */
static int int_pow(int64_t x, int64_t e, int64_t *out)
{
    uint64_t v = 1, b = (uint64_t)x;
    if (e < 0) {
        *out = x == 1 ? 1 : x == -1 ? (e % 2 ? -1 : 1) : 0;
        return x == 0;
    }
    for (; e; e >>= 1) {
        if (e & 1) v *= b;
        b *= b;
    }
    *out = (int64_t)v;
    return 0;
}

static double power(double x, double e) { return e == 2.0 ? x * x : e == 0.5 ? sqrt(x) : e == 1.0 ? x : pow(x, e); }

static void set_int(mc_tensor *y, int64_t i, int64_t v)
{
    const int32_t bits = mc_dtype_bits(y->dtype); /* all lanes are little-endian: the low bytes are the wrapped number */
    memcpy((uint8_t *)y->data + i * (bits / 8), &v, (size_t)(bits / 8));
}

static int32_t forward(const mc_op_run *r)
{
    const mc_tensor *x = r->in[0], *e = r->in[1];
    mc_tensor *y = r->out[0];
    mc_walk w;
    const int32_t st = mc_walk_broadcast(&w, r, &y->shape, 2, r->in);
    const int ints = mc_dtype_is_integer(x->dtype) && mc_dtype_is_integer(e->dtype);
    if (st != MCOMP_OK) return st;
    MC_WALK_ROWS(&w)
    {
        for (int64_t i = 0; i < w.inner; i++) {
            const int64_t xi = w.off[1] + i * w.step[1], ei = w.off[2] + i * w.step[2], yi = w.off[0] + i;
            int64_t v;
            if (!ints) {
                mc_tensor_set_f64(y, yi, power(mc_tensor_get_f64(x, xi), mc_tensor_get_f64(e, ei)));
                continue;
            }
            if (int_pow(mc_tensor_get_i64(x, xi), mc_tensor_get_i64(e, ei), &v))
                return mc_op_fail(r, MCOMP_RANGE, "integer 0 to a negative power");
            set_int(y, yi, v);
        }
    }
    return MCOMP_OK;
}

/* d(a^b) = b a^(b-1) da + y log(a) db; log only where a > 0. */
static int32_t gradient(mc_op_grad *c)
{
    mc_value *one = mc_grad_scalar(c, 1.0, c->x[0]), *zero = mc_grad_scalar(c, 0.0, c->x[0]), *b = c->x[1];
    if (mc_grad_wants(c, 0)) {
        if (b->type.dtype != c->x[0]->type.dtype) b = mc_grad_mask(c, b, c->x[0]); /* the exponent may be an integer */
        mc_value *slope = mc_grad_2(c, "Mul", b, mc_grad_2(c, "Pow", c->x[0], mc_grad_2(c, "Sub", b, one)));
        c->dx[0] = mc_grad_sum_to(c, mc_grad_2(c, "Mul", c->dy[0], slope), c->x[0]);
    }
    if (mc_grad_wants(c, 1)) {
        mc_value *positive = mc_grad_2(c, "Greater", c->x[0], zero);
        mc_value *log_a = mc_grad_1(c, "Log", mc_grad_3(c, "Where", positive, c->x[0], one));
        c->dx[1] = mc_grad_sum_to(c, mc_grad_2(c, "Mul", mc_grad_2(c, "Mul", c->dy[0], c->y[0]), log_a), c->x[1]);
    }
    return c->status;
}

const mc_op mc_op_Pow = {.name = "Pow", .domain = "", .version = 15, .since = 12, .min_in = 2, .max_in = 2, .min_out = 1,
                         .max_out = 1, .traits = MC_OP_ELEMENTWISE, .quant = MC_Q_NONE, .infer = infer, .forward = forward,
                         .gradient = gradient};
