/* mcomp.QLinear: activations quantized per tensor (static), per row or per run, integer product, fused epilogue.
 * X [...,K] in u8, s8 or f32; rows of f32 are quantized into the worker's scratch right before they are multiplied. */
#include "backends/cpu/qgemm.h"

enum { STATIC, TOKEN, TENSOR };

#define COLUMNS 48  /* column tasks are multiples of this */
#define MAX_ROWS 64 /* most rows of a tile */
#define SPARSE_TASKS 4      /* about so many tasks of a sparse product */
#define SPARSE_COLUMNS 384  /* and so many columns in one at least */

typedef struct linear {
    int32_t mode, copy;  /* copy: rows are copied (signed bytes, or K no multiple of 4) or quantized into scratch */
    int64_t k, n;
    double work;         /* of a dense product's time, as a factor */
    mc_qmap x_param;
    mc_q_matrix w;
    mc_q_finish finish;
    int32_t init[]; /* [n padded], modes static and token */
} linear;

static int mode_of(const mc_node *n)
{
    const char *m = mc_attr_s(n, "mode", "static");
    return strcmp(m, "static") == 0 ? STATIC : strcmp(m, "token") == 0 ? TOKEN : strcmp(m, "tensor") == 0 ? TENSOR : -1;
}

/* 1 if the node is one that this file runs. */
static int read_node(const mc_node *n, int64_t *k, int64_t *cols, mc_qmap *x_param, mc_q_finish *finish)
{
    const mc_type *x = mc_cpu_in_type(n, 0);
    const mc_tensor *w = n->n_in > 2 && n->in[1] ? mc_value_const(n->in[1]) : NULL;
    const int mode = mode_of(n), trans = mc_attr_i(n, "trans_w", 0) != 0;
    if (!x || !w || w->dtype != MCOMP_I8 || w->shape.rank != 2 || mode < 0) return 0;
    *k = w->shape.dim[trans];
    *cols = w->shape.dim[!trans];
    if (*k < 1 || *k > MC_Q_MAX_K || *cols < 1) return 0;
    *x_param = (mc_qmap){1.0f, 128, 0};
    if (mode != STATIC && x->dtype != MCOMP_F32) return 0;
    if (mode == STATIC && x->dtype != MCOMP_F32 && !mc_q_is_byte(x)) return 0;
    if (mode == STATIC && !mc_q_map(n, "x", x->dtype == MCOMP_F32 ? 0 : x->dtype, x_param)) return 0;
    return mc_q_finish_read(n, 2, 1, *cols, finish);
}

static mc_q_layout layout_of(const mc_node *n, int64_t k, int64_t cols)
{
    const int trans = mc_attr_i(n, "trans_w", 0) != 0;
    return (mc_q_layout){.order = trans ? MC_Q_NK : MC_Q_KN, .groups = 1, .n = cols, .channels = k, .kh = 1, .kw = 1};
}

/* At the plan's largest number of rows. */
static mc_q_choice choose(const mc_node *n, const mc_q_layout *l)
{
    return mc_q_choose(n, l, mc_value_const(n->in[1])->data, mc_q_guess(mc_cpu_out_type(n, 0)) / (double)l->n);
}

static int32_t claim(const mc_node *n, mcomp_claim *out)
{
    int64_t k, cols;
    mc_qmap p;
    mc_q_finish f;
    if (!read_node(n, &k, &cols, &p, &f)) return 0;
    const double y = mc_q_guess(mc_cpu_out_type(n, 0)), x = y / (double)cols * (double)k;
    const mc_type *r = mc_cpu_in_type(n, 4), *o = mc_cpu_out_type(n, 0);
    if (r && r->dtype == o->dtype) out->inplace_input = 1 + 4;
    const mc_q_layout layout = layout_of(n, k, cols);
    const mc_q_choice c = choose(n, &layout);
    return mc_q_claim_product(out, "qgemm", &c, y * (double)k, x + y * 2.0);
}

static int32_t prepare(mc_cpu_step *s)
{
    int32_t st = MCOMP_OK;
    int64_t k = 0, cols = 0;
    mc_qmap p;
    mc_q_finish f;
    if (!read_node(s->node, &k, &cols, &p, &f)) return mc_fail(MCOMP_UNSUPPORTED, s->node->name, "QLinear of an unknown form");
    linear *l = mc_calloc(1, sizeof *l + (size_t)mc_q_padded(cols) * sizeof *l->init);
    if (!l) return MCOMP_NO_MEMORY;
    s->state = l;
    const mc_type *x = mc_cpu_in_type(s->node, 0);
    mc_q_layout layout = layout_of(s->node, k, cols);
    const mc_q_choice how = choose(s->node, &layout);
    layout.sparse = how.sparse;
    l->work = how.cost;
    l->mode = mode_of(s->node);
    l->copy = x->dtype != MCOMP_U8 || k % 4 != 0;
    l->k = k;
    l->n = cols;
    l->x_param = p;
    l->finish = f;
    MC_TRY(mc_q_pack(s, 1, &layout, &l->w));
    if (l->mode != TENSOR) mc_q_init(&l->w, p.zp, l->init);
    s->worker_scratch_bytes = (uint64_t)(mc_q_up(MAX_ROWS * 12, 64) + (l->copy ? mc_q_up(MAX_ROWS * mc_q_up(k, 4), 64) : 0)) +
                              mc_q_tile_scratch(s->kernels, &l->w, MAX_ROWS, &l->finish);
    if (l->mode == TENSOR) s->scratch_bytes = MC_Q_EXTREMES * 2 * sizeof(float) + (uint64_t)mc_q_padded(cols) * 4;
done:
    return st;
}

