/* Epilogue, quantization, requantization and sum of every tier against the portable kernels, bit for bit, with guard pages. */
#include "kernels/kernels.h"
#include "support/support.h"
#include "unit/kernels/guard.h"

#include <math.h>

#define EACH_TIER(isa) for (int isa = MC_ISA_AVX2; isa <= (int)mc_cpu_isa_max(); isa++)

static const mc_kernels_int8 *tier(int isa) { return &mc_kernels_for((mc_isa)isa)->int8; }

/* Mostly ordinary values, and some of everything else: ties, signed zeros, denormals, huge, infinite, NaN. */
static void fill(float *x, int64_t n, float spread, uint64_t *seed)
{
    static const float odd[] = {0.0f, -0.0f, 0.5f, 1.5f, -2.5f, 1e-40f, -3e-42f, 3e38f, -3e38f, INFINITY, -INFINITY, NAN, 127.5f, 128.5f};
    for (int64_t i = 0; i < n; i++) {
        x[i] = ((float)(test_u32(seed) >> 8) * 0x1p-23f - 1.0f) * spread;
        if (test_u32(seed) % 16 == 0) x[i] = odd[test_u32(seed) % (sizeof odd / sizeof *odd)];
        if (test_u32(seed) % 16 == 1) x[i] = ((float)(test_u32(seed) % 600) - 300.0f + 0.5f) * 0.03125f; /* halves of a scale */
    }
}

static void fill_bytes(uint8_t *x, int64_t n, uint64_t *seed)
{
    for (int64_t i = 0; i < n; i++) x[i] = (uint8_t)(test_u32(seed) >> 24);
}

static void same(const void *got, const void *want, size_t bytes, const char *what, int isa, int64_t n)
{
    if (memcmp(got, want, bytes) == 0) return;
    for (size_t i = 0; i < bytes; i++)
        ck_assert_msg(((const uint8_t *)got)[i] == ((const uint8_t *)want)[i], "%s of %s, n %lld: byte %zu of %zu is %u, want %u", what,
                      mc_isa_name((mc_isa)isa), (long long)n, i, bytes, ((const uint8_t *)got)[i], ((const uint8_t *)want)[i]);
}

/* NaN payloads may differ: all NaN become one. */
static void canonical(float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (isnan(x[i])) x[i] = NAN;
}

START_TEST(quantize_any_scale)
{
    static const float scales[] = {0.03125f, 1.0f, 0.0117f, 3.7f, 1e-38f, 1e-40f, 3e38f, 1e-30f, INFINITY, 0.7f};
    uint64_t seed = 1;
    for (int64_t n = 1; n <= 257; n++) {
        guard x = guard_alloc((size_t)n * 4, 4), a = guard_alloc((size_t)n, 1), b = guard_alloc((size_t)n, 1);
        fill(x.data, n, n % 2 ? 4.0f : 300.0f, &seed);
        const mc_qmap p = {scales[n % 10], (int32_t)(test_u32(&seed) % 256), n % 3 ? 0 : 0x80};
        tier(MC_ISA_REF)->quantize(x.data, n, &p, a.data);
        EACH_TIER(isa)
        {
            tier(isa)->quantize(x.data, n, &p, b.data);
            same(b.data, a.data, (size_t)n, "quantize", isa, n);
        }
        guard_free(&x);
        guard_free(&a);
        guard_free(&b);
    }
}
END_TEST

/* Exact ties and their neighbours are where multiplying by a reciprocal goes wrong. */
START_TEST(quantize_near_halves)
{
    enum { N = 512 * 7 };
    float *x = mc_malloc(N * sizeof *x);
    uint8_t *a = mc_malloc(N), *b = mc_malloc(N);
    uint64_t seed = 5;
    for (int round = 0; round < 200; round++) {
        const mc_qmap p = {ldexpf(1.0f + (float)(test_u32(&seed) >> 9) * 0x1p-23f, (int)(test_u32(&seed) % 40) - 20), 128, 0};
        for (int i = 0; i < 512; i++) {
            float v = ((float)(i - 256) + 0.5f) * p.scale;
            for (int u = 0; u < 3; u++) v = nextafterf(v, -INFINITY);
            for (int u = 0; u < 7; u++, v = nextafterf(v, INFINITY)) x[i * 7 + u] = v;
        }
        tier(MC_ISA_REF)->quantize(x, N, &p, a);
        EACH_TIER(isa)
        {
            tier(isa)->quantize(x, N, &p, b);
            same(b, a, N, "quantize near halves", isa, round);
        }
    }
    mc_free(x);
    mc_free(a);
    mc_free(b);
}
END_TEST

