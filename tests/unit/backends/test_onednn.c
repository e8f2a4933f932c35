/* The oneDNN plugin through its table, as the library loads it: claims, every tile shape, epilogues, refusals. */
#include "onednn_case.h"

static void check(const char *op, const char *attrs, uint32_t constant, int32_t n_in, mc_tensor *const *in)
{
    mc_node_case c = {.domain = "mcomp", .op = op, .attrs = attrs, .n_in = n_in, .n_out = 1, .constant = constant, .api = api,
                      .instance = instance, .kernel = "onednn:", .rtol = 2e-5, .atol = 2e-5};
    for (int32_t k = 0; k < n_in; k++) c.in[k] = in[k];
    mc_ck_node(&c);
}
#define CHECK(op, attrs, constant, ...)                                                                                \
    check(op, attrs, constant, (int32_t)(sizeof((mc_tensor *[]){__VA_ARGS__}) / sizeof(mc_tensor *)), (mc_tensor *[]){__VA_ARGS__})
#define F(seed, ...) mc_test_f32(seed, (int32_t)(sizeof((int[]){__VA_ARGS__}) / sizeof(int)), __VA_ARGS__)

START_TEST(linear)
{
    static const int rows[] = {1, 2, 3, 7, 15, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, 200};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK("Linear", NULL, 2, F(1, rows[i], 48), F(2, 48, 40));
        CHECK("Linear", "act='gelu' trans_w=1", 6, F(1, 1, rows[i], 33), F(2, 20, 33), F(3, 20));
        CHECK("Linear", "ln_eps=0.001f post_act='relu'", 0x36, F(1, rows[i], 64), F(2, 64, 96), F(3, 96), F(4, rows[i], 96), F(5, 96), F(6, 96));
    }
    CHECK("Linear", NULL, 2, F(1, 128, 384), F(2, 384, 384));
}
END_TEST

START_TEST(conv)
{
    CHECK("Conv", "kernel_shape=[1,1]", 6, F(1, 2, 9, 7, 32), F(2, 48, 32, 1, 1), F(3, 48));
    CHECK("Conv", "kernel_shape=[3,3] pads=[1,1,1,1] act='relu'", 6, F(1, 2, 28, 28, 32), F(2, 48, 32, 3, 3), F(3, 48));
    CHECK("Conv", "kernel_shape=[3,3] pads=[1,1,1,1] post_act='relu'", 6, F(1, 1, 7, 7, 64), F(2, 128, 64, 3, 3), F(3, 128), F(4, 1, 7, 7, 128));
    CHECK("Conv", "kernel_shape=[7,7] strides=[2,2] pads=[3,3,3,3]", 2, F(1, 1, 40, 60, 3), F(2, 32, 3, 7, 7));
    CHECK("Conv", "kernel_shape=[3,3] dilations=[2,2] pads=[2,1,0,3]", 2, F(1, 1, 20, 19, 16), F(2, 32, 16, 3, 3));
    CHECK("Conv", "kernel_shape=[3,3] pads=[1,1,1,1] group=64 act='clip' act_lo=0.0f act_hi=0.5f", 6, F(1, 1, 15, 13, 64), F(2, 64, 1, 3, 3), F(3, 64));
    CHECK("Conv", "kernel_shape=[5] pads=[2,2]", 6, F(1, 1, 70, 16), F(2, 32, 16, 5), F(3, 32));
    CHECK("Conv", "kernel_shape=[1,1] strides=[2,2]", 2, F(1, 2, 15, 15, 32), F(2, 64, 32, 1, 1));
}
END_TEST

/* The same bits whatever the number of threads. */
START_TEST(any_number_of_threads)
{
    static float first[200 * 96];
    for (int32_t workers = 1; workers <= 3; workers++) {
        mc_node_case c = {.domain = "mcomp", .op = "Linear", .n_in = 2, .n_out = 1, .constant = 2, .api = api, .instance = instance,
                          .rtol = 2e-5, .atol = 2e-5, .threads = workers, .keep = workers == 1 ? first : NULL, .same = workers > 1 ? first : NULL};
        c.in[0] = F(1, 200, 128);
        c.in[1] = F(2, 128, 96);
        mc_ck_node(&c);
    }
}
END_TEST

START_TEST(refusals)
{
    mcomp_bk_instance *other = NULL;
    const char *keys[] = {"bf16", "colour"}, *values[] = {"1", "red"};
    mc_ck_ok(api->create(&other, 0, keys, values, 1));
    mc_ck_ok(api->self_test(other));
    api->destroy(other);
    other = NULL;
    mc_ck_fails(api->create(&other, 0, keys, values, 2), MCOMP_ARGUMENT);
    ck_assert(other == NULL);
    setenv("MCOMP_ISA", "ref", 1);
    ck_assert_int_eq(api->score(), 0);
    unsetenv("MCOMP_ISA");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {linear, conv, any_number_of_threads, refusals};
    return run_suite("onednn", tests, sizeof tests / sizeof *tests);
}
