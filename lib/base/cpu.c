/* CPU features by the compiler's run-time query (CPUID and XGETBV behind it). */
#include "base/base.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

static const char *const names[MC_ISA_COUNT] = {"ref", "avx2", "avx512", "avx512_vnni", "amx"};

#if defined(__x86_64__)
static int amx;
static pthread_once_t amx_once = PTHREAD_ONCE_INIT;

/* CPUID leaf 7, EDX: AMX-BF16 22, AMX-TILE 24, AMX-INT8 25; Linux gives tile data only to a process that asks
 * (ARCH_REQ_XCOMP_PERM 0x1023, feature 18: Linux Documentation/arch/x86/xstate.rst). */
static void find_amx(void)
{
    const unsigned int need = 1u << 22 | 1u << 24 | 1u << 25;
    unsigned int a, b, c, d = 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & need) != need || !__builtin_cpu_supports("avx512bf16")) return;
    amx = syscall(SYS_arch_prctl, 0x1023, 18) == 0;
}
#endif

mc_isa mc_cpu_isa_max(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return MC_ISA_REF;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512vl") ||
        !__builtin_cpu_supports("avx512dq"))
        return MC_ISA_AVX2;
    if (!__builtin_cpu_supports("avx512vnni")) return MC_ISA_AVX512;
    pthread_once(&amx_once, find_amx);
    return amx ? MC_ISA_AMX : MC_ISA_AVX512_VNNI;
#else
    return MC_ISA_REF;
#endif
}

/* Tier named by MCOMP_ISA, -1 when unset, -2 when it is no tier. */
static int env_tier(void)
{
    const char *e = secure_getenv("MCOMP_ISA");
    if (!e || !*e) return -1;
    for (int i = 0; i < MC_ISA_COUNT; i++)
        if (strcmp(e, names[i]) == 0) return i;
    return -2;
}

mc_isa mc_cpu_isa(void)
{
    const mc_isa max = mc_cpu_isa_max();
    const int cap = env_tier();
    return cap >= 0 && cap < (int)max ? (mc_isa)cap : max;
}

int mc_cpu_isa_env_unknown(void) { return env_tier() == -2; }

int mc_cpu_has_bf16(void)
{
#if defined(__x86_64__)
    return mc_cpu_isa() >= MC_ISA_AVX512_VNNI && __builtin_cpu_supports("avx512bf16") != 0;
#else
    return 0;
#endif
}

mc_isa mc_isa_tier(mc_isa isa) { return isa > MC_ISA_AVX512_VNNI ? MC_ISA_AVX512_VNNI : isa; }

const char *mc_isa_name(mc_isa isa) { return (int)isa >= 0 && (int)isa < MC_ISA_COUNT ? names[isa] : "unknown"; }

const char *mc_cpu_name(char *buf, uint64_t cap)
{
    char *text = NULL;
    uint64_t bytes = 0;
    if (cap == 0) return "";
    strncpy(buf, "unknown", cap - 1);
    buf[cap - 1] = 0;
    const mcomp_error saved = *mc_error_peek();
    if (mc_file_read("/proc/cpuinfo", 1 << 20, &text, &bytes) == MCOMP_OK) {
        const char *p = strstr(text, "model name");
        p = p ? strchr(p, ':') : NULL;
        if (p) {
            p++;
            while (*p == ' ') p++;
            size_t n = strcspn(p, "\n");
            if (n >= cap) n = (size_t)cap - 1;
            memcpy(buf, p, n);
            buf[n] = 0;
        }
        mc_free(text);
    }
    mc_error_restore(&saved);
    return buf;
}

int32_t mc_cpu_count(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        const int n = CPU_COUNT(&set);
        if (n > 0) return n > 256 ? 256 : n;
    }
    const long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > 256 ? 256 : (int32_t)n;
}

uint64_t mc_memory_bytes(void)
{
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
}
