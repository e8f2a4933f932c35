/* Operators that move, select or convert elements, against the references. */
#include <math.h>
#include <stdio.h>

#include "unit/backends/cpu_case.h"

static mc_tensor *typed(int32_t dtype, uint64_t seed, int32_t rank, const int64_t *dims) { return mc_test_tensor(dtype, dims, rank, seed); }
#define T(dtype, seed, ...)                                                                                            \
    typed(dtype, seed, (int32_t)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]){__VA_ARGS__})

static const int32_t dtypes[] = {MCOMP_U8, MCOMP_F16, MCOMP_F32, MCOMP_I64};

START_TEST(transpose)
{
    for (size_t k = 0; k < 4; k++) {
        CHECK("transpose", "Transpose", NULL, 0, T(dtypes[k], 1, 37, 70));
        CHECK("transpose", "Transpose", "perm=[0,2,1,3]", 0, T(dtypes[k], 1, 2, 12, 12, 32));
        CHECK("transpose", "Transpose", "perm=[0,2,3,1]", 0, T(dtypes[k], 1, 2, 64, 17, 19));
        CHECK("transpose", "Transpose", "perm=[0,3,1,2]", 0, T(dtypes[k], 1, 2, 17, 19, 64));
        CHECK("transpose", "Transpose", "perm=[2,1,0,3]", 0, T(dtypes[k], 1, 3, 4, 5, 1));
        CHECK("transpose", "Transpose", "perm=[1,0]", 0, T(dtypes[k], 1, 500, 300));
        CHECK("transpose", "Transpose", "perm=[3,2,1,0]", 0, T(dtypes[k], 1, 3, 4, 5, 6));
    }
}
END_TEST

START_TEST(slice)
{
    for (size_t k = 0; k < 4; k++) {
        CHECK("slice", "Slice", NULL, 6, T(dtypes[k], 1, 20, 30), mc_test_ints(2, 3, -20), mc_test_ints(2, 15, -1));
        CHECK("slice", "Slice", NULL, 0x1e, T(dtypes[k], 1, 20, 30), mc_test_ints(1, 25), mc_test_ints(1, -100), mc_test_ints(1, 1), mc_test_ints(1, -3));
        CHECK("slice", "Slice", NULL, 0x1e, T(dtypes[k], 1, 20, 300), mc_test_ints(1, 0), mc_test_ints(1, 1000), mc_test_ints(1, -1), mc_test_ints(1, 2));
        CHECK("slice", "Slice", NULL, 6, T(dtypes[k], 1, 20, 30), mc_test_ints(1, 7), mc_test_ints(1, 3));
        CHECK("slice", "Slice", NULL, 0xe, T(dtypes[k], 1, 400, 300), mc_test_ints(1, 1), mc_test_ints(1, 399), mc_test_ints(1, 0));
    }
}
END_TEST

START_TEST(expand_tile_concat_split)
{
    for (size_t k = 0; k < 4; k++) {
        CHECK("expand", "Expand", NULL, 2, T(dtypes[k], 1, 3, 1, 5), mc_test_ints(4, 2, 3, 7, 5));
        CHECK("expand", "Expand", NULL, 2, T(dtypes[k], 1, 1, 1), mc_test_ints(2, 200, 300));
        CHECK("tile", "Tile", NULL, 2, T(dtypes[k], 1, 3, 4, 5), mc_test_ints(3, 2, 3, 1));
        CHECK("concat", "Concat", "axis=1", 0, T(dtypes[k], 1, 3, 4, 5), T(dtypes[k], 2, 3, 1, 5), T(dtypes[k], 3, 3, 100, 5));
        CHECK("concat", "Concat", "axis=-1", 0, T(dtypes[k], 1, 300, 100), T(dtypes[k], 2, 300, 120));
        CHECK("concat", "Concat", "axis=-1", 0, T(dtypes[k], 1, 2, 3, 4, 5, 1), T(dtypes[k], 2, 2, 3, 4, 5, 1)); /* shares of one element */
        mc_node_case c = {.domain = "", .op = "Split", .attrs = "axis=1", .n_in = 2, .n_out = 3, .constant = 2, .kernel = "split",
                          .in = {T(dtypes[k], 1, 4, 10, 3), mc_test_ints(3, 2, 3, 5)}};
        mc_ck_node(&c);
    }
}
END_TEST

