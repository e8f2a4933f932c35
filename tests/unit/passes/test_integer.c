/* Integer regions: graphs with QuantizeLinear / DequantizeLinear pairs, and the dynamic chains, against their float simulation. */
#include <math.h>

#include "compare.h"

static const uint32_t all = MC_STAGE_LOAD | MC_STAGE_SHAPE | MC_STAGE_FUSE | MC_STAGE_LOWER;

static mc_value *number(mc_graph *g, int32_t dtype, double v) { return mc_test_const(g, dtype, 0, &v); }

static mc_value *quantize(mc_graph *g, mc_value *x, double s, double z, int32_t dtype)
{
    return mc_test_op(g, "QuantizeLinear", 3, x, number(g, MCOMP_F32, s), number(g, dtype, z));
}

static mc_value *dequantize(mc_graph *g, mc_value *q, double s, double z, int32_t dtype)
{
    return mc_test_op(g, "DequantizeLinear", 3, q, number(g, MCOMP_F32, s), number(g, dtype, z));
}

static mc_value *pair(mc_graph *g, mc_value *x, double s, double z, int32_t dtype)
{
    return dequantize(g, quantize(g, x, s, z, dtype), s, z, dtype);
}

/* Random integers in [lo, hi] of any dtype. */
static mc_value *integers(mc_graph *g, uint64_t seed, int32_t dtype, double lo, double hi, int32_t rank, const int64_t *dims)
{
    const mc_shape s = mc_shape_make(rank, dims);
    mc_tensor *t;
    mc_value *v;
    uint64_t state = seed * 77 + 3;
    mc_ck_ok(mc_tensor_create(&t, dtype, &s));
    const int64_t n = mc_tensor_elements(t);
    for (int64_t i = 0; i < n; i++)
        mc_tensor_set_i64(t, i, (int64_t)floor(lo + (hi - lo + 1.0) * ((double)mc_test_random(&state) + 1.0) / 2.0));
    mc_ck_ok(mc_graph_add_const(g, NULL, t, &v));
    return v;
}

/* s8 (or u8 around 128) weight with a scale a channel along axis. */
static mc_value *weight(mc_graph *g, uint64_t seed, int32_t dtype, int32_t axis, int32_t rank, const int64_t *dims)
{
    double s[64], z[64];
    for (int64_t i = 0; i < dims[axis]; i++) {
        s[i] = 0.002 + 0.0005 * (double)i;
        z[i] = dtype == MCOMP_U8 ? 128.0 : 0.0;
    }
    mc_value *q = integers(g, seed, dtype, dtype == MCOMP_U8 ? 1.0 : -127.0, dtype == MCOMP_U8 ? 255.0 : 127.0, rank, dims);
    mc_value *v = mc_test_op(g, "DequantizeLinear", 3, q, mc_test_const(g, MCOMP_F32, (int32_t)dims[axis], s),
                             mc_test_const(g, dtype, (int32_t)dims[axis], z));
    mc_ck_ok(mc_node_set_i(v->producer, "axis", axis));
    return v;
}

/* int32 bias with scale sx * sw[c] as `weight` has it. */
static mc_value *bias(mc_graph *g, uint64_t seed, double sx, int64_t n)
{
    double s[64];
    for (int64_t i = 0; i < n; i++) s[i] = sx * (0.002 + 0.0005 * (double)i);
    mc_value *v = mc_test_op(g, "DequantizeLinear", 2, integers(g, seed, MCOMP_I32, -3000.0, 3000.0, 1, &n),
                             mc_test_const(g, MCOMP_F32, (int32_t)n, s));
    mc_ck_ok(mc_node_set_i(v->producer, "axis", 0));
    return v;
}

static int64_t left_over(const mc_graph *r)
{
    return mc_test_count(r, "", "Conv") + mc_test_count(r, "", "MatMul") + mc_test_count(r, "", "Gemm") + mc_test_count(r, "", "Add") +
           mc_test_count(r, "", "Relu") + mc_test_count(r, "", "MatMulInteger") + mc_test_count(r, "", "Cast") + mc_test_count(r, "", "Mul");
}

