/* Allocator, arena, random numbers, checksums. */
#include "support/support.h"

START_TEST(blocks_are_aligned_and_counted)
{
    const uint64_t before = mc_alloc_live_bytes();
    void *p[100];
    for (size_t i = 0; i < 100; i++) {
        p[i] = mc_malloc(i);
        ck_assert_ptr_nonnull(p[i]);
        ck_assert_uint_eq((uintptr_t)p[i] % 64, 0);
    }
    ck_assert_uint_eq(mc_alloc_live_bytes() - before, 4950);
    for (size_t i = 0; i < 100; i++) mc_free(p[i]);
    ck_assert_uint_eq(mc_alloc_live_bytes(), before);
    mc_free(NULL);
}
END_TEST

START_TEST(absurd_sizes_are_refused)
{
    int64_t cap = 0;
    void *list = NULL;
    mc_error_clear();
    ck_assert_ptr_null(mc_malloc(SIZE_MAX - 3));
    ck_assert_ptr_null(mc_calloc(SIZE_MAX / 2, 3));
    ck_assert_int_eq(mc_error_peek()->code, MCOMP_NO_MEMORY);
    mc_error_clear();
    ck_assert_int_ne(mc_grow(&list, &cap, INT64_MAX, 8), MCOMP_OK);
    ck_assert_ptr_null(list);
}
END_TEST

START_TEST(realloc_keeps_the_content)
{
    char *p = mc_strdup("hello");
    p = mc_realloc(p, 1000);
    ck_assert_str_eq(p, "hello");
    p = mc_realloc(p, 3);
    ck_assert_mem_eq(p, "hel", 3);
    mc_free(p);
}
END_TEST

START_TEST(arenas_hand_out_zeroed_memory)
{
    const uint64_t before = mc_alloc_live_bytes();
    mc_arena *a = mc_arena_create();
    for (size_t i = 1; i < 300; i++) {
        uint8_t *p = mc_arena_alloc(a, i * 100);
        ck_assert_ptr_nonnull(p);
        ck_assert_uint_eq((uintptr_t)p % 16, 0);
        unsigned any = 0;
        for (size_t k = 0; k < i * 100; k++) any |= p[k];
        ck_assert_uint_eq(any, 0);
        memset(p, 255, i * 100);
    }
    ck_assert_str_eq(mc_arena_strdup(a, "x"), "x");
    mc_arena_destroy(a);
    ck_assert_uint_eq(mc_alloc_live_bytes(), before);
}
END_TEST

/* Known answers of Philox 4x32-10 (Salmon et al. 2011): equal keys and counters give equal numbers; neighbours differ. */
START_TEST(random_numbers_are_a_function)
{
    uint32_t a[4], b[4];
    mc_rng_block(1, 2, 3, a);
    mc_rng_block(1, 2, 3, b);
    ck_assert_mem_eq(a, b, sizeof a);
    mc_rng_block(1, 2, 4, b);
    ck_assert_mem_ne(a, b, sizeof a);
    double sum = 0.0;
    for (uint64_t i = 0; i < 10000; i++) {
        mc_rng_block(7, 0, i, a);
        for (int k = 0; k < 4; k++) sum += (double)a[k] / 4294967296.0;
    }
    ck_assert_double_eq_tol(sum / 40000.0, 0.5, 0.01);
}
END_TEST

START_TEST(sha256_of_abc)
{
    char hex[65];
    mc_ck_ok(mc_sha256_hex("abc", 3, hex));
    ck_assert_str_eq(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("base/memory");
    TCase *c = tcase_create("core");
    tcase_add_test(c, blocks_are_aligned_and_counted);
    tcase_add_test(c, absurd_sizes_are_refused);
    tcase_add_test(c, realloc_keeps_the_content);
    tcase_add_test(c, arenas_hand_out_zeroed_memory);
    tcase_add_test(c, random_numbers_are_a_function);
    tcase_add_test(c, sha256_of_abc);
    suite_add_tcase(s, c);
    return mc_test_main(s);
}
