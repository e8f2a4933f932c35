/* Row kernels: every tier gives the bits of the reference, which follows math_f32.h; sizes 1..257 on guard pages; the
 * reference itself is checked against libm in double. */
#include <math.h>

#include "kernels/kernels.h"
#include "support/guard.h"
#include "support/support.h"

#define CAP 4096

static float *x, *r, *v, *got, *want;

static void setup(void)
{
    uint64_t seed = 11;
    float **all[] = {&x, &r, &v, &got, &want};
    for (size_t i = 0; i < 5; i++) {
        *all[i] = mc_guard_alloc(CAP * sizeof(float));
        for (int64_t j = 0; j < CAP; j++) (*all[i])[j] = 6.0f * mc_test_random(&seed);
    }
}

static void teardown(void)
{
    float *all[] = {x, r, v, got, want};
    for (size_t i = 0; i < 5; i++) mc_guard_free(all[i], CAP * sizeof(float));
}

#define TAIL(p, n) mc_guard_tail(p, CAP, n)

START_TEST(epilogue)
{
    const mc_kernels *k = mc_kernels_for((mc_isa)_i), *ref = mc_kernels_for(MC_ISA_REF);
    int variant = 0;
    for (int64_t n = 1; n <= 257; n += n < 40 ? 1 : 31)
        for (int32_t act = MCOMP_ACT_NONE; act <= MCOMP_ACT_HARDSWISH; act++)
            for (int32_t post = MCOMP_ACT_NONE; post <= MCOMP_ACT_HARDSWISH; post++, variant++) {
                const mcomp_epilogue_f32 e = {.size = sizeof e, .act = act, .post_act = post, .act_lo = -0.5f, .act_hi = 2.0f,
                                              .layernorm = variant % 3 == 0, .ln_eps = 1e-5f,
                                              .bias = variant & 1 ? TAIL(v, n) : NULL, .gamma = variant & 4 ? TAIL(r, n) : NULL,
                                              .beta = variant & 8 ? TAIL(v, n) : NULL,
                                              .residual = variant & 2 ? TAIL(r, 2 * n) : NULL, .ld_r = n};
                memcpy(TAIL(got, 2 * n), TAIL(x, 2 * n), (size_t)(2 * n) * sizeof(float));
                memcpy(TAIL(want, 2 * n), TAIL(x, 2 * n), (size_t)(2 * n) * sizeof(float));
                k->f32.epilogue(&e, TAIL(got, 2 * n), n, 2, n);
                ref->f32.epilogue(&e, TAIL(want, 2 * n), n, 2, n);
                ck_assert_msg(memcmp(TAIL(got, 2 * n), TAIL(want, 2 * n), (size_t)(2 * n) * sizeof(float)) == 0,
                              "act %d post %d n %d differ", act, post, (int)n);
            }
}
END_TEST

START_TEST(softmax_and_norm)
{
    const mc_kernels *k = mc_kernels_for((mc_isa)_i), *ref = mc_kernels_for(MC_ISA_REF);
    for (int64_t n = 1; n <= 257; n++)
        for (int32_t mode = 0; mode < 2; mode++) {
            mc_softmax_f32 s = {.x = TAIL(x, 2 * n), .y = TAIL(got, 2 * n), .ld_x = n, .ld_y = n, .rows = 2, .n = n, .scale = 0.7f, .log = mode};
            mc_norm_f32 m = {.x = TAIL(x, 2 * n), .y = TAIL(got, 2 * n), .ld_x = n, .ld_y = n, .rows = 2, .n = n, .eps = 1e-5f, .rms = mode,
                             .gamma = n & 1 ? TAIL(r, n) : NULL, .beta = n & 2 ? TAIL(v, n) : NULL};
            k->f32.softmax(&s);
            s.y = TAIL(want, 2 * n);
            ref->f32.softmax(&s);
            ck_assert_mem_eq(TAIL(got, 2 * n), TAIL(want, 2 * n), (size_t)(2 * n) * sizeof(float));
            k->f32.scale_rows(TAIL(got, 2 * n), n, 2, n, x);
            for (int64_t j = 0; j < 2 * n; j++) TAIL(want, 2 * n)[j] *= x[j / n];
            ck_assert_mem_eq(TAIL(got, 2 * n), TAIL(want, 2 * n), (size_t)(2 * n) * sizeof(float));
            k->f32.norm(&m);
            m.y = TAIL(want, 2 * n);
            ref->f32.norm(&m);
            ck_assert_mem_eq(TAIL(got, 2 * n), TAIL(want, 2 * n), (size_t)(2 * n) * sizeof(float));
        }
}
END_TEST

