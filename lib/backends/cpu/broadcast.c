/* Broadcast operands: neighbouring axes that all operands treat alike become one, the last is the inner loop. */
#include "backends/cpu/broadcast.h"

static int64_t stride_at(const mcomp_bk_buffer *b, int32_t axis_from_end)
{
    const int32_t i = b->rank - 1 - axis_from_end;
    return i < 0 || b->dims[i] == 1 ? 0 : mc_cpu_product(b->dims, i + 1, b->rank);
}

void mc_broadcast_plan(mc_broadcast *b, const mcomp_bk_buffer *out, const mcomp_bk_buffer *const *in, int32_t inputs)
{
    memset(b, 0, sizeof *b);
    b->inputs = inputs;
    for (int32_t axis = 0; axis < out->rank; axis++) { /* from the first axis: merge into the one before where it fits */
        const int32_t back = out->rank - 1 - axis;
        int64_t stride[MC_BROADCAST_INPUTS] = {0};
        int merge = b->rank > 0;
        if (out->dims[axis] == 1) continue;
        for (int32_t i = 0; i < inputs; i++) {
            stride[i] = stride_at(in[i], back);
            if (merge && b->stride[i][b->rank - 1] != stride[i] * out->dims[axis]) merge = 0;
        }
        if (!merge) b->rank++;
        const int32_t at = b->rank - 1;
        b->dim[at] = merge ? b->dim[at] * out->dims[axis] : out->dims[axis];
        for (int32_t i = 0; i < inputs; i++) b->stride[i][at] = stride[i];
    }
    if (b->rank == 0) b->dim[b->rank++] = 1;
    b->inner = b->dim[b->rank - 1];
    b->rows = mc_cpu_product(b->dim, 0, b->rank - 1);
}

void mc_broadcast_row(const mc_broadcast *b, int64_t row, int64_t offset[MC_BROADCAST_INPUTS])
{
    for (int32_t i = 0; i < b->inputs; i++) offset[i] = 0;
    for (int32_t d = b->rank - 2; d >= 0; d--) {
        const int64_t at = row % b->dim[d];
        row /= b->dim[d];
        for (int32_t i = 0; i < b->inputs; i++) offset[i] += at * b->stride[i][d];
    }
}

typedef struct broadcast_work {
    const mc_broadcast *b;
    mc_broadcast_fn fn;
    void *ctx;
} broadcast_work;

static void rows_range(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const broadcast_work *w = ctx;
    const mc_broadcast *b = w->b;
    (void)worker;
    for (int64_t r = begin; r < end; r++) {
        int64_t offset[MC_BROADCAST_INPUTS];
        mc_broadcast_row(b, r, offset);
        w->fn(w->ctx, offset, r * b->inner, b->inner);
    }
}

static void inner_range(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const broadcast_work *w = ctx;
    int64_t offset[MC_BROADCAST_INPUTS] = {0};
    (void)worker;
    for (int32_t i = 0; i < w->b->inputs; i++) offset[i] = begin * w->b->stride[i][w->b->rank - 1];
    w->fn(w->ctx, offset, begin, end - begin);
}

void mc_broadcast_run(const mc_cpu_step *s, const mcomp_run_args *a, const mc_broadcast *b, mc_broadcast_fn fn, void *ctx)
{
    broadcast_work w = {b, fn, ctx};
    if (b->inner == 0 || b->rows == 0) return;
    if (b->rows == 1) mc_cpu_split(s, a, b->inner, 1, inner_range, &w);
    else mc_cpu_split(s, a, b->rows, b->inner, rows_range, &w);
}
