/* Brings every known operator of a graph to its internal version. Operators without a descriptor stay as they are (opaque
 * nodes keep the version they were written in). The table lists what changed between operator sets 6 and 25; everything
 * else only gained element types or optional parts whose default is the old behaviour. */
#include "onnx/foreign.h"

const mc_upgrade_row mc_upgrade_table[] = {
    {"Add", 7, 1, mc_upgrade_broadcast},
    {"Sub", 7, 1, mc_upgrade_broadcast},
    {"Mul", 7, 1, mc_upgrade_broadcast},
    {"Div", 7, 1, mc_upgrade_broadcast},
    {"Pow", 7, 1, mc_upgrade_broadcast},
    {"And", 7, 1, mc_upgrade_broadcast},
    {"Or", 7, 1, mc_upgrade_broadcast},
    {"Xor", 7, 1, mc_upgrade_broadcast},
    {"Equal", 7, 1, mc_upgrade_broadcast},
    {"Greater", 7, 1, mc_upgrade_broadcast},
    {"Less", 7, 1, mc_upgrade_broadcast},
    {"PRelu", 7, 1, mc_upgrade_prelu},
    {"Gemm", 7, 0, mc_upgrade_gemm},
    {"GRU", 7, 0, mc_upgrade_recurrent},
    {"LSTM", 7, 0, mc_upgrade_recurrent},
    {"RNN", 7, 0, mc_upgrade_recurrent},
    {"BatchNormalization", 14, 0, mc_upgrade_batch_norm},
    {"Clip", 11, 1, mc_upgrade_clip},
    {"Dropout", 12, 0, mc_upgrade_dropout},
    {"GroupNormalization", 21, 1, mc_upgrade_group_norm},
    {"Hardmax", 13, 1, mc_upgrade_softmax},
    {"LogSoftmax", 13, 1, mc_upgrade_softmax},
    {"Softmax", 13, 1, mc_upgrade_softmax},
    {"Pad", 11, 1, mc_upgrade_pad},
    {"ReduceL1", 18, 0, mc_upgrade_axes},
    {"ReduceL2", 18, 0, mc_upgrade_axes},
    {"ReduceLogSum", 18, 0, mc_upgrade_axes},
    {"ReduceLogSumExp", 18, 0, mc_upgrade_axes},
    {"ReduceMax", 18, 0, mc_upgrade_axes},
    {"ReduceMean", 18, 0, mc_upgrade_axes},
    {"ReduceMin", 18, 0, mc_upgrade_axes},
    {"ReduceProd", 18, 0, mc_upgrade_axes},
    {"ReduceSum", 13, 0, mc_upgrade_axes},
    {"ReduceSumSquare", 18, 0, mc_upgrade_axes},
    {"Resize", 11, 0, mc_upgrade_resize},
    {"RoiAlign", 16, 0, mc_upgrade_roi_align},
    {"Scan", 9, 0, mc_upgrade_scan},
    {"Scatter", 11, 0, mc_upgrade_scatter},
    {"Slice", 10, 0, mc_upgrade_slice},
    {"Split", 13, 0, mc_upgrade_split_sizes},
    {"Split", 18, 0, mc_upgrade_split_count},
    {"Squeeze", 13, 0, mc_upgrade_axes},
    {"TopK", 10, 0, mc_upgrade_topk},
    {"Unsqueeze", 13, 0, mc_upgrade_axes},
    {"Upsample", 10, 0, mc_upgrade_upsample},
    {NULL, 0, 0, NULL},
};

int32_t mc_upgrade_refuse(const mc_node *n, int32_t opset, const char *why)
{
    return mc_fail(MCOMP_UNSUPPORTED, n->name, "%s as opset %d defines it: %s", n->op, opset, why);
}

/* Operators of other domains that the default domain took over unchanged. */
static int32_t adopt_domain(mc_node *n)
{
    static const char *const same[] = {"Gelu", "QuantizeLinear", "DequantizeLinear", NULL};
    if (n->desc || strcmp(n->domain, "com.microsoft") != 0) return MCOMP_OK;
    for (int i = 0; same[i]; i++) {
        const mc_op *d = strcmp(n->op, same[i]) == 0 ? mc_op_find("", n->op) : NULL;
        if (!d) continue;
        char *domain = mc_strdup("");
        if (!domain) return MCOMP_NO_MEMORY;
        mc_free(n->domain);
        n->domain = domain;
        n->desc = d;
        n->version = d->version;
    }
    return MCOMP_OK;
}

