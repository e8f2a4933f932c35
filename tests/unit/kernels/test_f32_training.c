/* Optimizer steps and dropout: bits of the reference in every tier, guard pages; the reference against formulas in double, and the
 * dropout mask against the generator it is drawn from. */
#include <math.h>

#include "base/base.h"
#include "kernels/kernels.h"
#include "support/guard.h"
#include "support/support.h"

#define CAP 1024
#define TAIL(p, n) mc_guard_tail(p, CAP, n)

enum { P, G, M, V, U, MASK, N_ARRAYS };
static float *got[N_ARRAYS], *want[N_ARRAYS];

static void setup(void)
{
    uint64_t seed = 11;
    for (int k = 0; k < N_ARRAYS; k++) {
        got[k] = mc_guard_alloc(CAP * sizeof(float));
        want[k] = mc_guard_alloc(CAP * sizeof(float));
        for (int64_t j = 0; j < CAP; j++) {
            const float r = mc_test_random(&seed);
            got[k][j] = k == MASK ? (r > 0.0f ? 1.0f : 0.0f) : k == V ? fabsf(r) : r;
        }
    }
}

static void teardown(void)
{
    for (int k = 0; k < N_ARRAYS; k++) {
        mc_guard_free(got[k], CAP * sizeof(float));
        mc_guard_free(want[k], CAP * sizeof(float));
    }
}

static void copy(int64_t n)
{
    for (int k = 0; k < N_ARRAYS; k++) memcpy(TAIL(want[k], n), TAIL(got[k], n), (size_t)n * sizeof(float));
}

static void same(int64_t n)
{
    for (int k = 0; k < N_ARRAYS; k++) ck_assert_mem_eq(TAIL(want[k], n), TAIL(got[k], n), (size_t)n * sizeof(float));
}

static mc_adam_f32 adam_of(float **a, int64_t n, int lamb, int masked)
{
    return (mc_adam_f32){.p = TAIL(a[P], n), .g = TAIL(a[G], n), .m = TAIL(a[M], n), .v = TAIL(a[V], n), .u = lamb ? TAIL(a[U], n) : NULL,
                         .mask = masked ? TAIL(a[MASK], n) : NULL, .n = n, .scale = 0.5f, .l2 = 0.01f, .decay = 0.999f, .beta1 = 0.9f,
                         .beta2 = 0.99f, .step = 0.01f, .root = 1.5f, .eps = 1e-8f};
}

static mc_sgd_f32 sgd_of(float **a, int64_t n, int form)
{
    return (mc_sgd_f32){.p = TAIL(a[P], n), .g = TAIL(a[G], n), .b = form & 1 ? TAIL(a[M], n) : NULL, .mask = form & 2 ? TAIL(a[MASK], n) : NULL,
                        .n = n, .scale = 0.5f, .l2 = 0.01f, .momentum = 0.9f, .lr = 0.1f, .nesterov = (form & 4) != 0};
}

START_TEST(tiers)
{
    const mc_kernels *k = mc_kernels_for((mc_isa)_i), *ref = mc_kernels_for(MC_ISA_REF);
    for (int64_t n = 1; n <= 257; n++) {
        for (int form = 0; form < 4; form++) {
            copy(n);
            const mc_adam_f32 a = adam_of(got, n, form & 1, form & 2), b = adam_of(want, n, form & 1, form & 2);
            k->f32.adam(&a);
            ref->f32.adam(&b);
            same(n);
        }
        for (int form = 0; form < 8; form++) {
            copy(n);
            const mc_sgd_f32 a = sgd_of(got, n, form), b = sgd_of(want, n, form);
            k->f32.sgd(&a);
            ref->f32.sgd(&b);
            same(n);
        }
        mc_dropout_f32 d = {.x = TAIL(got[G], n), .y = TAIL(got[U], n), .n = n, .first = 64 * (n % 5), .seed = 0x123456789abcdefu,
                            .stream = 0xfedcba9876543210u, .threshold = 0x40000000u * (uint32_t)(n % 4), .scale = 2.0f};
        k->f32.dropout(&d);
        d.y = TAIL(want[U], n);
        ref->f32.dropout(&d);
        same(n);
        for (int form = 0; form < 2; form++) {
            double a[2] = {1.0, 2.0}, b[2] = {1.0, 2.0};
            const mc_plane_sums_f32 p = {.x = TAIL(got[G], n), .dy = form ? TAIL(got[P], n) : NULL, .mean = 0.25f, .n = n};
            k->f32.plane_sums(&p, a);
            ref->f32.plane_sums(&p, b);
            ck_assert_mem_eq(a, b, sizeof a);
        }
        k->f32.combine(TAIL(got[P], n), 0.3f, TAIL(got[G], n), -2.0f, 0.7f, TAIL(got[U], n), n);
        ref->f32.combine(TAIL(got[P], n), 0.3f, TAIL(got[G], n), -2.0f, 0.7f, TAIL(want[U], n), n);
        same(n);
    }
}
END_TEST

