/* mcomp.Attention: Y = softmax(scale Q K^T + mask) V a head; Q [B,S,H*D], K [B,T,H*D], V [B,T,H*Dv], mask broadcast to
 * [B,H,S,T]. Operands may be slices of wider rows (*_offset, *_width), e.g. of one merged QKV projection. f32; in f64 for the check
 * of its gradient.
 *
 * mcomp.AttentionGrad: dY, Q, K, V, mask (optional) -> dQ, dK, dV, of whole rows. With P the softmax and dP = dY V^T:
 *   dV = P^T dY,  dS = scale P (dP - sum_t(P dP)),  dQ = dS K,  dK = dS^T Q. */
#include "kernels/kernels.h"
#include "ops/grad.h"
#include "ops/nn.h"

#include <math.h>

/* Slice of the last axis. */
typedef struct slice {
    int64_t offset, width, row; /* row: elements of the whole last axis */
} slice;

static int32_t read_slice(const mc_infer *c, int32_t i, slice *s)
{
    static const char *const offset[] = {"q_offset", "k_offset", "v_offset"}, *const width[] = {"q_width", "k_width", "v_width"};
    const mc_type *t = c->in[i];
    s->offset = mc_attr_i(c->node, offset[i], 0);
    s->row = t->rank == 3 && t->dim[2] >= 0 ? t->dim[2] : -1;
    s->width = mc_attr_i(c->node, width[i], s->row < 0 ? -1 : s->row - s->offset);
    if (s->offset < 0 || (mc_node_attr(c->node, width[i]) && s->width < 1) ||
        (s->row >= 0 && (s->offset > s->row || s->width < 1 || s->width > s->row - s->offset)))
        return mc_infer_fail(c, MCOMP_SHAPE, "%s %lld and %s %lld do not fit a row of %lld", offset[i], (long long)s->offset, width[i],
                             (long long)s->width, (long long)s->row);
    return MCOMP_OK;
}

static int32_t check_mask(const mc_infer *c)
{
    int32_t st = MCOMP_OK;
    const mc_type *q = c->in[0], *k = c->in[1], *m = mc_has(c, 3) ? c->in[3] : NULL;
    if (!m || m->rank < 0) goto done;
    if (m->rank > 4) return mc_infer_fail(c, MCOMP_SHAPE, "the mask has rank %d", m->rank);
    const int64_t want[4] = {q->rank == 3 ? q->dim[0] : -1, mc_attr_i(c->node, "heads", 0), q->rank == 3 ? q->dim[1] : -1,
                             k->rank == 3 ? k->dim[1] : -1};
    for (int32_t i = 0; i < m->rank; i++) {
        const int64_t got = m->dim[i], w = want[4 - m->rank + i];
        if (got >= 0 && got != 1 && w >= 0 && got != w)
            return mc_infer_fail(c, MCOMP_SHAPE, "axis %d of the mask is %lld; it does not broadcast to %lld", i, (long long)got,
                                 (long long)w);
    }
done:
    return st;
}

/* The operands' one dtype. */
static int32_t check_dtype(const mc_infer *c, int32_t *dtype)
{
    *dtype = c->in[0]->dtype == MCOMP_F64 ? MCOMP_F64 : MCOMP_F32;
    for (int32_t i = 0; i < c->n_in; i++)
        if (mc_has(c, i) && mc_nn_need_dtype(c, i, *dtype) != MCOMP_OK) return MCOMP_DTYPE;
    return MCOMP_OK;
}

