/* ConstantOfShape: one value over a whole tensor. */
#include "backends/cpu/work.h"

#include <stdio.h>

static int32_t claim(const mc_node *n, mcomp_claim *out)
{
    const mc_type *y = mc_cpu_out_type(n, 0);
    if (!y || mc_cpu_element_bytes(y->dtype) == 0 || mc_cpu_element_bytes(y->dtype) > 8) return 0;
    out->cost_us = 0.1 + mc_cpu_guess(y) * mc_cpu_element_bytes(y->dtype) * 0.05e-3;
    snprintf(out->kernel, sizeof out->kernel, "fill");
    return 1;
}

typedef struct fill_work {
    uint8_t *y;
    uint64_t value;
    int32_t bytes;
} fill_work;

static void range(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const fill_work *w = ctx;
    (void)worker;
    for (int64_t i = begin; i < end; i++) memcpy(w->y + i * w->bytes, &w->value, (size_t)w->bytes);
}

static int32_t run(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const mcomp_bk_buffer *y = mc_cpu_out(s, a, 0);
    const mc_attr *value = mc_node_attr(s->node, "value");
    fill_work w = {.y = y->data, .bytes = mc_cpu_element_bytes(y->dtype)};
    if (value && value->tensor && mc_tensor_elements(value->tensor) > 0) memcpy(&w.value, value->tensor->data, (size_t)w.bytes);
    if (w.value == 0) memset(w.y, 0, (size_t)(mc_cpu_elements(y) * w.bytes));
    else mc_cpu_split(s, a, mc_cpu_elements(y), 1, range, &w);
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_fill = {.domain = "", .op = "ConstantOfShape", .claim = claim, .run = run};