/* A node that was brought up already has another version (a graph may be finished twice). */
static int has_rule(const mc_node *n, const mc_upgrade_row *r, int32_t opset)
{
    return opset < r->below && n->version == opset && !*n->domain && strcmp(n->op, r->op) == 0;
}

/* Does anything in here need types to be upgraded? */
static int wants_types(const mc_graph *g, int32_t opset)
{
    for (int64_t i = 0; i < g->n_nodes; i++) {
        const mc_node *n = g->nodes[i];
        for (const mc_upgrade_row *r = mc_upgrade_table; r->op; r++)
            if (r->wants_types && has_rule(n, r, opset)) return 1;
        if (mc_foreign_known(n)) return 1;
        for (int32_t k = 0; k < n->n_attrs; k++)
            if (n->attrs[k].graph && wants_types(n->attrs[k].graph, opset)) return 1;
    }
    return 0;
}

/* Types of captured values, symbols matched by name; inference does it again with more knowledge. */
int32_t mc_onnx_capture_types(const mc_graph *outer, const mc_node *n, mc_graph *sub)
{
    int32_t st = MCOMP_OK;
    for (int64_t i = 0; i < sub->n_values; i++) {
        mc_value *v = sub->values[i];
        if (v->dead || v->capture < 0) continue;
        v->type = n->in[n->n_in + v->capture]->type;
        for (int32_t k = 0; k < v->type.rank; k++)
            if (v->type.dim[k] < 0) MC_TRY(mc_graph_symbol(sub, mc_graph_symbol_name(outer, v->type.dim[k]), &v->type.dim[k]));
    }
done:
    return st;
}

static int32_t upgrade_graph(mcomp_context *ctx, mc_graph *g, int32_t opset, int typed);

static int32_t upgrade_node(mcomp_context *ctx, mc_graph *g, mc_node *n, int32_t opset, int typed)
{
    int32_t st = MCOMP_OK;
    for (int32_t k = 0; k < n->n_attrs; k++) {
        if (!n->attrs[k].graph) continue;
        if (typed) MC_TRY(mc_onnx_capture_types(g, n, n->attrs[k].graph));
        MC_TRY(upgrade_graph(ctx, n->attrs[k].graph, opset, typed));
    }
    MC_TRY(adopt_domain(n));
    const int64_t made = g->n_nodes;
    int32_t expanded;
    MC_TRY(mc_foreign_expand(g, n, &expanded));
    for (int64_t i = made; typed && expanded && i < g->n_nodes; i++) MC_TRY(mc_infer_node(g, g->nodes[i]));
    if (expanded) return MCOMP_OK;
    for (const mc_upgrade_row *r = mc_upgrade_table; r->op; r++)
        if (has_rule(n, r, opset)) MC_TRY(r->rule(g, n, opset));
    if (!n->desc) return MCOMP_OK; /* opaque: stays in the version it was written in */
    n->version = n->desc->version;
    if (!typed) return MCOMP_OK;
    for (int64_t i = made; i < g->n_nodes; i++) /* new nodes feed n, or come right behind it */
        if (g->nodes[i]->n_in && g->nodes[i]->in[0] && g->nodes[i]->in[0]->producer != n) MC_TRY(mc_infer_node(g, g->nodes[i]));
    MC_TRY(mc_infer_node(g, n));
    for (int64_t i = made; i < g->n_nodes; i++) MC_TRY(mc_infer_node(g, g->nodes[i]));
done:
    return st;
}

static int32_t upgrade_graph(mcomp_context *ctx, mc_graph *g, int32_t opset, int typed)
{
    int32_t st = MCOMP_OK;
    const int64_t n = g->n_order;
    mc_node **list = mc_calloc((size_t)n + 1, sizeof *list); /* the order as it is now: rules add nodes */
    if (!list) return MCOMP_NO_MEMORY;
    if (n) memcpy(list, g->order, sizeof *list * (size_t)n);
    for (int64_t i = 0; i < n; i++) {
        if (i % 1024 == 0) MC_TRY(mc_context_poll(ctx));
        MC_TRY(upgrade_node(ctx, g, list[i], opset, typed));
    }
    MC_TRY(mc_graph_sort(g));
done:
    mc_free(list);
    return st;
}