START_TEST(rows_and_reverse)
{
    uint64_t seed = 2;
    for (int64_t k = 1; k <= 257; k++) {
        const int64_t m = 1 + k % 3, ld = k + 5;
        guard x = guard_alloc((size_t)(m * ld - 5) * 4, 4), a = guard_alloc((size_t)(m * ld - 5), 1), b = guard_alloc((size_t)(m * ld - 5), 1);
        guard sa = guard_alloc((size_t)m * 4, 4), sb = guard_alloc((size_t)m * 4, 4), f = guard_alloc((size_t)k * 4, 4), g = guard_alloc((size_t)k * 4, 4);
        fill(x.data, m * ld - 5, 3.0f, &seed);
        if (k % 7 == 0) memset(x.data, 0, (size_t)k * 4);
        if (k % 5) canonical(x.data, 1);
        const mc_qmap p = {0.037f, (int32_t)(test_u32(&seed) % 256), k % 2 ? 0x80 : 0};
        tier(MC_ISA_REF)->quantize_rows(x.data, ld, m, k, a.data, ld, sa.data);
        tier(MC_ISA_REF)->dequantize(a.data, k, &p, f.data);
        EACH_TIER(isa)
        {
            tier(isa)->quantize_rows(x.data, ld, m, k, b.data, ld, sb.data);
            same(sb.data, sa.data, (size_t)m * 4, "row scales", isa, k);
            same(b.data, a.data, (size_t)(m * ld - 5), "quantize_rows", isa, k);
            tier(isa)->dequantize(a.data, k, &p, g.data);
            same(g.data, f.data, (size_t)k * 4, "dequantize", isa, k);
            const uint8_t *zp = k % 3 ? b.data : NULL;
            tier(MC_ISA_REF)->dequantize_each(a.data, k, x.data, zp, p.flip, f.data);
            tier(isa)->dequantize_each(a.data, k, x.data, zp, p.flip, g.data);
            canonical(f.data, k), canonical(g.data, k);
            same(g.data, f.data, (size_t)k * 4, "dequantize_each", isa, k);
            tier(MC_ISA_REF)->dequantize(a.data, k, &p, f.data);
            float want[2] = {0.0f, 0.0f}, got[2] = {0.0f, 0.0f};
            tier(MC_ISA_REF)->minmax(x.data, k, &want[0], &want[1]);
            tier(isa)->minmax(x.data, k, &got[0], &got[1]);
            ck_assert_msg(want[0] == got[0] && want[1] == got[1], "extremes %g %g, want %g %g", (double)got[0], (double)got[1], (double)want[0], (double)want[1]);
            tier(isa)->flip(a.data, k, 0x80, b.data);
            for (int64_t i = 0; i < k; i++) ck_assert_uint_eq(((uint8_t *)b.data)[i], ((uint8_t *)a.data)[i] ^ 0x80);
        }
        guard *all[] = {&x, &a, &b, &sa, &sb, &f, &g};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) guard_free(all[i]);
    }
}
END_TEST

START_TEST(sums_and_requantize)
{
    uint64_t seed = 3;
    for (int64_t n = 1; n <= 257; n++) {
        guard a = guard_alloc((size_t)n, 1), b = guard_alloc((size_t)n, 1), x = guard_alloc((size_t)n * 4, 4);
        guard want = guard_alloc((size_t)n * 4, 4), got = guard_alloc((size_t)n * 4, 4);
        fill_bytes(a.data, n, &seed);
        fill_bytes(b.data, n, &seed);
        fill(x.data, n, 200.0f, &seed);
        mc_qadd q = {.a = a.data, .b = b.data, .a_param = {0.031f, 17, 0}, .b_param = {0.0171f, 140, 0x80}, .relu = (int32_t)(n % 2), .n = n,
                     .out = {.quantized = n % 3 != 0, .zp = (int32_t)(n % 256), .flip = n % 5 ? 0 : 0x80, .inv = 1.0f / 0.05f}};
        mc_qout out = q.out;
        const size_t bytes = (size_t)n * (q.out.quantized ? 1 : 4);
        EACH_TIER(isa)
        {
            q.out.y = want.data;
            tier(MC_ISA_REF)->add(&q);
            q.out.y = got.data;
            tier(isa)->add(&q);
            same(got.data, want.data, bytes, "add", isa, n);
            out.y = want.data;
            tier(MC_ISA_REF)->requantize(x.data, n, &out);
            out.y = got.data;
            tier(isa)->requantize(x.data, n, &out);
            if (!out.quantized) canonical(want.data, n), canonical(got.data, n);
            same(got.data, want.data, bytes, "requantize", isa, n);
        }
        guard *all[] = {&a, &b, &x, &want, &got};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) guard_free(all[i]);
    }
}
END_TEST