START_TEST(views)
{
    CHECK("copy", "Reshape", NULL, 2, F(1, 6, 4), mc_test_ints(2, 3, 8));
    CHECK("copy", "Flatten", "axis=1", 0, F(1, 300, 20, 7));
    CHECK("copy", "Unsqueeze", NULL, 2, F(1, 30, 4), mc_test_ints(1, 0));
    CHECK("copy", "Squeeze", NULL, 2, F(1, 1, 80), mc_test_ints(1, 0));
}
END_TEST

START_TEST(gather)
{
    for (size_t k = 0; k < 4; k++) {
        CHECK("gather", "Gather", NULL, 0, T(dtypes[k], 1, 20, 33), mc_test_ints(4, 3, -1, 0, 19));
        CHECK("gather", "Gather", "axis=1", 0, T(dtypes[k], 1, 7, 20, 5), mc_test_ints(5, 19, -20, 3, 3, 3));
        CHECK("gather", "Gather", "axis=-1", 0, T(dtypes[k], 1, 70, 20), mc_test_ints(2, 5, 6));
    }
    for (int bad = -21; bad <= 20; bad += 41) {
        const int64_t dims[] = {2, 33};
        mc_node_case c = {.domain = "", .op = "Gather", .n_in = 2, .n_out = 1, .expect = MCOMP_RANGE, .in = {F(1, 20, 33), mc_test_ints(2, 0, bad)}};
        mc_tensor *want[] = {mc_test_tensor(MCOMP_F32, dims, 2, 1)};
        mc_ck_node_want(&c, want);
    }
}
END_TEST

START_TEST(pad)
{
    static const char *const modes[] = {"mode='constant'", "mode='edge'", "mode='reflect'", "mode='wrap'"};
    for (size_t m = 0; m < 4; m++) {
        CHECK("pad", "Pad", modes[m], 2, F(1, 5, 9), mc_test_ints(4, 1, 2, 3, 0));
        CHECK("pad", "Pad", modes[m], 0xa, F(1, 5, 200), mc_test_ints(2, 100, 7), NULL, mc_test_ints(1, -1));
        CHECK("pad", "Pad", modes[m], 2, T(MCOMP_U8, 1, 4, 5, 6), mc_test_ints(6, 0, 1, 1, 2, 0, 3));
    }
    CHECK("pad", "Pad", NULL, 2, F(1, 5, 9), mc_test_ints(4, -1, 2, 3, -4), mc_test_f32(3, 0));
}
END_TEST

START_TEST(resize)
{
    static const char *const forms[] = {NULL, "coordinate_transformation_mode='asymmetric' nearest_mode='floor'", "coordinate_transformation_mode='asymmetric'"};
    for (size_t f = 0; f < 3; f++)
        for (size_t k = 0; k < 4; k++)
            CHECK("resize", "Resize", forms[f], 8, T(dtypes[k], 1, 2, 5, 7, 9), NULL, NULL, mc_test_ints(4, 2, 5, 14, 18));
    for (size_t k = 0; k < 4; k++) CHECK("resize", "Resize", NULL, 8, T(dtypes[k], 1, 1, 7, 9, 4), NULL, NULL, mc_test_ints(4, 1, 21, 45, 4));
    CHECK("ref", "Resize", "coordinate_transformation_mode='asymmetric'", 8, F(1, 1, 3, 70, 9), NULL, NULL, mc_test_ints(4, 1, 3, 210, 9));
    CHECK("ref", "Resize", NULL, 8, F(1, 1, 3, 70, 9), NULL, NULL, mc_test_ints(4, 1, 3, 100, 9));
}
END_TEST

