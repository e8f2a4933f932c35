/* Attributes and shapes that cannot be right are refused with a message, and a sweep of random attributes never crashes
 * (run under the sanitizers); symbols pass through inference. */
#include "nn_case.h"

/* A convolution-like node on x [1,4,8,8], w [4,4,3,3]. */
static void conv(const char *op)
{
    nn_begin("", op);
    nn_random(MCOMP_F32, NN_D(1, 4, 8, 8), 1);
    nn_random(MCOMP_F32, NN_D(4, 4, 3, 3), 2);
}

START_TEST(bad_windows)
{
    static const struct {
        const char *name;
        int64_t v[4];
        int32_t n, code;
    } cases[] = {
        {"strides", {0, 1}, 2, MCOMP_FORMAT},      {"strides", {1, -1}, 2, MCOMP_FORMAT},
        {"strides", {1}, 1, MCOMP_FORMAT},         {"dilations", {0, 1}, 2, MCOMP_FORMAT},
        {"dilations", {1, INT64_MAX}, 2, MCOMP_FORMAT}, {"pads", {-1, 0, 0, 0}, 4, MCOMP_FORMAT},
        {"pads", {0, 0}, 2, MCOMP_FORMAT},         {"pads", {INT64_MAX, 0, 0, 0}, 4, MCOMP_FORMAT},
        {"kernel_shape", {0, 3}, 2, MCOMP_FORMAT}, {"kernel_shape", {2, 3}, 2, MCOMP_SHAPE},
        {"dilations", {9, 9}, 2, MCOMP_SHAPE},
    };
    const char *const ops[] = {"Conv", "ConvTranspose"};
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            if (k == 1 && i == 10) continue; /* a transposed convolution has room for it */
            conv(ops[k]);
            nn_ints(cases[i].name, cases[i].v, cases[i].n);
            nn_fails(cases[i].code);
        }
    const int64_t groups[] = {0, -1, 3, INT64_MAX};
    for (int i = 0; i < 4; i++) {
        conv("Conv");
        nn_i("group", groups[i]);
        nn_fails(i == 2 ? MCOMP_SHAPE : MCOMP_FORMAT);
    }
    conv("Conv");
    nn_s("auto_pad", "SAME\x01_SIDEWAYS");
    nn_fails(MCOMP_FORMAT);
    conv("ConvTranspose");
    nn_ints("output_shape", (int64_t[]){0, 0}, 2);
    nn_fails(MCOMP_FORMAT);
    conv("ConvTranspose");
    nn_ints("pads", (int64_t[]){9, 9, 9, 9}, 4);
    nn_fails(MCOMP_SHAPE);
}
END_TEST

START_TEST(bad_ranks)
{
    nn_begin("", "Conv"); /* weight of higher rank than the input */
    nn_random(MCOMP_F32, NN_D(1, 4, 8), 1);
    nn_random(MCOMP_F32, NN_D(4, 4, 3, 3), 2);
    nn_fails(MCOMP_SHAPE);
    nn_begin("", "Conv");
    nn_random(MCOMP_F32, NN_D(4), 1);
    nn_random(MCOMP_F32, NN_D(4), 2);
    nn_fails(MCOMP_SHAPE);
    nn_begin("", "Conv");
    nn_random(MCOMP_F32, NN_D(1, 4, 8, 8), 1);
    nn_random(MCOMP_F64, NN_D(4, 4, 3, 3), 2);
    nn_fails(MCOMP_DTYPE);
    nn_begin("", "MatMul");
    nn_random(MCOMP_F32, NN_D(2, 3), 1);
    nn_random(MCOMP_F32, NN_D(4, 3), 2);
    nn_fails(MCOMP_SHAPE);
    nn_begin("", "MatMul");
    nn_scalar(MCOMP_F32, 1);
    nn_random(MCOMP_F32, NN_D(4, 3), 2);
    nn_fails(MCOMP_SHAPE);
    nn_begin("", "Gemm");
    nn_random(MCOMP_F32, NN_D(2, 3), 1);
    nn_random(MCOMP_F32, NN_D(3, 4), 2);
    nn_i("transB", 823);
    nn_fails(MCOMP_FORMAT);
    nn_begin("", "Gemm");
    nn_random(MCOMP_F32, NN_D(2, 3), 1);
    nn_random(MCOMP_F32, NN_D(3, 4), 2);
    nn_random(MCOMP_F32, NN_D(3), 3);
    nn_fails(MCOMP_SHAPE);
    nn_begin("", "Softmax");
    nn_random(MCOMP_F32, NN_D(2, 3), 1);
    nn_i("axis", -9);
    nn_fails(MCOMP_FORMAT);
    nn_begin("", "LayerNormalization");
    nn_random(MCOMP_F32, NN_D(2, 3), 1);
    nn_random(MCOMP_F32, NN_D(4), 1);
    nn_fails(MCOMP_SHAPE);
    nn_begin("", "GroupNormalization");
    nn_random(MCOMP_F32, NN_D(1, 4, 2), 1);
    nn_random(MCOMP_F32, NN_D(4), 1);
    nn_random(MCOMP_F32, NN_D(4), 1);
    nn_i("num_groups", 3);
    nn_fails(MCOMP_SHAPE);
    nn_begin("", "MaxPool"); /* no kernel_shape */
    nn_random(MCOMP_F32, NN_D(1, 4, 8), 1);
    nn_fails(MCOMP_FORMAT);
    nn_begin("", "MaxPool"); /* padding not smaller than the window */
    nn_random(MCOMP_F32, NN_D(1, 4, 8), 1);
    nn_ints("kernel_shape", (int64_t[]){2}, 1);
    nn_ints("pads", (int64_t[]){2, 0}, 2);
    nn_fails(MCOMP_FORMAT);
}
END_TEST

