/* Resize to whole multiples with nearest neighbours, of any whole-byte type: output o takes input o / s, which half-pixel
 * coordinates with round_prefer_floor and asymmetric ones with floor both give. Each axis is [in][s] with stride 0 on the
 * second. Other forms are left to the reference. */
#include "backends/cpu/strided.h"

#include <stdio.h>

/* Output o is input o / s for this rule. */
static int rule_divides(const mc_node *n, int64_t s)
{
    const char *where = mc_attr_s(n, "coordinate_transformation_mode", "half_pixel"), *how = mc_attr_s(n, "nearest_mode", "round_prefer_floor");
    const int prefer_floor = strcmp(how, "round_prefer_floor") == 0;
    if (s == 1) return 1;
    if (strcmp(where, "half_pixel") == 0) return prefer_floor;
    return strcmp(where, "asymmetric") == 0 && (strcmp(how, "floor") == 0 || (prefer_floor && s == 2));
}

static int32_t claim(const mc_node *n, mcomp_claim *out)
{
    const mc_type *x = mc_cpu_in_type(n, 0), *y = mc_cpu_out_type(n, 0);
    const mc_tensor *scales = n->n_in > 2 && n->in[2] ? mc_value_const(n->in[2]) : NULL;
    if (!x || !y || x->rank < 1 || x->rank != y->rank || mc_cpu_element_bytes(x->dtype) == 0) return 0;
    if (strcmp(mc_attr_s(n, "mode", "nearest"), "nearest") != 0 || mc_attr_i(n, "antialias", 0) != 0 || mc_node_attr(n, "axes")) return 0;
    if (n->n_in > 2 && n->in[2] && !scales) return 0;
    if (scales && mc_tensor_elements(scales) > 0 && mc_tensor_elements(scales) != x->rank) return 0;
    for (int32_t i = 0; i < x->rank; i++) {
        if (x->dim[i] < 1 || y->dim[i] < 1 || y->dim[i] % x->dim[i] != 0) return 0;
        const int64_t s = y->dim[i] / x->dim[i];
        if (scales && mc_tensor_elements(scales) > 0 && mc_tensor_get_f64(scales, i) != (double)s) return 0;
        if (!rule_divides(n, s)) return 0;
    }
    out->cost_us = 0.2 + mc_cpu_guess(y) * mc_cpu_element_bytes(x->dtype) * 0.1e-3;
    snprintf(out->kernel, sizeof out->kernel, "resize");
    return 1;
}

static int32_t run(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const mcomp_bk_buffer *x = mc_cpu_in(s, a, 0), *y = mc_cpu_out(s, a, 0);
    mc_strided p = {.bytes = mc_cpu_element_bytes(x->dtype)};
    for (int32_t i = 0; i < y->rank; i++) {
        if (x->dims[i] < 1 || y->dims[i] % x->dims[i] != 0) return mc_cpu_ref.run(s, a);
        const int64_t times = y->dims[i] / x->dims[i], in = mc_cpu_product(x->dims, i + 1, x->rank), out = mc_cpu_product(y->dims, i + 1, y->rank);
        mc_strided_add(&p, x->dims[i], in, times * out);
        mc_strided_add(&p, times, 0, out);
    }
    mc_strided_run(s, a, &p, x->data, y->data);
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_resize = {.domain = "", .op = "Resize", .claim = claim, .run = run};
