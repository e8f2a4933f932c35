/* Core of the pooling operators: windows over [N,C,s...] or [N,s...,C], maxima (with indices) and means. */
#include "ops/pool.h"

#include <math.h>

/* A window of the whole plane, for the global forms. */
static void whole(const mc_type *x, mc_window *w)
{
    memset(w, 0, sizeof *w);
    w->spatial = x->rank - 2;
    w->group = 1;
    for (int32_t i = 0; i < w->spatial; i++) {
        w->in[i] = w->kernel[i] = x->dim[2 + i];
        w->out[i] = w->stride[i] = w->dilation[i] = 1;
    }
}

static int32_t read_window(const mc_node *n, const mc_type *x, int global, mc_window *w)
{
    if (global) {
        if (x->rank < 3 || x->rank > 5)
            return mc_fail(MCOMP_SHAPE, n->name, "%s: input has rank %d; 1 to 3 spatial axes are supported", n->op, x->rank);
        whole(x, w);
        for (int32_t i = 0; i < w->spatial; i++)
            if (w->in[i] == 0) return mc_fail(MCOMP_SHAPE, n->name, "%s: spatial axis %d is empty", n->op, i);
        return MCOMP_OK;
    }
    const int32_t st = mc_window_read(n, x, NULL, w);
    if (st != MCOMP_OK) return st;
    for (int32_t i = 0; i < w->spatial; i++) {
        const int64_t e = (w->kernel[i] - 1) * w->dilation[i] + 1;
        if (w->pad_begin[i] >= e || w->pad_end[i] >= e)
            return mc_fail(MCOMP_FORMAT, n->name, "%s: padding %lld + %lld of spatial axis %d is not smaller than the window of %lld", n->op,
                           (long long)w->pad_begin[i], (long long)w->pad_end[i], i, (long long)e);
    }
    return MCOMP_OK;
}

int32_t mc_pool_infer(mc_infer *c, int last, int global, mc_window *win)
{
    int32_t st = MCOMP_OK;
    mc_type *y = &c->out[0];
    memset(win, 0, sizeof *win);
    y->dtype = c->in[0]->dtype;
    if (c->in[0]->rank < 0) goto done;
    const mc_type x = last ? mc_type_channels_first(c->in[0]) : *c->in[0];
    MC_TRY(read_window(c->node, &x, global, win));
    y->rank = x.rank;
    y->dim[0] = x.dim[0];
    y->dim[last ? x.rank - 1 : 1] = x.dim[1];
    for (int32_t i = 0; i < win->spatial; i++)
        y->dim[last ? 1 + i : 2 + i] = global ? 1 : mc_window_out_dim(c, win, i, x.dim[2 + i]);
done:
    return st;
}

int32_t mc_pool_open(const mc_op_run *r, int last, int global, mc_window *w3, mc_pool_view *v)
{
    int32_t st = MCOMP_OK;
    const mc_type t = mc_type_of(r->in[0]), x = last ? mc_type_channels_first(&t) : t;
    MC_TRY(read_window(r->node, &x, global, w3));
    *w3 = mc_window_3d(w3);
    v->images = x.dim[0];
    v->channels = x.dim[1];
    v->plane = w3->in[0] * w3->in[1] * w3->in[2];
    v->out_plane = w3->out[0] * w3->out[1] * w3->out[2];
    v->image = v->channels * v->plane;
    v->out_image = v->channels * v->out_plane;
    v->channel = last ? 1 : v->plane;
    v->out_channel = last ? 1 : v->out_plane;
    v->step = v->out_step = last ? v->channels : 1;
done:
    return st;
}

/* The position in storage order 1 (column major: the first spatial axis runs fastest; added leading axes are 1). */
static int64_t column_major(const mc_window *w, int64_t xi)
{
    const int64_t a = xi / (w->in[1] * w->in[2]), b = xi / w->in[2] % w->in[1], d = xi % w->in[2];
    return a + w->in[0] * (b + w->in[1] * d);
}

