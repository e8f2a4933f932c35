/* Float matrix product and packing: every tier against the reference, over sizes, layouts, taps and edges, on guard pages. */
#include "kernels/kernels.h"
#include "support/guard.h"
#include "support/support.h"

#define CAP (64 * 1024)

static float *a, *b, *packed, *rows, *got, *want;

static void setup(void)
{
    uint64_t seed = 7;
    a = mc_guard_alloc(CAP * sizeof(float));
    b = mc_guard_alloc(CAP * sizeof(float));
    packed = mc_guard_alloc(CAP * sizeof(float));
    rows = mc_guard_alloc(CAP * sizeof(float));
    got = mc_guard_alloc(CAP * sizeof(float));
    want = mc_guard_alloc(CAP * sizeof(float));
    for (int64_t i = 0; i < CAP; i++) {
        a[i] = mc_test_random(&seed);
        b[i] = mc_test_random(&seed);
    }
}

static void teardown(void)
{
    mc_guard_free(a, CAP * sizeof(float));
    mc_guard_free(b, CAP * sizeof(float));
    mc_guard_free(packed, CAP * sizeof(float));
    mc_guard_free(rows, CAP * sizeof(float));
    mc_guard_free(got, CAP * sizeof(float));
    mc_guard_free(want, CAP * sizeof(float));
}

/* One product with B packed (plain 0) or row-major (plain 1), A by rows or by columns. */
static void one(const mc_kernels *k, int64_t m, int64_t n, int64_t kk, int plain, int by_column, int accumulate)
{
    const mc_kernels *ref = mc_kernels_for(MC_ISA_REF);
    const int64_t panels = (n + 15) / 16, c_elements = m * n;
    float *pa = mc_guard_tail(a, CAP, m * kk), *pb = mc_guard_tail(b, CAP, kk * n), *pc = mc_guard_tail(got, CAP, c_elements),
          *pw = mc_guard_tail(want, CAP, c_elements);
    mc_gemm_f32 g = {.a = pa, .taps = 1, .a_row = by_column ? 1 : kk, .a_col = by_column ? m : 1, .b = pb, .b_row = n,
                     .b_panel = 16, .c = pw, .ldc = n, .m = m, .n = n, .k = kk, .accumulate = accumulate};
    if (m % 2) {
        g.finish = 1;
        g.bias = m % 4 == 1 ? mc_guard_tail(a, CAP, n) : NULL;
        g.residual = m % 3 ? mc_guard_tail(b, CAP, c_elements) : NULL;
        g.ld_r = n;
        g.lo = -0.5f;
        g.hi = 3.0f;
    }
    for (int64_t i = 0; i < c_elements; i++) pw[i] = pc[i] = (float)(i % 7);
    ref->f32.gemm(&g);
    if (!plain) {
        float *pp = mc_guard_tail(packed, CAP, panels * 16 * kk);
        k->f32.pack(pb, n, 1, kk, n, 1.0f, pp);
        g.b = pp;
        g.b_row = 16;
        g.b_panel = 16 * kk;
    }
    g.c = pc;
    k->f32.gemm(&g);
    mc_ck_close_f32(pc, pw, c_elements, 1e-5, 1e-5);
    for (int64_t i = 0; i < c_elements; i++) pc[i] = (float)(i % 7); /* the same with A in tiles */
    float *tiles = mc_guard_tail(rows, CAP, (m + 15) * kk);
    k->f32.pack_rows(pa, g.a_row, g.a_col, m, kk, tiles);
    g.a = tiles;
    g.tiles = 1;
    k->f32.gemm(&g);
    mc_ck_close_f32(pc, pw, c_elements, 1e-5, 1e-5);
}

