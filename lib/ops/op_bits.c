/* Bits of integers with numpy broadcasting: BitwiseAnd BitwiseOr BitwiseXor BitwiseNot, BitShift (unsigned; a shift by the
 * width or more gives 0). */
#include "ops/internal.h"

enum { B_AND, B_OR, B_XOR, B_LEFT, B_RIGHT };

static uint64_t combine(int kind, uint64_t a, uint64_t b)
{
    switch (kind) {
    case B_AND: return a & b;
    case B_OR: return a | b;
    case B_XOR: return a ^ b;
    case B_LEFT: return b < 64 ? a << b : 0;
    default: return b < 64 ? a >> b : 0;
    }
}

static void put(mc_tensor *y, int64_t i, uint64_t v) /* the low bytes */
{
    const size_t bytes = (size_t)mc_dtype_bits(y->dtype) / 8;
    memcpy((uint8_t *)y->data + (size_t)i * bytes, &v, bytes);
}

static int32_t infer(mc_infer *c)
{
    int32_t st = MCOMP_OK;
    for (int32_t i = 0; i < c->n_in; i++) MC_TRY(mc_infer_check(c, i, MC_CLASS_INT));
    MC_TRY(mc_infer_one_dtype(c, 0, c->n_in - 1, &c->out[0].dtype));
    st = mc_infer_broadcast(c, 0, c->n_in);
done:
    return st;
}

static int is_left(const mc_node *n) { return strcmp(mc_attr_s(n, "direction", ""), "LEFT") == 0; }

static int32_t infer_shift(mc_infer *c)
{
    const int32_t d = c->in[0]->dtype;
    if (!is_left(c->node) && strcmp(mc_attr_s(c->node, "direction", ""), "RIGHT") != 0)
        return mc_infer_fail(c, MCOMP_FORMAT, "direction must be LEFT or RIGHT");
    if (d && d != MCOMP_U8 && d != MCOMP_U16 && d != MCOMP_U32 && d != MCOMP_U64) return mc_infer_fail(c, MCOMP_DTYPE, "type %s", mc_dtype_name(d));
    return infer(c);
}

static int32_t forward(const mc_op_run *r, int kind)
{
    mc_tensor *y = r->out[0];
    mc_walk w;
    const int32_t st = mc_walk_broadcast(&w, r, &y->shape, 2, r->in);
    if (st != MCOMP_OK) return st;
    MC_WALK_ROWS(&w)
    {
        for (int64_t i = 0; i < w.inner; i++)
            put(y, w.off[0] + i, combine(kind, (uint64_t)mc_tensor_get_i64(r->in[0], w.off[1] + i * w.step[1]),
                                         (uint64_t)mc_tensor_get_i64(r->in[1], w.off[2] + i * w.step[2])));
    }
    return MCOMP_OK;
}

static int32_t forward_not(const mc_op_run *r)
{
    const int64_t n = mc_tensor_elements(r->out[0]);
    for (int64_t i = 0; i < n; i++) put(r->out[0], i, ~(uint64_t)mc_tensor_get_i64(r->in[0], i));
    return MCOMP_OK;
}

static int32_t forward_and(const mc_op_run *r) { return forward(r, B_AND); }
static int32_t forward_or(const mc_op_run *r) { return forward(r, B_OR); }
static int32_t forward_xor(const mc_op_run *r) { return forward(r, B_XOR); }
static int32_t forward_shift(const mc_op_run *r) { return forward(r, is_left(r->node) ? B_LEFT : B_RIGHT); }

#define BITS(NAME, VERSION, INPUTS, INFER, FORWARD)                                                                    \
    const mc_op mc_op_##NAME = {.name = #NAME, .domain = "", .version = VERSION, .since = VERSION, .min_in = INPUTS,   \
                                .max_in = INPUTS, .min_out = 1, .max_out = 1,                                          \
                                .traits = MC_OP_ELEMENTWISE | MC_OP_SHAPE_GLUE, .quant = MC_Q_NONE, .infer = INFER,    \
                                .forward = FORWARD};
BITS(BitwiseAnd, 18, 2, infer, forward_and)
BITS(BitwiseOr, 18, 2, infer, forward_or)
BITS(BitwiseXor, 18, 2, infer, forward_xor)
BITS(BitwiseNot, 18, 1, infer, forward_not)
BITS(BitShift, 11, 2, infer_shift, forward_shift)
