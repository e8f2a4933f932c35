/* Constant: the value is in one of the attributes value, value_int(s), value_float(s). */
#include "ops/internal.h"

static int32_t infer(mc_infer *c)
{
    const mc_node *n = c->node;
    const mc_attr *a;
    mc_type *t = &c->out[0];
    if ((a = mc_node_attr(n, "value")) && a->tensor) {
        *t = mc_type_of(a->tensor);
        if (c->out_data[0]) mc_data_from_tensor(a->tensor, c->out_data[0]);
        return MCOMP_OK;
    }
    if ((a = mc_node_attr(n, "value_int")) || (a = mc_node_attr(n, "value_ints"))) {
        const int64_t *v = a->kind == MC_ATTR_INT ? &a->i : a->ints, count = a->kind == MC_ATTR_INT ? 1 : a->n;
        *t = (mc_type){.dtype = MCOMP_I64, .rank = a->kind != MC_ATTR_INT, .dim = {count}};
        if (!c->out_data[0] || count > MC_SHAPE_DATA) return MCOMP_OK;
        c->out_data[0]->n = (int32_t)count;
        for (int64_t i = 0; i < count; i++) c->out_data[0]->v[i] = v[i] < -((int64_t)1 << 62) ? MC_DATA_UNKNOWN : v[i];
        return MCOMP_OK;
    }
    if ((a = mc_node_attr(n, "value_float")) || (a = mc_node_attr(n, "value_floats"))) {
        *t = (mc_type){.dtype = MCOMP_F32, .rank = a->kind != MC_ATTR_FLOAT, .dim = {a->n}};
        return MCOMP_OK;
    }
    if ((a = mc_node_attr(n, "value_string")) || (a = mc_node_attr(n, "value_strings"))) {
        *t = (mc_type){.dtype = MCOMP_STRING, .rank = a->kind != MC_ATTR_STRING, .dim = {a->n}};
        return MCOMP_OK;
    }
    if (mc_node_attr(n, "sparse_value")) return mc_infer_fail(c, MCOMP_UNSUPPORTED, "sparse constants are not supported");
    return mc_infer_fail(c, MCOMP_FORMAT, "no value");
}

static int32_t forward(const mc_op_run *r)
{
    const mc_attr *a;
    mc_tensor *y = r->out[0];
    if (!y) return MCOMP_OK;
    const size_t bytes = (size_t)mc_tensor_bytes(y);
    if ((a = mc_node_attr(r->node, "value")) && a->tensor) mc_move_all(y, a->tensor);
    else if ((a = mc_node_attr(r->node, "value_int"))) memcpy(y->data, &a->i, sizeof a->i);
    else if ((a = mc_node_attr(r->node, "value_float"))) memcpy(y->data, &a->f, sizeof a->f);
    else if ((a = mc_node_attr(r->node, "value_ints")) && bytes) memcpy(y->data, a->ints, bytes);
    else if ((a = mc_node_attr(r->node, "value_floats")) && bytes) memcpy(y->data, a->floats, bytes);
    return MCOMP_OK;
}

/* No backend case: importing makes constants of them. */
static const char *const cases[] = {
    "value_int=-3", "", "i64[]:-3",
    "value_float=0.5f", "", "f32[]:0.5",
    "value_ints=[4,5,6]", "", "i64[3]:4 5 6",
    "", "", "!FORMAT",
    NULL,
};

const mc_op mc_op_Constant = {.name = "Constant", .domain = "", .version = 21, .since = 1, .min_in = 0, .max_in = 0, .min_out = 1,
                              .max_out = 1, .traits = MC_OP_SHAPE_GLUE, .quant = MC_Q_NONE, .infer = infer, .forward = forward, .cases = cases};
