/* 4x1 sparse integer GEMM of every tier: equal to plain sums and to the dense kernel, at every density, on all kinds of remainders,
 * saturating vectors, guard pages; blocks of every tier mean the same to the reference. */
#include "kernels/kernels.h"
#include "support/support.h"
#include "unit/kernels/guard.h"

enum { FILL_RANDOM, FILL_EXTREME, FILL_SURVIVORS };

static int8_t weight(int fill, uint64_t *seed)
{
    static const int8_t ends[] = {127, -128, -127, 127, 1, 0, 127, -128};
    const uint32_t r = test_u32(seed);
    if (fill == FILL_RANDOM) return (int8_t)(r >> 24);
    if (fill == FILL_EXTREME) return ends[r >> 29];
    return (int8_t)((40 + (r >> 8) % 88) * (r >> 31 ? 1u : 255u)); /* what is left of a pruned row: no small ones */
}

static int64_t up(int64_t v, int64_t to) { return (v + to - 1) / to * to; }

typedef struct product {
    mc_isa isa;
    int64_t m, n, segments, run, cut;
    int fill, percent; /* of 4x1 blocks that are not zero */
    int loose;         /* weights inside a block may be zero too */
} product;

typedef struct operands {
    guard w, a, sums, init, rows, seg;
    int64_t depth, padded, stride;
} operands;

static operands make(const product *p)
{
    const int64_t depth = p->segments * p->run, padded = up(p->n, MC_QGEMM_LANES), stride = up(p->run, 4) + 4;
    uint64_t seed = (uint64_t)(p->m * 1000003 + p->n * 1009 + depth * 7 + p->fill + p->percent * 31);
    operands o = {.w = guard_alloc((size_t)(p->n * depth), 1), .a = guard_alloc((size_t)(p->m * p->segments * stride - 4), 1),
                  .sums = guard_alloc((size_t)padded * 4, 64), .init = guard_alloc((size_t)padded * 4, 64),
                  .rows = guard_alloc((size_t)p->m * 8, 8), .seg = guard_alloc((size_t)p->segments * 8, 8),
                  .depth = depth, .padded = padded, .stride = stride};
    for (int64_t j = 0; j < p->n; j += 4)
        for (int64_t k = 0; k < depth; k++) {
            const int keep = (int)(test_u32(&seed) % 100u) < p->percent;
            for (int64_t c = j; c < j + 4 && c < p->n; c++)
                ((int8_t *)o.w.data)[c * depth + k] = keep && !(p->loose && test_u32(&seed) >> 31) ? weight(p->fill, &seed) : 0;
        }
    for (int64_t i = 0; i < p->m * p->segments * stride - 4; i++) {
        const uint32_t r = test_u32(&seed);
        ((uint8_t *)o.a.data)[i] = (uint8_t)(p->fill == FILL_EXTREME ? (r >> 28 ? 255 : 0) : r >> 24);
    }
    for (int64_t i = 0; i < p->m; i++) ((const uint8_t **)o.rows.data)[i] = (const uint8_t *)o.a.data + (p->m - 1 - i) * p->segments * stride;
    for (int64_t g = 0; g < p->segments; g++) ((int64_t *)o.seg.data)[g] = (p->segments - 1 - g) * stride;
    for (int64_t j = 0; j < padded; j++) ((int32_t *)o.init.data)[j] = (int32_t)test_u32(&seed) >> 8;
    return o;
}

static void compare(const product *p, const operands *o, const mc_qgemm_tile *t, const char *what)
{
    for (int64_t i = 0; i < p->m; i++)
        for (int64_t j = 0; j < t->cols; j++) {
            const int8_t *w = (const int8_t *)o->w.data + (t->n0 + j) * o->depth;
            int64_t want = ((int32_t *)o->init.data)[t->n0 + j];
            for (int64_t g = 0; g < p->segments; g++)
                for (int64_t q = 0; q < p->run; q++) want += (int64_t)t->rows[i][t->seg[g] + q] * w[g * p->run + q];
            ck_assert_msg(t->acc[i * t->ld_acc + j] == want, "%s %s m %lld n %lld runs %lldx%lld fill %d %d %%: [%lld][%lld] %d, want %lld",
                          mc_isa_name(p->isa), what, (long long)p->m, (long long)p->n, (long long)p->segments, (long long)p->run, p->fill,
                          p->percent, (long long)i, (long long)(t->n0 + j), t->acc[i * t->ld_acc + j], (long long)want);
        }
}