static int32_t infer(mc_infer *c)
{
    int32_t st = MCOMP_OK;
    slice s[3];
    const mc_type *q = c->in[0];
    mc_type *y = &c->out[0];
    const int64_t heads = mc_attr_i(c->node, "heads", 0);
    if (heads < 1 || heads > INT32_MAX) return mc_infer_fail(c, MCOMP_FORMAT, "heads is %lld", (long long)heads);
    MC_TRY(check_dtype(c, &y->dtype));
    for (int32_t i = 0; i < 3; i++) {
        MC_TRY(mc_nn_need_rank(c, i, 3));
        MC_TRY(read_slice(c, i, &s[i]));
        if (s[i].width >= 0 && s[i].width % heads != 0)
            return mc_infer_fail(c, MCOMP_SHAPE, "%lld elements in %lld heads", (long long)s[i].width, (long long)heads);
        if (q->rank == 3) MC_TRY(mc_nn_need_dim(c, i, 0, q->dim[0], "batch"));
    }
    if (s[0].width >= 0 && s[1].width >= 0 && s[0].width != s[1].width)
        return mc_infer_fail(c, MCOMP_SHAPE, "Q has %lld elements a row, K %lld", (long long)s[0].width, (long long)s[1].width);
    if (c->in[1]->rank == 3) MC_TRY(mc_nn_need_dim(c, 2, 1, c->in[1]->dim[1], "length of K"));
    MC_TRY(check_mask(c));
    y->rank = 3;
    y->dim[0] = q->rank == 3 ? q->dim[0] : mc_infer_symbol(c);
    y->dim[1] = q->rank == 3 ? q->dim[1] : mc_infer_symbol(c);
    y->dim[2] = s[2].width >= 0 ? s[2].width : c->in[2]->rank == 3 && s[2].offset == 0 ? c->in[2]->dim[2] : mc_infer_symbol(c);
done:
    return st;
}

/* Softmax of a row of scores, as the dtype has it. */
static void softmax_row(double *p, float *q, int64_t n, int32_t dtype)
{
    double max = -INFINITY, sum = 0.0;
    if (dtype == MCOMP_F32) {
        for (int64_t j = 0; j < n; j++) q[j] = (float)p[j];
        mc_softmax_row_ref(q, q, n);
        for (int64_t j = 0; j < n; j++) p[j] = (double)q[j];
        return;
    }
    for (int64_t j = 0; j < n; j++) max = p[j] > max ? p[j] : max;
    for (int64_t j = 0; j < n; j++) sum += p[j] = exp(p[j] - max);
    for (int64_t j = 0; j < n; j++) p[j] /= sum;
}

static int32_t forward(const mc_op_run *r)
{
    int32_t st = mc_nn_recheck(r, infer, 0);
    static const char *const offset[] = {"q_offset", "k_offset", "v_offset"};
    double *p = NULL;
    if (st != MCOMP_OK) return st;
    const mc_tensor *tq = r->in[0], *tk = r->in[1], *tv = r->in[2], *mask = mc_in(r, 3);
    const int64_t heads = mc_attr_i(r->node, "heads", 1), b = tq->shape.dim[0], s = tq->shape.dim[1], t = tk->shape.dim[1];
    const int64_t oq = mc_attr_i(r->node, offset[0], 0), ok = mc_attr_i(r->node, offset[1], 0), ov = mc_attr_i(r->node, offset[2], 0);
    const int64_t wq = tq->shape.dim[2], wk = tk->shape.dim[2], wv = tv->shape.dim[2], dv = r->out[0]->shape.dim[2] / heads;
    const int64_t d = mc_attr_i(r->node, "q_width", wq - oq) / heads;
    const float scale = mc_attr_f(r->node, "scale", 1.0f);
    const int nan_zero = mc_attr_i(r->node, "nan_zero", 0) != 0;
    int64_t sm[MC_MAX_RANK] = {0};
    const mc_shape full = mc_shape_make(4, (const int64_t[]){b, heads, s, t});
    if (mask) mc_shape_broadcast_strides(&mask->shape, &full, sm);
    p = mc_malloc((sizeof *p + sizeof(float)) * (size_t)t);
    if (!p) MC_FAIL(MCOMP_NO_MEMORY, r->node->name, "no memory for a row");
    for (int64_t row = 0; row < b * heads * s; row++) {
        const int64_t n = row / (heads * s), h = row / s % heads, i = row % s;
        for (int64_t j = 0; j < t; j++) {
            const double dot = mc_nn_dot(tq, (n * s + i) * wq + oq + h * d, 1, tk, (n * t + j) * wk + ok + h * d, 1, d);
            p[j] = tq->dtype == MCOMP_F32 ? (double)((float)dot * scale) : dot * (double)scale;
            if (mask) p[j] += mc_nn_at(mask, n * sm[0] + h * sm[1] + i * sm[2] + j * sm[3]);
        }
        softmax_row(p, (float *)(void *)(p + t), t, tq->dtype);
        for (int64_t j = 0; nan_zero && j < t; j++) p[j] = isnan(p[j]) ? 0.0 : p[j];
        for (int64_t e = 0; e < dv; e++) {
            double sum = 0.0;
            for (int64_t j = 0; j < t; j++) sum += p[j] * mc_nn_at(tv, (n * t + j) * wv + ov + h * dv + e);
            mc_nn_put(r->out[0], ((n * s + i) * heads + h) * dv + e, sum);
        }
    }
done:
    mc_free(p);
    return st;
}

