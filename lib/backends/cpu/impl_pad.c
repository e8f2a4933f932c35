/* Pad of any whole-byte type, modes constant, edge, reflect and wrap; negative pads cut. Each output index maps to an input
 * index an axis, or to the fill value; along the last axis the middle is one copy. */
#include "backends/cpu/work.h"

#include <stdio.h>

enum { MODE_CONSTANT, MODE_EDGE, MODE_REFLECT, MODE_WRAP };

typedef struct pad_work {
    const mcomp_bk_buffer *x, *y;
    int64_t begin[MC_MAX_RANK];
    int32_t mode, bytes;
    uint8_t value[16];
} pad_work;

static int32_t mode_of(const mc_node *n)
{
    static const char *const names[] = {"constant", "edge", "reflect", "wrap"};
    const char *mode = mc_attr_s(n, "mode", "constant");
    for (int32_t i = 0; i < 4; i++)
        if (strcmp(names[i], mode) == 0) return i;
    return -1;
}

static int32_t claim(const mc_node *n, mcomp_claim *out)
{
    const mc_type *x = mc_cpu_in_type(n, 0);
    if (mode_of(n) < 0 || !x || mc_cpu_element_bytes(x->dtype) == 0 || x->rank < 1) return 0;
    out->cost_us = 0.2 + mc_cpu_guess(mc_cpu_out_type(n, 0)) * mc_cpu_element_bytes(x->dtype) * 0.1e-3;
    snprintf(out->kernel, sizeof out->kernel, "pad");
    return 1;
}

/* Index into an axis of n elements; -1: the fill value. */
static int64_t map(int64_t i, int64_t n, int32_t mode)
{
    if (i >= 0 && i < n) return i;
    if (mode == MODE_CONSTANT || n == 0) return -1;
    if (mode == MODE_EDGE) return i < 0 ? 0 : n - 1;
    if (mode == MODE_WRAP) return (i % n + n) % n;
    if (n == 1) return 0;
    const int64_t period = 2 * (n - 1), r = (i % period + period) % period;
    return r < n ? r : period - r;
}

static void pad_row(const pad_work *w, int64_t row)
{
    const mcomp_bk_buffer *x = w->x, *y = w->y;
    const int32_t last = x->rank - 1, bytes = w->bytes;
    const int64_t n = y->dims[last], in = x->dims[last], begin = w->begin[last];
    int64_t from = 0, stride = in, rest = row;
    int inside = 1;
    for (int32_t d = last - 1; d >= 0; d--) {
        const int64_t i = map(rest % y->dims[d] - w->begin[d], x->dims[d], w->mode);
        rest /= y->dims[d];
        if (i < 0) inside = 0;
        from += i * stride;
        stride *= x->dims[d];
    }
    uint8_t *out = (uint8_t *)y->data + row * n * bytes;
    const uint8_t *src = inside ? (const uint8_t *)x->data + from * bytes : NULL;
    int64_t first = begin < 0 ? 0 : begin > n ? n : begin, end = begin + in < n ? begin + in : n;
    if (!inside || end < first) end = first;
    if (end > first) memcpy(out + first * bytes, src + (first - begin) * bytes, (size_t)((end - first) * bytes));
    for (int64_t j = 0; j < n; j++) {
        if (j == first && end > first) j = end; /* the middle is done */
        if (j >= n) break;
        const int64_t i = inside ? map(j - begin, in, w->mode) : -1;
        memcpy(out + j * bytes, i < 0 ? w->value : src + i * bytes, (size_t)bytes);
    }
}

static void rows_range(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    (void)worker;
    for (int64_t r = begin; r < end; r++) pad_row(ctx, r);
}

static int32_t run(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const mcomp_bk_buffer *x = mc_cpu_in(s, a, 0), *value = mc_cpu_in(s, a, 2), *y = mc_cpu_out(s, a, 0);
    pad_work w = {.x = x, .y = y, .mode = mode_of(s->node), .bytes = mc_cpu_element_bytes(x->dtype)};
    int64_t pads[2 * MC_MAX_RANK], axes[MC_MAX_RANK], n = x->rank;
    for (int64_t i = 0; i < n; i++) axes[i] = i;
    if (mc_cpu_in(s, a, 3)) n = mc_cpu_ints(mc_cpu_in(s, a, 3), axes, MC_MAX_RANK);
    if (n < 0 || n > x->rank || mc_cpu_ints(mc_cpu_in(s, a, 1), pads, 2 * MC_MAX_RANK) != 2 * n) return mc_cpu_ref.run(s, a);
    for (int64_t i = 0; i < n; i++) {
        const int32_t axis = mc_cpu_axis(axes[i], x->rank);
        if (axis < 0) return mc_cpu_ref.run(s, a);
        w.begin[axis] = pads[i];
    }
    if (value && mc_cpu_elements(value) > 0) memcpy(w.value, value->data, (size_t)w.bytes);
    const int64_t columns = y->dims[y->rank - 1];
    if (mc_cpu_elements(y) == 0) return MCOMP_OK;
    mc_cpu_split(s, a, mc_cpu_elements(y) / columns, columns, rows_range, &w);
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_pad = {.domain = "", .op = "Pad", .claim = claim, .run = run};
