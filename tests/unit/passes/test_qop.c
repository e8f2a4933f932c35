/* Operators on quantized tensors (QLinearConv, QLinearMatMul) and moves of bytes: integer plans equal to the operators'
 * references, and passes that settle. */
#include <math.h>

#include "compare.h"

static const uint32_t all = MC_STAGE_LOAD | MC_STAGE_SHAPE | MC_STAGE_FUSE | MC_STAGE_LOWER;

static mc_value *number(mc_graph *g, int32_t dtype, double v) { return mc_test_const(g, dtype, 0, &v); }

static mc_value *integers(mc_graph *g, uint64_t seed, int32_t dtype, double lo, double hi, int32_t rank, const int64_t *dims)
{
    const mc_shape s = mc_shape_make(rank, dims);
    mc_tensor *t;
    mc_value *v;
    uint64_t state = seed * 77 + 3;
    mc_ck_ok(mc_tensor_create(&t, dtype, &s));
    for (int64_t i = 0; i < mc_tensor_elements(t); i++)
        mc_tensor_set_i64(t, i, (int64_t)floor(lo + (hi - lo + 1.0) * ((double)mc_test_random(&state) + 1.0) / 2.0));
    mc_ck_ok(mc_graph_add_const(g, NULL, t, &v));
    return v;
}

static mc_value *scales(mc_graph *g, int64_t n)
{
    double s[64];
    for (int64_t i = 0; i < n; i++) s[i] = 0.004 + 0.001 * (double)i;
    return mc_test_const(g, MCOMP_F32, (int32_t)n, s);
}

static mc_value *zeros(mc_graph *g, int32_t dtype, int64_t n, double z)
{
    double list[64];
    for (int64_t i = 0; i < n; i++) list[i] = z;
    return mc_test_const(g, dtype, (int32_t)n, list);
}

/* conv -> conv -> matmul over bytes, as a quantizer's operator form has it; weights of `w` around `wz`, a scale a channel. */
static mc_graph *chain(int32_t x, double xz, int32_t w, double wz)
{
    static const int64_t in[] = {1, 3, 6, 6}, k1[] = {8, 3, 3, 3}, k2[] = {5, 8, 1, 1}, m[] = {36, 7};
    mc_graph *g = mc_test_graph();
    const double lo = w == MCOMP_U8 ? 1 : -127, hi = w == MCOMP_U8 ? 255 : 127;
    mc_value *q = mc_test_op(g, "QuantizeLinear", 3, mc_test_input(g, "x", MCOMP_F32, 4, in), number(g, MCOMP_F32, 0.01), number(g, x, xz));
    q = mc_test_op(g, "QLinearConv", 9, q, number(g, MCOMP_F32, 0.01), number(g, x, xz), integers(g, 1, w, lo, hi, 4, k1), scales(g, 8),
                   zeros(g, w, 8, wz), number(g, MCOMP_F32, 0.05), number(g, x, xz), integers(g, 2, MCOMP_I32, -3000, 3000, 1, k1));
    mc_ck_ok(mc_node_set_ints(q->producer, "pads", (int64_t[]){1, 1, 1, 1}, 4));
    q = mc_test_op(g, "QLinearConv", 8, q, number(g, MCOMP_F32, 0.05), number(g, x, xz), integers(g, 3, w, lo, hi, 4, k2), number(g, MCOMP_F32, 0.003),
                   number(g, w, wz), number(g, MCOMP_F32, 0.06), number(g, x, xz));
    q = mc_test_op(g, "Reshape", 2, q, mc_test_i64s(g, 3, (int64_t)1, (int64_t)5, (int64_t)36));
    q = mc_test_op(g, "QLinearMatMul", 8, q, number(g, MCOMP_F32, 0.06), number(g, x, xz), integers(g, 4, w, lo, hi, 2, m), scales(g, 7), zeros(g, w, 7, wz),
                   number(g, MCOMP_F32, 0.2), number(g, x, xz));
    mc_test_output(g, q, "y");
    return g;
}

START_TEST(operators_on_bytes)
{
    static const struct {
        int32_t x, w;
        double xz, wz;
    } rows[] = {{MCOMP_U8, MCOMP_I8, 117, 0}, {MCOMP_I8, MCOMP_I8, -9, 0}, {MCOMP_U8, MCOMP_U8, 117, 128}};
    mc_graph *g = chain(rows[_i].x, rows[_i].xz, rows[_i].w, rows[_i].wz), *r = mc_test_passes(g, all, 0, 0);
    ck_assert_int_eq(mc_test_count(r, "mcomp", "QConv"), 2);
    ck_assert_int_eq(mc_test_count(r, "mcomp", "QLinear"), 1);
    ck_assert_int_eq(mc_test_count(r, "", "DequantizeLinear"), 0);
    mc_graph_destroy(g);
    mc_graph_destroy(r);
}
END_TEST

/* Another zero point than the middle, or parameters that vary: the operator and its exact sums stay. */
START_TEST(others_stay)
{
    mc_graph *g = chain(MCOMP_U8, 117, MCOMP_U8, 120), *r = mc_test_passes(g, all, 0, 0);
    ck_assert_int_eq(mc_test_count(r, "", "QLinearConv"), 2);
    ck_assert_int_eq(mc_test_count(r, "", "QLinearMatMul"), 1);
    mc_graph_destroy(g);
    mc_graph_destroy(r);
}
END_TEST

