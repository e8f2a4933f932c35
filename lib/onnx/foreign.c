/* Operators of com.microsoft that stand for a few standard ones are written out when a model is read: what follows them is then
 * an ordinary quantized model (docs/quantization.md, 8). Whatever does not fit stays an opaque node.
 *
 *   QLinear<F>(x, s, z, ..., ys, yz)  =  QuantizeLinear(F(DequantizeLinear(x, s, z), ...), ys, yz)
 *
 * and QGemm, the products that give floats, and weights in 2, 4 or 8 bits (foreign_nbits.c). */
#include "onnx/foreign.h"

static mc_value *failed(mc_foreign *f, int32_t st)
{
    if (f->st == MCOMP_OK) f->st = st;
    return NULL;
}

mc_value *mc_foreign_in(const mc_foreign *f, int32_t i) { return i >= 0 && i < f->n->n_in ? f->n->in[i] : NULL; }

mc_node *mc_foreign_node(mc_foreign *f, const char *op, int32_t n_in, mc_value *const *in)
{
    mc_node *made = NULL;
    if (f->st != MCOMP_OK) return NULL;
    f->st = mc_upgrade_new(f->g, f->n, op, n_in, in, &made);
    return f->st == MCOMP_OK ? made : NULL;
}

mc_value *mc_foreign_op(mc_foreign *f, const char *op, int32_t n_in, mc_value *const *in)
{
    const mc_node *made = mc_foreign_node(f, op, n_in, in);
    return made ? made->out[0] : NULL;
}

mc_value *mc_foreign_copy(mc_foreign *f, const char *op, mc_value *x, const char *const *attrs)
{
    mc_node *made = mc_foreign_node(f, op, 1, &x);
    if (!made) return NULL;
    f->st = mc_node_copy_attrs(made, f->n);
    for (int32_t i = made->n_attrs - 1; f->st == MCOMP_OK && i >= 0; i--) { /* only what op has */
        int32_t k = 0;
        while (attrs[k] && strcmp(attrs[k], made->attrs[i].name) != 0) k++;
        if (!attrs[k]) mc_node_remove_attr(made, made->attrs[i].name);
    }
    return f->st == MCOMP_OK ? made->out[0] : NULL;
}

/* DequantizeLinear of inputs i (value), i + 1 (scale), i + 2 (zero point, may be omitted). */
static mc_value *real(mc_foreign *f, int32_t i, int64_t axis)
{
    mc_value *in[3] = {mc_foreign_in(f, i), mc_foreign_in(f, i + 1), mc_foreign_in(f, i + 2)};
    mc_node *d;
    if (!in[0] || !in[1]) return failed(f, MCOMP_UNSUPPORTED);
    d = mc_foreign_node(f, "DequantizeLinear", in[2] ? 3 : 2, in);
    if (d && axis >= 0) f->st = mc_node_set_i(d, "axis", axis);
    return d && f->st == MCOMP_OK ? d->out[0] : NULL;
}

/* QuantizeLinear with inputs i (scale) and i + 1 (zero point, which gives the type). */
static mc_value *quantized(mc_foreign *f, mc_value *y, int32_t i)
{
    mc_value *const in[3] = {y, mc_foreign_in(f, i), mc_foreign_in(f, i + 1)};
    if (!in[1] || !in[2]) return failed(f, MCOMP_UNSUPPORTED);
    return mc_foreign_op(f, "QuantizeLinear", 3, in);
}

/* ---- QLinear<F> ---- */

static const char *const no_attrs[] = {NULL}, *const leaky_attrs[] = {"alpha", NULL}, *const mean_attrs[] = {"keepdims", NULL},
                        *const pool_attrs[] = {"auto_pad", "ceil_mode", "count_include_pad", "kernel_shape", "pads", "strides", NULL};

static mc_value *unary(mc_foreign *f, const char *op, const char *const *attrs)
{
    return quantized(f, mc_foreign_copy(f, op, real(f, 0, -1), attrs), 3);
}

static mc_value *binary(mc_foreign *f, const char *op)
{
    mc_value *const in[2] = {real(f, 0, -1), real(f, 3, -1)};
    return quantized(f, mc_foreign_op(f, op, 2, in), 6);
}

static mc_value *add(mc_foreign *f) { return binary(f, "Add"); }
static mc_value *mul(mc_foreign *f) { return binary(f, "Mul"); }
static mc_value *sigmoid(mc_foreign *f) { return unary(f, "Sigmoid", no_attrs); }
static mc_value *leaky_relu(mc_foreign *f) { return unary(f, "LeakyRelu", leaky_attrs); }

static mc_value *pool(mc_foreign *f, const char *op, const char *const *attrs)
{
    if (mc_attr_i(f->n, "channels_last", 0) != 0) return failed(f, MCOMP_UNSUPPORTED);
    return unary(f, op, attrs);
}
static mc_value *average_pool(mc_foreign *f) { return pool(f, "AveragePool", pool_attrs); }
static mc_value *global_average_pool(mc_foreign *f) { return pool(f, "GlobalAveragePool", no_attrs); }

