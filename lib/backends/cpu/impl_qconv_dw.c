/* mcomp.QConv with one input channel a filter and one filter a channel (depthwise), channels-last bytes.
 * Tasks are rows of outputs; the input rows behind them are copied, padded, into scratch where they need padding or a shift. */
#include "backends/cpu/qwindow.h"

#define PIXELS 32 /* output pixels whose sums stay in L1 */

typedef struct depthwise {
    mc_q_window win;
    mc_qmap x_map;
    mc_q_finish finish;
    int64_t n, padded;
    int32_t in_place;
    int16_t *w;    /* pairs of taps, see mc_qdepthwise */
    int32_t *init; /* [n padded] */
} depthwise;

static int read_node(const mc_node *n, depthwise *d)
{
    const mc_type *x = mc_cpu_in_type(n, 0), *y = mc_cpu_out_type(n, 0);
    const mc_tensor *w = n->n_in > 2 && n->in[1] ? mc_value_const(n->in[1]) : NULL;
    memset(d, 0, sizeof *d);
    if (!x || !y || !w || w->dtype != MCOMP_I8 || !mc_q_is_byte(x) || x->rank != w->shape.rank) return 0;
    if (!mc_q_window_read(n, x->rank, &w->shape.dim[2], &d->win) || !mc_q_map(n, "x", x->dtype, &d->x_map)) return 0;
    d->n = w->shape.dim[0];
    d->padded = mc_q_up(d->n, 16);
    if (w->shape.dim[1] != 1 || d->win.groups != d->n || d->win.kh * d->win.kw > MC_Q_MAX_K) return 0;
    for (int32_t i = 1; i < x->rank; i++)
        if (x->dim[i] < 1 || y->rank != x->rank || y->dim[i] < 1) return 0;
    d->in_place = x->dtype == MCOMP_U8 && !(d->win.top | d->win.left | d->win.bottom | d->win.right);
    return mc_q_finish_read(n, 2, 0, d->n, &d->finish);
}

static int32_t claim(const mc_node *n, mcomp_claim *out)
{
    depthwise d;
    if (!read_node(n, &d)) return 0;
    const double y = mc_q_guess(mc_cpu_out_type(n, 0)), taps = (double)(d.win.kh * d.win.kw);
    const mc_type *r = mc_cpu_in_type(n, 4), *o = mc_cpu_out_type(n, 0);
    if (r && r->dtype == o->dtype) out->inplace_input = 1 + 4;
    (void)mc_q_claim(out, "qdepthwise", y * taps, 0.0);
    const double us = mc_cpu_isa() == MC_ISA_REF ? 2.5e-3 : mc_cpu_isa() < MC_ISA_AVX512_VNNI ? 0.2e-3 : 0.15e-3; /* measured */
    out->cost_us = 0.5 + y * (1.0 + taps * 0.15) * us;
    return 1;
}

static void release(mc_cpu_step *s)
{
    depthwise *d = s->state;
    if (d) {
        mc_free(d->w);
        mc_free(d->init);
    }
    mc_free(d);
}

static int64_t task_rows(const mc_q_image *i)
{
    const int64_t r = 8192 / (i->ow * i->c + 1) + 1;
    return r > i->oh ? i->oh : r;
}

static int64_t tap_bytes(const depthwise *d) { return mc_q_up(d->win.kh * d->win.kw * 8, 64); }

static int32_t prepare(mc_cpu_step *s)
{
    int32_t st = MCOMP_OK;
    depthwise *d = mc_calloc(1, sizeof *d);
    if (!d) return MCOMP_NO_MEMORY;
    s->state = d;
    if (!read_node(s->node, d)) MC_FAIL(MCOMP_UNSUPPORTED, s->node->name, "depthwise QConv of an unknown form");
    const int64_t taps = d->win.kh * d->win.kw;
    const int8_t *w = mc_value_const(s->node->in[1])->data;
    d->w = mc_calloc((size_t)((taps + 1) / 2 * d->padded * 2), sizeof *d->w);
    d->init = mc_calloc((size_t)d->padded, sizeof *d->init);
    if (!d->w || !d->init) MC_FAIL(MCOMP_NO_MEMORY, s->node->name, "no memory for a convolution");
    for (int64_t c = 0; c < d->n; c++)
        for (int64_t t = 0; t < taps; t++) {
            d->w[(t / 2 * d->padded + c) * 2 + t % 2] = w[c * taps + t];
            d->init[c] -= d->x_map.zp * w[c * taps + t];
        }
    const mc_type *x = mc_cpu_in_type(s->node, 0), *y = mc_cpu_out_type(s->node, 0);
    const mc_q_image i = {.c = x->dim[x->rank - 1], .ow = y->dim[y->rank - 2], .oh = y->rank == 4 ? y->dim[1] : 1};
    s->worker_scratch_bytes = (uint64_t)(tap_bytes(d) + PIXELS * d->padded * 4);
    if (!d->in_place) s->worker_scratch_bytes += (uint64_t)mc_q_copy_bytes(&d->win, &i, task_rows(&i));
done:
    return st;
}

