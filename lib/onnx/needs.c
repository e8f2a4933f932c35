/* The lowest opset that a graph needs: the form of its operators (mc_op.since), attributes that came later, and element
 * types that operators learned later. 13 is the floor: internal forms are at least that new. */
#include "onnx/save.h"
#include "onnx/upgrade.h"

#define BIT(dtype) (1u << (dtype))
#define F8 (BIT(MCOMP_F8E4M3FN) | BIT(MCOMP_F8E4M3FNUZ) | BIT(MCOMP_F8E5M2) | BIT(MCOMP_F8E5M2FNUZ))
#define B4 (BIT(MCOMP_U4) | BIT(MCOMP_I4))
#define B2 (BIT(MCOMP_U2) | BIT(MCOMP_I2))
#define SMALL_INT (BIT(MCOMP_U8) | BIT(MCOMP_I8) | BIT(MCOMP_U16) | BIT(MCOMP_I16))

/* An operator with any of these types on any input or output. op NULL: every operator. */
static const struct {
    const char *op;
    uint32_t types;
    int32_t since;
} type_rows[] = {
    {NULL, F8, 19},
    {NULL, B4, 21},
    {NULL, BIT(MCOMP_F4E2M1), 23},
    {NULL, BIT(MCOMP_F8E8M0), 24},
    {NULL, B2, 25},
    {"QuantizeLinear", BIT(MCOMP_U16) | BIT(MCOMP_I16), 21},
    {"QuantizeLinear", BIT(MCOMP_F16) | BIT(MCOMP_BF16), 19},
    {"DequantizeLinear", BIT(MCOMP_U16) | BIT(MCOMP_I16), 21},
    {"DequantizeLinear", BIT(MCOMP_F16) | BIT(MCOMP_BF16), 19},
    {"QLinearMatMul", BIT(MCOMP_F16) | BIT(MCOMP_BF16), 21},
    {"Add", SMALL_INT | BIT(MCOMP_BF16), 14},
    {"Sub", SMALL_INT | BIT(MCOMP_BF16), 14},
    {"Mul", SMALL_INT | BIT(MCOMP_BF16), 14},
    {"Div", SMALL_INT | BIT(MCOMP_BF16), 14},
    {"Relu", SMALL_INT | BIT(MCOMP_I32) | BIT(MCOMP_I64), 14},
    {"CumSum", BIT(MCOMP_F16) | BIT(MCOMP_BF16), 14},
    {"BatchNormalization", BIT(MCOMP_BF16), 14},
    {"Pow", BIT(MCOMP_BF16), 15},
    {"PRelu", BIT(MCOMP_BF16), 16},
    {"LeakyRelu", BIT(MCOMP_BF16), 16},
    {"Where", BIT(MCOMP_BF16), 16},
    {"GreaterOrEqual", BIT(MCOMP_BF16), 16},
    {"LessOrEqual", BIT(MCOMP_BF16), 16},
    {"Equal", BIT(MCOMP_STRING), 19},
    {"ConstantOfShape", BIT(MCOMP_BF16), 20},
    {"ReduceMax", BIT(MCOMP_BOOL), 20},
    {"ReduceMin", BIT(MCOMP_BOOL), 20},
    {"IsInf", BIT(MCOMP_F16) | BIT(MCOMP_BF16), 20},
    {"IsNaN", BIT(MCOMP_BF16), 13},
    {"AveragePool", BIT(MCOMP_BF16), 22},
    {"Conv", BIT(MCOMP_BF16), 22},
    {"ConvTranspose", BIT(MCOMP_BF16), 22},
    {"Cos", BIT(MCOMP_BF16), 22},
    {"Elu", BIT(MCOMP_BF16), 22},
    {"EyeLike", BIT(MCOMP_BF16), 22},
    {"GRU", BIT(MCOMP_BF16), 22},
    {"GlobalAveragePool", BIT(MCOMP_BF16), 22},
    {"GlobalMaxPool", BIT(MCOMP_BF16), 22},
    {"HardSigmoid", BIT(MCOMP_BF16), 22},
    {"HardSwish", BIT(MCOMP_BF16), 22},
    {"InstanceNormalization", BIT(MCOMP_BF16), 22},
    {"LSTM", BIT(MCOMP_BF16), 22},
    {"MaxPool", BIT(MCOMP_BF16), 22},
    {"Mish", BIT(MCOMP_BF16), 22},
    {"RNN", BIT(MCOMP_BF16), 22},
    {"RoiAlign", BIT(MCOMP_BF16), 22},
    {"Round", BIT(MCOMP_BF16), 22},
    {"Selu", BIT(MCOMP_BF16), 22},
    {"Sin", BIT(MCOMP_BF16), 22},
    {"Softplus", BIT(MCOMP_BF16), 22},
    {"TopK", BIT(MCOMP_BF16), 24},
};

