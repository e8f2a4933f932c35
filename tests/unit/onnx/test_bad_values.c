/* Hostile values where the form of the file is right: numbers of Q/DQ pairs, function calls that never end, a header that lies by size. */
#include <math.h>

#include "unit/onnx/pb.h"

/* x [2,4] -> QuantizeLinear(scale, zp, axis) -> DequantizeLinear(the same) -> y */
static pb pair(const pb *scale, const pb *zero, int64_t axis)
{
    pb g = pb_graph(), q = pb_node("QuantizeLinear", "quant", "x,s,z", "q"), d = pb_node("DequantizeLinear", "dequant", "q,s,z", "y");
    pb_attr_int(&q, "axis", axis);
    pb_attr_int(&d, "axis", axis);
    pb_msg(&g, 1, &q);
    pb_msg(&g, 1, &d);
    pb_msg(&g, 5, scale);
    pb_msg(&g, 5, zero);
    return g;
}

static pb scales(int n, float v)
{
    float all[8];
    const int64_t dim = n > 0 ? n : 1;
    for (int i = 0; i < 8; i++) all[i] = i == (n > 0 ? n - 1 : 0) ? v : 0.5f; /* the last one is the odd one */
    pb t = pb_tensor("s", 1, n > 0, &dim);
    pb_bytes(&t, 9, all, sizeof(float) * (size_t)dim);
    return t;
}

static pb zeros(int n, int64_t dtype)
{
    static const uint8_t none[32] = {0};
    const int64_t dim = n > 0 ? n : 1;
    pb t = pb_tensor("z", dtype, n > 0, &dim);
    pb_bytes(&t, 9, none, (size_t)dim * (dtype == 2 || dtype == 3 ? 1 : 4));
    return t;
}

/* n scales and m zero points (0: scalars). */
static void refused_pair(int n, float v, int m, int64_t zero_dtype, int64_t axis, int32_t code, const char *what)
{
    const pb s = scales(n, v), z = zeros(m, zero_dtype), g = pair(&s, &z, axis);
    pb_refused(&g, 13, code, what);
    ck_assert_ptr_nonnull(strstr(mc_error_peek()->where, "quant"));
}

START_TEST(bad_017_scales_and_zero_points)
{
    static const float wrong[] = {0.0f, -0.0f, -0.5f, NAN, INFINITY, -INFINITY};
    mc_graph *g = NULL;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        for (int n = 0; n <= 4; n += 4) {
            refused_pair(n, wrong[i], n, 2, 1, MCOMP_RANGE, "\"s\"");
            ck_assert_ptr_nonnull(strstr(mc_error_peek()->message, n ? "[3]" : "[0]")); /* which of them */
        }
    refused_pair(3, 0.5f, 3, 2, 1, MCOMP_SHAPE, "number of scales"); /* x has 4 channels */
    refused_pair(5, 0.5f, 5, 2, 1, MCOMP_SHAPE, "number of scales");
    refused_pair(4, 0.5f, 3, 2, 1, MCOMP_SHAPE, "zero point");
    refused_pair(4, 0.5f, 4, 2, 2, MCOMP_FORMAT, "axis");
    refused_pair(4, 0.5f, 4, 2, -3, MCOMP_FORMAT, "axis");
    refused_pair(4, 0.5f, 4, 2, INT64_MIN, MCOMP_FORMAT, "axis");
    pb s = scales(0, 0.5f), z = zeros(0, 1); /* a zero point of floats: unknown, opaque, never run */
    pb graph = pair(&s, &z, 1), m = pb_model_of(&graph, 13, 8);
    const int32_t st = pb_load(&m, &g);
    if (st == MCOMP_OK) ck_assert_ptr_null(mc_graph_find_node(g, "quant")->desc);
    else ck_assert_int_eq(st, MCOMP_DTYPE);
    mc_graph_destroy(g);
    const int64_t none[1] = {0};
    z = pb_tensor("z", 2, 0, none); /* 256 does not fit */
    pb_bytes(&z, 5, "\x80\x02", 2);
    graph = pair(&s, &z, 1);
    pb_refused(&graph, 13, MCOMP_FORMAT, "z");
    s = scales(0, 1e-45f); /* denormal: a scale like any other */
    z = zeros(0, 2);
    graph = pair(&s, &z, 1);
    m = pb_model_of(&graph, 13, 8);
    mc_ck_ok(pb_load(&m, &g));
    mc_graph_destroy(g);
}
END_TEST

