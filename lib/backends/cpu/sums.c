/* Sums over axes. A unit of work is a block of columns (or one sum of contiguous elements); where these are few, the rows are cut
 * into chunks, whose partial sums are added in order. Within a chunk, blocks of rows are summed before they join, so that rounding
 * grows with the logarithm of the length rather than with it. */
#include "backends/cpu/sums.h"

#define COLUMNS 512
#define BLOCK 64       /* rows */
#define UNITS 16       /* from so many units on rows are not cut */
#define CHUNKS 64
#define PIECE 16384    /* contiguous elements summed at once */

typedef struct sums_work {
    const mc_cpu_step *s;
    mc_cpu_sums p;
    int64_t blocks, units, chunks, rows, chunk; /* column blocks; k0 x blocks; rows in all, of a chunk */
    float *to;                                  /* [chunks][k0][k1] */
} sums_work;

int mc_cpu_sums_plan(mc_cpu_sums *p, const int64_t *dims, const int *summed, int32_t rank)
{
    int64_t *place[4] = {&p->k1, &p->r1, &p->k0, &p->r0};
    int32_t at = 0;
    p->r0 = p->k0 = p->r1 = p->k1 = 1;
    for (int32_t i = rank - 1; i >= 0; i--) {
        if (dims[i] == 1) continue;
        if (summed[i] != (at & 1)) at++;
        if (at > 3) return 0;
        *place[at] *= dims[i];
    }
    return 1;
}

uint64_t mc_cpu_sums_scratch(void) { return (uint64_t)CHUNKS * UNITS * COLUMNS * sizeof(float); }

/* Rows begin .. end of the columns j .. j + n of plane k. */
static void columns(const sums_work *w, int64_t k, int64_t begin, int64_t end, int64_t j, int64_t n, float *y)
{
    const mc_cpu_sums *p = &w->p;
    float part[COLUMNS];
    if (begin == end) memset(y, 0, (size_t)n * sizeof *y);
    for (int64_t r = begin, next; r < end; r = next) {
        const int64_t room = p->r1 - r % p->r1;
        next = r + (room < BLOCK ? room : BLOCK) < end ? r + (room < BLOCK ? room : BLOCK) : end;
        const float *x = p->x + ((r / p->r1 * p->k0 + k) * p->r1 + r % p->r1) * p->k1 + j;
        w->s->kernels->f32.reduce_rows(MC_REDUCE_SUM, x, p->k1, next - r, r == begin ? y : part, n);
        if (r > begin) w->s->kernels->f32.binary(MC_BINARY_ADD, y, 1, part, 1, y, n);
    }
}

/* Pieces begin .. end of plane k, each of contiguous elements. */
static float pieces(const sums_work *w, int64_t k, int64_t begin, int64_t end)
{
    const mc_cpu_sums *p = &w->p;
    const int64_t each = (p->r1 + PIECE - 1) / PIECE;
    double sum = 0.0;
    for (int64_t i = begin; i < end; i++) {
        const int64_t at = i % each * PIECE, n = p->r1 - at < PIECE ? p->r1 - at : PIECE;
        sum += (double)w->s->kernels->f32.reduce(MC_REDUCE_SUM, p->x + (i / each * p->k0 + k) * p->r1 + at, n);
    }
    return (float)sum;
}

static void sums_range(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const sums_work *w = ctx;
    const mc_cpu_sums *p = &w->p;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        const int64_t unit = i % w->units, chunk = i / w->units, k = unit / w->blocks, j = unit % w->blocks * COLUMNS;
        const int64_t first = chunk * w->chunk, last = first + w->chunk < w->rows ? first + w->chunk : w->rows;
        float *y = w->to + (chunk * p->k0 + k) * p->k1 + j;
        if (p->k1 == 1) *y = pieces(w, k, first, last);
        else columns(w, k, first, last, j, p->k1 - j < COLUMNS ? p->k1 - j : COLUMNS, y);
    }
}

void mc_cpu_sums_run(const mc_cpu_step *s, const mcomp_run_args *a, const mc_cpu_sums *p)
{
    sums_work w = {.s = s, .p = *p, .blocks = (p->k1 + COLUMNS - 1) / COLUMNS, .chunks = 1, .to = p->y};
    const int64_t size = p->k0 * p->k1;
    if (size == 0) return;
    w.units = p->k0 * w.blocks;
    w.rows = p->k1 == 1 ? p->r0 * ((p->r1 + PIECE - 1) / PIECE) : p->r0 * p->r1;
    const int64_t width = p->k1 == 1 ? (p->r1 < PIECE ? p->r1 : PIECE) : p->k1 < COLUMNS ? p->k1 : COLUMNS;
    if (w.units < UNITS && w.rows > 1) {
        w.chunks = w.rows * width / MC_CPU_PARALLEL + 1;
        if (w.chunks > CHUNKS) w.chunks = CHUNKS;
    }
    w.chunk = (w.rows + w.chunks - 1) / w.chunks;
    w.chunks = w.chunk > 0 ? (w.rows + w.chunk - 1) / w.chunk : 1;
    if (w.chunks > 1) w.to = a->scratch;
    mc_cpu_split(s, a, w.units * w.chunks, w.chunk * width, sums_range, &w);
    for (int64_t c = 1; c < w.chunks; c++)
        s->kernels->f32.binary(MC_BINARY_ADD, c == 1 ? w.to : p->y, 1, w.to + c * size, 1, p->y, size);
}
