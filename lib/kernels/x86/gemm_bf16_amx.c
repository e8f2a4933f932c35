/* Matrix product of operands rounded to BF16, with AMX tiles. */
#include "kernels/x86/gemm_bf16_tiles.h"

void mc_k_bf16_gemm_amx(const mc_gemm_bf16 *g) { bf16_gemm_tiles(g, 1); }