int32_t mc_onnx_upgrade(mcomp_context *ctx, mc_graph *g, int32_t opset)
{
    return upgrade_graph(ctx, g, opset, wants_types(g, opset));
}

/* ---- what rules are made of ---- */

int32_t mc_upgrade_ints_to_input(mc_graph *g, mc_node *n, const char *attr, int32_t index)
{
    int32_t st = MCOMP_OK;
    char name[512];
    mc_value *v;
    const mc_attr *a = mc_node_attr(n, attr);
    if (!a) return MCOMP_OK;
    if (a->kind != MC_ATTR_INTS && a->kind != MC_ATTR_INT) MC_FAIL(MCOMP_FORMAT, n->name, "attribute \"%s\" is no list of integers", attr);
    if (index < n->n_in && n->in[index]) MC_FAIL(MCOMP_FORMAT, n->name, "\"%s\" is given as an attribute and as an input", attr);
    snprintf(name, sizeof name, "%.400s_%s", n->name, attr);
    MC_TRY(a->kind == MC_ATTR_INT ? mc_graph_add_const_i64s(g, name, &a->i, 1, &v) : mc_graph_add_const_i64s(g, name, a->ints, a->n, &v));
    MC_TRY(mc_node_set_input(g, n, index, v));
    mc_node_remove_attr(n, attr);
done:
    return st;
}

int32_t mc_upgrade_scalar_input(mc_graph *g, mc_node *n, const char *name, double v, int32_t index)
{
    int32_t st = MCOMP_OK;
    char text[512];
    mc_tensor *t;
    mc_value *c;
    const mc_shape s = {.rank = 0};
    const int32_t dtype = n->n_in && n->in[0] ? n->in[0]->type.dtype : MCOMP_UNDEFINED;
    MC_TRY(mc_tensor_create(&t, dtype && dtype != MCOMP_STRING ? dtype : MCOMP_F32, &s));
    mc_tensor_set_f64(t, 0, v);
    snprintf(text, sizeof text, "%.400s_%s", n->name, name);
    MC_TRY(mc_graph_add_const(g, text, t, &c));
    MC_TRY(mc_node_set_input(g, n, index, c));
done:
    return st;
}

int32_t mc_upgrade_rename(mc_node *n, const char *op)
{
    const mc_op *d = mc_op_find("", op);
    char *copy;
    if (!d) return MCOMP_OK; /* stays opaque */
    if (!(copy = mc_strdup(op))) return MCOMP_NO_MEMORY;
    mc_free(n->op);
    n->op = copy;
    n->desc = d;
    return MCOMP_OK;
}

int32_t mc_upgrade_new(mc_graph *g, const mc_node *n, const char *op, int32_t n_in, mc_value *const *in, mc_node **out)
{
    char name[512];
    snprintf(name, sizeof name, "%.400s_%s", n->name, op);
    return mc_graph_add_node(g, "", op, 0, name, n_in, in, 1, NULL, out);
}

int32_t mc_upgrade_follow(mc_graph *g, mc_node *n, mc_node *after)
{
    int32_t st = MCOMP_OK;
    mc_value *y = n->out[0], *z = after->out[0];
    char *t;
    MC_TRY(mc_graph_replace_uses(g, y, z)); /* graph outputs swap the names themselves */
    if (z->flags & MC_VALUE_OUTPUT) {
        MC_TRY(mc_node_set_input(g, after, 0, y));
        return MCOMP_OK;
    }
    t = y->name;
    y->name = z->name;
    z->name = t;
    MC_TRY(mc_map_put(g->names, y->name, y->id));
    MC_TRY(mc_map_put(g->names, z->name, z->id));
    MC_TRY(mc_node_set_input(g, after, 0, y));
done:
    return st;
}

int mc_upgrade_axis(const mc_value *v, int64_t axis, int32_t *out)
{
    if (!v || v->type.rank < 0 || axis < -v->type.rank || axis >= v->type.rank) return 0;
    *out = (int32_t)(axis < 0 ? axis + v->type.rank : axis);
    return 1;
}