START_TEST(formulas)
{
    const mc_kernels *k = mc_kernels_for(MC_ISA_REF);
    const int64_t n = 100;
    copy(n);
    const mc_adam_f32 a = adam_of(got, n, 0, 1);
    k->f32.adam(&a);
    const float *p = TAIL(want[P], n), *g = TAIL(want[G], n), *m = TAIL(want[M], n), *v = TAIL(want[V], n), *mask = TAIL(want[MASK], n);
    for (int64_t i = 0; i < n; i++) {
        const double gi = (0.5 * (double)g[i] + 0.01 * (double)p[i]) * (double)mask[i];
        const double mi = 0.9 * (double)m[i] + 0.1 * gi, vi = 0.99 * (double)v[i] + 0.01 * gi * gi;
        const double pi = ((double)p[i] * 0.999 - 0.01 * mi / (1.5 * sqrt(vi) + 1e-8)) * (double)mask[i];
        ck_assert_double_eq_tol((double)a.m[i], mi, 1e-6);
        ck_assert_double_eq_tol((double)a.v[i], vi, 1e-6);
        ck_assert_double_eq_tol((double)a.p[i], pi, 1e-6);
    }
    copy(n);
    const mc_sgd_f32 s = sgd_of(got, n, 5);
    k->f32.sgd(&s);
    for (int64_t i = 0; i < n; i++) {
        const double gi = 0.5 * (double)g[i] + 0.01 * (double)p[i], b = 0.9 * (double)m[i] + gi;
        ck_assert_double_eq_tol((double)s.b[i], b, 1e-6);
        ck_assert_double_eq_tol((double)s.p[i], (double)p[i] - 0.1 * (gi + 0.9 * b), 1e-6);
    }
}
END_TEST

START_TEST(sums_of_long_planes)
{
    static float x[5000], dy[5000];
    uint64_t seed = 3;
    double want_[4] = {0.0, 0.0, 0.0, 0.0}, a[2] = {0.0, 0.0}, b[2] = {0.0, 0.0};
    for (int i = 0; i < 5000; i++) {
        x[i] = 3.0f + mc_test_random(&seed);
        dy[i] = mc_test_random(&seed);
        const double d = (double)x[i] - 3.0;
        want_[0] += d;
        want_[1] += d * d;
        want_[2] += (double)dy[i];
        want_[3] += (double)dy[i] * d;
    }
    const mc_kernels *k = mc_kernels_for((mc_isa)_i);
    k->f32.plane_sums(&(mc_plane_sums_f32){.x = x, .mean = 3.0f, .n = 5000}, a);
    k->f32.plane_sums(&(mc_plane_sums_f32){.x = x, .dy = dy, .mean = 3.0f, .n = 5000}, b);
    for (int i = 0; i < 2; i++) {
        ck_assert_double_eq_tol(a[i], want_[i], 1e-3);
        ck_assert_double_eq_tol(b[i], want_[2 + i], 1e-3);
    }
}
END_TEST

START_TEST(mask_is_the_generators)
{
    const mc_kernels *k = mc_kernels_for(mc_cpu_isa_max());
    float one[256], y[256];
    uint32_t word[4];
    int32_t kept = 0;
    for (int i = 0; i < 256; i++) one[i] = 1.0f;
    for (int64_t block = 0; block < 200; block++) {
        const mc_dropout_f32 d = {.x = one, .y = y, .n = 256, .first = 256 * block, .seed = 7, .stream = 9, .threshold = 0x1999999au, .scale = 1.0f};
        k->f32.dropout(&d);
        for (int64_t i = 0; i < 256; i++) {
            const int64_t e = d.first + i;
            mc_rng_block(7, 9, 16 * (uint64_t)(e / 64) + (uint64_t)(e % 16), word);
            ck_assert(y[i] == (word[e % 64 / 16] >= d.threshold ? 1.0f : 0.0f));
            kept += y[i] != 0.0f;
        }
    }
    ck_assert(kept > 51200 * 0.89 && kept < 51200 * 0.91);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("f32_training");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, tiers, 1, (int)mc_cpu_isa_max() + 1);
    tcase_add_test(t, formulas);
    tcase_add_loop_test(t, sums_of_long_planes, 0, (int)mc_cpu_isa_max() + 1);
    tcase_add_test(t, mask_is_the_generators);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
