/* Layers that several kinds of models share. */
#include "train/build.h"

#include <math.h>

mc_value *mc_b_reshape(mc_builder *b, mc_value *x, int64_t n, const int64_t *dims) { return mc_b_2(b, "Reshape", x, mc_b_list(b, n, dims)); }
mc_value *mc_b_transpose(mc_builder *b, mc_value *x, int32_t rank, const int64_t *perm) { return mc_b_ints(b, mc_b_1(b, "Transpose", x), "perm", rank, perm); }

mc_value *mc_b_dense(mc_builder *b, const char *name, mc_value *x, int64_t in, int64_t out, double deviation)
{
    mc_value *w = mc_b_normal(b, mc_b_name("%s.weight", name), 2, (const int64_t[]){in, out}, deviation);
    mc_value *bias = mc_b_filled(b, mc_b_name("%s.bias", name), 1, &out, 0.0);
    return mc_b_op(b, "Add", mc_b_name("%s.add", name), 2, (mc_value *[]){mc_b_op(b, "MatMul", name, 2, (mc_value *[]){x, w}), bias});
}

mc_value *mc_b_layer_norm(mc_builder *b, const char *name, mc_value *x, int64_t n)
{
    mc_value *scale = mc_b_filled(b, mc_b_name("%s.weight", name), 1, &n, 1.0), *bias = mc_b_filled(b, mc_b_name("%s.bias", name), 1, &n, 0.0);
    mc_value *y = mc_b_op(b, "LayerNormalization", name, 3, (mc_value *[]){x, scale, bias});
    return mc_b_float(b, mc_b_int(b, y, "axis", -1), "epsilon", 1e-5);
}

mc_value *mc_b_conv_bn(mc_builder *b, const char *name, mc_value *x, int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t group, int relu)
{
    const int64_t pad = kernel / 2, dims[] = {out, in / group, kernel, kernel};
    mc_value *w = mc_b_normal(b, mc_b_name("%s.weight", name), 4, dims, sqrt(2.0 / (double)(in / group * kernel * kernel)));
    mc_value *y = mc_b_op(b, "Conv", name, 2, (mc_value *[]){x, w});
    y = mc_b_ints(b, y, "kernel_shape", 2, (const int64_t[]){kernel, kernel});
    y = mc_b_ints(b, y, "pads", 4, (const int64_t[]){pad, pad, pad, pad});
    y = mc_b_ints(b, y, "strides", 2, (const int64_t[]){stride, stride});
    y = mc_b_int(b, y, "group", group);
    mc_value *norm[5] = {y, mc_b_filled(b, mc_b_name("%s.norm.weight", name), 1, &out, 1.0), mc_b_filled(b, mc_b_name("%s.norm.bias", name), 1, &out, 0.0),
                         mc_b_filled(b, mc_b_name("%s.norm.mean", name), 1, &out, 0.0), mc_b_filled(b, mc_b_name("%s.norm.var", name), 1, &out, 1.0)};
    y = mc_b_op(b, "BatchNormalization", mc_b_name("%s.norm", name), 5, norm);
    return relu ? mc_b_1(b, "Relu", y) : y;
}

mc_value *mc_b_dropout(mc_builder *b, mc_value *x) { return b->s.dropout > 0.0 ? mc_b_2(b, "Dropout", x, mc_b_scalar(b, b->s.dropout)) : x; }

mc_value *mc_b_embed(mc_builder *b, const char *name, mc_value *ids, int64_t rows, int64_t width, double deviation)
{
    mc_value *table = mc_b_normal(b, mc_b_name("%s.weight", name), 2, (const int64_t[]){rows, width}, deviation);
    return mc_b_op(b, "Gather", name, 2, (mc_value *[]){table, ids});
}

mc_value *mc_b_real(mc_builder *b, mc_value *ids)
{
    mc_value *pad = NULL;
    mc_tensor *t = NULL;
    const mc_shape scalar = {.rank = 0};
    if (b->status == MCOMP_OK) b->status = mc_tensor_create(&t, MCOMP_I64, &scalar);
    if (b->status != MCOMP_OK) return NULL;
    *(int64_t *)t->data = b->s.pad;
    b->status = mc_graph_add_const(b->g, NULL, t, &pad);
    return mc_b_int(b, mc_b_1(b, "Cast", mc_b_1(b, "Not", mc_b_2(b, "Equal", ids, pad))), "to", MCOMP_F32);
}

static mc_value *heads_of(mc_builder *b, mc_value *x, int64_t heads, int64_t width, const int64_t *perm)
{
    return mc_b_transpose(b, mc_b_reshape(b, x, 4, (const int64_t[]){0, 0, heads, width}), 4, perm);
}

mc_value *mc_b_block(mc_builder *b, int64_t layer, mc_value *x, mc_value *bias, double residual_deviation)
{
    const int64_t h = b->s.hidden, heads = b->s.heads, width = h / heads;
    const long long l = (long long)layer;
    mc_value *y = mc_b_layer_norm(b, mc_b_name("encoder.layer.%lld.attention.norm", l), x, h);
    mc_value *q = heads_of(b, mc_b_dense(b, mc_b_name("encoder.layer.%lld.attention.query", l), y, h, h, 0.02), heads, width, (const int64_t[]){0, 2, 1, 3});
    mc_value *k = heads_of(b, mc_b_dense(b, mc_b_name("encoder.layer.%lld.attention.key", l), y, h, h, 0.02), heads, width, (const int64_t[]){0, 2, 3, 1});
    mc_value *v = heads_of(b, mc_b_dense(b, mc_b_name("encoder.layer.%lld.attention.value", l), y, h, h, 0.02), heads, width, (const int64_t[]){0, 2, 1, 3});
    mc_value *scores = mc_b_2(b, "Mul", mc_b_2(b, "MatMul", q, k), mc_b_scalar(b, 1.0 / sqrt((double)width)));
    if (bias) scores = mc_b_2(b, "Add", scores, bias);
    mc_value *p = mc_b_dropout(b, mc_b_int(b, mc_b_1(b, "Softmax", scores), "axis", -1));
    y = mc_b_transpose(b, mc_b_2(b, "MatMul", p, v), 4, (const int64_t[]){0, 2, 1, 3});
    y = mc_b_reshape(b, y, 3, (const int64_t[]){0, 0, h});
    y = mc_b_dense(b, mc_b_name("encoder.layer.%lld.attention.output", l), y, h, h, residual_deviation);
    x = mc_b_2(b, "Add", x, mc_b_dropout(b, y));
    y = mc_b_layer_norm(b, mc_b_name("encoder.layer.%lld.ffn.norm", l), x, h);
    y = mc_b_1(b, "Gelu", mc_b_dense(b, mc_b_name("encoder.layer.%lld.ffn.up", l), y, h, b->s.ffn, 0.02));
    y = mc_b_dense(b, mc_b_name("encoder.layer.%lld.ffn.down", l), y, b->s.ffn, h, residual_deviation);
    return mc_b_2(b, "Add", x, mc_b_dropout(b, y));
}