START_TEST(conv_block)
{
    const int32_t dtypes[2] = {MCOMP_U8, MCOMP_I8};
    for (int32_t k = 0; k < 2; k++) {
        const int32_t d = dtypes[k];
        const double z = d == MCOMP_U8 ? 128.0 : 0.0, low = d == MCOMP_U8 ? 0.0 : -128.0;
        mc_graph *g = mc_test_graph();
        mc_value *x = mc_test_input(g, "x", MCOMP_F32, 4, (int64_t[]){2, 3, 9, 9}), *a, *b, *c;
        x = pair(g, x, 0.01, z, d);
        a = mc_test_op(g, "Conv", 3, x, weight(g, 1, d, 0, 4, (int64_t[]){8, 3, 3, 3}), bias(g, 2, 0.01, 8));
        mc_ck_ok(mc_node_set_ints(a->producer, "pads", (int64_t[]){1, 1, 1, 1}, 4));
        a = pair(g, mc_test_op(g, "Relu", 1, a), 0.02, low, d);
        b = mc_test_op(g, "Conv", 3, a, weight(g, 3, d, 0, 4, (int64_t[]){8, 1, 3, 3}), bias(g, 4, 0.02, 8));
        mc_ck_ok(mc_node_set_ints(b->producer, "pads", (int64_t[]){1, 1, 1, 1}, 4));
        mc_ck_ok(mc_node_set_i(b->producer, "group", 8));
        b = mc_test_op(g, "Relu", 1, mc_test_op(g, "Add", 2, b, a)); /* no pair on the edge from the convolution */
        b = pair(g, b, 0.03, low, d);
        c = mc_test_op(g, "MaxPool", 1, b);
        mc_ck_ok(mc_node_set_ints(c->producer, "kernel_shape", (int64_t[]){3, 3}, 2));
        mc_ck_ok(mc_node_set_ints(c->producer, "strides", (int64_t[]){2, 2}, 2));
        c = pair(g, c, 0.03, low, d);
        c = pair(g, mc_test_op(g, "GlobalAveragePool", 1, c), 0.02, low, d);
        c = mc_test_op(g, "Flatten", 1, c);
        c = pair(g, c, 0.02, low, d);
        c = mc_test_op(g, "Gemm", 3, c, weight(g, 5, d, 0, 2, (int64_t[]){5, 8}), bias(g, 6, 0.02, 5));
        mc_ck_ok(mc_node_set_i(c->producer, "transB", 1));
        mc_test_output(g, c, "y");
        mc_graph *r = mc_test_passes(g, all, 0, 0.03); /* a few steps of inner rounding, through weights below 1 */
        ck_assert_int_eq(mc_test_count(r, "mcomp", "QConv"), 2);
        ck_assert_int_eq(mc_test_count(r, "mcomp", "QLinear"), 1);
        ck_assert_int_eq(mc_test_count(r, "mcomp", "MaxPool"), 1);
        ck_assert_int_eq(mc_test_count(r, "mcomp", "QGlobalAveragePool"), 1);
        ck_assert_int_eq(mc_test_count(r, "", "DequantizeLinear"), 0);
        ck_assert_int_eq(mc_test_count(r, "", "QuantizeLinear"), 1); /* the input */
        ck_assert_int_eq(mc_test_count(r, "", "Transpose"), 1);
        ck_assert_int_eq(left_over(r), 0);
        ck_assert_int_le(r->n_order, 8);
        mc_graph_destroy(r);
        mc_graph_destroy(g);
    }
}
END_TEST

/* Integer results of one layer are within one step of the float simulation. */
START_TEST(one_step)
{
    mc_graph *g = mc_test_graph();
    int64_t n;
    mc_ck_ok(mc_graph_symbol(g, "rows", &n));
    mc_value *x = pair(g, mc_test_input(g, "x", MCOMP_F32, 3, (int64_t[]){n, 4, 16}), 0.008, 120.0, MCOMP_U8);
    mc_value *y = mc_test_op(g, "MatMul", 2, x, weight(g, 1, MCOMP_I8, 1, 2, (int64_t[]){16, 12}));
    y = mc_test_op(g, "Add", 2, y, mc_test_random_const(g, 2, 0.1f, 1, (int64_t[]){12}));
    mc_test_output(g, pair(g, mc_test_op(g, "Gelu", 1, y), 0.01, 20.0, MCOMP_U8), "y");
    mc_graph *r = mc_test_passes(g, all, 0, 0.0101);
    ck_assert_int_eq(mc_test_count(r, "mcomp", "QLinear"), 1);
    ck_assert_int_eq(mc_test_count(r, "", "Gelu"), 0);
    ck_assert_int_eq(left_over(r), 0);
    mc_graph_destroy(r);
    mc_graph_destroy(g);
}
END_TEST

