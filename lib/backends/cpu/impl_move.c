/* Operators that only move elements, of any whole-byte type: Transpose, Slice, Expand, Concat, Split, Gather, Tile, and the
 * views (Reshape ...), which are plain copies when the runtime could not alias them. */
#include "backends/cpu/strided.h"

#include <stdio.h>

typedef struct move_op {
    const char *op, *name;
    int32_t (*run)(const mc_cpu_step *s, const mcomp_run_args *a);
    int32_t view; /* output has the input's elements in order */
} move_op;

static int64_t stride_of(const mcomp_bk_buffer *b, int32_t axis) { return mc_cpu_product(b->dims, axis + 1, b->rank); }

static int32_t run_copy(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const mcomp_bk_buffer *x = mc_cpu_in(s, a, 0), *y = mc_cpu_out(s, a, 0);
    mc_strided p = {.bytes = mc_cpu_element_bytes(x->dtype)};
    if (x->data == y->data) return MCOMP_OK;
    mc_strided_add(&p, mc_cpu_elements(x), 1, 1);
    mc_strided_run(s, a, &p, x->data, y->data);
    return MCOMP_OK;
}

static int32_t run_transpose(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const mcomp_bk_buffer *x = mc_cpu_in(s, a, 0), *y = mc_cpu_out(s, a, 0);
    mc_strided p = {.bytes = mc_cpu_element_bytes(x->dtype)};
    int64_t count = 0;
    const int64_t *perm = mc_attr_ints(s->node, "perm", &count);
    for (int32_t i = 0; i < y->rank; i++) {
        const int32_t from = perm && count == y->rank ? (int32_t)perm[i] : y->rank - 1 - i;
        mc_strided_add(&p, y->dims[i], stride_of(x, from), stride_of(y, i));
    }
    mc_strided_run(s, a, &p, x->data, y->data);
    return MCOMP_OK;
}

static int32_t run_slice(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const mcomp_bk_buffer *x = mc_cpu_in(s, a, 0), *y = mc_cpu_out(s, a, 0);
    mc_strided p = {.bytes = mc_cpu_element_bytes(x->dtype)};
    int64_t starts[MC_MAX_RANK], axes[MC_MAX_RANK], steps[MC_MAX_RANK], begin[MC_MAX_RANK] = {0}, step[MC_MAX_RANK], at = 0;
    const int64_t n = mc_cpu_ints(mc_cpu_in(s, a, 1), starts, MC_MAX_RANK);
    if (n < 0 || n > x->rank) return mc_cpu_ref.run(s, a);
    for (int64_t i = 0; i < n; i++) axes[i] = i;
    for (int32_t i = 0; i < n; i++) steps[i] = 1;
    if (mc_cpu_in(s, a, 3) && mc_cpu_ints(mc_cpu_in(s, a, 3), axes, n) != n) return mc_cpu_ref.run(s, a);
    if (mc_cpu_in(s, a, 4) && mc_cpu_ints(mc_cpu_in(s, a, 4), steps, n) != n) return mc_cpu_ref.run(s, a);
    for (int32_t i = 0; i < x->rank; i++) step[i] = 1;
    for (int64_t i = 0; i < n; i++) {
        const int32_t axis = mc_cpu_axis(axes[i], x->rank);
        if (axis < 0 || steps[i] == 0) return mc_cpu_ref.run(s, a);
        const int64_t dim = x->dims[axis], top = steps[i] < 0 ? dim - 1 : dim;
        int64_t b = starts[i] < 0 ? starts[i] + dim : starts[i];
        b = b < 0 ? 0 : b > top ? top : b;
        begin[axis] = b;
        step[axis] = steps[i];
    }
    for (int32_t i = 0; i < x->rank; i++) {
        /* The output's dims count the elements; the last one read must lie inside. */
        const int64_t last = y->dims[i] > 0 ? begin[i] + (y->dims[i] - 1) * step[i] : 0;
        if (y->dims[i] > x->dims[i] || last < 0 || (y->dims[i] > 0 && last >= x->dims[i])) return mc_cpu_ref.run(s, a);
        at += begin[i] * stride_of(x, i);
        mc_strided_add(&p, y->dims[i], step[i] * stride_of(x, i), stride_of(y, i));
    }
    mc_strided_run(s, a, &p, (const uint8_t *)x->data + at * p.bytes, y->data);
    return MCOMP_OK;
}

static int32_t run_expand(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const mcomp_bk_buffer *x = mc_cpu_in(s, a, 0), *y = mc_cpu_out(s, a, 0);
    mc_strided p = {.bytes = mc_cpu_element_bytes(x->dtype)};
    for (int32_t i = 0; i < y->rank; i++) {
        const int32_t from = i - (y->rank - x->rank);
        const int64_t stride = from < 0 || x->dims[from] == 1 ? 0 : stride_of(x, from);
        mc_strided_add(&p, y->dims[i], stride, stride_of(y, i));
    }
    mc_strided_run(s, a, &p, x->data, y->data);
    return MCOMP_OK;
}

