/* Windows over bytes and the byte table: every tier against the portable kernels, with guard pages. */
#include "kernels/kernels.h"
#include "support/support.h"
#include "unit/kernels/guard.h"

#define EACH_TIER(isa) for (int isa = MC_ISA_AVX2; isa <= (int)mc_cpu_isa_max(); isa++)

static const mc_kernels_int8 *tier(int isa) { return &mc_kernels_for((mc_isa)isa)->int8; }

static void fill(guard *g, int64_t n, uint64_t *seed, int extreme)
{
    for (int64_t i = 0; i < n; i++) ((uint8_t *)g->data)[i] = extreme ? (test_u32(seed) >> 31 ? 255 : 0) : (uint8_t)(test_u32(seed) >> 24);
}

static void check_depthwise(int64_t n, int64_t taps, int64_t pixels, int extreme)
{
    const int64_t padded = (n + 15) / 16 * 16, step = n + 1, bytes = (pixels - 1) * step + (taps - 1) * 3 + n;
    uint64_t seed = (uint64_t)(n * 31 + taps);
    guard x = guard_alloc((size_t)bytes, 1), w = guard_alloc((size_t)((taps + 1) / 2 * padded * 4), 64), tap = guard_alloc((size_t)taps * 8, 8);
    guard init = guard_alloc((size_t)padded * 4, 64), a = guard_alloc((size_t)(pixels * padded) * 4, 64), b = guard_alloc((size_t)(pixels * padded) * 4, 64);
    fill(&x, bytes, &seed, extreme);
    memset(w.data, 0, (size_t)((taps + 1) / 2 * padded * 4));
    for (int64_t t = 0; t < taps; t++) {
        ((int64_t *)tap.data)[t] = (taps - 1 - t) * 3;
        for (int64_t c = 0; c < n; c++)
            ((int16_t *)w.data)[(t / 2 * padded + c) * 2 + t % 2] = extreme ? (int16_t)(test_u32(&seed) >> 31 ? 127 : -128) : (int8_t)(test_u32(&seed) >> 24);
    }
    for (int64_t c = 0; c < padded; c++) ((int32_t *)init.data)[c] = (int32_t)test_u32(&seed) >> 12;
    mc_qdepthwise d = {x.data, tap.data, taps, n, pixels, step, w.data, init.data, a.data};
    tier(MC_ISA_REF)->depthwise(&d);
    EACH_TIER(isa)
    {
        d.acc = b.data;
        tier(isa)->depthwise(&d);
        for (int64_t p = 0; p < pixels; p++)
            for (int64_t c = 0; c < n; c++)
                ck_assert_msg(((int32_t *)a.data)[p * padded + c] == ((int32_t *)b.data)[p * padded + c], "%s n %lld taps %lld [%lld][%lld]",
                              mc_isa_name((mc_isa)isa), (long long)n, (long long)taps, (long long)p, (long long)c);
    }
    guard *all[] = {&x, &w, &tap, &init, &a, &b};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) guard_free(all[i]);
}

START_TEST(depthwise)
{
    for (int64_t n = 1; n <= 257; n++) check_depthwise(n, 1 + n % 26, 1 + n % 17, n % 2 == 0);
    check_depthwise(130, 9, 40, 0);
}
END_TEST

START_TEST(taps)
{
    uint64_t seed = 9;
    for (int64_t n = 1; n <= 257; n++) {
        const int64_t count = n % 9 == 0 ? 300 : 1 + n % 12;
        guard x = guard_alloc((size_t)(n * 13), 1), p = guard_alloc((size_t)count * 8, 8);
        guard a = guard_alloc((size_t)n * 4, 4), b = guard_alloc((size_t)n * 4, 4), ya = guard_alloc((size_t)n, 1), yb = guard_alloc((size_t)n, 1);
        fill(&x, n * 13, &seed, n % 4 == 0);
        for (int64_t t = 0; t < count; t++) ((const uint8_t **)p.data)[t] = (const uint8_t *)x.data + t % 13 * n;
        const uint32_t flip = n % 2 ? 0x80 : 0;
        for (int64_t c = 0; c < n; c++) ((int32_t *)a.data)[c] = (int32_t)test_u32(&seed) >> 4;
        EACH_TIER(isa)
        {
            guard want = guard_alloc((size_t)n * 4, 4);
            memcpy(want.data, a.data, (size_t)n * 4);
            memcpy(b.data, a.data, (size_t)n * 4);
            tier(MC_ISA_REF)->sum_taps(p.data, count, n, flip, want.data);
            tier(isa)->sum_taps(p.data, count, n, flip, b.data);
            ck_assert_mem_eq(b.data, want.data, (size_t)n * 4);
            tier(MC_ISA_REF)->max_taps(p.data, count, n, flip, ya.data);
            tier(isa)->max_taps(p.data, count, n, flip, yb.data);
            ck_assert_mem_eq(yb.data, ya.data, (size_t)n);
            guard_free(&want);
        }
        guard *all[] = {&x, &p, &a, &b, &ya, &yb};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) guard_free(all[i]);
    }
}
END_TEST

START_TEST(table)
{
    uint64_t seed = 4;
    uint8_t t[256];
    for (int i = 0; i < 256; i++) t[i] = (uint8_t)(test_u32(&seed) >> 24);
    for (int64_t n = 1; n <= 300; n++) {
        guard x = guard_alloc((size_t)n, 1), y = guard_alloc((size_t)n, 1);
        for (int64_t i = 0; i < n; i++) ((uint8_t *)x.data)[i] = (uint8_t)(i + n);
        EACH_TIER(isa)
        {
            tier(isa)->lut(x.data, n, t, y.data);
            for (int64_t i = 0; i < n; i++) ck_assert_uint_eq(((uint8_t *)y.data)[i], t[(uint8_t)(i + n)]);
        }
        guard_free(&x);
        guard_free(&y);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("int8_window");
    TCase *c = tcase_create("all");
    tcase_add_test(c, depthwise);
    tcase_add_test(c, taps);
    tcase_add_test(c, table);
    suite_add_tcase(s, c);
    return mc_test_main(s);
}
