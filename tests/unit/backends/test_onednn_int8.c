/* The oneDNN plugin's integers: bit-equal to the operators' references where it claims them, refused with a reason where they
 * would not be exact (without VNNI) or are not its own (averages of bytes); pools. */
#include "int8_case.h"
#include "onednn_case.h"

static mc_node_case node_case(const char *op, const char *attrs, uint32_t constant, int32_t n_in, mc_tensor *const *in)
{
    mc_node_case c = {.domain = "mcomp", .op = op, .attrs = attrs, .n_in = n_in, .n_out = 1, .constant = constant, .api = api,
                      .instance = instance, .kernel = "onednn:"};
    for (int32_t k = 0; k < n_in; k++) c.in[k] = in[k];
    return c;
}

static void check(const char *op, const char *attrs, uint32_t constant, double tolerance, int32_t n_in, mc_tensor *const *in)
{
    mc_node_case c = node_case(op, attrs, constant, n_in, in);
    c.rtol = c.atol = tolerance; /* 0: the same bits */
    mc_ck_node(&c);
}
#define CHECK(op, attrs, constant, ...)                                                                                \
    check(op, attrs, constant, 0.0, (int32_t)(sizeof((mc_tensor *[]){__VA_ARGS__}) / sizeof(mc_tensor *)), (mc_tensor *[]){__VA_ARGS__})
#define EXTREME(dtype, seed, ...) extreme(dtype, DIMS(__VA_ARGS__), seed)

/* Only the ends of the range, in runs, so that pairs of products overflow 16 bits. */
static mc_tensor *extreme(int32_t dtype, const int64_t *dims, int32_t rank, uint64_t seed)
{
    mc_tensor *t = bytes(dtype, dims, rank, seed);
    for (int64_t i = 0; i < mc_tensor_elements(t); i++)
        ((uint8_t *)t->data)[i] = dtype == MCOMP_U8 ? (i / 5 % 3 ? 255 : 0) : (uint8_t)(i / 7 % 2 ? 127 : -128);
    return t;
}

static int has_vnni(void) { return mc_cpu_isa() >= MC_ISA_AVX512_VNNI; }

START_TEST(linear)
{
    static const int shapes[][3] = {{1, 7, 5}, {1, 768, 300}, {33, 64, 100}, {128, 48, 33}, {300, 40, 70}, {7, 384, 96}, {65, 1030, 17}, {3, 5, 1}};
    if (!has_vnni()) return; /* refused: see below */
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const int m = shapes[i][0], k = shapes[i][1], n = shapes[i][2];
        CHECK("QLinear", X, 6, U8(1, m, k), S8(2, k, n), SCALES(3, n));
        CHECK("QLinear", XS Y "trans_w=1 act='relu'", 14, S8(1, 1, m, k), S8(2, n, k), SCALES(3, n), F(4, n));
        CHECK("QLinear", X YS "act='gelu'", 14, F(1, m, k), S8(2, k, n), SCALES(3, n), F(4, n));
        CHECK("QLinear", "mode='token' act='gelu'", 14, F(1, m, k), S8(2, k, n), SCALES(3, n), F(4, n));
        CHECK("QLinear", "mode='token' ln_eps=0.001f", 14 + 96, F(1, m, k), S8(2, k, n), SCALES(3, n), F(4, n), F(5, m, n), F(6, n), F(7, n));
        CHECK("QLinear", X Y "r_scale=0.03f r_zp=7 r_dtype=2 post_act='relu'", 14, U8(1, m, k), S8(2, k, n), SCALES(3, n), F(4, n), U8(5, m, n));
        CHECK("QLinear", X Y "m_scale=0.04f m_zp=5 m_dtype=3 r_scale=0.03f r_zp=7 r_dtype=2 post_act='relu'", 14, U8(1, m, k), S8(2, k, n), SCALES(3, n), F(4, n), U8(5, m, n));
        CHECK("QLinear", X Y "r_scale=0.03f r_zp=7 r_dtype=3 ln_eps=0.001f", 14 + 96, U8(1, m, k), S8(2, k, n), SCALES(3, n), F(4, n), S8(5, m, n), F(6, n), F(7, n));
    }
    CHECK("QLinear", X, 6, U8(1, 16, 513), S8(2, 513, 520), SCALES(3, 520)); /* parts of the columns */
    CHECK("QLinear", X Y, 6, U8(1, 1, 768), S8(2, 768, 3072), SCALES(3, 3072));
    CHECK("QLinear", XS, 6, S8(1, 16, 513), S8(2, 513, 520), SCALES(3, 520));
    CHECK("QLinear", XS Y "trans_w=1", 6, S8(1, 16, 768), S8(2, 1030, 768), SCALES(3, 1030));
    CHECK("QLinear", "mode='token'", 6, F(1, 9, 768), S8(2, 768, 1030), SCALES(3, 1030));
    CHECK("QLinear", X "trans_w=1", 6, U8(1, 5, 768), S8(2, 1030, 768), SCALES(3, 1030));
    CHECK("QLinear", X, 6, EXTREME(MCOMP_U8, 1, 40, 512), EXTREME(MCOMP_I8, 2, 512, 48), SCALES(3, 48));
    CHECK("QLinear", XS, 6, EXTREME(MCOMP_I8, 1, 40, 512), EXTREME(MCOMP_I8, 2, 512, 48), SCALES(3, 48));
}
END_TEST