START_TEST(residual_and_norm)
{
    mc_graph *g = mc_test_graph();
    mc_value *x = pair(g, mc_test_input(g, "x", MCOMP_F32, 3, (int64_t[]){2, 4, 16}), 0.008, 120.0, MCOMP_U8);
    mc_value *y = mc_test_op(g, "MatMul", 2, x, weight(g, 1, MCOMP_I8, 1, 2, (int64_t[]){16, 16}));
    y = mc_test_op(g, "Add", 2, mc_test_random_const(g, 2, 0.1f, 1, (int64_t[]){16}), y);
    y = mc_test_op(g, "Add", 2, y, x);
    y = mc_test_op(g, "LayerNormalization", 3, y, mc_test_random_const(g, 3, 1.0f, 1, (int64_t[]){16}),
                   mc_test_random_const(g, 4, 1.0f, 1, (int64_t[]){16}));
    mc_test_output(g, pair(g, y, 0.02, 128.0, MCOMP_U8), "y");
    mc_graph *r = mc_test_passes(g, all, 0, 0.0201);
    ck_assert_int_eq(mc_test_count(r, "mcomp", "QLinear"), 1);
    ck_assert_int_eq(r->n_order, 3); /* quantize, product, dequantize */
    mc_graph_destroy(r);
    mc_graph_destroy(g);
}
END_TEST

/* The ort flavour: pairs on both edges of the residual sum, the product's own among them. */
START_TEST(residual_with_pairs_on_both_edges)
{
    mc_graph *g = mc_test_graph();
    mc_value *x = pair(g, mc_test_input(g, "x", MCOMP_F32, 4, (int64_t[]){1, 8, 5, 5}), 0.008, 120.0, MCOMP_U8);
    mc_value *a = pair(g, mc_test_op(g, "Conv", 2, x, weight(g, 1, MCOMP_I8, 0, 4, (int64_t[]){12, 8, 1, 1})), 0.03, 7.0, MCOMP_I8);
    mc_value *b = pair(g, mc_test_op(g, "Conv", 2, x, weight(g, 2, MCOMP_I8, 0, 4, (int64_t[]){12, 8, 1, 1})), 0.02, 99.0, MCOMP_U8);
    mc_value *s = pair(g, mc_test_op(g, "Relu", 1, mc_test_op(g, "Add", 2, a, b)), 0.025, 0.0, MCOMP_U8);
    mc_test_output(g, s, "y");
    mc_graph *r = mc_test_passes(g, all, 0, 0.0501); /* a step of the inner grid, rounded to the outer */
    ck_assert_int_eq(mc_test_count(r, "mcomp", "QConv"), 2);
    ck_assert_int_eq(mc_test_count(r, "mcomp", "QAdd"), 0);
    mc_graph_destroy(r);
    mc_graph_destroy(g);
}
END_TEST

START_TEST(adds_and_tables)
{
    mc_graph *g = mc_test_graph();
    mc_value *a = pair(g, mc_test_input(g, "a", MCOMP_F32, 4, (int64_t[]){1, 6, 4, 4}), 0.008, 120.0, MCOMP_U8);
    mc_value *b = pair(g, mc_test_input(g, "b", MCOMP_F32, 4, (int64_t[]){1, 6, 4, 4}), 0.009, 0.0, MCOMP_I8);
    mc_value *s = pair(g, mc_test_op(g, "Relu", 1, mc_test_op(g, "Add", 2, a, b)), 0.01, 0.0, MCOMP_U8);
    mc_value *t = pair(g, mc_test_op(g, "Sigmoid", 1, s), 1.0 / 256.0, 0.0, MCOMP_U8);
    mc_value *c = mc_test_op(g, "Concat", 2, s, t); /* requantized to one pair of parameters */
    mc_ck_ok(mc_node_set_i(c->producer, "axis", 1));
    c = pair(g, c, 0.01, 0.0, MCOMP_U8);
    mc_test_output(g, pair(g, mc_test_op(g, "Transpose", 1, c), 0.01, 0.0, MCOMP_U8), "y");
    mc_graph *r = mc_test_passes(g, all, 0, 0.0101);
    ck_assert_int_eq(mc_test_count(r, "mcomp", "QAdd"), 1);
    ck_assert_int_eq(mc_test_count(r, "mcomp", "QLut"), 2); /* Sigmoid, and into the Concat */
    ck_assert_int_eq(mc_test_count(r, "", "DequantizeLinear"), 1);
    ck_assert_int_eq(mc_test_count(r, "", "Sigmoid"), 0);
    mc_graph_destroy(r);
    mc_graph_destroy(g);
}
END_TEST

