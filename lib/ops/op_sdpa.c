/* Attention (opset 23 to 25), a head: Y = softmax(softcap(scale Q K') + bias) V.
 *   Q [B,Hq,S,D] or [B,S,Hq D]; K, V [B,Hk,T,D] [B,Hk,T,Dv] or with heads in the last axis; query head h reads head h / (Hq / Hk)
 *   attn_mask: bool (false: not seen) or added; broadcast to [B,Hq,S,P+T], a shorter last axis hides what is behind it
 *   past_key, past_value [B,Hk,P,..] stand before K and V; nonpad_kv_seqlen [B]: keys from there on are not seen
 *   position of query i: i + P, or i + nonpad - S with nonpad_kv_seqlen; is_causal: keys up to it; windows around it (-1: open)
 * softcap(x) = c tanh(x / c), before the bias, so that what is hidden stays hidden. A row that sees nothing gives zeros.
 * Outputs: Y, K and V with their past, and the scores: raw, capped, with the bias, or after the softmax (qk_matmul_output_mode). */
#include "ops/nn.h"

#include <math.h>

enum { Q, K, V, MASK, PAST_K, PAST_V, NONPAD };

typedef struct geometry { /* < 0: not known */
    int64_t b, hq, s, d, hk, t, dv, p;
} geometry;

/* [B,H,L,E] or [B,L,H E]. */
static int32_t read_operand(const mc_infer *c, int32_t i, int64_t heads, int64_t *b, int64_t *h, int64_t *len, int64_t *e)
{
    const mc_type *x = c->in[i];
    *b = *len = *e = -1;
    *h = heads;
    if (x->rank < 0) return MCOMP_OK;
    if (x->rank != 3 && x->rank != 4) return mc_infer_fail(c, MCOMP_SHAPE, "input %d has rank %d, not 3 or 4", i, x->rank);
    *b = x->dim[0];
    *len = x->dim[x->rank - 2];
    if (x->rank == 4) {
        *h = x->dim[1];
        *len = x->dim[2];
        *e = x->dim[3];
        return MCOMP_OK;
    }
    *len = x->dim[1];
    if (heads < 1) return mc_infer_fail(c, MCOMP_FORMAT, "inputs of rank 3 need q_num_heads and kv_num_heads");
    if (x->dim[2] >= 0 && x->dim[2] % heads != 0)
        return mc_infer_fail(c, MCOMP_SHAPE, "input %d: %lld elements in %lld heads", i, (long long)x->dim[2], (long long)heads);
    *e = x->dim[2] >= 0 ? x->dim[2] / heads : -1;
    return MCOMP_OK;
}

static int32_t equal(const mc_infer *c, int64_t a, int64_t b, const char *what)
{
    if (a >= 0 && b >= 0 && a != b) return mc_infer_fail(c, MCOMP_SHAPE, "%s: %lld and %lld", what, (long long)a, (long long)b);
    return MCOMP_OK;
}

static int32_t read_past(const mc_infer *c, geometry *g)
{
    int32_t st = MCOMP_OK;
    g->p = 0;
    if (mc_has(c, PAST_K) != mc_has(c, PAST_V)) return mc_infer_fail(c, MCOMP_FORMAT, "past_key and past_value go together");
    if (!mc_has(c, PAST_K)) goto done;
    if (mc_has(c, NONPAD)) return mc_infer_fail(c, MCOMP_FORMAT, "nonpad_kv_seqlen does not go with a past");
    g->p = -1;
    for (int32_t i = PAST_K; i <= PAST_V; i++) {
        MC_TRY(mc_nn_need_rank(c, i, 4));
        if (c->in[i]->rank != 4) continue;
        const int64_t *dim = c->in[i]->dim;
        MC_TRY(equal(c, dim[0], g->b, "batch of the past"));
        MC_TRY(equal(c, dim[1], g->hk, "heads of the past"));
        MC_TRY(equal(c, dim[3], i == PAST_K ? g->d : g->dv, "size of a head of the past"));
        MC_TRY(equal(c, dim[2], g->p, "length of past_key and past_value"));
        if (dim[2] >= 0) g->p = dim[2];
    }
done:
    return st;
}

static int64_t total(const geometry *g) { return g->p < 0 || g->t < 0 ? -1 : g->p == 0 ? g->t : g->p + g->t; }

