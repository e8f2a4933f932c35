/* Products of matrices that change from run to run. A task is a block of C: for each block of the inner dimension, A
 * and B are packed into scratch and multiplied. The blocks of one task, 200 KiB of A, up to 384 KiB of B and
 * 300 KiB of C, share an L2 cache; packing costs some percent of the multiplications.
 * Products by BF16 instructions are cut the same way, into blocks of other sizes (matrix_bf16.c). */
#include "backends/cpu/matrix.h"

#define ROWS (14 * 14)
#define COLUMNS 384
#define INNER 256    /* that of the product kernel: partial sums are the same */
#define MIN_TASKS 8  /* fewer blocks of C than this: a long inner dimension is cut too */
#define SMALL 400000 /* multiply-adds from which the pool is worth waking, and that a task should have */
#define WHOLE (8 << 20) /* floats of a right matrix that is packed as a whole, at most: beyond, tasks pack what they need */
#define FEW_ROWS 8   /* so few rows read B where it lies rather than pack it */

/* Blocks at most; tile: rows that the product kernel takes at once; wide: columns where all of B is packed before. */
typedef struct sizes {
    int64_t tile, rows, columns, wide, inner;
} sizes;
static const sizes in_f32 = {14, ROWS, COLUMNS, COLUMNS, INNER};
static const sizes in_bf16 = {32, MC_CPU_BF16_ROWS, MC_CPU_BF16_COLUMNS, 2048, MC_CPU_BF16_INNER};
static const sizes in_split = {32, MC_CPU_SPLIT_ROWS, MC_CPU_SPLIT_COLUMNS, 512, MC_CPU_SPLIT_INNER};
static const sizes *sizes_of(const mc_cpu_step *s) { return s->bf16 == 0 ? &in_f32 : s->bf16 == 1 ? &in_bf16 : &in_split; }

typedef struct matrix_work {
    const mc_cpu_step *s;
    const mcomp_run_args *args;
    const mc_cpu_matrix *p;
    int64_t rows, columns, row_blocks, column_blocks; /* of one batch */
    int64_t splits, depth;                            /* parts of the inner dimension */
    int64_t batches, group;                           /* batches of one task */
    const float *packed;
    const uint16_t *packed16;
    float *part; /* [splits][m][n], or NULL: C itself */
} matrix_work;

#define LD (INNER + 16) /* between copied rows: not a power of two, which would put them all in one set of the L1 cache */
#define AHEAD 8         /* rows prefetched */

static uint64_t a_floats(void) { return (uint64_t)(ROWS + 15) * LD; }

/* Rows of A as they are, but close together; from memory, not from a cache, hence the prefetch. */
static void copy_rows(const float *a, int64_t ld, int64_t m, int64_t k, float *out)
{
    for (int64_t i = 0; i < m; i++, a += ld, out += LD) {
        if (i + AHEAD < m)
            for (int64_t r = 0; r < k; r += 16) __builtin_prefetch(a + AHEAD * ld + r);
        memcpy(out, a, (size_t)k * sizeof *a);
    }
}

/* Floats that a packed matrix k x n takes; more than WHOLE where the product overflows. */
static int64_t packed_floats(const mc_cpu_step *s, int64_t n, int64_t k)
{
    int64_t floats;
    if (s->bf16) k = mc_bf16_steps(k) * (MC_BF16_DEPTH / 2) * s->bf16;
    return __builtin_mul_overflow((n + 15) / 16 * 16, k, &floats) ? INT64_MAX : floats;
}

void mc_cpu_matrix_scratch(mc_cpu_step *s, int64_t n, int64_t k)
{
    const sizes *z = sizes_of(s);
    const uint64_t parts = (uint64_t)(MIN_TASKS * z->rows * z->columns);
    const uint64_t whole = n > 0 && k > 0 && packed_floats(s, n, k) <= WHOLE ? (uint64_t)packed_floats(s, n, k) : 0;
    s->scratch_bytes = (whole > parts ? whole : parts) * sizeof(float);
    s->worker_scratch_bytes = s->bf16 ? MC_CPU_BF16_SCRATCH : (a_floats() + (uint64_t)INNER * COLUMNS) * sizeof(float);
}