static int32_t run_tile(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const mcomp_bk_buffer *x = mc_cpu_in(s, a, 0), *y = mc_cpu_out(s, a, 0);
    mc_strided p = {.bytes = mc_cpu_element_bytes(x->dtype)};
    for (int32_t i = 0; i < y->rank; i++) {
        if (x->dims[i] == 0) return MCOMP_OK;
        mc_strided_add(&p, y->dims[i] / x->dims[i], 0, stride_of(y, i) * x->dims[i]);
        mc_strided_add(&p, x->dims[i], stride_of(x, i), stride_of(y, i));
    }
    mc_strided_run(s, a, &p, x->data, y->data);
    return MCOMP_OK;
}

/* Concat and Split: one strided copy an operand, [outer][its share of the axis]. */
static void copy_share(const mc_cpu_step *s, const mcomp_run_args *a, int64_t outer, int64_t share, int64_t in_row, int64_t out_row,
                       const void *in, void *out, int32_t bytes)
{
    mc_strided p = {.bytes = bytes};
    mc_strided_add(&p, outer, in_row, out_row);
    mc_strided_add(&p, share, 1, 1);
    mc_strided_run(s, a, &p, in, out);
}

static int32_t run_concat(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const mcomp_bk_buffer *y = mc_cpu_out(s, a, 0);
    const int32_t axis = mc_cpu_axis(mc_attr_i(s->node, "axis", 0), y->rank), bytes = mc_cpu_element_bytes(y->dtype);
    if (axis < 0) return mc_cpu_ref.run(s, a);
    const int64_t outer = mc_cpu_product(y->dims, 0, axis), row = mc_cpu_product(y->dims, axis, y->rank);
    uint8_t *out = y->data;
    for (int32_t i = 0; i < s->n_in; i++) {
        const mcomp_bk_buffer *x = mc_cpu_in(s, a, i);
        const int64_t share = mc_cpu_product(x->dims, axis, x->rank);
        copy_share(s, a, outer, share, share, row, x->data, out, bytes);
        out += share * bytes;
    }
    return MCOMP_OK;
}

static int32_t run_split(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const mcomp_bk_buffer *x = mc_cpu_in(s, a, 0);
    const int32_t axis = mc_cpu_axis(mc_attr_i(s->node, "axis", 0), x->rank), bytes = mc_cpu_element_bytes(x->dtype);
    const uint8_t *in = x->data;
    for (int32_t i = 0; i < s->n_out; i++)
        if (!mc_cpu_out(s, a, i)) return mc_cpu_ref.run(s, a);
    if (axis < 0) return mc_cpu_ref.run(s, a);
    const int64_t outer = mc_cpu_product(x->dims, 0, axis), row = mc_cpu_product(x->dims, axis, x->rank);
    for (int32_t i = 0; i < s->n_out; i++) {
        const mcomp_bk_buffer *y = mc_cpu_out(s, a, i);
        const int64_t share = mc_cpu_product(y->dims, axis, y->rank);
        copy_share(s, a, outer, share, row, share, in, y->data, bytes);
        in += share * bytes;
    }
    return MCOMP_OK;
}

static const move_op table[] = {
    {"Transpose", "transpose", run_transpose, 0}, {"Slice", "slice", run_slice, 0}, {"Expand", "expand", run_expand, 0},
    {"Tile", "tile", run_tile, 0}, {"Concat", "concat", run_concat, 0}, {"Split", "split", run_split, 0},
    {"Reshape", "copy", run_copy, 1}, {"Flatten", "copy", run_copy, 1}, {"Squeeze", "copy", run_copy, 1},
    {"Unsqueeze", "copy", run_copy, 1}, {"Identity", "copy", run_copy, 1},
};

static const move_op *find(const mc_node *n)
{
    for (size_t i = 0; i < sizeof table / sizeof *table && strcmp(n->domain, "") == 0; i++)
        if (strcmp(table[i].op, n->op) == 0) return &table[i];
    return NULL;
}

static int32_t claim(const mc_node *n, mcomp_claim *out)
{
    const move_op *m = find(n);
    const mc_type *x = mc_cpu_in_type(n, 0);
    if (!m || !x || mc_cpu_element_bytes(x->dtype) == 0) return 0;
    if (m->view) out->inplace_input = 1;
    const double bytes = (mc_cpu_guess(x) + mc_cpu_guess(mc_cpu_out_type(n, 0))) * mc_cpu_element_bytes(x->dtype);
    out->cost_us = 0.1 + bytes * (m->run == run_transpose ? 0.1e-3 : 0.05e-3);
    snprintf(out->kernel, sizeof out->kernel, "%s", m->name);
    return 1;
}

static int32_t run(const mc_cpu_step *s, const mcomp_run_args *a) { return find(s->node)->run(s, a); }

const mc_cpu_impl mc_cpu_move = {.claim = claim, .run = run};
