/* x86/vec_norm.h - LayerNormalization of four rows in step: the sums of one row are one chain of dependent adds, those of four
 * overlap. Same bits as v_layernorm_row.
 */
#ifndef MC_VEC_NORM_H
#define MC_VEC_NORM_H

#include "kernels/x86/vec_wide.h"

static void v_layernorm_rows4(float *y, int64_t ld_y, const float *x, int64_t ld_x, const float *gamma, const float *beta, float eps,
                              int64_t cols)
{
    enum { n = 4 };
    const int64_t whole = cols & ~(int64_t)15;
    const mc_vm last = v_first(cols - whole);
    mc_v s[4], m[4], inv[4];
    MC_EACH(s[k] = v_zero());
    for (int64_t i = 0; i < whole; i += 16) MC_EACH(s[k] = v_add(s[k], v_load(x + k * ld_x + i)));
    if (whole < cols) MC_EACH(s[k] = v_add(s[k], v_load_m(x + k * ld_x + whole, last)));
    MC_EACH(m[k] = v_set1(v_reduce_add(s[k]) / (float)cols));
    MC_EACH(s[k] = v_zero());
    for (int64_t i = 0; i < whole; i += 16)
        MC_EACH(const mc_v d = v_sub(v_load(x + k * ld_x + i), m[k]); s[k] = v_add(s[k], v_mul(d, d)));
    if (whole < cols)
        MC_EACH(const mc_v d = v_sub(v_load_m(x + k * ld_x + whole, last), m[k]); s[k] = v_sel(last, v_add(s[k], v_mul(d, d)), s[k]));
    MC_EACH(inv[k] = v_set1(1.0f / sqrtf(v_reduce_add(s[k]) / (float)cols + eps)));
    for (int64_t i = 0; i < whole; i += 16) {
        const mc_v g = gamma ? v_load(gamma + i) : v_zero(), b = beta ? v_load(beta + i) : v_zero();
        mc_v v[4];
        MC_EACH(v[k] = v_mul(v_sub(v_load(x + k * ld_x + i), m[k]), inv[k]));
        if (gamma) MC_EACH(v[k] = v_mul(v[k], g));
        if (beta) MC_EACH(v[k] = v_add(v[k], b));
        MC_EACH(v_store(y + k * ld_y + i, v[k]));
    }
    if (whole < cols) {
        const mc_v g = gamma ? v_load_m(gamma + whole, last) : v_zero(), b = beta ? v_load_m(beta + whole, last) : v_zero();
        mc_v v[4];
        MC_EACH(v[k] = v_mul(v_sub(v_load_m(x + k * ld_x + whole, last), m[k]), inv[k]));
        if (gamma) MC_EACH(v[k] = v_mul(v[k], g));
        if (beta) MC_EACH(v[k] = v_add(v[k], b));
        MC_EACH(v_store_m(y + k * ld_y + whole, last, v[k]));
    }
}

#endif