static int32_t check_mask(const mc_infer *c, const geometry *g)
{
    const mc_type *m = mc_has(c, MASK) ? c->in[MASK] : NULL;
    const int64_t want[4] = {g->b, g->hq, g->s, total(g)};
    if (!m) return MCOMP_OK;
    if (m->dtype && m->dtype != MCOMP_BOOL && !mc_dtype_is_float(m->dtype)) return mc_infer_fail(c, MCOMP_DTYPE, "a mask of type %s", mc_dtype_name(m->dtype));
    if (m->rank == 0 || m->rank > 4) return mc_infer_fail(c, MCOMP_SHAPE, "the mask has rank %d", m->rank);
    for (int32_t i = 0; i < m->rank; i++) {
        const int64_t got = m->dim[i], w = want[4 - m->rank + i];
        const int last = i == m->rank - 1;
        if (got >= 0 && w >= 0 && got != 1 && (last ? got > w : got != w))
            return mc_infer_fail(c, MCOMP_SHAPE, "axis %d of the mask is %lld, not %lld", i, (long long)got, (long long)w);
    }
    return MCOMP_OK;
}

static int32_t read_geometry(const mc_infer *c, geometry *g)
{
    int32_t st = MCOMP_OK;
    int64_t b, h, len;
    const int64_t q_heads = mc_attr_i(c->node, "q_num_heads", 0), k_heads = mc_attr_i(c->node, "kv_num_heads", 0);
    MC_TRY(read_operand(c, Q, q_heads, &g->b, &g->hq, &g->s, &g->d));
    MC_TRY(read_operand(c, K, k_heads, &b, &g->hk, &g->t, &h));
    MC_TRY(equal(c, h, g->d, "size of a head of Q and K"));
    MC_TRY(equal(c, b, g->b, "batch of Q and K"));
    MC_TRY(read_operand(c, V, k_heads, &b, &h, &len, &g->dv));
    MC_TRY(equal(c, b, g->b, "batch of Q and V"));
    MC_TRY(equal(c, h, g->hk, "heads of K and V"));
    MC_TRY(equal(c, len, g->t, "length of K and V"));
    for (int32_t i = 1; i < 3; i++)
        if (c->in[0]->rank >= 0) MC_TRY(mc_nn_need_rank(c, i, c->in[0]->rank));
    if (g->hq >= 0 && g->hk >= 0 && (g->hk == 0 || g->hq % g->hk != 0))
        return mc_infer_fail(c, MCOMP_SHAPE, "%lld heads of Q for %lld of K", (long long)g->hq, (long long)g->hk);
    MC_TRY(read_past(c, g));
    MC_TRY(check_mask(c, g));
    if (mc_has(c, NONPAD)) {
        MC_TRY(mc_nn_need_dtype(c, NONPAD, MCOMP_I64));
        MC_TRY(mc_nn_need_vector(c, NONPAD, g->b, "batch"));
    }
done:
    return st;
}

static int64_t or_symbol(mc_infer *c, int64_t d, const mc_type *t, int32_t axis)
{
    return d >= 0 ? d : t && t->rank > axis ? t->dim[axis] : mc_infer_symbol(c);
}

static int32_t infer(mc_infer *c)
{
    int32_t st = MCOMP_OK, flag;
    geometry g;
    const mc_type *q = c->in[Q], *v = c->in[V];
    const int64_t mode = mc_attr_i(c->node, "qk_matmul_output_mode", 0);
    for (int32_t i = 0; i < 3; i++) MC_TRY(mc_nn_need_float(c, i));
    MC_TRY(mc_nn_flag(c, "is_causal", 0, &flag));
    if (mode < 0 || mode > 3) return mc_infer_fail(c, MCOMP_FORMAT, "qk_matmul_output_mode is %lld", (long long)mode);
    MC_TRY(read_geometry(c, &g));
    c->out[0].dtype = q->dtype;
    if (q->rank == 4) {
        c->out[0] = *q;
        c->out[0].dim[3] = or_symbol(c, g.dv, v->rank == 4 ? v : NULL, 3);
    } else if (q->rank == 3) {
        c->out[0] = *q;
        c->out[0].dim[2] = g.dv >= 0 ? g.dv * g.hq : g.hq == g.hk && v->rank == 3 ? v->dim[2] : mc_infer_symbol(c);
    }
    for (int32_t k = 1; k < c->n_out; k++) {
        const int64_t all = total(&g);
        c->out[k].dtype = c->in[k < 3 ? k : Q]->dtype;
        if (q->rank < 0) continue;
        c->out[k].rank = 4;
        c->out[k].dim[0] = q->dim[0];
        c->out[k].dim[1] = or_symbol(c, k < 3 ? g.hk : g.hq, NULL, 0);
        c->out[k].dim[2] = k < 3 ? or_symbol(c, all, NULL, 0) : q->dim[q->rank - 2];
        c->out[k].dim[3] = k < 3 ? or_symbol(c, k == 1 ? g.d : g.dv, NULL, 0) : or_symbol(c, all, NULL, 0);
    }
done:
    return st;
}

/* ---- reference ---- */

