/* Integer GEMM of every tier against a plain sum: sizes with every kind of remainder, runs, saturating vectors, guard pages. */
#include "kernels/kernels.h"
#include "support/support.h"
#include "unit/kernels/guard.h"

enum { FILL_RANDOM, FILL_EXTREME, FILL_TRAINED };

static int8_t weight(int fill, uint64_t *seed)
{
    static const int8_t ends[] = {127, -128, -127, 127, 1, 0, 127, -128};
    if (fill == FILL_RANDOM) return (int8_t)(test_u32(seed) >> 24);
    if (fill == FILL_EXTREME) return ends[test_u32(seed) >> 29];
    const int32_t v = (int32_t)(test_u32(seed) >> 25) + (int32_t)(test_u32(seed) >> 25) - 127;
    return (int8_t)(v > 127 ? 127 : v);
}

static uint8_t input(int fill, uint64_t *seed)
{
    const uint32_t r = test_u32(seed);
    return fill == FILL_EXTREME ? (r >> 31 ? 255 : (uint8_t)(r >> 28 & 7 ? 255 : 0)) : (uint8_t)(r >> 24);
}

static int64_t up(int64_t v, int64_t to) { return (v + to - 1) / to * to; }

/* One product, cut into column blocks of `cut`, compared with 64-bit sums. Rows lie in lines of `line` with a gap of a row
 * between lines, as the pixels of an image do; 0: all equally spaced. */
static void check_lines(mc_isa isa, int64_t m, int64_t n, int64_t segments, int64_t run, int64_t cut, int fill, int64_t line)
{
    const mc_kernels_int8 *k = &mc_kernels_for(isa)->int8;
    const mc_qgemm_shape s = {n, segments, run};
    const int64_t depth = segments * run, padded = up(n, MC_QGEMM_LANES), stride = up(run, 4) + 4;
    const int64_t places = line ? m + (m - 1) / line : m;
    uint64_t seed = (uint64_t)(m * 1000003 + n * 1009 + depth * 7 + fill);
    guard w = guard_alloc((size_t)(n * depth), 1), a = guard_alloc((size_t)(places * segments * stride - 4), 1);
    guard sums = guard_alloc((size_t)padded * 4, 64), init = guard_alloc((size_t)padded * 4, 64);
    guard rows = guard_alloc((size_t)m * 8, 8), seg = guard_alloc((size_t)segments * 8, 8);
    for (int64_t i = 0; i < n * depth; i++) ((int8_t *)w.data)[i] = weight(fill, &seed);
    for (int64_t i = 0; i < places * segments * stride - 4; i++) ((uint8_t *)a.data)[i] = input(fill, &seed);
    for (int64_t i = 0; i < m; i++)
        ((const uint8_t **)rows.data)[i] = (const uint8_t *)a.data + (places - 1 - i - (line ? i / line : 0)) * segments * stride;
    for (int64_t g = 0; g < segments; g++) ((int64_t *)seg.data)[g] = (segments - 1 - g) * stride;
    for (int64_t j = 0; j < padded; j++) ((int32_t *)init.data)[j] = (int32_t)test_u32(&seed) >> 8;
    guard packed = guard_alloc((size_t)k->qgemm_packed_bytes(&s, w.data), 64);
    guard loaded = guard_alloc((size_t)k->qgemm_loaded_bytes(&s, m) + 1, 64);
    k->qgemm_pack(&s, w.data, packed.data, sums.data);
    mc_qgemm_tile t = {.shape = s, .packed = packed.data, .rows = rows.data, .seg = seg.data, .m = m, .init = init.data,
                       .loaded = loaded.data};
    k->qgemm_load(&t);
    for (t.n0 = 0; t.n0 < n; t.n0 += t.cols) {
        t.cols = n - t.n0 < cut ? n - t.n0 : cut;
        t.ld_acc = up(t.cols, 16);
        guard acc = guard_alloc((size_t)(m * t.ld_acc) * 4, 64);
        t.acc = acc.data;
        k->qgemm(&t);
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < t.cols; j++) {
                int64_t want = ((int32_t *)init.data)[t.n0 + j], column = 0;
                for (int64_t g = 0; g < segments; g++)
                    for (int64_t q = 0; q < run; q++) {
                        const int64_t v = ((int8_t *)w.data)[(t.n0 + j) * depth + g * run + q];
                        want += (int64_t)t.rows[i][t.seg[g] + q] * v;
                        column += v;
                    }
                ck_assert_msg(t.acc[i * t.ld_acc + j] == want, "%s m %lld n %lld runs %lldx%lld fill %d: [%lld][%lld] %d, want %lld",
                              mc_isa_name(isa), (long long)m, (long long)n, (long long)segments, (long long)run, fill, (long long)i,
                              (long long)(t.n0 + j), t.acc[i * t.ld_acc + j], (long long)want);
                ck_assert_int_eq(((int32_t *)sums.data)[t.n0 + j], (int32_t)column);
            }
        guard_free(&acc);
    }
    k->qgemm_done(&t);
    guard_free(&w);
    guard_free(&a);
    guard_free(&sums);
    guard_free(&init);
    guard_free(&rows);
    guard_free(&seg);
    guard_free(&packed);
    guard_free(&loaded);
}