static mc_value *reduce_mean(mc_foreign *f)
{
    mc_value *y = mc_foreign_copy(f, "ReduceMean", real(f, 0, -1), mean_attrs), *list;
    int64_t count;
    const int64_t *axes = mc_attr_ints(f->n, "axes", &count);
    if (y && axes) {
        f->st = mc_graph_add_const_i64s(f->g, NULL, axes, count, &list);
        if (f->st == MCOMP_OK) f->st = mc_node_set_input(f->g, y->producer, 1, list);
    }
    return f->st == MCOMP_OK ? quantized(f, y, 3) : NULL;
}

/* Softmax; attribute opset says which one. */
static mc_value *softmax(mc_foreign *f)
{
    const int64_t opset = mc_attr_i(f->n, "opset", 13);
    mc_value *x = real(f, 0, -1);
    mc_node *s = mc_foreign_node(f, "Softmax", 1, &x);
    if (!s) return NULL;
    f->st = mc_node_set_i(s, "axis", mc_attr_i(f->n, "axis", opset < 13 ? 1 : -1));
    if (f->st == MCOMP_OK && opset < 13) {
        if (x->type.rank < 0) x->type = f->n->in[0]->type;
        x->type.dtype = MCOMP_F32;
        f->st = mc_upgrade_softmax(f->g, s, (int32_t)opset);
    }
    if (f->st != MCOMP_OK) return NULL;
    mc_node *after = mc_value_only_user(s->out[0]); /* the rule's Reshape behind it, if it made one */
    return quantized(f, after ? after->out[0] : s->out[0], 3);
}

static mc_value *concat(mc_foreign *f)
{
    mc_value *in[MC_OP_MAX_IO];
    const int32_t n = (f->n->n_in - 2) / 3;
    if (f->n->n_in < 5 || (f->n->n_in - 2) % 3 != 0 || n > MC_OP_MAX_IO) return failed(f, MCOMP_UNSUPPORTED);
    for (int32_t i = 0; i < n; i++) in[i] = real(f, 2 + 3 * i, -1);
    mc_node *c = mc_foreign_node(f, "Concat", n, in);
    if (!c) return NULL;
    f->st = mc_node_set_i(c, "axis", mc_attr_i(f->n, "axis", 0));
    return quantized(f, c->out[0], 0);
}

static mc_value *where(mc_foreign *f)
{
    mc_value *const in[3] = {mc_foreign_in(f, 0), real(f, 1, -1), real(f, 4, -1)};
    if (!in[0]) return failed(f, MCOMP_UNSUPPORTED);
    return quantized(f, mc_foreign_op(f, "Where", 3, in), 7);
}

/* ---- products ---- */

/* (A, as, az, B, bs, bz, C, ys, yz): C is int32 with scale alpha as bs; without ys the result stays float. */
static mc_value *gemm(mc_foreign *f)
{
    const int64_t trans = mc_attr_i(f->n, "transB", 0);
    const float alpha = mc_attr_f(f->n, "alpha", 1.0f);
    mc_value *in[3] = {real(f, 0, -1), real(f, 3, trans ? 0 : 1), NULL}, *scale[2] = {mc_foreign_in(f, 1), mc_foreign_in(f, 4)};
    if (mc_foreign_in(f, 6)) {
        mc_value *bias[2] = {mc_foreign_in(f, 6), mc_foreign_op(f, "Mul", 2, scale)};
        if (alpha != 1.0f && f->st == MCOMP_OK) {
            mc_value *by[2] = {bias[1], NULL};
            f->st = mc_graph_add_const_f32(f->g, NULL, alpha, &by[1]);
            bias[1] = mc_foreign_op(f, "Mul", 2, by);
        }
        mc_node *d = mc_foreign_node(f, "DequantizeLinear", 2, bias);
        if (!d) return NULL;
        f->st = mc_node_set_i(d, "axis", -1);
        in[2] = d->out[0];
    }
    mc_node *p = mc_foreign_node(f, "Gemm", in[2] ? 3 : 2, in);
    if (!p) return NULL;
    f->st = mc_node_set_i(p, "transB", trans);
    if (f->st == MCOMP_OK && mc_attr_i(f->n, "transA", 0)) f->st = mc_node_set_i(p, "transA", 1);
    if (f->st == MCOMP_OK && alpha != 1.0f) f->st = mc_node_set_f(p, "alpha", alpha);
    if (f->st != MCOMP_OK) return NULL;
    return mc_foreign_in(f, 7) ? quantized(f, p->out[0], 7) : p->out[0];
}

