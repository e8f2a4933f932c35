/* mcomp.MoveGrad of Gather and Slice in float: zeros, then rows added (in the order of the indices, by blocks of columns, so that no
 * two workers write the same element) or copied to where they came from. Other operators are the reference's. */
#include "backends/cpu/work.h"

#define COLUMNS 64

typedef struct gather_grad {
    const mc_kernels *k;
    const float *dy;
    float *dx;
    const mcomp_bk_buffer *index;
    int64_t n, count, inner, blocks; /* length of the axis, indices, elements behind it, blocks of columns */
} gather_grad;

static int is_gather(const mc_node *n) { return strcmp(mc_attr_s(n, "of", ""), "Gather") == 0; }

static int32_t claim(const mc_node *n, mcomp_claim *out)
{
    const mc_type *dy = mc_cpu_in_type(n, 0), *x = mc_cpu_in_type(n, 1), *i = mc_cpu_in_type(n, 2);
    if (!mc_cpu_is(dy, MCOMP_F32) || !x || !i || (i->dtype != MCOMP_I64 && i->dtype != MCOMP_I32)) return 0;
    if (!is_gather(n) && strcmp(mc_attr_s(n, "of", ""), "Slice") != 0) return 0;
    return mc_cpu_claim_f32(out, is_gather(n) ? "gather_grad" : "slice_grad", mc_cpu_guess(x) + mc_cpu_guess(dy), 0.15);
}

typedef struct zero_work {
    float *y;
} zero_work;

static void zero_range(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const zero_work *w = ctx;
    (void)worker;
    memset(w->y + begin, 0, (size_t)(end - begin) * sizeof *w->y);
}

static int64_t index_at(const gather_grad *w, int64_t i)
{
    const int64_t v = w->index->dtype == MCOMP_I64 ? ((const int64_t *)w->index->data)[i] : ((const int32_t *)w->index->data)[i];
    return v < 0 ? v + w->n : v;
}

static void gather_range(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const gather_grad *w = ctx;
    (void)worker;
    for (int64_t unit = begin; unit < end; unit++) {
        const int64_t outer = unit / w->blocks, j = unit % w->blocks * COLUMNS, n = w->inner - j < COLUMNS ? w->inner - j : COLUMNS;
        for (int64_t i = 0; i < w->count; i++) {
            float *to = w->dx + (outer * w->n + index_at(w, i)) * w->inner + j;
            w->k->f32.binary(MC_BINARY_ADD, to, 1, w->dy + (outer * w->count + i) * w->inner + j, 1, to, n);
        }
    }
}

static int32_t run_gather(const mc_cpu_step *s, const mcomp_run_args *a, const mcomp_bk_buffer *dy, const mcomp_bk_buffer *dx)
{
    const mcomp_bk_buffer *index = mc_cpu_in(s, a, 2);
    const int32_t axis = mc_cpu_axis(mc_attr_i(s->node, "axis", 0), dx->rank);
    if (axis < 0) return mc_fail(MCOMP_SHAPE, s->node->name, "axis is outside the %d axes of the data", dx->rank);
    gather_grad w = {.k = s->kernels, .dy = dy->data, .dx = dx->data, .index = index, .n = dx->dims[axis], .count = mc_cpu_elements(index),
                     .inner = mc_cpu_product(dx->dims, axis + 1, dx->rank)};
    const int64_t outer = mc_cpu_product(dx->dims, 0, axis);
    if (mc_cpu_elements(dy) != outer * w.count * w.inner) return mc_fail(MCOMP_SHAPE, s->node->name, "dy is not what Gather gives");
    for (int64_t i = 0; i < w.count; i++) {
        const int64_t v = index_at(&w, i);
        if (v < 0 || v >= w.n)
            return mc_fail(MCOMP_RANGE, s->node->name, "index %lld (element %lld of the indices) is outside an axis of %lld",
                           (long long)(v < 0 ? v - w.n : v), (long long)i, (long long)w.n);
    }
    w.blocks = (w.inner + COLUMNS - 1) / COLUMNS;
    mc_cpu_split(s, a, outer * w.blocks, w.count * (w.inner < COLUMNS ? w.inner : COLUMNS), gather_range, &w);
    return MCOMP_OK;
}

