/* Gradient kernels: bits of the reference in every tier, sizes, guard pages, special values. Their values are compared with the
 * operators' references in tests/unit/backends/test_cpu_grad.c. */
#include <math.h>

#include "kernels/kernels.h"
#include "support/guard.h"
#include "support/support.h"

#define CAP 4096
#define TAIL(p, n) mc_guard_tail(p, CAP, n)

enum { X, DY, GAMMA, N_IN };
static float *in[N_IN], *got[3], *want[3];

static void setup(void)
{
    uint64_t seed = 3;
    for (int k = 0; k < N_IN; k++) {
        in[k] = mc_guard_alloc(CAP * sizeof(float));
        for (int64_t j = 0; j < CAP; j++) in[k][j] = 4.0f * mc_test_random(&seed);
    }
    for (int k = 0; k < 3; k++) {
        got[k] = mc_guard_alloc(CAP * sizeof(float));
        want[k] = mc_guard_alloc(CAP * sizeof(float));
    }
}

static void teardown(void)
{
    for (int k = 0; k < N_IN; k++) mc_guard_free(in[k], CAP * sizeof(float));
    for (int k = 0; k < 3; k++) {
        mc_guard_free(got[k], CAP * sizeof(float));
        mc_guard_free(want[k], CAP * sizeof(float));
    }
}

/* Equal bits, or both NaN. */
static void same(int array, int64_t n, const char *what, int code)
{
    const float *g = TAIL(got[array], n), *w = TAIL(want[array], n);
    for (int64_t i = 0; i < n; i++) {
        if (memcmp(&g[i], &w[i], sizeof *g) == 0 || (isnan(g[i]) && isnan(w[i]))) continue;
        ck_abort_msg("%s %d of %d: element %d: %.9g, reference %.9g", what, code, (int)n, (int)i, (double)g[i], (double)w[i]);
    }
}

START_TEST(unary_grad)
{
    static const int32_t codes[] = {MCOMP_ACT_RELU, MCOMP_ACT_GELU, MCOMP_ACT_GELU_TANH, MCOMP_ACT_SIGMOID, MCOMP_ACT_TANH, MCOMP_ACT_SILU,
                                    MCOMP_ACT_HARDSWISH, MC_UNARY_HARDSIGMOID, MC_UNARY_LEAKY_RELU, MC_UNARY_ELU, MC_UNARY_ERF,
                                    MC_UNARY_SQRT, MC_UNARY_RECIPROCAL, MC_UNARY_LOG};
    static const float special[] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 1e-40f, 3.0f, -3.0f, 90.0f, -90.0f, 1e30f, -1e30f};
    const mc_kernels *k = mc_kernels_for((mc_isa)_i), *ref = mc_kernels_for(MC_ISA_REF);
    memcpy(TAIL(in[X], 12), special, sizeof special);
    for (size_t c = 0; c < sizeof codes / sizeof *codes; c++)
        for (int64_t n = 1; n <= 257; n += n < 34 ? 1 : 17) {
            k->f32.unary_grad(codes[c], TAIL(in[X], n), TAIL(in[DY], n), TAIL(got[0], n), n, 0.25f, 0.5f);
            ref->f32.unary_grad(codes[c], TAIL(in[X], n), TAIL(in[DY], n), TAIL(want[0], n), n, 0.25f, 0.5f);
            same(0, n, "unary_grad", codes[c]);
        }
}
END_TEST

START_TEST(softmax_grad)
{
    const mc_kernels *k = mc_kernels_for((mc_isa)_i), *ref = mc_kernels_for(MC_ISA_REF);
    for (int log = 0; log < 2; log++)
        for (int64_t n = 1; n <= 257; n++) {
            const int64_t all = 3 * n;
            k->f32.softmax_grad(TAIL(in[X], all), TAIL(in[DY], all), TAIL(got[0], all), 3, n, log);
            ref->f32.softmax_grad(TAIL(in[X], all), TAIL(in[DY], all), TAIL(want[0], all), 3, n, log);
            same(0, all, "softmax_grad", log);
        }
}
END_TEST