/* a . b as integers -> Cast -> times as bs -> plus bias: what the pass `dynamic` knows. */
static mc_value *float_product(mc_foreign *f, mc_value *const in[4], mc_value *a_scale, mc_value *b_scale, mc_value *bias)
{
    mc_value *const scales[2] = {a_scale, b_scale};
    mc_value *acc = mc_foreign_op(f, "MatMulInteger", in[3] ? 4 : in[2] ? 3 : 2, in);
    mc_node *cast = mc_foreign_node(f, "Cast", 1, &acc);
    if (!cast) return NULL;
    f->st = mc_node_set_i(cast, "to", MCOMP_F32);
    mc_value *const both[2] = {cast->out[0], mc_foreign_op(f, "Mul", 2, scales)};
    mc_value *y[2] = {mc_foreign_op(f, "Mul", 2, both), bias};
    return bias ? mc_foreign_op(f, "Add", 2, y) : y[0];
}

/* (A, B, as, bs, az, bz, bias) */
static mc_value *integer_to_float(mc_foreign *f)
{
    mc_value *const in[4] = {mc_foreign_in(f, 0), mc_foreign_in(f, 1), mc_foreign_in(f, 4), mc_foreign_in(f, 5)};
    if (!in[0] || !in[1] || !mc_foreign_in(f, 2) || !mc_foreign_in(f, 3)) return failed(f, MCOMP_UNSUPPORTED);
    return float_product(f, in, mc_foreign_in(f, 2), mc_foreign_in(f, 3), mc_foreign_in(f, 6));
}

/* (A, B, bs, bz, bias): A is float and quantized first. */
static mc_value *dynamic_matmul(mc_foreign *f)
{
    char name[512];
    mc_node *q = NULL;
    mc_value *a = mc_foreign_in(f, 0);
    if (!a || !mc_foreign_in(f, 1) || !mc_foreign_in(f, 2)) return failed(f, MCOMP_UNSUPPORTED);
    snprintf(name, sizeof name, "%.400s_DynamicQuantizeLinear", f->n->name);
    f->st = mc_graph_add_node(f->g, "", "DynamicQuantizeLinear", 0, name, 1, &a, 3, NULL, &q);
    if (f->st != MCOMP_OK) return NULL;
    mc_value *const in[4] = {q->out[0], mc_foreign_in(f, 1), q->out[2], mc_foreign_in(f, 3)};
    return float_product(f, in, q->out[1], mc_foreign_in(f, 2), mc_foreign_in(f, 4));
}

/* ---- the table ---- */

static const struct {
    const char *op;
    mc_value *(*expand)(mc_foreign *f); /* what stands for output 0; NULL: stays opaque (UNSUPPORTED), or failed */
} table[] = {
    {"QLinearAdd", add}, {"QLinearMul", mul}, {"QLinearSigmoid", sigmoid}, {"QLinearLeakyRelu", leaky_relu},
    {"QLinearAveragePool", average_pool}, {"QLinearGlobalAveragePool", global_average_pool}, {"QLinearReduceMean", reduce_mean},
    {"QLinearSoftmax", softmax}, {"QLinearConcat", concat}, {"QLinearWhere", where}, {"QGemm", gemm},
    {"MatMulIntegerToFloat", integer_to_float}, {"DynamicQuantizeMatMul", dynamic_matmul}, {"MatMulNBits", mc_foreign_nbits},
};

static int32_t row_of(const mc_node *n)
{
    if (n->desc || strcmp(n->domain, "com.microsoft") != 0) return -1;
    for (int32_t i = 0; i < (int32_t)(sizeof table / sizeof *table); i++)
        if (strcmp(n->op, table[i].op) == 0) return i;
    return -1;
}

int mc_foreign_known(const mc_node *n) { return row_of(n) >= 0; }

/* y takes n's place, and its name. */
static int32_t take_over(mc_graph *g, mc_node *n, mc_value *y)
{
    int32_t st = MCOMP_OK;
    char *name = mc_strdup(n->out[0]->name);
    if (!name) return MCOMP_NO_MEMORY;
    MC_TRY(mc_node_inherit(y->producer, n, NULL));
    MC_TRY(mc_graph_replace_uses(g, n->out[0], y));
    mc_graph_remove_node(g, n);
    if (strcmp(y->name, name) != 0 && !(y->flags & MC_VALUE_OUTPUT)) MC_TRY(mc_value_rename(g, y, name));
done:
    mc_free(name);
    return st;
}

int32_t mc_foreign_expand(mc_graph *g, mc_node *n, int32_t *expanded)
{
    mc_foreign f = {.g = g, .n = n, .st = MCOMP_OK};
    const int32_t row = row_of(n);
    const int64_t made = g->n_nodes;
    *expanded = 0;
    if (row < 0 || n->n_out < 1 || !n->out[0]) return MCOMP_OK;
    for (int32_t k = 1; k < n->n_out; k++)
        if (n->out[k]) return MCOMP_OK;
    mc_value *y = table[row].expand(&f);
    if (f.st == MCOMP_OK && y) {
        *expanded = 1;
        return take_over(g, n, y);
    }
    for (int64_t i = g->n_nodes - 1; i >= made; i--) /* half of it: gone again, readers first */
        if (!g->nodes[i]->dead) mc_graph_remove_node(g, g->nodes[i]);
    return f.st == MCOMP_UNSUPPORTED ? MCOMP_OK : f.st;
}
