/* Softmax and LogSoftmax of float tensors and mcomp.SoftmaxGrad: over the last axis row by row; over another axis column block by
 * column block. */
#include "backends/cpu/work.h"

#include <math.h>

#define COLUMNS 256

typedef struct softmax_work {
    const mc_kernels *k;
    const float *x;
    float *y;
    int64_t n, inner, blocks; /* blocks of COLUMNS in inner */
    int32_t log;
} softmax_work;

static int32_t claim(const mc_node *n, mcomp_claim *out)
{
    const mc_type *x = mc_cpu_in_type(n, 0);
    if (strcmp(n->domain, "") != 0 || (strcmp(n->op, "Softmax") != 0 && strcmp(n->op, "LogSoftmax") != 0)) return 0;
    if (!mc_cpu_is(x, MCOMP_F32) || x->rank < 1) return 0;
    out->inplace_input = 1;
    return mc_cpu_claim_f32(out, "softmax", mc_cpu_guess(x), 0.6);
}

static void rows_range(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const softmax_work *w = ctx;
    const mc_softmax_f32 s = {.x = w->x + begin * w->n, .y = w->y + begin * w->n, .ld_x = w->n, .ld_y = w->n,
                              .rows = end - begin, .n = w->n, .scale = 1.0f, .log = w->log};
    (void)worker;
    w->k->f32.softmax(&s);
}

/* One block of columns of one outer index: maximum, e^(x - max), sum, scale; rows are `inner` apart. */
static void column_block(const softmax_work *w, int64_t at, int64_t columns)
{
    const mc_kernels_f32 *k = &w->k->f32;
    float max[COLUMNS], sum[COLUMNS], e[COLUMNS];
    const float *x = w->x + at;
    float *y = w->y + at;
    k->reduce_rows(MC_REDUCE_MAX, x, w->inner, w->n, max, columns);
    memset(sum, 0, sizeof sum);
    for (int64_t i = 0; i < w->n; i++) {
        float *row = y + i * w->inner;
        k->binary(MC_BINARY_SUB, x + i * w->inner, 1, max, 1, row, columns);
        k->unary(MC_UNARY_EXP, row, w->log ? e : row, columns, 0.0f, 0.0f);
        k->binary(MC_BINARY_ADD, sum, 1, w->log ? e : row, 1, sum, columns);
    }
    k->unary(w->log ? MC_UNARY_LOG : MC_UNARY_RECIPROCAL, sum, sum, columns, 0.0f, 0.0f);
    for (int64_t i = 0; i < w->n; i++) {
        float *row = y + i * w->inner;
        k->binary(w->log ? MC_BINARY_SUB : MC_BINARY_MUL, row, 1, sum, 1, row, columns);
    }
}

static void columns_range(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const softmax_work *w = ctx;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        const int64_t outer = i / w->blocks, j = i % w->blocks * COLUMNS;
        column_block(w, outer * w->n * w->inner + j, w->inner - j < COLUMNS ? w->inner - j : COLUMNS);
    }
}

