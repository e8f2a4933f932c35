/* Peak loops of one core, printed beside every timing: they tell what the machine could do at that moment. Registers only, 16
 * independent accumulators; counts multiply-accumulates (a fused multiply-add is one a lane, a byte dot product four a lane). */
#include "cli.h"

#include <immintrin.h>
#include <string.h>

#define ROUNDS 20000
#define REPEAT16(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define REPEAT8(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)

#define INIT512F(i) __m512 a##i = _mm512_set1_ps((float)i);
#define STEP512F(i) a##i = _mm512_fmadd_ps(x, y, a##i);
#define KEEP(i) __asm__ volatile("" : "+v"(a##i));
__attribute__((target("avx512f"))) static void loop_f32_avx512(void)
{
    const __m512 x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(1e-3f);
    REPEAT16(INIT512F)
    for (int r = 0; r < ROUNDS; r++) {
        REPEAT16(STEP512F)
        REPEAT16(KEEP)
    }
}

#define INIT512I(i) __m512i a##i = _mm512_set1_epi32(i);
#define STEP512I(i) a##i = _mm512_dpbusd_epi32(a##i, x, y);
__attribute__((target("avx512f,avx512vnni"))) static void loop_int8_vnni(void)
{
    const __m512i x = _mm512_set1_epi8(3), y = _mm512_set1_epi8(-2);
    REPEAT16(INIT512I)
    for (int r = 0; r < ROUNDS; r++) {
        REPEAT16(STEP512I)
        REPEAT16(KEEP)
    }
}

/* 16 x 16 x 64 products a tile instruction; four sums, operands of zeros (no data dependence). */
__attribute__((target("amx-tile,amx-int8"))) static void loop_int8_amx(void)
{
    struct {
        uint8_t palette, start, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } config = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        config.row_bytes[i] = 64;
        config.rows[i] = 16;
    }
    __asm__ volatile("" : : "r"(&config) : "memory"); /* GCC 12's intrinsic reads 8 bytes of it only, so the rest was never written */
    _tile_loadconfig(&config);
    for (int r = 0; r < ROUNDS; r++) {
        _tile_dpbusd(0, 4, 6);
        _tile_dpbusd(1, 4, 7);
        _tile_dpbusd(2, 5, 6);
        _tile_dpbusd(3, 5, 7);
    }
    _tile_release();
}

#define INIT256F(i) __m256 a##i = _mm256_set1_ps((float)i);
#define STEP256F(i) a##i = _mm256_fmadd_ps(x, y, a##i);
#define KEEP256(i) __asm__ volatile("" : "+x"(a##i));
__attribute__((target("avx2,fma"))) static void loop_f32_avx2(void)
{
    const __m256 x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(1e-3f);
    REPEAT8(INIT256F)
    for (int r = 0; r < 2 * ROUNDS; r++) {
        REPEAT8(STEP256F)
        REPEAT8(KEEP256)
    }
}

/* u8 x s8 by vpmaddubsw + vpmaddwd + vpaddd: 32 products each. */
#define INIT256I(i) __m256i a##i = _mm256_set1_epi32(i);
#define STEP256I(i) a##i = _mm256_add_epi32(a##i, _mm256_madd_epi16(_mm256_maddubs_epi16(x, _mm256_xor_si256(y, a##i)), one));
__attribute__((target("avx2"))) static void loop_int8_avx2(void)
{
    const __m256i x = _mm256_set1_epi8(3), y = _mm256_set1_epi8(-2), one = _mm256_set1_epi16(1);
    REPEAT8(INIT256I)
    for (int r = 0; r < 2 * ROUNDS; r++) {
        REPEAT8(STEP256I)
        REPEAT8(KEEP256)
    }
}

static double rate(void (*loop)(void), double macs)
{
    double best = 0.0;
    for (int i = 0; i < 5; i++) {
        const double start = cli_now_ms();
        loop();
        const double gmacs = macs / (cli_now_ms() - start) * 1e-6;
        if (gmacs > best) best = gmacs;
    }
    return best;
}

void cli_witness(double *f32, double *int8)
{
    mcomp_machine_info m = {.size = sizeof m};
    *f32 = *int8 = 0.0;
    if (mcomp_machine_info_get(&m) != 0 || strcmp(m.isa, "ref") == 0) return;
    const int wide = strncmp(m.isa, "avx512", 6) == 0, vnni = strcmp(m.isa, "avx512_vnni") == 0;
    *f32 = wide ? rate(loop_f32_avx512, 16.0 * 16.0 * ROUNDS) : rate(loop_f32_avx2, 8.0 * 8.0 * 2.0 * ROUNDS);
    *int8 = m.amx ? rate(loop_int8_amx, 4.0 * 16.0 * 16.0 * 64.0 * ROUNDS)
            : vnni ? rate(loop_int8_vnni, 16.0 * 64.0 * ROUNDS) : rate(loop_int8_avx2, 8.0 * 32.0 * 2.0 * ROUNDS);
}