typedef struct slice_grad {
    const float *dy;
    float *dx;
    int32_t rank;
    int64_t dim[MC_MAX_RANK], step[MC_MAX_RANK]; /* of dy; elements of dx between its neighbours */
} slice_grad;

static void slice_range(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const slice_grad *w = ctx;
    const int64_t n = w->dim[w->rank - 1], step = w->step[w->rank - 1];
    (void)worker;
    for (int64_t r = begin; r < end; r++) {
        float *to = w->dx;
        for (int64_t d = w->rank - 2, at = r; d >= 0; at /= w->dim[d--]) to += at % w->dim[d] * w->step[d];
        if (step == 1) memcpy(to, w->dy + r * n, (size_t)n * sizeof *to);
        else
            for (int64_t i = 0; i < n; i++) to[i * step] = w->dy[r * n + i];
    }
}

/* First element and step on each axis, by the rules of Slice; 0 if the operands cannot be read. */
static int read_slice(const mc_cpu_step *s, const mcomp_run_args *a, const mcomp_bk_buffer *dx, int64_t *start, int64_t *step)
{
    int64_t starts[MC_MAX_RANK], axes[MC_MAX_RANK], steps[MC_MAX_RANK];
    const int64_t n = mc_cpu_ints(mc_cpu_in(s, a, 2), starts, MC_MAX_RANK);
    const mcomp_bk_buffer *b = mc_cpu_in(s, a, 4), *c = mc_cpu_in(s, a, 5);
    if (n < 0 || n > dx->rank || (b && mc_cpu_ints(b, axes, MC_MAX_RANK) != n) || (c && mc_cpu_ints(c, steps, MC_MAX_RANK) != n)) return 0;
    for (int32_t i = 0; i < dx->rank; i++) {
        start[i] = 0;
        step[i] = 1;
    }
    for (int64_t i = 0; i < n; i++) {
        const int32_t axis = b ? mc_cpu_axis(axes[i], dx->rank) : (int32_t)i;
        if (axis < 0 || (c && steps[i] == 0)) return 0;
        const int64_t size = dx->dims[axis], by = c ? steps[i] : 1, most = by < 0 ? size - 1 : size;
        int64_t at = starts[i] < 0 ? starts[i] + size : starts[i];
        at = at < 0 ? 0 : at > most ? most : at;
        start[axis] = at;
        step[axis] = by;
    }
    return 1;
}

static int32_t run_slice(const mc_cpu_step *s, const mcomp_run_args *a, const mcomp_bk_buffer *dy, const mcomp_bk_buffer *dx)
{
    int64_t start[MC_MAX_RANK], step[MC_MAX_RANK], stride = 1;
    slice_grad w = {.dy = dy->data, .dx = dx->data, .rank = dx->rank};
    if (dx->rank < 1 || dy->rank != dx->rank || !read_slice(s, a, dx, start, step)) return mc_cpu_ref.run(s, a);
    if (mc_cpu_elements(dy) == 0) return MCOMP_OK;
    for (int32_t i = dx->rank - 1; i >= 0; stride *= dx->dims[i--]) {
        const int64_t last = start[i] + (dy->dims[i] - 1) * step[i];
        if (last < 0 || last >= dx->dims[i]) return mc_fail(MCOMP_SHAPE, s->node->name, "dy is not what Slice gives");
        w.dim[i] = dy->dims[i];
        w.step[i] = step[i] * stride;
        w.dx += start[i] * stride;
    }
    mc_cpu_split(s, a, mc_cpu_product(w.dim, 0, w.rank - 1), w.dim[w.rank - 1], slice_range, &w);
    return MCOMP_OK;
}

static int32_t run(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const mcomp_bk_buffer *dy = mc_cpu_in(s, a, 0), *dx = mc_cpu_out(s, a, 0);
    zero_work z = {dx->data};
    mc_cpu_split(s, a, mc_cpu_elements(dx), 1, zero_range, &z);
    return is_gather(s->node) ? run_gather(s, a, dy, dx) : run_slice(s, a, dy, dx);
}

const mc_cpu_impl mc_cpu_move_grad = {.domain = "mcomp", .op = "MoveGrad", .claim = claim, .run = run};
