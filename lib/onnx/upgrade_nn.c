/* Rules for operators whose meaning changed: softmax over a flattened tail, normalisations, training outputs, and the
 * broadcasting of opset 6. */
#include "onnx/upgrade.h"

/* Softmax, LogSoftmax and Hardmax before 13 work on the matrix [prod(dims before axis), prod(dims from axis)]. The same as
 * now when axis is the last one; otherwise Flatten(axis) -> op(axis -1) -> Reshape(shape of the input). */
MC_UPGRADE_RULE(softmax)
{
    int32_t st = MCOMP_OK, axis;
    const int64_t written = mc_attr_i(n, "axis", 1);
    mc_node *flat, *shape, *back;
    (void)opset;
    if (!n->desc || n->n_in != 1 || !n->in[0] || n->n_out != 1 || !n->out[0]) return MCOMP_OK;
    mc_value *x = n->in[0];
    if (x->type.rank >= 0 && !mc_upgrade_axis(x, written, &axis))
        MC_FAIL(MCOMP_FORMAT, n->name, "axis %lld of a tensor of rank %d", (long long)written, x->type.rank);
    if (written == -1 || (x->type.rank >= 0 && axis == x->type.rank - 1)) return mc_node_set_i(n, "axis", -1);
    MC_TRY(mc_upgrade_new(g, n, "Shape", 1, &x, &shape));
    MC_TRY(mc_upgrade_new(g, n, "Flatten", 1, &x, &flat));
    MC_TRY(mc_node_set_i(flat, "axis", written));
    mc_value *const in[2] = {NULL, shape->out[0]};
    MC_TRY(mc_upgrade_new(g, n, "Reshape", 2, in, &back));
    MC_TRY(mc_node_set_input(g, n, 0, flat->out[0]));
    MC_TRY(mc_node_set_i(n, "axis", -1));
    MC_TRY(mc_upgrade_follow(g, n, back));
done:
    return st;
}

/* Old forms signal training by extra outputs or is_test=0. */
MC_UPGRADE_RULE(batch_norm)
{
    (void)g;
    if (opset < 7 && mc_attr_i(n, "is_test", 0) == 0) return mc_upgrade_refuse(n, opset, "is_test=0 (training)");
    if (mc_attr_i(n, "spatial", 1) != 1) return mc_upgrade_refuse(n, opset, "spatial=0");
    for (int32_t i = 1; i < n->n_out; i++)
        if (n->out[i]) return mc_upgrade_refuse(n, opset, "outputs of the training form");
    n->n_out = n->n_out > 1 ? 1 : n->n_out;
    mc_node_remove_attr(n, "is_test");
    mc_node_remove_attr(n, "spatial");
    mc_node_remove_attr(n, "consumed_inputs");
    return MCOMP_OK;
}

/* Before 21 scale and bias have one element a group: repeat each for the channels of its group. */
static int32_t repeat(mc_graph *g, mc_node *n, int32_t index, int64_t times)
{
    int32_t st = MCOMP_OK;
    mc_value *axes, *size, *flat, *in[2];
    mc_node *up, *wide, *back;
    const int64_t one = 1, shape[2] = {1, times}, all = -1;
    MC_TRY(mc_graph_add_const_i64s(g, NULL, &one, 1, &axes));
    MC_TRY(mc_graph_add_const_i64s(g, NULL, shape, 2, &size));
    MC_TRY(mc_graph_add_const_i64s(g, NULL, &all, 1, &flat));
    in[0] = n->in[index];
    in[1] = axes;
    MC_TRY(mc_upgrade_new(g, n, "Unsqueeze", 2, in, &up));
    in[0] = up->out[0];
    in[1] = size;
    MC_TRY(mc_upgrade_new(g, n, "Expand", 2, in, &wide));
    in[0] = wide->out[0];
    in[1] = flat;
    MC_TRY(mc_upgrade_new(g, n, "Reshape", 2, in, &back));
    MC_TRY(mc_node_set_input(g, n, index, back->out[0]));
done:
    return st;
}

