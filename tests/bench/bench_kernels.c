/* bench_kernels [tier]: GMAC/s of the integer GEMM by shape, one core, beside a peak loop of the tier's own instructions run
 * right before and after each figure, so that results read as a share of what the core gave in that moment. */
#include "base/base.h"
#include "kernels/kernels.h"
#include "bench/witness.h"

#include <stdio.h>
#include <stdlib.h>

enum { REPEATS = 60 };

/* ---- GEMM ---- */

typedef struct shape {
    const char *name;
    int64_t m, k, n, segments; /* depth k = segments * run */
} shape;

static const shape shapes[] = {
    {"MiniLM out-proj", 128, 384, 384, 1}, {"MiniLM qkv", 128, 384, 1152, 1}, {"MiniLM ffn1", 128, 384, 1536, 1},
    {"MiniLM ffn2", 128, 1536, 384, 1}, {"BERT ffn1", 128, 768, 3072, 1}, {"BERT ffn2", 128, 3072, 768, 1},
    {"one row", 1, 768, 3072, 1}, {"four rows", 4, 768, 3072, 1}, {"ResNet 1x1 64-256", 3136, 64, 256, 1},
    {"ResNet 1x1 256-64", 3136, 256, 64, 1}, {"ResNet 3x3 64", 3136, 576, 64, 9}, {"ResNet 3x3 128", 784, 1152, 128, 9},
    {"ResNet 3x3 256", 196, 2304, 256, 9}, {"ResNet 3x3 512", 49, 4608, 512, 9}, {"ResNet 1x1 1024-256", 196, 1024, 256, 1},
    {"ResNet 1x1 512-2048", 49, 512, 2048, 1}, {"ResNet 7x7 stem", 12544, 168, 64, 7},
};

static uint32_t random_u32(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 32);
}

static void *block(uint64_t bytes)
{
    void *p = mc_malloc((size_t)bytes);
    if (!p) exit(1);
    return p;
}

static void bench_gemm(const mc_kernels_int8 *k, mc_isa isa, const shape *s, int64_t tile)
{
    const mc_qgemm_shape form = {s->n, s->segments, s->k / s->segments};
    const int64_t padded = (s->n + 63) / 64 * 64;
    uint8_t *a = block((uint64_t)(s->m * s->k + 64));
    int8_t *w = block((uint64_t)(s->n * s->k));
    const uint8_t **rows = block((uint64_t)s->m * sizeof *rows);
    int64_t *seg = block((uint64_t)s->segments * sizeof *seg);
    int32_t *init = block((uint64_t)padded * 4), *acc = block((uint64_t)(tile * 64) * 4);
    void *loaded = block(k->qgemm_loaded_bytes(&form, tile) + 64);
    uint64_t seed = 1;
    for (int64_t i = 0; i < s->m * s->k; i++) a[i] = (uint8_t)(random_u32(&seed) >> 24);
    for (int64_t i = 0; i < s->n * s->k; i++) {
        double g = 0.0;
        for (int t = 0; t < 12; t++) g += (double)random_u32(&seed) * 0x1p-32;
        g = (g - 6.0) * 38.0; /* about the spread of a trained encoder's weights */
        w[i] = (int8_t)(g > 127.0 ? 127.0 : g < -127.0 ? -127.0 : g);
    }
    for (int64_t i = 0; i < s->m; i++) rows[i] = a + i * s->k;
    for (int64_t i = 0; i < s->segments; i++) seg[i] = i * form.seg_len;
    void *packed = block(k->qgemm_packed_bytes(&form, w));
    k->qgemm_pack(&form, w, packed, init);
    memset(init, 0, (size_t)padded * 4);
    const double macs = (double)s->m * (double)s->k * (double)s->n, before = witness(isa);
    const int64_t inner = (int64_t)(5e6 / macs) + 1;
    double best = 1e9;
    for (int r = 0; r < REPEATS; r++) {
        const double start = seconds();
        for (int64_t q = 0; q < inner; q++)
            for (int64_t i = 0; i < s->m; i += tile) {
                mc_qgemm_tile t = {.shape = form, .packed = packed, .rows = rows + i, .seg = seg, .init = init, .acc = acc,
                                   .ld_acc = 64, .m = s->m - i < tile ? s->m - i : tile, .loaded = loaded};
                k->qgemm_load(&t);
                for (t.n0 = 0; t.n0 < s->n; t.n0 += t.cols) {
                    t.cols = s->n - t.n0 < 48 + 48 ? (s->n - t.n0 <= 64 ? s->n - t.n0 : 48) : 48;
                    k->qgemm(&t);
                }
                k->qgemm_done(&t);
            }
        const double d = (seconds() - start) / (double)inner;
        if (d < best) best = d;
    }
    const double after = witness(isa), peak = before > after ? before : after, rate = macs / best * 1e-9;
    printf("%-20s %6lldx%4lldx%4lld tile %3lld %9.1f us %7.1f GMAC/s %5.1f %% of %.0f\n", s->name, (long long)s->m, (long long)s->k,
           (long long)s->n, (long long)tile, best * 1e6, rate, 100.0 * rate / peak, peak);
    mc_free(a);
    mc_free(w);
    mc_free((void *)rows);
    mc_free(seg);
    mc_free(init);
    mc_free(acc);
    mc_free(loaded);
    mc_free(packed);
}

int main(int argc, char **argv)
{
    const mc_isa max = mc_cpu_isa();
    for (int isa = (int)max; isa > (int)MC_ISA_REF; isa--) {
        if (argc > 1 && strcmp(argv[1], mc_isa_name((mc_isa)isa)) != 0) continue;
        printf("-- %s, one core\n", mc_isa_name((mc_isa)isa));
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) bench_gemm(&mc_kernels_for((mc_isa)isa)->int8, (mc_isa)isa, &shapes[i], argc > 2 ? atoll(argv[2]) : 32);
    }
    return 0;
}
