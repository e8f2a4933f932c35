/* Matrix product of operands rounded to BF16, portable: the definition that the x86 kernels are tested against. */
#include "kernels/ref/bf16_scalar.h"
#include "kernels/rows.h"

#include <math.h>

void mc_k_bf16_gemm_ref(const mc_gemm_bf16 *g)
{
    for (int64_t i = 0; i < g->m; i++)
        for (int64_t j = 0; j < g->n; j++) {
            const uint16_t *a = g->a + i / MC_BF16_ROWS * g->a_next + i % MC_BF16_ROWS * MC_BF16_DEPTH;
            const uint16_t *b = g->b + j / MC_BF16_ROWS * g->b_next + j % MC_BF16_ROWS * 2;
            float sum = g->accumulate ? g->c[i * g->ldc + j] : 0.0f;
            for (int64_t s = 0; s < g->steps; s++, a += MC_BF16_TILE, b += MC_BF16_TILE)
                for (int64_t k = 0; k < MC_BF16_DEPTH; k++) sum = fmaf(widened(a[k]), widened(b[k / 2 * MC_BF16_DEPTH + k % 2]), sum);
            if (g->finish) {
                if (g->bias) sum = sum + g->bias[j];
                if (g->residual) sum = sum + g->residual[i * g->ld_r + j];
                sum = g->lo > sum ? g->lo : sum;
                sum = g->hi < sum ? g->hi : sum;
            }
            g->c[i * g->ldc + j] = sum;
        }
}

void mc_k_bf16_pack_a_ref(const float *a, int64_t row, int64_t col, int64_t m, int64_t k, int64_t next, uint16_t *out)
{
    for (int64_t i = 0; i < mc_bf16_tiles(m) * MC_BF16_ROWS; i++)
        for (int64_t r = 0; r < mc_bf16_steps(k) * MC_BF16_DEPTH; r++)
            out[i / MC_BF16_ROWS * next + r / MC_BF16_DEPTH * MC_BF16_TILE + i % MC_BF16_ROWS * MC_BF16_DEPTH + r % MC_BF16_DEPTH] =
                i < m && r < k ? rounded(a[i * row + r * col]) : 0;
}

void mc_k_bf16_pack_b_ref(const float *b, int64_t row, int64_t col, int64_t k, int64_t n, int64_t next, uint16_t *out)
{
    for (int64_t j = 0; j < mc_bf16_tiles(n) * MC_BF16_ROWS; j++)
        for (int64_t r = 0; r < mc_bf16_steps(k) * MC_BF16_DEPTH; r++)
            out[j / MC_BF16_ROWS * next + r / 2 * MC_BF16_DEPTH + j % MC_BF16_ROWS * 2 + r % 2] = j < n && r < k ? rounded(b[r * row + j * col]) : 0;
}
