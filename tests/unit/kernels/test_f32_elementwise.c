/* Unary, binary, depthwise and transposing kernels: bits of the reference in every tier, guard pages, special values. */
#include <math.h>

#include "kernels/kernels.h"
#include "support/guard.h"
#include "support/support.h"

#define CAP 8192
#define TAIL(p, n) mc_guard_tail(p, CAP, n)

static float *x, *y, *got, *want;

static void setup(void)
{
    uint64_t seed = 5;
    float **all[] = {&x, &y, &got, &want};
    for (size_t i = 0; i < 4; i++) {
        *all[i] = mc_guard_alloc(CAP * sizeof(float));
        for (int64_t j = 0; j < CAP; j++) (*all[i])[j] = 10.0f * mc_test_random(&seed);
    }
}

static void teardown(void)
{
    float *all[] = {x, y, got, want};
    for (size_t i = 0; i < 4; i++) mc_guard_free(all[i], CAP * sizeof(float));
}

/* Equal bits, or both NaN (whose payload and sign may differ). */
static void same(const float *g, const float *w, int64_t n, const char *what, int code)
{
    for (int64_t i = 0; i < n; i++) {
        if (memcmp(&g[i], &w[i], sizeof *g) == 0 || (isnan(g[i]) && isnan(w[i]))) continue;
        ck_abort_msg("%s %d: element %d: %.9g, reference %.9g", what, code, (int)i, (double)g[i], (double)w[i]);
    }
}

START_TEST(unary)
{
    static const float special[] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 1e-40f, 3e38f, -3e38f, 88.0f, 88.5f, 89.0f, -88.0f, 0.5f, 1.5f, 2.5f, -2.5f};
    const mc_kernels *k = mc_kernels_for((mc_isa)_i), *ref = mc_kernels_for(MC_ISA_REF);
    memcpy(TAIL(x, 16), special, sizeof special);
    for (int32_t code = 0; code <= MC_UNARY_ROUND; code++) {
        if (code > MCOMP_ACT_HARDSWISH && code < MC_UNARY_HARDSIGMOID) continue;
        for (int64_t n = 1; n <= 257; n += n < 34 ? 1 : 17) {
            k->f32.unary(code, TAIL(x, n), TAIL(got, n), n, 0.25f, 0.5f);
            ref->f32.unary(code, TAIL(x, n), TAIL(want, n), n, 0.25f, 0.5f);
            same(TAIL(got, n), TAIL(want, n), n, "unary", code);
        }
    }
    k->f32.unary(MC_UNARY_EXP, TAIL(x, 16), got, 16, 0.0f, 0.0f);
    ck_assert(isinf(got[2]) && isinf(got[10]) && got[3] == 0.0f && isnan(got[4]));
    ck_assert(fabs((double)got[9] / exp(88.5) - 1.0) < 1e-5);
}
END_TEST

START_TEST(binary)
{
    const mc_kernels *k = mc_kernels_for((mc_isa)_i), *ref = mc_kernels_for(MC_ISA_REF);
    x[CAP - 2] = NAN;
    y[CAP - 3] = NAN;
    for (int32_t code = MC_BINARY_ADD; code <= MC_BINARY_MAX; code++)
        for (int steps = 0; steps < 4; steps++)
            for (int64_t n = 1; n <= 257; n += n < 34 ? 1 : 17) {
                const int64_t sa = steps & 1, sb = steps >> 1;
                const float *pa = TAIL(x, sa ? n : 1), *pb = TAIL(y, sb ? n : 1);
                k->f32.binary(code, pa, sa, pb, sb, TAIL(got, n), n);
                ref->f32.binary(code, pa, sa, pb, sb, TAIL(want, n), n);
                same(TAIL(got, n), TAIL(want, n), n, "binary", code);
            }
}
END_TEST

/* Windows: depthwise sums over rows of 1 to 6 pixels, pools, and the LSTM step. */
START_TEST(windows)
{
    const mc_kernels *k = mc_kernels_for((mc_isa)_i), *ref = mc_kernels_for(MC_ISA_REF);
    for (int64_t n = 1; n <= 130; n++) {
        const float *tap[9], *weight[9];
        const int64_t pixels = 1 + n % 6;
        for (int64_t t = 0; t < 9; t++) {
            tap[t] = TAIL(x, (t + pixels) * n);
            weight[t] = TAIL(y, (t + 1) * n);
        }
        mc_depthwise_f32 d = {.x = tap, .w = weight, .bias = n & 1 ? TAIL(x, n) : NULL, .y = TAIL(got, pixels * (n + 3)), .taps = 9,
                              .pixels = pixels, .x_step = n, .ld_y = n, .n = n};
        k->f32.depthwise(&d);
        d.y = TAIL(want, pixels * (n + 3));
        ref->f32.depthwise(&d);
        same(TAIL(got, pixels * (n + 3)), d.y, pixels * n, "depthwise", (int)n);
        for (int32_t code = MC_REDUCE_SUM; code <= MC_REDUCE_MAX; code++) {
            k->f32.pool(code, tap, 9, TAIL(got, n), n);
            ref->f32.pool(code, tap, 9, TAIL(want, n), n);
            same(TAIL(got, n), TAIL(want, n), n, "pool", code);
        }
        float *cg = TAIL(got, 2 * n), *cw = TAIL(want, 2 * n);
        for (int64_t i = 0; i < n; i++) cg[i] = cw[i] = y[i];
        k->f32.lstm(TAIL(x, 4 * n), cg, cg + n, n);
        ref->f32.lstm(TAIL(x, 4 * n), cw, cw + n, n);
        same(cg, cw, 2 * n, "lstm", (int)n);
    }
}
END_TEST

START_TEST(transpose)
{
    const mc_kernels *k = mc_kernels_for((mc_isa)_i), *ref = mc_kernels_for(MC_ISA_REF);
    for (int64_t r = 1; r <= 70; r += 3)
        for (int64_t c = 1; c <= 70; c += 2) {
            k->f32.transpose(TAIL(x, r * c), c, TAIL(got, r * c), r, r, c);
            ref->f32.transpose(TAIL(x, r * c), c, TAIL(want, r * c), r, r, c);
            ck_assert_mem_eq(TAIL(got, r * c), TAIL(want, r * c), (size_t)(r * c) * sizeof(float));
        }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("f32_elementwise");
    TCase *t = tcase_create("tiers");
    const int tiers = (int)mc_cpu_isa_max() + 1;
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, unary, 1, tiers);
    tcase_add_loop_test(t, binary, 1, tiers);
    tcase_add_loop_test(t, windows, 1, tiers);
    tcase_add_loop_test(t, transpose, 1, tiers);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
