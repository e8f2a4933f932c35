/* Windows over channels-first images: im2col and its adjoint, one block of a plane by one kernel element at a time. */
#include "backends/cpu/planes.h"

int mc_cpu_planes_read(const mc_node *n, int32_t rank, const int64_t *kernel, mc_q_window *w)
{
    return rank >= 3 && rank <= 4 && mc_q_window_read(n, rank, kernel, w);
}

void mc_cpu_planes_dims(mc_cpu_planes *p, const int64_t *x, const int64_t *y, int32_t rank)
{
    p->n = x[0];
    p->c = x[1];
    p->h = rank == 4 ? x[2] : 1;
    p->wd = x[rank - 1];
    p->m = y[1];
    p->oh = rank == 4 ? y[2] : 1;
    p->ow = y[rank - 1];
    p->taps = p->w.kh * p->w.kw;
    p->depth = p->c / p->w.groups * p->taps;
}

int64_t mc_cpu_planes_rows(const mc_cpu_planes *p)
{
    const int64_t row = p->depth * p->ow;
    const int64_t rows = row > 0 ? MC_CPU_UNFOLD / row : p->oh;
    return rows < 1 ? 1 : rows > p->oh ? p->oh : rows;
}

int64_t mc_cpu_planes_block(const mc_cpu_planes *p)
{
    const int64_t row = p->depth * p->ow;
    return row > MC_CPU_UNFOLD ? row : MC_CPU_UNFOLD;
}

/* Outputs whose tap lies inside: from .. to of [begin, end). */
typedef struct range {
    int64_t from, to;
} range;

static range inside(int64_t begin, int64_t end, int64_t stride, int64_t offset, int64_t extent)
{
    range r; /* 0 <= o stride + offset < extent */
    r.from = offset >= 0 ? 0 : (-offset + stride - 1) / stride;
    r.to = offset >= extent ? 0 : (extent - 1 - offset) / stride + 1;
    if (r.from < begin) r.from = begin;
    if (r.to > end) r.to = end;
    if (r.to < r.from) r.to = r.from;
    return r;
}

typedef struct tap {
    range y, x;
    int64_t at, row; /* of the first element inside, in the plane; floats between rows of outputs */
} tap;

static tap tap_of(const mc_cpu_planes *p, int64_t k, int64_t y0, int64_t rows)
{
    const mc_q_window *w = &p->w;
    const int64_t oy = k / w->kw * w->dh - w->top, ox = k % w->kw * w->dw - w->left;
    tap t = {inside(y0, y0 + rows, w->sh, oy, p->h), inside(0, p->ow, w->sw, ox, p->wd), 0, w->sh * p->wd};
    t.at = (t.y.from * w->sh + oy) * p->wd + t.x.from * w->sw + ox;
    return t;
}

void mc_cpu_planes_unfold(const mc_kernels *k, const mc_cpu_planes *p, const float *x, int64_t y0, int64_t rows, float *out)
{
    const int64_t size = rows * p->ow;
    for (int64_t i = 0; i < p->depth; i++, out += size) {
        const tap t = tap_of(p, i % p->taps, y0, rows);
        const float *from = x + i / p->taps * p->h * p->wd + t.at;
        const int64_t n = t.x.to - t.x.from, m = t.y.to - t.y.from;
        float *to = out + (t.y.from - y0) * p->ow + t.x.from;
        if (n * m < size) memset(out, 0, (size_t)size * sizeof *out);
        if (n * m == 0) continue;
        if (p->w.sw == 1) {
            k->f32.copy_block(from, t.row, to, p->ow, m, n);
            continue;
        }
        for (int64_t r = 0; r < m; r++)
            for (int64_t c = 0; c < n; c++) to[r * p->ow + c] = from[r * t.row + c * p->w.sw];
    }
}

void mc_cpu_planes_fold(const mc_kernels *k, const mc_cpu_planes *p, const float *in, int64_t y0, int64_t rows, float *x)
{
    for (int64_t i = 0; i < p->depth; i++, in += rows * p->ow) {
        const tap t = tap_of(p, i % p->taps, y0, rows);
        const float *from = in + (t.y.from - y0) * p->ow + t.x.from;
        const int64_t n = t.x.to - t.x.from, m = t.y.to - t.y.from;
        if (n * m == 0) continue;
        float *to = x + i / p->taps * p->h * p->wd + t.at;
        if (p->w.sw == 1) {
            k->f32.add_block(from, p->ow, to, t.row, m, n);
            continue;
        }
        for (int64_t r = 0; r < m; r++)
            for (int64_t c = 0; c < n; c++) to[r * t.row + c * p->w.sw] += from[r * p->ow + c];
    }
}