START_TEST(bad_fused)
{
    nn_begin("mcomp", "Linear");
    nn_random(MCOMP_F32, NN_D(2, 3), 1);
    nn_random(MCOMP_F32, NN_D(3, 4), 2);
    nn_s("act", "rely");
    nn_fails(MCOMP_FORMAT);
    nn_begin("mcomp", "QLinear"); /* no scale for a quantized input */
    nn_random(MCOMP_U8, NN_D(2, 3), 1);
    nn_random(MCOMP_I8, NN_D(3, 4), 2);
    NN_IN(F32, NN_D(4), NN_V(1, 1, 1, 1));
    nn_fails(MCOMP_RANGE);
    nn_begin("mcomp", "QLut");
    nn_random(MCOMP_U8, NN_D(2), 1);
    nn_random(MCOMP_U8, NN_D(255), 2);
    nn_fails(MCOMP_SHAPE);
    nn_begin("mcomp", "Attention");
    nn_random(MCOMP_F32, NN_D(1, 2, 6), 1);
    nn_random(MCOMP_F32, NN_D(1, 2, 6), 1);
    nn_random(MCOMP_F32, NN_D(1, 2, 6), 1);
    nn_i("heads", 2);
    nn_i("q_offset", 4);
    nn_i("q_width", 4);
    nn_fails(MCOMP_SHAPE);
}
END_TEST

/* Attribute values that fuzzers try first. */
static int64_t odd_number(uint64_t *seed)
{
    static const int64_t pool[] = {0, 1, 1, 1, 2, 2, 3, 4, 5, -1, -2, 7, 16, 255, INT32_MAX, INT64_MAX, INT64_MIN, (int64_t)1 << 40};
    return pool[(int)(((double)mc_test_random(seed) + 1.0) * 0.5 * 17.99)];
}

