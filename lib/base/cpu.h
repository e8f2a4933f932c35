/* base/cpu.h - CPU features and the ISA tier in effect. */
#ifndef MC_BASE_CPU_H
#define MC_BASE_CPU_H

#include <stdint.h>

/* AMX stands above AVX-512 VNNI and BF16, which it includes. Outside of the library it is a feature of the tier avx512_vnni, as
 * BF16 is: mc_isa_tier() folds it in. */
typedef enum mc_isa { MC_ISA_REF = 0, MC_ISA_AVX2 = 1, MC_ISA_AVX512 = 2, MC_ISA_AVX512_VNNI = 3, MC_ISA_AMX = 4 } mc_isa;
#define MC_ISA_COUNT 5

/* Tier of this CPU (operating system support included), without the cap. The first call asks the kernel for the process's
 * permission to use AMX tiles where the CPU has them (docs/threading.md). */
mc_isa mc_cpu_isa_max(void);
/* Tier in effect: MCOMP_ISA=ref|avx2|avx512|avx512_vnni|amx caps it (not under setuid); a tier above the CPU's means the CPU's. */
mc_isa mc_cpu_isa(void);
/* 1 if MCOMP_ISA holds a word that is no tier (it is then ignored; doctor says so). */
int mc_cpu_isa_env_unknown(void);
int mc_cpu_has_bf16(void);              /* AVX512_BF16, and not capped below avx512_vnni */
mc_isa mc_isa_tier(mc_isa isa);         /* the tier that the outside knows: AMX is AVX512_VNNI */
const char *mc_isa_name(mc_isa isa);    /* "ref", "avx2", "avx512", "avx512_vnni", "amx" */
const char *mc_cpu_name(char *buf, uint64_t cap); /* model name, "unknown" if it cannot be read */
int32_t mc_cpu_count(void);             /* CPUs of the affinity mask, at least 1 */
uint64_t mc_memory_bytes(void);

#endif
