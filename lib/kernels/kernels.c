/* Dispatch: one table a tier, filled from kernels.def in tier order. */
#include "kernels/rows.h"

#include <pthread.h>

enum {
    RANK_ref = MC_ISA_REF,
    RANK_avx2 = MC_ISA_AVX2,
    RANK_avx512 = MC_ISA_AVX512,
    RANK_avx512_vnni = MC_ISA_AVX512_VNNI,
    RANK_amx = MC_ISA_AMX
};

static mc_kernels tables[MC_ISA_COUNT];
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Rows of one rank go into the table of their own and of every higher tier. */
static void apply(int rank)
{
    for (int tier = rank; tier < MC_ISA_COUNT; tier++) {
#define MC_KERNEL(group, field, tier_, file)                                                                           \
    if (RANK_##tier_ == rank) tables[tier].group.field = mc_k_##group##_##field##_##tier_;
#include "kernels/kernels.def"
#undef MC_KERNEL
    }
}

static void build(void)
{
    for (int rank = MC_ISA_REF; rank <= (int)mc_cpu_isa_max(); rank++) apply(rank);
}

const mc_kernels *mc_kernels_for(mc_isa isa)
{
    pthread_once(&once, build);
    const mc_isa max = mc_cpu_isa_max();
    return &tables[isa > max ? max : isa];
}