START_TEST(random_attributes)
{
    static const char *const lists[] = {"kernel_shape", "strides", "pads", "dilations", "output_padding", "output_shape", "axes"};
    static const char *const ints[] = {"group", "axis", "ceil_mode", "count_include_pad", "storage_order", "transA", "transB",
                                       "block_size", "output_dtype", "hidden_size", "layout", "num_groups", "size", "stash_type",
                                       "heads", "q_offset", "k_width", "v_offset", "x_zp", "y_dtype", "trans_w", "auto_pad"};
    const mc_op *const *all;
    const int32_t n_ops = mc_op_all(&all);
    uint64_t seed = 2024;
    int64_t ran = 0;
    for (int32_t round = 0; round < 6000; round++) {
        const mc_op *op = all[round % n_ops];
        if (!op->forward || op->max_in > 9 || op->max_in < 1 || (op->traits & MC_OP_CONTROL)) continue;
        nn_begin_outs(op->domain, op->name, op->max_out < 0 ? 1 : op->max_out);
        for (int32_t i = 0; i < op->max_in; i++) {
            int64_t dims[4];
            const int32_t rank = (int32_t)(((double)mc_test_random(&seed) + 1.0) * 2.49);
            const double kind = (double)mc_test_random(&seed);
            for (int32_t d = 0; d < rank; d++) dims[d] = (int64_t)(((double)mc_test_random(&seed) + 1.0) * 2.49);
            if (i >= op->min_in && kind > 0.8) nn_omit();
            else nn_random(kind > -0.4 ? MCOMP_F32 : kind > -0.6 ? MCOMP_U8 : kind > -0.8 ? MCOMP_I8 : MCOMP_I64, dims, rank, seed);
        }
        for (size_t k = 0; k < sizeof lists / sizeof *lists; k++) {
            int64_t v[6];
            const int32_t n = (int32_t)(((double)mc_test_random(&seed) + 1.0) * 3.49);
            for (int32_t j = 0; j < n && j < 6; j++) v[j] = odd_number(&seed);
            if (mc_test_random(&seed) > 0.6f) nn_ints(lists[k], v, n < 6 ? n : 6);
        }
        for (size_t k = 0; k < sizeof ints / sizeof *ints; k++)
            if (mc_test_random(&seed) > 0.7f) nn_i(ints[k], odd_number(&seed));
        nn_f("x_scale", mc_test_random(&seed));
        nn_f("y_scale", mc_test_random(&seed));
        mc_error_clear();
        const int32_t st = mc_op_eval_limit(nn_node, nn_count, (const mc_tensor *const *)nn_in, (uint64_t)1 << 20, nn_out);
        ck_assert_msg(st == MCOMP_OK || mc_error_peek()->message[0], "%s fails without a message", op->name);
        ck_assert_int_ne(st, MCOMP_INTERNAL);
        ran += st == MCOMP_OK;
        nn_end();
    }
    ck_assert_int_gt(ran, 100);
}
END_TEST

/* [B,C,S] symbols through a convolution that keeps sizes, and through one that does not. */
START_TEST(symbols)
{
    mc_graph *g;
    mc_value *x, *w, *y;
    mc_node *n;
    mc_tensor *t;
    mc_type type = {.dtype = MCOMP_F32, .rank = 3};
    const mc_shape s = mc_shape_make(3, (const int64_t[]){5, 4, 3});
    mc_ops_register();
    mc_ck_ok(mc_graph_create(&g, "symbols"));
    mc_ck_ok(mc_graph_symbol(g, "B", &type.dim[0]));
    mc_ck_ok(mc_graph_symbol(g, "S", &type.dim[2]));
    type.dim[1] = 4;
    mc_ck_ok(mc_graph_add_input(g, "x", &type, &x));
    mc_ck_ok(mc_tensor_create(&t, MCOMP_F32, &s));
    mc_ck_ok(mc_graph_add_const(g, "w", t, &w));
    mc_ck_ok(mc_graph_add_node(g, "", "Conv", 0, "keep", 2, (mc_value *[]){x, w}, 1, NULL, &n));
    mc_ck_ok(mc_node_set_ints(n, "pads", (int64_t[]){1, 1}, 2));
    mc_ck_ok(mc_infer_node(g, n));
    y = n->out[0];
    ck_assert_int_eq(y->type.dim[0], type.dim[0]);
    ck_assert_int_eq(y->type.dim[1], 5);
    ck_assert_int_eq(y->type.dim[2], type.dim[2]);
    mc_ck_ok(mc_graph_add_node(g, "", "Conv", 0, "shrink", 2, (mc_value *[]){x, w}, 1, NULL, &n));
    mc_ck_ok(mc_infer_node(g, n));
    ck_assert_int_lt(n->out[0]->type.dim[2], 0);
    ck_assert_int_ne(n->out[0]->type.dim[2], type.dim[2]);
    mc_ck_ok(mc_graph_add_node(g, "", "MatMul", 0, "product", 2, (mc_value *[]){y, x}, 1, NULL, &n)); /* [B,5,S] x [B,4,S] */
    mc_ck_ok(mc_infer_node(g, n)); /* inner sizes S and 4: only the run can tell */
    ck_assert_int_eq(n->out[0]->type.dim[0], type.dim[0]);
    mc_graph_destroy(g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("nn_hostile");
    TCase *t = tcase_create("all");
    tcase_add_test(t, bad_windows);
    tcase_add_test(t, bad_ranks);
    tcase_add_test(t, bad_fused);
    tcase_add_test(t, random_attributes);
    tcase_add_test(t, symbols);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
