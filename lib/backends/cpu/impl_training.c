/* Optimizer steps in place, moving averages, dropout, sums of squares. */
#include "backends/cpu/work.h"
#include "ops/train.h"

#include <math.h>

#define BLOCK 16384 /* elements a task; a block's sum of squares is one number */
#define SQUARES 4096 /* as the operator's reference */

/* ---- optimizer steps ---- */

typedef struct step_work {
    const mc_cpu_step *s;
    mc_adam_f32 adam;
    mc_sgd_f32 sgd;
    int32_t is_sgd;
    double *parameter, *update; /* Lamb: sums of squares by block */
    float rate;
} step_work;

static double squares(const float *x, int64_t n)
{
    double total = 0.0;
    for (int64_t at = 0; at < n; at += SQUARES) {
        double sum[8] = {0.0};
        const int64_t end = n - at < SQUARES ? n : at + SQUARES;
        for (int64_t i = at; i < end; i++) sum[i % 8] += (double)x[i] * (double)x[i];
        total += ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]));
    }
    return total;
}

static const float *at(const float *p, int64_t i) { return p ? p + i : NULL; }

static void step_block(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const step_work *w = ctx;
    (void)worker;
    for (int64_t b = begin; b < end; b++) {
        const int64_t i = b * BLOCK;
        if (w->is_sgd) {
            mc_sgd_f32 k = w->sgd;
            k.n = k.n - i < BLOCK ? k.n - i : BLOCK;
            k.p += i;
            k.g += i;
            k.b = k.b ? k.b + i : NULL;
            k.mask = at(k.mask, i);
            w->s->kernels->f32.sgd(&k);
            continue;
        }
        mc_adam_f32 k = w->adam;
        k.n = k.n - i < BLOCK ? k.n - i : BLOCK;
        k.p += i;
        k.g += i;
        k.m += i;
        k.v += i;
        k.u = k.u ? k.u + i : NULL;
        k.mask = at(k.mask, i);
        w->s->kernels->f32.adam(&k);
        if (!k.u) continue;
        w->parameter[b] = squares(k.p, k.n);
        w->update[b] = squares(k.u, k.n);
    }
}

static void lamb_block(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const step_work *w = ctx;
    const mc_adam_f32 *k = &w->adam;
    (void)worker;
    for (int64_t i = begin * BLOCK; i < end * BLOCK && i < k->n; i++) k->p[i] = (k->p[i] - w->rate * k->u[i]) * (k->mask ? k->mask[i] : 1.0f);
}

static int skipped(const mc_cpu_step *s, const mcomp_run_args *a, int32_t i)
{
    const mcomp_bk_buffer *b = mc_cpu_in(s, a, i);
    int64_t apply = 1;
    return b && mc_cpu_ints(b, &apply, 1) == 1 && apply == 0;
}

static int64_t blocks(int64_t n) { return (n + BLOCK - 1) / BLOCK; }

static int32_t claim_step(const mc_node *n, mcomp_claim *out)
{
    for (int32_t i = 0; i < n->n_in; i++)
        if (n->in[i] && mc_dtype_is_float(n->in[i]->type.dtype) && n->in[i]->type.dtype != MCOMP_F32) return 0;
    return mc_cpu_claim_f32(out, strcmp(n->op, "Sgd") == 0 ? "sgd" : strcmp(n->op, "Adam") == 0 ? "adam" : "lamb",
                            mc_cpu_guess(mc_cpu_in_type(n, 0)), 0.5);
}

static int32_t prepare_lamb(mc_cpu_step *s)
{
    const uint64_t n = (uint64_t)mc_cpu_guess(mc_cpu_in_type(s->node, 0));
    s->scratch_bytes = ((n * sizeof(float) + 63) & ~(uint64_t)63) + 2 * (n / BLOCK + 1) * sizeof(double);
    return MCOMP_OK;
}

static int32_t run_adam(const mc_cpu_step *s, const mcomp_run_args *a)
{
    mc_adam_step c;
    int64_t step = 0;
    const float *scale = mc_cpu_in_f32(s, a, 6);
    step_work w = {.s = s, .adam = {.p = mc_cpu_in_f32(s, a, 0), .g = mc_cpu_in_f32(s, a, 1), .m = mc_cpu_in_f32(s, a, 2), .v = mc_cpu_in_f32(s, a, 3), .mask = mc_cpu_in_f32(s, a, 7)}};
    const int64_t n = mc_cpu_elements(mc_cpu_in(s, a, 0));
    if (skipped(s, a, 8)) return MCOMP_OK;
    if (mc_cpu_ints(mc_cpu_in(s, a, 5), &step, 1) != 1) return mc_fail(MCOMP_DTYPE, s->node->name, "the step is an int64 scalar");
    mc_adam_read(s->node, (double)*mc_cpu_in_f32(s, a, 4), step, scale ? (double)*scale : 1.0, &c);
    mc_adam_f32 *k = &w.adam;
    k->n = n;
    k->scale = (float)c.scale;
    k->l2 = (float)c.l2;
    k->decay = (float)c.decay;
    k->beta1 = (float)c.beta1;
    k->beta2 = (float)c.beta2;
    k->step = (float)c.step;
    k->root = (float)c.root;
    k->eps = (float)c.eps;
    if (c.lamb) {
        k->u = a->scratch;
        w.parameter = (double *)(void *)((uint8_t *)a->scratch + (((uint64_t)n * sizeof(float) + 63) & ~(uint64_t)63));
        w.update = w.parameter + blocks(n);
    }
    mc_cpu_split(s, a, blocks(n), BLOCK, step_block, &w);
    if (c.lamb) {
        double p = 0.0, u = 0.0;
        for (int64_t b = 0; b < blocks(n); b++) {
            p += w.parameter[b];
            u += w.update[b];
        }
        w.rate = (float)(c.lr * mc_lamb_trust(p, u));
        mc_cpu_split(s, a, blocks(n), BLOCK, lamb_block, &w);
    }
    return MCOMP_OK;
}

