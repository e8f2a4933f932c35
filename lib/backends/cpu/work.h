/* backends/cpu/work.h - private: cutting work into tiles, guessing costs, small readers shared by the implementations.
 *
 * Tiles follow the size of the data, never the number of threads. Small work stays in the calling thread: waking the pool
 * costs as much as a few ten thousand elements.
 */
#ifndef MC_BACKENDS_CPU_WORK_H
#define MC_BACKENDS_CPU_WORK_H

#include "backends/cpu/cpu.h"

#define MC_CPU_PARALLEL 32768 /* elements from which the pool is worth waking */

typedef void (*mc_cpu_range_fn)(void *ctx, int64_t begin, int64_t end, int32_t worker);
/* Calls fn on ranges that cover 0..units-1; a unit is about `weight` elements of work. */
void mc_cpu_split(const mc_cpu_step *s, const mcomp_run_args *a, int64_t units, int64_t weight, mc_cpu_range_fn fn, void *ctx);

/* Elements of a type; symbols and unknown ranks count as a guess. */
double mc_cpu_guess(const mc_type *t);
/* Fills the claim: fixed overhead plus ns for each of `elements`; the name carries the tier of the float kernels. Returns 1. */
int32_t mc_cpu_claim_f32(mcomp_claim *c, const char *name, double elements, double ns);
/* Nanoseconds a multiply-add of the float matrix product takes. */
double mc_cpu_mac_ns(void);
/* Claim of a matrix product over `macs` multiply-adds of float operands, in BF16 where the node says so. */
int32_t mc_cpu_claim_product(mcomp_claim *c, const mc_node *n, double outputs, double macs);

extern const mc_cpu_impl mc_cpu_ref; /* the reference of every operator, for cases an implementation does not cover at run time */

int mc_cpu_is(const mc_type *t, int32_t dtype); /* t present and of this dtype */
int32_t mc_cpu_axis(int64_t axis, int32_t rank); /* negative counts from the end; -1 when out of range */
/* Integers of an int32/int64 buffer, at most cap; returns how many there are, -1 if the buffer is NULL or of another dtype. */
int64_t mc_cpu_ints(const mcomp_bk_buffer *b, int64_t *out, int64_t cap);
/* Products of dims begin..end-1. */
static inline int64_t mc_cpu_product(const int64_t *dims, int32_t begin, int32_t end)
{
    int64_t n = 1;
    for (int32_t i = begin; i < end; i++) n *= dims[i];
    return n;
}
/* Bytes of an element that can be moved whole; 0 for sub-byte types, strings and unknown codes. */
int32_t mc_cpu_element_bytes(int32_t dtype);

#endif
