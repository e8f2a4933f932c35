/* Sizes that overflow, broadcasting, element access, half floats, buffers. */
#include "support/support.h"

#include <math.h>
#include <mcomp/tensor.h>

#include "tensor/tensor.h"

static mc_shape shape(int32_t rank, const int64_t *d) { return mc_shape_make(rank, d); }

START_TEST(sizes_never_wrap)
{
    static const int64_t bad[][3] = {{(int64_t)1 << 62, 4, 1}, {INT64_MAX, 2, 1}, {0, INT64_MAX, INT64_MAX}, {3037000500, 3037000500, 2}};
    int64_t n;
    uint64_t bytes;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const mc_shape s = shape(3, bad[i]);
        mc_ck_fails(mc_shape_elements(&s, &n), MCOMP_LIMIT);
        mc_ck_fails(mc_size_bytes(MCOMP_U8, &s, &bytes), MCOMP_LIMIT);
    }
    const mc_shape negative = shape(1, (const int64_t[]){-1});
    mc_ck_fails(mc_shape_elements(&negative, &n), MCOMP_SHAPE);
    const mc_shape zero = shape(2, (const int64_t[]){0, 5});
    mc_ck_ok(mc_size_bytes(MCOMP_F32, &zero, &bytes));
    ck_assert_uint_eq(bytes, 0);
    const mc_shape odd = shape(1, (const int64_t[]){3});
    mc_ck_ok(mc_size_bytes(MCOMP_I4, &odd, &bytes));
    ck_assert_uint_eq(bytes, 2);
    const mc_shape large = shape(1, (const int64_t[]){INT64_MAX / 4});
    mc_ck_fails(mc_size_bytes(MCOMP_F64, &large, &bytes), MCOMP_LIMIT);
}
END_TEST

START_TEST(broadcasting)
{
    const mc_shape a = shape(3, (const int64_t[]){2, 1, 4}), b = shape(2, (const int64_t[]){3, 1}), c = shape(1, (const int64_t[]){5});
    mc_shape out;
    int64_t strides[MC_MAX_RANK];
    mc_ck_ok(mc_shape_broadcast(&a, &b, &out));
    ck_assert_int_eq(out.rank, 3);
    ck_assert_int_eq(out.dim[1], 3);
    mc_shape_broadcast_strides(&b, &out, strides);
    ck_assert_int_eq(strides[0], 0);
    ck_assert_int_eq(strides[1], 1);
    ck_assert_int_eq(strides[2], 0);
    mc_ck_fails(mc_shape_broadcast(&a, &c, &out), MCOMP_SHAPE);
}
END_TEST

START_TEST(opaque_types_have_no_elements)
{
    const mc_shape one = shape(1, (const int64_t[]){1});
    mc_tensor *t;
    mc_ck_ok(mc_tensor_create(&t, MCOMP_F8E4M3FN, &one)); /* bytes only: reading gives 0, writing does nothing, both return */
    mc_tensor_set_f64(t, 0, 1.0);
    mc_tensor_set_i64(t, 0, 1);
    ck_assert_double_eq(mc_tensor_get_f64(t, 0), 0.0);
    ck_assert_int_eq(mc_tensor_get_i64(t, 0), 0);
    mc_tensor_destroy(t);
}
END_TEST

START_TEST(half_floats_round_to_even)
{
    for (uint32_t h = 0; h < 65536; h++) {
        const float f = mc_f16_to_f32((uint16_t)h);
        if (isnan(f)) continue;
        ck_assert_uint_eq(mc_f32_to_f16(f), h);
    }
    ck_assert_uint_eq(mc_f32_to_f16(65520.0f), 0x7c00);
    ck_assert_uint_eq(mc_f32_to_f16(65519.0f), 0x7bff);
    ck_assert_uint_eq(mc_f32_to_f16(1.0f + 0x1p-11f), 0x3c00);
    ck_assert_uint_eq(mc_f32_to_bf16(1.0f + 0x1p-8f), 0x3f80);
    ck_assert_int_eq(isnan(mc_f16_to_f32(mc_f32_to_f16(NAN))), 1);
    ck_assert_int_eq(isnan(mc_bf16_to_f32(mc_f32_to_bf16(NAN))), 1);
}
END_TEST