START_TEST(what_is_not_symmetric_stays_float)
{
    mc_graph *g = mc_test_graph();
    mc_value *x = pair(g, mc_test_input(g, "x", MCOMP_F32, 2, (int64_t[]){4, 8}), 0.008, 120.0, MCOMP_U8);
    mc_value *w = dequantize(g, integers(g, 1, MCOMP_U8, 0.0, 255.0, 2, (int64_t[]){8, 6}), 0.01, 100.0, MCOMP_U8);
    mc_test_output(g, mc_test_op(g, "MatMul", 2, x, w), "y");
    mc_graph *r = mc_test_passes(g, all, 1e-5, 1e-5);
    ck_assert_int_eq(mc_test_count(r, "mcomp", "Linear"), 1);
    ck_assert_int_eq(mc_test_count(r, "", "DequantizeLinear"), 1); /* the weight's is folded in the plan */
    mc_graph_destroy(r);
    mc_graph_destroy(g);
}
END_TEST

/* docs/quantization.md, 2. */
static mc_value *token_chain(mc_graph *g, mc_value *x, int64_t k, int reshape, mc_value **row_scale)
{
    mc_value *m = mc_test_op(g, "ReduceMax", 2, mc_test_op(g, "Abs", 1, x), mc_test_i64s(g, 1, (int64_t)-1));
    mc_value *s = mc_test_op(g, "Div", 2, mc_test_op(g, "Max", 2, m, mc_test_scalar(g, 1e-30f)), mc_test_scalar(g, 127.0f));
    mc_value *s1 = mc_test_op(g, "Reshape", 2, s, mc_test_i64s(g, 1, (int64_t)-1));
    mc_value *z = mc_test_op(g, "ConstantOfShape", 1, mc_test_op(g, "Shape", 1, s1));
    mc_tensor *v;
    mc_ck_ok(mc_tensor_create(&v, MCOMP_U8, &(mc_shape){.rank = 1, .dim = {1}}));
    mc_tensor_set_i64(v, 0, 128);
    mc_ck_ok(mc_node_set_tensor(z->producer, "value", v));
    mc_value *q = mc_test_op(g, "QuantizeLinear", 3, reshape ? mc_test_op(g, "Reshape", 2, x, mc_test_i64s(g, 2, (int64_t)-1, k)) : x, s1, z);
    mc_ck_ok(mc_node_set_i(q->producer, "axis", 0));
    *row_scale = s;
    return reshape ? mc_test_op(g, "Reshape", 2, q, mc_test_op(g, "Shape", 1, x)) : q;
}

static mc_value *token_product(mc_graph *g, mc_value *q, mc_value *s, uint64_t seed, int64_t k, int64_t n)
{
    mc_value *w = integers(g, seed, MCOMP_I8, -127.0, 127.0, 2, (int64_t[]){k, n}), *ws = mc_test_random_const(g, seed + 9, 0.001f, 1, &n);
    for (int64_t i = 0; i < n; i++) ((float *)ws->init->data)[i] += 0.003f;
    mc_value *acc = mc_test_op(g, "MatMulInteger", 3, q, w, number(g, MCOMP_U8, 128.0));
    mc_value *f = mc_test_op(g, "Cast", 1, acc);
    mc_ck_ok(mc_node_set_i(f->producer, "to", MCOMP_F32));
    return mc_test_op(g, "Mul", 2, mc_test_op(g, "Mul", 2, f, s), ws);
}

