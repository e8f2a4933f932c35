/* One-node cases on every float tier: what the tests of the built-in backend's float implementations share. */
#ifndef MC_TEST_CPU_CASE_H
#define MC_TEST_CPU_CASE_H

#include <stdlib.h>

#include "kernels/kernels.h"
#include "support/node.h"
#include "support/support.h"

static const char *const tiers[] = {"ref", "avx2", "avx512"};

/* Runs a case and frees it; the tier of loop index i is in effect. */
static inline void check(int i, const char *kernel, const char *domain, const char *op, const char *attrs, uint32_t constant, int32_t n_in,
                  mc_tensor *const *in)
{
    mc_node_case c = {.domain = domain, .op = op, .attrs = attrs, .n_in = n_in, .n_out = 1, .constant = constant, .kernel = kernel,
                      .rtol = 2e-5, .atol = 2e-5};
    setenv("MCOMP_ISA", tiers[i], 1);
    for (int32_t k = 0; k < n_in; k++) c.in[k] = in[k];
    mc_ck_node(&c);
}
#define CHECK(kernel, op, attrs, constant, ...)                                                                        \
    check(_i, kernel, "", op, attrs, constant, (int32_t)(sizeof((mc_tensor *[]){__VA_ARGS__}) / sizeof(mc_tensor *)),  \
          (mc_tensor *[]){__VA_ARGS__})
#define CHECK_MC(kernel, op, attrs, constant, ...)                                                                     \
    check(_i, kernel, "mcomp", op, attrs, constant, (int32_t)(sizeof((mc_tensor *[]){__VA_ARGS__}) / sizeof(mc_tensor *)), \
          (mc_tensor *[]){__VA_ARGS__})
#define F(seed, ...) mc_test_f32(seed, (int32_t)(sizeof((int[]){__VA_ARGS__}) / sizeof(int)), __VA_ARGS__)

/* Tiers to loop over. */
static inline int tier_count(void) { return mc_cpu_isa_max() >= MC_ISA_AVX512 ? 3 : (int)mc_cpu_isa_max() + 1; }

#endif