/* ONNX Runtime's dynamic convolution, one scale and one a channel, with the bias and activation behind it. */
START_TEST(dynamic_convolution)
{
    static const int64_t in[] = {2, 3, 7, 6}, k[] = {8, 3, 3, 3}, wide[] = {1, 8, 1, 1};
    const int per_channel = _i & 1, grouped = _i >> 1 & 1, odd = _i >> 2; /* odd: u8 weights around 100 */
    const int64_t kg[] = {9, 1, 3, 3}, *dims = grouped ? kg : k, m = dims[0];
    mc_graph *g = mc_test_graph();
    mc_value *x = mc_test_input(g, "x", MCOMP_F32, 4, in), *scale;
    mc_node *q, *c;
    mc_ck_ok(mc_graph_add_node(g, "", "DynamicQuantizeLinear", 0, "q", 1, &x, 3, NULL, &q));
    mc_value *const operands[4] = {q->out[0], odd ? integers(g, 1, MCOMP_U8, 0, 255, 4, dims) : integers(g, 1, MCOMP_I8, -127, 127, 4, dims), q->out[2],
                                   odd ? number(g, MCOMP_U8, 100) : NULL};
    mc_ck_ok(mc_graph_add_node(g, "", "ConvInteger", 0, "conv", odd ? 4 : 3, operands, 1, NULL, &c));
    mc_ck_ok(mc_node_set_ints(c, "pads", (int64_t[]){1, 1, 1, 1}, 4));
    if (grouped) mc_ck_ok(mc_node_set_i(c, "group", 3));
    mc_value *f = mc_test_op(g, "Cast", 1, c->out[0]);
    mc_ck_ok(mc_node_set_i(f->producer, "to", MCOMP_F32));
    if (per_channel) {
        scale = mc_test_op(g, "Reshape", 2, scales(g, m), mc_test_i64s(g, 4, (int64_t)1, m, (int64_t)1, (int64_t)1));
        f = mc_test_op(g, "Mul", 2, mc_test_op(g, "Mul", 2, f, q->out[1]), scale);
    } else {
        f = mc_test_op(g, "Mul", 2, f, mc_test_op(g, "Mul", 2, q->out[1], number(g, MCOMP_F32, 0.003)));
    }
    if (!grouped) f = mc_test_op(g, "Relu", 1, mc_test_op(g, "Add", 2, f, mc_test_random_const(g, 9, 1.0f, 4, wide)));
    mc_test_output(g, f, "y");
    mc_graph *r = mc_test_passes(g, all, 1e-6, 1e-6);
    ck_assert_int_eq(mc_test_count(r, "mcomp", "QConv"), odd ? 2 : 1);
    ck_assert_int_eq(mc_test_count(r, "", "ConvInteger") + mc_test_count(r, "", "Cast") + mc_test_count(r, "", "Mul"), 0);
    if (!odd) ck_assert_int_eq(mc_test_count(r, "", "Add"), 0);
    mc_graph_destroy(g);
    mc_graph_destroy(r);
}
END_TEST

/* A Transpose between DequantizeLinear and float readers: raised by one pass and pushed down by another, it went on for ever and
 * every round made the names longer. */
START_TEST(transposes_settle)
{
    static const int64_t in[] = {2, 6, 4, 8};
    mc_graph *g = mc_test_graph();
    mc_value *q = mc_test_input(g, "q", MCOMP_U8, 4, in);
    mc_value *x = mc_test_op(g, "DequantizeLinear", 3, q, number(g, MCOMP_F32, 0.02), number(g, MCOMP_U8, 7));
    mc_value *t = mc_test_op(g, "Transpose", 1, x);
    mc_ck_ok(mc_node_set_ints(t->producer, "perm", (int64_t[]){0, 2, 1, 3}, 4));
    mc_value *u = mc_test_op(g, "Transpose", 1, t);
    mc_ck_ok(mc_node_set_ints(u->producer, "perm", (int64_t[]){0, 1, 3, 2}, 4));
    mc_test_output(g, mc_test_op(g, "Softmax", 1, mc_test_op(g, "MatMul", 2, t, u)), "y");
    mc_graph *r = mc_test_passes(g, all, 1e-6, 1e-6);
    ck_assert_int_lt(r->n_nodes, 40);
    for (int64_t i = 0; i < r->n_order; i++) ck_assert_msg(strlen(r->order[i]->name) < 60, "%s", r->order[i]->name);
    mc_graph_destroy(g);
    mc_graph_destroy(r);
}
END_TEST

/* The greatest of bytes is a byte. */
START_TEST(global_max_of_bytes)
{
    static const int64_t dims[] = {2, 3, 5, 4, 2};
    mc_graph *g = mc_test_graph();
    mc_value *q = mc_test_input(g, "q", MCOMP_U8, 3 + _i, dims);
    mc_value *x = mc_test_op(g, "DequantizeLinear", 3, q, number(g, MCOMP_F32, 0.02), number(g, MCOMP_U8, 7));
    mc_test_output(g, mc_test_op(g, "GlobalMaxPool", 1, x), "y");
    mc_graph *r = mc_test_passes(g, all, 0, 0);
    ck_assert_int_eq(r->order[r->n_order - 1]->in[0]->type.dtype, MCOMP_U8); /* dequantized behind */
    mc_graph_destroy(g);
    mc_graph_destroy(r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("passes/qop");
    TCase *t = tcase_create("qop");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, operators_on_bytes, 0, 3);
    tcase_add_test(t, others_stay);
    tcase_add_loop_test(t, dynamic_convolution, 0, 8);
    tcase_add_test(t, transposes_settle);
    tcase_add_loop_test(t, global_max_of_bytes, 0, 3);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
