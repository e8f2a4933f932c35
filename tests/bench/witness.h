/* tests/bench/witness.h - what the core gives in this moment: GMAC/s of register-only loops of a tier's instructions. */
#ifndef MC_BENCH_WITNESS_H
#define MC_BENCH_WITNESS_H

#include "base/base.h"

static double seconds(void) { return (double)mc_clock_ns() * 1e-9; }

static double best_of(void (*loop)(int64_t), double macs_per_round)
{
    const int64_t rounds = 20000;
    double best = 1e9;
    for (int r = 0; r < 5; r++) {
        const double t = seconds();
        loop(rounds);
        const double d = seconds() - t;
        if (d < best) best = d;
    }
    return macs_per_round * (double)rounds / best * 1e-9;
}

static void loop_vnni(int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        __asm__ volatile("vpdpbusd %%zmm0,%%zmm0,%%zmm1\n vpdpbusd %%zmm0,%%zmm0,%%zmm2\n vpdpbusd %%zmm0,%%zmm0,%%zmm3\n"
                         "vpdpbusd %%zmm0,%%zmm0,%%zmm4\n vpdpbusd %%zmm0,%%zmm0,%%zmm5\n vpdpbusd %%zmm0,%%zmm0,%%zmm6\n"
                         "vpdpbusd %%zmm0,%%zmm0,%%zmm7\n vpdpbusd %%zmm0,%%zmm0,%%zmm8\n vpdpbusd %%zmm0,%%zmm0,%%zmm9\n"
                         "vpdpbusd %%zmm0,%%zmm0,%%zmm10\n vpdpbusd %%zmm0,%%zmm0,%%zmm11\n vpdpbusd %%zmm0,%%zmm0,%%zmm12\n"
                         ::: "memory");
}

/* Eight tiles of 16 x 64 bytes, tdpbusd into four of them: nothing is loaded. */
static void loop_amx(int64_t n)
{
    static const struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } config = {.palette = 1, .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64}, .rows = {16, 16, 16, 16, 16, 16, 16, 16}};
    __asm__ volatile("ldtilecfg %0" : : "m"(config));
    for (int64_t i = 0; i < n; i++)
        __asm__ volatile("tdpbusd %%tmm6,%%tmm4,%%tmm0\n tdpbusd %%tmm7,%%tmm4,%%tmm1\n"
                         "tdpbusd %%tmm6,%%tmm5,%%tmm2\n tdpbusd %%tmm7,%%tmm5,%%tmm3\n"
                         ::: "memory");
    __asm__ volatile("tilerelease");
}

#define PAIR16(a, b, c)                                                                                                \
    "vpmaddubsw %%ymm0,%%ymm0,%%ymm" #a "\n vpmaddwd %%ymm0,%%ymm0,%%ymm" #b "\n vpaddd %%ymm0,%%ymm0,%%ymm" #c "\n"
static void loop_avx2(int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        __asm__ volatile(PAIR16(1, 2, 3) PAIR16(4, 5, 6) PAIR16(7, 8, 9) PAIR16(10, 11, 12)::: "memory");
}

static void loop_f32(int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        __asm__ volatile("vfmadd231ps %%ymm0,%%ymm0,%%ymm1\n vfmadd231ps %%ymm0,%%ymm0,%%ymm2\n vfmadd231ps %%ymm0,%%ymm0,%%ymm3\n"
                         "vfmadd231ps %%ymm0,%%ymm0,%%ymm4\n vfmadd231ps %%ymm0,%%ymm0,%%ymm5\n vfmadd231ps %%ymm0,%%ymm0,%%ymm6\n"
                         "vfmadd231ps %%ymm0,%%ymm0,%%ymm7\n vfmadd231ps %%ymm0,%%ymm0,%%ymm8\n vfmadd231ps %%ymm0,%%ymm0,%%ymm9\n"
                         "vfmadd231ps %%ymm0,%%ymm0,%%ymm10\n"
                         ::: "memory");
}

static double witness(mc_isa isa)
{
    if (isa == MC_ISA_AMX) return best_of(loop_amx, 4 * 16 * 16 * 64);
    if (isa == MC_ISA_AVX512_VNNI) return best_of(loop_vnni, 12 * 64);
    if (isa >= MC_ISA_AVX2) return best_of(loop_avx2, 4 * 32);
    return best_of(loop_f32, 10 * 8);
}

#endif