START_TEST(integers_saturate_and_round)
{
    mc_tensor *t;
    const mc_shape s = shape(1, (const int64_t[]){4});
    mc_ck_ok(mc_tensor_create(&t, MCOMP_I8, &s));
    mc_tensor_set_f64(t, 0, 300.0);
    mc_tensor_set_f64(t, 1, -300.0);
    mc_tensor_set_f64(t, 2, 2.5);
    mc_tensor_set_f64(t, 3, 3.5);
    ck_assert_int_eq(mc_tensor_get_i64(t, 0), 127);
    ck_assert_int_eq(mc_tensor_get_i64(t, 1), -128);
    ck_assert_int_eq(mc_tensor_get_i64(t, 2), 2);
    ck_assert_int_eq(mc_tensor_get_i64(t, 3), 4);
    mc_tensor_destroy(t);
}
END_TEST

static int released;
static void release(void *payload, void *data)
{
    (void)payload;
    (void)data;
    released++;
}

START_TEST(buffers_count_references)
{
    static float memory[6];
    mcomp_tensor *t;
    mc_tensor *share;
    const int64_t dims[2] = {2, 3};
    mc_ck_fails(mcomp_tensor_wrap(&t, MCOMP_F32, 2, dims, memory, 20, release, NULL), MCOMP_ARGUMENT);
    mc_ck_ok(mcomp_tensor_wrap(&t, MCOMP_F32, 2, dims, memory, sizeof memory, release, NULL));
    mc_ck_ok(mc_tensor_share(&share, &t->t));
    mcomp_tensor_destroy(t);
    ck_assert_int_eq(released, 0);
    mc_tensor_destroy(share);
    ck_assert_int_eq(released, 1);
    mc_buffer *b = mc_buffer_alloc(16);
    const mc_shape five = shape(1, (const int64_t[]){5});
    ck_assert_int_ne(mc_tensor_from_buffer(&share, MCOMP_F32, &five, b, 0), MCOMP_OK);
    mc_buffer_unref(b);
}
END_TEST

START_TEST(bad_043_a_byte_too_few_or_too_many)
{
    static uint8_t memory[24] __attribute__((aligned(64)));
    static const int64_t dims[1] = {4};
    mcomp_tensor *t = NULL;
    memset(memory, 0xa5, sizeof memory);
    for (uint64_t n = 0; n < sizeof memory; n++) {
        if (n == 16) continue;
        mc_ck_fails(mcomp_tensor_wrap(&t, MCOMP_F32, 1, dims, memory, n, NULL, NULL), MCOMP_ARGUMENT);
        ck_assert_ptr_null(t);
        ck_assert_int_eq(mc_error_peek()->argument, 6);
    }
    for (size_t i = 0; i < sizeof memory; i++) ck_assert_uint_eq(memory[i], 0xa5);
    mc_ck_ok(mcomp_tensor_wrap(&t, MCOMP_F32, 1, dims, memory, 16, NULL, NULL));
    mcomp_tensor_destroy(t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tensor");
    TCase *c = tcase_create("core");
    tcase_add_test(c, sizes_never_wrap);
    tcase_add_test(c, opaque_types_have_no_elements);
    tcase_add_test(c, broadcasting);
    tcase_add_test(c, half_floats_round_to_even);
    tcase_add_test(c, integers_saturate_and_round);
    tcase_add_test(c, buffers_count_references);
    tcase_add_test(c, bad_043_a_byte_too_few_or_too_many);
    suite_add_tcase(s, c);
    return mc_test_main(s);
}