START_TEST(sizes)
{
    static const int64_t ms[] = {1, 2, 5, 6, 7, 13, 14, 15, 29}, ns[] = {1, 7, 15, 16, 17, 31, 32, 33, 48, 100, 128, 257};
    static const int64_t ks[] = {1, 2, 3, 17, 64, 100};
    const mc_kernels *k = mc_kernels_for((mc_isa)_i);
    for (size_t i = 0; i < sizeof ms / sizeof *ms; i++)
        for (size_t j = 0; j < sizeof ns / sizeof *ns; j++)
            for (size_t l = 0; l < sizeof ks / sizeof *ks; l++) one(k, ms[i], ns[j], ks[l], (int)(i + j) & 1, (int)l & 1, (int)j & 1);
    for (int64_t s = 1; s <= 257; s++) one(k, 3, s, 5, 0, 0, 0);
    for (int64_t s = 1; s <= 257; s++) one(k, s, 5, 3, 1, 0, 0);
    one(k, 5, 33, 1000, 0, 0, 0);
    one(k, 1, 40, 1500, 1, 0, 1);
    one(k, 20, 20, 600, 0, 1, 1);
    one(k, 4, 20, 0, 0, 0, 0);
}
END_TEST

/* Rows of a convolution: taps at offsets, sums must equal one long inner dimension; the value of a row must not depend on
 * which rows were asked for together. */
START_TEST(taps_and_rows)
{
    const mc_kernels *k = mc_kernels_for((mc_isa)_i);
    enum { M = 23, N = 37, K = 40, T = 5 };
    int64_t tap[T];
    static float one_by_one[M * N];
    for (int t = 0; t < T; t++) tap[t] = 1000 * t + 3 * t;
    k->f32.pack(b, N, 1, (int64_t)T * K, N, 1.0f, packed);
    mc_gemm_f32 g = {.a = a, .tap = tap, .taps = T, .a_row = 33, .a_col = 1, .b = packed, .b_row = 16, .b_panel = 16 * T * K,
                     .c = got, .ldc = N, .m = M, .n = N, .k = K};
    k->f32.gemm(&g);
    for (int64_t i = 0; i < M; i++)
        for (int64_t j = 0; j < N; j++) {
            double sum = 0.0;
            for (int64_t t = 0; t < T; t++)
                for (int64_t c = 0; c < K; c++) sum += (double)a[tap[t] + i * 33 + c] * (double)b[(t * K + c) * N + j];
            want[i * N + j] = (float)sum;
        }
    mc_ck_close_f32(got, want, M * N, 1e-5, 2e-5);
    for (int64_t i = 0; i < M; i += 5) {
        g.m = M - i < 5 ? M - i : 5;
        g.a = a + i * 33;
        g.c = one_by_one + i * N;
        k->f32.gemm(&g);
    }
    ck_assert_mem_eq(got, one_by_one, sizeof one_by_one);
}
END_TEST

START_TEST(packing)
{
    const mc_kernels *k = mc_kernels_for((mc_isa)_i), *ref = mc_kernels_for(MC_ISA_REF);
    for (int64_t n = 1; n <= 50; n += 7)
        for (int64_t kk = 1; kk <= 70; kk += 3) {
            const int64_t total = (n + 15) / 16 * 16 * kk;
            float *pb = mc_guard_tail(b, CAP, n * kk), *pg = mc_guard_tail(got, CAP, total), *pw = mc_guard_tail(want, CAP, total);
            k->f32.pack(pb, n, 1, kk, n, 1.0f, pg);
            ref->f32.pack(pb, n, 1, kk, n, 1.0f, pw);
            ck_assert_mem_eq(pg, pw, (size_t)total * sizeof(float));
            k->f32.pack(pb, 1, kk, kk, n, 0.25f, pg);
            ref->f32.pack(pb, 1, kk, kk, n, 0.25f, pw);
            ck_assert_mem_eq(pg, pw, (size_t)total * sizeof(float));
        }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("f32_gemm");
    TCase *t = tcase_create("tiers");
    const int tiers = (int)mc_cpu_isa_max() + 1;
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, sizes, 0, tiers);
    tcase_add_loop_test(t, taps_and_rows, 0, tiers);
    tcase_add_loop_test(t, packing, 0, tiers);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