int32_t mc_pool_max(const mc_op_run *r, int last, int global)
{
    mc_window w;
    mc_pool_view v;
    const mc_tensor *x = r->in[0];
    mc_tensor *y = r->out[0];
    const int32_t st = mc_pool_open(r, last, global, &w, &v);
    if (st != MCOMP_OK) return st;
    int64_t *index = r->n_out > 1 && r->out[1] ? r->out[1]->data : NULL;
    const int column = mc_attr_i(r->node, "storage_order", 0) == 1;
    int64_t o[3];
    for (int64_t p = 0; p < v.images * v.channels; p++) {
        const int64_t n = p / v.channels, c = p % v.channels, from = n * v.image + c * v.channel;
        MC_OUT_FOR(w, o, oi) {
            const mc_taps t = mc_window_taps(&w, o);
            const int64_t at = n * v.out_image + c * v.out_channel + oi * v.out_step;
            double best = -INFINITY;
            int64_t where = -1;
            MC_TAPS_FOR(w, t, xi, ki, {
                (void)ki;
                const double got = mc_nn_at(x, from + xi * v.step);
                if (where < 0 || got > best || isnan(got)) {
                    best = got;
                    where = xi;
                }
            })
            if (y) mc_nn_put(y, at, best);
            if (index) index[at] = where < 0 ? 0 : p * v.plane + (column ? column_major(&w, where) : where);
        }
    }
    return MCOMP_OK;
}

/* Positions k of one axis that lie inside the padded input. */
static int64_t padded_taps(const mc_window *w, int32_t i, int64_t o)
{
    const int64_t at = o * w->stride[i] - w->pad_begin[i], end = w->in[i] + w->pad_end[i];
    const int64_t fit = at >= end ? 0 : (end - at + w->dilation[i] - 1) / w->dilation[i];
    return fit < w->kernel[i] ? fit : w->kernel[i];
}

int64_t mc_pool_divisor(const mc_window *w, const int64_t o[3], const mc_taps *t, int include_pad)
{
    if (!include_pad) return mc_taps_count(t);
    return padded_taps(w, 0, o[0]) * padded_taps(w, 1, o[1]) * padded_taps(w, 2, o[2]);
}

int32_t mc_pool_average(const mc_op_run *r, int last, int global)
{
    mc_window w;
    mc_pool_view v;
    const mc_tensor *x = r->in[0];
    const int32_t st = mc_pool_open(r, last, global, &w, &v);
    if (st != MCOMP_OK) return st;
    const int include = mc_attr_i(r->node, "count_include_pad", 0) != 0;
    int64_t o[3];
    for (int64_t p = 0; p < v.images * v.channels; p++) {
        const int64_t n = p / v.channels, c = p % v.channels, from = n * v.image + c * v.channel;
        MC_OUT_FOR(w, o, oi) {
            const mc_taps t = mc_window_taps(&w, o);
            const int64_t count = mc_pool_divisor(&w, o, &t, include);
            double sum = 0.0;
            MC_TAPS_FOR(w, t, xi, ki, {
                (void)ki;
                sum += mc_nn_at(x, from + xi * v.step);
            })
            mc_nn_put(r->out[0], n * v.out_image + c * v.out_channel + oi * v.out_step, count > 0 ? sum / (double)count : 0.0);
        }
    }
    return MCOMP_OK;
}

int32_t mc_pool_cost(const mc_node *n, const mc_type *const *in, const mc_type *const *out, mc_op_cost *c)
{
    int64_t count = 0;
    const int64_t *k = mc_attr_ints(n, "kernel_shape", &count);
    if (!out[0] || out[0]->rank < 0 || in[0]->rank < 0) return MCOMP_OK;
    if (!k) { /* global */
        c->flops = mc_nn_extent_f(in[0], 0, in[0]->rank);
        return MCOMP_OK;
    }
    c->flops = mc_nn_extent_f(out[0], 0, out[0]->rank);
    for (int64_t i = 0; i < count; i++) c->flops *= (double)k[i];
    return MCOMP_OK;
}
