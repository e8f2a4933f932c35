/* Shape (with start and end) and Size: the only operators whose value depends on nothing but the input's dims. */
#include "ops/internal.h"

static int64_t clamp_axis(int64_t a, int32_t rank)
{
    if (a < 0) a += rank;
    return a < 0 ? 0 : a > rank ? rank : a;
}

static void range_of(const mc_node *n, int32_t rank, int64_t *start, int64_t *end)
{
    *start = clamp_axis(mc_attr_i(n, "start", 0), rank);
    *end = clamp_axis(mc_attr_i(n, "end", rank), rank);
    if (*end < *start) *end = *start;
}

static int32_t infer(mc_infer *c)
{
    int64_t start, end;
    const mc_type *x = c->in[0];
    c->out[0] = (mc_type){.dtype = MCOMP_I64, .rank = 1};
    if (x->rank < 0) {
        c->out[0].dim[0] = mc_infer_symbol(c);
        return MCOMP_OK;
    }
    range_of(c->node, x->rank, &start, &end);
    c->out[0].dim[0] = end - start;
    if (!c->out_data[0]) return MCOMP_OK;
    c->out_data[0]->n = (int32_t)(end - start);
    for (int64_t i = start; i < end; i++) c->out_data[0]->v[i - start] = mc_data_of_dim(x->dim[i]);
    return MCOMP_OK;
}

static int32_t forward(const mc_op_run *r)
{
    int64_t start, end;
    range_of(r->node, r->in[0]->shape.rank, &start, &end);
    if (r->out[0] && end > start)
        memcpy(r->out[0]->data, r->in[0]->shape.dim + start, sizeof(int64_t) * (size_t)(end - start));
    return MCOMP_OK;
}

static int32_t infer_size(mc_infer *c)
{
    const mc_type *x = c->in[0];
    int64_t n = 1, symbol = 0;
    c->out[0] = (mc_type){.dtype = MCOMP_I64, .rank = 0};
    if (x->rank < 0 || !c->out_data[0]) return MCOMP_OK;
    for (int32_t i = 0; i < x->rank; i++) {
        if (x->dim[i] >= 0) {
            if (__builtin_mul_overflow(n, x->dim[i], &n)) return mc_infer_fail(c, MCOMP_LIMIT, "the number of elements overflows");
        } else {
            if (symbol) return MCOMP_OK;
            symbol = x->dim[i];
        }
    }
    if (symbol && n != 1) return MCOMP_OK;
    c->out_data[0]->n = 1;
    c->out_data[0]->v[0] = symbol ? mc_data_of_dim(symbol) : n;
    return MCOMP_OK;
}

static int32_t forward_size(const mc_op_run *r)
{
    if (r->out[0]) *(int64_t *)r->out[0]->data = mc_tensor_elements(r->in[0]);
    return MCOMP_OK;
}

const mc_op mc_op_Shape = {.name = "Shape", .domain = "", .version = 21, .since = 15, .min_in = 1, .max_in = 1, .min_out = 1,
                           .max_out = 1, .traits = MC_OP_SHAPE_GLUE, .quant = MC_Q_NONE, .axes = mc_axes_shape, .infer = infer, .forward = forward,
                           .shape_only = 1};
const mc_op mc_op_Size = {.name = "Size", .domain = "", .version = 21, .since = 1, .min_in = 1, .max_in = 1, .min_out = 1,
                          .max_out = 1, .traits = MC_OP_SHAPE_GLUE, .quant = MC_Q_NONE, .axes = mc_axes_shape, .infer = infer_size, .forward = forward_size,
                          .shape_only = 1};
