/* Winograd transforms of F(2x2, 3x3): every tier gives the bits of the reference, on guard pages; the reference, together with the
 * transform of the weights written out, is a 3 x 3 convolution (small integers: without rounding). */
#include <math.h>

#include "kernels/kernels.h"
#include "support/guard.h"
#include "support/support.h"

#define CAP 8192
#define P MC_WINOGRAD_PLANES

static float *x, *r, *v, *got, *want;

static void setup(void)
{
    uint64_t seed = 5;
    float **all[] = {&x, &r, &v, &got, &want};
    for (size_t i = 0; i < 5; i++) {
        *all[i] = mc_guard_alloc(CAP * sizeof(float));
        for (int64_t j = 0; j < CAP; j++) (*all[i])[j] = 3.0f * mc_test_random(&seed);
    }
}

static void teardown(void)
{
    float *all[] = {x, r, v, got, want};
    for (size_t i = 0; i < 5; i++) mc_guard_free(all[i], CAP * sizeof(float));
}

#define TAIL(p, n) mc_guard_tail(p, CAP, n)

START_TEST(input)
{
    const mc_kernels *k = mc_kernels_for((mc_isa)_i), *ref = mc_kernels_for(MC_ISA_REF);
    for (int64_t n = 1; n <= 131; n++) {
        const int64_t plane = n + n % 3, all = 15 * plane + n;
        const float *pixel[16];
        for (int64_t i = 0; i < 16; i++) pixel[i] = TAIL(x, (i + 1) * n);
        memset(TAIL(got, all), 0, (size_t)all * sizeof *got);
        memset(TAIL(want, all), 0, (size_t)all * sizeof *want);
        k->f32.winograd_in(pixel, TAIL(got, all), plane, n);
        ref->f32.winograd_in(pixel, TAIL(want, all), plane, n);
        ck_assert_mem_eq(TAIL(got, all), TAIL(want, all), (size_t)all * sizeof *got); /* the gaps between planes as well */
    }
}
END_TEST

START_TEST(output)
{
    const mc_kernels *k = mc_kernels_for((mc_isa)_i), *ref = mc_kernels_for(MC_ISA_REF);
    for (int64_t n = 1; n <= 131; n++)
        for (int variant = 0; variant < 16; variant++) {
            const int64_t plane = n + n % 3;
            mc_winograd_out_f32 o = {.z = TAIL(x, 15 * plane + n), .plane = plane, .n = n, .bias = variant & 1 ? TAIL(v, n) : NULL,
                                     .lo = variant & 2 ? -0.5f : -INFINITY, .hi = variant & 4 ? 4.0f : INFINITY}, w = o;
            for (int i = 0; i < 4; i++) {
                o.residual[i] = w.residual[i] = variant & 8 ? TAIL(r, (i + 1) * n) : NULL;
                if ((variant + i) % 5 == 0) continue; /* beyond the image */
                o.y[i] = TAIL(got, (i + 1) * n);
                w.y[i] = TAIL(want, (i + 1) * n);
            }
            memset(TAIL(got, 4 * n), 0, (size_t)(4 * n) * sizeof *got);
            memset(TAIL(want, 4 * n), 0, (size_t)(4 * n) * sizeof *want);
            k->f32.winograd_out(&o);
            ref->f32.winograd_out(&w);
            ck_assert_mem_eq(TAIL(got, 4 * n), TAIL(want, 4 * n), (size_t)(4 * n) * sizeof *got);
        }
}
END_TEST

/* Element (i, j) of L g L' with a 4 x 3 matrix L. */
static float weight(const float L[4][3], const float g[9], int i, int j)
{
    float sum = 0.0f;
    for (int a = 0; a < 3; a++)
        for (int b = 0; b < 3; b++) sum += L[i][a] * g[3 * a + b] * L[j][b];
    return sum;
}

START_TEST(is_a_convolution)
{
    static const float G[4][3] = {{1, 0, 0}, {0.5f, 0.5f, 0.5f}, {0.5f, -0.5f, 0.5f}, {0, 0, 1}};
    const mc_kernels *k = mc_kernels_for((mc_isa)_i);
    uint64_t seed = 3;
    for (int round = 0; round < 200; round++) {
        float d[16], g[9], z[P], y[4];
        const float *pixel[16];
        mc_winograd_out_f32 o = {.z = z, .plane = 1, .n = 1, .y = {y, y + 1, y + 2, y + 3}, .lo = -INFINITY, .hi = INFINITY};
        for (int i = 0; i < 16; i++) {
            d[i] = rintf(20.0f * mc_test_random(&seed));
            pixel[i] = d + i;
        }
        for (int i = 0; i < 9; i++) g[i] = rintf(20.0f * mc_test_random(&seed));
        k->f32.winograd_in(pixel, z, 1, 1);
        for (int t = 0; t < P; t++) z[t] *= weight(G, g, t / 4, t % 4);
        k->f32.winograd_out(&o);
        for (int i = 0; i < 4; i++) {
            float sum = 0.0f;
            for (int a = 0; a < 9; a++) sum += d[(i / 2 + a / 3) * 4 + i % 2 + a % 3] * g[a];
            ck_assert_float_eq(y[i], sum);
        }
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("f32_winograd");
    TCase *t = tcase_create("kernels");
    const int n = (int)mc_cpu_isa_max() + 1;
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, input, 0, n);
    tcase_add_loop_test(t, output, 0, n);
    tcase_add_loop_test(t, is_a_convolution, 0, n);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