typedef struct run {
    const mc_op_run *r;
    geometry g;
    int64_t all, mask_stride[4], mask_len, mode, left, right;
    int causal;
    double scale, cap;
    double *p, *bias; /* a row of scores */
} run;

static int64_t at(const mc_tensor *x, int64_t b, int64_t h, int64_t i, int64_t heads, int64_t e)
{
    const int64_t *d = x->shape.dim;
    return x->shape.rank == 4 ? ((b * d[1] + h) * d[2] + i) * e : (b * d[1] + i) * heads * e + h * e;
}

/* Key or value row j of head h: its tensor, and where it begins. */
static const mc_tensor *row_of(const run *w, int32_t input, int64_t b, int64_t h, int64_t j, int64_t *where)
{
    const int64_t e = input == K ? w->g.d : w->g.dv;
    const mc_tensor *past = mc_in(w->r, input == K ? PAST_K : PAST_V);
    const mc_tensor *x = j < w->g.p ? past : w->r->in[input];
    *where = at(x, b, h, j < w->g.p ? j : j - w->g.p, w->g.hk, e);
    return x;
}

/* What is added to the scores of query i: 0 or the mask where it sees, -inf where it does not. 0: it sees nothing. */
static int bias_row(const run *w, int64_t b, int64_t h, int64_t i)
{
    const mc_tensor *mask = mc_in(w->r, MASK), *nonpad = mc_in(w->r, NONPAD);
    const int64_t end = nonpad ? mc_tensor_get_i64(nonpad, b) : w->all, position = i + (nonpad ? end - w->g.s : w->g.p);
    int any = 0;
    for (int64_t j = 0; j < w->all; j++) {
        double v = 0.0;
        if (mask) {
            const int64_t k = b * w->mask_stride[0] + h * w->mask_stride[1] + i * w->mask_stride[2] + j * w->mask_stride[3];
            if (w->mask_stride[3] && j >= w->mask_len) v = -INFINITY;
            else if (mask->dtype == MCOMP_BOOL) v = mc_tensor_get_i64(mask, k) ? 0.0 : -INFINITY;
            else v = mc_nn_at(mask, k);
        }
        if (j >= end || (w->causal && j > position) || (w->left >= 0 && position - j > w->left) || (w->right >= 0 && j - position > w->right)) v = -INFINITY;
        w->bias[j] = v;
        any |= v != -INFINITY;
    }
    return any;
}

static void softmax_row(double *p, int64_t n)
{
    double max = -INFINITY, sum = 0.0;
    for (int64_t j = 0; j < n; j++) max = p[j] > max ? p[j] : max;
    for (int64_t j = 0; j < n; j++) sum += p[j] = exp(p[j] - max);
    for (int64_t j = 0; j < n; j++) p[j] /= sum;
}

/* The scores of one query row; out: where the fourth output wants them, at the stage it wants. */
static void score_row(const run *w, int64_t b, int64_t h, int64_t i, mc_tensor *out, int64_t to)
{
    const int64_t group = w->g.hq / w->g.hk, from = at(w->r->in[Q], b, h, i, w->g.hq, w->g.d);
    const int any = bias_row(w, b, h, i);
    for (int64_t j = 0; j < w->all; j++) {
        int64_t where;
        const mc_tensor *k = row_of(w, K, b, h / group, j, &where);
        double v = mc_nn_dot(w->r->in[Q], from, 1, k, where, 1, w->g.d) * w->scale;
        if (out && w->mode == 0) mc_nn_put(out, to + j, v);
        if (w->cap > 0.0) v = w->cap * tanh(v / w->cap);
        if (out && w->mode == 1) mc_nn_put(out, to + j, v);
        w->p[j] = w->bias[j] == -INFINITY ? -INFINITY : v + w->bias[j];
        if (out && w->mode == 2) mc_nn_put(out, to + j, w->p[j]);
    }
    if (any) softmax_row(w->p, w->all);
    for (int64_t j = 0; j < w->all; j++) {
        if (!any) w->p[j] = 0.0;
        if (out && w->mode == 3) mc_nn_put(out, to + j, w->p[j]);
    }
}

static void attend(const run *w, int64_t b, int64_t h, int64_t i)
{
    const int64_t group = w->g.hq / w->g.hk, to = ((b * w->g.hq + h) * w->g.s + i) * w->all;
    mc_tensor *y = w->r->out[0], *scores = w->r->n_out > 3 ? w->r->out[3] : NULL;
    score_row(w, b, h, i, scores, to);
    for (int64_t e = 0; y && e < w->g.dv; e++) {
        double sum = 0.0;
        for (int64_t j = 0; j < w->all; j++) {
            int64_t where;
            const mc_tensor *v = row_of(w, V, b, h / group, j, &where);
            if (w->p[j] != 0.0) sum += w->p[j] * mc_nn_at(v, where + e);
        }
        mc_nn_put(y, at(y, b, h, i, w->g.hq, w->g.dv) + e, sum);
    }
}