/* Rows i0 .., columns j0 .., inner part k0 .. k1 of one batch into c. */
static void block(const matrix_work *w, const float *a, const float *b, float *c, int64_t i0, int64_t j0, int64_t k0, int64_t k1,
                  const mcomp_epilogue_f32 *e, float *scratch)
{
    const mc_cpu_matrix *p = w->p;
    const mc_kernels_f32 *kernels = &w->s->kernels->f32;
    mc_gemm_f32 g = {.taps = 1, .ldc = p->n};
    g.m = p->m - i0 < w->rows ? p->m - i0 : w->rows;
    g.n = p->n - j0 < w->columns ? p->n - j0 : w->columns;
    g.c = c + i0 * p->n + j0;
    const int finished = mc_cpu_finish(&g, e), finish = g.finish;
    for (int64_t k = k0; k == k0 || k < k1; k += INNER) {
        g.k = k1 - k < INNER ? k1 - k : INNER;
        g.a = a + i0 * p->a_row + k * p->a_col;
        g.a_row = p->a_row;
        g.a_col = p->a_col;
        if (p->a_col != 1) {
            kernels->pack_rows(g.a, p->a_row, p->a_col, g.m, g.k, scratch);
            g.a = scratch;
            g.tiles = 1;
        } else if (g.m >= FEW_ROWS && g.n > 2 * MC_GEMM_PANEL) {
            copy_rows(g.a, p->a_row, g.m, g.k, scratch);
            g.a = scratch;
            g.a_row = LD;
        }
        g.b_row = MC_GEMM_PANEL;
        if (w->packed) {
            g.b = w->packed + j0 * p->k + k * MC_GEMM_PANEL;
            g.b_panel = MC_GEMM_PANEL * p->k;
        } else if (p->b_col == 1 && g.m < FEW_ROWS) {
            g.b = b + k * p->b_row + j0;
            g.b_row = p->b_row;
            g.b_panel = MC_GEMM_PANEL;
        } else {
            kernels->pack(b + k * p->b_row + j0 * p->b_col, p->b_row, p->b_col, g.k, g.n, 1.0f, scratch + a_floats());
            g.b = scratch + a_floats();
            g.b_panel = MC_GEMM_PANEL * g.k;
        }
        g.accumulate = k > k0;
        g.finish = finish && k + INNER >= k1;
        kernels->gemm(&g);
    }
    if (!finished) kernels->epilogue(e, g.c, p->n, g.m, g.n);
}

static void matrix_task(void *ctx, int64_t task, int32_t worker)
{
    const matrix_work *w = ctx;
    const mc_cpu_matrix *p = w->p;
    const int64_t col = task % w->column_blocks, row = task / w->column_blocks % w->row_blocks;
    const int64_t rest = task / w->column_blocks / w->row_blocks, part = rest % w->splits, first = rest / w->splits * w->group;
    const int64_t i0 = row * w->rows, j0 = col * w->columns, k0 = part * w->depth, k1 = k0 + w->depth < p->k ? k0 + w->depth : p->k;
    mcomp_epilogue_f32 e = p->e;
    if (w->part) e = (mcomp_epilogue_f32){.size = sizeof e};
    e.bias = e.bias ? e.bias + j0 : NULL;
    for (int64_t batch = first; batch < first + w->group && batch < w->batches; batch++) {
        const float *a = p->a, *b = p->b;
        for (int64_t d = p->batch_rank - 1, at = batch; d >= 0; d--) {
            a += at % p->batch_dim[d] * p->batch_a[d];
            b += at % p->batch_dim[d] * p->batch_b[d];
            at /= p->batch_dim[d];
        }
        e.residual = p->e.residual && !w->part ? p->e.residual + (batch * p->m + i0) * p->n + j0 : NULL;
        e.ld_r = p->n;
        float *c = w->part ? w->part + part * p->m * p->n : p->c + batch * p->m * p->n, *scratch = mc_cpu_worker_scratch(w->args, worker);
        if (w->s->bf16) {
            const mc_cpu_block x = {.p = p, .a = a, .b = b, .c = c, .packed = w->packed16, .i0 = i0, .j0 = j0, .k0 = k0, .k1 = k1,
                                    .m = p->m - i0 < w->rows ? p->m - i0 : w->rows, .n = p->n - j0 < w->columns ? p->n - j0 : w->columns};
            mc_cpu_block_bf16(w->s, &x, &e, (uint16_t *)(void *)scratch);
        } else {
            block(w, a, b, c, i0, j0, k0, k1, &e, scratch);
        }
    }
}

static void pack_panels(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const matrix_work *w = ctx;
    const mc_cpu_matrix *p = w->p;
    const int64_t j = begin * MC_GEMM_PANEL, n = (end * MC_GEMM_PANEL < p->n ? end * MC_GEMM_PANEL : p->n) - j;
    (void)worker;
    if (w->s->bf16) {
        const int64_t next = mc_bf16_steps(p->k) * w->s->bf16 * MC_BF16_TILE;
        mc_cpu_bf16(w->s)->pack_b(p->b + j * p->b_col, p->b_row, p->b_col, p->k, n, next, (uint16_t *)w->args->scratch + begin * next);
    } else {
        w->s->kernels->f32.pack(p->b + j * p->b_col, p->b_row, p->b_col, p->k, n, 1.0f, (float *)w->args->scratch + j * p->k);
    }
}

static void add_parts(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const matrix_work *w = ctx;
    const mc_kernels_f32 *k = &w->s->kernels->f32;
    const int64_t size = w->p->m * w->p->n;
    float *c = w->p->c + begin;
    (void)worker;
    k->binary(MC_BINARY_ADD, w->part + begin, 1, w->part + size + begin, 1, c, end - begin);
    for (int64_t i = 2; i < w->splits; i++) k->binary(MC_BINARY_ADD, c, 1, w->part + i * size + begin, 1, c, end - begin);
}