START_TEST(conv)
{
    if (!has_vnni()) return;
    CHECK("QConv", X, 6, U8(1, 2, 9, 7, 8), S8(2, 20, 8, 1, 1), SCALES(3, 20));
    CHECK("QConv", X Y "strides=[2,2]", 14, U8(1, 2, 9, 7, 8), S8(2, 20, 8, 1, 1), SCALES(3, 20), F(4, 20));
    CHECK("QConv", XS YS "pads=[1,1,1,1]", 14, S8(1, 2, 9, 7, 8), S8(2, 70, 8, 3, 3), SCALES(3, 70), F(4, 70));
    CHECK("QConv", XS Y "pads=[3,3,3,3] strides=[2,2] act='relu'", 14, S8(1, 1, 37, 41, 3), S8(2, 64, 3, 7, 7), SCALES(3, 64), F(4, 64));
    CHECK("QConv", X Y "pads=[2,2] r_scale=0.03f r_zp=7 r_dtype=3 post_act='relu'", 14, U8(1, 2, 40, 6), S8(2, 33, 6, 5), SCALES(3, 33), F(4, 33), S8(5, 2, 40, 33));
    CHECK("QConv", X Y "m_scale=0.04f m_zp=-5 m_dtype=3 r_scale=0.03f r_zp=7 r_dtype=2 post_act='relu'", 14, U8(1, 1, 9, 11, 8), S8(2, 81, 8, 1, 1), SCALES(3, 81), F(4, 81), U8(5, 1, 9, 11, 81));
    CHECK("QConv", X Y "pads=[1,1,1,1] act='relu'", 14, U8(1, 1, 14, 14, 64), S8(2, 256, 64, 3, 3), SCALES(3, 256), F(4, 256)); /* parts */
    CHECK("QConv", X "pads=[1,1,1,1]", 6, EXTREME(MCOMP_U8, 1, 1, 8, 8, 64), EXTREME(MCOMP_I8, 2, 32, 64, 3, 3), SCALES(3, 32));
    /* s8 planes run on kernels that pass their sums through f32: claimed up to the depth where that is exact */
    CHECK("QConv", XS "pads=[1,1,1,1]", 6, EXTREME(MCOMP_I8, 1, 1, 8, 8, 56), EXTREME(MCOMP_I8, 2, 32, 56, 3, 3), SCALES(3, 32));
}
END_TEST