/* The same in the forms that quantizers write as one operator. */
START_TEST(bad_017_quantized_operators)
{
    static const float wrong[] = {0.0f, -1.0f, NAN, INFINITY};
    static const int64_t scalar[1] = {0}, square[2] = {4, 4};
    static const uint8_t bytes[16] = {0};
    static const char *const names[] = {"xs", "ws", "ys"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        for (int k = 0; k < 3; k++) {
            static const int64_t dims[2] = {2, 4};
            pb g = {.n = 0}, x = pb_value("x", 2, 2, dims), y = {.n = 0}, w = pb_tensor("w", 2, 2, square), z = pb_tensor("z", 2, 0, scalar);
            pb n = pb_node("QLinearMatMul", "product", "x,xs,z,w,ws,z,ys,z", "y");
            pb_bytes(&w, 9, bytes, 16);
            pb_bytes(&z, 9, bytes, 1);
            pb_str(&y, 1, "y");
            pb_msg(&g, 11, &x);
            pb_msg(&g, 12, &y);
            pb_msg(&g, 1, &n);
            pb_msg(&g, 5, &w);
            pb_msg(&g, 5, &z);
            for (int j = 0; j < 3; j++) {
                const float v = j == k ? wrong[i] : 0.25f;
                pb s = pb_tensor(names[j], 1, 0, scalar);
                pb_bytes(&s, 9, &v, 4);
                pb_msg(&g, 5, &s);
            }
            pb_refused(&g, 13, MCOMP_RANGE, names[k]);
        }
}
END_TEST

/* f's body holds an If whose branch calls f again: the call is named, and nothing recurses. */
START_TEST(bad_008_function_cycle_in_a_subgraph)
{
    mc_graph *g = NULL;
    static const int64_t no_dims[1] = {0};
    pb graph = pb_graph(), call = pb_node("endless", "call", "x", "y"), fn = {.n = 0}, branch = {.n = 0}, out = {.n = 0}, again = pb_node("endless", "again", "a", "r"),
       n = pb_node("If", "choice", "c", "b"), mine = {.n = 0}, own = {.n = 0}, c = pb_node("Constant", "", "", "c"), t = pb_tensor("t", 9, 0, no_dims);
    pb_str(&call, 7, "my");
    pb_str(&again, 7, "my");
    pb_msg(&graph, 1, &call);
    pb_bytes(&t, 9, "\1", 1);
    pb_attr_msg(&c, "value", 4, &t);
    pb_str(&out, 1, "r");
    pb_msg(&branch, 1, &again);
    pb_msg(&branch, 12, &out);
    pb_attr_msg(&n, "then_branch", 5, &branch);
    pb_attr_msg(&n, "else_branch", 5, &branch);
    pb_str(&fn, 1, "endless");
    pb_str(&fn, 4, "a");
    pb_str(&fn, 5, "b");
    pb_msg(&fn, 7, &c);
    pb_msg(&fn, 7, &n);
    pb_str(&own, 1, "");
    pb_int(&own, 2, 13);
    pb_msg(&fn, 9, &own);
    pb_str(&fn, 10, "my");
    pb_str(&mine, 1, "my");
    pb_int(&mine, 2, 1);
    pb m = pb_model_of(&graph, 13, 8);
    pb_msg(&m, 8, &mine);
    pb_msg(&m, 25, &fn);
    const int32_t st = pb_load(&m, &g);
    ck_assert_msg(st == MCOMP_FORMAT || st == MCOMP_LIMIT, "%s: %s", mcomp_status_name(st), mc_error_peek()->message);
    ck_assert_ptr_null(g);
    ck_assert_msg(strstr(mc_error_peek()->message, "endless") || strstr(mc_error_peek()->where, "endless"), "%s (%s)", mc_error_peek()->message, mc_error_peek()->where);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("onnx/bad_values");
    TCase *t = tcase_create("bad");
    tcase_add_test(t, bad_017_scales_and_zero_points);
    tcase_add_test(t, bad_017_quantized_operators);
    tcase_add_test(t, bad_008_function_cycle_in_a_subgraph);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
