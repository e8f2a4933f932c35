/* Is this the expected tensor? Floats: |got - want| <= 1e-5 + 1e-3 * |want| (upstream's relative tolerance), half types within
 * one unit in the last place or that; NaN equals NaN; everything else exactly. */
#include "conformance.h"

#include <math.h>
#include <stdio.h>

static char text[300];

static double ulp(int32_t dtype, double v)
{
    int e;
    frexp(v, &e);
    if (dtype == MCOMP_F16) return ldexp(1.0, (e < -13 ? -13 : e) - 11);
    return ldexp(1.0, e - 8);
}

static int close_enough(int32_t dtype, double got, double want)
{
    if (isnan(want) || isnan(got)) return isnan(want) && isnan(got);
    if (got == want) return 1;
    if (isinf(want) || isinf(got)) return 0;
    double room = 1e-5 + 1e-3 * fabs(want);
    if (dtype == MCOMP_F16 || dtype == MCOMP_BF16) room = fmax(room, ulp(dtype, want));
    return fabs(got - want) <= room;
}

const char *conf_differs(const mc_tensor *got, const mc_tensor *want)
{
    char a[96], b[96];
    if (got->dtype != want->dtype) {
        snprintf(text, sizeof text, "type %s, not %s", mc_dtype_name(got->dtype), mc_dtype_name(want->dtype));
        return text;
    }
    if (!mc_shape_equal(&got->shape, &want->shape)) {
        snprintf(text, sizeof text, "shape %s, not %s", mc_shape_text(&got->shape, a, sizeof a), mc_shape_text(&want->shape, b, sizeof b));
        return text;
    }
    const int64_t n = mc_tensor_elements(got);
    if (!mc_dtype_is_float(got->dtype) && mc_dtype_bits(got->dtype) >= 8) {
        if (n == 0 || memcmp(got->data, want->data, (size_t)mc_tensor_bytes(got)) == 0) return NULL;
    }
    for (int64_t i = 0; i < n; i++) {
        const double g = mc_tensor_get_f64(got, i), w = mc_tensor_get_f64(want, i);
        if (mc_dtype_is_float(got->dtype) ? close_enough(got->dtype, g, w) : mc_tensor_get_i64(got, i) == mc_tensor_get_i64(want, i)) continue;
        snprintf(text, sizeof text, "element %lld is %.9g, not %.9g", (long long)i, g, w);
        return text;
    }
    return mc_dtype_is_float(got->dtype) || mc_dtype_bits(got->dtype) < 8 ? NULL : "bytes differ";
}
