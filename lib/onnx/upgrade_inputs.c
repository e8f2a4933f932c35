/* Rules for operators whose attributes became inputs. */
#include "onnx/upgrade.h"

/* Squeeze, Unsqueeze, Reduce*: axes. */
MC_UPGRADE_RULE(axes)
{
    (void)opset;
    return mc_upgrade_ints_to_input(g, n, "axes", 1);
}

/* starts, ends, axes -> inputs 1..3. */
MC_UPGRADE_RULE(slice)
{
    int32_t st = MCOMP_OK;
    (void)opset;
    MC_TRY(mc_upgrade_ints_to_input(g, n, "starts", 1));
    MC_TRY(mc_upgrade_ints_to_input(g, n, "ends", 2));
    MC_TRY(mc_upgrade_ints_to_input(g, n, "axes", 3));
done:
    return st;
}

/* min, max -> inputs 1, 2. */
MC_UPGRADE_RULE(clip)
{
    int32_t st = MCOMP_OK;
    (void)opset;
    if (mc_node_attr(n, "min")) MC_TRY(mc_upgrade_scalar_input(g, n, "min", (double)mc_attr_f(n, "min", 0), 1));
    if (mc_node_attr(n, "max")) MC_TRY(mc_upgrade_scalar_input(g, n, "max", (double)mc_attr_f(n, "max", 0), 2));
    mc_node_remove_attr(n, "min");
    mc_node_remove_attr(n, "max");
done:
    return st;
}

/* pads, value -> inputs 1, 2. */
MC_UPGRADE_RULE(pad)
{
    int32_t st = MCOMP_OK;
    (void)opset;
    if (!mc_node_attr(n, "pads")) MC_FAIL(MCOMP_FORMAT, n->name, "Pad without pads");
    MC_TRY(mc_upgrade_ints_to_input(g, n, "pads", 1));
    if (mc_node_attr(n, "value")) MC_TRY(mc_upgrade_scalar_input(g, n, "value", (double)mc_attr_f(n, "value", 0), 2));
    mc_node_remove_attr(n, "value");
done:
    return st;
}

/* ratio -> input 1. Before 10 the mask had the type of the data; before 7 is_test said whether it trains. */
MC_UPGRADE_RULE(dropout)
{
    int32_t st = MCOMP_OK;
    mc_value *v;
    char name[512];
    if (opset < 7 && mc_attr_i(n, "is_test", 0) == 0) return mc_upgrade_refuse(n, opset, "is_test=0 (training)");
    if (opset < 10 && n->n_out > 1 && n->out[1] && (n->out[1]->n_uses || (n->out[1]->flags & MC_VALUE_OUTPUT)))
        return mc_upgrade_refuse(n, opset, "the mask output is used");
    if (opset < 10 && n->n_out > 1) { /* nobody reads it, and its type changed */
        if (n->out[1]) n->out[1]->producer = NULL;
        n->n_out = 1;
    }
    mc_node_remove_attr(n, "is_test");
    if (!mc_node_attr(n, "ratio")) return MCOMP_OK;
    snprintf(name, sizeof name, "%.400s_ratio", n->name);
    MC_TRY(mc_graph_add_const_f32(g, name, mc_attr_f(n, "ratio", 0.5f), &v));
    MC_TRY(mc_node_set_input(g, n, 1, v));
    mc_node_remove_attr(n, "ratio");
done:
    return st;
}

MC_UPGRADE_RULE(split_sizes)
{
    (void)opset;
    return mc_upgrade_ints_to_input(g, n, "split", 1);
}

/* Without sizes the number of parts is now an attribute. */
MC_UPGRADE_RULE(split_count)
{
    (void)g;
    (void)opset;
    if ((n->n_in > 1 && n->in[1]) || mc_node_attr(n, "num_outputs")) return MCOMP_OK;
    return mc_node_set_i(n, "num_outputs", n->n_out);
}

MC_UPGRADE_RULE(topk)
{
    (void)opset;
    if (!mc_node_attr(n, "k")) return mc_fail(MCOMP_FORMAT, n->name, "TopK without k");
    return mc_upgrade_ints_to_input(g, n, "k", 1);
}

/* Resize 10 and Upsample: (X, scales), pixel coordinates x_in = x_out / scale, nearest rounds down. */
static int32_t old_resize(mc_graph *g, mc_node *n, mc_value *scales)
{
    int32_t st = MCOMP_OK;
    MC_TRY(mc_node_set_input(g, n, 1, NULL));
    MC_TRY(mc_node_set_input(g, n, 2, scales));
    MC_TRY(mc_node_set_s(n, "coordinate_transformation_mode", "asymmetric"));
    MC_TRY(mc_node_set_s(n, "nearest_mode", "floor"));
done:
    return st;
}

MC_UPGRADE_RULE(resize)
{
    if (n->n_in != 2 || !n->in[1]) return mc_fail(MCOMP_FORMAT, n->name, "Resize of opset %d needs the inputs X and scales", opset);
    return old_resize(g, n, n->in[1]);
}

MC_UPGRADE_RULE(upsample)
{
    int32_t st = MCOMP_OK;
    int64_t count;
    mc_value *scales = n->n_in > 1 ? n->in[1] : NULL;
    if (opset < 7) return mc_upgrade_refuse(n, opset, "height_scale and width_scale");
    if (!mc_op_find("", "Resize")) return MCOMP_OK;
    if (opset < 9) {
        char name[512];
        mc_tensor *t;
        const float *v = mc_attr_floats(n, "scales", &count);
        const mc_shape s = {.rank = 1, .dim = {count}};
        if (!v) MC_FAIL(MCOMP_FORMAT, n->name, "Upsample without scales");
        MC_TRY(mc_tensor_create(&t, MCOMP_F32, &s));
        memcpy(t->data, v, sizeof *v * (size_t)count);
        snprintf(name, sizeof name, "%.400s_scales", n->name);
        MC_TRY(mc_graph_add_const(g, name, t, &scales));
        mc_node_remove_attr(n, "scales");
    }
    if (!scales) MC_FAIL(MCOMP_FORMAT, n->name, "Upsample without scales");
    MC_TRY(mc_upgrade_rename(n, "Resize"));
    MC_TRY(old_resize(g, n, scales));
done:
    return st;
}

/* The same operator under its old name. */
MC_UPGRADE_RULE(scatter)
{
    (void)g;
    (void)opset;
    return mc_upgrade_rename(n, "ScatterElements");
}
