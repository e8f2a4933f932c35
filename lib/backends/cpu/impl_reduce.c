/* Reductions of float tensors, global pools among them. The axes are merged to [outer, reduced, inner]; sums
 * also over two groups of axes (sums.h); what does not merge is left to the reference. */
#include "backends/cpu/sums.h"

#include <math.h>

#define COLUMNS 256
#define BLOCK 128 /* rows summed one after another before they join the total */

enum { AFTER_NONE, AFTER_MEAN, AFTER_SQRT };
static const struct {
    const char *op;
    int32_t code, after;
} table[] = {{"ReduceMean", MC_REDUCE_SUM, AFTER_MEAN}, {"ReduceSum", MC_REDUCE_SUM, AFTER_NONE}, {"ReduceMax", MC_REDUCE_MAX, AFTER_NONE},
             {"ReduceMin", MC_REDUCE_MIN, AFTER_NONE}, {"ReduceSumSquare", MC_REDUCE_SQUARES, AFTER_NONE},
             {"ReduceL2", MC_REDUCE_SQUARES, AFTER_SQRT}, {"GlobalAveragePool", MC_REDUCE_SUM, AFTER_MEAN},
             {"GlobalMaxPool", MC_REDUCE_MAX, AFTER_NONE}};

static int32_t index_of(const mc_node *n)
{
    if (strcmp(n->domain, "") != 0 && (strcmp(n->domain, "mcomp") != 0 || n->op[0] != 'G')) return -1;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i].op, n->op) == 0) return (int32_t)i;
    return -1;
}

static int32_t claim(const mc_node *n, mcomp_claim *out)
{
    if (index_of(n) < 0 || !mc_cpu_is(mc_cpu_in_type(n, 0), MCOMP_F32)) return 0;
    return mc_cpu_claim_f32(out, "reduce", mc_cpu_guess(mc_cpu_in_type(n, 0)), 0.15);
}

typedef struct reduce_work {
    const mc_kernels *k;
    const float *x;
    float *y;
    int32_t code, after;
    int64_t n, inner, blocks;
} reduce_work;

static void finish(const reduce_work *w, float *y, int64_t count)
{
    if (w->after == AFTER_MEAN) w->k->f32.unary(MC_UNARY_AFFINE, y, y, count, 1.0f / (float)w->n, 0.0f);
    if (w->after == AFTER_SQRT) w->k->f32.unary(MC_UNARY_SQRT, y, y, count, 0.0f, 0.0f);
}

static void rows_range(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const reduce_work *w = ctx;
    (void)worker;
    for (int64_t i = begin; i < end; i++) w->y[i] = w->k->f32.reduce(w->code, w->x + i * w->n, w->n);
    finish(w, w->y + begin, end - begin);
}

static void columns_range(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const reduce_work *w = ctx;
    const int32_t join = w->code == MC_REDUCE_MAX ? MC_BINARY_MAX : w->code == MC_REDUCE_MIN ? MC_BINARY_MIN : MC_BINARY_ADD;
    float part[COLUMNS];
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        const int64_t outer = i / w->blocks, j = i % w->blocks * COLUMNS, count = w->inner - j < COLUMNS ? w->inner - j : COLUMNS;
        const float *x = w->x + outer * w->n * w->inner + j;
        float *y = w->y + outer * w->inner + j;
        for (int64_t r = 0; r < w->n; r += BLOCK) {
            w->k->f32.reduce_rows(w->code, x + r * w->inner, w->inner, w->n - r < BLOCK ? w->n - r : BLOCK, r == 0 ? y : part, count);
            if (r > 0) w->k->f32.binary(join, y, 1, part, 1, y, count);
        }
        finish(w, y, count);
    }
}

/* Reduced axes of this run as flags; 0 if they cannot be read. */
static int read_axes(const mc_cpu_step *s, const mcomp_run_args *a, int32_t rank, int reduced[MC_MAX_RANK])
{
    int64_t axes[MC_MAX_RANK];
    for (int32_t i = 0; i < rank; i++) reduced[i] = 0;
    if (s->node->op[0] == 'G') { /* global pools: the spatial axes, which are channels-last in the mcomp domain */
        const int32_t last = s->node->domain[0] != 0;
        for (int32_t i = 2; i < rank; i++) reduced[i - last] = 1;
        return 1;
    }
    const mcomp_bk_buffer *b = mc_cpu_in(s, a, 1);
    const int64_t n = b ? mc_cpu_ints(b, axes, MC_MAX_RANK) : 0;
    if (n < 0 || n > MC_MAX_RANK) return 0;
    for (int64_t i = 0; i < n; i++) {
        const int32_t axis = mc_cpu_axis(axes[i], rank);
        if (axis < 0) return 0;
        reduced[axis] = 1;
    }
    if (n == 0 && mc_attr_i(s->node, "noop_with_empty_axes", 0) == 0)
        for (int32_t i = 0; i < rank; i++) reduced[i] = 1;
    return 1;
}

static int32_t prepare(mc_cpu_step *s)
{
    if (table[index_of(s->node)].code == MC_REDUCE_SUM) s->scratch_bytes = mc_cpu_sums_scratch();
    return MCOMP_OK;
}

/* Axes that do not merge to one group. */
static int32_t run_groups(const mc_cpu_step *s, const mcomp_run_args *a, reduce_work *w, const mcomp_bk_buffer *x, const int *reduced)
{
    mc_cpu_sums p = {.x = w->x, .y = w->y};
    if (w->code != MC_REDUCE_SUM || mc_cpu_elements(x) == 0 || !mc_cpu_sums_plan(&p, x->dims, reduced, x->rank)) return mc_cpu_ref.run(s, a);
    mc_cpu_sums_run(s, a, &p);
    w->n = p.r0 * p.r1;
    finish(w, w->y, p.k0 * p.k1);
    return MCOMP_OK;
}

static int32_t run(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const mcomp_bk_buffer *x = mc_cpu_in(s, a, 0), *y = mc_cpu_out(s, a, 0);
    const int32_t op = index_of(s->node);
    reduce_work w = {.k = s->kernels, .x = x->data, .y = y->data, .code = table[op].code, .after = table[op].after};
    int reduced[MC_MAX_RANK], phase = 0;
    int64_t extent[3] = {1, 1, 1}; /* outer, reduced, inner */
    if (!read_axes(s, a, x->rank, reduced)) return mc_cpu_ref.run(s, a);
    for (int32_t i = 0; i < x->rank; i++) {
        if (x->dims[i] == 1) continue;
        if (reduced[i] && phase == 0) phase = 1;
        if (!reduced[i] && phase == 1) phase = 2;
        if (reduced[i] && phase == 2) return run_groups(s, a, &w, x, reduced);
        extent[phase] *= x->dims[i];
    }
    if (extent[0] * extent[1] * extent[2] == 0) return mc_cpu_ref.run(s, a);
    w.n = extent[1];
    w.inner = extent[2];
    w.blocks = (w.inner + COLUMNS - 1) / COLUMNS;
    if (w.inner == 1) mc_cpu_split(s, a, extent[0], w.n, rows_range, &w);
    else mc_cpu_split(s, a, extent[0] * w.blocks, w.n * (w.inner < COLUMNS ? w.inner : COLUMNS), columns_range, &w);
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_reduce = {.claim = claim, .prepare = prepare, .run = run};