/* K or V with its past in front. */
static void present(const run *w, int32_t input, mc_tensor *out)
{
    const int64_t e = input == K ? w->g.d : w->g.dv;
    int64_t to = 0, where;
    for (int64_t b = 0; b < w->g.b; b++)
        for (int64_t h = 0; h < w->g.hk; h++)
            for (int64_t j = 0; j < w->all; j++)
                for (int64_t k = 0; k < e; k++) {
                    const mc_tensor *x = row_of(w, input, b, h, j, &where);
                    mc_nn_put(out, to++, mc_nn_at(x, where + k));
                }
}

static int32_t open_run(const mc_op_run *r, run *w)
{
    mc_infer c = {.node = r->node, .n_in = r->n_in};
    mc_type types[NONPAD + 1];
    const mc_tensor *mask = mc_in(r, MASK), *nonpad = mc_in(r, NONPAD);
    for (int32_t i = 0; i < r->n_in; i++) {
        if (!r->in[i]) continue;
        types[i] = mc_type_of(r->in[i]);
        c.in[i] = &types[i];
    }
    const int32_t st = read_geometry(&c, &w->g);
    if (st != MCOMP_OK) return st;
    w->r = r;
    w->all = w->g.p + w->g.t;
    w->mode = mc_attr_i(r->node, "qk_matmul_output_mode", 0);
    w->left = mc_attr_i(r->node, "left_window_size", -1);
    w->right = mc_attr_i(r->node, "right_window_size", -1);
    w->causal = mc_attr_i(r->node, "is_causal", 0) != 0;
    w->cap = (double)mc_attr_f(r->node, "softcap", 0.0f);
    w->scale = mc_node_attr(r->node, "scale") ? (double)mc_attr_f(r->node, "scale", 1.0f) : 1.0 / sqrt((double)w->g.d);
    int64_t stride = 1;
    for (int32_t i = mask ? mask->shape.rank - 1 : -1; i >= 0; i--) {
        w->mask_stride[4 - mask->shape.rank + i] = mask->shape.dim[i] == 1 ? 0 : stride;
        stride *= mask->shape.dim[i];
    }
    w->mask_len = mask ? mask->shape.dim[mask->shape.rank - 1] : 0;
    if (w->mask_len == 1 && w->all > 1) w->mask_stride[3] = 0;
    for (int64_t b = 0; nonpad && b < w->g.b; b++) {
        const int64_t n = mc_tensor_get_i64(nonpad, b);
        if (n < 0 || n > w->g.t) return mc_op_fail(r, MCOMP_RANGE, "nonpad_kv_seqlen [%lld] is %lld of %lld", (long long)b, (long long)n, (long long)w->g.t);
    }
    w->p = mc_malloc(sizeof *w->p * 2 * (size_t)(w->all + 1));
    if (!w->p) return mc_op_fail(r, MCOMP_NO_MEMORY, "no memory for a row");
    w->bias = w->p + w->all + 1;
    return MCOMP_OK;
}

static int32_t forward(const mc_op_run *r)
{
    int32_t st = MCOMP_OK;
    run w = {.p = NULL};
    MC_TRY(mc_nn_recheck(r, infer, 0));
    MC_TRY(open_run(r, &w));
    for (int64_t b = 0; b < w.g.b; b++)
        for (int64_t h = 0; h < w.g.hq; h++)
            for (int64_t i = 0; i < w.g.s; i++) attend(&w, b, h, i);
    if (r->n_out > 1 && r->out[1]) present(&w, K, r->out[1]);
    if (r->n_out > 2 && r->out[2]) present(&w, V, r->out[2]);
done:
    mc_free(w.p);
    return st;
}

static int32_t cost(const mc_node *n, const mc_type *const *in, const mc_type *const *out, mc_op_cost *c)
{
    (void)n;
    const mc_type *q = in[Q], *k = in[K];
    if (q->rank < 3 || k->rank != q->rank || out[0]->rank != q->rank) return MCOMP_OK;
    c->macs = (mc_nn_extent_f(q, 0, q->rank) + mc_nn_extent_f(out[0], 0, q->rank)) * mc_nn_extent_f(k, k->rank == 4 ? 2 : 1, k->rank == 4 ? 3 : 2);
    return MCOMP_OK;
}

const mc_op mc_op_Attention = {.name = "Attention", .domain = "", .version = 25, .since = 24, .min_in = 3, .max_in = 7, .min_out = 1,
                               .max_out = 4, .quant = MC_Q_NONE, .infer = infer, .forward = forward, .cost = cost};