/* Attributes that came after the operator's form; with their default they are not written for older opsets. */
static const struct {
    const char *op, *attr;
    int32_t since;
    int64_t i;      /* default, kind INT */
    const char *s;  /* default, kind STRING */
} attr_rows[] = {
    {"Attention", "left_window_size", 25, -1, NULL},
    {"Attention", "right_window_size", 25, -1, NULL},
    {"AveragePool", "dilations", 19, 0, NULL},
    {"BatchNormalization", "training_mode", 14, 0, NULL},
    {"Cast", "saturate", 19, 1, NULL},
    {"Cast", "round_mode", 24, 0, "up"},
    {"CastLike", "saturate", 19, 1, NULL},
    {"DequantizeLinear", "block_size", 21, 0, NULL},
    {"DequantizeLinear", "output_dtype", 23, 0, NULL},
    {"GRU", "layout", 14, 0, NULL},
    {"LSTM", "layout", 14, 0, NULL},
    {"QuantizeLinear", "block_size", 21, 0, NULL},
    {"QuantizeLinear", "output_dtype", 21, 0, NULL},
    {"QuantizeLinear", "precision", 23, 0, NULL},
    {"QuantizeLinear", "saturate", 19, 1, NULL},
    {"RNN", "layout", 14, 0, NULL},
    {"Reshape", "allowzero", 14, 0, NULL},
    {"Resize", "antialias", 18, 0, NULL},
    {"Resize", "axes", 18, 0, NULL},
    {"Resize", "keep_aspect_ratio_policy", 18, 0, "stretch"},
    {"RoiAlign", "coordinate_transformation_mode", 16, 0, "output_half_pixel"},
    {"ScatterElements", "reduction", 16, 0, "none"},
    {"ScatterND", "reduction", 16, 0, "none"},
    {"Shape", "end", 15, INT64_MAX, NULL},
    {"Shape", "start", 15, 0, NULL},
    {"Split", "num_outputs", 18, INT64_MIN, NULL},
};

static int32_t attr_row(const mc_node *n, const mc_attr *a, int *is_default)
{
    for (size_t i = 0; i < sizeof attr_rows / sizeof *attr_rows; i++) {
        if (strcmp(attr_rows[i].op, n->op) != 0 || strcmp(attr_rows[i].attr, a->name) != 0) continue;
        *is_default = attr_rows[i].s ? a->kind == MC_ATTR_STRING && strcmp(a->s, attr_rows[i].s) == 0 : a->kind == MC_ATTR_INT && a->i == attr_rows[i].i;
        return attr_rows[i].since;
    }
    return 0;
}

int mc_onnx_attr_is_newer(const mc_node *n, const mc_attr *a, int32_t opset)
{
    int is_default = 0;
    return !*n->domain && attr_row(n, a, &is_default) > opset && is_default;
}

static uint32_t types_of(const mc_node *n)
{
    uint32_t types = 0;
    for (int32_t i = 0; i < n->n_in; i++)
        if (n->in[i]) types |= BIT(n->in[i]->type.dtype & 31);
    for (int32_t i = 0; i < n->n_out; i++)
        if (n->out[i]) types |= BIT(n->out[i]->type.dtype & 31);
    return types;
}

