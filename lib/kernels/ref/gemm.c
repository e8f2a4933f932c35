/* Matrix product, portable: the definition that the x86 kernels are tested against. */
#include "kernels/rows.h"

#include <math.h>

void mc_k_f32_gemm_ref(const mc_gemm_f32 *g)
{
    for (int64_t i = 0; i < g->m; i++)
        for (int64_t j = 0; j < g->n; j++) {
            const float *b = g->b + j / MC_GEMM_PANEL * g->b_panel + j % MC_GEMM_PANEL;
            float sum = g->accumulate ? g->c[i * g->ldc + j] : 0.0f;
            for (int64_t t = 0; t < g->taps; t++) {
                const float *a = g->a + (g->tap ? g->tap[t] : 0) + i * (g->tiles ? 1 : g->a_row);
                const int64_t a_col = g->tiles ? g->m : g->a_col;
                for (int64_t k = 0; k < g->k; k++, b += g->b_row) sum = fmaf(a[k * a_col], *b, sum);
            }
            if (g->finish) {
                if (g->bias) sum = sum + g->bias[j];
                if (g->residual) sum = sum + g->residual[i * g->ld_r + j];
                sum = g->lo > sum ? g->lo : sum;
                sum = g->hi < sum ? g->hi : sum;
            }
            g->c[i * g->ldc + j] = sum;
        }
}

void mc_k_f32_pack_ref(const float *b, int64_t row, int64_t col, int64_t k, int64_t n, float scale, float *out)
{
    for (int64_t p = 0; p < n; p += MC_GEMM_PANEL)
        for (int64_t r = 0; r < k; r++)
            for (int64_t c = 0; c < MC_GEMM_PANEL; c++) *out++ = p + c < n ? b[r * row + (p + c) * col] * scale : 0.0f;
}

void mc_k_f32_pack_rows_ref(const float *a, int64_t row, int64_t col, int64_t m, int64_t k, float *out)
{
    for (int64_t r = 0; r < k; r++)
        for (int64_t i = 0; i < m; i++) *out++ = a[i * row + r * col];
}