typedef struct job {
    const mc_cpu_step *s;
    const mcomp_run_args *a;
    const linear *l;
    const uint8_t *x, *r;
    uint8_t *y;
    int64_t m, tile, col_tasks, cols; /* rows, rows a task, column tasks a row tile, columns a task */
    mc_qmap x_param;
    const int32_t *init;
} job;

/* Rows of a task. Few rows give every core something to do; large weights are read from L3 once a tile, so tiles grow. */
static int64_t tile_rows(const linear *l, int64_t m)
{
    const int64_t k = l->k, n = l->n;
    if (l->w.sparse) return MAX_ROWS; /* rows stand in vector lanes */
    if (m < 64) return 16;
    if (m >= 256 && k * n > (1 << 20)) return MAX_ROWS;
    return 32;
}

/* Columns of a task: all, or for few rows at least 64 KiB of weights, so that cores share the columns. */
static int64_t task_columns(const linear *l, int64_t m)
{
    int64_t cols = mc_q_up(65536 / l->k + 1, COLUMNS);
    if (l->w.sparse && !l->finish.layernorm) { /* every task turns the rows for itself, which takes as long as some columns */
        const int64_t parts = SPARSE_TASKS / ((m + MAX_ROWS - 1) / MAX_ROWS);
        cols = parts < 2 ? l->n : mc_q_up((l->n + parts - 1) / parts, COLUMNS);
        if (cols < SPARSE_COLUMNS) cols = SPARSE_COLUMNS;
        return cols > l->n ? l->n : cols;
    }
    return l->finish.layernorm || m > 32 || cols > l->n ? l->n : cols;
}

static void copy_rows(const job *j, int64_t row, int64_t m, uint8_t *rows, int64_t ld, float *scale)
{
    const mc_kernels_int8 *k = &j->s->kernels->int8;
    const linear *l = j->l;
    const int32_t dtype = mc_cpu_in(j->s, j->a, 0)->dtype;
    if (dtype == MCOMP_F32 && l->mode == TOKEN) {
        k->quantize_rows((const float *)(const void *)j->x + row * l->k, l->k, m, l->k, rows, ld, scale);
        return;
    }
    const mc_qmap p = {j->x_param.scale, j->x_param.zp, 0};
    for (int64_t i = 0; i < m; i++) {
        if (dtype == MCOMP_F32) k->quantize((const float *)(const void *)j->x + (row + i) * l->k, l->k, &p, rows + i * ld);
        else k->flip(j->x + (row + i) * l->k, l->k, j->x_param.flip, rows + i * ld);
    }
}

static void task(void *ctx, int64_t index, int32_t worker)
{
    const job *j = ctx;
    const linear *l = j->l;
    static const int64_t seg = 0;
    const int64_t row = index / j->col_tasks * j->tile, n0 = index % j->col_tasks * j->cols, ld = mc_q_up(l->k, 4);
    const int64_t m = j->m - row < j->tile ? j->m - row : j->tile;
    uint8_t *scratch = mc_cpu_worker_scratch(j->a, worker);
    const uint8_t **rows = (const uint8_t **)(void *)scratch;
    float *scale = (float *)(void *)(scratch + m * 8);
    uint8_t *copy = scratch + mc_q_up(m * 12, 64), *rest = copy + (l->copy ? mc_q_up(m * ld, 64) : 0);
    if (l->copy) copy_rows(j, row, m, copy, ld, scale);
    for (int64_t i = 0; i < m; i++) rows[i] = l->copy ? copy + i * ld : j->x + (row + i) * l->k;
    const int64_t y_element = l->finish.out.quantized ? 1 : 4, r_element = l->finish.residual == MC_QRESIDUAL_F32 ? 4 : 1;
    const mc_q_tile t = {.kernels = j->s->kernels, .w = &l->w, .finish = &l->finish, .rows = rows, .seg = &seg, .m = m, .n0 = n0,
                         .cols = l->n - n0 < j->cols ? l->n - n0 : j->cols, .init = j->init, .x_scale = j->x_param.scale,
                         .row_scale = l->mode == TOKEN ? scale : NULL, .r = j->r ? j->r + row * l->n * r_element : NULL,
                         .y = j->y + row * l->n * y_element, .ld = l->n, .scratch = rest};
    mc_q_tile_run(&t);
}

/* Mode tensor: scale and zero point of the run. */
static void tensor_param(job *j)
{
    int32_t *init = (int32_t *)j->a->scratch + MC_Q_EXTREMES * 2;
    j->x_param = (mc_qmap){.flip = 0};
    j->x_param.scale = mc_q_tensor_scale(j->s, j->a, (const float *)(const void *)j->x, j->m * j->l->k, j->a->scratch, &j->x_param.zp);
    mc_q_init(&j->l->w, j->x_param.zp, init);
    j->init = init;
}

static int32_t run(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const linear *l = s->state;
    const mcomp_bk_buffer *x = mc_cpu_in(s, a, 0), *r = mc_cpu_in(s, a, 4), *y = mc_cpu_out(s, a, 0);
    job j = {.s = s, .a = a, .l = l, .x = x->data, .r = r ? r->data : NULL, .y = y->data, .m = mc_cpu_elements(x) / l->k,
             .x_param = l->x_param, .init = l->init};
    if (j.m == 0) return MCOMP_OK;
    if (l->mode == TENSOR) tensor_param(&j);
    j.tile = tile_rows(l, j.m);
    j.cols = task_columns(l, j.m);
    j.col_tasks = (l->n + j.cols - 1) / j.cols;
    const int64_t tasks = (j.m + j.tile - 1) / j.tile * j.col_tasks;
    mc_q_parallel(s, a, tasks, (double)j.m * (double)l->k * (double)l->n * l->work, task, &j);
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_qlinear = {.domain = "mcomp", .op = "QLinear", .claim = claim, .prepare = prepare, .run = run};
