/* Sketches: merging equals one pass bit for bit, widening is exact, memory is fixed, what is not finite is refused. */
#include "support/support.h"

#include <math.h>

#include "quant/sketch.h"

enum { N = 4096 };

/* Values over many magnitudes, zeros of both signs among them. */
static void fill(float *x, int64_t n, uint64_t seed)
{
    for (int64_t i = 0; i < n; i++) {
        const float u = mc_test_random(&seed), e = mc_test_random(&seed);
        x[i] = i % 17 == 0 ? (i % 2 ? 0.0f : -0.0f) : ldexpf(u, (int)(e * 40.0f));
    }
}

static void same(const mc_sketch *a, const mc_sketch *b)
{
    ck_assert_int_eq(a->exponent, b->exponent);
    ck_assert(a->count == b->count && a->zeros == b->zeros && a->batches == b->batches);
    ck_assert(a->min == b->min && a->max == b->max);
    for (int i = 0; i < MC_SKETCH_BINS; i++) ck_assert_msg(a->bin[i] == b->bin[i], "bin %d", i);
    ck_assert_int_eq(a->channels, b->channels);
    for (int c = 0; c < a->channels; c++) {
        ck_assert(a->ch_absmax[c] == b->ch_absmax[c]);
        ck_assert(fabs(a->ch_sumsq[c] - b->ch_sumsq[c]) <= 1e-12 * a->ch_sumsq[c]);
    }
    ck_assert(fabs(a->sumsq - b->sumsq) <= 1e-12 * a->sumsq);
}

START_TEST(merge_is_one_pass)
{
    static float x[N];
    mc_sketch one, part[4], left, right;
    fill(x, N, 7);
    mc_ck_ok(mc_sketch_init(&one, 8));
    mc_ck_ok(mc_sketch_init(&left, 8));
    mc_ck_ok(mc_sketch_init(&right, 8));
    for (int k = 0; k < 4; k++) {
        mc_ck_ok(mc_sketch_init(&part[k], 8));
        ck_assert_int_eq(mc_sketch_add(&part[k], x + k * 1024, 16, 8, 8), 0);
    }
    ck_assert_int_eq(mc_sketch_add(&one, x, 64, 8, 8), 0);
    for (int k = 0; k < 4; k++) mc_sketch_merge(&left, &part[k]);     /* ((0 1) 2) 3 */
    for (int k = 3; k >= 0; k--) mc_sketch_merge(&right, &part[k]);   /* other order */
    same(&one, &left);
    same(&one, &right);
    mc_sketch_free(&one);
    mc_sketch_free(&left);
    mc_sketch_free(&right);
    for (int k = 0; k < 4; k++) mc_sketch_free(&part[k]);
}
END_TEST

START_TEST(every_value_is_in_its_bin)
{
    const float x[] = {0.5f, -0.5f, 0.0f, 0.9999999f, -0.9999999f, 1e-30f, -1e-30f};
    mc_sketch s;
    mc_ck_ok(mc_sketch_init(&s, 0));
    ck_assert_int_eq(mc_sketch_add(&s, x, 1, 0, 7), 0);
    ck_assert_int_eq(s.exponent, 0);
    ck_assert_uint_eq(s.bin[MC_SKETCH_HALF + 1024], 1);
    ck_assert_uint_eq(s.bin[MC_SKETCH_HALF - 1 - 1024], 1);
    ck_assert_uint_eq(s.bin[MC_SKETCH_BINS - 1], 1);
    ck_assert_uint_eq(s.bin[0], 1);
    ck_assert_uint_eq(s.bin[MC_SKETCH_HALF], 2); /* zero and 1e-30 */
    ck_assert_uint_eq(s.bin[MC_SKETCH_HALF - 1], 1);
    ck_assert_uint_eq(s.zeros, 1);
    const float one = 1.0f; /* |x| < T: 1 doubles T */
    mc_sketch_add(&s, &one, 1, 0, 1);
    ck_assert_int_eq(s.exponent, 1);
    ck_assert_uint_eq(s.bin[MC_SKETCH_HALF + 512], 1);
    ck_assert_uint_eq(s.bin[MC_SKETCH_HALF + 1023], 1); /* 0.9999999 */
    ck_assert_uint_eq(s.bin[MC_SKETCH_HALF + 1024], 1); /* 1.0 */
    mc_sketch_free(&s);
}
END_TEST

