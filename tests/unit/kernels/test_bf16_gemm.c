/* Products by BF16 instructions, of rounded operands and of floats split in three: rounding and packing bit for bit, products of every tier
 * against sums in double, on guard pages. */
#include <math.h>

#include "kernels/kernels.h"
#include "support/guard.h"
#include "support/support.h"
#include "tensor/tensor.h"

#define CAP (256 * 1024)

enum { ROUNDED, SPLIT, GROUPS };

static float *a, *b, *got;
static uint16_t *pa, *pb, *other;

static void setup(void)
{
    uint64_t seed = 11;
    float **floats[] = {&a, &b, &got};
    uint16_t **halves[] = {&pa, &pb, &other};
    for (int i = 0; i < 3; i++) {
        *floats[i] = mc_guard_alloc(CAP * sizeof(float));
        *halves[i] = mc_guard_alloc(CAP * sizeof(float));
    }
    for (int64_t i = 0; i < CAP; i++) {
        a[i] = mc_test_random(&seed);
        b[i] = mc_test_random(&seed);
    }
}

static void teardown(void)
{
    float *floats[] = {a, b, got};
    uint16_t *halves[] = {pa, pb, other};
    for (int i = 0; i < 3; i++) {
        mc_guard_free(floats[i], CAP * sizeof(float));
        mc_guard_free(halves[i], CAP * sizeof(float));
    }
}

static int usable(mc_isa isa) { return isa < MC_ISA_AVX512_VNNI || mc_cpu_has_bf16(); }

/* n 16-bit elements that end at the guard page. */
static uint16_t *tail16(uint16_t *base, int64_t n) { return (uint16_t *)(void *)mc_guard_tail((float *)(void *)base, CAP, n / 2); }

static double value(float f) { return fabsf(f) < 0x1p-126f ? 0.0 : (double)mc_bf16_to_f32(mc_f32_to_bf16(f)); }

typedef struct one_product {
    int64_t m, n, k;
    int trans_a, trans_b, accumulate, finish;
} one_product;

static const mc_kernels_bf16 *group_of(const mc_kernels *k, int group) { return group == SPLIT ? &k->split : &k->bf16; }
static int64_t parts_of(int group) { return group == SPLIT ? MC_BF16_PARTS : 1; }

/* An operand as the group sees it. */
static double seen(int group, float f) { return group == SPLIT ? (double)f : value(f); }

static void one(const mc_kernels *all, int group, const one_product *x)
{
    const mc_kernels_bf16 *kernels = group_of(all, group);
    const int64_t steps = mc_bf16_steps(x->k), next = steps * MC_BF16_TILE * parts_of(group), m = x->m, n = x->n, k = x->k;
    float *fa = mc_guard_tail(a, CAP, m * k), *fb = mc_guard_tail(b, CAP, k * n), *c = mc_guard_tail(got, CAP, m * n);
    uint16_t *ta = tail16(pa, mc_bf16_tiles(m) * next), *tb = tail16(pb, mc_bf16_tiles(n) * next);
    const int64_t a_row = x->trans_a ? 1 : k, a_col = x->trans_a ? m : 1, b_row = x->trans_b ? 1 : n, b_col = x->trans_b ? k : 1;
    kernels->pack_a(fa, a_row, a_col, m, k, next, ta);
    kernels->pack_b(fb, b_row, b_col, k, n, next, tb);
    for (int64_t i = 0; i < m * n; i++) c[i] = (float)(i % 7);
    const mc_gemm_bf16 g = {.a = ta, .b = tb, .a_next = next, .b_next = next, .steps = steps, .c = c, .ldc = n, .m = m, .n = n, .accumulate = x->accumulate,
                            .finish = x->finish, .bias = x->finish ? b : NULL, .residual = x->finish ? a : NULL, .ld_r = n, .lo = -1.5f, .hi = 2.0f};
    kernels->gemm(&g);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = x->accumulate ? (double)((i * n + j) % 7) : 0.0, size = sum;
            for (int64_t r = 0; r < k; r++) {
                const double p = seen(group, fa[i * a_row + r * a_col]) * seen(group, fb[r * b_row + j * b_col]);
                sum += p;
                size += fabs(p);
            }
            if (x->finish) sum = fmin(fmax(sum + (double)b[j] + (double)a[i * n + j], -1.5), 2.0);
            const double error = fabs((double)c[i * n + j] - sum), bound = (double)(k + 4) * 0x1p-24 * (size + 4.0);
            ck_assert_msg(error <= bound, "%lldx%lldx%lld at %lld, %lld: %g, not %g (bound %g)", (long long)m, (long long)n, (long long)k, (long long)i,
                          (long long)j, (double)c[i * n + j], sum, bound);
        }
}

