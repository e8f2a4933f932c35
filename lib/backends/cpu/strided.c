/* Strided copies. Three forms: rows that are contiguous on both sides (memcpy), a plane whose contiguous axes differ
 * (blocked transposition), and anything else (element by element along the last axis). */
#include "backends/cpu/strided.h"

#define FEW_ROWS 4
#define PLANE_COLUMNS 64 /* columns of a transposed plane in one unit of work */

void mc_strided_add(mc_strided *p, int64_t dim, int64_t in_stride, int64_t out_stride)
{
    const int32_t at = p->rank - 1;
    if (dim == 1) return;
    if (at >= 0 && p->in[at] == in_stride * dim && p->out[at] == out_stride * dim) {
        p->dim[at] *= dim;
        p->in[at] = in_stride;
        p->out[at] = out_stride;
        return;
    }
    p->dim[p->rank] = dim;
    p->in[p->rank] = in_stride;
    p->out[p->rank++] = out_stride;
}

typedef struct strided_work {
    mc_strided p; /* outer axes only */
    const mc_kernels *k;
    const uint8_t *in;
    uint8_t *out;
    int64_t rows, in_row, out_row, columns, out_column, blocks; /* inner form: see the functions */
} strided_work;

static void outer_offsets(const mc_strided *p, int64_t index, int64_t *in, int64_t *out)
{
    *in = *out = 0;
    for (int32_t d = p->rank - 1; d >= 0; d--) {
        const int64_t i = index % p->dim[d];
        index /= p->dim[d];
        *in += i * p->in[d];
        *out += i * p->out[d];
    }
}

static void copy_range(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const strided_work *w = ctx;
    const int64_t bytes = w->p.bytes;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        int64_t in, out;
        outer_offsets(&w->p, i, &in, &out);
        memcpy(w->out + out * bytes, w->in + in * bytes, (size_t)(w->columns * bytes));
    }
}

#define COPY_ELEMENTS(T)                                                                                               \
    {                                                                                                                  \
        const T *x = (const T *)(const void *)in;                                                                      \
        T *y = (T *)(void *)out;                                                                                       \
        for (int64_t i = 0; i < n; i++) y[i * to] = x[i * step];                                                       \
    }                                                                                                                  \
    break

/* n elements from in (step elements apart) to out (`to` elements apart). */
static void gather_elements(const uint8_t *in, int64_t step, uint8_t *out, int64_t to, int64_t n, int32_t bytes)
{
    switch (bytes) {
    case 1: COPY_ELEMENTS(uint8_t);
    case 2: COPY_ELEMENTS(uint16_t);
    case 4: COPY_ELEMENTS(uint32_t);
    case 8: COPY_ELEMENTS(uint64_t);
    default:
        for (int64_t i = 0; i < n; i++) memcpy(out + i * to * bytes, in + i * step * bytes, (size_t)bytes);
        break;
    }
}

static void gather_range(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const strided_work *w = ctx;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        int64_t in, out;
        outer_offsets(&w->p, i, &in, &out);
        gather_elements(w->in + in * w->p.bytes, w->in_row, w->out + out * w->p.bytes, w->out_row, w->rows, w->p.bytes);
    }
}

/* A plane: rows x columns, contiguous by column in `in` (row stride in_row), by row in `out` (column stride out_column). */
static void plane_range(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const strided_work *w = ctx;
    const int64_t bytes = w->p.bytes;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        int64_t in, out;
        const int64_t c0 = i % w->blocks * PLANE_COLUMNS, left = w->columns - c0, columns = left < PLANE_COLUMNS ? left : PLANE_COLUMNS;
        outer_offsets(&w->p, i / w->blocks, &in, &out);
        const uint8_t *x = w->in + (in + c0) * bytes;
        uint8_t *y = w->out + (out + c0 * w->out_column) * bytes;
        if (bytes == 4) {
            w->k->f32.transpose((const float *)(const void *)x, w->in_row, (float *)(void *)y, w->out_column, w->rows, columns);
            continue;
        }
        if (w->rows <= FEW_ROWS) { /* long runs over short ones: colours of a picture */
            for (int64_t r = 0; r < w->rows; r++)
                gather_elements(x + r * w->in_row * bytes, 1, y + r * bytes, w->out_column, columns, (int32_t)bytes);
            continue;
        }
        for (int64_t r = 0; r < w->rows; r += 16) /* blocks that stay in the cache on both sides */
            for (int64_t c = 0; c < columns; c++)
                gather_elements(x + (r * w->in_row + c) * bytes, w->in_row, y + (c * w->out_column + r) * bytes, 1,
                                w->rows - r < 16 ? w->rows - r : 16, (int32_t)bytes);
    }
}

static void remove_axis(mc_strided *p, int32_t axis)
{
    const size_t bytes = (size_t)(p->rank - 1 - axis) * sizeof *p->dim;
    memmove(p->dim + axis, p->dim + axis + 1, bytes);
    memmove(p->in + axis, p->in + axis + 1, bytes);
    memmove(p->out + axis, p->out + axis + 1, bytes);
    p->rank--;
}

void mc_strided_run(const mc_cpu_step *s, const mcomp_run_args *a, const mc_strided *p, const void *in, void *out)
{
    strided_work w = {.p = *p, .k = s->kernels, .in = in, .out = out, .rows = 1, .columns = 1, .blocks = 1};
    const int32_t last = p->rank - 1;
    for (int32_t d = 0; d < p->rank; d++)
        if (p->dim[d] == 0) return;
    if (last < 0 || (p->in[last] == 1 && p->out[last] == 1)) {
        if (last >= 0) {
            w.columns = p->dim[last];
            w.p.rank--;
        }
        int64_t units = mc_cpu_product(w.p.dim, 0, w.p.rank);
        if (units == 1 && w.columns > MC_CPU_PARALLEL) { /* one long row: cut it */
            w.p.rank = 0;
            mc_strided_add(&w.p, w.columns / 4096, 4096, 4096);
            units = w.columns / 4096;
            const int64_t tail = units * 4096, rest = w.columns - tail;
            w.columns = 4096;
            memcpy(w.out + tail * p->bytes, w.in + tail * p->bytes, (size_t)(rest * p->bytes));
        }
        mc_cpu_split(s, a, units, w.columns, copy_range, &w);
        return;
    }
    w.rows = p->dim[last];
    w.in_row = p->in[last];
    w.out_row = p->out[last];
    remove_axis(&w.p, last);
    for (int32_t d = 0; d < last && p->in[last] > 1 && w.out_row == 1; d++) {
        if (p->in[d] != 1) continue;
        w.columns = p->dim[d];
        w.out_column = p->out[d];
        w.blocks = (w.columns + PLANE_COLUMNS - 1) / PLANE_COLUMNS;
        remove_axis(&w.p, d);
        const int64_t unit = w.columns < PLANE_COLUMNS ? w.columns : PLANE_COLUMNS;
        mc_cpu_split(s, a, mc_cpu_product(w.p.dim, 0, w.p.rank) * w.blocks, w.rows * unit, plane_range, &w);
        return;
    }
    mc_cpu_split(s, a, mc_cpu_product(w.p.dim, 0, w.p.rank), w.rows, gather_range, &w);
}
