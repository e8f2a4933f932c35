/* Cutting work into tiles, guessing costs, reading small integer operands. */
#include "backends/cpu/work.h"

typedef struct split {
    mc_cpu_range_fn fn;
    void *ctx;
    int64_t units, chunk;
} split;

static void split_task(void *p, int64_t task, int32_t worker)
{
    const split *s = p;
    const int64_t begin = task * s->chunk, end = begin + s->chunk;
    s->fn(s->ctx, begin, end < s->units ? end : s->units, worker);
}

void mc_cpu_split(const mc_cpu_step *s, const mcomp_run_args *a, int64_t units, int64_t weight, mc_cpu_range_fn fn, void *ctx)
{
    if (units <= 0) return;
    if (weight < 1) weight = 1;
    if (units == 1 || units < (MC_CPU_PARALLEL + weight - 1) / weight) {
        fn(ctx, 0, units, 0);
        return;
    }
    split t = {fn, ctx, units, (MC_CPU_PARALLEL / 2 + weight - 1) / weight};
    if (units / t.chunk > 64) t.chunk = (units + 63) / 64;
    s->host->parallel_for(a->pool, (units + t.chunk - 1) / t.chunk, split_task, &t);
}

double mc_cpu_guess(const mc_type *t)
{
    double n = 1.0;
    if (!t) return 0.0;
    if (t->rank < 0) return 4096.0;
    for (int32_t i = 0; i < t->rank; i++) n *= t->dim[i] >= 0 ? (double)t->dim[i] : 32.0;
    return n;
}

static mc_isa float_tier(void)
{
    const mc_isa isa = mc_cpu_isa();
    return isa > MC_ISA_AVX512 ? MC_ISA_AVX512 : isa;
}

int32_t mc_cpu_claim_f32(mcomp_claim *c, const char *name, double elements, double ns)
{
    c->cost_us = 0.1 + elements * ns * 1e-3;
    mc_cpu_claim_name(c, name, mc_isa_name(float_tier()));
    return 1;
}

double mc_cpu_mac_ns(void)
{
    switch (float_tier()) {
    case MC_ISA_REF: return 0.25; /* stays below the operator references, which claim 1 ns */
    case MC_ISA_AVX2: return 1.0 / 42.0;
    default: return 1.0 / 84.0;
    }
}

int32_t mc_cpu_claim_product(mcomp_claim *c, const mc_node *n, double outputs, double macs)
{
    const mc_isa isa = mc_cpu_isa();
    const int64_t parts = mc_attr_i(n, "bf16", 0);
    if (parts == 0) return mc_cpu_claim_f32(c, "gemm", 1.0, macs * mc_cpu_mac_ns() + outputs * 0.1);
    c->cost_us = 0.1 + (macs * (parts > 1 ? 1.0 / 180.0 : isa >= MC_ISA_AMX ? 1.0 / 500.0 : 1.0 / 60.0) + outputs * 0.2) * 1e-3;
    mc_cpu_claim_name(c, parts > 1 ? "gemm_split" : "gemm_bf16", mc_isa_name(isa));
    return 1;
}

int mc_cpu_is(const mc_type *t, int32_t dtype) { return t && t->dtype == dtype; }

int32_t mc_cpu_axis(int64_t axis, int32_t rank)
{
    if (axis < 0) axis += rank;
    return axis < 0 || axis >= rank ? -1 : (int32_t)axis;
}

int64_t mc_cpu_ints(const mcomp_bk_buffer *b, int64_t *out, int64_t cap)
{
    if (!b || (b->dtype != MCOMP_I64 && b->dtype != MCOMP_I32)) return -1;
    const int64_t n = mc_cpu_elements(b);
    for (int64_t i = 0; i < n && i < cap; i++)
        out[i] = b->dtype == MCOMP_I64 ? ((const int64_t *)b->data)[i] : ((const int32_t *)b->data)[i];
    return n;
}

int32_t mc_cpu_element_bytes(int32_t dtype)
{
    const int32_t bits = mc_dtype_bits(dtype);
    return bits % 8 == 0 ? bits / 8 : 0;
}