START_TEST(norm_grad)
{
    const mc_kernels *k = mc_kernels_for((mc_isa)_i), *ref = mc_kernels_for(MC_ISA_REF);
    for (int form = 0; form < 8; form++)
        for (int64_t n = 1; n <= 257; n += n < 34 ? 1 : 17) {
            const int64_t all = 5 * n;
            mc_norm_grad_f32 g = {.x = TAIL(in[X], all), .dy = TAIL(in[DY], all), .gamma = TAIL(in[GAMMA], n), .rows = 5, .n = n, .eps = 1e-3f,
                                  .rms = form & 1};
            for (int pass = 0; pass < 2; pass++) {
                float **out = pass ? want : got;
                g.dx = form & 2 ? NULL : TAIL(out[0], all);
                g.dgamma = TAIL(out[1], n);
                g.dbeta = form & 4 ? NULL : TAIL(out[2], n);
                for (int64_t j = 0; j < n; j++) TAIL(out[1], n)[j] = TAIL(out[2], n)[j] = (float)j;
                if (pass) ref->f32.norm_grad(&g);
                else k->f32.norm_grad(&g);
            }
            if (g.dx) same(0, all, "norm_grad dx", form);
            same(1, n, "norm_grad dgamma", form);
            same(2, n, "norm_grad dbeta", form);
        }
}
END_TEST

START_TEST(blocks)
{
    const mc_kernels *k = mc_kernels_for((mc_isa)_i), *ref = mc_kernels_for(MC_ISA_REF);
    for (int add = 0; add < 2; add++)
        for (int64_t n = 1; n <= 70; n++) {
            const int64_t from = 3 * n + 10, to = 3 * n + 4; /* rows n + 5 and n + 2 apart */
            float *g = TAIL(got[0], to), *w = TAIL(want[0], to);
            for (int64_t j = 0; j < to; j++) g[j] = w[j] = (float)j;
            (add ? k->f32.add_block : k->f32.copy_block)(TAIL(in[X], from), n + 5, g, n + 2, 3, n);
            (add ? ref->f32.add_block : ref->f32.copy_block)(TAIL(in[X], from), n + 5, w, n + 2, 3, n);
            same(0, to, "block", add);
        }
}
END_TEST

START_TEST(attention_grad)
{
    const mc_kernels *k = mc_kernels_for((mc_isa)_i), *ref = mc_kernels_for(MC_ISA_REF);
    for (int64_t t = 1; t <= 65; t += 4) {
        const int64_t n = t * MC_ATTENTION_LANES;
        for (int64_t i = 0; i < n; i++) {
            TAIL(got[0], n)[i] = TAIL(want[0], n)[i] = TAIL(in[X], n)[i];
            TAIL(got[1], n)[i] = TAIL(want[1], n)[i] = TAIL(in[DY], n)[i];
        }
        k->f32.attention_grad(TAIL(got[0], n), TAIL(got[1], n), t, TAIL(in[GAMMA], MC_ATTENTION_LANES), 0.3f);
        ref->f32.attention_grad(TAIL(want[0], n), TAIL(want[1], n), t, TAIL(in[GAMMA], MC_ATTENTION_LANES), 0.3f);
        same(0, n, "attention_grad p", 0);
        same(1, n, "attention_grad dp", 0);
    }
}
END_TEST

/* Ties, NaN and infinities among the windows. */
START_TEST(pool2)
{
    const mc_kernels *k = mc_kernels_for((mc_isa)_i), *ref = mc_kernels_for(MC_ISA_REF);
    for (int64_t n = 1; n <= 130; n++) {
        float *x0 = TAIL(in[X], 2 * n), *x1 = TAIL(in[GAMMA], 2 * n);
        for (int64_t j = 0; j < 2 * n; j++) {
            x0[j] = j % 7 == 3 ? x1[j] : x0[j];
            if (j % 23 == 5) x0[j] = NAN;
            if (j % 29 == 6) x1[j] = j % 2 ? NAN : -INFINITY;
        }
        k->f32.max_pool2(x0, x1, TAIL(got[0], n), n);
        ref->f32.max_pool2(x0, x1, TAIL(want[0], n), n);
        same(0, n, "max_pool2", 0);
        k->f32.max_pool2_grad(x0, x1, TAIL(in[DY], n), TAIL(got[1], 2 * n), TAIL(got[2], 2 * n), n);
        ref->f32.max_pool2_grad(x0, x1, TAIL(in[DY], n), TAIL(want[1], 2 * n), TAIL(want[2], 2 * n), n);
        same(1, 2 * n, "max_pool2_grad", 0);
        same(2, 2 * n, "max_pool2_grad", 1);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("f32_grad");
    TCase *t = tcase_create("tiers");
    const int tiers = (int)mc_cpu_isa_max() + 1;
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, unary_grad, 0, tiers);
    tcase_add_loop_test(t, softmax_grad, 0, tiers);
    tcase_add_loop_test(t, norm_grad, 0, tiers);
    tcase_add_loop_test(t, blocks, 0, tiers);
    tcase_add_loop_test(t, attention_grad, 0, tiers);
    tcase_add_loop_test(t, pool2, 0, tiers);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