static void check(mc_isa isa, int64_t m, int64_t n, int64_t segments, int64_t run, int64_t cut, int fill)
{
    check_lines(isa, m, n, segments, run, cut, fill, 0);
}

#define EACH_TIER(isa) for (int isa = MC_ISA_REF; isa <= (int)mc_cpu_isa_max(); isa++)

START_TEST(depth_sweep)
{
    EACH_TIER(isa)
        for (int64_t k = 1; k <= 257; k++) check((mc_isa)isa, 1 + k % 19, 1 + k % 35, 1, k, 48, FILL_RANDOM);
}
END_TEST

START_TEST(column_sweep)
{
    EACH_TIER(isa)
        for (int64_t n = 1; n <= 257; n++) check((mc_isa)isa, 1 + n % 11, n, 1, 1 + n % 37, n % 2 ? 48 : 256, FILL_TRAINED);
}
END_TEST

START_TEST(row_sweep)
{
    EACH_TIER(isa)
        for (int64_t m = 1; m <= 257; m++) check((mc_isa)isa, m, 1 + m % 49, 1, 4 + m % 41, 64, FILL_RANDOM);
}
END_TEST

START_TEST(saturating_vectors)
{
    EACH_TIER(isa)
        for (int64_t m = 1; m <= 20; m++) check((mc_isa)isa, m, 40, 1, 67, 48, FILL_EXTREME);
    EACH_TIER(isa) check((mc_isa)isa, 17, 33, 1, 4096, 48, FILL_EXTREME);
}
END_TEST

START_TEST(runs)
{
    EACH_TIER(isa)
        for (int64_t segments = 1; segments <= 9; segments++)
            for (int64_t run = 1; run <= 70; run += 3) check((mc_isa)isa, 19, 20, segments, run, 32, FILL_TRAINED);
    EACH_TIER(isa) check((mc_isa)isa, 9, 20, 3, 1500, 32, FILL_TRAINED); /* several depth blocks a run */
}
END_TEST

/* Runs of whole cache lines, which a tier may read in place, and others; rows in lines, most of them shorter than a tile. */
START_TEST(lines)
{
    static const int64_t line[] = {0, 1, 2, 7, 14, 16, 17, 28};
    EACH_TIER(isa)
        for (size_t l = 0; l < sizeof line / sizeof *line; l++)
            for (int64_t m = 5; m <= 64; m += 11) {
                check_lines((mc_isa)isa, m, 40, 1, 64, 48, FILL_EXTREME, line[l]);
                check_lines((mc_isa)isa, m, 49, 3, 192, 64, FILL_RANDOM, line[l]);
                check_lines((mc_isa)isa, m, 33, 3, 96, 48, FILL_RANDOM, line[l]);
            }
    EACH_TIER(isa) check_lines((mc_isa)isa, 64, 40, 1, 4096, 48, FILL_EXTREME, 16); /* several depth blocks */
}
END_TEST

int main(void)
{
    Suite *s = suite_create("int8_qgemm");
    TCase *c = tcase_create("all");
    tcase_add_test(c, depth_sweep);
    tcase_add_test(c, column_sweep);
    tcase_add_test(c, row_sweep);
    tcase_add_test(c, saturating_vectors);
    tcase_add_test(c, runs);
    tcase_add_test(c, lines);
    suite_add_tcase(s, c);
    return mc_test_main(s);
}