START_TEST(selecting)
{
    static const char *const compare[] = {"Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"}, *const arithmetic[] = {"Add", "Sub", "Mul", "Min", "Max"};
    static const int32_t types[] = {MCOMP_F32, MCOMP_I32, MCOMP_I64};
    for (size_t k = 0; k < 3; k++)
        for (size_t o = 0; o < 5; o++) {
            CHECK("select", compare[o], NULL, 0, T(types[k], 1, 30, 7), T(types[k], 2, 7));
            CHECK("select", compare[o], NULL, 0, T(types[k], 1, 30, 7, 300), T(types[k], 2, 7, 1));
            if (k > 0) CHECK("select", arithmetic[o], NULL, 0, T(types[k], 1, 30, 7), T(types[k], 2, 30, 1));
        }
    for (size_t k = 1; k < 3; k++) {
        CHECK("select", "Clip", NULL, 6, T(types[k], 1, 300), typed(types[k], 2, 0, NULL), typed(types[k], 3, 0, NULL));
        CHECK("select", "Clip", NULL, 6, T(types[k], 1, 300), NULL, typed(types[k], 3, 0, NULL));
    }
    CHECK("select", "Where", NULL, 0, T(MCOMP_BOOL, 1, 30, 1), F(1, 1, 70), F(2, 30, 70));
    CHECK("select", "Where", NULL, 0, T(MCOMP_BOOL, 1, 70), T(MCOMP_I64, 1, 1), T(MCOMP_I64, 2, 30, 70));
    mc_tensor *x = F(1, 9, 70);
    for (int64_t i = 0; i < 630; i += 11) mc_tensor_set_f64(x, i, i % 2 ? (double)INFINITY : (double)NAN);
    CHECK("select", "IsNaN", NULL, 0, x);
    CHECK("select", "And", NULL, 0, T(MCOMP_BOOL, 1, 9, 70), T(MCOMP_BOOL, 2, 70));
    CHECK("select", "Or", NULL, 0, T(MCOMP_BOOL, 1, 9, 70), T(MCOMP_BOOL, 2, 70));
    CHECK("select", "Xor", NULL, 0, T(MCOMP_BOOL, 1, 9, 70), T(MCOMP_BOOL, 2, 70));
}
END_TEST

START_TEST(cast)
{
    static const int32_t types[] = {MCOMP_F32, MCOMP_I32, MCOMP_I64, MCOMP_BOOL, MCOMP_F64, MCOMP_U8, MCOMP_I8, MCOMP_F16, MCOMP_BF16};
    char attr[16];
    for (size_t k = 0; k < 9; k++) {
        snprintf(attr, sizeof attr, "to=%d", types[k]);
        mc_tensor *x = F(1, 7, 50);
        for (int64_t i = 0; i < 350; i++) mc_tensor_set_f64(x, i, mc_tensor_get_f64(x, i) * (i % 5 == 0 ? 1e20 : 100.0));
        mc_tensor_set_f64(x, 3, (double)NAN);
        if (types[k] != MCOMP_U8 && types[k] != MCOMP_I8) CHECK(types[k] == MCOMP_F64 ? NULL : "cast", "Cast", attr, 0, x);
        else mc_tensor_destroy(x);
        CHECK("cast", "Cast", "to=1", 0, T(types[k], 1, 7, 50));
    }
    CHECK("cast", "Cast", "to=6", 0, T(MCOMP_I64, 1, 700, 500));
    CHECK("cast", "Cast", "to=7", 0, T(MCOMP_I32, 1, 7, 50));
    CHECK("cast", "Cast", "to=7", 0, T(MCOMP_BOOL, 1, 7, 50));
    CHECK("cast", "Cast", "to=9", 0, T(MCOMP_I64, 1, 7, 50));
}
END_TEST

START_TEST(glue)
{
    CHECK("glue", "Shape", NULL, 0, F(1, 7, 50));
    CHECK("glue", "Add", NULL, 0, T(MCOMP_U64, 1, 4), T(MCOMP_U64, 1, 4));

}
END_TEST

int main(void)
{
    Suite *s = suite_create("cpu_move");
    TCase *t = tcase_create("implementations");
    const int n = tier_count();
    tcase_add_loop_test(t, transpose, 0, n);
    tcase_add_loop_test(t, slice, n - 1, n);
    tcase_add_loop_test(t, expand_tile_concat_split, n - 1, n);
    tcase_add_loop_test(t, views, n - 1, n);
    tcase_add_loop_test(t, gather, n - 1, n);
    tcase_add_loop_test(t, pad, n - 1, n);
    tcase_add_loop_test(t, resize, n - 1, n);
    tcase_add_loop_test(t, selecting, n - 1, n);
    tcase_add_loop_test(t, cast, n - 1, n);
    tcase_add_loop_test(t, glue, n - 1, n);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