START_TEST(extremes_of_float)
{
    const float big[] = {3.4e38f, -3.4e38f, 1e-45f, -1e-45f, 0.0f};
    mc_sketch a, b, c;
    mc_ck_ok(mc_sketch_init(&a, 0));
    mc_ck_ok(mc_sketch_init(&b, 0));
    mc_ck_ok(mc_sketch_init(&c, 0));
    mc_sketch_add(&a, big, 1, 0, 5);
    mc_sketch_add(&b, big + 2, 1, 0, 3);
    mc_sketch_add(&c, big, 1, 0, 2);
    mc_sketch_merge(&b, &c);
    same(&a, &b);
    mc_sketch_free(&a);
    mc_sketch_free(&b);
    mc_sketch_free(&c);
}
END_TEST

START_TEST(not_finite_adds_nothing)
{
    const float bad[2][3] = {{1.0f, NAN, 2.0f}, {1.0f, -INFINITY, 2.0f}};
    mc_sketch s;
    mc_ck_ok(mc_sketch_init(&s, 3));
    for (int i = 0; i < 2; i++) ck_assert_int_eq(mc_sketch_add(&s, bad[i], 1, 3, 1), 1);
    ck_assert_uint_eq(s.count, 0);
    ck_assert(s.ch_absmax[0] == 0.0f);
    mc_sketch_free(&s);
}
END_TEST

START_TEST(memory_is_fixed)
{
    static float x[N];
    mc_sketch s;
    fill(x, N, 3);
    mc_ck_ok(mc_sketch_init(&s, 64));
    mc_sketch_add(&s, x, 64, 64, 1);
    const uint64_t live = mc_alloc_live_bytes(), calls = mc_alloc_count();
    for (int i = 0; i < 200; i++) mc_sketch_add(&s, x, 64, 64, 1);
    ck_assert_uint_eq(mc_alloc_live_bytes(), live);
    ck_assert_uint_eq(mc_alloc_count(), calls);
    mc_sketch_free(&s);
}
END_TEST

START_TEST(channels)
{
    float x[2 * 3 * 4];
    mc_sketch s, big;
    for (int i = 0; i < 24; i++) x[i] = (i / 4) % 3 == 1 ? 0.0f : (float)i;
    mc_ck_ok(mc_sketch_init(&s, 3));
    mc_sketch_add(&s, x, 2, 3, 4);
    ck_assert_int_eq(mc_sketch_dead_channels(&s), 1);
    ck_assert(s.ch_absmax[0] == 15.0f && s.ch_absmax[1] == 0.0f && s.ch_absmax[2] == 23.0f);
    mc_sketch_free(&s);
    static float wide[10000];
    wide[9999] = 5.0f;
    mc_ck_ok(mc_sketch_init(&big, 10000)); /* grouped: never more than the cap */
    ck_assert_int_eq(big.channels, MC_SKETCH_CHANNELS);
    mc_sketch_add(&big, wide, 1, 10000, 1);
    ck_assert(big.ch_absmax[9999 / 3] == 5.0f);
    mc_sketch_free(&big);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("quant/sketch");
    TCase *t = tcase_create("sketch");
    tcase_add_test(t, merge_is_one_pass);
    tcase_add_test(t, every_value_is_in_its_bin);
    tcase_add_test(t, extremes_of_float);
    tcase_add_test(t, not_finite_adds_nothing);
    tcase_add_test(t, memory_is_fixed);
    tcase_add_test(t, channels);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