static int32_t cost(const mc_node *n, const mc_type *const *in, const mc_type *const *out, mc_op_cost *c)
{
    if (out[0]->rank != 3 || in[0]->rank != 3 || in[1]->rank != 3) return MCOMP_OK;
    const double heads = (double)mc_attr_i(n, "heads", 1), t = mc_nn_extent_f(in[1], 1, 2), s = mc_nn_extent_f(in[0], 0, 2);
    const double width = (double)mc_attr_i(n, "q_width", in[0]->dim[2] > 0 ? in[0]->dim[2] : 0);
    c->macs = s * t * (width + mc_nn_extent_f(out[0], 2, 3));
    c->flops = 4.0 * s * t * heads;
    return MCOMP_OK;
}

static int32_t gradient(mc_op_grad *c)
{
    static const char *const slices[] = {"q_offset", "k_offset", "v_offset", "q_width", "k_width", "v_width"};
    mc_value *mask = c->n_in > 3 ? c->x[3] : NULL;
    if (mc_grad_wants(c, 3)) return mc_grad_fail(c, MCOMP_NO_GRADIENT, "by the mask");
    if (mc_node_attr(c->node, "nan_zero")) return mc_grad_fail(c, MCOMP_NO_GRADIENT, "with nan_zero");
    for (size_t i = 0; i < sizeof slices / sizeof *slices; i++)
        if (mc_node_attr(c->node, slices[i])) return mc_grad_fail(c, MCOMP_NO_GRADIENT, "of slices of wider rows");
    mc_node *n = mc_grad_begin(c, "mcomp.AttentionGrad", mask ? 5 : 4, (mc_value *[]){c->dy[0], c->x[0], c->x[1], c->x[2], mask}, 3);
    if (!n) return c->status;
    c->status = mc_node_copy_attrs(n, c->node);
    mc_grad_end(c, n);
    for (int32_t i = 0; i < 3; i++) c->dx[i] = n->out[i];
    return c->status;
}

/* ---- mcomp.AttentionGrad ---- */

static int32_t infer_grad(mc_infer *c)
{
    int32_t st = MCOMP_OK;
    mc_infer f = *c; /* the forward's view */
    for (int32_t i = 0; i + 1 < c->n_in; i++) f.in[i] = c->in[i + 1];
    f.n_in = c->n_in - 1;
    f.n_out = 1;
    MC_TRY(infer(&f));
    const mc_type y = f.out[0];
    MC_TRY(mc_nn_need_dtype(c, 0, y.dtype));
    MC_TRY(mc_nn_need_rank(c, 0, 3));
    for (int32_t i = 0; i < 3; i++) MC_TRY(mc_nn_need_dim(c, 0, i, y.dim[i], "gradient of the output"));
    for (int32_t i = 0; i < c->n_out; i++) {
        c->out[i] = *c->in[i + 1];
        c->out[i].dtype = y.dtype;
    }
done:
    return st;
}

/* Sums of one run: the gradients in double, one row of probabilities and its gradient. */
typedef struct grad_sums {
    double *d[3], *p, *dp;
} grad_sums;

static int32_t open_sums(grad_sums *g, const mc_op_run *r, int64_t t)
{
    for (int32_t i = 0; i < 3; i++) g->d[i] = mc_calloc((size_t)mc_tensor_elements(r->in[i + 1]) + 1, sizeof(double));
    g->p = mc_malloc((sizeof(double) + sizeof(float)) * (size_t)(t + 1));
    g->dp = mc_malloc(sizeof(double) * (size_t)(t + 1));
    return g->d[0] && g->d[1] && g->d[2] && g->p && g->dp ? MCOMP_OK : MCOMP_NO_MEMORY;
}

static void close_sums(grad_sums *g, const mc_op_run *r, int32_t st)
{
    for (int32_t i = 0; i < 3; i++) {
        for (int64_t k = 0; st == MCOMP_OK && i < r->n_out && r->out[i] && k < mc_tensor_elements(r->out[i]); k++) mc_nn_put(r->out[i], k, g->d[i][k]);
        mc_free(g->d[i]);
    }
    mc_free(g->p);
    mc_free(g->dp);
}