typedef struct job {
    const mc_cpu_step *s;
    const mcomp_run_args *a;
    const depthwise *d;
    mc_q_image i;
    const uint8_t *x, *r;
    uint8_t *y;
    int64_t rows, row_tasks;
} job;

static void finish_pixels(const job *j, const int32_t *acc, int64_t pixels, int64_t first)
{
    const mc_q_finish *f = &j->d->finish;
    const int64_t y_element = f->out.quantized ? 1 : 4, r_element = f->residual == MC_QRESIDUAL_F32 ? 4 : 1, at = first * j->i.m;
    mc_qepilogue e = {.acc = acc, .ld_acc = j->d->padded, .m = pixels, .n = j->d->n, .w_scale = f->w_scale, .x_scale = j->d->x_map.scale,
                      .act = f->act, .post_act = f->post_act, .lo = f->lo, .hi = f->hi, .residual = f->residual, .bias = f->bias,
                      .r = j->r ? j->r + at * r_element : NULL, .ld_r = j->i.m, .r_param = f->r_param,
                      .middle = f->middle, .m_param = f->m_param, .m_inv = f->m_inv, .out = f->out};
    e.out.y = j->y + at * y_element;
    e.out.ld = j->i.m;
    j->s->kernels->int8.epilogue(&e);
}

static void task(void *ctx, int64_t index, int32_t worker)
{
    const job *j = ctx;
    const depthwise *d = j->d;
    const mc_q_window *w = &d->win;
    const mc_q_image *i = &j->i;
    const int64_t image = index / j->row_tasks, oy = index % j->row_tasks * j->rows, oh = i->oh - oy < j->rows ? i->oh - oy : j->rows;
    uint8_t *scratch = mc_cpu_worker_scratch(j->a, worker);
    int64_t *tap = (int64_t *)(void *)scratch;
    int32_t *acc = (int32_t *)(void *)(scratch + tap_bytes(d));
    const uint8_t *x = j->x + image * i->h * i->w * i->c;
    int64_t pitch = i->w * i->c;
    if (d->in_place) {
        x += oy * w->sh * pitch;
    } else {
        uint8_t *copy = (uint8_t *)(void *)(acc + PIXELS * d->padded);
        mc_q_copy(&j->s->kernels->int8, w, i, x, oy, oh, &d->x_map, copy);
        x = copy;
        pitch = mc_q_span_w(w, i->ow) * i->c;
    }
    for (int64_t t = 0; t < w->kh * w->kw; t++) tap[t] = t / w->kw * w->dh * pitch + t % w->kw * w->dw * i->c;
    for (int64_t y = 0; y < oh; y++)
        for (int64_t p = 0; p < i->ow; p += PIXELS) {
            const mc_qdepthwise k = {.x = x + y * w->sh * pitch + p * w->sw * i->c, .tap = tap, .taps = w->kh * w->kw, .n = d->n,
                                     .pixels = i->ow - p < PIXELS ? i->ow - p : PIXELS, .step = w->sw * i->c, .w = d->w,
                                     .init = d->init, .acc = acc};
            j->s->kernels->int8.depthwise(&k);
            finish_pixels(j, acc, k.pixels, (image * i->oh + oy + y) * i->ow + p);
        }
}

static int32_t run(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const depthwise *d = s->state;
    const mcomp_bk_buffer *x = mc_cpu_in(s, a, 0), *r = mc_cpu_in(s, a, 4), *y = mc_cpu_out(s, a, 0);
    job j = {.s = s, .a = a, .d = d, .i = mc_q_image_of(x, y), .x = x->data, .r = r ? r->data : NULL, .y = y->data};
    if (mc_cpu_elements(y) == 0) return MCOMP_OK;
    j.rows = task_rows(&j.i);
    j.row_tasks = (j.i.oh + j.rows - 1) / j.rows;
    /* a multiply here costs about what twenty cost in a product */
    mc_q_parallel(s, a, j.i.n * j.row_tasks, (double)mc_cpu_elements(y) * (double)(d->win.kh * d->win.kw) * 20.0, task, &j);
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_qconv_dw = {.domain = "mcomp", .op = "QConv", .claim = claim, .prepare = prepare, .release = release, .run = run};
