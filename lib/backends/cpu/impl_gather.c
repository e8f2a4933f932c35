/* Gather along one axis: blocks of the axes behind it, copied by index; negative indices count from the end. */
#include "backends/cpu/work.h"

#include <stdio.h>

typedef struct gather_work {
    const uint8_t *x;
    uint8_t *y;
    const mcomp_bk_buffer *index;
    int64_t n, count, bytes; /* length of the axis, indices, bytes of a block */
} gather_work;

static int32_t claim(const mc_node *n, mcomp_claim *out)
{
    const mc_type *x = mc_cpu_in_type(n, 0), *i = mc_cpu_in_type(n, 1);
    if (!x || !i || mc_cpu_element_bytes(x->dtype) == 0 || (i->dtype != MCOMP_I64 && i->dtype != MCOMP_I32)) return 0;
    out->cost_us = 0.2 + mc_cpu_guess(mc_cpu_out_type(n, 0)) * mc_cpu_element_bytes(x->dtype) * 0.1e-3;
    snprintf(out->kernel, sizeof out->kernel, "gather");
    return 1;
}

static int64_t index_at(const gather_work *w, int64_t i)
{
    const int64_t v = w->index->dtype == MCOMP_I64 ? ((const int64_t *)w->index->data)[i] : ((const int32_t *)w->index->data)[i];
    return v < 0 ? v + w->n : v;
}

static void rows_range(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const gather_work *w = ctx;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        const int64_t outer = i / w->count, from = outer * w->n + index_at(w, i % w->count);
        if (w->bytes == 4) memcpy(w->y + i * 4, w->x + from * 4, 4);
        else if (w->bytes == 8) memcpy(w->y + i * 8, w->x + from * 8, 8);
        else memcpy(w->y + i * w->bytes, w->x + from * w->bytes, (size_t)w->bytes);
    }
}

static int32_t run(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const mcomp_bk_buffer *x = mc_cpu_in(s, a, 0), *index = mc_cpu_in(s, a, 1), *y = mc_cpu_out(s, a, 0);
    const int32_t axis = mc_cpu_axis(mc_attr_i(s->node, "axis", 0), x->rank), element = mc_cpu_element_bytes(x->dtype);
    if (axis < 0) return mc_fail(MCOMP_SHAPE, s->node->name, "axis is outside the %d axes of the data", x->rank);
    gather_work w = {x->data, y->data, index, x->dims[axis], mc_cpu_elements(index), mc_cpu_product(x->dims, axis + 1, x->rank) * element};
    for (int64_t i = 0; i < w.count; i++) {
        const int64_t v = index_at(&w, i);
        if (v < 0 || v >= w.n)
            return mc_fail(MCOMP_RANGE, s->node->name, "index %lld (element %lld of the indices) is outside an axis of %lld",
                           (long long)(v < 0 ? v - w.n : v), (long long)i, (long long)w.n);
    }
    if (w.bytes == 0) return MCOMP_OK;
    mc_cpu_split(s, a, mc_cpu_product(x->dims, 0, axis) * w.count, w.bytes / element, rows_range, &w);
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_gather = {.domain = "", .op = "Gather", .claim = claim, .run = run};