/* One query of one head; offsets of its rows in dY, Q, and of the first key in K and V. */
static void grad_row(const mc_op_run *r, grad_sums *g, int64_t oy, int64_t oq, int64_t ok, int64_t ov, int64_t t, int64_t d, int64_t dv)
{
    const mc_tensor *dy = r->in[0], *q = r->in[1], *k = r->in[2], *v = r->in[3];
    const int64_t wk = k->shape.dim[2], wv = v->shape.dim[2];
    const double scale = (double)mc_attr_f(r->node, "scale", 1.0f);
    double sum = 0.0;
    softmax_row(g->p, (float *)(void *)(g->p + t), t, q->dtype);
    for (int64_t j = 0; j < t; j++) {
        g->dp[j] = mc_nn_dot(dy, oy, 1, v, ov + j * wv, 1, dv);
        sum += g->p[j] * g->dp[j];
        for (int64_t e = 0; e < dv; e++) g->d[2][ov + j * wv + e] += g->p[j] * mc_nn_at(dy, oy + e);
    }
    for (int64_t j = 0; j < t; j++) {
        const double ds = scale * g->p[j] * (g->dp[j] - sum);
        for (int64_t e = 0; e < d; e++) {
            g->d[0][oq + e] += ds * mc_nn_at(k, ok + j * wk + e);
            g->d[1][ok + j * wk + e] += ds * mc_nn_at(q, oq + e);
        }
    }
}

static int32_t forward_grad(const mc_op_run *r)
{
    int32_t st = mc_nn_recheck(r, infer_grad, 0);
    grad_sums g = {0};
    if (st != MCOMP_OK) return st;
    const mc_tensor *q = r->in[1], *k = r->in[2], *v = r->in[3], *mask = mc_in(r, 4);
    const int64_t heads = mc_attr_i(r->node, "heads", 1), b = q->shape.dim[0], s = q->shape.dim[1], t = k->shape.dim[1];
    const int64_t wq = q->shape.dim[2], wk = k->shape.dim[2], wv = v->shape.dim[2], d = wq / heads, dv = wv / heads;
    const double scale = (double)mc_attr_f(r->node, "scale", 1.0f);
    int64_t sm[MC_MAX_RANK] = {0};
    const mc_shape full = mc_shape_make(4, (const int64_t[]){b, heads, s, t});
    if (mask) mc_shape_broadcast_strides(&mask->shape, &full, sm);
    MC_TRY(open_sums(&g, r, t));
    for (int64_t row = 0; row < b * heads * s; row++) {
        const int64_t n = row / (heads * s), h = row / s % heads, i = row % s;
        const int64_t oq = (n * s + i) * wq + h * d, ok = n * t * wk + h * d, ov = n * t * wv + h * dv;
        for (int64_t j = 0; j < t; j++) {
            g.p[j] = mc_nn_dot(q, oq, 1, k, ok + j * wk, 1, d) * scale;
            if (mask) g.p[j] += mc_nn_at(mask, n * sm[0] + h * sm[1] + i * sm[2] + j * sm[3]);
        }
        grad_row(r, &g, (n * s + i) * wv + h * dv, oq, ok, ov, t, d, dv);
    }
done:
    close_sums(&g, r, st);
    return st;
}

static int32_t cost_grad(const mc_node *n, const mc_type *const *in, const mc_type *const *out, mc_op_cost *c)
{
    const mc_type *f[] = {in[1], in[2], in[3]}, *y[] = {in[0]};
    const int32_t st = cost(n, f, y, c);
    (void)out;
    c->macs *= 2.5; /* five products of this size, the scores again among them */
    return st;
}

const mc_op mc_op_mcomp_Attention = {.name = "Attention", .domain = "mcomp", .version = 1, .since = 1, .min_in = 3, .max_in = 4,
                                     .min_out = 1, .max_out = 1, .quant = MC_Q_NONE, .infer = infer, .forward = forward, .cost = cost,
                                     .gradient = gradient};
const mc_op mc_op_mcomp_AttentionGrad = {.name = "AttentionGrad", .domain = "mcomp", .version = 1, .since = 1, .min_in = 4, .max_in = 5,
                                         .min_out = 3, .max_out = 3, .quant = MC_Q_NONE, .infer = infer_grad, .forward = forward_grad,
                                         .cost = cost_grad};