/* Forms of one operator that older opsets share. */
static int32_t form_of(const mc_node *n)
{
    if (mc_node_is(n, "Split") && n->n_in > 1 && n->in[1]) return 13;
    if (strncmp(n->op, "Reduce", 6) == 0 && n->n_in == 1 && !mc_node_attr(n, "noop_with_empty_axes")) return 13;
    if (mc_node_is(n, "Pad") && (n->n_in < 4 || !n->in[3])) return strcmp(mc_attr_s(n, "mode", ""), "wrap") == 0 ? 19 : 13;
    if (mc_node_is(n, "Resize") && strcmp(mc_attr_s(n, "coordinate_transformation_mode", ""), "half_pixel_symmetric") == 0) return 19;
    if (mc_node_is(n, "AveragePool") || mc_node_is(n, "Shape")) return 13; /* what came later are attributes */
    if (mc_node_is(n, "ScatterElements") || mc_node_is(n, "ScatterND")) {
        const char *reduction = mc_attr_s(n, "reduction", "none"); /* min and max came later than add and mul */
        if (reduction[0] == 'm' && reduction[1] != 'u') return 18;
    }
    return n->desc->since;
}

int32_t mc_onnx_need_of(const mc_node *n)
{
    int is_default = 0;
    if (!n->desc) return n->version;
    int32_t need = form_of(n);
    const uint32_t types = types_of(n);
    for (size_t i = 0; i < sizeof type_rows / sizeof *type_rows; i++)
        if ((types & type_rows[i].types) && type_rows[i].since > need && (!type_rows[i].op || strcmp(type_rows[i].op, n->op) == 0))
            need = type_rows[i].since;
    for (int32_t i = 0; i < n->n_attrs; i++) {
        const int32_t since = attr_row(n, &n->attrs[i], &is_default);
        if (since > need && !is_default) need = since;
    }
    const char *reduction = strncmp(n->op, "Scatter", 7) == 0 ? mc_attr_s(n, "reduction", "") : "";
    if (need < 18 && (strcmp(reduction, "min") == 0 || strcmp(reduction, "max") == 0)) need = 18;
    return need;
}

void mc_onnx_needs_of(const mc_graph *g, mc_onnx_needs *out)
{
    if (out->opset < 13) out->opset = 13;
    for (int64_t i = 0; i < g->n_nodes; i++) {
        const mc_node *n = g->nodes[i];
        if (n->dead) continue;
        const int32_t need = *n->domain ? 0 : mc_onnx_need_of(n);
        if (need > out->opset) *out = (mc_onnx_needs){need, n};
        for (int32_t k = 0; k < n->n_attrs; k++)
            if (n->attrs[k].graph) mc_onnx_needs_of(n->attrs[k].graph, out);
    }
}

static int32_t check_opaque(const mc_node *n, int32_t opset)
{
    static const struct {
        const char *op;
        int32_t changed;
    } more[] = {{"Upsample", 10}, {"Scatter", 11}, {"GridSample", 20}, {"DFT", 20}};
    int32_t changed = 0;
    for (const mc_upgrade_row *r = mc_upgrade_table; r->op; r++)
        if (n->version < r->below && opset >= r->below && strcmp(r->op, n->op) == 0) changed = r->below;
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        if (n->version < more[i].changed && opset >= more[i].changed && strcmp(more[i].op, n->op) == 0) changed = more[i].changed;
    if (!changed) return MCOMP_OK;
    return mc_fail(MCOMP_UNSUPPORTED, n->name, "%s as opset %d defines it cannot be written in opset %d: it changed in opset %d", n->op, n->version,
                   opset, changed);
}

int32_t mc_onnx_check_opaque(const mc_graph *g, int32_t opset)
{
    int32_t st = MCOMP_OK;
    for (int64_t i = 0; i < g->n_nodes; i++) {
        const mc_node *n = g->nodes[i];
        if (n->dead) continue;
        if (!n->desc && !*n->domain) MC_TRY(check_opaque(n, opset));
        for (int32_t k = 0; k < n->n_attrs; k++)
            if (n->attrs[k].graph) MC_TRY(mc_onnx_check_opaque(n->attrs[k].graph, opset));
    }
done:
    return st;
}

int32_t mc_onnx_ir_of(int32_t opset)
{
    return opset < 15 ? 7 : opset < 19 ? 8 : opset < 21 ? 9 : opset < 23 ? 10 : opset - 12;
}