static void check(product p)
{
    const mc_kernels_sparse *k = &mc_kernels_for(p.isa)->sparse, *ref = &mc_kernels_for(MC_ISA_REF)->sparse;
    const mc_qgemm_shape s = {p.n, p.segments, p.run};
    operands o = make(&p);
    guard packed = guard_alloc((size_t)k->packed_bytes(&s, o.w.data), 64);
    guard loaded = guard_alloc((size_t)k->loaded_bytes(&s, p.m) + 1, 64);
    k->pack(&s, o.w.data, packed.data, o.sums.data);
    for (int64_t j = 0; j < o.padded; j++) {
        int32_t sum = 0;
        for (int64_t i = 0; i < o.depth && j < p.n; i++) sum += ((int8_t *)o.w.data)[j * o.depth + i];
        ck_assert_int_eq(((int32_t *)o.sums.data)[j], sum);
    }
    mc_qgemm_tile t = {.shape = s, .packed = packed.data, .rows = o.rows.data, .seg = o.seg.data, .m = p.m, .init = o.init.data,
                       .loaded = loaded.data};
    k->load(&t);
    for (t.n0 = 0; t.n0 < p.n; t.n0 += t.cols) {
        t.cols = p.n - t.n0 < p.cut ? p.n - t.n0 : p.cut;
        t.ld_acc = up(t.cols, 16);
        guard acc = guard_alloc((size_t)(p.m * t.ld_acc) * 4, 64);
        t.acc = acc.data;
        k->gemm(&t);
        compare(&p, &o, &t, "kernel");
        if (p.m < 5) {
            memset(acc.data, 1, (size_t)(p.m * t.ld_acc) * 4);
            ref->gemm(&t);
            compare(&p, &o, &t, "block");
        }
        guard_free(&acc);
    }
    guard *all[] = {&o.w, &o.a, &o.sums, &o.init, &o.rows, &o.seg, &packed, &loaded};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) guard_free(all[i]);
}

#define EACH_TIER(isa) for (int isa = MC_ISA_REF; isa <= (int)mc_cpu_isa_max(); isa++)

START_TEST(depth_sweep)
{
    EACH_TIER(isa)
        for (int64_t k = 1; k <= 257; k++)
            check((product){(mc_isa)isa, 1 + k % 19, 1 + k % 35, 1, k, 48, FILL_RANDOM, (int)(k * 7 % 101), (int)k % 2});
}
END_TEST

START_TEST(column_sweep)
{
    EACH_TIER(isa)
        for (int64_t n = 1; n <= 257; n++)
            check((product){(mc_isa)isa, 1 + n % 11, n, 1, 1 + n % 37, n % 2 ? 48 : 256, FILL_SURVIVORS, (int)(n * 3 % 101), (int)n % 2});
}
END_TEST

START_TEST(row_sweep)
{
    EACH_TIER(isa)
        for (int64_t m = 1; m <= 257; m++)
            check((product){(mc_isa)isa, m, 1 + m % 49, 1, 4 + m % 41, 64, FILL_RANDOM, (int)(m * 11 % 101), 0});
}
END_TEST

START_TEST(density_sweep)
{
    EACH_TIER(isa)
        for (int d = 0; d <= 100; d++) {
            check((product){(mc_isa)isa, 1 + d % 9, 33, 1, 96, 48, FILL_SURVIVORS, d, 0});
            check((product){(mc_isa)isa, 33 + d, 20, 1, 130, 48, FILL_EXTREME, d, 1});
        }
}
END_TEST

START_TEST(saturating_vectors)
{
    EACH_TIER(isa)
        for (int64_t m = 1; m <= 80; m++) check((product){(mc_isa)isa, m, 40, 1, 67, 48, FILL_EXTREME, 60, 0});
    EACH_TIER(isa) check((product){(mc_isa)isa, 17, 33, 1, 4096, 48, FILL_EXTREME, 100, 0});
    EACH_TIER(isa) check((product){(mc_isa)isa, 3, 20, 1, MC_SPARSE_MAX_K, 48, FILL_EXTREME, 30, 0});
}
END_TEST

START_TEST(runs)
{
    EACH_TIER(isa)
        for (int64_t segments = 1; segments <= 9; segments++)
            for (int64_t run = 1; run <= 70; run += 3)
                check((product){(mc_isa)isa, 1 + (segments * run) % 39, 20, segments, run, 32, FILL_SURVIVORS, (int)(run * 5 % 101), 0});
    EACH_TIER(isa) check((product){(mc_isa)isa, 9, 20, 3, 1500, 32, FILL_RANDOM, 20, 0});
}
END_TEST

START_TEST(layers)
{
    static const int64_t sizes[] = {384, 768, 1536, 3072};
    EACH_TIER(isa)
        for (int i = 0; i < 16; i++)
            check((product){(mc_isa)isa, i % 4 == 0 ? 70 : i % 3 == 0 ? 1 : i % 3 == 1 ? 8 : 3, sizes[i / 4], 1, sizes[i % 4], 96, FILL_SURVIVORS, 10 + i, 0});
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sparse4x1");
    TCase *c = tcase_create("all");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, depth_sweep);
    tcase_add_test(c, column_sweep);
    tcase_add_test(c, row_sweep);
    tcase_add_test(c, density_sweep);
    tcase_add_test(c, saturating_vectors);
    tcase_add_test(c, runs);
    tcase_add_test(c, layers);
    suite_add_tcase(s, c);
    return mc_test_main(s);
}