static int32_t run_sgd(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const float *scale = mc_cpu_in_f32(s, a, 4);
    const mc_node *n = s->node;
    if (skipped(s, a, 6)) return MCOMP_OK;
    step_work w = {.s = s, .is_sgd = 1,
                   .sgd = {.p = mc_cpu_in_f32(s, a, 0), .g = mc_cpu_in_f32(s, a, 1), .b = mc_cpu_in_f32(s, a, 3), .mask = mc_cpu_in_f32(s, a, 5),
                           .n = mc_cpu_elements(mc_cpu_in(s, a, 0)), .scale = scale ? *scale : 1.0f, .l2 = mc_attr_f(n, "weight_decay", 0.0f),
                           .momentum = mc_attr_f(n, "momentum", 0.0f), .nesterov = mc_attr_i(n, "nesterov", 0) != 0,
                           .lr = (float)((double)*mc_cpu_in_f32(s, a, 2) * (double)mc_attr_f(n, "lr_scale", 1.0f))}};
    mc_cpu_split(s, a, blocks(w.sgd.n), BLOCK, step_block, &w);
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_sgd = {.domain = "mcomp", .op = "Sgd", .claim = claim_step, .run = run_sgd};
const mc_cpu_impl mc_cpu_adam = {.domain = "mcomp", .op = "Adam", .claim = claim_step, .run = run_adam};
const mc_cpu_impl mc_cpu_lamb = {.domain = "mcomp", .op = "Lamb", .claim = claim_step, .prepare = prepare_lamb, .run = run_adam};

/* ---- dropout ---- */

static int32_t claim_dropout(const mc_node *n, mcomp_claim *out)
{
    if (!mc_cpu_is(mc_cpu_in_type(n, 0), MCOMP_F32) || !mc_cpu_is(mc_cpu_in_type(n, 1), MCOMP_I64)) return 0;
    out->inplace_input = 1;
    return mc_cpu_claim_f32(out, "dropout", mc_cpu_guess(mc_cpu_in_type(n, 0)), 0.5);
}

typedef struct dropout_work {
    const mc_cpu_step *s;
    mc_dropout_f32 d;
} dropout_work;

static void dropout_block(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const dropout_work *w = ctx;
    mc_dropout_f32 d = w->d;
    const int64_t first = begin * 64, last = end * 64 < d.n ? end * 64 : d.n;
    (void)worker;
    d.x += first;
    d.y += first;
    d.first = first;
    d.n = last - first;
    w->s->kernels->f32.dropout(&d);
}

static int32_t run_dropout(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const mcomp_bk_buffer *x = mc_cpu_in(s, a, 0);
    const int64_t *key = mc_cpu_in(s, a, 1)->data;
    const double ratio = (double)mc_attr_f(s->node, "ratio", 0.5f);
    dropout_work w = {s, {.x = x->data, .y = mc_cpu_out(s, a, 0)->data, .n = mc_cpu_elements(x), .seed = (uint64_t)key[0],
                          .stream = ((uint64_t)mc_attr_i(s->node, "stream", 0) << 40) ^ (uint64_t)key[1],
                          .threshold = mc_dropout_threshold(ratio), .scale = (float)(1.0 / (1.0 - ratio))}};
    mc_cpu_split(s, a, (w.d.n + 63) / 64, 128, dropout_block, &w);
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_dropout = {.domain = "mcomp", .op = "Dropout", .claim = claim_dropout, .run = run_dropout};

/* ---- sums of squares ---- */

static int32_t claim_squares(const mc_node *n, mcomp_claim *out)
{
    if (!mc_cpu_is(mc_cpu_in_type(n, 0), MCOMP_F32)) return 0;
    return mc_cpu_claim_f32(out, "square_sum", mc_cpu_guess(mc_cpu_in_type(n, 0)), 0.2);
}

static int32_t prepare_squares(mc_cpu_step *s)
{
    s->scratch_bytes = ((uint64_t)mc_cpu_guess(mc_cpu_in_type(s->node, 0)) / BLOCK + 1) * sizeof(double);
    return MCOMP_OK;
}

typedef struct squares_work {
    const float *x;
    int64_t n;
    double *sum;
} squares_work;

static void squares_block(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const squares_work *w = ctx;
    (void)worker;
    for (int64_t b = begin; b < end; b++) w->sum[b] = squares(w->x + b * BLOCK, w->n - b * BLOCK < BLOCK ? w->n - b * BLOCK : BLOCK);
}

static int32_t run_squares(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const mcomp_bk_buffer *x = mc_cpu_in(s, a, 0);
    squares_work w = {x->data, mc_cpu_elements(x), a->scratch};
    double total = 0.0;
    mc_cpu_split(s, a, blocks(w.n), BLOCK / 4, squares_block, &w);
    for (int64_t b = 0; b < blocks(w.n); b++) total += w.sum[b];
    *(float *)mc_cpu_out(s, a, 0)->data = (float)total;
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_square_sum = {.domain = "mcomp", .op = "SquareSum", .claim = claim_squares, .prepare = prepare_squares, .run = run_squares};