START_TEST(pools)
{
    CHECK("MaxPool", "kernel_shape=[3,3] strides=[2,2] pads=[1,1,1,1]", 0, F(1, 2, 13, 11, 40));
    CHECK("MaxPool", "kernel_shape=[2] strides=[2] ceil_mode=1", 0, F(1, 2, 13, 8));
    CHECK("GlobalMaxPool", NULL, 0, F(1, 2, 9, 11, 16));
    check("AveragePool", "kernel_shape=[3,3] strides=[2,2] pads=[1,1,1,1]", 0, 2e-6, 1, (mc_tensor *[]){F(1, 2, 13, 11, 24)});
    check("AveragePool", "kernel_shape=[3,2] pads=[1,1,1,0] count_include_pad=1", 0, 2e-6, 1, (mc_tensor *[]){F(1, 1, 9, 10, 16)});
    check("GlobalAveragePool", NULL, 0, 2e-6, 1, (mc_tensor *[]){F(1, 2, 7, 7, 64)});
    CHECK("MaxPool", "kernel_shape=[3,3] strides=[2,2] pads=[1,1,1,1]", 0, U8(1, 2, 13, 11, 40));
    CHECK("MaxPool", "kernel_shape=[2,2] strides=[2,2]", 0, S8(1, 1, 12, 12, 32));
}
END_TEST

/* The same bits whatever the number of threads. */
START_TEST(any_number_of_threads)
{
    static float first[200 * 96];
    if (!has_vnni()) return;
    for (int32_t workers = 1; workers <= 4; workers++) {
        mc_node_case c = node_case("QLinear", "mode='token'", 6, 3, (mc_tensor *[]){F(1, 200, 128), S8(2, 128, 96), SCALES(3, 96)});
        c.threads = workers;
        c.keep = workers == 1 ? first : NULL;
        c.same = workers > 1 ? first : NULL;
        mc_ck_node(&c);
    }
}
END_TEST

/* A node nobody runs: what the plugin says to it. */
static void refused(const char *op, const char *attrs, const char *reason, int32_t n_in, mc_tensor *const *in)
{
    mc_graph *g;
    mc_node *n;
    mcomp_claim claim = {.size = sizeof claim};
    mc_value *v[4] = {NULL};
    mc_ops_register();
    mc_ck_ok(mc_graph_create(&g, "refused"));
    for (int32_t i = 0; i < n_in; i++) {
        const mc_type t = mc_type_of(in[i]);
        if (i == 0) mc_ck_ok(mc_graph_add_input(g, NULL, &t, &v[i]));
        else mc_ck_ok(mc_graph_add_const(g, NULL, in[i], &v[i]));
    }
    mc_tensor_destroy(in[0]);
    mc_ck_ok(mc_graph_add_node(g, "mcomp", op, 0, "node", n_in, v, 1, NULL, &n));
    mc_test_set_attrs(n, attrs);
    mc_ck_ok(mc_infer_node(g, n));
    mc_error_clear();
    ck_assert_int_eq(api->claim(instance, (const mcomp_bk_node *)(const void *)n, &claim), 0);
    ck_assert_msg(strstr(mc_error_peek()->message, reason) != NULL, "%s: \"%s\"", op, mc_error_peek()->message);
    mc_graph_destroy(g);
}

START_TEST(refusals)
{
    refused("QAveragePool", X Y "kernel_shape=[2,2]", "rounds averages", 1, (mc_tensor *[]){U8(1, 1, 8, 8, 16)});
    refused("QLinear", "mode='tensor'", has_vnni() ? "tensor" : "VNNI", 3, (mc_tensor *[]){F(1, 8, 16), S8(2, 16, 8), SCALES(3, 8)});
    if (has_vnni()) return;
    refused("QLinear", X, "VNNI", 3, (mc_tensor *[]){U8(1, 8, 16), S8(2, 16, 8), SCALES(3, 8)});
    refused("QConv", X, "VNNI", 3, (mc_tensor *[]){U8(1, 1, 8, 8, 16), S8(2, 8, 16, 1, 1), SCALES(3, 8)});
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {linear, conv, pools, any_number_of_threads, refusals};
    return run_suite("onednn_int8", tests, sizeof tests / sizeof *tests);
}