static int64_t even(int64_t n, int64_t blocks, int64_t unit)
{
    const int64_t size = (n + blocks - 1) / blocks;
    return (size + unit - 1) / unit * unit;
}

/* Parts of the inner dimension, where there are few blocks of C. */
static int64_t parts(const matrix_work *w, int64_t blocks)
{
    const mc_cpu_matrix *p = w->p;
    const double one = (double)p->m * (double)p->n * (double)p->k;
    int64_t most = MIN_TASKS / blocks;
    if (!p->split || w->batches > 1 || most < 2) return 1;
    if (most > p->k / (2 * sizes_of(w->s)->inner)) most = p->k / (2 * sizes_of(w->s)->inner);
    while (most > 1 && one / (double)(blocks * most) < SMALL) most--;
    return most < 1 ? 1 : most;
}

static void count_blocks(matrix_work *w)
{
    w->row_blocks = (w->p->m + w->rows - 1) / w->rows;
    w->column_blocks = (w->p->n + w->columns - 1) / w->columns;
}

/* Rows of a block: whole tiles; among a few sizes the one that leaves the smallest rest after a multiple of four equal tasks. */
static int64_t rows_of(const sizes *z, int64_t m, int64_t column_blocks)
{
    int64_t rows = even(m, (m + z->rows - 1) / z->rows, z->tile), least = m;
    for (int64_t r = z->rows; r >= z->rows / 4 * 3; r -= z->tile)
        if (m >= 4 * z->rows && m / r * column_blocks % 4 == 0 && m % r < least) {
            rows = r;
            least = m % r;
        }
    return rows;
}

static void cut(matrix_work *w)
{
    const mc_cpu_matrix *p = w->p;
    const sizes *z = sizes_of(w->s);
    const double one = (double)p->m * (double)p->n * (double)p->k;
    /* B will be packed before: more rows of blocks than one task packs for, and no parts of the inner dimension. */
    const int whole = !p->split && w->batches == 1 && p->m >= 4 * z->rows && packed_floats(w->s, p->n, p->k) <= WHOLE;
    const int64_t columns = whole ? z->wide : z->columns;
    w->columns = even(p->n, (p->n + columns - 1) / columns, 32);
    w->rows = rows_of(z, p->m, (p->n + w->columns - 1) / w->columns);
    count_blocks(w);
    w->splits = parts(w, w->row_blocks * w->column_blocks);
    while (w->row_blocks * w->column_blocks * w->splits * w->batches < MIN_TASKS && w->rows > 4 * z->tile &&
           (double)w->rows * (double)w->columns * (double)p->k > 2.0 * SMALL) { /* smaller blocks, if they are still worth a task */
        w->rows = even(w->rows, 2, z->tile);
        count_blocks(w);
    }
    const int64_t blocks = w->row_blocks * w->column_blocks;
    w->depth = w->splits > 1 ? even(p->k, w->splits, z->inner) : p->k;
    if (w->splits > 1) w->splits = (p->k + w->depth - 1) / w->depth;
    w->group = 1;
    if (blocks == 1 && w->batches > 1 && one < SMALL) w->group = one > 0.0 ? (int64_t)(SMALL / one) + 1 : w->batches;
}

void mc_cpu_matrix_run(const mc_cpu_step *s, const mcomp_run_args *a, const mc_cpu_matrix *p)
{
    matrix_work w = {.s = s, .args = a, .p = p, .packed = p->packed, .batches = mc_cpu_product(p->batch_dim, 0, p->batch_rank)};
    if (p->m <= 0 || p->n <= 0 || w.batches <= 0) return;
    cut(&w);
    if (w.splits > 1) {
        w.part = a->scratch;
    } else if (!w.packed && w.row_blocks > (p->b_col == 1 ? 2 : 1) && w.batches == 1 && packed_floats(s, p->n, p->k) <= WHOLE) {
        mc_cpu_split(s, a, (p->n + MC_GEMM_PANEL - 1) / MC_GEMM_PANEL, p->k * MC_GEMM_PANEL, pack_panels, &w);
        if (s->bf16) w.packed16 = a->scratch;
        else w.packed = a->scratch;
    }
    const int64_t tasks = w.row_blocks * w.column_blocks * w.splits * ((w.batches + w.group - 1) / w.group);
    if ((double)p->m * (double)p->n * (double)p->k * (double)w.batches < SMALL) {
        for (int64_t i = 0; i < tasks; i++) matrix_task(&w, i, 0);
    } else {
        s->host->parallel_for(a->pool, tasks, matrix_task, &w);
    }
    if (w.part) mc_cpu_split(s, a, p->m * p->n, w.splits, add_parts, &w);
}