static int32_t run(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const mcomp_bk_buffer *x = mc_cpu_in(s, a, 0), *y = mc_cpu_out(s, a, 0);
    const int32_t axis = mc_cpu_axis(mc_attr_i(s->node, "axis", -1), x->rank);
    if (axis < 0) return mc_fail(MCOMP_SHAPE, s->node->name, "axis is outside the %d axes of the input", x->rank);
    softmax_work w = {.k = s->kernels, .x = x->data, .y = y->data, .n = x->dims[axis], .log = s->node->op[0] == 'L'};
    const int64_t outer = mc_cpu_product(x->dims, 0, axis);
    w.inner = mc_cpu_product(x->dims, axis + 1, x->rank);
    w.blocks = (w.inner + COLUMNS - 1) / COLUMNS;
    if (w.n == 0) return MCOMP_OK;
    if (w.inner == 1) mc_cpu_split(s, a, outer, w.n * 4, rows_range, &w);
    else mc_cpu_split(s, a, outer * w.blocks, w.n * COLUMNS * 4, columns_range, &w);
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_softmax = {.claim = claim, .run = run};

/* ---- mcomp.SoftmaxGrad: Y, dY -> dX ---- */

typedef struct grad_work {
    const mc_kernels *k;
    const float *y, *dy;
    float *dx;
    int64_t n, inner, blocks;
    int32_t log;
} grad_work;

static int32_t claim_grad(const mc_node *n, mcomp_claim *out)
{
    const mc_type *y = mc_cpu_in_type(n, 0);
    if (!mc_cpu_is(y, MCOMP_F32) || !mc_cpu_is(mc_cpu_in_type(n, 1), MCOMP_F32) || y->rank < 1) return 0;
    out->inplace_input = 2;
    return mc_cpu_claim_f32(out, "softmax_grad", mc_cpu_guess(y), 0.4);
}

static void grad_rows(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const grad_work *w = ctx;
    const int64_t at = begin * w->n;
    (void)worker;
    w->k->f32.softmax_grad(w->y + at, w->dy + at, w->dx + at, end - begin, w->n, w->log);
}

static void grad_block(const grad_work *w, int64_t at, int64_t columns)
{
    const mc_kernels_f32 *k = &w->k->f32;
    float sum[COLUMNS] = {0}, t[COLUMNS];
    for (int64_t i = 0; i < w->n; i++, at += w->inner) {
        if (!w->log) k->binary(MC_BINARY_MUL, w->y + at, 1, w->dy + at, 1, t, columns);
        k->binary(MC_BINARY_ADD, sum, 1, w->log ? w->dy + at : t, 1, sum, columns);
    }
    for (int64_t i = 0; i < w->n; i++) {
        at -= w->inner;
        if (w->log) {
            k->unary(MC_UNARY_EXP, w->y + at, t, columns, 0.0f, 0.0f);
            k->binary(MC_BINARY_MUL, t, 1, sum, 1, t, columns);
            k->binary(MC_BINARY_SUB, w->dy + at, 1, t, 1, w->dx + at, columns);
        } else {
            k->binary(MC_BINARY_SUB, w->dy + at, 1, sum, 1, t, columns);
            k->binary(MC_BINARY_MUL, w->y + at, 1, t, 1, w->dx + at, columns);
        }
    }
}

static void grad_columns(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const grad_work *w = ctx;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        const int64_t outer = i / w->blocks, j = i % w->blocks * COLUMNS;
        grad_block(w, outer * w->n * w->inner + j, w->inner - j < COLUMNS ? w->inner - j : COLUMNS);
    }
}

static int32_t run_grad(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const mcomp_bk_buffer *y = mc_cpu_in(s, a, 0), *dy = mc_cpu_in(s, a, 1);
    const int32_t axis = mc_cpu_axis(mc_attr_i(s->node, "axis", -1), y->rank);
    if (axis < 0) return mc_fail(MCOMP_SHAPE, s->node->name, "axis is outside the %d axes of the input", y->rank);
    if (mc_cpu_elements(y) != mc_cpu_elements(dy)) return mc_fail(MCOMP_SHAPE, s->node->name, "y and dy differ");
    grad_work w = {.k = s->kernels, .y = y->data, .dy = dy->data, .dx = mc_cpu_out(s, a, 0)->data, .n = y->dims[axis],
                   .log = mc_attr_i(s->node, "log", 0) != 0};
    const int64_t outer = mc_cpu_product(y->dims, 0, axis);
    w.inner = mc_cpu_product(y->dims, axis + 1, y->rank);
    w.blocks = (w.inner + COLUMNS - 1) / COLUMNS;
    if (w.n == 0) return MCOMP_OK;
    if (w.inner == 1) mc_cpu_split(s, a, outer, w.n * 2, grad_rows, &w);
    else mc_cpu_split(s, a, outer * w.blocks, w.n * (w.inner < COLUMNS ? w.inner : COLUMNS) * 2, grad_columns, &w);
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_softmax_grad = {.domain = "mcomp", .op = "SoftmaxGrad", .claim = claim_grad, .run = run_grad};