START_TEST(softmax_is_softmax)
{
    const mc_kernels *k = mc_kernels_for((mc_isa)_i);
    const int64_t n = 100;
    double sum = 0.0, max = -1e9;
    mc_softmax_f32 s = {.x = x, .y = got, .ld_x = n, .ld_y = n, .rows = 1, .n = n, .scale = 1.0f};
    for (int64_t j = 0; j < n; j++) max = fmax(max, (double)x[j]);
    for (int64_t j = 0; j < n; j++) sum += exp((double)x[j] - max);
    for (int64_t j = 0; j < n; j++) want[j] = (float)(exp((double)x[j] - max) / sum);
    k->f32.softmax(&s);
    mc_ck_close_f32(got, want, n, 1e-6, 1e-9);
    s.log = 1;
    for (int64_t j = 0; j < n; j++) want[j] = (float)((double)x[j] - max - log(sum));
    k->f32.softmax(&s);
    mc_ck_close_f32(got, want, n, 1e-6, 1e-6);
}
END_TEST

/* Blocks of keys, each with its own mask, against one softmax over all of them. */
START_TEST(attention_blocks)
{
    enum { T = 50, L = MC_ATTENTION_LANES };
    const mc_kernels *k = mc_kernels_for((mc_isa)_i);
    for (int masked = 0; masked < 3; masked++) {
        static float s[T * L], scores[T * L], weight[T * L];
        float maximum[L], sum[L], rescale[L];
        const float *mask = masked == 2 ? TAIL(r, T * 20) : TAIL(r, T);
        const int64_t lanes = masked == 2 ? 20 : L, mask_t = masked == 2 ? 20 : 1, mask_q = masked == 2;
        for (int64_t i = 0; i < T * L; i++) {
            scores[i] = x[i];
            s[i] = x[i] * MC_LOG2E;
        }
        for (int64_t i = 0; i < L; i++) {
            maximum[i] = -INFINITY;
            sum[i] = 0.0f;
        }
        for (int64_t t = 0; t < T; t += 20) {
            const int64_t count = T - t < 20 ? T - t : 20;
            mc_attention_f32 a = {.s = s + t * L, .t = count, .mask = masked ? mask + t * mask_t : NULL, .mask_t = mask_t,
                                  .mask_q = mask_q, .lanes = lanes, .maximum = maximum, .sum = sum, .rescale = rescale};
            k->f32.attention(&a);
            for (int64_t p = 0; p < t; p++)
                for (int64_t i = 0; i < L; i++) s[p * L + i] *= rescale[i];
        }
        for (int64_t i = 0; i < L; i++) {
            double total = 0.0;
            for (int64_t t = 0; t < T; t++) {
                const double m = !masked || i >= lanes ? 0.0 : (double)mask[t * mask_t + i * mask_q];
                weight[t * L + i] = (float)exp((double)scores[t * L + i] + m - 20.0);
                total += (double)weight[t * L + i];
            }
            for (int64_t t = 0; t < T; t++) {
                weight[t * L + i] = (float)((double)weight[t * L + i] / total);
                s[t * L + i] /= sum[i];
            }
        }
        mc_ck_close_f32(s, weight, T * L, 1e-5, 1e-7);
    }
}
END_TEST

START_TEST(reductions)
{
    const mc_kernels *k = mc_kernels_for((mc_isa)_i), *ref = mc_kernels_for(MC_ISA_REF);
    for (int32_t code = MC_REDUCE_SUM; code <= MC_REDUCE_SQUARES; code++)
        for (int64_t n = 1; n <= 257; n++) {
            const float g = k->f32.reduce(code, TAIL(x, n), n), w = ref->f32.reduce(code, TAIL(x, n), n);
            ck_assert_mem_eq(&g, &w, sizeof g);
            k->f32.reduce_rows(code, TAIL(x, 3 * n), n, 3, TAIL(got, n), n);
            ref->f32.reduce_rows(code, TAIL(x, 3 * n), n, 3, TAIL(want, n), n);
            ck_assert_mem_eq(TAIL(got, n), TAIL(want, n), (size_t)n * sizeof(float));
        }
    for (int64_t n = 1; n < 40; n++) {
        float *p = TAIL(x, n);
        const float keep = p[n / 2];
        p[n / 2] = NAN;
        ck_assert(isnan(k->f32.reduce(MC_REDUCE_MAX, p, n)));
        ck_assert(isnan(k->f32.reduce(MC_REDUCE_MIN, p, n)));
        p[n / 2] = keep;
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("f32_rows");
    TCase *t = tcase_create("tiers");
    const int tiers = (int)mc_cpu_isa_max() + 1;
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, epilogue, 1, tiers);
    tcase_add_loop_test(t, softmax_and_norm, 1, tiers);
    tcase_add_loop_test(t, softmax_is_softmax, 0, tiers);
    tcase_add_loop_test(t, attention_blocks, 0, tiers);
    tcase_add_loop_test(t, reductions, 0, tiers);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
