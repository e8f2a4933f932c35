/* Blocks of products by BF16 instructions (kernels/bf16.h): A, and B where it is not packed already, are packed into tiles in the worker's scratch, inner part by inner
 * part, and multiplied (kernels/bf16.h). Sums, bias, residual and activation are float. */
#include "backends/cpu/matrix.h"

void mc_cpu_block_bf16(const mc_cpu_step *s, const mc_cpu_block *x, const mcomp_epilogue_f32 *e, uint16_t *scratch)
{
    const mc_cpu_matrix *p = x->p;
    const mc_kernels_bf16 *kernels = mc_cpu_bf16(s);
    const int64_t tile = s->bf16 * MC_BF16_TILE, inner = s->bf16 == 1 ? MC_CPU_BF16_INNER : MC_CPU_SPLIT_INNER;
    mc_gemm_f32 end = {0};
    const int finished = mc_cpu_finish(&end, e);
    mc_gemm_bf16 g = {.a = scratch, .c = x->c + x->i0 * p->n + x->j0, .ldc = p->n, .m = x->m, .n = x->n, .bias = end.bias,
                      .residual = end.residual, .ld_r = end.ld_r, .lo = end.lo, .hi = end.hi};
    for (int64_t k = x->k0; k == x->k0 || k < x->k1; k += inner) {
        const int64_t depth = x->k1 - k < inner ? x->k1 - k : inner;
        g.steps = mc_bf16_steps(depth);
        g.a_next = g.steps * tile;
        kernels->pack_a(x->a + x->i0 * p->a_row + k * p->a_col, p->a_row, p->a_col, x->m, depth, g.a_next, scratch);
        if (x->packed) {
            g.b_next = mc_bf16_steps(p->k) * tile;
            g.b = x->packed + x->j0 / MC_BF16_ROWS * g.b_next + k / MC_BF16_DEPTH * tile;
        } else {
            uint16_t *b = scratch + mc_bf16_tiles(x->m) * g.a_next;
            g.b_next = g.a_next;
            g.b = b;
            kernels->pack_b(x->b + k * p->b_row + x->j0 * p->b_col, p->b_row, p->b_col, depth, x->n, g.b_next, b);
        }
        g.accumulate = k > x->k0;
        g.finish = finished && end.finish && k + inner >= x->k1;
        kernels->gemm(&g);
    }
    if (!finished) s->kernels->f32.epilogue(e, g.c, p->n, g.m, g.n);
}