START_TEST(token_chains)
{
    for (int reshape = 0; reshape < 2; reshape++) {
        mc_graph *g = mc_test_graph();
        int64_t b, s;
        mc_value *scale, *x, *q, *y, *z;
        mc_ck_ok(mc_graph_symbol(g, "B", &b));
        mc_ck_ok(mc_graph_symbol(g, "S", &s));
        x = reshape ? mc_test_input(g, "x", MCOMP_F32, 3, (int64_t[]){b, s, 16}) : mc_test_input(g, "x", MCOMP_F32, 2, (int64_t[]){b, 16});
        q = token_chain(g, x, 16, reshape, &scale);
        y = mc_test_op(g, "Add", 2, token_product(g, q, scale, 1, 16, 16), mc_test_random_const(g, 2, 0.1f, 1, (int64_t[]){16}));
        y = mc_test_op(g, "Add", 2, y, x);
        z = mc_test_op(g, "Relu", 1, token_product(g, q, scale, 5, 16, 8));
        mc_test_output(g, y, "y");
        mc_test_output(g, z, "z");
        mc_graph *r = mc_test_passes(g, all, 1e-6, 1e-6); /* the two scales are multiplied first there */
        ck_assert_int_eq(mc_test_count(r, "mcomp", "QLinear"), 2);
        ck_assert_int_eq(r->n_order, 2);
        mc_graph_destroy(r);
        mc_graph_destroy(g);
    }
}
END_TEST

START_TEST(tensor_chain)
{
    for (int form = 0; form < 3; form++) {
        mc_graph *g = mc_test_graph();
        mc_node *d;
        mc_value *x = mc_test_input(g, "x", MCOMP_F32, 3, (int64_t[]){2, 3, 16}), *w, *scales, *wz;
        mc_ck_ok(mc_graph_add_node(g, "", "DynamicQuantizeLinear", 0, NULL, 1, &x, 3, NULL, &d));
        w = form == 1 ? integers(g, 1, MCOMP_U8, 0.0, 255.0, 2, (int64_t[]){16, 8}) : integers(g, 1, MCOMP_I8, -127.0, 127.0, 2, (int64_t[]){16, 8});
        wz = number(g, form == 1 ? MCOMP_U8 : MCOMP_I8, form == 1 ? 128.0 : 0.0);
        mc_value *acc = form ? mc_test_op(g, "MatMulInteger", 4, d->out[0], w, d->out[2], wz) : mc_test_op(g, "MatMulInteger", 3, d->out[0], w, d->out[2]);
        mc_value *f = mc_test_op(g, "Cast", 1, acc);
        mc_ck_ok(mc_node_set_i(f->producer, "to", MCOMP_F32));
        scales = mc_test_op(g, "Mul", 2, d->out[1], form == 2 ? mc_test_random_const(g, 3, 0.0f, 1, (int64_t[]){8}) : number(g, MCOMP_F32, 0.004));
        if (form == 2)
            for (int i = 0; i < 8; i++) ((float *)scales->producer->in[1]->init->data)[i] = 0.002f + 0.001f * (float)i;
        mc_test_output(g, mc_test_op(g, "Add", 2, mc_test_op(g, "Mul", 2, f, scales), mc_test_random_const(g, 2, 0.1f, 1, (int64_t[]){8})), "y");
        mc_graph *r = mc_test_passes(g, all, 0, 0); /* bit for bit */
        ck_assert_int_eq(mc_test_count(r, "mcomp", "QLinear"), 1);
        ck_assert_int_eq(r->n_order, 1);
        mc_graph_destroy(r);
        mc_graph_destroy(g);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("passes/integer");
    TCase *t = tcase_create("integer");
    tcase_add_test(t, conv_block);
    tcase_add_test(t, one_step);
    tcase_add_test(t, residual_and_norm);
    tcase_add_test(t, adds_and_tables);
    tcase_add_test(t, residual_with_pairs_on_both_edges);
    tcase_add_test(t, what_is_not_symmetric_stays_float);
    tcase_add_test(t, token_chains);
    tcase_add_test(t, tensor_chain);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
