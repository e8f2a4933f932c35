/* Matrix product of floats as sums of three BF16 numbers each, portable: the definition that the x86 kernel is tested against. */
#include "kernels/ref/bf16_scalar.h"
#include "kernels/rows.h"

#include <math.h>

#define STEP (MC_BF16_PARTS * MC_BF16_TILE)

void mc_k_split_gemm_ref(const mc_gemm_bf16 *g)
{
    static const int left[] = {0, 0, 1, 1, 2, 0}, right[] = {2, 1, 1, 0, 0, 0};
    for (int64_t i = 0; i < g->m; i++)
        for (int64_t j = 0; j < g->n; j++) {
            const uint16_t *a = g->a + i / MC_BF16_ROWS * g->a_next + i % MC_BF16_ROWS * MC_BF16_DEPTH;
            const uint16_t *b = g->b + j / MC_BF16_ROWS * g->b_next + j % MC_BF16_ROWS * 2;
            float sum = g->accumulate ? g->c[i * g->ldc + j] : 0.0f;
            for (int64_t s = 0; s < g->steps; s++, a += STEP, b += STEP)
                for (int part = 0; part < 6; part++)
                    for (int64_t k = 0; k < MC_BF16_DEPTH; k++)
                        sum = fmaf(widened(a[left[part] * MC_BF16_TILE + k]),
                                   widened(b[right[part] * MC_BF16_TILE + k / 2 * MC_BF16_DEPTH + k % 2]), sum);
            if (g->finish) {
                if (g->bias) sum = sum + g->bias[j];
                if (g->residual) sum = sum + g->residual[i * g->ld_r + j];
                sum = g->lo > sum ? g->lo : sum;
                sum = g->hi < sum ? g->hi : sum;
            }
            g->c[i * g->ldc + j] = sum;
        }
}

/* The nearest number of 8 significant bits, ties away from zero; NaN stays NaN. */
static float near(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    if (isnan(x)) return x;
    u = (u + 0x8000u) & 0xffff0000u;
    memcpy(&x, &u, sizeof x);
    return x;
}

static void put(float x, uint16_t *out)
{
    for (int part = 0; part < MC_BF16_PARTS; part++, out += MC_BF16_TILE) {
        const float h = near(x);
        uint32_t u;
        memcpy(&u, &h, sizeof u);
        *out = (uint16_t)(u >> 16);
        x -= h;
    }
}

void mc_k_split_pack_a_ref(const float *a, int64_t row, int64_t col, int64_t m, int64_t k, int64_t next, uint16_t *out)
{
    for (int64_t i = 0; i < mc_bf16_tiles(m) * MC_BF16_ROWS; i++)
        for (int64_t r = 0; r < mc_bf16_steps(k) * MC_BF16_DEPTH; r++)
            put(i < m && r < k ? a[i * row + r * col] : 0.0f,
                out + i / MC_BF16_ROWS * next + r / MC_BF16_DEPTH * STEP + i % MC_BF16_ROWS * MC_BF16_DEPTH + r % MC_BF16_DEPTH);
}

void mc_k_split_pack_b_ref(const float *b, int64_t row, int64_t col, int64_t k, int64_t n, int64_t next, uint16_t *out)
{
    for (int64_t j = 0; j < mc_bf16_tiles(n) * MC_BF16_ROWS; j++)
        for (int64_t r = 0; r < mc_bf16_steps(k) * MC_BF16_DEPTH; r++)
            put(j < n && r < k ? b[r * row + j * col] : 0.0f,
                out + j / MC_BF16_ROWS * next + r / MC_BF16_DEPTH * STEP + r / 2 % 16 * MC_BF16_DEPTH + j % MC_BF16_ROWS * 2 + r % 2);
}