START_TEST(products)
{
    static const int64_t sizes[] = {1, 2, 15, 16, 17, 31, 32, 33, 48, 63, 65};
    const mc_kernels *k = mc_kernels_for((mc_isa)(_i / GROUPS));
    const int group = _i % GROUPS;
    if (!usable((mc_isa)(_i / GROUPS))) return;
    for (size_t i = 0; i < 11; i++)
        for (size_t j = 0; j < 11; j++)
            for (size_t l = 0; l < 11; l += 2)
                one(k, group, &(one_product){sizes[i], sizes[j], sizes[l], (int)i & 1, (int)j & 1, (int)(i + l / 2) % 3 == 0, (int)(i + j) % 3 == 1});
    for (int64_t s = 1; s <= 257; s += 3) {
        one(k, group, &(one_product){s, 5, 40, 0, 0, (int)s & 1, 0});
        one(k, group, &(one_product){3, s, 33, 1, 1, 0, (int)s & 1});
        one(k, group, &(one_product){7, 6, s, (int)s & 1, (int)s >> 1 & 1, 1, 1});
    }
    one(k, group, &(one_product){33, 33, 1500, 1, 0, 1, 0});
}
END_TEST

/* What is lost in one product alone is less than one rounding to single precision: without sums of many, 2^-24 |x y| and the final rounding. */
START_TEST(split_is_exact)
{
    const mc_kernels *k = mc_kernels_for((mc_isa)_i);
    uint64_t seed = 3;
    if (!usable((mc_isa)_i)) return;
    for (int t = 0; t < 20000; t++) {
        const float x = ldexpf(mc_test_random(&seed), t % 40 - 20), y = ldexpf(mc_test_random(&seed), t % 7 - 3);
        float z = 0.0f;
        k->split.pack_a(&x, 1, 1, 1, 1, MC_BF16_PARTS * MC_BF16_TILE, pa);
        k->split.pack_b(&y, 1, 1, 1, 1, MC_BF16_PARTS * MC_BF16_TILE, pb);
        double back = 0.0;
        for (int part = 0; part < MC_BF16_PARTS; part++) back += (double)mc_bf16_to_f32(pa[part * MC_BF16_TILE]);
        ck_assert(back == (double)x);
        const mc_gemm_bf16 g = {.a = pa, .b = pb, .a_next = MC_BF16_PARTS * MC_BF16_TILE, .b_next = MC_BF16_PARTS * MC_BF16_TILE, .steps = 1, .c = &z,
                                .ldc = 1, .m = 1, .n = 1};
        k->split.gemm(&g);
        const double want = (double)x * (double)y;
        ck_assert_msg(fabs((double)z - want) <= 0x1p-23 * fabs(want), "%g * %g: %.9g, not %.9g", (double)x, (double)y, (double)z, want);
    }
}
END_TEST

START_TEST(packing)
{
    static const float odd[] = {0.0f, -0.0f, 1e-39f, -1e-39f, 0x1.fep-127f, 0x1p-126f, 0x1.01p0f, 0x1.03p0f, 0x1.00ffffp0f, 0x1.0100002p0f, 3.4e38f, -3.4e38f,
                                INFINITY, -INFINITY, NAN, 0x1.fffffep127f};
    const mc_kernels *k = mc_kernels_for((mc_isa)(_i / GROUPS)), *ref = mc_kernels_for(MC_ISA_REF);
    const int group = _i % GROUPS;
    const mc_kernels_bf16 *fast = group_of(k, group), *slow = group_of(ref, group);
    if (!usable((mc_isa)(_i / GROUPS))) return;
    memcpy(a + CAP - 16, odd, sizeof odd);
    for (int64_t n = 1; n <= 50; n += 7)
        for (int64_t kk = 1; kk <= 70; kk += 3)
            for (int by_column = 0; by_column < 2; by_column++) {
                const int64_t next = mc_bf16_steps(kk) * MC_BF16_TILE * parts_of(group), total = mc_bf16_tiles(n) * next;
                const float *x = mc_guard_tail(a, CAP, n * kk);
                uint16_t *y = tail16(pa, total), *z = tail16(other, total);
                fast->pack_a(x, by_column ? 1 : kk, by_column ? n : 1, n, kk, next, y);
                slow->pack_a(x, by_column ? 1 : kk, by_column ? n : 1, n, kk, next, z);
                ck_assert_mem_eq(y, z, (size_t)total * sizeof *y);
                fast->pack_b(x, by_column ? 1 : n, by_column ? kk : 1, kk, n, next, y);
                slow->pack_b(x, by_column ? 1 : n, by_column ? kk : 1, kk, n, next, z);
                ck_assert_mem_eq(y, z, (size_t)total * sizeof *y);
            }
    ref->bf16.pack_a(odd, 16, 1, 1, 16, MC_BF16_TILE, other);
    for (int i = 0; i < 16; i++) {
        const float back = mc_bf16_to_f32(other[i]);
        if (isnan(odd[i])) ck_assert(isnan(back));
        else ck_assert(isinf(back) ? fabsf(odd[i]) > 0x1.feffp127f : (double)back == value(odd[i]) && !signbit(back) == !signbit(odd[i]));
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("bf16_gemm");
    TCase *t = tcase_create("tiers");
    const int tiers = (int)mc_cpu_isa_max() + 1;
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, products, 0, tiers * GROUPS);
    tcase_add_loop_test(t, packing, 0, tiers * GROUPS);
    tcase_add_loop_test(t, split_is_exact, 0, tiers);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