MC_UPGRADE_RULE(group_norm)
{
    int32_t st = MCOMP_OK;
    const int64_t groups = mc_attr_i(n, "num_groups", 0);
    if (!n->desc) return MCOMP_OK;
    if (n->n_in != 3 || !n->in[0] || !n->in[1] || !n->in[2] || groups < 1) MC_FAIL(MCOMP_FORMAT, n->name, "GroupNormalization needs X, scale, bias and num_groups");
    const int64_t channels = n->in[0]->type.rank >= 2 ? n->in[0]->type.dim[1] : -1;
    if (channels < 0) return mc_upgrade_refuse(n, opset, "the number of channels is not known");
    if (channels % groups) MC_FAIL(MCOMP_SHAPE, n->name, "%lld channels in %lld groups", (long long)channels, (long long)groups);
    if (channels == groups) return MCOMP_OK;
    MC_TRY(repeat(g, n, 1, channels / groups));
    MC_TRY(repeat(g, n, 2, channels / groups));
done:
    return st;
}

/* Before 16 there was no half pixel shift. */
MC_UPGRADE_RULE(roi_align)
{
    (void)g;
    (void)opset;
    return mc_node_set_s(n, "coordinate_transformation_mode", "output_half_pixel");
}

/* output_sequence only said which outputs exist. */
MC_UPGRADE_RULE(recurrent)
{
    (void)g;
    (void)opset;
    mc_node_remove_attr(n, "output_sequence");
    return MCOMP_OK;
}

MC_UPGRADE_RULE(scan)
{
    (void)g;
    return mc_upgrade_refuse(n, opset, "scan over a batch");
}

/* Opset 6: with broadcast=1 the second operand is aligned at `axis` (default: its end), i.e. it gets trailing axes of 1. */
static int32_t align_operand(mc_graph *g, mc_node *n, int32_t opset, int64_t axis)
{
    int32_t st = MCOMP_OK;
    mc_node *up;
    mc_value *axes;
    int64_t list[MC_MAX_RANK];
    const mc_type *a = n->in[0] ? &n->in[0]->type : NULL, *b = n->in[1] ? &n->in[1]->type : NULL;
    if (!a || !b || a->rank < 0 || b->rank < 0) return mc_upgrade_refuse(n, opset, "broadcasting at an axis of tensors of unknown rank");
    if (axis < 0) axis += a->rank;
    const int64_t extra = a->rank - axis - b->rank;
    if (axis < 0 || extra < 0) return mc_fail(MCOMP_FORMAT, n->name, "the second operand does not fit at axis %lld", (long long)axis);
    if (extra == 0) return MCOMP_OK;
    for (int64_t i = 0; i < extra; i++) list[i] = b->rank + i;
    MC_TRY(mc_graph_add_const_i64s(g, NULL, list, extra, &axes));
    mc_value *const in[2] = {n->in[1], axes};
    MC_TRY(mc_upgrade_new(g, n, "Unsqueeze", 2, in, &up));
    MC_TRY(mc_node_set_input(g, n, 1, up->out[0]));
done:
    return st;
}

MC_UPGRADE_RULE(broadcast)
{
    int32_t st = MCOMP_OK;
    if (n->n_in == 2 && mc_attr_i(n, "broadcast", 0) && mc_node_attr(n, "axis")) MC_TRY(align_operand(g, n, opset, mc_attr_i(n, "axis", 0)));
    mc_node_remove_attr(n, "broadcast");
    mc_node_remove_attr(n, "axis");
    mc_node_remove_attr(n, "consumed_inputs");
done:
    return st;
}

/* Opset 6: a slope of one axis runs over the channels (axis 1). */
MC_UPGRADE_RULE(prelu)
{
    if (n->n_in != 2 || !n->in[1]) return MCOMP_OK;
    const mc_type *slope = &n->in[1]->type;
    if (slope->rank < 0) return mc_upgrade_refuse(n, opset, "a slope of unknown rank");
    if (slope->rank != 1 || slope->dim[0] == 1) return MCOMP_OK;
    return align_operand(g, n, opset, 1);
}

MC_UPGRADE_RULE(gemm)
{
    (void)g;
    (void)opset;
    mc_node_remove_attr(n, "broadcast"); /* C is broadcast when its shape asks for it */
    return MCOMP_OK;
}
