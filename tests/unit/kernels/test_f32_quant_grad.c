/* Gradients of quantization: bits of the reference in every tier, guard pages; the reference against the formulas. */
#include <math.h>

#include "kernels/kernels.h"
#include "support/guard.h"
#include "support/support.h"

#define CAP 1024
#define TAIL(p, n) mc_guard_tail(p, CAP, n)

enum { D, X, DX, N_ARRAYS };
static float *a[N_ARRAYS], want[CAP];

static void setup(void)
{
    uint64_t seed = 5;
    for (int k = 0; k < N_ARRAYS; k++) {
        a[k] = mc_guard_alloc(CAP * sizeof(float));
        for (int64_t j = 0; j < CAP; j++) a[k][j] = (k == X ? 2.0f : 1.0f) * mc_test_random(&seed);
        a[k][CAP - 3] = k == X ? NAN : 1.0f;
        a[k][CAP - 7] = k == X ? -INFINITY : 1.0f;
        a[k][CAP - 9] = k == X ? 0.125f : 1.0f; /* half way */
    }
}

static void teardown(void)
{
    for (int k = 0; k < N_ARRAYS; k++) mc_guard_free(a[k], CAP * sizeof(float));
}

static mc_quant_grad_f32 args(int64_t n, int form)
{
    return (mc_quant_grad_f32){.d = TAIL(a[D], n), .x = TAIL(a[X], n), .dx = TAIL(a[DX], n), .n = n, .scale = form & 2 ? 0.25f : 0.0107f,
                               .lo = form & 4 ? -8.0f : -100.0f, .hi = form & 4 ? 7.0f : 155.0f, .pair = form & 1};
}

START_TEST(tiers)
{
    const mc_kernels *ref = mc_kernels_for(MC_ISA_REF);
    for (int tier = MC_ISA_REF; tier <= (int)mc_cpu_isa(); tier++) {
        const mc_kernels *k = mc_kernels_for((mc_isa)tier);
        for (int64_t n = 0; n <= 257; n++)
            for (int form = 0; form < 8; form++) {
                mc_quant_grad_f32 g = args(n, form);
                ref->f32.quantize_grad(&g);
                memcpy(want, g.dx, (size_t)n * sizeof(float));
                k->f32.quantize_grad(&g);
                ck_assert_mem_eq(want, g.dx, (size_t)n * sizeof(float));
                const double p = ref->f32.scale_grad(&g), q = k->f32.scale_grad(&g);
                ck_assert_msg(memcmp(&p, &q, sizeof p) == 0, "tier %d, n %d, form %d: %.17g and %.17g", tier, (int)n, form, q, p);
            }
    }
}
END_TEST

START_TEST(formulas)
{
    const mc_kernels *k = mc_kernels_for(MC_ISA_REF);
    for (int form = 0; form < 8; form++) {
        const mc_quant_grad_f32 g = args(CAP, form);
        double sum = 0.0;
        k->f32.quantize_grad(&g);
        for (int64_t i = 0; i < CAP; i++) {
            const float f = g.x[i] / g.scale, r = rintf(f);
            const double t = (double)g.x[i] / (double)g.scale, d = (double)g.d[i];
            const int inside = r >= g.lo && r <= g.hi;
            ck_assert_float_eq(g.dx[i], inside ? (g.pair ? g.d[i] : g.d[i] / g.scale) : 0.0f);
            if (inside) sum += g.pair ? d * ((double)r - t) : -d * t / (double)g.scale;
            else if (g.pair && r == r) sum += d * (double)(r < g.lo ? g.lo : g.hi);
        }
        ck_assert_double_eq_tol(k->f32.scale_grad(&g), sum, 1e-9 * (1.0 + fabs(sum)));
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("kernels/f32_quant_grad");
    TCase *tc = tcase_create("quant_grad");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, tiers);
    tcase_add_test(tc, formulas);
    suite_add_tcase(s, tc);
    return mc_test_main(s);
}