static void check_epilogue(int64_t n, int act, int post, int residual, int quantized, int bias, int rows, int middle)
{
    enum { M = 3 };
    uint64_t seed = (uint64_t)(n * 131 + act * 17 + post * 5 + residual * 3 + quantized);
    const int64_t ld = n + 3, ld_acc = (n + 15) / 16 * 16, e_y = quantized ? 1 : 4, e_r = residual == MC_QRESIDUAL_F32 ? 4 : 1;
    guard acc = guard_alloc((size_t)(M * ld_acc) * 4, 64), w = guard_alloc((size_t)n * 4, 4), b = guard_alloc((size_t)n * 4, 4);
    guard s = guard_alloc(M * 4, 4), r = guard_alloc((size_t)((M * ld - 3) * e_r), 1);
    guard want = guard_alloc((size_t)((M * ld - 3) * e_y), 1), got = guard_alloc((size_t)((M * ld - 3) * e_y), 1);
    for (int64_t i = 0; i < M * ld_acc; i++) ((int32_t *)acc.data)[i] = (int32_t)test_u32(&seed) >> (8 + test_u32(&seed) % 16);
    for (int64_t i = 0; i < n; i++) {
        ((float *)w.data)[i] = 1e-3f * (1.0f + (float)(test_u32(&seed) >> 24));
        ((float *)b.data)[i] = (float)(int32_t)test_u32(&seed) * 0x1p-29f;
    }
    for (int64_t i = 0; i < M; i++) ((float *)s.data)[i] = 0.01f + (float)i;
    if (n % 8 == 5) ((float *)b.data)[n / 2] = NAN; /* what the short way of tame constants must not see */
    if (n % 8 == 6) ((float *)w.data)[n / 3] = 1e30f;
    if (n % 8 == 7) ((float *)w.data)[n / 3] = 400.0f;
    if (residual == MC_QRESIDUAL_F32) fill(r.data, M * ld - 3, 2.0f, &seed);
    else fill_bytes(r.data, M * ld - 3, &seed);
    mc_qepilogue e = {.acc = acc.data, .ld_acc = ld_acc, .m = M, .n = n, .w_scale = w.data, .row_scale = rows ? s.data : NULL,
                      .x_scale = 0.013f, .act = act, .post_act = post, .lo = -0.7f, .hi = 1.3f, .residual = residual,
                      .bias = bias ? b.data : NULL, .r = residual ? r.data : NULL, .ld_r = ld, .r_param = {0.021f, 101, n % 2 ? 0x80 : 0},
                      .middle = middle, .m_param = {0.017f, 90, 0x80}, .m_inv = 1.0f / 0.017f,
                      .out = {.ld = ld, .quantized = quantized, .zp = n % 3 ? 100 : 0, .flip = 0x80, .inv = 1.0f / 0.03f}};
    e.out.y = want.data;
    tier(MC_ISA_REF)->epilogue(&e);
    EACH_TIER(isa)
    {
        e.out.y = got.data;
        tier(isa)->epilogue(&e);
        if (!quantized) canonical(want.data, M * ld - 3), canonical(got.data, M * ld - 3);
        same(got.data, want.data, (size_t)((M * ld - 3) * e_y), "epilogue", isa, n * 10000 + act * 1000 + post * 100 + residual * 10 + quantized);
    }
    guard *all[] = {&acc, &w, &b, &s, &r, &want, &got};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) guard_free(all[i]);
}

START_TEST(epilogue_options)
{
    for (int act = MCOMP_ACT_NONE; act <= MCOMP_ACT_HARDSWISH; act++)
        for (int post = MCOMP_ACT_NONE; post <= MCOMP_ACT_HARDSWISH; post++)
            for (int residual = 0; residual < 3; residual++)
                for (int bits = 0; bits < 16; bits++) check_epilogue(bits & 2 ? 51 : 68, act, post, residual, bits & 1, bits >> 1 & 1, bits >> 2 & 1, bits >> 3);
}
END_TEST

START_TEST(epilogue_widths)
{
    for (int64_t n = 1; n <= 257; n++) check_epilogue(n, n % 2 ? MCOMP_ACT_GELU : MCOMP_ACT_NONE, MCOMP_ACT_NONE, (int)(n % 3), n % 5 < 3, 1, n % 7 < 4, 0);
    for (int64_t n = 1; n <= 257; n++) check_epilogue(n, MCOMP_ACT_NONE, n % 3 ? MCOMP_ACT_RELU : MCOMP_ACT_NONE, MC_QRESIDUAL_BYTES, 1, 1, (int)(n % 2), 1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("int8_convert");
    TCase *c = tcase_create("all");
    tcase_add_test(c, quantize_any_scale);
    tcase_add_test(c, quantize_near_halves);
    tcase_add_test(c, rows_and_reverse);
    tcase_add_test(c, sums_and_requantize);
    tcase_add_test(c, epilogue_options);
    tcase_add_test(c, epilogue_widths);
    suite_add_tcase(s, c);
    return mc_test_main(s);
}
